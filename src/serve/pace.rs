//! When to tick: at once after a quiet period, and under load often enough for the batching window.
//!
//! A change that just misses a cut waits for the next one and then for its evaluation. With ticks
//! that start a window less one evaluation apart, it is on the wire a window after it arrived; where
//! an evaluation takes longer than half a window, ticks follow each other without a pause and a
//! change waits for two evaluations at most.

use crate::clock::Timestamp;
use crate::limits::{SOURCE_POLL_MS, TICK_WINDOW_MS};

const WINDOW_US: i64 = TICK_WINDOW_MS as i64 * 1_000;
const POLL_US: i64 = SOURCE_POLL_MS as i64 * 1_000;

#[derive(Debug, Default)]
pub struct Pace {
    due: Timestamp,
    /// What a tick costs: the last one, or an earlier dearer one fading by an eighth each tick.
    cost_us: i64,
}

impl Pace {
    /// Microseconds until the next tick is to start; 0 where it is due.
    ///
    /// A due time more than a window ahead means that the clock was set back.
    pub fn wait_us(&self, now: Timestamp) -> i64 {
        let wait = self.due - now;
        if wait > WINDOW_US { 0 } else { wait.max(0) }
    }

    /// A tick found nothing new.
    pub fn idle(&mut self, end: Timestamp) {
        self.due = end + POLL_US;
    }

    /// A tick was evaluated and sent.
    pub fn worked(&mut self, start: Timestamp, end: Timestamp) {
        self.cost_us = (end - start).max(self.cost_us - self.cost_us / 8);
        self.due = (start + WINDOW_US - self.cost_us).max(end);
    }

    /// More is waiting than one tick took: the next is due at once.
    pub fn behind(&mut self, end: Timestamp) {
        self.due = end;
    }
}
