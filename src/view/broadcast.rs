//! The relations that are small and the same for every account: rates, instruments, unit values.
//!
//! Each is kept dense, one row a currency, instrument or account in order of first appearance, so that a
//! look-up is an array access. A tick evaluates the rows its changes reach and says which came out
//! different: these are the only rows any view needs to look at again.

use std::sync::{Arc, RwLock};

use hashbrown::{HashMap, HashSet};

use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::relation::{Lookup, Relation, relations};
use crate::plan::scan::day_row;
use crate::schema::Schema;
use crate::table::snapshot::Snapshot;
use crate::table::{Domain, Tables, is_currency_code};

/// A relation with one row for each member of a domain.
pub struct Broadcast {
    pub name: &'static str,
    domain: DomainOf,
    relation: Relation,
    /// Column by column, by the number of the row in its domain.
    pub columns: Vec<Vec<Datum>>,
    /// The columns of which the last update changed a row that was there before.
    pub changed: Vec<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DomainOf {
    Currency,
    Instrument,
    Account,
}

/// All of them for one reporting currency, each after those it looks up.
pub struct Broadcasts {
    pub all: Vec<Broadcast>,
}

const NAMES: [(&str, DomainOf); 5] = [
    ("fx", DomainOf::Currency),
    ("instrument", DomainOf::Instrument),
    ("account", DomainOf::Account),
    ("quote", DomainOf::Instrument),
    ("unit", DomainOf::Instrument),
];

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
            let columns = vec![Vec::new(); relation.columns.len()];
            let changed = vec![false; relation.columns.len()];
            all.push(Broadcast { name, domain, relation, columns, changed });
        }
        Ok(Broadcasts { all })
    }

    pub fn get(&self, name: &str) -> &Broadcast {
        self.all.iter().find(|broadcast| broadcast.name == name).expect("a known relation")
    }

    /// Brings every relation to the snapshot; returns the numbers of the rows that changed, by relation.
    ///
    /// Cost: a pass over the small relations; no base row is visited.
    pub fn update(&mut self, tables: &Tables, snapshot: &Snapshot) -> Vec<Vec<u32>> {
        let mut changed = Vec::with_capacity(self.all.len());
        for at in 0..self.all.len() {
            let (before, rest) = self.all.split_at_mut(at);
            changed.push(rest[0].update(before, tables, snapshot));
        }
        changed
    }
}

impl Broadcast {
    pub fn column(&self, name: &str) -> usize {
        self.relation.column(name)
    }

    fn domain<'a>(&self, tables: &'a Tables) -> &'a Domain {
        domain(self.domain, tables)
    }

    fn update(&mut self, before: &[Broadcast], tables: &Tables, snapshot: &Snapshot) -> Vec<u32> {
        let rows = self.domain(tables).len();
        let inputs = self.inputs(before, tables, snapshot);
        let mut changed: HashSet<u32> = HashSet::new();
        for ((column, was_changed), scalar) in
            self.columns.iter_mut().zip(&mut self.changed).zip(&self.relation.columns)
        {
            let known = column.len();
            *was_changed = false;
            let new = scalar.evaluate(&inputs, rows).into_vec(rows);
            for (row, &datum) in new.iter().enumerate() {
                if row >= known || column[row] != datum {
                    changed.insert(row as u32);
                    *was_changed |= row < known;
                }
            }
            *column = new;
        }
        let mut changed: Vec<u32> = changed.into_iter().collect();
        changed.sort_unstable();
        changed
    }

    fn inputs(&self, before: &[Broadcast], tables: &Tables, snapshot: &Snapshot) -> Vec<Vec<Datum>> {
        let domain = self.domain(tables);
        let rows = domain.len();
        let mut inputs: Vec<Vec<Datum>> = Vec::with_capacity(self.relation.inputs.len());
        let mut used = vec![false; self.relation.inputs.len()];
        let mut mark =
            |scalar: &crate::plan::scalar::Scalar| scalar.columns(&mut |column| used[column] = true);
        self.relation.columns.iter().for_each(&mut mark);
        for lookup in &self.relation.lookups {
            lookup.keys.iter().for_each(|(_, scalar)| mark(scalar));
        }
        let mut found: Vec<Option<Vec<u32>>> = vec![None; self.relation.lookups.len()];
        for (at, input) in self.relation.inputs.iter().enumerate() {
            if !used[at] {
                inputs.push(Vec::new());
                continue;
            }
            let column = match input.lookup {
                None => driver(&self.relation.source, input.column, domain, before, snapshot),
                Some(lookup) => {
                    // Inputs of a look-up stand after those its key is made of.
                    let rows_of = found[lookup].get_or_insert_with(|| {
                        find(&self.relation.lookups[lookup], &inputs, rows, before, tables)
                    });
                    let value = reader(
                        &self.relation.lookups[lookup].relation,
                        input.column,
                        before,
                        tables,
                        snapshot,
                    );
                    rows_of.iter().map(|&row| if row == NOWHERE { NULL } else { value(row) }).collect()
                }
            };
            inputs.push(column);
        }
        inputs
    }
}

pub const NOWHERE: u32 = u32::MAX;

fn domain(of: DomainOf, tables: &Tables) -> &Domain {
    match of {
        DomainOf::Currency => &tables.currencies,
        DomainOf::Instrument => &tables.instruments,
        DomainOf::Account => &tables.accounts,
    }
}

/// A column of a relation's own rows.
fn driver(
    source: &str,
    column: usize,
    domain: &Domain,
    before: &[Broadcast],
    snapshot: &Snapshot,
) -> Vec<Datum> {
    if let Some(broadcast) = before.iter().find(|broadcast| broadcast.name == source) {
        return broadcast.columns[column].clone();
    }
    let codes = domain.codes().iter();
    match (source, column) {
        ("system.instrument", 1) => {
            let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
            codes.map(|&code| Datum::from(is_currency_code(dictionaries.names.text(code)))).collect()
        }
        _ => codes.map(|&code| Datum::from(code)).collect(),
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
        let domain = broadcast.domain(tables);
        let number = |row: usize| {
            let code = lanes[0].get(row);
            if code == NULL { NOWHERE } else { domain.find(code as Code).unwrap_or(NOWHERE) }
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

/// Reads a column of a relation that was looked up, by row number.
pub fn reader<'a>(
    relation: &str,
    column: usize,
    before: &'a [Broadcast],
    tables: &'a Tables,
    snapshot: &Snapshot,
) -> Box<dyn Fn(u32) -> Datum + 'a> {
    if let Some(broadcast) = before.iter().find(|broadcast| broadcast.name == relation) {
        return Box::new(move |row| broadcast.columns[column].get(row as usize).copied().unwrap_or(NULL));
    }
    if relation == "system.day" {
        let value = day_row(snapshot)[column];
        return Box::new(move |_| value);
    }
    let table = tables.schema().table(relation);
    let rows = tables.partition(table.id, 0).expect("a broadcast table has one partition");
    Box::new(move |row| rows.get(row, column))
}
