//! What a case measured: one JSON line, or a row of a table.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Times in microseconds, memory in units of 2^20 bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub case: String,
    pub accounts: usize,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
    /// Null where the case has no baseline.
    pub baseline_p50_us: Option<f64>,
    /// Baseline p50 ÷ p50.
    pub ratio: Option<f64>,
    /// The process's peak before anything was recomputed.
    pub rss_mb: f64,
    pub instruments: usize,
    /// Rows in memory.
    pub holdings: usize,
    pub orders: usize,
    pub views: usize,
}

impl Report {
    pub fn heading() -> String {
        format!(
            "{:<6} {:>8} {:>6} {:>11} {:>11} {:>11} {:>14} {:>8} {:>9}",
            "case", "accounts", "views", "p50 µs", "p99 µs", "max µs", "baseline µs", "ratio", "peak MB"
        )
    }

    pub fn row(&self) -> String {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
        };
        format!(
            "{:<6} {:>8} {:>6} {:>11.1} {:>11.1} {:>11.1} {:>14} {:>8} {:>9.1}",
            self.case,
            self.accounts,
            self.views,
            self.p50_us,
            self.p99_us,
            self.max_us,
            number(self.baseline_p50_us, 1),
            number(self.ratio, 1),
            self.rss_mb
        )
    }
}

/// Durations of one thing done again and again.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The time in microseconds that `percent` of all do not exceed; the nearest that occurred.
    ///
    /// # Panics
    /// Where nothing was measured.
    pub fn percentile_us(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        tenths(sorted[rank - 1].as_secs_f64() * 1e6)
    }
}

/// Rounded to one decimal: more is noise.
pub fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The most memory that was resident so far, in units of 2^20 bytes.
pub fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("peak memory stands in /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("/proc has no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmHWM is in kB")?;
    Ok(tenths(kilobytes / 1024.0))
}
