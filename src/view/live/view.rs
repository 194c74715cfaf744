//! One live view: the stages that keep its groups, and the plan around them.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Decimal128Array, Decimal256Array, Int64Array, RecordBatch, UInt64Array, new_empty_array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, i256};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use hashbrown::HashMap;

use super::arrangement::{Arrangement, ArrangementId};
use super::factored::{GroupKey, Stage, overflow};
use super::merged::Partitions;
use super::rows::Changed;
use super::session::{GROUPS, Reads, Session};
use super::sides::Sides;
use super::{Strategy, World};
use crate::datum::{DIGITS_MAX, Datum, NULL, power_of_ten};
use crate::error::{Error, Kind, Result};
use crate::limits::LIVE_MEMORY_BYTES_MAX;
use crate::plan::execute::execute_within;
use crate::plan::live::Measure;
use crate::plan::scan::Inputs;
use crate::schema::{TableId, Type};
use crate::table::Delta;
use crate::table::chunk::to_arrow;

/// How a view is computed.
pub(super) enum Work {
    Kept(Box<Kept>),
    Whole { reads: Reads, reason: String },
}

/// The groups of a view, kept by deltas.
pub(super) struct Kept {
    /// Each group makes at most one row by itself, so that the plan runs over touched groups only.
    pub is_by_group: bool,
    pub stage: Option<(ArrangementId, Stage)>,
    pub partitions: Option<Partitions>,
    pub measures: Vec<Measure>,
    pub reasons: Vec<String>,
    /// As the SELECT writes them.
    pub texts: Vec<String>,
    pub group_types: Vec<Type>,
    pub measure_types: Vec<DataType>,
    /// By measure: what divides its sum, for averages.
    pub averages: Vec<Option<AggregateFunctionExpr>>,
    /// The rows of the core.
    pub schema: SchemaRef,
}

/// What the last tick did to a view.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Last {
    pub base_rows: usize,
    pub looked_up: usize,
    pub keys: usize,
    pub partitions: usize,
    pub groups: usize,
    pub whole: bool,
    /// In nanoseconds, where the caller lends a stopwatch.
    pub stages_ns: Option<u64>,
    pub finish_ns: Option<u64>,
}

pub(super) struct View {
    pub text: String,
    pub asked: Strategy,
    pub currency: String,
    pub work: Work,
    pub plan: Arc<dyn ExecutionPlan>,
    pub result: super::LiveResult,
    /// The last tick could not compute it.
    pub broken: bool,
    pub last: Last,
}

/// What a tick brings, beside the world.
pub(super) struct Tick<'a> {
    pub delta: &'a Delta,
    pub changed: &'a HashMap<TableId, Changed>,
    pub arrangements: &'a [Option<Arrangement>],
}

impl View {
    /// Brings the view to the epoch of the world; from nothing where `tick` is none.
    pub fn update(
        &mut self,
        tick: Option<&Tick>,
        arrangements: &[Option<Arrangement>],
        session: &Session,
        sides: &mut Sides,
        world: &World,
        stopwatch: Option<fn() -> u64>,
    ) {
        self.last = Last::default();
        let from_nothing = self.broken || tick.is_none();
        let began = stopwatch.map(|now| now());
        let done = self.groups(tick.filter(|_| !from_nothing), arrangements, sides, world);
        let stages = stopwatch.map(|now| now());
        self.last.stages_ns = began.zip(stages).map(|(began, ended)| ended.saturating_sub(began));
        let done = done.and_then(|inputs| match inputs {
            Some((inputs, over)) => {
                let inputs = Arc::new(inputs);
                let state = session.whole.state();
                let batches =
                    execute_within(&self.plan, state, &inputs, LIVE_MEMORY_BYTES_MAX).map_err(fault)?;
                match over {
                    Over::Everything => self.result.set(&batches),
                    Over::Groups { keys, gone, all } => self.result.set_groups(&batches, &keys, gone, all),
                }
            }
            None => {
                self.result.keep();
                Ok(())
            }
        });
        let ended = stopwatch.map(|now| now());
        self.last.finish_ns = stages.zip(ended).map(|(began, ended)| ended.saturating_sub(began));
        self.broken = done.is_err();
        if let Err(error) = done {
            self.result.fail(error);
        }
    }

    /// What the plan runs over, where it has to run again.
    fn groups(
        &mut self,
        tick: Option<&Tick>,
        arrangements: &[Option<Arrangement>],
        sides: &mut Sides,
        world: &World,
    ) -> Result<Option<(Inputs, Over)>> {
        let inputs = || Inputs::new(Arc::clone(world.snapshot), None);
        let kept = match &mut self.work {
            Work::Whole { reads, .. } => {
                let touched = |tick: &Tick| {
                    reads.system || reads.tables.iter().any(|&table| !tick.delta.tables[table].is_empty())
                };
                self.last.whole = tick.is_none_or(touched);
                return Ok(self.last.whole.then(|| (inputs(), Over::Everything)));
            }
            Work::Kept(kept) => kept,
        };
        let touched = kept.update(tick, arrangements, sides, world, &mut self.last)?;
        if !touched {
            return Ok(None);
        }
        let all = tick.is_none() || !kept.is_by_group;
        let mut keys: Vec<GroupKey> = Vec::new();
        let mut gone = Vec::new();
        if all {
            kept.groups().for_each(|key| keys.push(key.clone()));
        } else {
            for key in kept.touched() {
                if kept.holds(key) { &mut keys } else { &mut gone }.push(key.clone());
            }
        }
        // The order of a hash table is no order.
        keys.sort_unstable();
        keys.dedup();
        if kept.group_types.is_empty() && keys.is_empty() {
            // Without GROUP BY there is one group, even of nothing.
            keys.push(GroupKey::default());
            gone.clear();
        }
        let groups = kept.batch(&keys, world)?;
        let over = if kept.is_by_group { Over::Groups { keys, gone, all } } else { Over::Everything };
        Ok(Some((inputs().with_relation(GROUPS, vec![groups]), over)))
    }
}

/// Why a plan that was made did not run: mostly for a number that it cannot compute with.
fn fault(error: DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            let message = format!(
                "the view needs more than {LIVE_MEMORY_BYTES_MAX} bytes of memory; select fewer rows, or aggregate"
            );
            Error::new(Kind::Overloaded, "LIMIT", message)
        }
        root => Error::data(root.message().into_owned()),
    }
}

/// What a plan ran over.
enum Over {
    Everything,
    Groups {
        keys: Vec<GroupKey>,
        gone: Vec<GroupKey>,
        /// There are no others.
        all: bool,
    },
}

impl Kept {
    /// Brings the groups to the epoch; whether any may be another one.
    fn update(
        &mut self,
        tick: Option<&Tick>,
        arrangements: &[Option<Arrangement>],
        sides: &mut Sides,
        world: &World,
        last: &mut Last,
    ) -> Result<bool> {
        let mut moved = tick.is_none();
        let mut groups = 0;
        if let Some((id, stage)) = &mut self.stage {
            let arrangement = arrangements[*id].as_ref().expect("what is read stays");
            let stirred = tick.is_none() || stage.stirred(arrangement, sides);
            if stirred {
                match tick {
                    None if arrangement.overflowed => return Err(overflow()),
                    None => stage.rebuild(arrangement, sides, world)?,
                    Some(_) => stage.update(arrangement, sides, world)?,
                }
            } else {
                stage.touched.clear();
                stage.keys_moved = 0;
            }
            last.base_rows = arrangement.rows_moved;
            last.looked_up += stage.changes(sides) + arrangement.rows.changes(sides);
            last.keys = stage.keys_moved;
            groups = stage.touched.len();
            moved |= groups > 0;
        }
        if let Some(partitions) = &mut self.partitions {
            let inner = partitions.rows.net.as_ref().map(|(id, _)| arrangements[*id].as_ref());
            if let Some(Some(inner)) = inner
                && inner.overflowed
            {
                return Err(overflow());
            }
            match tick {
                None => partitions.compute(None, arrangements, sides, world)?,
                Some(tick) => {
                    let touched = partitions.touched(tick.changed, tick.arrangements, sides);
                    partitions.compute(Some(&touched), arrangements, sides, world)?;
                }
            }
            last.partitions = partitions.partitions_moved;
            last.looked_up += partitions.rows.changes(sides);
            groups = groups.max(partitions.touched.len());
            moved |= !partitions.touched.is_empty();
        }
        last.groups = groups;
        Ok(moved)
    }

    fn groups(&self) -> Box<dyn Iterator<Item = &GroupKey> + '_> {
        match (&self.stage, &self.partitions) {
            (Some((_, stage)), _) => Box::new(stage.groups()),
            (None, Some(partitions)) => Box::new(partitions.values().keys()),
            (None, None) => Box::new(std::iter::empty()),
        }
    }

    fn holds(&self, key: &GroupKey) -> bool {
        match (&self.stage, &self.partitions) {
            (Some((_, stage)), _) => stage.holds(key),
            (None, partitions) => {
                partitions.as_ref().is_some_and(|partitions| partitions.values().contains_key(key))
            }
        }
    }

    /// Groups that the tick touched, some of them twice.
    fn touched(&self) -> impl Iterator<Item = &GroupKey> {
        let of_sums = self.stage.iter().flat_map(|(_, stage)| &stage.touched);
        of_sums.chain(self.partitions.iter().flat_map(|partitions| &partitions.touched))
    }

    /// Some groups as rows of the core, each with its place among them.
    fn batch(&self, keys: &[GroupKey], world: &World) -> Result<RecordBatch> {
        let mut sums: Vec<Option<&[Datum]>> = vec![None; keys.len()];
        if let Some((_, stage)) = &self.stage {
            for (sums, key) in sums.iter_mut().zip(keys) {
                *sums = stage.totals(key)?;
            }
        }
        let nothing = match &self.partitions {
            Some(partitions) if self.group_types.is_empty() => partitions.of_nothing()?,
            _ => Vec::new(),
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let dictionaries = world.snapshot.dictionaries.read().expect("no writer panicked");
        for (at, data_type) in self.group_types.iter().enumerate() {
            let values: Vec<Datum> = keys.iter().map(|key| key[at]).collect();
            columns.push(to_arrow(&values, *data_type, 0, &dictionaries));
        }
        drop(dictionaries);
        let total = |row: usize, sum: usize| sums[row].map_or(0, |totals| totals[sum]);
        let rows = 0..keys.len();
        for (at, measure) in self.measures.iter().enumerate() {
            columns.push(match *measure {
                Measure::Count(count) => integers(rows.clone().map(|row| total(row, count)))?,
                Measure::Sum(sum, count) => {
                    let value = |row| if total(row, count) == 0 { NULL } else { total(row, sum) };
                    match &self.measure_types[at] {
                        DataType::Decimal128(precision, scale) => {
                            let values = rows.clone().map(|row| decimal(value(row)));
                            let array: Decimal128Array = values.collect::<Result<_>>()?;
                            let array = array.with_precision_and_scale(*precision, *scale);
                            Arc::new(array.map_err(|error| Error::internal(error.to_string()))?)
                        }
                        _ => integers(rows.clone().map(value))?,
                    }
                }
                Measure::Average(sum, count) => {
                    let function = self.averages[at].as_ref().expect("an average has its division");
                    let one = |row: usize| average(function, total(row, sum), total(row, count));
                    scalars(rows.clone().map(one).collect::<Result<_>>()?, &self.measure_types[at])?
                }
                Measure::Merged(place) => {
                    let values = &self.partitions.as_ref().expect("something is merged").values();
                    let one = |key: &GroupKey| match values.get(key) {
                        Some(values) => Ok(values[place].clone()),
                        None if !nothing.is_empty() => Ok(nothing[place].clone()),
                        None => Err(Error::internal("a group has sums and no rows")),
                    };
                    scalars(keys.iter().map(one).collect::<Result<_>>()?, &self.measure_types[at])?
                }
            });
        }
        columns.push(Arc::new(Int64Array::from_iter_values(rows.map(|row| row as i64))));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal(error.to_string()))
    }
}

/// The accumulator that divides the sum of an average.
pub(super) fn averaging(
    function: &datafusion::logical_expr::expr::AggregateFunction,
    argument: DataType,
) -> Result<AggregateFunctionExpr> {
    let field = Field::new("argument", argument, true);
    let column = Arc::new(Column::new(field.name(), 0)) as Arc<dyn PhysicalExpr>;
    Ok(AggregateExprBuilder::new(Arc::clone(&function.func), vec![column])
        .schema(Arc::new(ArrowSchema::new(vec![field])))
        .alias(function.func.name())
        .build()?)
}

/// A sum divided as DataFusion divides it.
fn average(function: &AggregateFunctionExpr, sum: Datum, count: Datum) -> Result<ScalarValue> {
    let mut accumulator = function.create_accumulator()?;
    if count > 0 {
        let fields = function.state_fields()?;
        let mut state: Vec<ArrayRef> = Vec::with_capacity(fields.len());
        for field in fields {
            state.push(match field.data_type() {
                DataType::UInt64 => Arc::new(UInt64Array::from(vec![count as u64])),
                DataType::Decimal128(precision, scale) => {
                    let sum = Decimal128Array::from(vec![decimal(sum)?]);
                    let sum = sum.with_precision_and_scale(*precision, *scale);
                    Arc::new(sum.map_err(|error| Error::internal(error.to_string()))?)
                }
                DataType::Decimal256(precision, scale) => {
                    let sum = Decimal256Array::from(vec![i256::from_i128(sum)]);
                    let sum = sum.with_precision_and_scale(*precision, *scale);
                    Arc::new(sum.map_err(|error| Error::internal(error.to_string()))?)
                }
                other => return Err(Error::internal(format!("an average keeps a {other}"))),
            });
        }
        accumulator.merge_batch(&state)?;
    }
    // A quotient beyond the type's digits is none.
    accumulator.evaluate().map_err(|_| overflow())
}

fn decimal(value: Datum) -> Result<Option<i128>> {
    match value {
        NULL => Ok(None),
        value if value.unsigned_abs() < power_of_ten(DIGITS_MAX).unsigned_abs() => Ok(Some(value)),
        _ => Err(overflow()),
    }
}

fn integers(values: impl Iterator<Item = Datum>) -> Result<ArrayRef> {
    let one = |value: Datum| match value {
        NULL => Ok(None),
        value => i64::try_from(value).map(Some).map_err(|_| overflow()),
    };
    Ok(Arc::new(values.map(one).collect::<Result<Int64Array>>()?))
}

fn scalars(values: Vec<ScalarValue>, data_type: &DataType) -> Result<ArrayRef> {
    if values.is_empty() {
        return Ok(new_empty_array(data_type));
    }
    Ok(ScalarValue::iter_to_array(values)?)
}
