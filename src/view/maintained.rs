//! A grouped view kept by deltas: every level a GROUP BY of its own, every part in its incremental form.
//!
//! Net positions that were touched are taken back as they were and added as they are; prices that changed
//! move what is kept by their difference. A line whose group changed moves by the same two steps.

use std::ops::Range;

use hashbrown::HashSet;
use rayon::prelude::*;

use super::arrangement::{Arrangement, Bucket};
use super::broadcast::Broadcasts;
use super::cells::overflow;
use super::cost::{Stopwatch, Touch};
use super::fields::{Field, Fields};
use super::finish::Finishing;
use super::groups::{GroupId, Groups};
use super::legs::LegColumns;
use super::lines::{Lines, Side};
use super::pair::{Pair, Pairs};
use super::recompute::weight;
use super::result::Cell;
use super::selection::{Selection, looked};
use super::shape::{Form, MeasureOf, Pricing, Shape};
use super::slot_rows::SlotRows;
use super::spec::ViewSpec;
use super::spread::RowsOf;
use super::stage::{Added, PartLines, Relevant, Serving, Stage, Sums};
use crate::datum::{Datum, NULL};
use crate::error::Result;
use crate::plan::part::Beside;
use crate::plan::scalar::{Lane, Scalar, Scratch, Values};
use crate::table::Tables;
use crate::table::snapshot::Snapshot;

/// One view: its selection, its levels and what it keeps of them; what it shows stands in [`Groups`].
pub struct Maintained {
    selection: Selection,
    fields: Fields,
    /// By level: the measures that have no value there.
    undefined: Vec<Vec<usize>>,
    wanted: Wanted,
    finishing: Finishing,
    stages: Vec<Stage>,
    /// By part: the stage that serves each level.
    stage_of: Vec<Vec<usize>>,
    /// Groups whose cells are to be computed, by level.
    dirty: Vec<Dirty>,
    computed: Vec<usize>,
    /// The pairs below are read; all of them, and those to come, once the view is complete.
    read_until: Pair,
    /// What was touched since whoever updates it cleared this, and the clock that times it.
    pub touch: Touch,
    pub stopwatch: Stopwatch,
}

/// What a view computes: what it shows, sorts and filters by, and what that reads.
struct Wanted {
    measures: Vec<bool>,
    /// By part: its outputs, and the aggregates they read.
    outputs: Vec<Vec<bool>>,
    aggregates: Vec<Vec<bool>>,
}

/// How lines are added.
#[derive(Debug, Clone, Copy)]
struct Adding {
    sums: Sums,
    /// What groups are looked up by may have been another value before.
    regroup: bool,
}

/// What a pair costs beside its rows, in rows.
const PAIR_ROWS: usize = 64;

#[derive(Default)]
struct Dirty {
    groups: Vec<GroupId>,
    is_dirty: Vec<bool>,
}

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

impl Wanted {
    fn new(spec: &ViewSpec, shown: &[usize], shape: &Shape) -> Wanted {
        let mut measures = vec![false; shape.measures.len()];
        shown.iter().for_each(|&at| measures[at] = true);
        let named = spec.sort.iter().map(|key| &key.column).chain(spec.filter.iter().map(|f| &f.column));
        for name in named {
            if let Some(at) = shape.columns.iter().position(|column| column.name == *name) {
                measures[at] = true;
            }
        }
        for (at, measure) in shape.measures.iter().enumerate() {
            if let MeasureOf::Weight(of) = measure
                && measures[at]
            {
                measures[*of] = true;
            }
        }
        let parts = || shape.parts().map(|priced| &priced.of.part);
        let mut outputs: Vec<Vec<bool>> = parts().map(|part| vec![false; part.outputs.len()]).collect();
        let mut read = |scalar: &Scalar| {
            scalar.columns(&mut |column| {
                let (part, output) = shape.reads[column];
                outputs[part][output] = true;
            });
        };
        for (_, measure) in shape.measures.iter().enumerate().filter(|(at, _)| measures[*at]) {
            match measure {
                MeasureOf::Plain(value) => read(value),
                MeasureOf::Graded(value, quality) => {
                    read(value);
                    read(quality);
                }
                MeasureOf::Weight(_) => {}
            }
        }
        let aggregates = shape.parts().zip(&outputs).map(|(priced, wanted)| {
            let nested = priced.of.part.nested.as_ref();
            let count = nested.map_or(priced.of.aggregates.len(), |nested| nested.sums.len());
            let mut aggregates = vec![false; count];
            for (_, (_, scalar)) in priced.of.part.outputs.iter().enumerate().filter(|(at, _)| wanted[*at]) {
                scalar.columns(&mut |column| aggregates[column] = true);
            }
            aggregates
        });
        Wanted { measures, aggregates: aggregates.collect(), outputs }
    }
}

impl Maintained {
    /// A view of nothing yet; [`Self::rebuild`] computes it. `shown` are the measures it shows.
    pub fn new(
        spec: &ViewSpec,
        shown: &[usize],
        shape: &Shape,
        base: Base,
        snapshot: &Snapshot,
    ) -> Maintained {
        let fields = Fields::new(spec, base.legs, base.arrangement, base.broadcasts, snapshot);
        let undefined_at = |level: usize| {
            let measures = shape.view.measures.iter().enumerate();
            let fields = &spec.group_by[..level];
            measures.filter(|(_, measure)| !measure.is_defined(fields)).map(|(at, _)| at).collect()
        };
        let levels = fields.depth() + 1;
        let wanted = Wanted::new(spec, shown, shape);
        let Wanted { measures, outputs, aggregates } = &wanted;
        Maintained {
            selection: Selection::new(spec, shape.only.clone(), snapshot),
            undefined: (0..levels).map(undefined_at).collect(),
            finishing: Finishing::new(&shape.finish, outputs, aggregates, measures),
            wanted,
            stages: Vec::new(),
            stage_of: vec![Vec::new(); shape.parts().count()],
            dirty: (0..levels).map(|_| Dirty::default()).collect(),
            computed: vec![0; levels],
            read_until: 0,
            touch: Touch::default(),
            stopwatch: Stopwatch::default(),
            fields,
        }
    }

    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// How many of the pairs are read, where it is not complete.
    pub fn read_of(&self, base: Base) -> Option<(usize, usize)> {
        let all = base.arrangement.slots().len();
        (self.read_until != Pair::MAX).then_some((self.read_until as usize, all))
    }

    /// Computes the view from the net positions.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits.
    pub fn rebuild(&mut self, shape: &Shape, base: Base, groups: &mut Groups) -> Result<()> {
        self.begin(shape, base, groups);
        self.advance(shape, base, groups, usize::MAX)?;
        self.complete(shape, base, groups)
    }

    /// Starts to compute the view from the net positions, pair by pair.
    ///
    /// Between [`Self::advance`] and the next one [`Self::update`] may bring it to a new epoch.
    pub fn begin(&mut self, shape: &Shape, base: Base, groups: &mut Groups) {
        self.touch.anew = true;
        groups.hide_all();
        self.fields.restart();
        self.computed.fill(0);
        self.make_stages(shape, base);
        self.read_until = 0;
    }

    /// Whether all net positions are read; [`Self::complete`] follows.
    pub fn is_read(&self, base: Base) -> bool {
        self.read_until as usize >= base.arrangement.slots().len()
    }

    /// Reads the net positions of some more pairs: of about so many rows.
    ///
    /// # Errors
    /// As [`Self::rebuild`].
    pub fn advance(&mut self, shape: &Shape, base: Base, groups: &mut Groups, rows_max: usize) -> Result<()> {
        let mut rows_left = rows_max;
        // A direction is the sign of a net over all pairs of an instrument: all are counted before one is read.
        if let Some(counted) = self.fields.counted_until() {
            let pairs = self.some_pairs(counted, base, &mut rows_left);
            self.fields.count_directions(&self.selection, base, pairs);
        }
        let pairs = self.some_pairs(self.read_until, base, &mut rows_left);
        self.read_until = pairs.end;
        if self.fields.by_direction() {
            if self.add_rows(shape, base, groups, pairs, &|_| true, &|_| true)? == Added::Outgrown {
                self.begin(shape, base, groups);
            }
            return Ok(());
        }
        self.place(base, groups, pairs.clone());
        self.keep(shape, base, groups, pairs.clone())?;
        let by_lines = |stage: &Stage| stage.is_read() && !is_kept_whole(stage, shape);
        let mut relevant: Option<HashSet<Datum>> = Some(HashSet::new());
        for stage in self.stages.iter().filter(|stage| by_lines(stage)) {
            match (&mut relevant, stage.relevant()) {
                (Some(all), Some(of)) => all.extend(&of.instruments),
                _ => relevant = None,
            }
        }
        let has = |pair: Pair| {
            relevant.as_ref().is_none_or(|all| all.contains(&Datum::from(base.pairs.instrument(pair))))
        };
        if self.add_rows(shape, base, groups, pairs.clone(), &has, &by_lines)? == Added::Outgrown {
            self.begin(shape, base, groups);
            return Ok(());
        }
        let Maintained { stages, fields, selection, .. } = self;
        if stages.iter().any(Stage::is_spread) {
            let rows = RowsOf::new(selection, fields, groups, base, pairs.end);
            for stage in stages.iter_mut().filter(|stage| stage.is_spread()) {
                stage.read(shape.part(stage.part), rows, pairs.clone())?;
            }
        }
        Ok(())
    }

    /// The next pairs that have about so many rows.
    fn some_pairs(&self, from: Pair, base: Base, rows_left: &mut usize) -> Range<Pair> {
        let slots = base.arrangement.slots();
        let mut until = from;
        while (until as usize) < slots.len() && *rows_left > 0 {
            let rows = PAIR_ROWS + self.selection.rows_about(&slots[until as usize]);
            *rows_left = rows_left.saturating_sub(rows);
            until += 1;
        }
        from..until
    }

    /// Turns what was read into what is shown, at the prices of the epoch.
    ///
    /// # Errors
    /// As [`Self::rebuild`].
    pub fn complete(&mut self, shape: &Shape, base: Base, groups: &mut Groups) -> Result<()> {
        assert!(self.is_read(base), "a view is complete once all is read");
        for stage in &mut self.stages {
            stage.sum_up(shape.part(stage.part))?;
        }
        self.read_until = Pair::MAX;
        self.finish(shape, groups)
    }

    /// Brings the view to the new epoch, or what of it is read so far. The shape follows the prices already.
    ///
    /// # Errors
    /// `Data` where a sum leaves 128 bits; the view has to be rebuilt then.
    pub fn update(&mut self, shape: &Shape, base: Base, groups: &mut Groups, regroup: bool) -> Result<()> {
        let is_whole = self.read_until == Pair::MAX;
        if is_whole {
            for stage in self.stages.iter_mut().filter(|stage| !stage.is_spread()) {
                stage.reprice(shape.part(stage.part), None)?;
            }
        }
        let mut lines = Lines::new(base.arrangement.summed().len());
        let touched = &base.arrangement.touched;
        let selection = &self.selection;
        // Directions are counted before they are read.
        let until = self.fields.counted_until().unwrap_or(match self.fields.by_direction() {
            true => Pair::MAX,
            false => self.read_until,
        });
        let is_touched = |bucket: &&Bucket| bucket.pair < until && selection.has_account(bucket.account);
        for bucket in touched.buckets.iter().filter(is_touched) {
            let is_of = |coordinate| selection.has_coordinate(coordinate, base);
            if selection.has_pair(bucket.pair, Side::Before, base) {
                lines.begin();
                for (coordinate, sums) in touched.before(bucket).filter(|(at, _)| is_of(*at)) {
                    lines.push(bucket.account, coordinate, Side::Before, sums.iter().copied());
                }
            }
            if selection.has_pair(bucket.pair, Side::After, base) {
                lines.begin();
                for (coordinate, sums) in touched.after(bucket).filter(|(at, _)| is_of(*at)) {
                    lines.push(bucket.account, coordinate, Side::After, sums.iter().copied());
                }
            }
        }
        self.fields.turn(&mut lines, selection, base, self.read_until);
        self.touch.lines = lines.len();
        if regroup {
            self.fields.forget();
        }
        if !lines.is_empty() {
            let finest = self.fields.groups_of(&lines, base, groups, regroup);
            self.count(&lines, &finest, base, groups);
            let adding = Adding { sums: if is_whole { Sums::Now } else { Sums::Later }, regroup };
            if self.add(shape, &lines, finest, base, groups, adding, &|_| true)? == Added::Outgrown {
                match is_whole {
                    true => return self.rebuild(shape, base, groups),
                    false => self.begin(shape, base, groups),
                }
            }
        }
        if self.stages.iter().any(Stage::is_spread) {
            if regroup {
                let pairs = base.arrangement.slots().len() as Pair;
                self.place(base, groups, 0..pairs.min(self.read_until));
            }
            let Maintained { stages, fields, selection, read_until, .. } = self;
            let rows = RowsOf::new(selection, fields, groups, base, *read_until);
            for stage in stages.iter_mut().filter(|stage| stage.is_spread()) {
                stage.reprice(shape.part(stage.part), Some(rows))?;
            }
        }
        if is_whole { self.finish(shape, groups) } else { Ok(()) }
    }

    /// One stage for each part and each way in which levels net lines.
    fn make_stages(&mut self, shape: &Shape, base: Base) {
        self.stages.clear();
        let width = base.arrangement.coordinates.columns.len();
        let depth = self.fields.depth();
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
                for field in self.fields.down_to(level) {
                    if let Field::Coordinate(column) = field {
                        told[*column] = true;
                    }
                }
                told
            };
            self.stage_of[at].clear();
            let mut first = 0;
            for level in 0..=depth {
                let last = level == depth
                    || told_at(level + 1) != told_at(level)
                    || self.fields.splits_inner_groups(level, priced, base);
                self.stage_of[at].push(self.stages.len());
                if last {
                    let serving = Serving {
                        part: at,
                        levels: first..level + 1,
                        told: told_at(level),
                        relevant: self.relevant(priced, base),
                        by_account: level == depth
                            && !self.fields.by_direction()
                            && self.fields.down_to(level).contains(&Field::AccountId),
                        wanted: self.wanted.aggregates[at].clone(),
                    };
                    self.stages.push(Stage::new(priced, serving));
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
        let Scalar::Column(column) = &priced.of.part.factored.kept[kept] else { return None };
        let sum = base.arrangement.summed().iter().position(|summed| summed == column)?;
        let mut instruments = HashSet::new();
        for (pair, slot) in base.arrangement.slots().iter().enumerate() {
            if slot.is_empty() || slot.sums()[sum].is_zero() {
                continue;
            }
            let present = |row: usize| slot.sums()[sum].get(row) != 0;
            let is_present = match self.selection.rows(slot, base) {
                None => (0..slot.len()).any(present),
                Some(rows) => rows.into_iter().any(|row| present(row as usize)),
            };
            if is_present {
                instruments.insert(base.pairs.instrument(pair as Pair).into());
            }
        }
        Some(Relevant { kept, key, instruments })
    }

    /// Finds the group of every row of some pairs.
    fn place(&mut self, base: Base, groups: &mut Groups, pairs: Range<Pair>) {
        let Maintained { fields, selection, .. } = self;
        for pair in pairs {
            let slot = &base.arrangement.slots()[pair as usize];
            if slot.is_empty() || !selection.has_pair(pair, Side::After, base) {
                continue;
            }
            let mut place = |row: usize| {
                fields.group(slot.accounts()[row], slot.coordinate(row), Side::After, base, groups);
            };
            match selection.rows(slot, base) {
                None => (0..slot.len()).for_each(&mut place),
                Some(rows) => rows.into_iter().for_each(|row| place(row as usize)),
            }
        }
    }

    /// Counts the legs of the groups of some pairs, and adds up what is kept of all their rows, where that can
    /// be told column by column.
    fn keep(&mut self, shape: &Shape, base: Base, groups: &mut Groups, pairs: Range<Pair>) -> Result<()> {
        struct Kept {
            pair: Pair,
            places: Vec<GroupId>,
            legs: Vec<Datum>,
            /// By stage that is kept whole: place after place, one for each of what is kept.
            stages: Vec<Vec<Datum>>,
        }
        let Maintained { stages, fields, selection, .. } = self;
        let placed = fields.placed().expect("directions are counted line by line");
        let legs_at = base.arrangement.summed().iter().position(|&column| column == base.legs.legs);
        let legs = Form::Sum(legs_at.expect("legs are counted"));
        let depth = fields.depth();
        let groups_now = &*groups;
        let whole = |stage: &&Stage| stage.is_read() && is_kept_whole(stage, shape) && !stage.is_spread();
        let kept_whole: Vec<&Stage> = stages.iter().filter(whole).collect();
        let of_pair = |pair: Pair| -> Result<Option<Kept>> {
            if !selection.has_pair(pair, Side::After, base) {
                return Ok(None);
            }
            let Some(rows) = SlotRows::new(pair, selection, placed, base) else { return Ok(None) };
            let mut places = Vec::new();
            let rows = rows.by_place(&mut places);
            let mut counted = vec![0; places.len()];
            let mut fits = rows.add(&legs, 1, &mut counted);
            let mut all = Vec::with_capacity(kept_whole.len());
            let mut sums = vec![0; places.len()];
            for stage in &kept_whole {
                let forms = shape.part(stage.part).of.forms.as_ref().expect("it is kept whole");
                let above = |group| groups_now.ancestor(depth, group, stage.levels.end - 1);
                let nets = match stage.told.contains(&false) && !forms.iter().all(Form::adds_up) {
                    true => rows.nets(&stage.told, &above, selection, placed, base),
                    false => Vec::new(),
                };
                let mut kept = vec![0; places.len() * forms.len()];
                for (at, form) in forms.iter().enumerate().filter(|(at, _)| stage.reads(*at)) {
                    sums.fill(0);
                    fits &= rows.add(form, 1, &mut sums);
                    let place = |group: GroupId| places.binary_search(&group).expect("a net is of its rows");
                    fits &= rows.correct(&nets, form, 1, place, &mut sums);
                    for (place, &sum) in sums.iter().enumerate() {
                        kept[place * forms.len() + at] = sum;
                    }
                }
                all.push(kept);
            }
            if !fits {
                return Err(overflow());
            }
            Ok(Some(Kept { pair, places, legs: counted, stages: all }))
        };
        let kept: Vec<Option<Kept>> = pairs.into_par_iter().map(of_pair).collect::<Result<_>>()?;
        for Kept { pair, places, legs, stages: all } in kept.into_iter().flatten() {
            for (&group, &legs) in places.iter().zip(&legs) {
                groups.count(depth, group, legs);
            }
            for (stage, kept) in stages.iter_mut().filter(|stage| whole(&&**stage)).zip(&all) {
                let priced = shape.part(stage.part);
                let level = stage.levels.end - 1;
                let width = priced.of.part.factored.kept.len();
                for (&group, kept) in places.iter().zip(kept.chunks_exact(width.max(1))) {
                    let group = groups.ancestor(depth, group, level);
                    if kept.iter().any(|&kept| kept != 0) {
                        stage.keep(priced, group, pair, kept)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds all rows of some pairs to some stages, line by line, sums to be computed later.
    fn add_rows(
        &mut self,
        shape: &Shape,
        base: Base,
        groups: &mut Groups,
        pairs: Range<Pair>,
        has: &dyn Fn(Pair) -> bool,
        to: &dyn Fn(&Stage) -> bool,
    ) -> Result<Added> {
        /// Lines that are added in one go.
        const LINES: usize = 8_192;
        let mut lines = Lines::new(base.arrangement.summed().len());
        let last_pair = pairs.end;
        for pair in pairs {
            let slot = &base.arrangement.slots()[pair as usize];
            if !slot.is_empty() && has(pair) && self.selection.has_pair(pair, Side::After, base) {
                let rows = match self.selection.rows(slot, base) {
                    None => (0..slot.len() as u32).collect(),
                    Some(rows) => rows,
                };
                // Rows of one account are netted with each other, so they come together.
                let (several, alone): (Vec<u32>, Vec<u32>) = rows
                    .into_iter()
                    .partition(|&row| slot.several().contains(&slot.accounts()[row as usize]));
                let mut several = several;
                several.sort_unstable_by_key(|&row| (slot.accounts()[row as usize], row));
                let mut last = None;
                for (row, is_alone) in alone
                    .into_iter()
                    .map(|row| (row, true))
                    .chain(several.into_iter().map(|row| (row, false)))
                {
                    let row = row as usize;
                    let account = slot.accounts()[row];
                    if is_alone || last != Some(account) {
                        lines.begin();
                        last = Some(account);
                    }
                    let sums = slot.sums().iter().map(|sum| sum.get(row));
                    lines.push(account, slot.coordinate(row), Side::After, sums);
                }
            }
            if lines.len() >= LINES || pair + 1 == last_pair {
                let finest = self.fields.groups_of(&lines, base, groups, false);
                if self.fields.by_direction() {
                    self.count(&lines, &finest, base, groups);
                }
                let adding = Adding { sums: Sums::Later, regroup: false };
                let added = self.add(shape, &lines, finest, base, groups, adding, to)?;
                if added == Added::Outgrown {
                    return Ok(Added::Outgrown);
                }
                lines.clear();
            }
        }
        Ok(Added::Done)
    }

    /// Counts the legs of groups at the deepest level.
    fn count(&self, lines: &Lines, finest: &[GroupId], base: Base, groups: &mut Groups) {
        let legs_at = base.arrangement.summed().iter().position(|&column| column == base.legs.legs);
        let legs_at = legs_at.expect("legs are counted");
        // What comes first, what goes then: a group that loses and gains a leg was never without one.
        for side in [Side::After, Side::Before] {
            for (line, &group) in finest.iter().enumerate().filter(|(line, _)| lines.sides[*line] == side) {
                groups.count(self.fields.depth(), group, side.weight() * lines.sum(legs_at, line));
            }
        }
    }

    /// Adds lines, each in the group of its side, to some stages.
    #[allow(clippy::too_many_arguments)]
    fn add(
        &mut self,
        shape: &Shape,
        lines: &Lines,
        finest: Vec<GroupId>,
        base: Base,
        groups: &mut Groups,
        Adding { sums, regroup }: Adding,
        to: &dyn Fn(&Stage) -> bool,
    ) -> Result<Added> {
        let Maintained { stages, fields, .. } = self;
        let depth = fields.depth();
        let mut stages: Vec<&mut Stage> =
            stages.iter_mut().filter(|stage| stage.is_read() && to(stage)).collect();
        // Stages that net alike see the same lines.
        let mut netted: Vec<(Vec<bool>, Lines, Vec<GroupId>)> = Vec::new();
        for stage in &stages {
            if !stage.told.contains(&false) || netted.iter().any(|(told, ..)| *told == stage.told) {
                continue;
            }
            let lines = lines.netted(&base.arrangement.coordinates, &stage.told);
            let finest = fields.groups_of(&lines, base, groups, regroup);
            netted.push((stage.told.clone(), lines, finest));
        }
        for stage in &mut stages {
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
            let kept = || priced.of.part.factored.kept.iter().enumerate().map(|(at, h)| (stage.reads(at), h));
            kept()
                .filter(|(read, _)| *read)
                .for_each(|(_, h)| h.columns(&mut |column| wanted[column] = true));
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
            let lanes: Vec<Lane> = columns.iter().map(|column| Lane::Wide(column)).collect();
            let of_part = &priced.of.kept;
            let read: Vec<usize> = (0..of_part.len()).filter(|&at| stage.reads(at)).collect();
            let mut kept = vec![Values::default(); of_part.len()];
            of_part.evaluate_into(&read, &lanes, lines.len(), &mut Scratch::default(), &mut kept);
            let signed = |(at, kept): (usize, &Values)| {
                if !stage.reads(at) {
                    return vec![0; lines.len()];
                }
                let lane = kept.lane();
                let delta = |line: usize| match lane.get(line) {
                    NULL => 0,
                    value => lines.sides[line].weight() * value,
                };
                (0..lines.len()).map(delta).collect()
            };
            let deltas: Vec<Vec<Datum>> = kept.iter().enumerate().map(signed).collect();
            let part = PartLines {
                sides: &lines.sides,
                groups: &at_level,
                pairs: &pairs,
                deltas: &deltas,
                inner_keys: &inner_keys,
            };
            if stage.add(priced, &part, sums, groups.levels[level].len())? == Added::Outgrown {
                return Ok(Added::Outgrown);
            }
        }
        Ok(Added::Done)
    }

    /// Turns the aggregates of touched groups into cells; weights follow the total.
    fn finish(&mut self, shape: &Shape, groups: &mut Groups) -> Result<()> {
        let began = self.stopwatch.read();
        let Maintained { stages, stage_of, undefined, wanted, dirty, computed, finishing, touch, .. } = self;
        for stage in stages.iter_mut() {
            stage.settle(shape.part(stage.part), groups, &mut |level, group| dirty[level].add(group))?;
        }
        for (level, dirty) in dirty.iter_mut().enumerate() {
            // A group that is new has cells to compute, whatever its aggregates.
            let known = std::mem::replace(&mut computed[level], groups.levels[level].len());
            (known..computed[level]).for_each(|group| dirty.add(group as GroupId));
            touch.groups += dirty.groups.len();
        }
        // The total first: weights are shares of it.
        let of_level = |(level, dirty): (usize, &Dirty)| {
            dirty.groups.iter().map(|&group| (level, group)).collect::<Vec<_>>()
        };
        let moved: Vec<(usize, GroupId)> = dirty.iter().enumerate().flat_map(of_level).collect();
        let weights = shape.measures.iter().enumerate().filter_map(|(at, measure)| match measure {
            MeasureOf::Weight(of) if wanted.measures[at] => Some((at, *of)),
            _ => None,
        });
        let weights: Vec<(usize, usize)> = weights.collect();
        let mut nav_moved = false;
        let values = |part: usize, level: usize, group| stages[stage_of[part][level]].values(level, group);
        finishing.evaluate(&shape.finish, &moved, &values, &mut |level, group, cells| {
            undefined[level].iter().for_each(|&at| cells[at] = Cell::EMPTY);
            for &(at, of) in &weights {
                let held = groups.cells(0, 0)[of];
                let nav = if level == 0 { cells[of] } else { held };
                cells[at] = weight(cells[of], nav);
                nav_moved |= held != nav;
            }
            groups.set_cells(level, group, cells);
        });
        if nav_moved {
            for (level, dirty) in dirty.iter().enumerate().skip(1) {
                let rest = (0..groups.levels[level].len() as GroupId).filter(|&group| !dirty.has(group));
                for group in rest {
                    for &(at, of) in &weights {
                        let share = weight(groups.cells(level, group)[of], groups.cells(0, 0)[of]);
                        groups.set_cell(level, group, at, share);
                    }
                }
            }
        }
        dirty.iter_mut().for_each(Dirty::clear);
        self.touch.cells = self.stopwatch.since(began);
        Ok(())
    }
}

impl Dirty {
    fn has(&self, group: GroupId) -> bool {
        self.is_dirty.get(group as usize) == Some(&true)
    }

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

/// Whether what a stage keeps of rows is told by their sums.
fn is_kept_whole(stage: &Stage, shape: &Shape) -> bool {
    shape.part(stage.part).of.forms.is_some()
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
            base.pairs.instrument_number(pair)
        };
        looked(relation, beside.column, number, lines.sides[line])
    };
    (0..lines.len()).map(value).collect()
}
