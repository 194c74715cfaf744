//! The flags that say how a cluster is reached.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tickview::error::Result;
use tickview::ingest::kafka::{Connection, Settings, Time, TopicNames};
use tickview::schema::Schema;

#[derive(Args)]
pub struct KafkaFlags {
    /// A setting of librdkafka, such as security.protocol=SSL; may be given again and again. A value may
    /// be env:NAME or file:PATH, and a secret must.
    #[arg(long = "kafka", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// A file of such settings, one a line.
    #[arg(long, value_name = "FILE")]
    kafka_file: Option<PathBuf>,
    /// Stands before the name of every topic.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    kafka_prefix: String,
    /// What a topic is called in the cluster, such as base.price=market.prices.
    #[arg(long = "kafka-topic", value_name = "TOPIC=NAME")]
    topics: Vec<String>,
}

/// What time it is for a source that is a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum KafkaTime {
    /// The time at which records are taken.
    #[default]
    Arrival,
    /// The greatest timestamp of a record: for topics that hold a recording.
    Records,
}

impl KafkaFlags {
    pub fn connection(&self, bootstrap: &str) -> Result<Connection> {
        let mut connection = Connection::new(bootstrap);
        if let Some(file) = &self.kafka_file {
            connection.read(file)?;
        }
        for setting in &self.settings {
            connection.set(setting)?;
        }
        Ok(connection)
    }

    pub fn topics(&self, schema: &Schema) -> Result<TopicNames> {
        let mut names = TopicNames::with_prefix(self.kafka_prefix.as_str());
        for name in &self.topics {
            names.set(name, schema)?;
        }
        Ok(names)
    }

    pub fn source(&self, bootstrap: &str, time: KafkaTime, schema: &Schema) -> Result<Settings> {
        let mut settings = Settings::new(bootstrap);
        settings.connection = self.connection(bootstrap)?;
        settings.topics = self.topics(schema)?;
        settings.time = match time {
            KafkaTime::Arrival => Time::Arrival,
            KafkaTime::Records => Time::Records,
        };
        Ok(settings)
    }
}
