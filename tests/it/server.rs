//! The server over loopback: real sockets, a real thread, an engine made by hand.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tickview::clock;
use tickview::datum::{Datum, NULL};
use tickview::diff::{Snapshot, Subscription, ViewModel};
use tickview::ingest::market::{Market, MarketConfig};
use tickview::schedule::Engine;
use tickview::serve::desk::{self, DeskHandle, Options};
use tickview::serve::http;
use tickview::serve::live::Live;
use tickview::serve::memory::{Size, Watch};
use tickview::serve::pace::Pace;
use tickview::serve::protocol::{ColumnSchema, PatchFrame, Row, ServerMessage, SnapshotFrame, Total};
use tickview::serve::views::Ticking;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::fake::FakeEngine;
use crate::session::{Client, FIRST_TEN, ack, open, shake, three_rows};
use crate::wire;

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

struct Running {
    address: SocketAddr,
    desk: DeskHandle,
    end: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    thread: std::thread::JoinHandle<()>,
}

async fn start(engine: impl Ticking + Send + 'static, options: Options) -> Running {
    start_within(engine, options, None).await
}

async fn start_within(
    engine: impl Ticking + Send + 'static,
    options: Options,
    memory: Option<Watch>,
) -> Running {
    let (desk, thread) = desk::start_within(engine, options, memory).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let ended = async { drop(ended.await) };
    let served = tokio::spawn(http::serve(listener, desk.clone(), ended));
    Running { address, desk, end, served, thread }
}

impl Running {
    async fn dial(&self, origin: Option<&str>) -> Result<Socket, Error> {
        let mut request = format!("ws://{}/ws", self.address).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "tickview.v1".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        let (socket, response) = connect_async(request).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "tickview.v1");
        Ok(socket)
    }

    /// Status line, headers and body of an answer.
    async fn get(&self, path: &str) -> String {
        self.ask("GET", path, "", "").await
    }

    /// Status and body of the answer to a specification.
    async fn recompute(&self, spec: &str) -> (u16, Value) {
        let answer = self.ask("POST", "/api/recompute", "", spec).await;
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (answer[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    async fn ask(&self, method: &str, path: &str, header: &str, body: &str) -> String {
        let address = self.address;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header}\
             content-length: {length}\r\n\r\n{body}"
        );
        let ask = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    async fn stop(self) {
        self.end.send(()).unwrap();
        self.served.await.unwrap().unwrap();
        drop(self.desk);
        tokio::task::spawn_blocking(|| self.thread.join().unwrap()).await.unwrap();
    }
}

async fn say(socket: &mut Socket, frame: serde_json::Value) {
    socket.send(Message::text(frame.to_string())).await.unwrap();
}

/// The next frame, or `None` where the line is quiet or ended.
async fn hear(socket: &mut Socket) -> Option<ServerMessage> {
    match tokio::time::timeout(Duration::from_millis(500), socket.next()).await {
        Ok(Some(Ok(Message::Text(text)))) => Some(ServerMessage::parse(&text).unwrap()),
        _ => None,
    }
}

async fn greet(socket: &mut Socket) {
    say(socket, serde_json::json!({"type": "hello", "protocol": 1, "clientId": "c"})).await;
    say(socket, open("v", 0, 10)).await;
}

/// Follows a view, acknowledging what comes, until nothing does.
async fn follow(mut socket: Socket) -> (Client, String) {
    greet(&mut socket).await;
    let mut client = Client::default();
    let mut types = Vec::new();
    while let Some(message) = hear(&mut socket).await {
        client.take(std::slice::from_ref(&message));
        say(&mut socket, ack("v", client.seq)).await;
        types.push(serde_json::to_value(&message).unwrap()["type"].as_str().unwrap().to_owned());
    }
    (client, types.join(" "))
}

const TICKS: u64 = 12;

fn after_all_ticks() -> Snapshot {
    let mut result = three_rows();
    (1..=TICKS).for_each(|epoch| shake(&mut result, epoch));
    Subscription::new(FIRST_TEN).snapshot(&result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_over_sockets_snapshot_and_patches_are_the_result() {
    let mut engine = FakeEngine::new(three_rows());
    engine.on_tick = Some(shake);
    let running = start(engine, Options { stop_after_ticks: Some(TICKS) }).await;
    let origin = format!("http://{}", running.address);
    let mut asleep = running.dial(None).await.unwrap();
    greet(&mut asleep).await;
    let (a, b) = (running.dial(None).await.unwrap(), running.dial(Some(&origin)).await.unwrap());
    let ((a, types), (b, _)) = tokio::join!(follow(a), follow(b));
    assert!(types.starts_with("welcome opened snapshot patch"), "{types}");
    assert!(a.patches > 3, "{types}");
    assert_eq!((a.held(), b.held()), (&after_all_ticks(), &after_all_ticks()));

    // Who slept was sent two patches and is owed the rest as one.
    let mut client = Client::default();
    while let Some(message) = hear(&mut asleep).await {
        client.take(&[message]);
    }
    assert_eq!(client.patches, 2);
    say(&mut asleep, ack("v", client.seq)).await;
    client.take(&[hear(&mut asleep).await.unwrap()]);
    assert_eq!(client.held(), &after_all_ticks());

    running.end.send(()).unwrap();
    assert!(matches!(hear(&mut asleep).await, Some(ServerMessage::Bye(_))));
}

#[tokio::test]
async fn p11_a_malformed_frame_is_rejected_and_the_view_lives_on() {
    let running = start(FakeEngine::new(three_rows()), Options::default()).await;
    let mut socket = running.dial(None).await.unwrap();
    greet(&mut socket).await;
    for _ in 0..3 {
        hear(&mut socket).await.unwrap();
    }
    let long = format!("{{\"type\":\"ping\",\"t\":1,\"pad\":\"{}\"}}", "x".repeat(4 << 20));
    for (frame, code) in [
        (Message::text("{"), "BAD_FRAME"),
        (Message::binary(vec![1, 2, 3]), "BAD_FRAME"),
        (Message::text(long), "LIMIT"),
    ] {
        socket.send(frame).await.unwrap();
        let Some(ServerMessage::Reject(reject)) = hear(&mut socket).await else { panic!("no reject") };
        assert_eq!(reject.code, code);
    }
    say(&mut socket, serde_json::json!({"type": "window", "viewId": "v", "from": 0, "to": 1})).await;
    assert!(matches!(hear(&mut socket).await, Some(ServerMessage::Snapshot(_))));
    drop(socket);
    running.stop().await;
}

#[tokio::test]
async fn p12_a_foreign_origin_is_refused() {
    let running = start(FakeEngine::new(three_rows()), Options::default()).await;
    let own = running.address;
    let rows = [
        (format!("http://{own}"), true),
        (format!("https://{own}"), true),
        (format!("http://127.0.0.1:{}", own.port() ^ 1), false),
        ("http://127.0.0.1".to_owned(), false),
        (format!("http://evil.example:{}", own.port()), false),
        (format!("http://evil.example/{own}"), false),
        (format!("ftp://{own}"), false),
        ("null".to_owned(), false),
    ];
    for (origin, accepted) in rows {
        match running.dial(Some(&origin)).await {
            Ok(_) => assert!(accepted, "{origin}"),
            Err(Error::Http(response)) => {
                assert_eq!((response.status().as_u16(), accepted), (403, false), "{origin}")
            }
            Err(error) => panic!("{origin}: {error}"),
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn the_routes_answer() {
    let mut engine = FakeEngine::new(three_rows());
    engine.ready = false;
    let running = start(engine, Options::default()).await;
    let rows = [
        ("/healthz", "200", "ok"),
        ("/readyz", "503", "no consistent snapshot"),
        ("/api/status", "200", r#"{"businessDate":null,"rollover":null,"epoch":1,"ready":false}"#),
        ("/api/catalog", "200", r#""views":[]"#),
        ("/api/none", "404", ""),
        ("/ws", "426", "tickview.v1"),
        ("/", "200", "<!doctype html>"),
        ("/some/place", "200", "<!doctype html>"),
        ("/assets/none.js", "404", ""),
    ];
    for (path, status, part) in rows {
        let answer = running.get(path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(answer.to_lowercase().contains(&part.to_lowercase()), "{path}: {answer}");
        assert!(answer.contains("content-security-policy: default-src 'self'"), "{path}: {answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{path}: {answer}");
    }
    running.stop().await;
}

/// The next frame that is wanted, whatever comes before it, which is acknowledged.
async fn await_frame(socket: &mut Socket, what: &str, is: impl Fn(&ServerMessage) -> bool) -> ServerMessage {
    for _ in 0..200 {
        let Some(message) = hear(socket).await else { continue };
        if let ServerMessage::Snapshot(SnapshotFrame { seq, .. })
        | ServerMessage::Patch(PatchFrame { seq, .. }) = &message
        {
            say(socket, ack("v", *seq)).await;
        }
        if is(&message) {
            return message;
        }
    }
    panic!("there is no {what}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_memory_limit_data_stands_still_and_no_view_is_opened() {
    const LIMIT: u64 = 1_000_000;
    let resident = Arc::new(AtomicU64::new(LIMIT));
    let reading = Arc::clone(&resident);
    let mut engine = FakeEngine::new(three_rows());
    engine.on_tick = Some(shake);
    let watch = Watch::of(Size(LIMIT), move || Some(reading.load(Ordering::Relaxed)));
    let running = start_within(engine, Options::default(), Some(watch)).await;
    let mut socket = running.dial(None).await.unwrap();
    greet(&mut socket).await;
    let patched = |message: &ServerMessage| matches!(message, ServerMessage::Patch(_));
    await_frame(&mut socket, "patch", patched).await;

    resident.store(LIMIT + 1, Ordering::Relaxed);
    let halted =
        |message: &ServerMessage| matches!(message, ServerMessage::Heartbeat(beat) if beat.halted.is_some());
    let ServerMessage::Heartbeat(beat) = await_frame(&mut socket, "halt", halted).await else {
        unreachable!()
    };
    assert_eq!(beat.halted.unwrap().reason, "memory limit reached");
    let epoch = running.desk.status().epoch;
    assert_eq!(hear(&mut socket).await, None, "nothing moves");
    let metrics = running.get("/metrics").await;
    for line in ["tickview_halted 1", "tickview_memory_limit_bytes 1000000"] {
        assert!(metrics.contains(line), "{metrics}");
    }

    // What is open may be opened by others, who are told at once how things stand; nothing else may.
    let mut other = running.dial(None).await.unwrap();
    greet(&mut other).await;
    assert!(matches!(hear(&mut other).await, Some(ServerMessage::Welcome(_))));
    assert!(halted(&hear(&mut other).await.unwrap()));
    await_frame(&mut other, "snapshot", |message| matches!(message, ServerMessage::Snapshot(_))).await;
    let spec = json!({"view": "fake", "accounts": ["A1"]});
    let window = json!({"from": 0, "to": 10});
    let open = json!({"type": "open", "viewId": "w", "viewVersion": 1, "spec": spec, "window": window});
    say(&mut other, open.clone()).await;
    let Some(ServerMessage::Reject(reject)) = hear(&mut other).await else { panic!("it was not refused") };
    assert_eq!((reject.view_id.as_deref(), reject.code.as_str()), (Some("w"), "LIMIT"));
    assert!(reject.message.contains("memory limit reached"), "{}", reject.message);
    let (status, body) = running.recompute(r#"{"view":"account_overview"}"#).await;
    assert_eq!((status, body["code"].as_str()), (429, Some("LIMIT")), "{body}");
    assert_eq!(running.desk.status().epoch, epoch);

    resident.store(LIMIT / 100 * 95 - 1, Ordering::Relaxed);
    let moves =
        |message: &ServerMessage| matches!(message, ServerMessage::Heartbeat(beat) if beat.halted.is_none());
    await_frame(&mut other, "end of the halt", moves).await;
    await_frame(&mut socket, "patch", patched).await;
    say(&mut other, open).await;
    let opened =
        |message: &ServerMessage| matches!(message, ServerMessage::Opened(opened) if opened.view_id == "w");
    await_frame(&mut other, "view that was refused before", opened).await;
    assert!(running.get("/metrics").await.contains("tickview_halted"));
    drop((socket, other));
    running.stop().await;
}

/// A market that changes at every tick, with what the domain names of bad and missing prices.
fn market() -> Live {
    let engine = Engine::new();
    let config = MarketConfig {
        accounts: 5,
        holdings_per_account: 30,
        orders_per_account: 40,
        instruments: 60,
        prices_per_second: 300,
        orders_per_second: 50,
        start: clock::now(),
        ..MarketConfig::default()
    };
    let market = Market::new(config, engine.schema(), Arc::clone(engine.dictionaries()));
    Live::new(engine, Box::new(market)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_hold_of_a_market_is_its_recomputation() {
    let specs = [
        json!({"view": "account_overview", "groupBy": ["sector"]}),
        json!({"view": "account_overview", "accounts": ["A00001", "A00003"], "currency": "EUR",
            "groupBy": ["account_id", "asset_class", "instrument_id"], "expanded": "all",
            "exposures": ["EXPECTED"], "sort": [{"column": "mv_expected", "desc": true}]}),
        json!({"view": "pid_carve_out", "portfolios": ["CORE", ""], "groupBy": ["account_id", "portfolio_id"],
            "expanded": [["A00002"]], "columns": ["unpriced", "mv_current", "price_time_max"],
            "filter": [{"column": "holdings", "op": ">", "value": "0"}]}),
    ];
    let running = start(market(), Options { stop_after_ticks: Some(25) }).await;
    let mut socket = running.dial(None).await.unwrap();
    say(&mut socket, json!({"type": "hello", "protocol": 1, "clientId": "c"})).await;
    for (at, spec) in specs.iter().enumerate() {
        let window = json!({"from": 0, "to": 100_000});
        let view = at.to_string();
        say(
            &mut socket,
            json!({"type": "open", "viewId": view, "viewVersion": 1, "spec": spec, "window": window}),
        )
        .await;
    }

    // Values by their text, whatever they count.
    let mut texts: HashMap<String, Datum> = HashMap::new();
    let read = &mut |text: Option<&str>| {
        let next = texts.len() as Datum;
        text.map_or(NULL, |text| *texts.entry(text.to_owned()).or_insert(next))
    };
    let mut schemas: BTreeMap<String, Vec<ColumnSchema>> = BTreeMap::new();
    let mut held: BTreeMap<String, ViewModel> = BTreeMap::new();
    let mut patches = 0;
    let mut stands_at = 0;
    loop {
        let (view, seq) = match hear(&mut socket).await {
            Some(ServerMessage::Opened(opened)) => {
                schemas.insert(opened.view_id, opened.schema);
                continue;
            }
            Some(ServerMessage::Snapshot(frame)) => {
                let snapshot = wire::snapshot(frame.size, frame.from, &frame.rows, &frame.total, read);
                held.insert(frame.view_id.clone(), ViewModel::new(snapshot));
                (frame.view_id, frame.seq)
            }
            Some(ServerMessage::Patch(frame)) => {
                held.get_mut(&frame.view_id).unwrap().apply(&wire::patch(&frame, read)).unwrap();
                patches += 1;
                (frame.view_id, frame.seq)
            }
            Some(_) => continue,
            None if stands_at == running.desk.status().epoch && held.len() == specs.len() => break,
            None => {
                stands_at = running.desk.status().epoch;
                continue;
            }
        };
        say(&mut socket, ack(&view, seq)).await;
    }
    assert!(patches > 25, "{patches} patches");

    for (at, spec) in specs.iter().enumerate() {
        let (status, answer) = running.recompute(&spec.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["epoch"], stands_at);
        assert_eq!(answer["asOf"]["epoch"], stands_at);
        let of = |name: &str| answer[name].clone();
        let schema: Vec<ColumnSchema> = serde_json::from_value(of("schema")).unwrap();
        let rows: Vec<Row> = serde_json::from_value(of("rows")).unwrap();
        let total: Total = serde_json::from_value(of("total")).unwrap();
        let view = at.to_string();
        assert_eq!(schema, schemas[&view]);
        assert!(rows.len() > 3, "{spec}: {} rows", rows.len());
        assert_eq!(&wire::snapshot(rows.len(), 0, &rows, &total, read), held[&view].held(), "{spec}");
    }
    running.stop().await;
}

/// What a socket says while a view is being compiled for it waits, and is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_in_new_currencies_open_one_after_another() {
    let running = start(market(), Options::default()).await;
    let mut socket = running.dial(None).await.unwrap();
    say(&mut socket, json!({"type": "hello", "protocol": 1, "clientId": "c"})).await;
    await_frame(&mut socket, "a welcome", |frame| matches!(frame, ServerMessage::Welcome(_))).await;
    while !running.desk.status().ready {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let currencies = ["GBP", "USD", "JPY", "nonsense", "GBP"];
    for (at, currency) in currencies.iter().enumerate() {
        let spec = json!({"view": "account_overview", "groupBy": ["sector"], "currency": currency});
        let window = json!({"from": 0, "to": 10});
        let view = at.to_string();
        say(
            &mut socket,
            json!({"type": "open", "viewId": view, "viewVersion": 1, "spec": spec, "window": window}),
        )
        .await;
    }
    say(&mut socket, json!({"type": "ping", "t": 7})).await;
    let mut answers = Vec::new();
    while answers.len() < currencies.len() + 1 {
        match hear(&mut socket).await {
            Some(ServerMessage::Opened(opened)) => answers.push(format!("opened {}", opened.view_id)),
            Some(ServerMessage::Reject(reject)) => {
                answers.push(format!("rejected {}", reject.view_id.unwrap_or_default()));
            }
            Some(ServerMessage::Heartbeat(beat)) if beat.t == 7 => answers.push("pong".to_owned()),
            Some(_) => {}
            None => panic!("the socket is silent after {answers:?}"),
        }
    }
    answers.sort_unstable();
    assert_eq!(answers, ["opened 0", "opened 1", "opened 2", "opened 4", "pong", "rejected 3"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recomputation_says_why_it_is_refused() {
    let running = start(FakeEngine::new(three_rows()), Options::default()).await;
    let (status, answer) = running.recompute(r#"{"view": "account_overview"}"#).await;
    assert_eq!((status, &answer["code"]), (503, &json!("LIMIT")), "an engine without a snapshot");
    running.stop().await;

    let running = start(market(), Options { stop_after_ticks: Some(3) }).await;
    while !running.desk.status().ready {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rows = [
        ("{", "BAD_FRAME", "not JSON"),
        ("[]", "BAD_SPEC", ""),
        (r#"{"groupBy": ["sector"]}"#, "BAD_SPEC", "view"),
        (r#"{"view": "account_overview", "colour": "blue"}"#, "BAD_SPEC", "colour"),
        (r#"{"view": "account_overview", "currency": "usd"}"#, "BAD_SPEC", "three letters"),
        (r#"{"view": "account_overview", "portfolios": [""]}"#, "BAD_SPEC", "pid_carve_out"),
        (r#"{"view": "account_overview", "accounts": ["B1"]}"#, "UNKNOWN_ACCOUNT", "B1"),
        (r#"{"view": "account_overview", "groupBy": ["shoe_size"]}"#, "UNKNOWN_FIELD", "sector"),
        (
            r#"{"view": "account_overview", "sort": [{"column": "x", "desc": true}]}"#,
            "UNKNOWN_FIELD",
            "mv_sod",
        ),
        (r#"{"view": "ledger"}"#, "UNKNOWN_VIEW", "account_overview"),
        (r#"{"sql": "SELECT 1"}"#, "BAD_SPEC", "view"),
    ];
    for (spec, code, part) in rows {
        let (status, answer) = running.recompute(spec).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{spec}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(part), "{spec}: {answer}");
    }
    let sound = r#"{"view": "account_overview"}"#;
    for (method, header, status) in [
        ("POST", "origin: http://evil.example\r\n".to_owned(), "403"),
        ("POST", format!("origin: http://{}\r\n", running.address), "200"),
        ("GET", String::new(), "405"),
    ] {
        let answer = running.ask(method, "/api/recompute", &header, sound).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {header}: {answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_recomputation_runs_at_a_time() {
    let running = start(market(), Options { stop_after_ticks: Some(3) }).await;
    while !running.desk.status().ready {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let spec =
        r#"{"view": "account_overview", "groupBy": ["account_id", "instrument_id"], "expanded": "all"}"#;
    let answers =
        futures::future::join_all((0..8).map(|_| running.ask("POST", "/api/recompute", "", spec))).await;
    let computed = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200")).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 429")).collect();
    assert_eq!(computed + refused.len(), answers.len());
    assert!(computed >= 1 && !refused.is_empty(), "{computed} of {} computed", answers.len());
    assert!(refused.iter().all(|answer| answer.contains("retry-after: 1")));
    assert_eq!(running.recompute(spec).await.0, 200, "and then it is free again");
    running.stop().await;
}

#[tokio::test]
async fn the_metrics_have_names_and_descriptions() {
    let mut engine = FakeEngine::new(three_rows());
    engine.on_tick = Some(shake);
    let running = start(engine, Options { stop_after_ticks: Some(1) }).await;
    assert!(running.get("/readyz").await.starts_with("HTTP/1.1 200"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = running.get("/metrics").await;
    for part in [
        "# HELP tickview_epoch ",
        "tickview_rows{table=\"base.price\"} 5",
        "# TYPE tickview_tick_seconds histogram",
        "tickview_stage_seconds_bucket{stage=\"apply\"",
        "tickview_stage_seconds_bucket{stage=\"publish\"",
        "# TYPE tickview_patch_bytes_total counter",
    ] {
        assert!(answer.contains(part), "{part} is missing from {answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn the_metrics_tell_how_far_each_topic_lags() {
    let running = start(market(), Options { stop_after_ticks: Some(3) }).await;
    while !running.desk.status().ready {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    let answer = running.get("/metrics").await;
    let lag_s = |topic: &str| {
        let name = format!("tickview_source_lag_seconds{{topic=\"{topic}\"}} ");
        let line = answer.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("{name} is missing from {answer}")).parse::<f64>().unwrap()
    };
    assert!(lag_s("base.price") < 60.0);
    for part in ["tables", "relations", "positions", "shapes", "views", "sql"] {
        let name = format!("tickview_last_tick_seconds{{part=\"{part}\"}} ");
        let line = answer.lines().find_map(|line| line.strip_prefix(&name));
        let seconds = line.unwrap_or_else(|| panic!("{name} is missing from {answer}")).parse::<f64>();
        assert!((0.0..10.0).contains(&seconds.unwrap()), "{answer}");
    }
    assert!((3_600.0..3_660.0).contains(&lag_s("base.business-date")));
    running.stop().await;
}

/// Drives ticks that cost `cost_ms` under steady load and returns the longest a change waits, in ms.
fn longest_wait(cost_ms: i64) -> i64 {
    let mut pace = Pace::default();
    let mut now = 0;
    let mut cuts = Vec::new();
    for _ in 0..100 {
        now += pace.wait_us(now);
        cuts.push(now);
        let end = now + cost_ms * 1_000;
        pace.worked(now, end);
        now = end;
    }
    // A change that just missed a cut is on the wire when the tick of the next cut ends.
    cuts.windows(2).map(|pair| pair[1] + cost_ms * 1_000 - pair[0]).max().unwrap() / 1_000
}

#[test]
fn every_change_is_out_within_the_window_or_two_evaluations() {
    for (cost_ms, expected) in [(0, 100), (1, 100), (30, 100), (50, 100), (80, 160), (500, 1_000)] {
        assert_eq!(longest_wait(cost_ms), expected, "an evaluation of {cost_ms} ms");
    }
}

#[test]
fn after_a_quiet_period_a_tick_is_due_at_once() {
    let mut pace = Pace::default();
    pace.worked(0, 10_000);
    assert_eq!(pace.wait_us(10_000), 80_000);
    assert_eq!(pace.wait_us(90_000), 0);
    pace.idle(90_000);
    assert!(pace.wait_us(90_000) <= 2_000);
    pace.behind(95_000);
    assert_eq!(pace.wait_us(95_000), 0);
    pace.worked(1_000_000, 1_001_000);
    assert_eq!(pace.wait_us(0), 0, "a clock set back holds nothing up");
}
