//! A small engine that is fed JSON records: what most tests are written on.
//!
//! Records are written one a line, either whole (`base.price "ACME" {"price": …}`) or short. A short line
//! is a kind, its leading fields and any others by name; it becomes a JSON record all the same:
//!
//! ```text
//! account    accountId baseCurrency
//! instrument instrumentId assetClass currency
//! holding    accountId instrumentId quantity
//! order      orderId accountId instrumentId side orderQty cumQty dayCumQty status
//! price      instrumentId price currency
//! fx         fromCurrency toCurrency rate
//! movement   movementId accountId currency amount
//! date       businessDate holdings
//! ```
//!
//! `delete` before a line makes it a tombstone of that key. Views are compared as text, a row a group:
//! the path of its keys (`-` for null), then its cells, each with its quality unless that is OK.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tickview::clock::{SECOND_US, Timestamp};
use tickview::datum::{NULL, format_decimal};
use tickview::delta::Changes;
use tickview::error::Result;
use tickview::ingest::decode::{Decoder, Record, line};
use tickview::ingest::source::Cut;
use tickview::schedule::{Engine, ViewId};
use tickview::view::result::{Cell, Column, Form, Quality, ViewResult};
use tickview::view::spec::{Expanded, ViewSpec};

/// 2026-03-02T09:00:00Z, the time of ticks and prices unless a test says another.
pub const NOW: Timestamp = 1_772_442_000 * SECOND_US;
const NOW_TEXT: &str = "2026-03-02T09:00:00Z";
const TODAY: &str = "2026-03-02";

pub struct Desk {
    pub engine: Engine,
    decoder: Decoder,
    /// Views that were shown before: they stay open, so that what is maintained is compared with what is new.
    shown: HashMap<ViewSpec, ViewId>,
}

impl Desk {
    pub fn new() -> Desk {
        Desk::over(Engine::new())
    }

    /// A desk over an engine that has rows already.
    pub fn over(engine: Engine) -> Desk {
        let decoder = Decoder::new(engine.schema(), engine.dictionaries().clone()).unwrap();
        Desk { engine, decoder, shown: HashMap::new() }
    }

    /// A desk after one tick with these records.
    pub fn of(lines: &str) -> Desk {
        let mut desk = Desk::new();
        desk.feed(lines);
        desk
    }

    /// Decodes records, one a line; all must be good.
    pub fn decode(&mut self, lines: &str) -> Vec<Changes> {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (topic, key, value) = if line.starts_with("base.") { whole(line) } else { short(line) };
            self.push(&topic, &key, value.as_deref());
        }
        let cut = self.decoder.take();
        assert_eq!(cut.set_aside, vec![], "only good records");
        cut.changes
    }

    fn push(&mut self, topic: &str, key: &str, value: Option<&str>) {
        let table = self.engine.schema().topic(topic).unwrap().id;
        let record =
            Record { table, position: 0, key: Some(key.as_bytes()), value: value.map(str::as_bytes) };
        self.decoder.decode([record]);
    }

    /// One tick with these records; whether there is a new epoch.
    pub fn tick(&mut self, now: Timestamp, lines: &str) -> bool {
        self.try_tick(now, lines).unwrap()
    }

    pub fn try_tick(&mut self, now: Timestamp, lines: &str) -> Result<bool> {
        let changes = self.decode(lines);
        self.engine.tick(now, Cut { changes, ..Cut::default() })
    }

    /// One tick at [`NOW`].
    pub fn feed(&mut self, lines: &str) -> bool {
        self.tick(NOW, lines)
    }

    /// One tick with recorded records.
    pub fn play(&mut self, now: Timestamp, records: &[Recorded]) -> bool {
        for record in records {
            self.push(&record.topic, &record.key, record.value.as_deref());
        }
        let cut = self.decoder.take();
        assert_eq!(cut.set_aside, vec![], "only good records");
        self.engine.tick(now, cut).unwrap()
    }

    pub fn open(&mut self, spec: &ViewSpec) -> ViewId {
        self.engine.open(spec).unwrap()
    }

    /// The rows of an open view and its total, as text.
    pub fn read(&self, view: ViewId) -> Vec<String> {
        rows_of(self.engine.view(view))
    }

    /// The rows of a view that is opened for this. It is kept: shown again later, it must be as a new one.
    #[track_caller]
    pub fn show(&mut self, spec: &ViewSpec) -> Vec<String> {
        let view = self.open(spec);
        let rows = self.read(view);
        match self.shown.get(spec) {
            Some(&kept) => {
                assert_eq!(self.read(kept), rows, "what is maintained is what is computed anew");
                self.engine.close(view);
            }
            None => drop(self.shown.insert(spec.clone(), view)),
        }
        rows
    }

    /// One cell, as text: of the group with this path, or of the total where the path is empty.
    pub fn cell(&mut self, view: &str, fields: &str, path: &str, measure: &str) -> Option<String> {
        let spec = ViewSpec { view: view.to_owned(), ..by(fields, measure) };
        let rows = self.show(&spec);
        let wanted = if path.is_empty() { "all" } else { path };
        let row = rows.iter().find_map(|row| row.strip_prefix(wanted)?.strip_prefix(' '));
        row.map(str::to_owned)
    }

    pub fn total(&mut self, measure: &str) -> String {
        self.cell("account_overview", "", "", measure).unwrap()
    }
}

/// The Account Overview by `fields`, all levels open, with these measures; both are words in a text.
pub fn by(fields: &str, measures: &str) -> ViewSpec {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut spec = ViewSpec::new("account_overview");
    spec.group_by = words(fields);
    spec.columns = (measures != "*").then(|| words(measures));
    spec.expanded = Expanded::All;
    spec
}

fn rows_of(result: &dyn ViewResult) -> Vec<String> {
    let columns = result.columns();
    let mut ids = Vec::new();
    result.rows(0, result.size(), &mut ids);
    let mut rows = Vec::new();
    let mut cells = Vec::new();
    for id in ids {
        cells.clear();
        result.cells(id, &mut cells);
        let path: Vec<_> =
            result.heading(id).key.iter().map(|key| key.clone().unwrap_or("-".to_owned())).collect();
        rows.push(format!("{} {}", path.join("/"), cells_of(columns, &cells)));
    }
    cells.clear();
    result.total(&mut cells);
    rows.push(format!("all {}", cells_of(columns, &cells)));
    rows
}

fn cells_of(columns: &[Column], cells: &[Cell]) -> String {
    assert_eq!(columns.len(), cells.len());
    let texts: Vec<_> = columns.iter().zip(cells).map(|(column, cell)| cell_of(column, *cell)).collect();
    texts.join(" ")
}

fn cell_of(column: &Column, cell: Cell) -> String {
    let value = match column.form {
        _ if cell.value == NULL => "-".to_owned(),
        Form::Decimal { scale } => format_decimal(cell.value, scale),
        Form::Time => format!("{}s", (cell.value as Timestamp - NOW) / SECOND_US),
        _ => cell.value.to_string(),
    };
    match cell.quality {
        Quality::Ok => value,
        quality => format!("{value}({quality})"),
    }
}

fn whole(line: &str) -> (String, String, Option<String>) {
    let mut parts = line.splitn(3, ' ');
    let mut next = || parts.next().expect("a topic, a key and a value").to_owned();
    let (topic, key, value) = (next(), next(), next());
    (topic, key, Some(value).filter(|value| value != "null"))
}

fn short(line: &str) -> (String, String, Option<String>) {
    let (line, gone) = match line.strip_prefix("delete ") {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let mut words = line.split_whitespace();
    let kind = words.next().unwrap();
    let (topic, key, leading): (&str, &[&str], &[&str]) = match kind {
        "account" => ("base.account", &["accountId"], &["accountId", "baseCurrency"]),
        "instrument" => ("base.instrument", &["instrumentId"], &["instrumentId", "assetClass", "currency"]),
        "holding" => (
            "base.sod-holding",
            &["businessDate", "accountId", "instrumentId", "portfolioId"],
            &["accountId", "instrumentId", "quantity"],
        ),
        "order" => (
            "base.order-events",
            &["orderId"],
            &["orderId", "accountId", "instrumentId", "side", "orderQty", "cumQty", "dayCumQty", "status"],
        ),
        "price" => ("base.price", &["instrumentId"], &["instrumentId", "price", "currency"]),
        "fx" => (
            "base.fx-rate",
            &["fromCurrency", "toCurrency", "rateType"],
            &["fromCurrency", "toCurrency", "rate"],
        ),
        "movement" => {
            ("base.cash-movement", &["movementId"], &["movementId", "accountId", "currency", "amount"])
        }
        "date" => ("base.business-date", &[], &["businessDate", "holdings"]),
        _ => panic!("no kind of record: {line}"),
    };
    let mut value = Map::new();
    let mut set = |name: &str, text: &str| {
        let datum = match name {
            "version" | "holdings" | "externalFlow" => serde_json::from_str(text).unwrap(),
            _ => json!(text),
        };
        value.insert(name.to_owned(), datum);
    };
    set("version", "1");
    set("eventTime", NOW_TEXT);
    match kind {
        "holding" | "order" | "movement" => set("businessDate", TODAY),
        "price" => {
            set("priceType", "LAST");
            set("priceTime", NOW_TEXT);
        }
        "fx" => {
            set("rateType", "LIVE");
            set("rateTime", NOW_TEXT);
        }
        _ => {}
    }
    if kind == "movement" {
        set("movementType", "DIVIDEND");
        set("externalFlow", "false");
    }
    let mut leading = leading.iter();
    for word in words {
        match word.split_once('=') {
            Some((name, text)) => set(name, text),
            None => set(leading.next().expect("no more leading fields than the kind has"), word),
        }
    }
    match kind {
        "account" => {
            let id = value_of(&value, "accountId");
            value.entry("accountName").or_insert(id);
        }
        "instrument" => {
            for name in ["symbol", "name"] {
                let id = value_of(&value, "instrumentId");
                value.entry(name).or_insert(id);
            }
        }
        "order" => {
            let order_type = if value.contains_key("limitPrice") { "LIMIT" } else { "MARKET" };
            value.entry("orderType").or_insert(json!(order_type));
        }
        _ => {}
    }
    let key = match key {
        [] => json!("current"),
        [name] => value_of(&value, name),
        names => {
            let part = |name: &&str| Some((name.to_string(), value.get(*name)?.clone()));
            Value::Object(names.iter().filter_map(part).collect())
        }
    };
    (topic.to_owned(), key.to_string(), (!gone).then(|| Value::Object(value).to_string()))
}

fn value_of(value: &Map<String, Value>, name: &str) -> Value {
    value.get(name).unwrap_or_else(|| panic!("a record without {name}")).clone()
}

/// One recorded record.
#[derive(Clone)]
pub struct Recorded {
    pub timestamp: Timestamp,
    topic: String,
    key: String,
    value: Option<String>,
}

/// The recorded topics of a fixture, merged by time.
pub fn recording(name: &str) -> Vec<Recorded> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut records = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "ndjson")) {
        let topic = file.file_stem().unwrap().to_str().unwrap();
        for text in fs::read_to_string(file).unwrap().lines() {
            let found = line(text.as_bytes()).unwrap();
            records.push(Recorded {
                timestamp: found.timestamp,
                topic: topic.to_owned(),
                key: text[found.key.unwrap()].to_owned(),
                value: found.value.map(|range| text[range].to_owned()),
            });
        }
    }
    records.sort_by_key(|record| record.timestamp);
    records
}
