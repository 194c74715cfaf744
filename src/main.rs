//! The server binary: flags and wiring.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use tickview::clock;
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::replay::Replay;
use tickview::ingest::source::Source;
use tickview::schedule::Engine;
use tickview::serve::desk::{self, Options};
use tickview::serve::http;
use tickview::serve::live::Live;
use tracing_subscriber::EnvFilter;

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
}

#[derive(Args)]
struct Serve {
    /// The address to listen on. Whoever reaches it sees every account: keep it on 127.0.0.1.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// `market` for the embedded market, `replay=DIR` for a directory of TOPIC.ndjson files.
    #[arg(long, default_value = "market")]
    source: String,
    /// How many times faster than recorded a replay runs; as fast as it can where this is left out.
    #[arg(long)]
    speed: Option<f64>,
    /// After so many ticks the data stands still and is served on.
    #[arg(long)]
    stop_after_ticks: Option<u64>,
    #[command(flatten)]
    market: MarketFlags,
}

/// The embedded market's size and pace.
#[derive(Args)]
struct MarketFlags {
    /// The same seed gives the same market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 200)]
    accounts: u32,
    /// Holdings of each account.
    #[arg(long, default_value_t = 200)]
    holdings: u32,
    /// Orders of each account when the market opens.
    #[arg(long, default_value_t = 400)]
    orders: u32,
    #[arg(long, default_value_t = 1_000)]
    instruments: u32,
    #[arg(long, default_value_t = 500)]
    prices_per_second: u32,
    #[arg(long, default_value_t = 50)]
    orders_per_second: u32,
    /// Seconds from one rollover of the business day to the next; 0 for none.
    #[arg(long, default_value_t = 1_200)]
    day_length_s: u32,
}

fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::Serve(flags) => serve(flags),
    }
}

fn serve(flags: Serve) -> Result<()> {
    let engine = Engine::new();
    let source = source(&flags, &engine)?;
    let live = Live::new(engine, source)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(flags.listen).await.with_context(|| {
            format!("cannot listen on {}; choose another address with --listen", flags.listen)
        })?;
        let (handle, thread) = desk::start(live, Options { stop_after_ticks: flags.stop_after_ticks })?;
        tracing::info!("listening on http://{}", listener.local_addr()?);
        http::serve(listener, handle, interrupted()).await?;
        if thread.join().is_err() {
            bail!("the engine's thread panicked; its message is above");
        }
        Ok(())
    })
}

fn source(flags: &Serve, engine: &Engine) -> Result<Box<dyn Source>> {
    let dictionaries = engine.dictionaries().clone();
    if let Some(directory) = flags.source.strip_prefix("replay=") {
        let directory = PathBuf::from(directory);
        return Ok(Box::new(Replay::open(&directory, engine.schema(), dictionaries, flags.speed)?));
    }
    if flags.source != "market" {
        bail!("--source is {:?}; it must be market or replay=DIR", flags.source);
    }
    let market = &flags.market;
    let config = MarketConfig {
        seed: market.seed,
        accounts: market.accounts,
        holdings_per_account: market.holdings,
        orders_per_account: market.orders,
        instruments: market.instruments,
        prices_per_second: market.prices_per_second,
        orders_per_second: market.orders_per_second,
        day_length_s: market.day_length_s,
        start: clock::now(),
        ..MarketConfig::default()
    };
    Ok(Box::new(Market::new(config, engine.schema(), dictionaries)))
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
