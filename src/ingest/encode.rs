//! Rows as records of JSON: the inverse of [`super::decode`].
//!
//! A value carries every column that is not null, those of the key among them; a key is what the decoder
//! says a key is. Decimals are strings, so that no reader takes them for floats.
//! Cost: about a microsecond an order event, no allocation but the output's.

use std::fmt::Write;

use crate::clock::{DAY_US, SECOND_US};
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
            out.push('"');
            write_date(datum as i64, out);
            write!(out, "\"")
        }
        Type::Timestamp => {
            let (days, within) = ((datum as i64).div_euclid(DAY_US), (datum as i64).rem_euclid(DAY_US));
            let (seconds, us) = (within / SECOND_US, within % SECOND_US);
            out.push('"');
            write_date(days, out);
            let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
            let _ = write!(out, "T{hour:02}:{minute:02}:{second:02}");
            if us != 0 {
                let _ = write!(out, ".{us:06}");
            }
            write!(out, "Z\"")
        }
    };
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Writes days since 1970-01-01 as `YYYY-MM-DD`, for the years 0001 to 9999.
///
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
fn write_date(days: i64, out: &mut String) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Counted from March, so that the leap day is a year's last.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}
