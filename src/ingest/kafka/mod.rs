//! A Kafka cluster as a source: one topic for each base table.
//!
//! Partitions are assigned by hand and read from their beginning, or from offsets that are given: no group
//! decides anything, and no offset is kept in the cluster. Only committed records are seen. Records whose
//! key or value cannot be read are set aside by their place, such as `base.price-3@4711`; headers mean
//! nothing here.
//!
//! Each cut takes what has been delivered, in the order of the tables, then of partitions, then of offsets,
//! and waits for nothing: a partition that is out of reach holds back no other, and is said to lag. The
//! source has caught up once every partition has come to the end it had at the start. What cannot pass by
//! itself, such as a topic that was deleted, is an error of every cut from then on.
//! Cost: decoding, in the cut; fetching and copying are other threads'.

mod batch;
mod create;
mod fault;
mod health;
mod poll;
mod publish;
mod settings;
mod start;

use std::collections::HashSet;
use std::fmt;
use std::mem;
use std::ops::Range;
use std::sync::{Arc, RwLock};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::clock::{self, Timestamp};
use crate::delta::Changes;
use crate::dictionary::Dictionaries;
use crate::error::Result;
use crate::ingest::decode::{Decoder, Record};
use crate::ingest::source::{Cut, Progress, Source, TopicOffset, Unit};
use crate::schema::{Schema, TableId};

use batch::Batch;
use health::{Context, Health};
use poll::{Inbox, Poller};
use start::Found;

pub use create::{Layout, create};
pub use publish::{Outgoing, Publisher, murmur2};
pub use settings::{Connection, Resumed, Settings, Time, TopicNames};

/// A [`Source`] of the topics of a cluster.
pub struct Kafka {
    decoder: Decoder,
    /// In the order of the tables, then of partitions.
    partitions: Vec<Partition>,
    topics: Vec<Topic>,
    poller: Poller,
    health: Arc<Health>,
    time: Time,
    record_time_max: Option<Timestamp>,
    /// The id of the cluster.
    cluster: String,
    caught_up: bool,
}

/// A topic by its table.
struct Topic {
    /// As the schema names it.
    name: String,
    /// Time of the newest good record of this cut.
    newest: Option<Timestamp>,
}

struct Partition {
    table: TableId,
    inbox: Arc<Inbox>,
    /// What was taken out of the inbox, and how much of it was cut.
    taken: Batch,
    cut: usize,
    /// Of those, what this cut takes.
    share: usize,
    /// Where it was begun, and the end it had then, as far as somebody knew.
    start: i64,
    end: Option<i64>,
    /// Where it has come to: the offset behind the last record that was cut.
    position: i64,
    /// Where it was when its end was last reached.
    end_at: Option<i64>,
}

impl Kafka {
    /// Connects to a cluster and begins to read.
    ///
    /// # Errors
    /// `Invalid` where a setting is none, a topic is missing, or an offset is of no record; `Unavailable`
    /// where the cluster does not answer or may not be read.
    pub fn open(
        settings: &Settings,
        schema: &Schema,
        dictionaries: Arc<RwLock<Dictionaries>>,
    ) -> Result<Kafka> {
        let decoder = Decoder::new(schema, dictionaries)?;
        let (cluster, found) = start::find(settings, schema)?;
        let partitions: Vec<Partition> = found.iter().map(Partition::new).collect();
        let inboxes: Vec<Arc<Inbox>> =
            partitions.iter().map(|partition| Arc::clone(&partition.inbox)).collect();

        let health = Arc::new(Health::of(&inboxes, clock::now()));
        let connection = &settings.connection;
        let context = Context { health: Arc::clone(&health) };
        let config = connection.consumer(partitions.len());
        let consumer: Arc<BaseConsumer<Context>> =
            Arc::new(config.create_with_context(context).map_err(|error| connection.refused(&error))?);
        let mut assignment = TopicPartitionList::with_capacity(found.len());
        for found in &found {
            let offset = found.offset.map_or(Offset::Beginning, Offset::Offset);
            assignment
                .add_partition_offset(&found.name, found.partition, offset)
                .map_err(|error| connection.refused(&error))?;
        }
        consumer.assign(&assignment).map_err(|error| connection.refused(&error))?;
        let poller = Poller::start(consumer, &inboxes)?;

        let topic = |name: &str| Topic { name: name.to_owned(), newest: None };
        let topics = schema.tables.iter().map(|table| topic(&table.topic)).collect();
        let time = settings.time;
        Ok(Kafka {
            decoder,
            partitions,
            topics,
            poller,
            health,
            time,
            record_time_max: settings.resumed.as_ref().map(|resumed| resumed.time),
            cluster,
            caught_up: false,
        })
    }

    /// The id that the cluster was given when it was made.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Takes delivered records out of the inboxes and says how many of them this cut takes of each.
    fn share_out(&mut self, records_max: usize) -> Result<()> {
        let mut emptied = false;
        for partition in &mut self.partitions {
            emptied |= partition.refill()?;
        }
        if emptied {
            self.poller.wake();
        }
        let mut left = records_max;
        if !self.caught_up {
            // One table after the other, so that most rows find what they refer to.
            for partition in &mut self.partitions {
                partition.share = partition.waiting().min(left);
                left -= partition.share;
            }
            return Ok(());
        }
        // The same for each, so that none waits for another; what one does not need is the others'.
        self.partitions.iter_mut().for_each(|partition| partition.share = 0);
        loop {
            let wants = |partition: &&mut Partition| partition.share < partition.waiting();
            let wanting = self.partitions.iter_mut().filter(wants).count();
            if left == 0 || wanting == 0 {
                return Ok(());
            }
            let each = (left / wanting).max(1);
            for partition in self.partitions.iter_mut().filter(wants) {
                let more = each.min(partition.waiting() - partition.share).min(left);
                partition.share += more;
                left -= more;
            }
        }
    }

    /// Counts the times of this cut's good records, and returns where its partitions have come to.
    fn advance(&mut self, bad: &HashSet<&str>) -> Vec<TopicOffset> {
        let mut offsets = Vec::new();
        for partition in self.partitions.iter_mut().filter(|partition| partition.share > 0) {
            let topic = &mut self.topics[partition.table];
            let label = &partition.inbox;
            for record in partition.taken.records(partition.shared()) {
                let good = || {
                    let position = Position { inbox: label, offset: record.offset };
                    bad.is_empty() || !bad.contains(position.to_string().as_str())
                };
                if record.time > topic.newest && good() {
                    topic.newest = record.time;
                }
                partition.position = record.offset + 1;
            }
            partition.cut += partition.share;
            offsets.push(TopicOffset {
                topic: topic.name.clone(),
                partition: partition.inbox.partition,
                offset: partition.position,
            });
        }
        offsets
    }

    fn progress(&self) -> Vec<Progress> {
        let mut progress: Vec<Progress> = Vec::new();
        for partition in &self.partitions {
            let topic = &self.topics[partition.table].name;
            if progress.last().is_none_or(|last| last.topic != *topic) {
                progress.push(Progress { topic: topic.clone(), done: 0, total: 0, unit: Unit::Rows });
            }
            let last = progress.last_mut().expect("one was pushed");
            let Some(end) = partition.end else { continue };
            let total = (end - partition.start).max(0) as u64;
            let done = if partition.is_caught_up() { total } else { partition.done() };
            last.done += done.min(total);
            last.total += total;
        }
        progress
    }
}

impl Source for Kafka {
    fn cut(&mut self, now: Timestamp, records_max: usize) -> Result<Cut> {
        self.share_out(records_max)?;
        for partition in self.partitions.iter().filter(|partition| partition.share > 0) {
            let (table, inbox) = (partition.table, &*partition.inbox);
            self.decoder.decode(partition.taken.records(partition.shared()).map(|record| Record {
                table,
                position: Position { inbox, offset: record.offset },
                key: record.key,
                value: record.value,
            }));
        }
        let Cut { changes, set_aside, .. } = self.decoder.take();
        let bad: HashSet<&str> = set_aside.iter().map(|record| record.position.as_str()).collect();
        let offsets = self.advance(&bad);
        let newest = self.topics.iter_mut().enumerate();
        let newest: Vec<_> =
            newest.filter_map(|(table, topic)| Some((table, topic.newest.take()?))).collect();

        self.caught_up = self.caught_up || self.partitions.iter().all(Partition::is_caught_up);
        let mut cut = Cut { changes, newest, offsets, caught_up: self.caught_up, ..Cut::default() };
        if self.time == Time::Records {
            self.record_time_max = self.record_time_max.max(cut.newest.iter().map(|&(_, time)| time).max());
            cut.record_time_max = self.record_time_max;
            cut.source_time = self.record_time_max;
        }
        cut.more = self.partitions.iter().any(|partition| partition.waiting() > 0);
        if self.caught_up {
            cut.lagging = self.health.lagging(now);
        } else {
            cut.progress = self.progress();
        }
        cut.set_aside = set_aside;
        Ok(cut)
    }

    fn reuse(&mut self, spent: Vec<Changes>) {
        self.decoder.reuse(spent);
    }
}

impl Partition {
    fn new(found: &Found) -> Partition {
        // Where nobody knows the beginning, every offset is past it.
        let start = found.offset.or(found.bounds.map(|(first, _)| first)).unwrap_or(0);
        Partition {
            table: found.table,
            inbox: Arc::new(Inbox::new(found.name.clone(), found.partition, start)),
            taken: Batch::default(),
            cut: 0,
            share: 0,
            start,
            end: found.bounds.map(|(_, end)| end),
            position: start,
            end_at: None,
        }
    }

    /// Takes out of the inbox what is there, once all before it was cut; whether that made room.
    fn refill(&mut self) -> Result<bool> {
        self.share = 0;
        let mut state = self.inbox.state();
        self.end_at = state.end_at;
        if self.cut < self.taken.len() {
            return Ok(false);
        }
        self.taken.clear();
        self.cut = 0;
        if state.batch.is_empty() {
            // What came before it is good.
            return state.fault.clone().map_or(Ok(false), Err);
        }
        mem::swap(&mut self.taken, &mut state.batch);
        Ok(true)
    }

    /// Records taken and not cut.
    fn waiting(&self) -> usize {
        self.taken.len() - self.cut
    }

    /// What this cut takes.
    fn shared(&self) -> Range<usize> {
        self.cut..self.cut + self.share
    }

    /// Whether it has come to the end it had at the start, or to any later one. The last record may stand
    /// before it: behind it are marks of transactions, and what they took back.
    fn is_caught_up(&self) -> bool {
        let ends = [self.end, self.end_at];
        ends.into_iter().flatten().any(|end| self.position >= end)
    }

    fn done(&self) -> u64 {
        (self.position - self.start).max(0) as u64
    }
}

/// Where a record stands: `TOPIC-PARTITION@OFFSET`, the topic as the cluster calls it.
struct Position<'a> {
    inbox: &'a Inbox,
    offset: i64,
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}@{}", self.inbox.name, self.inbox.partition, self.offset)
    }
}
