//! The tools of the command line, and what they say where something is missing.

use std::process::{Command, Output};
use std::time::Duration;

use tickview::error::Kind;
use tickview::ingest::kafka::{Connection, Kafka, Resumed, Settings, TopicNames, murmur2};
use tickview::ingest::source::TopicOffset;
use tickview::schedule::Engine;
use tickview::schema::Schema;

use super::cluster::Cluster;
use super::topics::{Fed, Topics};

fn tool(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tickview")).args(words).output().unwrap()
}

/// Runs a tool that must succeed.
#[track_caller]
pub fn run(words: &[&str]) {
    let output = tool(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn refused(settings: &Settings) -> tickview::error::Error {
    let engine = Engine::new();
    Kafka::open(settings, engine.schema(), engine.dictionaries().clone()).err().expect("it is refused")
}

#[test]
fn j2_topics_are_made_once_and_the_market_is_published_into_them() {
    let bootstrap = Cluster::shared().bootstrap();
    let prefix = ["--to", &bootstrap, "--kafka-prefix", "tool."];
    for _ in 0..2 {
        run(&[&["topics", "create", "--partitions", "2"][..], &prefix].concat());
    }
    let market =
        ["--seconds", "0", "--accounts", "3", "--holdings", "10", "--orders", "5", "--instruments", "30"];
    run(&[&["produce"][..], &prefix, &market].concat());
    let mut settings = Settings::new(bootstrap.as_str());
    settings.topics = TopicNames::with_prefix("tool.");
    let mut fed = Fed::open(&settings);
    fed.catch_up();
    assert_eq!(fed.set_aside, []);
    assert_eq!(fed.engine.snapshot().accounts.len(), 3);
    assert!(fed.records > 3 * (10 + 5) + 30);
}

#[test]
fn j2_missing_topics_are_all_named_with_the_command_that_makes_them() {
    let bootstrap = Cluster::shared().bootstrap();
    let mut settings = Settings::new(bootstrap.as_str());
    settings.topics = TopicNames::with_prefix("none.");
    settings.topics.set("base.price=market.prices", &Schema::base()).unwrap();
    let error = refused(&settings);
    assert_eq!(error.kind, Kind::Invalid);
    assert_eq!(
        error.message,
        format!(
            "{bootstrap} has no topic none.base.instrument, none.base.account, none.base.sod-holding, \
             none.base.business-date, none.base.order-events, none.base.cash-movement, none.base.fx-rate, \
             market.prices; create what is missing with `tickview topics create --to {bootstrap} --kafka-prefix \
             none. --kafka-topic base.price=market.prices`"
        )
    );
}

#[test]
fn j2_no_cluster_is_said_with_its_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut settings = Settings::new(address.as_str());
    settings.connection.patience = Duration::from_millis(1_500);
    let error = refused(&settings);
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.message.starts_with(&format!("no broker answers at {address}: ")), "{error}");
}

#[test]
fn j2_offsets_of_no_record_are_refused() {
    let topics = Topics::shared(1);
    let offset = |topic: &str, partition, offset| {
        let mut settings = topics.settings();
        let cluster = Fed::open(&settings).source.cluster().to_owned();
        let offsets = vec![TopicOffset { topic: topic.to_owned(), partition, offset }];
        settings.resumed = Some(Resumed { cluster, offsets, time: 0 });
        let error = refused(&settings);
        assert_eq!(error.kind, Kind::Invalid);
        error.message
    };
    assert!(offset("base.price", 0, 7).contains("base.price-0 is to go on at offset 7, but ends at 0"));
    assert!(offset("base.price", 4, 0).starts_with("there is no partition base.price-4 to go on with"));
    let mut settings = topics.settings();
    settings.resumed = Some(Resumed { cluster: "another".to_owned(), offsets: Vec::new(), time: 0 });
    assert!(refused(&settings).message.contains("the saved offsets are of another"));
}

#[test]
fn j2_settings_keep_their_secrets() {
    let mut connection = Connection::new("127.0.0.1:1");
    let refused = |connection: &mut Connection, setting: &str| connection.set(setting).unwrap_err().message;
    let plain = refused(&mut connection, "sasl.password=hunter2");
    assert!(plain.starts_with("sasl.password is a secret") && !plain.contains("hunter2"), "{plain}");
    assert!(
        refused(&mut connection, "auto.offset.reset=latest").starts_with("auto.offset.reset may not be set")
    );
    assert!(refused(&mut connection, "client.id").contains("KEY=VALUE"));
    let unset = refused(&mut connection, "sasl.password=env:TICKVIEW_NO_SUCH_VARIABLE");
    assert!(unset.contains("TICKVIEW_NO_SUCH_VARIABLE, which is not set"), "{unset}");

    let folder = std::env::temp_dir().join(format!("tickview-secret-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (secret, file) = (folder.join("secret"), folder.join("kafka.properties"));
    std::fs::write(&secret, "hunter2\n").unwrap();
    std::fs::write(
        &file,
        "# of the desk\n\nsecurity.protocol = no-such-protocol\nssl.key.password=hunter3\n",
    )
    .unwrap();
    connection.set(&format!("sasl.password=file:{}", secret.display())).unwrap();
    connection.read(&file).unwrap();
    let mut settings = Settings::new("127.0.0.1:1");
    settings.connection = connection;
    let shown = format!("{settings:?} {}", self::refused(&settings));
    std::fs::remove_dir_all(folder).unwrap();
    assert!(shown.contains("security.protocol") && shown.contains("sasl.password"), "{shown}");
    assert!(!shown.contains("hunter") && !shown.contains("no-such-protocol"), "{shown}");
}

/// The values of `org.apache.kafka.common.utils.UtilsTest`.
#[test]
fn j2_partitions_are_those_of_kafkas_own_producers() {
    let known: [(&str, i32); 5] = [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ];
    for (text, hash) in known {
        assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
    }
}
