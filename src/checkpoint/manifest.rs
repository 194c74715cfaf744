//! What a checkpoint consists of and where it stands in its source, as JSON with a checksum of its own.

use std::fs;
use std::hash::Hasher;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::files::{Output, Sum};
use super::{State, damaged};
use crate::clock::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::ingest::source::TopicOffset;
use crate::schema::Schema;
use crate::table::Day;

const NAME: &str = "manifest.json";

/// The layout of a checkpoint's files; another number is another layout.
const FORMAT: u32 = 1;

/// Which source the offsets are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `kafka`, `replay` or `market`.
    pub source: String,
    /// What tells it from another of its kind: a cluster's id, a directory, a seed.
    pub identity: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of the engine that wrote it.
    pub engine: String,
    /// A checksum of the declarations of all tables.
    pub schema: String,
    pub epoch: u64,
    pub as_of: Timestamp,
    pub day: Day,
    pub origin: Origin,
    pub offsets: Vec<TopicOffset>,
    /// Codes of accounts, instruments and currencies in order of first appearance, which numbers them.
    pub accounts: Vec<u32>,
    pub instruments: Vec<u32>,
    pub currencies: Vec<u32>,
    pub set_aside: Vec<(String, u64)>,
    pub files: Vec<FileEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub name: String,
    pub rows: u64,
    pub bytes: u64,
    pub xxh3: String,
}

impl FileEntry {
    pub(super) fn new(name: String, rows: u64, sum: &Sum) -> FileEntry {
        FileEntry { name, rows, bytes: sum.bytes, xxh3: sum.hash() }
    }
}

impl Manifest {
    pub(super) fn new(
        state: &State,
        origin: &Origin,
        offsets: &[TopicOffset],
        files: Vec<FileEntry>,
    ) -> Manifest {
        let snapshot = &state.snapshot;
        Manifest {
            format: FORMAT,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            schema: fingerprint(&snapshot.schema),
            epoch: snapshot.epoch,
            as_of: snapshot.as_of,
            day: snapshot.day,
            origin: origin.clone(),
            offsets: offsets.to_vec(),
            accounts: snapshot.accounts.to_vec(),
            instruments: snapshot.instruments.to_vec(),
            currencies: snapshot.currencies.to_vec(),
            set_aside: state.set_aside.clone(),
            files,
        }
    }

    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_string(self).expect("a manifest has string keys only");
        let mut file = Output::create(&dir.join(NAME))?;
        writeln!(file, "{text}\n{}", checksum(&text))?;
        file.close().map(drop)
    }

    /// # Errors
    /// `Data` where it is damaged, `Invalid` where this engine cannot read the rest.
    pub(super) fn read(dir: &Path, schema: &Schema) -> Result<Manifest> {
        let path = dir.join(NAME);
        let whole = fs::read_to_string(&path).map_err(|error| damaged(&path, error))?;
        let (text, sum) = whole
            .strip_suffix('\n')
            .and_then(|whole| whole.rsplit_once('\n'))
            .ok_or_else(|| damaged(&path, "it has no checksum"))?;
        if checksum(text) != sum {
            return Err(damaged(&path, "its checksum is another one"));
        }
        let header: Header = serde_json::from_str(text).map_err(|error| damaged(&path, error))?;
        let mine = (FORMAT, env!("CARGO_PKG_VERSION"), fingerprint(schema));
        if (header.format, header.engine.as_str(), &header.schema) != (mine.0, mine.1, &mine.2) {
            let message = format!(
                "{} was written by engine {} (format {}), this is {} (format {FORMAT}) and its tables may be others: \
                 start the engine that wrote it, or remove the directory to load everything anew",
                dir.display(),
                header.engine,
                header.format,
                mine.1
            );
            return Err(Error::new(Kind::Invalid, "CHECKPOINT", message));
        }
        serde_json::from_str(text).map_err(|error| damaged(&path, error))
    }
}

/// What every format has.
#[derive(Deserialize)]
struct Header {
    format: u32,
    engine: String,
    schema: String,
}

fn checksum(text: &str) -> String {
    let mut hash = XxHash3_64::new();
    hash.write(text.as_bytes());
    format!("{:016x}", hash.finish())
}

/// Tells schemas apart by what checkpoints hold of them: tables, columns, types, keys.
fn fingerprint(schema: &Schema) -> String {
    let tables = schema.tables.iter().map(|table| {
        let columns = table
            .columns
            .iter()
            .map(|column| format!("{} {:?} {}", column.name, column.data_type, column.nullable));
        let columns: Vec<String> = columns.collect();
        format!(
            "{} {:?} {:?} {}: {}",
            table.name,
            table.key,
            table.partition,
            table.version,
            columns.join(", ")
        )
    });
    checksum(&tables.collect::<Vec<_>>().join("\n"))
}
