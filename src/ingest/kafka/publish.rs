//! Records into the topics of a cluster, each into the partition where readers expect it.
//!
//! Records of a table that is split by account go where the account's name does, by the hash of Kafka's own
//! producers, so that one partition has all of an account; records of other tables go where their key does.
//! A key never moves, since neither order nor compaction reaches across partitions: where a key does not
//! name the account, as an order's, the place of its first record is kept, which costs 16 bytes a key, and
//! a tombstone finds it.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::fault::{invalid, unavailable};
use super::health::Context;
use super::settings::{Connection, TopicNames};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::schema::{Schema, TableId};

/// A record counts once all replicas have it, and stands once and in its order however often it is sent.
const SETTINGS: [(&str, &str); 5] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "5"),
    ("compression.type", "lz4"),
    ("queue.buffering.max.kbytes", "65536"),
];

/// How long a full queue is left to drain.
const DRAIN: Duration = Duration::from_millis(2);

/// How long the last records may take.
const FLUSH: Duration = Duration::from_secs(120);

/// A record to publish.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub table: TableId,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The account it is of, where it says one.
    pub account: Option<&'a str>,
    /// The time of sending where this is left out.
    pub time: Option<Timestamp>,
}

/// Publishes records until it is finished.
pub struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    /// By table.
    topics: Vec<Topic>,
    published: u64,
}

struct Topic {
    name: String,
    partitions: i32,
    by_account: bool,
    /// Where each key is, by its hash, unless the key names the account. Of 50 million keys two have the same
    /// hash once in ten thousand such topics; one of them is then in another account's partition.
    places: Option<HashMap<u64, i32>>,
}

impl Publisher {
    /// # Errors
    /// `Unavailable` where the cluster does not answer; `Invalid` where a topic is missing or a setting is
    /// none.
    pub fn connect(connection: &Connection, names: &TopicNames, schema: &Schema) -> Result<Publisher> {
        let config = connection.client();
        let asking: BaseConsumer<Context> =
            config.create_with_context(Context::default()).map_err(|error| connection.refused(&error))?;
        let mut topics = Vec::new();
        for table in &schema.tables {
            let name = names.of(table);
            let metadata = asking.fetch_metadata(Some(&name), connection.patience).map_err(|error| {
                unavailable(format!("no broker answers at {}: {error}", connection.bootstrap()))
            })?;
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            let partitions = found.map_or(0, |topic| topic.partitions().len()) as i32;
            if partitions == 0 {
                let bootstrap = connection.bootstrap();
                return Err(invalid(format!(
                    "{bootstrap} has no topic {name}; create what is missing with `tickview topics create --to \
                     {bootstrap}{}`",
                    names.flags()
                )));
            }
            let elsewhere = |column: &usize| !table.key.contains(column);
            let places = table.partition.filter(elsewhere).map(|_| HashMap::new());
            topics.push(Topic { name, partitions, by_account: table.partition.is_some(), places });
        }
        let mut config = config;
        for (key, value) in SETTINGS {
            config.set(key, value);
        }
        let producer =
            config.create_with_context(Deliveries::default()).map_err(|error| connection.refused(&error))?;
        Ok(Publisher { producer, topics, published: 0 })
    }

    /// Queues a record, waiting where too many are under way.
    ///
    /// # Errors
    /// `Unavailable` where this or an earlier record was not taken; `Invalid` where it is too large.
    pub fn publish(&mut self, record: Outgoing) -> Result<()> {
        let topic = &mut self.topics[record.table];
        let partition = topic.place(&record);
        let mut sent = BaseRecord::<[u8], [u8]>::to(&topic.name).partition(partition);
        sent.key = record.key;
        sent.payload = record.value;
        sent.timestamp = record.time.map(|time| time.div_euclid(1_000));
        loop {
            self.producer.context().check()?;
            match self.producer.send(sent) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    sent = back;
                    std::thread::sleep(DRAIN);
                }
                Err((KafkaError::MessageProduction(Code::MessageSizeTooLarge), _)) => {
                    let bytes = record.value.map_or(0, <[u8]>::len);
                    return Err(invalid(format!(
                        "a record of {bytes} bytes is too large for {}",
                        topic.name
                    )));
                }
                Err((error, _)) => return Err(unavailable(format!("a record is not taken: {error}"))),
            }
        }
        self.published += 1;
        Ok(())
    }

    /// Waits until every record is written and returns how many there were.
    ///
    /// # Errors
    /// `Unavailable` where one was not.
    pub fn finish(&mut self) -> Result<u64> {
        self.producer
            .flush(FLUSH)
            .map_err(|error| unavailable(format!("the last records are not written: {error}")))?;
        self.producer.context().check()?;
        Ok(self.published)
    }
}

impl Topic {
    fn place(&mut self, record: &Outgoing) -> i32 {
        let partitions = self.partitions;
        let partition = |bytes: &[u8]| (murmur2(bytes) & 0x7fff_ffff) as i32 % partitions;
        let key = record.key.unwrap_or_default();
        if !self.by_account {
            return partition(key);
        }
        let by_account = record.account.map(|account| partition(account.as_bytes()));
        let Some(places) = &mut self.places else { return by_account.unwrap_or_else(|| partition(key)) };
        let hash = FixedState::default().hash_one(key);
        match by_account {
            Some(partition) => *places.entry(hash).or_insert(partition),
            // Of a key that was never seen there is nothing to delete.
            None => places.get(&hash).copied().unwrap_or_else(|| partition(key)),
        }
    }
}

/// The hash by which Kafka's own producers choose a partition, as an unsigned number.
///
/// Source: Austin Appleby, MurmurHash2, with the seed of Kafka's `Utils.murmur2`.
pub fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Hears what became of each record.
#[derive(Clone, Default)]
struct Deliveries {
    failed: Arc<Mutex<Option<Error>>>,
}

impl Deliveries {
    fn check(&self) -> Result<()> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.clone().map_or(Ok(()), Err)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Context::default().log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| unavailable(format!("a record was not written: {error}")));
        }
    }
}
