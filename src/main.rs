//! The server binary: flags and wiring.

mod commands;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tickview::checkpoint::{Checkpoints, Manifest, Origin};
use tickview::clock;
use tickview::ingest::ahead::Ahead;
use tickview::ingest::kafka::{Kafka, Resumed};
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::replay::Replay;
use tickview::ingest::source::{Source, TopicOffset};
use tickview::schedule::Engine;
use tickview::schema::Schema;
use tickview::serve::desk::{self, Options};
use tickview::serve::http;
use tickview::serve::keeper::Keeper;
use tickview::serve::live::Live;
use tickview::serve::memory::{self, Size, Watch};
use tracing_subscriber::EnvFilter;

use commands::kafka::{KafkaFlags, KafkaTime};
use commands::produce::{self, Produce};
use commands::topics::{self, Topics};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Live SQL views of a trading desk's accounts.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the page, the WebSocket and the API.
    Serve(Serve),
    /// Publishes the embedded market, or a recording, to the topics of a Kafka cluster.
    Produce(Produce),
    /// Makes the topics of a Kafka cluster.
    Topics(Topics),
}

#[derive(Args)]
struct Serve {
    /// The address to listen on. Whoever reaches it sees every account: keep it on 127.0.0.1.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// `market` for the embedded market, `replay=DIR` for a directory of TOPIC.ndjson files,
    /// `kafka=HOST:PORT` for a Kafka cluster.
    #[arg(long, default_value = "market")]
    source: String,
    /// How many times faster than recorded a replay runs; as fast as it can where this is left out.
    #[arg(long)]
    speed: Option<f64>,
    /// After so many ticks the data stands still and is served on.
    #[arg(long)]
    stop_after_ticks: Option<u64>,
    /// Resident memory, such as 8GiB, beyond which a source is not begun, data stands still and no view is
    /// opened; where this is left out, what the machine or control group has, less an eighth.
    #[arg(long, value_name = "SIZE")]
    memory_limit: Option<Size>,
    /// Keeps checkpoints in this directory and starts from the last one there; for replays and Kafka.
    #[arg(long, value_name = "DIR")]
    checkpoint_dir: Option<PathBuf>,
    /// Seconds from one checkpoint to the next.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: u32,
    /// What time it is where the source is a Kafka cluster.
    #[arg(long, value_enum, default_value_t = KafkaTime::Arrival)]
    kafka_time: KafkaTime,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    market: MarketFlags,
}

/// The embedded market's size and pace. What is not given is of the scale.
#[derive(Args)]
struct MarketFlags {
    #[arg(long, value_enum, default_value_t = Scale::Default)]
    scale: Scale,
    /// The same seed gives the same market.
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long)]
    accounts: Option<u32>,
    /// Instruments each account holds; cash, and what it holds in two portfolios, come on top.
    #[arg(long)]
    holdings: Option<u32>,
    /// Orders of each account when the market opens.
    #[arg(long)]
    orders: Option<u32>,
    #[arg(long)]
    instruments: Option<u32>,
    #[arg(long)]
    prices_per_second: Option<u32>,
    #[arg(long)]
    orders_per_second: Option<u32>,
    /// Seconds from one rollover of the business day to the next; 0 for none.
    #[arg(long)]
    day_length_s: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scale {
    /// 1,000 accounts of 1,000 instruments and 2,000 orders: a million holdings, two million orders.
    Default,
    /// 5,000 accounts of 5,000 instruments and 10,000 orders: 25 million holdings, 50 million orders.
    Full,
}

impl Scale {
    fn config(self) -> MarketConfig {
        match self {
            Scale::Default => MarketConfig::default(),
            Scale::Full => MarketConfig::full(),
        }
    }
}

fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::Serve(flags) => serve(flags),
        Command::Produce(flags) => produce::run(&flags),
        Command::Topics(flags) => topics::run(&flags),
    }
}

fn serve(flags: Serve) -> Result<()> {
    let (engine, source, keeping) = begin(&flags)?;
    let limit = flags.memory_limit.or_else(|| memory::standard_limit(&memory::read_file));
    if let (Some(limit), Some(announced)) = (limit, source.announced()) {
        memory::admit(&announced, limit)?;
        tracing::info!(need = %memory::estimate(&announced), %limit, "the source fits into memory");
    }
    let source = Ahead::new(source).context("the system gives no thread for the source")?;
    let mut live = Live::new(engine, Box::new(source))?;
    if let Some(Keeping { checkpoints, origin, offsets }) = keeping {
        let every_us = i64::from(flags.checkpoint_every) * clock::SECOND_US;
        let keeper = Keeper::new(checkpoints, origin, every_us);
        live.keep(keeper.context("the system gives no thread for checkpoints")?, &offsets);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let options = Options { stop_after_ticks: flags.stop_after_ticks };
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(flags.listen).await.with_context(|| {
            format!("cannot listen on {}; choose another address with --listen", flags.listen)
        })?;
        let (handle, thread) = desk::start_within(live, options, limit.map(Watch::new))?;
        tracing::info!("listening on http://{}", listener.local_addr()?);
        http::serve(listener, handle, interrupted()).await?;
        if thread.join().is_err() {
            bail!("the engine's thread panicked; its message is above");
        }
        Ok(())
    })
}

/// Where checkpoints are kept, of what, and where that stands.
struct Keeping {
    checkpoints: Checkpoints,
    origin: Origin,
    offsets: Vec<TopicOffset>,
}

/// The engine and its source: as the last checkpoint has them, if there is one, else from the beginning.
fn begin(flags: &Serve) -> Result<(Engine, Box<dyn Source>, Option<Keeping>)> {
    let Some(dir) = &flags.checkpoint_dir else {
        let engine = Engine::new();
        let (source, _) = source(flags, &engine, None)?;
        return Ok((engine, source, None));
    };
    let checkpoints = Checkpoints::open(dir)?;
    let (engine, before) = match checkpoints.latest(&Arc::new(Schema::base()))? {
        None => (Engine::new(), None),
        Some(loaded) => {
            let manifest = loaded.manifest.clone();
            tracing::info!(epoch = manifest.epoch, "going on from a checkpoint");
            (Engine::restored(loaded)?, Some(manifest))
        }
    };
    let (source, origin) = source(flags, &engine, before.as_ref())?;
    let origin = origin.context("--checkpoint-dir goes with a replay or Kafka: a market begins anew")?;
    let offsets = before.map_or(Vec::new(), |before| before.offsets);
    Ok((engine, source, Some(Keeping { checkpoints, origin, offsets })))
}

/// The source behind what was applied before, and what tells it from others, where it can go on behind
/// something.
fn source(
    flags: &Serve,
    engine: &Engine,
    before: Option<&Manifest>,
) -> Result<(Box<dyn Source>, Option<Origin>)> {
    let dictionaries = engine.dictionaries().clone();
    let origin = |source: &str, identity: &str| -> Result<Origin> {
        let origin = Origin { source: source.to_owned(), identity: identity.to_owned() };
        match before.map(|before| &before.origin).filter(|before| **before != origin) {
            None => Ok(origin),
            Some(other) => bail!(
                "the checkpoints are of {} {}, not of {source} {identity}: name another --checkpoint-dir",
                other.source,
                other.identity
            ),
        }
    };
    if let Some(directory) = flags.source.strip_prefix("replay=") {
        let place =
            std::fs::canonicalize(directory).with_context(|| format!("there is no directory {directory}"))?;
        let origin = origin("replay", &place.display().to_string())?;
        let mut replay = Replay::open(&place, engine.schema(), dictionaries, flags.speed)?;
        if let Some(before) = before {
            replay.resume(&before.offsets, before.as_of)?;
        }
        return Ok((Box::new(replay), Some(origin)));
    }
    if let Some(bootstrap) = flags.source.strip_prefix("kafka=") {
        let mut settings = flags.kafka.source(bootstrap, flags.kafka_time, engine.schema())?;
        settings.resumed = before.map(|before| Resumed {
            cluster: before.origin.identity.clone(),
            offsets: before.offsets.clone(),
            time: before.as_of,
        });
        let kafka = Kafka::open(&settings, engine.schema(), dictionaries)?;
        let origin = origin("kafka", kafka.cluster())?;
        return Ok((Box::new(kafka), Some(origin)));
    }
    if flags.source != "market" {
        bail!("--source is {:?}; it must be market, replay=DIR or kafka=HOST:PORT", flags.source);
    }
    Ok((Box::new(Market::new(flags.market.config(), engine.schema(), dictionaries)), None))
}

impl MarketFlags {
    /// The market that opens now.
    fn config(&self) -> MarketConfig {
        let scale = self.scale.config();
        MarketConfig {
            seed: self.seed.unwrap_or(scale.seed),
            accounts: self.accounts.unwrap_or(scale.accounts),
            holdings_per_account: self.holdings.unwrap_or(scale.holdings_per_account),
            orders_per_account: self.orders.unwrap_or(scale.orders_per_account),
            instruments: self.instruments.unwrap_or(scale.instruments),
            prices_per_second: self.prices_per_second.unwrap_or(scale.prices_per_second),
            orders_per_second: self.orders_per_second.unwrap_or(scale.orders_per_second),
            day_length_s: self.day_length_s.unwrap_or(scale.day_length_s),
            start: clock::now(),
            ..scale
        }
    }
}

/// Ends when the process is asked to.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("a process may listen for its signals");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
