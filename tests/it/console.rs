//! A: SQL on a snapshot, within bounds.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use tickview::console::{Bounds, query};
use tickview::error::Kind;
use tickview::table::snapshot::Snapshot;

use crate::desk::Desk;

/// A snapshot with the prices 1 to `count`.
fn prices(count: usize) -> Arc<Snapshot> {
    let lines: Vec<String> = (1..=count).map(|number| format!("price I{number} {number} USD")).collect();
    Arc::clone(Desk::of(&lines.join("\n")).engine.snapshot())
}

#[test]
fn a2_rows_beyond_the_bound_are_left_out_and_told() {
    let snapshot = prices(5);
    let ask = |rows_max| {
        let bounds = Bounds { rows_max, ..Bounds::default() };
        let sql = "SELECT CAST(price AS BIGINT) AS whole FROM base.price ORDER BY whole DESC";
        let answer = query(&snapshot, sql, "USD", bounds).unwrap();
        let values = answer.batches.iter().flat_map(|batch| {
            batch.column(0).as_primitive::<Int64Type>().values().iter().copied().collect::<Vec<_>>()
        });
        (values.collect::<Vec<i64>>(), answer.more)
    };
    assert_eq!(ask(3), (vec![5, 4, 3], true));
    assert_eq!(ask(5), (vec![5, 4, 3, 2, 1], false));
    assert_eq!(ask(6), (vec![5, 4, 3, 2, 1], false));
    assert_eq!(ask(0), (vec![], true));
}

#[test]
fn a2_memory_is_bounded() {
    let snapshot = prices(2_000);
    let ask = |sql: &str, memory_bytes_max| {
        query(&snapshot, sql, "USD", Bounds { memory_bytes_max, ..Bounds::default() })
    };
    let sorted = "SELECT * FROM base.price ORDER BY price";
    let pairs = "SELECT COUNT(*) FROM (SELECT DISTINCT a.price, b.price AS other FROM base.price a CROSS JOIN base.price b)";
    assert!(ask(sorted, Bounds::default().memory_bytes_max).is_ok());
    // 2,000 rows of 9 columns are some 200 kB; 4 million pairs of 32 bytes are 128 MB.
    for (sql, bytes) in [(sorted, 100_000), (pairs, 16 << 20)] {
        let error = ask(sql, bytes).unwrap_err();
        assert_eq!((error.kind, error.code), (Kind::Overloaded, "LIMIT"), "{error}");
        let wanted = format!("the query needs more than {bytes} bytes of memory");
        assert!(error.message.starts_with(&wanted), "{error}");
    }
}

#[test]
fn a3_a_query_reads_its_snapshot_whatever_comes_later() {
    let mut desk = Desk::of("price ACME 1 USD");
    let before = Arc::clone(desk.engine.snapshot());
    desk.feed("price ACME 2 USD version=2\nprice OTHER 3 USD");
    let ask = |snapshot: &Arc<Snapshot>| {
        let answer =
            query(snapshot, "SELECT CAST(SUM(price) AS BIGINT) FROM base.price", "USD", Bounds::default());
        answer.unwrap().batches[0].column(0).as_primitive::<Int64Type>().value(0)
    };
    assert_eq!((ask(&before), ask(desk.engine.snapshot())), (1, 5));
}

#[test]
fn a3_a_query_runs_inside_a_runtime() {
    let snapshot = prices(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let sql = "SELECT price FROM base.price UNION ALL SELECT price FROM base.price ORDER BY price";
    let answer = runtime.block_on(async move {
        tokio::spawn(async move { query(&snapshot, sql, "USD", Bounds::default()) }).await
    });
    let rows: usize = answer.unwrap().unwrap().batches.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 6);
}
