//! Net positions: what an account's legs add up to, kept once for all views.
//!
//! A row is an account and a coordinate: the pair of instruments, the portfolio and, where views group by
//! them, fields of orders. Legs move the sums of their row; a row without a leg is gone. Views hold no
//! rows: at each tick they are told which rows were touched, as they were and as they are.
//! Cost: a leg O(1); a tick O(touched rows). About 80 bytes a row, most sums being narrow.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::legs::{LegBatch, LegColumns};
use super::packed::Packed;
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
    accounts: Vec<Account>,
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

/// The rows of one account.
#[derive(Default)]
struct Account {
    coordinates: Vec<Coordinate>,
    /// The next row of the same pair.
    next: Vec<u32>,
    /// The first row of each pair.
    heads: HashTable<u32>,
    sums: Vec<Packed>,
}

/// A leg that was added and is not in the sums yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    account: PartitionId,
    pair: Pair,
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

    pub fn pair(&self, coordinate: Coordinate) -> Pair {
        self.pairs[coordinate as usize]
    }

    /// The codes of a coordinate, in the order of `columns`.
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
            accounts: Vec::new(),
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
        self.accounts.iter().map(|account| account.coordinates.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> usize {
        let account = |account: &Account| {
            account.coordinates.capacity() * 8
                + account.heads.allocation_size()
                + account.sums.iter().map(Packed::bytes).sum::<usize>()
        };
        self.accounts.iter().map(account).sum()
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.accounts.clear();
        self.waiting.clear();
        self.waiting_values.clear();
        self.touched.clear();
        self.overflowed = false;
    }

    /// Takes legs in, `weight` times each; [`Self::commit`] brings them into the sums.
    pub fn add(
        &mut self,
        batch: &LegBatch,
        weight: Datum,
        columns: &LegColumns,
        pairs: &mut Pairs,
        instruments: &Domain,
    ) {
        let mut codes = vec![0; self.coordinates.columns.len()];
        let mut at = (self.waiting_values.len() / self.summed.len()) as u32;
        let [instrument, priced_as] = [&batch.lanes[columns.instrument], &batch.lanes[columns.priced_as]];
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
            self.waiting.push(Waiting { account: batch.partitions[row], pair, coordinate, at });
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
    pub fn touch(&mut self, account: PartitionId, pair: Pair) {
        self.waiting.push(Waiting { account, pair, coordinate: END, at: END });
    }

    /// Counts all rows of an account among the touched.
    pub fn touch_account(&mut self, account: PartitionId) {
        let Some(rows) = self.accounts.get(account as usize) else { return };
        let pairs: Vec<Pair> =
            rows.heads.iter().map(|&row| self.coordinates.pair(rows.coordinates[row as usize])).collect();
        pairs.into_iter().for_each(|pair| self.touch(account, pair));
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
        let waiting = std::mem::take(&mut self.waiting);
        self.apply(&waiting);
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

    fn apply(&mut self, legs: &[Waiting]) {
        let width = self.summed.len();
        let Arrangement { coordinates, accounts, waiting_values, overflowed, .. } = self;
        let mut emptied = Vec::new();
        for leg in legs.iter().filter(|leg| leg.at != END) {
            let at = leg.account as usize;
            if accounts.len() <= at {
                accounts.resize_with(at + 1, Account::default);
            }
            let account = &mut accounts[at];
            let row = account.row(leg.pair, leg.coordinate, coordinates, width) as usize;
            let values = &waiting_values[leg.at as usize * width..][..width];
            for (sum, &value) in account.sums.iter_mut().zip(values) {
                if value != 0 && !sum.add(row, value) {
                    *overflowed = true;
                }
            }
            // Legs that went are added before those that came: only at the end is a row known to be empty.
            if account.sums[self.legs].get(row) <= 0 {
                emptied.push(*leg);
            }
        }
        for leg in emptied {
            let account = &mut accounts[leg.account as usize];
            if let Some(row) = account.find(leg.pair, leg.coordinate, coordinates)
                && account.sums[self.legs].get(row as usize) == 0
            {
                account.remove(row, leg.pair, coordinates);
            }
        }
    }

    fn read(&self, account: PartitionId, pair: Pair, into: &mut Touched) {
        let Some(account) = self.accounts.get(account as usize) else { return };
        let mut row = account.head(pair, &self.coordinates).unwrap_or(END);
        while row != END {
            into.rows.push(account.coordinates[row as usize]);
            into.values.extend(account.sums.iter().map(|sum| sum.get(row as usize)));
            row = account.next[row as usize];
        }
    }

    /// The rows of a pair of an account with their sums, as they are.
    pub fn rows_of(&self, account: PartitionId, pair: Pair, into: &mut Touched) -> Bucket {
        let start = into.rows.len() as u32;
        self.read(account, pair, into);
        Bucket { account, pair, start, middle: start, end: into.rows.len() as u32 }
    }

    /// Hands out the rows of an account, those of one pair one after another: the coordinate, and the
    /// place of its sums in the columns.
    pub fn each(&self, account: PartitionId, take: &mut dyn FnMut(Coordinate, usize, &[Packed])) {
        let Some(account) = self.accounts.get(account as usize) else { return };
        let mut is_head = vec![true; account.next.len()];
        account.next.iter().filter(|&&next| next != END).for_each(|&next| is_head[next as usize] = false);
        // In the order of the rows, so that what is built from them stands in memory as they do.
        for head in (0..account.next.len() as u32).filter(|&row| is_head[row as usize]) {
            let mut row = head;
            while row != END {
                take(account.coordinates[row as usize], row as usize, &account.sums);
                row = account.next[row as usize];
            }
        }
    }

    pub fn accounts(&self) -> PartitionId {
        self.accounts.len() as PartitionId
    }
}

fn to_code(datum: Datum) -> Code {
    if datum == NULL { Code::MAX } else { datum as Code }
}

/// A code of a coordinate as a datum.
pub fn from_code(code: Code) -> Datum {
    if code == Code::MAX { NULL } else { code.into() }
}

fn hash_pair(pair: Pair) -> u64 {
    HASHER.hash_one(pair)
}

impl Account {
    fn head(&self, pair: Pair, coordinates: &Coordinates) -> Option<u32> {
        let same = |&row: &u32| coordinates.pair(self.coordinates[row as usize]) == pair;
        self.heads.find(hash_pair(pair), same).copied()
    }

    fn find(&self, pair: Pair, coordinate: Coordinate, coordinates: &Coordinates) -> Option<u32> {
        let mut row = self.head(pair, coordinates)?;
        while self.coordinates[row as usize] != coordinate {
            row = self.next[row as usize];
            if row == END {
                return None;
            }
        }
        Some(row)
    }

    /// The row of a coordinate, which is new the first time it is asked for.
    fn row(&mut self, pair: Pair, coordinate: Coordinate, coordinates: &Coordinates, width: usize) -> u32 {
        if let Some(row) = self.find(pair, coordinate, coordinates) {
            return row;
        }
        let head = self.head(pair, coordinates);
        let row = self.coordinates.len() as u32;
        self.coordinates.push(coordinate);
        self.sums.resize(width, Packed::default());
        self.sums.iter_mut().for_each(Packed::grow);
        match head {
            Some(head) => {
                let after = std::mem::replace(&mut self.next[head as usize], row);
                self.next.push(after);
            }
            None => {
                self.next.push(END);
                let Account { heads, coordinates: rows, .. } = self;
                heads.insert_unique(hash_pair(pair), row, |&row| {
                    hash_pair(coordinates.pair(rows[row as usize]))
                });
            }
        }
        row
    }

    fn remove(&mut self, row: u32, pair: Pair, coordinates: &Coordinates) {
        let after = self.next[row as usize];
        self.relink(row, pair, after, coordinates);
        let last = (self.coordinates.len() - 1) as u32;
        if last != row {
            let pair = coordinates.pair(self.coordinates[last as usize]);
            self.relink(last, pair, row, coordinates);
        }
        self.coordinates.swap_remove(row as usize);
        self.next.swap_remove(row as usize);
        self.sums.iter_mut().for_each(|sum| sum.swap_remove(row as usize));
    }

    /// Makes what leads to a row lead to another one, or, at the end of its list, to nothing.
    fn relink(&mut self, row: u32, pair: Pair, to: u32, coordinates: &Coordinates) {
        let head = self.head(pair, coordinates).expect("a row's pair has a first row");
        if head != row {
            let mut at = head;
            while self.next[at as usize] != row {
                at = self.next[at as usize];
            }
            self.next[at as usize] = to;
            return;
        }
        let entry = self.heads.find_entry(hash_pair(pair), |&known| known == row);
        let Ok(mut entry) = entry else { panic!("a first row is in the index") };
        if to == END {
            entry.remove();
        } else {
            *entry.get_mut() = to;
        }
    }
}
