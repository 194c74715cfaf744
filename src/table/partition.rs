//! One partition: the rows of one account (or of a whole broadcast table) and the index of their keys.
//!
//! Readers hold [`Rows`], which never change; the one writer owns the [`Partition`] and copies what a
//! reader may still see. Rows are dense: a deleted row's place is taken by the last one.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::chunk::{CHUNK_ROWS, Chunk, ColumnChunk};
use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::schema::Table;

/// A row's place in its partition.
pub type Row = u32;

/// The rows of a partition at one moment.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    chunks: Vec<Arc<Chunk>>,
    len: usize,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    pub fn get(&self, row: Row, column: usize) -> Datum {
        let row = row as usize;
        self.chunks[row / CHUNK_ROWS].columns[column].get(row % CHUNK_ROWS)
    }

    /// Appends the whole row.
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
        for (at, chunk) in self.chunks.iter().enumerate() {
            let ColumnChunk::Narrow(values) = &chunk.columns[column] else { panic!("codes are narrow") };
            for (row, value) in values.iter().enumerate() {
                if codes.contains(&(*value as Code)) {
                    take((at * CHUNK_ROWS + row) as Row);
                }
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.chunks.iter().flat_map(|chunk| &chunk.columns).map(|column| column.bytes()).sum()
    }
}

/// A partition as its writer holds it.
#[derive(Debug, Default)]
pub struct Partition {
    rows: Arc<Rows>,
    /// Row numbers by the hash of their key; the key itself is compared in the columns.
    index: HashTable<Row>,
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
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// The row of a key, given in the order of the table's key columns.
    pub fn find(&self, table: &Table, key: impl Iterator<Item = Datum> + Clone) -> Option<Row> {
        let hash = hash_key(key.clone());
        let rows = &self.rows;
        let same = |&row: &Row| {
            table.key.iter().zip(key.clone()).all(|(&column, datum)| rows.get(row, column) == datum)
        };
        self.index.find(hash, same).copied()
    }

    /// Appends rows whose keys are not here yet, and not twice among them.
    ///
    /// Shape: whole rows one after another, one datum a column of the schema.
    pub fn append(&mut self, table: &Table, mut data: &[Datum]) {
        let width = table.columns.len();
        let rows = Arc::make_mut(&mut self.rows);
        while !data.is_empty() {
            if rows.len == rows.chunks.len() * CHUNK_ROWS {
                rows.chunks.push(Arc::new(Chunk::new(&table.columns)));
            }
            let room = rows.chunks.len() * CHUNK_ROWS - rows.len;
            let (now, later) = data.split_at(data.len().min(room * width));
            let chunk = Arc::make_mut(rows.chunks.last_mut().expect("a chunk with room"));
            for (at, column) in chunk.columns.iter_mut().enumerate() {
                column.append(now.iter().skip(at).step_by(width).copied());
            }
            for row in now.chunks_exact(width) {
                let hash = hash_key(table.key.iter().map(|&column| row[column]));
                let rehash = |&row: &Row| hash_key(table.key.iter().map(|&column| rows.get(row, column)));
                self.index.insert_unique(hash, rows.len as Row, rehash);
                rows.len += 1;
            }
            data = later;
        }
    }

    /// Replaces a row by one with the same key.
    pub fn update(&mut self, row: Row, values: &[Datum]) {
        let rows = Arc::make_mut(&mut self.rows);
        let at = row as usize;
        let chunk = Arc::make_mut(&mut rows.chunks[at / CHUNK_ROWS]);
        for (column, &datum) in chunk.columns.iter_mut().zip(values) {
            column.set(at % CHUNK_ROWS, datum);
        }
    }

    /// Removes a row. The last row takes its place; its old number is returned where it moved.
    pub fn remove(&mut self, table: &Table, row: Row) -> Option<Row> {
        let last = (self.rows.len - 1) as Row;
        let key = |rows: &Rows, row: Row| hash_key(table.key.iter().map(|&column| rows.get(row, column)));
        let hash = key(&self.rows, row);
        self.index.find_entry(hash, |&number| number == row).expect("a row is in its index").remove();
        let moved = (last != row).then(|| {
            let hash = key(&self.rows, last);
            *self.index.find_mut(hash, |&number| number == last).expect("a row is in its index") = row;
            let mut values = Vec::with_capacity(table.columns.len());
            self.rows.read(last, &mut values);
            self.update(row, &values);
            last
        });
        let rows = Arc::make_mut(&mut self.rows);
        let chunk = Arc::make_mut(rows.chunks.last_mut().expect("a row has a chunk"));
        for column in &mut chunk.columns {
            column.pop();
        }
        if chunk.is_empty() {
            rows.chunks.pop();
        }
        rows.len -= 1;
        moved
    }

    pub fn index_bytes(&self) -> usize {
        self.index.allocation_size()
    }
}
