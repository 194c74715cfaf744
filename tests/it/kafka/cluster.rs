//! A real Kafka for the tests: nodes of Apache Kafka on this machine, each with its own ports and folder.
//!
//! A node runs under a shell that waits for its standard input to end and then kills it. So no node outlives
//! the tests, however they end, and a cluster that tests share needs nobody to stop it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// Of every cluster here; it has no meaning.
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const START: Duration = Duration::from_secs(60);

/// Quick to start rather than quick.
const JAVA: [&str; 5] =
    ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m", "-Djava.awt.headless=true"];

/// Runs what it is given until the pipe closes, and tells the process's number first.
const WATCH: &str = r#"log=$1; shift
"$@" >>"$log" 2>&1 &
pid=$!
echo "$pid"
read -r _
kill -KILL "$pid" 2>/dev/null
wait "$pid" 2>/dev/null"#;

/// Removes a folder once the pipe closes and nobody writes into it any more.
const SWEEP: &str = r#"read -r _; sleep 1; rm -rf -- "$1""#;

pub struct Cluster {
    nodes: Vec<Node>,
    folder: PathBuf,
    sweeper: Child,
}

pub struct Node {
    folder: PathBuf,
    address: String,
    process: Option<Process>,
}

/// A node that runs, under its shell.
struct Process {
    shell: Child,
    number: u32,
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Cluster {
    /// One node that all tests share whose topics do not meet; each names them with a prefix of its own.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::start(1))
    }

    /// Starts so many nodes and waits until they answer.
    pub fn start(nodes: usize) -> Cluster {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tickview-kafka-{}-{count}", std::process::id()));
        let sweeper = shell(SWEEP, &[folder.display().to_string()]);
        let (listeners, ports): (Vec<TcpListener>, Vec<u16>) = (0..2 * nodes)
            .map(|_| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                (listener, port)
            })
            .unzip();
        drop(listeners);
        let voters: Vec<String> =
            (0..nodes).map(|node| format!("{}@127.0.0.1:{}", node + 1, ports[2 * node + 1])).collect();
        let nodes = (0..nodes).map(|node| {
            let folder = folder.join((node + 1).to_string());
            fs::create_dir_all(&folder).unwrap();
            let replicas = nodes.min(3);
            let filled = [
                ("NODE", (node + 1).to_string()),
                ("VOTERS", voters.join(",")),
                ("HOST", "127.0.0.1".to_owned()),
                ("PORT", ports[2 * node].to_string()),
                ("CONTROLLER_PORT", ports[2 * node + 1].to_string()),
                ("DIRECTORY", folder.join("data").display().to_string()),
                ("REPLICAS", replicas.to_string()),
                ("REPLICAS_IN_SYNC", replicas.min(2).to_string()),
            ];
            let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/server.properties");
            let template = fs::read_to_string(template).unwrap();
            let text =
                filled.iter().fold(template, |text, (word, value)| text.replace(&format!("@{word}@"), value));
            fs::write(folder.join("server.properties"), text).unwrap();
            Node { folder, address: format!("127.0.0.1:{}", ports[2 * node]), process: None }
        });
        let mut cluster = Cluster { nodes: nodes.collect(), folder, sweeper };
        for node in &mut cluster.nodes {
            node.format();
            node.launch();
        }
        cluster.wait();
        cluster
    }

    /// Every node, as a client is told of them.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<&str> = self.nodes.iter().map(|node| node.address.as_str()).collect();
        addresses.join(",")
    }

    pub fn node(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node]
    }

    /// Waits until every node that runs answers.
    pub fn wait(&self) {
        let running = self.nodes.iter().filter(|node| node.process.is_some()).count();
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
            .create()
            .unwrap();
        let begin = Instant::now();
        while !client
            .fetch_metadata(None, Duration::from_secs(1))
            .is_ok_and(|metadata| metadata.brokers().len() == running)
        {
            let logs = || self.nodes.iter().map(Node::log).collect::<Vec<_>>().join("\n");
            assert!(begin.elapsed() < START, "Kafka does not start; the end of its logs:\n{}", logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.clear();
        let _ = fs::remove_dir_all(&self.folder);
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

impl Node {
    fn format(&self) {
        let properties = self.folder.join("server.properties");
        let formatted = Command::new("java")
            .args(JAVA)
            .args(["-cp", &class_path(), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(properties)
            .output()
            .unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
    }

    /// Starts it, with what it had; [`Cluster::wait`] waits for it.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let mut words = vec![self.folder.join("log").display().to_string(), "java".to_owned()];
        words.extend(JAVA.map(str::to_owned));
        words.extend(["-cp".to_owned(), class_path(), "kafka.Kafka".to_owned()]);
        words.push(self.folder.join("server.properties").display().to_string());
        let mut shell = shell(WATCH, &words);
        let mut number = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut number).unwrap();
        self.process = Some(Process { shell, number: number.trim().parse().unwrap() });
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it in its tracks, its connections open.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let number = self.process.as_ref().expect("it runs").number.to_string();
        assert!(Command::new("kill").args([signal, &number]).status().unwrap().success());
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn shell(script: &str, words: &[String]) -> Child {
    Command::new("sh")
        .args(["-c", script, "sh"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The jars that `.ci/setup kafka` fetched.
fn class_path() -> String {
    let folder = std::env::var_os("TICKVIEW_KAFKA").map(PathBuf::from).unwrap_or_else(|| {
        let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(home);
        cache.join("tickview/kafka-4.3.1")
    });
    let jars = fs::read_dir(&folder).map_or(0, Iterator::count);
    let java = Command::new("java").arg("-version").output().is_ok_and(|java| java.status.success());
    let there = format!("no Java, or no Kafka in {}: run .ci/setup kafka", folder.display());
    assert!(jars > 0 && java, "{there}");
    format!("{}/*", folder.display())
}
