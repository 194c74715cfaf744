//! Sums of rows by key, which views whose rows, condition and key are the same share.
//!
//! A key has a number while rows have it. Sums are exact; one that leaves 128 bits makes the arrangement
//! say so until it is computed anew.
//! Cost of a tick: the rows that went and came, and those that read what changed.

use std::collections::hash_map::Entry;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::rows::{Batch, Changed, Rows};
use super::sides::Sides;
use super::{Columns, World, evaluate};
use crate::datum::{Datum, NULL};
use crate::plan::scalar::Scalar;
use crate::schema::TableId;
use crate::table::RowSet;

pub(super) type ArrangementId = usize;

/// A key's place in its arrangement.
pub(super) type KeyRow = u32;

pub(super) struct Arrangement {
    /// What it is told from others by: rows, condition and key.
    pub signature: String,
    pub rows: Rows,
    pub keys: Vec<Scalar>,
    pub kept: Vec<Scalar>,
    /// The condition, the keys and what is kept, over the columns of rows.
    columns: Columns,
    /// What the columns of rows are called.
    pub names: Vec<String>,
    /// The views and arrangements that read it.
    pub readers: usize,
    pub overflowed: bool,
    numbers: HashMap<Box<[Datum]>, KeyRow>,
    /// Key after key.
    key_data: Vec<Datum>,
    counts: Vec<i64>,
    sums: Vec<Datum>,
    free: Vec<KeyRow>,
    /// Keys that the tick touched, with their number of rows and their sums before.
    was: std::collections::HashMap<KeyRow, (i64, Vec<Datum>), FixedState>,
    pub touched: Vec<KeyRow>,
    /// Rows that the tick took back or added.
    pub rows_moved: usize,
    /// Every key may be another one.
    pub anew: bool,
    reread: Vec<(TableId, RowSet)>,
}

impl Arrangement {
    pub fn new(
        signature: String,
        rows: Rows,
        names: Vec<String>,
        filter: Scalar,
        keys: Vec<Scalar>,
        kept: Vec<Scalar>,
    ) -> Arrangement {
        Arrangement {
            names,
            columns: columns_of(&filter, &keys, &kept),
            signature,
            rows,
            keys,
            kept,
            readers: 0,
            overflowed: false,
            numbers: HashMap::new(),
            key_data: Vec::new(),
            counts: Vec::new(),
            sums: Vec::new(),
            free: Vec::new(),
            was: Default::default(),
            touched: Vec::new(),
            rows_moved: 0,
            anew: false,
            reread: Vec::new(),
        }
    }

    /// Keys that there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Places of keys, those that are free among them.
    pub fn places(&self) -> usize {
        self.counts.len()
    }

    pub fn key(&self, row: KeyRow) -> &[Datum] {
        &self.key_data[row as usize * self.keys.len()..][..self.keys.len()]
    }

    pub fn count(&self, row: KeyRow) -> i64 {
        self.counts[row as usize]
    }

    pub fn sums(&self, row: KeyRow) -> &[Datum] {
        &self.sums[row as usize * self.kept.len()..][..self.kept.len()]
    }

    /// Hands out the keys with what is kept of each.
    pub fn each(&self, take: &mut dyn FnMut(&[Datum])) {
        let mut row = Vec::new();
        for at in 0..self.counts.len() as KeyRow {
            if self.count(at) > 0 {
                row.clear();
                row.extend_from_slice(self.key(at));
                row.extend_from_slice(self.sums(at));
                take(&row);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        (self.key_data.capacity() + self.sums.capacity()) * 16
            + self.counts.capacity() * 8
            + self.numbers.len() * (16 * self.keys.len() + 24)
    }

    /// Takes back what went, and what reads otherwise from now on. Before the sides are applied.
    pub fn take_back(&mut self, changed: &HashMap<TableId, Changed>, sides: &mut Sides, world: &World) {
        self.rows_moved = 0;
        self.reread.clear();
        if self.rows.net.is_some() {
            return;
        }
        for table in self.rows.tables() {
            let width = world.tables.schema().tables[table].columns.len();
            let none = Changed::default();
            let rows = changed.get(&table).unwrap_or(&none);
            let reread = self.rows.reread(table, &rows.come, sides, world);
            self.add(Some(table), &rows.gone, width, -1, sides, world);
            self.add(Some(table), &reread, width, -1, sides, world);
            self.reread.push((table, reread));
        }
    }

    /// Adds what came, and what reads otherwise. After the sides are applied, and `inner` is done.
    pub fn bring(
        &mut self,
        changed: &HashMap<TableId, Changed>,
        arrangements: &[Option<Arrangement>],
        sides: &mut Sides,
        world: &World,
    ) {
        if self.overflowed {
            self.rebuild(arrangements, sides, world);
            return;
        }
        if let Some((inner, columns)) = &self.rows.net {
            let inner = arrangements[*inner].as_ref().expect("what is read stays");
            if inner.overflowed || inner.anew || self.rows.stirred(sides) {
                self.rebuild(arrangements, sides, world);
                return;
            }
            let (gone, come) = inner.changes(columns);
            let width = columns.len();
            self.add(None, &gone, width, -1, sides, world);
            self.add(None, &come, width, 1, sides, world);
            return;
        }
        for (table, reread) in std::mem::take(&mut self.reread) {
            let width = world.tables.schema().tables[table].columns.len();
            if let Some(rows) = changed.get(&table) {
                self.add(Some(table), &rows.come, width, 1, sides, world);
            }
            self.add(Some(table), &reread, width, 1, sides, world);
        }
    }

    /// The touched keys as rows of a net that went and came.
    fn changes(&self, columns: &[Scalar]) -> (RowSet, RowSet) {
        let (mut gone, mut come) = (RowSet::default(), RowSet::default());
        let mut row = Vec::new();
        let mut push = |set: &mut RowSet, key: &[Datum], sums: &[Datum]| {
            row.clear();
            row.extend_from_slice(key);
            row.extend_from_slice(sums);
            set.data.extend(columns.iter().map(|column| column.value(&row)));
            set.partitions.push(0);
        };
        for &at in &self.touched {
            let (count, sums) = &self.was[&at];
            if *count > 0 {
                push(&mut gone, self.key(at), sums);
            }
            if self.count(at) > 0 {
                push(&mut come, self.key(at), self.sums(at));
            }
        }
        (gone, come)
    }

    /// Computes everything from the rows there are.
    pub fn rebuild(&mut self, arrangements: &[Option<Arrangement>], sides: &mut Sides, world: &World) {
        self.anew = true;
        self.overflowed = false;
        self.reread.clear();
        self.numbers.clear();
        self.key_data.clear();
        self.counts.clear();
        self.sums.clear();
        self.free.clear();
        self.was.clear();
        self.touched.clear();
        let rows = std::mem::replace(&mut self.rows, Rows { branches: Vec::new(), net: None });
        if let Some((inner, _)) = &rows.net {
            self.overflowed |= arrangements[*inner].as_ref().expect("what is read stays").overflowed;
        }
        rows.each(None, arrangements, sides, world, &mut |batch| self.add_batch(&batch, 1));
        self.rows = rows;
    }

    fn add(
        &mut self,
        table: Option<TableId>,
        set: &RowSet,
        width: usize,
        weight: i64,
        sides: &mut Sides,
        world: &World,
    ) {
        self.rows_moved += set.len();
        let rows = std::mem::replace(&mut self.rows, Rows { branches: Vec::new(), net: None });
        rows.evaluate(table, set, width, sides, world, &mut |batch| self.add_batch(&batch, weight));
        self.rows = rows;
    }

    fn add_batch(&mut self, batch: &Batch, weight: i64) {
        let values = evaluate(&self.columns, batch.columns, batch.rows);
        let (filter, values) = values.split_first().expect("a condition");
        let (keys, kept) = values.split_at(self.keys.len());
        let mut key = Vec::with_capacity(keys.len());
        for row in (0..batch.rows).filter(|&row| filter.get(row) == 1) {
            key.clear();
            key.extend(keys.iter().map(|lane| lane.get(row)));
            let at = place(
                &key,
                &mut self.numbers,
                &mut self.free,
                (&mut self.counts, &mut self.key_data, &mut self.sums),
                kept.len(),
            );
            let start = at as usize * kept.len();
            if let Entry::Vacant(vacant) = self.was.entry(at) {
                vacant.insert((self.counts[at as usize], self.sums[start..start + kept.len()].to_vec()));
                self.touched.push(at);
            }
            self.counts[at as usize] += weight;
            for (sum, lane) in self.sums[start..].iter_mut().zip(kept) {
                let value = lane.get(row);
                let moved = if value == NULL { None } else { sum.checked_add(value * Datum::from(weight)) };
                match moved.filter(|&sum| sum != NULL) {
                    Some(moved) => *sum = moved,
                    None => self.overflowed = true,
                }
            }
        }
    }

    /// Ends the tick: keys without rows are let go.
    pub fn settle(&mut self) {
        for &at in &self.touched {
            if self.counts[at as usize] == 0 {
                let key = &self.key_data[at as usize * self.keys.len()..][..self.keys.len()];
                self.numbers.remove(key);
                self.free.push(at);
            }
        }
        self.touched.clear();
        self.was.clear();
        self.anew = false;
    }
}

/// The place of a key, which is new where no row had it.
fn place(
    key: &[Datum],
    numbers: &mut HashMap<Box<[Datum]>, KeyRow>,
    free: &mut Vec<KeyRow>,
    (counts, key_data, sums): (&mut Vec<i64>, &mut Vec<Datum>, &mut Vec<Datum>),
    kept: usize,
) -> KeyRow {
    if let Some(&at) = numbers.get(key) {
        return at;
    }
    let at = free.pop().unwrap_or(counts.len() as KeyRow);
    if at as usize == counts.len() {
        counts.push(0);
        key_data.resize(key_data.len() + key.len(), 0);
        sums.resize(sums.len() + kept, 0);
    }
    key_data[at as usize * key.len()..][..key.len()].copy_from_slice(key);
    sums[at as usize * kept..][..kept].fill(0);
    numbers.insert(key.into(), at);
    at
}

fn columns_of(filter: &Scalar, keys: &[Scalar], kept: &[Scalar]) -> Columns {
    Columns::new([filter].into_iter().chain(keys).chain(kept))
}
