//! `tickview topics`: the topics of a cluster.

use anyhow::Result;
use clap::{Args, Subcommand};
use tickview::ingest::kafka::{Layout, create};
use tickview::schema::Schema;

use super::kafka::KafkaFlags;

#[derive(Args)]
pub struct Topics {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the base topics that a cluster lacks; those that are there stay as they are.
    Create(Create),
}

#[derive(Args)]
struct Create {
    /// Brokers as HOST:PORT, separated by commas.
    #[arg(long)]
    to: String,
    /// Of topics that are split by account; the others have one.
    #[arg(long, default_value_t = 8)]
    partitions: i32,
    /// Of each partition; the cluster's default where this is left out.
    #[arg(long)]
    replicas: Option<i32>,
    #[command(flatten)]
    kafka: KafkaFlags,
}

pub fn run(topics: &Topics) -> Result<()> {
    let Command::Create(flags) = &topics.command;
    let schema = Schema::base();
    let layout = Layout { partitions: flags.partitions, replicas: flags.replicas };
    let (connection, names) = (flags.kafka.connection(&flags.to)?, flags.kafka.topics(&schema)?);
    let made = create(&connection, &names, &schema, layout)?;
    for name in &made {
        tracing::info!("made {name}");
    }
    tracing::info!("{} of {} topics were missing", made.len(), schema.tables.len());
    Ok(())
}
