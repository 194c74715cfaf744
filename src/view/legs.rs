//! Base rows as legs: the row side of every view, evaluated for the rows that went and came.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use hashbrown::HashMap;

use super::broadcast::{Broadcasts, NOWHERE, find, reader};
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::relation::{Relation, relations};
use crate::plan::scalar::{Lane, Scalar};
use crate::schema::{Schema, TableId};
use crate::table::partition::Row;
use crate::table::snapshot::Snapshot;
use crate::table::{PartitionId, RowSet, Tables};

/// Base rows that are turned into legs in one go.
const BATCH_ROWS: usize = 4_096;

/// `sql/legs.sql`, compiled: for each base table, how its rows become legs.
pub struct Legs {
    sources: Vec<LegSource>,
    pub columns: LegColumns,
}

/// Branches of the union that read the same rows with the same look-ups, so that both are read once.
struct LegSource {
    table: TableId,
    branches: Vec<Relation>,
    /// Inputs that any branch reads.
    used: Vec<bool>,
}

/// Where a leg's columns stand.
pub struct LegColumns {
    names: Vec<String>,
    pub instrument: usize,
    pub priced_as: usize,
    pub portfolio: usize,
    pub account: usize,
    pub current: usize,
    pub legs: usize,
    /// The columns that add up: quantities, amounts and counts.
    pub sums: Vec<usize>,
}

impl LegColumns {
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The place of a column, if legs have it.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }
}

/// Legs of rows of one table, in columns: leg `n` stands at `rows[n]` of every lane.
pub struct LegBatch<'a> {
    pub lanes: &'a [Lane<'a>],
    pub rows: &'a [usize],
    /// The account of each row of the lanes.
    pub partitions: &'a [PartitionId],
}

/// What legs are evaluated against.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub broadcasts: &'a Broadcasts,
    pub tables: &'a Tables,
    pub snapshot: &'a Snapshot,
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
        let mut sources: Vec<LegSource> = Vec::new();
        for branch in branches {
            let used = used_inputs(&branch);
            match sources.iter_mut().find(|source| reads_alike(&source.branches[0], &branch)) {
                Some(source) => {
                    source.used.iter_mut().zip(used).for_each(|(any, used)| *any |= used);
                    source.branches.push(branch);
                }
                None => sources.push(LegSource {
                    table: schema.table(&branch.source).id,
                    branches: vec![branch],
                    used,
                }),
            }
        }
        let fields = plan.schema().fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let column = |name: &str| {
            names
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| panic!("sql/legs.sql gives a leg no column {name}"))
        };
        let columns = LegColumns {
            instrument: column("instrument_id"),
            priced_as: column("priced_as"),
            portfolio: column("portfolio_id"),
            account: column("account_id"),
            current: column("current"),
            legs: column("legs"),
            sums: (0..names.len()).filter(|&at| !is_text(fields[at].data_type())).collect(),
            names,
        };
        Ok(Legs { sources, columns })
    }

    /// Hands out the legs of base rows, a batch a branch of the union.
    pub fn evaluate(&self, table: TableId, rows: &RowSet, world: World, take: &mut dyn FnMut(&LegBatch)) {
        if rows.is_empty() {
            return;
        }
        let width = world.tables.schema().tables[table].columns.len();
        let mut kept = Vec::new();
        for source in self.sources.iter().filter(|source| source.table == table) {
            let inputs = inputs(source, rows, width, world);
            for branch in &source.branches {
                let filter = branch.filter.evaluate(&inputs, rows.len());
                kept.clear();
                kept.extend((0..rows.len()).filter(|&row| filter.get(row) == 1));
                if kept.is_empty() {
                    continue;
                }
                let lanes: Vec<Lane> =
                    branch.columns.iter().map(|scalar| scalar.evaluate(&inputs, rows.len())).collect();
                take(&LegBatch { lanes: &lanes, rows: &kept, partitions: &rows.partitions });
            }
        }
    }

    /// Hands out the legs of all rows there are, those of one account one after another.
    pub fn each(&self, world: World, take: &mut dyn FnMut(&LegBatch)) {
        let mut tables: Vec<TableId> = self.sources.iter().map(|source| source.table).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut set = RowSet::default();
        for table in tables {
            for account in 0..world.tables.accounts.len() as PartitionId {
                let Some(rows) = world.tables.partition(table, account) else { continue };
                for row in 0..rows.len() as Row {
                    rows.read(row, &mut set.data);
                    set.partitions.push(account);
                    if set.len() == BATCH_ROWS {
                        self.evaluate(table, &set, world, take);
                        set.clear();
                    }
                }
            }
            self.evaluate(table, &set, world, take);
            set.clear();
        }
    }

    /// The rows of a table whose legs read one of these instruments: where one changes, legs change
    /// without a row.
    ///
    /// Cost: a pass over the column that names the instrument.
    pub fn reading(&self, table: TableId, instruments: &[Code], tables: &Tables) -> RowSet {
        let mut set = RowSet::default();
        let Some(column) = self.reads_instrument(table) else { return set };
        for (partition, rows) in tables.partitions(table).enumerate() {
            rows.matching(column, instruments, &mut |row| {
                rows.read(row, &mut set.data);
                set.partitions.push(partition as PartitionId);
            });
        }
        set
    }

    /// The column of a table by which its legs look up the relation `instrument`.
    pub fn reads_instrument(&self, table: TableId) -> Option<usize> {
        self.sources.iter().filter(|source| source.table == table).find_map(|source| {
            let branch = &source.branches[0];
            let lookup = branch.lookups.iter().find(|lookup| lookup.relation == "instrument")?;
            match lookup.keys[0].1 {
                Scalar::Column(input) => Some(branch.inputs[input].column),
                _ => panic!("legs look an instrument up by a column"),
            }
        })
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn reads_alike(a: &Relation, b: &Relation) -> bool {
    a.source == b.source && a.inputs == b.inputs && a.lookups == b.lookups
}

fn used_inputs(relation: &Relation) -> Vec<bool> {
    let mut used = vec![false; relation.inputs.len()];
    let mut mark = |scalar: &Scalar| scalar.columns(&mut |column| used[column] = true);
    relation.columns.iter().for_each(&mut mark);
    mark(&relation.filter);
    relation.lookups.iter().flat_map(|lookup| &lookup.keys).for_each(|(_, scalar)| mark(scalar));
    used
}

fn inputs(source: &LegSource, rows: &RowSet, width: usize, world: World) -> Vec<Vec<Datum>> {
    let World { broadcasts, tables, snapshot } = world;
    let LegSource { branches, used, .. } = source;
    let relation = &branches[0];
    let mut found: Vec<Option<Vec<u32>>> = vec![None; relation.lookups.len()];
    let mut inputs: Vec<Vec<Datum>> = Vec::with_capacity(relation.inputs.len());
    for (at, input) in relation.inputs.iter().enumerate() {
        let column = match input.lookup {
            _ if !used[at] => Vec::new(),
            None => rows.data.iter().skip(input.column).step_by(width).copied().collect(),
            Some(lookup) => {
                let numbers = found[lookup].get_or_insert_with(|| {
                    find(&relation.lookups[lookup], &inputs, rows.len(), &broadcasts.all, tables)
                });
                let value = reader(
                    &relation.lookups[lookup].relation,
                    input.column,
                    &broadcasts.all,
                    tables,
                    snapshot,
                );
                numbers.iter().map(|&number| if number == NOWHERE { NULL } else { value(number) }).collect()
            }
        };
        inputs.push(column);
    }
    inputs
}
