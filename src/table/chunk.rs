//! A run of rows in columns, copied column by column when it changes under a reader.
//!
//! A chunk holds at most [`CHUNK_ROWS`] rows, so that a change to one row of a shared chunk copies
//! a few kilobytes of the columns it touches and never a table. Tables of many rows keep their values in as
//! few bits as they need; broadcast tables, whose every row may change at every tick, keep them plain.

use std::sync;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringBuilder,
    TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::NullBuffer;
use triomphe::Arc;

use super::coded::Coded;
use crate::datum::{Datum, NULL};
use crate::dictionary::Dictionaries;
use crate::prefetch::{prefetch, prefetch_all, prefetch_shared};
use crate::schema::{Column, Table, TableId, Type};

pub const CHUNK_ROWS: usize = 1024;

/// One column of a chunk. "No value" is the least value of a plain column's width.
#[derive(Debug, Clone)]
pub enum ColumnChunk {
    /// Any values, in as few bits as they need.
    Coded(Arc<Coded>),
    /// Codes, dates and flags.
    Narrow(Arc<Vec<i32>>),
    /// Decimals of up to 18 digits, timestamps, versions.
    Plain(Arc<Vec<i64>>),
    /// Decimals of more than 18 digits.
    Wide(Arc<Vec<i128>>),
}

/// Runs the same code over the values of a plain column whatever their width.
macro_rules! each_width {
    ($column:expr, coded $coded:ident => $on_coded:expr, $values:ident => $body:expr) => {
        match $column {
            ColumnChunk::Coded($coded) => $on_coded,
            ColumnChunk::Narrow($values) => $body,
            ColumnChunk::Plain($values) => $body,
            ColumnChunk::Wide($values) => $body,
        }
    };
}

impl ColumnChunk {
    /// A column whose every value may change at every tick.
    pub fn plain(data_type: Type) -> ColumnChunk {
        match data_type {
            Type::Text | Type::Id | Type::Date | Type::Boolean => ColumnChunk::Narrow(Arc::default()),
            Type::Decimal { precision, .. } if precision > 18 => ColumnChunk::Wide(Arc::default()),
            Type::Decimal { .. } | Type::Timestamp | Type::Integer => ColumnChunk::Plain(Arc::default()),
        }
    }

    #[inline]
    pub fn get(&self, row: usize) -> Datum {
        each_width!(self, coded coded => coded.get(row), values => values[row].widen())
    }

    /// Appends all values.
    pub fn read(&self, into: &mut Vec<Datum>) {
        each_width!(self, coded coded => coded.read(into), values => {
            into.extend(values.iter().map(|value| value.widen()))
        })
    }

    /// Appends values; like every change it copies the column first where a reader still holds it.
    ///
    /// Shape: `data[n · width]` is the n-th.
    pub fn append(&mut self, width: usize, data: &[Datum]) {
        if let ColumnChunk::Coded(coded) = self {
            Arc::make_mut(coded).append(width, data);
            return;
        }
        if !data.iter().step_by(width).all(|&datum| self.fits(datum)) {
            self.widen();
        }
        match self {
            ColumnChunk::Coded(_) => unreachable!("it was looked for"),
            ColumnChunk::Narrow(values) => extend(Arc::make_mut(values), width, data),
            ColumnChunk::Plain(values) => extend(Arc::make_mut(values), width, data),
            ColumnChunk::Wide(values) => extend(Arc::make_mut(values), width, data),
        }
    }

    pub fn set(&mut self, row: usize, datum: Datum) {
        if self.get(row) == datum {
            return;
        }
        if !self.fits(datum) {
            self.widen();
        }
        each_width!(self, coded coded => Arc::make_mut(coded).set(row, datum), values => {
            Arc::make_mut(values)[row] = Width::narrow(datum)
        });
    }

    /// Sets some rows, and hands out what stood there; returns whether any of them has another value now.
    ///
    /// Shape: of row `rows[n]` the value after is `come[n · width]`, and the one before is put in
    /// `gone[n · width]`.
    pub fn exchange(&mut self, rows: &[usize], width: usize, come: &[Datum], gone: &mut [Datum]) -> bool {
        let swap = match self {
            ColumnChunk::Coded(coded) => swap(|row| coded.get(row), |_| true, rows, width, come, gone),
            ColumnChunk::Narrow(values) => {
                swap(|row| values[row].widen(), i32::fits, rows, width, come, gone)
            }
            ColumnChunk::Plain(values) => swap(|row| values[row].widen(), i64::fits, rows, width, come, gone),
            ColumnChunk::Wide(values) => swap(|row| values[row], |_| true, rows, width, come, gone),
        };
        if swap == Swap::Same {
            return false;
        }
        if swap == Swap::Misfit {
            self.widen();
        }
        match self {
            ColumnChunk::Coded(coded) => {
                let coded = Arc::make_mut(coded);
                rows.iter().enumerate().for_each(|(n, &row)| coded.set(row, come[n * width]));
            }
            ColumnChunk::Narrow(values) => put(Arc::make_mut(values).as_mut_slice(), rows, width, come),
            ColumnChunk::Plain(values) => put(Arc::make_mut(values).as_mut_slice(), rows, width, come),
            ColumnChunk::Wide(values) => put(Arc::make_mut(values).as_mut_slice(), rows, width, come),
        }
        true
    }

    /// Asks for the memory of what says how its values are stored.
    #[inline]
    pub fn prefetch(&self) {
        each_width!(self, coded coded => prefetch_shared(coded), values => prefetch_shared(values));
    }

    /// Asks for the memory of a value that is read soon.
    #[inline]
    pub fn prefetch_value(&self, row: usize) {
        each_width!(self, coded coded => coded.prefetch(row), values => {
            if let Some(value) = values.get(row) {
                prefetch(value);
            }
        });
    }

    pub fn pop(&mut self) {
        each_width!(self, coded coded => Arc::make_mut(coded).pop(), values => {
            Arc::make_mut(values).pop();
        });
    }

    /// Takes no more memory than its values need: it is full, and few of them will change.
    pub fn settle(&mut self) {
        if let ColumnChunk::Coded(coded) = self {
            Arc::make_mut(coded).settle();
        }
    }

    pub fn len(&self) -> usize {
        each_width!(self, coded coded => coded.len(), values => values.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that it has allocated, the count of its readers among them.
    pub fn bytes(&self) -> usize {
        let count = size_of::<usize>();
        count
            + match self {
                ColumnChunk::Coded(coded) => size_of::<Coded>() + coded.bytes(),
                ColumnChunk::Narrow(values) => size_of::<Vec<i32>>() + values.capacity() * 4,
                ColumnChunk::Plain(values) => size_of::<Vec<i64>>() + values.capacity() * 8,
                ColumnChunk::Wide(values) => size_of::<Vec<i128>>() + values.capacity() * 16,
            }
    }

    #[inline]
    fn fits(&self, datum: Datum) -> bool {
        match self {
            ColumnChunk::Coded(_) | ColumnChunk::Wide(_) => true,
            ColumnChunk::Narrow(_) => i32::fits(datum),
            ColumnChunk::Plain(_) => i64::fits(datum),
        }
    }

    /// Takes any value from now on.
    #[cold]
    fn widen(&mut self) {
        let mut values = Vec::with_capacity(self.len());
        self.read(&mut values);
        *self = ColumnChunk::Wide(Arc::new(values));
    }
}

/// An integer as wide as a plain column's values, the least of which is none.
trait Width: Copy {
    fn widen(self) -> Datum;
    fn narrow(datum: Datum) -> Self;
    fn fits(datum: Datum) -> bool;
}

macro_rules! width {
    ($width:ty) => {
        impl Width for $width {
            #[inline]
            fn widen(self) -> Datum {
                if self == <$width>::MIN { NULL } else { self.into() }
            }

            #[inline]
            fn narrow(datum: Datum) -> $width {
                if datum == NULL { <$width>::MIN } else { datum as $width }
            }

            #[inline]
            fn fits(datum: Datum) -> bool {
                datum == NULL || (datum > <$width>::MIN.into() && datum <= <$width>::MAX.into())
            }
        }
    };
}

width!(i32);
width!(i64);

impl Width for Datum {
    fn widen(self) -> Datum {
        self
    }

    fn narrow(datum: Datum) -> Datum {
        datum
    }

    fn fits(_: Datum) -> bool {
        true
    }
}

fn extend<W: Width>(into: &mut Vec<W>, width: usize, data: &[Datum]) {
    into.extend(data.iter().step_by(width).map(|&datum| W::narrow(datum)));
}

fn put<W: Width>(into: &mut [W], rows: &[usize], width: usize, data: &[Datum]) {
    for (n, &row) in rows.iter().enumerate() {
        into[row] = W::narrow(data[n * width]);
    }
}

/// What new values are to those that stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swap {
    Same,
    Other,
    /// One of them does not fit.
    Misfit,
}

/// Hands out what stands in some rows, and compares it with what is to stand there.
#[inline]
fn swap(
    get: impl Fn(usize) -> Datum,
    fits: impl Fn(Datum) -> bool,
    rows: &[usize],
    width: usize,
    come: &[Datum],
    gone: &mut [Datum],
) -> Swap {
    let (mut other, mut misfit) = (false, false);
    for (n, &row) in rows.iter().enumerate() {
        let (before, after) = (get(row), come[n * width]);
        gone[n * width] = before;
        other |= before != after;
        misfit |= !fits(after);
    }
    match (other, misfit) {
        (false, _) => Swap::Same,
        (true, false) => Swap::Other,
        (true, true) => Swap::Misfit,
    }
}

/// Rows in columns, in the order of the schema.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub columns: Vec<ColumnChunk>,
}

impl Chunk {
    pub fn new(table: &Table) -> Chunk {
        let column = |column: &Column| match table.partition {
            Some(_) => ColumnChunk::Coded(Arc::default()),
            None => ColumnChunk::plain(column.data_type),
        };
        Chunk { columns: table.columns.iter().map(column).collect() }
    }

    /// An empty chunk for rows like those of this one: what they need of bits is known.
    pub fn like(&self) -> Chunk {
        let column = |column: &ColumnChunk| match column {
            ColumnChunk::Coded(coded) => ColumnChunk::Coded(Arc::new(coded.like())),
            ColumnChunk::Narrow(_) => ColumnChunk::Narrow(Arc::default()),
            ColumnChunk::Plain(_) => ColumnChunk::Plain(Arc::default()),
            ColumnChunk::Wide(_) => ColumnChunk::Wide(Arc::default()),
        };
        Chunk { columns: self.columns.iter().map(column).collect() }
    }

    pub fn len(&self) -> usize {
        self.columns[0].len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks for the memory of all columns' addresses.
    #[inline]
    pub fn prefetch_columns(&self) {
        prefetch_all(&self.columns[..]);
    }

    /// Bytes that it has allocated.
    pub fn bytes(&self) -> usize {
        let columns = self.columns.capacity() * size_of::<ColumnChunk>();
        size_of::<Chunk>() + columns + self.columns.iter().map(ColumnChunk::bytes).sum::<usize>()
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
            sync::Arc::new(builder.finish())
        }
        Type::Decimal { precision, scale } => {
            let buffer = values.iter().map(|&datum| or_zero(datum)).collect();
            let array = Decimal128Array::new(buffer, nulls());
            sync::Arc::new(
                array.with_precision_and_scale(precision, scale as i8).expect("a schema's decimal is valid"),
            )
        }
        Type::Date => {
            sync::Arc::new(Date32Array::new(values.iter().map(|&d| or_zero(d) as i32).collect(), nulls()))
        }
        Type::Timestamp => sync::Arc::new(TimestampMicrosecondArray::new(
            values.iter().map(|&d| or_zero(d) as i64).collect(),
            nulls(),
        )),
        Type::Integer => {
            sync::Arc::new(Int64Array::new(values.iter().map(|&d| or_zero(d) as i64).collect(), nulls()))
        }
        Type::Boolean => {
            sync::Arc::new(BooleanArray::new(values.iter().map(|&d| or_zero(d) != 0).collect(), nulls()))
        }
    }
}
