//! Base rows as legs: the row side of every view, evaluated for the rows that went and came.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use hashbrown::HashMap;

use super::broadcast::{Broadcasts, find, gather};
use crate::datum::Datum;
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::relation::{Relation, relations};
use crate::plan::scalar::{Lane, Scalar};
use crate::schema::{Schema, TableId};
use crate::table::partition::Row;
use crate::table::snapshot::Snapshot;
use crate::table::{PartitionId, RowSet, Tables};

/// Base rows that are turned into legs in one go: 1,024 rows of 18 columns are 300 kB, so that what one
/// branch of the union read is still in the core's cache when the next reads it.
const BATCH_ROWS: usize = 1_024;

/// `sql/legs.sql`, compiled: for each base table, how its rows become legs.
pub struct Legs {
    branches: Vec<Branch>,
    pub columns: LegColumns,
}

struct Branch {
    table: TableId,
    relation: Relation,
    /// Inputs that anything reads.
    used: Vec<bool>,
    /// Inputs that the filter reads, with what they are looked up by.
    filtered: Vec<bool>,
    /// The branch before has the same inputs, as the legs of orders have.
    shares: bool,
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

/// Base rows of one table, whole, one after another.
#[derive(Clone, Copy)]
struct Base<'a> {
    data: &'a [Datum],
    width: usize,
    partitions: &'a [PartitionId],
}

impl Base<'_> {
    fn len(&self) -> usize {
        self.partitions.len()
    }
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
        let branch = |relation: Relation| Branch {
            table: schema.table(&relation.source).id,
            used: used_inputs(&relation, relation.columns.iter().chain([&relation.filter])),
            filtered: used_inputs(&relation, [&relation.filter]),
            shares: false,
            relation,
        };
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
        let mut branches: Vec<Branch> = branches.into_iter().map(branch).collect();
        for at in 1..branches.len() {
            let (before, relation) = (&branches[at - 1].relation, &branches[at].relation);
            branches[at].shares = before.source == relation.source
                && before.inputs == relation.inputs
                && before.lookups == relation.lookups;
        }
        Ok(Legs { branches, columns })
    }

    /// Hands out the legs of base rows: of so many rows after another, a batch a branch of the union.
    pub fn evaluate(&self, table: TableId, rows: &RowSet, world: World, take: &mut dyn FnMut(&LegBatch)) {
        let width = world.tables.schema().tables[table].columns.len();
        let data = rows.data.chunks(BATCH_ROWS * width);
        for (data, partitions) in data.zip(rows.partitions.chunks(BATCH_ROWS)) {
            self.evaluate_batch(table, Base { data, width, partitions }, world, take);
        }
    }

    fn evaluate_batch(&self, table: TableId, rows: Base, world: World, take: &mut dyn FnMut(&LegBatch)) {
        let mut kept = Vec::new();
        let mut inputs = Inputs::default();
        for branch in self.branches.iter().filter(|branch| branch.table == table) {
            if !branch.shares {
                inputs = Inputs::new(&branch.relation);
            }
            inputs.read(&branch.filtered, &branch.relation, rows, world);
            let filter = branch.relation.filter.evaluate(&inputs.columns, rows.len());
            kept.clear();
            kept.extend((0..rows.len()).filter(|&row| filter.get(row) == 1));
            if kept.is_empty() {
                continue;
            }
            drop(filter);
            inputs.read(&branch.used, &branch.relation, rows, world);
            let lane = |scalar: &Scalar| scalar.evaluate(&inputs.columns, rows.len());
            let lanes: Vec<Lane> = branch.relation.columns.iter().map(lane).collect();
            take(&LegBatch { lanes: &lanes, rows: &kept, partitions: rows.partitions });
        }
    }

    /// Hands out the legs of all rows there are, those of one account one after another.
    pub fn each(&self, world: World, take: &mut dyn FnMut(&LegBatch)) {
        let mut tables: Vec<TableId> = self.branches.iter().map(|branch| branch.table).collect();
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
        self.branches.iter().filter(|branch| branch.table == table).find_map(|branch| {
            let lookup = branch.relation.lookups.iter().find(|lookup| lookup.relation == "instrument")?;
            match lookup.keys[0].1 {
                Scalar::Column(input) => Some(branch.relation.inputs[input].column),
                _ => panic!("legs look an instrument up by a column"),
            }
        })
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The inputs that these read, and those by which they are looked up.
fn used_inputs<'a>(relation: &Relation, scalars: impl IntoIterator<Item = &'a Scalar>) -> Vec<bool> {
    let mut used = vec![false; relation.inputs.len()];
    scalars.into_iter().for_each(|scalar| scalar.columns(&mut |column| used[column] = true));
    // A lookup's keys stand before what it gives.
    for at in (0..used.len()).rev().filter(|&at| relation.inputs[at].lookup.is_some()) {
        let lookup = relation.inputs[at].lookup.expect("it was just seen");
        if used[at] {
            let keys = relation.lookups[lookup].keys.iter();
            keys.for_each(|(_, scalar)| scalar.columns(&mut |column| used[column] = true));
        }
    }
    used
}

/// What a relation reads of some base rows, column by column.
#[derive(Default)]
struct Inputs {
    /// Empty where nothing asked for it yet.
    columns: Vec<Vec<Datum>>,
    /// By lookup: the rows it finds.
    found: Vec<Option<Vec<u32>>>,
}

impl Inputs {
    fn new(relation: &Relation) -> Inputs {
        Inputs { columns: vec![Vec::new(); relation.inputs.len()], found: vec![None; relation.lookups.len()] }
    }

    fn read(&mut self, wanted: &[bool], relation: &Relation, rows: Base, world: World) {
        let World { broadcasts, tables, snapshot } = world;
        let Inputs { columns, found } = self;
        for (at, input) in relation.inputs.iter().enumerate() {
            if !wanted[at] || !columns[at].is_empty() {
                continue;
            }
            columns[at] = match input.lookup {
                None => rows.data.iter().skip(input.column).step_by(rows.width).copied().collect(),
                Some(lookup) => {
                    let name = &relation.lookups[lookup].relation;
                    let find =
                        || find(&relation.lookups[lookup], columns, rows.len(), &broadcasts.all, tables);
                    let numbers = found[lookup].get_or_insert_with(find);
                    let numbers = numbers.iter().copied();
                    gather(name, input.column, numbers, &broadcasts.all, tables, snapshot)
                }
            };
        }
    }
}
