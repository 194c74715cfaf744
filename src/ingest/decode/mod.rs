//! Records of JSON into rows of datums, or aside with the reason.
//!
//! The only place that knows the wire format of the base topics; what stands in `sql/schema.sql` decides
//! everything else. It keeps no state between records but codes: which record wins is not its business.
//!
//! A record is read in three passes, so that a bad one leaves no trace: its fields as slices of the
//! text, then the datums and the checks, and only then are its texts interned; ids of orders and movements,
//! which are spread over all of memory, those of many records together.
//! Cost: about two thirds of a microsecond for an order event, and no allocation but for escaped texts.

mod check;
mod flat;
mod known;
mod line;
mod object;
mod time;
mod value;

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::sync::{Arc, RwLock};

use serde_json::value::RawValue;

use crate::datum::{Datum, NULL};
use crate::delta::Changes;
use crate::dictionary::Dictionaries;
use crate::error::{Error, Result};
use crate::ingest::source::{Cut, SetAside};
use crate::limits::{QUARANTINE_PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX};
use crate::schema::{Column, Schema, Table, TableId, Type};

use check::{Check, Values};
use known::{Known, Sought};
use object::{Names, Row};
use value::{Field, Wanted};

pub use line::{Line, line};

/// Columns a table may have: a record's fields stand on the stack, and one word tells which were seen.
const COLUMNS_MAX: usize = 32;

/// Columns a key may have.
const KEY_COLUMNS_MAX: usize = 8;

/// Records whose memory is kept from one cut to the next: about two megabytes.
const SPARE_RECORDS_MAX: usize = 8_192;

/// Records decoded under one lock of the dictionaries: their readers wait about a millisecond at most.
const LOCKED_RECORDS_MAX: usize = 1_024;

/// One record of a topic, as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a, P> {
    pub table: TableId,
    /// Where it stands in its topic; only written out where it is set aside.
    pub position: P,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Decodes records and holds the result until it is taken.
pub struct Decoder {
    dictionaries: Arc<RwLock<Dictionaries>>,
    /// By `TableId`.
    tables: Vec<TableDecoder>,
    set_aside: Vec<SetAside>,
    work: Work,
}

/// What decoding a record needs; reused.
struct Work {
    row: Vec<Datum>,
    /// Of the columns of names in their order: what they say, where that may be known.
    sought: Vec<Option<Sought>>,
    /// Texts of the dictionary of names.
    known: Known,
}

struct TableDecoder {
    table: Table,
    checks: Vec<Check>,
    names: Names,
    key_names: Names,
    changes: Changes,
    /// Records of before, forgotten: their memory is written over.
    spare: Option<Changes>,
    ids: Ids,
}

/// The ids of the last records of a table whose key is one, until they are interned together.
#[derive(Default)]
struct Ids {
    texts: String,
    ends: Vec<usize>,
}

impl Ids {
    fn push(&mut self, text: &str) {
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.texts[start..end])
    }
}

/// Why a record is set aside; the message says what would be right.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the record has {0} bytes; it must have at most {RECORD_BYTES_MAX}")]
    TooLarge(usize),
    #[error("the {part} is no UTF-8 from byte {at} on; it must be JSON in UTF-8")]
    NotUtf8 { part: &'static str, at: usize },
    #[error("the record has no key; it must be {0}")]
    NoKey(String),
    #[error("the key is {shown}; it must be {wanted}")]
    BadKey { shown: String, wanted: String },
    #[error("the value is not a JSON object: {0}")]
    NotAnObject(serde_json::Error),
    #[error("{field} is {in_key} in the key and {in_value} in the value; they must be the same")]
    Contradiction { field: String, in_key: String, in_value: String },
    #[error("{} missing; every record must have {}", are(.0), them(.0))]
    Missing(Vec<String>),
    #[error("{field} is {shown}; it must be {wanted}")]
    Misfit { field: String, shown: String, wanted: Wanted },
    #[error("{0}")]
    Check(String),
}

impl Decoder {
    /// A decoder for the topics of a schema; its codes are those of `dictionaries`.
    ///
    /// # Errors
    /// `Invalid` where a table is too wide, or a CHECK says what no record can be held to.
    pub fn new(schema: &Schema, dictionaries: Arc<RwLock<Dictionaries>>) -> Result<Decoder> {
        let tables = schema.tables.iter().map(TableDecoder::new).collect::<Result<_>>()?;
        Ok(Decoder {
            dictionaries,
            tables,
            set_aside: Vec::new(),
            work: Work { row: Vec::new(), sought: Vec::new(), known: Known::new() },
        })
    }

    /// Decodes records in the order of arrival and returns how many were good.
    ///
    /// # Panics
    /// Where a record names no table of the schema.
    pub fn decode<'a, P: fmt::Display>(&mut self, records: impl IntoIterator<Item = Record<'a, P>>) -> usize {
        let Decoder { dictionaries, tables, set_aside, work } = self;
        let mut records = records.into_iter().fuse();
        let mut good = 0;
        while let Some(first) = records.next() {
            let mut dictionaries = dictionaries.write().expect("no writer of a dictionary panics");
            for record in std::iter::once(first).chain(records.by_ref().take(LOCKED_RECORDS_MAX - 1)) {
                let table = &mut tables[record.table];
                match table.decode(record.key, record.value, work, &mut dictionaries) {
                    Ok(()) => good += 1,
                    Err(fault) => {
                        let topic = &table.table.topic;
                        set_aside.push(aside(topic, &record.position, record.key, record.value, &fault));
                    }
                }
            }
            tables.iter_mut().for_each(|table| table.intern_ids(&mut dictionaries));
        }
        good
    }

    /// Sets a record aside that a source could not even take apart.
    pub fn set_aside(&mut self, table: TableId, position: impl fmt::Display, record: &[u8], reason: &str) {
        let topic = &self.tables[table].table.topic;
        self.set_aside.push(aside(topic, position, None, Some(record), reason));
    }

    /// Hands out what was decoded since the last time: at most one [`Changes`] a table, in their order.
    pub fn take(&mut self) -> Cut {
        let changed = self.tables.iter_mut().filter(|table| !table.changes.is_empty());
        let taken = changed.map(|table| {
            let next = table.spare.take().unwrap_or_else(|| {
                let mut next = Changes::new(&table.table);
                // As many more are likely; a burst is no reason to keep room for another.
                next.reserve(table.changes.len().min(LOCKED_RECORDS_MAX));
                next
            });
            mem::replace(&mut table.changes, next)
        });
        Cut { changes: taken.collect(), set_aside: mem::take(&mut self.set_aside), ..Cut::default() }
    }
}

impl Decoder {
    /// Takes records back that were applied: the next are written over them, in memory that is there.
    pub fn reuse(&mut self, spent: Vec<Changes>) {
        for mut changes in spent {
            changes.clear(SPARE_RECORDS_MAX);
            let table = changes.table;
            self.tables[table].spare = Some(changes);
        }
    }
}

impl TableDecoder {
    fn new(table: &Table) -> Result<TableDecoder> {
        if table.columns.len() > COLUMNS_MAX || table.key.len() > KEY_COLUMNS_MAX {
            let bounds = format!("{COLUMNS_MAX} columns, {KEY_COLUMNS_MAX} of them its key");
            return Err(Error::invalid("SCHEMA", format!("{} has more than {bounds}", table.name)));
        }
        let checks = table.checks.iter().map(|check| Check::new(table, check)).collect::<Result<_>>()?;
        Ok(TableDecoder {
            table: table.clone(),
            checks,
            names: Names::new(table),
            key_names: Names::new(table),
            changes: Changes::new(table),
            spare: None,
            ids: Ids::default(),
        })
    }

    fn decode(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        work: &mut Work,
        dictionaries: &mut Dictionaries,
    ) -> Result<(), Fault> {
        let TableDecoder { table, checks, names, key_names, changes, ids, .. } = self;
        let Work { row, sought, known } = work;
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if bytes > RECORD_BYTES_MAX {
            return Err(Fault::TooLarge(bytes));
        }
        let mut fields: Row = [Field::Missing; COLUMNS_MAX];
        if let Some(value) = value {
            names.read(utf8("value", value)?, &mut fields).map_err(Fault::NotAnObject)?;
        }
        let key = read_key(table, key_names, key)?;
        for (&column, in_key) in table.key.iter().zip(key) {
            let in_value = &mut fields[column];
            if in_value.is_missing() {
                *in_value = in_key;
            } else if !same(&table.columns[column], in_key, *in_value)? {
                return Err(Fault::Contradiction {
                    field: table.columns[column].field.clone(),
                    in_key: in_key.to_string(),
                    in_value: in_value.to_string(),
                });
            }
        }

        row.clear();
        row.resize(table.columns.len(), NULL);
        if value.is_some() {
            sought.clear();
            sought.extend(names_of(table).map(|column| match fields[column] {
                Field::Text(text) => known.seek(text),
                _ => None,
            }));
            let mut sought = sought.iter();
            for (column, declared) in table.columns.iter().enumerate() {
                let seen = match declared.data_type {
                    Type::Text => sought.next().copied().flatten(),
                    _ => None,
                };
                if fields[column].is_missing() {
                    fields[column] = default(declared);
                    if fields[column].is_missing() {
                        if !declared.nullable {
                            return Err(missing(table, &fields));
                        }
                        continue;
                    }
                }
                // The short way; the long one finds out what is wrong.
                let short = match (declared.data_type, fields[column]) {
                    (Type::Text, _) => seen.and_then(|seen| known.find(seen)).map(Datum::from),
                    (Type::Id, _) => None,
                    (data_type, field) => field.value(data_type),
                };
                row[column] = match short {
                    Some(datum) => datum,
                    None => read(declared, fields[column])?,
                };
            }
        } else {
            for &column in &table.key {
                row[column] = read(&table.columns[column], fields[column])?;
            }
        }
        let values = Values { columns: &table.columns, fields: &fields, row };
        if let Some(failure) = checks.iter_mut().find_map(|check| check.failure(&values)) {
            return Err(Fault::Check(failure));
        }

        // Nothing fails from here on, so that only good records add to the dictionaries.
        for (column, declared) in table.columns.iter().enumerate() {
            if row[column] != NULL || !matches!(declared.data_type, Type::Text | Type::Id) {
                continue;
            }
            let text = match fields[column] {
                Field::Missing => continue,
                Field::Text(text) => Cow::Borrowed(text),
                field => field.text().expect("a text was read before"),
            };
            if declared.data_type == Type::Id {
                ids.push(&text);
            } else {
                let code = dictionaries.names.intern(&text);
                known.keep(&text, code);
                row[column] = code.into();
            }
        }
        if value.is_some() {
            changes.upsert(row);
        } else {
            let mut key = [NULL; KEY_COLUMNS_MAX];
            for (datum, &column) in key.iter_mut().zip(&table.key) {
                *datum = row[column];
            }
            changes.delete(table, &key[..table.key.len()]);
        }
        Ok(())
    }
}

/// The columns of names.
fn names_of(table: &Table) -> impl Iterator<Item = usize> {
    let columns = table.columns.iter().enumerate();
    columns.filter(|(_, column)| column.data_type == Type::Text).map(|(at, _)| at)
}

impl TableDecoder {
    /// Gives the last records the codes of their ids, of which each has one.
    fn intern_ids(&mut self, dictionaries: &mut Dictionaries) {
        let TableDecoder { table, changes, ids, .. } = self;
        let mut record = changes.len() - ids.ends.len();
        dictionaries.keys[table.id].intern_all(ids.iter(), &mut |code| {
            changes.set(record, table.key[0], code.into());
            record += 1;
        });
        ids.texts.clear();
        ids.ends.clear();
    }
}

/// The fields of a key in the order of the key, defaults filled in.
fn read_key<'a>(
    table: &'a Table,
    names: &mut Names,
    key: Option<&'a [u8]>,
) -> Result<[Field<'a>; KEY_COLUMNS_MAX], Fault> {
    let mut fields = [Field::Missing; KEY_COLUMNS_MAX];
    let text = utf8("key", key.ok_or_else(|| Fault::NoKey(key_wanted(table)))?)?;
    let bad = || Fault::BadKey {
        shown: if text.is_empty() { "empty".to_string() } else { Field::Number(text).to_string() },
        wanted: key_wanted(table),
    };
    match (text.trim_ascii_start().as_bytes().first(), table.key.as_slice()) {
        (Some(b'{'), _) => {
            let mut row: Row = [Field::Missing; COLUMNS_MAX];
            names.read(text, &mut row).map_err(|_| bad())?;
            for (field, &column) in fields.iter_mut().zip(&table.key) {
                *field = if row[column].is_missing() { default(&table.columns[column]) } else { row[column] };
                if field.is_missing() {
                    return Err(bad());
                }
            }
        }
        (Some(b'"'), [_]) if let Some(inside) = flat::text(text) => fields[0] = Field::Text(inside),
        (Some(b'"'), [_]) => {
            let raw: &RawValue = serde_json::from_str(text).map_err(|_| bad())?;
            fields[0] = Field::classify(raw.get());
        }
        _ if text.trim_ascii() == "null" => return Err(Fault::NoKey(key_wanted(table))),
        // A key that is no JSON is the text itself, as a publisher writes it whose keys are plain strings.
        (Some(first), [_]) if *first != b'[' => fields[0] = Field::Text(text),
        _ => return Err(bad()),
    }
    Ok(fields)
}

fn key_wanted(table: &Table) -> String {
    let names: Vec<&str> = table.key.iter().map(|&column| table.columns[column].field.as_str()).collect();
    match names.as_slice() {
        [only] => format!("the {only} as a JSON string"),
        _ => format!("a JSON object of {}", names.join(", ")),
    }
}

/// Whether key and value say the same of a column, however they write it.
fn same(column: &Column, in_key: Field, in_value: Field) -> Result<bool, Fault> {
    if in_key == in_value {
        return Ok(true);
    }
    let misfit = |field: Field, wanted| misfit(column, field, wanted);
    match column.data_type {
        Type::Text | Type::Id => {
            let in_key = in_key.text().map_err(|wanted| misfit(in_key, wanted))?;
            Ok(in_key == in_value.text().map_err(|wanted| misfit(in_value, wanted))?)
        }
        data_type => {
            let in_key = in_key.datum(data_type).map_err(|wanted| misfit(in_key, wanted))?;
            Ok(in_key == in_value.datum(data_type).map_err(|wanted| misfit(in_value, wanted))?)
        }
    }
}

/// The datum of a field that is there; of a text only whether it is good.
#[inline]
fn read(column: &Column, field: Field) -> Result<Datum, Fault> {
    match column.data_type {
        Type::Text | Type::Id => {
            let empty = match field {
                Field::Text(text) => text.is_empty(),
                _ => field.text().map_err(|wanted| misfit(column, field, wanted))?.is_empty(),
            };
            if empty && is_identifier(column) {
                return Err(misfit(column, field, "the name of something".to_string()));
            }
            Ok(NULL)
        }
        data_type => field.datum(data_type).map_err(|wanted| misfit(column, field, wanted)),
    }
}

/// Whether a text names a row of some table, which the empty text cannot; an unsleeved portfolio's can.
fn is_identifier(column: &Column) -> bool {
    let named = column.name.ends_with("_id") || column.name.ends_with("currency");
    named && !column.nullable && column.default.is_none()
}

fn default(column: &Column) -> Field<'_> {
    match (&column.default, column.data_type) {
        (None, _) => Field::Missing,
        (Some(default), Type::Decimal { .. } | Type::Integer) => Field::Number(default),
        (Some(default), Type::Boolean) => Field::Boolean(default == "true"),
        (Some(default), _) => Field::Text(default),
    }
}

#[cold]
fn misfit(column: &Column, field: Field, wanted: Wanted) -> Fault {
    Fault::Misfit { field: column.field.clone(), shown: field.to_string(), wanted }
}

#[cold]
fn missing(table: &Table, fields: &Row) -> Fault {
    let missing = table
        .columns
        .iter()
        .zip(fields)
        .filter(|(column, field)| field.is_missing() && !column.nullable && column.default.is_none());
    Fault::Missing(missing.map(|(column, _)| column.field.clone()).collect())
}

fn are(fields: &[String]) -> String {
    format!("{} {}", fields.join(", "), if fields.len() == 1 { "is" } else { "are" })
}

fn them(fields: &[String]) -> &'static str {
    if fields.len() == 1 { "it" } else { "them" }
}

fn utf8<'a>(part: &'static str, bytes: &'a [u8]) -> Result<&'a str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| Fault::NotUtf8 { part, at: error.valid_up_to() })
}

#[cold]
fn aside(
    topic: &str,
    position: impl fmt::Display,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    reason: impl fmt::Display,
) -> SetAside {
    let kept = |bytes: &[u8]| bytes[..bytes.len().min(QUARANTINE_PAYLOAD_BYTES_MAX)].to_vec();
    SetAside {
        topic: topic.to_string(),
        position: position.to_string(),
        key: String::from_utf8_lossy(&kept(key.unwrap_or_default())).into_owned(),
        reason: reason.to_string(),
        payload: kept(value.unwrap_or_default()),
    }
}
