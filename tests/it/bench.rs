//! The bench: every case runs at smoke size and holds its answers against recomputation, and what holds
//! them sees a single wrong cell.

use std::process::{Command, Output};

use serde_json::Value;
use tickview::diff::Snapshot;
use tickview::view::recompute::{Oracle, Recomputed};
use tickview::view::result::{Cell, Column, Quality};
use tickview::view::spec::{Selection, ViewSpec};

use crate::desk::Desk;
use crate::law::{shown, spec};

#[path = "../../src/bin/bench/check.rs"]
mod check;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().unwrap()
}

/// The lines of a run at smoke size, by the fields that every line has.
fn smoke(cases: &[&str]) -> Vec<Value> {
    let output = bench(&[&["--smoke", "--json"], cases].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn cases_run_and_their_answers_are_right() {
    let named = ["w5", "w7", "tree", "w5-max", "w7-max", "open", "open-all", "ingest"];
    let lines: Vec<Value> = [smoke(&[]), smoke(&named)].concat();
    let cases: Vec<&str> = lines.iter().map(|line| line["case"].as_str().unwrap()).collect();
    assert_eq!(cases, [["w1", "w2", "w3", "w4", "w6"].as_slice(), &named].concat());
    for line in &lines {
        let number = |field: &str| line[field].as_f64().unwrap_or_else(|| panic!("{field} of {line}"));
        assert!(number("accounts") >= 1.0, "{line}");
        assert!(0.0 < number("p50_us") && number("p50_us") <= number("p99_us"), "{line}");
        assert!(number("p99_us") <= number("max_us"), "{line}");
        assert!(number("rss_mb") > 1.0, "{line}");
        if ["w1", "w2", "w3", "w4", "w5", "w6"].contains(&line["case"].as_str().unwrap()) {
            let ratio = number("baseline_p50_us") / number("p50_us");
            assert!((number("ratio") - ratio).abs() <= 0.1, "{line}");
        } else {
            assert!(line["baseline_p50_us"].is_null() && line["ratio"].is_null(), "{line}");
        }
    }
}

#[test]
fn what_is_no_case_is_told_what_is() {
    let output = bench(&["--smoke", "w99"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the cases are w1, w2"));
}

/// Two accounts of which some positions have an old price or none.
const TWO_ACCOUNTS: &str = "
    instrument ACME EQUITY USD sector=Tech
    instrument OILS EQUITY USD sector=Energy
    instrument DARK EQUITY USD sector=Energy
    price ACME 100 USD
    price OILS 7 USD priceTime=2026-03-01T09:00:00Z
    holding A1 ACME 10 sodPrice=90
    holding A1 OILS 6 sodPrice=8
    holding A1 DARK 5 sodPrice=3
    holding A2 ACME -3 sodPrice=91
    holding A2 OILS 2 sodPrice=8
    holding A2 DARK 1 sodPrice=3
    holding A2 USD 1000
    order O1 A2 ACME BUY 9 4 4 PARTIALLY_FILLED dayAvgPx=99";

/// One more position that has no price, alone in its sector.
const UNPRICED: &str = "
    instrument NONE EQUITY USD sector=Health
    holding A2 NONE 2";

/// A desk with these records, its view by sector, and the view's columns.
fn desk(lines: &str) -> (Desk, Snapshot, Vec<Column>) {
    let mut desk = Desk::of(lines);
    let view = desk.engine.open(&spec(&["sector"])).unwrap();
    let columns = desk.engine.view(view).columns().to_vec();
    let shown = shown(&desk.engine, view);
    (desk, shown, columns)
}

fn recomputed(desk: &Desk, accounts: &[&str]) -> Recomputed {
    let names = accounts.iter().map(|&name| name.to_owned()).collect();
    let spec = ViewSpec { accounts: Selection::Only(names), ..spec(&["sector"]) };
    Oracle::new(desk.engine.schema(), 1).recompute(desk.engine.snapshot(), &spec).unwrap()
}

fn displayed(desk: &Desk, result: Recomputed) -> Snapshot {
    check::displayed(result, &spec(&["sector"]), desk.engine.dictionaries())
}

#[test]
fn a_wrong_cell_is_found_wherever_it_is() {
    let (desk, right, columns) = desk(&format!("{TWO_ACCOUNTS}{UNPRICED}"));
    let expected = displayed(&desk, recomputed(&desk, &["A1", "A2"]));
    let found = |wrong: &Snapshot| check::difference(wrong, &expected, &columns);
    assert_eq!(found(&right), None);
    assert!(right.rows.len() >= 4, "a group a sector, and cash: {:?}", right.rows);

    for column in 0..columns.len() {
        for row in (0..right.rows.len()).map(Some).chain([None]) {
            let changed = |change: &dyn Fn(&mut Cell)| {
                let mut wrong = right.clone();
                let cells = match row {
                    Some(row) => &mut wrong.rows[row].cells,
                    None => &mut wrong.total,
                };
                change(&mut cells[column]);
                found(&wrong).unwrap_or_else(|| panic!("{} at {row:?}", columns[column].name))
            };
            let place = row
                .map_or("the total".to_owned(), |row| format!("the row {:?}", right.rows[row].heading.key));
            let says = |message: String| {
                assert!(message.starts_with(&format!("{} of {place}", columns[column].name)), "{message}");
            };
            says(changed(&|cell| cell.value ^= 1));
            says(changed(&|cell| cell.quality = Quality::Partial(77)));
        }
    }

    let altered = |change: &dyn Fn(&mut Snapshot)| {
        let mut wrong = right.clone();
        change(&mut wrong);
        assert!(found(&wrong).is_some(), "{wrong:?}");
    };
    altered(&|wrong| wrong.rows.swap(0, 1));
    altered(&|wrong| wrong.rows[0].heading.key = vec![Some("Elsewhere".to_owned())]);
    altered(&|wrong| wrong.rows.truncate(1));
    altered(&|wrong| wrong.size += 1);
    altered(&|wrong| wrong.rows[1].cells.truncate(1));
}

#[test]
fn accounts_recomputed_apart_add_up() {
    let (desk, right, columns) = desk(TWO_ACCOUNTS);
    let view = desk.engine.grouped_view("account_overview");
    let qualities: Vec<Quality> =
        right.rows.iter().flat_map(|row| &row.cells).map(|cell| cell.quality).collect();
    assert!(qualities.contains(&Quality::Partial(2)), "one position in each account: {right:?}");
    let apart = ["A1", "A2"].map(|account| Ok(recomputed(&desk, &[account])));
    let whole = displayed(&desk, check::added_up(apart, &view).unwrap());
    assert_eq!(check::difference(&right, &whole, &columns), None);

    let twice = ["A1", "A1"].map(|account| Ok(recomputed(&desk, &[account])));
    let wrong = displayed(&desk, check::added_up(twice, &view).unwrap());
    assert!(check::difference(&right, &wrong, &columns).is_some());
}

#[test]
fn what_is_missing_does_not_add_up() {
    let lines = format!("{TWO_ACCOUNTS}{UNPRICED} \n holding A1 NONE 1");
    let (desk, ..) = desk(&lines);
    let view = desk.engine.grouped_view("account_overview");
    let apart = ["A1", "A2"].map(|account| Ok(recomputed(&desk, &[account])));
    let error = check::added_up(apart, &view).unwrap_err().to_string();
    assert!(error.contains("MISSING"), "{error}");
}
