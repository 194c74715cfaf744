//! What a source makes of brokers that die, stop, or lose what they had.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use tickview::error::Kind;
use tickview::limits::KAFKA_LAG_MS_MAX;

use super::cluster::Cluster;
use super::source::{price, prices};
use super::topics::{Fed, PATIENCE, Topics};

fn publish(topics: &Topics, range: std::ops::Range<i64>) {
    let mut publisher = topics.publisher();
    for at in range {
        topics.publish(&mut publisher, "base.price", &format!("\"I{at}\""), Some(&price(1)));
    }
    publisher.finish().unwrap();
}

#[test]
fn j4_a_killed_broker_that_comes_back_loses_and_doubles_nothing() {
    let mut cluster = Cluster::start(1);
    let topics = Topics::of(&cluster, 2);
    publish(&topics, 0..1_000);
    let mut fed = Fed::open(&topics.settings());
    // In the middle of the load.
    while fed.records < 300 {
        fed.tick(50).unwrap();
    }
    cluster.node(0).kill();
    for _ in 0..50 {
        fed.tick(10).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    cluster.node(0).launch();
    cluster.wait();
    publish(&topics, 1_000..1_500);
    fed.until_records(1_500);
    assert_eq!(prices(&fed), 1_500);
    fed.catch_up();

    // The same where the broker only stops: what it had to say is said late, and meanwhile is lagging.
    cluster.node(0).pause();
    let cut = fed.until("a lag", |_, cut| !cut.lagging.is_empty());
    let labels: Vec<&str> = cut.lagging.iter().map(|lagging| lagging.source.as_str()).collect();
    assert!(labels.contains(&format!("{}base.price-0", topics.prefix).as_str()), "{labels:?}");
    let age_us = tickview::clock::now() - cut.lagging[0].since;
    assert!(age_us >= KAFKA_LAG_MS_MAX as i64 * 1_000, "{age_us}");
    cluster.node(0).resume();
    fed.until("the broker", |_, cut| cut.lagging.is_empty());
    publish(&topics, 1_500..1_600);
    fed.until_records(1_600);

    // A source ends though nobody answers it.
    cluster.node(0).pause();
    let begin = std::time::Instant::now();
    drop(fed);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    cluster.node(0).resume();
}

#[test]
fn j4_a_topic_that_is_deleted_is_an_error_that_lasts() {
    let topics = Topics::shared(1);
    publish(&topics, 0..10);
    let mut settings = topics.settings();
    // It is sure sooner that a topic is gone.
    settings.connection.set("topic.metadata.refresh.interval.ms=1000").unwrap();
    settings.connection.set("topic.metadata.propagation.max.ms=1000").unwrap();
    let mut fed = Fed::open(&settings);
    fed.catch_up();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &topics.bootstrap).create().unwrap();
    let name = format!("{}base.price", topics.prefix);
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for answer in futures::executor::block_on(admin.delete_topics(&[&name], &options)).unwrap() {
        answer.unwrap();
    }
    let begin = std::time::Instant::now();
    let error = loop {
        match fed.tick(10) {
            Ok(_) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => break error,
        }
        assert!(begin.elapsed() < PATIENCE, "it is noticed");
    };
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.message.starts_with(&format!("{name}-0 is not in the cluster any more")), "{error}");
    assert_eq!(fed.tick(10).unwrap_err(), error);
    assert_eq!(prices(&fed), 10, "what was there is served on");
}

#[test]
fn j4_a_node_that_dies_holds_back_only_its_own_partitions() {
    let mut cluster = Cluster::start(3);
    let topics = Topics::of(&cluster, 6);
    let mut publisher = topics.publisher();
    let movement = |account: i64| {
        format!(
            r#"{{"businessDate":"2026-03-02","accountId":"A{account}","currency":"USD","amount":1,"movementType":"FEE","externalFlow":false,"version":1,"eventTime":"2026-03-02T09:00:00Z"}}"#
        )
    };
    for at in 0..600 {
        topics.publish(&mut publisher, "base.cash-movement", &format!("\"M{at}\""), Some(&movement(at % 40)));
    }
    publisher.finish().unwrap();
    let mut fed = Fed::open(&topics.settings());
    fed.catch_up();
    fed.until_records(600);

    // Two of three nodes are a quorum. Partitions have one replica, so those of the dead one have no leader.
    cluster.node(2).kill();
    let cut = fed.until("a lag", |_, cut| !cut.lagging.is_empty());
    let lagging: Vec<String> = cut.lagging.iter().map(|lagging| lagging.source.clone()).collect();
    let producer = topics.producer(None);
    let name = |partition: i32| format!("{}base.cash-movement-{partition}", topics.prefix);
    let alive: Vec<i32> = (0..6).filter(|&partition| !lagging.contains(&name(partition))).collect();
    assert!(!alive.is_empty() && alive.len() < 6, "{lagging:?}");
    for &partition in &alive {
        let key = format!("\"N{partition}\"");
        let value = movement(0);
        topics.write(
            &producer,
            "base.cash-movement",
            partition,
            Some(key.as_bytes()),
            Some(value.as_bytes()),
        );
    }
    fed.until_records(600 + alive.len());

    cluster.node(2).launch();
    cluster.wait();
    fed.until("the node", |_, cut| cut.lagging.is_empty());
}
