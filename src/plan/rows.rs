//! A row-level view as its file declares it: one row of a base table, then what belongs to its instrument.
//!
//! The declaration is a query without grouping in which `graded` stands for a value and its counts;
//! [`RowsView`] writes these out, for the oracle and the tick alike. [`RowsPlan`] is the tick's form: both
//! stages as compiled look-ups, and the proof that totals can be kept by instrument. It reads no row.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema as ArrowSchema};
use hashbrown::HashMap;
use sqlparser::ast::{Expr, Ident, Query, SelectItem};

use super::catalog::{Catalog, Parameters, Planner};
use super::grouped::{arguments, factor_name, named, select_of_mut};
use super::relation::{Relation, relations};
use super::scalar::Scalar;
use crate::dictionary::Dictionaries;
use crate::error::{Error, Result};
use crate::schema::{Schema, Table, TableId, Type};
use crate::view::result::{Column, Form, Unit};

/// What follows a measure's name in the columns of its counts.
const POSITIONS: &str = "__positions";
const UNPRICED: &str = "__unpriced";
const STALE: &str = "__stale";

/// The first stages of row-level views, each after what it reads.
const ROW_SIDES: [&str; 3] = ["holding_row", "counting_order", "order_row"];

/// What the second stage may look up, each relation after those it reads itself.
const LOOKED_UP: [&str; 4] = ["fx", "instrument", "quote", "unit"];

/// The relations that are computed before a row-level view is, in this order.
pub fn relations_before(view: &RowsView) -> impl Iterator<Item = &'static str> {
    let last = ROW_SIDES.iter().position(|side| *side == view.row_side);
    let last = last.unwrap_or_else(|| panic!("{} is no first stage of a row-level view", view.row_side));
    LOOKED_UP.into_iter().chain(ROW_SIDES[..=last].iter().copied())
}

/// A row-level view with its measures written out as columns.
#[derive(Debug, Clone)]
pub struct RowsView {
    /// The relation of its first stage.
    pub row_side: String,
    pub query: Query,
    /// Its columns in order; a graded one has three counts beside it.
    pub columns: Vec<(String, Graded)>,
}

/// Whether a column has a quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Graded {
    Yes,
    No,
}

impl RowsView {
    /// Reads a view's declaration.
    ///
    /// # Panics
    /// Where the file declares something that is no row-level view; a test reads every file.
    pub fn new(catalog: &Catalog, name: &str, parameters: &Parameters) -> RowsView {
        let mut query = catalog.bound(name, parameters);
        let select = select_of_mut(&mut query);
        let row_side = factor_name(&select.from[0].relation);
        let mut columns = Vec::with_capacity(select.projection.len());
        let mut written = Vec::new();
        for item in &select.projection {
            let (name, expr) = named(item);
            match expr {
                Expr::Function(function) if function.name.to_string() == "graded" => {
                    let suffixes = ["", POSITIONS, UNPRICED, STALE];
                    let arguments = arguments(function);
                    assert_eq!(arguments.len(), suffixes.len(), "graded takes a value and three counts");
                    for (expr, suffix) in arguments.into_iter().zip(suffixes) {
                        let alias = Ident::new(format!("{name}{suffix}"));
                        written.push(SelectItem::ExprWithAlias { expr, alias });
                    }
                    columns.push((name, Graded::Yes));
                }
                expr => {
                    let alias = Ident::new(name.clone());
                    written.push(SelectItem::ExprWithAlias { expr: expr.clone(), alias });
                    columns.push((name, Graded::No));
                }
            }
        }
        select.projection = written;
        RowsView { row_side, query, columns }
    }

    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// The columns of the view's relation that a cell is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Plain(usize),
    Graded { value: usize, positions: usize, unpriced: usize, stale: usize },
}

impl Source {
    pub fn columns(self) -> Vec<usize> {
        match self {
            Source::Plain(column) => vec![column],
            Source::Graded { value, positions, unpriced, stale } => vec![value, positions, unpriced, stale],
        }
    }
}

#[derive(Debug, Clone)]
pub struct Measure {
    pub column: Column,
    pub source: Source,
}

/// A row-level view compiled for the tick.
pub struct RowsPlan {
    /// The base table that has one row for each row of the view, or more: those that do not count.
    pub table: TableId,
    /// The base columns that name a row of the view, and how they become text.
    pub key: Vec<(usize, Form)>,
    /// From a base row to the first stage.
    pub rows: Relation,
    /// From the first stage to the view.
    pub view: Relation,
    pub measures: Vec<Measure>,
    /// The column of the first stage by which the view looks up what it is valued by.
    pub instrument: usize,
    /// The columns of the first stage that totals are linear in.
    pub summed: Vec<usize>,
}

impl RowsPlan {
    /// # Errors
    /// `Unsupported` for a view of another shape, and where a total cannot be kept by instrument.
    pub fn new(
        schema: &Schema,
        catalog: &Catalog,
        view: &RowsView,
        parameters: &Parameters,
        dictionaries: &mut Dictionaries,
    ) -> Result<RowsPlan> {
        let mut planner = Planner::new(schema, 1);
        let mut inline: HashMap<String, Vec<Relation>> = HashMap::new();
        for name in relations_before(view) {
            let plan = planner.logical(&catalog.bound(name, parameters))?;
            if ROW_SIDES.contains(&name) {
                let compiled = relations(&plan, &mut dictionaries.names, &inline)?;
                inline.insert(name.to_owned(), compiled);
            }
            planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
        }
        let rows = only(inline.remove(&view.row_side).expect("planned above"))?;
        let plan = planner.logical(&view.query)?;
        let compiled = only(relations(&plan, &mut dictionaries.names, &HashMap::new())?)?;
        let table = schema.table(&rows.source);
        let types = plan.schema().as_arrow();
        let measures = view.columns.iter().map(|(name, graded)| Measure {
            column: column(name, *graded, types, base_column(&compiled, &rows, name), table),
            source: source(&compiled, name, *graded),
        });
        let measures: Vec<Measure> = measures.collect();
        // A row is that of the day, so the date in the key of its table tells nothing.
        let key = table.key.iter().filter(|&&at| table.columns[at].data_type != Type::Date);
        let key: Vec<(usize, Form)> = key.map(|&at| (at, form(table, at))).collect();
        for (&(at, _), measure) in key.iter().zip(&measures) {
            assert_eq!(table.columns[at].name, measure.column.name, "a view begins with its key");
        }
        let (instrument, summed) = totals(&compiled, &measures)?;
        Ok(RowsPlan { table: table.id, key, rows, view: compiled, measures, instrument, summed })
    }
}

fn only(mut relations: Vec<Relation>) -> Result<Relation> {
    match relations.len() {
        1 => Ok(relations.remove(0)),
        _ => Err(Error::unsupported("a row-level view has the rows of one table, not of a union")),
    }
}

/// The base column that a column of the view is a copy of.
fn base_column(view: &Relation, rows: &Relation, name: &str) -> Option<usize> {
    let copied = |relation: &Relation, column: usize| match relation.columns[column] {
        Scalar::Column(input) if relation.inputs[input].lookup.is_none() => {
            Some(relation.inputs[input].column)
        }
        _ => None,
    };
    copied(rows, copied(view, view.column(name))?)
}

fn form(table: &Table, column: usize) -> Form {
    match table.columns[column].data_type {
        Type::Id => Form::Id { table: table.id },
        _ => Form::Name,
    }
}

fn source(view: &Relation, name: &str, graded: Graded) -> Source {
    let place = |suffix: &str| view.column(&format!("{name}{suffix}"));
    match graded {
        Graded::No => Source::Plain(place("")),
        Graded::Yes => Source::Graded {
            value: place(""),
            positions: place(POSITIONS),
            unpriced: place(UNPRICED),
            stale: place(STALE),
        },
    }
}

fn column(name: &str, graded: Graded, types: &ArrowSchema, base: Option<usize>, table: &Table) -> Column {
    let data_type = types.field_with_name(name).map(|field| field.data_type().clone());
    let (form, unit) = match data_type {
        Ok(DataType::Decimal128(_, scale)) => (Form::Decimal { scale: scale as u8 }, unit(name, graded)),
        Ok(DataType::Timestamp(..)) => (Form::Time, Unit::Time),
        Ok(DataType::Date32) => (Form::Date, Unit::Time),
        Ok(DataType::Int64) => (Form::Decimal { scale: 0 }, Unit::Count),
        _ => (base.map_or(Form::Name, |base| form(table, base)), Unit::Text),
    };
    Column { name: name.to_owned(), form, unit }
}

/// What a decimal of a row counts: graded ones are money, of the others the name tells.
fn unit(name: &str, graded: Graded) -> Unit {
    match (graded, name.rsplit('_').next()) {
        (Graded::Yes, _) => Unit::Money,
        (Graded::No, Some("price" | "px")) => Unit::Price,
        (Graded::No, _) => Unit::Quantity,
    }
}

/// By which column of the first stage graded measures are valued, and in which of its columns they are
/// linear: so the sum over an instrument's rows is the measure of the sums.
fn totals(view: &Relation, measures: &[Measure]) -> Result<(usize, Vec<usize>)> {
    let of_row = |input: usize| view.inputs[input].lookup.is_none();
    let (mut by, mut summed) = (None, Vec::new());
    for measure in measures {
        let Source::Graded { .. } = measure.source else { continue };
        for column in measure.source.columns() {
            let scalar = &view.columns[column];
            if !linear(scalar, &of_row) {
                let name = &measure.column.name;
                return Err(Error::unsupported(format!("the total of {name} is no sum by instrument")));
            }
            scalar.columns(&mut |input| match view.inputs[input].lookup {
                None => summed.push(view.inputs[input].column),
                Some(lookup) => {
                    by.get_or_insert(lookup);
                }
            });
        }
    }
    summed.sort_unstable();
    summed.dedup();
    let by = by.and_then(|lookup| match view.lookups[lookup].keys.as_slice() {
        [(_, Scalar::Column(input))] if of_row(*input) => Some(view.inputs[*input].column),
        _ => None,
    });
    let by =
        by.ok_or_else(|| Error::unsupported("a row-level view values its rows by a column of theirs"))?;
    Ok((by, summed))
}

/// Whether the value over a sum of rows is the sum of the values, for rows that look up the same.
fn linear(scalar: &Scalar, of_row: &dyn Fn(usize) -> bool) -> bool {
    let free = |scalar: &Scalar| {
        let mut free = true;
        scalar.columns(&mut |input| free &= !of_row(input));
        free
    };
    match scalar {
        Scalar::Column(input) => of_row(*input),
        Scalar::Const(value) => *value == 0,
        Scalar::Negate(a) => linear(a, of_row),
        Scalar::Add(a, b) | Scalar::Subtract(a, b) => linear(a, of_row) && linear(b, of_row),
        Scalar::Multiply(a, b) => linear(a, of_row) && free(b) || free(a) && linear(b, of_row),
        Scalar::Case(branches, otherwise) => {
            let branch = |(condition, value): &(Scalar, Scalar)| free(condition) && linear(value, of_row);
            branches.iter().all(branch) && linear(otherwise, of_row)
        }
        _ => false,
    }
}
