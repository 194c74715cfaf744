//! The groups of a view as rows of SQL: typed columns, exact decimals, a quality beside what has one.
//!
//! A row is a group of the deepest level, whatever a client has folded, filtered or sorted: that is a matter
//! of display. Without levels the one row is the total. Columns are the fields grouped by, then the measures
//! shown; one with a quality has it beside it as text (`OK`, `STALE`, `PARTIAL:2`, `MISSING`), so that a sum
//! over what is priced is not taken for a sum over everything.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::groups::GroupId;
use super::result::{Column, Form, ViewResult};
use super::tree::Tree;
use crate::datum::{DIGITS_MAX, Datum, NULL, power_of_ten};
use crate::error::{Error, Result};
use crate::plan::grouped::{GroupedView, MeasureKind};
use crate::plan::scan::arrow_type;
use crate::schema::{TableId, Type};
use crate::table::chunk::to_arrow;
use crate::table::snapshot::Snapshot;

/// What follows a measure's name in the column of its quality.
const QUALITY: &str = "_quality";

/// The columns of a view as a table.
pub fn schema(tree: &Tree, view: &GroupedView) -> SchemaRef {
    let mut fields: Vec<Field> =
        tree.spec().group_by.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    for (column, &at) in tree.columns().iter().zip(tree.shown()) {
        fields.push(Field::new(&column.name, arrow_type(type_of(column).0), true));
        if has_quality(view, at) {
            fields.push(Field::new(format!("{}{QUALITY}", column.name), DataType::Utf8, false));
        }
    }
    Arc::new(Schema::new(fields))
}

/// The deepest groups of a view, in the order of their numbers.
///
/// # Errors
/// `Data` where a value has more digits than SQL's decimals.
pub fn rows(tree: &Tree, view: &GroupedView, snapshot: &Snapshot) -> Result<RecordBatch> {
    let groups = tree.groups();
    let depth = groups.levels.len() - 1;
    let level = &groups.levels[depth];
    let shown = |&group: &GroupId| depth == 0 || level.is_shown(group);
    let numbers: Vec<GroupId> = (0..level.len() as GroupId).filter(shown).collect();
    let mut keys: Vec<Vec<Datum>> = vec![Vec::with_capacity(numbers.len()); depth];
    let mut path = Vec::with_capacity(depth);
    for &group in &numbers {
        groups.path(depth, group, &mut path);
        keys.iter_mut().zip(&path).for_each(|(column, &code)| column.push(code));
    }
    let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
    let mut columns: Vec<ArrayRef> =
        keys.iter().map(|codes| to_arrow(codes, Type::Text, 0, &dictionaries)).collect();
    for (column, &at) in tree.columns().iter().zip(tree.shown()) {
        let cells = || numbers.iter().map(|&group| groups.cells(depth, group)[at]);
        let values: Vec<Datum> = cells().map(|cell| cell.value).collect();
        let (data_type, table) = type_of(column);
        if let Type::Decimal { .. } = data_type
            && values.iter().any(|&value| value != NULL && value.unsigned_abs() >= LEAST_TOO_LONG)
        {
            let name = &column.name;
            return Err(Error::data(format!(
                "a value of {name} has more than {DIGITS_MAX} digits; take fewer accounts, or mend the price or \
                 quantity that is out of proportion"
            )));
        }
        columns.push(to_arrow(&values, data_type, table, &dictionaries));
        if has_quality(view, at) {
            columns
                .push(Arc::new(cells().map(|cell| Some(cell.quality.to_string())).collect::<StringArray>()));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
    RecordBatch::try_new_with_options(schema(tree, view), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))
}

/// The least number with more digits than a decimal has.
const LEAST_TOO_LONG: u128 = power_of_ten(DIGITS_MAX).unsigned_abs();

fn has_quality(view: &GroupedView, measure: usize) -> bool {
    !matches!(view.measures[measure].kind, MeasureKind::Plain(_))
}

/// The type of a column, and whose keys its codes are.
fn type_of(column: &Column) -> (Type, TableId) {
    match column.form {
        Form::Decimal { scale } => (Type::Decimal { precision: DIGITS_MAX, scale }, 0),
        Form::Time => (Type::Timestamp, 0),
        Form::Date => (Type::Date, 0),
        Form::Name => (Type::Text, 0),
        Form::Id { table } => (Type::Id, table),
    }
}
