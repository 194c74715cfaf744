//! W: live views of SQL are their queries, at every epoch and by every strategy, bit for bit.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::physical_plan::ExecutionPlan;
use sqlparser::ast::Statement;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use tickview::console::RELATIONS;
use tickview::error::Kind;
use tickview::plan::catalog::{Catalog, Parameters, Planner};
use tickview::plan::execute::execute;
use tickview::plan::scan::Inputs;
use tickview::schedule::Engine;
use tickview::view::live::{Reply, Strategy};

use crate::desk::Desk;
use crate::history::{History, histories};

/// The views of `tests/slt/live`: name and SELECT.
pub fn views() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt/live");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut views = Vec::new();
    for file in files {
        // These are about records of their own.
        if ["limits.slt", "changes.slt", "currency.slt"].iter().any(|name| file.ends_with(name)) {
            continue;
        }
        for block in fs::read_to_string(file).unwrap().split("\n\n") {
            if let Some((_, create)) = block.split_once("CREATE LIVE VIEW ") {
                let (name, select) = create.split_once(" AS").unwrap();
                views.push((name.to_owned(), select.trim().to_owned()));
            }
        }
    }
    views
}

/// The queries by themselves: planned by DataFusion as they are written, run on a snapshot.
struct Queries {
    planner: Planner,
    plans: Vec<Arc<dyn ExecutionPlan>>,
}

impl Queries {
    fn new(engine: &Engine, views: &[(String, String)]) -> Queries {
        let schema = engine.schema();
        let catalog = Catalog::new(Arc::clone(schema));
        let parameters = Parameters { currency: "USD".to_owned(), exclude_cash: false };
        let mut planner = Planner::new(schema, 1);
        for relation in RELATIONS {
            planner.inline(relation, &catalog.bound(relation, &parameters)).unwrap();
        }
        let plan = |select: &String| {
            let statements = Parser::parse_sql(&GenericDialect {}, select).unwrap();
            let [Statement::Query(query)] = statements.as_slice() else { panic!("a SELECT") };
            planner.physical(&planner.logical(query).unwrap()).unwrap()
        };
        let plans = views.iter().map(|(_, select)| plan(select)).collect();
        Queries { planner, plans }
    }
}

/// Rows as bytes that are equal where rows are.
pub fn bytes(batches: &[RecordBatch], ordered: bool) -> Vec<Vec<u8>> {
    let Some(first) = batches.first() else { return Vec::new() };
    let fields = first.schema().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    let mut rows = Vec::new();
    for batch in batches {
        let converted = converter.convert_columns(batch.columns()).unwrap();
        rows.extend(converted.iter().map(|row| row.as_ref().to_vec()));
    }
    if !ordered {
        rows.sort_unstable();
    }
    rows
}

fn pretty(batches: &[RecordBatch]) -> String {
    datafusion::arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string()
}

struct Followed {
    query: usize,
    name: String,
    rows: Vec<Vec<u8>>,
}

/// Creates a view under every strategy that it allows.
fn create(engine: &mut Engine, query: usize, (name, select): &(String, String)) -> Vec<Followed> {
    let mut followed = Vec::new();
    for strategy in Strategy::ALL {
        engine.execute_live(&format!("SET strategy = {}", strategy.name())).unwrap();
        let name = format!("{name}_{}", strategy.name());
        match engine.execute_live(&format!("CREATE LIVE VIEW {name} AS {select}")) {
            Ok(_) => {
                let rows = bytes(&[engine.live_view(&name).unwrap().rows().unwrap()], false);
                followed.push(Followed { query, name, rows });
            }
            Err(error) => {
                assert_eq!(error.kind, Kind::Unsupported, "{name}: {error}");
                assert!(
                    matches!(strategy, Strategy::Factored | Strategy::Partition),
                    "{name} has to be there: {error}"
                );
            }
        }
    }
    followed
}

fn check(engine: &Engine, queries: &Queries, followed: &mut [Followed], seed: u64) {
    let inputs = Arc::new(Inputs::new(Arc::clone(engine.snapshot()), None));
    let mut expected: Vec<Option<Vec<RecordBatch>>> = vec![None; queries.plans.len()];
    for view in followed {
        let shown = engine.live_view(&view.name).unwrap();
        let wanted = expected[view.query].get_or_insert_with(|| {
            execute(&queries.plans[view.query], queries.planner.state(), &inputs).unwrap()
        });
        let is = shown.rows().unwrap_or_else(|error| panic!("history {seed}: {}: {error}", view.name));
        let (rows, should) =
            (bytes(std::slice::from_ref(&is), shown.ordered()), bytes(wanted, shown.ordered()));
        assert!(
            rows == should,
            "history {seed}, epoch {}, {}:\n{}\nshould be\n{}",
            engine.snapshot().epoch,
            view.name,
            pretty(&[is]),
            pretty(wanted)
        );
        // What was shown, less what went, with what came, is what is shown.
        let (gone, come) = shown.changes().unwrap();
        let mut patched = view.rows.clone();
        for row in bytes(&[gone], false) {
            let at = patched.iter().position(|known| *known == row);
            patched.swap_remove(
                at.unwrap_or_else(|| panic!("history {seed}: {} loses what it had not", view.name)),
            );
        }
        patched.extend(bytes(&[come], false));
        patched.sort_unstable();
        let mut sorted = rows;
        sorted.sort_unstable();
        assert!(patched == sorted, "history {seed}: {} says other changes than it had", view.name);
        view.rows = sorted;
    }
}

/// Runs one history over half of the views: most from its beginning, some from when there are rows.
fn run(seed: u64, ticks: usize, all: &[(String, String)], queries: &Queries) {
    let mut history = History::new(seed + 1_000);
    let mut desk = Desk::new();
    let mut followed = Vec::new();
    let mine: Vec<usize> = (0..all.len()).filter(|at| at % 2 == seed as usize % 2).collect();
    let (early, late): (Vec<usize>, Vec<usize>) = mine.into_iter().partition(|at| at % 3 > 0);
    for query in early {
        followed.extend(create(&mut desk.engine, query, &all[query]));
    }
    for tick in 0..ticks {
        if tick == 4 {
            for &query in &late {
                followed.extend(create(&mut desk.engine, query, &all[query]));
            }
        }
        let records = history.records(if tick % 5 == 0 { 40 } else { 8 });
        // Time passes, so that prices become stale; 2026-01-05T08:30.
        if !desk.tick(1_767_601_800_000_000 + tick as i64 * 120_000_000, &records) {
            // What the last epoch changed is told already.
            continue;
        }
        check(&desk.engine, queries, &mut followed, seed);
        if tick == 12 && seed % 2 == 1 {
            // Those that stay share less from now on.
            for view in followed.split_off(followed.len() / 2) {
                desk.engine.execute_live(&format!("DROP LIVE VIEW {}", view.name)).unwrap();
            }
        }
    }
}

#[test]
fn w1_live_views_of_random_histories_are_their_queries() {
    let all = views();
    assert!(all.len() >= 40, "there are {} views", all.len());
    let queries = Queries::new(&Engine::new(), &all);
    for seed in 0..histories().div_ceil(20) {
        run(seed, 24, &all, &queries);
    }
}

#[test]
fn w3_what_is_asked_for_wrongly_is_refused() {
    let mut desk = Desk::of("price ACME 1 USD");
    let mut ask = |statement: &str| {
        let error = desk.engine.execute_live(statement).unwrap_err();
        (error.kind, error.code, error.message)
    };
    let refused = |(kind, code, message): (Kind, &'static str, String), wanted: (Kind, &str, &str)| {
        assert_eq!((kind, code), (wanted.0, wanted.1), "{message}");
        assert!(message.contains(wanted.2), "{message}");
    };
    let bad = |text| (Kind::Invalid, "BAD_QUERY", text);
    refused(ask("SELECT 1"), bad("begins no statement about live views"));
    refused(ask("CREATE VIEW v AS SELECT 1"), bad("LIVE is missing"));
    refused(ask("CREATE LIVE VIEW v AS DELETE FROM base.price"), bad("a view is a SELECT, not DELETE"));
    refused(
        ask("CREATE LIVE VIEW v AS SELECT COUNT(*) FROM base.prices"),
        bad("there is no table base.prices"),
    );
    refused(
        ask("CREATE LIVE VIEW v AS SELECT COUNT(*) FROM base.price; SELECT 1"),
        bad("stands after the statement"),
    );
    refused(
        ask("CREATE LIVE VIEW v AS SELECT price INTO mine FROM base.price"),
        bad("it must be one SELECT"),
    );
    refused(
        ask("CREATE LIVE VIEW v AS SELECT COUNT(*) FROM base.price p WHERE p.price_time < now()"),
        bad("now is another value at each run"),
    );
    refused(ask("SET strategy = fast"), bad("it must be auto, factored, partition or recompute"));
    refused(ask("SET currency = 'euro'"), bad("three letters A-Z"));
    refused(ask("DROP LIVE VIEW v"), (Kind::Invalid, "UNKNOWN_VIEW", "there is no live view v"));
    refused(ask("EXPLAIN VIEW v"), (Kind::Invalid, "UNKNOWN_VIEW", "there is no live view v"));
    desk.engine.execute_live("CREATE LIVE VIEW v AS SELECT COUNT(*) FROM base.price").unwrap();
    let mut ask = |statement: &str| {
        let error = desk.engine.execute_live(statement).unwrap_err();
        (error.kind, error.code, error.message)
    };
    refused(
        ask("CREATE LIVE VIEW v AS SELECT COUNT(*) FROM base.account"),
        (Kind::Invalid, "NAME_TAKEN", "already"),
    );
    desk.engine.execute_live("SET strategy = factored").unwrap();
    let mut ask = |statement: &str| {
        let error = desk.engine.execute_live(statement).unwrap_err();
        (error.kind, error.code, error.message)
    };
    let unsupported = |text| (Kind::Unsupported, "BAD_SPEC", text);
    refused(
        ask("CREATE LIVE VIEW w AS SELECT MIN(p.price) FROM base.price p"),
        unsupported("the view cannot be kept by factored: min is no sum"),
    );
    refused(
        ask("CREATE LIVE VIEW w AS SELECT p.price FROM base.price p"),
        unsupported("rows without an aggregate"),
    );
    let reply = desk.engine.execute_live("SHOW LIVE VIEWS").unwrap();
    let select = "SELECT COUNT(*) FROM base.price".to_owned();
    assert_eq!(reply, Reply::Views(vec![("v".to_owned(), select)]));
    desk.engine.execute_live("DROP LIVE VIEW v").unwrap();
    assert_eq!(desk.engine.execute_live("SHOW LIVE VIEWS").unwrap(), Reply::Views(Vec::new()));
    assert_eq!(desk.engine.live_view("v").err().unwrap().code, "UNKNOWN_VIEW");
}
