//! Totals of a row-level view from sums by instrument, which change with rows and never with prices.
//!
//! Graded measures are linear in the summed columns for rows of one instrument ([`RowsPlan`] proves it), so
//! the measure of an instrument's sums is the sum over its rows. A price change costs the instruments that
//! are held, whatever the number of rows.

use super::lookups::{Lookups, used};
use super::read::{Read, graded};
use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::error::{Error, Result};
use crate::plan::rows::{RowsPlan, Source};
use crate::plan::scalar::{Lane, Program, Values};
use crate::view::result::Cell;

#[derive(Debug, Default)]
pub struct Sums {
    /// By instrument, one for each summed column.
    values: Vec<Datum>,
}

impl Sums {
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Datum>()
    }

    /// Adds the rows that the view has, or takes them off.
    pub fn add(&mut self, plan: &RowsPlan, read: &Read, weight: Datum, lookups: &Lookups) {
        let width = plan.summed.len();
        for row in (0..read.kept.len()).filter(|&row| read.kept[row]) {
            let code = read.side[plan.instrument].get(row) as Code;
            let number = lookups.instruments().find(code).expect("a row's instrument is known") as usize;
            if self.values.len() < (number + 1) * width {
                self.values.resize((number + 1) * width, 0);
            }
            let sums = &mut self.values[number * width..][..width];
            for (sum, &column) in sums.iter_mut().zip(&plan.summed) {
                *sum += weight * read.side[column].get(row);
            }
        }
    }

    /// One cell a measure: the graded ones have a total, the others none.
    ///
    /// # Errors
    /// `Data` where a total has more digits than a value can have.
    pub fn total(&self, plan: &RowsPlan, lookups: &Lookups) -> Result<Vec<Cell>> {
        let width = plan.summed.len();
        let held = |number: &usize| self.values[number * width..][..width].iter().any(|&sum| sum != 0);
        let numbers: Vec<usize> = (0..self.values.len() / width.max(1)).filter(held).collect();
        let source = |column: usize| match plan.summed.iter().position(|&summed| summed == column) {
            Some(at) => numbers.iter().map(|number| self.values[number * width + at]).collect(),
            None => numbers.iter().map(|&n| Datum::from(lookups.instruments().codes()[n])).collect(),
        };
        let graded_only = plan.measures.iter().filter(|m| matches!(m.source, Source::Graded { .. }));
        let columns: Vec<usize> = graded_only.flat_map(|measure| measure.source.columns()).collect();
        let scalars = || columns.iter().map(|&column| &plan.view.columns[column]);
        let inputs = lookups.inputs(&plan.view, &used(&plan.view, scalars()), numbers.len(), &source);
        let inputs: Vec<Lane> = inputs.iter().map(Values::lane).collect();
        let values = Program::new(scalars()).evaluate(&inputs, numbers.len());
        let sum = |column: usize| {
            let at = columns.iter().position(|&known| known == column).expect("it was just evaluated");
            let mut values = (0..numbers.len()).map(|row| values[at].get(row));
            values.try_fold(0, |sum: Datum, value| if value == NULL { None } else { sum.checked_add(value) })
        };
        let total = |measure: &crate::plan::rows::Measure| {
            let Source::Graded { value, positions, unpriced, stale } = measure.source else {
                return Ok(Cell::EMPTY);
            };
            let [value, positions, unpriced, stale] = [value, positions, unpriced, stale].map(sum);
            let whole = || Some(graded(value?, positions?, unpriced?, stale?));
            whole().ok_or_else(|| {
                let name = &measure.column.name;
                Error::data(format!(
                    "the total of {name} has more than 38 digits; mend the quantity, price or rate behind it"
                ))
            })
        };
        plan.measures.iter().map(total).collect()
    }

    pub fn clear(&mut self) {
        self.values.clear();
    }
}
