//! Rows of the net positions on their way into a view: as they were, taken back, and as they are, added.

use std::ops::Range;

use super::arrangement::{Coordinate, Coordinates, from_code};
use super::legs::LegColumns;
use super::pair::Pairs;
use crate::datum::Datum;
use crate::dictionary::Code;
use crate::table::PartitionId;

/// Whether a line is what a view had or what it has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

impl Side {
    pub fn weight(self) -> Datum {
        match self {
            Side::Before => -1,
            Side::After => 1,
        }
    }
}

#[derive(Default)]
pub struct Lines {
    pub accounts: Vec<PartitionId>,
    pub coordinates: Vec<Coordinate>,
    pub sides: Vec<Side>,
    /// Lines of one side of one pair of one account: only these can be netted with each other.
    runs: Vec<Range<u32>>,
    /// Column by column, in the order of the arrangement's sums.
    sums: Vec<Vec<Datum>>,
}

impl Lines {
    pub fn new(sums: usize) -> Lines {
        Lines { sums: vec![Vec::new(); sums], ..Lines::default() }
    }

    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    pub fn clear(&mut self) {
        self.accounts.clear();
        self.coordinates.clear();
        self.sides.clear();
        self.runs.clear();
        self.sums.iter_mut().for_each(Vec::clear);
    }

    /// Begins a run: what is pushed next is not netted with what was pushed before.
    pub fn begin(&mut self) {
        let at = self.len() as u32;
        self.runs.push(at..at);
    }

    pub fn push(
        &mut self,
        account: PartitionId,
        coordinate: Coordinate,
        side: Side,
        sums: impl Iterator<Item = Datum>,
    ) {
        self.accounts.push(account);
        self.coordinates.push(coordinate);
        self.sides.push(side);
        self.sums.iter_mut().zip(sums).for_each(|(column, sum)| column.push(sum));
        self.runs.last_mut().expect("a run was begun").end += 1;
    }

    /// Drops the lines whose coordinate is none of these.
    pub fn retain(&mut self, is: &dyn Fn(Coordinate) -> bool) {
        if self.coordinates.iter().all(|&coordinate| is(coordinate)) {
            return;
        }
        let all = std::mem::take(self);
        *self = Lines::new(all.sums.len());
        for run in all.runs {
            self.begin();
            for line in run.map(|line| line as usize).filter(|&line| is(all.coordinates[line])) {
                let sums = all.sums.iter().map(|column| column[line]);
                self.push(all.accounts[line], all.coordinates[line], all.sides[line], sums);
            }
        }
    }

    pub fn sum(&self, column: usize, line: usize) -> Datum {
        self.sums[column][line]
    }

    /// The lines added up where they agree in the coordinate's columns that are `told` apart.
    ///
    /// A sum that leaves 128 bits wraps: it can only be what the arrangement has refused already.
    pub fn netted(&self, coordinates: &Coordinates, told: &[bool]) -> Lines {
        let mut netted = Lines::new(self.sums.len());
        let same = |a: Coordinate, b: Coordinate| {
            let (a, b) = (coordinates.codes(a), coordinates.codes(b));
            told.iter().enumerate().all(|(at, &told)| !told || a[at] == b[at])
        };
        for run in &self.runs {
            netted.begin();
            let start = netted.len();
            for line in run.start as usize..run.end as usize {
                let coordinate = self.coordinates[line];
                let known = (start..netted.len()).find(|&at| same(netted.coordinates[at], coordinate));
                match known {
                    Some(at) => {
                        for (column, sums) in netted.sums.iter_mut().zip(&self.sums) {
                            column[at] = column[at].wrapping_add(sums[line]);
                        }
                    }
                    None => {
                        let sums = self.sums.iter().map(|sums| sums[line]);
                        netted.push(self.accounts[line], coordinate, self.sides[line], sums);
                    }
                }
            }
        }
        netted
    }

    /// The lines as columns of legs; those not wanted stay empty.
    pub fn columns(
        &self,
        legs: &LegColumns,
        summed: &[usize],
        coordinates: &Coordinates,
        pairs: &Pairs,
        accounts: &[Code],
        wanted: &dyn Fn(usize) -> bool,
    ) -> Vec<Vec<Datum>> {
        let mut columns = vec![Vec::new(); legs.len()];
        let of = |code: &dyn Fn(Coordinate) -> Datum| self.coordinates.iter().map(|&at| code(at)).collect();
        for (column, values) in columns.iter_mut().enumerate().filter(|(column, _)| wanted(*column)) {
            *values = if let Some(at) = summed.iter().position(|&summed| summed == column) {
                self.sums[at].clone()
            } else if column == legs.instrument {
                of(&|at| pairs.instrument(coordinates.pair(at)).into())
            } else if column == legs.priced_as {
                of(&|at| pairs.priced_as(coordinates.pair(at)).into())
            } else if column == legs.account {
                self.accounts.iter().map(|&account| accounts[account as usize].into()).collect()
            } else if let Some(at) = coordinates.columns.iter().position(|&known| known == column) {
                of(&|coordinate| from_code(coordinates.codes(coordinate)[at]))
            } else {
                unreachable!("a view reads what legs are told apart by and what is summed")
            };
        }
        columns
    }
}
