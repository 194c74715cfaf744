//! A view's SQL compiled, with what is applied last evaluated for every pair of instruments.
//!
//! Views of the same SQL, reporting currency and choice of cash share one shape, whatever their accounts
//! and levels: a price is looked up once a pair for all of them.

use std::sync::{Arc, RwLock};

use hashbrown::HashMap;

use super::broadcast::{Broadcast, Broadcasts, NOWHERE};
use super::cells::overflow;
use super::legs::LegColumns;
use super::pair::{Pair, Pairs};
use super::recompute::columns_of;
use super::result::Column;
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::{Error, Result};
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::grouped::{GroupedView, MeasureKind, QUALITY};
use crate::plan::part::{Applied, Part, part};
use crate::plan::relation::{Relation, relations};
use crate::plan::scalar::Scalar;
use crate::table::Tables;

pub struct Shape {
    pub view: GroupedView,
    /// The view's measures.
    pub columns: Vec<Column>,
    pub parts: Vec<Priced>,
    /// How each measure comes from the outputs of the parts.
    pub measures: Vec<MeasureOf>,
    /// What the measures read: a part and a place among its outputs.
    pub reads: Vec<(usize, usize)>,
    /// Pairs priced so far.
    pairs: usize,
    /// Which pairs the current update has seen.
    seen: Vec<bool>,
}

/// One measure over the outputs of the parts.
pub enum MeasureOf {
    Plain(Scalar),
    Graded(Scalar, Scalar),
    /// The share of the total of the measure at this place.
    Weight(usize),
}

/// A part with its products in tables and the values that are applied last.
pub struct Priced {
    pub part: Part,
    pub aggregates: Vec<Aggregate>,
    /// The products of sums.
    pub terms: Vec<Term>,
    /// What least and greatest values are taken of.
    pub extremes: Vec<Term>,
    gs: Vec<G>,
    lookups: Vec<Looked>,
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
    pub g: usize,
}

/// A function of what is looked up, by pair.
struct G {
    scalar: Scalar,
    values: Vec<Datum>,
    moves: Vec<Step>,
    /// The inputs it reads.
    inputs: Vec<usize>,
}

/// A value that became another; no value counts as 0 in sums.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub pair: Pair,
    pub before: Datum,
    pub delta: Datum,
}

/// A relation that a part looks up, and by which member of a pair.
struct Looked {
    relation: usize,
    by: Member,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Instrument,
    PricedAs,
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
        for (at, name) in view.parts.iter().enumerate() {
            let plan = planner.logical(&view.part(catalog, at, parameters))?;
            parts.push(Priced::new(part(&plan, &mut dictionaries.names)?, legs, broadcasts)?);
            planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
        }
        let plan = planner.logical(&view.measures_by(catalog, name, 0))?;
        let relation = relations(&plan, &mut dictionaries.names, &HashMap::new())?.remove(0);
        let columns = columns_of(&view, plan.schema().as_arrow());
        let reads = relation.inputs.iter().map(|input| (input.lookup.map_or(0, |at| at + 1), input.column));
        let reads = reads.collect();
        let measures = measures(&view, &relation);
        Ok(Shape { view, columns, parts, measures, reads, pairs: 0, seen: Vec::new() })
    }

    /// Evaluates what is applied last for pairs that are new, within an epoch.
    pub fn follow_new(&mut self, pairs: &Pairs, broadcasts: &Broadcasts, tables: &Tables) {
        let new: Vec<Pair> = (self.pairs as Pair..pairs.len() as Pair).collect();
        self.pairs = pairs.len();
        self.parts.iter_mut().for_each(|part| part.price(&new, pairs, broadcasts, tables));
    }

    /// Brings what is applied last to the epoch of the relations.
    ///
    /// Cost: O(pairs reached by a change · functions that read what changed).
    ///
    /// # Errors
    /// `Data` where a difference leaves 128 bits.
    pub fn follow(&mut self, pairs: &Pairs, broadcasts: &Broadcasts, tables: &Tables) -> Result<()> {
        let known = self.pairs as Pair;
        self.seen.resize(self.pairs, false);
        let mut reached = Vec::new();
        let mut done: Vec<(usize, Member)> = Vec::new();
        for looked in self.parts.iter().flat_map(|part| &part.lookups) {
            if done.contains(&(looked.relation, looked.by)) {
                continue;
            }
            done.push((looked.relation, looked.by));
            for &number in &broadcasts.all[looked.relation].changed_rows {
                let of = match looked.by {
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
        for part in &mut self.parts {
            part.follow(&reached, pairs, broadcasts, tables)?;
        }
        self.follow_new(pairs, broadcasts, tables);
        Ok(())
    }
}

impl Shape {
    /// Forgets what was applied, so that the next update computes it for every pair.
    pub fn forget(&mut self) {
        self.pairs = 0;
        for g in self.parts.iter_mut().flat_map(|part| &mut part.gs) {
            g.values.clear();
            g.moves.clear();
        }
    }
}

impl Priced {
    fn new(part: Part, legs: &LegColumns, broadcasts: &Broadcasts) -> Result<Priced> {
        let (mut aggregates, mut terms, mut extremes) = (Vec::new(), Vec::new(), Vec::new());
        let mut gs: Vec<G> = Vec::new();
        let mut number = |scalar: &Scalar| {
            gs.iter().position(|known| known.scalar == *scalar).unwrap_or_else(|| {
                let mut inputs = Vec::new();
                scalar.columns(&mut |input| inputs.push(input));
                gs.push(G { scalar: scalar.clone(), values: Vec::new(), moves: Vec::new(), inputs });
                gs.len() - 1
            })
        };
        for (aggregate, applied) in part.factored.aggregates.iter().enumerate() {
            match applied {
                Applied::Sum(products) => {
                    aggregates.push(Aggregate::Sum);
                    terms.extend(products.iter().map(|(kept, g)| Term {
                        aggregate,
                        kept: *kept,
                        g: number(g),
                    }));
                }
                Applied::Least(kept, g) | Applied::Greatest(kept, g) => {
                    aggregates.push(match applied {
                        Applied::Least(..) => Aggregate::Least,
                        _ => Aggregate::Greatest,
                    });
                    extremes.push(Term { aggregate, kept: *kept, g: number(g) });
                }
            }
        }
        let looked = |lookup: &crate::plan::relation::Lookup| {
            let relation = broadcasts.all.iter().position(|known| known.name == lookup.relation);
            let by = match lookup.keys.as_slice() {
                [(_, Scalar::Column(input))] => Some(part.factored.inputs[*input].column),
                _ => None,
            };
            match (relation, by) {
                (Some(relation), Some(column)) if column == legs.instrument => {
                    Ok(Looked { relation, by: Member::Instrument })
                }
                (Some(relation), Some(column)) if column == legs.priced_as => {
                    Ok(Looked { relation, by: Member::PricedAs })
                }
                _ => Err(Error::unsupported(format!(
                    "a part looks instruments up by instrument_id or priced_as, not {}",
                    lookup.relation
                ))),
            }
        };
        let lookups = part.factored.lookups.iter().map(looked).collect::<Result<_>>()?;
        Ok(Priced { part, aggregates, terms, extremes, gs, lookups })
    }

    /// A function's value for each pair.
    pub fn values(&self, g: usize) -> &[Datum] {
        &self.gs[g].values
    }

    /// What the last update changed.
    pub fn moves(&self, g: usize) -> &[Step] {
        &self.gs[g].moves
    }

    fn follow(
        &mut self,
        reached: &[Pair],
        pairs: &Pairs,
        broadcasts: &Broadcasts,
        tables: &Tables,
    ) -> Result<()> {
        let Priced { part, gs, lookups, .. } = self;
        let inputs = &part.factored.inputs;
        let changed = |input: usize| {
            let input = &inputs[input];
            input.lookup.is_some_and(|at| broadcasts.all[lookups[at].relation].changed[input.column])
        };
        let again: Vec<bool> = gs.iter().map(|g| g.inputs.iter().any(|&input| changed(input))).collect();
        let wanted =
            |input: usize| gs.iter().zip(&again).any(|(g, &again)| again && g.inputs.contains(&input));
        let columns = if reached.is_empty() || !again.contains(&true) {
            Vec::new()
        } else {
            columns(inputs, lookups, reached, pairs, broadcasts, tables, &wanted)
        };
        for (g, &again) in gs.iter_mut().zip(&again) {
            g.moves.clear();
            if !again || reached.is_empty() {
                continue;
            }
            let lane = g.scalar.evaluate(&columns, reached.len());
            for (row, &pair) in reached.iter().enumerate() {
                let value = lane.get(row);
                let before = std::mem::replace(&mut g.values[pair as usize], value);
                if before != value {
                    let number = |value: Datum| if value == NULL { 0 } else { value };
                    let delta = number(value).checked_sub(number(before)).ok_or_else(overflow)?;
                    g.moves.push(Step { pair, before, delta });
                }
            }
        }
        Ok(())
    }

    /// Evaluates every function for pairs that are new.
    fn price(&mut self, new: &[Pair], pairs: &Pairs, broadcasts: &Broadcasts, tables: &Tables) {
        if new.is_empty() {
            return;
        }
        let columns =
            columns(&self.part.factored.inputs, &self.lookups, new, pairs, broadcasts, tables, &|_| true);
        for g in &mut self.gs {
            let lane = g.scalar.evaluate(&columns, new.len());
            g.values.extend((0..new.len()).map(|row| lane.get(row)));
        }
    }
}

/// What a part looks up for pairs, column by column; those not wanted stay empty.
fn columns(
    inputs: &[crate::plan::relation::Input],
    lookups: &[Looked],
    of: &[Pair],
    pairs: &Pairs,
    broadcasts: &Broadcasts,
    tables: &Tables,
    wanted: &dyn Fn(usize) -> bool,
) -> Vec<Vec<Datum>> {
    let mut found: Vec<Option<Vec<u32>>> = lookups.iter().map(|_| None).collect();
    let code = |by: Member, pair: Pair| match by {
        Member::Instrument => pairs.instrument(pair),
        Member::PricedAs => pairs.priced_as(pair),
    };
    let mut columns = Vec::with_capacity(inputs.len());
    for (at, input) in inputs.iter().enumerate() {
        let Some(lookup) = input.lookup.filter(|_| wanted(at)) else {
            columns.push(Vec::new());
            continue;
        };
        let Looked { relation, by } = lookups[lookup];
        let numbers = found[lookup].get_or_insert_with(|| {
            let number = |&pair: &Pair| tables.instruments.find(code(by, pair) as Code).unwrap_or(NOWHERE);
            of.iter().map(number).collect()
        });
        let relation: &Broadcast = &broadcasts.all[relation];
        let values = &relation.columns[input.column];
        columns.push(
            numbers.iter().map(|&number| values.get(number as usize).copied().unwrap_or(NULL)).collect(),
        );
    }
    columns
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
