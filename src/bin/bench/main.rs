//! `bench`: how fast the engine is on the cases that have a target.
//!
//! `cargo run --release --bin bench -- --json w1 w2` prints a line for each case, without `--json` a table;
//! without a case's name all that run by default. Each case runs in a process of its own, so that its peak
//! memory is its own. It exits with an error where a case's answer is not its recomputation.

mod baseline;
mod case;
mod check;
mod report;
mod run;
mod world;

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::case::{CASES, Case, Options};
use crate::report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the engine on cases of changing data, against cached DataFusion plans over the same rows.
#[derive(Parser)]
struct Cli {
    /// The cases to run; those marked * where none is named.
    #[arg(value_parser = known, long_help = list())]
    cases: Vec<&'static Case>,
    /// One JSON line a case.
    #[arg(long)]
    json: bool,
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
    if cfg!(debug_assertions) {
        eprintln!("bench: this build is not optimised; its times mean nothing. Run it with --release.");
    }
    if let ([case], true) = (cli.cases.as_slice(), cli.json) {
        let options = Options {
            seed: cli.seed,
            smoke: cli.smoke,
            iterations: cli.iterations,
            accounts: cli.accounts,
            explain: cli.explain,
        };
        let report = run::run(case, &options).with_context(|| format!("case {}", case.name))?;
        println!("{}", serde_json::to_string(&report)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut cases = cli.cases.clone();
    if cases.is_empty() {
        cases.extend(CASES.iter().filter(|case| case.default));
    }
    if !cli.json {
        println!("{}", Report::heading());
    }
    let mut failed = false;
    for case in cases {
        match apart(case, &cli) {
            Ok(line) if cli.json => print!("{line}"),
            Ok(line) => println!("{}", serde_json::from_str::<Report>(&line)?.row()),
            Err(error) => {
                eprintln!("bench: {error:#}");
                failed = true;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs one case in a process of its own and returns its JSON line.
fn apart(case: &Case, cli: &Cli) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--json", case.name, "--seed", &cli.seed.to_string()]);
    command.args(cli.smoke.then_some("--smoke"));
    command.args(cli.explain.then_some("--explain"));
    command.args(cli.iterations.map(|count| format!("--iterations={count}")));
    command.args(cli.accounts.map(|count| format!("--accounts={count}")));
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "case {} failed: {}", case.name, output.status);
    String::from_utf8(output.stdout).context("a report is text")
}
