//! A run of rows in Arrow columns, copied column by column when it changes under a reader.
//!
//! A chunk holds at most [`CHUNK_ROWS`] rows, so that a change to one row of a shared chunk copies
//! a few kilobytes of the columns it touches and never a table.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringBuilder,
    TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, ScalarBuffer};

use crate::datum::{Datum, NULL};
use crate::dictionary::Dictionaries;
use crate::schema::{Column, TableId, Type};

pub const CHUNK_ROWS: usize = 1024;

/// One column of a chunk. "No value" is the least value of its width.
#[derive(Debug, Clone)]
pub enum ColumnChunk {
    /// Codes, dates and flags.
    Narrow(ScalarBuffer<i32>),
    /// Decimals of up to 18 digits, timestamps, versions.
    Plain(ScalarBuffer<i64>),
    /// Decimals of more than 18 digits.
    Wide(ScalarBuffer<i128>),
}

impl ColumnChunk {
    pub fn new(data_type: Type) -> ColumnChunk {
        match data_type {
            Type::Text | Type::Id | Type::Date | Type::Boolean => {
                ColumnChunk::Narrow(ScalarBuffer::from(vec![]))
            }
            Type::Decimal { precision, .. } if precision > 18 => {
                ColumnChunk::Wide(ScalarBuffer::from(vec![]))
            }
            Type::Decimal { .. } | Type::Timestamp | Type::Integer => {
                ColumnChunk::Plain(ScalarBuffer::from(vec![]))
            }
        }
    }

    pub fn get(&self, row: usize) -> Datum {
        match self {
            ColumnChunk::Narrow(values) => widen(values[row], i32::MIN),
            ColumnChunk::Plain(values) => widen(values[row], i64::MIN),
            ColumnChunk::Wide(values) => values[row],
        }
    }

    /// Replaces the values through `change`, in place where nobody else reads them.
    fn change(&mut self, change: impl FnOnce(&mut dyn Values)) {
        match self {
            ColumnChunk::Narrow(values) => replace(values, |values| change(&mut Typed(values, i32::MIN))),
            ColumnChunk::Plain(values) => replace(values, |values| change(&mut Typed(values, i64::MIN))),
            ColumnChunk::Wide(values) => replace(values, |values| change(&mut Typed(values, i128::MIN))),
        }
    }

    /// Appends values in one go: a buffer is taken apart and put together once a call.
    pub fn append(&mut self, data: impl Iterator<Item = Datum>) {
        self.change(|values| data.for_each(|datum| values.push(datum)));
    }

    pub fn set(&mut self, row: usize, datum: Datum) {
        if self.get(row) != datum {
            self.change(|values| values.set(row, datum));
        }
    }

    pub fn pop(&mut self) {
        self.change(|values| values.pop());
    }

    pub fn len(&self) -> usize {
        match self {
            ColumnChunk::Narrow(values) => values.len(),
            ColumnChunk::Plain(values) => values.len(),
            ColumnChunk::Wide(values) => values.len(),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            ColumnChunk::Narrow(values) => values.len() * 4,
            ColumnChunk::Plain(values) => values.len() * 8,
            ColumnChunk::Wide(values) => values.len() * 16,
        }
    }
}

fn widen<T: Copy + PartialEq + Into<i128>>(value: T, none: T) -> Datum {
    if value == none { NULL } else { value.into() }
}

/// Hands out the buffer as a vector: the same allocation where it is not shared, a copy otherwise.
fn replace<T: datafusion::arrow::datatypes::ArrowNativeType>(
    values: &mut ScalarBuffer<T>,
    change: impl FnOnce(&mut Vec<T>),
) {
    let taken = std::mem::replace(values, ScalarBuffer::from(Vec::<T>::new()));
    let mut vector = match taken.into_inner().into_vec::<T>() {
        Ok(vector) => vector,
        Err(shared) => {
            let mut copy =
                Vec::with_capacity(CHUNK_ROWS.min((shared.len() / size_of::<T>() + 1).next_power_of_two()));
            copy.extend_from_slice(shared.typed_data::<T>());
            copy
        }
    };
    change(&mut vector);
    *values = ScalarBuffer::from(vector);
}

trait Values {
    fn push(&mut self, datum: Datum);
    fn set(&mut self, row: usize, datum: Datum);
    fn pop(&mut self);
}

struct Typed<'a, T>(&'a mut Vec<T>, T);

impl<T: Copy + TryFrom<i128>> Typed<'_, T> {
    fn narrow(&self, datum: Datum) -> T {
        if datum == NULL {
            return self.1;
        }
        T::try_from(datum).unwrap_or_else(|_| panic!("{datum} does not fit its column"))
    }
}

impl<T: Copy + TryFrom<i128>> Values for Typed<'_, T> {
    fn push(&mut self, datum: Datum) {
        let value = self.narrow(datum);
        self.0.push(value);
    }

    fn set(&mut self, row: usize, datum: Datum) {
        self.0[row] = self.narrow(datum);
    }

    fn pop(&mut self) {
        self.0.pop();
    }
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
