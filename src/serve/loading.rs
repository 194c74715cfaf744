//! How far the load has come, for whoever looks at the terminal: how much of what was announced, how fast,
//! and how long the rest will take.
//!
//! Once a second one line: on a terminal it is written over the one before, in a log it is a line like others.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use super::memory::thousands;
use crate::clock::{SECOND_US, Timestamp};
use crate::ingest::source::{Progress, Unit};

/// Over which the rate is taken: long enough to even out what topics differ in, short enough to be of now.
const RATE_US: i64 = 5 * SECOND_US;
const BAR: usize = 24;

pub struct Loading {
    terminal: bool,
    /// When how much had come, all topics together.
    samples: VecDeque<(Timestamp, u64)>,
    told_at: Option<Timestamp>,
    /// A line on the terminal is waiting to be written over.
    open: bool,
}

impl Loading {
    pub fn new(terminal: bool) -> Loading {
        Loading { terminal, samples: VecDeque::new(), told_at: None, open: false }
    }

    pub(super) fn of_stderr() -> Loading {
        Loading::new(io::stderr().is_terminal())
    }

    /// The line to write, if it is time for one.
    pub fn line(&mut self, now: Timestamp, progress: &[Progress]) -> Option<String> {
        if self.told_at.is_some_and(|told_at| (0..SECOND_US).contains(&(now - told_at))) {
            return None;
        }
        let done: u64 = progress.iter().map(|topic| topic.done).sum();
        let total: u64 = progress.iter().map(|topic| topic.total).sum();
        if total == 0 {
            return None;
        }
        self.told_at = Some(now);
        self.samples.push_back((now, done));
        while self.samples.len() > 2 && now - self.samples[1].0 >= RATE_US {
            self.samples.pop_front();
        }
        let (then, before) = self.samples[0];
        let seconds = (now - then) as f64 / SECOND_US as f64;
        let rate = if seconds > 0.0 { done.saturating_sub(before) as f64 / seconds } else { 0.0 };
        let unit = progress[0].unit;
        let share = done as f64 / total as f64;
        let mut text = String::from("loading ");
        if self.terminal {
            let full = (share * BAR as f64).round() as usize;
            let _ = write!(text, "[{}{}] ", "█".repeat(full.min(BAR)), "·".repeat(BAR - full.min(BAR)));
        }
        let _ = write!(
            text,
            "{:.0} %: {} of {}",
            (share * 100.0).floor(),
            amount(done, unit),
            amount(total, unit)
        );
        if rate > 0.0 {
            let left = total.saturating_sub(done) as f64 / rate;
            let _ = write!(text, ", {}/s, {} left", amount(rate as u64, unit), duration(left));
        }
        if let Some(topic) = progress.iter().find(|topic| topic.done > 0 && topic.done < topic.total) {
            let share = topic.done as f64 / topic.total as f64 * 100.0;
            let _ = write!(text, " ({} {:.0} %)", topic.topic, share.floor());
        }
        Some(text)
    }

    /// Writes the line that is due.
    pub(super) fn tell(&mut self, now: Timestamp, progress: &[Progress]) {
        let Some(line) = self.line(now, progress) else { return };
        if self.terminal {
            // A terminal that takes no more is no reason to stop a load.
            let _ = write!(io::stderr(), "\r\x1b[2K{line}");
            self.open = true;
        } else {
            tracing::info!("{line}");
        }
    }

    /// Ends the line on the terminal.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            let _ = writeln!(io::stderr());
        }
    }
}

fn amount(number: u64, unit: Unit) -> String {
    match unit {
        Unit::Rows => format!("{} rows", thousands(number)),
        Unit::Bytes => format!("{:.1} MB", number as f64 / 1e6),
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}
