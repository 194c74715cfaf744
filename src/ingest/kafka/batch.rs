//! Records of one partition that were delivered and not yet cut: their bytes in one allocation.

use std::ops::Range;

use rdkafka::message::{BorrowedMessage, Message};

use crate::clock::Timestamp;
use crate::limits::{KAFKA_AHEAD_BYTES_MAX, KAFKA_AHEAD_RECORDS_MAX};

/// Stands for a key or value that is not there.
const NONE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    records: Vec<Held>,
}

/// A record in a batch: its key, and its value behind it.
#[derive(Debug, Clone, Copy)]
struct Held {
    offset: i64,
    time: Option<Timestamp>,
    start: usize,
    key_len: u32,
    value_len: u32,
}

/// A record as it was delivered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivered<'a> {
    pub offset: i64,
    pub time: Option<Timestamp>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

impl Batch {
    pub(super) fn push(&mut self, message: &BorrowedMessage) {
        let part = |part: Option<&[u8]>| part.map_or(NONE, |bytes| bytes.len() as u32);
        let (key, value) = (message.key(), message.payload());
        self.records.push(Held {
            offset: message.offset(),
            // Kafka counts milliseconds; a negative time is none.
            time: message.timestamp().to_millis().filter(|&ms| ms >= 0).and_then(|ms| ms.checked_mul(1_000)),
            start: self.bytes.len(),
            key_len: part(key),
            value_len: part(value),
        });
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// Whether it takes no more before it is cut.
    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= KAFKA_AHEAD_RECORDS_MAX || self.bytes.len() >= KAFKA_AHEAD_BYTES_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets its records, and the memory of one that was large beyond measure.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.bytes.shrink_to(2 * KAFKA_AHEAD_BYTES_MAX);
    }

    pub(super) fn records(&self, range: Range<usize>) -> impl Iterator<Item = Delivered<'_>> + Clone {
        self.records[range].iter().map(|held| {
            let part =
                |start: usize, len: u32| (len != NONE).then(|| &self.bytes[start..start + len as usize]);
            let value_start = held.start + if held.key_len == NONE { 0 } else { held.key_len as usize };
            let (key, value) = (part(held.start, held.key_len), part(value_start, held.value_len));
            Delivered { offset: held.offset, time: held.time, key, value }
        })
    }
}
