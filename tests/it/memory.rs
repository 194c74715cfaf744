//! The limit on memory: how it is written, where it comes from, what it refuses, and when it lets data wait.

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tickview::clock::SECOND_US;
use tickview::error::Kind;
use tickview::ingest::ahead::Ahead;
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::source::{Announced, Source};
use tickview::limits::BASE_BYTES;
use tickview::schedule::Engine;
use tickview::serve::memory::{Size, Watch, admit, estimate, standard_limit};

const GIB: u64 = 1 << 30;

#[test]
fn a_size_is_written_with_its_unit() {
    for (text, bytes) in [
        ("8GiB", 8 * GIB),
        ("8gib", 8 * GIB),
        ("1.5 GiB", GIB + GIB / 2),
        ("512MiB", 512 << 20),
        ("10GB", 10_000_000_000),
        ("4096", 4_096),
        ("4096B", 4_096),
    ] {
        assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
    }
    for text in ["", "GiB", "-1GiB", "0", "eight", "8XiB", "infGiB", "NaN", "9e18", "8€"] {
        let error = text.parse::<Size>().unwrap_err();
        assert!(error.contains("8GiB"), "{text}: {error}");
    }
    let shown = [(8 * GIB, "8.0 GiB"), (GIB * 3 / 2, "1.5 GiB"), (900, "900 B"), (5 << 40, "5.0 TiB")];
    for (bytes, text) in shown {
        assert_eq!(Size(bytes).to_string(), text);
    }
}

#[test]
fn the_standard_limit_is_the_least_of_machine_and_control_groups_less_an_eighth() {
    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemFree: 1 kB\nMemTotal:       16777216 kB\n");
    let eighth_less = |gib: u64| Some(Size(gib * GIB / 8 * 7));
    let max = "max\n";
    let none = "9223372036854771712\n";
    let (four, eight) = ("4294967296\n", "8589934592\n");
    let v2 = ("/proc/self/cgroup", "0::/a/b\n");
    let v1 = ("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/a\n0::/\n");
    for (files, expected) in [
        (vec![MACHINE], eighth_less(16)),
        (vec![MACHINE, v2], eighth_less(16)),
        (vec![MACHINE, v2, ("/sys/fs/cgroup/a/b/memory.max", four)], eighth_less(4)),
        // A group is bound by those it is in.
        (
            vec![MACHINE, v2, ("/sys/fs/cgroup/a/b/memory.max", max), ("/sys/fs/cgroup/a/memory.max", eight)],
            eighth_less(8),
        ),
        (vec![MACHINE, ("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", four)], eighth_less(4)),
        (vec![MACHINE, v1, ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", four)], eighth_less(4)),
        (vec![MACHINE, v1, ("/sys/fs/cgroup/memory/memory.limit_in_bytes", none)], eighth_less(16)),
        (vec![v2, ("/sys/fs/cgroup/a/b/memory.max", four)], None),
    ] {
        let told: HashMap<&str, &str> = files.iter().copied().collect();
        let limit = standard_limit(&|path| told.get(path).map(|text| (*text).to_owned()));
        assert_eq!(limit, expected, "{files:?}");
    }
}

#[test]
fn a_source_that_does_not_fit_is_told_what_it_needs_and_what_to_do() {
    let announced = Announced { holdings: 25_043_000, orders: 50_000_000, others: 30_000 };
    let need = estimate(&announced);
    assert!(need > Size(6 * GIB), "{need}");
    assert!(admit(&announced, need).is_ok());
    let error = admit(&announced, Size(need.0 - 1)).unwrap_err();
    assert_eq!(error.kind, Kind::Overloaded);
    let half = BASE_BYTES + (need.0 - BASE_BYTES) / 2 + 1_000;
    let message = admit(&announced, Size(half)).unwrap_err().message;
    for part in [
        "25,043,000 holdings",
        "50,000,000 orders",
        &need.to_string(),
        &Size(half).to_string(),
        "load fewer accounts",
        "50 % of them fit",
        "raise --memory-limit",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    assert!(admit(&announced, Size(1)).unwrap_err().message.contains("0 % of them fit"));
}

#[test]
fn a_small_load_takes_what_is_estimated_within_a_quarter() {
    // A process of its own, so that what is resident is of nothing else.
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let output = command.args(["--here", "load", "--accounts", "30"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |name: &str| report[name].as_u64().unwrap();
    let (holdings, orders) = (count("holdings"), count("orders"));
    assert_eq!((holdings, orders), (150_000, 300_000));
    let others = report["load"]["rows"].as_u64().unwrap() - holdings - orders;
    let estimated = estimate(&Announced { holdings, orders, others }).0 as f64 / 1_048_576.0;
    let resident = report["load"]["resident_mb"].as_f64().unwrap();
    let ratio = estimated / resident;
    assert!(
        (0.75..=1.25).contains(&ratio),
        "{estimated:.0} MB were estimated, {resident:.0} MB are resident"
    );
}

#[test]
fn a_market_announces_the_rows_it_loads() {
    let mut engine = Engine::new();
    let config = MarketConfig {
        accounts: 4,
        holdings_per_account: 20,
        orders_per_account: 30,
        instruments: 40,
        ..MarketConfig::default()
    };
    let start = config.start;
    let market = Market::new(config, engine.schema(), Arc::clone(engine.dictionaries()));
    let announced = market.announced().unwrap();
    let mut source = Ahead::new(Box::new(market)).unwrap();
    assert_eq!(source.announced(), Some(announced));
    loop {
        let cut = source.cut(start, 1_000).unwrap();
        let caught_up = cut.caught_up;
        engine.tick(start, cut).unwrap();
        if caught_up {
            break;
        }
    }
    let mut loaded = Announced::default();
    for table in engine.memory().tables {
        loaded.add(&table.table, table.rows as u64);
    }
    assert_eq!(announced, loaded);
}

#[test]
fn data_stands_still_beyond_the_limit_until_enough_is_free() {
    let readings = [900, 1_000, 1_001, 2_000, 951, 950, 949, 1_000, 1_001];
    let mut next = readings.into_iter();
    let mut watch = Watch::of(Size(1_000), move || next.next());
    let seen: Vec<(bool, Option<i64>)> = (1..=readings.len() as i64)
        .map(|second| (watch.look(second * SECOND_US), watch.halted_since().map(|since| since / SECOND_US)))
        .collect();
    let expected = [
        (false, None),
        // The limit itself may be taken.
        (false, None),
        (true, Some(3)),
        (false, Some(3)),
        (false, Some(3)),
        // 95 % is not below 95 %.
        (false, Some(3)),
        (true, None),
        (false, None),
        (true, Some(9)),
    ];
    assert_eq!(seen, expected);
    // A reading that fails says nothing new.
    assert!(!watch.look(10 * SECOND_US));
    assert_eq!((watch.halted_since(), watch.resident()), (Some(9 * SECOND_US), Size(1_001)));
}

#[test]
fn memory_is_accounted_for_by_table() {
    let mut engine = Engine::new();
    let empty = engine.memory().bytes();
    let config = MarketConfig {
        accounts: 3,
        holdings_per_account: 30,
        orders_per_account: 50,
        instruments: 40,
        ..MarketConfig::default()
    };
    let start = config.start;
    let mut market = Market::new(config, engine.schema(), Arc::clone(engine.dictionaries()));
    engine.tick(start, market.cut(start, usize::MAX).unwrap()).unwrap();
    let memory = engine.memory();
    let bytes = |name: &str| memory.tables.iter().find(|table| table.table == name).unwrap().bytes;
    // A row's columns alone are more than this.
    assert!(bytes("base.order_events") > 150 * 60 && bytes("base.sod_holding") > 90 * 40);
    assert!(memory.positions > 90 && memory.positions_bytes > memory.positions * 8);
    let tables: usize = memory.tables.iter().map(|table| table.bytes).sum();
    assert_eq!(tables, engine.tables().bytes());
    assert_eq!(memory.bytes(), tables + memory.positions_bytes + memory.dictionaries_bytes);
    assert!(memory.bytes() > empty);
}
