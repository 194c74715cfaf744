//! `tickview produce`: the embedded market, or a recording, into the topics of a cluster.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;
use std::borrow::Cow;
use tickview::clock::{self, SECOND_US, Timestamp};
use tickview::datum::Datum;
use tickview::delta::{Changes, Op};
use tickview::dictionary::{Code, Dictionaries};
use tickview::ingest::decode::line;
use tickview::ingest::encode;
use tickview::ingest::kafka::{Outgoing, Publisher};
use tickview::ingest::market::Market;
use tickview::ingest::source::Source;
use tickview::limits::CUT_RECORDS_MAX;
use tickview::schema::{Schema, Table, TableId};

use super::kafka::KafkaFlags;
use crate::MarketFlags;

/// How often the market is asked for news.
const PACE: Duration = Duration::from_millis(20);

#[derive(Args)]
pub struct Produce {
    /// Brokers as HOST:PORT, separated by commas.
    #[arg(long)]
    to: String,
    /// A directory of TOPIC.ndjson files to publish, as fast as it goes; the market where this is left out.
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// Seconds of the market's day to publish after its load; until interrupted where this is left out.
    #[arg(long, value_name = "SECONDS", conflicts_with = "replay")]
    seconds: Option<u32>,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    market: MarketFlags,
}

pub fn run(flags: &Produce) -> Result<()> {
    let schema = Schema::base();
    let (connection, names) = (flags.kafka.connection(&flags.to)?, flags.kafka.topics(&schema)?);
    let mut publisher = Publisher::connect(&connection, &names, &schema)?;
    match &flags.replay {
        Some(directory) => replay(directory, &schema, &mut publisher)?,
        None => market(flags, &schema, &mut publisher)?,
    }
    let published = publisher.finish()?;
    tracing::info!("{published} records published");
    Ok(())
}

fn market(flags: &Produce, schema: &Schema, publisher: &mut Publisher) -> Result<()> {
    let interrupted = interruption()?;
    let dictionaries = Arc::new(RwLock::new(Dictionaries::new(schema)));
    let config = flags.market.config();
    let opening = config.start;
    let mut market = Market::new(config, schema, Arc::clone(&dictionaries));
    let mut records = Records::default();
    let mut loaded = false;
    while !interrupted.load(Ordering::Relaxed) {
        let now = clock::now();
        let cut = market.cut(now, CUT_RECORDS_MAX)?;
        {
            let dictionaries = dictionaries.read().expect("no writer of a dictionary panics");
            for changes in &cut.changes {
                records.publish(&schema.tables[changes.table], changes, &dictionaries, now, publisher)?;
            }
        }
        market.reuse(cut.changes);
        if cut.caught_up && !loaded {
            loaded = true;
            tracing::info!("the load is published");
        }
        let over = flags.seconds.is_some_and(|seconds| now >= opening + i64::from(seconds) * SECOND_US);
        if loaded && over {
            break;
        }
        if !cut.more {
            std::thread::sleep(PACE);
        }
    }
    Ok(())
}

/// Rows as records; reused.
#[derive(Default)]
struct Records {
    key: String,
    value: String,
}

impl Records {
    fn publish(
        &mut self,
        table: &Table,
        changes: &Changes,
        dictionaries: &Dictionaries,
        now: Timestamp,
        publisher: &mut Publisher,
    ) -> Result<()> {
        let event_time = table.column("event_time");
        for (op, row) in changes.iter() {
            self.key.clear();
            self.value.clear();
            encode::key(table, row, dictionaries, &mut self.key);
            // A tombstone has the columns of its key only.
            let of_key = |column: &usize| op == Op::Upsert || table.key.contains(column);
            let account = table.partition.filter(of_key).map(|column| row[column]);
            let account = account.map(|datum: Datum| dictionaries.names.text(datum as Code));
            let (value, time) = match op {
                Op::Upsert => {
                    encode::value(table, row, dictionaries, &mut self.value);
                    (Some(self.value.as_bytes()), row[event_time] as Timestamp)
                }
                Op::Delete => (None, now),
            };
            let key = Some(self.key.as_bytes());
            publisher.publish(Outgoing { table: table.id, key, value, account, time: Some(time) })?;
        }
        Ok(())
    }
}

/// Publishes the files of a recording as they are, bad records among them.
fn replay(directory: &Path, schema: &Schema, publisher: &mut Publisher) -> Result<()> {
    let mut any = false;
    for table in &schema.tables {
        let path = directory.join(format!("{}.ndjson", table.topic));
        if path.exists() {
            any = true;
            file(&path, table.id, publisher)?;
        }
    }
    if !any {
        bail!("{} has nothing to publish; it may hold TOPIC.ndjson files", directory.display());
    }
    Ok(())
}

fn file(path: &Path, table: TableId, publisher: &mut Publisher) -> Result<()> {
    let shown = path.display();
    let open = File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    for (at, bytes) in BufReader::new(open).split(b'\n').enumerate() {
        let bytes = bytes.with_context(|| format!("{shown} cannot be read"))?;
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let parsed = match line(&bytes) {
            Ok(parsed) => parsed,
            Err(reason) => {
                tracing::warn!("{shown}:{} is left out: {reason}", at + 1);
                continue;
            }
        };
        let key = parsed.key.map(|range| &bytes[range]);
        let value = parsed.value.map(|range| &bytes[range]);
        let account = [value, key].into_iter().flatten().find_map(account);
        let time = Some(parsed.timestamp);
        publisher.publish(Outgoing { table, key, value, account: account.as_deref(), time })?;
    }
    Ok(())
}

/// The account that a key or value names, if it is an object that does.
fn account(json: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(rename = "accountId", borrow)]
        account: Cow<'a, str>,
    }
    serde_json::from_slice::<Named>(json).ok().map(|named| named.account)
}

/// Set once the process is asked to end, so that what is under way is still written.
fn interruption() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = Arc::clone(&asked);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(crate::interrupted());
        told.store(true, Ordering::Relaxed);
    })?;
    Ok(asked)
}
