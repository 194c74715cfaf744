//! What must hold before anything is read: every topic is there, and every offset that is given.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;

use super::fault::{invalid, unavailable};
use super::health::Context;
use super::settings::{Connection, Settings};
use crate::error::{Error, Result};
use crate::ingest::source::TopicOffset;
use crate::schema::{Schema, TableId};

/// A partition as it was found.
pub(super) struct Found {
    pub table: TableId,
    /// As the cluster calls its topic.
    pub name: String,
    pub partition: i32,
    /// Where it goes on, if not at its beginning.
    pub offset: Option<i64>,
    /// Its first offset, and the one behind its last committed record; `None` where nobody answers for it.
    pub bounds: Option<(i64, i64)>,
}

/// Asks the cluster for its id and for the partitions of every table, in the order of the schema.
///
/// # Errors
/// `Unavailable` where it does not answer or may not be asked; `Invalid` where topics are missing, an offset is
/// of no record, or the cluster is another than the one to go on with.
pub(super) fn find(settings: &Settings, schema: &Schema) -> Result<(String, Vec<Found>)> {
    let connection = &settings.connection;
    let context = Context::default();
    let client: BaseConsumer<Context> = connection
        .client()
        .create_with_context(context.clone())
        .map_err(|error| connection.refused(&error))?;
    let (mut missing, mut forbidden) = (Vec::new(), Vec::new());
    let mut found = Vec::new();
    for table in &schema.tables {
        let name = settings.topics.of(table);
        let metadata = client
            .fetch_metadata(Some(&name), connection.patience)
            .map_err(|error| silent(connection, &context, &client, &error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        match topic.map(|topic| (topic, topic.error().map(Code::from))) {
            Some((topic, None)) if !topic.partitions().is_empty() => {
                found.extend(partitions(settings, &client, table.id, topic));
            }
            Some((_, Some(Code::TopicAuthorizationFailed))) => forbidden.push(name),
            Some((_, Some(error)))
                if !matches!(error, Code::UnknownTopicOrPartition | Code::UnknownTopic) =>
            {
                return Err(unavailable(format!("the topic {name} cannot be read: {error}")));
            }
            _ => missing.push(name),
        }
    }
    if !forbidden.is_empty() {
        let topics = forbidden.join(", ");
        return Err(unavailable(format!(
            "this client may not read {topics}: give its principal the operations READ and DESCRIBE on them"
        )));
    }
    if !missing.is_empty() {
        let bootstrap = connection.bootstrap();
        return Err(invalid(format!(
            "{bootstrap} has no topic {}; create what is missing with `tickview topics create --to {bootstrap}{}`",
            missing.join(", "),
            settings.topics.flags()
        )));
    }
    let cluster = client.client().fetch_cluster_id(connection.patience).ok_or_else(|| {
        unavailable(format!("{} does not tell the id of its cluster: try again", connection.bootstrap()))
    })?;
    if let Some(resumed) = &settings.resumed {
        if resumed.cluster != cluster {
            return Err(invalid(format!(
                "{} is the cluster {cluster}, and the saved offsets are of {}: name that one, or start without \
                 saved offsets",
                connection.bootstrap(),
                resumed.cluster
            )));
        }
        place_offsets(&resumed.offsets, schema, &mut found)?;
    }
    Ok((cluster, found))
}

fn partitions(
    settings: &Settings,
    client: &BaseConsumer<Context>,
    table: TableId,
    topic: &MetadataTopic,
) -> Vec<Found> {
    let mut silent = BTreeSet::new();
    let mut found = Vec::with_capacity(topic.partitions().len());
    for partition in topic.partitions() {
        let (name, id, leader) = (topic.name(), partition.id(), partition.leader());
        let mut bounds = None;
        // One that has no leader, or whose leader is silent, is waited for while the others are read.
        if leader >= 0 && !silent.contains(&leader) {
            match client.fetch_watermarks(name, id, settings.connection.patience) {
                Ok(known) => bounds = Some(known),
                Err(error) => {
                    tracing::warn!(partition = format!("{name}-{id}"), %error, "its end is not known");
                    silent.insert(leader);
                }
            }
        }
        found.push(Found { table, name: name.to_owned(), partition: id, offset: None, bounds });
    }
    found.sort_by_key(|found| found.partition);
    found
}

/// Has each partition go on where it is told to.
fn place_offsets(offsets: &[TopicOffset], schema: &Schema, found: &mut [Found]) -> Result<()> {
    let mut given = BTreeMap::new();
    for place in offsets {
        let key = (place.topic.as_str(), place.partition);
        if given.insert(key, place.offset).is_some_and(|other| other != place.offset) {
            return Err(invalid(format!("{}-{} is to go on at two offsets", place.topic, place.partition)));
        }
    }
    for found in found {
        let topic = schema.tables[found.table].topic.as_str();
        found.offset = given.remove(&(topic, found.partition));
        let (Some(offset), Some((first, end))) = (found.offset, found.bounds) else { continue };
        let label = format!("{}-{}", found.name, found.partition);
        if offset < first {
            return Err(invalid(format!(
                "{label} is to go on at offset {offset}, but begins at {first}: retention has cut off records \
                 that were never read. Start without saved offsets, which loads what there is"
            )));
        }
        if offset > end {
            return Err(invalid(format!(
                "{label} is to go on at offset {offset}, but ends at {end}: the topic was made anew, or lost \
                 records. Start without saved offsets, which loads what there is"
            )));
        }
    }
    if let Some(((topic, partition), _)) = given.into_iter().next() {
        return Err(invalid(format!(
            "there is no partition {topic}-{partition} to go on with: the topic was made anew with fewer, or the \
             offsets are of another cluster"
        )));
    }
    Ok(())
}

/// Why the cluster does not answer, as far as it is known.
fn silent(
    connection: &Connection,
    context: &Context,
    client: &BaseConsumer<Context>,
    error: &KafkaError,
) -> Error {
    // What went wrong waits to be heard.
    while client.poll(std::time::Duration::ZERO).is_some() {}
    let reason = context.health.complaint().unwrap_or_else(|| error.to_string());
    unavailable(format!(
        "no broker answers at {}: {reason}. See that it runs and that --source and --kafka are right",
        connection.bootstrap()
    ))
}
