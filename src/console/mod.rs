//! Ad-hoc SQL on a snapshot: one SELECT, planned for its own sake, run once and bounded.
//!
//! It reads the base tables, the engine's own relations and those of `sql/valuation.sql` and
//! `sql/legs.sql`, and views that are handed to it, all of one epoch, and changes nothing. It has no thread and touches no disk: it runs on
//! the caller's, in rows and memory that [`Bounds`] limit. How long it takes is the caller's concern, so
//! it is never for the thread that ticks.
//! Cost: a plan, some milliseconds to some tens of them, and whatever the query reads.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::displayable;
use datafusion::prelude::SQLOptions;
use sqlparser::ast::{Query, Statement};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::error::{Error, Kind, Result};
use crate::limits::{QUERY_MEMORY_BYTES_MAX, QUERY_ROWS_MAX, QUERY_TEXT_BYTES_MAX};
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::execute::execute_within;
use crate::plan::scan::Inputs;
use crate::plan::view_exec::ViewRows;
use crate::table::is_currency_code;
use crate::table::snapshot::Snapshot;

/// The shipped relations a query can read, each after those it reads itself.
pub const RELATIONS: [&str; 9] =
    ["fx", "fx_between", "instrument", "quote", "unit", "account", "counting_order", "leg", "direction"];

/// What one query may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rows of the answer; those beyond are left out, and the answer says so.
    pub rows_max: usize,
    /// Bytes that the query holds at a time, its answer among them.
    pub memory_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { rows_max: QUERY_ROWS_MAX, memory_bytes_max: QUERY_MEMORY_BYTES_MAX }
    }
}

/// The rows of a query.
#[derive(Debug, Clone)]
pub struct Answer {
    pub schema: SchemaRef,
    /// In the order of the query, where it says one.
    pub batches: Vec<RecordBatch>,
    /// Whether there are rows beyond [`Bounds::rows_max`].
    pub more: bool,
}

/// Runs one SELECT on a snapshot.
///
/// `currency` is what `$currency` stands for in the shipped relations: the one that `unit` values in.
///
/// # Errors
/// `Invalid` with the code `BAD_QUERY` for what is no SELECT, does not parse, names what there is not or
/// computes what cannot be, such as a division by zero; `Unsupported` for SQL that DataFusion has no plan
/// for; `Overloaded` where it needs more memory than the bounds allow.
pub fn query(snapshot: &Arc<Snapshot>, sql: &str, currency: &str, bounds: Bounds) -> Result<Answer> {
    query_views(snapshot, &[], sql, currency, bounds)
}

/// As [`query`], with views that the SELECT can read besides, as [`crate::schedule::Engine::views_as_tables`]
/// hands them out.
///
/// # Errors
/// As [`query`]; `Invalid` too where a view is of another epoch than the snapshot, and where the SELECT reads
/// a view that shows nothing, what that view says.
pub fn query_views(
    snapshot: &Arc<Snapshot>,
    views: &[Arc<ViewRows>],
    sql: &str,
    currency: &str,
    bounds: Bounds,
) -> Result<Answer> {
    let query = parse(sql)?;
    let planner = planner(snapshot, views, currency)?;
    let plan = reading(&planner, &query)?;
    // One row more than may be answered tells whether there are more.
    let limited = LogicalPlanBuilder::from(plan).limit(0, Some(bounds.rows_max.saturating_add(1)));
    let plan = limited.and_then(LogicalPlanBuilder::build).map_err(fault)?;
    let physical = planner.executable(&plan).map_err(fault)?;
    let inputs = Arc::new(Inputs::new(Arc::clone(snapshot), None));
    let batches = execute_within(&physical, planner.state(), &inputs, bounds.memory_bytes_max);
    let batches = batches.map_err(|error| match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Error::new(
            Kind::Overloaded,
            "LIMIT",
            format!(
                "the query needs more than {} bytes of memory; select fewer columns or rows, or aggregate",
                bounds.memory_bytes_max
            ),
        ),
        _ => fault(error),
    })?;
    let (batches, more) = first_rows(batches, bounds.rows_max);
    Ok(Answer { schema: physical.schema(), batches, more })
}

/// The plan by which [`query_views`] would run a SELECT, but for the bound on its rows: an operator a line, and
/// for each view how it is kept.
///
/// # Errors
/// As [`query_views`]; nothing is run.
pub fn explain(
    snapshot: &Arc<Snapshot>,
    views: &[Arc<ViewRows>],
    sql: &str,
    currency: &str,
) -> Result<String> {
    let query = parse(sql)?;
    let planner = planner(snapshot, views, currency)?;
    let physical = planner.executable(&reading(&planner, &query)?).map_err(fault)?;
    Ok(displayable(physical.as_ref()).indent(false).to_string())
}

/// The typed plan of a query that changes nothing.
fn reading(planner: &Planner, query: &Query) -> Result<LogicalPlan> {
    let plan = planner.typed(query).map_err(fault)?;
    // A SELECT can hide a statement that changes something, such as SELECT … INTO.
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(&plan).map_err(|_| read_only())?;
    Ok(plan)
}

/// The one SELECT of a text.
fn parse(sql: &str) -> Result<Query> {
    if sql.len() > QUERY_TEXT_BYTES_MAX {
        let message =
            format!("the query has {} bytes; it must have at most {QUERY_TEXT_BYTES_MAX}", sql.len());
        return Err(bad_query(message));
    }
    let statements = Parser::parse_sql(&GenericDialect {}, sql)
        .map_err(|error| bad_query(format!("the query does not parse: {error}")))?;
    let [statement] = <[Statement; 1]>::try_from(statements).map_err(|statements| {
        bad_query(format!("there are {} statements; send one SELECT at a time", statements.len()))
    })?;
    match statement {
        Statement::Query(query) if query.with.as_ref().is_some_and(|with| with.recursive) => {
            // It may never end, in constant memory and without a row.
            Err(bad_query("a query cannot be recursive; write WITH without RECURSIVE".to_owned()))
        }
        Statement::Query(query) => Ok(*query),
        _ => Err(read_only()),
    }
}

/// A planner that knows everything a query can read.
fn planner(snapshot: &Snapshot, views: &[Arc<ViewRows>], currency: &str) -> Result<Planner> {
    if !is_currency_code(currency) {
        let message = format!("currency is {currency:?}; it must be three letters A-Z, such as USD");
        return Err(bad_query(message));
    }
    let catalog = Catalog::new(Arc::clone(&snapshot.schema));
    let parameters = Parameters { currency: currency.to_owned(), exclude_cash: false };
    let mut planner = Planner::new(&snapshot.schema, 1);
    for relation in RELATIONS {
        planner.inline(relation, &catalog.bound(relation, &parameters))?;
    }
    for view in views {
        if view.epoch() != snapshot.epoch {
            return Err(bad_query(format!(
                "{} is of epoch {} and the snapshot of {}; take both between the same two ticks",
                view.name(),
                view.epoch(),
                snapshot.epoch
            )));
        }
        planner.add_table(view.name(), Arc::clone(view) as _);
    }
    Ok(planner)
}

/// The first rows of batches, and whether there are more.
fn first_rows(batches: Vec<RecordBatch>, rows_max: usize) -> (Vec<RecordBatch>, bool) {
    let mut room = rows_max;
    let mut more = false;
    let mut kept = Vec::with_capacity(batches.len());
    for batch in batches {
        let rows = batch.num_rows().min(room);
        more |= rows < batch.num_rows();
        if rows > 0 {
            kept.push(batch.slice(0, rows));
        }
        room -= rows;
    }
    (kept, more)
}

/// Whose fault DataFusion's error is.
fn fault(error: DataFusionError) -> Error {
    let root = error.find_root();
    match root {
        DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::SQL(..)
        | DataFusionError::Execution(_)
        | DataFusionError::ArrowError(..) => bad_query(root.message().into_owned()),
        // What a view says that shows nothing.
        DataFusionError::External(said) if said.is::<Error>() => {
            said.downcast_ref::<Error>().expect("it was just seen").clone()
        }
        DataFusionError::NotImplemented(message) => {
            Error::new(Kind::Unsupported, "BAD_QUERY", format!("{message}; write the query without it"))
        }
        _ => Error::from(error),
    }
}

fn read_only() -> Error {
    bad_query("a query changes nothing; it must be one SELECT".to_owned())
}

fn bad_query(message: String) -> Error {
    Error::invalid("BAD_QUERY", message)
}
