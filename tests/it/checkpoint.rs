//! Checkpoints: the engine that comes of one goes on as the one that wrote it would have, bit for bit; and what
//! becomes of damaged, unfinished and foreign ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tickview::checkpoint::{Checkpoints, Origin};
use tickview::clock::Timestamp;
use tickview::error::Kind;
use tickview::ingest::replay::Replay;
use tickview::ingest::source::{Cut, SetAside, Source, TopicOffset};
use tickview::schedule::Engine;
use tickview::schema::Schema;
use tickview::serve::keeper::Keeper;
use tickview::serve::live::Live;
use tickview::serve::views::{Ticking, Views};
use tickview::view::recompute::Oracle;

use crate::desk::{Desk, NOW};
use crate::history::History;
use crate::law::{check, spec};

/// A directory that is gone with the test.
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("tickview-checkpoint-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Place(std::env::temp_dir().join(name))
    }

    pub fn open(&self) -> Checkpoints {
        Checkpoints::open(&self.0).unwrap()
    }

    /// The numbers of all checkpoints, oldest first.
    fn numbers(&self) -> Vec<u64> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut numbers: Vec<u64> = names.filter_map(|name| name.to_str().unwrap().parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    fn files(&self, number: u64) -> Vec<PathBuf> {
        let dir = self.0.join(format!("{number:010}"));
        let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort_unstable();
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn origin() -> Origin {
    Origin { source: "replay".to_owned(), identity: "a recording".to_owned() }
}

fn offsets(next: i64) -> Vec<TopicOffset> {
    vec![TopicOffset { topic: "base.price".to_owned(), partition: 0, offset: next }]
}

fn restored(checkpoints: &Checkpoints) -> Engine {
    let loaded = checkpoints.latest(&Arc::new(Schema::base())).unwrap().expect("there is a checkpoint");
    Engine::restored(loaded).unwrap()
}

/// What stands in all tables, in no order.
pub fn rows(engine: &Engine) -> Vec<Vec<Vec<i128>>> {
    let snapshot = engine.snapshot();
    let table = |table: &tickview::schema::Table| {
        let mut rows = Vec::new();
        for (_, partition) in snapshot.table(table.id).partitions() {
            for row in 0..partition.len() as u32 {
                let mut data = Vec::new();
                partition.read(row, &mut data);
                rows.push(data);
            }
        }
        rows.sort_unstable();
        rows
    };
    engine.schema().tables.iter().map(table).collect()
}

#[test]
fn e1_a_restored_engine_goes_on_bit_for_bit() {
    let mut oracle = Oracle::new(&Arc::new(Schema::base()), 1);
    for seed in 0..12 {
        let place = Place::new();
        let mut history = History::new(7_000 + seed);
        let mut first = Desk::new();
        let start = 1_767_600_000_000_000;
        let at = |tick: i64| start + tick * 240_000_000;
        for tick in 0..6 {
            let records = history.records(30);
            first.tick(at(tick), &records);
        }
        place.open().write(&first.engine.state(), &origin(), &offsets(6)).unwrap();
        let mut second = Desk::over(restored(&place.open()));
        assert_eq!(second.engine.snapshot().epoch, first.engine.snapshot().epoch);
        assert_eq!(second.engine.snapshot().as_of, first.engine.snapshot().as_of);
        assert_eq!(second.engine.snapshot().day, first.engine.snapshot().day);
        assert_eq!(rows(&second.engine), rows(&first.engine), "seed {seed}");
        assert_eq!(second.engine.tables().held(), first.engine.tables().held());
        let specs = [history.spec(&first.engine), history.spec(&first.engine)];
        for tick in 6..12 {
            for spec in &specs {
                assert_eq!(second.show(spec), first.show(spec), "seed {seed}, before tick {tick}, {spec:?}");
            }
            let records = history.records(10);
            let moved = [first.tick(at(tick), &records), second.tick(at(tick), &records)];
            assert_eq!(moved[0], moved[1]);
            assert_eq!(rows(&second.engine), rows(&first.engine), "seed {seed}");
        }
        let opened = specs.each_ref().map(|spec| second.engine.open(spec).unwrap());
        let views: Vec<_> = opened.into_iter().zip(&specs).collect();
        check(&second.engine, &views, &mut oracle);
    }
}

#[test]
fn e1_what_was_set_aside_and_where_the_source_stood_come_back() {
    let place = Place::new();
    let mut desk = Desk::new();
    let bad = SetAside {
        topic: "base.price".to_owned(),
        position: "base.price-0@17".to_owned(),
        key: "\"X\"".to_owned(),
        reason: "price is NaN".to_owned(),
        payload: vec![0, 255, 7],
    };
    desk.engine.tick(NOW, Cut { set_aside: vec![bad.clone()], ..Cut::default() }).unwrap();
    place.open().write(&desk.engine.state(), &origin(), &offsets(18)).unwrap();
    let loaded = place.open().latest(desk.engine.schema()).unwrap().unwrap();
    assert_eq!(loaded.manifest.offsets, offsets(18));
    assert_eq!(loaded.manifest.origin, origin());
    let engine = Engine::restored(loaded).unwrap();
    assert_eq!(**engine.quarantine().records(), [bad]);
    assert_eq!(engine.quarantine().counts(), [("base.price".to_owned(), 1)]);
}

/// Two checkpoints of a desk with rows in every table.
fn two_checkpoints(place: &Place) -> Desk {
    let mut history = History::new(1);
    let mut desk = Desk::new();
    for tick in 1..=2 {
        for more in 0..5 {
            let records = history.records(40);
            desk.tick(NOW + tick * 1_000_000 + more, &records);
        }
        place.open().write(&desk.engine.state(), &origin(), &offsets(tick)).unwrap();
    }
    desk
}

#[test]
fn e2_a_damaged_checkpoint_falls_back_to_the_one_before() {
    let place = Place::new();
    let desk = two_checkpoints(&place);
    let schema = desk.engine.schema();
    let newest = || place.open().latest(schema).unwrap().unwrap().manifest.offsets;
    assert_eq!(newest(), offsets(2));
    for file in place.files(2) {
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let longer = [&whole[..], b" {}"].concat();
        for damaged in [&flipped[..], &whole[..whole.len() - 1], &[], &longer] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(newest(), offsets(1), "{} of {} bytes", file.display(), damaged.len());
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(newest(), offsets(1), "{} is missing", file.display());
        fs::write(&file, &whole).unwrap();
        assert_eq!(newest(), offsets(2));
    }
}

#[test]
fn e2_where_every_checkpoint_is_damaged_it_says_so() {
    let place = Place::new();
    let desk = two_checkpoints(&place);
    for number in place.numbers() {
        fs::write(place.files(number).iter().find(|file| file.ends_with("manifest.json")).unwrap(), "{}")
            .unwrap();
    }
    let error = place.open().latest(desk.engine.schema()).err().unwrap();
    assert_eq!((error.kind, error.code), (Kind::Data, "CHECKPOINT"));
    assert!(error.message.contains("remove the directory"), "{error}");
}

#[test]
fn e2_the_last_two_are_kept_and_unfinished_ones_go() {
    let place = Place::new();
    let mut desk = Desk::new();
    assert!(place.open().latest(desk.engine.schema()).unwrap().is_none(), "there is none at first");
    let mut history = History::new(2);
    for tick in 1..=4 {
        let records = history.records(40);
        desk.tick(NOW + tick, &records);
        place.open().write(&desk.engine.state(), &origin(), &[]).unwrap();
    }
    assert_eq!(place.numbers(), [3, 4]);
    let unfinished = place.0.join("unfinished-5");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("names.arrow"), b"half of it").unwrap();
    let again = place.open();
    assert!(!unfinished.exists());
    let epoch = desk.engine.snapshot().epoch;
    assert_eq!(again.latest(desk.engine.schema()).unwrap().unwrap().manifest.epoch, epoch);
    // The same epoch once more is another checkpoint: the one before stands until this one is whole.
    again.write(&desk.engine.state(), &origin(), &[]).unwrap();
    assert_eq!(place.numbers(), [4, 5]);
}

#[test]
fn e2_one_process_at_a_time_has_a_directory() {
    let place = Place::new();
    let first = place.open();
    let error = Checkpoints::open(&place.0).err().unwrap();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains("another process"), "{error}");
    drop(first);
    place.open();
}

#[test]
fn e2_a_checkpoint_of_another_engine_is_refused_not_passed_over() {
    let place = Place::new();
    let desk = two_checkpoints(&place);
    let mut schema = Schema::base();
    schema.tables[0].columns[0].nullable ^= true;
    let error = place.open().latest(&Arc::new(schema)).err().unwrap();
    assert_eq!((error.kind, error.code), (Kind::Invalid, "CHECKPOINT"));
    assert!(error.message.contains("start the engine that wrote it"), "{error}");
    drop(desk);
}

#[test]
fn e1_a_checkpoint_is_of_its_epoch_whatever_comes_while_it_is_written() {
    let place = Place::new();
    let mut history = History::new(3);
    let mut desk = Desk::new();
    for tick in 0..4 {
        let records = history.records(40);
        desk.tick(NOW + tick, &records);
    }
    let (state, then) = (desk.engine.state(), rows(&desk.engine));
    for tick in 4..8 {
        let records = history.records(40);
        desk.tick(NOW + tick, &records);
    }
    assert_ne!(rows(&desk.engine), then);
    place.open().write(&state, &origin(), &[]).unwrap();
    let engine = restored(&place.open());
    assert_eq!(rows(&engine), then);
    let shown = Desk::over(engine).show(&spec(&["sector"]));
    assert!(!shown.is_empty());
}

#[test]
fn e2_a_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    fs::write(&place.0, b"a file").unwrap();
    let error = Checkpoints::open(Path::new(&place.0)).err().unwrap();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.contains(place.0.to_str().unwrap()), "{error}");
    fs::remove_file(&place.0).unwrap();
}

/// Plays the rest of a recording a few records a tick, keeping what a checkpoint would have of offsets.
struct Player {
    engine: Engine,
    replay: Replay,
    offsets: BTreeMap<String, TopicOffset>,
    time: Timestamp,
}

impl Player {
    fn new(engine: Engine, offsets: &[TopicOffset]) -> Player {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/desk");
        let dictionaries = engine.dictionaries().clone();
        let mut replay = Replay::open(&fixture, engine.schema(), dictionaries, None).unwrap();
        let time = engine.snapshot().as_of;
        replay.resume(offsets, time).unwrap();
        let offsets = offsets.iter().map(|offset| (offset.topic.clone(), offset.clone())).collect();
        Player { engine, replay, offsets, time }
    }

    /// Returns whether more is to come.
    fn tick(&mut self) -> bool {
        let cut = self.replay.cut(0, 3).unwrap();
        self.offsets.extend(cut.offsets.iter().map(|offset| (offset.topic.clone(), offset.clone())));
        self.time = cut.record_time_max.unwrap_or(self.time);
        let more = cut.more;
        self.engine.tick(self.time, cut).unwrap();
        more
    }
}

#[test]
fn e3_a_replay_goes_on_behind_any_tick() {
    let mut whole = Player::new(Engine::new(), &[]);
    let mut expected = Vec::new();
    loop {
        let more = whole.tick();
        expected.push((rows(&whole.engine), whole.engine.snapshot().as_of));
        if !more {
            break;
        }
    }
    assert!(expected.len() > 40);
    let shown = Desk::over(whole.engine).show(&spec(&["account_id", "sector"]));
    for stop in (1..expected.len()).step_by(7) {
        let place = Place::new();
        let mut first = Player::new(Engine::new(), &[]);
        (0..stop).for_each(|_| assert!(first.tick()));
        let offsets: Vec<TopicOffset> = first.offsets.into_values().collect();
        place.open().write(&first.engine.state(), &origin(), &offsets).unwrap();
        let loaded = place.open().latest(first.engine.schema()).unwrap().unwrap();
        let offsets = loaded.manifest.offsets.clone();
        let mut second = Player::new(Engine::restored(loaded).unwrap(), &offsets);
        for expected in &expected[stop..] {
            second.tick();
            assert_eq!(
                (rows(&second.engine), second.engine.snapshot().as_of),
                *expected,
                "stopped at {stop}"
            );
        }
        assert_eq!(Desk::over(second.engine).show(&spec(&["account_id", "sector"])), shown);
    }
}

#[test]
fn e3_a_recording_that_is_shorter_than_the_checkpoint_is_refused() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/desk");
    let engine = Engine::new();
    let mut replay = Replay::open(&fixture, engine.schema(), engine.dictionaries().clone(), None).unwrap();
    let error = replay.resume(&offsets(1_000_000), NOW).err().unwrap();
    assert_eq!((error.kind, error.code), (Kind::Invalid, "OFFSET_OUT_OF_RANGE"));
    let unknown = [TopicOffset { topic: "base.unknown".to_owned(), partition: 0, offset: 1 }];
    assert!(replay.resume(&unknown, NOW).err().unwrap().message.contains("base.unknown"));
}

/// Ticks until the directory has so many checkpoints.
fn tick_until(live: &mut Live, place: &Place, checkpoints: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while place.numbers().len() < checkpoints {
        assert!(Instant::now() < deadline, "no checkpoint was written");
        live.tick(NOW).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn e3_a_server_goes_on_from_its_last_checkpoint() {
    let place = Place::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/desk");
    let start = |checkpoints: Checkpoints, engine: Engine, offsets: &[TopicOffset]| {
        let dictionaries = engine.dictionaries().clone();
        let mut replay = Replay::open(&fixture, engine.schema(), dictionaries, None).unwrap();
        replay.resume(offsets, engine.snapshot().as_of).unwrap();
        let mut live = Live::new(engine, Box::new(replay)).unwrap();
        live.keep(Keeper::new(checkpoints, origin(), 0).unwrap(), offsets);
        live
    };
    let mut live = start(place.open(), Engine::new(), &[]);
    tick_until(&mut live, &place, 1);
    let epoch = live.epoch();
    drop(live);
    let checkpoints = place.open();
    let loaded = checkpoints.latest(&Arc::new(Schema::base())).unwrap().unwrap();
    let offsets = loaded.manifest.offsets.clone();
    assert_eq!(offsets.len(), 8, "a place in each file");
    let mut again = start(checkpoints, Engine::restored(loaded).unwrap(), &offsets);
    again.tick(NOW).unwrap();
    assert!(again.ready());
    assert_eq!(again.epoch(), epoch, "nothing came since");
    tick_until(&mut again, &place, 2);
    drop(again);
    let recorded = Desk::over(restored(&place.open())).show(&spec(&["sector"]));
    let mut whole = Player::new(Engine::new(), &[]);
    while whole.tick() {}
    assert_eq!(recorded, Desk::over(whole.engine).show(&spec(&["sector"])));
}
