//! What a case measured: one JSON line, or a row of a table.

use std::time::Duration;

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
    /// The peak since the case began, before its own answers were recomputed. Of cases on one load it counts
    /// what recomputing those before has left with the allocator.
    pub rss_mb: f64,
    pub instruments: usize,
    /// Rows in memory.
    pub holdings: usize,
    pub orders: usize,
    pub views: usize,
    /// Clients over sockets; null where there are none.
    pub clients: Option<usize>,
    /// How many times count.
    pub iterations: usize,
    /// Of what is ingested; null in other cases.
    pub events_per_s: Option<f64>,
    /// What the last tick read and wrote of the arrays it passed over, as the engine estimates it from its
    /// counters: over the read bandwidth, a time that no engine can beat. Null where no tick is timed by itself.
    pub bytes_touched: Option<u64>,
    /// What was held against recomputation.
    pub checked: String,
    /// Null in other cases than `load`.
    pub load: Option<LoadReport>,
}

/// What a load took and takes.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoadReport {
    /// Of the engine's ticks alone; making the rows is not counted.
    pub seconds: f64,
    pub rows: usize,
    pub rows_per_s: f64,
    pub resident_mb: f64,
    /// As the engine accounts for it: tables with their indexes, net positions, texts.
    pub accounted_mb: f64,
    pub bytes_per_holding: f64,
    pub bytes_per_order: f64,
    pub positions: usize,
    pub bytes_per_position: f64,
    pub dictionaries_mb: f64,
    /// What one more view adds to what is resident: the mean of several, each of another selection.
    pub view_mb: f64,
    /// What one more view adds to what the engine accounts for.
    pub view_accounted_mb: f64,
    /// Columns of the schema, every one of them with values.
    pub columns: usize,
}

impl Report {
    pub fn heading() -> String {
        format!(
            "{:<8} {:>8} {:>6} {:>11} {:>11} {:>11} {:>14} {:>8} {:>9}",
            "case", "accounts", "views", "p50 µs", "p99 µs", "max µs", "baseline µs", "ratio", "peak MB"
        )
    }

    pub fn row(&self) -> String {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
        };
        format!(
            "{:<8} {:>8} {:>6} {:>11.1} {:>11.1} {:>11.1} {:>14} {:>8} {:>9.1}",
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

    pub fn total(&self) -> Duration {
        self.0.iter().sum()
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
