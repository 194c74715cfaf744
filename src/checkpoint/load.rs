//! Reads a checkpoint: first every checksum, then the files into tables and dictionaries.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{SchemaRef, UInt32Type};
use datafusion::arrow::ipc::reader::FileReader;

use super::columns::{from_array, schema_of};
use super::manifest::Manifest;
use super::save::{ASIDE, NAMES, aside_schema, held_name, keys_name, rows_name, text_schema};
use super::{Aside, damaged, files};
use crate::datum::{Datum, NULL};
use crate::dictionary::Dictionaries;
use crate::error::Result;
use crate::ingest::source::SetAside;
use crate::schema::{Schema, Table};
use crate::table::restore::Restoring;
use crate::table::{PartitionId, Tables};

/// What a checkpoint holds, as an engine takes it.
pub struct Loaded {
    pub manifest: Manifest,
    pub dictionaries: Dictionaries,
    pub tables: Tables,
    pub aside: Aside,
}

/// # Errors
/// As [`super::Checkpoints::latest`].
pub(super) fn load(dir: &Path, schema: &Arc<Schema>) -> Result<Loaded> {
    let manifest = Manifest::read(dir, schema)?;
    for file in &manifest.files {
        let path = dir.join(&file.name);
        let sum = files::sum(&path).map_err(|error| damaged(&path, error))?;
        if (sum.bytes, sum.hash()) != (file.bytes, file.xxh3.clone()) {
            let is = format!(
                "it has {} bytes and checksum {}, not {} and {}",
                sum.bytes,
                sum.hash(),
                file.bytes,
                file.xxh3
            );
            return Err(damaged(&path, is));
        }
    }
    let dictionaries = dictionaries(dir, &manifest, schema)?;
    let domains = [&manifest.accounts, &manifest.instruments, &manifest.currencies];
    let mut restoring = Restoring::new(Arc::clone(schema), manifest.day, domains);
    for table in &schema.tables {
        for batch in batches(dir, &manifest, &rows_name(table), &schema_of(table))? {
            let (data, partitions) = rows(&dir.join(rows_name(table)), table, &batch?)?;
            let accounts = manifest.accounts.len();
            if partitions.iter().any(|&partition| table.partition.is_some() && partition as usize >= accounts)
            {
                return Err(damaged(&dir.join(rows_name(table)), "a row is of no account"));
            }
            restoring.append(table, &data, &partitions);
        }
        for batch in batches(dir, &manifest, &held_name(table), &schema_of(table))? {
            let (data, _) = rows(&dir.join(held_name(table)), table, &batch?)?;
            data.chunks_exact(table.columns.len()).for_each(|row| restoring.hold(table, row));
        }
    }
    let aside = Aside { records: aside(dir, &manifest)?, counts: manifest.set_aside.clone() };
    Ok(Loaded { tables: restoring.tables(), manifest, dictionaries, aside })
}

fn dictionaries(dir: &Path, manifest: &Manifest, schema: &Schema) -> Result<Dictionaries> {
    let mut all = Dictionaries::new(schema);
    let keys = schema.tables.iter().map(|table| (keys_name(table), Some(table.id)));
    for (name, table) in [(NAMES.to_owned(), None)].into_iter().chain(keys) {
        let dictionary = match table {
            Some(table) => &mut all.keys[table],
            None => &mut all.names,
        };
        let mut code = 0;
        for batch in batches(dir, manifest, &name, &text_schema())? {
            let batch = batch?;
            for text in batch.column(0).as_string::<i32>().iter().flatten() {
                // Each has the code it had, or two of them are the same.
                if dictionary.intern(text) != code {
                    return Err(damaged(&dir.join(&name), format!("the text {text:?} stands in it twice")));
                }
                code += 1;
            }
        }
    }
    Ok(all)
}

fn aside(dir: &Path, manifest: &Manifest) -> Result<Vec<SetAside>> {
    let mut records = Vec::new();
    for batch in batches(dir, manifest, ASIDE, &aside_schema())? {
        let batch = batch?;
        let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
        records.extend((0..batch.num_rows()).map(|row| SetAside {
            topic: text(0, row),
            position: text(1, row),
            key: text(2, row),
            reason: text(3, row),
            payload: batch.column(4).as_binary::<i32>().value(row).to_vec(),
        }));
    }
    Ok(records)
}

/// The batches of a file; none where the checkpoint has no such file.
fn batches(
    dir: &Path,
    manifest: &Manifest,
    name: &str,
    schema: &SchemaRef,
) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
    let path = dir.join(name);
    let listed = manifest.files.iter().any(|file| file.name == name);
    let reader = match listed {
        true => {
            let file = File::open(&path).map_err(|error| damaged(&path, error))?;
            let reader =
                FileReader::try_new(BufReader::new(file), None).map_err(|error| damaged(&path, error))?;
            if reader.schema() != *schema {
                return Err(damaged(&path, "its columns are others than the engine's"));
            }
            Some(reader)
        }
        false => None,
    };
    Ok(reader.into_iter().flatten().map(move |batch| batch.map_err(|error| damaged(&path, error))))
}

/// The rows of a batch, whole and one after another, and the partition of each.
fn rows(path: &Path, table: &Table, batch: &RecordBatch) -> Result<(Vec<Datum>, Vec<PartitionId>)> {
    let width = table.columns.len();
    let mut data = vec![NULL; batch.num_rows() * width];
    for (at, column) in table.columns.iter().enumerate() {
        if !data.is_empty() && !from_array(batch.column(at), column, width, &mut data[at..]) {
            let what = format!("the column {} is of another type", column.name);
            return Err(damaged(path, what));
        }
    }
    let partitions = match table.partition {
        Some(_) => batch.column(width).as_primitive::<UInt32Type>().values().to_vec(),
        None => vec![0; batch.num_rows()],
    };
    Ok((data, partitions))
}
