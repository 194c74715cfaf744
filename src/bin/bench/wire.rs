//! Frames as a client reads them, turned into what the comparison speaks of.
//!
//! The tests read this file too.

use std::collections::BTreeMap;

use tickview::datum::Datum;
use tickview::diff::{Added, Move, Patch, Run, Snapshot, SnapshotRow, TotalPatch};
use tickview::serve::protocol::{PatchFrame, Row, Total};
use tickview::view::result::{Cell, Heading, Quality};

/// Reads the text of a value.
pub type Read<'a> = &'a mut dyn FnMut(Option<&str>) -> Datum;

pub fn snapshot(size: usize, from: usize, rows: &[Row], total: &Total, read: Read) -> Snapshot {
    Snapshot {
        size,
        from,
        rows: rows.iter().map(|r| row(r, read)).collect(),
        total: cells(&total.values, &total.quality, read),
    }
}

pub fn patch(frame: &PatchFrame, read: Read) -> Patch {
    let mut values = Vec::new();
    for run in &frame.cells {
        let read = run.values.iter().map(|value| read(value.as_deref())).collect();
        values.push(Run { column: run.column, rows: run.rows.clone(), values: read });
    }
    let qualities = frame.quality.iter().map(|run| Run {
        column: run.column,
        rows: run.rows.clone(),
        values: run.values.iter().map(|mark| quality(mark.as_deref())).collect(),
    });
    let total_values =
        frame.total.cells.iter().map(|cell| (cell.column, read(cell.value.as_deref()))).collect();
    let total_qualities =
        frame.total.quality.iter().map(|cell| (cell.column, quality(cell.value.as_deref())));
    Patch {
        size: frame.size,
        removed: frame.removed.clone(),
        moved: frame.moved.iter().map(|step| Move { from: step.from, to: step.to }).collect(),
        added: frame.added.iter().map(|added| Added { at: added.at, row: row(&added.row, read) }).collect(),
        values,
        qualities: qualities.collect(),
        total: TotalPatch { values: total_values, qualities: total_qualities.collect() },
    }
}

fn row(row: &Row, read: Read) -> SnapshotRow {
    let heading = Heading {
        key: row.key.clone(),
        label: row.label.clone(),
        depth: row.depth,
        expandable: row.expandable,
    };
    SnapshotRow { heading, cells: cells(&row.values, &row.quality, read) }
}

fn cells(values: &[Option<String>], marks: &BTreeMap<String, String>, read: Read) -> Vec<Cell> {
    let mut cells: Vec<Cell> = values.iter().map(|value| Cell::new(read(value.as_deref()))).collect();
    for (column, mark) in marks {
        cells[column.parse::<usize>().expect("a column is a number")].quality = quality(Some(mark));
    }
    cells
}

fn quality(mark: Option<&str>) -> Quality {
    match mark {
        None => Quality::Ok,
        Some("STALE") => Quality::Stale,
        Some("MISSING") => Quality::Missing,
        Some(mark) => {
            let count = mark.strip_prefix("PARTIAL:").and_then(|count| count.parse().ok());
            Quality::Partial(count.unwrap_or_else(|| panic!("{mark:?} is no quality")))
        }
    }
}
