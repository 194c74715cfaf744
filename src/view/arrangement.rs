//! Net positions: what an account's legs add up to, kept once for all views.
//!
//! A row is an account and a coordinate: the pair of instruments, the portfolio and, where views group by
//! them, fields of orders. Legs move the sums of their row; a row without a leg is gone. The rows of one pair
//! stand together, column by column, because a price is the same for all of them. Views hold no rows: at
//! each tick they are told which rows were touched, as they were and as they are.
//! Cost: a leg O(1); a tick O(touched rows). About 55 bytes a row, most sums being narrow.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable};

use super::legs::{LegBatch, LegColumns, Place};
use super::packed::{Packed, append};
use super::pair::{Pair, Pairs};
use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::plan::scalar::Lane;
use crate::prefetch::{prefetch, prefetch_all};
use crate::table::{Domain, PartitionId};

/// What a leg is apart from its account, as a dense number.
pub type Coordinate = u32;

const END: u32 = u32::MAX;

/// Coordinates that are looked for together.
const SOUGHT_MAX: usize = 64;

/// Rows that move together. They stand all over memory, and each would be waited for several times: all of
/// them take one step before any takes the next.
const MOVES_MAX: usize = 64;

/// Legs from which on it is faster to sort them by the bytes of their keys.
const RADIX_LEGS_MIN: usize = 256;

const HASHER: FixedState = FixedState::with_seed(0);

pub struct Arrangement {
    pub coordinates: Coordinates,
    /// The leg columns that are summed, and which of them counts the legs.
    summed: Vec<usize>,
    legs: usize,
    /// By pair.
    slots: Vec<Slot>,
    /// One more than the greatest account that ever had a row.
    accounts: PartitionId,
    waiting: Vec<Waiting>,
    waiting_sums: Sums,
    pub touched: Touched,
    /// The rows before this place are in the sums, and of these all changes.
    pub read_until: Place,
    /// A sum left 128 bits: nothing here can be trusted until all is computed anew.
    pub overflowed: bool,
}

/// The coordinates there are.
pub struct Coordinates {
    /// The leg columns that make one, beside the pair: the portfolio, then fields of orders.
    pub columns: Vec<usize>,
    pairs: Vec<Pair>,
    /// Coordinate after coordinate, one code a column.
    codes: Vec<Code>,
    index: HashTable<Coordinate>,
}

/// The rows of one pair.
#[derive(Default, Clone)]
pub struct Slot {
    accounts: Vec<PartitionId>,
    /// The coordinates that rows have, and by row the place of its own among them.
    kinds: Vec<Coordinate>,
    kind: Packed,
    sums: Vec<Packed>,
    /// Row numbers by the hash of their account.
    index: HashTable<u32>,
    /// The accounts that have more than one row.
    several: HashSet<PartitionId, FixedState>,
}

/// A leg that was added and is not in the sums yet.
#[derive(Clone, Copy)]
struct Waiting {
    pair: Pair,
    account: PartitionId,
    /// [`END`] where there is no leg: its rows only count among the touched.
    coordinate: Coordinate,
    adds: Adds,
}

/// What a leg adds to some of the sums.
#[derive(Clone, Copy, Default)]
struct Adds {
    /// Where its values begin.
    from: u32,
    /// The places of the sums it adds to, a bit each; [`WIDE`] where values take two words each.
    mask: u32,
}

/// Says that values take two words, the lower first: one of them has more than 64 bits.
const WIDE: u32 = 1 << 31;

/// Values of legs: of each only those that are not 0, which are few, so that many legs stay in the cache.
#[derive(Default)]
struct Sums {
    words: Vec<i64>,
}

/// A coordinate that is looked for.
struct Sought {
    pair: Pair,
    hash: u64,
    /// The coordinate; [`END`] where there may be none yet.
    guess: Coordinate,
}

/// All legs of one row that were waiting, added up.
struct Move {
    pair: Pair,
    account: PartitionId,
    coordinate: Coordinate,
    adds: Adds,
    /// Where its row stands; [`END`] where there may be none yet.
    row: u32,
}

/// Rows that the last commit touched, pair by pair of each account.
#[derive(Default)]
pub struct Touched {
    pub buckets: Vec<Bucket>,
    rows: Vec<Coordinate>,
    /// Row after row, one a summed column.
    values: Vec<Datum>,
}

/// All rows of one pair of one account, before and after.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    pub account: PartitionId,
    pub pair: Pair,
    before: [u32; 2],
    after: [u32; 2],
}

impl Coordinates {
    fn number(&mut self, pair: Pair, codes: &[Code]) -> Coordinate {
        let Coordinates { columns, pairs, codes: all, index } = self;
        let width = columns.len();
        let of = |at: Coordinate| at as usize * width..(at as usize + 1) * width;
        let entry = index.entry(
            hash_coordinate(pair, codes),
            |&at| pairs[at as usize] == pair && all[of(at)] == *codes,
            |&at| hash_coordinate(pairs[at as usize], &all[of(at)]),
        );
        *entry
            .or_insert_with(|| {
                pairs.push(pair);
                all.extend_from_slice(codes);
                (pairs.len() - 1) as Coordinate
            })
            .get()
    }

    /// Finds coordinates that are there already: all take one step before any takes the next.
    fn seek(&self, sought: &mut [Sought], codes: &[Code]) {
        let width = self.columns.len();
        for (one, codes) in sought.iter_mut().zip(codes.chunks_exact(width)) {
            one.hash = hash_coordinate(one.pair, codes);
        }
        for one in sought.iter_mut() {
            one.guess = self.index.find(one.hash, |_| true).copied().unwrap_or(END);
        }
        for (one, codes) in sought.iter_mut().zip(codes.chunks_exact(width)) {
            let at = one.guess;
            if at != END && (self.pair(at) != one.pair || !self.codes(at).iter().eq(codes)) {
                one.guess = END;
            }
        }
    }

    #[inline]
    pub fn pair(&self, coordinate: Coordinate) -> Pair {
        self.pairs[coordinate as usize]
    }

    /// The codes of a coordinate, in the order of `columns`.
    #[inline]
    pub fn codes(&self, coordinate: Coordinate) -> &[Code] {
        let width = self.columns.len();
        &self.codes[coordinate as usize * width..][..width]
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

impl Waiting {
    /// Puts legs of one row one after another, and rows of one account and pair. Few legs share these two, so
    /// that nearly all comparisons are of one word.
    fn sort(waiting: &mut [Waiting]) {
        let words = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
        match waiting.len() {
            ..RADIX_LEGS_MIN => waiting.sort_unstable_by_key(|leg| words(leg.pair, leg.account)),
            _ => radsort::sort_by_key(waiting, |leg| words(leg.pair, leg.account)),
        }
        for legs in waiting.chunk_by_mut(|a, b| (a.pair, a.account) == (b.pair, b.account)) {
            if legs.len() > 1 {
                legs.sort_unstable_by_key(|leg| words(leg.coordinate, leg.adds.from));
            }
        }
    }
}

impl Adds {
    /// The places of the sums.
    #[inline]
    fn places(self) -> impl Iterator<Item = usize> {
        let mut mask = self.mask & !WIDE;
        std::iter::from_fn(move || {
            let place = (mask != 0).then(|| mask.trailing_zeros() as usize);
            mask &= mask.wrapping_sub(1);
            place
        })
    }
}

impl Sums {
    /// Keeps what is not 0 of a leg's values, given with their places, from the first on.
    #[inline]
    fn push(&mut self, values: impl Iterator<Item = (usize, Datum)> + Clone) -> Adds {
        let from = self.words.len();
        let mut mask = 0;
        for (place, value) in values.clone().filter(|&(_, value)| value != 0) {
            let Ok(word) = i64::try_from(value) else {
                self.words.truncate(from);
                return self.push_wide(values);
            };
            self.words.push(word);
            mask |= 1 << place;
        }
        Adds { from: from as u32, mask }
    }

    #[cold]
    fn push_wide(&mut self, values: impl Iterator<Item = (usize, Datum)>) -> Adds {
        let mut adds = Adds { from: self.words.len() as u32, mask: WIDE };
        for (place, value) in values.filter(|&(_, value)| value != 0) {
            self.words.extend([value as i64, (value >> i64::BITS) as i64]);
            adds.mask |= 1 << place;
        }
        adds
    }

    /// The values with their places.
    #[inline]
    fn of(&self, adds: Adds) -> impl Iterator<Item = (usize, Datum)> {
        let mut words = self.words[adds.from as usize..].iter();
        let mut next = move || *words.next().expect("a word a value");
        adds.places().map(move |place| match adds.mask & WIDE {
            0 => (place, next().into()),
            _ => (place, Datum::from(next() as u64) | Datum::from(next()) << i64::BITS),
        })
    }

    /// What several legs add together; `None` where a sum leaves 128 bits.
    fn add_up(&mut self, legs: impl Iterator<Item = Adds>) -> Option<Adds> {
        let mut sums = [0; WIDE.trailing_zeros() as usize];
        for adds in legs {
            for (place, value) in self.of(adds) {
                sums[place] = Datum::checked_add(sums[place], value)?;
            }
        }
        Some(self.push(sums.into_iter().enumerate()))
    }
}

impl Touched {
    /// The rows of a bucket with their sums, as they were.
    pub fn before(&self, bucket: &Bucket) -> impl Iterator<Item = (Coordinate, &[Datum])> {
        self.rows(bucket.before)
    }

    /// The rows of a bucket with their sums, as they are.
    pub fn after(&self, bucket: &Bucket) -> impl Iterator<Item = (Coordinate, &[Datum])> {
        self.rows(bucket.after)
    }

    fn rows(&self, [from, to]: [u32; 2]) -> impl Iterator<Item = (Coordinate, &[Datum])> {
        let width = if self.rows.is_empty() { 0 } else { self.values.len() / self.rows.len() };
        (from as usize..to as usize).map(move |at| (self.rows[at], &self.values[at * width..][..width]))
    }

    fn clear(&mut self) {
        self.buckets.clear();
        self.rows.clear();
        self.values.clear();
    }
}

impl Arrangement {
    /// `fields` are the columns of legs that tell rows of one portfolio and pair apart.
    pub fn new(columns: &LegColumns, fields: &[usize]) -> Arrangement {
        let mut coordinate = vec![columns.portfolio];
        coordinate.extend_from_slice(fields);
        assert!(columns.sums.len() <= WIDE.trailing_zeros() as usize, "a bit a summed column");
        Arrangement {
            coordinates: Coordinates {
                columns: coordinate,
                pairs: Vec::new(),
                codes: Vec::new(),
                index: HashTable::new(),
            },
            summed: columns.sums.clone(),
            legs: columns.sums.iter().position(|&column| column == columns.legs).expect("legs are counted"),
            slots: Vec::new(),
            accounts: 0,
            waiting: Vec::new(),
            waiting_sums: Sums::default(),
            touched: Touched::default(),
            read_until: Place::START,
            overflowed: false,
        }
    }

    /// Whether all rows are in the sums.
    pub fn is_whole(&self) -> bool {
        self.read_until == Place::END
    }

    /// The leg columns that are summed, in the order of a row's values.
    pub fn summed(&self) -> &[usize] {
        &self.summed
    }

    /// Rows of all accounts.
    pub fn len(&self) -> usize {
        self.slots.iter().map(|slot| slot.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.bytes()).sum()
    }

    /// The rows of each pair, by its number; pairs beyond have none.
    #[inline]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.waiting.clear();
        self.waiting_sums.words.clear();
        self.touched.clear();
        self.read_until = Place::START;
        self.overflowed = false;
    }

    /// Takes legs in, `weight` times each; [`Self::commit`] brings them into the sums.
    pub fn add(&mut self, batch: &LegBatch, weight: Datum, pairs: &mut Pairs, instruments: &Domain) {
        let LegBatch { columns, lanes, .. } = batch;
        let [instrument, priced_as] = [&lanes[columns.instrument], &lanes[columns.priced_as]];
        // Most of a leg's columns are a constant 0.
        let adding: Vec<(usize, &Lane)> = self
            .summed
            .iter()
            .map(|&column| &lanes[column])
            .enumerate()
            .filter(|(_, lane)| !matches!(lane, Lane::Const(0 | NULL)))
            .collect();
        let mut last = None;
        let mut sought = Vec::with_capacity(SOUGHT_MAX);
        let mut codes = Vec::with_capacity(SOUGHT_MAX * self.coordinates.columns.len());
        for rows in batch.rows.chunks(SOUGHT_MAX) {
            codes.clear();
            for &row in rows {
                let key = (instrument.get(row) as Code, priced_as.get(row) as Code);
                let pair = match last {
                    Some((known, pair)) if known == key => pair,
                    _ => pairs.number(key.0, key.1, instruments),
                };
                last = Some((key, pair));
                sought.push(Sought { pair, hash: 0, guess: END });
                codes.extend(self.coordinates.columns.iter().map(|&column| to_code(lanes[column].get(row))));
            }
            self.coordinates.seek(&mut sought, &codes);
            for ((&row, Sought { pair, guess, .. }), codes) in
                rows.iter().zip(sought.drain(..)).zip(codes.chunks_exact(self.coordinates.columns.len()))
            {
                let coordinate = match guess {
                    END => self.coordinates.number(pair, codes),
                    coordinate => coordinate,
                };
                let values = adding.iter().map(|&(place, lane)| (place, lane.get(row)));
                let adds = self.waiting_sums.push(
                    values.filter(|&(_, value)| value != NULL).map(|(place, value)| (place, weight * value)),
                );
                self.waiting.push(Waiting { pair, account: batch.partitions[row], coordinate, adds });
            }
        }
    }

    /// Legs that were added and are not in the sums yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Counts all rows of a pair among the touched, whether a leg of theirs changes or not.
    pub fn touch_pair(&mut self, pair: Pair) {
        let Arrangement { slots, waiting, .. } = self;
        let accounts = slots.get(pair as usize).map_or(&[][..], |slot| slot.accounts());
        waiting.extend(accounts.iter().map(|&account| touching(account, pair)));
    }

    /// Counts all rows of an account among the touched.
    pub fn touch_account(&mut self, account: PartitionId) {
        for pair in 0..self.slots.len() as Pair {
            if self.slots[pair as usize].has(account) {
                self.waiting.push(touching(account, pair));
            }
        }
    }

    /// Brings what was added into the sums, and tells what that touched.
    pub fn commit(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        Waiting::sort(&mut waiting);
        let mut touched = std::mem::take(&mut self.touched);
        touched.clear();
        for legs in waiting.chunk_by(|a, b| (a.account, a.pair) == (b.account, b.pair)) {
            let (account, pair) = (legs[0].account, legs[0].pair);
            let before = self.read(account, pair, &mut touched);
            touched.buckets.push(Bucket { account, pair, before, after: before });
        }
        self.apply(&waiting);
        for bucket in 0..touched.buckets.len() {
            let Bucket { account, pair, .. } = touched.buckets[bucket];
            touched.buckets[bucket].after = self.read(account, pair, &mut touched);
        }
        self.touched = touched;
        self.settle(waiting);
    }

    /// Brings what was added into the sums where nobody asks what that touches.
    pub fn commit_unread(&mut self) {
        self.touched.clear();
        let mut waiting = std::mem::take(&mut self.waiting);
        Waiting::sort(&mut waiting);
        self.apply(&waiting);
        self.settle(waiting);
    }

    fn settle(&mut self, mut waiting: Vec<Waiting>) {
        waiting.clear();
        // A load takes millions of legs in at once; that room is not kept for the ticks.
        if waiting.capacity() > 1 << 16 {
            waiting = Vec::new();
            self.waiting_sums = Sums::default();
        }
        self.waiting = waiting;
        self.waiting_sums.words.clear();
    }

    /// Brings legs into the sums, those of one row one after another.
    fn apply(&mut self, legs: &[Waiting]) {
        let mut moves = Vec::with_capacity(MOVES_MAX);
        let of_a_row =
            |a: &Waiting, b: &Waiting| (a.pair, a.account, a.coordinate) == (b.pair, b.account, b.coordinate);
        for legs in legs.chunk_by(of_a_row).filter(|legs| legs[0].coordinate != END) {
            let Waiting { pair, account, coordinate, mut adds } = legs[0];
            if legs.len() > 1 {
                match self.waiting_sums.add_up(legs.iter().map(|leg| leg.adds)) {
                    Some(all) => adds = all,
                    None => {
                        self.overflowed = true;
                        continue;
                    }
                }
            }
            if adds.mask == 0 {
                continue;
            }
            moves.push(Move { pair, account, coordinate, adds, row: END });
            if moves.len() == MOVES_MAX {
                self.make(&mut moves);
            }
        }
        self.make(&mut moves);
    }

    /// Makes moves, each of another row, and forgets them.
    fn make(&mut self, moves: &mut Vec<Move>) {
        let width = self.summed.len();
        let Arrangement { slots, accounts, waiting_sums, overflowed, .. } = self;
        if let Some(last) = moves.iter().map(|one| one.pair as usize).max()
            && slots.len() <= last
        {
            slots.resize_with(last + 1, Slot::default);
        }
        moves.iter().for_each(|one| prefetch_all(&slots[one.pair as usize]));
        for one in moves.iter_mut() {
            let slot = &slots[one.pair as usize];
            let found = slot.index.find(hash_account(one.account), |_| true);
            one.row = found.copied().unwrap_or(END);
        }
        for one in moves.iter().filter(|one| one.row != END) {
            let slot = &slots[one.pair as usize];
            prefetch(&slot.accounts[one.row as usize]);
            slot.kind.prefetch(one.row as usize);
            one.adds.places().for_each(|place| prefetch_all(&slot.sums[place]));
        }
        for one in moves.iter_mut().filter(|one| one.row != END) {
            let slot = &slots[one.pair as usize];
            if !slot.is(one.row, one.account, one.coordinate) {
                one.row = slot.find(one.account, one.coordinate).unwrap_or(END);
            }
            if one.row != END {
                one.adds.places().for_each(|place| slot.sums[place].prefetch(one.row as usize));
            }
        }
        let mut emptied = false;
        for one in moves.iter_mut() {
            let slot = &mut slots[one.pair as usize];
            *accounts = (one.account + 1).max(*accounts);
            if one.row == END {
                one.row = slot.row(one.account, one.coordinate, width);
            }
            for (place, value) in waiting_sums.of(one.adds) {
                *overflowed |= !slot.sums[place].add(one.row as usize, value);
                // Only a row that lost legs can be without any.
                emptied |= place == self.legs && value < 0;
            }
        }
        if emptied {
            // Removal puts another row in its place, so it comes last.
            for one in moves.iter() {
                let slot = &mut slots[one.pair as usize];
                if let Some(row) = slot.find(one.account, one.coordinate)
                    && slot.sums[self.legs].get(row as usize) == 0
                {
                    slot.remove(row);
                }
            }
        }
        moves.clear();
    }

    /// Appends the rows of a pair of an account with their sums, and says where they stand.
    fn read(&self, account: PartitionId, pair: Pair, into: &mut Touched) -> [u32; 2] {
        let start = into.rows.len() as u32;
        if let Some(slot) = self.slots.get(pair as usize) {
            for row in slot.rows_of(account) {
                into.rows.push(slot.coordinate(row));
                into.values.extend(slot.sums.iter().map(|sum| sum.get(row)));
            }
        }
        [start, into.rows.len() as u32]
    }

    /// The rows of a pair of an account with their sums, as they are.
    pub fn rows_of(&self, account: PartitionId, pair: Pair, into: &mut Touched) -> Bucket {
        let after = self.read(account, pair, into);
        Bucket { account, pair, before: [after[0]; 2], after }
    }

    /// One more than the greatest account that has a row.
    pub fn accounts(&self) -> PartitionId {
        self.accounts
    }
}

impl Slot {
    #[inline]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The account of each row.
    #[inline]
    pub fn accounts(&self) -> &[PartitionId] {
        &self.accounts
    }

    /// The sums of each row, in the order of the arrangement's summed columns.
    #[inline]
    pub fn sums(&self) -> &[Packed] {
        &self.sums
    }

    #[inline]
    pub fn coordinate(&self, row: usize) -> Coordinate {
        self.kinds[self.kind.get(row) as usize]
    }

    /// The coordinates that rows have or had.
    #[inline]
    pub fn kinds(&self) -> &[Coordinate] {
        &self.kinds
    }

    /// By row: the place of its coordinate among [`Self::kinds`].
    pub fn kind(&self) -> &Packed {
        &self.kind
    }

    /// The accounts that have more than one row.
    pub fn several(&self) -> &HashSet<PartitionId, FixedState> {
        &self.several
    }

    pub fn has(&self, account: PartitionId) -> bool {
        self.rows_of(account).next().is_some()
    }

    /// The rows of an account.
    pub fn rows_of(&self, account: PartitionId) -> impl Iterator<Item = usize> {
        let rows = self.index.iter_hash(hash_account(account)).map(|&row| row as usize);
        rows.filter(move |&row| self.accounts[row] == account)
    }

    fn find(&self, account: PartitionId, coordinate: Coordinate) -> Option<u32> {
        self.index.find(hash_account(account), |&row| self.is(row, account, coordinate)).copied()
    }

    #[inline]
    fn is(&self, row: u32, account: PartitionId, coordinate: Coordinate) -> bool {
        self.accounts[row as usize] == account && self.coordinate(row as usize) == coordinate
    }

    /// The row of an account's coordinate, which is new the first time it is asked for.
    fn row(&mut self, account: PartitionId, coordinate: Coordinate, width: usize) -> u32 {
        if let Some(row) = self.find(account, coordinate) {
            return row;
        }
        if self.has(account) {
            self.several.insert(account);
        }
        let row = self.accounts.len() as u32;
        append(&mut self.accounts, account);
        let kind = self.kinds.iter().position(|&known| known == coordinate).unwrap_or_else(|| {
            self.kinds.push(coordinate);
            self.kinds.len() - 1
        });
        self.kind.grow();
        self.kind.set(row as usize, kind as i128);
        self.sums.resize(width, Packed::default());
        self.sums.iter_mut().for_each(Packed::grow);
        let Slot { index, accounts, .. } = self;
        index.insert_unique(hash_account(account), row, |&row| hash_account(accounts[row as usize]));
        row
    }

    fn remove(&mut self, row: u32) {
        let account = self.accounts[row as usize];
        let entry = self.index.find_entry(hash_account(account), |&known| known == row);
        entry.unwrap_or_else(|_| panic!("a row is in the index")).remove();
        let last = (self.accounts.len() - 1) as u32;
        if last != row {
            let hash = hash_account(self.accounts[last as usize]);
            *self.index.find_mut(hash, |&known| known == last).expect("a row is in the index") = row;
        }
        self.accounts.swap_remove(row as usize);
        self.kind.swap_remove(row as usize);
        self.sums.iter_mut().for_each(|sum| sum.swap_remove(row as usize));
        if self.several.contains(&account) && self.rows_of(account).nth(1).is_none() {
            self.several.remove(&account);
        }
    }

    pub fn bytes(&self) -> usize {
        self.accounts.capacity() * 4
            + self.kind.bytes()
            + self.index.allocation_size()
            + self.several.allocation_size()
            + self.sums.iter().map(|sum| sum.bytes() + size_of::<Packed>()).sum::<usize>()
    }
}

/// What makes the rows of a pair of an account count among the touched.
fn touching(account: PartitionId, pair: Pair) -> Waiting {
    Waiting { pair, account, coordinate: END, adds: Adds::default() }
}

fn to_code(datum: Datum) -> Code {
    if datum == NULL { Code::MAX } else { datum as Code }
}

/// A code of a coordinate as a datum.
#[inline]
pub fn from_code(code: Code) -> Datum {
    if code == Code::MAX { NULL } else { code.into() }
}

#[inline]
fn hash_coordinate(pair: Pair, codes: &[Code]) -> u64 {
    let mut state = HASHER.build_hasher();
    state.write_u32(pair);
    codes.iter().for_each(|&code| state.write_u32(code));
    state.finish()
}

#[inline]
fn hash_account(account: PartitionId) -> u64 {
    HASHER.hash_one(account)
}
