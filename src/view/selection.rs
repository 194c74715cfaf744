//! What a view is of: the chosen accounts and sleeves, and the instruments that its SQL has rows of.

use hashbrown::HashSet;

use super::arrangement::{Coordinate, Slot};
use super::broadcast::Broadcast;
use super::lines::Side;
use super::maintained::Base;
use super::pair::Pair;
use super::recompute::selected;
use super::spec::ViewSpec;
use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::plan::scalar::Scalar;
use crate::table::PartitionId;
use crate::table::snapshot::Snapshot;

pub struct Selection {
    accounts: Option<Accounts>,
    portfolios: Option<HashSet<Code>>,
    /// Which instruments' rows it has, over the columns of `instrument`.
    only: Option<Scalar>,
}

struct Accounts {
    /// In ascending order.
    chosen: Vec<PartitionId>,
    is_chosen: Vec<bool>,
}

impl Selection {
    pub fn new(spec: &ViewSpec, only: Option<Scalar>, snapshot: &Snapshot) -> Selection {
        let accounts = selected(snapshot, &spec.accounts).map(|chosen| {
            let mut chosen: Vec<PartitionId> = chosen.into_iter().collect();
            chosen.sort_unstable();
            chosen.dedup();
            let mut is_chosen = vec![false; chosen.last().map_or(0, |&last| last as usize + 1)];
            chosen.iter().for_each(|&account| is_chosen[account as usize] = true);
            Accounts { chosen, is_chosen }
        });
        // A sleeve that no row names yet may be named by one later.
        let portfolios = spec.portfolios.as_ref().map(|names| {
            let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
            names.iter().map(|name| dictionaries.names.intern(name)).collect()
        });
        Selection { accounts, portfolios, only }
    }

    #[inline]
    pub fn has_account(&self, account: PartitionId) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.is_chosen.get(account as usize) == Some(&true))
    }

    /// Whether the view has rows of a pair's instrument.
    pub fn has_pair(&self, pair: Pair, side: Side, base: Base) -> bool {
        self.only.as_ref().is_none_or(|only| {
            let instrument = base.broadcasts.get("instrument");
            let number = base.pairs.instrument_number(pair);
            let mut row = vec![NULL; instrument.columns.len()];
            only.columns(&mut |column| row[column] = looked(instrument, column, number, side));
            only.value(&row) == 1
        })
    }

    #[inline]
    pub fn has_coordinate(&self, coordinate: Coordinate, base: Base) -> bool {
        let portfolio = || base.arrangement.coordinates.codes(coordinate)[0];
        self.portfolios.as_ref().is_none_or(|portfolios| portfolios.contains(&portfolio()))
    }

    /// About how many rows of a pair [`Self::rows`] visits.
    pub fn rows_about(&self, slot: &Slot) -> usize {
        self.accounts.as_ref().map_or(slot.len(), |accounts| slot.len().min(8 * accounts.chosen.len()))
    }

    /// The rows of a pair that the view has, or `None` for all of them; the pair's instrument is not asked.
    pub fn rows(&self, slot: &Slot, base: Base) -> Option<Vec<u32>> {
        let mut rows: Vec<u32> = match &self.accounts {
            None if self.portfolios.is_none() => return None,
            None => (0..slot.len() as u32).collect(),
            // A look-up costs about as much as a pass over eight rows.
            Some(accounts) if accounts.chosen.len() < slot.len() / 8 => {
                let of = |&account: &PartitionId| slot.rows_of(account).map(|row| row as u32);
                accounts.chosen.iter().flat_map(of).collect()
            }
            Some(_) => {
                let chosen = |&(_, &account): &(usize, &PartitionId)| self.has_account(account);
                slot.accounts().iter().enumerate().filter(chosen).map(|(row, _)| row as u32).collect()
            }
        };
        if self.portfolios.is_some() {
            rows.retain(|&row| self.has_coordinate(slot.coordinate(row as usize), base));
        }
        Some(rows)
    }
}

/// A value of a row of a relation that groups lines, as it was or is.
pub fn looked(relation: &Broadcast, column: usize, number: u32, side: Side) -> Datum {
    match side {
        Side::Before => relation.was(number, column),
        Side::After => relation.columns[column].get(number as usize),
    }
}
