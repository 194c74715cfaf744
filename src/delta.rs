//! Changes of base rows in the order of arrival: what a source hands in and a tick applies.

use std::ops::Range;

use crate::datum::{Datum, NULL};
use crate::schema::{Table, TableId};

/// What a record does to the row of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// The row is now this, unless it has this version or a higher one already.
    Upsert,
    /// A tombstone: the row is gone; only the key columns of the record are set.
    Delete,
}

/// Records of one table in the order of arrival, row after row in one allocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    pub table: TableId,
    width: usize,
    data: Vec<Datum>,
    ops: Vec<Op>,
}

impl Changes {
    pub fn new(table: &Table) -> Changes {
        Changes { table: table.id, width: table.columns.len(), data: Vec::new(), ops: Vec::new() }
    }

    /// Forgets all records but keeps the memory of so many, for those to come.
    pub fn clear(&mut self, records_max: usize) {
        self.data.clear();
        self.data.shrink_to(records_max * self.width);
        self.ops.clear();
        self.ops.shrink_to(records_max);
    }

    /// Makes room for so many more records.
    pub fn reserve(&mut self, records: usize) {
        self.data.reserve(records * self.width);
        self.ops.reserve(records);
    }

    /// Appends a whole row, one datum a column in the order of the schema.
    pub fn upsert(&mut self, row: &[Datum]) {
        assert_eq!(row.len(), self.width, "a row has one datum a column");
        self.data.extend_from_slice(row);
        self.ops.push(Op::Upsert);
    }

    /// Appends a tombstone: `key` gives the datums of the table's key columns, in the order of the key.
    pub fn delete(&mut self, table: &Table, key: &[Datum]) {
        assert_eq!(key.len(), table.key.len(), "a key has one datum a key column");
        let start = self.data.len();
        self.data.resize(start + self.width, NULL);
        for (&column, &datum) in table.key.iter().zip(key) {
            self.data[start + column] = datum;
        }
        self.ops.push(Op::Delete);
    }

    /// Sets a datum of a record that was appended.
    pub fn set(&mut self, record: usize, column: usize, datum: Datum) {
        self.data[record * self.width + column] = datum;
    }

    pub fn len(&self) -> usize {
        self.ops.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Some of the records, as far as there are so many.
    pub fn rows(&self, records: Range<usize>) -> impl Iterator<Item = &[Datum]> + Clone {
        let to = records.end.min(self.len());
        self.data[records.start * self.width..to * self.width].chunks_exact(self.width)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Op, &[Datum])> {
        self.ops.iter().copied().zip(self.data.chunks_exact(self.width))
    }
}
