//! Aggregates of groups straight from the rows of the net positions, where cells would be as many as rows.
//!
//! A view by account has one row of the net positions for each pair in a group: to keep what these rows
//! come to in cells of its own would hold every position twice. So nothing is kept but the aggregates; a
//! price that moved is applied to the rows of its pair, which stand together. Rows that changed are taken
//! back and added at the prices before, so that the move of prices then applies to the rows as they are.
//! Cost: a line O(terms); a price O(rows of its pair · terms that read it), on as many cores as there are.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use rayon::prelude::*;

use super::cells::overflow;
use super::fields::{Fields, Placed};
use super::groups::{GroupId, Groups};
use super::lines::Side;
use super::maintained::Base;
use super::pair::Pair;
use super::selection::Selection;
use super::shape::{Aggregate, Form, Pricing, Terms};
use super::slot_rows::{SlotRows, Sums};
use super::stage::PartLines;
use crate::datum::{Datum, NULL};
use crate::error::Result;
use crate::plan::scalar::multiply;

/// Products of a pass below which one core is faster than two: about a quarter of a millisecond of work.
const SHARED_PRODUCTS_MIN: usize = 1 << 19;
/// Pairs that a core takes at a time, so that none waits for another long.
const PAIRS_AT_ONCE: usize = 32;
/// Pairs whose rows are asked for ahead: those of a thousand accounts are within the core's second cache.
const PAIRS_AHEAD: usize = 4;

pub struct Spread {
    terms: Vec<Terms>,
    forms: Vec<Form>,
    aggregates: Vec<Aggregate>,
    /// Which columns of a coordinate tell nets apart; all of them where rows are nets.
    told: Vec<bool>,
    /// By aggregate: group after group, the halves settled between two calls.
    values: Vec<Sums>,
    touched: Touched,
    /// Groups whose least or greatest value may be gone, some of them twice.
    gone: Vec<GroupId>,
}

/// Groups whose aggregates may be others than before.
#[derive(Default)]
struct Touched {
    all: bool,
    groups: Vec<GroupId>,
}

/// What the rows of a view are, to find them in the net positions.
#[derive(Clone, Copy)]
pub struct RowsOf<'a> {
    pub selection: &'a Selection,
    pub placed: Placed<'a>,
    pub base: Base<'a>,
    /// Groups there are.
    pub groups: usize,
    /// The pairs below are those whose rows count.
    pub pairs: Pair,
}

impl<'a> RowsOf<'a> {
    /// # Panics
    /// Where groups depend on a direction.
    pub fn new(
        selection: &'a Selection,
        fields: &'a Fields,
        groups: &Groups,
        base: Base<'a>,
        pairs: Pair,
    ) -> RowsOf<'a> {
        let placed = fields.placed().expect("what reads rows has their groups");
        RowsOf { selection, placed, base, groups: groups.levels[fields.depth()].len(), pairs }
    }
}

/// What rows are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// A function's value.
    Value,
    /// What the last update moved it by.
    Delta,
}

/// What is applied to the rows of pairs.
#[derive(Clone, Copy)]
struct Pass<'a> {
    /// Those of which a sum may move.
    terms: &'a [&'a Terms],
    forms: &'a [Form],
    told: &'a [bool],
    priced: Pricing<'a>,
    rows: RowsOf<'a>,
    by: By,
}

impl Spread {
    /// `terms` are those of the part that are wanted; each of what is kept has one of the `forms`.
    pub fn new(priced: Pricing, terms: Vec<Terms>, forms: Vec<Form>, told: Vec<bool>) -> Spread {
        Spread {
            terms,
            forms,
            told,
            values: priced.of.aggregates.iter().map(|_| Sums::default()).collect(),
            aggregates: priced.of.aggregates.clone(),
            touched: Touched::default(),
            gone: Vec::new(),
        }
    }

    /// What is applied to what is kept.
    pub fn terms(&self) -> &[Terms] {
        &self.terms
    }

    /// How what is kept comes from the sums of a row.
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    pub fn bytes(&self) -> usize {
        self.values.iter().map(Sums::bytes).sum()
    }

    /// Adds the rows of some pairs, at the prices of the epoch.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits; the same goes for the functions below.
    pub fn read(&mut self, priced: Pricing, rows: RowsOf, pairs: Range<Pair>) -> Result<()> {
        self.make_room(rows.groups);
        let pairs: Vec<Pair> = pairs.collect();
        self.pass(priced, rows, By::Value, &pairs)?;
        self.touched.all = true;
        self.add_best(priced, rows, &pairs);
        Ok(())
    }

    /// Adds lines, at the prices before the last update.
    pub fn add(&mut self, priced: Pricing, lines: &PartLines, groups: usize) -> Result<()> {
        self.make_room(groups);
        for (line, (&group, &pair)) in lines.groups.iter().zip(lines.pairs).enumerate() {
            self.touched.groups.push(group);
            for terms in &self.terms {
                let now = or_zero(priced.values(terms.g).get(pair as usize));
                let before = now.checked_sub(priced.delta(terms.g, pair)).ok_or_else(overflow)?;
                for term in terms.sums.iter().filter(|term| lines.deltas[term.kept][line] != 0) {
                    let value = &mut self.values[term.aggregate].totals[group as usize];
                    let product = multiply(lines.deltas[term.kept][line], before);
                    *value = product.and_then(|product| value.checked_add(product)).ok_or_else(overflow)?;
                }
            }
        }
        self.add_extremes(priced, lines);
        Ok(())
    }

    /// What is present in a group with a pair, before and after, decides its least and greatest values.
    fn add_extremes(&mut self, priced: Pricing, lines: &PartLines) {
        let Spread { terms, values, aggregates, gone, .. } = self;
        for terms in terms.iter() {
            for term in &terms.extremes {
                let mut presence: HashMap<(GroupId, Pair), (Datum, Datum)> = HashMap::new();
                for (line, (&group, &pair)) in lines.groups.iter().zip(lines.pairs).enumerate() {
                    let kept = lines.deltas[term.kept][line];
                    let entry = presence.entry((group, pair)).or_insert((0, 0));
                    match lines.sides[line] {
                        Side::Before => entry.0 -= kept,
                        Side::After => entry.1 += kept,
                    }
                }
                for ((group, pair), (before, after)) in presence {
                    let value = &mut values[term.aggregate].totals[group as usize];
                    match (before != 0, after != 0) {
                        (false, true) => {
                            let g = priced.values(terms.g).get(pair as usize);
                            *value = aggregates[term.aggregate].better(*value, g);
                        }
                        (true, false) => gone.push(group),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Moves the aggregates to the prices of the epoch; the rows are those after it.
    pub fn reprice(&mut self, priced: Pricing, rows: RowsOf) -> Result<()> {
        self.make_room(rows.groups);
        let slots = rows.base.arrangement.slots().len().min(rows.pairs as usize);
        let sums = || self.terms.iter().filter(|terms| !terms.sums.is_empty());
        let moved: Vec<Pair> = if sums().any(|terms| priced.dense(terms.g).is_some()) {
            (0..slots as Pair).collect()
        } else {
            let steps = sums().flat_map(|terms| priced.moves(terms.g)).map(|step| step.pair);
            let mut moved: Vec<Pair> = steps.filter(|&pair| (pair as usize) < slots).collect();
            moved.sort_unstable();
            moved.dedup();
            moved
        };
        self.pass(priced, rows, By::Delta, &moved)?;
        self.move_extremes(priced, rows);
        self.find_extremes(priced, rows);
        Ok(())
    }

    /// Applies the sums of products of some pairs to all their rows.
    fn pass(&mut self, priced: Pricing, rows: RowsOf, by: By, pairs: &[Pair]) -> Result<()> {
        let Spread { terms, forms, told, values, touched, .. } = self;
        let is_moved = |terms: &&Terms| {
            let moves = || priced.dense(terms.g).is_some() || !priced.moves(terms.g).is_empty();
            !terms.sums.is_empty() && (by == By::Value || moves())
        };
        let terms: Vec<&Terms> = terms.iter().filter(is_moved).collect();
        let pass = Pass { terms: &terms, forms, told, priced, rows, by };
        let places = pass.places();
        let slots = rows.base.arrangement.slots();
        let of_row = terms.iter().map(|terms| terms.sums.len()).sum::<usize>();
        // Each slot is somewhere else in memory, so that no more are asked than tell.
        let products = pairs.iter().scan(0, |products, &pair| {
            *products += slots[pair as usize].len() * of_row;
            Some(*products)
        });
        let is_shared = products.into_iter().any(|products| products >= SHARED_PRODUCTS_MIN);
        let workers = if is_shared { rayon::current_num_threads() } else { 1 };
        if workers == 1 {
            let mut factors = Vec::new();
            let fits = pass.apply_all(pairs, &places, &mut factors, values, touched);
            let fits = fits && values.iter_mut().all(Sums::settle);
            return if fits { Ok(()) } else { Err(overflow()) };
        }
        // Sums are of integers, so that they come out the same however the pairs are shared out.
        let mut is_used = vec![false; values.len()];
        terms.iter().flat_map(|terms| &terms.sums).for_each(|term| is_used[term.aggregate] = true);
        let next = AtomicUsize::new(0);
        let work = |_| {
            let room = |&used: &bool| Sums::new(if used { rows.groups } else { 0 });
            let mut sums: Vec<Sums> = is_used.iter().map(room).collect();
            let (mut touched, mut factors) = (Touched::default(), Vec::new());
            let mut fits = true;
            loop {
                let start = next.fetch_add(PAIRS_AT_ONCE, Ordering::Relaxed);
                if !fits || start >= pairs.len() {
                    break;
                }
                let pairs = &pairs[start..pairs.len().min(start + PAIRS_AT_ONCE)];
                fits = pass.apply_all(pairs, &places, &mut factors, &mut sums, &mut touched);
            }
            let fits = fits && sums.iter_mut().all(Sums::settle);
            (sums, touched, fits)
        };
        let parts: Vec<(Vec<Sums>, Touched, bool)> =
            (0..workers).into_par_iter().with_max_len(1).map(work).collect();
        for (sums, of, fits) in parts {
            if !fits {
                return Err(overflow());
            }
            touched.all |= of.all;
            touched.groups.extend(of.groups);
            for (values, sums) in values.iter_mut().zip(sums) {
                for (value, sum) in values.totals.iter_mut().zip(sums.totals) {
                    *value = value.checked_add(sum).ok_or_else(overflow)?;
                }
            }
        }
        Ok(())
    }

    /// Moves the least and greatest values where that can be told from what moved.
    fn move_extremes(&mut self, priced: Pricing, rows: RowsOf) {
        let Spread { terms, forms, values, aggregates, touched, gone, .. } = self;
        for terms in terms.iter().filter(|terms| !terms.extremes.is_empty()) {
            if priced.dense(terms.g).is_some() {
                gone.extend(0..rows.groups as GroupId);
                continue;
            }
            for step in priced.moves(terms.g) {
                if step.pair >= rows.pairs || !rows.selection.has_pair(step.pair, Side::After, rows.base) {
                    continue;
                }
                let Some(of) = SlotRows::new(step.pair, rows.selection, rows.placed, rows.base) else {
                    continue;
                };
                touched.add(&of, rows.groups);
                for term in &terms.extremes {
                    of.present(&forms[term.kept], |group| {
                        let value = &mut values[term.aggregate].totals[group as usize];
                        if step.before != NULL && *value == step.before {
                            gone.push(group);
                        }
                        *value = aggregates[term.aggregate].better(*value, step.after);
                    });
                }
            }
        }
    }

    /// Finds least and greatest values anew where one may be gone.
    ///
    /// Pairs are visited from the best value on, until every group has met one that it holds: a group that
    /// holds most pairs meets it at once.
    fn find_extremes(&mut self, priced: Pricing, rows: RowsOf) {
        let Spread { terms, forms, values, aggregates, touched, gone, .. } = self;
        let mut gone = std::mem::take(gone);
        gone.sort_unstable();
        gone.dedup();
        let RowsOf { selection, placed, base, groups, pairs } = rows;
        let pairs = pairs.min(base.arrangement.slots().len() as Pair);
        let mut is_open = vec![false; if gone.is_empty() { 0 } else { groups }];
        for terms in terms.iter().filter(|terms| !terms.extremes.is_empty() && !gone.is_empty()) {
            let g = priced.values(terms.g);
            let mut order: Vec<(Datum, Pair)> =
                (0..pairs).map(|pair| (g.get(pair as usize), pair)).filter(|(g, _)| *g != NULL).collect();
            order.sort_unstable();
            for term in &terms.extremes {
                let values = &mut values[term.aggregate].totals;
                for &group in &gone {
                    values[group as usize] = NULL;
                    is_open[group as usize] = true;
                }
                let mut open = gone.len();
                let best: &mut dyn Iterator<Item = &(Datum, Pair)> = match aggregates[term.aggregate] {
                    Aggregate::Greatest => &mut order.iter().rev(),
                    _ => &mut order.iter(),
                };
                for &(value, pair) in best {
                    if open == 0 {
                        break;
                    }
                    if !selection.has_pair(pair, Side::After, base) {
                        continue;
                    }
                    let Some(of) = SlotRows::new(pair, selection, placed, base) else { continue };
                    of.present(&forms[term.kept], |group| {
                        if std::mem::replace(&mut is_open[group as usize], false) {
                            values[group as usize] = value;
                            open -= 1;
                        }
                    });
                }
                is_open.fill(false);
            }
        }
        match gone.len() * 4 >= groups {
            true => touched.all |= !gone.is_empty(),
            false => touched.groups.extend(gone),
        }
    }

    /// Lets what is present with some pairs count among the least and greatest values.
    fn add_best(&mut self, priced: Pricing, rows: RowsOf, pairs: &[Pair]) {
        let Spread { terms, forms, values, aggregates, .. } = self;
        let terms: Vec<&Terms> = terms.iter().filter(|terms| !terms.extremes.is_empty()).collect();
        if terms.is_empty() {
            return;
        }
        let RowsOf { selection, placed, base, groups, .. } = rows;
        let best = |values: &mut [Vec<Datum>], pair: Pair| {
            let known = |terms: &&&Terms| priced.values(terms.g).get(pair as usize) != NULL;
            if !terms.iter().any(|terms| known(&terms)) || !selection.has_pair(pair, Side::After, base) {
                return;
            }
            let Some(of) = SlotRows::new(pair, selection, placed, base) else { return };
            for terms in terms.iter().filter(known) {
                let g = priced.values(terms.g).get(pair as usize);
                for term in &terms.extremes {
                    let (values, aggregate) = (&mut values[term.aggregate], aggregates[term.aggregate]);
                    of.present(&forms[term.kept], |group| {
                        let value = &mut values[group as usize];
                        *value = aggregate.better(*value, g);
                    });
                }
            }
        };
        let parts: Vec<Vec<Vec<Datum>>> = pairs
            .par_chunks(pairs.len().div_ceil(rayon::current_num_threads()).max(1))
            .map(|pairs| {
                let mut part: Vec<Vec<Datum>> = vec![Vec::new(); aggregates.len()];
                for term in terms.iter().flat_map(|terms| &terms.extremes) {
                    part[term.aggregate].resize(groups, NULL);
                }
                pairs.iter().for_each(|&pair| best(&mut part, pair));
                part
            })
            .collect();
        for part in parts {
            for ((values, part), aggregate) in values.iter_mut().zip(part).zip(aggregates.iter()) {
                values
                    .totals
                    .iter_mut()
                    .zip(part)
                    .for_each(|(value, part)| *value = aggregate.better(*value, part));
            }
        }
    }

    /// Hands out the groups whose aggregates may have moved, each once, and what these are.
    pub fn settle(&mut self, take: &mut dyn FnMut(GroupId, &[Datum])) {
        let Touched { all, mut groups } = std::mem::take(&mut self.touched);
        if all {
            groups = (0..self.values.first().map_or(0, |values| values.totals.len()) as GroupId).collect();
        } else {
            groups.sort_unstable();
            groups.dedup();
        }
        let mut row = Vec::with_capacity(self.values.len());
        for group in groups {
            row.clear();
            row.extend(self.values.iter().map(|values| values.totals[group as usize]));
            take(group, &row);
        }
    }

    fn make_room(&mut self, groups: usize) {
        for (values, aggregate) in self.values.iter_mut().zip(&self.aggregates) {
            values.grow(groups, aggregate.empty());
        }
    }
}

impl Pass<'_> {
    /// The sums that it reads.
    fn places(&self) -> Vec<usize> {
        let kept = self.terms.iter().flat_map(|terms| &terms.sums).map(|term| term.kept);
        let mut places: Vec<usize> = kept.flat_map(|kept| self.forms[kept].places()).copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Applies the sums of products of pairs to their rows, which read these sums; false where one left 128 bits.
    fn apply_all(
        &self,
        pairs: &[Pair],
        places: &[usize],
        factors: &mut Vec<Datum>,
        sums: &mut [Sums],
        touched: &mut Touched,
    ) -> bool {
        let mut chunks = pairs.chunks(PAIRS_AHEAD).peekable();
        if let Some(first) = chunks.peek() {
            SlotRows::ask(first, places, self.rows.base);
        }
        while let Some(pairs) = chunks.next() {
            if let Some(next) = chunks.peek() {
                SlotRows::ask(next, places, self.rows.base);
            }
            if !pairs.iter().all(|&pair| self.apply(pair, factors, sums, touched)) {
                return false;
            }
        }
        true
    }

    /// Applies the sums of products of a pair to its rows; false where a sum left 128 bits.
    ///
    /// `factors` is room that is used again.
    fn apply(&self, pair: Pair, factors: &mut Vec<Datum>, sums: &mut [Sums], touched: &mut Touched) -> bool {
        let Pass { terms, forms, told, priced, rows, by } = *self;
        let RowsOf { selection, placed, base, groups, .. } = rows;
        factors.clear();
        factors.extend(terms.iter().map(|terms| match by {
            By::Value => or_zero(priced.values(terms.g).get(pair as usize)),
            By::Delta => priced.delta(terms.g, pair),
        }));
        if factors.iter().all(|&factor| factor == 0) || !selection.has_pair(pair, Side::After, base) {
            return true;
        }
        let Some(of) = SlotRows::new(pair, selection, placed, base) else { return true };
        touched.add(&of, groups);
        let is_netted = told.contains(&false) && !forms.iter().all(Form::adds_up);
        let nets = match is_netted {
            true => of.nets(told, &|group| group, selection, placed, base),
            false => Vec::new(),
        };
        let mut fits = true;
        for (&factor, terms) in factors.iter().zip(terms).filter(|(factor, _)| **factor != 0) {
            for term in &terms.sums {
                let (form, sums) = (&forms[term.kept], &mut sums[term.aggregate]);
                fits &= of.add_fine(form, factor, sums);
                fits &= of.correct(&nets, form, factor, |group| group as usize, &mut sums.totals);
            }
        }
        fits
    }
}

impl Touched {
    fn add(&mut self, rows: &SlotRows, groups: usize) {
        if self.all {
            return;
        }
        // So many that a pass over all groups is as fast.
        if rows.len() * 4 >= groups || self.groups.len() >= groups {
            self.all = true;
            self.groups.clear();
            return;
        }
        rows.targets(&mut |group| self.groups.push(group));
    }
}

fn or_zero(value: Datum) -> Datum {
    if value == NULL { 0 } else { value }
}
