//! A grouped view kept by deltas: every level a GROUP BY of its own, every part in its incremental form.

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use hashbrown::{HashMap, HashSet};

use super::broadcast::{Broadcasts, NOWHERE, find, reader};
use super::factored::{FactoredState, GroupId, Pair, terms};
use super::legs::{LegSet, Legs};
use super::recompute::{Group, columns_of, quality_of, selected, weight};
use super::result::{Cell, Column, Quality};
use super::spec::ViewSpec;
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::grouped::{GroupedView, MeasureKind, QUALITY};
use crate::plan::part::{Factored, Part, part};
use crate::plan::relation::{Relation, relations};
use crate::plan::scalar::Scalar;
use crate::table::snapshot::Snapshot;
use crate::table::{PartitionId, Tables};

/// What a view is made of, compiled once for each specification.
pub struct Maintained {
    view: GroupedView,
    columns: Vec<Column>,
    parts: Vec<Part>,
    /// The measures over the outputs of the parts.
    measures: Relation,
    accounts: Option<HashSet<PartitionId>>,
    portfolios: Option<HashSet<Datum>>,
    pairs: Pairs,
    levels: Vec<Level>,
    names: LegColumns,
    /// Legs may be added up before they are added to what is kept.
    linear: bool,
}

struct LegColumns {
    instrument: usize,
    priced_as: usize,
    portfolio: usize,
    account: usize,
    current: usize,
    legs: usize,
    /// The codes of SHORT, FLAT and LONG.
    directions: [Datum; 3],
}

#[derive(Default)]
struct Pairs {
    numbers: HashMap<(Datum, Datum), Pair>,
    members: Vec<(Datum, Datum)>,
}

struct Level {
    fields: Vec<Field>,
    groups: HashMap<Vec<Datum>, GroupId>,
    keys: Vec<Vec<Datum>>,
    /// Legs of each group: a group is shown while it has one.
    legs: Vec<i128>,
    parts: Vec<PartState>,
    cells: Vec<Vec<Cell>>,
}

/// Where the key of a level comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Leg(usize),
    Instrument(usize),
    Account(usize),
    LongShort,
}

#[derive(Default)]
struct PartState {
    factored: FactoredState,
    nets: Nets,
    inner: Inner,
}

/// Sums of legs that are netted before anything is done with them.
#[derive(Default)]
struct Nets {
    /// By group and the codes of the columns it is netted by.
    rows: HashMap<(GroupId, Vec<u32>), u32>,
    /// The leg columns that are summed.
    columns: Vec<usize>,
    /// Row after row, one sum a column.
    sums: Vec<i128>,
}

/// The inner groups of a part that nests an aggregation.
#[derive(Default)]
struct Inner {
    numbers: HashMap<(GroupId, Vec<Datum>), GroupId>,
    outer: Vec<GroupId>,
    keys: Vec<Vec<Datum>>,
    /// What each inner group adds to its outer group's sums.
    added: Vec<Vec<Datum>>,
    sums: Vec<Vec<Datum>>,
}

impl Maintained {
    /// Compiles a view and computes it from the rows there are.
    ///
    /// # Errors
    /// `Unsupported` where its SQL has no incremental form; `Data` where a sum leaves 128 bits.
    pub fn new(
        spec: &ViewSpec,
        catalog: &Catalog,
        legs: &Legs,
        broadcasts: &Broadcasts,
        tables: &Tables,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Maintained> {
        let view = GroupedView::new(catalog, &spec.view);
        let parameters = Parameters { currency: spec.currency.clone(), exclude_cash: spec.exclude_cash };
        let (parts, measures, columns) = compile(&view, spec, catalog, &parameters, &snapshot.dictionaries)?;
        let names = LegColumns {
            instrument: legs.column("instrument_id"),
            priced_as: legs.column("priced_as"),
            portfolio: legs.column("portfolio_id"),
            account: legs.column("account_id"),
            current: legs.column("current"),
            legs: legs.column("legs"),
            directions: {
                let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
                ["SHORT", "FLAT", "LONG"].map(|name| dictionaries.names.intern(name).into())
            },
        };
        // A sleeve that no row names yet may be named by one later.
        let portfolios = spec.portfolios.as_ref().map(|names| {
            let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
            names.iter().map(|name| Datum::from(dictionaries.names.intern(name))).collect()
        });
        let field = |name: &String| match name.as_str() {
            "long_short" => Field::LongShort,
            "strategy" | "region" => Field::Account(broadcasts.get("account").column(name)),
            name if legs.names().iter().any(|known| known == name) => Field::Leg(legs.column(name)),
            name => Field::Instrument(broadcasts.get("instrument").column(name)),
        };
        let fields: Vec<Field> = spec.group_by.iter().map(field).collect();
        let level = |depth: usize| Level {
            fields: fields[..depth].to_vec(),
            groups: HashMap::new(),
            keys: Vec::new(),
            legs: Vec::new(),
            parts: parts.iter().map(|_| PartState::default()).collect(),
            cells: Vec::new(),
        };
        let mut maintained = Maintained {
            levels: (0..=fields.len()).map(level).collect(),
            accounts: selected(snapshot, &spec.accounts).map(|chosen| chosen.into_iter().collect()),
            view,
            columns,
            parts,
            measures,
            portfolios,
            pairs: Pairs::default(),
            names,
            linear: false,
        };
        maintained.linear = maintained.is_linear();
        maintained.rebuild(legs, broadcasts, tables, snapshot)?;
        Ok(maintained)
    }

    pub fn view(&self) -> &GroupedView {
        &self.view
    }

    /// The view's measures.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Computes the view from all rows.
    pub fn rebuild(
        &mut self,
        legs: &Legs,
        broadcasts: &Broadcasts,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<()> {
        for level in &mut self.levels {
            level.groups.clear();
            level.keys.clear();
            level.legs.clear();
            level.cells.clear();
            for part in &mut level.parts {
                part.factored.clear();
                part.nets = Nets::default();
                part.inner = Inner::default();
            }
        }
        let pairs: Vec<Pair> = (0..self.pairs.members.len() as Pair).collect();
        self.reprice(&pairs, broadcasts, tables, snapshot)?;
        let (by, sums) = self.grain();
        let accounts = self.accounts.take();
        let added = legs.each(accounts.as_ref(), broadcasts, tables, snapshot, &mut |legs| {
            let legs = if self.linear { &legs.consolidated(&by, &sums) } else { legs };
            self.add(legs, Sums::Later, broadcasts, tables, snapshot)
        });
        self.accounts = accounts;
        added?;
        for level in &mut self.levels {
            for (part, state) in self.parts.iter().zip(&mut level.parts) {
                state.factored.sum_up(&part.factored)?;
            }
        }
        self.finish()
    }

    /// Whether a change of instruments or accounts moves rows between the groups of this view, or changes
    /// the legs themselves, so that it is computed anew.
    pub fn moved_by(
        &self,
        instrument: &dyn Fn(usize) -> bool,
        account: &dyn Fn(usize) -> bool,
        rows: bool,
    ) -> bool {
        let fields = self.levels.last().map_or(&[][..], |level| level.fields.as_slice());
        fields.iter().any(|field| match *field {
            Field::Leg(_) => false,
            Field::Instrument(column) => instrument(column),
            Field::Account(column) => account(column),
            // A row may turn an account's net quantity from long to short.
            Field::LongShort => rows,
        })
    }

    /// Brings the view to the new epoch.
    ///
    /// `instruments` are the numbers of the instruments whose values changed.
    pub fn update(
        &mut self,
        delta: &LegSet,
        instruments: &HashSet<u32>,
        broadcasts: &Broadcasts,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<()> {
        self.add(delta, Sums::Now, broadcasts, tables, snapshot)?;
        if !instruments.is_empty() {
            let changed =
                |code: Datum| tables.instruments.find(code as Code).is_some_and(|n| instruments.contains(&n));
            let members = self.pairs.members.iter().enumerate();
            let pairs: Vec<Pair> =
                members.filter(|(_, (a, b))| changed(*a) || changed(*b)).map(|(at, _)| at as Pair).collect();
            self.reprice(&pairs, broadcasts, tables, snapshot)?;
        }
        self.finish()
    }

    /// The groups of every level, the total first.
    pub fn levels(&self) -> Vec<Vec<Group>> {
        let level = |level: &Level| {
            let shown =
                (0..level.keys.len()).filter(|&group| level.legs[group] > 0 || level.fields.is_empty());
            shown
                .map(|group| Group { key: level.keys[group].clone(), cells: level.cells[group].clone() })
                .collect()
        };
        self.levels.iter().map(level).collect()
    }

    /// The leg columns that tell legs of this view apart, and those it adds up.
    fn grain(&self) -> (Vec<usize>, Vec<usize>) {
        let names = &self.names;
        let mut by = BTreeSet::from([names.account, names.portfolio, names.instrument, names.priced_as]);
        by.extend(self.levels.iter().flat_map(|level| &level.fields).filter_map(|field| match field {
            Field::Leg(column) => Some(*column),
            _ => None,
        }));
        let mut sums = BTreeSet::from([names.current, names.legs]);
        for part in &self.parts {
            for h in &part.factored.kept {
                h.columns(&mut |column| {
                    if !by.contains(&column) {
                        sums.insert(column);
                    }
                });
            }
        }
        (by.into_iter().collect(), sums.into_iter().collect())
    }

    /// Whether legs that agree in the grain may be added up before anything is kept of them.
    fn is_linear(&self) -> bool {
        let (by, _) = self.grain();
        let own = self.parts.iter().filter(|part| part.net_by.is_none());
        own.flat_map(|part| &part.factored.kept).all(|h| h.is_linear(&|column| by.contains(&column)))
    }

    /// A total of which nothing is known.
    pub fn missing(&self) -> Group {
        let cell = Cell { value: NULL, quality: Quality::Missing };
        Group { key: Vec::new(), cells: vec![cell; self.columns.len()] }
    }

    fn add(
        &mut self,
        legs: &LegSet,
        sums: Sums,
        broadcasts: &Broadcasts,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<()> {
        let chosen: Vec<usize> = (0..legs.len())
            .filter(|&at| {
                self.accounts.as_ref().is_none_or(|accounts| accounts.contains(&legs.accounts[at]))
                    && self
                        .portfolios
                        .as_ref()
                        .is_none_or(|p| p.contains(&legs.columns[self.names.portfolio][at]))
            })
            .collect();
        if chosen.is_empty() {
            return Ok(());
        }
        let mut pairs = Vec::with_capacity(chosen.len());
        let known = self.pairs.members.len();
        for &at in &chosen {
            let pair = (legs.columns[self.names.instrument][at], legs.columns[self.names.priced_as][at]);
            let next = self.pairs.members.len() as Pair;
            let number = *self.pairs.numbers.entry(pair).or_insert(next);
            if number == next {
                self.pairs.members.push(pair);
            }
            pairs.push(number);
        }
        let new: Vec<Pair> = (known as Pair..self.pairs.members.len() as Pair).collect();
        self.reprice(&new, broadcasts, tables, snapshot)?;
        let directions = self.directions(legs, &chosen);
        // A part without nets keeps sums of functions of legs, which are the same at every level.
        let linear: Vec<Vec<Vec<Datum>>> = self
            .parts
            .iter()
            .map(|part| match part.net_by {
                Some(_) => Vec::new(),
                None => part
                    .factored
                    .kept
                    .iter()
                    .map(|h| h.evaluate(&legs.columns, legs.len()).into_vec(legs.len()))
                    .collect(),
            })
            .collect();
        let Maintained { levels, parts, names, .. } = self;
        for level in levels.iter_mut() {
            let mut groups = Vec::with_capacity(chosen.len());
            for &at in &chosen {
                let key = level.key(legs, at, names, broadcasts, tables, &directions);
                let group = level.group(key);
                level.legs[group as usize] += Datum::from(legs.weights[at]) * legs.columns[names.legs][at];
                groups.push(group);
            }
            for ((part, state), linear) in parts.iter().zip(&mut level.parts).zip(&linear) {
                let nets;
                let rows = match &part.net_by {
                    None => Rows {
                        deltas: linear,
                        place: &|n| chosen[n],
                        sign: &|n| legs.weights[chosen[n]].into(),
                    },
                    Some(by) => {
                        nets = state.nets.add(part, by, legs, &chosen, &groups);
                        Rows { deltas: &nets, place: &|n| n, sign: &|_| 1 }
                    }
                };
                state.add(part, &rows, legs, &chosen, &groups, &pairs, sums)?;
            }
        }
        Ok(())
    }

    /// The sign of each account's net current quantity of an instrument, where a level groups by it: known
    /// when all rows are added at once, as they are for such views.
    fn directions(&self, legs: &LegSet, chosen: &[usize]) -> HashMap<(Datum, Datum), i128> {
        let mut nets = HashMap::new();
        if self.levels.iter().any(|level| level.fields.contains(&Field::LongShort)) {
            for &at in chosen {
                let key = (legs.columns[self.names.account][at], legs.columns[self.names.instrument][at]);
                *nets.entry(key).or_insert(0) += legs.columns[self.names.current][at];
            }
        }
        nets
    }

    fn reprice(
        &mut self,
        pairs: &[Pair],
        broadcasts: &Broadcasts,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Result<()> {
        if pairs.is_empty() {
            return Ok(());
        }
        for (at, part) in self.parts.iter().enumerate() {
            let inputs = self.inputs(&part.factored, pairs, broadcasts, tables, snapshot);
            for (term, g) in terms(&part.factored).enumerate() {
                let values = g.evaluate(&inputs, pairs.len());
                for level in &mut self.levels {
                    for (row, &pair) in pairs.iter().enumerate() {
                        level.parts[at].factored.apply(&part.factored, term, pair, values.get(row))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What a part looks up for pairs of instruments.
    fn inputs(
        &self,
        plan: &Factored,
        pairs: &[Pair],
        broadcasts: &Broadcasts,
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Vec<Vec<Datum>> {
        let mut found: Vec<Option<Vec<u32>>> = vec![None; plan.lookups.len()];
        let mut inputs: Vec<Vec<Datum>> = Vec::with_capacity(plan.inputs.len());
        let member = |&pair: &Pair| self.pairs.members[pair as usize];
        for input in &plan.inputs {
            let column = match input.lookup {
                None if input.column == self.names.instrument => {
                    pairs.iter().map(|pair| member(pair).0).collect()
                }
                None if input.column == self.names.priced_as => {
                    pairs.iter().map(|pair| member(pair).1).collect()
                }
                None => Vec::new(),
                Some(lookup) => {
                    let numbers = found[lookup].get_or_insert_with(|| {
                        find(&plan.lookups[lookup], &inputs, pairs.len(), &broadcasts.all, tables)
                    });
                    let value = reader(
                        &plan.lookups[lookup].relation,
                        input.column,
                        &broadcasts.all,
                        tables,
                        snapshot,
                    );
                    numbers
                        .iter()
                        .map(|&number| if number == NOWHERE { NULL } else { value(number) })
                        .collect()
                }
            };
            inputs.push(column);
        }
        inputs
    }

    /// Turns the aggregates of touched groups into cells; weights follow the total.
    fn finish(&mut self) -> Result<()> {
        let Maintained { levels, parts, measures, view, .. } = self;
        let mut nav: Vec<Cell> = Vec::new();
        for level in levels.iter_mut() {
            if level.fields.is_empty() {
                level.group(Vec::new());
            }
            let mut touched: HashSet<GroupId> =
                (level.cells.len() as GroupId..level.keys.len() as GroupId).collect();
            for (part, state) in parts.iter().zip(&mut level.parts) {
                touched.extend(state.settle(part)?);
            }
            level.cells.resize_with(level.keys.len(), Vec::new);
            for group in touched {
                let rows: Vec<Vec<Datum>> =
                    parts.iter().zip(&level.parts).map(|(part, state)| state.outputs(part, group)).collect();
                level.cells[group as usize] = cells(view, measures, &rows);
            }
            if level.fields.is_empty() {
                nav.clone_from(&level.cells[0]);
            }
            for cells in &mut level.cells {
                for (at, measure) in view.measures.iter().enumerate() {
                    if let MeasureKind::Weight { of } = &measure.kind {
                        let of = view
                            .measures
                            .iter()
                            .position(|m| m.name == *of)
                            .expect("a weight names a measure");
                        cells[at] = weight(cells[of], nav[of]);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Level {
    fn group(&mut self, key: Vec<Datum>) -> GroupId {
        if let Some(&group) = self.groups.get(&key) {
            return group;
        }
        let group = self.keys.len() as GroupId;
        self.groups.insert(key.clone(), group);
        self.keys.push(key);
        self.legs.push(0);
        group
    }

    fn key(
        &self,
        legs: &LegSet,
        at: usize,
        names: &LegColumns,
        broadcasts: &Broadcasts,
        tables: &Tables,
        directions: &HashMap<(Datum, Datum), i128>,
    ) -> Vec<Datum> {
        let (account, instrument) = (legs.columns[names.account][at], legs.columns[names.instrument][at]);
        let field = |field: &Field| match *field {
            Field::Leg(column) => legs.columns[column][at],
            Field::Instrument(column) => {
                let number =
                    tables.instruments.find(instrument as Code).expect("a leg's instrument is known");
                broadcasts.get("instrument").columns[column][number as usize]
            }
            Field::Account(column) => {
                let number = tables.accounts.find(account as Code).expect("a leg's account is known");
                broadcasts.get("account").columns[column][number as usize]
            }
            Field::LongShort => names.directions[(directions[&(account, instrument)].signum() + 1) as usize],
        };
        self.fields.iter().map(field).collect()
    }
}

/// Whether sums move with each row, or are computed once all rows are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sums {
    Now,
    Later,
}

/// What rows add to what a part keeps: a column for each function, and where a row stands in it.
struct Rows<'a> {
    deltas: &'a [Vec<Datum>],
    place: &'a dyn Fn(usize) -> usize,
    sign: &'a dyn Fn(usize) -> Datum,
}

impl Nets {
    /// Adds legs to their nets; returns what each changes in the functions that are kept, column by column.
    fn add(
        &mut self,
        part: &Part,
        by: &[usize],
        legs: &LegSet,
        chosen: &[usize],
        groups: &[GroupId],
    ) -> Vec<Vec<Datum>> {
        if self.columns.is_empty() {
            let mut columns = BTreeSet::new();
            part.factored.kept.iter().for_each(|h| {
                h.columns(&mut |column| {
                    columns.insert(column);
                })
            });
            self.columns = columns.into_iter().collect();
        }
        let width = legs.columns.len();
        let (mut before, mut after) = (vec![Vec::new(); width], vec![Vec::new(); width]);
        for (&at, &group) in chosen.iter().zip(groups) {
            let key = (group, by.iter().map(|&column| legs.columns[column][at] as u32).collect());
            let next = self.sums.len() / self.columns.len().max(1);
            let row = *self.rows.entry(key).or_insert(next as u32) as usize;
            if row == next {
                self.sums.resize(self.sums.len() + self.columns.len(), 0);
            }
            let net = &mut self.sums[row * self.columns.len()..][..self.columns.len()];
            for (sum, &column) in net.iter_mut().zip(&self.columns) {
                before[column].push(*sum);
                let leg = legs.columns[column][at];
                if leg != NULL {
                    *sum += Datum::from(legs.weights[at]) * leg;
                }
                after[column].push(*sum);
            }
        }
        let change = |h: &Scalar| {
            let (before, after) = (h.evaluate(&before, chosen.len()), h.evaluate(&after, chosen.len()));
            (0..chosen.len()).map(|row| or_zero(after.get(row)) - or_zero(before.get(row))).collect()
        };
        part.factored.kept.iter().map(change).collect()
    }
}

fn or_zero(value: Datum) -> Datum {
    if value == NULL { 0 } else { value }
}

impl PartState {
    #[allow(clippy::too_many_arguments)]
    fn add(
        &mut self,
        part: &Part,
        rows: &Rows,
        legs: &LegSet,
        chosen: &[usize],
        groups: &[GroupId],
        pairs: &[Pair],
        sums: Sums,
    ) -> Result<()> {
        let mut deltas = Vec::with_capacity(rows.deltas.len());
        for (n, (&group, &pair)) in groups.iter().zip(pairs).enumerate() {
            let (place, sign) = ((rows.place)(n), (rows.sign)(n));
            deltas.clear();
            deltas.extend(rows.deltas.iter().map(|column| sign * or_zero(column[place])));
            let group = match &part.nested {
                None => group,
                Some(nested) => {
                    let key = nested.by.iter().map(|&column| legs.columns[column][chosen[n]]).collect();
                    self.inner.number(group, key, nested.sums.len())
                }
            };
            match sums {
                Sums::Now => self.factored.add(&part.factored, group, pair, &deltas)?,
                Sums::Later => self.factored.keep(&part.factored, group, pair, deltas.iter().copied())?,
            }
        }
        Ok(())
    }

    /// Brings nested sums up to their inner groups; returns the outer groups touched.
    fn settle(&mut self, part: &Part) -> Result<Vec<GroupId>> {
        let touched = self.factored.take_touched();
        let Some(nested) = &part.nested else { return Ok(touched) };
        let mut columns =
            vec![Vec::with_capacity(touched.len()); nested.by.len() + part.factored.aggregates.len()];
        for &group in &touched {
            let key = self.inner.keys[group as usize].iter().copied();
            let values = key.chain(self.factored.values(&part.factored, group));
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
        let rows: Vec<Vec<Datum>> = nested
            .row
            .iter()
            .map(|scalar| scalar.evaluate(&columns, touched.len()).into_vec(touched.len()))
            .collect();
        let sums: Vec<_> = nested.sums.iter().map(|scalar| scalar.evaluate(&rows, touched.len())).collect();
        let mut outer = Vec::new();
        for (row, &group) in touched.iter().enumerate() {
            let of = self.inner.outer[group as usize];
            let mut changed = false;
            let added = self.inner.added[group as usize].iter_mut();
            for ((sum, added), new) in self.inner.sums[of as usize].iter_mut().zip(added).zip(&sums) {
                let new = or_zero(new.get(row));
                let before = std::mem::replace(added, new);
                *sum += new - before;
                changed |= new != before;
            }
            if changed {
                outer.push(of);
            }
        }
        Ok(outer)
    }

    fn outputs(&self, part: &Part, group: GroupId) -> Vec<Datum> {
        let aggregates = match &part.nested {
            None => self.factored.values(&part.factored, group),
            Some(nested) => self
                .inner
                .sums
                .get(group as usize)
                .cloned()
                .filter(|sums| !sums.is_empty())
                .unwrap_or_else(|| vec![0; nested.sums.len()]),
        };
        part.outputs.iter().map(|(_, scalar)| scalar.evaluate_one(&aggregates)).collect()
    }
}

impl Inner {
    fn number(&mut self, outer: GroupId, key: Vec<Datum>, sums: usize) -> GroupId {
        let next = self.outer.len() as GroupId;
        let Inner { numbers, outer: outers, keys, added, sums: all } = self;
        *numbers.entry((outer, key)).or_insert_with_key(|(_, key)| {
            outers.push(outer);
            keys.push(key.clone());
            added.push(vec![0; sums]);
            if all.len() <= outer as usize {
                all.resize_with(outer as usize + 1, Vec::new);
            }
            all[outer as usize].resize(sums, 0);
            next
        })
    }
}

/// A group's measures; weights are left for later.
fn cells(view: &GroupedView, measures: &Relation, parts: &[Vec<Datum>]) -> Vec<Cell> {
    let value = |input: &crate::plan::relation::Input| {
        vec![parts[input.lookup.map_or(0, |lookup| lookup + 1)][input.column]]
    };
    let inputs: Vec<Vec<Datum>> = measures.inputs.iter().map(value).collect();
    let column = |name: &str| measures.columns[measures.column(name)].evaluate(&inputs, 1).get(0);
    let cell = |measure: &crate::plan::grouped::Measure| match measure.kind {
        MeasureKind::Plain(_) => Cell::new(column(&measure.name)),
        MeasureKind::Graded { .. } => {
            let quality = quality_of(column(&format!("{}{QUALITY}", measure.name)));
            Cell { value: column(&measure.name), quality }
        }
        MeasureKind::Weight { .. } => Cell::EMPTY,
    };
    view.measures.iter().map(cell).collect()
}

fn compile(
    view: &GroupedView,
    spec: &ViewSpec,
    catalog: &Catalog,
    parameters: &Parameters,
    dictionaries: &RwLock<Dictionaries>,
) -> Result<(Vec<Part>, Relation, Vec<Column>)> {
    let mut planner = Planner::new(&catalog.schema, 1);
    for relation in ["fx", "instrument", "account", "quote", "unit", "counting_order", "leg"] {
        let plan = planner.logical(&catalog.bound(relation, parameters))?;
        planner.add_relation(relation, Arc::new(plan.schema().as_arrow().clone()));
    }
    let mut dictionaries = dictionaries.write().expect("no reader panicked");
    let mut parts = Vec::with_capacity(view.parts.len());
    for (at, name) in view.parts.iter().enumerate() {
        let plan = planner.logical(&view.part(catalog, at, parameters))?;
        parts.push(part(&plan, &mut dictionaries.names)?);
        planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
    }
    let plan = planner.logical(&view.measures_by(catalog, &spec.view, 0))?;
    let measures = relations(&plan, &mut dictionaries.names, &HashMap::new())?.remove(0);
    let columns = columns_of(view, plan.schema().as_arrow());
    Ok((parts, measures, columns))
}
