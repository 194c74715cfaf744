//! Rows as records of JSON: the inverse of [`super::decode`].
//!
//! A value carries every column that is not null, those of the key among them; a key is what the decoder
//! says a key is. Decimals are strings, so that no reader takes them for floats.
//! Cost: some microseconds an order event; libraries write texts and times.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta};

use crate::datum::{Datum, NULL, format_decimal};
use crate::dictionary::{Code, Dictionaries};
use crate::schema::{Column, Table, Type};

/// Writes the key of a row: the field itself where it is one, else an object of the key's fields.
///
/// # Panics
/// Where a code is of other dictionaries.
pub fn key(table: &Table, row: &[Datum], dictionaries: &Dictionaries, out: &mut String) {
    match table.key.as_slice() {
        [only] => write_datum(table, *only, row[*only], dictionaries, out),
        columns => write_object(table, columns.iter().copied(), row, dictionaries, out),
    }
}

/// Writes the value of a row.
///
/// # Panics
/// Where a code is of other dictionaries.
pub fn value(table: &Table, row: &[Datum], dictionaries: &Dictionaries, out: &mut String) {
    write_object(table, 0..table.columns.len(), row, dictionaries, out);
}

fn write_object(
    table: &Table,
    columns: impl Iterator<Item = usize>,
    row: &[Datum],
    dictionaries: &Dictionaries,
    out: &mut String,
) {
    out.push('{');
    let mut first = true;
    for column in columns.filter(|&column| row[column] != NULL) {
        if !first {
            out.push(',');
        }
        first = false;
        // A field is a name of letters.
        let _ = write!(out, "\"{}\":", table.columns[column].field);
        write_datum(table, column, row[column], dictionaries, out);
    }
    out.push('}');
}

fn write_datum(table: &Table, column: usize, datum: Datum, dictionaries: &Dictionaries, out: &mut String) {
    let Column { data_type, .. } = table.columns[column];
    // Writing to a string does not fail.
    let _ = match data_type {
        Type::Text => return write_text(dictionaries.names.text(datum as Code), out),
        Type::Id => return write_text(dictionaries.keys(table.id).text(datum as Code), out),
        Type::Decimal { scale, .. } => write!(out, "\"{}\"", format_decimal(datum, scale)),
        Type::Integer => write!(out, "{datum}"),
        Type::Boolean => write!(out, "{}", datum != 0),
        Type::Date => {
            let day = DateTime::UNIX_EPOCH.date_naive() + TimeDelta::days(datum as i64);
            write!(out, "\"{day}\"")
        }
        Type::Timestamp => {
            let time = DateTime::from_timestamp_micros(datum as i64).expect("a timestamp that was decoded");
            write!(out, "\"{}\"", time.format("%Y-%m-%dT%H:%M:%S%.fZ"))
        }
    };
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a text is a JSON string"));
}
