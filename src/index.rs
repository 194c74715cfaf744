//! Numbers by the hash of what they stand for, in many small hash tables instead of one.
//!
//! A hash table that doubles moves all it holds at once: of 50 million numbers that takes more than a second.
//! Here each shard grows alone, and no insert moves more than about one number in [`SHARDS`]. Shards are not
//! of one size: the largest has twice the share of the smallest, so that they do not all grow at about the
//! same time.
//! It holds numbers only; what they stand for is compared and hashed by its owner.

use hashbrown::HashTable;

/// At 50 million numbers a shard has up to 18,000, which move in a few milliseconds.
const SHARDS: usize = 4096;

#[derive(Debug)]
pub struct Index {
    shards: Vec<HashTable<u32>>,
    len: usize,
    /// Numbers that inserts moved within a shard as it grew: of all inserts, and of the one that moved most.
    moved: Moved,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    pub all: usize,
    pub at_once_max: usize,
}

impl Default for Index {
    fn default() -> Index {
        Index { shards: vec![HashTable::new(); SHARDS], len: 0, moved: Moved::default() }
    }
}

impl Index {
    #[inline]
    pub fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.shards[shard(hash)].find(hash, |&number| same(number)).copied()
    }

    /// A number that may be the one of a hash: nearly always the right one, where it is there at all.
    #[inline]
    pub fn candidate(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds a number that is not there. `rehash` gives the hash of a number's meaning.
    pub fn insert(&mut self, hash: u64, number: u32, rehash: impl Fn(u32) -> u64) {
        let shard = &mut self.shards[shard(hash)];
        if shard.len() == shard.capacity() {
            self.moved.all += shard.len();
            self.moved.at_once_max = self.moved.at_once_max.max(shard.len());
        }
        shard.insert_unique(hash, number, |&number| rehash(number));
        self.len += 1;
    }

    /// Takes a number out that is there.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let entry = self.shards[shard(hash)].find_entry(hash, |&known| known == number);
        entry.expect("a number is in its index").remove();
        self.len -= 1;
    }

    /// Puts another number in the place of one that is there.
    pub fn replace(&mut self, hash: u64, number: u32, by: u32) {
        let entry = self.shards[shard(hash)].find_mut(hash, |&known| known == number);
        *entry.expect("a number is in its index") = by;
    }

    /// Makes room for so many more numbers.
    pub fn reserve(&mut self, more: usize, rehash: impl Fn(u32) -> u64) {
        let all = self.len + more;
        for (at, shard) in self.shards.iter_mut().enumerate() {
            let share = (bound(at + 1) - bound(at)) as usize;
            let share = (all * share) >> 16;
            // Five deviations of chance more than its share.
            let wanted = share + 5 * share.isqrt() + 8;
            shard.reserve(wanted.saturating_sub(shard.len()), |&number| rehash(number));
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn moved(&self) -> Moved {
        self.moved
    }

    /// Bytes that it has allocated.
    pub fn bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        tables + self.shards.capacity() * size_of::<HashTable<u32>>()
    }
}

/// The shard of a hash, by bits that the hash tables themselves hardly use.
#[inline]
fn shard(hash: u64) -> usize {
    shard_at((hash >> 32) & 0xFFFF)
}

#[inline]
fn shard_at(x: u64) -> usize {
    (place(x) as usize * SHARDS) >> 16
}

/// Bends 0..65,536 onto itself, as log2(1 + x) bends 0..1: the steps at the end are half as dense as those at
/// the beginning. 22,545 is 0.344 · 65,536.
#[inline]
fn place(x: u64) -> u64 {
    x + ((x * (65_536 - x) * 22_545) >> 32)
}

/// The first of 65,536 places whose shard is `at` or a later one.
fn bound(at: usize) -> u64 {
    let (mut from, mut to) = (0, 65_536);
    while from < to {
        let middle = (from + to) / 2;
        if shard_at(middle) < at { from = middle + 1 } else { to = middle }
    }
    from
}
