//! One partition: the rows of one account (or of a whole broadcast table) and the index of their keys.
//!
//! Readers hold [`Rows`], which never change; the one writer owns the [`Partition`] and copies what a
//! reader may still see. Rows are dense: a deleted row's place is taken by the last one. A key that is one
//! text needs no index here: its code says where its row stands.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::chunk::{CHUNK_ROWS, Chunk};
use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::index::Index;
use crate::schema::Table;

/// A row's place in its partition.
pub type Row = u32;

/// The rows of a partition at one moment.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    chunks: Vec<triomphe::Arc<Chunk>>,
    len: usize,
}

impl Rows {
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn chunks(&self) -> &[triomphe::Arc<Chunk>] {
        &self.chunks
    }

    #[inline]
    pub fn get(&self, row: Row, column: usize) -> Datum {
        let row = row as usize;
        self.chunks[row / CHUNK_ROWS].columns[column].get(row % CHUNK_ROWS)
    }

    /// The chunk of a row, if it is there, and its place in it.
    #[inline]
    pub fn place(&self, row: Row) -> Option<(&Chunk, usize)> {
        let row = row as usize;
        self.chunks.get(row / CHUNK_ROWS).map(|chunk| (&**chunk, row % CHUNK_ROWS))
    }

    /// Appends the whole row.
    #[inline]
    pub fn read(&self, row: Row, into: &mut Vec<Datum>) {
        let row = row as usize;
        let chunk = &self.chunks[row / CHUNK_ROWS];
        into.extend(chunk.columns.iter().map(|column| column.get(row % CHUNK_ROWS)));
    }

    /// A column's values at some rows; no value at rows that are not there.
    pub fn gather(&self, column: usize, rows: impl Iterator<Item = Row>) -> Vec<Datum> {
        rows.map(|row| if (row as usize) < self.len { self.get(row, column) } else { NULL }).collect()
    }

    /// Hands out the rows whose column has one of these codes.
    pub fn matching(&self, column: usize, codes: &[Code], take: &mut dyn FnMut(Row)) {
        let mut values = Vec::with_capacity(CHUNK_ROWS.min(self.len));
        for (at, chunk) in self.chunks.iter().enumerate() {
            values.clear();
            chunk.columns[column].read(&mut values);
            for (row, &value) in values.iter().enumerate() {
                if value != NULL && codes.contains(&(value as Code)) {
                    take((at * CHUNK_ROWS + row) as Row);
                }
            }
        }
    }

    /// Bytes that it has allocated.
    pub fn bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let chunks: usize = self.chunks.iter().map(|chunk| size_of::<usize>() + chunk.bytes()).sum();
        counts + size_of::<Rows>() + self.chunks.capacity() * size_of::<triomphe::Arc<Chunk>>() + chunks
    }
}

/// A partition as its writer holds it.
#[derive(Debug, Default)]
pub struct Partition {
    rows: Arc<Rows>,
    keys: Keys,
}

const HASHER: FixedState = FixedState::with_seed(0);

/// The hash of a key, given in the order of the key's columns.
pub(super) fn hash_key(key: impl Iterator<Item = Datum>) -> u64 {
    let mut state = HASHER.build_hasher();
    for datum in key {
        state.write_u64(datum as u64);
    }
    state.finish()
}

impl Partition {
    /// What readers may hold.
    #[inline]
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// The row of a key of several columns, given in their order.
    #[inline]
    pub fn find(&self, table: &Table, key: impl Iterator<Item = Datum> + Clone) -> Option<Row> {
        let hash = hash_key(key.clone());
        let rows = &self.rows;
        self.keys.find(hash, |row| {
            table.key.iter().zip(key.clone()).all(|(&column, datum)| rows.get(row, column) == datum)
        })
    }

    /// Appends rows whose keys are not here yet, and not twice among them.
    ///
    /// Shape: whole rows one after another, one datum a column of the schema.
    pub fn append(&mut self, table: &Table, mut data: &[Datum]) {
        let width = table.columns.len();
        let rows = Arc::make_mut(&mut self.rows);
        while !data.is_empty() {
            if rows.len == rows.chunks.len() * CHUNK_ROWS {
                // Most partitions have few chunks: one more at a time.
                rows.chunks.reserve_exact(1);
                let next = rows.chunks.last().map_or_else(|| Chunk::new(table), |full| full.like());
                rows.chunks.push(triomphe::Arc::new(next));
            }
            let room = rows.chunks.len() * CHUNK_ROWS - rows.len;
            let (now, later) = data.split_at(data.len().min(room * width));
            let count = now.len() / width;
            let chunk = triomphe::Arc::make_mut(rows.chunks.last_mut().expect("a chunk with room"));
            for (at, column) in chunk.columns.iter_mut().enumerate() {
                column.append(width, &now[at..]);
                // What came all at once is as tight as it can be.
                if count == room && room < CHUNK_ROWS {
                    column.settle();
                }
            }
            let from = rows.len;
            rows.len += count;
            if table.key.len() > 1 {
                for (at, row) in now.chunks_exact(width).enumerate() {
                    let hash = hash_key(table.key.iter().map(|&column| row[column]));
                    self.keys.insert(hash, (from + at) as Row, |row| hash_row(table, rows, row));
                }
            }
            data = later;
        }
    }

    /// Replaces a row by one with the same key, given what stands there.
    pub fn update(&mut self, row: Row, before: &[Datum], values: &[Datum]) {
        let rows = Arc::make_mut(&mut self.rows);
        let at = row as usize;
        let chunk = triomphe::Arc::make_mut(&mut rows.chunks[at / CHUNK_ROWS]);
        for (column, (before, &datum)) in chunk.columns.iter_mut().zip(before.iter().zip(values)) {
            if *before != datum {
                column.set(at % CHUNK_ROWS, datum);
            }
        }
    }

    /// Replaces rows, all of them others, by some with the same keys, column by column; hands out what stood
    /// there, and tells of each column whether a row has another value in it now.
    ///
    /// Shape: whole rows one after another, after in `come` and before in `gone`.
    pub fn exchange(&mut self, at: &[Row], come: &[Datum], gone: &mut [Datum], changed: &mut [bool]) {
        let width = changed.len();
        let rows = Arc::make_mut(&mut self.rows);
        let mut places = Vec::with_capacity(at.len());
        let mut start = 0;
        for run in at.chunk_by(|a, b| *a as usize / CHUNK_ROWS == *b as usize / CHUNK_ROWS) {
            places.clear();
            places.extend(run.iter().map(|row| *row as usize % CHUNK_ROWS));
            let chunk = triomphe::Arc::make_mut(&mut rows.chunks[run[0] as usize / CHUNK_ROWS]);
            for (column, changed) in changed.iter_mut().enumerate() {
                let from = start * width + column;
                *changed |= chunk.columns[column].exchange(&places, width, &come[from..], &mut gone[from..]);
            }
            start += run.len();
        }
    }

    /// Removes a row. The last row takes its place; its old number is returned where it moved.
    pub fn remove(&mut self, table: &Table, row: Row) -> Option<Row> {
        let last = (self.rows.len - 1) as Row;
        let keyed = table.key.len() > 1;
        if keyed {
            self.keys.remove(hash_row(table, &self.rows, row), row);
        }
        let moved = (last != row).then(|| {
            if keyed {
                self.keys.replace(hash_row(table, &self.rows, last), last, row);
            }
            let mut values = Vec::with_capacity(2 * table.columns.len());
            self.rows.read(row, &mut values);
            self.rows.read(last, &mut values);
            let (before, after) = values.split_at(table.columns.len());
            self.update(row, before, after);
            last
        });
        let rows = Arc::make_mut(&mut self.rows);
        let chunk = triomphe::Arc::make_mut(rows.chunks.last_mut().expect("a row has a chunk"));
        for column in &mut chunk.columns {
            column.pop();
        }
        if chunk.is_empty() {
            rows.chunks.pop();
        }
        rows.len -= 1;
        moved
    }

    /// Bytes that the index of keys has allocated.
    pub fn index_bytes(&self) -> usize {
        self.keys.bytes()
    }
}

/// The hash of a row's key.
fn hash_row(table: &Table, rows: &Rows, row: Row) -> u64 {
    hash_key(table.key.iter().map(|&column| rows.get(row, column)))
}

/// Row numbers by the hash of their key; the key itself is compared in the columns.
#[derive(Debug)]
enum Keys {
    /// Of up to 65,536 rows: most partitions have few.
    Short(HashTable<u16>),
    Long(Index),
}

/// Rows whose numbers two bytes hold.
const SHORT_ROWS_MAX: usize = 1 << 16;

impl Default for Keys {
    fn default() -> Keys {
        Keys::Short(HashTable::new())
    }
}

impl Keys {
    #[inline]
    fn find(&self, hash: u64, same: impl Fn(Row) -> bool) -> Option<Row> {
        match self {
            Keys::Short(table) => table.find(hash, |&row| same(row.into())).map(|&row| row.into()),
            Keys::Long(index) => index.find(hash, same),
        }
    }

    /// Adds a row, the next in number.
    fn insert(&mut self, hash: u64, row: Row, rehash: impl Fn(Row) -> u64) {
        if let Keys::Short(table) = self
            && row as usize >= SHORT_ROWS_MAX
        {
            // Moved once, in some milliseconds.
            let mut index = Index::default();
            table.iter().for_each(|&row| index.insert(rehash(row.into()), row.into(), &rehash));
            *self = Keys::Long(index);
        }
        match self {
            Keys::Short(table) => {
                table.insert_unique(hash, row as u16, |&row| rehash(row.into()));
            }
            Keys::Long(index) => index.insert(hash, row, rehash),
        }
    }

    fn remove(&mut self, hash: u64, row: Row) {
        match self {
            Keys::Short(table) => {
                let entry = table.find_entry(hash, |&known| Row::from(known) == row);
                entry.expect("a row is in its index").remove();
            }
            Keys::Long(index) => index.remove(hash, row),
        }
    }

    /// Gives a row another number, which is a lower one.
    fn replace(&mut self, hash: u64, row: Row, by: Row) {
        match self {
            Keys::Short(table) => {
                let entry = table.find_mut(hash, |&known| Row::from(known) == row);
                *entry.expect("a row is in its index") = by as u16;
            }
            Keys::Long(index) => index.replace(hash, row, by),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Keys::Short(table) => table.allocation_size(),
            Keys::Long(index) => index.bytes(),
        }
    }
}
