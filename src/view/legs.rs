//! Base rows as legs: the row side of every view, evaluated for the rows that went and came.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet, HashTable};

use super::broadcast::{Broadcasts, NOWHERE, find, reader};
use crate::datum::{Datum, NULL};
use crate::dictionary::Dictionaries;
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::relation::{Relation, relations};
use crate::schema::{Schema, TableId};
use crate::table::snapshot::Snapshot;
use crate::table::{PartitionId, RowSet, Tables};

/// The columns of the relation `instrument` that legs read: where one changes, legs change without a row.
pub const READ_OF_INSTRUMENT: [&str; 4] = ["declared", "asset_class", "currency", "factor"];

/// Base rows that are turned into legs in one go.
const BATCH_ROWS: usize = 16_384;

/// `sql/legs.sql`, compiled: for each base table, how its rows become legs.
pub struct Legs {
    branches: Vec<(TableId, Relation)>,
    names: Vec<String>,
}

/// Legs in columns, each with the account it belongs to and +1 or -1.
#[derive(Debug, Default)]
pub struct LegSet {
    pub columns: Vec<Vec<Datum>>,
    pub accounts: Vec<PartitionId>,
    pub weights: Vec<i8>,
}

impl LegSet {
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

impl LegSet {
    /// The legs added up where they agree in the columns `by`; columns that are neither in `by` nor in
    /// `sums` are left without a value. All legs have the weight 1.
    pub fn consolidated(&self, by: &[usize], sums: &[usize]) -> LegSet {
        let hasher = FixedState::with_seed(0);
        let hash = |row: usize| {
            let mut state = hasher.build_hasher();
            by.iter().for_each(|&column| state.write_u64(self.columns[column][row] as u64));
            state.finish()
        };
        // A sum's number, and the first leg in it.
        let mut index: HashTable<(u32, u32)> = HashTable::new();
        let mut firsts: Vec<usize> = Vec::new();
        let mut number_of: Vec<u32> = Vec::with_capacity(self.len());
        for row in 0..self.len() {
            let same = |&(_, first): &(u32, u32)| {
                by.iter().all(|&column| self.columns[column][first as usize] == self.columns[column][row])
            };
            let entry = index.entry(hash(row), same, |&(_, first)| hash(first as usize));
            let number = entry.or_insert_with(|| {
                firsts.push(row);
                (firsts.len() as u32 - 1, row as u32)
            });
            number_of.push(number.get().0);
        }
        let mut columns = vec![Vec::new(); self.columns.len()];
        for &column in by {
            columns[column] = firsts.iter().map(|&row| self.columns[column][row]).collect();
        }
        for &column in sums {
            let mut sum = vec![0; firsts.len()];
            for (&number, &value) in number_of.iter().zip(&self.columns[column]) {
                if value != NULL {
                    sum[number as usize] += value;
                }
            }
            columns[column] = sum;
        }
        LegSet {
            columns,
            accounts: firsts.iter().map(|&row| self.accounts[row]).collect(),
            weights: vec![1; firsts.len()],
        }
    }
}

impl Legs {
    pub fn new(schema: &Schema, catalog: &Catalog, dictionaries: &mut Dictionaries) -> Result<Legs> {
        let parameters = Parameters { currency: String::new(), exclude_cash: false };
        let mut planner = Planner::new(schema, 1);
        let plan = planner.logical(&catalog.bound("instrument", &parameters))?;
        planner.add_relation("instrument", Arc::new(plan.schema().as_arrow().clone()));
        let orders = planner.logical(&catalog.bound("counting_order", &parameters))?;
        planner.add_relation("counting_order", Arc::new(orders.schema().as_arrow().clone()));
        let orders = relations(&orders, &mut dictionaries.names, &HashMap::new())?;
        let inline = HashMap::from_iter([("counting_order".to_owned(), orders)]);
        let plan = planner.logical(&catalog.bound("leg", &parameters))?;
        let branches = relations(&plan, &mut dictionaries.names, &inline)?;
        let names = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
        let branches = branches.into_iter().map(|branch| (schema.table(&branch.source).id, branch)).collect();
        Ok(Legs { branches, names })
    }

    /// The place of a leg's column.
    pub fn column(&self, name: &str) -> usize {
        self.names
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| panic!("a leg has no column {name}"))
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Appends the legs of base rows.
    pub fn evaluate(
        &self,
        table: TableId,
        rows: &RowSet,
        weight: i8,
        broadcasts: &Broadcasts,
        tables: &Tables,
        snapshot: &Snapshot,
        into: &mut LegSet,
    ) {
        if rows.is_empty() {
            return;
        }
        into.columns.resize_with(self.names.len(), Vec::new);
        let width = tables.schema().tables[table].columns.len();
        for (_, branch) in self.branches.iter().filter(|(of, _)| *of == table) {
            let inputs = inputs(branch, rows, width, broadcasts, tables, snapshot);
            let kept = branch.filter.evaluate(&inputs, rows.len());
            let kept: Vec<usize> = (0..rows.len()).filter(|&row| kept.get(row) == 1).collect();
            for (column, scalar) in into.columns.iter_mut().zip(&branch.columns) {
                let lane = scalar.evaluate(&inputs, rows.len());
                column.extend(kept.iter().map(|&row| lane.get(row)));
            }
            into.accounts.extend(kept.iter().map(|&row| rows.partitions[row]));
            into.weights.resize(into.weights.len() + kept.len(), weight);
        }
    }

    /// Hands out the legs of the chosen accounts, or of all, some accounts at a time; those of one account
    /// come together.
    ///
    /// # Errors
    /// The first that `take` returns.
    pub fn each(
        &self,
        accounts: Option<&HashSet<PartitionId>>,
        broadcasts: &Broadcasts,
        tables: &Tables,
        snapshot: &Snapshot,
        take: &mut dyn FnMut(&LegSet) -> Result<()>,
    ) -> Result<()> {
        let sources: BTreeSet<TableId> = self.branches.iter().map(|(table, _)| *table).collect();
        let mut sets: Vec<RowSet> = sources.iter().map(|_| RowSet::default()).collect();
        let accounts_all = tables.accounts.len() as PartitionId;
        let mut rows_waiting = 0;
        for account in 0..accounts_all {
            if accounts.is_none_or(|chosen| chosen.contains(&account)) {
                for (set, &table) in sets.iter_mut().zip(&sources) {
                    let Some(rows) = tables.partition(table, account) else { continue };
                    (0..rows.len()).for_each(|row| rows.read(row as u32, &mut set.data));
                    set.partitions.resize(set.partitions.len() + rows.len(), account);
                    rows_waiting += rows.len();
                }
            }
            if rows_waiting >= BATCH_ROWS || account + 1 == accounts_all {
                let mut legs = LegSet { columns: vec![Vec::new(); self.names.len()], ..LegSet::default() };
                for (set, &table) in sets.iter_mut().zip(&sources) {
                    self.evaluate(table, set, 1, broadcasts, tables, snapshot, &mut legs);
                    set.clear();
                }
                take(&legs)?;
                rows_waiting = 0;
            }
        }
        Ok(())
    }
}

fn inputs(
    branch: &Relation,
    rows: &RowSet,
    width: usize,
    broadcasts: &Broadcasts,
    tables: &Tables,
    snapshot: &Snapshot,
) -> Vec<Vec<Datum>> {
    let mut used = vec![false; branch.inputs.len()];
    let mut mark = |scalar: &crate::plan::scalar::Scalar| scalar.columns(&mut |column| used[column] = true);
    branch.columns.iter().for_each(&mut mark);
    mark(&branch.filter);
    branch.lookups.iter().flat_map(|lookup| &lookup.keys).for_each(|(_, scalar)| mark(scalar));
    let mut found: Vec<Option<Vec<u32>>> = vec![None; branch.lookups.len()];
    let mut inputs: Vec<Vec<Datum>> = Vec::with_capacity(branch.inputs.len());
    for (at, input) in branch.inputs.iter().enumerate() {
        let column = match input.lookup {
            _ if !used[at] => Vec::new(),
            None => rows.data.iter().skip(input.column).step_by(width).copied().collect(),
            Some(lookup) => {
                let numbers = found[lookup].get_or_insert_with(|| {
                    find(&branch.lookups[lookup], &inputs, rows.len(), &broadcasts.all, tables)
                });
                let value =
                    reader(&branch.lookups[lookup].relation, input.column, &broadcasts.all, tables, snapshot);
                numbers.iter().map(|&number| if number == NOWHERE { NULL } else { value(number) }).collect()
            }
        };
        inputs.push(column);
    }
    inputs
}
