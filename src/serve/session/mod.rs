//! Sessions: what each client has open, what it holds, and what it is to be sent.
//!
//! A state machine without sockets or clock. Every call is given a [`Turn`]: the time, the views, and
//! where frames go. Rules of the protocol held here: P1 and P2 (numbering), P4, P5, P6, P7, P8, P10
//! and P11; P3 is the comparison's.
//!
//! A client that lags is owed nothing but the comparison of what it holds with the result, so its
//! memory is that of its windows, whatever it does.

mod query;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::query::Queries;
use self::view::{Held, Session, View};
use super::branch::{Branch, expanded_after};
use super::protocol::{
    AsOf, BranchRequest, Bye, Change, ClientMessage, ColumnSchema, Gap, Heartbeat, Hello, Limits, Mode, Open,
    Opened, ProgressFrame, Query, Reject, ResumeView, ServerMessage, Stale, VERSION, Welcome, patch_body,
    reject_code, snapshot_body,
};
use super::views::{ViewHandle, Views};
use super::window::{StateId, StateKey, Windows, confined};
use crate::clock::Timestamp;
use crate::dictionary::Dictionaries;
use crate::diff::{Patch, Window};
use crate::error::{Error, Kind, Result};
use crate::limits::{
    CLIENT_FRAMES_PER_SECOND_MAX, EARLY_FRAMES_MAX, HEARTBEAT_MS, PATCH_STEPS_MAX, SESSION_GRACE_MS,
    SESSION_VIEWS_MAX, SESSIONS_MAX, SILENCE_MS_MAX, WINDOW_ROWS_MAX,
};
use crate::view::spec::{Expanded, ViewSpec};

const MILLISECOND_US: i64 = 1_000;
const PROGRESS_US: i64 = 1_000 * MILLISECOND_US;
/// Over which a client's frames are counted.
const RATE_US: i64 = 10_000 * MILLISECOND_US;
/// Frames a view may be sent at once: `opened` and a snapshot, a gap and a snapshot, or a patch.
const FRAMES_A_VIEW: usize = 2;

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

    fn open(&mut self, session: u64, open: Open, turn: &mut Turn) -> Result<()> {
        let query = open.spec.query()?;
        let window = window(open.window.from, open.window.to)?;
        let state = &self.sessions[&session];
        let known = state.find(&open.view_id);
        if known.is_none() && state.views.len() >= SESSION_VIEWS_MAX {
            return Err(limit(format!("a session has at most {SESSION_VIEWS_MAX} views open")));
        }
        if let Some(number) = known {
            // Opened again: another specification and window for the same view, numbers going on.
            let reader = (session, number);
            self.ask(reader, query, turn)?;
            let view = self.view_mut(reader);
            view.window = window;
            view.version = open.view_version;
            view.opened_due = true;
            self.flush(reader, turn);
            return Ok(());
        }
        let ready = turn.views.ready();
        let handle = if ready { Some(self.queries.open(turn.views, &query)?) } else { None };
        self.waiting += usize::from(!ready);
        let state = self.sessions.get_mut(&session).expect("the session stands");
        state.views_made += 1;
        let view = View {
            id: open.view_id,
            version: open.view_version,
            query,
            window,
            seq: 0,
            unacknowledged: Vec::new(),
            pause: None,
            handle,
            held: Held::Nothing,
            opened_due: true,
            snapshot_due: true,
        };
        let reader = (session, state.views_made);
        state.views.insert(reader.1, view);
        self.flush(reader, turn);
        Ok(())
    }

    fn change(&mut self, session: u64, change: Change, turn: &mut Turn) -> Result<()> {
        let query = change.spec.query()?;
        let reader = self.reader(session, &change.view_id)?;
        self.ask(reader, query, turn)?;
        let view = self.view_mut(reader);
        view.version = change.view_version;
        view.opened_due = true;
        self.flush(reader, turn);
        Ok(())
    }

    fn branch(
        &mut self,
        session: u64,
        branch: Branch,
        request: BranchRequest,
        turn: &mut Turn,
    ) -> Result<()> {
        let reader = self.reader(session, &request.view_id)?;
        let view = &self.sessions[&reader.0].views[&reader.1];
        let Query::View(spec) = &view.query else {
            return Err(Error::invalid("BAD_SPEC", "rows of SQL have no branches"));
        };
        let expanded = match (request.key, request.level, view.handle) {
            (_, Some(level), _) => Expanded::Level(level),
            (Some(key), None, Some(handle)) => {
                let result = turn.views.result(handle);
                confined(|| expanded_after(&spec.expanded, result, branch, &key))??
            }
            _ => {
                return Err(Error::invalid("BAD_SPEC", "there is no group to name before the first snapshot"));
            }
        };
        let query = Query::View(ViewSpec { expanded, ..spec.clone() });
        self.ask(reader, query, turn)?;
        self.flush(reader, turn);
        Ok(())
    }

    /// Lets a view show something else, from a snapshot on.
    ///
    /// # Errors
    /// Those of opening it; the view shows what it showed.
    fn ask(&mut self, reader: Reader, query: Query, turn: &mut Turn) -> Result<()> {
        let view = self.sessions.get_mut(&reader.0).and_then(|session| session.views.get_mut(&reader.1));
        let view = view.expect("a reader's view stands");
        if view.handle.is_some() {
            // The new one first: where it fails the old one stands, and where both are the same
            // engine state it is not built twice.
            let handle = self.queries.open(turn.views, &query)?;
            self.queries.close(turn.views, &view.query);
            view.handle = Some(handle);
            if let Held::Shared(id) = std::mem::replace(&mut view.held, Held::Nothing) {
                self.windows.leave(id);
            }
        }
        view.query = query;
        view.snapshot_due = true;
        Ok(())
    }

    /// Brings every client to the new epoch that may be sent something.
    ///
    /// Cost: each distinct state is compared and written once; a client costs the copy of a text.
    pub fn publish(&mut self, turn: &mut Turn) {
        if !turn.views.ready() {
            return;
        }
        self.open_waiting(turn);
        self.windows.forget_snapshots();
        let mut together: BTreeMap<StateId, Vec<Reader>> = BTreeMap::new();
        let mut alone: Vec<Reader> = Vec::new();
        for (&id, session) in &self.sessions {
            let Some(socket) = session.socket else { continue };
            let mut room = turn.outlet.room(socket);
            for (&number, view) in &session.views {
                let (Some(handle), true) = (view.handle, room >= FRAMES_A_VIEW) else { continue };
                let version = turn.views.version(handle);
                match &view.held {
                    _ if view.snapshot_due => alone.push((id, number)),
                    _ if !view.takes_patch() => continue,
                    Held::Shared(state) if self.windows.key(*state).version != version => {
                        together.entry(*state).or_default().push((id, number));
                    }
                    Held::Own { version: sent, .. } if *sent != version => alone.push((id, number)),
                    _ => continue,
                }
                room -= FRAMES_A_VIEW;
            }
        }
        for (state, readers) in together {
            self.advance(state, &readers, turn);
        }
        for reader in alone {
            self.flush(reader, turn);
        }
    }

    /// Opens what was asked for before the engine was ready.
    fn open_waiting(&mut self, turn: &mut Turn) {
        if self.waiting == 0 {
            return;
        }
        self.waiting = 0;
        let waits = |(&id, session): (&u64, &Session)| {
            let views = session.views.iter().filter(|(_, view)| view.handle.is_none());
            views.map(|(&number, _)| (id, number)).collect::<Vec<Reader>>()
        };
        let readers: Vec<Reader> = self.sessions.iter().flat_map(waits).collect();
        for reader in readers {
            let query = self.view_mut(reader).query.clone();
            match self.queries.open(turn.views, &query) {
                Ok(handle) => self.view_mut(reader).handle = Some(handle),
                Err(error) => self.abandon(reader, &error, turn),
            }
        }
    }

    /// Does what is to be done with time: heartbeats, progress, silent sockets, sessions given up.
    /// Called a few times a second.
    pub fn tend(&mut self, turn: &mut Turn) {
        self.expire(turn);
        let silent = self.sockets.iter().filter(|(_, s)| turn.now - s.heard_at > ms(SILENCE_MS_MAX));
        let silent: Vec<SocketId> = silent.map(|(&socket, _)| socket).collect();
        for socket in silent {
            turn.outlet.close(socket);
            self.disconnect(socket, turn.now);
        }
        let greeted = self.sockets.iter().filter(|(_, s)| s.session.is_some());
        let greeted: Vec<SocketId> = greeted.map(|(&socket, _)| socket).collect();
        let now = turn.now;
        let beat: Vec<SocketId> = greeted.iter().copied().filter(|socket| self.beats(*socket, now)).collect();
        for socket in beat {
            self.heartbeat(socket, now / MILLISECOND_US, turn);
        }
        if !turn.views.ready() {
            self.tell_progress(&greeted, turn);
        }
        self.tell_stale(&greeted, turn);
    }

    /// Whether a heartbeat is due, which this then counts as sent.
    fn beats(&mut self, socket: SocketId, now: Timestamp) -> bool {
        let state = self.sockets.get_mut(&socket).expect("listed from the same map");
        let due = now - state.heartbeat_at >= ms(HEARTBEAT_MS);
        if due {
            state.heartbeat_at = now;
        }
        due
    }

    fn tell_progress(&mut self, greeted: &[SocketId], turn: &mut Turn) {
        let progress = turn.views.progress();
        for &socket in greeted {
            let state = self.sockets.get_mut(&socket).expect("listed from the same map");
            if turn.now - state.progress_at < PROGRESS_US || turn.outlet.room(socket) < progress.len() {
                continue;
            }
            state.progress_at = turn.now;
            for source in &progress {
                let frame =
                    ProgressFrame { source: source.topic.clone(), done: source.done, total: source.total };
                turn.say(socket, &ServerMessage::Progress(frame));
            }
        }
    }

    /// Says which sources went quiet and which came back, once each.
    fn tell_stale(&mut self, greeted: &[SocketId], turn: &mut Turn) {
        let stale = turn.views.stale(turn.now);
        let gone = stale.iter().filter(|source| !self.stale.contains(&source.source));
        let gone = gone.map(|source| Stale { source: source.source.clone(), since_ms: source.since_ms });
        let back = self.stale.iter().filter(|name| stale.iter().all(|source| source.source != **name));
        let back = back.map(|name| Stale { source: name.clone(), since_ms: 0 });
        for message in gone.chain(back).map(ServerMessage::Stale).collect::<Vec<_>>() {
            greeted.iter().for_each(|&socket| turn.say(socket, &message));
        }
        self.stale = stale.into_iter().map(|source| source.source).collect();
    }

    /// Says goodbye to everyone.
    pub fn shut_down(&mut self, turn: &mut Turn) {
        let sockets: Vec<SocketId> = self.sockets.keys().copied().collect();
        for socket in sockets {
            self.dismiss(socket, "shutdown", 1_000, turn);
        }
    }

    /// Closes the views of clients that stayed away.
    fn expire(&mut self, turn: &mut Turn) {
        let away = |session: &Session| {
            session.socket.is_none() && turn.now - session.left_at >= ms(SESSION_GRACE_MS)
        };
        let gone: Vec<u64> = self.sessions.iter().filter(|(_, s)| away(s)).map(|(&id, _)| id).collect();
        for id in gone {
            let views: Vec<u64> = self.sessions[&id].views.keys().copied().collect();
            for number in views {
                self.close((id, number), turn);
            }
            self.sessions.remove(&id);
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
        turn.say(socket, &ServerMessage::Heartbeat(Heartbeat { t, as_of, lag_ms: turn.lag_ms }));
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

    /// Sends a view what it is owed, if its socket has room: a snapshot, or what changed.
    fn flush(&mut self, reader: Reader, turn: &mut Turn) {
        let session = &self.sessions[&reader.0];
        let view = &session.views[&reader.1];
        let (Some(socket), Some(handle)) = (session.socket, view.handle) else { return };
        if turn.outlet.room(socket) < FRAMES_A_VIEW {
            return;
        }
        if view.snapshot_due {
            self.send_snapshot(reader, socket, handle, turn);
        } else if view.takes_patch() {
            match view.held {
                Held::Shared(state) => self.advance(state, &[reader], turn),
                Held::Own { .. } => self.advance_own(reader, handle, turn),
                Held::Nothing => unreachable!("who holds nothing is due a snapshot"),
            }
        }
    }

    fn send_snapshot(&mut self, reader: Reader, socket: SocketId, handle: ViewHandle, turn: &mut Turn) {
        let view = self.view_mut(reader);
        view.snapshot_due = false;
        let opened_due = std::mem::take(&mut view.opened_due);
        let key = StateKey { view: handle, window: view.window, version: turn.views.version(handle) };
        let (view_id, view_version) = (view.id.clone(), view.version);
        // The new state first, so that asking for the same window again finds it.
        let joined = self.windows.join(key, turn.views.result(handle));
        let before = std::mem::replace(&mut self.view_mut(reader).held, Held::Nothing);
        if let Held::Shared(before) = before {
            self.windows.leave(before);
        }
        let state = match joined {
            Ok(state) => state,
            Err(error) => return self.abandon(reader, &error, turn),
        };
        self.view_mut(reader).held = Held::Shared(state);
        if opened_due {
            let schema = turn.views.result(handle).columns().iter().map(ColumnSchema::from).collect();
            let opened = Opened { view_id, view_version, schema, strategy: turn.views.strategy(handle) };
            turn.say(socket, &ServerMessage::Opened(opened));
        }
        let body = self.snapshot_text(state, turn);
        self.hand_over_snapshot(reader, socket, body, turn);
        if self.view_mut(reader).pause == Some(Mode::Order) {
            self.own_order(reader);
        }
    }

    fn snapshot_text(&mut self, state: StateId, turn: &Turn) -> Arc<str> {
        let as_of = turn.as_of();
        let columns = turn.views.result(self.windows.key(state).view).columns();
        self.windows.snapshot(state, as_of.epoch, |held| {
            let mut body = String::new();
            snapshot_body(held, as_of, columns, &read(turn.views), &mut body);
            body
        })
    }

    fn hand_over_snapshot(&mut self, reader: Reader, socket: SocketId, body: Arc<str>, turn: &mut Turn) {
        let head = self.view_mut(reader).next_head().snapshot();
        self.traffic.snapshots += 1;
        self.traffic.snapshot_bytes += (head.len() + body.len()) as u64;
        turn.outlet.send(socket, Frame { head, body: Some(body) });
    }

    /// Brings readers of one state to the present and sends them the difference.
    fn advance(&mut self, state: StateId, readers: &[Reader], turn: &mut Turn) {
        let handle = self.windows.key(state).view;
        let version = turn.views.version(handle);
        let advanced = self.windows.advance(state, readers.len(), version, turn.views.result(handle));
        let (state, patch) = match advanced {
            Ok(advanced) => advanced,
            Err(error) => return readers.iter().for_each(|&reader| self.abandon(reader, &error, turn)),
        };
        for &reader in readers {
            self.view_mut(reader).held = Held::Shared(state);
        }
        let Some(patch) = patch else { return };
        if patch.steps() <= PATCH_STEPS_MAX {
            return self.send_patch(readers, handle, &patch, turn);
        }
        let body = self.snapshot_text(state, turn);
        for &reader in readers {
            self.send_gap(reader, Arc::clone(&body), turn);
        }
    }

    /// As [`Self::advance`] for a reader in an order of its own.
    fn advance_own(&mut self, reader: Reader, handle: ViewHandle, turn: &mut Turn) {
        let version = turn.views.version(handle);
        let result = turn.views.result(handle);
        let view = self.sessions.get_mut(&reader.0).and_then(|session| session.views.get_mut(&reader.1));
        let view = view.expect("a reader's view stands");
        let Held::Own { version: mut sent, mut held } = std::mem::replace(&mut view.held, Held::Nothing)
        else {
            unreachable!("asked for a view with an order of its own");
        };
        let ordered = view.pause == Some(Mode::Order);
        let compared = match ordered {
            true if sent == version => Ok(None),
            true => confined(|| held.patch_order_held(result)),
            false => confined(|| held.patch(result)),
        };
        let patch = match compared {
            Ok(patch) => patch,
            Err(error) => return self.abandon(reader, &error, turn),
        };
        sent = version;
        view.held = if ordered {
            Held::Own { version: sent, held }
        } else {
            let key = StateKey { view: handle, window: view.window, version };
            Held::Shared(self.windows.adopt(key, *held, 1))
        };
        if let Some(patch) = patch {
            self.send_patch(&[reader], handle, &patch, turn);
        }
    }

    /// Gives a reader what it holds for itself, so that its rows can stand while those of others move.
    fn own_order(&mut self, reader: Reader) {
        let view = self.view_mut(reader);
        let Held::Shared(state) = view.held else { return };
        let held = Box::new(self.windows.held(state).clone());
        let version = self.windows.key(state).version;
        self.windows.leave(state);
        self.view_mut(reader).held = Held::Own { version, held };
    }

    fn send_patch(&mut self, readers: &[Reader], handle: ViewHandle, patch: &Patch, turn: &mut Turn) {
        let mut body = String::new();
        let columns = turn.views.result(handle).columns();
        patch_body(patch, turn.as_of(), columns, &read(turn.views), &mut body);
        let body: Arc<str> = body.into();
        self.traffic.patch_cells += patch.cells() as u64;
        for &reader in readers {
            let Some(socket) = self.sessions[&reader.0].socket else { continue };
            let view = self.view_mut(reader);
            let head = view.next_head().patch();
            view.unacknowledged.push(view.seq);
            self.traffic.patches += 1;
            self.traffic.patch_bytes += (head.len() + body.len()) as u64;
            turn.outlet.send(socket, Frame { head, body: Some(Arc::clone(&body)) });
        }
    }

    /// Rows moved so much that a snapshot is cheaper to apply than the steps.
    fn send_gap(&mut self, reader: Reader, body: Arc<str>, turn: &mut Turn) {
        let Some(socket) = self.sessions[&reader.0].socket else { return };
        let view_id = self.view_mut(reader).id.clone();
        self.traffic.gaps += 1;
        turn.say(socket, &ServerMessage::Gap(Gap { view_id, reason: "resync".to_owned() }));
        self.hand_over_snapshot(reader, socket, body, turn);
    }
}

fn read(views: &dyn Views) -> std::sync::RwLockReadGuard<'_, Dictionaries> {
    // Codes are only ever added, so what a panicked writer left is as good as before.
    views.dictionaries().read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn session_name(id: u64) -> String {
    format!("s{id}")
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

fn reject(view_id: Option<String>, view_version: Option<u64>, code: &str, message: &str) -> Reject {
    Reject { view_id, view_version, code: code.to_owned(), message: message.to_owned() }
}

fn limit(message: String) -> Error {
    Error::new(Kind::Overloaded, "LIMIT", message)
}

/// # Errors
/// `BAD_FRAME` where the window ends before it starts, `LIMIT` where it has too many rows.
fn window(from: usize, to: usize) -> Result<Window> {
    if from > to {
        return Err(Error::invalid(
            "BAD_FRAME",
            format!("a window from {from} to {to} ends before it starts"),
        ));
    }
    if to - from > WINDOW_ROWS_MAX {
        return Err(limit(format!("a window has at most {WINDOW_ROWS_MAX} rows, not {}", to - from)));
    }
    Ok(Window { from, to })
}

fn ms(milliseconds: u64) -> i64 {
    milliseconds as i64 * MILLISECOND_US
}
