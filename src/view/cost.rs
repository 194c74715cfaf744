//! What a tick touched and what it took: plain counters that maintenance leaves behind, and estimates of the
//! bytes it passed over, made from them when somebody asks.
//!
//! It keeps no clock: an embedder that wants times lends one. A tick pays some additions for each relation
//! and view, whatever the number of rows. Bytes are counts times the widths of the columns read and written:
//! net positions, what views keep of them, tables of what is applied last, relations of prices and rates.
//! A column that several sums read counts once a row. Neither base rows nor indexes count, nor what stays in
//! a core's cache between two steps, so that the bytes over the read bandwidth are a time that nothing beats.

use super::arrangement::Arrangement;
use super::broadcast::{Broadcast, Broadcasts};
use super::cells::Cells;
use super::lines::Side;
use super::maintained::{Base, Maintained};
use super::pair::Pair;
use super::result::Cell;
use super::shape::{Form, Pricing, Shape, Terms};
use super::stage::Store;
use crate::datum::Datum;
use crate::plan::scalar::{Lane, Values};

/// A clock that counts nanoseconds, where one is lent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stopwatch(Option<fn() -> u64>);

impl Stopwatch {
    pub fn new(now: fn() -> u64) -> Stopwatch {
        Stopwatch(Some(now))
    }

    pub fn read(self) -> Time {
        Time(self.0.map(|now| now()))
    }

    /// The time since a reading.
    pub fn since(self, began: Time) -> Time {
        self.read().less(began)
    }
}

/// Nanoseconds, where there is a clock: a reading of it, or the time between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Time(pub Option<u64>);

impl Time {
    /// This without a part of it.
    pub fn less(self, part: Time) -> Time {
        Time(self.0.zip(part.0).map(|(all, part)| all.saturating_sub(part)))
    }

    pub fn add(&mut self, other: Time) {
        if let Some(more) = other.0 {
            self.0 = Some(self.0.unwrap_or(0) + more);
        }
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(ns) => write!(f, "{}.{:03} µs", ns / 1000, ns % 1000),
            None => f.write_str("-"),
        }
    }
}

/// What the last tick did to a grouped view.
#[derive(Debug, Clone, Copy, Default)]
pub struct Touch {
    /// It was computed from all net positions: opened since, or nothing of it could stay.
    pub anew: bool,
    /// Rows of net positions that were taken back or added.
    pub lines: usize,
    /// Groups whose cells were computed.
    pub groups: usize,
    /// Sums moved and lines added; sums rolled up and turned into cells; rows put in order.
    pub sums: Time,
    pub cells: Time,
    pub order: Time,
}

/// What the last tick did to what all views stand on.
#[derive(Debug, Clone, Copy, Default)]
pub struct SharedTouch {
    /// Rows of the small relations that changed, and the bytes of their changed columns.
    pub relation_rows: usize,
    pub relation_bytes: usize,
    pub relations: Time,
    /// Legs evaluated and brought into the net positions.
    pub positions: Time,
    /// What is applied last, and what row-level views look up.
    pub shapes: Time,
}

impl SharedTouch {
    /// Counts what the last update of a currency's relations changed.
    pub fn count(&mut self, relations: &Broadcasts) {
        for relation in relations.all.iter().filter(|relation| !relation.changed_rows.is_empty()) {
            self.relation_rows += relation.changed_rows.len();
            self.relation_bytes += relation.changed_rows.len() * changed_bytes(relation);
        }
    }
}

/// The times of one tick, stage by stage, each after the one before.
#[derive(Debug, Clone, Copy, Default)]
pub struct TickTimes {
    /// Changes applied to the tables, and these published.
    pub tables: Time,
    pub relations: Time,
    pub positions: Time,
    pub shapes: Time,
    /// All open views; where there are many, on several cores.
    pub views: Time,
    /// Views of SQL.
    pub sql: Time,
}

impl TickTimes {
    /// The stages by name, where a clock was lent.
    pub fn stages(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let stages = [
            ("tables", self.tables),
            ("relations", self.relations),
            ("positions", self.positions),
            ("shapes", self.shapes),
            ("views", self.views),
            ("sql", self.sql),
        ];
        stages.into_iter().filter_map(|(stage, time)| Some((stage, time.0?)))
    }
}

/// What a row's changed columns take, read for comparison and written.
fn changed_bytes(relation: &Broadcast) -> usize {
    let changed = relation.columns.iter().zip(&relation.changed).filter(|(_, changed)| **changed);
    2 * changed.map(|(column, _)| width(column.lane())).sum::<usize>()
}

/// Bytes of one value.
pub fn width(lane: Lane) -> usize {
    match lane {
        Lane::Const(_) => 0,
        Lane::Narrow(_) => size_of::<i64>(),
        Lane::Wide(_) => size_of::<Datum>(),
    }
}

pub fn values_bytes(values: &Values) -> usize {
    values.len() * width(values.lane())
}

/// Rows that the last tick touched, as they were and as they are.
pub fn positions_touched(arrangement: &Arrangement) -> usize {
    let touched = &arrangement.touched;
    touched.buckets.iter().map(|bucket| touched.before(bucket).count() + touched.after(bucket).count()).sum()
}

/// Bytes of these rows: their sums, as they are handed to views.
pub fn positions_passed(arrangement: &Arrangement) -> usize {
    positions_touched(arrangement) * arrangement.summed().len() * size_of::<Datum>()
}

/// Bytes that the last tick passed over for one view.
pub fn view_passed(view: &Maintained, shape: &Shape, base: Base, width: usize) -> usize {
    let touch = &view.touch;
    let of_lines = touch.lines * base.arrangement.summed().len() * size_of::<Datum>();
    let outputs: usize = view.stages().iter().map(|stage| stage.width() * size_of::<Datum>()).sum();
    let of_groups = touch.groups * (outputs + width * size_of::<Cell>());
    let of_stages = view.stages().iter().filter(|stage| stage.is_read()).map(|stage| {
        let priced = shape.part(stage.part);
        match (stage.store(), touch.anew) {
            (Store::Cells(cells), false) => cells_passed(cells, priced),
            (Store::Spread(spread), false) => {
                rows_passed(spread.terms(), spread.forms(), priced, view, base, Passed::Moved)
            }
            // All rows are read, and what they come to is written.
            (Store::Cells(cells), true) => {
                let forms = priced.of.forms.as_deref().unwrap_or_default();
                cells.bytes() + rows_passed(cells.terms(), forms, priced, view, base, Passed::All)
            }
            (Store::Spread(spread), true) => {
                rows_passed(spread.terms(), spread.forms(), priced, view, base, Passed::All)
            }
        }
    });
    of_lines + of_groups + of_stages.sum::<usize>()
}

/// Bytes of the cells that the last change of prices reached: of each its bucket, its pair or its successor
/// among those of the pair, and what is kept of it that a moved price multiplies; where most prices moved,
/// the difference of its price besides.
fn cells_passed(cells: &Cells, priced: Pricing) -> usize {
    let index = 2 * size_of::<u32>();
    let passed = cells.terms().iter().map(|terms| {
        let codes: usize = terms.sums.iter().map(|term| cells.kept(term.kept).code_bytes()).sum::<usize>();
        match priced.dense(terms.g) {
            Some(_) if codes == 0 && terms.extremes.is_empty() => 0,
            Some(_) => cells.len() * (index + size_of::<i64>() + codes),
            None => {
                let reached: usize =
                    priced.moves(terms.g).iter().map(|step| cells.cells_of(step.pair).count()).sum();
                reached * (index + size_of::<u64>() + codes)
            }
        }
    });
    passed.sum()
}

/// Which pairs' rows are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    Moved,
    All,
}

/// Bytes of rows of net positions: of each its account and the sums that what is kept is made of.
fn rows_passed(
    terms: &[Terms],
    forms: &[Form],
    priced: Pricing,
    view: &Maintained,
    base: Base,
    passed: Passed,
) -> usize {
    let mut bytes = 0;
    let mut places: Vec<usize> = Vec::new();
    let moves = |terms: &&Terms, pair| passed == Passed::All || priced.is_moved(terms.g, pair);
    let selection = view.selection();
    for (pair, slot) in base.arrangement.slots().iter().enumerate().filter(|(_, slot)| !slot.is_empty()) {
        let pair = pair as Pair;
        places.clear();
        for terms in terms.iter().filter(|terms| moves(terms, pair)) {
            let kept = terms.sums.iter().chain(&terms.extremes).filter_map(|term| forms.get(term.kept));
            places.extend(kept.flat_map(Form::places));
        }
        places.sort_unstable();
        places.dedup();
        if !places.is_empty() && selection.has_pair(pair, Side::After, base) {
            let codes: usize = places.iter().map(|&place| slot.sums()[place].code_bytes()).sum();
            bytes += selection.rows_about(slot) * (size_of::<u32>() + codes);
        }
    }
    bytes
}
