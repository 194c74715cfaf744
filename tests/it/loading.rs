//! The line that says how far a load has come.

use tickview::clock::SECOND_US;
use tickview::ingest::source::{Progress, Unit};
use tickview::serve::loading::Loading;

fn told(topics: &[(&str, u64, u64)], unit: Unit) -> Vec<Progress> {
    let topic =
        |&(topic, done, total): &(&str, u64, u64)| Progress { topic: topic.to_owned(), done, total, unit };
    topics.iter().map(topic).collect()
}

fn rows(holdings: u64, orders: u64) -> Vec<Progress> {
    told(&[("base.sod-holding", holdings, 1_000_000), ("base.order-events", orders, 2_000_000)], Unit::Rows)
}

#[test]
fn a_log_is_told_once_a_second_how_much_how_fast_and_how_long() {
    let mut loading = Loading::new(false);
    let mut line = |quarter: i64, progress: Vec<Progress>| loading.line(quarter * SECOND_US / 4, &progress);
    assert_eq!(line(0, rows(0, 0)).unwrap(), "loading 0 %: 0 rows of 3,000,000 rows");
    assert_eq!(line(1, rows(200_000, 0)), None);
    assert_eq!(
        line(4, rows(600_000, 0)).unwrap(),
        "loading 20 %: 600,000 rows of 3,000,000 rows, 600,000 rows/s, 4 s left (base.sod-holding 60 %)"
    );
    assert_eq!(
        line(8, rows(1_000_000, 200_000)).unwrap(),
        "loading 40 %: 1,200,000 rows of 3,000,000 rows, 600,000 rows/s, 3 s left (base.order-events 10 %)"
    );
}

#[test]
fn the_rate_is_that_of_the_last_seconds() {
    let mut loading = Loading::new(false);
    let mut line =
        |second: i64, progress: Vec<Progress>| loading.line(second * SECOND_US, &progress).unwrap();
    line(0, rows(0, 0));
    line(1, rows(1_000_000, 0));
    line(2, rows(1_000_000, 100_000));
    let slow = line(7, rows(1_000_000, 600_000));
    assert!(slow.contains("100,000 rows/s, 14 s left"), "{slow}");
}

#[test]
fn a_terminal_is_shown_a_bar_and_files_are_counted_in_bytes() {
    let mut loading = Loading::new(true);
    let files = |done| told(&[("base.price", done, 400_000_000)], Unit::Bytes);
    loading.line(0, &files(0)).unwrap();
    let line = loading.line(SECOND_US, &files(100_000_000)).unwrap();
    assert_eq!(
        line,
        "loading [██████··················] 25 %: 100.0 MB of 400.0 MB, 100.0 MB/s, 3 s left (base.price 25 %)"
    );
    let long = told(&[("base.price", 100_000_001, 36_000_000_000_000)], Unit::Bytes);
    assert!(loading.line(2 * SECOND_US, &long).unwrap().contains(" h "), "a long load is told in hours");
}

#[test]
fn a_source_that_announces_nothing_has_no_line() {
    let mut loading = Loading::new(false);
    assert_eq!(loading.line(0, &[]), None);
    assert_eq!(loading.line(SECOND_US, &told(&[("base.price", 0, 0)], Unit::Rows)), None);
}
