//! `bench compare`: two runs beside each other, and what became worse.
//!
//! It refuses to compare what is not alike: other processors, cores or memory, other numbers of rows, views or
//! clients. A case is worse where its p50, its p99 or its memory grew by more than the noise, and where it
//! has no line any more, which is how a case that lost its answer shows.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::results::Results;
use crate::target::{thousands, time};

/// What has to be the same in both runs of a case.
const SIZES: [&str; 6] = ["accounts", "instruments", "holdings", "orders", "views", "clients"];
const MACHINE: [&str; 2] = ["cpu", "cores"];
/// What is compared, with its title. All of it is better where it is less.
const NUMBERS: [(&str, &str); 3] = [("p50_us", "p50"), ("p99_us", "p99"), ("rss_mb", "memory")];

pub struct Comparison {
    pub text: String,
    pub is_worse: bool,
}

/// Compares `after` with `before`; `noise_percent` is what a number may grow by, `forced` lets runs pass
/// that are not alike.
///
/// # Errors
/// Where the runs are not alike, unless forced.
pub fn compare(before: &Results, after: &Results, noise_percent: f64, forced: bool) -> Result<Comparison> {
    let unlike = unlike(before, after);
    ensure!(
        unlike.is_empty() || forced,
        "the runs are not alike: {}; --force compares them all the same",
        unlike.join("; ")
    );
    let mut lines: Vec<String> = unlike.iter().map(|unlike| format!("not alike: {unlike}")).collect();
    lines.push(format!(
        "{:<8} {:>21} {:>8} {:>21} {:>8} {:>17} {:>17} {:>8}",
        "case", "p50", "change", "p99", "change", "ratio", "memory MB", "change"
    ));
    let mut is_worse = false;
    for report in &before.cases {
        let name = report["case"].as_str().expect("a case has a name");
        let Some(other) = after.case(name) else {
            lines.push(format!("{name:<8} LOST: it has no line in the second run"));
            is_worse = true;
            continue;
        };
        let changes = NUMBERS.map(|(field, _)| change(&report[field], &other[field]));
        let worse = |change: &Option<f64>| change.is_some_and(|change| change > noise_percent);
        let flags: Vec<&str> = NUMBERS
            .iter()
            .zip(&changes)
            .filter(|(_, change)| worse(change))
            .map(|((_, title), _)| *title)
            .collect();
        let pair = |field: &str, text: &dyn Fn(f64) -> String| {
            let one = |value: &Value| value.as_f64().map_or("–".to_owned(), text);
            format!("{} → {}", one(&report[field]), one(&other[field]))
        };
        let percent =
            |change: Option<f64>| change.map_or("–".to_owned(), |change| format!("{change:+.1} %"));
        lines.push(
            format!(
                "{name:<8} {:>21} {:>8} {:>21} {:>8} {:>17} {:>17} {:>8} {}",
                pair("p50_us", &time),
                percent(changes[0]),
                pair("p99_us", &time),
                percent(changes[1]),
                pair("ratio", &|ratio| format!("{ratio:.1}")),
                pair("rss_mb", &thousands),
                percent(changes[2]),
                if flags.is_empty() { String::new() } else { format!("WORSE: {}", flags.join(", ")) }
            )
            .trim_end()
            .to_owned(),
        );
        is_worse |= !flags.is_empty();
    }
    for report in after
        .cases
        .iter()
        .filter(|report| report["case"].as_str().is_some_and(|name| before.case(name).is_none()))
    {
        lines.push(format!("{:<8} new", report["case"].as_str().unwrap_or_default()));
    }
    Ok(Comparison { text: lines.join("\n") + "\n", is_worse })
}

/// In percent of what it was.
fn change(before: &Value, after: &Value) -> Option<f64> {
    let (before, after) = (before.as_f64()?, after.as_f64()?);
    (before > 0.0).then(|| (after / before - 1.0) * 100.0)
}

/// In what the runs differ that should be the same.
fn unlike(before: &Results, after: &Results) -> Vec<String> {
    let differs = |what: String, a: &Value, b: &Value| (a != b).then(|| format!("{what} is {a} and {b}"));
    let mut unlike: Vec<String> = match (&before.machine, &after.machine) {
        (Value::Null, _) | (_, Value::Null) => vec!["a run does not say what machine it is of".to_owned()],
        (a, b) => MACHINE
            .iter()
            .filter_map(|field| differs(format!("the machine's {field}"), &a[field], &b[field]))
            .collect(),
    };
    for report in &before.cases {
        let name = report["case"].as_str().unwrap_or_default();
        let Some(other) = after.case(name) else { continue };
        let sizes = SIZES.iter();
        unlike.extend(
            sizes.filter_map(|field| differs(format!("{name}'s {field}"), &report[field], &other[field])),
        );
    }
    unlike
}
