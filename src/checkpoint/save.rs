//! Writes what a checkpoint holds: a file a table, a dictionary and a kind of waiting records.

use std::io;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::CompressionType;
use datafusion::arrow::ipc::writer::{FileWriter, IpcWriteOptions};

use super::State;
use super::columns::{schema_of, to_array};
use super::files::Output;
use super::manifest::FileEntry;
use crate::datum::Datum;
use crate::dictionary::{Code, Dictionaries, Dictionary};
use crate::ingest::source::SetAside;
use crate::schema::Table;
use crate::table::PartitionId;
use crate::table::partition::Rows;

/// Rows of a batch: some megabytes.
const BATCH_ROWS: usize = 1 << 15;

/// Texts that are read under one lock of the dictionaries, which decoding waits for.
const LOCKED_TEXTS: usize = 1 << 12;

pub(super) const NAMES: &str = "names.arrow";
pub(super) const ASIDE: &str = "quarantine.arrow";

pub(super) fn keys_name(table: &Table) -> String {
    format!("{}.keys.arrow", table.name)
}

pub(super) fn rows_name(table: &Table) -> String {
    format!("{}.arrow", table.name)
}

pub(super) fn held_name(table: &Table) -> String {
    format!("{}.held.arrow", table.name)
}

pub(super) fn text_schema() -> SchemaRef {
    Arc::new(ArrowSchema::new(vec![Field::new("text", DataType::Utf8, false)]))
}

pub(super) fn aside_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let payload = Field::new("payload", DataType::Binary, false);
    Arc::new(ArrowSchema::new(vec![text("topic"), text("position"), text("key"), text("reason"), payload]))
}

/// Writes all files into an empty directory.
pub(super) fn save(dir: &Path, state: &State) -> io::Result<Vec<FileEntry>> {
    let snapshot = &state.snapshot;
    let mut files = Vec::new();
    files.push(texts(dir, NAMES.to_owned(), state, state.names, &|all| &all.names)?);
    for table in &snapshot.schema.tables {
        let count = state.keys[table.id];
        if count > 0 {
            files.push(texts(dir, keys_name(table), state, count, &|all| all.keys(table.id))?);
        }
        let mut file = File::create(dir, rows_name(table), schema_of(table))?;
        let mut rows = Batch::new(table);
        for (partition, stored) in snapshot.table(table.id).partitions() {
            rows.add(partition, stored, &mut file)?;
        }
        rows.write(&mut file)?;
        files.push(file.close()?);
        let held: Vec<&[Datum]> =
            state.held.iter().filter(|(of, _)| *of == table.id).map(|(_, row)| row.as_slice()).collect();
        if !held.is_empty() {
            let mut file = File::create(dir, held_name(table), schema_of(table))?;
            let mut rows = Batch::new(table);
            held.iter().for_each(|row| rows.push(0, row));
            rows.write(&mut file)?;
            files.push(file.close()?);
        }
    }
    files.push(aside(dir, &snapshot.quarantine)?);
    Ok(files)
}

/// The first texts of a dictionary.
fn texts(
    dir: &Path,
    name: String,
    state: &State,
    count: usize,
    of: &dyn Fn(&Dictionaries) -> &Dictionary,
) -> io::Result<FileEntry> {
    let mut file = File::create(dir, name, text_schema())?;
    for from in (0..count).step_by(LOCKED_TEXTS) {
        let texts = {
            let all = state.snapshot.dictionaries.read().expect("no writer panicked");
            let some = from..count.min(from + LOCKED_TEXTS);
            StringArray::from_iter_values(some.map(|code| of(&all).text(code as Code)))
        };
        file.write(vec![Arc::new(texts)])?;
    }
    file.close()
}

fn aside(dir: &Path, records: &[SetAside]) -> io::Result<FileEntry> {
    let mut file = File::create(dir, ASIDE.to_owned(), aside_schema())?;
    let text = |of: &dyn Fn(&SetAside) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(records.iter().map(of)))
    };
    file.write(vec![
        text(&|record| &record.topic),
        text(&|record| &record.position),
        text(&|record| &record.key),
        text(&|record| &record.reason),
        Arc::new(BinaryArray::from_iter_values(records.iter().map(|record| &record.payload))),
    ])?;
    file.close()
}

/// One file of record batches.
struct File {
    name: String,
    schema: SchemaRef,
    writer: FileWriter<Output>,
    rows: u64,
}

impl File {
    fn create(dir: &Path, name: String, schema: SchemaRef) -> io::Result<File> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
        let writer = options
            .and_then(|options| {
                let output = Output::create(&dir.join(&name))?;
                FileWriter::try_new_with_options(output, &schema, options)
            })
            .map_err(failed)?;
        Ok(File { name, schema, writer, rows: 0 })
    }

    fn write(&mut self, columns: Vec<ArrayRef>) -> io::Result<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)?;
        self.rows += batch.num_rows() as u64;
        self.writer.write(&batch).map_err(failed)
    }

    fn close(mut self) -> io::Result<FileEntry> {
        self.writer.finish().map_err(failed)?;
        let sum = self.writer.into_inner().map_err(failed)?.close()?;
        Ok(FileEntry::new(self.name, self.rows, &sum))
    }
}

fn failed(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}

/// Rows of a table on their way into a file, column by column.
struct Batch<'a> {
    table: &'a Table,
    columns: Vec<Vec<Datum>>,
    partitions: Vec<PartitionId>,
}

impl Batch<'_> {
    fn new(table: &Table) -> Batch<'_> {
        Batch { table, columns: vec![Vec::new(); table.columns.len()], partitions: Vec::new() }
    }

    fn push(&mut self, partition: PartitionId, row: &[Datum]) {
        self.columns.iter_mut().zip(row).for_each(|(column, &datum)| column.push(datum));
        self.partitions.push(partition);
    }

    /// Takes the rows of a partition, and writes a batch where there are enough.
    fn add(&mut self, partition: PartitionId, rows: &Rows, file: &mut File) -> io::Result<()> {
        for chunk in rows.chunks() {
            self.columns.iter_mut().zip(&chunk.columns).for_each(|(all, column)| column.read(all));
            self.partitions.resize(self.partitions.len() + chunk.len(), partition);
            if self.partitions.len() >= BATCH_ROWS {
                self.write(file)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, file: &mut File) -> io::Result<()> {
        if self.partitions.is_empty() {
            return Ok(());
        }
        let columns = self.columns.iter().zip(&self.table.columns);
        let mut arrays: Vec<ArrayRef> = columns.map(|(datums, column)| to_array(datums, column)).collect();
        if self.table.partition.is_some() {
            arrays.push(Arc::new(UInt32Array::from_iter_values(self.partitions.iter().copied())));
        }
        self.columns.iter_mut().for_each(Vec::clear);
        self.partitions.clear();
        file.write(arrays)
    }
}
