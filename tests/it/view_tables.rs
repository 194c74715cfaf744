//! W: views read as tables of SQL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, TimestampMicrosecondType};
use datafusion::arrow::util::pretty::pretty_format_batches;
use tickview::console::{Answer, Bounds, explain, query_views};
use tickview::datum::NULL;
use tickview::error::{Kind, Result};
use tickview::schedule::{Engine, ViewId};
use tickview::view::result::{Cell, Form};
use tickview::view::spec::{Comparison, Expanded, Filter, Selection, ViewSpec};

use crate::desk::{Desk, by};
use crate::history::History;
use crate::live::{bytes, views};

const DESK: &str = "account A1 USD\naccount A2 EUR\ninstrument AAA EQUITY USD sector=Tech\n\
    instrument BBB BOND EUR sector=Gov\ninstrument CCC EQUITY USD\nprice AAA 10 USD\nprice BBB 99 EUR\n\
    fx EUR USD 1.25\nholding A1 AAA 100\nholding A2 AAA -50\nholding A2 BBB 1000\nholding A1 CCC 7";

fn ask(engine: &Engine, sql: &str) -> Result<Answer> {
    query_views(engine.snapshot(), &engine.views_as_tables(), sql, "USD", Bounds::default())
}

fn told(engine: &Engine, sql: &str) -> String {
    let answer = ask(engine, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    pretty_format_batches(&answer.batches).unwrap().to_string()
}

fn plan(engine: &Engine, sql: &str) -> String {
    explain(engine.snapshot(), &engine.views_as_tables(), sql, "USD").unwrap()
}

/// Holds the table of an open view against what the engine shows, all levels open.
fn hold(engine: &Engine, view: ViewId, depth: usize) {
    let answer = ask(engine, &format!("SELECT * FROM views.v{view}")).unwrap();
    let shown = engine.view(view);
    let mut ids = Vec::new();
    shown.rows(0, shown.size(), &mut ids);
    ids.retain(|&id| shown.heading(id).depth == depth);
    let rows: usize = answer.batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, ids.len());
    let mut wanted: Vec<(Vec<Option<String>>, Vec<Cell>)> = Vec::new();
    for id in ids {
        let mut cells = Vec::new();
        shown.cells(id, &mut cells);
        wanted.push((shown.heading(id).key, cells));
    }
    let mut found = Vec::new();
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            let text = |at: usize| {
                let column = batch.column(at).as_string::<i32>();
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let mut at = depth;
            let mut cells = Vec::new();
            for column in shown.columns() {
                assert_eq!(batch.schema().field(at).name(), &column.name);
                let array = batch.column(at);
                let value = match (column.form, array.data_type()) {
                    _ if array.is_null(row) => NULL,
                    (Form::Decimal { scale }, DataType::Decimal128(38, of)) if scale as i8 == *of => {
                        array.as_primitive::<Decimal128Type>().value(row)
                    }
                    (Form::Time, DataType::Timestamp(..)) => {
                        array.as_primitive::<TimestampMicrosecondType>().value(row).into()
                    }
                    (form, other) => panic!("{}: {form:?} is not {other}", column.name),
                };
                at += 1;
                let quality = format!("{}_quality", column.name);
                let graded = batch.schema().fields().get(at).is_some_and(|field| *field.name() == quality);
                let quality = if graded { text(at).unwrap() } else { "OK".to_owned() };
                at += usize::from(graded);
                cells.push((value, quality));
            }
            assert_eq!(at, batch.num_columns(), "no column is left over");
            found.push(((0..depth).map(text).collect::<Vec<_>>(), cells));
        }
    }
    let quality = |cells: Vec<Cell>| -> Vec<_> {
        cells.into_iter().map(|cell| (cell.value, cell.quality.to_string())).collect()
    };
    let mut wanted: Vec<_> = wanted.into_iter().map(|(key, cells)| (key, quality(cells))).collect();
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted, "view {view} at epoch {}", engine.snapshot().epoch);
}

#[test]
fn w5_tables_are_what_views_show_at_every_epoch() {
    let all = views();
    let mut history = History::new(77);
    let mut desk = Desk::new();
    for (name, select) in &all {
        desk.engine.execute_live(&format!("CREATE LIVE VIEW {name} AS {select}")).unwrap();
    }
    let specs = [
        by("sector country_of_risk", "*"),
        by("account_id", "*"),
        by("side trader long_short", "mv_expected short_current orders"),
        ViewSpec {
            expanded: Expanded::All,
            group_by: vec!["currency".to_owned()],
            ..ViewSpec::new("cash_only")
        },
    ];
    let open: Vec<(ViewId, usize)> =
        specs.iter().map(|spec| (desk.open(spec), spec.group_by.len())).collect();
    let mut rows = 0;
    for tick in 0..12 {
        let records = history.records(if tick % 5 == 0 { 40 } else { 8 });
        desk.tick(1_767_601_800_000_000 + tick * 120_000_000, &records);
        let engine = &desk.engine;
        for (name, _) in &all {
            match engine.live_view(name).unwrap().rows() {
                Ok(shown) => {
                    let answer = ask(engine, &format!("SELECT * FROM views.{name}")).unwrap();
                    assert_eq!(answer.schema.fields(), shown.schema().fields(), "{name}");
                    rows += shown.num_rows();
                    assert_eq!(bytes(&answer.batches, false), bytes(&[shown], false), "{name}");
                }
                Err(error) => {
                    let told = ask(engine, &format!("SELECT * FROM views.{name}")).unwrap_err();
                    assert_eq!(told, error, "{name}");
                }
            }
        }
        open.iter().for_each(|&(view, depth)| hold(engine, view, depth));
    }
    assert!(rows > 500, "{rows} rows were compared");
}

#[test]
fn w5_tables_are_read_by_any_select() {
    let mut desk = Desk::of(DESK);
    let view = desk.open(&by("sector", "mv_current weight_current"));
    desk.engine
        .execute_live("CREATE LIVE VIEW held AS SELECT h.account_id, SUM(h.quantity) AS quantity FROM base.sod_holding h GROUP BY h.account_id")
        .unwrap();
    assert_eq!(view, 1);
    // CCC has no price: its group has no value, and says so.
    let sorted =
        "SELECT sector, mv_current, mv_current_quality FROM views.v1 ORDER BY mv_current DESC NULLS LAST";
    insta::assert_snapshot!("view_tables_sorted", told(&desk.engine, sorted));
    let summed = "SELECT CAST(SUM(v.mv_current) AS DECIMAL(38, 2)) AS total, COUNT(*) AS sectors, \
                  (SELECT CAST(SUM(quantity) AS DECIMAL(38, 0)) FROM views.held) AS quantity, \
                  (SELECT COUNT(*) FROM base.price) AS prices FROM views.v1 v";
    insta::assert_snapshot!("view_tables_summed", told(&desk.engine, summed));
    // Tables that were handed out stay as they are.
    let (before, snapshot) = (desk.engine.views_as_tables(), Arc::clone(desk.engine.snapshot()));
    desk.feed("price AAA 11 USD version=2");
    let tech = "SELECT CAST(mv_current AS BIGINT) AS mv FROM views.v1 WHERE sector = 'Tech'";
    let value = |answer: &Answer| pretty_format_batches(&answer.batches).unwrap().to_string();
    let old = value(&query_views(&snapshot, &before, tech, "USD", Bounds::default()).unwrap());
    assert!(old.contains("| 500 |"), "{old}");
    let new = told(&desk.engine, tech);
    assert!(new.contains("| 550 |"), "{new}");
    // Two epochs do not mix.
    let error = query_views(desk.engine.snapshot(), &before, tech, "USD", Bounds::default()).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.message.contains("take both between the same two ticks"), "{error}");
}

#[test]
fn w5_a_plan_says_how_its_views_are_kept() {
    let mut desk = Desk::of(DESK);
    desk.open(&by("sector", "mv_current long_current"));
    let all = views();
    for name in ["sector_value", "long_short", "mixed", "large", "numbered"] {
        let (_, select) = all.iter().find(|(known, _)| known == name).unwrap();
        desk.engine.execute_live(&format!("CREATE LIVE VIEW {name} AS {select}")).unwrap();
    }
    let selects = [
        "SELECT sector, mv_current FROM views.v1 WHERE mv_current > 100 ORDER BY mv_current DESC LIMIT 3",
        "SELECT COUNT(*) FROM views.v1",
        "SELECT s.sector, s.mv, l.long FROM views.sector_value s JOIN views.long_short l ON l.sector = s.sector",
        "SELECT MAX(most) FROM views.mixed",
        "SELECT account_id FROM views.large UNION ALL SELECT account_id FROM views.numbered",
    ];
    let plans: Vec<String> =
        selects.iter().map(|sql| format!("{sql}\n{}", plan(&desk.engine, sql))).collect();
    insta::assert_snapshot!("view_tables_plans", plans.join("\n"));
    // The plan reads the view: nothing of it became a constant.
    assert!(told(&desk.engine, selects[1]).contains("| 3        |"));
}

#[test]
fn w5_a_table_is_of_all_groups_whatever_is_folded_and_filtered() {
    let mut desk = Desk::of(DESK);
    let all = desk.open(&by("sector account_id", "mv_current"));
    let folded = ViewSpec {
        expanded: Expanded::None,
        filter: vec![Filter {
            column: "mv_current".to_owned(),
            comparison: Comparison::Greater,
            value: Some("1000000".to_owned()),
        }],
        ..by("sector account_id", "mv_current")
    };
    let folded = desk.open(&folded);
    assert_eq!(desk.engine.view(folded).size(), 0, "the filter hides every row");
    let rows = |view: ViewId| told(&desk.engine, &format!("SELECT * FROM views.v{view}"));
    assert_eq!(rows(folded), rows(all));
    hold(&desk.engine, all, 2);
    // Without levels there is one row, the total, even of nothing.
    let nothing = ViewSpec { accounts: Selection::Only(Vec::new()), ..by("", "mv_current orders") };
    let nothing = desk.open(&nothing);
    let total =
        told(&desk.engine, &format!("SELECT CAST(mv_current AS BIGINT) AS mv, orders FROM views.v{nothing}"));
    assert!(total.contains("| 0  | 0 "), "{total}");
}

#[test]
fn w5_what_is_no_table_is_told() {
    let mut desk = Desk::of(DESK);
    // A product of 54 digits is an error of its view.
    desk.feed("price AAA 9999999999.99999999 USD version=2\nholding A1 AAA 999999999999.999999 version=2");
    desk.engine
        .execute_live("CREATE LIVE VIEW squares AS SELECT SUM(h.quantity * p.price * p.price) AS value FROM base.sod_holding h JOIN base.price p ON p.instrument_id = h.instrument_id")
        .unwrap();
    let said = desk.engine.live_view("squares").unwrap().error().unwrap().clone();
    assert_eq!(ask(&desk.engine, "SELECT value FROM views.squares").unwrap_err(), said);
    assert!(ask(&desk.engine, "SELECT COUNT(*) FROM base.price").is_ok(), "what is not read does no harm");

    // What is opening is no table yet, and one that cannot be computed says why.
    let opening = desk.engine.begin(&by("sector", "mv_current")).unwrap();
    let select = format!("SELECT * FROM views.v{opening}");
    let error = ask(&desk.engine, &select).unwrap_err();
    assert!(error.message.contains(&format!("there is no table views.v{opening}")), "{error}");
    let broken = desk.engine.advance(usize::MAX).unwrap_err();
    assert_eq!(ask(&desk.engine, &select).unwrap_err(), broken);
    desk.feed("holding A1 AAA 100 version=3");
    assert_eq!(told(&desk.engine, &select).matches("OK").count(), 2);

    // A live view of that name is what is meant.
    let name = format!("v{opening}");
    desk.engine
        .execute_live(&format!("CREATE LIVE VIEW {name} AS SELECT COUNT(*) AS prices FROM base.price"))
        .unwrap();
    let told = told(&desk.engine, &format!("SELECT prices FROM views.{name}"));
    assert!(told.contains("| 2      |"), "{told}");
    let names: Vec<String> =
        desk.engine.views_as_tables().iter().map(|table| table.name().to_owned()).collect();
    assert_eq!(names, ["views.squares".to_owned(), format!("views.{name}")]);
}
