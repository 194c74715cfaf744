//! A run of rows in columns of Arrow's layout, copied column by column when it changes under a reader.
//!
//! A chunk holds at most [`CHUNK_ROWS`] rows, so that a change to one row of a shared chunk copies
//! a few kilobytes of the columns it touches and never a table.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringBuilder,
    TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::NullBuffer;

use crate::datum::{Datum, NULL};
use crate::dictionary::Dictionaries;
use crate::schema::{Column, TableId, Type};

pub const CHUNK_ROWS: usize = 1024;

/// One column of a chunk, in Arrow's layout. "No value" is the least value of its width.
#[derive(Debug, Clone)]
pub enum ColumnChunk {
    /// Codes, dates and flags.
    Narrow(Arc<Vec<i32>>),
    /// Decimals of up to 18 digits, timestamps, versions.
    Plain(Arc<Vec<i64>>),
    /// Decimals of more than 18 digits.
    Wide(Arc<Vec<i128>>),
}

impl ColumnChunk {
    pub fn new(data_type: Type) -> ColumnChunk {
        match data_type {
            Type::Text | Type::Id | Type::Date | Type::Boolean => ColumnChunk::Narrow(Arc::default()),
            Type::Decimal { precision, .. } if precision > 18 => ColumnChunk::Wide(Arc::default()),
            Type::Decimal { .. } | Type::Timestamp | Type::Integer => ColumnChunk::Plain(Arc::default()),
        }
    }

    #[inline]
    pub fn get(&self, row: usize) -> Datum {
        match self {
            ColumnChunk::Narrow(values) => widen(values[row], i32::MIN),
            ColumnChunk::Plain(values) => widen(values[row], i64::MIN),
            ColumnChunk::Wide(values) => values[row],
        }
    }

    /// Appends values; like every change it copies the column first where a reader still holds it.
    pub fn append(&mut self, data: impl Iterator<Item = Datum>) {
        match self {
            ColumnChunk::Narrow(values) => Arc::make_mut(values).extend(data.map(|d| narrow(d, i32::MIN))),
            ColumnChunk::Plain(values) => Arc::make_mut(values).extend(data.map(|d| narrow(d, i64::MIN))),
            ColumnChunk::Wide(values) => Arc::make_mut(values).extend(data),
        }
    }

    pub fn set(&mut self, row: usize, datum: Datum) {
        if self.get(row) == datum {
            return;
        }
        match self {
            ColumnChunk::Narrow(values) => Arc::make_mut(values)[row] = narrow(datum, i32::MIN),
            ColumnChunk::Plain(values) => Arc::make_mut(values)[row] = narrow(datum, i64::MIN),
            ColumnChunk::Wide(values) => Arc::make_mut(values)[row] = datum,
        }
    }

    pub fn pop(&mut self) {
        match self {
            ColumnChunk::Narrow(values) => drop(Arc::make_mut(values).pop()),
            ColumnChunk::Plain(values) => drop(Arc::make_mut(values).pop()),
            ColumnChunk::Wide(values) => drop(Arc::make_mut(values).pop()),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            ColumnChunk::Narrow(values) => values.len(),
            ColumnChunk::Plain(values) => values.len(),
            ColumnChunk::Wide(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> usize {
        match self {
            ColumnChunk::Narrow(values) => values.capacity() * 4,
            ColumnChunk::Plain(values) => values.capacity() * 8,
            ColumnChunk::Wide(values) => values.capacity() * 16,
        }
    }
}

#[inline]
fn widen<T: Copy + PartialEq + Into<i128>>(value: T, none: T) -> Datum {
    if value == none { NULL } else { value.into() }
}

#[inline]
fn narrow<T: TryFrom<i128>>(datum: Datum, none: T) -> T {
    if datum == NULL {
        return none;
    }
    T::try_from(datum).unwrap_or_else(|_| panic!("{datum} does not fit its column"))
}

/// Rows in columns, in the order of the schema.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub columns: Vec<ColumnChunk>,
}

impl Chunk {
    pub fn new(columns: &[Column]) -> Chunk {
        Chunk { columns: columns.iter().map(|column| ColumnChunk::new(column.data_type)).collect() }
    }

    pub fn len(&self) -> usize {
        self.columns[0].len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A column as SQL sees it: text instead of codes, decimals as Decimal128, nulls as nulls.
pub fn to_arrow(values: &[Datum], data_type: Type, table: TableId, dictionaries: &Dictionaries) -> ArrayRef {
    let nulls = || {
        let nulls = NullBuffer::from_iter(values.iter().map(|&datum| datum != NULL));
        (nulls.null_count() > 0).then_some(nulls)
    };
    let or_zero = |datum: Datum| if datum == NULL { 0 } else { datum };
    match data_type {
        Type::Text | Type::Id => {
            let dictionary =
                if data_type == Type::Id { dictionaries.keys(table) } else { &dictionaries.names };
            let mut builder = StringBuilder::with_capacity(values.len(), values.len() * 8);
            for &datum in values {
                builder.append_option((datum != NULL).then(|| dictionary.text(datum as u32)));
            }
            Arc::new(builder.finish())
        }
        Type::Decimal { precision, scale } => {
            let buffer = values.iter().map(|&datum| or_zero(datum)).collect();
            let array = Decimal128Array::new(buffer, nulls());
            Arc::new(
                array.with_precision_and_scale(precision, scale as i8).expect("a schema's decimal is valid"),
            )
        }
        Type::Date => {
            Arc::new(Date32Array::new(values.iter().map(|&d| or_zero(d) as i32).collect(), nulls()))
        }
        Type::Timestamp => Arc::new(TimestampMicrosecondArray::new(
            values.iter().map(|&d| or_zero(d) as i64).collect(),
            nulls(),
        )),
        Type::Integer => {
            Arc::new(Int64Array::new(values.iter().map(|&d| or_zero(d) as i64).collect(), nulls()))
        }
        Type::Boolean => {
            Arc::new(BooleanArray::new(values.iter().map(|&d| or_zero(d) != 0).collect(), nulls()))
        }
    }
}
