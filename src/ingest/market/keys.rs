//! Ids of orders and movements: a letter and a number to the base 36, written without an allocation.

use crate::dictionary::{Code, Dictionary};

const KEY_BYTES: usize = 8;

/// Numbers the keys of one table, from 0 on.
pub(super) struct Keys {
    letter: u8,
    next: u64,
}

impl Keys {
    pub(super) fn new(letter: u8) -> Keys {
        Keys { letter, next: 0 }
    }

    /// Makes room in the dictionary for so many ids.
    pub(super) fn reserve(dictionary: &mut Dictionary, ids: usize) {
        dictionary.reserve(ids);
    }

    /// The code of the next id, such as `O000A3F9`.
    pub(super) fn intern(&mut self, dictionary: &mut Dictionary) -> Code {
        // 36^7 ids are more than a dictionary can hold.
        let mut text = [b'0'; KEY_BYTES];
        text[0] = self.letter;
        let mut left = self.next;
        for place in (1..text.len()).rev() {
            text[place] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(left % 36) as usize];
            left /= 36;
        }
        self.next += 1;
        dictionary.intern(std::str::from_utf8(&text).expect("letters and digits"))
    }
}
