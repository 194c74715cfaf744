//! Live views of the SQL that users write: flat results, brought to each epoch by what changed.
//!
//! A view is a SELECT. Its innermost aggregation is kept by the cheapest strategy that is exact for each
//! aggregate: sums of products (factored), states by partition (partition); what has another shape is run
//! again by DataFusion where a table it reads was touched (recompute). What stands around that aggregation
//! is a plan over its groups, made once and run where groups changed. Nothing is planned in a tick.
//! Views whose rows, condition and key are the same share one arrangement of sums.
//! It keeps no clock: a caller that wants times lends a stopwatch.

mod arrangement;
mod explain;
mod factored;
mod merged;
mod result;
mod rows;
mod session;
mod sides;
mod statement;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::prelude::SQLOptions;
use hashbrown::HashMap;
use sqlparser::ast::Query;

use super::broadcast::Broadcasts;
use super::shared::Shared;
use crate::datum::Datum;
use crate::error::{Error, Kind, Result};
use crate::limits::LIVE_VIEWS_MAX;
use crate::plan::bind::VIEWS;
use crate::plan::catalog::Catalog;
use crate::plan::live::{
    Allowed, Core, Factored, Form, GROUP, Known, Measure, Program, around, around_each, core, form, ordered,
    typed,
};
use crate::plan::scalar::{Lane, Program as Columns, Scalar, Values};
use crate::table::snapshot::Snapshot;
use crate::table::{Delta, Tables};
use arrangement::{Arrangement, ArrangementId};
use factored::Stage;
use merged::Partitions;
pub use result::LiveResult;
use rows::{Changed, Rows};
use session::{Numbered, Session, groups_of};
use sides::Sides;
use statement::{Statement, bad, parse};
use view::{Kept, Last, Tick, View, Work, averaging};

/// What scalars come to for some rows, given column by column.
fn evaluate(scalars: &Columns, columns: &[Vec<Datum>], rows: usize) -> Vec<Values> {
    let lanes: Vec<Lane> = columns.iter().map(|column| Lane::Wide(column)).collect();
    scalars.evaluate(&lanes, rows)
}

/// How the aggregates of a view are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Each as cheaply as it can be.
    Auto,
    Factored,
    Partition,
    Recompute,
}

impl Strategy {
    pub const ALL: [Strategy; 4] =
        [Strategy::Auto, Strategy::Factored, Strategy::Partition, Strategy::Recompute];

    pub fn name(self) -> &'static str {
        match self {
            Strategy::Auto => "auto",
            Strategy::Factored => "factored",
            Strategy::Partition => "partition",
            Strategy::Recompute => "recompute",
        }
    }

    fn named(name: &str) -> Option<Strategy> {
        Strategy::ALL.into_iter().find(|strategy| strategy.name().eq_ignore_ascii_case(name))
    }
}

/// What a statement about live views answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Done,
    /// The names of the live views, with what was asked for.
    Views(Vec<(String, String)>),
    Explained(String),
}

/// What live views read, at one epoch.
pub struct World<'a> {
    pub shared: &'a Shared,
    pub tables: &'a Tables,
    pub snapshot: &'a Arc<Snapshot>,
}

impl World<'_> {
    fn relations(&self, currency: &str) -> &Broadcasts {
        self.shared.relations(currency)
    }
}

/// The live views of an engine, and what they stand on.
pub struct Live {
    strategy: Strategy,
    currency: String,
    stopwatch: Option<fn() -> u64>,
    sessions: HashMap<String, Session>,
    sides: Sides,
    arrangements: Vec<Option<Arrangement>>,
    views: BTreeMap<String, View>,
}

impl Default for Live {
    fn default() -> Live {
        Live {
            strategy: Strategy::Auto,
            currency: "USD".to_owned(),
            stopwatch: None,
            sessions: HashMap::new(),
            sides: Sides::default(),
            arrangements: Vec::new(),
            views: BTreeMap::new(),
        }
    }
}

impl Live {
    /// Lends a clock that counts nanoseconds, for the times of EXPLAIN VIEW.
    pub fn set_stopwatch(&mut self, stopwatch: fn() -> u64) {
        self.stopwatch = Some(stopwatch);
    }

    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// Whether a view reads relations in this currency.
    pub fn reads(&self, currency: &str) -> bool {
        self.views.values().any(|view| view.currency == currency)
    }

    /// The currency in which views that are created from now on value.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// # Errors
    /// `Invalid` with the code `UNKNOWN_VIEW` where there is none of this name.
    pub fn result(&self, name: &str) -> Result<&LiveResult> {
        self.views.get(name).map(|view| &view.result).ok_or_else(|| self.unknown(name))
    }

    /// Executes one statement about live views.
    ///
    /// # Errors
    /// `Invalid` for what does not parse, a name that is taken or unknown, and SQL that does not plan;
    /// `Unsupported` where a strategy is forced that the SELECT does not allow, with the reason;
    /// `Overloaded` where there are too many views.
    pub fn execute(
        &mut self,
        text: &str,
        catalog: &Arc<Catalog>,
        shared: &mut Shared,
        tables: &Tables,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Reply> {
        match parse(text)? {
            Statement::Create { name, query } => {
                let text = query.to_string();
                self.create(&name, *query, text, catalog, shared, tables, snapshot).map(|()| Reply::Done)
            }
            Statement::Drop(name) => {
                let view = self.views.remove(&name).ok_or_else(|| self.unknown(&name))?;
                self.let_go(&view);
                Ok(Reply::Done)
            }
            Statement::Show => {
                let all = self.views.iter().map(|(name, view)| (name.clone(), view.text.clone()));
                Ok(Reply::Views(all.collect()))
            }
            Statement::Explain(name) => match self.views.get(&name) {
                Some(view) => Ok(Reply::Explained(self.explain(&name, view, snapshot))),
                None => Err(self.unknown(&name)),
            },
            Statement::SetStrategy(strategy) => {
                self.strategy = strategy;
                Ok(Reply::Done)
            }
            Statement::SetCurrency(currency) => {
                self.currency = currency;
                Ok(Reply::Done)
            }
        }
    }

    /// The shipped view that a statement asks to have explained; a live view of that name is meant instead.
    pub fn shipped_asked(&self, text: &str) -> Option<String> {
        match parse(text) {
            Ok(Statement::Explain(name)) if !self.views.contains_key(&name) => {
                VIEWS.iter().any(|(shipped, ..)| *shipped == name).then_some(name)
            }
            _ => None,
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> = self.views.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::invalid("UNKNOWN_VIEW", format!("there is no live view {name}; there are: {known}"))
    }

    #[expect(clippy::too_many_arguments, reason = "a view is made of all that an engine has")]
    fn create(
        &mut self,
        name: &str,
        query: Query,
        text: String,
        catalog: &Arc<Catalog>,
        shared: &mut Shared,
        tables: &Tables,
        snapshot: &Arc<Snapshot>,
    ) -> Result<()> {
        if self.views.contains_key(name) {
            return Err(Error::invalid(
                "NAME_TAKEN",
                format!("there is a live view {name} already; drop it first or choose another name"),
            ));
        }
        if self.views.len() >= LIVE_VIEWS_MAX {
            let message = format!("there are {LIVE_VIEWS_MAX} live views, as many as there may be; drop one");
            return Err(Error::new(Kind::Overloaded, "LIMIT", message));
        }
        let currency = self.currency.clone();
        shared.need_relations(&currency, catalog, tables, snapshot)?;
        let world = World { shared, tables, snapshot };
        if !self.sessions.contains_key(&currency) {
            let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
            let session = Session::new(&snapshot.schema, catalog, &currency, &mut dictionaries.names)?;
            drop(dictionaries);
            self.sessions.insert(currency.clone(), session);
        }
        let mut view = self.planned(&query, text, &currency, &world)?;
        let session = &self.sessions[&currency];
        view.update(None, &self.arrangements, session, &mut self.sides, &world, self.stopwatch);
        self.arrangements.iter_mut().flatten().for_each(Arrangement::settle);
        self.views.insert(name.to_owned(), view);
        Ok(())
    }

    /// A view that has no rows yet.
    fn planned(&mut self, query: &Query, text: String, currency: &str, world: &World) -> Result<View> {
        let session = &self.sessions[currency];
        let schema = &world.snapshot.schema;
        let named = session.named.typed(query).map_err(planning)?;
        refuse(&named)?;
        let (named, is_ordered) = ordered(&named)?;
        let whole = session.whole.typed(query).map_err(planning)?;
        let (whole, _) = ordered(&whole)?;
        let allowed = match self.strategy {
            Strategy::Auto => Some(Allowed::Any),
            Strategy::Factored => Some(Allowed::Factored),
            Strategy::Partition => Some(Allowed::Merged),
            Strategy::Recompute => None,
        };
        let found = match allowed {
            None => Err(Error::unsupported("it is asked for")),
            Some(allowed) => {
                let mut dictionaries = world.snapshot.dictionaries.write().expect("no reader panicked");
                let known = Known { schema, shipped: &session.shipped };
                core(&named).and_then(|core| {
                    typed(&core.schema, core.groups.len())?;
                    let form = form(&core, &known, &mut dictionaries.names, allowed)?;
                    Ok((core, form))
                })
            }
        };
        let forced = matches!(self.strategy, Strategy::Factored | Strategy::Partition);
        let asked = self.strategy;
        let view = |work, plan, result| {
            let currency = currency.to_owned();
            View { text, asked, currency, work, plan, result, broken: false, last: Last::default() }
        };
        match found {
            Ok((core, form)) => {
                let by_group = around_each(&named, &core, &groups_of(&core, Numbered::Yes)?)?;
                let is_by_group = by_group.is_some();
                let plan = match by_group {
                    Some(plan) => plan,
                    None => around(&named, &core, &groups_of(&core, Numbered::No)?)?,
                };
                let physical = session.whole.executable(&plan).map_err(planning)?;
                let result = LiveResult::new(shown(physical.schema(), is_by_group), is_ordered)?;
                let work = self.kept(&core, form, is_by_group, currency, world)?;
                Ok(view(Work::Kept(Box::new(work)), physical, result))
            }
            Err(error) if forced => Err(Error::new(
                Kind::Unsupported,
                error.code,
                format!("the view cannot be kept by {}: {}", asked.name(), error.message),
            )),
            Err(error) => {
                let physical = session.whole.executable(&whole).map_err(planning)?;
                let reads = session.reads(&named, schema)?;
                let result = LiveResult::new(physical.schema(), is_ordered)?;
                Ok(view(Work::Whole { reads, reason: error.message }, physical, result))
            }
        }
    }

    /// Makes the stages of a form, with the sums that stand already.
    fn kept(
        &mut self,
        core: &Core,
        form: Form,
        is_by_group: bool,
        currency: &str,
        world: &World,
    ) -> Result<Kept> {
        let groups = core.groups.len();
        let fields = core.schema.as_arrow().fields();
        let named = |(at, field): (usize, &Arc<Field>)| {
            Field::new(format!("c{at}"), field.data_type().clone(), field.is_nullable())
        };
        let mut schema: Vec<_> = fields.iter().enumerate().map(named).collect();
        let number = DataType::Int64;
        schema.push(Field::new(GROUP, number, false));
        let mut averages = Vec::with_capacity(form.measures.len());
        for (measure, expr) in form.measures.iter().zip(&core.aggregates) {
            averages.push(match measure {
                Measure::Average(..) => Some(average_of(expr, core)?),
                _ => None,
            });
        }
        let partitions = match &form.merged {
            None => None,
            Some(merged) => {
                let rows = self.rows(&merged.program, Partitions::reads(merged), currency, world);
                Some(Partitions::new(merged, rows)?)
            }
        };
        let stage = form.factored.map(|factored| {
            let Factored { program, filter, keys, kept, .. } = &factored;
            let (id, places) = self.arrange(program, filter, keys, kept, currency, world);
            let mut factored = factored;
            for (kept, _) in factored.sums.iter_mut().flatten() {
                *kept = places[*kept];
            }
            (id, Stage::new(&factored, currency, &mut self.sides, world))
        });
        Ok(Kept {
            is_by_group,
            stage,
            partitions,
            measures: form.measures,
            reasons: form.reasons,
            texts: core.aggregates.iter().map(|expr| expr.schema_name().to_string()).collect(),
            group_types: typed(&core.schema, groups)?,
            measure_types: fields[groups..].iter().map(|field| field.data_type().clone()).collect(),
            averages,
            schema: Arc::new(ArrowSchema::new(schema)),
        })
    }

    /// The rows of a program; those of an inner GROUP BY stand on an arrangement of their own.
    fn rows<'a>(
        &mut self,
        program: &Program,
        read: impl IntoIterator<Item = &'a Scalar>,
        currency: &str,
        world: &World,
    ) -> Rows {
        let net = program.net.as_ref().map(|net| {
            let (id, places) = self.arrange(&net.rows, &net.filter, &net.keys, &net.kept, currency, world);
            let keys = net.keys.len();
            let place = |at: usize| if at < keys { at } else { keys + places[at - keys] };
            let columns =
                net.columns.iter().map(|column| column.substitute(&mut |at| Scalar::Column(place(at))));
            (id, columns.collect())
        });
        Rows::new(program, net, read, currency, &mut self.sides, world)
    }

    /// The arrangement of some rows by key with at least these sums, and where each of them stands.
    fn arrange(
        &mut self,
        program: &Program,
        filter: &Scalar,
        keys: &[Scalar],
        kept: &[Scalar],
        currency: &str,
        world: &World,
    ) -> (ArrangementId, Vec<usize>) {
        let net =
            program.net.as_ref().map(|net| (&net.rows, &net.filter, &net.keys, &net.kept, &net.columns));
        let signature = format!("{currency} {:?} {net:?} {filter:?} {keys:?}", program.branches);
        let known = self
            .arrangements
            .iter()
            .position(|one| one.as_ref().is_some_and(|one| one.signature == signature));
        let mut all = match known {
            Some(id) => self.arrangements[id].as_ref().expect("it was just found").kept.clone(),
            None => Vec::new(),
        };
        let before = all.len();
        let places = kept
            .iter()
            .map(|h| {
                all.iter().position(|known| known == h).unwrap_or_else(|| {
                    all.push(h.clone());
                    all.len() - 1
                })
            })
            .collect();
        if let Some(id) = known
            && all.len() == before
        {
            self.arrangements[id].as_mut().expect("it was just found").readers += 1;
            return (id, places);
        }
        let read = all.iter().chain(keys).chain([filter]);
        let (id, readers, rows) = match known {
            None => {
                let rows = self.rows(program, read, currency, world);
                let id = self.arrangements.iter().position(Option::is_none).unwrap_or_else(|| {
                    self.arrangements.push(None);
                    self.arrangements.len() - 1
                });
                (id, 0, rows)
            }
            Some(id) => {
                // It reads the same net as before.
                let before = self.arrangements[id].take().expect("it was just found");
                let net = before.rows.net.clone();
                let rows = Rows::new(program, net, read, currency, &mut self.sides, world);
                (id, before.readers, rows)
            }
        };
        let mut made =
            Arrangement::new(signature, rows, program.names.clone(), filter.clone(), keys.to_vec(), all);
        made.readers = readers + 1;
        made.rebuild(&self.arrangements, &mut self.sides, world);
        self.arrangements[id] = Some(made);
        // Keys have other numbers now: who stands on them starts anew.
        if known.is_some() {
            self.restart(id, world);
        }
        (id, places)
    }

    /// Computes anew what stands on an arrangement.
    fn restart(&mut self, id: ArrangementId, world: &World) {
        let Live { views, arrangements, sides, .. } = self;
        for above in 0..arrangements.len() {
            let stands = arrangements[above]
                .as_ref()
                .is_some_and(|one| one.rows.net.as_ref().is_some_and(|(inner, _)| *inner == id));
            if stands {
                let mut one = arrangements[above].take().expect("it was just seen");
                one.rebuild(arrangements, sides, world);
                arrangements[above] = Some(one);
            }
        }
        for view in views.values_mut() {
            if let Work::Kept(kept) = &mut view.work
                && let Some((on, stage)) = &mut kept.stage
            {
                let arrangement = arrangements[*on].as_ref().expect("what is read stays");
                if arrangement.anew {
                    view.broken |= stage.rebuild(arrangement, sides, world).is_err();
                }
            }
        }
    }

    /// Lets go of what a view stood on, where no other does.
    fn let_go(&mut self, view: &View) {
        if let Work::Kept(kept) = &view.work {
            if let Some((id, _)) = &kept.stage {
                self.release(*id);
            }
            if let Some((id, _)) =
                kept.partitions.as_ref().and_then(|partitions| partitions.rows.net.as_ref())
            {
                self.release(*id);
            }
        }
        if self.views.is_empty() {
            self.sides.clear();
        }
    }

    fn release(&mut self, id: ArrangementId) {
        let one = self.arrangements[id].as_mut().expect("what is read stays");
        one.readers -= 1;
        if one.readers == 0 {
            let gone = self.arrangements[id].take().expect("it was just seen");
            if let Some((inner, _)) = gone.rows.net {
                self.release(inner);
            }
        }
    }

    /// Brings every view to the epoch of the world. A view that cannot be computed says why, and is computed
    /// anew at the next tick.
    pub fn follow(&mut self, delta: &Delta, world: &World) {
        if self.views.is_empty() {
            return;
        }
        let Live { sessions, sides, arrangements, views, stopwatch, .. } = self;
        let schema = world.tables.schema();
        let tables = (0..delta.tables.len()).filter(|&table| !delta.tables[table].is_empty());
        let changed: HashMap<_, _> = tables
            .map(|table| (table, Changed::of(delta, table, schema.tables[table].columns.len())))
            .collect();
        sides.prepare(delta, world);
        for one in arrangements.iter_mut().flatten() {
            one.take_back(&changed, sides, world);
        }
        sides.apply();
        // What stands on nets comes after them.
        let mut order: Vec<ArrangementId> = (0..arrangements.len()).collect();
        order.sort_by_key(|&id| depth(arrangements, id));
        for id in order {
            if let Some(mut one) = arrangements[id].take() {
                one.bring(&changed, arrangements, sides, world);
                arrangements[id] = Some(one);
            }
        }
        let tick = Tick { delta, changed: &changed, arrangements };
        for view in views.values_mut() {
            let session = &sessions[&view.currency];
            view.update(Some(&tick), tick.arrangements, session, sides, world, *stopwatch);
        }
        arrangements.iter_mut().flatten().for_each(Arrangement::settle);
    }

    /// Bytes of what all views stand on.
    pub fn bytes(&self) -> usize {
        self.sides.bytes() + self.arrangements.iter().flatten().map(Arrangement::bytes).sum::<usize>()
    }
}

/// The columns of a plan that are shown: not the number of the group.
fn shown(schema: SchemaRef, is_by_group: bool) -> SchemaRef {
    let columns: Vec<usize> = (0..schema.fields().len() - usize::from(is_by_group)).collect();
    Arc::new(schema.project(&columns).expect("columns that there are"))
}

/// How many arrangements one stands on.
fn depth(arrangements: &[Option<Arrangement>], id: ArrangementId) -> usize {
    let inner = arrangements[id].as_ref().and_then(|one| one.rows.net.as_ref());
    inner.map_or(0, |(inner, _)| 1 + depth(arrangements, *inner))
}

/// The division of an average.
fn average_of(expr: &Expr, core: &Core) -> Result<AggregateFunctionExpr> {
    match expr {
        Expr::Alias(alias) => average_of(&alias.expr, core),
        Expr::AggregateFunction(function) => {
            let argument = function.params.args[0].get_type(core.input.schema().as_ref())?;
            averaging(function, argument)
        }
        other => Err(Error::internal(format!("{other} is no aggregate"))),
    }
}

/// A plan that is kept must change nothing, and give the same whenever it is run on the same rows.
fn refuse(plan: &LogicalPlan) -> Result<()> {
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(plan).map_err(|_| bad("a view changes nothing; it must be one SELECT".to_owned()))?;
    let mut varying = None;
    plan.apply_with_subqueries(|node| {
        for expr in node.expressions() {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr
                    && call.func.signature().volatility != Volatility::Immutable
                {
                    varying = Some(call.func.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match varying {
        None => Ok(()),
        Some(name) => Err(bad(format!(
            "{name} is another value at each run; a live view reads the day and its times from system.day"
        ))),
    }
}

/// Whose fault it is that a SELECT does not plan: mostly its author's.
fn planning(error: DataFusionError) -> Error {
    let root = error.find_root();
    match root {
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::SQL(..) => {
            bad(root.message().into_owned())
        }
        DataFusionError::NotImplemented(message) => {
            Error::new(Kind::Unsupported, "BAD_QUERY", format!("{message}; write the query without it"))
        }
        _ => Error::from(error),
    }
}
