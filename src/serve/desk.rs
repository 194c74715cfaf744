//! The one thread that owns the engine and all that clients hold of it.
//!
//! It waits for messages until the next tick is due, and never for a client: frames go into bounded
//! queues, and a socket whose queue is full is closed, its session waiting to be resumed. What comes
//! in waits in one bounded queue, which holds back the sockets and not this thread.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, oneshot};

use super::loading::Loading;
use super::memory::{RESUME_PERCENT, Watch};
use super::metrics;
use super::pace::Pace;
use super::protocol::{ClientMessage, Query, Reject};
use super::session::{Frame, Outlet, Sessions, SocketId, Turn};
use super::views::{Halted, Ticking};
use crate::catalog::{Catalog, Status};
use crate::clock::{self, SECOND_US, Timestamp};
use crate::limits::{INBOX_MESSAGES_MAX, SOCKET_FRAMES_MAX};
use crate::table::snapshot::Snapshot;
use crate::view::planning::Planned;
use crate::view::spec::ViewSpec;

/// How often heartbeats, silent sockets and the like are looked after.
const TEND_US: i64 = SECOND_US / 4;
const GAUGES_US: i64 = SECOND_US;
/// How long views that are opening may take between two ticks: a tick that falls due waits that long at most,
/// and for what was begun just before.
const OPENING_US_MAX: i64 = SECOND_US / 80;
/// How long after a broken source it is asked again.
const RETRY_US: i64 = SECOND_US;
/// Messages taken in a row before the tick is looked at again.
const MESSAGES_A_TURN: usize = 256;
/// Frames of a socket's queue kept free for answers that cannot be put off.
const RESERVED_FRAMES: usize = SOCKET_FRAMES_MAX / 4;

/// As the page says it.
const HALTED_REASON: &str = "memory limit reached";

#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// After so many ticks that changed something the sources are asked no more: the data stands
    /// still and is served on. For tests and demonstrations.
    pub stop_after_ticks: Option<u64>,
}

type Received = Result<ClientMessage, Reject>;

enum Message {
    Connected(SocketId, mpsc::Sender<Frame>),
    Received(SocketId, Received),
    Disconnected(SocketId),
    /// What a socket's view waits for is compiled, or was tried in vain.
    Planned(SocketId, Option<Box<Planned>>),
    Catalog(oneshot::Sender<Catalog>),
    Snapshot(oneshot::Sender<Option<Arc<Snapshot>>>),
    ShutDown,
}

/// How everything else talks to the desk.
#[derive(Clone)]
pub struct DeskHandle {
    inbox: mpsc::Sender<Message>,
    status: Arc<ArcSwap<Status>>,
    halted: Arc<ArcSwapOption<Halted>>,
    sockets_made: Arc<AtomicU64>,
    /// The catalogue last built and when, since building it takes the desk's time.
    catalog: Arc<Mutex<Option<(Timestamp, Arc<Catalog>)>>>,
}

/// The desk is gone, and with it the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine's thread has ended")]
pub struct Gone;

/// A socket's end of its queues.
pub(super) struct Line {
    pub id: SocketId,
    /// Ends where the desk closes the socket.
    pub frames: mpsc::Receiver<Frame>,
}

impl DeskHandle {
    /// The engine's state as of the last tick.
    pub fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// Why and since when data stands still, if it does.
    pub fn halted(&self) -> Option<Arc<Halted>> {
        self.halted.load_full()
    }

    /// What there is to ask for; at most a second old.
    ///
    /// # Errors
    /// Where the desk is gone.
    pub async fn catalog(&self) -> Result<Arc<Catalog>, Gone> {
        let now = clock::now();
        let known = self.catalog.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((built_at, catalog)) = known
            && (0..SECOND_US).contains(&(now - built_at))
            && catalog.status.ready
        {
            return Ok(catalog);
        }
        let (answer, catalog) = oneshot::channel();
        self.inbox.send(Message::Catalog(answer)).await.map_err(|_| Gone)?;
        let catalog = Arc::new(catalog.await.map_err(|_| Gone)?);
        *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&catalog)));
        Ok(catalog)
    }

    /// The committed state that clients are shown, or none while there is no consistent one.
    ///
    /// # Errors
    /// Where the desk is gone.
    pub async fn snapshot(&self) -> Result<Option<Arc<Snapshot>>, Gone> {
        let (answer, snapshot) = oneshot::channel();
        self.inbox.send(Message::Snapshot(answer)).await.map_err(|_| Gone)?;
        snapshot.await.map_err(|_| Gone)
    }

    /// Asks the desk to say goodbye to its clients and to end.
    pub async fn shut_down(&self) {
        // A desk that is gone has nothing to end.
        let _ = self.inbox.send(Message::ShutDown).await;
    }

    pub(super) async fn connect(&self) -> Result<Line, Gone> {
        let id = self.sockets_made.fetch_add(1, Ordering::Relaxed);
        let (sender, frames) = mpsc::channel(SOCKET_FRAMES_MAX);
        self.inbox.send(Message::Connected(id, sender)).await.map_err(|_| Gone)?;
        Ok(Line { id, frames })
    }

    pub(super) async fn receive(
        &self,
        socket: SocketId,
        message: Result<ClientMessage, Reject>,
    ) -> Result<(), Gone> {
        self.inbox.send(Message::Received(socket, message)).await.map_err(|_| Gone)
    }

    pub(super) async fn disconnect(&self, socket: SocketId) {
        // A desk that is gone holds no sockets.
        let _ = self.inbox.send(Message::Disconnected(socket)).await;
    }
}

/// As [`start_within`], however much memory it takes.
///
/// # Errors
/// Where the system gives no thread or timer.
pub fn start<E>(engine: E, options: Options) -> std::io::Result<(DeskHandle, JoinHandle<()>)>
where
    E: Ticking + Send + 'static,
{
    start_within(engine, options, None)
}

/// Starts the thread. It ends at [`DeskHandle::shut_down`], or when every handle is gone.
///
/// # Errors
/// Where the system gives no thread or timer.
pub fn start_within<E>(
    engine: E,
    options: Options,
    memory: Option<Watch>,
) -> std::io::Result<(DeskHandle, JoinHandle<()>)>
where
    E: Ticking + Send + 'static,
{
    // Before the first tick: what is counted without a registry is lost.
    metrics::registry();
    let (inbox, messages) = mpsc::channel(INBOX_MESSAGES_MAX);
    let status = Arc::new(ArcSwap::from_pointee(engine.status()));
    let halted = Arc::new(ArcSwapOption::empty());
    let timer = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let desk = Desk {
        inbox: inbox.downgrade(),
        held: HashMap::new(),
        engine,
        options,
        memory,
        loading: Some(Loading::of_stderr()),
        sessions: Sessions::new(token),
        sockets: Queues::default(),
        status: Arc::clone(&status),
        halted_shared: Arc::clone(&halted),
        pace: Pace::default(),
        ticks: 0,
        current_at: clock::now(),
        tended_at: 0,
        gauged_at: 0,
        retry_at: 0,
    };
    let run = move || timer.block_on(desk.run(messages));
    let thread = std::thread::Builder::new().name("desk".to_owned()).spawn(run)?;
    let handle = DeskHandle { inbox, status, halted, sockets_made: Arc::default(), catalog: Arc::default() };
    Ok((handle, thread))
}

/// 128 random bits, so that nobody takes over another's session by guessing.
fn token() -> String {
    let mut random = rand::rngs::SysRng;
    let mut bits = [0u8; 16];
    rand::TryRng::try_fill_bytes(&mut random, &mut bits).expect("the system gives random numbers");
    format!("{:032x}", u128::from_le_bytes(bits))
}

struct Desk<E> {
    /// Where other threads answer it.
    inbox: mpsc::WeakSender<Message>,
    /// What came from sockets whose view is being compiled, in its order.
    held: HashMap<SocketId, VecDeque<Received>>,
    engine: E,
    options: Options,
    memory: Option<Watch>,
    /// Until the engine is ready.
    loading: Option<Loading>,
    sessions: Sessions,
    sockets: Queues,
    status: Arc<ArcSwap<Status>>,
    /// As handles read it.
    halted_shared: Arc<ArcSwapOption<Halted>>,
    pace: Pace,
    /// Ticks that changed something.
    ticks: u64,
    /// When everything that had arrived was last published.
    current_at: Timestamp,
    tended_at: Timestamp,
    gauged_at: Timestamp,
    retry_at: Timestamp,
}

impl<E: Ticking> Desk<E> {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        loop {
            self.tick();
            self.advance();
            self.look_after();
            let wait_us = if self.engine.is_opening() { 0 } else { self.wait_us(clock::now()) };
            match timeout(wait_us, messages.recv()).await {
                None => {}
                Some(None | Some(Message::ShutDown)) => break,
                Some(Some(message)) => {
                    self.take(message);
                    for _ in 1..MESSAGES_A_TURN {
                        match messages.try_recv() {
                            Ok(Message::ShutDown) => return self.shut_down(),
                            Ok(message) => self.take(message),
                            Err(_) => break,
                        }
                    }
                }
            }
            self.give_up_full();
        }
        self.shut_down();
    }

    fn stopped(&self) -> bool {
        self.options.stop_after_ticks.is_some_and(|ticks| self.ticks >= ticks)
    }

    /// Why and since when sources wait, if they do.
    fn halted(&self) -> Option<Halted> {
        let since = self.memory.as_ref()?.halted_since()?;
        Some(Halted { reason: HALTED_REASON, since })
    }

    fn wait_us(&self, now: Timestamp) -> i64 {
        let tend = (self.tended_at + TEND_US - now).clamp(0, TEND_US);
        if self.stopped() || self.halted().is_some() {
            tend
        } else {
            tend.min(self.pace.wait_us(now).max(self.retry_at - now)).max(0)
        }
    }

    fn tick(&mut self) {
        let start = clock::now();
        if self.stopped() || self.halted().is_some() || start < self.retry_at || self.pace.wait_us(start) > 0
        {
            return;
        }
        self.retry_at = 0;
        let tick = match self.engine.tick(start) {
            Ok(tick) => tick,
            Err(error) => {
                tracing::error!(%error, "a tick failed; the state before it is served on");
                metrics::record_tick_error();
                self.retry_at = start + RETRY_US;
                return;
            }
        };
        let evaluated = clock::now();
        if tick.changed {
            self.ticks += 1;
            self.status.store(Arc::new(self.engine.status()));
            let lag_ms = self.lag_ms(evaluated);
            self.sessions.publish(&mut turn(&mut self.engine, &mut self.sockets, evaluated, lag_ms, None));
            self.give_up_full();
        }
        let end = clock::now();
        if tick.changed {
            let us = |from: Timestamp| (end - from).max(0) as u64;
            metrics::record_tick(&tick, us(evaluated), us(start));
        }
        if !tick.more {
            self.current_at = start;
        }
        match (tick.changed, tick.more) {
            (_, true) => self.pace.behind(end),
            (true, false) => self.pace.worked(start, end),
            (false, false) => self.pace.idle(end),
        }
    }

    /// Works on views that are opening, a little between any two ticks, and shows those that are done.
    fn advance(&mut self) {
        if !self.engine.is_opening() {
            return;
        }
        let start = clock::now();
        let mut shown = false;
        while self.engine.is_opening() && (0..OPENING_US_MAX).contains(&(clock::now() - start)) {
            match self.engine.advance() {
                Ok(opened) => shown |= opened,
                Err(error) => {
                    shown = true;
                    tracing::error!(%error, "a view cannot be computed; it shows no numbers");
                }
            }
        }
        if !shown {
            return;
        }
        let now = clock::now();
        let (lag_ms, halted) = (self.lag_ms(now), self.halted());
        self.sessions.publish(&mut turn(&mut self.engine, &mut self.sockets, now, lag_ms, halted));
        self.give_up_full();
    }

    /// Time since everything that had arrived was on its way.
    ///
    /// Less the batching window, since a reader cares for what is late beyond it; data that stands
    /// still on purpose lags behind nothing.
    fn lag_ms(&self, now: Timestamp) -> u64 {
        let window_us = crate::limits::TICK_WINDOW_MS as i64 * 1_000;
        if self.stopped() { 0 } else { ((now - self.current_at - window_us).max(0) / 1_000) as u64 }
    }

    fn look_after(&mut self) {
        let now = clock::now();
        if (0..TEND_US).contains(&(now - self.tended_at)) {
            return;
        }
        self.tended_at = now;
        self.tell_loading(now);
        let (lag_ms, halted) = (self.lag_ms(now), self.halted());
        self.sessions.tend(&mut turn(&mut self.engine, &mut self.sockets, now, lag_ms, halted));
        self.give_up_full();
        if (0..GAUGES_US).contains(&(now - self.gauged_at)) {
            return;
        }
        self.gauged_at = now;
        self.watch_memory(now);
        self.status.store(Arc::new(self.engine.status()));
        metrics::record_traffic(self.sessions.take_traffic());
        let load = metrics::Load {
            epoch: self.engine.epoch(),
            ready: self.engine.ready(),
            views: self.sessions.views(),
            sessions: self.sessions.sessions(),
            sockets: self.sockets.queues.len(),
            memory: self
                .memory
                .as_ref()
                .map(|memory| (memory.resident().0, memory.limit().0, memory.halted_since().is_some())),
        };
        metrics::record_gauges(&load, self.engine.gauges(now));
    }

    fn tell_loading(&mut self, now: Timestamp) {
        let Some(loading) = &mut self.loading else { return };
        if self.engine.ready() {
            loading.end();
            self.loading = None;
            tracing::info!("loaded");
        } else {
            loading.tell(now, &self.engine.progress());
        }
    }

    /// Lets sources wait while more is resident than may be, and tells everyone when that begins and ends.
    fn watch_memory(&mut self, now: Timestamp) {
        let Some(memory) = &mut self.memory else { return };
        if !memory.look(now) {
            return;
        }
        let (resident, limit) = (memory.resident(), memory.limit());
        match memory.halted_since() {
            Some(_) => tracing::warn!(
                %resident,
                %limit,
                "{HALTED_REASON}: data stands still and no view is opened until less than {RESUME_PERCENT} % of it \
                 is resident; close views, load fewer accounts or raise --memory-limit"
            ),
            None => tracing::info!(%resident, %limit, "below the memory limit again: data moves on"),
        }
        let (lag_ms, halted) = (self.lag_ms(now), self.halted());
        self.halted_shared.store(halted.map(Arc::new));
        self.sessions.beat(&mut turn(&mut self.engine, &mut self.sockets, now, lag_ms, halted));
    }

    fn take(&mut self, message: Message) {
        let now = clock::now();
        match message {
            Message::Connected(socket, queue) => {
                self.sockets.queues.insert(socket, queue);
                self.sessions.connect(socket, now);
            }
            Message::Received(socket, message) => match self.held.get_mut(&socket) {
                Some(held) => held.push_back(message),
                None => self.receive_all(socket, VecDeque::from([message])),
            },
            Message::Planned(socket, planned) => {
                let Some(mut held) = self.held.remove(&socket) else { return };
                match planned {
                    Some(planned) => self.engine.admit(*planned),
                    // Opening the view says what is wrong.
                    None => held.pop_front().into_iter().for_each(|message| self.receive(socket, message)),
                }
                self.receive_all(socket, held);
            }
            Message::Disconnected(socket) => {
                self.held.remove(&socket);
                self.sockets.queues.remove(&socket);
                self.sessions.disconnect(socket, now);
            }
            // Whoever asked may have gone since.
            Message::Catalog(answer) => drop(answer.send(self.engine.catalog())),
            Message::Snapshot(answer) => drop(answer.send(self.engine.snapshot())),
            Message::ShutDown => unreachable!("the loop ends at it"),
        }
    }

    /// Takes a socket's messages up to one that asks for a view which is to be compiled first: that is done on
    /// a thread of its own, and what came after it waits, too.
    fn receive_all(&mut self, socket: SocketId, mut messages: VecDeque<Received>) {
        while let Some(message) = messages.front() {
            let planning = message.as_ref().ok().and_then(asked).and_then(|spec| self.engine.planning(&spec));
            if let (Some(planning), Some(inbox)) = (planning, self.inbox.upgrade()) {
                let run = move || {
                    let planned = planning.run().ok().map(Box::new);
                    // A desk that is gone waits for nothing.
                    let _ = inbox.blocking_send(Message::Planned(socket, planned));
                };
                if std::thread::Builder::new().name("plan".to_owned()).spawn(run).is_ok() {
                    self.held.insert(socket, messages);
                    return;
                }
            }
            let message = messages.pop_front().expect("it was just seen");
            self.receive(socket, message);
        }
    }

    fn receive(&mut self, socket: SocketId, message: Received) {
        let (now, halted) = (clock::now(), self.halted());
        let lag_ms = self.lag_ms(now);
        let mut turn = turn(&mut self.engine, &mut self.sockets, now, lag_ms, halted);
        self.sessions.receive(socket, message, &mut turn);
    }

    /// Gives up sockets that could not take an answer; their sessions wait for them.
    fn give_up_full(&mut self) {
        for socket in std::mem::take(&mut self.sockets.full) {
            tracing::warn!(socket, "a socket's queue is full; it is closed");
            self.held.remove(&socket);
            self.sockets.queues.remove(&socket);
            self.sessions.disconnect(socket, clock::now());
        }
    }

    fn shut_down(mut self) {
        let now = clock::now();
        self.loading.iter_mut().for_each(Loading::end);
        self.sessions.shut_down(&mut turn(&mut self.engine, &mut self.sockets, now, 0, None));
    }
}

/// The view that a message asks for, where it can be one.
fn asked(message: &ClientMessage) -> Option<ViewSpec> {
    let spec = match message {
        ClientMessage::Open(open) => &open.spec,
        ClientMessage::Change(change) => &change.spec,
        _ => return None,
    };
    match spec.clone().query() {
        Ok(Query::View(spec)) => Some(spec),
        Ok(Query::Sql(_)) | Err(_) => None,
    }
}

fn turn<'a>(
    engine: &'a mut dyn super::views::Views,
    sockets: &'a mut Queues,
    now: Timestamp,
    lag_ms: u64,
    halted: Option<Halted>,
) -> Turn<'a> {
    Turn { now, lag_ms, halted, views: engine, outlet: sockets }
}

/// The queues to the sockets.
#[derive(Default)]
struct Queues {
    queues: HashMap<SocketId, mpsc::Sender<Frame>>,
    /// Sockets that could not take a frame.
    full: Vec<SocketId>,
}

impl Outlet for Queues {
    fn room(&self, socket: SocketId) -> usize {
        self.queues.get(&socket).map_or(0, |queue| queue.capacity().saturating_sub(RESERVED_FRAMES))
    }

    fn send(&mut self, socket: SocketId, frame: Frame) {
        let Some(queue) = self.queues.get(&socket) else { return };
        if queue.try_send(frame).is_err() {
            self.full.push(socket);
        }
    }

    fn close(&mut self, socket: SocketId) {
        self.queues.remove(&socket);
    }
}

/// What comes of a future in time, else `None`.
async fn timeout<T>(wait_us: i64, future: impl Future<Output = T>) -> Option<T> {
    let wait = Duration::from_micros(wait_us.max(0) as u64);
    tokio::time::timeout(wait, future).await.ok()
}
