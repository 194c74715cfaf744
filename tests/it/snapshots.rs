//! R: results, patches and plans as recorded texts in `snapshots/`.
//!
//! A changed text fails. `INSTA_UPDATE=always` before `cargo test` records it anew, to be read in the diff.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::physical_plan::displayable;
use sqlparser::ast::Query;
use tickview::catalog::Kind;
use tickview::clock::{SECOND_US, Timestamp};
use tickview::datum::{NULL, format_decimal};
use tickview::diff::{Subscription, Window};
use tickview::plan::bind::VIEWS;
use tickview::plan::catalog::{Catalog, Parameters, Planner};
use tickview::plan::grouped::{GROUPED_LEG, GroupedView, grouped_leg};
use tickview::schedule::{Engine, ViewId};
use tickview::schema::Schema;
use tickview::serve::protocol::{AsOf, Head, patch_body, snapshot_body, time_text};
use tickview::view::result::{Cell, Column, Form, Quality};

use crate::desk::{Desk, NOW, by, recording};

/// 2026-03-02T16:00:00Z, the end of the desk's first day.
const CLOSE: Timestamp = NOW + 7 * 3_600 * SECOND_US;

fn desk() -> Desk {
    let records: Vec<_> = recording("desk").into_iter().filter(|record| record.timestamp <= CLOSE).collect();
    let mut desk = Desk::new();
    desk.play(CLOSE, &records);
    desk
}

/// A view as text: a block a row, a line a measure.
fn result(engine: &Engine, view: ViewId) -> String {
    let view = engine.view(view);
    let mut text = String::new();
    let mut block = |name: &str, depth: usize, cells: &[Cell]| {
        let indent = "  ".repeat(depth);
        writeln!(text, "{indent}{name}").unwrap();
        for (column, cell) in view.columns().iter().zip(cells) {
            writeln!(text, "{indent}  {:<18}{}", column.name, cell_text(column, cell)).unwrap();
        }
    };
    let mut rows = Vec::new();
    view.rows(0, view.size(), &mut rows);
    for row in rows {
        let heading = view.heading(row);
        let key = heading.key.last().unwrap().as_deref().unwrap_or("(null)");
        let name = heading.label.map_or(key.to_owned(), |label| format!("{key}: {label}"));
        let mut cells = Vec::new();
        view.cells(row, &mut cells);
        block(&name, heading.depth - 1, &cells);
    }
    let mut cells = Vec::new();
    view.total(&mut cells);
    block("(total)", 0, &cells);
    text
}

fn cell_text(column: &Column, cell: &Cell) -> String {
    let value = match column.form {
        _ if cell.value == NULL => "-".to_owned(),
        Form::Decimal { scale } => format_decimal(cell.value, scale),
        Form::Time => time_text(cell.value as Timestamp),
        _ => cell.value.to_string(),
    };
    if cell.quality == Quality::Ok { value } else { format!("{value}  {}", cell.quality) }
}

#[test]
fn i1_overview_by_sector() {
    let mut desk = desk();
    let view = desk.open(&by("sector", "*"));
    insta::assert_snapshot!("overview_by_sector", result(&desk.engine, view));
}

#[test]
fn i1_overview_as_a_tree() {
    let mut desk = desk();
    let measures =
        "mv_sod mv_current mv_expected long_expected short_expected day_pnl holdings orders unpriced stale";
    let view = desk.open(&by("account_id sector", measures));
    insta::assert_snapshot!("overview_tree", result(&desk.engine, view));
}

#[test]
fn i2_patches_of_a_price_a_fill_and_a_tombstone() {
    let mut desk = desk();
    let view = desk.open(&by("sector", "mv_current mv_expected day_pnl orders"));
    let mut held = Subscription::new(Window::ALL);
    held.snapshot(desk.engine.view(view));
    let mut text = String::from("the first snapshot\n");
    let head = Head { view_id: "v1", view_version: 1, seq: 1 };
    text += &head.snapshot();
    let columns = desk.engine.view(view).columns().to_vec();
    snapshot_body(&held, as_of(&desk), &columns, &desk.engine.dictionaries().read().unwrap(), &mut text);
    let ticks = [
        ("a price: ACME 100 → 101", "price ACME 101 USD version=4 priceTime=2026-03-02T16:00:01Z"),
        (
            "a fill: PART, 200 → 300 of 500 BRIT",
            "order PART ALPHA BRIT SELL 500 300 300 PARTIALLY_FILLED dayAvgPx=500 limitPrice=505 portfolioId=CORE version=3",
        ),
        ("a tombstone: MKT, the open order on EURO", "delete order MKT CHARLIE EURO BUY 50 0 0 NEW"),
    ];
    for (tick, (name, record)) in ticks.into_iter().enumerate() {
        assert!(desk.tick(CLOSE + (tick as i64 + 1) * SECOND_US, record), "{name} changes something");
        let patch = held.patch(desk.engine.view(view)).expect("the tick changes cells");
        write!(text, "\n\n{name}\n").unwrap();
        text += &Head { view_id: "v1", view_version: 1, seq: tick as u64 + 2 }.patch();
        patch_body(&patch, as_of(&desk), &columns, &desk.engine.dictionaries().read().unwrap(), &mut text);
    }
    insta::assert_snapshot!("patches", text);
}

fn as_of(desk: &Desk) -> AsOf {
    let snapshot = desk.engine.snapshot();
    AsOf { epoch: snapshot.epoch, time: snapshot.as_of }
}

/// The relations a view reads, each after those it reads itself.
const RELATIONS: [&str; 9] =
    ["fx", "fx_between", "instrument", "quote", "unit", "account", "counting_order", "leg", "direction"];

#[test]
fn i3_plans_of_the_relations_and_parts() {
    let schema = Arc::new(Schema::base());
    let catalog = Catalog::new(Arc::clone(&schema));
    let parameters = Parameters { currency: "USD".to_owned(), exclude_cash: false };
    let mut planner = Planner::new(&schema, 1);
    let mut relations = String::new();
    for name in RELATIONS {
        let plan = planner.logical(&catalog.bound(name, &parameters)).unwrap();
        writeln!(relations, "{name}\n{}\n", plan.display_indent()).unwrap();
        planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
    }
    insta::assert_snapshot!("plans_relations", relations);
    for (view, ..) in VIEWS.iter().filter(|(_, _, kind)| *kind == Kind::Grouped) {
        let grouped = GroupedView::new(&catalog, view);
        let mut parts = String::new();
        for (at, name) in grouped.parts.iter().enumerate() {
            let plan = planner.logical(&grouped.part(&catalog, at, &parameters)).unwrap();
            writeln!(parts, "{name}\n{}\n", plan.display_indent()).unwrap();
        }
        insta::assert_snapshot!(format!("plans_parts_of_{view}"), parts);
    }
}

/// What recomputation runs: the legs with their group fields, then the parts and measures of each level.
#[test]
fn i3_plans_of_the_baseline() {
    let schema = Arc::new(Schema::base());
    let catalog = Catalog::new(Arc::clone(&schema));
    let parameters = Parameters { currency: "USD".to_owned(), exclude_cash: false };
    let view = GroupedView::new(&catalog, "account_overview");
    let fields = ["account_id", "sector"];
    let mut planner = Planner::new(&schema, 1);
    for name in RELATIONS {
        let plan = planner.logical(&catalog.bound(name, &parameters)).unwrap();
        planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
    }
    let mut text = String::new();
    let mut add = |planner: &mut Planner, name: &str, query: Query| {
        let logical = planner.logical(&query).unwrap();
        let physical = planner.physical(&logical).unwrap();
        writeln!(text, "{name}\n{}", displayable(physical.as_ref()).indent(false)).unwrap();
        planner.add_relation(name, Arc::new(logical.schema().as_arrow().clone()));
    };
    add(&mut planner, GROUPED_LEG, grouped_leg(&catalog, &fields, None));
    for depth in 0..=fields.len() {
        for (at, name) in view.parts.iter().enumerate() {
            let query = view.part_by(&catalog, at, &fields[..depth], &parameters);
            add(&mut planner, name, query);
        }
        add(
            &mut planner,
            &format!("level_{depth}"),
            view.measures_by(&catalog, "account_overview", &fields[..depth]),
        );
    }
    insta::assert_snapshot!("plans_baseline", text);
}
