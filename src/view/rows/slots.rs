//! The numbers of a view's rows: a row has one number while it exists, wherever it is stored.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::dictionary::Code;
use crate::table::PartitionId;
use crate::table::partition::Row;

/// Where a row is stored at an epoch.
pub type Place = (PartitionId, Row);

/// Rows by number, with the codes of their keys and where they are.
///
/// Memory: 8 bytes a row, 4 a key column, and about 7 for the index.
#[derive(Debug)]
pub struct Slots {
    /// Key columns.
    width: usize,
    places: Vec<Place>,
    keys: Vec<Code>,
    index: HashTable<u32>,
    free: Vec<u32>,
}

const HASHER: FixedState = FixedState::with_seed(0);

fn hash(key: &[Code]) -> u64 {
    let mut state = HASHER.build_hasher();
    key.iter().for_each(|&code| state.write_u32(code));
    state.finish()
}

impl Slots {
    pub fn new(width: usize) -> Slots {
        Slots { width, places: Vec::new(), keys: Vec::new(), index: HashTable::new(), free: Vec::new() }
    }

    /// Numbers all rows anew; a row that `before` had keeps its number. Returns the numbers in order.
    pub fn renumbered(before: &Slots, places: &[Place], keys: &[Code]) -> (Slots, Vec<u32>) {
        let width = before.width;
        let mut taken = vec![false; before.places.len()];
        let old: Vec<Option<u32>> = keys.chunks_exact(width).map(|key| before.find(key)).collect();
        old.iter().flatten().for_each(|&number| taken[number as usize] = true);
        let mut free: Vec<u32> = (0..taken.len() as u32).filter(|&n| !taken[n as usize]).rev().collect();
        let mut next = taken.len() as u32;
        let mut fresh = || {
            free.pop().unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        };
        let numbers: Vec<u32> = old.into_iter().map(|number| number.unwrap_or_else(&mut fresh)).collect();
        let mut slots = Slots {
            width,
            places: vec![Place::default(); next as usize],
            keys: vec![0; next as usize * width],
            index: HashTable::with_capacity(numbers.len()),
            free,
        };
        for ((&number, &place), key) in numbers.iter().zip(places).zip(keys.chunks_exact(width)) {
            slots.set(number, place, key);
        }
        (slots, numbers)
    }

    pub fn bytes(&self) -> usize {
        let numbers = self.keys.capacity() + self.free.capacity();
        self.places.capacity() * size_of::<Place>()
            + numbers * size_of::<u32>()
            + self.index.allocation_size()
    }

    pub fn find(&self, key: &[Code]) -> Option<u32> {
        self.index.find(hash(key), |&number| self.key(number) == key).copied()
    }

    pub fn key(&self, number: u32) -> &[Code] {
        &self.keys[number as usize * self.width..][..self.width]
    }

    pub fn place(&self, number: u32) -> Place {
        self.places[number as usize]
    }

    pub fn move_to(&mut self, number: u32, place: Place) {
        self.places[number as usize] = place;
    }

    /// Numbers a row whose key has none.
    pub fn add(&mut self, place: Place, key: &[Code]) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.keys.resize(self.keys.len() + self.width, 0);
            self.places.len() as u32 - 1
        });
        self.set(number, place, key);
        number
    }

    pub fn remove(&mut self, number: u32) {
        let entry = self.index.find_entry(hash(self.key(number)), |&other| other == number);
        entry.expect("a row is in its index").remove();
        self.free.push(number);
    }

    fn set(&mut self, number: u32, place: Place, key: &[Code]) {
        self.places[number as usize] = place;
        self.keys[number as usize * self.width..][..self.width].copy_from_slice(key);
        let Slots { width, keys, index, .. } = self;
        index.insert_unique(hash(key), number, |&other| hash(&keys[other as usize * *width..][..*width]));
    }
}
