//! Net positions: what an account's legs add up to, kept once for all views.
//!
//! A row is an account and a coordinate: the pair of instruments, the portfolio and, where views group by
//! them, fields of orders. Legs move the sums of their row; a row without a leg is gone. The rows of one pair
//! stand together, column by column, because a price is the same for all of them. Views hold no rows: at
//! each tick they are told which rows were touched, as they were and as they are.
//! Cost: a leg O(1); a tick O(touched rows). About 55 bytes a row, most sums being narrow.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable};

use super::legs::{LegBatch, LegColumns};
use super::packed::{Packed, append};
use super::pair::{Pair, Pairs};
use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::plan::scalar::Lane;
use crate::table::{Domain, PartitionId};

/// What a leg is apart from its account, as a dense number.
pub type Coordinate = u32;

const END: u32 = u32::MAX;
const HASHER: FixedState = FixedState::with_seed(0);

pub struct Arrangement {
    pub coordinates: Coordinates,
    /// The leg columns that are summed, and which of them counts the legs.
    summed: Vec<usize>,
    legs: usize,
    /// By pair; readers may hold them as they were.
    slots: Vec<Arc<Slot>>,
    /// One more than the greatest account that ever had a row.
    accounts: PartitionId,
    waiting: Vec<Waiting>,
    /// Row after row, one a summed column.
    waiting_values: Vec<Datum>,
    pub touched: Touched,
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    pair: Pair,
    account: PartitionId,
    coordinate: Coordinate,
    /// Place of its values.
    at: u32,
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
    start: u32,
    middle: u32,
    end: u32,
}

impl Coordinates {
    fn number(&mut self, pair: Pair, codes: &[Code]) -> Coordinate {
        let Coordinates { columns, pairs, codes: all, index } = self;
        let width = columns.len();
        let hash = |pair: Pair, codes: &[Code]| {
            let mut state = HASHER.build_hasher();
            state.write_u32(pair);
            codes.iter().for_each(|&code| state.write_u32(code));
            state.finish()
        };
        let of = |at: Coordinate| at as usize * width..(at as usize + 1) * width;
        let entry = index.entry(
            hash(pair, codes),
            |&at| pairs[at as usize] == pair && all[of(at)] == *codes,
            |&at| hash(pairs[at as usize], &all[of(at)]),
        );
        *entry
            .or_insert_with(|| {
                pairs.push(pair);
                all.extend_from_slice(codes);
                (pairs.len() - 1) as Coordinate
            })
            .get()
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

impl Touched {
    /// The rows of a bucket with their sums, as they were.
    pub fn before(&self, bucket: &Bucket) -> impl Iterator<Item = (Coordinate, &[Datum])> {
        self.rows(bucket.start, bucket.middle)
    }

    /// The rows of a bucket with their sums, as they are.
    pub fn after(&self, bucket: &Bucket) -> impl Iterator<Item = (Coordinate, &[Datum])> {
        self.rows(bucket.middle, bucket.end)
    }

    fn rows(&self, from: u32, to: u32) -> impl Iterator<Item = (Coordinate, &[Datum])> {
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
            waiting_values: Vec::new(),
            touched: Touched::default(),
            overflowed: false,
        }
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
    pub fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.waiting.clear();
        self.waiting_values.clear();
        self.touched.clear();
        self.overflowed = false;
    }

    /// Takes legs in, `weight` times each; [`Self::commit`] brings them into the sums.
    pub fn add(&mut self, batch: &LegBatch, weight: Datum, pairs: &mut Pairs, instruments: &Domain) {
        let mut codes = vec![0; self.coordinates.columns.len()];
        let mut at = (self.waiting_values.len() / self.summed.len()) as u32;
        let LegBatch { columns, lanes, .. } = batch;
        let [instrument, priced_as] = [&lanes[columns.instrument], &lanes[columns.priced_as]];
        let mut last = None;
        for &row in batch.rows {
            let key = (instrument.get(row) as Code, priced_as.get(row) as Code);
            let pair = match last {
                Some((known, pair)) if known == key => pair,
                _ => pairs.number(key.0, key.1, instruments),
            };
            last = Some((key, pair));
            for (code, &column) in codes.iter_mut().zip(&self.coordinates.columns) {
                *code = to_code(batch.lanes[column].get(row));
            }
            let coordinate = self.coordinates.number(pair, &codes);
            self.waiting.push(Waiting { pair, account: batch.partitions[row], coordinate, at });
            at += 1;
        }
        self.add_values(batch, weight);
    }

    /// The sums' side of [`Self::add`], column by column: most of a leg's columns are a constant 0.
    fn add_values(&mut self, batch: &LegBatch, weight: Datum) {
        let width = self.summed.len();
        let start = self.waiting_values.len();
        self.waiting_values.resize(start + batch.rows.len() * width, 0);
        for (place, &column) in self.summed.iter().enumerate() {
            let lane = &batch.lanes[column];
            if matches!(lane, Lane::Const(0 | NULL)) {
                continue;
            }
            let values = self.waiting_values[start..].iter_mut().skip(place).step_by(width);
            for (value, &row) in values.zip(batch.rows) {
                let datum = lane.get(row);
                *value = if datum == NULL { 0 } else { weight * datum };
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
        waiting.sort_unstable();
        let mut touched = std::mem::take(&mut self.touched);
        touched.clear();
        for bucket in waiting.chunk_by(|a, b| (a.account, a.pair) == (b.account, b.pair)) {
            let (account, pair) = (bucket[0].account, bucket[0].pair);
            let start = touched.rows.len();
            self.read(account, pair, &mut touched);
            let middle = touched.rows.len();
            self.apply(bucket);
            self.read(account, pair, &mut touched);
            let [start, middle, end] = [start, middle, touched.rows.len()].map(|at| at as u32);
            touched.buckets.push(Bucket { account, pair, start, middle, end });
        }
        self.touched = touched;
        self.settle(waiting);
    }

    /// Brings what was added into the sums where nobody asks what that touches.
    pub fn commit_unread(&mut self) {
        self.touched.clear();
        let mut waiting = std::mem::take(&mut self.waiting);
        // Rows of one pair stand together: each is in the core's cache for all its legs.
        waiting.sort_unstable();
        waiting.chunk_by(|a, b| a.pair == b.pair).for_each(|legs| self.apply(legs));
        self.settle(waiting);
    }

    fn settle(&mut self, mut waiting: Vec<Waiting>) {
        waiting.clear();
        // A load takes millions of legs in at once; that room is not kept for the ticks.
        if waiting.capacity() > 1 << 16 {
            waiting = Vec::new();
            self.waiting_values = Vec::new();
        }
        self.waiting = waiting;
        self.waiting_values.clear();
    }

    /// Brings legs of one pair into the sums.
    fn apply(&mut self, legs: &[Waiting]) {
        let width = self.summed.len();
        let Arrangement { slots, accounts, waiting_values, overflowed, .. } = self;
        let Some(first) = legs.iter().find(|leg| leg.at != END) else { return };
        let at = first.pair as usize;
        if slots.len() <= at {
            slots.resize_with(at + 1, Arc::default);
        }
        let slot = Arc::make_mut(&mut slots[at]);
        let mut emptied = Vec::new();
        for leg in legs.iter().filter(|leg| leg.at != END) {
            *accounts = (leg.account + 1).max(*accounts);
            let row = slot.row(leg.account, leg.coordinate, width) as usize;
            let values = &waiting_values[leg.at as usize * width..][..width];
            for (sum, &value) in slot.sums.iter_mut().zip(values) {
                if value != 0 && !sum.add(row, value) {
                    *overflowed = true;
                }
            }
            // Legs that went are added before those that came: only at the end is a row known to be empty.
            if slot.sums[self.legs].get(row) <= 0 {
                emptied.push(*leg);
            }
        }
        for leg in emptied {
            if let Some(row) = slot.find(leg.account, leg.coordinate)
                && slot.sums[self.legs].get(row as usize) == 0
            {
                slot.remove(row);
            }
        }
    }

    fn read(&self, account: PartitionId, pair: Pair, into: &mut Touched) {
        let Some(slot) = self.slots.get(pair as usize) else { return };
        for row in slot.rows_of(account) {
            into.rows.push(slot.coordinate(row));
            into.values.extend(slot.sums.iter().map(|sum| sum.get(row)));
        }
    }

    /// The rows of a pair of an account with their sums, as they are.
    pub fn rows_of(&self, account: PartitionId, pair: Pair, into: &mut Touched) -> Bucket {
        let start = into.rows.len() as u32;
        self.read(account, pair, into);
        Bucket { account, pair, start, middle: start, end: into.rows.len() as u32 }
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
        let same = |&row: &u32| {
            self.accounts[row as usize] == account && self.coordinate(row as usize) == coordinate
        };
        self.index.find(hash_account(account), same).copied()
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
    Waiting { pair, account, coordinate: END, at: END }
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
fn hash_account(account: PartitionId) -> u64 {
    HASHER.hash_one(account)
}
