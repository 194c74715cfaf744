//! The fields of a view's levels: where each comes from, and which group a net position is in by them.
//!
//! A group depends on what a coordinate tells (its instrument, portfolio, fields of orders), on what an
//! account tells, and perhaps on the sign of a net. All coordinates that tell the same are one class, so
//! that the group of a row is found by two array accesses, whatever the number of levels.

use std::ops::Range;

use hashbrown::{HashMap, HashSet};

use super::arrangement::{Arrangement, Coordinate, Touched, from_code};
use super::broadcast::Broadcasts;
use super::groups::{GroupId, Groups};
use super::legs::LegColumns;
use super::lines::{Lines, Side};
use super::maintained::Base;
use super::pair::Pair;
use super::selection::{Selection, looked};
use super::shape::Pricing;
use super::spec::ViewSpec;
use crate::datum::Datum;
use crate::dictionary::Code;
use crate::table::PartitionId;
use crate::table::snapshot::Snapshot;

const UNKNOWN: u32 = u32::MAX;

pub struct Fields {
    fields: Vec<Field>,
    memo: Option<Memo>,
    /// Net current quantity by account and instrument, where a level groups by its sign.
    directions: Option<Directions>,
}

/// Where the key of a level comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Instrument(usize),
    Account(usize),
    AccountId,
    InstrumentId,
    /// A column of a coordinate.
    Coordinate(usize),
    LongShort,
}

/// The groups of rows at the deepest level, as far as they were asked for.
#[derive(Default)]
struct Memo {
    /// By coordinate.
    classes: Vec<u32>,
    /// By what a coordinate tells of each level.
    numbers: HashMap<Vec<Datum>, u32>,
    /// By class: by account, or one for all accounts where they tell nothing.
    groups: Vec<Vec<GroupId>>,
}

struct Directions {
    /// The nets of the pairs below are counted: all of them, once all there were are.
    counted_until: Pair,
    /// By account: by instrument. In many small tables, none of which takes long to grow.
    nets: Vec<HashMap<Code, Datum>>,
    /// What the nets were before the update that is under way.
    before: HashMap<(PartitionId, Code), Datum>,
    /// The codes of SHORT, FLAT and LONG.
    codes: [Datum; 3],
}

/// The groups of all rows of a view, once each was asked for.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    memo: &'a Memo,
    by_account: bool,
}

impl<'a> Placed<'a> {
    /// The group of a row of an account.
    #[inline]
    pub fn group(&self, coordinate: Coordinate, account: PartitionId) -> GroupId {
        let place = if self.by_account { account as usize } else { 0 };
        self.memo.groups[self.memo.classes[coordinate as usize] as usize][place]
    }

    /// A coordinate for all of these, where rows of all of them are in the same group if they are of the same
    /// account; no row has a coordinate that was never asked for.
    pub fn alike(&self, coordinates: &[Coordinate]) -> Option<Coordinate> {
        let class =
            |at: Coordinate| self.memo.classes.get(at as usize).copied().filter(|&class| class != UNKNOWN);
        let mut known = coordinates.iter().filter_map(|&at| class(at).map(|class| (at, class)));
        let (first, of_first) = known.next()?;
        known.all(|(_, class)| class == of_first).then_some(first)
    }

    /// The groups of a coordinate's rows by account, or the only one.
    #[inline]
    pub fn groups(&self, coordinate: Coordinate) -> Result<&'a [GroupId], GroupId> {
        let groups = &self.memo.groups[self.memo.classes[coordinate as usize] as usize];
        if self.by_account { Ok(groups) } else { Err(groups[0]) }
    }
}

impl Fields {
    pub fn new(
        spec: &ViewSpec,
        legs: &LegColumns,
        arrangement: &Arrangement,
        broadcasts: &Broadcasts,
        snapshot: &Snapshot,
    ) -> Fields {
        let coordinates = &arrangement.coordinates;
        let field = |name: &String| match (name.as_str(), legs.find(name)) {
            ("long_short", _) => Field::LongShort,
            (_, Some(column)) if column == legs.account => Field::AccountId,
            (_, Some(column)) if column == legs.instrument => Field::InstrumentId,
            (_, Some(column)) => {
                let at = coordinates.columns.iter().position(|&known| known == column);
                Field::Coordinate(at.expect("the arrangement tells legs apart by this field"))
            }
            (name, None) => match broadcasts.get("account").find(name) {
                Some(column) if broadcasts.get("instrument").find(name).is_none() => Field::Account(column),
                _ => Field::Instrument(broadcasts.get("instrument").column(name)),
            },
        };
        let fields: Vec<Field> = spec.group_by.iter().map(field).collect();
        let directions = fields.contains(&Field::LongShort).then(|| {
            let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
            Directions {
                counted_until: 0,
                nets: Vec::new(),
                before: HashMap::new(),
                codes: ["SHORT", "FLAT", "LONG"].map(|name| dictionaries.names.intern(name).into()),
            }
        });
        Fields { memo: directions.is_none().then(Memo::default), directions, fields }
    }

    pub fn depth(&self) -> usize {
        self.fields.len()
    }

    /// The field of a level, counted from the one below the total.
    pub fn get(&self, level: usize) -> Field {
        self.fields[level]
    }

    /// The fields down to a level.
    pub fn down_to(&self, level: usize) -> &[Field] {
        &self.fields[..level]
    }

    pub fn by_direction(&self) -> bool {
        self.directions.is_some()
    }

    /// Forgets everything: all rows are read anew.
    pub fn restart(&mut self) {
        self.forget();
        if let Some(directions) = &mut self.directions {
            directions.counted_until = 0;
            directions.nets.clear();
            directions.before.clear();
        }
    }

    /// The pairs below are counted, where directions are and not all are yet.
    pub fn counted_until(&self) -> Option<Pair> {
        let counted = self.directions.as_ref().map(|directions| directions.counted_until);
        counted.filter(|&until| until != Pair::MAX)
    }

    /// Forgets where rows are: what they are grouped by may be another value now.
    pub fn forget(&mut self) {
        if let Some(memo) = &mut self.memo {
            *memo = Memo::default();
        }
    }

    /// The groups of rows, where they depend on no direction; of those only that were asked for.
    pub fn placed(&self) -> Option<Placed<'_>> {
        let by_account = self.fields.iter().any(|field| tells(*field) == Teller::Account);
        self.memo.as_ref().map(|memo| Placed { memo, by_account })
    }

    /// The group of each line at the deepest level.
    ///
    /// `regroup` says that what lines were grouped by before may have been another value.
    pub fn groups_of(
        &mut self,
        lines: &Lines,
        base: Base,
        groups: &mut Groups,
        regroup: bool,
    ) -> Vec<GroupId> {
        let group = |line: usize| {
            let (account, coordinate, side) =
                (lines.accounts[line], lines.coordinates[line], lines.sides[line]);
            match regroup && side == Side::Before {
                true => self.number(account, coordinate, side, base, groups),
                false => self.group(account, coordinate, side, base, groups),
            }
        };
        (0..lines.len()).map(group).collect()
    }

    /// The group of a row, from memory where it is known.
    pub fn group(
        &mut self,
        account: PartitionId,
        coordinate: Coordinate,
        side: Side,
        base: Base,
        groups: &mut Groups,
    ) -> GroupId {
        let Some(memo) = &mut self.memo else { return self.number(account, coordinate, side, base, groups) };
        if memo.classes.len() <= coordinate as usize {
            memo.classes.resize(base.arrangement.coordinates.len().max(coordinate as usize + 1), UNKNOWN);
        }
        let mut class = memo.classes[coordinate as usize];
        if class == UNKNOWN {
            let told = self.fields.iter().map(|&field| match tells(field) {
                Teller::Coordinate => code(field, 0, coordinate, Side::After, None, base),
                _ => 0,
            });
            let next = memo.numbers.len() as u32;
            class = *memo.numbers.entry(told.collect()).or_insert(next);
            memo.classes[coordinate as usize] = class;
            if class == next {
                memo.groups.push(Vec::new());
            }
        }
        let by_account = self.fields.iter().any(|field| tells(*field) == Teller::Account);
        let (of, place) = (class as usize, if by_account { account as usize } else { 0 });
        if memo.groups[of].len() <= place {
            let accounts = if by_account { base.tables.accounts.len() } else { 1 };
            memo.groups[of].resize(accounts.max(place + 1), UNKNOWN);
        }
        let known = memo.groups[of][place];
        if known != UNKNOWN {
            return known;
        }
        let group = self.number(account, coordinate, Side::After, base, groups);
        self.memo.as_mut().expect("it was just there").groups[of][place] = group;
        group
    }

    /// The group of a row by its codes.
    fn number(
        &self,
        account: PartitionId,
        coordinate: Coordinate,
        side: Side,
        base: Base,
        groups: &mut Groups,
    ) -> GroupId {
        let mut group = 0;
        for (level, &field) in self.fields.iter().enumerate() {
            let code = code(field, account, coordinate, side, self.directions.as_ref(), base);
            group = groups.number(level + 1, group, code);
        }
        group
    }

    /// Whether groups by the field of a level part the lines of an inner group, so that the inner groups
    /// above are others.
    ///
    /// Those by columns of coordinates are told apart already.
    pub fn splits_inner_groups(&self, level: usize, priced: Pricing, base: Base) -> bool {
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
        match self.fields[level] {
            Field::Coordinate(_) => false,
            Field::AccountId => !account,
            Field::Account(column) => !account && !beside("account", column),
            Field::InstrumentId => !instrument,
            Field::Instrument(column) => !instrument && !beside("instrument", column),
            Field::LongShort => !account || !instrument,
        }
    }

    /// Computes the net quantities whose signs are grouped by of some more pairs, if any are.
    pub fn count_directions(&mut self, selection: &Selection, base: Base, pairs: Range<Pair>) {
        let Some(directions) = &mut self.directions else { return };
        let current = current_of(base);
        let slots = base.arrangement.slots();
        directions.counted_until = if pairs.end as usize == slots.len() { Pair::MAX } else { pairs.end };
        for pair in pairs {
            let slot = &slots[pair as usize];
            if slot.is_empty() || !selection.has_pair(pair, Side::After, base) {
                continue;
            }
            let instrument = base.pairs.instrument(pair);
            let mut count = |row: usize| {
                let net = directions.net(slot.accounts()[row], instrument);
                *net = net.wrapping_add(slot.sums()[current].get(row));
            };
            match selection.rows(slot, base) {
                None => (0..slot.len()).for_each(&mut count),
                Some(rows) => rows.into_iter().for_each(|row| count(row as usize)),
            }
        }
    }

    /// Moves the net quantities by the lines; where a sign turns, all rows of the account and instrument
    /// are taken along. Of pairs that are not read yet no line remains.
    pub fn turn(&mut self, lines: &mut Lines, selection: &Selection, base: Base, read_until: Pair) {
        let Some(directions) = &mut self.directions else { return };
        let current = current_of(base);
        directions.before.clear();
        let mut touched: HashSet<(PartitionId, Pair)> = HashSet::new();
        for line in 0..lines.len() {
            let (account, pair) =
                (lines.accounts[line], base.arrangement.coordinates.pair(lines.coordinates[line]));
            touched.insert((account, pair));
            let key = (account, base.pairs.instrument(pair));
            let net = directions.net(key.0, key.1);
            let before = *net;
            *net = net.wrapping_add(lines.sides[line].weight() * lines.sum(current, line));
            directions.before.entry(key).or_insert(before);
        }
        lines.retain(&|coordinate| base.arrangement.coordinates.pair(coordinate) < read_until);
        let turned = |(key, before): (&(PartitionId, Code), &Datum)| {
            (directions.now(key.0, key.1).signum() != before.signum()).then_some(*key)
        };
        let mut turned: Vec<_> = directions.before.iter().filter_map(turned).collect();
        turned.sort_unstable();
        let mut rows = Touched::default();
        for (account, instrument) in turned {
            let number = base.tables.instruments.find(instrument).expect("a leg's instrument is known");
            for &pair in base.pairs.grouped_by(number) {
                if pair >= read_until
                    || touched.contains(&(account, pair))
                    || !selection.has_pair(pair, Side::After, base)
                {
                    continue;
                }
                let bucket = base.arrangement.rows_of(account, pair, &mut rows);
                for side in [Side::Before, Side::After] {
                    lines.begin();
                    let taken = rows.after(&bucket).filter(|(at, _)| selection.has_coordinate(*at, base));
                    for (coordinate, sums) in taken {
                        lines.push(account, coordinate, side, sums.iter().copied());
                    }
                }
            }
        }
    }
}

impl Directions {
    fn net(&mut self, account: PartitionId, instrument: Code) -> &mut Datum {
        if self.nets.len() <= account as usize {
            self.nets.resize_with(account as usize + 1, HashMap::new);
        }
        self.nets[account as usize].entry(instrument).or_default()
    }

    fn now(&self, account: PartitionId, instrument: Code) -> Datum {
        let of_account = self.nets.get(account as usize);
        of_account.and_then(|nets| nets.get(&instrument)).copied().unwrap_or(0)
    }
}

/// What decides a field's value for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Teller {
    Coordinate,
    Account,
    Both,
}

fn tells(field: Field) -> Teller {
    match field {
        Field::Instrument(_) | Field::InstrumentId | Field::Coordinate(_) => Teller::Coordinate,
        Field::Account(_) | Field::AccountId => Teller::Account,
        Field::LongShort => Teller::Both,
    }
}

fn code(
    field: Field,
    account: PartitionId,
    coordinate: Coordinate,
    side: Side,
    directions: Option<&Directions>,
    base: Base,
) -> Datum {
    let coordinates = &base.arrangement.coordinates;
    let pair = || coordinates.pair(coordinate);
    match field {
        Field::Coordinate(at) => from_code(coordinates.codes(coordinate)[at]),
        Field::InstrumentId => base.pairs.instrument(pair()).into(),
        Field::AccountId => base.tables.accounts.codes()[account as usize].into(),
        Field::Account(column) => looked(base.broadcasts.get("account"), column, account, side),
        Field::Instrument(column) => {
            looked(base.broadcasts.get("instrument"), column, base.pairs.instrument_number(pair()), side)
        }
        Field::LongShort => {
            let directions = directions.expect("a view that groups by direction");
            let key = (account, base.pairs.instrument(pair()));
            let now = directions.now(key.0, key.1);
            let net = match side {
                Side::Before => directions.before.get(&key).copied().unwrap_or(now),
                Side::After => now,
            };
            directions.codes[(net.signum() + 1) as usize]
        }
    }
}

fn current_of(base: Base) -> usize {
    let current = base.arrangement.summed().iter().position(|&column| column == base.legs.current);
    current.expect("current quantities are summed")
}
