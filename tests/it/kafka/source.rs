//! What a source sees of a healthy cluster.

use rdkafka::producer::Producer;
use tickview::checkpoint::Origin;
use tickview::ingest::kafka::Resumed;
use tickview::ingest::source::{Source, Unit};
use tickview::schedule::Engine;

use super::topics::{Fed, PATIENCE, Topics};
use crate::checkpoint::{Place, rows};

pub fn price(version: i64) -> String {
    format!(
        r#"{{"price":"10","currency":"USD","priceType":"LAST","priceTime":"2026-03-02T09:00:00Z","version":{version},"eventTime":"2026-03-02T09:00:00Z"}}"#
    )
}

/// The prices that an engine has, by row.
pub fn prices(fed: &Fed) -> usize {
    fed.engine.tables().len(fed.engine.schema().topic("base.price").unwrap().id)
}

#[test]
fn j3_empty_topics_are_caught_up_at_once() {
    let mut fed = Fed::open(&Topics::shared(2).settings());
    let cut = fed.tick(10).unwrap();
    assert!(cut.caught_up && cut.progress.is_empty() && !cut.more);
}

#[test]
fn j3_progress_counts_offsets_until_every_partition_has_its_end() {
    let topics = Topics::shared(2);
    let mut publisher = topics.publisher();
    for at in 0..50 {
        topics.publish(&mut publisher, "base.price", &format!("\"I{at}\""), Some(&price(1)));
    }
    publisher.finish().unwrap();
    let mut fed = Fed::open(&topics.settings());
    let mut seen = Vec::new();
    while seen.last() != Some(&49) {
        let cut = fed.tick(7).unwrap();
        assert!(cut.progress.iter().all(|progress| progress.unit == Unit::Rows));
        let price = cut.progress.iter().find(|progress| progress.topic == "base.price");
        match price {
            Some(price) => {
                assert_eq!((price.done, price.total, cut.caught_up), (fed.records as u64, 50, false));
                seen.push(price.done);
            }
            None => {
                assert!(cut.caught_up && fed.records == 50);
                break;
            }
        }
        assert!(!cut.caught_up && fed.records < 50);
    }
    assert!(seen.iter().any(|done| (1..50).contains(done)), "{seen:?}");
}

#[test]
fn j3_records_of_aborted_transactions_are_not_seen_and_ends_without_records_are_ends() {
    let topics = Topics::shared(1);
    let producer = topics.producer(Some("writer"));
    producer.init_transactions(PATIENCE).unwrap();
    let key = |at: i64| format!("\"I{at}\"");
    let mut write = |at: i64| {
        topics.write(&producer, "base.price", 0, Some(key(at).as_bytes()), Some(price(at).as_bytes()));
    };
    producer.begin_transaction().unwrap();
    (0..3).for_each(&mut write);
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    (10..15).for_each(&mut write);
    producer.abort_transaction(PATIENCE).unwrap();

    // Behind the last record are a mark, five records that are none, and another mark.
    let mut fed = Fed::open(&topics.settings());
    fed.catch_up();
    assert_eq!((fed.records, prices(&fed)), (3, 3));

    // An open transaction is not seen, and ends nothing for those who start meanwhile.
    producer.begin_transaction().unwrap();
    (20..22).for_each(&mut write);
    let mut late = Fed::open(&topics.settings());
    late.catch_up();
    assert_eq!(late.records, 3);
    assert!(fed.tick(100).unwrap().changes.is_empty() && fed.records == 3);
    producer.commit_transaction(PATIENCE).unwrap();
    fed.until_records(5);
    late.until_records(5);
    assert_eq!(prices(&fed), 5);
}

#[test]
fn j3_bad_records_are_set_aside_with_their_place_and_tombstones_delete() {
    let topics = Topics::shared(1);
    // A topic that is not compacted takes records without a key.
    let loose = topics.make("loose");
    let producer = topics.producer(None);
    let write = |key: Option<&[u8]>, value: Option<&[u8]>| topics.write(&producer, "loose", 0, key, value);
    write(Some(b"\"I0\""), Some(price(1).as_bytes()));
    write(Some(b"\"I0\""), Some(b"{\"price\":"));
    write(None, Some(price(1).as_bytes()));
    // Nothing is not the same as no value.
    write(Some(b"\"I0\""), Some(b""));
    write(Some(b"\xff\xfe"), Some(price(1).as_bytes()));
    write(Some(b"\"I1\""), Some(price(1).as_bytes()));
    write(Some(b"\"I1\""), None);
    write(Some(b"I2"), Some(price(1).as_bytes()));
    let mut settings = topics.settings();
    settings.topics.set(&format!("base.price={loose}"), &topics.schema).unwrap();
    let mut fed = Fed::open(&settings);
    fed.catch_up();
    assert_eq!((fed.records, prices(&fed)), (4, 2));
    let places: Vec<&str> = fed.set_aside.iter().map(|(place, _)| place.as_str()).collect();
    let expected = [1, 2, 3, 4].map(|offset| format!("{loose}-0@{offset}"));
    assert_eq!(places, expected);
    let reasons: Vec<&str> = fed.set_aside.iter().map(|(_, reason)| reason.as_str()).collect();
    assert!(reasons[1].starts_with("the record has no key"), "{reasons:?}");
    assert!(reasons[2].starts_with("the value is not a JSON object"), "{reasons:?}");
    assert!(reasons[3].starts_with("the key is no UTF-8"), "{reasons:?}");
    assert_eq!(fed.engine.quarantine().counts(), [("base.price".to_owned(), 4)]);
}

#[test]
fn j3_a_source_goes_on_from_its_offsets_and_nothing_comes_twice() {
    let topics = Topics::shared(3);
    let mut publisher = topics.publisher();
    let key = |at: i64| {
        format!(r#"{{"businessDate":"2026-03-02","accountId":"A{}","instrumentId":"I{at}"}}"#, at % 17)
    };
    let value = r#"{"quantity":1,"version":1,"eventTime":"2026-03-02T09:00:00Z"}"#;
    let mut publish = |range: std::ops::Range<i64>| {
        for at in range {
            topics.publish(&mut publisher, "base.sod-holding", &key(at), Some(value));
        }
        publisher.finish().unwrap();
    };
    publish(0..500);
    let mut fed = Fed::open(&topics.settings());
    // Some are cut, more are delivered: only those that were cut count.
    while fed.records < 123 {
        fed.tick(10).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let (seen, offsets) = (fed.records, fed.offsets.clone());
    assert_eq!(offsets.iter().map(|place| place.offset).sum::<i64>(), seen as i64);
    let place = Place::new();
    let origin = Origin { source: "kafka".to_owned(), identity: fed.source.cluster().to_owned() };
    place.open().write(&fed.engine.state(), &origin, &offsets).unwrap();
    let Fed { source, engine, .. } = fed;
    drop(source);
    publish(500..900);
    let loaded = place.open().latest(engine.schema()).unwrap().unwrap();
    let before = loaded.manifest.clone();
    let ends = [engine, Engine::restored(loaded).unwrap()].map(|engine| {
        let mut settings = topics.settings();
        settings.resumed = Some(Resumed {
            cluster: before.origin.identity.clone(),
            offsets: before.offsets.clone(),
            time: before.as_of,
        });
        let mut again = Fed::with(&settings, engine);
        again.catch_up();
        again.until_records(900 - seen);
        let table = again.engine.schema().topic("base.sod-holding").unwrap().id;
        assert_eq!(again.engine.tables().len(table), 900);
        rows(&again.engine)
    });
    assert_eq!(ends[0], ends[1], "an engine that went on, and one from its checkpoint");
}

#[test]
fn j3_a_burst_of_one_topic_holds_back_no_other() {
    let topics = Topics::shared(1);
    let mut fed = Fed::open(&topics.settings());
    fed.catch_up();
    let mut publisher = topics.publisher();
    for at in 0..3_000 {
        let key = format!(r#"{{"fromCurrency":"A{at}","toCurrency":"USD","rateType":"LIVE"}}"#);
        let value =
            r#"{"rate":1,"rateTime":"2026-03-02T09:00:00Z","version":1,"eventTime":"2026-03-02T09:00:00Z"}"#;
        topics.publish(&mut publisher, "base.fx-rate", &key, Some(value));
    }
    topics.publish(&mut publisher, "base.price", "\"I0\"", Some(&price(1)));
    publisher.finish().unwrap();
    // All is delivered; a cut takes from both.
    std::thread::sleep(std::time::Duration::from_millis(1_000));
    let cut = fed.source.cut(0, 100).unwrap();
    let counts: Vec<usize> = cut.changes.iter().map(|changes| changes.len()).collect();
    assert_eq!(counts, [99, 1]);
    assert!(cut.more);
}
