//! How far each topic has come by the clock of its source, and which of them fell silent.
//!
//! Lag is measured in the source's own time, silence in the time of whoever waits: a recording that is
//! played sixty times as fast has gaps sixty times as short. Only a topic falls silent that never rests, by
//! [`SILENCE_MS_MAX_BY_TOPIC`], and that was flowing: since the load it was in [`FLOWING_CUTS_MIN`] cuts of
//! which none came later after the one before than it may be silent. So a market without prices is not
//! missed for one that comes late, nor a thin recording for its pauses. Silence lasts until the source was
//! last asked: one that is not asked any more, or has come to its end, is not accused of it.

use crate::clock::Timestamp;
use crate::ingest::source::{Cut, Lagging};
use crate::limits::{FLOWING_CUTS_MIN, SILENCE_MS_MAX_BY_TOPIC};
use crate::schema::Schema;

use super::views::StaleSource;

pub(super) struct Topics {
    /// By table.
    topics: Vec<Topic>,
    /// The source's own time at its last cut.
    source_time: Timestamp,
    asked_at: Timestamp,
    ended: bool,
    /// What the source itself says lies behind.
    lagging: Vec<Lagging>,
}

struct Topic {
    name: String,
    /// Time of the newest record, by the source's clock.
    newest: Option<Timestamp>,
    /// When a record last came after the load.
    heard_at: Option<Timestamp>,
    /// Cuts with a record, one soon enough after the other.
    cuts_in_a_row: u32,
    silence_us_max: Option<i64>,
}

impl Topic {
    fn speak(&mut self, now: Timestamp) {
        let gap_us = self.heard_at.map(|before| now - before);
        let soon = gap_us.zip(self.silence_us_max).is_some_and(|(gap_us, max_us)| gap_us <= max_us);
        self.cuts_in_a_row = if soon { self.cuts_in_a_row.saturating_add(1) } else { 1 };
        self.heard_at = Some(now);
    }
}

impl Topics {
    pub(super) fn new(schema: &Schema) -> Topics {
        let silence = |topic: &str| {
            let bound = SILENCE_MS_MAX_BY_TOPIC.iter().find(|(known, _)| *known == topic);
            bound.map(|&(_, ms)| ms as i64 * 1_000)
        };
        let topics = schema.tables.iter().map(|table| Topic {
            name: table.topic.clone(),
            newest: None,
            heard_at: None,
            cuts_in_a_row: 0,
            silence_us_max: silence(&table.topic),
        });
        Topics { topics: topics.collect(), source_time: 0, asked_at: 0, ended: false, lagging: Vec::new() }
    }

    /// The source is about to be asked, whatever it answers.
    pub(super) fn ask(&mut self, now: Timestamp) {
        self.asked_at = now;
    }

    /// It answered; `loaded` says whether it had delivered its load before.
    pub(super) fn hear(&mut self, cut: &Cut, loaded: bool) {
        self.source_time = cut.source_time.unwrap_or(self.asked_at);
        self.ended = cut.ended;
        self.lagging.clone_from(&cut.lagging);
        for &(table, time) in &cut.newest {
            let topic = &mut self.topics[table];
            topic.newest = topic.newest.max(Some(time));
            if loaded {
                topic.speak(self.asked_at);
            }
        }
    }

    /// How far the newest record of each topic that has any lies behind the source's time, in microseconds.
    pub(super) fn lag_us(&self) -> Vec<(String, u64)> {
        let lag = |topic: &Topic| {
            let lag_us = (self.source_time - topic.newest?).max(0) as u64;
            Some((topic.name.clone(), lag_us))
        };
        self.topics.iter().filter_map(lag).collect()
    }

    /// The topics that have been silent for longer than they should, and what lies behind by the source's
    /// own word.
    pub(super) fn silent(&self) -> Vec<StaleSource> {
        let silent = |topic: &Topic| {
            let silence_us = self.asked_at - topic.heard_at?;
            let flowing = topic.cuts_in_a_row >= FLOWING_CUTS_MIN;
            let stale = flowing && silence_us > topic.silence_us_max? && !self.ended;
            stale.then(|| StaleSource { source: topic.name.clone(), since_ms: silence_us as u64 / 1_000 })
        };
        let behind = self.lagging.iter().map(|lagging| StaleSource {
            source: lagging.source.clone(),
            since_ms: (self.asked_at - lagging.since).max(0) as u64 / 1_000,
        });
        self.topics.iter().filter_map(silent).chain(behind).collect()
    }
}
