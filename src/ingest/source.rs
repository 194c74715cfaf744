//! Where records come from: one trait, so that the engine cannot tell one source from another.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::delta::Changes;
use crate::error::Result;
use crate::schema::TableId;

/// A stream of base records that is cut into ticks from outside.
pub trait Source: Send {
    /// Takes what has arrived by `now`, at most about `records_max` records, without waiting.
    ///
    /// Records of one table stand in the order of arrival. Two sources made alike and cut at the same
    /// times give the same cuts.
    ///
    /// # Errors
    /// Where the source itself is broken; a bad record is no error but is set aside in the cut.
    fn cut(&mut self, now: Timestamp, records_max: usize) -> Result<Cut>;

    /// Takes back what was applied of a cut of its own, so that the next may be written over it.
    fn reuse(&mut self, spent: Vec<Changes>) {
        drop(spent);
    }

    /// How many rows it will deliver before it is caught up, asked before the first cut. `None` where it
    /// cannot know.
    fn announced(&self) -> Option<Announced> {
        None
    }
}

/// Rows that a source starts with; an estimate will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    pub holdings: u64,
    pub orders: u64,
    /// Of all other tables.
    pub others: u64,
}

impl Announced {
    /// Counts rows of a table.
    pub fn add(&mut self, table: &str, rows: u64) {
        match table {
            "base.sod_holding" => self.holdings += rows,
            "base.order_events" => self.orders += rows,
            _ => self.others += rows,
        }
    }
}

/// What one tick takes from a source.
#[derive(Debug, Default)]
pub struct Cut {
    pub changes: Vec<Changes>,
    pub set_aside: Vec<SetAside>,
    /// The greatest timestamp of a record so far, where the records bring their own time.
    pub record_time_max: Option<Timestamp>,
    /// Whether the source has delivered all it started with, so that a first snapshot may be shown.
    pub caught_up: bool,
    /// Whether more is waiting already.
    pub more: bool,
    /// How far each topic has come, while it is not caught up.
    pub progress: Vec<Progress>,
    /// The time of the newest record taken of each table that has any in this cut.
    pub newest: Vec<(TableId, Timestamp)>,
    /// The source's own time, which [`Self::newest`] lies behind; the time of the cut where it has none.
    pub source_time: Option<Timestamp>,
    /// Whether the source has come to its end: nothing follows, whatever the time.
    pub ended: bool,
    /// Where the next record of each partition stands that this cut took records of; none where a source
    /// has no offsets.
    pub offsets: Vec<TopicOffset>,
    /// What of the source lies behind although it could be asked, as of this cut.
    pub lagging: Vec<Lagging>,
}

/// A place in a partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicOffset {
    /// As the schema names it.
    pub topic: String,
    pub partition: i32,
    /// Of the next record; those below are applied.
    pub offset: i64,
}

/// A part of a source, such as one partition, that is not known to be up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lagging {
    pub source: String,
    /// When it was last known to be.
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub topic: String,
    pub done: u64,
    pub total: u64,
    pub unit: Unit,
}

/// What a source counts its progress in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    #[default]
    Rows,
    /// Of files whose records are not counted ahead.
    Bytes,
}

/// A bad record: it changes no table and is kept with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub topic: String,
    /// Where it stood in the topic: an offset, or a file and line.
    pub position: String,
    /// The key as text; bytes that are none are replaced.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
    /// The record's value, cut at [`crate::limits::QUARANTINE_PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
}
