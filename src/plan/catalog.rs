//! The SQL files as parsed views, and their plans: what every relation is, said once.
//!
//! A relation is planned with the relations it reads as leaves, so that each can be computed by itself:
//! by DataFusion for the oracle, by compiled scalars in the tick. Parameters are replaced in the syntax
//! tree, never pasted into text.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result as PlanResult, TableReference, plan_datafusion_err};
use datafusion::config::ConfigOptions;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{
    AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::SqlToRel;
use hashbrown::HashMap;
use sqlparser::ast::{Expr, Query, Statement, Value, VisitMut, VisitorMut};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use tracing::debug;

use super::function;
use super::in_turn::InTurn;
use super::scan::{Leaf, System};
use crate::error::Result;
use crate::schema::Schema;

const FILES: [&str; 7] = [
    include_str!("../../sql/valuation.sql"),
    include_str!("../../sql/legs.sql"),
    include_str!("../../sql/views/account_overview.sql"),
    include_str!("../../sql/views/pid_carve_out.sql"),
    include_str!("../../sql/views/cash_only.sql"),
    include_str!("../../sql/views/holdings.sql"),
    include_str!("../../sql/views/orders.sql"),
];

/// Values of the parameters that views name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameters {
    pub currency: String,
    pub exclude_cash: bool,
}

/// Parsed SQL views, in the order of their files: each reads only those before it.
pub struct Catalog {
    pub schema: Arc<Schema>,
    queries: Vec<(String, Query)>,
}

impl Catalog {
    /// The views this engine is built with.
    ///
    /// # Panics
    /// Where a file under `sql/` is no valid SQL; a test reads them.
    pub fn new(schema: Arc<Schema>) -> Catalog {
        let mut queries = Vec::new();
        for file in FILES {
            let statements = Parser::parse_sql(&GenericDialect {}, file).expect("sql/ holds valid SQL");
            for statement in statements {
                match statement {
                    Statement::CreateView(view) => queries.push((view.name.to_string(), *view.query)),
                    other => panic!("only CREATE VIEW stands in a view's file, not {other}"),
                }
            }
        }
        Catalog { schema, queries }
    }

    /// A view's query.
    ///
    /// # Panics
    /// Where no file under `sql/` declares it.
    pub fn query(&self, view: &str) -> &Query {
        let found = self.queries.iter().find(|(name, _)| name == view);
        &found.unwrap_or_else(|| panic!("sql/ declares no view {view}")).1
    }

    /// A view's query with its parameters bound.
    pub fn bound(&self, view: &str, parameters: &Parameters) -> Query {
        let mut query = self.query(view).clone();
        let _ = query.visit(&mut Bind(parameters));
        query
    }
}

struct Bind<'a>(&'a Parameters);

impl VisitorMut for Bind<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            match name.as_str() {
                "$currency" => value.value = Value::SingleQuotedString(self.0.currency.clone()),
                "$exclude_cash" => value.value = Value::Boolean(self.0.exclude_cash),
                other => panic!("sql/ names the unknown parameter {other}"),
            }
        }
        std::ops::ControlFlow::Continue(())
    }
}

/// Plans SQL over leaves. One planner serves one thread; plans outlive it.
pub struct Planner {
    state: SessionState,
    leaves: HashMap<String, Arc<Leaf>>,
    /// Relations whose plans take the place of their names, and tables that hold rows of their own.
    inlined: HashMap<String, Arc<dyn TableProvider>>,
}

impl Planner {
    /// A planner that knows the base tables and the engine's own relations.
    ///
    /// `partitions` is how many threads an execution may use; 1 needs no runtime.
    pub fn new(schema: &Schema, partitions: usize) -> Planner {
        let mut config = SessionConfig::new().with_target_partitions(partitions);
        let options = config.options_mut();
        // A cached plan that keeps a filter from an earlier run would drop rows.
        options.optimizer.enable_dynamic_filter_pushdown = false;
        options.sql_parser.map_string_types_to_utf8view = false;
        options.sql_parser.parse_float_as_decimal = true;
        let mut builder = SessionStateBuilder::new().with_config(config).with_default_features();
        if partitions == 1 {
            let rules = PhysicalOptimizer::default().rules;
            let in_turn = Arc::new(InTurn) as Arc<dyn PhysicalOptimizerRule + Send + Sync>;
            builder = builder.with_physical_optimizer_rules([vec![in_turn], rules].concat());
        }
        let mut state = builder.build();
        for udf in function::all() {
            let _ = datafusion::execution::FunctionRegistry::register_udf(&mut state, udf);
        }
        let mut planner = Planner { state, leaves: HashMap::new(), inlined: HashMap::new() };
        Leaf::base(schema).into_iter().for_each(|leaf| planner.add(leaf));
        System::ALL.into_iter().for_each(|system| planner.add(Leaf::system(system)));
        planner
    }

    fn add(&mut self, leaf: Leaf) {
        self.leaves.insert(leaf.name.clone(), Arc::new(leaf));
    }

    /// Makes a relation readable under its name, as computed before each execution.
    pub fn add_relation(&mut self, name: &str, schema: SchemaRef) {
        self.add(Leaf::relation(name, schema));
    }

    /// As [`Self::add_relation`], with about how many rows it has: a join then builds on its smaller side.
    pub fn add_relation_of(&mut self, name: &str, schema: SchemaRef, rows: usize) {
        self.add(Leaf::relation(name, schema).with_rows(rows));
    }

    /// Makes a query readable under a name: its plan stands wherever the name is read.
    ///
    /// # Errors
    /// `Internal` where a shipped query does not plan.
    pub fn inline(&mut self, name: &str, query: &Query) -> Result<()> {
        let plan = self.logical(query)?;
        self.inlined.insert(name.to_owned(), Arc::new(ViewTable::new(plan, None)));
        Ok(())
    }

    /// Makes a table readable under a name; for plans that are run once, since it may hold rows of one epoch.
    pub fn add_table(&mut self, name: &str, table: Arc<dyn TableProvider>) {
        self.inlined.insert(name.to_owned(), table);
    }

    /// The typed plan of a query, not yet optimized: its shape is that of the text.
    ///
    /// # Errors
    /// `Internal` where a shipped query does not plan.
    pub fn logical(&self, query: &Query) -> Result<LogicalPlan> {
        Ok(self.typed(query)?)
    }

    /// The same for a query from outside, whose faults are its author's.
    pub fn typed(&self, query: &Query) -> PlanResult<LogicalPlan> {
        debug!(%query, "plan");
        let plan = SqlToRel::new(self).sql_statement_to_plan(Statement::Query(Box::new(query.clone())))?;
        self.state.analyzer().execute_and_check(plan, self.state.config_options(), |_, _| {})
    }

    /// A plan to execute again and again: see [`super::execute`].
    ///
    /// Cost: milliseconds; never within a tick.
    pub fn physical(&self, logical: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.executable(logical)?)
    }

    /// The same for a query from outside, whose faults are its author's.
    pub fn executable(&self, logical: &LogicalPlan) -> PlanResult<Arc<dyn ExecutionPlan>> {
        debug!("plan");
        let optimized = self.state.optimize(logical)?;
        let planning = self.state.query_planner().create_physical_plan(&optimized, &self.state);
        super::execute::wait(planning)
    }

    /// What a query can read, by name.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.leaves.keys().chain(self.inlined.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    pub fn state(&self) -> &SessionState {
        &self.state
    }
}

impl ContextProvider for Planner {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        let key = name.to_string();
        if let Some(relation) = self.inlined.get(&key) {
            return Ok(provider_as_source(Arc::clone(relation)));
        }
        let leaf = self.leaves.get(&key).ok_or_else(|| -> DataFusionError {
            plan_datafusion_err!("there is no table {name}; there are {}", self.names().join(", "))
        })?;
        Ok(provider_as_source(Arc::clone(leaf) as _))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<datafusion::arrow::datatypes::DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
