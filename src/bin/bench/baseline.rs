//! What the engine is compared with: the same SQL as cached physical DataFusion plans over the rows.
//!
//! Everything is planned once, for two partitions on a runtime of two threads, with the numbers of rows
//! that let the planner build its joins on the smaller side. What does not depend on the change stays in
//! memory in Arrow: all legs with their group fields when prices change, the units and the legs of other
//! accounts when an order does. What is timed is [`Baseline::run`]: the relations that do depend on it and,
//! for each view, all parts of all levels at once, then the measures. It nets nothing ahead and carries no
//! result from one run to the next.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use hashbrown::HashMap;
use sqlparser::ast::{Query, Statement};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use tickview::plan::catalog::{Catalog, Parameters, Planner};
use tickview::plan::execute::execute_together;
use tickview::plan::grouped::{GROUPED_LEG, GroupedView, grouped_leg};
use tickview::plan::scan::Inputs;
use tickview::table::PartitionId;
use tickview::table::snapshot::Snapshot;
use tickview::view::groups::Group;
use tickview::view::recompute::{Recomputed, columns_of, groups, selected};
use tickview::view::spec::ViewSpec;
use tokio::runtime::Runtime;

/// How many partitions plans have, and how many threads run them.
const PARTITIONS: usize = 2;
/// Rows of a batch, as DataFusion makes them.
const BATCH_ROWS: usize = 8192;

const PRICE: &str = "base.price";
/// The tables whose rows are those of an account.
const OF_ACCOUNTS: [&str; 3] = ["base.sod_holding", "base.order_events", "base.cash_movement"];
/// The relations that no price and no account's row reaches, each after those it reads.
const STILL: [&str; 2] = ["fx", "instrument"];
const OF_PRICES: [&str; 2] = ["quote", "unit"];
const OF_ROWS: [&str; 2] = ["counting_order", "leg"];

type Plan = Arc<dyn ExecutionPlan>;
type Batches = Vec<RecordBatch>;

/// What has changed since the run before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    Prices,
    /// Rows of the account with this name.
    Account(String),
}

/// The measures of one view, by level.
pub type Answer = Vec<Batches>;

/// Views of one shape, that is, ones that differ in their accounts only.
pub struct Baseline {
    runtime: Runtime,
    catalog: Catalog,
    parameters: Parameters,
    view: GroupedView,
    view_name: String,
    /// By view: its accounts.
    accounts: Vec<Vec<PartitionId>>,
    fields: Vec<String>,
    /// Reads the engine's tables, to have their rows in Arrow.
    tables: Planner,
    /// Plans what reads all legs.
    wide: Planner,
    /// Plans what is small: to part it would only cost.
    narrow: Planner,
    plans: HashMap<String, Plan>,
    relations: HashMap<String, Batches>,
    /// Every leg with its group fields, by account.
    legs: HashMap<PartitionId, Batches>,
    /// The rows of the account that changed last, by table.
    rows: Vec<(&'static str, Batches)>,
    /// By level, the ungrouped total first.
    parts: Vec<Vec<Plan>>,
    measures: Vec<Plan>,
}

impl Baseline {
    /// Plans everything and brings all rows into Arrow.
    pub fn new(snapshot: &Arc<Snapshot>, specs: &[ViewSpec]) -> Result<Baseline> {
        let spec = specs.first().context("a baseline is that of a view")?;
        let alike = |other: &ViewSpec| ViewSpec { accounts: spec.accounts.clone(), ..other.clone() } == *spec;
        ensure!(specs.iter().all(alike), "the views of a case differ in their accounts only");
        let of_account = ["strategy", "region", "long_short"];
        ensure!(
            !spec.group_by.iter().any(|field| of_account.contains(&field.as_str())),
            "the baseline materialises no relation for groups by {of_account:?}"
        );
        let schema = &snapshot.schema;
        let catalog = Catalog::new(Arc::clone(schema));
        let all = || (0..snapshot.accounts.len() as PartitionId).collect();
        let mut baseline = Baseline {
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(PARTITIONS).build()?,
            parameters: Parameters { currency: spec.currency.clone(), exclude_cash: spec.exclude_cash },
            view: GroupedView::new(&catalog, &spec.view),
            view_name: spec.view.clone(),
            accounts: specs
                .iter()
                .map(|spec| selected(snapshot, &spec.accounts).unwrap_or_else(all))
                .collect(),
            fields: spec.group_by.clone(),
            catalog,
            tables: Planner::new(schema, 1),
            wide: Planner::new(schema, PARTITIONS),
            narrow: Planner::new(schema, 1),
            plans: HashMap::new(),
            relations: HashMap::new(),
            legs: HashMap::new(),
            rows: Vec::new(),
            parts: Vec::new(),
            measures: Vec::new(),
        };
        baseline.declare_tables(snapshot)?;
        for name in STILL {
            baseline.relate(snapshot, name)?;
        }
        baseline.relations.insert(PRICE.to_owned(), baseline.rows_of(snapshot, PRICE, None)?);
        for name in OF_PRICES {
            baseline.relate(snapshot, name)?;
        }
        let mut accounts: Vec<PartitionId> = baseline.accounts.iter().flatten().copied().collect();
        accounts.sort_unstable();
        accounts.dedup();
        for account in accounts {
            baseline.fetch(snapshot, account)?;
            let legs = coalesced(&baseline.legs_of(snapshot)?)?;
            baseline.legs.insert(account, legs);
        }
        baseline.plan_views(snapshot)?;
        Ok(baseline)
    }

    /// Has the changed rows in Arrow: as little part of a run as decoding is part of a tick.
    pub fn prepare(&mut self, snapshot: &Arc<Snapshot>, touched: &Touched) -> Result<()> {
        match touched {
            Touched::Prices => {
                let rows = self.rows_of(snapshot, PRICE, None)?;
                self.relations.insert(PRICE.to_owned(), rows);
                Ok(())
            }
            Touched::Account(name) => self.fetch(snapshot, partition(snapshot, name)?),
        }
    }

    /// Computes every view anew, one after the other, after [`Self::prepare`] for the same change.
    pub fn run(&mut self, snapshot: &Arc<Snapshot>, touched: &Touched) -> Result<Vec<Answer>> {
        match touched {
            Touched::Prices => {
                for name in OF_PRICES {
                    let batches = self.execute_one(&self.plans[name], self.inputs(snapshot))?;
                    self.relations.insert(name.to_owned(), batches);
                }
            }
            Touched::Account(name) => {
                let legs = self.legs_of(snapshot)?;
                self.legs.insert(partition(snapshot, name)?, legs);
            }
        }
        (0..self.accounts.len()).map(|view| self.answer(snapshot, view)).collect()
    }

    /// An answer as the oracle gives it, to be compared.
    pub fn recomputed(&self, snapshot: &Arc<Snapshot>, answer: &Answer) -> Result<Recomputed> {
        let inputs = Inputs::new(Arc::clone(snapshot), None);
        let total = answer[0].first().context("a total has one row")?;
        let columns = columns_of(&self.view, &total.schema());
        let mut levels: Vec<Vec<Group>> = Vec::new();
        for (depth, batches) in answer.iter().enumerate() {
            let nav = levels.first().map(|total| total[0].clone());
            levels.push(groups(&self.view, depth, batches, &inputs, nav.as_ref())?);
        }
        Ok(Recomputed { columns, levels })
    }

    /// The plans that run for each view, for whoever wants to judge them.
    pub fn explain(&self) -> String {
        let relations = self.plans.iter().map(|(name, plan)| (name.clone(), plan));
        let parts = self.parts.iter().enumerate().flat_map(|(depth, plans)| {
            let name = move |part: usize| format!("{} at level {depth}", self.view.parts[part]);
            plans.iter().enumerate().map(move |(part, plan)| (name(part), plan))
        });
        let text =
            |(name, plan): (String, &Plan)| format!("{name}\n{}\n", displayable(plan.as_ref()).indent(false));
        relations.chain(parts).map(text).collect()
    }

    /// Makes the tables that change readable as relations, of about as many rows as one account has.
    fn declare_tables(&mut self, snapshot: &Arc<Snapshot>) -> Result<()> {
        for name in OF_ACCOUNTS.into_iter().chain([PRICE]) {
            let query = select_all(name);
            let logical = self.tables.logical(&query)?;
            let schema = Arc::new(logical.schema().as_arrow().clone());
            self.plans.insert(name.to_owned(), self.tables.physical(&logical)?);
            let table = snapshot.schema.table(name);
            let accounts = if table.partition.is_some() { snapshot.accounts.len().max(1) } else { 1 };
            self.declare(name, schema, snapshot.table(table.id).len() / accounts);
        }
        Ok(())
    }

    fn declare(&mut self, name: &str, schema: SchemaRef, rows: usize) {
        self.wide.add_relation_of(name, Arc::clone(&schema), rows);
        self.narrow.add_relation_of(name, schema, rows);
    }

    /// Plans a relation that all views read, and computes it.
    fn relate(&mut self, snapshot: &Arc<Snapshot>, name: &str) -> Result<()> {
        let query = self.catalog.bound(name, &self.parameters);
        let logical = self.narrow.logical(&query)?;
        let plan = self.narrow.physical(&logical)?;
        let batches = self.execute_one(&plan, self.inputs(snapshot))?;
        let schema = batches
            .first()
            .map_or_else(|| Arc::new(logical.schema().as_arrow().clone()), RecordBatch::schema);
        self.declare(name, schema, rows(&batches));
        self.plans.insert(name.to_owned(), plan);
        self.relations.insert(name.to_owned(), batches);
        Ok(())
    }

    /// The rows of a table in Arrow, those of one account where the table has accounts.
    fn rows_of(
        &self,
        snapshot: &Arc<Snapshot>,
        table: &str,
        account: Option<PartitionId>,
    ) -> Result<Batches> {
        let inputs = Inputs::new(Arc::clone(snapshot), account.map(|account| vec![account]));
        self.execute_one(&self.plans[table], inputs)
    }

    fn fetch(&mut self, snapshot: &Arc<Snapshot>, account: PartitionId) -> Result<()> {
        let rows =
            OF_ACCOUNTS.iter().map(|&table| Ok((table, self.rows_of(snapshot, table, Some(account))?)));
        self.rows = rows.collect::<Result<_>>()?;
        Ok(())
    }

    /// The legs of the account whose rows were fetched, with their group fields.
    fn legs_of(&mut self, snapshot: &Arc<Snapshot>) -> Result<Batches> {
        let mut computed: Vec<(&str, Batches)> = Vec::new();
        for name in OF_ROWS.into_iter().chain([GROUPED_LEG]) {
            let read = self.rows.iter().chain(&computed);
            let inputs = read.fold(self.inputs(snapshot), |inputs, (name, batches)| {
                inputs.with_relation(name, batches.clone())
            });
            let planned = self.plans.contains_key(name);
            if !planned {
                let query = match name {
                    GROUPED_LEG => {
                        let fields: Vec<&str> = self.fields.iter().map(String::as_str).collect();
                        grouped_leg(&self.catalog, &fields, None)
                    }
                    _ => self.catalog.bound(name, &self.parameters),
                };
                let plan = self.wide.physical(&self.wide.logical(&query)?)?;
                self.plans.insert(name.to_owned(), plan);
            }
            let batches = self.execute_one(&self.plans[name], inputs)?;
            if let (false, Some(first)) = (planned, batches.first()) {
                self.declare(name, first.schema(), rows(&batches));
            }
            computed.push((name, batches));
        }
        Ok(computed.pop().expect("legs come last").1)
    }

    /// Plans the parts and the measures of every level over the legs of a view.
    fn plan_views(&mut self, snapshot: &Arc<Snapshot>) -> Result<()> {
        let legs = self.legs_in(0);
        let schema = legs.first().context("the accounts of a view have rows")?.schema();
        self.declare(GROUPED_LEG, schema, rows(&legs));
        let all_fields = self.fields.clone();
        for depth in 0..=all_fields.len() {
            let fields: Vec<&str> = all_fields[..depth].iter().map(String::as_str).collect();
            let mut plans = Vec::new();
            for part in 0..self.view.parts.len() {
                let query = self.view.part_by(&self.catalog, part, &fields, &self.parameters);
                let logical = self.wide.logical(&query)?;
                let plan = self.wide.physical(&logical)?;
                let inputs = self.inputs(snapshot).with_relation(GROUPED_LEG, legs.clone());
                let batches = self.execute_one(&plan, inputs)?;
                let planned = || Arc::new(logical.schema().as_arrow().clone());
                let schema = batches.first().map_or_else(planned, RecordBatch::schema);
                let name = self.view.parts[part].clone();
                self.declare(&name, schema, rows(&batches));
                plans.push(plan);
            }
            self.parts.push(plans);
            let query = self.view.measures_by(&self.catalog, &self.view_name, &fields);
            self.measures.push(self.narrow.physical(&self.narrow.logical(&query)?)?);
        }
        Ok(())
    }

    fn answer(&self, snapshot: &Arc<Snapshot>, view: usize) -> Result<Answer> {
        let inputs = self.inputs(snapshot).with_relation(GROUPED_LEG, self.legs_in(view));
        let plans: Vec<Plan> = self.parts.iter().flatten().cloned().collect();
        let mut parts = self.execute(&plans, inputs)?.into_iter();
        let mut answer = Vec::with_capacity(self.measures.len());
        for measures in &self.measures {
            let mut inputs = Inputs::new(Arc::clone(snapshot), None);
            for (name, batches) in self.view.parts.iter().zip(parts.by_ref()) {
                inputs = inputs.with_relation(name, batches);
            }
            answer.push(self.execute_one(measures, inputs)?);
        }
        Ok(answer)
    }

    fn legs_in(&self, view: usize) -> Batches {
        self.accounts[view].iter().flat_map(|account| self.legs[account].iter().cloned()).collect()
    }

    fn inputs(&self, snapshot: &Arc<Snapshot>) -> Inputs {
        let inputs = Inputs::new(Arc::clone(snapshot), None);
        self.relations.iter().fold(inputs, |inputs, (name, rows)| inputs.with_relation(name, rows.clone()))
    }

    fn execute(&self, plans: &[Plan], inputs: Inputs) -> Result<Vec<Batches>> {
        Ok(execute_together(plans, self.wide.state(), &Arc::new(inputs), self.runtime.handle())?)
    }

    fn execute_one(&self, plan: &Plan, inputs: Inputs) -> Result<Batches> {
        Ok(self.execute(std::slice::from_ref(plan), inputs)?.remove(0))
    }
}

fn select_all(table: &str) -> Query {
    let parsed = Parser::parse_sql(&GenericDialect {}, &format!("SELECT * FROM {table}"));
    match parsed.expect("a table's name is an identifier").pop() {
        Some(Statement::Query(query)) => *query,
        other => panic!("one SELECT was written, not {other:?}"),
    }
}

fn partition(snapshot: &Snapshot, account: &str) -> Result<PartitionId> {
    let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
    let code = dictionaries.names.find(account);
    let number = snapshot.accounts.iter().position(|&known| Some(known) == code);
    Ok(number.with_context(|| format!("no row is of the account {account}"))? as PartitionId)
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// The same rows in batches as large as DataFusion makes them, so that none costs more than it must.
fn coalesced(batches: &[RecordBatch]) -> Result<Batches> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let all = concat_batches(&first.schema(), batches)?;
    let starts = (0..all.num_rows()).step_by(BATCH_ROWS);
    Ok(starts.map(|from| all.slice(from, BATCH_ROWS.min(all.num_rows() - from))).collect())
}
