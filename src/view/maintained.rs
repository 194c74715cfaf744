//! A grouped view kept by deltas: every level a GROUP BY of its own, every part in its incremental form.
//!
//! Net positions that were touched are taken back as they were and added as they are; prices that changed
//! move what is kept by their difference. A line whose group changed moves by the same two steps.

use hashbrown::{HashMap, HashSet};

use super::arrangement::{Arrangement, Coordinate, Touched};
use super::broadcast::{Broadcast, Broadcasts};
use super::groups::{GroupId, Groups};
use super::legs::LegColumns;
use super::lines::{Lines, Side};
use super::pair::{Pair, Pairs};
use super::recompute::{quality_of, selected, weight};
use super::result::Cell;
use super::shape::{MeasureOf, Pricing, Shape};
use super::spec::ViewSpec;
use super::stage::{Added, PartLines, Relevant, Stage, Sums};
use crate::datum::{Datum, NULL};
use crate::dictionary::Code;
use crate::error::Result;
use crate::plan::part::Beside;
use crate::plan::scalar::Scalar;
use crate::table::snapshot::Snapshot;
use crate::table::{PartitionId, Tables};

/// One view: its selection, its levels and what it keeps of them; what it shows stands in [`Groups`].
pub struct Maintained {
    accounts: Option<HashSet<PartitionId>>,
    portfolios: Option<HashSet<Code>>,
    /// Which instruments' rows it has, over the columns of `instrument`.
    only: Option<Scalar>,
    fields: Vec<Field>,
    /// By level: the measures that have no value there.
    undefined: Vec<Vec<usize>>,
    /// The groups of coordinates at the deepest level, where they depend on nothing else.
    memo: Option<Vec<GroupId>>,
    /// Net current quantity by account and instrument, where a level groups by its sign.
    directions: Option<Directions>,
    stages: Vec<Stage>,
    /// By part: the stage that serves each level.
    stage_of: Vec<Vec<usize>>,
    /// Groups whose cells are to be computed, by level.
    dirty: Vec<Dirty>,
    computed: Vec<usize>,
}

/// Where the key of a level comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Instrument(usize),
    Account(usize),
    AccountId,
    InstrumentId,
    /// A column of a coordinate.
    Coordinate(usize),
    LongShort,
}

struct Directions {
    nets: HashMap<(PartitionId, Code), Datum>,
    /// What the nets were before the update that is under way.
    before: HashMap<(PartitionId, Code), Datum>,
    /// The codes of SHORT, FLAT and LONG.
    codes: [Datum; 3],
}

#[derive(Default)]
struct Dirty {
    groups: Vec<GroupId>,
    is_dirty: Vec<bool>,
}

const UNKNOWN: GroupId = GroupId::MAX;

/// What every view reads, at one epoch.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    pub legs: &'a LegColumns,
    pub pairs: &'a Pairs,
    pub arrangement: &'a Arrangement,
    pub broadcasts: &'a Broadcasts,
    pub tables: &'a Tables,
}

/// The columns of legs, beyond instrument and portfolio, that a view groups by.
pub fn order_fields(spec: &ViewSpec, legs: &LegColumns) -> Vec<usize> {
    let known = [legs.account, legs.instrument, legs.priced_as, legs.portfolio];
    let of_leg = spec.group_by.iter().filter_map(|name| legs.find(name));
    let mut fields: Vec<usize> = of_leg.filter(|column| !known.contains(column)).collect();
    fields.sort_unstable();
    fields
}

impl Maintained {
    /// A view of nothing yet; [`Self::rebuild`] computes it.
    pub fn new(spec: &ViewSpec, shape: &Shape, base: Base, snapshot: &Snapshot) -> Maintained {
        let coordinates = &base.arrangement.coordinates;
        let field = |name: &String| match (name.as_str(), base.legs.find(name)) {
            ("long_short", _) => Field::LongShort,
            (_, Some(column)) if column == base.legs.account => Field::AccountId,
            (_, Some(column)) if column == base.legs.instrument => Field::InstrumentId,
            (_, Some(column)) => {
                let at = coordinates.columns.iter().position(|&known| known == column);
                Field::Coordinate(at.expect("the arrangement tells legs apart by this field"))
            }
            (name, None) => match base.broadcasts.get("account").find(name) {
                Some(column) if base.broadcasts.get("instrument").find(name).is_none() => {
                    Field::Account(column)
                }
                _ => Field::Instrument(base.broadcasts.get("instrument").column(name)),
            },
        };
        let fields: Vec<Field> = spec.group_by.iter().map(field).collect();
        let by_coordinate = fields
            .iter()
            .all(|field| !matches!(field, Field::AccountId | Field::Account(_) | Field::LongShort));
        let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
        let directions = fields.contains(&Field::LongShort).then(|| Directions {
            nets: HashMap::new(),
            before: HashMap::new(),
            codes: ["SHORT", "FLAT", "LONG"].map(|name| dictionaries.names.intern(name).into()),
        });
        // A sleeve that no row names yet may be named by one later.
        let portfolios = spec
            .portfolios
            .as_ref()
            .map(|names| names.iter().map(|name| dictionaries.names.intern(name)).collect());
        drop(dictionaries);
        let undefined_at = |level: usize| {
            let measures = shape.view.measures.iter().enumerate();
            let fields = &spec.group_by[..level];
            measures.filter(|(_, measure)| !measure.is_defined(fields)).map(|(at, _)| at).collect()
        };
        Maintained {
            accounts: selected(snapshot, &spec.accounts).map(|chosen| chosen.into_iter().collect()),
            portfolios,
            only: shape.only.clone(),
            undefined: (0..=fields.len()).map(undefined_at).collect(),
            memo: by_coordinate.then(Vec::new),
            directions,
            stages: Vec::new(),
            stage_of: vec![Vec::new(); shape.parts().count()],
            dirty: (0..=fields.len()).map(|_| Dirty::default()).collect(),
            computed: vec![0; fields.len() + 1],
            fields,
        }
    }

    /// Computes the view from the net positions.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits.
    pub fn rebuild(&mut self, shape: &Shape, base: Base, groups: &mut Groups) -> Result<()> {
        groups.hide_all();
        self.memo.iter_mut().for_each(Vec::clear);
        self.computed.fill(0);
        self.make_stages(shape, base);
        let mut lines = Lines::new(base.arrangement.summed().len());
        let accounts: Vec<PartitionId> = match &self.accounts {
            None => (0..base.arrangement.accounts()).collect(),
            Some(chosen) => {
                let mut chosen: Vec<_> = chosen.iter().copied().collect();
                chosen.sort_unstable();
                chosen
            }
        };
        if self.directions.is_some() {
            self.count_directions(&accounts, base);
        }
        /// Lines that are added in one go.
        const LINES: usize = 8_192;
        for (at, &account) in accounts.iter().enumerate() {
            let (mut last, mut has) = (None, true);
            base.arrangement.each(account, &mut |coordinate, row, sums| {
                let pair = base.arrangement.coordinates.pair(coordinate);
                if last.replace(pair) != Some(pair) {
                    lines.begin();
                    has = self.has(pair, Side::After, base);
                }
                if has && self.takes(coordinate, base) {
                    lines.push(account, coordinate, Side::After, sums.iter().map(|sum| sum.get(row)));
                }
            });
            if lines.len() >= LINES || at + 1 == accounts.len() {
                let added = self.add(shape, &lines, base, groups, Sums::Later, false)?;
                assert_eq!(added, Added::Done, "all that is present was looked for");
                lines.clear();
            }
        }
        for stage in &mut self.stages {
            stage.sum_up(shape.part(stage.part))?;
        }
        self.finish(shape, groups)
    }

    /// Brings the view to the new epoch. The shape follows the prices already.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits; the view has to be rebuilt then.
    pub fn update(&mut self, shape: &Shape, base: Base, groups: &mut Groups, regroup: bool) -> Result<()> {
        for stage in &mut self.stages {
            stage.reprice(shape.part(stage.part))?;
        }
        let mut lines = Lines::new(base.arrangement.summed().len());
        let touched = &base.arrangement.touched;
        for bucket in touched.buckets.iter().filter(|bucket| self.selects(bucket.account)) {
            if self.has(bucket.pair, Side::Before, base) {
                lines.begin();
                for (coordinate, sums) in touched.before(bucket).filter(|(at, _)| self.takes(*at, base)) {
                    lines.push(bucket.account, coordinate, Side::Before, sums.iter().copied());
                }
            }
            if self.has(bucket.pair, Side::After, base) {
                lines.begin();
                for (coordinate, sums) in touched.after(bucket).filter(|(at, _)| self.takes(*at, base)) {
                    lines.push(bucket.account, coordinate, Side::After, sums.iter().copied());
                }
            }
        }
        if self.directions.is_some() {
            self.turn(&mut lines, base);
        }
        if regroup {
            self.memo.iter_mut().for_each(Vec::clear);
        }
        if !lines.is_empty() && self.add(shape, &lines, base, groups, Sums::Now, regroup)? == Added::Outgrown
        {
            return self.rebuild(shape, base, groups);
        }
        self.finish(shape, groups)
    }

    fn selects(&self, account: PartitionId) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.contains(&account))
    }

    /// Whether the view has rows of a pair's instrument.
    fn has(&self, pair: Pair, side: Side, base: Base) -> bool {
        self.only.as_ref().is_none_or(|only| {
            let instrument = base.broadcasts.get("instrument");
            let number = base
                .tables
                .instruments
                .find(base.pairs.instrument(pair))
                .expect("a leg's instrument is known");
            let mut row = vec![NULL; instrument.columns.len()];
            only.columns(&mut |column| row[column] = looked(instrument, column, number, side));
            only.value(&row) == 1
        })
    }

    fn takes(&self, coordinate: Coordinate, base: Base) -> bool {
        let portfolio = || base.arrangement.coordinates.codes(coordinate)[0];
        self.portfolios.as_ref().is_none_or(|portfolios| portfolios.contains(&portfolio()))
    }

    /// One stage for each part and each way in which levels net lines.
    fn make_stages(&mut self, shape: &Shape, base: Base) {
        self.stages.clear();
        let width = base.arrangement.coordinates.columns.len();
        for (at, priced) in shape.parts().enumerate() {
            let told_at = |level: usize| -> Vec<bool> {
                let by = match (&priced.of.part.net_by, &priced.of.part.nested) {
                    (Some(by), _) => by,
                    (None, Some(nested)) => &nested.by,
                    // Sums of lines are the sums of their rows, so nothing is netted.
                    (None, None) => return vec![true; width],
                };
                let told = base.arrangement.coordinates.columns.iter().map(|column| by.contains(column));
                let mut told: Vec<bool> = told.collect();
                for field in &self.fields[..level] {
                    if let Field::Coordinate(column) = field {
                        told[*column] = true;
                    }
                }
                told
            };
            self.stage_of[at].clear();
            let mut first = 0;
            for level in 0..=self.fields.len() {
                let last = level == self.fields.len()
                    || told_at(level + 1) != told_at(level)
                    || splits_inner_groups(self.fields[level], priced, base);
                self.stage_of[at].push(self.stages.len());
                if last {
                    let relevant = self.relevant(priced, base);
                    self.stages.push(Stage::new(at, priced, first..level + 1, told_at(level), relevant));
                    first = level + 1;
                }
            }
        }
    }

    /// The instruments of inner groups that add anything now.
    fn relevant(&self, priced: Pricing, base: Base) -> Option<Relevant> {
        let nested = priced.of.part.nested.as_ref()?;
        let kept = nested.presence?;
        let key = nested.by.iter().position(|&column| column == base.legs.instrument)?;
        let h = &priced.of.part.factored.kept[kept];
        let mut present: HashSet<Pair> = HashSet::new();
        let crate::plan::scalar::Scalar::Column(column) = h else { return None };
        let sum = base.arrangement.summed().iter().position(|summed| summed == column)?;
        for account in 0..base.arrangement.accounts() {
            if self.selects(account) {
                base.arrangement.each(account, &mut |coordinate, row, sums| {
                    if sums[sum].get(row) != 0 {
                        present.insert(base.arrangement.coordinates.pair(coordinate));
                    }
                });
            }
        }
        let instruments = present.into_iter().map(|pair| base.pairs.instrument(pair).into()).collect();
        Some(Relevant { kept, key, instruments })
    }

    fn count_directions(&mut self, accounts: &[PartitionId], base: Base) {
        let current = current_of(base);
        let mut nets = HashMap::new();
        for &account in accounts {
            base.arrangement.each(account, &mut |coordinate, row, sums| {
                let pair = base.arrangement.coordinates.pair(coordinate);
                if self.takes(coordinate, base) && self.has(pair, Side::After, base) {
                    let instrument = base.pairs.instrument(pair);
                    let net: &mut Datum = nets.entry((account, instrument)).or_default();
                    *net = net.wrapping_add(sums[current].get(row));
                }
            });
        }
        let directions = self.directions.as_mut().expect("a view that groups by direction");
        directions.nets = nets;
        directions.before.clear();
    }

    /// Moves the net quantities by the lines; where a sign turns, all rows of the account and instrument
    /// are taken along.
    fn turn(&mut self, lines: &mut Lines, base: Base) {
        let current = current_of(base);
        let directions = self.directions.as_mut().expect("a view that groups by direction");
        directions.before.clear();
        let mut touched: HashSet<(PartitionId, Pair)> = HashSet::new();
        for line in 0..lines.len() {
            let (account, pair) =
                (lines.accounts[line], base.arrangement.coordinates.pair(lines.coordinates[line]));
            touched.insert((account, pair));
            let key = (account, base.pairs.instrument(pair));
            let net = directions.nets.entry(key).or_default();
            directions.before.entry(key).or_insert(*net);
            *net = net.wrapping_add(lines.sides[line].weight() * lines.sum(current, line));
        }
        let turned = |(key, before): (&(PartitionId, Code), &Datum)| {
            (directions.nets[key].signum() != before.signum()).then_some(*key)
        };
        let mut turned: Vec<_> = directions.before.iter().filter_map(turned).collect();
        turned.sort_unstable();
        let mut rows = Touched::default();
        for (account, instrument) in turned {
            let number = base.tables.instruments.find(instrument).expect("a leg's instrument is known");
            for &pair in base.pairs.grouped_by(number) {
                if touched.contains(&(account, pair)) || !self.has(pair, Side::After, base) {
                    continue;
                }
                let bucket = base.arrangement.rows_of(account, pair, &mut rows);
                for side in [Side::Before, Side::After] {
                    lines.begin();
                    for (coordinate, sums) in rows.after(&bucket).filter(|(at, _)| self.takes(*at, base)) {
                        lines.push(account, coordinate, side, sums.iter().copied());
                    }
                }
            }
        }
    }

    /// Adds lines, each in the groups of its side.
    ///
    /// `regroup` says that what groups are looked up by may have been another value before.
    fn add(
        &mut self,
        shape: &Shape,
        lines: &Lines,
        base: Base,
        groups: &mut Groups,
        sums: Sums,
        regroup: bool,
    ) -> Result<Added> {
        let depth = self.fields.len();
        let legs_at = base.arrangement.summed().iter().position(|&column| column == base.legs.legs);
        let legs_at = legs_at.expect("legs are counted");
        let finest = self.groups_of(lines, base, groups, regroup);
        // What comes first, what goes then: a group that loses and gains a leg was never without one.
        for side in [Side::After, Side::Before] {
            for (line, &group) in finest.iter().enumerate().filter(|(line, _)| lines.sides[*line] == side) {
                groups.count(depth, group, side.weight() * lines.sum(legs_at, line));
            }
        }
        // Stages that net alike see the same lines.
        let mut netted: Vec<(Vec<bool>, Lines, Vec<GroupId>)> = Vec::new();
        for stage in &self.stages {
            if !stage.told.contains(&false) || netted.iter().any(|(told, ..)| *told == stage.told) {
                continue;
            }
            let lines = lines.netted(&base.arrangement.coordinates, &stage.told);
            netted.push((stage.told.clone(), lines, Vec::new()));
        }
        for (_, lines, finest) in &mut netted {
            *finest = self.groups_of(lines, base, groups, regroup);
        }
        for stage in &mut self.stages {
            let (lines, finest) = match netted.iter().find(|(told, ..)| *told == stage.told) {
                Some((_, lines, finest)) => (lines, finest),
                None => (lines, &finest),
            };
            let priced = shape.part(stage.part);
            let level = stage.levels.end - 1;
            let at_level: Vec<GroupId> =
                finest.iter().map(|&group| groups.ancestor(depth, group, level)).collect();
            let coordinates = &base.arrangement.coordinates;
            let keys = priced.of.part.nested.as_ref().map_or(&[][..], |nested| &nested.by);
            let mut wanted = vec![false; base.legs.len() + priced.of.part.beside.len()];
            priced.of.part.factored.kept.iter().for_each(|h| h.columns(&mut |column| wanted[column] = true));
            keys.iter().for_each(|&column| wanted[column] = true);
            priced.of.row_columns(&mut |column| wanted[column] = true);
            let mut columns = lines.columns(
                base.legs,
                base.arrangement.summed(),
                coordinates,
                base.pairs,
                base.tables.accounts.codes(),
                &|column| wanted[column],
            );
            for (beside, &wanted) in priced.of.part.beside.iter().zip(&wanted[base.legs.len()..]) {
                columns.push(if wanted { column_beside(beside, lines, base) } else { Vec::new() });
            }
            let pairs = priced.of.rows(&columns, lines.len(), base.broadcasts, base.tables);
            let pairs =
                pairs.unwrap_or_else(|| lines.coordinates.iter().map(|&at| coordinates.pair(at)).collect());
            let inner_keys: Vec<Vec<Datum>> = keys.iter().map(|&column| columns[column].clone()).collect();
            let signed = |h: &crate::plan::scalar::Scalar| {
                let lane = h.evaluate(&columns, lines.len());
                let delta = |line: usize| match lane.get(line) {
                    NULL => 0,
                    value => lines.sides[line].weight() * value,
                };
                (0..lines.len()).map(delta).collect()
            };
            let deltas: Vec<Vec<Datum>> = priced.of.part.factored.kept.iter().map(signed).collect();
            let part =
                PartLines { groups: &at_level, pairs: &pairs, deltas: &deltas, inner_keys: &inner_keys };
            if stage.add(priced, &part, sums)? == Added::Outgrown {
                return Ok(Added::Outgrown);
            }
        }
        Ok(Added::Done)
    }

    /// The group of each line at the deepest level.
    fn groups_of(&mut self, lines: &Lines, base: Base, groups: &mut Groups, regroup: bool) -> Vec<GroupId> {
        let mut found = Vec::with_capacity(lines.len());
        for line in 0..lines.len() {
            let (account, coordinate, side) =
                (lines.accounts[line], lines.coordinates[line], lines.sides[line]);
            let by_memo = !(regroup && side == Side::Before);
            if by_memo && let Some(memo) = &mut self.memo {
                if memo.len() <= coordinate as usize {
                    memo.resize(base.arrangement.coordinates.len().max(coordinate as usize + 1), UNKNOWN);
                }
                let known = memo[coordinate as usize];
                if known != UNKNOWN {
                    found.push(known);
                    continue;
                }
            }
            let mut group = 0;
            for (level, &field) in self.fields.iter().enumerate() {
                let code = self.code(field, account, coordinate, side, base);
                group = groups.number(level + 1, group, code);
            }
            if by_memo && let Some(memo) = &mut self.memo {
                memo[coordinate as usize] = group;
            }
            found.push(group);
        }
        found
    }

    fn code(
        &self,
        field: Field,
        account: PartitionId,
        coordinate: Coordinate,
        side: Side,
        base: Base,
    ) -> Datum {
        let coordinates = &base.arrangement.coordinates;
        let instrument = || base.pairs.instrument(coordinates.pair(coordinate));
        let looked = |relation: &str, column: usize, number: u32| {
            looked(base.broadcasts.get(relation), column, number, side)
        };
        match field {
            Field::Coordinate(at) => super::arrangement::from_code(coordinates.codes(coordinate)[at]),
            Field::InstrumentId => instrument().into(),
            Field::AccountId => base.tables.accounts.codes()[account as usize].into(),
            Field::Account(column) => looked("account", column, account),
            Field::Instrument(column) => {
                let number = base.tables.instruments.find(instrument()).expect("a leg's instrument is known");
                looked("instrument", column, number)
            }
            Field::LongShort => {
                let directions = self.directions.as_ref().expect("a view that groups by direction");
                let key = (account, instrument());
                let now = directions.nets.get(&key).copied().unwrap_or(0);
                let net = match side {
                    Side::Before => directions.before.get(&key).copied().unwrap_or(now),
                    Side::After => now,
                };
                directions.codes[(net.signum() + 1) as usize]
            }
        }
    }

    /// Turns the aggregates of touched groups into cells; weights follow the total.
    fn finish(&mut self, shape: &Shape, groups: &mut Groups) -> Result<()> {
        let Maintained { stages, stage_of, undefined, dirty, computed, .. } = self;
        for stage in stages.iter_mut() {
            stage.settle(shape.part(stage.part), groups, &mut |level, group| dirty[level].add(group))?;
        }
        let stages = &*stages;
        let mut outputs: Vec<Vec<Datum>> = vec![Vec::new(); shape.parts().count()];
        let (mut row, mut cells) = (Vec::new(), Vec::new());
        let mut nav_moved = false;
        for level in 0..groups.levels.len() {
            // A group that is new has cells to compute, whatever its aggregates.
            let known = std::mem::replace(&mut computed[level], groups.levels[level].len());
            (known..computed[level]).for_each(|group| dirty[level].add(group as GroupId));
            for &group in &dirty[level].groups {
                for (part, outputs) in outputs.iter_mut().enumerate() {
                    let aggregates = stages[stage_of[part][level]].values(level, group);
                    outputs.clear();
                    let of = shape.part(part).of.part.outputs.iter();
                    outputs.extend(of.map(|(_, scalar)| scalar.value(aggregates)));
                }
                row.clear();
                row.extend(shape.reads.iter().map(|&(part, output)| outputs[part][output]));
                cells.clear();
                cells.extend(shape.measures.iter().map(|measure| match measure {
                    MeasureOf::Plain(value) => Cell::new(value.value(&row)),
                    MeasureOf::Graded(value, quality) => {
                        Cell { value: value.value(&row), quality: quality_of(quality.value(&row)) }
                    }
                    MeasureOf::Weight(_) => Cell::EMPTY,
                }));
                undefined[level].iter().for_each(|&at| cells[at] = Cell::EMPTY);
                for (at, measure) in shape.measures.iter().enumerate() {
                    if let MeasureOf::Weight(of) = measure {
                        let nav = if level == 0 { cells[*of] } else { groups.cells(0, 0)[*of] };
                        cells[at] = weight(cells[*of], nav);
                        nav_moved |= level == 0 && groups.cells(0, 0)[*of] != nav;
                    }
                }
                groups.set_cells(level, group, &cells);
            }
            if nav_moved && level > 0 {
                for (at, measure) in shape.measures.iter().enumerate() {
                    let MeasureOf::Weight(of) = measure else { continue };
                    let nav = groups.cells(0, 0)[*of];
                    for group in 0..groups.levels[level].len() as GroupId {
                        let share = weight(groups.cells(level, group)[*of], nav);
                        groups.set_cell(level, group, at, share);
                    }
                }
            }
            dirty[level].clear();
        }
        Ok(())
    }
}

impl Dirty {
    fn add(&mut self, group: GroupId) {
        if self.is_dirty.len() <= group as usize {
            self.is_dirty.resize(group as usize + 1, false);
        }
        if !std::mem::replace(&mut self.is_dirty[group as usize], true) {
            self.groups.push(group);
        }
    }

    fn clear(&mut self) {
        for group in self.groups.drain(..) {
            self.is_dirty[group as usize] = false;
        }
    }
}

/// Whether groups by a field part the lines of an inner group, so that the inner groups above are others.
///
/// Those by columns of coordinates are told apart already.
fn splits_inner_groups(field: Field, priced: Pricing, base: Base) -> bool {
    let Some(nested) = &priced.of.part.nested else { return false };
    let beside = |relation: &str, column: usize| {
        let mut columns = nested.by.iter().filter_map(|by| by.checked_sub(base.legs.len()));
        columns.any(|at| {
            let beside = &priced.of.part.beside[at];
            beside.relation == relation && beside.column == column
        })
    };
    let (account, instrument) =
        (nested.by.contains(&base.legs.account), nested.by.contains(&base.legs.instrument));
    match field {
        Field::Coordinate(_) => false,
        Field::AccountId => !account,
        Field::Account(column) => !account && !beside("account", column),
        Field::InstrumentId => !instrument,
        Field::Instrument(column) => !instrument && !beside("instrument", column),
        Field::LongShort => !account || !instrument,
    }
}

/// A value of a row of a relation that groups lines, as it was or is.
fn looked(relation: &Broadcast, column: usize, number: u32, side: Side) -> Datum {
    match side {
        Side::Before => relation.was(number, column),
        Side::After => relation.columns[column][number as usize],
    }
}

/// A column that lines have beside those of their legs, each as of its side.
fn column_beside(beside: &Beside, lines: &Lines, base: Base) -> Vec<Datum> {
    let relation = base.broadcasts.get(&beside.relation);
    let of_account = beside.by == base.legs.account;
    let value = |line: usize| {
        let number = if of_account {
            lines.accounts[line]
        } else {
            let pair = base.arrangement.coordinates.pair(lines.coordinates[line]);
            base.tables.instruments.find(base.pairs.instrument(pair)).expect("a leg's instrument is known")
        };
        looked(relation, beside.column, number, lines.sides[line])
    };
    (0..lines.len()).map(value).collect()
}

fn current_of(base: Base) -> usize {
    let current = base.arrangement.summed().iter().position(|&column| column == base.legs.current);
    current.expect("current quantities are summed")
}
