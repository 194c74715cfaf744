//! EXPLAIN VIEW of a shipped view: how its SQL is compiled, and what each open view of it stands on, keeps
//! and did at the last tick.
//!
//! It reads what maintenance left behind and changes nothing. Without a clock times are `-`, so that the text
//! of the same records is the same. Cost: planning, some tens of milliseconds, and a pass over what open views
//! of that name read; never within a tick.

use std::fmt::Write;
use std::sync::Arc;

use super::cost::{TickTimes, positions_touched, view_passed};
use super::lines::Side;
use super::maintained::Maintained;
use super::pair::Pair;
use super::result::ViewResult;
use super::rows::RowView;
use super::shared::{Fields, ShapeKey, Shared};
use super::spec::{Kind, Selection, ViewSpec};
use super::stage::Store;
use super::tree::Tree;
use crate::error::Result;
use crate::plan::bind::kind_of;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::grouped::{GROUPED_LEG, GroupedView, grouped_leg};
use crate::plan::part::{Applied, part};
use crate::plan::rows::{RowsPlan, RowsView, Source};
use crate::table::Tables;
use crate::table::snapshot::Snapshot;

/// Views that are named where several share something; of more only the number is told.
const SHARING_TOLD_MAX: usize = 8;

/// An open view by groups.
#[derive(Clone, Copy)]
pub struct OpenGroups<'a> {
    pub number: u64,
    pub key: &'a ShapeKey,
    pub fields: &'a Fields,
    pub tree: &'a Tree,
    pub maintained: &'a Maintained,
    /// The last tick could not compute it.
    pub is_broken: bool,
}

/// An open view by rows.
#[derive(Clone, Copy)]
pub struct OpenRows<'a> {
    pub number: u64,
    pub view: &'a RowView,
}

/// What open views stand on, at one epoch.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    pub shared: &'a Shared,
    pub tables: &'a Tables,
    pub snapshot: &'a Snapshot,
    /// All open views by groups, of other names too: they share.
    pub groups: &'a [OpenGroups<'a>],
    pub rows: &'a [OpenRows<'a>],
    pub times: &'a TickTimes,
}

/// The text of EXPLAIN VIEW for a shipped view.
///
/// # Errors
/// `Unsupported` where its SQL has no form for ticks.
///
/// # Panics
/// Where there is no such view.
pub fn explain(name: &str, catalog: &Catalog, currency: &str, standing: Standing) -> Result<String> {
    let (mut text, open) = match kind_of(name) {
        Kind::Grouped => {
            let mut text = grouped_form(name, catalog, currency, standing.snapshot)?;
            let of_name = standing.groups.iter().filter(|open| open.key.0 == name);
            let count = of_name.clone().count();
            open_line(&mut text, count);
            of_name.for_each(|open| groups_lines(&mut text, open, standing));
            (text, count)
        }
        Kind::Rows => {
            let mut text = rows_form(name, catalog, currency, standing.snapshot)?;
            let of_name = standing.rows.iter().filter(|open| open.view.spec().view == name);
            let count = of_name.clone().count();
            open_line(&mut text, count);
            of_name.for_each(|open| rows_lines(&mut text, open));
            (text, count)
        }
    };
    if open > 0 {
        shared_lines(&mut text, standing);
    }
    Ok(text)
}

/// Appends a line.
pub fn line(text: &mut String, indent: usize, what: std::fmt::Arguments) {
    write!(text, "\n{:1$}{what}", "", 2 * indent).expect("a text takes every line");
}

fn grouped_form(name: &str, catalog: &Catalog, currency: &str, snapshot: &Snapshot) -> Result<String> {
    let parameters = Parameters { currency: currency.to_owned(), exclude_cash: false };
    let view = GroupedView::new(catalog, name);
    let mut planner = Planner::new(&catalog.schema, 1);
    for relation in crate::console::RELATIONS {
        let plan = planner.logical(&catalog.bound(relation, &parameters))?;
        planner.add_relation(relation, Arc::new(plan.schema().as_arrow().clone()));
    }
    let legs = planner.logical(&grouped_leg(catalog, &[], None))?;
    planner.add_relation(GROUPED_LEG, Arc::new(legs.schema().as_arrow().clone()));
    let mut text = format!("view {name}: shipped, by any group fields, in {currency}");
    line(&mut text, 0, format_args!("strategy: factored: {} parts over net positions", view.parts.len()));
    for (at, part_name) in view.parts.iter().enumerate() {
        let plan = planner.logical(&view.part_by(catalog, at, &[], &parameters))?;
        let form = {
            let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
            part(&plan, &mut dictionaries.names)?
        };
        let what = match (&form.net_by, &form.nested) {
            (_, Some(_)) => "sums over inner groups",
            (Some(_), _) => "sums over nets",
            _ => "sums over legs",
        };
        let lookups: Vec<&str> =
            form.factored.lookups.iter().map(|lookup| lookup.relation.as_str()).collect();
        line(&mut text, 1, format_args!("{part_name}: {what}"));
        line(
            &mut text,
            2,
            format_args!("{} kept sums; applied last: {}", form.factored.kept.len(), lookups.join(", ")),
        );
        for ((output, _), applied) in form.outputs.iter().zip(&form.factored.aggregates) {
            let reason = match applied {
                Applied::Sum(products) if products.len() == 1 => "sum of products".to_owned(),
                Applied::Sum(products) => format!("sum of {} products", products.len()),
                Applied::Least(..) | Applied::Greatest(..) => "extreme of what is present".to_owned(),
            };
            line(&mut text, 2, format_args!("{output}: factored ({reason})"));
        }
    }
    Ok(text)
}

fn rows_form(name: &str, catalog: &Catalog, currency: &str, snapshot: &Snapshot) -> Result<String> {
    let parameters = Parameters { currency: currency.to_owned(), exclude_cash: false };
    let view = RowsView::new(catalog, name, &parameters);
    let plan = {
        let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
        RowsPlan::new(&snapshot.schema, catalog, &view, &parameters, &mut dictionaries)?
    };
    let table = &snapshot.schema.tables[plan.table];
    let key: Vec<&str> = plan.key.iter().map(|&(column, _)| table.columns[column].name.as_str()).collect();
    let mut lookups: Vec<&str> =
        plan.rows.lookups.iter().chain(&plan.view.lookups).map(|lookup| lookup.relation.as_str()).collect();
    lookups.sort_unstable();
    lookups.dedup();
    let graded = plan.measures.iter().filter(|measure| matches!(measure.source, Source::Graded { .. }));
    let totals: Vec<&str> = graded.map(|measure| measure.column.name.as_str()).collect();
    let mut text =
        format!("view {name}: shipped, rows of {} by {}, in {currency}", table.name, key.join(", "));
    line(&mut text, 0, format_args!("strategy: rows: which there are and their order are kept"));
    line(
        &mut text,
        1,
        format_args!("{} columns, computed for the rows that are asked for", plan.measures.len()),
    );
    line(&mut text, 1, format_args!("looked up: {}", lookups.join(", ")));
    line(
        &mut text,
        1,
        format_args!("totals, from {} sums by instrument: {}", plan.summed.len(), totals.join(", ")),
    );
    Ok(text)
}

fn open_line(text: &mut String, count: usize) {
    match count {
        0 => line(text, 0, format_args!("open: none")),
        _ => line(text, 0, format_args!("open: {count}")),
    }
}

/// What the specification asks for, in one line.
fn view_line(text: &mut String, number: u64, spec: &ViewSpec) {
    let mut what = match &spec.accounts {
        Selection::All => "all accounts".to_owned(),
        Selection::Only(accounts) => counted(accounts.len(), "account"),
    };
    if let Some(portfolios) = &spec.portfolios {
        write!(what, ", {}", counted(portfolios.len(), "portfolio")).expect("a text takes every word");
    }
    if !spec.group_by.is_empty() {
        write!(what, ", by {}", spec.group_by.join(", ")).expect("a text takes every word");
    }
    let cash = if spec.exclude_cash { ", without cash in exposures" } else { "" };
    line(text, 0, format_args!("view {number}: {what}, in {}{cash}", spec.currency));
}

fn groups_lines(text: &mut String, open: &OpenGroups, Standing { shared, tables, groups, .. }: Standing) {
    let OpenGroups { number, key, fields, tree, maintained, is_broken } = *open;
    view_line(text, number, tree.spec());
    let (shape, base) = shared.of(key, fields, tables);
    let sharing = |is: &dyn Fn(&OpenGroups) -> bool| {
        let others: Vec<u64> = groups
            .iter()
            .filter(|other| other.number != number && is(other))
            .map(|other| other.number)
            .collect();
        match others.len() {
            0 => "no other view".to_owned(),
            1..=SHARING_TOLD_MAX => {
                let names: Vec<String> = others.iter().map(|number| format!("view {number}")).collect();
                names.join(", ")
            }
            more => format!("{more} other views"),
        }
    };
    let arrangement = base.arrangement;
    let selection = maintained.selection();
    let pairs = arrangement.slots().iter().enumerate();
    let read: usize = pairs
        .filter(|(pair, _)| selection.has_pair(*pair as Pair, Side::After, base))
        .map(|(_, slot)| selection.rows(slot, base).map_or(slot.len(), |rows| rows.len()))
        .sum();
    line(
        text,
        1,
        format_args!(
            "net positions by account, instrument, {}: {read} of {} rows, {} bytes; shared with {}",
            shared.told_by(fields).join(", "),
            arrangement.len(),
            arrangement.bytes(),
            sharing(&|other| other.fields == fields)
        ),
    );
    let size = shape.size();
    line(
        text,
        1,
        format_args!(
            "shape: {} functions of {} pairs, {} bytes; shared with {}",
            size.functions,
            size.pairs,
            size.bytes,
            sharing(&|other| other.key == key)
        ),
    );
    for stage in maintained.stages().iter().filter(|stage| stage.is_read()) {
        let levels = match stage.levels.len() {
            1 => format!("level {}", stage.levels.start),
            _ => format!("levels {} to {}", stage.levels.start, stage.levels.end - 1),
        };
        let keeps = match stage.store() {
            Store::Cells(cells) => format!("{} cells", cells.len()),
            Store::Spread(_) => "no cells, the net positions are read".to_owned(),
        };
        let inner = stage.inner_groups().map_or(String::new(), |groups| format!(" of {groups} inner groups"));
        let part = &shape.view.parts[stage.part];
        line(text, 1, format_args!("{part}, {levels}: {keeps}{inner}, {} bytes", stage.bytes()));
    }
    let by_level: Vec<String> = tree.groups().levels.iter().map(|level| level.len().to_string()).collect();
    line(
        text,
        1,
        format_args!(
            "groups by level: {}; {} rows shown, {} bytes",
            by_level.join(", "),
            tree.size(),
            tree.bytes()
        ),
    );
    if let Some((pairs, all)) = maintained.read_of(base) {
        line(text, 1, format_args!("opening: {pairs} of {all} pairs are read"));
        return;
    }
    if is_broken {
        line(text, 1, format_args!("error: the last tick could not compute it; the next computes it anew"));
    }
    let (touch, moved, changes) = (&maintained.touch, shape.moved(), tree.groups().taken());
    let anew = if touch.anew { "computed anew, " } else { "" };
    let shares = match changes.shares {
        0 => String::new(),
        shares => format!(", {shares} shares besides"),
    };
    line(
        text,
        1,
        format_args!(
            "last tick: {anew}{} net-position rows, {} values of {} functions for {} pairs, {} groups computed, \
             {} changed{shares}",
            touch.lines, moved.values, moved.functions, moved.pairs, touch.groups, changes.groups
        ),
    );
    let passed = view_passed(maintained, shape, base, tree.groups().width());
    line(text, 2, format_args!("{passed} bytes passed over"));
    let (sums, cells, order) = (touch.sums, touch.cells, touch.order);
    line(text, 2, format_args!("time: sums {sums}, cells {cells}, order {order}"));
}

fn rows_lines(text: &mut String, OpenRows { number, view }: &OpenRows) {
    view_line(text, *number, view.spec());
    line(
        text,
        1,
        format_args!(
            "rows: {}, {} asked for since the last tick, {} bytes",
            view.size(),
            view.window(),
            view.bytes()
        ),
    );
    let touch = view.touch();
    let anew = if touch.anew { "found and ordered anew" } else { "in place" };
    line(text, 1, format_args!("last tick: {anew}, {} base rows", touch.base_rows));
}

/// What all views stand on did at the last tick.
fn shared_lines(text: &mut String, Standing { shared, times, snapshot, .. }: Standing) {
    let touched: Vec<String> = shared
        .arrangements()
        .map(|(by, arrangement)| format!("{} by {}", positions_touched(arrangement), by.join(", ")))
        .collect();
    line(
        text,
        0,
        format_args!(
            "all views, epoch {}: {} rows of relations changed; net-position rows touched: {}",
            snapshot.epoch,
            shared.touch.relation_rows,
            touched.join("; ")
        ),
    );
    let TickTimes { tables, relations, positions, shapes, views, sql } = times;
    line(
        text,
        1,
        format_args!(
            "time: tables {tables}, relations {relations}, net positions {positions}, shapes {shapes}"
        ),
    );
    line(text, 1, format_args!("time: views {views}, views of SQL {sql}"));
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
