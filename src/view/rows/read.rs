//! Rows of a row-level view evaluated in columns: base rows in, cells out.

use super::lookups::{Looked, Lookups, looked_up, used};
use crate::datum::{Datum, NULL};
use crate::plan::rows::{RowsPlan, Source};
use crate::plan::scalar::{Lane, Program, Values};
use crate::view::result::{Cell, Quality};

/// Rows that are evaluated in one go.
pub const BATCH_ROWS: usize = 8_192;

/// Gives a column of some base rows by its place in the table.
pub type BaseRows<'a> = &'a dyn Fn(usize) -> Values;

/// What is wanted of rows, and what has to be read for it.
pub struct Reading {
    measures: Vec<usize>,
    /// Columns of the first stage.
    side: Vec<usize>,
    used_of_base: Vec<bool>,
    used_of_side: Vec<bool>,
    /// Whether a row counts, and the columns of the first stage.
    of_base: Program,
    /// Whether the view has the row, and the columns of the measures.
    of_side: Program,
}

/// Some rows as they were read.
pub struct Read {
    /// Which of them the view has.
    pub kept: Vec<bool>,
    /// By measure wanted, then by row.
    pub cells: Vec<Vec<Cell>>,
    /// By column of the first stage; empty where it was not read.
    pub side: Vec<Values>,
}

impl Reading {
    /// A reading of measures, and of columns of the first stage besides.
    pub fn new(plan: &RowsPlan, measures: Vec<usize>, side: &[usize]) -> Reading {
        let columns = || measures.iter().flat_map(|&measure| plan.measures[measure].source.columns());
        let scalars = || [&plan.view.filter].into_iter().chain(columns().map(|at| &plan.view.columns[at]));
        let used_of_side = used(&plan.view, scalars());
        let of_side = Program::new(scalars());
        let mut side = side.to_vec();
        let read = plan.view.inputs.iter().zip(&used_of_side).filter(|(_, used)| **used);
        side.extend(read.filter(|(input, _)| input.lookup.is_none()).map(|(input, _)| input.column));
        side.sort_unstable();
        side.dedup();
        let columns = || side.iter().map(|&column| &plan.rows.columns[column]);
        let scalars = || [&plan.rows.filter].into_iter().chain(columns());
        let used_of_base = used(&plan.rows, scalars());
        let of_base = Program::new(scalars());
        Reading { measures, side, used_of_base, used_of_side, of_base, of_side }
    }

    /// The looked-up columns it depends on, but those of the day.
    pub fn looked_up(&self, plan: &RowsPlan) -> Vec<Looked> {
        let of = |relation, used| looked_up(relation, used).collect::<Vec<_>>();
        let mut all = of(&plan.rows, &self.used_of_base);
        all.extend(of(&plan.view, &self.used_of_side));
        all
    }

    /// Evaluates `rows` base rows.
    pub fn read(&self, plan: &RowsPlan, rows: usize, base: BaseRows, lookups: &Lookups) -> Read {
        let inputs = lookups.inputs(&plan.rows, &self.used_of_base, rows, base);
        let mut of_base = evaluate(&self.of_base, &inputs, rows).into_iter();
        let counts = of_base.next().expect("a filter is evaluated");
        let mut side = vec![Values::default(); plan.rows.columns.len()];
        self.side.iter().zip(of_base).for_each(|(&column, values)| side[column] = values);
        let inputs = lookups.inputs(&plan.view, &self.used_of_side, rows, &|column| side[column].clone());
        let mut of_side = evaluate(&self.of_side, &inputs, rows).into_iter();
        let passes = of_side.next().expect("a filter is evaluated");
        let kept = (0..rows).map(|row| counts.get(row) == 1 && passes.get(row) == 1).collect();
        let cells =
            self.measures.iter().map(|&measure| cells(plan.measures[measure].source, &mut of_side, rows));
        Read { kept, cells: cells.collect(), side }
    }
}

fn evaluate(program: &Program, inputs: &[Values], rows: usize) -> Vec<Values> {
    let inputs: Vec<Lane> = inputs.iter().map(Values::lane).collect();
    program.evaluate(&inputs, rows)
}

/// The cells of a measure, whose columns come in the order of its source.
fn cells(source: Source, columns: &mut impl Iterator<Item = Values>, rows: usize) -> Vec<Cell> {
    let mut lane = || columns.next().expect("a measure's columns are evaluated");
    match source {
        Source::Plain(_) => {
            let lane = lane();
            (0..rows).map(|row| Cell::new(lane.get(row))).collect()
        }
        Source::Graded { .. } => {
            let [value, positions, unpriced, stale] = std::array::from_fn(|_| lane());
            (0..rows)
                .map(|row| graded(value.get(row), positions.get(row), unpriced.get(row), stale.get(row)))
                .collect()
        }
    }
}

/// A value with the quality that its counts give it.
pub fn graded(value: Datum, positions: Datum, unpriced: Datum, stale: Datum) -> Cell {
    let quality = match (unpriced, stale) {
        (1.., _) if unpriced == positions => return Cell { value: NULL, quality: Quality::Missing },
        // More digits than a value can have: the view has none rather than a wrong one.
        _ if value == NULL => Quality::Missing,
        (1.., _) => Quality::Partial(unpriced as u64),
        (_, 1..) => Quality::Stale,
        _ => Quality::Ok,
    };
    Cell { value, quality }
}
