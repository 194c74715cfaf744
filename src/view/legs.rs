//! Base rows as legs: the row side of every view, evaluated for the rows that went and came.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use hashbrown::HashMap;

use super::broadcast::{self, Broadcasts, Finder, gather};
use crate::datum::{Datum, NULL};
use crate::dictionary::{Code, Dictionaries};
use crate::error::Result;
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::relation::{Relation, relations};
use crate::plan::scalar::{BATCH_ROWS, Lane, Program, Scalar, Scratch, Values};
use crate::plan::scan::day_row;
use crate::schema::{Schema, TableId};
use crate::table::partition::Row;
use crate::table::snapshot::Snapshot;
use crate::table::{PartitionId, RowSet, Tables};

/// `sql/legs.sql`, compiled: for each base table, how its rows become legs.
pub struct Legs {
    sources: Vec<Source>,
    pub columns: LegColumns,
}

/// Branches of the union that read the same: they are evaluated together, so that what an order's leg and its
/// cash leg have in common is computed once.
struct Source {
    table: TableId,
    relation: Relation,
    /// How its look-ups find their rows.
    finders: Vec<Finder>,
    /// By input: something reads it.
    used: Vec<bool>,
    /// Those of them that are columns of the table, and which.
    own: Vec<(usize, usize)>,
    /// The filters of the branches, then the columns of each.
    program: Program,
    branches: usize,
    work: Work,
}

/// What evaluation needs in between.
struct Work {
    /// All outputs of the program.
    asked: Vec<usize>,
    scratch: Scratch,
    /// By input: what some rows read.
    buffers: Vec<Values>,
    /// By look-up: the rows that are found.
    found: Vec<Vec<u32>>,
    is_found: Vec<bool>,
    kept: Vec<usize>,
}

/// Where a leg's columns stand.
#[derive(Debug, Clone)]
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

    pub fn name(&self, column: usize) -> &str {
        &self.names[column]
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
    pub columns: &'a LegColumns,
}

/// A place among the base rows, table by table and in each account by account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub table: TableId,
    pub account: PartitionId,
}

impl Place {
    pub const START: Place = Place { table: 0, account: 0 };
    pub const END: Place = Place { table: TableId::MAX, account: PartitionId::MAX };
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
        let mut together: Vec<Vec<Relation>> = Vec::new();
        for branch in branches {
            let same = |known: &Vec<Relation>| {
                let known = &known[0];
                known.source == branch.source
                    && known.inputs == branch.inputs
                    && known.lookups == branch.lookups
            };
            match together.iter_mut().find(|known| same(known)) {
                Some(known) => known.push(branch),
                None => together.push(vec![branch]),
            }
        }
        let source = |branches| Source::new(branches, schema);
        Ok(Legs { sources: together.into_iter().map(source).collect(), columns })
    }

    /// Hands out the legs of base rows: of so many rows after another, a batch a branch of the union.
    pub fn evaluate(&mut self, table: TableId, rows: &RowSet, world: World, take: &mut dyn FnMut(&LegBatch)) {
        let Legs { sources, columns } = self;
        let width = world.tables.schema().tables[table].columns.len();
        let world = broadcast::World {
            before: &world.broadcasts.all,
            tables: world.tables,
            snapshot: world.snapshot,
            day: day_row(world.snapshot),
        };
        for source in sources.iter_mut().filter(|source| source.table == table) {
            let data = rows.data.chunks(BATCH_ROWS * width);
            for (data, partitions) in data.zip(rows.partitions.chunks(BATCH_ROWS)) {
                source.evaluate(data, partitions, &world, columns, take);
            }
        }
    }

    /// Hands out the legs of the rows from a place on, account by account, until about so many rows are read;
    /// returns how far it came.
    pub fn read(
        &mut self,
        from: Place,
        rows_max: usize,
        world: World,
        take: &mut dyn FnMut(&LegBatch),
    ) -> Place {
        let mut tables: Vec<TableId> = self.sources.iter().map(|source| source.table).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut set = RowSet::default();
        let mut rows_left = rows_max;
        for table in tables.into_iter().filter(|&table| table >= from.table) {
            let first = if table == from.table { from.account } else { 0 };
            for account in first..world.tables.accounts.len() as PartitionId {
                if rows_left == 0 {
                    self.evaluate(table, &set, world, take);
                    return Place { table, account };
                }
                let Some(rows) = world.tables.partition(table, account) else { continue };
                rows_left = rows_left.saturating_sub(1 + rows.len());
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
        Place::END
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

    /// The columns of the relation `instrument` that legs read.
    pub fn instrument_columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        for source in &self.sources {
            let of_instrument = |lookup: usize| source.relation.lookups[lookup].relation == "instrument";
            let inputs = source.relation.inputs.iter().zip(&source.used).filter(|(_, used)| **used);
            let read = inputs.filter(|(input, _)| input.lookup.is_some_and(of_instrument));
            columns.extend(read.map(|(input, _)| input.column));
        }
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The column of a table by which its legs look up the relation `instrument`.
    pub fn reads_instrument(&self, table: TableId) -> Option<usize> {
        self.sources.iter().filter(|source| source.table == table).find_map(|source| {
            let lookup = source.relation.lookups.iter().find(|lookup| lookup.relation == "instrument")?;
            match lookup.keys[0].1 {
                Scalar::Column(input) => Some(source.relation.inputs[input].column),
                _ => panic!("legs look an instrument up by a column"),
            }
        })
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl Source {
    fn new(branches: Vec<Relation>, schema: &Schema) -> Source {
        let relation = branches[0].clone();
        let filters = branches.iter().map(|branch| &branch.filter);
        let program = Program::new(filters.chain(branches.iter().flat_map(|branch| &branch.columns)));
        let scalars = branches.iter().flat_map(|branch| branch.columns.iter().chain([&branch.filter]));
        let used = used_inputs(&relation, scalars);
        let own =
            relation.inputs.iter().enumerate().filter(|(at, input)| used[*at] && input.lookup.is_none());
        let lookups = relation.lookups.len();
        Source {
            table: schema.table(&relation.source).id,
            finders: relation.lookups.iter().map(|lookup| Finder::new(lookup, schema)).collect(),
            own: own.map(|(at, input)| (at, input.column)).collect(),
            used,
            work: Work {
                asked: (0..program.len()).collect(),
                scratch: Scratch::default(),
                buffers: vec![Values::default(); relation.inputs.len()],
                found: vec![Vec::new(); lookups],
                is_found: vec![false; lookups],
                kept: Vec::new(),
            },
            program,
            branches: branches.len(),
            relation,
        }
    }

    /// Shape: `data` is whole rows one after another, of which each has its account in `partitions`.
    fn evaluate(
        &mut self,
        data: &[Datum],
        partitions: &[PartitionId],
        world: &broadcast::World,
        columns: &LegColumns,
        take: &mut dyn FnMut(&LegBatch),
    ) {
        let Source { relation, program, finders, used, own, branches, work, .. } = self;
        let Work { asked, scratch, buffers, found, is_found, kept } = work;
        let len = partitions.len();
        let width = data.len() / len.max(1);
        for &(input, column) in &*own {
            buffers[input].clear();
            buffers[input].extend(data.iter().skip(column).step_by(width.max(1)).copied());
        }
        let mut lanes: Vec<Lane> = Vec::with_capacity(buffers.len());
        is_found.fill(false);
        for ((at, input), buffer) in relation.inputs.iter().enumerate().zip(buffers) {
            lanes.push(match input.lookup {
                _ if !used[at] => Lane::Const(NULL),
                None => buffer.lane(),
                Some(lookup) => {
                    let (finder, numbers) = (&finders[lookup], &mut found[lookup]);
                    // Inputs of a look-up stand after those its key is made of.
                    if !std::mem::replace(&mut is_found[lookup], true) {
                        numbers.clear();
                        finder
                            .find(&lanes, len, world.before, world.tables, |_, number| numbers.push(number));
                    }
                    gather(finder.looked_up, input.column, numbers.iter().copied(), world, buffer)
                }
            });
        }
        let outputs = program.run(asked, &lanes, len, scratch);
        for branch in 0..*branches {
            let filter = outputs.lane(branch);
            keep(filter, len, kept);
            if kept.is_empty() {
                continue;
            }
            let first = *branches + branch * columns.len();
            let lanes: Vec<Lane> = (first..first + columns.len()).map(|at| outputs.lane(at)).collect();
            take(&LegBatch { lanes: &lanes, rows: kept, partitions, columns });
        }
    }
}

/// The rows where a condition holds.
fn keep(condition: Lane, len: usize, kept: &mut Vec<usize>) {
    kept.clear();
    match condition {
        Lane::Const(holds) => kept.extend(0..if holds == 1 { len } else { 0 }),
        Lane::Narrow(holds) => {
            // Each row is written, and stays where it holds: there is nothing to guess wrong.
            kept.resize(len, 0);
            let mut found = 0;
            for (row, &holds) in holds[..len].iter().enumerate() {
                kept[found] = row;
                found += usize::from(holds == 1);
            }
            kept.truncate(found);
        }
        condition => kept.extend((0..len).filter(|&row| condition.get(row) == 1)),
    }
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
