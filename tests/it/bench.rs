//! The bench: every case runs at smoke size and holds its answers against recomputation, and what holds
//! them sees a single wrong cell.

use std::process::{Command, Output};

use serde_json::{Value, json};
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

/// The lines of a run at smoke size: the machine's, and those of cases.
fn smoke(arguments: &[&str]) -> (Value, Vec<Value>) {
    let output = bench(&[&["--smoke", "--json"], arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let machine = lines.next().unwrap()["machine"].take();
    (machine, lines.collect())
}

fn number(line: &Value, field: &str) -> f64 {
    line[field].as_f64().unwrap_or_else(|| panic!("{field} of {line}"))
}

#[test]
fn every_case_runs_and_its_answers_are_right() {
    let (machine, lines) = smoke(&["--full"]);
    for field in ["cores", "memory_mb", "read_gb_s_one_core", "read_gb_s_two_cores"] {
        assert!(number(&machine, field) > 0.0, "{machine}");
    }
    assert!(!machine["cpu"].as_str().unwrap().is_empty());
    assert!(machine["commit"].is_null() || machine["commit"].as_str().unwrap().len() == 40, "{machine}");

    let cases: Vec<&str> = lines.iter().map(|line| line["case"].as_str().unwrap()).collect();
    let all = "w1 w2 w3 w4 w5 w6 w7 load w5-max w7-max tree open open-all ingest e2e fan-out";
    assert_eq!(cases.join(" "), all);
    for line in &lines {
        let number = |field: &str| number(line, field);
        assert!(number("accounts") >= 1.0 && number("iterations") >= 1.0, "{line}");
        assert!(0.0 < number("p50_us") && number("p50_us") <= number("p99_us"), "{line}");
        assert!(number("p99_us") <= number("max_us"), "{line}");
        assert!(number("rss_mb") > 1.0, "{line}");
        assert!(!line["checked"].as_str().unwrap().is_empty(), "{line}");
        let case = line["case"].as_str().unwrap();
        if ["w1", "w2", "w3", "w4", "w5", "w6"].contains(&case) {
            let ratio = number("baseline_p50_us") / number("p50_us");
            assert!((number("ratio") - ratio).abs() <= 0.1, "{line}");
        } else {
            assert!(line["baseline_p50_us"].is_null() && line["ratio"].is_null(), "{line}");
        }
        assert_eq!(line["events_per_s"].is_null(), case != "ingest", "{line}");
        if case.starts_with('w') || case == "tree" {
            assert!(number("bytes_touched") > 0.0, "{line}");
        } else {
            assert!(line["bytes_touched"].is_null(), "{line}");
        }
        assert_eq!(line["clients"].is_null(), !["e2e", "fan-out"].contains(&case), "{line}");
        assert_eq!(line["load"].is_null(), case != "load", "{line}");
    }
    let of = |case: &str| lines.iter().find(|line| line["case"] == case).unwrap();
    let load = &of("load")["load"];
    for field in ["rows", "rows_per_s", "resident_mb", "accounted_mb", "positions"] {
        assert!(number(load, field) > 0.0, "{load}");
    }
    for field in ["bytes_per_holding", "bytes_per_order", "bytes_per_position"] {
        assert!((20.0..2_000.0).contains(&number(load, field)), "{field} of {load}");
    }
    assert_eq!(of("w5-max")["holdings"], of("tree")["holdings"], "they share one load");
    assert_eq!(of("w4")["checked"], "all 8 accounts in blocks of 3");
    assert_eq!(of("fan-out")["clients"], 20);
}

/// A file of lines that a run might have written.
fn file(name: &str, lines: &[String]) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn machine(cpu: &str) -> String {
    json!({"machine": {"cpu": cpu, "cores": 2, "memory_mb": 24_576.0, "read_gb_s_one_core": 10.0,
        "read_gb_s_two_cores": 20.0, "commit": "0123456789abcdef", "dirty": false}})
    .to_string()
}

fn line(case: &str, p50_us: f64, p99_us: f64, rss_mb: f64) -> Value {
    json!({"case": case, "accounts": 2, "p50_us": p50_us, "p99_us": p99_us, "max_us": p99_us,
        "baseline_p50_us": 100.0 * p50_us, "ratio": 100.0, "rss_mb": rss_mb, "instruments": 5_000,
        "holdings": 10_000, "orders": 20_000, "views": 1, "clients": null, "iterations": 500,
        "events_per_s": null, "bytes_touched": null, "checked": "all", "load": null})
}

/// Exit code, and everything that was said.
fn compared(arguments: &[&str]) -> (i32, String) {
    let output = bench(&[&["compare"], arguments].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn runs_are_compared_and_what_is_worse_is_flagged() {
    let run = |name: &str, cases: &[Value]| {
        let lines: Vec<String> = cases.iter().map(Value::to_string).collect();
        file(name, &[vec![machine("A")], lines].concat())
    };
    let before = run("before", &[line("w1", 100.0, 200.0, 50.0), line("w2", 10.0, 20.0, 50.0)]);
    let rows: [(&str, Vec<Value>, &[&str], i32, &str); 7] = [
        ("same", vec![line("w1", 105.0, 215.0, 54.0), line("w2", 10.0, 20.0, 50.0)], &[], 0, "+7.5 %"),
        ("slow", vec![line("w1", 111.0, 200.0, 50.0), line("w2", 9.0, 18.0, 50.0)], &[], 1, "WORSE: p50"),
        ("late", vec![line("w1", 100.0, 230.0, 50.0), line("w2", 10.0, 20.0, 50.0)], &[], 1, "WORSE: p99"),
        ("large", vec![line("w1", 50.0, 99.0, 60.0), line("w2", 10.0, 20.0, 50.0)], &[], 1, "WORSE: memory"),
        ("lost", vec![line("w1", 50.0, 99.0, 50.0)], &[], 1, "w2       LOST"),
        (
            "noisy",
            vec![line("w1", 119.0, 230.0, 50.0), line("w2", 10.0, 20.0, 50.0)],
            &["--threshold=20"],
            0,
            "",
        ),
        (
            "more",
            vec![line("w1", 100.0, 200.0, 50.0), line("w2", 9.0, 9.0, 9.0), line("w3", 1.0, 1.0, 1.0)],
            &[],
            0,
            "w3       new",
        ),
    ];
    for (name, cases, flags, code, says) in rows {
        let after = run(name, &cases);
        let (exit, text) = compared(&[&[before.as_str(), after.as_str()], flags].concat());
        assert_eq!(exit, code, "{name}: {text}");
        assert!(text.contains(says), "{name}: {text}");
    }
}

#[test]
fn runs_that_are_not_alike_are_not_compared() {
    let before = file("alike", &[machine("A"), line("w1", 1.0, 2.0, 3.0).to_string()]);
    let other = file("other-machine", &[machine("B"), line("w1", 1.0, 2.0, 3.0).to_string()]);
    let mut large = line("w1", 1.0, 2.0, 3.0);
    large["accounts"] = 4.into();
    let large = file("other-size", &[machine("A"), large.to_string()]);
    let nameless = file("no-machine", &[line("w1", 1.0, 2.0, 3.0).to_string()]);
    for (after, says) in [
        (&other, r#"the machine's cpu is "A" and "B""#),
        (&large, "w1's accounts is 2 and 4"),
        (&nameless, "what machine"),
    ] {
        let (code, text) = compared(&[&before, after]);
        assert!(code != 0 && text.contains(says) && text.contains("--force"), "{text}");
        let (code, text) = compared(&[&before, after, "--force"]);
        assert!(code == 0 && text.contains(says), "{text}");
    }
    let broken = file("broken", &["{".to_owned()]);
    let (code, text) = compared(&[&before, &broken]);
    assert!(code != 0 && text.contains("broken:1"), "{text}");
}

#[test]
fn a_table_says_which_targets_are_met() {
    let mut load = line("load", 1.0, 2.0, 3.0);
    load["accounts"] = 5_000.into();
    load["load"] = json!({"seconds": 60.0, "rows": 75_000_000, "rows_per_s": 1_250_000.0,
        "resident_mb": 9_000.0, "accounted_mb": 7_000.0, "bytes_per_holding": 60.0, "bytes_per_order": 100.0,
        "positions": 30_000_000, "bytes_per_position": 40.0, "dictionaries_mb": 900.0, "view_mb": 0.5,
        "view_accounted_mb": 0.0, "columns": 83});
    let mut counted = line("w1", 400.0, 501.0, 70.0);
    counted["bytes_touched"] = 2_000_000.into();
    let small = line("w4", 1.0, 2.0, 3.0);
    let lines = [machine("A"), counted.to_string(), small.to_string(), load.to_string()];
    let output = bench(&["table", &file("table", &lines)]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        "A, 2 cores, 24 GB",
        "commit 0123456789ab",
        "| w1 | 2 accounts by sector, all prices change | 0.4 ms | 0.501 ms | 40 ms | 100× | 70 MB | all | \
         p99 ≤ 0.5 ms: **missed**; ≥ 20×: met |",
        "p99 ≤ 0.5 ms: of another size; ≥ 150×: of another size |",
        "≤ 8 GB resident: **missed**; ≤ 1 MB a view: met |",
        "75,000,000 rows in 60 s",
        "w1: a tick touches 2,000,000 bytes, 0.1 ms at 20 GB/s.",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
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
