//! A view's SQL compiled, with what is applied last evaluated for every pair of instruments, or for every row
//! of a relation that lines find by what they know themselves, such as a rate between two currencies.
//!
//! Views of the same SQL, reporting currency and choice of cash share one shape, whatever their accounts
//! and levels: a price is looked up once a pair for all of them.

use std::sync::{Arc, RwLock};

use hashbrown::HashMap;

use super::broadcast::{Broadcasts, Finder};
use super::cells::overflow;
use super::cost::{values_bytes, width};
use super::finish::Finish;
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
use crate::plan::relation::{Input, Lookup, Relation, relations};
use crate::plan::scalar::{BATCH_ROWS, Comparison, Lane, NONE, Program, Scalar, Scratch, Values};
use crate::schema::Schema;
use crate::table::Tables;

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
    pub finish: Finish,
    /// Which instruments' rows the view has, over the columns of `instrument`; all where there is none.
    pub only: Option<Scalar>,
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
    /// How what is kept comes from the sums of a net position, where that is simple for all of it.
    pub forms: Option<Vec<Form>>,
    /// The one look-up of a part that looks nothing up by its pair of instruments, over columns of lines.
    /// What is applied last then depends on the row found: a pair of such a part is the number of that row,
    /// 1 more, and 0 where none is found.
    row: Option<Lookup>,
    finder: Option<Finder>,
    /// What is kept, over the columns of legs and beside them.
    pub kept: Program,
    /// What inner groups add, over their keys and aggregates.
    pub inner: Option<Program>,
}

/// What is kept for a row, as a function of its sums, given by their places in the arrangement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    Nothing,
    Sum(usize),
    /// The greater of the sum and 0, and the lesser.
    Positive(usize),
    Negative(usize),
    /// 1 where any of the sums is not 0.
    Any(Vec<usize>),
}

/// What one function of the looked-up is applied to.
#[derive(Clone)]
pub struct Terms {
    pub g: usize,
    /// What is kept for any of them, as bits.
    pub mask: u64,
    pub sums: Vec<Term>,
    pub extremes: Vec<Term>,
}

impl Terms {
    /// Those of the terms that are wanted, if any are.
    pub fn only(&self, is_wanted: &dyn Fn(&Term) -> bool) -> Option<Terms> {
        let wanted = |terms: &[Term]| terms.iter().copied().filter(|term| is_wanted(term)).collect();
        let (sums, extremes): (Vec<Term>, Vec<Term>) = (wanted(&self.sums), wanted(&self.extremes));
        let mask = sums.iter().chain(&extremes).fold(0, |mask, term| mask | 1 << term.kept);
        (mask != 0).then_some(Terms { g: self.g, mask, sums, extremes })
    }
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
    domains: Vec<Domain>,
    /// Pairs evaluated so far.
    pairs: usize,
    /// Which pairs the current update has seen.
    seen: Vec<bool>,
}

/// Functions that are evaluated for the same: pairs of instruments, or rows of one relation.
struct Domain {
    rows_of: Option<usize>,
    /// The functions, each an output of the program.
    gs: Vec<usize>,
    program: Program,
    scratch: Scratch,
    /// By input, and by output.
    inputs: Vec<Values>,
    outputs: Vec<Values>,
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
    /// None of them: the pair is the row itself.
    Row,
}

/// A function of what is looked up, by pair.
struct G {
    scalar: Scalar,
    /// The relation whose rows it is evaluated for; pairs of instruments where there is none.
    rows_of: Option<usize>,
    /// The inputs it reads, and those of which it reads more than whether there is a value.
    inputs: Vec<usize>,
    by_value: Vec<usize>,
    values: Values,
    moves: Vec<Step>,
    /// The differences of the last update by pair, where most pairs moved and all fit.
    dense: Vec<i64>,
    /// Bits of the greatest of them.
    dense_bits: u32,
}

impl Form {
    /// Reads what is kept, if it is of a form that needs no evaluation row by row.
    fn of(kept: &Scalar, legs: &LegColumns) -> Option<Form> {
        let place = |scalar: &Scalar| match scalar {
            Scalar::Column(column) => legs.sums.iter().position(|summed| summed == column),
            _ => None,
        };
        let zero = |scalar: &Scalar| *scalar == Scalar::Const(0);
        match kept {
            Scalar::Const(0) => Some(Form::Nothing),
            Scalar::Column(_) => place(kept).map(Form::Sum),
            Scalar::Greatest(of) if of.len() == 2 && zero(&of[1]) => place(&of[0]).map(Form::Positive),
            Scalar::Least(of) if of.len() == 2 && zero(&of[1]) => place(&of[0]).map(Form::Negative),
            Scalar::Case(branches, otherwise) if zero(otherwise) => match branches.as_slice() {
                [(condition, Scalar::Const(1))] => {
                    let mut places = Vec::new();
                    let mut open = vec![condition];
                    while let Some(condition) = open.pop() {
                        match condition {
                            Scalar::Or(a, b) => open.extend([a.as_ref(), b.as_ref()]),
                            Scalar::Compare(Comparison::NotEqual, sum, other) if zero(other) => {
                                places.push(place(sum)?);
                            }
                            _ => return None,
                        }
                    }
                    Some(Form::Any(places))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether what is kept for several rows is that of their sum.
    #[inline]
    pub fn adds_up(&self) -> bool {
        matches!(self, Form::Nothing | Form::Sum(_))
    }

    /// The sums it reads.
    pub fn places(&self) -> &[usize] {
        match self {
            Form::Nothing => &[],
            Form::Sum(place) | Form::Positive(place) | Form::Negative(place) => std::slice::from_ref(place),
            Form::Any(places) => places,
        }
    }

    /// What is kept for a row with these sums.
    #[inline]
    pub fn value(&self, sums: &dyn Fn(usize) -> Datum) -> Datum {
        match self {
            Form::Nothing => 0,
            Form::Sum(place) => sums(*place),
            Form::Positive(place) => sums(*place).max(0),
            Form::Negative(place) => sums(*place).min(0),
            Form::Any(places) => places.iter().any(|&place| sums(place) != 0).into(),
        }
    }
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
    #[inline]
    pub fn better(&self, a: Datum, b: Datum) -> Datum {
        match (a == NULL, b == NULL, self) {
            (true, ..) => b,
            (_, true, _) => a,
            (_, _, Aggregate::Least) => a.min(b),
            _ => a.max(b),
        }
    }
}

/// What a shape keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeSize {
    pub functions: usize,
    pub pairs: usize,
    pub bytes: usize,
}

/// What an update of a shape moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShapeMoved {
    pub functions: usize,
    /// Pairs, or rows found, of which any function moved.
    pub pairs: usize,
    /// Over all functions.
    pub values: usize,
    pub bytes: usize,
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
        for relation in
            ["fx", "fx_between", "instrument", "account", "quote", "unit", "counting_order", "leg"]
        {
            let plan = planner.logical(&catalog.bound(relation, parameters))?;
            planner.add_relation(relation, Arc::new(plan.schema().as_arrow().clone()));
        }
        let mut plans = Vec::with_capacity(view.parts.len());
        for (at, name) in view.parts.iter().enumerate() {
            let plan = planner.logical(&view.part(catalog, at, parameters))?;
            planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
            plans.push(plan);
        }
        let plan = planner.logical(&view.measures(catalog, name))?;
        // All is planned: whoever ticks may need them, too.
        let mut dictionaries = dictionaries.write().expect("no reader panicked");
        let mut parts = Vec::with_capacity(view.parts.len());
        let mut applied = Applied::default();
        for plan in &plans {
            let part = part(plan, &mut dictionaries.names)?;
            parts.push(Priced::new(part, &mut applied, legs, broadcasts, &catalog.schema)?);
        }
        let relation = relations(&plan, &mut dictionaries.names, &HashMap::new())?.remove(0);
        let columns = columns_of(&view, plan.schema().as_arrow());
        applied.compile();
        let reads = relation.inputs.iter().map(|input| (input.lookup.map_or(0, |at| at + 1), input.column));
        let reads: Vec<(usize, usize)> = reads.collect();
        let measures = measures(&view, &relation);
        let finish = Finish::new(&parts, &measures, reads.clone());
        let only = only(&parts, legs)?;
        Ok(Shape { view, columns, parts, applied, measures, reads, finish, only })
    }

    /// The relations that the shape looks up.
    pub fn relations(&self) -> impl Iterator<Item = usize> {
        self.applied.inputs.iter().map(|looked| looked.relation)
    }

    pub fn parts(&self) -> impl Iterator<Item = Pricing<'_>> {
        self.parts.iter().map(|of| Pricing { of, applied: &self.applied })
    }

    pub fn part(&self, at: usize) -> Pricing<'_> {
        Pricing { of: &self.parts[at], applied: &self.applied }
    }

    /// What is applied last: its functions, the pairs they are evaluated for, and the bytes of their values.
    pub fn size(&self) -> ShapeSize {
        let gs = &self.applied.gs;
        let bytes =
            |g: &G| values_bytes(&g.values) + g.moves.capacity() * size_of::<Step>() + g.dense.capacity() * 8;
        ShapeSize { functions: gs.len(), pairs: self.applied.pairs, bytes: gs.iter().map(bytes).sum() }
    }

    /// What the last update moved, and the bytes it passed over: of each value the inputs it was computed
    /// from, what it was, what it is, and the difference.
    pub fn moved(&self) -> ShapeMoved {
        let mut moved = ShapeMoved::default();
        let mut pairs: Vec<(Option<usize>, Pair)> = Vec::new();
        for g in &self.applied.gs {
            let (came, passed, step) = match g.dense.is_empty() {
                true => (g.moves.len(), g.moves.len(), size_of::<Step>()),
                false => (g.dense.iter().filter(|&&delta| delta != 0).count(), g.dense.len(), 8),
            };
            moved.values += came;
            moved.functions += usize::from(came > 0);
            moved.bytes += passed * (8 * g.inputs.len() + 2 * width(g.values.lane()) + step);
            pairs.extend(g.moves.iter().map(|step| (g.rows_of, step.pair)));
            let most = g.dense.iter().enumerate().filter(|(_, delta)| **delta != 0);
            pairs.extend(most.map(|(pair, _)| (g.rows_of, pair as Pair)));
        }
        pairs.sort_unstable();
        pairs.dedup();
        moved.pairs = pairs.len();
        moved
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
    /// Moves the values of pairs that a change reached.
    fn follow(&mut self, reached: &[Pair], lane: Lane) -> Result<()> {
        if reached.len() >= self.values.len() / 4 && self.move_most(reached, lane) {
            return Ok(());
        }
        for (row, &pair) in reached.iter().enumerate() {
            let (before, after) = (self.values.get(pair as usize), lane.get(row));
            if before != after {
                self.values.set(pair as usize, after);
                let delta = or_zero(after).checked_sub(or_zero(before)).ok_or_else(overflow)?;
                self.moves.push(Step { pair, before, after, delta });
            }
        }
        Ok(())
    }

    /// Moves values of most pairs, and lays the differences out by pair; false, and nothing is moved, where
    /// one does not fit 64 bits.
    fn move_most(&mut self, reached: &[Pair], lane: Lane) -> bool {
        let mut most = 0;
        if let (Values::Narrow(held), Lane::Narrow(new)) = (&mut self.values, lane)
            && held.len() == reached.len()
        {
            // As many as there are: they stand in their order.
            let or_zero = |value: i64| if value == NONE { 0 } else { value };
            self.dense.resize(held.len(), 0);
            let mut over = false;
            for ((delta, &after), &before) in self.dense.iter_mut().zip(new).zip(&*held) {
                let (difference, overflows) = or_zero(after).overflowing_sub(or_zero(before));
                over |= overflows;
                most |= difference.unsigned_abs();
                *delta = difference;
            }
            if over {
                self.dense.clear();
                return false;
            }
            held.copy_from_slice(new);
        } else {
            let delta = |row: usize, pair: Pair| {
                let (after, before) = (or_zero(lane.get(row)), or_zero(self.values.get(pair as usize)));
                after.checked_sub(before).and_then(|delta| i64::try_from(delta).ok())
            };
            if reached.iter().enumerate().any(|(row, &pair)| delta(row, pair).is_none()) {
                return false;
            }
            self.dense.resize(self.values.len(), 0);
            for (row, &pair) in reached.iter().enumerate() {
                let after = lane.get(row);
                let delta = (or_zero(after) - or_zero(self.values.get(pair as usize))) as i64;
                self.values.set(pair as usize, after);
                most |= delta.unsigned_abs();
                self.dense[pair as usize] = delta;
            }
        }
        self.dense_bits = u64::BITS - most.leading_zeros();
        true
    }
}

fn or_zero(value: Datum) -> Datum {
    if value == NULL { 0 } else { value }
}

impl Pricing<'_> {
    /// A function's value for each pair.
    #[inline]
    pub fn values(&self, g: usize) -> Lane<'_> {
        self.applied.gs[g].values.lane()
    }

    /// What the last update changed, by pair: given where that is most of them and fits 64 bits.
    pub fn dense(&self, g: usize) -> Option<Dense<'_>> {
        let G { dense, dense_bits, .. } = &self.applied.gs[g];
        (!dense.is_empty()).then_some(Dense { deltas: dense, bits: *dense_bits })
    }

    /// What the last update changed, in the order of pairs, where [`Self::dense`] does not tell it.
    pub fn moves(&self, g: usize) -> &[Step] {
        &self.applied.gs[g].moves
    }

    /// Whether the last update moved a function for a pair.
    pub fn is_moved(&self, g: usize, pair: Pair) -> bool {
        let G { dense, moves, .. } = &self.applied.gs[g];
        dense.get(pair as usize).is_some_and(|&delta| delta != 0)
            || moves.binary_search_by_key(&pair, |step| step.pair).is_ok()
    }

    /// By how much the last update moved a function for a pair.
    #[inline]
    pub fn delta(&self, g: usize, pair: Pair) -> Datum {
        let G { dense, moves, .. } = &self.applied.gs[g];
        if let Some(&delta) = dense.get(pair as usize) {
            return delta.into();
        }
        moves.binary_search_by_key(&pair, |step| step.pair).map_or(0, |at| moves[at].delta)
    }
}

impl Applied {
    /// The number of a function, which is new the first time it is met.
    fn number(&mut self, scalar: Scalar, rows_of: Option<usize>) -> usize {
        let same = |known: &G| known.scalar == scalar && known.rows_of == rows_of;
        self.gs.iter().position(same).unwrap_or_else(|| {
            let (mut inputs, mut by_value) = (Vec::new(), Vec::new());
            scalar.columns(&mut |input| inputs.push(input));
            scalar.columns_by_value(&mut |input| by_value.push(input));
            self.gs.push(G {
                scalar,
                rows_of,
                inputs,
                by_value,
                values: Values::default(),
                moves: Vec::new(),
                dense: Vec::new(),
                dense_bits: 0,
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
        let stirred: Vec<bool> = self
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
        if !stirred.contains(&true) {
            return Ok(());
        }
        let mut domains = std::mem::take(&mut self.domains);
        let followed = domains.iter_mut().try_for_each(|domain| {
            let asked: Vec<usize> = (0..domain.gs.len()).filter(|&at| stirred[domain.gs[at]]).collect();
            if asked.is_empty() {
                return Ok(());
            }
            let reached = match domain.rows_of {
                None => self.reached(pairs, broadcasts),
                Some(relation) => {
                    let known = self.rows_known(relation);
                    let rows = broadcasts.all[relation].changed_rows.iter().map(|row| row + 1);
                    let mut rows: Vec<Pair> = rows.filter(|&row| row < known).collect();
                    rows.sort_unstable();
                    rows
                }
            };
            self.evaluate(domain, &asked, &reached, pairs, broadcasts);
            for at in asked {
                self.gs[domain.gs[at]].follow(&reached, domain.outputs[at].lane())?;
            }
            Ok(())
        });
        self.domains = domains;
        followed
    }

    /// Compiles the functions, once all are known.
    fn compile(&mut self) {
        for (at, g) in self.gs.iter().enumerate() {
            match self.domains.iter_mut().find(|domain| domain.rows_of == g.rows_of) {
                Some(domain) => domain.gs.push(at),
                None => self.domains.push(Domain {
                    rows_of: g.rows_of,
                    gs: vec![at],
                    program: Program::new([]),
                    scratch: Scratch::default(),
                    inputs: vec![Values::default(); self.inputs.len()],
                    outputs: Vec::new(),
                }),
            }
        }
        for domain in &mut self.domains {
            domain.program = Program::new(domain.gs.iter().map(|&g| &self.gs[g].scalar));
            domain.outputs = vec![Values::default(); domain.gs.len()];
        }
    }

    /// Evaluates asked functions of a domain for pairs, or rows: the results are the domain's outputs.
    fn evaluate(
        &self,
        domain: &mut Domain,
        asked: &[usize],
        of: &[Pair],
        pairs: &Pairs,
        broadcasts: &Broadcasts,
    ) {
        let Domain { gs, program, scratch, inputs, outputs, .. } = domain;
        let mut wanted = vec![false; inputs.len()];
        asked.iter().flat_map(|&at| &self.gs[gs[at]].inputs).for_each(|&input| wanted[input] = true);
        asked.iter().for_each(|&at| outputs[at].clear());
        for of in of.chunks(BATCH_ROWS) {
            let inputs = inputs.iter_mut().zip(&self.inputs).zip(&wanted);
            let lanes: Vec<Lane> = inputs
                .map(|((lane, looked), wanted)| {
                    let Looked { relation, column, by } = *looked;
                    let values = broadcasts.all[relation].columns[column].lane();
                    match by {
                        _ if !wanted => return Lane::Const(NULL),
                        Member::Instrument => {
                            lane.gather(values, of.iter().map(|&pair| pairs.instrument_number(pair)));
                        }
                        Member::PricedAs => {
                            lane.gather(values, of.iter().map(|&pair| pairs.priced_as_number(pair)));
                        }
                        Member::Row => lane.gather(values, of.iter().map(|&pair| pair.wrapping_sub(1))),
                    }
                    lane.lane()
                })
                .collect();
            let results = program.run(asked, &lanes, of.len(), scratch);
            asked.iter().for_each(|&at| outputs[at].append(results.lane(at), of.len()));
        }
    }

    /// Rows of a relation evaluated so far, that of none among them.
    fn rows_known(&self, relation: usize) -> u32 {
        let g = self.gs.iter().find(|g| g.rows_of == Some(relation)).expect("a domain has a function");
        g.values.len() as u32
    }

    /// The known pairs of which a member changed in any relation; where those may be most of them, all: what
    /// is not reached comes out as it was.
    fn reached(&mut self, pairs: &Pairs, broadcasts: &Broadcasts) -> Vec<Pair> {
        let known = self.pairs as Pair;
        let most = |relation: usize| {
            let relation = &broadcasts.all[relation];
            relation.changed_rows.len() * 2 > relation.columns[0].len()
        };
        if self.inputs.iter().any(|looked| looked.by != Member::Row && most(looked.relation)) {
            return (0..known).collect();
        }
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
                    Member::Row => continue,
                };
                for &pair in of.iter().filter(|&&pair| pair < known) {
                    if !std::mem::replace(&mut self.seen[pair as usize], true) {
                        reached.push(pair);
                    }
                }
            }
        }
        reached.iter().for_each(|&pair| self.seen[pair as usize] = false);
        reached.sort_unstable();
        reached
    }

    fn follow_new(&mut self, pairs: &Pairs, broadcasts: &Broadcasts) {
        let known = std::mem::replace(&mut self.pairs, pairs.len()) as Pair;
        let mut domains = std::mem::take(&mut self.domains);
        for domain in &mut domains {
            let new: Vec<Pair> = match domain.rows_of {
                None => (known..self.pairs as Pair).collect(),
                Some(relation) => {
                    let rows = broadcasts.all[relation].columns[0].len() as u32;
                    (self.rows_known(relation)..=rows).collect()
                }
            };
            if new.is_empty() {
                continue;
            }
            let all: Vec<usize> = (0..domain.gs.len()).collect();
            self.evaluate(domain, &all, &new, pairs, broadcasts);
            for (&g, lane) in domain.gs.iter().zip(&domain.outputs) {
                self.gs[g].values.append(lane.lane(), new.len());
            }
        }
        self.domains = domains;
    }
}

impl Priced {
    fn new(
        part: Part,
        applied: &mut Applied,
        legs: &LegColumns,
        broadcasts: &Broadcasts,
        schema: &Schema,
    ) -> Result<Priced> {
        if part.factored.kept.len() > u64::BITS as usize {
            return Err(Error::unsupported("a part keeps at most 64 different sums; split it"));
        }
        let told_apart = |column: usize| !legs.sums.contains(&column);
        let added_up = part.net_by.is_none();
        if added_up && let Some(h) = part.factored.kept.iter().find(|h| !h.is_linear(&told_apart)) {
            return Err(Error::unsupported(format!(
                "a part that nets nothing sums legs; {h:?} of a sum of legs is not the sum of each leg's"
            )));
        }
        for beside in &part.beside {
            let known = match beside.relation.as_str() {
                "instrument" => legs.instrument,
                "account" => legs.account,
                other => return Err(Error::unsupported(format!("a row of a part is not found in {other}"))),
            };
            if beside.by != known {
                let name = &beside.relation;
                return Err(Error::unsupported(format!("a leg finds its {name} by {name}_id")));
            }
        }
        let row = row_of(&part, legs);
        let looked = |input: &Input| -> Result<Option<Looked>> {
            let Some(lookup) = input.lookup else { return Ok(None) };
            let lookup = &part.factored.lookups[lookup];
            let relation = broadcasts.all.iter().position(|known| known.name == lookup.relation);
            let key = match lookup.keys.as_slice() {
                [(_, Scalar::Column(input))] => Some(part.factored.inputs[*input].column),
                _ => None,
            };
            let by = match key {
                _ if row.is_some() => Some(Member::Row),
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
        let rows_of = match &row {
            None => None,
            Some(row) => {
                Some(broadcasts.all.iter().position(|known| known.name == row.relation).ok_or_else(|| {
                    Error::unsupported(format!("{} is not kept, so no part looks it up", row.relation))
                })?)
            }
        };
        let mut terms: Vec<Terms> = Vec::new();
        let mut terms_of = |g: &Scalar| {
            let g = g.substitute(&mut |input| {
                let looked = looked[input].expect("what is applied last reads what is looked up");
                Scalar::Column(applied.input(looked))
            });
            let g = applied.number(g, rows_of);
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
        let plain = part.nested.is_none() && part.beside.is_empty() && row.is_none();
        let forms = || part.factored.kept.iter().map(|kept| Form::of(kept, legs)).collect();
        let forms = if plain { forms() } else { None };
        let kept = Program::new(&part.factored.kept);
        let inner = part.nested.as_ref().map(|nested| {
            let over_row = |sum: &Scalar| sum.substitute(&mut |column| nested.row[column].clone());
            Program::new(&nested.sums.iter().map(over_row).collect::<Vec<_>>())
        });
        let finder = row.as_ref().map(|row| Finder::new(row, schema));
        Ok(Priced { part, aggregates, terms, forms, row, finder, kept, inner })
    }

    /// What tells, beside the columns of a leg, which pair each line is of: see `Priced::row`.
    pub fn row_columns(&self, take: &mut dyn FnMut(usize)) {
        let keys = self.row.iter().flat_map(|row| &row.keys);
        keys.for_each(|(_, key)| key.columns(&mut |column| take(column)));
    }

    /// The pairs of lines by the rows they find; `None` where they are those of instruments.
    pub fn rows(
        &self,
        columns: &[Vec<Datum>],
        lines: usize,
        broadcasts: &Broadcasts,
        tables: &Tables,
    ) -> Option<Vec<Pair>> {
        let finder = self.finder.as_ref()?;
        let columns: Vec<Lane> = columns.iter().map(|column| Lane::Wide(column)).collect();
        let mut pairs = Vec::with_capacity(lines);
        finder.find(&columns, lines, &broadcasts.all, tables, |_, row| pairs.push(row.wrapping_add(1)));
        Some(pairs)
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

/// The look-up that is keyed by neither instrument of a pair, where a part has no other.
fn row_of(part: &Part, legs: &LegColumns) -> Option<Lookup> {
    let [lookup] = part.factored.lookups.as_slice() else { return None };
    let inputs = &part.factored.inputs;
    let by_pair = |key: &Scalar| matches!(key, Scalar::Column(input) if [legs.instrument, legs.priced_as].contains(&inputs[*input].column));
    if let [(_, key)] = lookup.keys.as_slice()
        && by_pair(key)
    {
        return None;
    }
    let key = |(column, key): &(usize, Scalar)| {
        (*column, key.substitute(&mut |input| Scalar::Column(inputs[input].column)))
    };
    Some(Lookup { relation: lookup.relation.clone(), keys: lookup.keys.iter().map(key).collect() })
}

/// The condition on instruments that all parts share.
fn only(parts: &[Priced], legs: &LegColumns) -> Result<Option<Scalar>> {
    let mut shared: Option<Option<Scalar>> = None;
    for Priced { part, .. } in parts {
        let mut of_instrument = true;
        let over = |filter: &Scalar| {
            filter.substitute(&mut |column| {
                let beside = column.checked_sub(legs.len()).map(|at| &part.beside[at]);
                match beside.filter(|beside| beside.relation == "instrument") {
                    Some(beside) => Scalar::Column(beside.column),
                    None => {
                        of_instrument = false;
                        Scalar::Column(column)
                    }
                }
            })
        };
        let filter = part.filter.as_ref().map(over);
        if !of_instrument || shared.as_ref().is_some_and(|shared| *shared != filter) {
            return Err(Error::unsupported(
                "a view has the rows of some instruments; each of its parts says which by the same condition",
            ));
        }
        shared = Some(filter);
    }
    Ok(shared.flatten())
}
