//! Sessions: what each client has open, what it holds, and what it is to be sent.
//!
//! A state machine without sockets or clock. Every call is given a [`Turn`]: the time, the views, and
//! where frames go. Rules of the protocol held here: P1 and P2 (numbering), P4, P5, P6, P7, P8, P10
//! and P11; P3 is the comparison's.
//!
//! A client that lags is owed nothing but the comparison of what it holds with the result, so its
//! memory is that of its windows, whatever it does.

mod ask;
mod query;
mod send;
mod time;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::ask::window;
use self::query::Queries;
use self::view::{Held, Session, View};
use super::branch::Branch;
use super::protocol::{
    AsOf, Bye, ClientMessage, Heartbeat, Hello, Limits, Mode, Reject, ResumeView, ServerMessage, Stale,
    VERSION, Welcome, reject_code,
};
use super::views::{Halted, Views};
use super::window::Windows;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits::{
    CLIENT_FRAMES_PER_SECOND_MAX, EARLY_FRAMES_MAX, HEARTBEAT_MS, SESSION_GRACE_MS, SESSIONS_MAX,
    WINDOW_ROWS_MAX,
};

const MILLISECOND_US: i64 = 1_000;
const PROGRESS_US: i64 = 1_000 * MILLISECOND_US;
/// Over which a client's frames are counted.
const RATE_US: i64 = 10_000 * MILLISECOND_US;
pub type SocketId = u64;

/// One text frame: a client's own head and a body that others may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    head: String,
    body: Option<Arc<str>>,
}

impl Frame {
    pub fn into_text(self) -> String {
        let Frame { mut head, body } = self;
        if let Some(body) = body {
            head.push_str(&body);
        }
        head
    }
}

/// Where frames go.
pub trait Outlet {
    /// How many frames that can be put off the socket takes now.
    fn room(&self, socket: SocketId) -> usize;

    /// Hands a frame over without waiting. A socket that takes no more is to be given up, and
    /// [`Sessions::disconnect`] to be called for it, rather than a frame be lost unseen.
    fn send(&mut self, socket: SocketId, frame: Frame);

    /// Ends a socket once it has sent what it was handed.
    fn close(&mut self, socket: SocketId);
}

/// What a call works with.
pub struct Turn<'a> {
    pub now: Timestamp,
    /// How far the views lag behind their sources.
    pub lag_ms: u64,
    /// Since when and why the data stands still, if it does.
    pub halted: Option<Halted>,
    pub views: &'a mut dyn Views,
    pub outlet: &'a mut dyn Outlet,
}

impl Turn<'_> {
    fn say(&mut self, socket: SocketId, message: &ServerMessage) {
        self.outlet.send(socket, Frame { head: message.text(), body: None });
    }

    fn as_of(&self) -> AsOf {
        AsOf { epoch: self.views.epoch(), time: self.views.as_of() }
    }
}

/// What was sent since it was last asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Patches, counted once for each client.
    pub patches: u64,
    /// Changed cells, counted once for each patch that was written.
    pub patch_cells: u64,
    /// Bytes of patches, counted for each client.
    pub patch_bytes: u64,
    pub snapshots: u64,
    pub snapshot_bytes: u64,
    pub gaps: u64,
    pub rejects: u64,
}

/// A view of a session, by their numbers.
type Reader = (u64, u64);

struct Socket {
    session: Option<u64>,
    /// What came before `hello`.
    early: Vec<ClientMessage>,
    heard_at: Timestamp,
    heartbeat_at: Timestamp,
    progress_at: Timestamp,
    /// Frames since `counted_from`.
    frames: u32,
    counted_from: Timestamp,
}

pub struct Sessions {
    sessions: BTreeMap<u64, Session>,
    sessions_made: u64,
    sockets: BTreeMap<SocketId, Socket>,
    queries: Queries,
    windows: Windows,
    /// Views that wait for the engine to be ready.
    waiting: usize,
    stale: Vec<String>,
    make_token: Box<dyn FnMut() -> String + Send>,
    traffic: Traffic,
}

impl Sessions {
    /// `make_token` gives what a client proves itself with when it returns: not to be guessed.
    pub fn new(make_token: impl FnMut() -> String + Send + 'static) -> Sessions {
        Sessions {
            sessions: BTreeMap::new(),
            sessions_made: 0,
            sockets: BTreeMap::new(),
            queries: Queries::default(),
            windows: Windows::default(),
            waiting: 0,
            stale: Vec::new(),
            make_token: Box::new(make_token),
            traffic: Traffic::default(),
        }
    }

    /// Sessions, those expected back among them.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Distinct views that clients have open.
    pub fn views(&self) -> usize {
        self.queries.len()
    }

    pub fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// A socket was accepted. Its number is new.
    pub fn connect(&mut self, socket: SocketId, now: Timestamp) {
        let state = Socket {
            session: None,
            early: Vec::new(),
            heard_at: now,
            heartbeat_at: now,
            progress_at: now - PROGRESS_US,
            frames: 0,
            counted_from: now,
        };
        self.sockets.insert(socket, state);
    }

    /// A socket is gone. Its session waits for its client to come back (P7); told twice is told once.
    pub fn disconnect(&mut self, socket: SocketId, now: Timestamp) {
        let Some(Socket { session: Some(id), .. }) = self.sockets.remove(&socket) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.socket == Some(socket) {
            session.socket = None;
            session.left_at = now;
        }
    }

    /// Takes one frame of a client, read or rejected by [`super::protocol::parse_client`].
    pub fn receive(&mut self, socket: SocketId, message: Result<ClientMessage, Reject>, turn: &mut Turn) {
        let Some(state) = self.sockets.get_mut(&socket) else { return };
        state.heard_at = turn.now;
        if turn.now - state.counted_from >= RATE_US {
            state.counted_from = turn.now;
            state.frames = 0;
        }
        state.frames += 1;
        if i64::from(state.frames) > i64::from(CLIENT_FRAMES_PER_SECOND_MAX) * RATE_US / 1_000_000 {
            let reason = format!("more than {CLIENT_FRAMES_PER_SECOND_MAX} frames a second");
            self.dismiss(socket, &reason, 10_000, turn);
            return;
        }
        match message {
            Err(reject) => self.reject(socket, reject, turn),
            Ok(message) => self.handle(socket, message, turn),
        }
    }

    fn handle(&mut self, socket: SocketId, message: ClientMessage, turn: &mut Turn) {
        let Some(state) = self.sockets.get_mut(&socket) else { return };
        match (message, state.session) {
            (ClientMessage::Ping(ping), _) => self.heartbeat(socket, ping.t, turn),
            (ClientMessage::Hello(hello), None) => self.hello(socket, hello, turn),
            (ClientMessage::Hello(_), Some(_)) => {
                self.reject(socket, reject(None, None, "BAD_FRAME", "hello was said before"), turn);
            }
            (message, None) if state.early.len() < EARLY_FRAMES_MAX => state.early.push(message),
            (_, None) => self.reject(socket, reject(None, None, "LIMIT", "say hello first"), turn),
            (message, Some(session)) => {
                let (view_id, view_version) = named(&message);
                let view_id = view_id.to_owned();
                if let Err(error) = self.follow(session, message, turn) {
                    let refusal = reject(Some(view_id), view_version, reject_code(&error), &error.message);
                    self.reject(socket, refusal, turn);
                }
            }
        }
    }

    /// Does what a client asks of one of its views.
    ///
    /// # Errors
    /// With the code to reject with; what the client had before stands.
    fn follow(&mut self, session: u64, message: ClientMessage, turn: &mut Turn) -> Result<()> {
        match message {
            ClientMessage::Open(open) => self.open(session, open, turn),
            ClientMessage::Change(change) => self.change(session, change, turn),
            ClientMessage::Window(request) => {
                let window = window(request.from, request.to)?;
                let reader = self.reader(session, &request.view_id)?;
                let view = self.view_mut(reader);
                view.window = window;
                view.snapshot_due = true;
                self.flush(reader, turn);
                Ok(())
            }
            ClientMessage::Expand(request) => self.branch(session, Branch::Open, request, turn),
            ClientMessage::Collapse(request) => self.branch(session, Branch::Shut, request, turn),
            ClientMessage::Pause(pause) => {
                let reader = self.reader(session, &pause.view_id)?;
                self.view_mut(reader).pause = Some(pause.mode);
                if pause.mode == Mode::Order {
                    self.own_order(reader);
                }
                Ok(())
            }
            ClientMessage::Resume(resume) => {
                let reader = self.reader(session, &resume.view_id)?;
                self.view_mut(reader).pause = None;
                self.flush(reader, turn);
                Ok(())
            }
            // Both may cross the end of the view on their way.
            ClientMessage::Ack(ack) => {
                if let Ok(reader) = self.reader(session, &ack.view_id) {
                    self.view_mut(reader).unacknowledged.retain(|&seq| seq > ack.seq);
                    self.flush(reader, turn);
                }
                Ok(())
            }
            ClientMessage::Close(close) => {
                if let Ok(reader) = self.reader(session, &close.view_id) {
                    self.close(reader, turn);
                }
                Ok(())
            }
            ClientMessage::Hello(_) | ClientMessage::Ping(_) => unreachable!("they concern no view"),
        }
    }

    fn hello(&mut self, socket: SocketId, hello: Hello, turn: &mut Turn) {
        if hello.protocol != VERSION {
            let message = format!("protocol {VERSION} is spoken here, not {}", hello.protocol);
            self.reject(socket, reject(None, None, "BAD_FRAME", &message), turn);
            return;
        }
        let (session_id, token, views) = match hello.resume {
            Some(resume) => (resume.session_id, resume.token, resume.views),
            None => (String::new(), String::new(), Vec::new()),
        };
        let returning = self.returning(&session_id, &token, turn);
        let Some(id) = returning.or_else(|| self.begin()) else {
            self.dismiss(socket, "the server holds as many sessions as it can", 10_000, turn);
            return;
        };
        let session = self.sessions.get_mut(&id).expect("the session stands");
        let other = session.socket.replace(socket);
        let token = session.token.clone();
        if let Some(other) = other {
            // The line broke on the client's side first; whoever has the token is the client.
            self.sockets.remove(&other);
            turn.outlet.close(other);
        }
        self.sockets.get_mut(&socket).expect("the frame came from it").session = Some(id);
        let welcome = Welcome {
            session_id: session_name(id),
            token,
            grace_ms: SESSION_GRACE_MS,
            heartbeat_ms: HEARTBEAT_MS,
            limits: Limits { window_rows: WINDOW_ROWS_MAX },
        };
        turn.say(socket, &ServerMessage::Welcome(welcome));
        if turn.halted.is_some() {
            self.heartbeat(socket, turn.now / MILLISECOND_US, turn);
        }
        for stale in turn.views.stale(turn.now) {
            let stale = Stale { source: stale.source, since_ms: stale.since_ms };
            turn.say(socket, &ServerMessage::Stale(stale));
        }
        self.resume(id, socket, &views, turn);
        let early = std::mem::take(&mut self.sockets.get_mut(&socket).expect("as above").early);
        for message in early {
            self.handle(socket, message, turn);
        }
    }

    /// The session of a client that comes back in time and proves it.
    fn returning(&mut self, session_id: &str, token: &str, turn: &mut Turn) -> Option<u64> {
        self.expire(turn);
        let id = session_id.strip_prefix('s').and_then(|number| number.parse().ok())?;
        self.sessions.get(&id).is_some_and(|session| session.token == token).then_some(id)
    }

    fn begin(&mut self) -> Option<u64> {
        if self.sessions.len() >= SESSIONS_MAX {
            return None;
        }
        self.sessions_made += 1;
        let session = Session {
            token: (self.make_token)(),
            socket: None,
            left_at: 0,
            views: BTreeMap::new(),
            views_made: 0,
        };
        self.sessions.insert(self.sessions_made, session);
        Some(self.sessions_made)
    }

    /// Goes on with the views a client still holds: a patch where it has all that was sent, else a snapshot.
    fn resume(&mut self, id: u64, socket: SocketId, views: &[ResumeView], turn: &mut Turn) {
        let session = &self.sessions[&id];
        let given_up =
            session.views.iter().filter(|(_, view)| views.iter().all(|held| held.view_id != view.id));
        let given_up: Vec<u64> = given_up.map(|(&number, _)| number).collect();
        for number in given_up {
            self.close((id, number), turn);
        }
        for held in views {
            let Some(number) = self.sessions[&id].find(&held.view_id) else {
                let seconds = SESSION_GRACE_MS / 1_000;
                let message =
                    format!("the view is not held; one is closed {seconds} s after its client left");
                let refusal =
                    reject(Some(held.view_id.clone()), Some(held.view_version), "VIEW_GONE", &message);
                self.reject(socket, refusal, turn);
                continue;
            };
            let view = self.view_mut((id, number));
            view.unacknowledged.clear();
            if (view.version, view.seq) != (held.view_version, held.seq) {
                view.opened_due |= view.version != held.view_version;
                view.snapshot_due = true;
            }
            self.flush((id, number), turn);
        }
    }

    fn dismiss(&mut self, socket: SocketId, reason: &str, retry_after_ms: u64, turn: &mut Turn) {
        turn.say(socket, &ServerMessage::Bye(Bye { reason: reason.to_owned(), retry_after_ms }));
        turn.outlet.close(socket);
        self.disconnect(socket, turn.now);
    }

    fn heartbeat(&mut self, socket: SocketId, t: i64, turn: &mut Turn) {
        if turn.outlet.room(socket) == 0 {
            return;
        }
        let as_of = (turn.views.ready() && turn.views.epoch() > 0).then(|| turn.as_of().into());
        let halted = turn.halted.map(|halted| halted.into());
        turn.say(socket, &ServerMessage::Heartbeat(Heartbeat { t, as_of, lag_ms: turn.lag_ms, halted }));
    }

    fn reject(&mut self, socket: SocketId, reject: Reject, turn: &mut Turn) {
        self.traffic.rejects += 1;
        turn.say(socket, &ServerMessage::Reject(reject));
    }

    fn reader(&self, session: u64, view_id: &str) -> Result<Reader> {
        let number = self.sessions[&session].find(view_id);
        let number =
            number.ok_or_else(|| Error::invalid("VIEW_GONE", format!("no view {view_id:?} is open")))?;
        Ok((session, number))
    }

    fn view_mut(&mut self, (session, number): Reader) -> &mut View {
        let view = self.sessions.get_mut(&session).and_then(|session| session.views.get_mut(&number));
        view.expect("a reader's view stands")
    }

    fn close(&mut self, (session, number): Reader, turn: &mut Turn) {
        let session = self.sessions.get_mut(&session).expect("a reader's session stands");
        let view = session.views.remove(&number).expect("a reader's view stands");
        if let Held::Shared(id) = view.held {
            self.windows.leave(id);
        }
        match view.handle {
            Some(_) => self.queries.close(turn.views, &view.query),
            None => self.waiting = self.waiting.saturating_sub(1),
        }
    }

    /// Closes a view that the engine cannot serve and says why.
    fn abandon(&mut self, reader: Reader, error: &Error, turn: &mut Turn) {
        let view = self.view_mut(reader);
        let refusal = reject(Some(view.id.clone()), Some(view.version), reject_code(error), &error.message);
        let socket = self.sessions[&reader.0].socket;
        self.close(reader, turn);
        if let Some(socket) = socket {
            self.reject(socket, refusal, turn);
        }
    }
}

fn session_name(id: u64) -> String {
    format!("s{id}")
}

fn reject(view_id: Option<String>, view_version: Option<u64>, code: &str, message: &str) -> Reject {
    Reject { view_id, view_version, code: code.to_owned(), message: message.to_owned() }
}

/// The view a message concerns.
fn named(message: &ClientMessage) -> (&str, Option<u64>) {
    match message {
        ClientMessage::Open(m) => (&m.view_id, Some(m.view_version)),
        ClientMessage::Change(m) => (&m.view_id, Some(m.view_version)),
        ClientMessage::Window(m) => (&m.view_id, None),
        ClientMessage::Expand(m) | ClientMessage::Collapse(m) => (&m.view_id, None),
        ClientMessage::Pause(m) => (&m.view_id, None),
        ClientMessage::Resume(m) => (&m.view_id, None),
        ClientMessage::Ack(m) => (&m.view_id, None),
        ClientMessage::Close(m) => (&m.view_id, None),
        ClientMessage::Hello(_) | ClientMessage::Ping(_) => ("", None),
    }
}
