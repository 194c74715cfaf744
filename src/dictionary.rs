//! Text as dense integer codes, for good: a code is never reused and never changes its meaning.
//!
//! Inside the engine every name is a `u32`; text appears again at the edge (SQL, patches).
//! A hash table of codes compares the text in place, so a text is stored once. Nothing moves as it grows but
//! one shard of the index: ids of orders come by the million while a tick waits.
//! Cost: one hash and one comparison a look-up; 2 bytes of offset and about 8 of index a text.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::index::{Index, Moved};
use crate::schema::{Schema, TableId};

/// A text's number in its dictionary, counted from 0 in order of first appearance.
pub type Code = u32;

/// The code of the empty text in every dictionary: an unsleeved portfolio is `""`.
pub const EMPTY: Code = 0;

/// Texts of a block: of usual ids some kilobytes, so that two bytes tell where each ends.
const BLOCK_TEXTS: usize = 1024;

/// Texts that are looked up together.
const RUN_TEXTS: usize = 64;

const HASHER: FixedState = FixedState::with_seed(0);

pub struct Dictionary {
    blocks: Vec<Block>,
    len: usize,
    index: Index,
}

/// Texts one after another.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    ends: Ends,
}

/// Where each text of a block ends.
enum Ends {
    /// Each has so many bytes; none where there is no text yet.
    Even(usize),
    Short(Vec<u16>),
    Long(Vec<u32>),
}

impl Default for Dictionary {
    fn default() -> Self {
        let mut dictionary = Dictionary { blocks: Vec::new(), len: 0, index: Index::default() };
        dictionary.intern("");
        dictionary
    }
}

impl Dictionary {
    /// The code of a text, which is new the first time it is seen.
    ///
    /// # Panics
    /// After 2^32 texts, or where 1,024 of them in a row have 2^32 bytes.
    #[inline]
    pub fn intern(&mut self, text: &str) -> Code {
        let hash = hash(text.as_bytes());
        let Dictionary { blocks, len, index } = self;
        if let Some(code) = index.find(hash, |code| slice(blocks, code) == text.as_bytes()) {
            return code;
        }
        let code = Code::try_from(*len).expect("a dictionary holds fewer than 2^32 texts");
        if len.is_multiple_of(BLOCK_TEXTS) {
            if let Some(full) = blocks.last_mut() {
                full.settle();
            }
            blocks.push(Block::default());
        }
        blocks.last_mut().expect("a block with room").push(text.as_bytes());
        *len += 1;
        index.insert(hash, code, |code| self::hash(slice(blocks, code)));
        code
    }

    /// The codes of many texts, as [`Self::intern`] gives them one after the other.
    ///
    /// Ids are spread over all of memory, and a look-up waits for it four times. Here many look-ups take the
    /// same step before any takes the next, so that they wait together.
    pub fn intern_all<'a>(&mut self, texts: impl Iterator<Item = &'a str>, take: &mut dyn FnMut(Code)) {
        let mut texts = texts.peekable();
        let mut run: Vec<(&str, u64, Option<Code>)> = Vec::with_capacity(RUN_TEXTS);
        while texts.peek().is_some() {
            run.clear();
            run.extend(texts.by_ref().take(RUN_TEXTS).map(|text| (text, hash(text.as_bytes()), None)));
            for (_, hash, code) in &mut run {
                *code = self.index.candidate(*hash);
            }
            for (text, _, code) in &mut run {
                *code = code.filter(|&code| slice(&self.blocks, code) == text.as_bytes());
            }
            for &(text, _, code) in &run {
                take(code.unwrap_or_else(|| self.intern(text)));
            }
        }
    }

    /// Makes room for so many more texts.
    pub fn reserve(&mut self, texts: usize) {
        let Dictionary { blocks, index, .. } = self;
        blocks.reserve(texts.div_ceil(BLOCK_TEXTS));
        index.reserve(texts, |code| hash(slice(blocks, code)));
    }

    pub fn find(&self, text: &str) -> Option<Code> {
        let same = |code| slice(&self.blocks, code) == text.as_bytes();
        self.index.find(hash(text.as_bytes()), same)
    }

    pub fn text(&self, code: Code) -> &str {
        std::str::from_utf8(slice(&self.blocks, code)).expect("only whole texts are stored")
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that texts and index have allocated.
    pub fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Block::bytes).sum();
        blocks + self.blocks.capacity() * size_of::<Block>() + self.index.bytes()
    }

    /// What its growth moved.
    pub fn moved(&self) -> Moved {
        self.index.moved()
    }
}

impl Block {
    fn push(&mut self, text: &[u8]) {
        match self.ends {
            Ends::Even(0) if !text.is_empty() => self.ends = Ends::Even(text.len()),
            Ends::Even(len) if len > 0 && len == text.len() => {}
            Ends::Even(len) => {
                let texts = self.bytes.len().checked_div(len).unwrap_or(0);
                self.ends = Ends::Short(Vec::new());
                (1..=texts).for_each(|text| self.ends.push(text * len));
            }
            Ends::Short(_) | Ends::Long(_) => {}
        }
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    #[inline]
    fn text(&self, at: usize) -> &[u8] {
        let end = |at: usize| match &self.ends {
            Ends::Even(len) => (at + 1) * len,
            Ends::Short(ends) => ends[at].into(),
            Ends::Long(ends) => ends[at] as usize,
        };
        &self.bytes[if at == 0 { 0 } else { end(at - 1) }..end(at)]
    }

    /// Takes no more memory than its texts need: it is full.
    fn settle(&mut self) {
        self.bytes.shrink_to_fit();
        match &mut self.ends {
            Ends::Even(_) => {}
            Ends::Short(ends) => ends.shrink_to_fit(),
            Ends::Long(ends) => ends.shrink_to_fit(),
        }
    }

    fn bytes(&self) -> usize {
        let ends = match &self.ends {
            Ends::Even(_) => 0,
            Ends::Short(ends) => ends.capacity() * size_of::<u16>(),
            Ends::Long(ends) => ends.capacity() * size_of::<u32>(),
        };
        self.bytes.capacity() + ends
    }
}

impl Default for Ends {
    fn default() -> Ends {
        Ends::Even(0)
    }
}

impl Ends {
    fn push(&mut self, end: usize) {
        match (&mut *self, u16::try_from(end)) {
            (Ends::Even(_), _) => {}
            (Ends::Short(ends), Ok(end)) => ends.push(end),
            (Ends::Short(ends), Err(_)) => {
                let mut long: Vec<u32> = ends.iter().map(|&end| end.into()).collect();
                long.push(short(end));
                *self = Ends::Long(long);
            }
            (Ends::Long(ends), _) => ends.push(short(end)),
        }
    }
}

fn short(end: usize) -> u32 {
    u32::try_from(end).expect("a block of texts has fewer than 2^32 bytes")
}

#[inline]
fn slice(blocks: &[Block], code: Code) -> &[u8] {
    let at = code as usize;
    blocks[at / BLOCK_TEXTS].text(at % BLOCK_TEXTS)
}

#[inline]
fn hash(bytes: &[u8]) -> u64 {
    let mut state = HASHER.build_hasher();
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

    /// Bytes of all texts and indexes.
    pub fn bytes(&self) -> usize {
        self.names.bytes() + self.keys.iter().map(Dictionary::bytes).sum::<usize>()
    }

    /// The dictionary of a table's own keys.
    pub fn keys(&self, table: TableId) -> &Dictionary {
        &self.keys[table]
    }
}
