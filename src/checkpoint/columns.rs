//! Datums as the columns of a checkpoint's files, and back: codes as numbers, all else as what it is.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal64Array, Decimal128Array, Int64Array,
    TimestampMicrosecondArray, UInt32Array,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal64Type, Decimal128Type, Field, Int64Type, Schema as ArrowSchema, SchemaRef,
    TimeUnit, TimestampMicrosecondType, UInt32Type,
};

use crate::datum::{Datum, NULL};
use crate::schema::{Column, Table, Type};

/// The name of the column that numbers a row's account, where a table is split by accounts.
const PARTITION: &str = "partition";

/// Digits that 64 bits hold.
const SHORT_DIGITS: u8 = 18;

/// The columns of a table's file: those of the schema, and the partition where there are some.
pub(super) fn schema_of(table: &Table) -> SchemaRef {
    let columns = table.columns.iter().map(|column| Field::new(&column.name, data_type(column), true));
    let partition = table.partition.map(|_| Field::new(PARTITION, DataType::UInt32, false));
    Arc::new(ArrowSchema::new(columns.chain(partition).collect::<Vec<_>>()))
}

fn data_type(column: &Column) -> DataType {
    match column.data_type {
        Type::Text | Type::Id => DataType::UInt32,
        Type::Decimal { precision, scale } if precision <= SHORT_DIGITS => {
            DataType::Decimal64(precision, scale as i8)
        }
        Type::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        Type::Date => DataType::Date32,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::Integer => DataType::Int64,
        Type::Boolean => DataType::Boolean,
    }
}

/// # Panics
/// Where a datum is none of its column.
pub(super) fn to_array(datums: &[Datum], column: &Column) -> ArrayRef {
    fn some<T: TryFrom<Datum>>(datums: &[Datum]) -> impl Iterator<Item = Option<T>> {
        datums.iter().map(|&datum| match datum {
            NULL => None,
            datum => {
                Some(T::try_from(datum).unwrap_or_else(|_| panic!("{datum} is too wide for its column")))
            }
        })
    }
    match column.data_type {
        Type::Text | Type::Id => Arc::new(UInt32Array::from_iter(some::<u32>(datums))),
        Type::Decimal { precision, .. } if precision <= SHORT_DIGITS => {
            Arc::new(Decimal64Array::from_iter(some::<i64>(datums)).with_data_type(data_type(column)))
        }
        Type::Decimal { .. } => {
            Arc::new(Decimal128Array::from_iter(some::<i128>(datums)).with_data_type(data_type(column)))
        }
        Type::Date => Arc::new(Date32Array::from_iter(some::<i32>(datums))),
        Type::Timestamp => Arc::new(TimestampMicrosecondArray::from_iter(some::<i64>(datums))),
        Type::Integer => Arc::new(Int64Array::from_iter(some::<i64>(datums))),
        Type::Boolean => {
            let flags = datums.iter().map(|&datum| (datum != NULL).then_some(datum != 0));
            Arc::new(BooleanArray::from_iter(flags))
        }
    }
}

/// Writes an array's datums to every `width`-th place from the first on; false where it is of another type.
pub(super) fn from_array(array: &ArrayRef, column: &Column, width: usize, into: &mut [Datum]) -> bool {
    if *array.data_type() != data_type(column) {
        return false;
    }
    macro_rules! each {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>();
            let places = into.iter_mut().step_by(width);
            match values.nulls() {
                None => places.zip(values.values()).for_each(|(place, &value)| *place = value.into()),
                Some(_) => places.zip(values.iter()).for_each(|(place, value)| {
                    *place = value.map_or(NULL, Datum::from);
                }),
            }
        }};
    }
    match column.data_type {
        Type::Text | Type::Id => each!(UInt32Type),
        Type::Decimal { precision, .. } if precision <= SHORT_DIGITS => each!(Decimal64Type),
        Type::Decimal { .. } => each!(Decimal128Type),
        Type::Date => each!(Date32Type),
        Type::Timestamp => each!(TimestampMicrosecondType),
        Type::Integer => each!(Int64Type),
        Type::Boolean => {
            let places = into.iter_mut().step_by(width);
            places.zip(array.as_boolean()).for_each(|(place, flag)| *place = flag.map_or(NULL, Datum::from));
        }
    }
    true
}
