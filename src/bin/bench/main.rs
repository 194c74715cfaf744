//! `bench`: how fast the engine is on the cases that have a target.
//!
//! `cargo run --release --bin bench -- --json w1 w2` prints a line for the machine and one for each case,
//! without `--json` a table; without a case's name all that run by default, with `--full` all there are.
//! `bench compare` and `bench table` read such lines.
//!
//! Each case runs in a process of its own, so that its peak memory is its own; those on all 75 million rows
//! share one, so that they are loaded once. It exits with an error where a case's answer is not its
//! recomputation.

mod baseline;
mod case;
mod check;
mod client;
mod compare;
mod data;
mod machine;
mod report;
mod results;
mod run;
mod served;
mod target;
mod wire;
mod world;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::case::{CASES, Case, Options};
use crate::machine::{Machine, MachineLine};
use crate::report::Report;
use crate::results::Results;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the engine on cases of changing data, against cached DataFusion plans over the same rows.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Reading>,
    /// The cases to run; those marked * where none is named.
    #[arg(value_parser = known, long_help = list())]
    cases: Vec<&'static Case>,
    /// Runs every case there is; those on all 75 million rows take an hour and most of 23 GB.
    #[arg(long, conflicts_with = "cases")]
    full: bool,
    /// One JSON line for the machine, and one a case.
    #[arg(long)]
    json: bool,
    /// Runs the cases in this process, on one load, and says nothing of the machine.
    #[arg(long, hide = true)]
    here: bool,
    /// Few rows and few ticks: whether everything works, not how fast.
    #[arg(long)]
    smoke: bool,
    /// The same seed gives the same data and the same changes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Iterations that count, instead of the number each case has.
    #[arg(long)]
    iterations: Option<usize>,
    /// Accounts in memory, instead of the number each case has: its numbers are then of another case.
    #[arg(long)]
    accounts: Option<usize>,
    /// Writes the baseline's plans to stderr.
    #[arg(long)]
    explain: bool,
}

/// What is done with the lines of runs.
#[derive(Subcommand)]
enum Reading {
    /// Holds a run against one before it; ends with 1 where a case is worse or lost its answer.
    Compare {
        before: PathBuf,
        after: PathBuf,
        /// What a number may grow by before it counts as worse, in percent.
        #[arg(long, default_value_t = 10.0)]
        threshold: f64,
        /// Compares runs on other machines or of other sizes all the same.
        #[arg(long)]
        force: bool,
    },
    /// Writes a run as a Markdown table with the targets.
    Table { results: PathBuf },
}

fn known(name: &str) -> Result<&'static Case, String> {
    let all = || CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
    CASES.iter().find(|case| case.name == name).ok_or_else(|| format!("the cases are {}", all()))
}

fn list() -> String {
    let line =
        |case: &Case| format!("{}{}: {}\n", case.name, if case.default { "*" } else { "" }, case.about);
    CASES.iter().map(line).collect()
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let code = |is_good: bool| if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    match &cli.command {
        Some(Reading::Compare { before, after, threshold, force }) => {
            let (before, after) = (Results::read(before)?, Results::read(after)?);
            let comparison = compare::compare(&before, &after, *threshold, *force)?;
            print!("{}", comparison.text);
            Ok(code(!comparison.is_worse))
        }
        Some(Reading::Table { results }) => {
            print!("{}", results::table(&Results::read(results)?));
            Ok(ExitCode::SUCCESS)
        }
        None if cli.here => run_here(&cli).map(code),
        None => run_apart(&cli).map(code),
    }
}

fn run_here(cli: &Cli) -> Result<bool> {
    let options = Options {
        seed: cli.seed,
        smoke: cli.smoke,
        iterations: cli.iterations,
        accounts: cli.accounts,
        explain: cli.explain,
    };
    run::run(&cli.cases, &options, &mut |report| {
        println!("{}", serde_json::to_string(&report).expect("a report has string keys only"));
    })
}

fn run_apart(cli: &Cli) -> Result<bool> {
    if cfg!(debug_assertions) {
        eprintln!("bench: this build is not optimised; its times mean nothing. Run it with --release.");
    }
    let mut cases = cli.cases.clone();
    if cases.is_empty() {
        cases.extend(CASES.iter().filter(|case| cli.full || case.default));
    }
    let machine = MachineLine { machine: Machine::measured(cli.smoke)? };
    if cli.json {
        println!("{}", serde_json::to_string(&machine)?);
    } else {
        println!("{}", Report::heading());
    }
    let mut right = true;
    for together in cases.chunk_by(|a, b| a.full && b.full) {
        if let Err(error) = apart(together, cli) {
            eprintln!("bench: {error:#}");
            right = false;
        }
    }
    Ok(right)
}

/// Runs cases that share a load in a process of their own, and passes on what each measured as it comes.
fn apart(cases: &[&Case], cli: &Cli) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--here", "--seed", &cli.seed.to_string()]);
    command.args(cases.iter().map(|case| case.name));
    command.args(cli.smoke.then_some("--smoke"));
    command.args(cli.explain.then_some("--explain"));
    command.args(cli.iterations.map(|count| format!("--iterations={count}")));
    command.args(cli.accounts.map(|count| format!("--accounts={count}")));
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("a child's output is read here")?;
    let mut count = 0;
    for line in BufReader::new(output).lines() {
        let line = line?;
        count += 1;
        match cli.json {
            true => println!("{line}"),
            false => println!("{}", serde_json::from_str::<Report>(&line)?.row()),
        }
    }
    let status = child.wait()?;
    if status.success() && count == cases.len() {
        return Ok(());
    }
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    anyhow::bail!("{} of {} failed: {status}", cases.len() - count, names.join(", "))
}
