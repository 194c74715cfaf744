//! The cases that run a server: its engine's thread, its sockets and clients of it, all in this process.
//!
//! The engine's source is fed slices, each a hundredth of a second of the market and of a record time of its
//! own. An epoch's time is that of the newest slice in it, so the time on a patch tells which slices it
//! shows. A client notes when a frame has arrived and how it begins, acknowledges it and keeps it; frames are
//! read when all is over, and what they add up to is held against a recomputation from the rows.
//!
//! Clients run on a thread of their own, and take their share of the machine; the peak of memory counts the
//! frames they keep.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use foldhash::fast::FixedState;
use tickview::clock::Timestamp;
use tickview::datum::{Datum, NULL};
use tickview::delta::Changes;
use tickview::diff::{Subscription, ViewModel, Window};
use tickview::error::Result as EngineResult;
use tickview::ingest::source::{Cut, Source};
use tickview::limits::{TICK_WINDOW_MS, WINDOW_ROWS_MAX};
use tickview::serve::desk::{self, DeskHandle, Options as DeskOptions};
use tickview::serve::http;
use tickview::serve::live::Live;
use tickview::serve::protocol::{
    Ack, AsOf, ClientMessage, Head, Hello, Open, Positions, ServerMessage, Spec, VERSION, snapshot_body,
    time_text,
};
use tickview::table::snapshot::Snapshot;
use tickview::view::audit::audit;
use tickview::view::result::ViewResult;
use tickview::view::spec::ViewSpec;
use tickview::view::tree::Tree;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::case::{Case, Options, Work};
use crate::check::difference;
use crate::client::Client;
use crate::data::Data;
use crate::machine::peak_mb;
use crate::report::{Report, Times};
use crate::run::measured;
use crate::wire;
use crate::world::World;

/// How much of the market one slice is: a hundredth of a second.
const SLICE: Duration = Duration::from_millis(10);
/// Of a second's prices and order events, a slice has one in so many.
const SLICES_A_SECOND: usize = 100;
const ORDER_EVENTS_A_SECOND: usize = 1_000;
/// How long a client waits for a frame that has to come.
const PATIENCE: Duration = Duration::from_secs(60);
const VIEW: &str = "v";

/// Runs a case that has clients.
///
/// # Errors
/// Where a client does not hold what recomputation says.
pub fn run(case: &Case, options: &Options, data: Data) -> Result<Report> {
    let clients = case.clients(options).context("the case has clients")?;
    ensure_sockets(clients)?;
    let served = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut report = measured(case, options, &data, &data.times, 0.0);
    let Data { engine, mut world, size, .. } = data;
    let feed = Feed::new(world.now());
    let live = Live::new(engine, Box::new(feed.clone()))?;
    let (desk, thread) = desk::start(live, DeskOptions::default())?;
    let (end, ended) = oneshot::channel::<()>();
    let listener = served.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let serving = served.spawn(http::serve(listener, desk.clone(), async { drop(ended.await) }));

    let views = report.views;
    let each = size.accounts / views;
    let specs: Vec<ViewSpec> =
        (0..views).map(|view| case.spec(view * each..(view + 1) * each, size.accounts)).collect();
    let iterations = case.iterations(options);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = match case.work {
        Work::EndToEnd => end_to_end(&runtime, address, &specs, &feed, &mut world, iterations),
        _ => fan_out(&runtime, address, &specs[0], clients, &feed, &mut world, iterations),
    };
    report.rss_mb = peak_mb()?;
    let checked = done.and_then(|(times, readers)| {
        let snapshot = runtime.block_on(desk.snapshot())?.context("the engine is not ready")?;
        match case.work {
            Work::EndToEnd => check_each(&readers, &specs, &snapshot)?,
            _ => check_alike(&readers, &specs[0], &snapshot)?,
        }
        Ok((times, readers.len()))
    });

    // The server ends in any case, and what went wrong before is what is told.
    let ended = stop(&served, end, desk, serving, thread);
    let (times, readers) = checked?;
    ended?;
    report.iterations = times.len();
    report.p50_us = times.percentile_us(50);
    report.p99_us = times.percentile_us(99);
    report.max_us = times.percentile_us(100);
    report.checked = match case.work {
        Work::EndToEnd => format!("what each of {readers} clients held at the end"),
        _ => format!("what one client held at the end, and that {readers} were sent the same"),
    };
    Ok(report)
}

fn stop(
    served: &Runtime,
    end: oneshot::Sender<()>,
    desk: DeskHandle,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    thread: std::thread::JoinHandle<()>,
) -> Result<()> {
    // A server that is gone has ended already, and says why below.
    let _ = end.send(());
    served.block_on(serving)??;
    drop(desk);
    ensure!(thread.join().is_ok(), "the engine's thread panicked; its message is above");
    Ok(())
}

/// Both ends of each socket are in this process.
fn ensure_sockets(clients: usize) -> Result<()> {
    let needed = 2 * clients + 64;
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let allowed = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    ensure!(
        allowed.is_none_or(|allowed| allowed >= needed),
        "{clients} clients need {needed} open files and {} are allowed; raise it with `ulimit -n {needed}`",
        allowed.unwrap_or(0)
    );
    Ok(())
}

/// A source that is handed its records by whoever has the other end.
#[derive(Clone)]
struct Feed {
    slices: Arc<Mutex<Slices>>,
}

struct Slices {
    waiting: Vec<Changes>,
    /// Record time of the newest slice.
    newest: Timestamp,
    /// When the engine last took slices, and the newest of them.
    taken: (Timestamp, Instant),
}

impl Feed {
    fn new(now: Timestamp) -> Feed {
        let slices = Slices { waiting: Vec::new(), newest: now, taken: (now, Instant::now()) };
        Feed { slices: Arc::new(Mutex::new(slices)) }
    }

    /// Hands a slice over and says when.
    fn hand_over(&self, time: Timestamp, changes: Vec<Changes>) -> Instant {
        let mut slices = self.slices.lock().expect("the engine's thread did not panic here");
        slices.waiting.extend(changes);
        slices.newest = time;
        Instant::now()
    }

    /// When the engine took the slice of this time.
    fn taken(&self, time: Timestamp) -> Option<Instant> {
        let (newest, at) = self.slices.lock().expect("as above").taken;
        (newest == time).then_some(at)
    }
}

impl Source for Feed {
    fn cut(&mut self, _: Timestamp, _: usize) -> EngineResult<Cut> {
        let mut slices = self.slices.lock().expect("whoever feeds it does not panic here");
        let changes = std::mem::take(&mut slices.waiting);
        if !changes.is_empty() {
            slices.taken = (slices.newest, Instant::now());
        }
        Ok(Cut { changes, record_time_max: Some(slices.newest), caught_up: true, ..Cut::default() })
    }
}

/// A hundredth of a second of prices and order events.
fn slice(world: &mut World) -> (Timestamp, Vec<Changes>) {
    let time = world.step();
    let prices = world.instruments().div_ceil(SLICES_A_SECOND);
    (time, vec![world.some_prices(prices), world.order_rows(ORDER_EVENTS_A_SECOND / SLICES_A_SECOND)])
}

/// What a client was sent.
struct Reader {
    /// Which of the case's views it reads.
    view: usize,
    frames: Vec<Arrived>,
    /// The hash of every text that was sent, one after the other.
    sent: u64,
}

impl Reader {
    fn take(&mut self, frame: Arrived) {
        self.sent = HASHER.hash_one((self.sent, &frame.text));
        self.frames.push(frame);
    }
}

const HASHER: FixedState = FixedState::with_seed(0);

struct Arrived {
    at: Instant,
    /// The record time that the frame shows, as it writes it.
    time: String,
    text: String,
}

/// A client of one view that has its first snapshot.
async fn reader(address: SocketAddr, view: usize, spec: &ViewSpec) -> Result<(Client, Reader)> {
    let mut client = Client::connect(address).await?;
    let hello = Hello { protocol: VERSION, client_id: "bench".to_owned(), accept: None, resume: None };
    let window = Positions { from: 0, to: WINDOW_ROWS_MAX };
    let spec = Spec::from(spec);
    let open = Open { view_id: VIEW.to_owned(), view_version: 1, spec, window };
    for message in [ClientMessage::Hello(hello), ClientMessage::Open(open)] {
        client.say(&serde_json::to_string(&message)?).await?;
    }
    let first = next(&mut client).await?;
    ensure!(first.text.starts_with(SNAPSHOT), "a view begins with a snapshot, not {}", first.text);
    let mut reader = Reader { view, frames: Vec::new(), sent: 0 };
    reader.take(first);
    Ok((client, reader))
}

const SNAPSHOT: &str = r#"{"type":"snapshot""#;
const PATCH: &str = r#"{"type":"patch""#;

/// The next snapshot or patch, which it acknowledges.
async fn next(client: &mut Client) -> Result<Arrived> {
    loop {
        let text = tokio::time::timeout(PATIENCE, client.hear()).await.context("a frame does not come")??;
        let at = Instant::now();
        if text.starts_with(r#"{"type":"reject""#) || text.starts_with(r#"{"type":"bye""#) {
            bail!("the server said {text}");
        }
        if !text.starts_with(SNAPSHOT) && !text.starts_with(PATCH) {
            continue;
        }
        let after = |mark: &str, end: char| {
            let from = text.find(mark)? + mark.len();
            Some(&text[from..from + text[from..].find(end)?])
        };
        let seq = after(r#""seq":"#, ',').and_then(|seq| seq.parse().ok()).context("a frame has a number")?;
        let time = after(r#""time":""#, '"').context("a frame has a time")?.to_owned();
        let ack = ClientMessage::Ack(Ack { view_id: VIEW.to_owned(), seq });
        client.say(&serde_json::to_string(&ack)?).await?;
        return Ok(Arrived { at, time, text });
    }
}

/// Feeds the source at its own pace while a client of each view reads, and times every slice at every client.
fn end_to_end(
    clients: &Runtime,
    address: SocketAddr,
    specs: &[ViewSpec],
    feed: &Feed,
    world: &mut World,
    slices: usize,
) -> Result<(Times, Vec<Reader>)> {
    // The last slice has every price, so that every view shows it.
    let last = time_text(world.now() + slices as i64 * SLICE.as_micros() as i64);
    let mut reading = JoinSet::new();
    for (view, spec) in specs.iter().enumerate() {
        let (mut client, mut reader) = clients.block_on(reader(address, view, spec))?;
        let last = last.clone();
        let read = async move {
            while reader.frames.last().is_none_or(|frame| frame.time != last) {
                reader.take(next(&mut client).await?);
            }
            anyhow::Ok(reader)
        };
        reading.spawn_on(read, clients.handle());
    }
    let (handed, readers) = std::thread::scope(|scope| {
        let feeding = scope.spawn(|| {
            let started = Instant::now();
            let mut handed = Vec::with_capacity(slices);
            for number in 1..=slices {
                let (time, mut changes) = slice(world);
                if number == slices {
                    changes.extend(world.all_prices().changes);
                }
                std::thread::sleep((SLICE * number as u32).saturating_sub(started.elapsed()));
                handed.push((time_text(time), feed.hand_over(time, changes)));
            }
            handed
        });
        let readers = clients.block_on(async {
            let mut readers = Vec::new();
            while let Some(reader) = reading.join_next().await {
                readers.push(reader??);
            }
            anyhow::Ok(readers)
        });
        (feeding.join().expect("feeding does not panic"), readers)
    });
    let readers = readers?;
    let number: HashMap<&str, usize> =
        handed.iter().enumerate().map(|(number, (time, _))| (time.as_str(), number)).collect();
    let mut times = Times::default();
    // The first tenth warms up.
    let counted = slices / 10;
    for reader in &readers {
        let mut shown = 0;
        for frame in &reader.frames {
            let Some(&newest) = number.get(frame.time.as_str()) else { continue };
            for (_, at) in handed.iter().take(newest + 1).skip(shown.max(counted)) {
                times.add(frame.at.saturating_duration_since(*at));
            }
            shown = newest + 1;
        }
    }
    Ok((times, readers))
}

/// Feeds one slice a tick and times it from the engine's taking it to its arrival at the last client.
fn fan_out(
    clients: &Runtime,
    address: SocketAddr,
    spec: &ViewSpec,
    count: usize,
    feed: &Feed,
    world: &mut World,
    ticks: usize,
) -> Result<(Times, Vec<Reader>)> {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let mut reading = JoinSet::new();
    for number in 0..count {
        let (mut client, mut reader) = clients.block_on(reader(address, 0, spec))?;
        let arrived = arrived.clone();
        let read = async move {
            for _ in 0..ticks {
                let frame = next(&mut client).await?;
                // Whoever counts them has failed and says why.
                let _ = arrived.send((frame.at, frame.time.clone()));
                reader.take(frame);
                // What a thousand clients were sent is a gigabyte; the first one keeps it.
                if number > 0 {
                    reader.frames.clear();
                }
            }
            anyhow::Ok(reader)
        };
        reading.spawn_on(read, clients.handle());
    }
    drop(arrived);
    let mut times = Times::default();
    clients.block_on(async {
        for _ in 0..ticks {
            let (time, changes) = slice(world);
            tokio::time::sleep(Duration::from_millis(TICK_WINDOW_MS)).await;
            feed.hand_over(time, changes);
            let mut last = None;
            for _ in 0..count {
                let arrival = tokio::time::timeout(PATIENCE, arrivals.recv()).await;
                let (at, shown) = arrival.context("a client waits")?.context("a client failed")?;
                ensure!(shown == time_text(time), "a client was sent {shown} in the tick of another slice");
                last = last.max(Some(at));
            }
            let taken = feed.taken(time).context("the engine took another slice meanwhile")?;
            times.add(last.context("there are clients")?.saturating_duration_since(taken));
        }
        let mut readers = Vec::new();
        while let Some(reader) = reading.join_next().await {
            readers.push(reader??);
        }
        Ok((times, readers))
    })
}

/// Holds what each client has at the end against a recomputation.
fn check_each(readers: &[Reader], specs: &[ViewSpec], snapshot: &Arc<Snapshot>) -> Result<()> {
    ensure!(readers.len() == specs.len(), "{} views have {} clients", specs.len(), readers.len());
    readers.iter().try_for_each(|reader| Expected::of(&specs[reader.view], snapshot)?.hold(reader))
}

/// Holds what one client has at the end against a recomputation, and what all were sent against that.
fn check_alike(readers: &[Reader], spec: &ViewSpec, snapshot: &Arc<Snapshot>) -> Result<()> {
    let first = readers.iter().find(|reader| !reader.frames.is_empty()).context("one client keeps frames")?;
    let alike = readers.iter().all(|reader| reader.sent == first.sent);
    ensure!(alike, "clients of one view were sent other frames");
    Expected::of(spec, snapshot)?.hold(first)
}

/// A recomputation as the wire writes it.
struct Expected {
    view: Tree,
    text: String,
}

impl Expected {
    fn of(spec: &ViewSpec, snapshot: &Arc<Snapshot>) -> Result<Expected> {
        let view = audit(snapshot, spec)?;
        let mut held = Subscription::new(Window::ALL);
        held.load(&view);
        let as_of = AsOf { epoch: snapshot.epoch, time: snapshot.as_of };
        let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
        let mut text = Head { view_id: VIEW, view_version: 1, seq: 1 }.snapshot();
        snapshot_body(&held, as_of, view.columns(), &dictionaries, &mut text);
        drop(dictionaries);
        Ok(Expected { view, text })
    }

    fn hold(&self, reader: &Reader) -> Result<()> {
        let mut texts = Texts::default();
        let ServerMessage::Snapshot(frame) = ServerMessage::parse(&self.text)? else {
            bail!("a snapshot was written otherwise");
        };
        let expected =
            wire::snapshot(frame.size, frame.from, &frame.rows, &frame.total, &mut |text| texts.read(text));
        let mut model: Option<ViewModel> = None;
        for frame in &reader.frames {
            match ServerMessage::parse(&frame.text)? {
                ServerMessage::Snapshot(frame) => {
                    let (rows, total) = (&frame.rows, &frame.total);
                    let read =
                        wire::snapshot(frame.size, frame.from, rows, total, &mut |text| texts.read(text));
                    model = Some(ViewModel::new(read));
                }
                ServerMessage::Patch(frame) => {
                    let patch = wire::patch(&frame, &mut |text| texts.read(text));
                    let model = model.as_mut().context("a patch came before a snapshot")?;
                    model.apply(&patch).context("a patch that fits no client")?;
                }
                other => bail!("a reader keeps no {other:?}"),
            }
        }
        let model = model.context("a client has a snapshot")?;
        match difference(model.held(), &expected, self.view.columns()) {
            None => Ok(()),
            // Texts have numbers here, which say that two are not the same and nothing else.
            Some(difference) => bail!("the client of view {}: {difference}", reader.view),
        }
    }
}

/// Numbers the texts of values: what is written alike is alike.
#[derive(Default)]
struct Texts {
    texts: HashMap<String, Datum>,
}

impl Texts {
    fn read(&mut self, text: Option<&str>) -> Datum {
        let Some(text) = text else { return NULL };
        let next = self.texts.len() as Datum;
        *self.texts.entry(text.to_owned()).or_insert(next)
    }
}
