//! Sums of products kept by deltas: what rows add up to for each group and pair of instruments, and what
//! the groups come to at the prices of the epoch.
//!
//! A change of rows moves `kept` and, at the prices that stand, the sums; a change of prices moves the sums
//! by what is kept times the difference. Integers make both exact, so the order of changes leaves no trace.
//! Cost: a row change O(aggregates); a price change O(groups that hold the instrument · aggregates).

use hashbrown::HashMap;

use crate::datum::{Datum, NULL};
use crate::error::{Error, Result};
use crate::plan::part::{Applied, Factored};
use crate::plan::scalar::multiply;

/// A pair of instruments: how a leg is grouped and by what it is valued.
pub type Pair = u32;

/// A group's number within one part.
pub type GroupId = u32;

#[derive(Default)]
pub struct FactoredState {
    cells: Vec<CellState>,
    index: HashMap<(GroupId, Pair), u32>,
    by_pair: Vec<Vec<u32>>,
    by_group: Vec<Vec<u32>>,
    /// The sums of each group, one an aggregate; unused for least and greatest.
    sums: Vec<Vec<i128>>,
    /// The value of each `g`, by aggregate and term, of each pair; null counts as 0 in sums.
    applied: Vec<Vec<Datum>>,
    touched: Vec<GroupId>,
}

struct CellState {
    group: GroupId,
    pair: Pair,
    kept: Vec<i128>,
}

impl FactoredState {
    /// Forgets all rows, and keeps the prices.
    pub fn clear(&mut self) {
        let applied = std::mem::take(&mut self.applied);
        *self = FactoredState { applied, ..FactoredState::default() };
    }

    /// Adds to what is kept for a group and a pair, and leaves the sums to [`Self::sum_up`].
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits.
    pub fn keep(
        &mut self,
        plan: &Factored,
        group: GroupId,
        pair: Pair,
        deltas: impl Iterator<Item = Datum>,
    ) -> Result<()> {
        let slot = self.slot(plan, group, pair);
        for (kept, delta) in self.cells[slot as usize].kept.iter_mut().zip(deltas) {
            *kept = kept.checked_add(delta).ok_or_else(overflow)?;
        }
        Ok(())
    }

    /// Computes all sums from what is kept.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits.
    pub fn sum_up(&mut self, plan: &Factored) -> Result<()> {
        let FactoredState { cells, sums, applied, touched, .. } = self;
        for cell in cells.iter() {
            move_sums(&mut sums[cell.group as usize], plan, applied, cell.pair, &cell.kept)?;
            touched.push(cell.group);
        }
        Ok(())
    }

    /// Adds to what is kept for a group and a pair, and to the sums at the prices that stand.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits.
    pub fn add(&mut self, plan: &Factored, group: GroupId, pair: Pair, deltas: &[Datum]) -> Result<()> {
        self.keep(plan, group, pair, deltas.iter().copied())?;
        move_sums(&mut self.sums[group as usize], plan, &self.applied, pair, deltas)?;
        self.touched.push(group);
        Ok(())
    }

    /// Sets the value of term `term` for a pair, and moves the sums of the groups that hold it.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits.
    pub fn apply(&mut self, plan: &Factored, term: usize, pair: Pair, value: Datum) -> Result<()> {
        if self.applied.len() <= term {
            self.applied.resize_with(term + 1, Vec::new);
        }
        let column = &mut self.applied[term];
        if column.len() <= pair as usize {
            column.resize(pair as usize + 1, NULL);
        }
        let before = std::mem::replace(&mut column[pair as usize], value);
        if before == value {
            return Ok(());
        }
        let (at, kept) = place_of(plan, term);
        let number = |value: Datum| if value == NULL { 0 } else { value };
        let delta = number(value).checked_sub(number(before)).ok_or_else(overflow)?;
        for &slot in self.by_pair.get(pair as usize).map_or(&[][..], Vec::as_slice) {
            let cell = &self.cells[slot as usize];
            if cell.kept[kept] == 0 {
                continue;
            }
            if matches!(plan.aggregates[at], Applied::Sum(_)) {
                let sum = &mut self.sums[cell.group as usize][at];
                *sum =
                    multiply(cell.kept[kept], delta).and_then(|d| sum.checked_add(d)).ok_or_else(overflow)?;
            }
            self.touched.push(cell.group);
        }
        Ok(())
    }

    /// The aggregates of a group.
    pub fn values(&self, plan: &Factored, group: GroupId) -> Vec<Datum> {
        let Some(sums) = self.sums.get(group as usize) else {
            return plan
                .aggregates
                .iter()
                .map(|a| if matches!(a, Applied::Sum(_)) { 0 } else { NULL })
                .collect();
        };
        let mut term = 0;
        let mut values = Vec::with_capacity(sums.len());
        for (sum, aggregate) in sums.iter().zip(&plan.aggregates) {
            let present = |kept: usize, term: usize| {
                let slots = self.by_group[group as usize].iter().map(|&slot| &self.cells[slot as usize]);
                slots
                    .filter(move |cell| cell.kept[kept] != 0)
                    .map(move |cell| self.applied[term][cell.pair as usize])
                    .filter(|&value| value != NULL)
            };
            match aggregate {
                Applied::Sum(products) => {
                    values.push(*sum);
                    term += products.len();
                }
                Applied::Least(kept, _) => {
                    values.push(present(*kept, term).min().unwrap_or(NULL));
                    term += 1;
                }
                Applied::Greatest(kept, _) => {
                    values.push(present(*kept, term).max().unwrap_or(NULL));
                    term += 1;
                }
            }
        }
        values
    }

    /// The groups whose aggregates may have changed since the last call, each once, ascending.
    pub fn take_touched(&mut self) -> Vec<GroupId> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    fn slot(&mut self, plan: &Factored, group: GroupId, pair: Pair) -> u32 {
        if let Some(&slot) = self.index.get(&(group, pair)) {
            return slot;
        }
        let slot = self.cells.len() as u32;
        self.cells.push(CellState { group, pair, kept: vec![0; plan.kept.len()] });
        self.index.insert((group, pair), slot);
        for (lists, at) in [(&mut self.by_pair, pair), (&mut self.by_group, group)] {
            if lists.len() <= at as usize {
                lists.resize_with(at as usize + 1, Vec::new);
            }
            lists[at as usize].push(slot);
        }
        if self.sums.len() <= group as usize {
            self.sums.resize_with(group as usize + 1, || vec![0; plan.aggregates.len()]);
        }
        slot
    }
}

/// Adds `deltas` of what is kept, at the prices that stand, to a group's sums.
fn move_sums(
    sums: &mut [i128],
    plan: &Factored,
    applied: &[Vec<Datum>],
    pair: Pair,
    deltas: &[Datum],
) -> Result<()> {
    let mut term = 0;
    for (sum, aggregate) in sums.iter_mut().zip(&plan.aggregates) {
        let Applied::Sum(products) = aggregate else {
            term += 1;
            continue;
        };
        for (kept, _) in products {
            let (delta, price) = (deltas[*kept], applied[term][pair as usize]);
            if delta != 0 && price != NULL {
                *sum = multiply(delta, price).and_then(|d| sum.checked_add(d)).ok_or_else(overflow)?;
            }
            term += 1;
        }
    }
    Ok(())
}

/// The aggregate a term belongs to, and what it multiplies.
fn place_of(plan: &Factored, term: usize) -> (usize, usize) {
    let mut first = 0;
    for (at, aggregate) in plan.aggregates.iter().enumerate() {
        match aggregate {
            Applied::Sum(products) if term < first + products.len() => return (at, products[term - first].0),
            Applied::Sum(products) => first += products.len(),
            Applied::Least(kept, _) | Applied::Greatest(kept, _) if term == first => return (at, *kept),
            Applied::Least(..) | Applied::Greatest(..) => first += 1,
        }
    }
    unreachable!("a term belongs to an aggregate")
}

/// Every `g`, in the order of the terms.
pub fn terms(plan: &Factored) -> impl Iterator<Item = &crate::plan::scalar::Scalar> {
    plan.aggregates.iter().flat_map(|aggregate| match aggregate {
        Applied::Sum(products) => products.iter().map(|(_, g)| g).collect::<Vec<_>>(),
        Applied::Least(_, g) | Applied::Greatest(_, g) => vec![g],
    })
}

fn overflow() -> Error {
    Error::data(
        "a sum has more than 38 digits; take fewer accounts, or mend the price or quantity that is out of proportion",
    )
}
