//! The same records give the same views, whichever way they came.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tickview::catalog::Kind;
use tickview::datum::NULL;
use tickview::diff::{Subscription, Window};
use tickview::ingest::encode;
use tickview::ingest::kafka::{Outgoing, Time};
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::replay::Replay;
use tickview::ingest::source::{Cut, Source};
use tickview::plan::bind::{GROUP_FIELDS, VIEWS};
use tickview::schedule::Engine;
use tickview::view::result::{Cell, Form};
use tickview::view::spec::{Expanded, ViewSpec};

use super::topics::{Fed, Topics};
use crate::desk::Desk;
use crate::history::History;

/// Every shipped view, over every group field, at a time: names for codes, which differ by arrival.
fn views(engine: &mut Engine, now: i64) -> BTreeMap<String, Vec<String>> {
    engine.tick(now, Cut::default()).unwrap();
    let mut all = BTreeMap::new();
    for (name, _, kind) in VIEWS {
        let mut specs = vec![ViewSpec::new(name)];
        if kind == Kind::Grouped {
            specs.extend(GROUP_FIELDS.iter().map(|field| {
                let group_by = vec![(*field).to_owned(), "account_id".to_owned()];
                let group_by = if *field == "account_id" { group_by[..1].to_vec() } else { group_by };
                ViewSpec { group_by, expanded: Expanded::All, ..ViewSpec::new(name) }
            }));
        }
        for mut spec in specs {
            if name == "pid_carve_out" {
                spec.portfolios = Some(vec![String::new(), "CORE".to_owned(), "P1".to_owned()]);
            }
            let view = engine.open(&spec).unwrap();
            all.insert(format!("{spec:?}"), texts(engine, view));
            engine.close(view);
        }
    }
    all
}

fn texts(engine: &Engine, view: u64) -> Vec<String> {
    let result = engine.view(view);
    let snapshot = Subscription::new(Window::ALL).snapshot(result);
    let dictionaries = engine.dictionaries().read().unwrap();
    let cells = |cells: &[Cell]| {
        let cells = result.columns().iter().zip(cells).map(|(column, cell)| {
            let value = match column.form {
                _ if cell.value == NULL => "-".to_owned(),
                Form::Name => dictionaries.names.text(cell.value as u32).to_owned(),
                Form::Id { table } => dictionaries.keys(table).text(cell.value as u32).to_owned(),
                _ => cell.value.to_string(),
            };
            format!("{value}({})", cell.quality)
        });
        cells.collect::<Vec<_>>().join(" ")
    };
    let rows = snapshot.rows.iter().map(|row| format!("{:?} {}", row.heading, cells(&row.cells)));
    let mut rows: Vec<String> = rows.collect();
    rows.push(format!("all {}", cells(&snapshot.total)));
    rows
}

#[track_caller]
fn same(ours: &mut Engine, others: &mut Engine, now: i64) {
    let (ours, others) = (views(ours, now), views(others, now));
    assert!(ours.values().map(Vec::len).sum::<usize>() > 500, "there is something to compare");
    assert_eq!(ours.len(), others.len());
    // Rows first: a group that differs says less.
    let mut specs: Vec<&String> = ours.keys().collect();
    specs.sort_by_key(|spec| !(spec.contains("\"orders\"") || spec.contains("\"holdings\"")));
    for spec in specs {
        for (ours, others) in ours[spec].iter().zip(&others[spec]) {
            assert_eq!(ours, others, "{spec}");
        }
        assert_eq!(ours[spec].len(), others[spec].len(), "{spec}");
    }
}

/// Runs the tool on a recording.
fn publish_recording(topics: &Topics, directory: &Path) {
    super::tool::run(&[
        "produce",
        "--to",
        &topics.bootstrap,
        "--kafka-prefix",
        &topics.prefix,
        "--replay",
        directory.to_str().unwrap(),
    ]);
}

#[test]
fn j1_a_recording_gives_the_same_views_through_kafka_as_through_replay() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/desk");
    let mut engine = Engine::new();
    let dictionaries = Arc::clone(engine.dictionaries());
    let mut replay = Replay::open(&directory, engine.schema(), dictionaries, None).unwrap();
    let cut = replay.cut(0, usize::MAX).unwrap();
    let (end, records) = (cut.record_time_max.unwrap(), cut.changes.iter().map(|c| c.len()).sum::<usize>());
    engine.tick(end, cut).unwrap();

    let topics = Topics::shared(3);
    publish_recording(&topics, &directory);
    let mut settings = topics.settings();
    settings.time = Time::Records;
    let mut fed = Fed::open(&settings);
    fed.now = Some(end);
    let cut = fed.catch_up();
    assert_eq!((fed.records, &fed.set_aside[..]), (records, &[][..]));
    assert_eq!(cut.record_time_max, Some(end), "Kafka's timestamps are those of the recording");
    same(&mut fed.engine, &mut engine, end);
}

#[test]
fn j1_the_market_gives_the_same_views_through_kafka_as_by_itself() {
    let topics = Topics::shared(4);
    let mut publisher = topics.publisher();
    let mut engine = Engine::new();
    let start = 1_767_623_400_000_000;
    let config = MarketConfig {
        accounts: 4,
        holdings_per_account: 25,
        orders_per_account: 40,
        instruments: 40,
        prices_per_second: 20,
        orders_per_second: 20,
        fx_per_second: 1,
        // Days end meanwhile.
        day_length_s: 30,
        start,
        ..MarketConfig::default()
    };
    let mut market = Market::new(config, engine.schema(), Arc::clone(engine.dictionaries()));
    let schema = Arc::clone(engine.schema());
    let (mut records, mut tombstones, mut loaded, mut now) = (0, 0, false, start);
    while now < start + 70_000_000 {
        let cut = market.cut(now, 10_000).unwrap();
        for changes in &cut.changes {
            let table = &schema.tables[changes.table];
            let dictionaries = engine.dictionaries().read().unwrap();
            for (op, row) in changes.iter() {
                let (mut key, mut value) = (String::new(), String::new());
                encode::key(table, row, &dictionaries, &mut key);
                encode::value(table, row, &dictionaries, &mut value);
                let upsert = op == tickview::delta::Op::Upsert;
                let account = table.partition.filter(|column| upsert || table.key.contains(column));
                publisher
                    .publish(Outgoing {
                        table: table.id,
                        key: Some(key.as_bytes()),
                        value: upsert.then_some(value.as_bytes()),
                        account: account.map(|column| dictionaries.names.text(row[column] as u32)),
                        time: None,
                    })
                    .unwrap();
                records += 1;
                tombstones += usize::from(!upsert);
            }
        }
        loaded |= cut.caught_up;
        engine.tick(now, cut).unwrap();
        now += if loaded { 2_500_000 } else { 0 };
    }
    assert_eq!(publisher.finish().unwrap(), records as u64);
    assert!(tombstones > 0, "days ended");

    let mut fed = Fed::open(&topics.settings());
    fed.now = Some(now);
    fed.catch_up();
    assert_eq!((fed.records, &fed.set_aside[..]), (records, &[][..]));
    same(&mut fed.engine, &mut engine, now);
}

#[test]
fn j1_random_histories_give_the_same_views_through_kafka() {
    for seed in 0..3 {
        let topics = Topics::shared(3);
        let mut publisher = topics.publisher();
        let (mut history, mut desk) = (History::new(seed), Desk::new());
        let start = 1_767_600_000_000_000;
        for tick in 0..30 {
            let lines = history.records(20);
            // What day it is may depend on when holdings came that went again: it never moves back.
            let moves_day = |line: &&str| {
                let gone = line.starts_with("base.sod-holding") && line.ends_with(" null");
                gone || line.starts_with("base.business-date")
            };
            let lines: Vec<&str> = lines.lines().filter(|line| !moves_day(line)).collect();
            let lines = lines.join("\n");
            desk.tick(start + tick * 240_000_000, &lines);
            for line in lines.lines() {
                let (topic, rest) = line.split_once(' ').unwrap();
                let (key, value) = rest.split_once(' ').unwrap();
                topics.publish(&mut publisher, topic, key, Some(value).filter(|value| *value != "null"));
            }
        }
        publisher.finish().unwrap();
        let mut fed = Fed::open(&topics.settings());
        fed.now = Some(start);
        fed.catch_up();
        same(&mut fed.engine, &mut desk.engine, start + 30 * 240_000_000);
    }
}
