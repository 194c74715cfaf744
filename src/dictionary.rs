//! Text as dense integer codes, for good: a code is never reused and never changes its meaning.
//!
//! Inside the engine every name is a `u32`; text appears again at the edge (SQL, patches).
//! A hash table of codes compares the text in place, so a text is stored once.
//! Cost: one hash and one comparison a look-up; 4 bytes of offset and about 6 of index a text.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::schema::{Schema, TableId};

/// A text's number in its dictionary, counted from 0 in order of first appearance.
pub type Code = u32;

/// The code of the empty text in every dictionary: an unsleeved portfolio is `""`.
pub const EMPTY: Code = 0;

pub struct Dictionary {
    bytes: Vec<u8>,
    ends: Vec<u64>,
    index: HashTable<Code>,
    hasher: FixedState,
}

impl Default for Dictionary {
    fn default() -> Self {
        let mut dictionary = Dictionary {
            bytes: Vec::new(),
            ends: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(0),
        };
        dictionary.intern("");
        dictionary
    }
}

impl Dictionary {
    /// The code of `text`, which is new the first time it is seen.
    ///
    /// # Panics
    /// At 2^32 texts, above every bound of [`crate::limits`].
    pub fn intern(&mut self, text: &str) -> Code {
        let hash = hash(&self.hasher, text);
        let Dictionary { bytes, ends, index, hasher } = self;
        let entry = index.entry(
            hash,
            |&code| slice(bytes, ends, code) == text.as_bytes(),
            |&code| hash_bytes(hasher, slice(bytes, ends, code)),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(found) => *found.get(),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                let code = Code::try_from(ends.len()).expect("a dictionary holds fewer than 2^32 texts");
                vacant.insert(code);
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len() as u64);
                code
            }
        }
    }

    /// Makes room for so many more texts of so many bytes each.
    pub fn reserve(&mut self, texts: usize, bytes_each: usize) {
        let Dictionary { bytes, ends, index, hasher } = self;
        bytes.reserve(texts * bytes_each);
        ends.reserve(texts);
        index.reserve(texts, |&code| hash_bytes(hasher, slice(bytes, ends, code)));
    }

    pub fn find(&self, text: &str) -> Option<Code> {
        let hash = hash(&self.hasher, text);
        self.index.find(hash, |&code| slice(&self.bytes, &self.ends, code) == text.as_bytes()).copied()
    }

    pub fn text(&self, code: Code) -> &str {
        std::str::from_utf8(slice(&self.bytes, &self.ends, code)).expect("only whole texts are stored")
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8 + self.index.allocation_size()
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[u64], code: Code) -> &'a [u8] {
    let at = code as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    &bytes[start..ends[at] as usize]
}

fn hash(hasher: &FixedState, text: &str) -> u64 {
    hash_bytes(hasher, text.as_bytes())
}

fn hash_bytes(hasher: &FixedState, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish()
}

/// The dictionaries of an engine: names that tables share, and the keys that each table has for itself.
pub struct Dictionaries {
    pub names: Dictionary,
    /// By table: order ids, movement ids; empty where a table has no such key.
    pub keys: Vec<Dictionary>,
}

impl Dictionaries {
    pub fn new(schema: &Schema) -> Dictionaries {
        Dictionaries {
            names: Dictionary::default(),
            keys: schema.tables.iter().map(|_| Dictionary::default()).collect(),
        }
    }

    /// The dictionary of a table's own keys.
    pub fn keys(&self, table: TableId) -> &Dictionary {
        &self.keys[table]
    }
}
