//! Topics of a test in a cluster, what is written into them and what a source makes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tickview::clock::{self, Timestamp};
use tickview::error::Error;
use tickview::ingest::kafka::{Connection, Kafka, Layout, Outgoing, Publisher, Settings, TopicNames, create};
use tickview::ingest::source::{Cut, Source, TopicOffset};
use tickview::schedule::Engine;
use tickview::schema::Schema;

use super::cluster::Cluster;

/// However slow the machine is; what waits says for what.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The base topics of one test.
pub struct Topics {
    pub bootstrap: String,
    pub prefix: String,
    pub schema: Schema,
}

impl Topics {
    /// Makes them in the cluster that tests share.
    pub fn shared(partitions: i32) -> Topics {
        Topics::of(Cluster::shared(), partitions)
    }

    pub fn of(cluster: &Cluster, partitions: i32) -> Topics {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}.", COUNT.fetch_add(1, Ordering::Relaxed));
        let topics = Topics { bootstrap: cluster.bootstrap(), prefix, schema: Schema::base() };
        let layout = Layout { partitions, replicas: Some(1) };
        let made = create(&topics.connection(), &topics.names(), &topics.schema, layout).unwrap();
        assert_eq!(made.len(), topics.schema.tables.len());
        topics
    }

    /// Makes a topic of one partition that is as it comes, and returns its name.
    pub fn make(&self, name: &str) -> String {
        let name = format!("{}{name}", self.prefix);
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().unwrap();
        let topic = [NewTopic::new(&name, 1, TopicReplication::Fixed(1))];
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        for answer in futures::executor::block_on(admin.create_topics(&topic, &options)).unwrap() {
            answer.unwrap();
        }
        name
    }

    pub fn connection(&self) -> Connection {
        Connection::new(self.bootstrap.as_str())
    }

    pub fn names(&self) -> TopicNames {
        TopicNames::with_prefix(self.prefix.as_str())
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.bootstrap.as_str());
        settings.topics = self.names();
        settings
    }

    pub fn publisher(&self) -> Publisher {
        Publisher::connect(&self.connection(), &self.names(), &self.schema).unwrap()
    }

    /// Publishes a record as a tool would; the account stands in what is given.
    pub fn publish(&self, publisher: &mut Publisher, topic: &str, key: &str, value: Option<&str>) {
        let account = |text: &str| {
            let json: serde_json::Value = serde_json::from_str(text).ok()?;
            Some(json.get("accountId")?.as_str()?.to_owned())
        };
        let account = value.and_then(account).or_else(|| account(key));
        let record = Outgoing {
            table: self.schema.topic(topic).unwrap().id,
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            account: account.as_deref(),
            time: None,
        };
        publisher.publish(record).unwrap();
    }

    /// A plain producer, transactional where it is given a name.
    pub fn producer(&self, transactional: Option<&str>) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("linger.ms", "0");
        if let Some(name) = transactional {
            config.set("transactional.id", format!("{}{name}", self.prefix));
        }
        config.create().unwrap()
    }

    /// Writes a record as bytes into a partition.
    pub fn write(
        &self,
        producer: &BaseProducer,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        let topic = format!("{}{topic}", self.prefix);
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition);
        record.key = key;
        record.payload = value;
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
}

/// A source with the engine that it feeds.
pub struct Fed {
    pub source: Kafka,
    pub engine: Engine,
    pub offsets: Vec<TopicOffset>,
    pub set_aside: Vec<(String, String)>,
    /// Records that were applied.
    pub records: usize,
    /// The time of ticks, where it is not that of the records or the clock.
    pub now: Option<Timestamp>,
}

impl Fed {
    pub fn open(settings: &Settings) -> Fed {
        Fed::with(settings, Engine::new())
    }

    pub fn with(settings: &Settings, engine: Engine) -> Fed {
        let source = Kafka::open(settings, engine.schema(), Arc::clone(engine.dictionaries())).unwrap();
        Fed { source, engine, offsets: Vec::new(), set_aside: Vec::new(), records: 0, now: None }
    }

    /// Takes a cut and applies it.
    pub fn tick(&mut self, records_max: usize) -> Result<Cut, Error> {
        let cut = self.source.cut(clock::now(), records_max)?;
        self.records += cut.changes.iter().map(|changes| changes.len()).sum::<usize>();
        for place in &cut.offsets {
            self.offsets.retain(|known| (&known.topic, known.partition) != (&place.topic, place.partition));
            self.offsets.push(place.clone());
        }
        let aside = cut.set_aside.iter().map(|aside| (aside.position.clone(), aside.reason.clone()));
        self.set_aside.extend(aside);
        let told = Cut {
            caught_up: cut.caught_up,
            more: cut.more,
            progress: cut.progress.clone(),
            lagging: cut.lagging.clone(),
            newest: cut.newest.clone(),
            record_time_max: cut.record_time_max,
            ..Cut::default()
        };
        let now = self.now.or(cut.record_time_max).unwrap_or_else(clock::now);
        self.engine.tick(now, cut).unwrap();
        self.source.reuse(self.engine.take_spent());
        Ok(told)
    }

    /// Ticks until a cut says what is waited for.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Fed, &Cut) -> bool) -> Cut {
        let begin = Instant::now();
        loop {
            let cut = self.tick(10_000).unwrap();
            if done(self, &cut) {
                return cut;
            }
            let Fed { records, .. } = self;
            assert!(begin.elapsed() < PATIENCE, "{what} did not come; {records} records did: {cut:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[track_caller]
    pub fn catch_up(&mut self) -> Cut {
        self.until("the end", |_, cut| cut.caught_up && !cut.more)
    }

    #[track_caller]
    pub fn until_records(&mut self, records: usize) {
        self.until("every record", |fed, _| fed.records >= records);
        assert_eq!(self.records, records, "none came twice");
    }
}
