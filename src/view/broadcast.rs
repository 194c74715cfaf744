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
use crate::plan::scalar::{Lane, Scalar};
use crate::plan::scan::day_row;
use crate::schema::{Schema, TableId};
use crate::table::snapshot::Snapshot;
use crate::table::{Reach, Tables, is_currency_code};

/// A relation with one row for each member of a domain.
pub struct Broadcast {
    pub name: &'static str,
    /// Whether anything reads it; it has no rows otherwise.
    is_read: bool,
    domain: DomainOf,
    relation: Relation,
    /// Column by column, by the number of the row in its domain.
    pub columns: Vec<Vec<Datum>>,
    /// The columns of which the last update changed a row that was there before.
    pub changed: Vec<bool>,
    /// Those of them where a value appeared or vanished.
    pub changed_null: Vec<bool>,
    /// The rows that the last update changed or added.
    pub changed_rows: Vec<u32>,
    /// The rows that were there before and changed, as they were.
    was: HashMap<u32, Vec<Datum>>,
    /// By look-up: the row that each row finds.
    found: Vec<Vec<u32>>,
    /// Inputs that anything reads, and by column the inputs it reads.
    used: Vec<bool>,
    reads: Vec<Vec<usize>>,
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
        let mut all = Vec::with_capacity(NAMES.len());
        let mut dictionaries = dictionaries.write().expect("no reader panicked");
        for (name, domain) in NAMES {
            let plan = planner.logical(&catalog.bound(name, &parameters))?;
            let relation = relations(&plan, &mut dictionaries.names, &HashMap::new())?.remove(0);
            planner.add_relation(name, Arc::new(plan.schema().as_arrow().clone()));
            all.push(Broadcast::new(name, domain, relation));
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
    fn new(name: &'static str, domain: DomainOf, relation: Relation) -> Broadcast {
        let mut used = vec![false; relation.inputs.len()];
        let mut mark = |scalar: &Scalar| scalar.columns(&mut |column| used[column] = true);
        relation.columns.iter().for_each(&mut mark);
        for lookup in &relation.lookups {
            lookup.keys.iter().for_each(|(_, scalar)| mark(scalar));
        }
        let reads = |scalar: &Scalar| {
            let mut reads = Vec::new();
            scalar.columns(&mut |column| reads.push(column));
            reads
        };
        Broadcast {
            name,
            is_read: !WHEN_READ.contains(&name),
            domain,
            columns: vec![Vec::new(); relation.columns.len()],
            changed: vec![false; relation.columns.len()],
            changed_null: vec![false; relation.columns.len()],
            changed_rows: Vec::new(),
            was: HashMap::new(),
            found: vec![Vec::new(); relation.lookups.len()],
            reads: relation.columns.iter().map(reads).collect(),
            used,
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

    /// A value before the last update; of a row that is new, the value it has.
    pub fn was(&self, row: u32, column: usize) -> Datum {
        match self.was.get(&row) {
            Some(row) => row[column],
            None => self.columns[column][row as usize],
        }
    }

    /// Whether the last update changed a row that was there before.
    pub fn regroups(&self) -> impl Iterator<Item = u32> {
        self.was.keys().copied()
    }

    /// The row of a member of its domain, named by the codes of its key.
    fn row(&self, codes: &[Code], tables: &Tables) -> Option<u32> {
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
            || self.lookups(before, tables).any(|reach| match reach {
                LookedUp::Table(table) => matches!(changes.tables[table], Reach::Whole),
                LookedUp::Relation(_) | LookedUp::Day => false,
            });
        let rows = if whole { (0..len as u32).collect() } else { self.reached(before, changes, tables) };
        if rows.is_empty() {
            return;
        }
        let stirred = self.stirred(before, changes, tables, whole);
        let again: Vec<usize> = (0..self.columns.len())
            .filter(|&column| whole || self.reads[column].iter().any(|&input| stirred[input]))
            .collect();
        let inputs = self.inputs(&rows, &again, &stirred, before, tables, snapshot);
        let new: Vec<Lane> =
            again.iter().map(|&column| self.relation.columns[column].evaluate(&inputs, rows.len())).collect();
        let keeps = GROUPED_BY.contains(&self.name);
        self.columns.iter_mut().for_each(|column| column.resize(len, NULL));
        for (at, &row) in rows.iter().enumerate() {
            let place = row as usize;
            let differs = |(&column, lane): (&usize, &Lane)| self.columns[column][place] != lane.get(at);
            let is_new = place >= known;
            if !is_new && !again.iter().zip(&new).any(differs) {
                continue;
            }
            self.changed_rows.push(row);
            if keeps && !is_new {
                self.was.insert(row, self.columns.iter().map(|column| column[place]).collect());
            }
            for (&column, lane) in again.iter().zip(&new) {
                let value = lane.get(at);
                let held = &mut self.columns[column][place];
                if !is_new && *held != value {
                    self.changed[column] = true;
                    self.changed_null[column] |= (*held == NULL) != (value == NULL);
                }
                *held = value;
            }
        }
    }

    /// What each look-up reads.
    fn lookups(&self, before: &[Broadcast], tables: &Tables) -> impl Iterator<Item = LookedUp> {
        self.relation.lookups.iter().map(move |lookup| looked_up(&lookup.relation, before, tables))
    }

    /// The rows that a change reaches, where it reaches some only.
    fn reached(&self, before: &[Broadcast], changes: &BaseChanges, tables: &Tables) -> Vec<u32> {
        let mut rows: Vec<u32> = match before.iter().find(|known| known.name == self.relation.source) {
            Some(source) => source.changed_rows.clone(),
            None => Vec::new(),
        };
        for (lookup, found) in self.lookups(before, tables).zip(&self.found) {
            let targets = match lookup {
                LookedUp::Day => continue,
                LookedUp::Relation(at) => before[at].changed_rows.as_slice(),
                LookedUp::Table(table) => match &changes.tables[table] {
                    Reach::Rows { rows, .. } => rows.as_slice(),
                    Reach::None => continue,
                    Reach::Whole => unreachable!("all rows are looked at then"),
                },
            };
            match targets {
                [] => {}
                // Most ticks bring a few changes: comparing is faster than a table of flags.
                [_] | [_, _] | [_, _, _] => {
                    for &target in targets {
                        let holds = found.iter().enumerate().filter(|(_, found)| **found == target);
                        rows.extend(holds.map(|(row, _)| row as u32));
                    }
                }
                _ => {
                    let mut is_target = vec![false; 1 + targets.iter().copied().max().unwrap_or(0) as usize];
                    targets.iter().for_each(|&target| is_target[target as usize] = true);
                    let holds = found
                        .iter()
                        .enumerate()
                        .filter(|(_, found)| is_target.get(**found as usize).copied().unwrap_or(false));
                    rows.extend(holds.map(|(row, _)| row as u32));
                }
            }
        }
        if rows.len() < SORTED_ROWS_MAX {
            rows.sort_unstable();
            rows.dedup();
            return rows;
        }
        let mut is_reached = vec![false; self.columns[0].len()];
        rows.iter().for_each(|&row| is_reached[row as usize] = true);
        (0..is_reached.len() as u32).filter(|&row| is_reached[row as usize]).collect()
    }

    /// By input: whether its values may be others than before.
    fn stirred(
        &self,
        before: &[Broadcast],
        changes: &BaseChanges,
        tables: &Tables,
        whole: bool,
    ) -> Vec<bool> {
        let lookups: Vec<LookedUp> = self.lookups(before, tables).collect();
        let source = before.iter().find(|known| known.name == self.relation.source);
        let mut stirred: Vec<bool> = Vec::with_capacity(self.relation.inputs.len());
        for input in &self.relation.inputs {
            let is_stirred = whole
                || match input.lookup {
                    None => source.is_some_and(|source| source.changed[input.column]),
                    Some(lookup) => {
                        // Another row may be found.
                        let keys = &self.relation.lookups[lookup].keys;
                        let mut moved = false;
                        keys.iter().for_each(|(_, key)| key.columns(&mut |input| moved |= stirred[input]));
                        moved
                            || match lookups[lookup] {
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

    /// What the columns that are computed again read, for some rows.
    fn inputs(
        &mut self,
        rows: &[u32],
        again: &[usize],
        stirred: &[bool],
        before: &[Broadcast],
        tables: &Tables,
        snapshot: &Snapshot,
    ) -> Vec<Vec<Datum>> {
        let members = members(self.domain, tables);
        let mut wanted = vec![false; self.relation.inputs.len()];
        again.iter().flat_map(|&column| &self.reads[column]).for_each(|&input| wanted[input] = true);
        // A look-up whose key moved finds anew, and reads its key for that.
        let moved: Vec<bool> = self
            .relation
            .lookups
            .iter()
            .zip(&self.found)
            .map(|(lookup, found)| {
                let mut moved = found.len() < members;
                lookup.keys.iter().for_each(|(_, key)| key.columns(&mut |input| moved |= stirred[input]));
                let whole = rows.len() == members && stirred.iter().all(|&stirred| stirred);
                moved || whole
            })
            .collect();
        for (lookup, _) in self.relation.lookups.iter().zip(&moved).filter(|(_, moved)| **moved) {
            lookup.keys.iter().for_each(|(_, key)| key.columns(&mut |input| wanted[input] = true));
        }
        let mut is_found = vec![false; self.relation.lookups.len()];
        let mut inputs: Vec<Vec<Datum>> = Vec::with_capacity(self.relation.inputs.len());
        for (at, input) in self.relation.inputs.iter().enumerate() {
            if let Some(lookup) = input.lookup
                && moved[lookup]
                && !std::mem::replace(&mut is_found[lookup], true)
            {
                // Inputs of a look-up stand after those its key is made of.
                let numbers = find(&self.relation.lookups[lookup], &inputs, rows.len(), before, tables);
                let found = &mut self.found[lookup];
                found.resize(members, NOWHERE);
                rows.iter().zip(numbers).for_each(|(&row, number)| found[row as usize] = number);
            }
            if !wanted[at] || !self.used[at] {
                inputs.push(Vec::new());
                continue;
            }
            let column = match input.lookup {
                None => {
                    driver(&self.relation.source, input.column, rows, self.domain, before, tables, snapshot)
                }
                Some(lookup) => {
                    let relation = &self.relation.lookups[lookup].relation;
                    let found = &self.found[lookup];
                    let numbers = rows.iter().map(|&row| found[row as usize]);
                    gather(relation, input.column, numbers, before, tables, snapshot)
                }
            };
            inputs.push(column);
        }
        inputs
    }
}

/// Where a look-up finds its rows.
#[derive(Debug, Clone, Copy)]
enum LookedUp {
    Day,
    Relation(usize),
    Table(TableId),
}

fn looked_up(relation: &str, before: &[Broadcast], tables: &Tables) -> LookedUp {
    if relation == "system.day" {
        return LookedUp::Day;
    }
    match before.iter().position(|known| known.name == relation) {
        Some(at) => LookedUp::Relation(at),
        None => LookedUp::Table(tables.schema().table(relation).id),
    }
}

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

/// A column of a relation's own rows.
fn driver(
    source: &str,
    column: usize,
    rows: &[u32],
    domain: DomainOf,
    before: &[Broadcast],
    tables: &Tables,
    snapshot: &Snapshot,
) -> Vec<Datum> {
    if let Some(broadcast) = before.iter().find(|broadcast| broadcast.name == source) {
        return rows.iter().map(|&row| broadcast.columns[column][row as usize]).collect();
    }
    let code = |row: u32| match domain {
        DomainOf::Currency => tables.currencies.codes()[row as usize],
        DomainOf::CurrencyPair => {
            let (from, to) = pair_members(row);
            tables.currencies.codes()[if column == 0 { from } else { to } as usize]
        }
        DomainOf::Instrument => tables.instruments.codes()[row as usize],
        DomainOf::Account => tables.accounts.codes()[row as usize],
    };
    match (source, column) {
        ("system.instrument", 1) => {
            let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
            let is_code = |&row: &u32| is_currency_code(dictionaries.names.text(code(row)));
            rows.iter().map(|row| Datum::from(is_code(row))).collect()
        }
        _ => rows.iter().map(|&row| Datum::from(code(row))).collect(),
    }
}

/// The row each of `rows` rows looks up.
pub fn find(
    lookup: &Lookup,
    inputs: &[Vec<Datum>],
    rows: usize,
    before: &[Broadcast],
    tables: &Tables,
) -> Vec<u32> {
    if lookup.keys.is_empty() {
        return vec![0; rows];
    }
    let mut keys = lookup.keys.clone();
    keys.sort_by_key(|(column, _)| *column);
    let lanes: Vec<_> = keys.iter().map(|(_, scalar)| scalar.evaluate(inputs, rows)).collect();
    if let Some(broadcast) = before.iter().find(|broadcast| broadcast.name == lookup.relation) {
        let mut codes: Vec<Code> = Vec::with_capacity(lanes.len());
        let number = |row: usize| {
            codes.clear();
            for lane in &lanes {
                match lane.get(row) {
                    NULL => return NOWHERE,
                    code => codes.push(code as Code),
                }
            }
            broadcast.row(&codes, tables).unwrap_or(NOWHERE)
        };
        return (0..rows).map(number).collect();
    }
    let table = tables.schema().table(&lookup.relation);
    let number = |row: usize| {
        let key = lanes.iter().map(move |lane| lane.get(row));
        if key.clone().any(|datum| datum == NULL) {
            NOWHERE
        } else {
            tables.find(table.id, key).unwrap_or(NOWHERE)
        }
    };
    (0..rows).map(number).collect()
}

/// A column of a relation for the rows that were found in it.
pub fn gather(
    relation: &str,
    column: usize,
    numbers: impl Iterator<Item = u32>,
    before: &[Broadcast],
    tables: &Tables,
    snapshot: &Snapshot,
) -> Vec<Datum> {
    if let Some(broadcast) = before.iter().find(|broadcast| broadcast.name == relation) {
        let values = &broadcast.columns[column];
        // NOWHERE is beyond every row.
        return numbers.map(|row| values.get(row as usize).copied().unwrap_or(NULL)).collect();
    }
    if relation == "system.day" {
        let value = day_row(snapshot)[column];
        return numbers.map(|_| value).collect();
    }
    let table = tables.schema().table(relation);
    let rows = tables.partition(table.id, 0).expect("a broadcast table has one partition");
    rows.gather(column, numbers)
}
