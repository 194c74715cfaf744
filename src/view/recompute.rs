//! The oracle: a view computed from a snapshot by plain DataFusion, from nothing, every time.
//!
//! Slow and obvious. It runs the same SQL files as the tick, relation by relation, and shares with it only
//! the rounding functions, the text of the SQL and the division of a weight.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema as ArrowSchema};
use datafusion::physical_plan::ExecutionPlan;
use hashbrown::HashMap;
use sqlparser::ast::Query;

use super::groups::Group;
use super::spec::{Selection, ViewSpec};
use crate::datum::{Datum, NULL, round_quotient};
use crate::error::{Error, Result};
use crate::plan::catalog::{Catalog, Parameters, Planner};
use crate::plan::execute::execute;
use crate::plan::grouped::{
    self, GROUPED_LEG, GroupedView, Measure, MeasureKind, QUALITY, QUALITY_MISSING, QUALITY_OK,
};
use crate::plan::rows::{Graded, RowsView, relations_before};
use crate::plan::scan::{Inputs, from_arrow};
use crate::schema::Schema;
use crate::table::PartitionId;
use crate::table::snapshot::Snapshot;
use crate::view::result::{Cell, Column, Form, Quality, Unit};

/// The relations every view reads, each after those it reads itself.
const RELATIONS: [&str; 9] =
    ["fx", "fx_between", "instrument", "quote", "unit", "account", "counting_order", "leg", "direction"];

/// Digits of a weight after the point.
const WEIGHT_SCALE: u8 = 10;

/// A view computed from nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recomputed {
    /// The view's measures.
    pub columns: Vec<Column>,
    /// The groups of each level, the ungrouped total first; each level in no order.
    pub levels: Vec<Vec<Group>>,
}

/// A row-level view computed from nothing: all its rows in no order, no filter applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecomputedRows {
    /// The view's columns by name, those of its key first. Text stands as codes of the names.
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
    /// The graded columns summed over all rows; no value for the others.
    pub total: Vec<Cell>,
}

/// Plans, kept by their SQL, for snapshots of one schema. No row is kept from one recomputation to the next.
pub struct Oracle {
    catalog: Arc<Catalog>,
    planner: Planner,
    /// By SQL, and by the group fields of the legs it reads: the same text over other columns is another plan.
    plans: HashMap<(String, Vec<String>), Arc<dyn ExecutionPlan>>,
    /// What is run for a view, by all of its specification that the SQL depends on.
    runs: HashMap<Asked, Arc<Run>>,
    fields: Vec<String>,
}

/// What the SQL of a view depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asked {
    view: String,
    group_by: Vec<String>,
    portfolios: Option<Vec<String>>,
    currency: String,
    exclude_cash: bool,
}

/// The plans of one view, in the order they are run.
struct Run {
    view: GroupedView,
    /// Of the relations that every view reads, those it needs.
    relations: Vec<Step>,
    grouped_leg: Step,
    /// By level: its parts, and the measures over them.
    levels: Vec<(Vec<Step>, Arc<dyn ExecutionPlan>)>,
}

/// A relation and the plan that computes it.
struct Step {
    relation: String,
    plan: Arc<dyn ExecutionPlan>,
    /// What else tells it from one of the same name at the same snapshot.
    of: Of,
}

/// What a relation is computed for.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Of {
    currency: Option<String>,
    /// The accounts whose rows it reads.
    partitions: Option<Vec<PartitionId>>,
    portfolios: Option<Vec<String>>,
}

/// Relations of one snapshot that were computed for one view and serve others.
type Known = HashMap<(String, Of), Vec<RecordBatch>>;

impl Oracle {
    /// `partitions` is how many threads a plan may use; above 1 it must run inside a Tokio runtime.
    pub fn new(schema: &Arc<Schema>, partitions: usize) -> Oracle {
        Oracle {
            catalog: Arc::new(Catalog::new(Arc::clone(schema))),
            planner: Planner::new(schema, partitions),
            plans: HashMap::new(),
            runs: HashMap::new(),
            fields: Vec::new(),
        }
    }

    /// The groups of every level at a snapshot.
    ///
    /// # Errors
    /// `Internal` where the SQL does not plan or run.
    pub fn recompute(&mut self, snapshot: &Arc<Snapshot>, spec: &ViewSpec) -> Result<Recomputed> {
        let mut all = self.recompute_all(snapshot, &[spec])?;
        Ok(all.swap_remove(0))
    }

    /// Several views at a snapshot; what they read alike is computed once.
    ///
    /// # Errors
    /// As [`Self::recompute`].
    pub fn recompute_all(
        &mut self,
        snapshot: &Arc<Snapshot>,
        specs: &[&ViewSpec],
    ) -> Result<Vec<Recomputed>> {
        let mut known = Known::new();
        specs.iter().map(|spec| self.recompute_with(snapshot, spec, &mut known)).collect()
    }

    fn recompute_with(
        &mut self,
        snapshot: &Arc<Snapshot>,
        spec: &ViewSpec,
        known: &mut Known,
    ) -> Result<Recomputed> {
        let run = self.run_of(spec)?;
        let partitions = selected(snapshot, &spec.accounts);
        let mut inputs = Inputs::new(Arc::clone(snapshot), partitions.clone());
        for step in &run.relations {
            let mut of = step.of.clone();
            // The relations of prices, rates and declarations read no account's rows.
            if ["counting_order", "leg", "direction"].contains(&step.relation.as_str()) {
                of.partitions = partitions.clone();
            }
            let key = (step.relation.clone(), of);
            let batches = match known.get(&key) {
                Some(batches) => batches.clone(),
                None => {
                    let batches = self.execute(&mut inputs, &step.plan)?;
                    known.insert(key, batches.clone());
                    batches
                }
            };
            inputs = inputs.with_relation(&step.relation, batches);
        }
        let legs = self.execute(&mut inputs, &run.grouped_leg.plan)?;
        inputs = inputs.with_relation(GROUPED_LEG, legs);
        let mut levels: Vec<Vec<Group>> = Vec::with_capacity(run.levels.len());
        let mut columns = Vec::new();
        for (depth, (parts, measures)) in run.levels.iter().enumerate() {
            for part in parts {
                let batches = self.execute(&mut inputs, &part.plan)?;
                inputs = inputs.with_relation(&part.relation, batches);
            }
            let batches = self.execute(&mut inputs, measures)?;
            if depth == 0 {
                columns = columns_of(&run.view, &measures.schema());
            }
            let nav = levels.first().map(|total: &Vec<Group>| total[0].clone());
            levels.push(groups(&run.view, depth, &batches, &inputs, nav.as_ref())?);
        }
        Ok(Recomputed { columns, levels })
    }

    /// The plans of a view, made the first time they are asked for.
    fn run_of(&mut self, spec: &ViewSpec) -> Result<Arc<Run>> {
        let asked = Asked {
            view: spec.view.clone(),
            group_by: spec.group_by.clone(),
            portfolios: spec.portfolios.clone(),
            currency: spec.currency.clone(),
            exclude_cash: spec.exclude_cash,
        };
        if let Some(run) = self.runs.get(&asked) {
            return Ok(Arc::clone(run));
        }
        let catalog = Arc::clone(&self.catalog);
        let view = GroupedView::new(&catalog, &spec.view);
        let parameters = Parameters { currency: spec.currency.clone(), exclude_cash: spec.exclude_cash };
        let fields: Vec<&str> = spec.group_by.iter().map(String::as_str).collect();
        self.fields = Vec::new();
        let mut relations = Vec::new();
        for relation in RELATIONS {
            let is_read = match relation {
                "direction" => fields.contains(&"long_short"),
                "fx_between" => view.reads(&catalog, relation),
                _ => true,
            };
            if is_read {
                let query = self.selected(relation, catalog.bound(relation, &parameters), spec);
                let mut step = self.step(relation, &query)?;
                step.of = Of {
                    currency: ["fx", "quote", "unit"].contains(&relation).then(|| spec.currency.clone()),
                    partitions: None,
                    portfolios: spec.portfolios.clone().filter(|_| relation == "direction"),
                };
                relations.push(step);
            }
        }
        let legs = grouped::grouped_leg(&catalog, &fields, spec.portfolios.as_deref());
        let grouped_leg = self.step(GROUPED_LEG, &legs)?;
        self.fields = spec.group_by.clone();
        let mut levels = Vec::with_capacity(fields.len() + 1);
        for depth in 0..=fields.len() {
            let mut parts = Vec::with_capacity(view.parts.len());
            for part in 0..view.parts.len() {
                let query = view.part_by(&catalog, part, &fields[..depth], &parameters);
                parts.push(self.step(&view.parts[part], &query)?);
            }
            let measures = self.plan(&view.measures_by(&catalog, &spec.view, &fields[..depth]))?;
            levels.push((parts, measures));
        }
        let run = Arc::new(Run { view, relations, grouped_leg, levels });
        self.runs.insert(asked, Arc::clone(&run));
        Ok(run)
    }

    /// The rows of a row-level view at a snapshot.
    ///
    /// # Errors
    /// `Internal` where the SQL does not plan or run.
    pub fn recompute_rows(&mut self, snapshot: &Arc<Snapshot>, spec: &ViewSpec) -> Result<RecomputedRows> {
        let catalog = Arc::clone(&self.catalog);
        let parameters = Parameters { currency: spec.currency.clone(), exclude_cash: spec.exclude_cash };
        let view = RowsView::new(&catalog, &spec.view, &parameters);
        self.fields = Vec::new();
        let mut inputs = Inputs::new(Arc::clone(snapshot), selected(snapshot, &spec.accounts));
        for relation in relations_before(&view) {
            let step = self.step(relation, &catalog.bound(relation, &parameters))?;
            let batches = self.execute(&mut inputs, &step.plan)?;
            inputs = inputs.with_relation(relation, batches);
        }
        let plan = self.plan(&view.query)?;
        let mut rows = Vec::new();
        let mut sums = vec![[0; 4]; view.columns.len()];
        for batch in self.execute(&mut inputs, &plan)? {
            let mut dictionaries = snapshot.dictionaries.write().expect("no reader panicked");
            let data: Vec<Vec<Datum>> = batch
                .columns()
                .iter()
                .map(|array| from_arrow(array, &mut dictionaries.names))
                .collect::<datafusion::common::Result<_>>()?;
            for row in 0..batch.num_rows() {
                let mut values = data.iter().map(|column| column[row]);
                let mut next = || values.next().expect("a graded column has three counts beside it");
                let mut cells = Vec::with_capacity(view.columns.len());
                for ((_, graded), sums) in view.columns.iter().zip(&mut sums) {
                    cells.push(match graded {
                        Graded::No => Cell::new(next()),
                        Graded::Yes => {
                            let counts = [next(), next(), next(), next()];
                            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                            graded_cell(counts)
                        }
                    });
                }
                rows.push(cells);
            }
        }
        let total = view.columns.iter().zip(sums).map(|((_, graded), sums)| match graded {
            Graded::No => Cell::EMPTY,
            Graded::Yes => graded_cell(sums),
        });
        let total = total.collect();
        Ok(RecomputedRows { columns: view.columns.into_iter().map(|(name, _)| name).collect(), rows, total })
    }

    /// A direction is that of the chosen sleeves alone.
    fn selected(&self, relation: &str, mut query: Query, spec: &ViewSpec) -> Query {
        if relation == "direction"
            && let Some(portfolios) = &spec.portfolios
        {
            grouped::within_portfolios(&mut query, portfolios);
        }
        query
    }

    /// Plans a relation and makes it readable for what is planned after.
    fn step(&mut self, relation: &str, query: &Query) -> Result<Step> {
        let plan = self.plan(query)?;
        self.planner.add_relation(relation, plan.schema());
        Ok(Step { relation: relation.to_owned(), plan, of: Of::default() })
    }

    fn plan(&mut self, query: &Query) -> Result<Arc<dyn ExecutionPlan>> {
        let key = (query.to_string(), self.fields.clone());
        if let Some(plan) = self.plans.get(&key) {
            return Ok(Arc::clone(plan));
        }
        let plan = self.planner.physical(&self.planner.logical(query)?)?;
        self.plans.insert(key, Arc::clone(&plan));
        Ok(plan)
    }

    fn execute(&self, inputs: &mut Inputs, plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<RecordBatch>> {
        let empty = Inputs::new(Arc::clone(inputs.snapshot()), None);
        let shared = Arc::new(std::mem::replace(inputs, empty));
        let batches = execute(plan, self.planner.state(), &shared);
        *inputs = Arc::into_inner(shared).ok_or_else(|| Error::internal("a plan still reads its inputs"))?;
        batches
    }
}

/// What `graded(value, positions, unpriced, stale)` is.
fn graded_cell([value, positions, unpriced, stale]: [Datum; 4]) -> Cell {
    if positions > 0 && unpriced == positions {
        Cell { value: NULL, quality: Quality::Missing }
    } else if unpriced > 0 {
        Cell { value, quality: Quality::Partial(unpriced as u64) }
    } else if stale > 0 {
        Cell { value, quality: Quality::Stale }
    } else {
        Cell::new(value)
    }
}

/// The partitions of the chosen accounts that any topic names.
pub fn selected(snapshot: &Snapshot, accounts: &Selection) -> Option<Vec<PartitionId>> {
    match accounts {
        Selection::All => None,
        Selection::Only(names) => {
            let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
            let number = |name: &String| {
                let code = dictionaries.names.find(name)?;
                snapshot.accounts.iter().position(|&account| account == code).map(|at| at as PartitionId)
            };
            let mut partitions: Vec<_> = names.iter().filter_map(number).collect();
            partitions.sort_unstable();
            partitions.dedup();
            Some(partitions)
        }
    }
}

/// What each measure of a view is, from the types of its SQL.
pub fn columns_of(view: &GroupedView, schema: &ArrowSchema) -> Vec<Column> {
    let column = |measure: &Measure| {
        let data_type = schema.field_with_name(&measure.name).map(|field| field.data_type().clone());
        let (form, unit) = match (&measure.kind, data_type) {
            (MeasureKind::Weight { .. }, _) => (Form::Decimal { scale: WEIGHT_SCALE }, Unit::Weight),
            (_, Ok(DataType::Timestamp(..))) => (Form::Time, Unit::Time),
            (MeasureKind::Graded { .. }, Ok(DataType::Decimal128(_, scale))) => {
                let unit = if measure.per.is_empty() { Unit::Money } else { Unit::Base };
                (Form::Decimal { scale: scale as u8 }, unit)
            }
            (_, Ok(DataType::Decimal128(_, scale))) => (Form::Decimal { scale: scale as u8 }, Unit::Local),
            _ => (Form::Decimal { scale: 0 }, Unit::Count),
        };
        Column { name: measure.name.clone(), form, unit }
    };
    view.measures.iter().map(column).collect()
}

/// The groups of the level `depth` from the batches of [`GroupedView::measures_by`].
///
/// `nav` is the ungrouped total, of which weights are shares; the total itself has none yet.
pub fn groups(
    view: &GroupedView,
    depth: usize,
    batches: &[RecordBatch],
    inputs: &Inputs,
    nav: Option<&Group>,
) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for batch in batches {
        let columns: Vec<Vec<Datum>> = {
            let mut dictionaries = inputs.snapshot().dictionaries.write().expect("no reader panicked");
            let columns = batch.columns().iter();
            columns.map(|column| from_arrow(column, &mut dictionaries.names)).collect::<Result<_, _>>()?
        };
        let place: HashMap<&str, usize> = batch
            .schema_ref()
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| (field.name().as_str(), at))
            .collect();
        for row in 0..batch.num_rows() {
            let key = (0..depth).map(|level| columns[level][row]).collect();
            let mut cells = Vec::with_capacity(view.measures.len());
            for measure in &view.measures {
                let value = |name: &str| columns[place[name]][row];
                cells.push(match &measure.kind {
                    MeasureKind::Plain(_) => Cell::new(value(&measure.name)),
                    MeasureKind::Graded { .. } => {
                        let quality = value(&format!("{}{QUALITY}", measure.name));
                        Cell { value: value(&measure.name), quality: quality_of(quality) }
                    }
                    // Filled below, once the measure it is a share of is known.
                    MeasureKind::Weight { .. } => Cell::EMPTY,
                });
            }
            groups.push(Group { key, cells });
        }
    }
    let totals = nav.cloned().or_else(|| groups.first().cloned());
    for group in &mut groups {
        for (at, measure) in view.measures.iter().enumerate() {
            if let MeasureKind::Weight { of } = &measure.kind {
                let of = view
                    .measures
                    .iter()
                    .position(|measure| measure.name == *of)
                    .expect("a weight names a measure");
                let total = totals.as_ref().expect("a view has a total").cells[of];
                group.cells[at] = weight(group.cells[of], total);
            }
        }
    }
    Ok(groups)
}

/// A measure as a share of NAV, to ten decimals; no value where NAV is 0 or not fully priced.
pub fn weight(part: Cell, nav: Cell) -> Cell {
    if matches!(nav.quality, Quality::Partial(_) | Quality::Missing) {
        return Cell { value: NULL, quality: Quality::Missing };
    }
    if part.value == NULL || nav.value == NULL || nav.value == 0 {
        return Cell { value: NULL, quality: part.quality };
    }
    // Both have the same scale, so the quotient of the integers is that of the values.
    Cell {
        value: round_quotient((part.value, 0), (nav.value, 0), WEIGHT_SCALE).unwrap_or(NULL),
        quality: part.quality,
    }
}

/// A quality from its integer in SQL.
pub fn quality_of(value: Datum) -> Quality {
    match value {
        v if v == Datum::from(QUALITY_OK) => Quality::Ok,
        v if v == Datum::from(QUALITY_MISSING) => Quality::Missing,
        v if v > 0 => Quality::Partial(v as u64),
        _ => Quality::Stale,
    }
}
