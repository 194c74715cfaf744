//! T: what a tick with one price, or one fill, does not do: no planning, no copy of a table, no name read.
//!
//! The allocator counts the bytes each thread asks for, a subscriber sees every plan that is made, and the
//! dictionaries are locked while a tick runs.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use mimalloc::MiMalloc;
use tickview::clock::{SECOND_US, Timestamp};
use tickview::ingest::decode::{Decoder, Record};
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::source::{Cut, Source};
use tickview::schedule::Engine;
use tickview::view::spec::ViewSpec;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::law::spec;

/// Counts the bytes that each thread allocates, and passes everything on.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATED_BYTES: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    // A thread that is ending has nothing left to count in.
    let _ = ALLOCATED_BYTES.try_with(|allocated| allocated.set(allocated.get() + bytes));
}

// SAFETY: every call is the allocator's own that the server runs with; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { MiMalloc.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

/// What `f` allocates on this thread.
fn allocated_bytes(f: impl FnOnce()) -> usize {
    let before = ALLOCATED_BYTES.get();
    f();
    ALLOCATED_BYTES.get() - before
}

/// Counts the plans that are made on this thread.
#[derive(Clone, Default)]
struct Plans(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Plans {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("tickview::plan") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// 2026-01-05T14:30:00Z.
const START: Timestamp = 1_767_623_400 * SECOND_US;

/// What a tick may allocate. Of a chunk of 1024 rows that a reader may still hold it copies the columns that
/// change, 4 to 16 kB each; the tables here are a multiple of that.
const TICK_BYTES_MAX: usize = 256 << 10;

/// An engine on the embedded market, and what feeds it single records.
struct Loaded {
    engine: Engine,
    decoder: Decoder,
    ticks: i64,
}

impl Loaded {
    fn new(accounts: u32, instruments: u32) -> Loaded {
        let mut engine = Engine::new();
        let config = MarketConfig {
            accounts: accounts as _,
            holdings_per_account: 200,
            orders_per_account: 20,
            instruments: instruments as _,
            start: START,
            ..MarketConfig::default()
        };
        let mut market = Market::new(config, engine.schema(), Arc::clone(engine.dictionaries()));
        loop {
            let cut = market.cut(START, 200_000).unwrap();
            let ready = cut.caught_up;
            engine.tick(START, cut).unwrap();
            if ready {
                break;
            }
        }
        let decoder = Decoder::new(engine.schema(), Arc::clone(engine.dictionaries())).unwrap();
        Loaded { engine, decoder, ticks: 0 }
    }

    /// The id of an instrument with a price that some account holds, and of that account.
    fn held(&self) -> (String, String) {
        let schema = self.engine.schema();
        let (price, holding) = (schema.table("base.price"), schema.table("base.sod_holding"));
        let (account, instrument) = (holding.column("account_id"), holding.column("instrument_id"));
        let priced = |code| self.engine.tables().find(price.id, [code].into_iter()).is_some();
        let found = self.engine.tables().partitions(holding.id).find_map(|rows| {
            let row = (0..rows.len() as u32).find(|&row| priced(rows.get(row, instrument)))?;
            Some((rows.get(row, account), rows.get(row, instrument)))
        });
        let (account, instrument) = found.expect("the market holds what it prices");
        let dictionaries = self.engine.dictionaries().read().unwrap();
        let name = |code| dictionaries.names.text(code as u32).to_owned();
        (name(account), name(instrument))
    }

    /// A new price or fill, decoded: its names are known before the tick.
    fn cut(&mut self, change: Change) -> Cut {
        self.ticks += 1;
        let number = self.ticks;
        let (account, instrument) = self.held();
        let (topic, key, value) = match change {
            Change::Price => (
                "base.price",
                instrument,
                format!(
                    r#"{{"price":"{}","currency":"USD","priceType":"LAST","priceTime":"2026-01-05T14:30:00Z","version":{},"eventTime":"2026-01-05T14:30:00Z"}}"#,
                    100 + number,
                    1_000_000 + number
                ),
            ),
            Change::Fill => (
                "base.order-events",
                "TRACED".to_owned(),
                format!(
                    r#"{{"businessDate":"2026-01-05","accountId":"{account}","instrumentId":"{instrument}","side":"BUY","orderQty":1000,"cumQty":{number},"dayCumQty":{number},"dayAvgPx":100,"status":"PARTIALLY_FILLED","orderType":"LIMIT","limitPrice":100,"version":{number},"eventTime":"2026-01-05T14:30:00Z"}}"#
                ),
            ),
        };
        let table = self.engine.schema().topic(topic).unwrap().id;
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        assert_eq!(self.decoder.decode([Record { table, position: 0, key, value }]), 1);
        self.decoder.take()
    }

    fn tick(&mut self, cut: Cut) {
        let now = self.engine.snapshot().as_of + 1;
        assert!(self.engine.tick(now, cut).unwrap(), "the record changes something");
    }

    /// Ticks that grow what a first one grows.
    fn warm(&mut self, change: Change) {
        for _ in 0..3 {
            let cut = self.cut(change);
            self.tick(cut);
        }
    }

    /// The most that one of a few ticks allocates.
    fn tick_bytes(&mut self, change: Change) -> usize {
        self.warm(change);
        let bytes = (0..3).map(|_| {
            let cut = self.cut(change);
            allocated_bytes(|| self.tick(cut))
        });
        bytes.max().expect("three ticks")
    }
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Price,
    Fill,
}

const CHANGES: [Change; 2] = [Change::Price, Change::Fill];

/// What pointers to ten times as many rows may add.
const POINTERS_BYTES_MAX: usize = 4_096;

fn by_sector() -> ViewSpec {
    spec(&["sector"])
}

#[test]
fn t1_a_tick_copies_no_table() {
    let mut small = Loaded::new(50, 2_000);
    let mut large = Loaded::new(500, 20_000);
    for loaded in [&mut small, &mut large] {
        loaded.engine.open(&by_sector()).unwrap();
    }
    for name in ["base.sod_holding", "base.order_events", "base.price"] {
        let table = large.engine.schema().table(name).id;
        let bytes: usize = large.engine.tables().partitions(table).map(|rows| rows.bytes()).sum();
        assert!(bytes > 3 * TICK_BYTES_MAX, "a copy of {name} would show: it has {bytes} bytes");
    }
    let mut failures = Vec::new();
    for change in CHANGES {
        let (few, many) = (small.tick_bytes(change), large.tick_bytes(change));
        println!("{change:?}: {few} bytes, on a market ten times as large {many}");
        if few.max(many) > TICK_BYTES_MAX {
            failures.push(format!("{change:?} allocates {few} and {many} bytes, more than {TICK_BYTES_MAX}"));
        }
        // Pointers to blocks of rows are copied, 8 bytes for thousands of them.
        if many > few * 3 / 2 + POINTERS_BYTES_MAX {
            failures.push(format!(
                "{change:?} allocates {few} bytes, and {many} where rows are ten times as many"
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn t2_a_tick_makes_no_plan() {
    let plans = Plans::default();
    let seen = || plans.0.load(Ordering::Relaxed);
    let mut loaded = Loaded::new(5, 300);
    // With one dispatcher alone, tracing asks the thread that first meets an event whether anyone listens:
    // a test beside this one would answer no, for good.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(plans.clone()), || {
        loaded.engine.open(&by_sector()).unwrap();
        let opened = seen();
        assert!(opened > 0, "a view is planned when it opens");
        for change in CHANGES {
            for _ in 0..3 {
                let cut = loaded.cut(change);
                loaded.tick(cut);
            }
            assert_eq!(seen(), opened, "{change:?}");
        }
        let mut euro = spec(&["region"]);
        euro.currency = "EUR".to_owned();
        loaded.engine.open(&euro).unwrap();
        assert!(seen() > opened, "the trace still sees plans");
    });
}

#[test]
fn t3_a_tick_reads_no_name() {
    let mut touched = Vec::new();
    for fields in [&["sector"] as &[&str], &["account_id", "instrument_id"]] {
        for change in CHANGES {
            let mut loaded = Loaded::new(5, 300);
            loaded.engine.open(&spec(fields)).unwrap();
            loaded.warm(change);
            let cut = loaded.cut(change);
            if !ticks_beside_locked_names(&mut loaded, cut) {
                touched.push(format!("{change:?} by {fields:?}"));
            }
        }
    }
    assert!(touched.is_empty(), "a tick waited for the dictionaries: {touched:?}");
}

/// Whether a tick ends while nobody can look into the dictionaries.
fn ticks_beside_locked_names(loaded: &mut Loaded, cut: Cut) -> bool {
    let dictionaries = Arc::clone(loaded.engine.dictionaries());
    let (done, ended) = mpsc::channel();
    thread::scope(|scope| {
        let names = dictionaries.write().unwrap();
        scope.spawn(move || {
            loaded.tick(cut);
            done.send(()).unwrap();
        });
        let ended = ended.recv_timeout(Duration::from_secs(5)).is_ok();
        // A tick that waits can go on, so that the test ends.
        drop(names);
        ended
    })
}
