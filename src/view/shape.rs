//! A view's SQL compiled, with what is applied last evaluated for every pair of instruments.
//!
//! Views of the same SQL, reporting currency and choice of cash share one shape, whatever their accounts
//! and levels: a price is looked up once a pair for all of them.

use std::sync::{Arc, RwLock};

use hashbrown::HashMap;

use super::broadcast::Broadcasts;
use super::cells::overflow;
use super::legs::LegColumns;
use super::pair::{Pair, Pairs};
use super::recompute::columns_of;
use super::result::Column;
use crate::datum::{Datum, NULL};
use crate::dictionary::Dictionaries;
use crate::error::{Error, Result};
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::grouped::{GroupedView, MeasureKind, QUALITY};
use crate::plan::part::{self, Part, part};
use crate::plan::relation::{Input, Relation, relations};
use crate::plan::scalar::Scalar;

pub struct Shape {
    pub view: GroupedView,
    /// The view's measures.
    pub columns: Vec<Column>,
    parts: Vec<Priced>,
    applied: Applied,
    /// How each measure comes from the outputs of the parts.
    pub measures: Vec<MeasureOf>,
    /// What the measures read: a part and a place among its outputs.
    pub reads: Vec<(usize, usize)>,
}

/// One measure over the outputs of the parts.
pub enum MeasureOf {
    Plain(Scalar),
    Graded(Scalar, Scalar),
    /// The share of the total of the measure at this place.
    Weight(usize),
}

/// A part with its products in tables.
pub struct Priced {
    pub part: Part,
    pub aggregates: Vec<Aggregate>,
    /// The products of sums, and what least and greatest values are taken of, by what is applied.
    pub terms: Vec<Terms>,
}

/// What one function of the looked-up is applied to.
pub struct Terms {
    pub g: usize,
    /// What is kept for any of them, as bits.
    pub mask: u64,
    pub sums: Vec<Term>,
    pub extremes: Vec<Term>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    Sum,
    Least,
    Greatest,
}

/// `kept · g`, which belongs to an aggregate.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    pub aggregate: usize,
    pub kept: usize,
}

/// A part at the prices of the epoch.
#[derive(Clone, Copy)]
pub struct Pricing<'a> {
    pub of: &'a Priced,
    applied: &'a Applied,
}

/// What the parts apply last, each function once for all of them.
#[derive(Default)]
struct Applied {
    inputs: Vec<Looked>,
    gs: Vec<G>,
    /// Pairs evaluated so far.
    pairs: usize,
    /// Which pairs the current update has seen.
    seen: Vec<bool>,
}

/// A column of a relation, looked up by one member of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looked {
    relation: usize,
    column: usize,
    by: Member,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Instrument,
    PricedAs,
}

/// A function of what is looked up, by pair.
struct G {
    scalar: Scalar,
    /// The inputs it reads, and those of which it reads more than whether there is a value.
    inputs: Vec<usize>,
    by_value: Vec<usize>,
    values: Vec<Datum>,
    moves: Vec<Step>,
    /// The differences of the last update by pair, where most pairs moved and all fit.
    dense: Vec<i64>,
}

/// A difference for every pair.
#[derive(Clone, Copy)]
pub struct Dense<'a> {
    pub deltas: &'a [i64],
    /// Bits of the greatest of them, without the sign.
    pub bits: u32,
}

/// A value that became another; no value counts as 0 in sums.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub pair: Pair,
    pub before: Datum,
    pub after: Datum,
    pub delta: Datum,
}

impl Aggregate {
    /// The aggregate of nothing.
    pub fn empty(&self) -> Datum {
        match self {
            Aggregate::Sum => 0,
            Aggregate::Least | Aggregate::Greatest => NULL,
        }
    }

    /// The better of two values, of which either may be none.
    pub fn better(&self, a: Datum, b: Datum) -> Datum {
        match (a == NULL, b == NULL, self) {
            (true, ..) => b,
            (_, true, _) => a,
            (_, _, Aggregate::Least) => a.min(b),
            _ => a.max(b),
        }
    }
}

impl Shape {
    /// Compiles a view.
    ///
    /// # Errors
    /// `Unsupported` where its SQL has no incremental form.
    pub fn new(
        name: &str,
        parameters: &Parameters,
        catalog: &Catalog,
        legs: &LegColumns,
        broadcasts: &Broadcasts,
        dictionaries: &RwLock<Dictionaries>,
    ) -> Result<Shape> {
        let view = GroupedView::new(catalog, name);
        let mut planner = Planner::new(&catalog.schema, 1);
        for relation in ["fx", "instrument", "account", "quote", "unit", "counting_order", "leg"] {
            let plan = planner.logical(&catalog.bound(relation, parameters))?;
            planner.add_relation(relation, Arc::new(plan.schema().as_arrow().clone()));
        }
        let mut dictionaries = dictionaries.write().expect("no reader panicked");
        let mut parts = Vec::with_capacity(view.parts.len());
        let mut applied = Applied::default();
        for (at, name) in view.parts.iter().enumerate() {
            let plan = planner.logical(&view.part(catalog, at, parameters))?;
            parts.push(Priced::new(part(&plan, &mut dictionaries.names)?, &mut applied, legs, broadcasts)?);
            planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
        }
        let plan = planner.logical(&view.measures_by(catalog, name, 0))?;
        let relation = relations(&plan, &mut dictionaries.names, &HashMap::new())?.remove(0);
        let columns = columns_of(&view, plan.schema().as_arrow());
        let reads = relation.inputs.iter().map(|input| (input.lookup.map_or(0, |at| at + 1), input.column));
        let reads = reads.collect();
        let measures = measures(&view, &relation);
        Ok(Shape { view, columns, parts, applied, measures, reads })
    }

    pub fn parts(&self) -> impl Iterator<Item = Pricing<'_>> {
        self.parts.iter().map(|of| Pricing { of, applied: &self.applied })
    }

    pub fn part(&self, at: usize) -> Pricing<'_> {
        Pricing { of: &self.parts[at], applied: &self.applied }
    }

    /// Evaluates what is applied last for pairs that are new, within an epoch.
    pub fn follow_new(&mut self, pairs: &Pairs, broadcasts: &Broadcasts) {
        self.applied.follow_new(pairs, broadcasts);
    }

    /// Brings what is applied last to the epoch of the relations.
    ///
    /// Cost: O(pairs reached by a change · functions that read what changed).
    ///
    /// # Errors
    /// `Data` where a difference leaves 128 bits.
    pub fn follow(&mut self, pairs: &Pairs, broadcasts: &Broadcasts) -> Result<()> {
        self.applied.follow(pairs, broadcasts)?;
        self.applied.follow_new(pairs, broadcasts);
        Ok(())
    }

    /// Forgets what was applied, so that the next update computes it for every pair.
    pub fn forget(&mut self) {
        self.applied.pairs = 0;
        for g in &mut self.applied.gs {
            g.values.clear();
            g.moves.clear();
            g.dense.clear();
        }
    }
}

impl G {
    /// Lays the differences out by pair where most pairs moved.
    fn lay_out(&mut self) {
        if self.moves.len() < self.values.len() / 4 {
            return;
        }
        self.dense.resize(self.values.len(), 0);
        for step in &self.moves {
            match i64::try_from(step.delta) {
                Ok(delta) => self.dense[step.pair as usize] = delta,
                Err(_) => return self.dense.clear(),
            }
        }
    }
}

impl Pricing<'_> {
    /// A function's value for each pair.
    pub fn values(&self, g: usize) -> &[Datum] {
        &self.applied.gs[g].values
    }

    /// What the last update changed, by pair: given where that is most of them and fits 64 bits.
    pub fn dense(&self, g: usize) -> Option<Dense<'_>> {
        let deltas = self.applied.gs[g].dense.as_slice();
        let most = deltas.iter().fold(0, |most, delta| most | delta.unsigned_abs());
        (!deltas.is_empty()).then(|| Dense { deltas, bits: u64::BITS - most.leading_zeros() })
    }

    /// What the last update changed.
    pub fn moves(&self, g: usize) -> &[Step] {
        &self.applied.gs[g].moves
    }
}

impl Applied {
    /// The number of a function, which is new the first time it is met.
    fn number(&mut self, scalar: Scalar) -> usize {
        self.gs.iter().position(|known| known.scalar == scalar).unwrap_or_else(|| {
            let (mut inputs, mut by_value) = (Vec::new(), Vec::new());
            scalar.columns(&mut |input| inputs.push(input));
            scalar.columns_by_value(&mut |input| by_value.push(input));
            self.gs.push(G {
                scalar,
                inputs,
                by_value,
                values: Vec::new(),
                moves: Vec::new(),
                dense: Vec::new(),
            });
            self.gs.len() - 1
        })
    }

    fn input(&mut self, looked: Looked) -> usize {
        self.inputs.iter().position(|known| *known == looked).unwrap_or_else(|| {
            self.inputs.push(looked);
            self.inputs.len() - 1
        })
    }

    fn follow(&mut self, pairs: &Pairs, broadcasts: &Broadcasts) -> Result<()> {
        let changed = |input: usize| {
            let Looked { relation, column, .. } = self.inputs[input];
            broadcasts.all[relation].changed[column]
        };
        let changed_null = |input: usize| {
            let Looked { relation, column, .. } = self.inputs[input];
            broadcasts.all[relation].changed_null[column]
        };
        let again: Vec<bool> = self
            .gs
            .iter()
            .map(|g| {
                g.by_value.iter().any(|&input| changed(input))
                    || g.inputs.iter().any(|&input| changed_null(input))
            })
            .collect();
        for g in &mut self.gs {
            g.moves.clear();
            g.dense.clear();
        }
        if !again.contains(&true) {
            return Ok(());
        }
        let reached = self.reached(pairs, broadcasts);
        let mut wanted = vec![false; self.inputs.len()];
        for (g, _) in self.gs.iter().zip(&again).filter(|(_, again)| **again) {
            g.inputs.iter().for_each(|&input| wanted[input] = true);
        }
        let columns = self.columns(&reached, &wanted, pairs, broadcasts);
        for (g, _) in self.gs.iter_mut().zip(&again).filter(|(_, again)| **again) {
            let lane = g.scalar.evaluate(&columns, reached.len());
            for (row, &pair) in reached.iter().enumerate() {
                let after = lane.get(row);
                let before = std::mem::replace(&mut g.values[pair as usize], after);
                if before != after {
                    let number = |value: Datum| if value == NULL { 0 } else { value };
                    let delta = number(after).checked_sub(number(before)).ok_or_else(overflow)?;
                    g.moves.push(Step { pair, before, after, delta });
                }
            }
            g.lay_out();
        }
        Ok(())
    }

    /// The known pairs of which a member changed in any relation.
    fn reached(&mut self, pairs: &Pairs, broadcasts: &Broadcasts) -> Vec<Pair> {
        let known = self.pairs as Pair;
        self.seen.resize(self.pairs, false);
        let mut reached = Vec::new();
        let mut done: Vec<(usize, Member)> = Vec::new();
        for &Looked { relation, by, .. } in &self.inputs {
            if done.contains(&(relation, by)) {
                continue;
            }
            done.push((relation, by));
            for &number in &broadcasts.all[relation].changed_rows {
                let of = match by {
                    Member::Instrument => pairs.grouped_by(number),
                    Member::PricedAs => pairs.valued_by(number),
                };
                for &pair in of.iter().filter(|&&pair| pair < known) {
                    if !std::mem::replace(&mut self.seen[pair as usize], true) {
                        reached.push(pair);
                    }
                }
            }
        }
        reached.iter().for_each(|&pair| self.seen[pair as usize] = false);
        reached
    }

    fn follow_new(&mut self, pairs: &Pairs, broadcasts: &Broadcasts) {
        let new: Vec<Pair> = (self.pairs as Pair..pairs.len() as Pair).collect();
        self.pairs = pairs.len();
        if new.is_empty() {
            return;
        }
        let columns = self.columns(&new, &vec![true; self.inputs.len()], pairs, broadcasts);
        for g in &mut self.gs {
            let lane = g.scalar.evaluate(&columns, new.len());
            g.values.extend((0..new.len()).map(|row| lane.get(row)));
        }
    }

    /// What is looked up for pairs, column by column; inputs not wanted stay empty.
    fn columns(
        &self,
        of: &[Pair],
        wanted: &[bool],
        pairs: &Pairs,
        broadcasts: &Broadcasts,
    ) -> Vec<Vec<Datum>> {
        let column = |(looked, &wanted): (&Looked, &bool)| {
            if !wanted {
                return Vec::new();
            }
            let values = &broadcasts.all[looked.relation].columns[looked.column];
            let value = |number: u32| values.get(number as usize).copied().unwrap_or(NULL);
            match looked.by {
                Member::Instrument => of.iter().map(|&pair| value(pairs.instrument_number(pair))).collect(),
                Member::PricedAs => of.iter().map(|&pair| value(pairs.priced_as_number(pair))).collect(),
            }
        };
        self.inputs.iter().zip(wanted).map(column).collect()
    }
}

impl Priced {
    fn new(part: Part, applied: &mut Applied, legs: &LegColumns, broadcasts: &Broadcasts) -> Result<Priced> {
        if part.factored.kept.len() > u64::BITS as usize {
            return Err(Error::unsupported("a part keeps at most 64 different sums; split it"));
        }
        let looked = |input: &Input| -> Result<Option<Looked>> {
            let Some(lookup) = input.lookup else { return Ok(None) };
            let lookup = &part.factored.lookups[lookup];
            let relation = broadcasts.all.iter().position(|known| known.name == lookup.relation);
            let key = match lookup.keys.as_slice() {
                [(_, Scalar::Column(input))] => Some(part.factored.inputs[*input].column),
                _ => None,
            };
            let by = match key {
                Some(column) if column == legs.instrument => Some(Member::Instrument),
                Some(column) if column == legs.priced_as => Some(Member::PricedAs),
                _ => None,
            };
            match (relation, by) {
                (Some(relation), Some(by)) => Ok(Some(Looked { relation, column: input.column, by })),
                _ => Err(Error::unsupported(format!(
                    "a part looks instruments up by instrument_id or priced_as, not {}",
                    lookup.relation
                ))),
            }
        };
        let looked: Vec<Option<Looked>> = part.factored.inputs.iter().map(looked).collect::<Result<_>>()?;
        let mut terms: Vec<Terms> = Vec::new();
        let mut terms_of = |g: &Scalar| {
            let g = g.substitute(&mut |input| {
                let looked = looked[input].expect("what is applied last reads what is looked up");
                Scalar::Column(applied.input(looked))
            });
            let g = applied.number(g);
            terms.iter().position(|terms| terms.g == g).unwrap_or_else(|| {
                terms.push(Terms { g, mask: 0, sums: Vec::new(), extremes: Vec::new() });
                terms.len() - 1
            })
        };
        let mut placed = Vec::new();
        let mut aggregates = Vec::new();
        for (aggregate, of) in part.factored.aggregates.iter().enumerate() {
            match of {
                part::Applied::Sum(products) => {
                    aggregates.push(Aggregate::Sum);
                    for (kept, g) in products {
                        placed.push((terms_of(g), Term { aggregate, kept: *kept }));
                    }
                }
                part::Applied::Least(kept, g) | part::Applied::Greatest(kept, g) => {
                    aggregates.push(match of {
                        part::Applied::Least(..) => Aggregate::Least,
                        _ => Aggregate::Greatest,
                    });
                    placed.push((terms_of(g), Term { aggregate, kept: *kept }));
                }
            }
        }
        for (at, term) in placed {
            terms[at].mask |= 1 << term.kept;
            match aggregates[term.aggregate] {
                Aggregate::Sum => terms[at].sums.push(term),
                Aggregate::Least | Aggregate::Greatest => terms[at].extremes.push(term),
            }
        }
        Ok(Priced { part, aggregates, terms })
    }
}

fn measures(view: &GroupedView, relation: &Relation) -> Vec<MeasureOf> {
    let column = |name: &str| relation.columns[relation.column(name)].clone();
    let measure = |measure: &crate::plan::grouped::Measure| match &measure.kind {
        MeasureKind::Plain(_) => MeasureOf::Plain(column(&measure.name)),
        MeasureKind::Graded { .. } => {
            MeasureOf::Graded(column(&measure.name), column(&format!("{}{QUALITY}", measure.name)))
        }
        MeasureKind::Weight { of } => MeasureOf::Weight(
            view.measures.iter().position(|known| known.name == *of).expect("a weight names a measure"),
        ),
    };
    view.measures.iter().map(measure).collect()
}
