//! Makes the topics that a cluster lacks, laid out as the engine reads them.
//!
//! Topics are compacted: a record is an upsert of its key, so the last of each key says it all, and a start
//! reads no history. Nothing is deleted by age: an order may be live for longer than any retention.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::fault::{invalid, unavailable};
use super::health::Context;
use super::settings::{Connection, TopicNames};
use crate::error::Result;
use crate::schema::{Schema, Table};

/// Partitions and replicas of the topics to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Of a topic that is split by account; the others have one, since every reader needs all of them.
    pub partitions: i32,
    /// Of each partition; the cluster's default where this is left out.
    pub replicas: Option<i32>,
}

/// What compaction takes. A tombstone stays for a week, so that a reader that began before it went sees it;
/// a segment is closed within the hour, since only closed ones are compacted.
const CONFIG: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("delete.retention.ms", "604800000"),
    ("segment.ms", "3600000"),
    ("min.cleanable.dirty.ratio", "0.2"),
    ("message.timestamp.type", "CreateTime"),
];

/// Replicas from which on a record must have reached two before it counts as written.
const REPLICAS_SAFE: i32 = 3;

/// Makes the topics that are missing and returns their names; those that are there stay as they are.
///
/// # Errors
/// `Unavailable` where the cluster does not answer or refuses; `Invalid` where the layout cannot be had.
pub fn create(
    connection: &Connection,
    names: &TopicNames,
    schema: &Schema,
    layout: Layout,
) -> Result<Vec<String>> {
    if layout.partitions < 1 || layout.replicas.is_some_and(|replicas| replicas < 1) {
        return Err(invalid("a topic has at least one partition and one replica"));
    }
    let client: AdminClient<Context> = connection
        .client()
        .create_with_context(Context::default())
        .map_err(|error| connection.refused(&error))?;
    let wanted: Vec<String> = schema.tables.iter().map(|table| names.of(table)).collect();
    let topics: Vec<NewTopic> =
        schema.tables.iter().zip(&wanted).map(|(table, name)| new_topic(table, name, layout)).collect();
    let options = AdminOptions::new()
        .request_timeout(Some(connection.patience))
        .operation_timeout(Some(connection.patience));
    let answers = futures::executor::block_on(client.create_topics(&topics, &options))
        .map_err(|error| unavailable(format!("{} makes no topics: {error}", connection.bootstrap())))?;
    let mut made = Vec::new();
    for answer in answers {
        match answer {
            Ok(name) => made.push(name),
            Err((_, Code::TopicAlreadyExists)) => {}
            Err((
                name,
                code @ (Code::InvalidReplicationFactor | Code::InvalidPartitions | Code::InvalidTopic),
            )) => {
                return Err(invalid(format!("the topic {name} cannot be made: {code}")));
            }
            Err((name, code)) => return Err(unavailable(format!("the topic {name} was not made: {code}"))),
        }
    }
    Ok(made)
}

fn new_topic<'a>(table: &Table, name: &'a str, layout: Layout) -> NewTopic<'a> {
    let partitions = if table.partition.is_some() { layout.partitions } else { 1 };
    // -1 is the cluster's default.
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(layout.replicas.unwrap_or(-1)));
    let topic = CONFIG.into_iter().fold(topic, |topic, (key, value)| topic.set(key, value));
    match layout.replicas {
        Some(REPLICAS_SAFE..) => topic.set("min.insync.replicas", "2"),
        _ => topic,
    }
}
