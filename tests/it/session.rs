//! Rules P1 to P11 over sessions, without sockets and with a clock by hand.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use serde_json::json;
use tickview::datum::{NULL, parse_decimal};
use tickview::diff::{Snapshot, Subscription, ViewModel, Window};
use tickview::serve::protocol::{ServerMessage, parse_client};
use tickview::serve::session::{Frame, Outlet, Sessions, SocketId, Turn};
use tickview::serve::views::StaleSource;
use tickview::view::result::{Cell, Heading, Quality};
use tickview::view::spec::Expanded;

use crate::fake::{FakeEngine, FakeResult, FakeRow};
use crate::wire;

const MS: i64 = 1_000;

/// Sockets that keep what they are sent.
#[derive(Default)]
struct Wire {
    sent: HashMap<SocketId, Vec<String>>,
    closed: Vec<SocketId>,
    /// Sockets that take no more.
    full: Vec<SocketId>,
}

impl Outlet for Wire {
    fn room(&self, socket: SocketId) -> usize {
        if self.full.contains(&socket) { 0 } else { 48 }
    }

    fn send(&mut self, socket: SocketId, frame: Frame) {
        assert!(!self.closed.contains(&socket), "nothing is sent to a closed socket");
        self.sent.entry(socket).or_default().push(frame.into_text());
    }

    fn close(&mut self, socket: SocketId) {
        self.closed.push(socket);
    }
}

struct Server {
    sessions: Sessions,
    engine: FakeEngine,
    wire: Wire,
    now: i64,
}

impl Server {
    fn new(result: FakeResult) -> Server {
        let mut tokens = 0;
        let token = move || {
            tokens += 1;
            format!("token{tokens}")
        };
        Server {
            sessions: Sessions::new(token),
            engine: FakeEngine::new(result),
            wire: Wire::default(),
            now: 1_000_000 * MS,
        }
    }

    fn turn(&mut self) -> (&mut Sessions, Turn<'_>) {
        let turn =
            Turn { now: self.now, lag_ms: 0, halted: None, views: &mut self.engine, outlet: &mut self.wire };
        (&mut self.sessions, turn)
    }

    fn say(&mut self, socket: SocketId, frame: serde_json::Value) {
        self.say_text(socket, &frame.to_string());
    }

    fn say_text(&mut self, socket: SocketId, frame: &str) {
        let (sessions, mut turn) = self.turn();
        sessions.receive(socket, parse_client(frame), &mut turn);
    }

    /// A new socket that has said hello.
    fn greet(&mut self, socket: SocketId) {
        self.sessions.connect(socket, self.now);
        self.say(socket, json!({"type": "hello", "protocol": 1, "clientId": "c"}));
    }

    /// A new socket of a session that returns.
    fn come_back(&mut self, socket: SocketId, session: &str, token: &str, seq: u64) {
        self.sessions.connect(socket, self.now);
        let views = json!([{"viewId": "v", "viewVersion": 1, "seq": seq}]);
        let resume = json!({"sessionId": session, "token": token, "views": views});
        self.say(socket, json!({"type": "hello", "protocol": 1, "clientId": "c", "resume": resume}));
    }

    fn commit(&mut self, change: impl FnOnce(&mut FakeResult)) {
        self.engine.commit(change);
        let (sessions, mut turn) = self.turn();
        sessions.publish(&mut turn);
    }

    /// Lets time pass in steps of a quarter of a second.
    fn pass(&mut self, ms: i64) {
        let until = self.now + ms * MS;
        while self.now < until {
            self.now = until.min(self.now + 250 * MS);
            let (sessions, mut turn) = self.turn();
            sessions.tend(&mut turn);
        }
    }

    fn leave(&mut self, socket: SocketId) {
        self.sessions.disconnect(socket, self.now);
    }

    /// What a socket was sent since it was last asked.
    fn take(&mut self, socket: SocketId) -> Vec<ServerMessage> {
        let sent = self.wire.sent.remove(&socket).unwrap_or_default();
        sent.iter().map(|text| ServerMessage::parse(text).unwrap_or_else(|e| panic!("{e}: {text}"))).collect()
    }

    fn types(&mut self, socket: SocketId) -> String {
        types(&self.take(socket))
    }

    fn fresh(&self, window: Window) -> Snapshot {
        Subscription::new(window).snapshot(&self.engine.result)
    }
}

fn types(messages: &[ServerMessage]) -> String {
    let name =
        |message: &ServerMessage| serde_json::to_value(message).unwrap()["type"].as_str().unwrap().to_owned();
    messages.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn code(messages: &[ServerMessage]) -> (Option<&str>, &str) {
    match messages {
        [ServerMessage::Reject(reject)] => (reject.view_id.as_deref(), &reject.code),
        other => panic!("not one reject: {other:?}"),
    }
}

pub fn open(view: &str, from: usize, to: usize) -> serde_json::Value {
    let spec = json!({"view": "fake", "accounts": "all", "groupBy": ["sector"]});
    json!({"type": "open", "viewId": view, "viewVersion": 1, "window": {"from": from, "to": to}, "spec": spec})
}

pub fn ack(view: &str, seq: u64) -> serde_json::Value {
    json!({"type": "ack", "viewId": view, "seq": seq})
}

/// What a client holds of one view: it checks the numbering and applies.
#[derive(Default)]
pub struct Client {
    pub seq: u64,
    model: Option<ViewModel>,
    pub patches: usize,
}

impl Client {
    pub fn take(&mut self, messages: &[ServerMessage]) {
        let read = &mut |text: Option<&str>| text.map_or(NULL, |text| parse_decimal(text, 38, 2).unwrap());
        for message in messages {
            match message {
                ServerMessage::Snapshot(frame) => {
                    self.next(frame.seq);
                    let snapshot = wire::snapshot(frame.size, frame.from, &frame.rows, &frame.total, read);
                    self.model = Some(ViewModel::new(snapshot));
                }
                ServerMessage::Patch(frame) => {
                    self.next(frame.seq);
                    self.patches += 1;
                    self.model
                        .as_mut()
                        .expect("a snapshot came first")
                        .apply(&wire::patch(frame, read))
                        .unwrap();
                }
                _ => {}
            }
        }
    }

    fn next(&mut self, seq: u64) {
        assert_eq!(seq, self.seq + 1, "P2: seq has no holes");
        self.seq = seq;
    }

    pub fn held(&self) -> &Snapshot {
        self.model.as_ref().expect("a snapshot came").held()
    }
}

pub fn three_rows() -> FakeResult {
    FakeResult::new(2).with("a", &[100, 1]).with("b", &[200, 2]).with("c", &[300, 3])
}

pub const FIRST_TEN: Window = Window { from: 0, to: 10 };

/// A server with one client that has a view open, and what the client holds.
fn opened() -> (Server, Client) {
    let mut server = Server::new(three_rows());
    server.greet(1);
    server.say(1, open("v", 0, 10));
    let sent = server.take(1);
    assert_eq!(types(&sent), "welcome opened snapshot");
    let mut client = Client::default();
    client.take(&sent);
    (server, client)
}

#[test]
fn p1_snapshot_and_patches_are_the_result() {
    let (mut server, mut client) = opened();
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));
    server.commit(|result| result.rows[1].cells[0] = Cell { value: 250, quality: Quality::Stale });
    server.commit(|result| drop(result.rows.remove(0)));
    client.take(&server.take(1));
    assert_eq!((client.held(), client.patches), (&server.fresh(FIRST_TEN), 2));
}

#[test]
fn p3_nothing_changed_nothing_sent() {
    let (mut server, _) = opened();
    server.commit(|_| {});
    assert_eq!(server.types(1), "");
}

#[test]
fn p5_after_two_unacknowledged_patches_changes_gather() {
    let (mut server, mut client) = opened();
    for value in 0..20 {
        server.commit(|result| result.rows[0].cells[0].value = 1_000 + value);
    }
    let sent = server.take(1);
    assert_eq!(types(&sent), "patch patch");
    client.take(&sent);
    assert_ne!(client.held(), &server.fresh(FIRST_TEN));

    server.say(1, ack("v", client.seq));
    let sent = server.take(1);
    assert_eq!(types(&sent), "patch");
    client.take(&sent);
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));

    // A value that came back while the client was behind is no change at all.
    server.commit(|result| result.rows[0].cells[0].value = 1);
    client.take(&server.take(1));
    server.commit(|result| result.rows[0].cells[0].value = 2);
    server.commit(|result| result.rows[0].cells[0].value = 1);
    assert_eq!(server.types(1), "");
    server.say(1, ack("v", client.seq));
    assert_eq!(server.types(1), "");
}

#[test]
fn p5_a_full_socket_is_skipped_and_catches_up() {
    let (mut server, mut client) = opened();
    server.wire.full.push(1);
    for value in 0..5 {
        server.commit(|result| result.rows[0].cells[0].value = value);
    }
    server.say(1, json!({"type": "window", "viewId": "v", "from": 1, "to": 3}));
    assert_eq!(server.types(1), "");
    server.wire.full.clear();
    server.commit(|_| {});
    client.take(&server.take(1));
    assert_eq!(client.held(), &server.fresh(Window { from: 1, to: 3 }));
}

#[test]
fn p6_a_window_is_answered_by_a_snapshot_of_it() {
    let (mut server, mut client) = opened();
    server.say(1, json!({"type": "window", "viewId": "v", "from": 1, "to": 2, "columns": ["c0"]}));
    client.take(&server.take(1));
    assert_eq!(client.held(), &server.fresh(Window { from: 1, to: 2 }));
    assert_eq!((client.held().rows.len(), client.held().size), (1, 3));
    server.say(1, json!({"type": "window", "viewId": "v", "from": 50, "to": 60}));
    client.take(&server.take(1));
    assert_eq!((client.held().rows.len(), client.held().from), (0, 50));
}

#[test]
fn p7_who_returns_within_the_grace_gets_the_difference() {
    let (mut server, mut client) = opened();
    server.leave(1);
    for value in 0..10 {
        server.commit(|result| result.rows[2].cells[1].value = 77 + value);
    }
    server.pass(59_000);
    server.come_back(2, "s1", "token1", client.seq);
    let sent = server.take(2);
    assert_eq!(types(&sent), "welcome patch");
    client.take(&sent);
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));
    server.commit(|result| result.rows[0].cells[0].value = 5);
    client.take(&server.take(2));
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));
}

#[test]
fn p7_who_missed_a_frame_gets_a_snapshot() {
    let (mut server, mut client) = opened();
    server.commit(|result| result.rows[0].cells[0].value = 5);
    server.take(1);
    server.leave(1);
    server.come_back(2, "s1", "token1", client.seq);
    let sent = server.take(2);
    assert_eq!(types(&sent), "welcome snapshot");
    client.seq += 1;
    client.take(&sent);
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));
}

#[test]
fn p7_after_the_grace_the_view_is_gone() {
    let (mut server, client) = opened();
    server.leave(1);
    server.pass(61_000);
    assert!(server.engine.open_specs().is_empty(), "a view nobody waits for is closed");
    server.come_back(2, "s1", "token1", client.seq);
    let sent = server.take(2);
    assert_eq!(types(&sent), "welcome reject");
    assert_eq!(code(&sent[1..]), (Some("v"), "VIEW_GONE"));
    let ServerMessage::Welcome(welcome) = &sent[0] else { unreachable!() };
    assert_eq!(welcome.session_id, "s2");
}

#[test]
fn p7_a_session_is_resumed_by_its_token_alone() {
    let (mut server, client) = opened();
    server.leave(1);
    server.come_back(2, "s1", "guess", client.seq);
    assert_eq!(server.types(2), "welcome reject");
    server.come_back(3, "s1", "token1", client.seq);
    assert_eq!(server.types(3), "welcome");
}

#[test]
fn p7_the_token_takes_a_session_over_from_a_dead_socket() {
    let (mut server, mut client) = opened();
    server.come_back(2, "s1", "token1", client.seq);
    assert_eq!(server.types(2), "welcome");
    assert_eq!(server.wire.closed, [1]);
    server.leave(1);
    server.commit(|result| result.rows[0].cells[0].value = 5);
    assert_eq!(server.types(1), "");
    client.take(&server.take(2));
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));
}

#[test]
fn p7_views_the_client_no_longer_names_are_closed() {
    let (mut server, client) = opened();
    server.say(1, open("w", 0, 5));
    server.leave(1);
    server.come_back(2, "s1", "token1", client.seq);
    server.take(2);
    server.say(2, json!({"type": "window", "viewId": "w", "from": 0, "to": 1}));
    assert_eq!(code(&server.take(2)), (Some("w"), "VIEW_GONE"));
}

#[test]
fn p8_heartbeats_and_silence() {
    let (mut server, _) = opened();
    server.pass(4_750);
    assert_eq!(server.types(1), "");
    server.pass(250);
    assert_eq!(server.types(1), "heartbeat");
    server.say(1, json!({"type": "ping", "t": 42}));
    let sent = server.take(1);
    let ServerMessage::Heartbeat(heartbeat) = &sent[0] else { panic!("{sent:?}") };
    assert_eq!((heartbeat.t, heartbeat.as_of.as_ref().unwrap().epoch), (42, 1));
    server.pass(15_000);
    assert!(server.wire.closed.is_empty());
    server.pass(250);
    assert_eq!(server.wire.closed, [1]);
}

#[test]
fn p8_a_quiet_source_is_told_once_and_again_when_it_is_back() {
    let (mut server, _) = opened();
    server.engine.stale = vec![StaleSource { source: "base.price".to_owned(), since_ms: 8_200 }];
    server.pass(1_000);
    assert_eq!(server.types(1), "stale");
    server.greet(2);
    assert_eq!(server.types(2), "welcome stale");
    server.engine.stale.clear();
    server.pass(1_000);
    let sent = server.take(1);
    let [ServerMessage::Stale(stale)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((stale.source.as_str(), stale.since_ms), ("base.price", 0));
}

#[test]
fn p10_equal_specifications_share_a_view_and_its_text() {
    let (mut server, _) = opened();
    server.greet(2);
    server.say(2, open("other", 0, 10));
    assert_eq!(server.engine.open_specs().len(), 1);
    server.take(1);
    server.take(2);
    server.commit(|result| result.rows[0].cells[0].value = 5);
    let bodies = [1, 2].map(|socket| {
        let sent = server.wire.sent.remove(&socket).unwrap();
        sent[0].split_once("\"asOf\"").unwrap().1.to_owned()
    });
    assert_eq!(bodies[0], bodies[1]);
    server.say(1, json!({"type": "close", "viewId": "v"}));
    assert_eq!(server.engine.open_specs().len(), 1);
    server.say(2, json!({"type": "close", "viewId": "other"}));
    assert_eq!(server.engine.open_specs().len(), 0);
}

#[test]
fn p11_each_mistake_has_its_code_and_costs_nothing_else() {
    let (mut server, mut client) = opened();
    let change =
        |spec: serde_json::Value| json!({"type": "change", "viewId": "v", "viewVersion": 2, "spec": spec});
    let wide = json!({"type": "window", "viewId": "v", "from": 0, "to": 100_001});
    let rows: Vec<(String, Option<&str>, &str)> = vec![
        ("{".into(), None, "BAD_FRAME"),
        (json!({"type": "jump", "viewId": "v"}).to_string(), Some("v"), "UNKNOWN_TYPE"),
        (json!({"type": "hello", "protocol": 1, "clientId": "c"}).to_string(), None, "BAD_FRAME"),
        (change(json!({"view": "w"})).to_string(), Some("v"), "UNKNOWN_VIEW"),
        (change(json!({"view": "fake", "groupBy": ["colour"]})).to_string(), Some("v"), "UNKNOWN_FIELD"),
        (change(json!({"view": "fake", "accounts": ["A9"]})).to_string(), Some("v"), "UNKNOWN_ACCOUNT"),
        (change(json!({"view": "fake", "expanded": "x"})).to_string(), Some("v"), "BAD_SPEC"),
        (change(json!({"sql": "SELECT 1"})).to_string(), Some("v"), "BAD_SPEC"),
        (json!({"type": "window", "viewId": "x", "from": 0, "to": 1}).to_string(), Some("x"), "VIEW_GONE"),
        (json!({"type": "window", "viewId": "v", "from": 2, "to": 1}).to_string(), Some("v"), "BAD_FRAME"),
        (wide.to_string(), Some("v"), "LIMIT"),
    ];
    for (frame, view, expected) in rows {
        server.say_text(1, &frame);
        assert_eq!(code(&server.take(1)), (view, expected), "{frame}");
    }
    server.commit(|result| result.rows[0].cells[0].value = 5);
    client.take(&server.take(1));
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));
    assert_eq!(server.engine.open_specs().len(), 1);
}

#[test]
fn p11_a_view_that_breaks_costs_itself_alone() {
    let (mut server, _) = opened();
    server.engine.broken = true;
    server.commit(|_| {});
    assert_eq!(code(&server.take(1)), (Some("v"), "INTERNAL"));
    assert!(server.engine.open_specs().is_empty());
    server.engine.broken = false;
    server.say(1, open("v", 0, 10));
    assert_eq!(server.types(1), "opened snapshot");
}

#[test]
fn p11_a_session_has_so_many_views_and_no_more() {
    let (mut server, _) = opened();
    for n in 1..64 {
        server.say(1, open(&format!("v{n}"), 0, 1));
    }
    server.take(1);
    server.say(1, open("one too many", 0, 1));
    assert_eq!(code(&server.take(1)), (Some("one too many"), "LIMIT"));
}

#[test]
fn p11_who_floods_is_sent_away_and_may_return() {
    let (mut server, client) = opened();
    for _ in 0..2_000 {
        server.say(1, ack("v", 1));
    }
    assert_eq!(server.types(1), "bye");
    assert_eq!(server.wire.closed, [1]);
    server.come_back(2, "s1", "token1", client.seq);
    assert_eq!(server.types(2), "welcome");
}

#[test]
fn no_snapshot_precedes_readiness() {
    let mut server = Server::new(three_rows());
    server.engine.ready = false;
    server.sessions.connect(1, server.now);
    // Before hello, too: what comes early waits.
    server.say(1, open("v", 0, 10));
    server.say(1, json!({"type": "hello", "protocol": 1, "clientId": "c"}));
    server.say(1, json!({"type": "open", "viewId": "w", "viewVersion": 4, "window": {"from": 0, "to": 1}, "spec": {"view": "none"}}));
    assert_eq!(server.types(1), "welcome");
    server.pass(3_000);
    assert_eq!(server.types(1), "progress progress progress");
    server.say(1, json!({"type": "window", "viewId": "v", "from": 1, "to": 2}));
    server.commit(|_| {});
    assert_eq!(server.types(1), "");
    server.engine.ready = true;
    server.commit(|_| {});
    let sent = server.take(1);
    assert_eq!(types(&sent), "reject opened snapshot");
    assert_eq!(code(&sent[..1]), (Some("w"), "UNKNOWN_VIEW"));
    let mut client = Client::default();
    client.take(&sent);
    assert_eq!(client.held(), &server.fresh(Window { from: 1, to: 2 }));
}

#[test]
fn a_change_is_answered_by_opened_and_a_snapshot() {
    let (mut server, mut client) = opened();
    let spec = json!({"view": "fake", "currency": "EUR"});
    server.say(1, json!({"type": "change", "viewId": "v", "viewVersion": 2, "spec": spec}));
    let sent = server.take(1);
    assert_eq!(types(&sent), "opened snapshot");
    let [ServerMessage::Opened(opened), ServerMessage::Snapshot(snapshot)] = &sent[..] else {
        unreachable!()
    };
    assert_eq!((opened.view_version, snapshot.view_version, snapshot.seq), (2, 2, 2));
    client.take(&sent);
    let specs = server.engine.open_specs();
    assert_eq!((specs.len(), specs[0].currency.as_str()), (1, "EUR"));
}

#[test]
fn branches_are_opened_and_shut_by_key_and_level() {
    let mut result = three_rows();
    let child = |parent: &str, name: &str| vec![Some(parent.to_owned()), Some(name.to_owned())];
    result.rows[0].heading.expandable = true;
    let heading = Heading { key: child("a", "x"), label: None, depth: 2, expandable: true };
    result.rows.insert(1, FakeRow { id: 9, heading, cells: vec![Cell::new(1); 2] });
    let mut server = Server::new(result);
    server.greet(1);
    server.say(1, open("v", 0, 10));
    server.take(1);
    let key = |name: &str| vec![Some(name.to_owned())];
    let rows = [
        (json!({"type": "expand", "viewId": "v", "key": ["b"]}), Expanded::Keys(vec![key("b")])),
        (json!({"type": "expand", "viewId": "v", "key": ["a"]}), Expanded::Keys(vec![key("a"), key("b")])),
        (json!({"type": "expand", "viewId": "v", "key": ["a"]}), Expanded::Keys(vec![key("a"), key("b")])),
        (json!({"type": "collapse", "viewId": "v", "key": ["b"]}), Expanded::Keys(vec![key("a")])),
        (json!({"type": "expand", "viewId": "v", "level": 2}), Expanded::Level(2)),
        (
            json!({"type": "expand", "viewId": "v", "key": ["a", "x"]}),
            Expanded::Keys(vec![key("a"), child("a", "x")]),
        ),
        (json!({"type": "expand", "viewId": "v", "level": 3}), Expanded::Level(3)),
        (json!({"type": "collapse", "viewId": "v", "key": ["a"]}), Expanded::Keys(vec![child("a", "x")])),
        (json!({"type": "collapse", "viewId": "v", "level": 1}), Expanded::Level(1)),
    ];
    for (frame, expected) in rows {
        server.say(1, frame.clone());
        assert_eq!(server.types(1), "snapshot", "{frame}");
        let specs = server.engine.open_specs();
        assert_eq!((specs.len(), &specs[0].expanded), (1, &expected), "{frame}");
    }
}

#[test]
fn a_paused_view_is_sent_nothing_until_it_goes_on() {
    let (mut server, mut client) = opened();
    server.say(1, json!({"type": "pause", "viewId": "v", "mode": "all"}));
    for value in 0..3 {
        server.commit(|result| result.rows[0].cells[0].value = value);
    }
    assert_eq!(server.types(1), "");
    server.say(1, json!({"type": "resume", "viewId": "v"}));
    client.take(&server.take(1));
    assert_eq!((client.held(), client.patches), (&server.fresh(FIRST_TEN), 1));
}

#[test]
fn order_held_lets_values_tick_and_rows_stand() {
    let (mut server, mut client) = opened();
    server.say(1, json!({"type": "pause", "viewId": "v", "mode": "order"}));
    server.commit(|result| {
        result.rows.reverse();
        result.rows[0].cells[0].value = 9;
    });
    client.take(&server.take(1));
    let keys: Vec<_> = client.held().rows.iter().map(|row| row.heading.key[0].clone().unwrap()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(client.held().rows[2].cells[0].value, 9);
    server.say(1, json!({"type": "resume", "viewId": "v"}));
    client.take(&server.take(1));
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));
    server.say(1, ack("v", client.seq));
    server.commit(|result| result.rows[0].cells[0].value = 10);
    client.take(&server.take(1));
    assert_eq!(client.held(), &server.fresh(FIRST_TEN));
}

#[test]
fn what_cannot_be_told_in_steps_is_told_by_a_snapshot() {
    let mut result = FakeResult::new(1);
    for n in 0..3_000 {
        result = result.with(&n.to_string(), &[n]);
    }
    let mut server = Server::new(result);
    server.greet(1);
    server.say(1, open("v", 0, 10_000));
    let mut client = Client::default();
    client.take(&server.take(1));
    server.commit(|result| result.rows.reverse());
    let sent = server.take(1);
    assert_eq!(types(&sent), "gap snapshot");
    client.take(&sent);
    assert_eq!(client.held(), &server.fresh(Window { from: 0, to: 10_000 }));
}

#[test]
fn goodbye_is_said_to_all() {
    let (mut server, _) = opened();
    server.greet(2);
    server.take(2);
    let (sessions, mut turn) = server.turn();
    sessions.shut_down(&mut turn);
    assert_eq!((server.types(1), server.types(2)), ("bye".to_owned(), "bye".to_owned()));
    assert_eq!(server.wire.closed, [1, 2]);
}

/// Changes some cells, and now and then rows.
pub fn shake(result: &mut FakeResult, seed: u64) {
    let mut random = rand_pcg::Pcg32::seed_from_u64(seed);
    for _ in 0..random.random_range(0..4) {
        let columns = result.columns.len();
        match random.random_range(0..10) {
            0 if result.rows.len() > 2 => drop(result.rows.remove(random.random_range(0..result.rows.len()))),
            1 => {
                let heading =
                    Heading { key: vec![Some(format!("n{seed}"))], label: None, depth: 1, expandable: false };
                let id = 1_000_000 + seed * 10 + result.rows.len() as u64;
                if result.rows.iter().all(|row| row.heading.key != heading.key) {
                    let at = random.random_range(0..=result.rows.len());
                    result.rows.insert(at, FakeRow { id, heading, cells: vec![Cell::new(7); columns] });
                }
            }
            2 => {
                let (a, b) =
                    (random.random_range(0..result.rows.len()), random.random_range(0..result.rows.len()));
                result.rows.swap(a, b);
            }
            3 => result.total[0].value = random.random_range(0..1_000),
            _ => {
                let at = random.random_range(0..result.rows.len());
                let quality = if random.random_bool(0.2) { Quality::Partial(3) } else { Quality::Ok };
                result.rows[at].cells[random.random_range(0..columns)] =
                    Cell { value: random.random_range(-500..500), quality };
            }
        }
    }
}

/// P1, P2, P5 and P7 at once: clients that scroll, pause, lag, leave and return, against the result.
#[test]
fn clients_of_every_temper_hold_the_result_in_the_end() {
    for seed in 0..60 {
        let mut random = rand_pcg::Pcg32::seed_from_u64(seed);
        let mut server = Server::new(three_rows());
        let mut sockets = 4;
        let mut clients: Vec<(SocketId, Client, Window, String)> = Vec::new();
        for n in 0..4 {
            server.greet(n);
            server.say(n, open("v", 0, 10));
            clients.push((n, Client::default(), FIRST_TEN, format!("token{}", n + 1)));
        }
        for step in 0..120 {
            server.commit(|result| shake(result, seed * 1_000 + step));
            for (n, (socket, client, window, token)) in clients.iter_mut().enumerate() {
                // A slow client reads what it was sent a few steps later.
                if random.random_bool(0.7) {
                    client.take(&server.take(*socket));
                }
                match random.random_range(0..12) {
                    0..5 => server.say(*socket, ack("v", client.seq)),
                    5 => {
                        let from = random.random_range(0..4);
                        *window = Window { from, to: from + random.random_range(0..6) };
                        let (from, to) = (window.from, window.to);
                        server.say(*socket, json!({"type": "window", "viewId": "v", "from": from, "to": to}));
                    }
                    6 => server.say(*socket, json!({"type": "pause", "viewId": "v", "mode": "order"})),
                    7 => server.say(*socket, json!({"type": "pause", "viewId": "v", "mode": "all"})),
                    8 | 9 => server.say(*socket, json!({"type": "resume", "viewId": "v"})),
                    10 => {
                        // What is on its way may be lost with the line.
                        server.leave(*socket);
                        let on_its_way = server.take(*socket);
                        if random.random_bool(0.5) {
                            client.take(&on_its_way);
                        }
                        let seq = client.seq;
                        *socket = sockets;
                        sockets += 1;
                        server.come_back(*socket, &format!("s{}", n + 1), token, seq);
                        let sent = server.take(*socket);
                        if let Some(ServerMessage::Snapshot(frame)) = sent.get(1) {
                            client.seq = frame.seq - 1;
                        }
                        client.take(&sent);
                    }
                    _ => {}
                }
            }
        }
        for (socket, client, window, _) in &mut clients {
            client.take(&server.take(*socket));
            server.say(*socket, ack("v", client.seq));
            server.say(*socket, json!({"type": "resume", "viewId": "v"}));
            client.take(&server.take(*socket));
            assert_eq!(client.held(), &server.fresh(*window), "seed {seed}");
        }
        for (socket, ..) in &clients {
            server.say(*socket, json!({"type": "close", "viewId": "v"}));
        }
        assert!(server.engine.open_specs().is_empty());
    }
}
