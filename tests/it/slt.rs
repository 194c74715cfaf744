//! `tests/slt/**/*.slt`: SQL in, rows out, each file on an engine of its own.
//!
//! Beside queries a file has statements for the engine, each of them one tick:
//!
//! ```text
//! REPLAY fixture [UNTIL time]   plays a fixture as a source would, up to and with that time
//! FEED topic key value          one record in JSON; `-` is no key, null a tombstone
//! TICK time                     nothing new, only later
//! CURRENCY code                 no tick: what `unit` and `fx` value in from here on
//! CREATE LIVE VIEW, DROP …, SET no tick: what `Engine::execute_live` takes
//! ```
//!
//! The query `LIVE name` is the rows of a live view, `GONE name` and `COME name` what the last tick took from
//! them and brought.
//!
//! In a fed record `<huge>` stands for as many letters as a whole record may have bytes.
//! Types are T text, I integer, N decimal, D date, P time, B boolean and ? for no type at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::{ColumnType, DB, DBOutput, Runner, strict_column_validator};
use tickview::clock::Timestamp;
use tickview::console::{Bounds, query};
use tickview::error::{Error, Result};
use tickview::ingest::decode::{Decoder, Record};
use tickview::ingest::replay::Replay;
use tickview::ingest::source::{Cut, Source};
use tickview::limits::RECORD_BYTES_MAX;
use tickview::schedule::Engine;

#[test]
fn a1_sql_in_rows_out() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let files = [files_of(&dir), files_of(&dir.join("live"))].concat();
    assert!(files.len() >= 6, "the files are there: {files:?}");
    // A query waits with the executor that the runner itself would use, and one cannot stand in the other.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut failures = Vec::new();
    for file in files {
        let mut runner = Runner::new(|| async { Ok(Console::new()) });
        runner.with_column_validator(strict_column_validator);
        if let Err(error) = runtime.block_on(runner.run_file_async(&file)) {
            failures.push(format!("{}: {error}", file.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The files of a folder, in order.
pub fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    files
}

struct Console {
    engine: Engine,
    decoder: Decoder,
    replay: Option<Replay>,
    /// The time of the first cut and of the first record.
    start: Timestamp,
    currency: String,
    fed: u64,
}

impl Console {
    fn new() -> Console {
        let engine = Engine::new();
        let decoder = Decoder::new(engine.schema(), Arc::clone(engine.dictionaries())).unwrap();
        Console { engine, decoder, replay: None, start: 0, currency: "USD".to_owned(), fed: 0 }
    }

    fn replay(&mut self, words: &[&str]) {
        let until = match words[1..] {
            ["UNTIL", time] => Some(time_of(time)),
            [] => None,
            _ => panic!("REPLAY fixture [UNTIL time]"),
        };
        let replay = self.replay.get_or_insert_with(|| {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(words[0]);
            let dictionaries = Arc::clone(self.engine.dictionaries());
            let mut replay = Replay::open(&dir, self.engine.schema(), dictionaries, Some(1.0)).unwrap();
            // The first cut is the time of the first record, and the pace that of the records.
            let first = replay.cut(0, usize::MAX).unwrap();
            self.start = first.record_time_max.expect("a fixture has a good record");
            self.engine.tick(self.start, first).unwrap();
            replay
        });
        let cut = replay.cut(until.unwrap_or(Timestamp::MAX / 2) - self.start, usize::MAX).unwrap();
        let now = cut.record_time_max.unwrap();
        self.engine.tick(now, cut).unwrap();
    }

    fn feed(&mut self, text: &str) {
        let words: Vec<&str> = text.splitn(3, ' ').collect();
        let [topic, key, value] = words[..] else { panic!("FEED topic key value") };
        let value = value.replace("<huge>", &"x".repeat(RECORD_BYTES_MAX));
        self.fed += 1;
        self.decoder.decode([Record {
            table: self.engine.schema().topic(topic).expect("a topic of the schema").id,
            position: self.fed,
            key: (key != "-").then_some(key.as_bytes()),
            value: (value != "null").then_some(value.as_bytes()),
        }]);
        let cut = self.decoder.take();
        self.engine.tick(self.engine.snapshot().as_of, cut).unwrap();
    }

    fn rows(&self, sql: &str) -> Result<DBOutput<Type>> {
        let answer = query(self.engine.snapshot(), sql, &self.currency, Bounds::default())?;
        assert!(!answer.more, "a file asks for fewer rows than there may be");
        Ok(output(&answer.schema, &answer.batches))
    }

    fn live(&self, word: &str, name: &str) -> Result<DBOutput<Type>> {
        let view = self.engine.live_view(name)?;
        let batch = match word {
            "GONE" => view.changes()?.0,
            "COME" => view.changes()?.1,
            _ => view.rows()?,
        };
        Ok(output(view.schema(), &[batch]))
    }
}

fn output(schema: &SchemaRef, batches: &[RecordBatch]) -> DBOutput<Type> {
    let types = schema.fields().iter().map(|field| Type::of(field.data_type())).collect();
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| cell(column, row)).collect());
        }
    }
    DBOutput::Rows { types, rows }
}

impl DB for Console {
    type Error = Error;
    type ColumnType = Type;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Type>> {
        let (word, rest) = sql.split_once(' ').unwrap_or((sql, ""));
        match word {
            "REPLAY" => self.replay(&rest.split(' ').collect::<Vec<_>>()),
            "FEED" => self.feed(rest),
            "TICK" => drop(self.engine.tick(time_of(rest), Cut::default()).unwrap()),
            "CREATE" | "DROP" | "SET"
                if ["LIVE ", "strategy ", "currency "].iter().any(|next| rest.starts_with(next)) =>
            {
                drop(self.engine.execute_live(sql)?)
            }
            "LIVE" | "GONE" | "COME" => return self.live(word, rest),
            "CURRENCY" => self.currency = rest.to_owned(),
            _ => return self.rows(sql),
        }
        Ok(DBOutput::StatementComplete(0))
    }
}

fn time_of(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

/// A value as a file writes it: decimals with all the digits of their type.
fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    let text = ArrayFormatter::try_new(column, &FormatOptions::new()).unwrap().value(row).to_string();
    if text.is_empty() { "(empty)".to_owned() } else { text }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Integer,
    Decimal,
    Date,
    Time,
    Boolean,
    Null,
    /// None that a file can expect: money is no binary float.
    Float,
}

impl Type {
    fn of(data_type: &DataType) -> Type {
        match data_type {
            DataType::Utf8 | DataType::Utf8View => Type::Text,
            DataType::Decimal128(..) => Type::Decimal,
            DataType::Date32 => Type::Date,
            DataType::Timestamp(..) => Type::Time,
            DataType::Boolean => Type::Boolean,
            DataType::Null => Type::Null,
            other if other.is_integer() => Type::Integer,
            _ => Type::Float,
        }
    }
}

impl ColumnType for Type {
    fn from_char(value: char) -> Option<Type> {
        match value {
            'T' => Some(Type::Text),
            'I' => Some(Type::Integer),
            'N' => Some(Type::Decimal),
            'D' => Some(Type::Date),
            'P' => Some(Type::Time),
            'B' => Some(Type::Boolean),
            '?' => Some(Type::Null),
            _ => None,
        }
    }

    fn to_char(&self) -> char {
        match self {
            Type::Text => 'T',
            Type::Integer => 'I',
            Type::Decimal => 'N',
            Type::Date => 'D',
            Type::Time => 'P',
            Type::Boolean => 'B',
            Type::Null => '?',
            Type::Float => 'F',
        }
    }
}
