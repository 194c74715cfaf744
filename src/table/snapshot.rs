//! All tables at one epoch: what every reader holds, whatever the writer does meanwhile.

use std::sync::{Arc, RwLock};

use super::partition::Rows;
use super::{Day, PartitionId};
use crate::clock::Timestamp;
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::ingest::source::SetAside;
use crate::schema::{Schema, TableId};

/// Partitions a block: a tick that touches one account copies one block of pointers, not all of them.
pub(super) const BLOCK: usize = 64;

/// A table at one epoch: its partitions, in blocks that epochs share.
#[derive(Debug, Clone, Default)]
pub struct TableSnapshot {
    pub(super) blocks: Vec<Arc<Vec<Arc<Rows>>>>,
    pub(super) rows: usize,
}

impl TableSnapshot {
    /// The partitions by number; those without a row may be left out.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &Arc<Rows>)> {
        let number = |block: usize, at: usize| (block * BLOCK + at) as PartitionId;
        let blocks = self.blocks.iter().enumerate();
        blocks.flat_map(move |(block, rows)| {
            rows.iter().enumerate().map(move |(at, rows)| (number(block, at), rows))
        })
    }

    pub fn partition(&self, number: usize) -> Option<&Arc<Rows>> {
        self.blocks.get(number / BLOCK)?.get(number % BLOCK)
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// A consistent state of the whole engine; cheap to clone and to hold.
#[derive(Clone)]
pub struct Snapshot {
    pub schema: Arc<Schema>,
    pub dictionaries: Arc<RwLock<Dictionaries>>,
    pub epoch: u64,
    /// The tick's time: the wall clock, or the greatest record timestamp in replay.
    pub as_of: Timestamp,
    /// The current business date in days since 1970, or none yet.
    pub day: Day,
    /// Age limits of prices, by which a price is stale.
    pub freshness: Freshness,
    pub tables: Vec<TableSnapshot>,
    /// The account of each partition number.
    pub accounts: Arc<Vec<Code>>,
    /// Every instrument that any topic names, in order of first appearance.
    pub instruments: Arc<Vec<Code>>,
    /// Every currency that any topic names, in order of first appearance.
    pub currencies: Arc<Vec<Code>>,
    pub quarantine: Arc<Vec<SetAside>>,
}

impl Snapshot {
    pub fn table(&self, table: TableId) -> &TableSnapshot {
        &self.tables[table]
    }

    /// The business date as a datum, [`NULL`] before there is one.
    pub fn business_date(&self) -> Datum {
        self.day.map_or(NULL, Datum::from)
    }
}

/// How old a price may be, in microseconds, before it is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// LAST and MID.
    pub quote_us_max: i64,
    /// CLOSE and EVALUATED.
    pub evaluation_us_max: i64,
}

impl Default for Freshness {
    fn default() -> Self {
        Freshness { quote_us_max: 15 * 60 * 1_000_000, evaluation_us_max: 4 * 86_400 * 1_000_000 }
    }
}
