//! Recorded topics: how files are merged, paced and cut, and what happens to lines that are no records.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};

use tickview::clock::{SECOND_US, Timestamp};
use tickview::datum::{Datum, NULL};
use tickview::delta::Op;
use tickview::dictionary::Dictionaries;
use tickview::error::{Error, Kind};
use tickview::ingest::replay::Replay;
use tickview::ingest::source::{Cut, Source};
use tickview::limits::{QUARANTINE_PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX};
use tickview::schema::Schema;

/// 2026-03-02T09:00:00Z.
const NINE_US: Timestamp = 1_772_442_000 * SECOND_US;

/// A directory of recorded topics that is gone with the test.
struct Recording(PathBuf);

impl Recording {
    fn new(files: &[(&str, &[u8])]) -> Recording {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("tickview-replay-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        for (name, bytes) in files {
            fs::write(dir.join(name), bytes).unwrap();
        }
        Recording(dir)
    }

    fn open(&self, speed: Option<f64>) -> Replay {
        open(&self.0, speed).unwrap()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn open(dir: &Path, speed: Option<f64>) -> Result<Replay, Error> {
    let schema = Schema::base();
    let dictionaries = Arc::new(RwLock::new(Dictionaries::new(&schema)));
    Replay::open(dir, &schema, dictionaries, speed)
}

/// A price record at a second after nine, told apart by its version.
fn price(second: i64, version: i64) -> String {
    let value = format!(
        r#"{{"price":10,"currency":"USD","priceType":"LAST","priceTime":"2026-03-02T09:00:00Z","version":{version},"eventTime":"2026-03-02T09:00:00Z"}}"#
    );
    format!("{{\"key\":\"I1\",\"value\":{value},\"timestamp\":{}}}\n", (NINE_US + second * SECOND_US) / 1_000)
}

fn account(second: i64, version: i64) -> String {
    let value = format!(
        r#"{{"accountName":"Alpha","baseCurrency":"USD","version":{version},"eventTime":"2026-03-02T09:00:00Z"}}"#
    );
    format!("{{\"timestamp\":\"2026-03-02T09:00:{second:02}Z\",\"key\":\"A1\",\"value\":{value}}}\n")
}

fn business_date(second: i64, version: i64) -> String {
    let value = format!(
        r#"{{"businessDate":"2026-03-02","holdings":0,"version":{version},"eventTime":"2026-03-02T09:00:00Z"}}"#
    );
    format!("{{\"timestamp\":\"2026-03-02T09:00:{second:02}Z\",\"key\":\"current\",\"value\":{value}}}\n")
}

#[test]
fn files_announce_about_as_many_rows_as_they_have() {
    let lines = |count: i64| (0..count).map(|at| price(at % 60, at)).collect::<String>();
    let order = format!("{{\"key\":\"O1\",\"pad\":\"{}\"}}", "x".repeat(300));
    // The last line is not ended.
    let orders = [order.as_str(); 7].join("\n");
    let recording = Recording::new(&[
        ("base.price.ndjson", lines(9_000).as_bytes()),
        ("base.order-events.ndjson", orders.as_bytes()),
        ("base.sod-holding.ndjson", b""),
    ]);
    let announced = recording.open(None).announced().unwrap();
    assert_eq!((announced.holdings, announced.orders), (0, 7));
    // More bytes than are looked at, of lines that grow a little.
    assert!((8_900..=9_100).contains(&announced.others), "{announced:?}");
}

/// The rows of a cut as topic and version.
fn versions(cut: &Cut) -> Vec<(String, Datum)> {
    let schema = Schema::base();
    let mut rows = Vec::new();
    for changes in &cut.changes {
        let table = &schema.tables[changes.table];
        rows.extend(changes.iter().map(|(_, row)| (table.topic.clone(), row[table.version])));
    }
    rows
}

#[test]
fn the_desk_is_all_good() {
    let mut replay = open(&fixture("desk"), None).unwrap();
    let cut = replay.cut(0, usize::MAX).unwrap();
    assert_eq!(cut.set_aside, []);
    let schema = Schema::base();
    let counts: Vec<(&str, usize)> = cut
        .changes
        .iter()
        .map(|changes| (schema.tables[changes.table].topic.as_str(), changes.len()))
        .collect();
    let expected = [
        ("base.instrument", 10),
        ("base.account", 4),
        ("base.sod-holding", 47),
        ("base.business-date", 2),
        ("base.order-events", 42),
        ("base.cash-movement", 4),
        ("base.fx-rate", 6),
        ("base.price", 15),
    ];
    assert_eq!(counts, expected);
    assert!(cut.caught_up && !cut.more && cut.progress.is_empty());
    assert_eq!(cut.record_time_max, Some(NINE_US + 88_260 * SECOND_US), "2026-03-03T09:31:00Z");

    let quiet = replay.cut(i64::MAX, usize::MAX).unwrap();
    assert!(quiet.changes.is_empty() && quiet.caught_up && !quiet.more);
    assert_eq!(quiet.record_time_max, cut.record_time_max);
}

#[test]
fn a_cut_tells_the_newest_of_each_topic_and_the_time_of_the_recording() {
    let recording = Recording::new(&[
        ("base.price.ndjson", [price(1, 1), price(9, 2), price(4, 3)].concat().as_bytes()),
        ("base.business-date.ndjson", business_date(0, 1).as_bytes()),
    ]);
    let schema = Schema::base();
    let at = |second: i64| NINE_US + second * SECOND_US;
    let newest = |cut: &Cut| -> Vec<(String, Timestamp)> {
        cut.newest.iter().map(|&(table, time)| (schema.tables[table].topic.clone(), time)).collect()
    };
    let (date, price) = ("base.business-date".to_owned(), "base.price".to_owned());

    let all = recording.open(None).cut(0, usize::MAX).unwrap();
    assert_eq!(newest(&all), [(date.clone(), at(0)), (price.clone(), at(9))]);
    assert_eq!((all.source_time, all.ended), (Some(at(9)), true));

    let mut paced = recording.open(Some(2.0));
    let cuts: Vec<Cut> = (0..6).map(|second| paced.cut(second * SECOND_US, 10).unwrap()).collect();
    let told: Vec<_> = cuts.iter().map(|cut| (newest(cut), cut.source_time.unwrap(), cut.ended)).collect();
    let expected = [
        (vec![(date, at(0))], at(0), false),
        (vec![(price.clone(), at(1))], at(2), false),
        (vec![], at(4), false),
        (vec![], at(6), false),
        (vec![], at(8), false),
        // What stands behind a later record comes with it, and the time stops with the last.
        (vec![(price, at(9))], at(9), true),
    ];
    assert_eq!(told, expected);
}

#[test]
fn files_merge_by_time_then_topic_then_line() {
    // The price of second 1 stands behind one of second 5 in its file, and so comes after it.
    let recording = Recording::new(&[
        ("base.price.ndjson", [price(2, 1), price(5, 2), price(1, 3), price(5, 4)].concat().as_bytes()),
        ("base.account.ndjson", [account(0, 10), account(2, 11), account(5, 12)].concat().as_bytes()),
        ("notes.txt", b"left alone"),
    ]);
    let mut replay = recording.open(None);
    let mut order = Vec::new();
    let mut times = Vec::new();
    loop {
        let cut = replay.cut(0, 1).unwrap();
        order.extend(versions(&cut).into_iter().map(|(_, version)| version));
        times.push(cut.record_time_max.map(|time| (time - NINE_US) / SECOND_US));
        assert_eq!(cut.more, order.len() < 7);
        assert_eq!(cut.caught_up, order.len() == 7);
        if !cut.more {
            break;
        }
    }
    assert_eq!(order, [10, 11, 1, 12, 2, 3, 4]);
    assert_eq!(times, [0, 2, 2, 5, 5, 5, 5].map(Some));
}

#[test]
fn cuts_do_not_change_what_comes() {
    let rows = |records_max: usize| {
        let mut replay = open(&fixture("desk"), None).unwrap();
        let mut rows: Vec<Vec<(Op, Vec<Datum>)>> = vec![Vec::new(); 8];
        loop {
            let cut = replay.cut(0, records_max).unwrap();
            for changes in &cut.changes {
                rows[changes.table].extend(changes.iter().map(|(op, row)| (op, row.to_vec())));
            }
            if !cut.more {
                return rows;
            }
        }
    };
    let whole = rows(usize::MAX);
    for records_max in [1, 3, 64] {
        assert_eq!(rows(records_max), whole);
    }
}

#[test]
fn progress_counts_the_bytes_handed_out() {
    let prices = [price(0, 1), price(1, 2)].concat();
    let recording = Recording::new(&[("base.price.ndjson", prices.as_bytes()), ("base.account.ndjson", b"")]);
    let mut replay = recording.open(None);
    let progress = |cut: Cut| -> Vec<(String, u64, u64)> {
        cut.progress.into_iter().map(|progress| (progress.topic, progress.done, progress.total)).collect()
    };
    let total = prices.len() as u64;
    let accounts = ("base.account".to_string(), 0, 0);
    let before = progress(replay.cut(0, 0).unwrap());
    assert_eq!(before, [accounts.clone(), ("base.price".to_string(), 0, total)]);
    let half = progress(replay.cut(0, 1).unwrap());
    assert_eq!(half, [accounts, ("base.price".to_string(), price(0, 1).len() as u64, total)]);
    assert_eq!(progress(replay.cut(0, 1).unwrap()), []);
}

#[test]
fn a_pace_follows_the_time_of_the_cuts() {
    let recording = Recording::new(&[
        (
            "base.price.ndjson",
            [price(0, 1), price(10, 2), price(20, 3), price(5, 4), price(40, 5)].concat().as_bytes(),
        ),
        ("base.account.ndjson", account(12, 10).as_bytes()),
    ]);
    let mut replay = recording.open(Some(2.0));
    let start = 1_000 * SECOND_US;
    // Record time runs twice as fast, from second 0 at the first cut; the late line 4 is due with line 3.
    let steps: [(Timestamp, &[Datum], Option<i64>); 7] = [
        (0, &[1], Some(0)),
        (4_999_999, &[], Some(0)),
        (5_000_000, &[2], Some(10)),
        (5_000_000, &[], Some(10)),
        (10_000_000, &[10, 3, 4], Some(20)),
        (19_999_999, &[], Some(20)),
        (60_000_000, &[5], Some(40)),
    ];
    for (after, expected, time) in steps {
        let cut = replay.cut(start + after, 100).unwrap();
        let got: Vec<Datum> = versions(&cut).into_iter().map(|(_, version)| version).collect();
        assert_eq!(got, expected, "after {after}");
        assert_eq!(cut.record_time_max.map(|time| (time - NINE_US) / SECOND_US), time);
        assert!(!cut.more);
        // No business date and no holding: the first record opens the day.
        assert!(cut.caught_up);
    }
    let mut replay = recording.open(Some(2.0));
    assert!(replay.cut(start, 100).unwrap().caught_up);
    assert!(replay.cut(start + 10_000_000, 1).unwrap().more);
}

#[test]
fn a_pace_is_caught_up_once_the_first_day_begins() {
    let recording = Recording::new(&[
        ("base.account.ndjson", [account(0, 1), account(6, 2)].concat().as_bytes()),
        ("base.business-date.ndjson", [business_date(6, 10), business_date(30, 11)].concat().as_bytes()),
        ("base.price.ndjson", [price(6, 20), price(7, 21)].concat().as_bytes()),
    ]);
    let mut replay = recording.open(Some(1.0));
    for (after, records_max, caught_up) in
        [(0, 9, false), (5, 9, false), (6, 2, false), (6, 1, true), (6, 9, true)]
    {
        let cut = replay.cut(after * SECOND_US, records_max).unwrap();
        assert_eq!(cut.caught_up, caught_up, "after {after}");
        assert_eq!(cut.progress.is_empty(), caught_up);
    }
}

#[test]
fn both_forms_of_a_timestamp_are_one_time() {
    let value = r#"{"accountName":"A","baseCurrency":"USD","version":1,"eventTime":"2026-03-02T09:00:00Z"}"#;
    for timestamp in ["1772442000123", "\"2026-03-02T09:00:00.123Z\"", "\"2026-03-02T10:00:00.123+01:00\""] {
        let line = format!("{{\"key\":\"A1\",\"value\":{value},\"timestamp\":{timestamp}}}");
        let recording = Recording::new(&[("base.account.ndjson", line.as_bytes())]);
        assert_eq!(recording.open(None).cut(0, 9).unwrap().record_time_max, Some(NINE_US + 123_000));
    }
}

#[test]
fn a_record_set_aside_moves_no_time() {
    let bad = price(50, 1).replace("\"LAST\"", "\"BEST\"");
    let recording = Recording::new(&[("base.price.ndjson", [price(1, 1), bad].concat().as_bytes())]);
    let cut = recording.open(None).cut(0, 9).unwrap();
    assert_eq!((cut.set_aside.len(), cut.record_time_max), (1, Some(NINE_US + SECOND_US)));
}

#[test]
fn too_long_a_line_is_set_aside_and_the_next_is_read() {
    let long = "x".repeat(3 * RECORD_BYTES_MAX);
    let lines = [price(0, 1), long.clone() + "\n", price(1, 2), long].concat();
    let recording = Recording::new(&[("base.price.ndjson", lines.as_bytes())]);
    let cut = recording.open(None).cut(0, 9).unwrap();
    assert_eq!(versions(&cut).len(), 2);
    let positions: Vec<&str> = cut.set_aside.iter().map(|aside| aside.position.as_str()).collect();
    assert_eq!(positions, ["base.price.ndjson:2", "base.price.ndjson:4"]);
    for aside in &cut.set_aside {
        assert_eq!(
            aside.reason,
            format!("the line is too long; it must have at most {} bytes", RECORD_BYTES_MAX + 4_096)
        );
        assert_eq!(aside.payload.len(), QUARANTINE_PAYLOAD_BYTES_MAX);
    }
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    let refused = |dir: &Path, speed| open(dir, speed).err().unwrap();
    let known = "base.instrument.ndjson, base.account.ndjson, base.sod-holding.ndjson, base.business-date.ndjson, \
                 base.order-events.ndjson, base.cash-movement.ndjson, base.fx-rate.ndjson, base.price.ndjson";
    let unknown = Recording::new(&[("base.prices.ndjson", b"")]);
    let dir = unknown.0.display();
    let expected = format!("{dir}/base.prices.ndjson is no file of a known topic: {known}");
    assert_eq!(refused(&unknown.0, None), Error::invalid("REPLAY", expected));

    let empty = Recording::new(&[("README.md", b"")]);
    let dir = empty.0.display();
    assert_eq!(
        refused(&empty.0, None),
        Error::invalid("REPLAY", format!("{dir} has nothing to replay; it may hold {known}"))
    );
    assert_eq!(
        refused(Path::new("/no/such/place"), None),
        Error::invalid("REPLAY", "there is no directory /no/such/place to replay")
    );
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(&fixture("desk"), Some(speed)).kind, Kind::Invalid);
    }
}

#[test]
fn bad_records_stop_no_others() {
    let cut = open(&fixture("bad"), None).unwrap().cut(0, usize::MAX).unwrap();
    // The last line is a tombstone, which has no version.
    let good = [("base.order-events", 1), ("base.price", 1), ("base.price", NULL)];
    assert_eq!(versions(&cut), good.map(|(topic, version)| (topic.to_string(), version)));

    let no_line = "the line is no JSON object of key, value and timestamp";
    let instrument = "the instrumentId as a JSON string";
    let sides = "BUY, BUY_COVER, SUBSCRIBE, SELL, SELL_SHORT, REDEEM";
    let statuses = "PENDING_NEW, NEW, PARTIALLY_FILLED, PENDING_CANCEL, PENDING_REPLACE, SUSPENDED, STOPPED, FILLED, \
                    CANCELLED, REJECTED, EXPIRED, DONE_FOR_DAY, CALCULATED, REPLACED";
    let price = "a decimal with at most 10 digits before and 8 after the point";
    let expected = [
        ("price", 2, no_line.to_string()),
        ("price", 3, no_line.to_string()),
        ("price", 4, no_line.to_string()),
        ("price", 5, format!("{no_line}: missing field `value` at line 1 column 52")),
        ("price", 6, format!("{no_line}: missing field `timestamp` at line 1 column 28")),
        ("price", 7, "timestamp is \"yesterday\"; it must be an ISO 8601 time or milliseconds since 1970".to_string()),
        ("price", 8, "timestamp is 1772442000.5; it must be an ISO 8601 time or milliseconds since 1970".to_string()),
        ("price", 9, format!("{no_line}: EOF while parsing an object at line 1 column 36")),
        ("price", 11, format!("price is 1.123456789; it must be {price}")),
        ("price", 12, format!("price is \"12e\"; it must be {price}")),
        ("price", 13, format!("price is 1e10; it must be {price}")),
        ("price", 14, format!("price is {{\"amount\": 1}}; it must be {price}")),
        (
            "price",
            15,
            "version is 9223372036854775808; it must be an integer from -9223372036854775808 to 9223372036854775807"
                .to_string(),
        ),
        ("price", 16, "priceType is \"BEST\"; it must be one of LAST, MID, CLOSE, EVALUATED".to_string()),
        (
            "price",
            17,
            "instrumentId is \"ACME\" in the key and \"BRIT\" in the value; they must be the same".to_string(),
        ),
        ("price", 18, format!("the record has no key; it must be {instrument}")),
        ("price", 19, format!("the record has no key; it must be {instrument}")),
        ("price", 20, "instrumentId is \"\"; it must be the name of something".to_string()),
        (
            "price",
            21,
            "the value is not a JSON object: invalid type: integer `7`, expected a JSON object at line 1 column 1"
                .to_string(),
        ),
        (
            "price",
            22,
            "price, currency, priceType, priceTime, version, eventTime are missing; every record must have them"
                .to_string(),
        ),
        ("price", 23, "the value is not a JSON object: price stands in it twice at line 1 column 45".to_string()),
        (
            "price",
            24,
            "priceTime is \"2026-03-02T09:00:00.123456789Z\"; it must be an ISO 8601 time to the microsecond, such as \
             \"2026-01-31T09:30:00.123456Z\""
                .to_string(),
        ),
        ("business-date", 1, "id is \"tomorrow\"; it must be id = current".to_string()),
        ("order-events", 2, format!("side is \"HOLD\"; it must be one of {sides}")),
        ("order-events", 3, format!("status is \"LOST\"; it must be one of {statuses}")),
        (
            "order-events",
            4,
            "dayCumQty is 5 and dayAvgPx is missing; it must be (dayCumQty = 0 or dayAvgPx present)".to_string(),
        ),
        ("order-events", 5, "accountId is \"\"; it must be the name of something".to_string()),
        (
            "order-events",
            6,
            "businessDate is \"2026-02-30\"; it must be an ISO 8601 date, such as \"2026-01-31\"".to_string(),
        ),
        ("order-events", 7, "orderQty, status are missing; every record must have them".to_string()),
        ("order-events", 8, "the key is {\"order\": \"O1\"}; it must be the orderId as a JSON string".to_string()),
        ("cash-movement", 1, "externalFlow is \"no\"; it must be true or false".to_string()),
        ("fx-rate", 1, "rate is 0; it must be rate > 0".to_string()),
        (
            "fx-rate",
            2,
            "the key is {\"fromCurrency\": \"EUR\", \"toCurrency\": \"USD\"}; it must be a JSON object of fromCurrency, \
             toCurrency, rateType"
                .to_string(),
        ),
        ("fx-rate", 3, "rateType is \"SPOT\"; it must be one of LIVE, SOD".to_string()),
    ];
    let mut got: Vec<(String, String)> =
        cut.set_aside.iter().map(|aside| (aside.position.clone(), aside.reason.clone())).collect();
    let mut expected: Vec<(String, String)> = expected
        .into_iter()
        .map(|(topic, line, reason)| (format!("base.{topic}.ndjson:{line}"), reason))
        .collect();
    got.sort();
    expected.sort();
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(got, expected);
    }
    assert_eq!(got.len(), expected.len());
    let noise = cut.set_aside.iter().find(|aside| aside.position == "base.price.ndjson:3").unwrap();
    assert!(noise.payload.starts_with(b"\x00\xff\xfe"));
}
