//! The relations that are small and the same for every account: rates, instruments, unit values.
//!
//! Each is kept dense, one row a currency, pair of currencies, instrument or account in order of first
//! appearance, so that a look-up is an array access. A tick evaluates the rows its changes reach and says which came out
//! different: these are the only rows any view needs to look at again.

use std::sync::{Arc, RwLock};

use hashbrown::HashMap;

use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::relation::{Lookup, Relation, relations};
use crate::plan::scalar::{BATCH_ROWS, Lane, NONE, Program, Scalar, Scratch, Values};
use crate::plan::scan::day_row;
use crate::schema::{Schema, TableId};
use crate::table::chunk::{CHUNK_ROWS, ColumnChunk};
use crate::table::partition::Rows;
use crate::table::snapshot::Snapshot;
use crate::table::{Reach, Tables, is_currency_code};

/// A relation with one row for each member of a domain.
pub struct Broadcast {
    pub name: &'static str,
    /// Whether anything reads it; it has no rows otherwise.
    is_read: bool,
    domain: DomainOf,
    relation: Relation,
    /// The relation whose rows it has, where that is one of these.
    source: Option<usize>,
    /// By look-up: how it finds its rows.
    finders: Vec<Finder>,
    /// Values by column, by the number of the row in its domain.
    pub columns: Vec<Values>,
    /// The columns of which the last update changed a row that was there before.
    pub changed: Vec<bool>,
    /// Those of them where a value appeared or vanished.
    pub changed_null: Vec<bool>,
    /// The rows that the last update changed or added.
    pub changed_rows: Vec<u32>,
    /// The rows that were there before and changed, as they were.
    was: HashMap<u32, Vec<Datum>>,
    /// By look-up: the row that each row finds.
    found: Vec<Found>,
    /// By column: the inputs it reads.
    reads: Vec<Vec<usize>>,
    /// The columns over the inputs.
    program: Program,
    work: Work,
}

/// What an update needs in between.
#[derive(Default)]
struct Work {
    scratch: Scratch,
    /// By input: what some rows read.
    buffers: Vec<Values>,
    /// By row of a batch: not 0 where it is another than before.
    differs: Vec<i64>,
}

/// The rows that a look-up finds.
#[derive(Default)]
struct Found {
    rows: Vec<u32>,
    /// By row found: the first row that finds it; by row: the next that finds the same. Made when few rows
    /// change and forgotten when another row is found.
    finders: Option<(Vec<u32>, Vec<u32>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DomainOf {
    Currency,
    /// Ordered pairs of currencies.
    CurrencyPair,
    Instrument,
    Account,
}

/// All of them for one reporting currency, each after those it looks up.
pub struct Broadcasts {
    pub all: Vec<Broadcast>,
    /// Members of each domain at the last update.
    sizes: [usize; 3],
}

/// What one tick did to the base tables that relations look up.
pub struct BaseChanges {
    /// Everything is looked at again: the day moved, or a price became stale with time.
    pub whole: bool,
    /// By table.
    pub tables: Vec<Reach>,
}

const NAMES: [(&str, DomainOf); 6] = [
    ("fx", DomainOf::Currency),
    ("fx_between", DomainOf::CurrencyPair),
    ("instrument", DomainOf::Instrument),
    ("account", DomainOf::Account),
    ("quote", DomainOf::Instrument),
    ("unit", DomainOf::Instrument),
];

/// Relations that are kept only where a view asks for them.
const WHEN_READ: [&str; 1] = ["fx_between"];

/// Relations whose rows views group by: what they were tells which group a line leaves.
const GROUPED_BY: [&str; 2] = ["instrument", "account"];

impl Broadcasts {
    /// Compiles the relations; they have no rows yet.
    pub fn new(
        schema: &Schema,
        catalog: &Catalog,
        currency: &str,
        dictionaries: &RwLock<Dictionaries>,
    ) -> Result<Broadcasts> {
        let parameters = Parameters { currency: currency.to_owned(), exclude_cash: false };
        let mut planner = Planner::new(schema, 1);
        let mut all: Vec<Broadcast> = Vec::with_capacity(NAMES.len());
        for (name, domain) in NAMES {
            let plan = planner.logical(&catalog.bound(name, &parameters))?;
            let mut dictionaries = dictionaries.write().expect("no reader panicked");
            let relation = relations(&plan, &mut dictionaries.names, &HashMap::new())?.remove(0);
            planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
            all.push(Broadcast::new(name, domain, relation, &all, schema));
        }
        Ok(Broadcasts { all, sizes: [0; 3] })
    }

    pub fn get(&self, name: &str) -> &Broadcast {
        self.all.iter().find(|broadcast| broadcast.name == name).expect("a known relation")
    }

    /// Brings every relation to the snapshot; each then says what changed.
    ///
    /// Cost: O(rows that a change reaches); no partitioned row is visited.
    pub fn update(&mut self, changes: &BaseChanges, tables: &Tables, snapshot: &Snapshot) {
        let sizes = [tables.currencies.len(), tables.instruments.len(), tables.accounts.len()];
        // A name that was looked up in vain may be known now.
        let whole = changes.whole || std::mem::replace(&mut self.sizes, sizes) != sizes;
        for at in 0..self.all.len() {
            let (before, rest) = self.all.split_at_mut(at);
            if rest[0].is_read {
                rest[0].update(before, changes, whole, tables, snapshot);
            }
        }
    }

    /// Keeps a relation from now on, as of the snapshot.
    pub fn need(&mut self, relation: usize, tables: &Tables, snapshot: &Snapshot) {
        let (before, rest) = self.all.split_at_mut(relation);
        if !std::mem::replace(&mut rest[0].is_read, true) {
            let all = BaseChanges { whole: true, tables: Vec::new() };
            rest[0].update(before, &all, true, tables, snapshot);
        }
    }
}

impl Broadcast {
    fn new(
        name: &'static str,
        domain: DomainOf,
        relation: Relation,
        before: &[Broadcast],
        schema: &Schema,
    ) -> Broadcast {
        let reads = |scalar: &Scalar| {
            let mut reads = Vec::new();
            scalar.columns(&mut |column| reads.push(column));
            reads
        };
        let finder = |lookup: &Lookup| Finder::new(lookup, schema);
        Broadcast {
            name,
            is_read: !WHEN_READ.contains(&name),
            domain,
            source: before.iter().position(|known| known.name == relation.source),
            finders: relation.lookups.iter().map(finder).collect(),
            columns: vec![Values::default(); relation.columns.len()],
            changed: vec![false; relation.columns.len()],
            changed_null: vec![false; relation.columns.len()],
            changed_rows: Vec::new(),
            was: HashMap::new(),
            found: relation.lookups.iter().map(|_| Found::default()).collect(),
            reads: relation.columns.iter().map(reads).collect(),
            program: Program::new(&relation.columns),
            work: Work { buffers: vec![Values::default(); relation.inputs.len()], ..Work::default() },
            relation,
        }
    }

    pub fn column(&self, name: &str) -> usize {
        self.relation.column(name)
    }

    /// The place of a column, if the relation has it.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.relation.names.iter().position(|known| known == name)
    }

    /// The columns of a base table that some columns of the relation are computed from.
    pub fn reads_of(&self, columns: &[usize], table: &str) -> Vec<usize> {
        let Relation { lookups, inputs, columns: scalars, .. } = &self.relation;
        let mut read = Vec::new();
        for &column in columns {
            scalars[column].columns(&mut |input| {
                if inputs[input].lookup.is_some_and(|lookup| lookups[lookup].relation == table) {
                    read.push(inputs[input].column);
                }
            });
        }
        read.sort_unstable();
        read.dedup();
        read
    }

    /// A value before the last update; of a row that is new, the value it has.
    pub fn was(&self, row: u32, column: usize) -> Datum {
        match self.was.get(&row) {
            Some(row) => row[column],
            None => self.columns[column].get(row as usize),
        }
    }

    /// Whether the last update changed a row that was there before.
    pub fn regroups(&self) -> impl Iterator<Item = u32> {
        self.was.keys().copied()
    }

    /// The row of a member of its domain, named by the codes of its key.
    pub fn row(&self, codes: &[Code], tables: &Tables) -> Option<u32> {
        match self.domain {
            DomainOf::Currency => tables.currencies.find(codes[0]),
            DomainOf::CurrencyPair => {
                let member = |code: Code| tables.currencies.find(code);
                Some(pair_number(member(codes[0])?, member(codes[1])?))
            }
            DomainOf::Instrument => tables.instruments.find(codes[0]),
            DomainOf::Account => tables.accounts.find(codes[0]),
        }
    }

    fn update(
        &mut self,
        before: &[Broadcast],
        changes: &BaseChanges,
        whole: bool,
        tables: &Tables,
        snapshot: &Snapshot,
    ) {
        self.changed.fill(false);
        self.changed_null.fill(false);
        self.changed_rows.clear();
        self.was.clear();
        let known = self.columns[0].len();
        let len = members(self.domain, tables);
        let whole = whole
            || self.finders.iter().any(|finder| match finder.looked_up {
                LookedUp::Table(table) => matches!(changes.tables[table], Reach::Whole),
                LookedUp::Relation(_) | LookedUp::Day => false,
            });
        let rows = if whole { (0..len as u32).collect() } else { self.reached(before, changes) };
        if rows.is_empty() {
            return;
        }
        let stirred = self.stirred(before, changes, whole);
        let again: Vec<usize> = (0..self.columns.len())
            .filter(|&column| whole || self.reads[column].iter().any(|&input| stirred[input]))
            .collect();
        let reading = self.reading(&again, &stirred, rows.len(), len);
        let keeps = GROUPED_BY.contains(&self.name);
        self.columns.iter_mut().for_each(|column| column.resize(len));
        let mut work = std::mem::take(&mut self.work);
        let Work { scratch, buffers, differs } = &mut work;
        let world = World { before, tables, snapshot, day: day_row(snapshot) };
        for start in (0..rows.len()).step_by(BATCH_ROWS) {
            let batch = &rows[start..rows.len().min(start + BATCH_ROWS)];
            // Rows are in order: as many as there are stand one after another.
            let places = if rows.len() == len { Places::From(start) } else { Places::At(batch) };
            let inputs = self.inputs(batch, places, &reading, &world, buffers);
            let outputs = self.program.run(&again, &inputs, batch.len(), scratch);
            let old = batch.partition_point(|&row| (row as usize) < known);
            differs.clear();
            differs.resize(batch.len(), 0);
            let mut moved = false;
            for &column in &again {
                let held = self.columns[column].lane();
                let difference = difference(held, outputs.lane(column), places, &mut differs[..old]);
                self.changed[column] |= difference.any;
                self.changed_null[column] |= difference.null;
                moved |= difference.any;
            }
            if !moved && old == batch.len() {
                continue;
            }
            differs[old..].fill(1);
            for (at, &row) in batch.iter().enumerate().filter(|&(at, _)| differs[at] != 0) {
                self.changed_rows.push(row);
                if keeps && at < old {
                    self.was
                        .insert(row, self.columns.iter().map(|column| column.get(row as usize)).collect());
                }
            }
            for &column in &again {
                store(&mut self.columns[column], outputs.lane(column), places, batch.len());
            }
        }
        self.work = work;
    }

    /// The rows that a change reaches, in their order; all where that may be most of them.
    fn reached(&mut self, before: &[Broadcast], changes: &BaseChanges) -> Vec<u32> {
        let known = self.columns[0].len();
        // Most of them may be: what is not reached comes out as it was, and rows one after another cost less
        // than to tell which they are.
        let changed = |at: usize| before[at].changed_rows.len();
        let most = self.finders.iter().map(|finder| match finder.looked_up {
            LookedUp::Table(table) => match &changes.tables[table] {
                Reach::Rows { rows, .. } => rows.len(),
                Reach::None | Reach::Whole => 0,
            },
            LookedUp::Relation(at) => changed(at),
            LookedUp::Day => 0,
        });
        if most.chain(self.source.map(changed)).max().unwrap_or(0) * 2 > known.max(SORTED_ROWS_MAX) {
            return (0..known as u32).collect();
        }
        let mut rows: Vec<u32> = Vec::new();
        // By row: it is reached. Made where many may be.
        let mut flags: Vec<bool> = Vec::new();
        if let Some(source) = self.source {
            rows.extend_from_slice(&before[source].changed_rows);
        }
        for (finder, found) in self.finders.iter().zip(&mut self.found) {
            let targets = match finder.looked_up {
                LookedUp::Day => continue,
                LookedUp::Relation(at) => before[at].changed_rows.as_slice(),
                LookedUp::Table(table) => match &changes.tables[table] {
                    Reach::Rows { rows, .. } => rows.as_slice(),
                    Reach::None => continue,
                    Reach::Whole => unreachable!("all rows are looked at then"),
                },
            };
            if targets.is_empty() {
                continue;
            }
            if targets.len() * MANY < found.rows.len() {
                targets.iter().for_each(|&target| found.each_finder(target, &mut |row| rows.push(row)));
                continue;
            }
            let mut is_target = vec![false; 1 + targets.iter().copied().max().unwrap_or(0) as usize];
            targets.iter().for_each(|&target| is_target[target as usize] = true);
            flags.resize(known, false);
            for (flag, &found) in flags.iter_mut().zip(&found.rows) {
                *flag |= is_target.get(found as usize).copied().unwrap_or(false);
            }
        }
        if flags.is_empty() && rows.len() < SORTED_ROWS_MAX {
            rows.sort_unstable();
            rows.dedup();
            return rows;
        }
        flags.resize(known, false);
        rows.iter().for_each(|&row| flags[row as usize] = true);
        rows.clear();
        rows.extend((0..known as u32).filter(|&row| flags[row as usize]));
        rows
    }

    /// By input: whether its values may be others than before.
    fn stirred(&self, before: &[Broadcast], changes: &BaseChanges, whole: bool) -> Vec<bool> {
        let mut stirred: Vec<bool> = Vec::with_capacity(self.relation.inputs.len());
        for input in &self.relation.inputs {
            let is_stirred = whole
                || match input.lookup {
                    None => self.source.is_some_and(|source| before[source].changed[input.column]),
                    Some(lookup) => {
                        // Another row may be found.
                        let finder = &self.finders[lookup];
                        finder.reads.iter().any(|&input| stirred[input])
                            || match finder.looked_up {
                                LookedUp::Day => false,
                                LookedUp::Relation(at) => before[at].changed[input.column],
                                LookedUp::Table(table) => match &changes.tables[table] {
                                    Reach::None => false,
                                    Reach::Rows { columns, .. } => columns[input.column],
                                    Reach::Whole => true,
                                },
                            }
                    }
                };
            stirred.push(is_stirred);
        }
        stirred
    }

    /// What has to be read of `rows` rows, of which the domain has `members`, to compute columns again.
    fn reading(&mut self, again: &[usize], stirred: &[bool], rows: usize, members: usize) -> Reading {
        let mut wanted = vec![false; self.relation.inputs.len()];
        again.iter().flat_map(|&column| &self.reads[column]).for_each(|&input| wanted[input] = true);
        let whole = rows == members && stirred.iter().all(|&stirred| stirred);
        let mut moved = vec![false; self.finders.len()];
        for ((finder, found), moved) in self.finders.iter().zip(&mut self.found).zip(&mut moved) {
            if finder.looked_up == LookedUp::Day {
                continue;
            }
            // A look-up whose key moved finds anew, and reads its key for that.
            *moved = whole || found.rows.len() < members || finder.reads.iter().any(|&input| stirred[input]);
            if *moved {
                found.finders = None;
                found.rows.resize(members, NOWHERE);
                finder.reads.iter().for_each(|&input| wanted[input] = true);
            }
        }
        Reading { wanted, moved }
    }

    /// What some rows read, input by input.
    fn inputs<'a>(
        &mut self,
        rows: &[u32],
        places: Places,
        reading: &Reading,
        world: &World<'a>,
        buffers: &'a mut [Values],
    ) -> Vec<Lane<'a>> {
        let mut is_found = vec![false; self.finders.len()];
        let mut inputs: Vec<Lane> = Vec::with_capacity(buffers.len());
        for ((at, input), buffer) in self.relation.inputs.iter().enumerate().zip(buffers) {
            if let Some(lookup) = input.lookup
                && reading.moved[lookup]
                && !std::mem::replace(&mut is_found[lookup], true)
            {
                // Inputs of a look-up stand after those its key is made of.
                let found = &mut self.found[lookup].rows;
                let take = |at: usize, number: u32| found[rows[at] as usize] = number;
                self.finders[lookup].find(&inputs, rows.len(), world.before, world.tables, take);
            }
            inputs.push(match input.lookup {
                _ if !reading.wanted[at] => Lane::Const(NULL),
                None => match self.source {
                    Some(source) => {
                        let lane = world.before[source].columns[input.column].lane();
                        match places {
                            Places::From(start) => lane.slice(start..start + rows.len()),
                            Places::At(rows) => {
                                buffer.gather(lane, rows.iter().copied());
                                buffer.lane()
                            }
                        }
                    }
                    None => {
                        driver(&self.relation.source, input.column, rows, self.domain, world, buffer);
                        buffer.lane()
                    }
                },
                Some(lookup) => {
                    let looked_up = self.finders[lookup].looked_up;
                    let found = &self.found[lookup].rows;
                    match places {
                        Places::From(start) if looked_up != LookedUp::Day => {
                            let numbers = found[start..start + rows.len()].iter().copied();
                            gather(looked_up, input.column, numbers, world, buffer)
                        }
                        _ => {
                            let numbers = rows.iter().map(|&row| found[row as usize]);
                            gather(looked_up, input.column, numbers, world, buffer)
                        }
                    }
                }
            });
        }
        inputs
    }
}

/// What an update reads.
struct Reading {
    /// By input.
    wanted: Vec<bool>,
    /// By look-up: it may find other rows than before.
    moved: Vec<bool>,
}

/// Where rows of a batch stand.
#[derive(Clone, Copy)]
enum Places<'a> {
    /// One after another, the first of them here.
    From(usize),
    At(&'a [u32]),
}

impl Found {
    /// Hands out the rows that find a row.
    fn each_finder(&mut self, target: u32, take: &mut dyn FnMut(u32)) {
        let Found { rows, finders } = self;
        let (heads, next) = finders.get_or_insert_with(|| {
            let found = rows.iter().filter(|&&row| row != NOWHERE).max();
            let mut heads = vec![NOWHERE; found.map_or(0, |&most| most as usize + 1)];
            let mut next = vec![NOWHERE; rows.len()];
            for (row, &found) in rows.iter().enumerate().filter(|(_, found)| **found != NOWHERE) {
                next[row] = std::mem::replace(&mut heads[found as usize], row as u32);
            }
            (heads, next)
        });
        let mut row = heads.get(target as usize).copied().unwrap_or(NOWHERE);
        while row != NOWHERE {
            take(row);
            row = next[row as usize];
        }
    }
}

/// How what is computed differs from what is held.
#[derive(Default)]
struct Difference {
    any: bool,
    /// A value appeared or vanished.
    null: bool,
}

/// Compares the first rows of a batch, as many as there are flags, and flags those that differ.
fn difference(held: Lane, new: Lane, places: Places, differs: &mut [i64]) -> Difference {
    let mut difference = Difference::default();
    if let (Lane::Narrow(held), Lane::Narrow(new)) = (held, new) {
        // Bits that differ, without a branch, so that many rows are compared at once.
        let mut any = 0;
        let mut compare = |differs: &mut i64, held: i64, new: i64| {
            *differs |= held ^ new;
            any |= held ^ new;
        };
        let rows = differs.iter_mut().zip(new);
        match places {
            Places::From(start) => {
                rows.zip(&held[start..]).for_each(|((differs, &new), &held)| compare(differs, held, new));
            }
            Places::At(places) => {
                rows.zip(places).for_each(|((differs, &new), &at)| compare(differs, held[at as usize], new));
            }
        }
        let appears = |(at, &new): (usize, &i64)| (held[places.of(at)] == NONE) != (new == NONE);
        let null = any != 0 && new[..differs.len()].iter().enumerate().any(appears);
        return Difference { any: any != 0, null };
    }
    for (at, differs) in differs.iter_mut().enumerate() {
        let (held, new) = (held.get(places.of(at)), new.get(at));
        *differs |= i64::from(held != new);
        difference.any |= held != new;
        difference.null |= (held == NULL) != (new == NULL);
    }
    difference
}

/// Writes a batch of `len` rows.
fn store(held: &mut Values, new: Lane, places: Places, len: usize) {
    if let (Values::Narrow(held), Lane::Narrow(new)) = (&mut *held, new) {
        return match places {
            Places::From(start) => held[start..][..len].copy_from_slice(&new[..len]),
            Places::At(places) => places.iter().zip(new).for_each(|(&at, &new)| held[at as usize] = new),
        };
    }
    (0..len).for_each(|at| held.set(places.of(at), new.get(at)));
}

impl Places<'_> {
    fn of(&self, at: usize) -> usize {
        match self {
            Places::From(start) => start + at,
            Places::At(rows) => rows[at] as usize,
        }
    }
}

/// Where a look-up finds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookedUp {
    Day,
    Relation(usize),
    Table(TableId),
}

/// How the rows of a look-up are found.
pub struct Finder {
    pub looked_up: LookedUp,
    /// What the key's columns must equal, in the order of the columns.
    keys: Program,
    /// The inputs that these read.
    pub reads: Vec<usize>,
}

/// What relations read.
pub struct World<'a> {
    pub before: &'a [Broadcast],
    pub tables: &'a Tables,
    pub snapshot: &'a Snapshot,
    pub day: [Datum; 3],
}

impl Finder {
    pub fn new(lookup: &Lookup, schema: &Schema) -> Finder {
        let looked_up = match NAMES.iter().position(|(known, _)| *known == lookup.relation) {
            _ if lookup.relation == "system.day" => LookedUp::Day,
            Some(at) => LookedUp::Relation(at),
            None => LookedUp::Table(schema.table(&lookup.relation).id),
        };
        let mut keys: Vec<&(usize, Scalar)> = lookup.keys.iter().collect();
        keys.sort_by_key(|(column, _)| *column);
        let mut reads = Vec::new();
        keys.iter().for_each(|(_, key)| key.columns(&mut |input| reads.push(input)));
        Finder { looked_up, keys: Program::new(keys.into_iter().map(|(_, key)| key)), reads }
    }

    /// Says of each of `rows` rows which row it looks up; [`NOWHERE`] where there is none.
    pub fn find(
        &self,
        inputs: &[Lane],
        rows: usize,
        before: &[Broadcast],
        tables: &Tables,
        mut take: impl FnMut(usize, u32),
    ) {
        let relation = match self.looked_up {
            LookedUp::Day => return (0..rows).for_each(|row| take(row, 0)),
            LookedUp::Relation(at) => Some(&before[at]),
            LookedUp::Table(_) => None,
        };
        let all: Vec<usize> = (0..self.keys.len()).collect();
        let mut scratch = Scratch::default();
        let keys = self.keys.run(&all, inputs, rows, &mut scratch);
        let lanes: Vec<Lane> = all.iter().map(|&key| keys.lane(key)).collect();
        let mut codes: Vec<Code> = Vec::with_capacity(lanes.len());
        for row in 0..rows {
            let key = lanes.iter().map(move |lane| lane.get(row));
            let number = if key.clone().any(|datum| datum == NULL) {
                None
            } else if let Some(relation) = relation {
                codes.clear();
                codes.extend(key.map(|datum| datum as Code));
                relation.row(&codes, tables)
            } else if let LookedUp::Table(table) = self.looked_up {
                tables.find(table, key)
            } else {
                None
            };
            take(row, number.unwrap_or(NOWHERE));
        }
    }
}

/// Where as many rows of what is looked up changed that one of so many is left, all that find them are sought
/// in one pass.
const MANY: usize = 8;

/// Where more rows than this are reached, flags put them in order faster than sorting does.
const SORTED_ROWS_MAX: usize = 256;

pub const NOWHERE: u32 = u32::MAX;

/// How many members a domain has.
fn members(of: DomainOf, tables: &Tables) -> usize {
    match of {
        DomainOf::Currency => tables.currencies.len(),
        DomainOf::CurrencyPair => tables.currencies.len().pow(2),
        DomainOf::Instrument => tables.instruments.len(),
        DomainOf::Account => tables.accounts.len(),
    }
}

/// The number of an ordered pair, which stays when members are added: the pairs of the first n members come
/// first.
fn pair_number(from: u32, to: u32) -> u32 {
    let most = from.max(to);
    if from == most { most * most + to } else { most * most + most + 1 + from }
}

/// The members of the pair of a number.
fn pair_members(number: u32) -> (u32, u32) {
    let most = number.isqrt();
    let rest = number - most * most;
    if rest <= most { (most, rest) } else { (rest - most - 1, most) }
}

/// A column of a domain's members, as they are named.
fn driver(source: &str, column: usize, rows: &[u32], domain: DomainOf, world: &World, into: &mut Values) {
    let tables = world.tables;
    let code = |row: u32| match domain {
        DomainOf::Currency => tables.currencies.codes()[row as usize],
        DomainOf::CurrencyPair => {
            let (from, to) = pair_members(row);
            tables.currencies.codes()[if column == 0 { from } else { to } as usize]
        }
        DomainOf::Instrument => tables.instruments.codes()[row as usize],
        DomainOf::Account => tables.accounts.codes()[row as usize],
    };
    into.clear();
    match (source, column) {
        ("system.instrument", 1) => {
            let dictionaries = world.snapshot.dictionaries.read().expect("no writer panicked");
            let is_code = |&row: &u32| is_currency_code(dictionaries.names.text(code(row)));
            into.extend(rows.iter().map(|row| Datum::from(is_code(row))));
        }
        _ => into.extend(rows.iter().map(|&row| Datum::from(code(row)))),
    }
}

/// A column of what is looked up, for the rows that were found in it.
pub fn gather<'a>(
    from: LookedUp,
    column: usize,
    numbers: impl Iterator<Item = u32>,
    world: &World<'a>,
    into: &'a mut Values,
) -> Lane<'a> {
    match from {
        LookedUp::Day => return Lane::Const(world.day[column]),
        // NOWHERE is beyond every row.
        LookedUp::Relation(at) => into.gather(world.before[at].columns[column].lane(), numbers),
        LookedUp::Table(table) => {
            let rows = world.tables.partition(table, 0).expect("a broadcast table has one partition");
            gather_base(rows, column, numbers, into);
        }
    }
    into.lane()
}

/// A column of base rows; no value where there is no such row.
fn gather_base(rows: &Rows, column: usize, numbers: impl Iterator<Item = u32>, into: &mut Values) {
    into.clear();
    let chunks = rows.chunks();
    let of = |chunk: usize| chunks.get(chunk).map(|chunk| &chunk.columns[column]);
    // Rows found one after another mostly stand in one chunk, whose column is at hand then.
    let mut last = usize::MAX;
    match (of(0), &mut *into) {
        (Some(ColumnChunk::Narrow(_)), Values::Narrow(into)) => {
            let mut held: &[i32] = &[];
            into.extend(numbers.map(|number| {
                let (chunk, at) = place(number);
                if chunk != last && number != NOWHERE {
                    last = chunk;
                    held = match of(chunk) {
                        Some(ColumnChunk::Narrow(values)) => values,
                        _ => &[],
                    };
                }
                match held.get(at) {
                    Some(&value) if number != NOWHERE && value != i32::MIN => value.into(),
                    _ => NONE,
                }
            }));
        }
        (Some(ColumnChunk::Plain(_)), Values::Narrow(into)) => {
            let mut held: &[i64] = &[];
            into.extend(numbers.map(|number| {
                let (chunk, at) = place(number);
                if chunk != last && number != NOWHERE {
                    last = chunk;
                    held = match of(chunk) {
                        Some(ColumnChunk::Plain(values)) => values,
                        _ => &[],
                    };
                }
                // A chunk, too, has no value where the least number of 64 bits stands.
                if number == NOWHERE { NONE } else { held.get(at).copied().unwrap_or(NONE) }
            }));
        }
        (_, into) => {
            for number in numbers {
                let (chunk, at) = place(number);
                let values = of(chunk).filter(|values| at < values.len());
                into.push(values.map_or(NULL, |values| values.get(at)));
            }
        }
    }
}

/// The chunk of a base row, and its place there.
fn place(number: u32) -> (usize, usize) {
    (number as usize / CHUNK_ROWS, number as usize % CHUNK_ROWS)
}
