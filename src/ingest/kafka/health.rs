//! Whether each partition is up to date, by what librdkafka says of its brokers once a second.
//!
//! A partition is where its broker answers and all that the broker had a second ago has been delivered. So
//! one that is out of reach, paused with its broker, slower than its writers or held back by an open
//! transaction is not, and says since when; the others go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use serde::Deserialize;

use super::poll::Inbox;
use crate::clock::{self, Timestamp};
use crate::ingest::source::Lagging;
use crate::limits::KAFKA_LAG_MS_MAX;

/// An idle broker answers every 100 ms; one that is silent for so long is taken to be gone.
const SILENCE_US_MAX: i64 = 2_000_000;

#[derive(Default)]
pub(super) struct Health {
    partitions: Mutex<Vec<Watched>>,
    /// What librdkafka last complained of.
    complaint: Mutex<Option<String>>,
}

struct Watched {
    inbox: Arc<Inbox>,
    /// When it was last known to be up to date.
    current_at: Timestamp,
    /// Where its end was a second ago.
    end_before: i64,
}

impl Health {
    pub(super) fn of(inboxes: &[Arc<Inbox>], now: Timestamp) -> Health {
        let watched =
            |inbox: &Arc<Inbox>| Watched { inbox: Arc::clone(inbox), current_at: now, end_before: i64::MAX };
        let partitions = Mutex::new(inboxes.iter().map(watched).collect());
        Health { partitions, complaint: Mutex::default() }
    }

    pub(super) fn lagging(&self, now: Timestamp) -> Vec<Lagging> {
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let late =
            partitions.iter().filter(|watched| now - watched.current_at > KAFKA_LAG_MS_MAX as i64 * 1_000);
        late.map(|watched| Lagging { source: watched.inbox.label(), since: watched.current_at }).collect()
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn examine(&self, statistics: &Statistics, now: Timestamp) {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        for watched in partitions.iter_mut() {
            let topic = statistics.topics.get(&watched.inbox.name);
            let Some(partition) = topic.and_then(|topic| topic.partitions.get(&watched.inbox.partition))
            else {
                continue;
            };
            let leader = statistics.brokers.values().find(|broker| broker.nodeid == partition.leader);
            let answers = leader.is_some_and(|leader| {
                partition.leader >= 0 && leader.state == "UP" && leader.rxidle < SILENCE_US_MAX
            });
            let end = partition.hi_offset;
            let caught_up = watched.inbox.state().next >= watched.end_before
                // Where the end is no record but the mark of a transaction.
                || (partition.next_offset >= end && partition.fetchq_cnt == 0);
            if answers && end >= 0 && caught_up {
                watched.current_at = now;
            }
            watched.end_before = if end >= 0 { end } else { i64::MAX };
        }
    }
}

/// Of librdkafka's statistics what is looked at; times in microseconds.
#[derive(Debug, Deserialize)]
struct Statistics {
    brokers: HashMap<String, Broker>,
    topics: HashMap<String, Topic>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    nodeid: i32,
    state: String,
    /// Since it last said anything; -1 before it did.
    rxidle: i64,
}

#[derive(Debug, Deserialize)]
struct Topic {
    partitions: HashMap<i32, Partition>,
}

#[derive(Debug, Deserialize)]
struct Partition {
    leader: i32,
    fetchq_cnt: i64,
    next_offset: i64,
    hi_offset: i64,
}

/// What librdkafka calls back.
#[derive(Clone, Default)]
pub(super) struct Context {
    pub health: Arc<Health>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if (level as i32) <= RDKafkaLogLevel::Warning as i32 {
            tracing::warn!(facility, "{message}");
        } else {
            tracing::debug!(facility, "{message}");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is reported as if it were one.
        if matches!(error, KafkaError::PartitionEOF(_)) || reason.is_empty() {
            return;
        }
        tracing::debug!(%error, reason, "Kafka");
        *self.health.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice(statistics) {
            Ok(statistics) => self.health.examine(&statistics, clock::now()),
            Err(error) => tracing::warn!(%error, "librdkafka's statistics are not understood"),
        }
    }
}

impl ConsumerContext for Context {}
