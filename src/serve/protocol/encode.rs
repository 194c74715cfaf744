//! Snapshots and patches as text, written once for all clients that are sent the same.
//!
//! A frame is a head that names the client's view and number, and a body that all share:
//! `{"type":"patch","viewId":"v1","viewVersion":1,"seq":2,` + `"asOf":…}`.
//! Cost: one pass over the cells that are sent, one buffer; about 20 ns a decimal.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Timelike};

use crate::clock::{DAY_US, Timestamp};
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::diff::{Patch, Run, Subscription};
use crate::view::result::{Cell, Column, Form, Heading, Quality};

/// Source time and epoch that a frame reflects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    pub epoch: u64,
    pub time: Timestamp,
}

/// The part of a snapshot or patch that is one client's own.
pub struct Head<'a> {
    pub view_id: &'a str,
    pub view_version: u64,
    pub seq: u64,
}

impl Head<'_> {
    /// The text that goes before [`snapshot_body`].
    pub fn snapshot(&self) -> String {
        self.text("snapshot")
    }

    /// The text that goes before [`patch_body`].
    pub fn patch(&self) -> String {
        self.text("patch")
    }

    fn text(&self, kind: &str) -> String {
        let mut out = String::with_capacity(64 + self.view_id.len());
        write(&mut out, format_args!("{{\"type\":\"{kind}\",\"viewId\":"));
        string(&mut out, self.view_id);
        write(&mut out, format_args!(",\"viewVersion\":{},\"seq\":{},", self.view_version, self.seq));
        out
    }
}

/// Everything of a snapshot frame after its head.
pub fn snapshot_body(
    held: &Subscription,
    as_of: AsOf,
    columns: &[Column],
    dictionaries: &Dictionaries,
    out: &mut String,
) {
    let writer = Writer { columns, dictionaries };
    write_as_of(out, as_of, held.size());
    write(out, format_args!(",\"from\":{},\"rows\":[", held.window().from));
    list(out, held.rows(), |out, (heading, cells)| {
        out.push('{');
        writer.row(out, heading, cells);
    });
    out.push_str("],\"total\":{");
    writer.cells(out, held.total());
    out.push_str("}}");
}

/// Everything of a patch frame after its head.
pub fn patch_body(
    patch: &Patch,
    as_of: AsOf,
    columns: &[Column],
    dictionaries: &Dictionaries,
    out: &mut String,
) {
    let writer = Writer { columns, dictionaries };
    write_as_of(out, as_of, patch.size);
    out.push_str(",\"removed\":[");
    list(out, &patch.removed, |out, at| write(out, format_args!("{at}")));
    out.push_str("],\"added\":[");
    list(out, &patch.added, |out, added| {
        write(out, format_args!("{{\"at\":{},", added.at));
        writer.row(out, &added.row.heading, &added.row.cells);
    });
    out.push_str("],\"moved\":[");
    list(out, &patch.moved, |out, step| {
        write(out, format_args!("{{\"from\":{},\"to\":{}}}", step.from, step.to));
    });
    out.push_str("],\"cells\":[");
    list(out, &patch.values, |out, run| {
        writer.run(out, run, |out, value| writer.value(out, run.column, value))
    });
    out.push_str("],\"quality\":[");
    list(out, &patch.qualities, |out, run| writer.run(out, run, quality));
    out.push_str("],\"total\":{\"cells\":[");
    list(out, &patch.total.values, |out, &(column, value)| {
        write(out, format_args!("{{\"column\":{column},\"value\":"));
        writer.value(out, column, value);
        out.push('}');
    });
    out.push_str("],\"quality\":[");
    list(out, &patch.total.qualities, |out, &(column, value)| {
        write(out, format_args!("{{\"column\":{column},\"value\":"));
        quality(out, value);
        out.push('}');
    });
    out.push_str("]}}");
}

struct Writer<'a> {
    columns: &'a [Column],
    dictionaries: &'a Dictionaries,
}

impl Writer<'_> {
    /// The fields of a row, after an opened brace.
    fn row(&self, out: &mut String, heading: &Heading, cells: &[Cell]) {
        out.push_str("\"key\":[");
        list(out, &heading.key, |out, level| match level {
            Some(name) => string(out, name),
            None => out.push_str("null"),
        });
        write(out, format_args!("],\"depth\":{},\"expandable\":{}", heading.depth, heading.expandable));
        if let Some(label) = &heading.label {
            out.push_str(",\"label\":");
            string(out, label);
        }
        out.push(',');
        self.cells(out, cells);
        out.push('}');
    }

    fn cells(&self, out: &mut String, cells: &[Cell]) {
        out.push_str("\"values\":[");
        list(out, cells.iter().enumerate(), |out, (column, cell)| self.value(out, column, cell.value));
        out.push_str("],\"quality\":{");
        let marked = cells.iter().enumerate().filter(|(_, cell)| cell.quality != Quality::Ok);
        list(out, marked, |out, (column, cell)| {
            write(out, format_args!("\"{column}\":"));
            quality(out, cell.quality);
        });
        out.push('}');
    }

    fn run<V: Copy>(&self, out: &mut String, run: &Run<V>, value: impl Fn(&mut String, V)) {
        write(out, format_args!("{{\"column\":{},\"rows\":[", run.column));
        list(out, &run.rows, |out, row| write(out, format_args!("{row}")));
        out.push_str("],\"values\":[");
        list(out, &run.values, |out, &v| value(out, v));
        out.push_str("]}");
    }

    fn value(&self, out: &mut String, column: usize, value: Datum) {
        if value == NULL {
            return out.push_str("null");
        }
        let name = |code: Datum| Code::try_from(code).expect("a text's datum is a code");
        match self.columns[column].form {
            Form::Name => string(out, self.dictionaries.names.text(name(value))),
            Form::Id { table } => string(out, self.dictionaries.keys[table].text(name(value))),
            Form::Decimal { scale } => {
                out.push('"');
                write_decimal(out, value, scale);
                out.push('"');
            }
            Form::Time => {
                out.push('"');
                write_time(out, value as Timestamp);
                out.push('"');
            }
            Form::Date => {
                out.push('"');
                write_date(out, value as Timestamp * DAY_US);
                out.push('"');
            }
        }
    }
}

fn quality(out: &mut String, quality: Quality) {
    match quality {
        Quality::Ok => out.push_str("null"),
        marked => write(out, format_args!("\"{marked}\"")),
    }
}

fn write_as_of(out: &mut String, as_of: AsOf, size: usize) {
    write(out, format_args!("\"asOf\":{{\"epoch\":{},\"time\":\"", as_of.epoch));
    write_time(out, as_of.time);
    write(out, format_args!("\"}},\"size\":{size}"));
}

fn list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut String, T)) {
    for (at, value) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        item(out, value);
    }
}

fn write(out: &mut String, arguments: std::fmt::Arguments) {
    out.write_fmt(arguments).expect("a string takes every write");
}

/// A JSON string. Names rarely need an escape, so they are copied whole where none is needed.
fn string(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c if c < ' ' => write(out, format_args!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
    }
    out.push('"');
}

/// As [`crate::datum::format_decimal`], into a buffer and without a string of its own.
pub fn write_decimal(out: &mut String, value: Datum, scale: u8) {
    let scale = usize::from(scale);
    // 39 digits of a u128 at most, or a zero before the point and the scale's digits.
    let mut buffer = [b'0'; 40];
    let mut start = buffer.len();
    let mut rest = value.unsigned_abs();
    while rest > u128::from(u64::MAX) {
        // Division of 128 bits is slow: 19 digits come off at once.
        let mut low = (rest % 10_000_000_000_000_000_000) as u64;
        rest /= 10_000_000_000_000_000_000;
        for _ in 0..19 {
            start -= 1;
            buffer[start] = b'0' + (low % 10) as u8;
            low /= 10;
        }
    }
    let mut rest = rest as u64;
    while rest > 0 {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let point = buffer.len() - scale;
    start = start.min(point - 1);
    let text = std::str::from_utf8(&buffer).expect("digits are ASCII");
    if value < 0 {
        out.push('-');
    }
    out.push_str(&text[start..point]);
    let fraction = text[point..].trim_end_matches('0');
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
}

/// A time as ISO 8601 in UTC, with as many of milliseconds and microseconds as it has.
pub fn time_text(time: Timestamp) -> String {
    let mut out = String::with_capacity(27);
    write_time(&mut out, time);
    out
}

fn write_time(out: &mut String, time: Timestamp) {
    write_date(out, time);
    let of_day = DateTime::from_timestamp_micros(time).unwrap_or_default();
    write(out, format_args!("T{:02}:{:02}:{:02}", of_day.hour(), of_day.minute(), of_day.second()));
    match time.rem_euclid(1_000_000) {
        0 => {}
        us if us % 1_000 == 0 => write(out, format_args!(".{:03}", us / 1_000)),
        us => write(out, format_args!(".{us:06}")),
    }
    out.push('Z');
}

fn write_date(out: &mut String, time: Timestamp) {
    let day = DateTime::from_timestamp_micros(time).unwrap_or_default();
    write(out, format_args!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()));
}
