//! A load made ahead of the engine: the same cuts, codes and tables as without the thread.

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use tickview::clock::{SECOND_US, Timestamp};
use tickview::datum::Datum;
use tickview::dictionary::Dictionaries;
use tickview::diff::{Snapshot, Subscription, Window};
use tickview::error::{Error, Kind, Result};
use tickview::ingest::ahead::Ahead;
use tickview::ingest::market::{Market, MarketConfig};
use tickview::ingest::replay::Replay;
use tickview::ingest::source::{Cut, Source};
use tickview::schedule::Engine;
use tickview::schema::Schema;
use tickview::view::spec::ViewSpec;

fn small() -> MarketConfig {
    MarketConfig {
        accounts: 15,
        holdings_per_account: 40,
        orders_per_account: 80,
        instruments: 150,
        prices_per_second: 40,
        orders_per_second: 40,
        day_length_s: 60,
        ..MarketConfig::default()
    }
}

type Shared = Arc<RwLock<Dictionaries>>;

fn dictionaries(schema: &Schema) -> Shared {
    Arc::new(RwLock::new(Dictionaries::new(schema)))
}

fn replay(schema: &Schema, dictionaries: &Shared, speed: Option<f64>) -> Box<dyn Source> {
    let desk = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/desk");
    Box::new(Replay::open(&desk, schema, Arc::clone(dictionaries), speed).unwrap())
}

fn market(schema: &Schema, dictionaries: &Shared) -> Box<dyn Source> {
    Box::new(Market::new(small(), schema, Arc::clone(dictionaries)))
}

fn ahead(source: Box<dyn Source>) -> Box<dyn Source> {
    Box::new(Ahead::new(source).unwrap())
}

/// The cuts of a load, without those that came while nothing was made yet.
fn load(source: &mut dyn Source, now: Timestamp, records_max: usize) -> Vec<Cut> {
    let mut cuts: Vec<Cut> = Vec::new();
    loop {
        let cut = source.cut(now, records_max).unwrap();
        let done = cut.caught_up;
        if cut.changes.is_empty() && cut.set_aside.is_empty() && !done {
            let last = cuts.last().map_or(&[][..], |last| last.progress.as_slice());
            assert_eq!(cut.progress, last, "an empty cut is as far as the one before");
            assert!(!cut.more, "what is not made yet does not wait");
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        cuts.push(cut);
        if done {
            return cuts;
        }
    }
}

/// All texts in the order of their codes.
fn texts(dictionaries: &Shared) -> Vec<String> {
    let dictionaries = dictionaries.read().unwrap();
    let all = dictionaries.keys.iter().chain([&dictionaries.names]);
    all.flat_map(|dictionary| (0..dictionary.len()).map(|code| dictionary.text(code as u32).to_owned()))
        .collect()
}

#[test]
fn a_load_made_ahead_has_the_cuts_and_the_codes_of_one_made_in_turn() {
    let schema = Schema::base();
    let start = small().start;
    type Make = fn(&Schema, &Shared) -> Box<dyn Source>;
    let sources: [(&str, Make, &[usize]); 2] = [
        ("market", market, &[7, 500, 100_000]),
        ("replay", |schema, dictionaries| replay(schema, dictionaries, None), &[1, 20, 1_000]),
    ];
    for (name, make, sizes) in sources {
        for &records_max in sizes {
            let [in_turn, made_ahead] = [dictionaries(&schema), dictionaries(&schema)];
            let expected = load(&mut *make(&schema, &in_turn), start, records_max);
            let cuts = load(&mut *ahead(make(&schema, &made_ahead)), start, records_max);
            assert_eq!(format!("{cuts:?}"), format!("{expected:?}"), "{name} in cuts of {records_max}");
            assert_eq!(texts(&made_ahead), texts(&in_turn), "{name} in cuts of {records_max}");
            let few = cuts.iter().map(|cut| cut.changes.iter().map(|changes| changes.len()).sum::<usize>());
            assert!(few.max() <= Some(records_max), "{name} in cuts of {records_max}");
        }
    }
}

/// The rows of every table, and what a view shows, a minute and a half after the opening.
fn end(made_ahead: bool, records_max: usize) -> (Vec<Vec<Vec<Datum>>>, Snapshot) {
    let mut engine = Engine::new();
    let mut source = market(engine.schema(), engine.dictionaries());
    if made_ahead {
        source = ahead(source);
    }
    let start = small().start;
    for cut in load(&mut *source, start, records_max) {
        engine.tick(start, cut).unwrap();
    }
    let mut spec = ViewSpec::new("account_overview");
    spec.group_by = vec!["account_id".to_owned(), "sector".to_owned()];
    let view = engine.open(&spec).unwrap();
    for second in 1..=90 {
        loop {
            let now = start + second * SECOND_US;
            let cut = source.cut(now, records_max).unwrap();
            let more = cut.more;
            engine.tick(now, cut).unwrap();
            if !more {
                break;
            }
        }
    }
    let rows = |table: &tickview::schema::Table| {
        let mut all = Vec::new();
        for rows in engine.tables().partitions(table.id) {
            for row in 0..rows.len() as u32 {
                let mut values = Vec::new();
                rows.read(row, &mut values);
                all.push(values);
            }
        }
        all.sort_unstable();
        all
    };
    let tables = engine.schema().tables.iter().map(rows).collect();
    (tables, Subscription::new(Window { from: 0, to: 1_000 }).snapshot(engine.view(view)))
}

#[test]
fn tables_and_views_hang_neither_on_the_thread_nor_on_the_size_of_cuts() {
    let (tables, shown) = end(false, 1_000_000);
    let (accounts, orders) = (small().accounts as usize, small().orders_per_account as usize);
    assert!(tables.iter().any(|rows| rows.len() > accounts * orders), "orders came after the load");
    for (made_ahead, records_max) in [(false, 900), (true, 900), (true, 10_000)] {
        let case = format!("ahead: {made_ahead}, cuts of {records_max}");
        let (others, other) = end(made_ahead, records_max);
        assert!(others == tables, "{case}");
        assert_eq!(other, shown, "{case}");
    }
}

#[test]
fn a_paced_replay_follows_its_time_ahead_or_not() {
    let schema = Schema::base();
    let (one, other) = (dictionaries(&schema), dictionaries(&schema));
    let mut in_turn = replay(&schema, &one, Some(3_600.0));
    let mut made_ahead = ahead(replay(&schema, &other, Some(3_600.0)));
    let mut records = 0;
    for at in 0..40 {
        let expected = in_turn.cut(at * SECOND_US, 1_000).unwrap();
        let mut cut = made_ahead.cut(at * SECOND_US, 1_000).unwrap();
        // Only the first is made on the thread.
        while at == 0 && cut.changes.is_empty() {
            thread::sleep(Duration::from_micros(200));
            cut = made_ahead.cut(0, 1_000).unwrap();
        }
        records += cut.changes.iter().map(|changes| changes.len()).sum::<usize>();
        assert_eq!(format!("{cut:?}"), format!("{expected:?}"), "at {at} s");
    }
    assert_eq!(records, 130, "all of the recording");
}

/// Delivers nothing, and at its third cut says or does this.
struct Faulty {
    cuts: u32,
    fault: fn() -> Result<Cut>,
}

impl Source for Faulty {
    fn cut(&mut self, _: Timestamp, _: usize) -> Result<Cut> {
        self.cuts += 1;
        match self.cuts {
            3 => (self.fault)(),
            cuts => Ok(Cut { more: cuts < 5, caught_up: cuts >= 5, ..Cut::default() }),
        }
    }
}

/// What comes of a source at its first fault, and at the cut after it.
fn after_fault(fault: fn() -> Result<Cut>) -> [Result<Cut>; 2] {
    let mut source = ahead(Box::new(Faulty { cuts: 0, fault }));
    loop {
        match source.cut(0, 10) {
            Ok(cut) if cut.caught_up => panic!("the fault was lost"),
            Ok(_) => thread::sleep(Duration::from_micros(200)),
            fault => return [fault, source.cut(0, 10)],
        }
    }
}

#[test]
fn a_fault_of_the_source_is_told_and_the_source_asked_again() {
    let [first, next] = after_fault(|| Err(Error::data("a broken file")));
    assert_eq!(first.unwrap_err().kind, Kind::Data);
    let next = next.unwrap();
    assert!(next.more && !next.caught_up, "it goes on where it was: {next:?}");
}

#[test]
fn a_source_that_panics_is_an_error_at_every_cut() {
    for lost in after_fault(|| panic!("a defect of a source")) {
        assert_eq!(lost.unwrap_err().kind, Kind::Internal);
    }
}
