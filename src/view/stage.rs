//! One part of a view at one netting grain: its cells at the deepest level of that grain, and their sums
//! rolled up through the levels above.
//!
//! Levels nest, so a group's aggregates are those of its children put together, as long as all of them net
//! lines alike. Only the deepest level keeps cells; where these would be as many as net positions, it reads
//! the net positions instead.

use std::ops::Range;

use hashbrown::{HashMap, HashSet};

use super::cells::{Cells, overflow};
use super::groups::{GroupId, Groups};
use super::lines::Side;
use super::pair::Pair;
use super::shape::{Aggregate, Pricing, Term, Terms};
use super::spread::{RowsOf, Spread};
use crate::datum::{Datum, NULL};
use crate::error::Result;
use crate::plan::part::Nested;
use crate::plan::scalar::Lane;

pub struct Stage {
    /// The part's place among those of the view.
    pub part: usize,
    /// The levels it serves; cells stand at the last.
    pub levels: Range<usize>,
    /// Which columns of a coordinate tell lines apart here.
    pub told: Vec<bool>,
    /// Whether anything that is shown reads it.
    is_read: bool,
    store: Store,
    inner: Option<Inner>,
    /// By level: group after group, one an aggregate.
    sums: Vec<Vec<Datum>>,
    aggregates: Vec<Aggregate>,
}

/// Where the deepest level's aggregates come from.
pub enum Store {
    Cells(Cells),
    Spread(Spread),
}

/// What a stage is made for.
pub struct Serving {
    /// The part's place among those of the view.
    pub part: usize,
    pub levels: Range<usize>,
    pub told: Vec<bool>,
    pub relevant: Option<Relevant>,
    /// Whether a group's rows are of one account at the last of the levels.
    pub by_account: bool,
    /// The aggregates that are wanted.
    pub wanted: Vec<bool>,
}

/// The inner groups of a part that nests an aggregation.
#[derive(Default)]
struct Inner {
    numbers: HashMap<(GroupId, Vec<Datum>), u32>,
    /// The group each inner group is in, and its key.
    outer: Vec<GroupId>,
    keys: Vec<Vec<Datum>>,
    /// What each inner group adds to its group's sums, inner group after inner group.
    added: Vec<Datum>,
    /// Inner groups that were brought into the sums once.
    settled: usize,
    /// The terms of aggregates behind a guard, and the inner groups where its condition holds, in order.
    guarded_terms: Vec<Terms>,
    guarded: Vec<u32>,
    /// Lines came since the last settling.
    stirred: bool,
    relevant: Option<Relevant>,
}

/// Which inner groups can add anything: those of instruments of which something is present.
pub struct Relevant {
    /// What is kept for presence.
    pub kept: usize,
    /// The instrument's place in the key of an inner group.
    pub key: usize,
    pub instruments: HashSet<Datum>,
}

/// Lines as one part sees them.
pub struct PartLines<'a> {
    pub sides: &'a [Side],
    /// The group of each line at the last level of the stage.
    pub groups: &'a [GroupId],
    /// The pair of each line, as the part counts them.
    pub pairs: &'a [Pair],
    /// What each line adds to what is kept, column by column, with its sign.
    pub deltas: &'a [Vec<Datum>],
    /// The inner group's key of each line, column by column.
    pub inner_keys: &'a [Vec<Datum>],
}

/// Groups whose aggregates moved, in the order they did, each once, and what these were before.
#[derive(Default)]
struct Moved {
    groups: Vec<GroupId>,
    /// Group after group, one an aggregate.
    before: Vec<Datum>,
}

/// Whether aggregates move with each line, or are computed once all lines are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    Now,
    Later,
}

/// What came of adding lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Done,
    /// Inner groups that added nothing until now do: the view has to be computed anew.
    Outgrown,
}

impl Stage {
    pub fn new(priced: Pricing, serving: Serving) -> Stage {
        let Serving { part, levels, told, relevant, by_account, wanted } = serving;
        let nested = priced.of.part.nested.as_ref();
        let aggregates = match nested {
            None => priced.of.aggregates.clone(),
            Some(nested) => vec![Aggregate::Sum; nested.sums.len()],
        };
        let is_read = wanted.contains(&true);
        // Inner groups read all their aggregates; those behind a guard are added up where it holds.
        let is_guarded = |term: &Term| {
            let guard = nested.and_then(|nested| nested.guard.as_ref());
            guard.is_some_and(|guard| guard.guarded[term.aggregate])
        };
        let of = |is_wanted: &dyn Fn(&Term) -> bool| -> Vec<Terms> {
            priced.of.terms.iter().filter_map(|terms| terms.only(is_wanted)).collect()
        };
        let terms = of(&|term| is_read && !is_guarded(term) && (nested.is_some() || wanted[term.aggregate]));
        let guarded_terms = of(&|term| is_read && is_guarded(term));
        let read_too = guarded_terms.iter().fold(0, |read, terms| read | terms.mask);
        let store = match &priced.of.forms {
            Some(forms) if by_account => {
                Store::Spread(Spread::new(priced, terms, forms.clone(), told.clone()))
            }
            _ => Store::Cells(Cells::new(priced, terms, read_too)),
        };
        Stage {
            part,
            sums: levels.clone().map(|_| Vec::new()).collect(),
            levels,
            told,
            is_read,
            store,
            inner: nested.map(|_| Inner { relevant, guarded_terms, ..Inner::default() }),
            aggregates,
        }
    }

    /// Where the deepest level's aggregates come from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Aggregates of a group.
    pub fn width(&self) -> usize {
        self.aggregates.len()
    }

    /// Inner groups, where the part nests an aggregation.
    pub fn inner_groups(&self) -> Option<usize> {
        self.inner.as_ref().map(|inner| inner.outer.len())
    }

    pub fn bytes(&self) -> usize {
        let sums = self.sums.iter().map(Vec::capacity).sum::<usize>() * size_of::<Datum>();
        let store = match &self.store {
            Store::Cells(cells) => cells.bytes(),
            Store::Spread(spread) => spread.bytes(),
        };
        sums + store + self.inner.as_ref().map_or(0, Inner::bytes)
    }

    /// Whether it reads the net positions anew at each change of prices.
    pub fn is_spread(&self) -> bool {
        matches!(self.store, Store::Spread(_))
    }

    /// The instruments beyond which lines add nothing.
    pub fn relevant(&self) -> Option<&Relevant> {
        self.inner.as_ref()?.relevant.as_ref()
    }

    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether one of what the part keeps is read here.
    pub fn reads(&self, kept: usize) -> bool {
        let terms = match &self.store {
            Store::Cells(cells) => cells.terms(),
            Store::Spread(spread) => spread.terms(),
        };
        self.inner.is_some() || terms.iter().any(|terms| terms.mask >> kept & 1 == 1)
    }

    /// Adds lines. Where it reads net positions, at the prices before: [`Self::reprice`] follows.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits; the same goes for the functions below.
    pub fn add(&mut self, priced: Pricing, lines: &PartLines, sums: Sums, groups: usize) -> Result<Added> {
        let cells = match &mut self.store {
            Store::Cells(cells) => cells,
            Store::Spread(spread) => return spread.add(priced, lines, groups).map(|()| Added::Done),
        };
        let mut deltas = Vec::with_capacity(lines.deltas.len());
        for (line, (&group, &pair)) in lines.groups.iter().zip(lines.pairs).enumerate() {
            let values = lines.deltas.iter().map(|column| column[line]);
            let bucket = match (&mut self.inner, &priced.of.part.nested) {
                (Some(inner), Some(nested)) => {
                    let key: Vec<Datum> = lines.inner_keys.iter().map(|column| column[line]).collect();
                    if let Some(relevant) = &inner.relevant
                        && !relevant.instruments.contains(&key[relevant.key])
                    {
                        if lines.deltas[relevant.kept][line] != 0 {
                            return Ok(Added::Outgrown);
                        }
                        continue;
                    }
                    inner.stirred = true;
                    inner.number(group, key, nested.sums.len())
                }
                _ => group,
            };
            match sums {
                Sums::Later => cells.keep(priced, bucket, pair, values)?,
                Sums::Now => {
                    deltas.clear();
                    deltas.extend(values);
                    cells.add(priced, bucket, pair, &deltas)?;
                }
            }
        }
        Ok(Added::Done)
    }

    /// Adds to what is kept for a group and a pair, sums to be computed later.
    ///
    /// # Panics
    /// Where the stage reads net positions or nests inner groups.
    pub fn keep(&mut self, priced: Pricing, group: GroupId, pair: Pair, kept: &[Datum]) -> Result<()> {
        let Store::Cells(cells) = &mut self.store else { panic!("only cells are kept") };
        assert!(self.inner.is_none(), "inner groups are found by their keys");
        cells.keep(priced, group, pair, kept.iter().copied())
    }

    /// Adds the rows of some pairs, where it reads net positions.
    pub fn read(&mut self, priced: Pricing, rows: RowsOf, pairs: Range<Pair>) -> Result<()> {
        match &mut self.store {
            Store::Cells(_) => Ok(()),
            Store::Spread(spread) => spread.read(priced, rows, pairs),
        }
    }

    /// Computes all aggregates from what is kept.
    pub fn sum_up(&mut self, priced: Pricing) -> Result<()> {
        match &mut self.store {
            Store::Cells(cells) => cells.sum_up(priced),
            Store::Spread(_) => Ok(()),
        }
    }

    /// Moves the aggregates to the prices of the epoch.
    pub fn reprice(&mut self, priced: Pricing, rows: Option<RowsOf>) -> Result<()> {
        match &mut self.store {
            Store::Cells(cells) => cells.reprice(priced),
            Store::Spread(spread) => spread.reprice(priced, rows.expect("rows have their groups")),
        }
    }

    /// Brings what moved up through the levels; `touched` takes the groups, by level of the view.
    pub fn settle(
        &mut self,
        priced: Pricing,
        groups: &Groups,
        touched: &mut dyn FnMut(usize, GroupId),
    ) -> Result<()> {
        let width = self.aggregates.len();
        for (sums, level) in self.sums.iter_mut().zip(self.levels.clone()) {
            let empty = self.aggregates.iter().map(Aggregate::empty);
            (sums.len() / width.max(1)..groups.levels[level].len()).for_each(|_| sums.extend(empty.clone()));
        }
        let mut moved = Moved::default();
        let deepest = self.sums.last_mut().expect("a stage serves a level");
        match (&mut self.store, &mut self.inner, &priced.of.part.nested) {
            (Store::Cells(cells), Some(inner), Some(nested)) => {
                inner.settle(cells, priced, nested, deepest, &mut moved)?;
            }
            (Store::Cells(cells), ..) => cells.settle(priced, &mut |group, before, after| {
                deepest[group as usize * width..][..width].copy_from_slice(after);
                moved.push(group, before);
            }),
            (Store::Spread(spread), ..) => spread.settle(&mut |group, after| {
                let held = &mut deepest[group as usize * width..][..width];
                if held != after {
                    moved.push(group, held);
                    held.copy_from_slice(after);
                }
            }),
        }
        for at in (0..self.sums.len()).rev() {
            let level = self.levels.start + at;
            moved.groups.iter().for_each(|&group| touched(level, group));
            if at > 0 {
                moved = self.roll_up(at, &groups.levels[level], moved)?;
            }
        }
        Ok(())
    }

    /// Brings what moved at one level into the level above; returns the groups there with what they were.
    fn roll_up(&mut self, at: usize, level: &super::groups::Level, moved: Moved) -> Result<Moved> {
        let width = self.aggregates.len();
        let (above, below) = self.sums.split_at_mut(at);
        let (above, below) = (&mut above[at - 1], &below[0]);
        let mut parents = Moved::default();
        let mut is_known = vec![false; above.len() / width.max(1)];
        let mut rescan: HashSet<(GroupId, usize)> = HashSet::new();
        for (group, before) in moved.rows(width) {
            let parent = level.parent(group);
            let values = &mut above[parent as usize * width..][..width];
            if !std::mem::replace(&mut is_known[parent as usize], true) {
                parents.push(parent, values);
            }
            let after = &below[group as usize * width..][..width];
            for (aggregate, kind) in self.aggregates.iter().enumerate() {
                let (before, after) = (before[aggregate], after[aggregate]);
                if before == after {
                    continue;
                }
                match kind {
                    Aggregate::Sum => {
                        let sum = after.checked_sub(before).and_then(|d| values[aggregate].checked_add(d));
                        values[aggregate] = sum.ok_or_else(overflow)?;
                    }
                    Aggregate::Least | Aggregate::Greatest => {
                        if before != NULL && values[aggregate] == before {
                            rescan.insert((parent, aggregate));
                        }
                        values[aggregate] = kind.better(values[aggregate], after);
                    }
                }
            }
        }
        for (parent, aggregate) in rescan {
            let kind = self.aggregates[aggregate];
            let children = level.parents().iter().enumerate().filter(|(_, of)| **of == parent);
            above[parent as usize * width + aggregate] = children
                .map(|(group, _)| below[group * width + aggregate])
                .fold(NULL, |a, b| kind.better(a, b));
        }
        let mut kept = Moved::default();
        for (parent, before) in parents.rows(width) {
            if above[parent as usize * width..][..width] != *before {
                kept.push(parent, before);
            }
        }
        Ok(kept)
    }

    /// The aggregates of a group of a level that the stage serves.
    pub fn values(&self, level: usize, group: GroupId) -> &[Datum] {
        let width = self.aggregates.len();
        &self.sums[level - self.levels.start][group as usize * width..][..width]
    }
}

impl Moved {
    fn push(&mut self, group: GroupId, before: &[Datum]) {
        self.groups.push(group);
        self.before.extend_from_slice(before);
    }

    /// The groups with what they were, one of so many aggregates.
    fn rows(&self, width: usize) -> impl Iterator<Item = (GroupId, &[Datum])> {
        self.groups.iter().copied().zip(self.before.chunks_exact(width.max(1)))
    }
}

impl Inner {
    fn bytes(&self) -> usize {
        let keys = self.keys.iter().map(|key| 2 * key.capacity() + 1).sum::<usize>();
        (keys + self.added.capacity()) * size_of::<Datum>()
            + self.numbers.allocation_size()
            + (self.outer.capacity() + self.guarded.capacity()) * size_of::<u32>()
    }

    fn number(&mut self, outer: GroupId, key: Vec<Datum>, sums: usize) -> u32 {
        let next = self.outer.len() as u32;
        let Inner { numbers, outer: outers, keys, added, .. } = self;
        *numbers.entry((outer, key)).or_insert_with_key(|(_, key)| {
            outers.push(outer);
            keys.push(key.clone());
            added.resize(added.len() + sums, 0);
            next
        })
    }

    /// Brings what moved in the inner groups into the sums of their groups.
    fn settle(
        &mut self,
        cells: &mut Cells,
        priced: Pricing,
        nested: &Nested,
        sums: &mut [Datum],
        moved: &mut Moved,
    ) -> Result<()> {
        let width = nested.sums.len();
        let mut buckets: Vec<u32> = Vec::new();
        let mut columns = vec![Vec::new(); nested.by.len() + priced.of.aggregates.len()];
        let known = self.settled as u32;
        self.settled = self.outer.len();
        cells.settle(priced, &mut |bucket, _, _| buckets.push(bucket));
        // A new one counts even where its aggregates are those of nothing.
        buckets.retain(|&bucket| bucket < known);
        buckets.extend(known..self.settled as u32);
        let moved_by = |terms: &Terms| priced.dense(terms.g).is_some() || !priced.moves(terms.g).is_empty();
        if std::mem::take(&mut self.stirred) || self.guarded_terms.iter().any(moved_by) {
            buckets.extend(&self.guarded);
        }
        buckets.sort_unstable();
        buckets.dedup();
        let empty: Vec<Datum> = priced.of.aggregates.iter().map(Aggregate::empty).collect();
        let (mut values, mut guarded) = (Vec::new(), Vec::new());
        for &bucket in &buckets {
            values.clear();
            values.extend_from_slice(&self.keys[bucket as usize]);
            // Lines that add nothing make no cell.
            values.extend_from_slice(cells.values(bucket).unwrap_or(&empty));
            if let Some(guard) = &nested.guard
                && guard.conditions.iter().any(|condition| condition.value(&values) == 1)
            {
                guarded.push(bucket);
                cells.add_up(priced, bucket, &self.guarded_terms, &mut values[nested.by.len()..])?;
            }
            columns.iter_mut().zip(&values).for_each(|(column, &value)| column.push(value));
        }
        self.guarded.retain(|bucket| buckets.binary_search(bucket).is_err());
        self.guarded.extend(guarded);
        self.guarded.sort_unstable();
        if buckets.is_empty() {
            return Ok(());
        }
        let lanes: Vec<Lane> = columns.iter().map(|column| Lane::Wide(column)).collect();
        let inner = priced.of.inner.as_ref().expect("a part with inner groups says what they add");
        let new = inner.evaluate(&lanes, buckets.len());
        let mut seen = HashSet::new();
        for (row, &bucket) in buckets.iter().enumerate() {
            let group = self.outer[bucket as usize];
            let values = &mut sums[group as usize * width..][..width];
            if seen.insert(group) {
                moved.push(group, values);
            }
            let added = &mut self.added[bucket as usize * width..][..width];
            for ((sum, added), new) in values.iter_mut().zip(added).zip(&new) {
                let new = new.get(row);
                let new = if new == NULL { 0 } else { new };
                let before = std::mem::replace(added, new);
                let delta = new.checked_sub(before).ok_or_else(overflow)?;
                *sum = sum.checked_add(delta).ok_or_else(overflow)?;
            }
        }
        Ok(())
    }
}
