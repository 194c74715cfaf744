//! Names that came before, with their codes: most texts of a record are among some thousands.
//!
//! A dictionary hashes a text, follows two tables and compares; here a short text is three words that are
//! compared where they stand. It forgets: where two names meet in a slot, the later one stays.

use crate::dictionary::Code;
use crate::prefetch::prefetch;

/// Two megabytes, of which a name takes half a cache line: only the lines of names that come stay in the cache.
const SLOTS: usize = 1 << 16;
/// Bytes of a text that three words hold.
const BYTES_MAX: usize = 24;

pub(super) struct Known {
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Text {
    words: [u64; 3],
    /// 0 where there is none: the empty text is no name of anything.
    len: u32,
}

/// A name that is looked for, and the place where it would be.
#[derive(Clone, Copy)]
pub(super) struct Sought {
    text: Text,
    slot: usize,
}

/// None of them crosses a cache line.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Slot {
    words: [u64; 3],
    len: u32,
    code: Code,
}

impl Known {
    pub(super) fn new() -> Known {
        let none = Slot { words: [0; 3], len: 0, code: 0 };
        Known { slots: vec![none; SLOTS] }
    }

    /// Asks for the memory of a name that is [found](Self::find) soon.
    #[inline]
    pub(super) fn seek(&self, text: &str) -> Option<Sought> {
        let text = Text::new(text.as_bytes())?;
        let slot = text.slot();
        prefetch(&self.slots[slot]);
        Some(Sought { text, slot })
    }

    #[inline]
    pub(super) fn find(&self, Sought { text, slot }: Sought) -> Option<Code> {
        let slot = &self.slots[slot];
        (slot.words == text.words && slot.len == text.len).then_some(slot.code)
    }

    pub(super) fn keep(&mut self, text: &str, code: Code) {
        if let Some(text) = Text::new(text.as_bytes()) {
            self.slots[text.slot()] = Slot { words: text.words, len: text.len, code };
        }
    }
}

impl Text {
    /// Of 8 bytes and more the words may overlap: together with the length they still tell every byte.
    #[inline]
    fn new(bytes: &[u8]) -> Option<Text> {
        let len = bytes.len();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let words = match len {
            1..8 => [bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0, 0],
            8..16 => [word(0), 0, word(len - 8)],
            16..=BYTES_MAX => [word(0), word(8), word(len - 8)],
            _ => return None,
        };
        Some(Text { words, len: len as u32 })
    }

    #[inline]
    fn slot(self) -> usize {
        // Odd constants without a pattern, so that every bit reaches the upper ones.
        let [a, b, c] = self.words;
        let mixed = (a ^ b.rotate_left(21) ^ c.rotate_left(42) ^ u64::from(self.len))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 29).wrapping_mul(0xD6E8_FEB8_6659_FD93) as usize >> (64 - SLOTS.ilog2())
    }
}
