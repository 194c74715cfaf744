//! What a user says of a cluster: where it is, how its topics are called, and any setting of librdkafka.
//!
//! A value may stand elsewhere: `env:NAME` is that environment variable, `file:PATH` that file's text.
//! Secrets must, unless they come from a properties file: a command line is read by every process. No
//! value of a setting is ever shown, neither here nor in an error. Settings on which correctness rests are
//! refused.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::fault::{invalid, unavailable};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ingest::source::TopicOffset;
use crate::limits::{KAFKA_CONNECT_MS_MAX, KAFKA_QUEUED_BYTES_MAX};
use crate::schema::{Schema, Table};

/// What must be as it is, or records would be lost, seen twice, or seen that were never committed.
const FIXED: [(&str, &str); 8] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("enable.partition.eof", "true"),
    ("allow.auto.create.topics", "false"),
    ("statistics.interval.ms", "1000"),
];

/// What may be set otherwise. Consumers are named, since librdkafka assigns partitions to no other; none
/// joins its group.
const DEFAULTS: [(&str, &str); 8] = [
    ("client.id", "tickview"),
    ("group.id", "tickview"),
    // Idle brokers answer so often, which tells those that do not.
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "20"),
    ("socket.timeout.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "2000"),
    ("topic.metadata.refresh.interval.ms", "30000"),
];

/// A share below which fetches would be too small.
const QUEUED_KBYTES_MIN: usize = 256;

/// A cluster and how it is spoken to.
#[derive(Clone)]
pub struct Connection {
    bootstrap: String,
    settings: BTreeMap<String, String>,
    /// How long it may take to answer at the start.
    pub patience: Duration,
}

/// Names keys only, since values may be secrets.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.settings.keys();
        f.debug_struct("Connection").field("bootstrap", &self.bootstrap).field("set", &keys).finish()
    }
}

impl Connection {
    /// A cluster by some of its brokers: `HOST:PORT`, separated by commas.
    pub fn new(bootstrap: impl Into<String>) -> Connection {
        Connection {
            bootstrap: bootstrap.into(),
            settings: BTreeMap::new(),
            patience: Duration::from_millis(KAFKA_CONNECT_MS_MAX),
        }
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Takes a setting of librdkafka as `KEY=VALUE`.
    ///
    /// # Errors
    /// `Invalid` where it is no such text, may not be set, refers to nothing, or is a secret in plain text.
    pub fn set(&mut self, setting: &str) -> Result<()> {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(invalid("a setting of Kafka must be KEY=VALUE, such as security.protocol=SSL"));
        };
        let (key, value) = (key.trim(), value.trim());
        if is_secret(key) && reference(value).is_none() {
            return Err(invalid(format!(
                "{key} is a secret, and every process can read this command: give it as {key}=env:NAME or \
                 {key}=file:PATH"
            )));
        }
        self.insert(key, value)
    }

    /// Takes the settings of a properties file: a line `KEY=VALUE` each, comments after `#`.
    ///
    /// # Errors
    /// As [`Self::set`], but secrets may stand in it; `Unavailable` where it cannot be read.
    pub fn read(&mut self, file: &Path) -> Result<()> {
        let text = fs::read_to_string(file)
            .map_err(|error| unavailable(format!("{} cannot be read: {error}", file.display())))?;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                let place = format!("{}:{}", file.display(), at + 1);
                return Err(invalid(format!("{place} is no setting; a line must be KEY=VALUE")));
            };
            self.insert(key.trim(), value.trim())?;
        }
        Ok(())
    }

    fn insert(&mut self, key: &str, value: &str) -> Result<()> {
        if key == "bootstrap.servers" || FIXED.iter().any(|&(fixed, _)| fixed == key) {
            return Err(invalid(format!("{key} may not be set: Tickview sets it; leave it out")));
        }
        let value = match reference(value) {
            None => value.to_owned(),
            Some(Reference::Variable(name)) => std::env::var(name).map_err(|_| {
                invalid(format!("{key} refers to the environment variable {name}, which is not set"))
            })?,
            Some(Reference::File(path)) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    unavailable(format!("{key} refers to {path}, which cannot be read: {error}"))
                })?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        self.settings.insert(key.to_owned(), value);
        Ok(())
    }

    /// For a client that only asks or writes.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        // Consumers and producers warn of each other's settings.
        let shared = |key: &str| !["group.", "fetch.", "queued."].iter().any(|of| key.starts_with(of));
        for (key, value) in DEFAULTS.iter().filter(|(key, _)| shared(key)) {
            config.set(*key, *value);
        }
        for (key, value) in self.settings.iter().filter(|(key, _)| shared(key)) {
            config.set(key, value);
        }
        config
    }

    /// For a consumer of so many partitions, which share the memory there is.
    pub(super) fn consumer(&self, partitions: usize) -> ClientConfig {
        let mut config = ClientConfig::new();
        let queued_kbytes = (KAFKA_QUEUED_BYTES_MAX / 1_024 / partitions.max(1)).max(QUEUED_KBYTES_MIN);
        config.set("queued.max.messages.kbytes", queued_kbytes.to_string());
        for (key, value) in DEFAULTS {
            config.set(key, value);
        }
        for (key, value) in &self.settings {
            config.set(key, value);
        }
        for (key, value) in FIXED {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// Why librdkafka makes no client, without any value.
    pub(super) fn refused(&self, error: &KafkaError) -> crate::error::Error {
        match error {
            KafkaError::ClientConfig(_, _, key, _) => {
                let wanted = "see librdkafka's CONFIGURATION.md for what it may be";
                invalid(format!(
                    "{key} is no setting of librdkafka, or has a value that it cannot have; {wanted}"
                ))
            }
            // It names keys and files, such as a certificate that is not there.
            other => invalid(format!("librdkafka makes no client of these settings: {other}")),
        }
    }
}

enum Reference<'a> {
    Variable(&'a str),
    File(&'a str),
}

fn reference(value: &str) -> Option<Reference<'_>> {
    let variable = value.strip_prefix("env:").map(Reference::Variable);
    variable.or_else(|| value.strip_prefix("file:").map(Reference::File))
}

fn is_secret(key: &str) -> bool {
    ["password", "secret", "token", "ssl.key.pem", "sasl.oauthbearer.config", "jaas"]
        .iter()
        .any(|word| key.contains(word))
        // Where a token is had from is none.
        && !key.contains("url")
}

/// How the topics of the schema are called in a cluster: as they are, unless it says otherwise.
#[derive(Debug, Clone, Default)]
pub struct TopicNames {
    /// Stands before every name that is not given.
    prefix: String,
    given: BTreeMap<String, String>,
}

impl TopicNames {
    /// All names begin with the same.
    pub fn with_prefix(prefix: impl Into<String>) -> TopicNames {
        TopicNames { prefix: prefix.into(), given: BTreeMap::new() }
    }

    /// Takes a name as `TOPIC=NAME`, such as `base.price=market.prices`.
    ///
    /// # Errors
    /// `Invalid` where it is no such text, or no topic of the schema.
    pub fn set(&mut self, name: &str, schema: &Schema) -> Result<()> {
        let Some((topic, name)) = name.split_once('=').filter(|(_, name)| !name.is_empty()) else {
            return Err(invalid("a topic's name must be TOPIC=NAME, such as base.price=market.prices"));
        };
        if schema.topic(topic).is_none() {
            let known: Vec<&str> = schema.tables.iter().map(|table| table.topic.as_str()).collect();
            return Err(invalid(format!("{topic} is no topic; it must be one of {}", known.join(", "))));
        }
        self.given.insert(topic.to_owned(), name.to_owned());
        Ok(())
    }

    pub fn of(&self, table: &Table) -> String {
        self.given.get(&table.topic).cloned().unwrap_or_else(|| format!("{}{}", self.prefix, table.topic))
    }

    /// The flags that say the same.
    pub(super) fn flags(&self) -> String {
        let mut flags = String::new();
        if !self.prefix.is_empty() {
            flags.push_str(&format!(" --kafka-prefix {}", self.prefix));
        }
        for (topic, name) in &self.given {
            flags.push_str(&format!(" --kafka-topic {topic}={name}"));
        }
        flags
    }
}

/// What time it is for the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Time {
    /// That of the cuts: prices age, whether or not records come.
    #[default]
    Arrival,
    /// The greatest timestamp of a record, as in a replay: for topics that hold a recording.
    Records,
}

/// A cluster as a source.
#[derive(Debug, Clone)]
pub struct Settings {
    pub connection: Connection,
    pub topics: TopicNames,
    pub time: Time,
    /// What was read before; from the beginning where there is none.
    pub resumed: Option<Resumed>,
}

/// Where an engine that has records already goes on.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// The id of the cluster that they came from.
    pub cluster: String,
    /// Where partitions go on; those without begin at their beginning.
    pub offsets: Vec<TopicOffset>,
    /// The time that the engine has come to.
    pub time: Timestamp,
}

impl Settings {
    pub fn new(bootstrap: impl Into<String>) -> Settings {
        Settings {
            connection: Connection::new(bootstrap),
            topics: TopicNames::default(),
            time: Time::default(),
            resumed: None,
        }
    }
}
