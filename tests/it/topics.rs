//! What the server says of its topics: how far they lag, and which of them fell silent.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tickview::clock::{SECOND_US, Timestamp};
use tickview::error::Result;
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::replay::Replay;
use tickview::ingest::source::{Cut, Lagging, Source};
use tickview::limits::SILENCE_MS_MAX_BY_TOPIC;
use tickview::schedule::Engine;
use tickview::schema::TableId;
use tickview::serve::live::Live;
use tickview::serve::protocol::{ServerMessage, parse_client};
use tickview::serve::session::{Frame, Outlet, Sessions, SocketId, Turn};
use tickview::serve::views::{StaleSource, Ticking, Views};

const START: Timestamp = 1_767_623_400 * SECOND_US;
const HOUR_US: i64 = 3_600 * SECOND_US;
const TICK_US: i64 = SECOND_US / 4;

/// A market whose prices get lost for a while.
struct Muffled {
    market: Market,
    price: TableId,
    silence: std::ops::Range<Timestamp>,
}

impl Source for Muffled {
    fn cut(&mut self, now: Timestamp, records_max: usize) -> Result<Cut> {
        let mut cut = self.market.cut(now, records_max)?;
        if self.silence.contains(&now) {
            cut.changes.retain(|changes| changes.table != self.price);
            cut.newest.retain(|(table, _)| *table != self.price);
        }
        Ok(cut)
    }
}

/// A market that has loaded, without prices from one second after the opening up to another.
fn muffled(prices_per_second: u32, silence_s: std::ops::Range<i64>) -> Live {
    let engine = Engine::new();
    let config = MarketConfig {
        accounts: 5,
        holdings_per_account: 20,
        orders_per_account: 10,
        instruments: 60,
        prices_per_second,
        orders_per_second: 1,
        movements_per_second: 0,
        day_length_s: 0,
        start: START,
        ..MarketConfig::default()
    };
    let source = Muffled {
        price: engine.schema().table("base.price").id,
        market: Market::new(config, engine.schema(), Arc::clone(engine.dictionaries())),
        silence: START + silence_s.start * SECOND_US..START + silence_s.end * SECOND_US,
    };
    let mut live = Live::new(engine, Box::new(source)).unwrap();
    while !live.ready() {
        live.tick(START).unwrap();
    }
    live
}

/// Ticks four times a second from after `from_s` to `to_s` after the opening.
fn run(live: &mut Live, from_s: i64, to_s: i64) {
    for tick in from_s * 4 + 1..=to_s * 4 {
        live.tick(START + tick * TICK_US).unwrap();
    }
}

fn lag_us(live: &Live, topic: &str) -> u64 {
    let lags = live.gauges(0).source_lag_us;
    lags.iter().find(|(known, _)| known == topic).unwrap_or_else(|| panic!("no {topic} in {lags:?}")).1
}

#[test]
fn a_topic_lags_by_what_its_newest_record_is_behind_the_market() {
    let mut live = muffled(200, 10..1_000);
    assert_eq!(lag_us(&live, "base.business-date"), HOUR_US as u64, "dated an hour before the opening");
    run(&mut live, 0, 8);
    assert!(lag_us(&live, "base.price") < 100_000, "prices come every 5 ms");
    assert_eq!(lag_us(&live, "base.business-date"), (HOUR_US + 8 * SECOND_US) as u64);
    run(&mut live, 8, 30);
    // The last price got through in the tick before ten seconds.
    let price = lag_us(&live, "base.price");
    assert!((20_250_000..20_350_000).contains(&price), "{price}");
    assert!(lag_us(&live, "base.fx-rate") < 2_000_000);
    assert_eq!(live.gauges(0).source_lag_us.len(), 8, "every topic has spoken");
}

#[test]
fn prices_that_stop_are_stale_after_five_seconds_and_until_they_are_back() {
    assert_eq!(SILENCE_MS_MAX_BY_TOPIC[0], ("base.price", 5_000));
    let mut live = muffled(200, 10..40);
    let now = |s: i64| START + s * SECOND_US;
    run(&mut live, 0, 14);
    assert_eq!(live.stale(now(14)), []);
    // Heard last at 9.75 s.
    run(&mut live, 14, 15);
    let price = |since_ms| vec![StaleSource { source: "base.price".to_owned(), since_ms }];
    assert_eq!(live.stale(now(15)), price(5_250));
    run(&mut live, 15, 39);
    assert_eq!(live.stale(now(39)), price(29_250));
    assert_eq!(live.stale(now(1_000)), price(29_250), "who is not asked is not silent");
    run(&mut live, 39, 41);
    assert_eq!(live.stale(now(41)), []);
}

#[test]
fn a_topic_that_does_not_flow_is_not_missed() {
    // Without ticks of prices there are still those that come late.
    let mut live = muffled(0, 0..0);
    let mut heard = 0;
    for second in 0..150 {
        run(&mut live, second, second + 1);
        heard += u32::from(lag_us(&live, "base.price") < SECOND_US as u64);
        assert_eq!(live.stale(0), [], "after {second} s");
    }
    assert!((1..10).contains(&heard), "{heard} late prices");
}

fn replay(dir: &Path, speed: Option<f64>) -> Live {
    let engine = Engine::new();
    let source = Replay::open(dir, engine.schema(), Arc::clone(engine.dictionaries()), speed).unwrap();
    Live::new(engine, Box::new(source)).unwrap()
}

#[test]
fn a_replay_lags_behind_the_recorded_time() {
    let desk = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/desk");
    let mut live = replay(&desk, None);
    live.tick(START).unwrap();
    assert!(live.ready());
    let lags = live.gauges(0).source_lag_us;
    // From 2026-03-02T08:00:00Z, the last of the instruments, to 2026-03-03T09:31:00Z, an order.
    assert_eq!(lag_us(&live, "base.order-events"), 0);
    assert_eq!(lag_us(&live, "base.instrument"), (25 * HOUR_US + 31 * 60 * SECOND_US) as u64);

    // At an hour a second it is at its end within half a minute, and so is its time.
    let mut paced = replay(&desk, Some(3_600.0));
    for second in 0..60 {
        paced.tick(START + second * SECOND_US).unwrap();
        assert_eq!(paced.stale(0), [], "it has a few prices an hour");
    }
    assert_eq!(paced.gauges(0).source_lag_us, lags);
}

#[test]
fn a_replay_that_has_ended_is_not_stale() {
    let dir = std::env::temp_dir().join(format!("tickview-topics-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let start_ms = START / 1_000;
    let line = |key: &str, second: i64, value: serde_json::Value| {
        let timestamp = start_ms + second * 1_000;
        format!("{}\n", json!({"key": key, "timestamp": timestamp, "value": value}))
    };
    let time = "2026-01-05T14:30:00Z";
    let account = json!({"accountName": "Alpha", "baseCurrency": "USD", "version": 1, "eventTime": time});
    let price = |version: i64| json!({"price": 10, "currency": "USD", "priceType": "LAST", "priceTime": time, "version": version, "eventTime": time});
    let prices: String = (0..20).map(|second| line("I1", second, price(second))).collect();
    std::fs::write(dir.join("base.price.ndjson"), prices).unwrap();
    std::fs::write(dir.join("base.account.ndjson"), line("A1", 60, account)).unwrap();
    let mut live = replay(&dir, Some(1.0));
    std::fs::remove_dir_all(&dir).unwrap();

    let mut stale = Vec::new();
    for second in 0..100 {
        live.tick(START + second * SECOND_US).unwrap();
        stale.extend((!live.stale(0).is_empty()).then_some(second));
    }
    // The last price is of second 19; with the account of second 60 the recording ends.
    assert_eq!(stale, (25..60).collect::<Vec<_>>());
    assert_eq!(lag_us(&live, "base.price"), 41 * SECOND_US as u64);
}

/// One socket that keeps the kinds of what it is sent.
#[derive(Default)]
struct Socket(Vec<ServerMessage>);

impl Outlet for Socket {
    fn room(&self, _: SocketId) -> usize {
        48
    }

    fn send(&mut self, _: SocketId, frame: Frame) {
        self.0.push(ServerMessage::parse(&frame.into_text()).unwrap());
    }

    fn close(&mut self, _: SocketId) {}
}

#[test]
fn p8_clients_hear_of_a_silent_topic_and_of_its_return() {
    let mut live = muffled(200, 10..40);
    let mut sessions = Sessions::new(|| "token".to_owned());
    let mut socket = Socket::default();
    sessions.connect(1, START);
    let hello = json!({"type": "hello", "protocol": 1, "clientId": "c"}).to_string();
    let mut turn = Turn { now: START, lag_ms: 0, halted: None, views: &mut live, outlet: &mut socket };
    sessions.receive(1, parse_client(&hello), &mut turn);
    let mut heard = Vec::new();
    for tick in 1..=50 * 4 {
        let now = START + tick * TICK_US;
        live.tick(now).unwrap();
        if tick % 40 == 0 {
            let ping = json!({"type": "ping", "t": 1}).to_string();
            let mut turn = Turn { now, lag_ms: 0, halted: None, views: &mut live, outlet: &mut socket };
            sessions.receive(1, parse_client(&ping), &mut turn);
        }
        sessions.tend(&mut Turn { now, lag_ms: 0, halted: None, views: &mut live, outlet: &mut socket });
        for message in socket.0.drain(..) {
            if let ServerMessage::Stale(stale) = message {
                heard.push((tick / 4, stale.source, stale.since_ms));
            }
        }
    }
    let price = || "base.price".to_owned();
    // Heard last at 9.75 s: silent for more than five seconds from the tick at 15 s on.
    assert_eq!(heard, [(15, price(), 5_250), (40, price(), 0)]);
}

/// A market of which a part is out of reach for a while.
struct Parted(Market);

impl Source for Parted {
    fn cut(&mut self, now: Timestamp, records_max: usize) -> Result<Cut> {
        let mut cut = self.0.cut(now, records_max)?;
        if (START + 2 * SECOND_US..START + 4 * SECOND_US).contains(&now) {
            cut.lagging.push(Lagging { source: "base.price-3".to_owned(), since: START + SECOND_US });
        }
        Ok(cut)
    }
}

#[test]
fn what_a_source_says_lags_is_stale_until_it_says_so_no_more() {
    let engine = Engine::new();
    let config = MarketConfig {
        accounts: 2,
        holdings_per_account: 20,
        instruments: 60,
        start: START,
        ..MarketConfig::default()
    };
    let market = Market::new(config, engine.schema(), Arc::clone(engine.dictionaries()));
    let mut live = Live::new(engine, Box::new(Parted(market))).unwrap();
    while !live.ready() {
        live.tick(START).unwrap();
    }
    let stale = |source: &str, since_ms: u64| vec![StaleSource { source: source.to_owned(), since_ms }];
    let steps =
        [(1, vec![]), (2, stale("base.price-3", 1_000)), (3, stale("base.price-3", 2_000)), (4, vec![])];
    for (second, expected) in steps {
        live.tick(START + second * SECOND_US).unwrap();
        assert_eq!(live.stale(0), expected, "after {second} s");
    }
}
