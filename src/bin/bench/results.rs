//! The lines of a run, read from a file: what they say of the machine and of each case.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::case::{CASES, Case};
use crate::target::{thousands, time};

pub struct Results {
    /// Null where the file has no such line.
    pub machine: Value,
    /// One a case, in the order of the file.
    pub cases: Vec<Value>,
}

impl Results {
    /// # Errors
    /// Where the file cannot be read, has a line that is not of a run, or a case twice.
    pub fn read(path: &Path) -> Result<Results> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut results = Results { machine: Value::Null, cases: Vec::new() };
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = || format!("{}:{}", path.display(), at + 1);
            let value: Value =
                serde_json::from_str(line).with_context(|| format!("{}: not JSON", place()))?;
            if let Some(machine) = value.get("machine") {
                results.machine = machine.clone();
                continue;
            }
            let name = value["case"].as_str().with_context(|| format!("{}: no line of a run", place()))?;
            ensure!(results.case(name).is_none(), "{}: {name} is in the file before", place());
            results.cases.push(value);
        }
        ensure!(!results.cases.is_empty(), "{} has no case", path.display());
        Ok(results)
    }

    pub fn case(&self, name: &str) -> Option<&Value> {
        self.cases.iter().find(|case| case["case"] == name)
    }

    /// The machine in one line.
    pub fn machine_text(&self) -> String {
        let machine = &self.machine;
        let text = |name: &str| machine[name].as_str().unwrap_or("unknown").to_owned();
        let number = |name: &str| machine[name].as_f64().map_or("?".to_owned(), |n| format!("{n:.0}"));
        let dirty = if machine["dirty"] == true { " with changes" } else { "" };
        format!(
            "{}, {} cores, {} GB; one core reads {} GB/s, two {} GB/s; commit {}{dirty}",
            text("cpu"),
            number("cores"),
            machine["memory_mb"].as_f64().map_or("?".to_owned(), |mb| format!("{:.0}", mb / 1024.0)),
            number("read_gb_s_one_core"),
            number("read_gb_s_two_cores"),
            text("commit").chars().take(12).collect::<String>(),
        )
    }
}

/// `bench table`: the cases as a Markdown table, each with its targets and whether they are met.
pub fn table(results: &Results) -> String {
    let mut lines = vec![
        format!("{}.", results.machine_text()),
        String::new(),
        "| case | what is timed | p50 | p99 | baseline p50 | ratio | peak | checked | target |".to_owned(),
        "|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for report in &results.cases {
        let name = report["case"].as_str().expect("a case has a name");
        let case = CASES.iter().find(|case| case.name == name);
        let us = |field: &str| report[field].as_f64().map_or("–".to_owned(), time);
        lines.push(format!(
            "| {name} | {} | {} | {} | {} | {} | {} MB | {} | {} |",
            case.map_or("", |case| case.about),
            us("p50_us"),
            us("p99_us"),
            us("baseline_p50_us"),
            report["ratio"].as_f64().map_or("–".to_owned(), |ratio| format!("{}×", thousands(ratio))),
            thousands(report["rss_mb"].as_f64().unwrap_or(0.0)),
            report["checked"].as_str().unwrap_or("–"),
            case.map_or("–".to_owned(), |case| verdicts(case, report)),
        ));
    }
    lines.push(String::new());
    lines.extend(results.cases.iter().filter_map(|report| load_text(&report["load"])));
    lines.extend(results.cases.iter().filter_map(|report| bound_text(report, &results.machine)));
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// Each target with whether it is met.
fn verdicts(case: &Case, report: &Value) -> String {
    let verdict = |target: &crate::target::Target| {
        let word = match target.is_met(report) {
            _ if report["accounts"].as_u64() != Some(case.accounts as u64) => "of another size",
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        format!("{}: {word}", target.text())
    };
    let verdicts: Vec<String> = case.targets.iter().map(verdict).collect();
    if verdicts.is_empty() { "–".to_owned() } else { verdicts.join("; ") }
}

fn load_text(load: &Value) -> Option<String> {
    let number = |name: &str| load[name].as_f64();
    Some(format!(
        "The load: {} rows in {} s, {} a second; {} MB resident, {} MB accounted for: {} bytes a holding, {} an \
         order, {} a net position of {}, texts {} MB. One more view takes {} MB.",
        thousands(number("rows")?),
        number("seconds")?,
        thousands(number("rows_per_s")?),
        thousands(number("resident_mb")?),
        thousands(number("accounted_mb")?),
        number("bytes_per_holding")?,
        number("bytes_per_order")?,
        number("bytes_per_position")?,
        thousands(number("positions")?),
        thousands(number("dictionaries_mb")?),
        number("view_mb")?,
    ))
}

/// What memory allows, where the engine counted the bytes of a tick.
fn bound_text(report: &Value, machine: &Value) -> Option<String> {
    let bytes = report["bytes_touched"].as_f64()?;
    let gb_s = machine["read_gb_s_two_cores"].as_f64()?;
    let name = report["case"].as_str()?;
    Some(format!(
        "{name}: a tick touches {} bytes, {} at {gb_s} GB/s.",
        thousands(bytes),
        time(bytes / gb_s / 1e3)
    ))
}
