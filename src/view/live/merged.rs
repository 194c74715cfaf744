//! Aggregates that are no sums: their states by partition and group, merged.
//!
//! The states are DataFusion's own, so its bits are the results. A partition whose rows changed, or read what
//! changed, is computed again from its rows; groups it has or had are merged again.
//! Cost of a tick: the rows of touched partitions, and the states of touched groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::Column;
use hashbrown::{HashMap, HashSet};

use super::arrangement::Arrangement;
use super::factored::{GroupKey, overflow, too_many_groups};
use super::rows::{Batch, Changed, Rows};
use super::sides::{SideId, Sides};
use super::{Columns, World, evaluate};
use crate::datum::{Datum, NULL};
use crate::error::Result;
use crate::limits::LIVE_GROUPS_MAX;
use crate::plan::live::{Merged, has_value, type_of};
use crate::plan::scalar::{Scalar, Values};
use crate::schema::{TableId, Type};
use crate::table::PartitionId;
use crate::table::chunk::to_arrow;

pub(super) struct Partitions {
    pub rows: Rows,
    /// The condition, the groups, and of each aggregate its condition and its arguments, each followed by
    /// whether it has a value. One that has and is not there left 128 bits.
    columns: Columns,
    groups: usize,
    aggregates: Vec<Aggregate>,
    /// By partition and group: the state of each aggregate.
    states: HashMap<PartitionId, HashMap<GroupKey, Vec<Vec<ScalarValue>>>>,
    /// By side and row: the partitions that read it, and some that did once.
    readers: HashMap<(SideId, u32), HashSet<PartitionId>>,
    /// The partitions that each group is in.
    homes: HashMap<GroupKey, BTreeSet<PartitionId>>,
    values: HashMap<GroupKey, Vec<ScalarValue>>,
    pub touched: HashSet<GroupKey>,
    pub partitions_moved: usize,
    overflowed: bool,
}

struct Aggregate {
    function: AggregateFunctionExpr,
    arguments: Vec<Type>,
}

/// Values of one aggregate's arguments, by group.
type Gathered = HashMap<GroupKey, Vec<Vec<Vec<Datum>>>>;

impl Partitions {
    /// # Errors
    /// `Internal` where DataFusion has no accumulator for what it planned.
    pub fn new(form: &Merged, rows: Rows) -> Result<Partitions> {
        let mut aggregates = Vec::with_capacity(form.aggregates.len());
        let mut columns = vec![form.filter.clone()];
        columns.extend_from_slice(&form.groups);
        for aggregate in &form.aggregates {
            let field = |(at, data_type): (usize, &DataType)| {
                Field::new(format!("argument_{at}"), data_type.clone(), true)
            };
            let fields: Vec<Field> = aggregate.types.iter().enumerate().map(field).collect();
            let inputs = fields
                .iter()
                .enumerate()
                .map(|(at, field)| Arc::new(Column::new(field.name(), at)) as Arc<dyn PhysicalExpr>);
            let function = &aggregate.function;
            let function = AggregateExprBuilder::new(Arc::clone(&function.func), inputs.collect())
                .schema(Arc::new(ArrowSchema::new(fields)))
                .alias(function.func.name())
                .with_distinct(function.params.distinct)
                .build()?;
            let types = aggregate.types.iter().map(|one| type_of(one).expect("it was compiled"));
            columns.push(aggregate.filter.clone());
            columns.extend(aggregate.arguments.iter().flat_map(|one| [one.clone(), has_value(one)]));
            aggregates.push(Aggregate { function, arguments: types.collect() });
        }
        Ok(Partitions {
            rows,
            columns: Columns::new(&columns),
            groups: form.groups.len(),
            aggregates,
            states: HashMap::new(),
            readers: HashMap::new(),
            homes: HashMap::new(),
            values: HashMap::new(),
            touched: HashSet::new(),
            partitions_moved: 0,
            overflowed: false,
        })
    }

    /// The scalars over the columns of rows that are evaluated.
    pub fn reads(form: &Merged) -> impl Iterator<Item = &Scalar> {
        form.aggregates
            .iter()
            .flat_map(|one| one.arguments.iter().chain([&one.filter]))
            .chain(&form.groups)
            .chain([&form.filter])
    }

    /// The partitions that the tick touches.
    pub fn touched(
        &self,
        changed: &HashMap<TableId, Changed>,
        arrangements: &[Option<Arrangement>],
        sides: &Sides,
    ) -> HashSet<PartitionId> {
        let mut touched = HashSet::new();
        if let Some((net, _)) = &self.rows.net {
            // Nets are of no partition: all of them are one.
            let net = arrangements[*net].as_ref().expect("what is read stays");
            if net.anew || !net.touched.is_empty() || self.rows.stirred(sides) {
                touched.insert(0);
            }
            return touched;
        }
        for table in self.rows.tables() {
            if let Some(rows) = changed.get(&table) {
                touched.extend(rows.gone.partitions.iter().chain(&rows.come.partitions));
            }
        }
        for (side, columns) in self.rows.lookups() {
            for number in sides.changed(side, columns) {
                touched.extend(self.readers.get(&(side, number)).into_iter().flatten());
            }
        }
        touched
    }

    /// Computes partitions from their rows: these, or all.
    ///
    /// # Errors
    /// What DataFusion says of the values; `Overloaded` where there are too many groups.
    pub fn compute(
        &mut self,
        only: Option<&HashSet<PartitionId>>,
        arrangements: &[Option<Arrangement>],
        sides: &mut Sides,
        world: &World,
    ) -> Result<()> {
        self.touched.clear();
        self.partitions_moved = only.map_or(0, HashSet::len);
        if only.is_some_and(HashSet::is_empty) {
            return Ok(());
        }
        if only.is_none() {
            self.states.clear();
            self.readers.clear();
            self.homes.clear();
            self.values.clear();
        }
        for partition in only.into_iter().flatten() {
            for (key, _) in self.states.remove(partition).into_iter().flatten() {
                if let Some(homes) = self.homes.get_mut(&key) {
                    homes.remove(partition);
                }
                self.touched.insert(key);
            }
        }
        let mut gathered: HashMap<PartitionId, Gathered> = HashMap::new();
        let rows = std::mem::replace(&mut self.rows, Rows { branches: Vec::new(), net: None });
        rows.each(only, arrangements, sides, world, &mut |batch| self.gather(&batch, &mut gathered));
        self.rows = rows;
        if std::mem::take(&mut self.overflowed) {
            return Err(overflow());
        }
        for (partition, groups) in gathered {
            let mut states = HashMap::with_capacity(groups.len());
            for (key, values) in groups {
                let mut state = Vec::with_capacity(self.aggregates.len());
                for (aggregate, values) in self.aggregates.iter().zip(&values) {
                    let mut accumulator = aggregate.function.create_accumulator()?;
                    if values.first().is_some_and(|first| !first.is_empty()) {
                        accumulator.update_batch(&aggregate.arrays(values, world))?;
                    }
                    state.push(accumulator.state()?);
                }
                self.homes.entry(key.clone()).or_default().insert(partition);
                self.touched.insert(key.clone());
                states.insert(key, state);
            }
            self.states.insert(partition, states);
        }
        self.merge()
    }

    fn gather(&mut self, batch: &Batch, gathered: &mut HashMap<PartitionId, Gathered>) {
        for (side, numbers) in &batch.found {
            for (&number, &partition) in numbers.iter().zip(batch.readers) {
                self.readers.entry((*side, number)).or_default().insert(partition);
            }
        }
        let values = evaluate(&self.columns, batch.columns, batch.rows);
        let (filter, values) = values.split_first().expect("a condition");
        let (groups, mut values) = values.split_at(self.groups);
        let mut take = |count: usize| {
            let (taken, rest) = values.split_at(count);
            values = rest;
            taken
        };
        // Of each aggregate its condition, and its arguments with whether they have a value.
        let aggregates: Vec<(&Values, &[[Values; 2]])> = self
            .aggregates
            .iter()
            .map(|one| (&take(1)[0], take(2 * one.arguments.len()).as_chunks().0))
            .collect();
        let overflowed = &mut self.overflowed;
        let mut key = Vec::with_capacity(groups.len());
        for row in (0..batch.rows).filter(|&row| filter.get(row) == 1) {
            key.clear();
            key.extend(groups.iter().map(|lane| lane.get(row)));
            let of_partition = gathered.entry(batch.partitions[row]).or_default();
            let values = of_partition.entry(GroupKey::from(key.as_slice())).or_insert_with(|| {
                aggregates.iter().map(|(_, arguments)| vec![Vec::new(); arguments.len()]).collect()
            });
            for ((filter, arguments), values) in aggregates.iter().zip(values) {
                if filter.get(row) == 1 {
                    for ([argument, known], values) in arguments.iter().zip(values) {
                        let value = argument.get(row);
                        *overflowed |= value == NULL && known.get(row) == 1;
                        values.push(value);
                    }
                }
            }
        }
    }

    fn merge(&mut self) -> Result<()> {
        for key in &self.touched {
            let homes = self.homes.get(key).filter(|homes| !homes.is_empty());
            let Some(homes) = homes else {
                self.homes.remove(key);
                self.values.remove(key);
                continue;
            };
            let mut values = Vec::with_capacity(self.aggregates.len());
            for (at, aggregate) in self.aggregates.iter().enumerate() {
                let mut accumulator = aggregate.function.create_accumulator()?;
                for home in homes {
                    merge_state(accumulator.as_mut(), &self.states[home][key][at])?;
                }
                values.push(accumulator.evaluate()?);
            }
            self.values.insert(key.clone(), values);
        }
        if self.values.len() > LIVE_GROUPS_MAX {
            return Err(too_many_groups());
        }
        Ok(())
    }

    /// What the aggregates are of no row.
    pub fn of_nothing(&self) -> Result<Vec<ScalarValue>> {
        self.aggregates.iter().map(|one| Ok(one.function.create_accumulator()?.evaluate()?)).collect()
    }

    pub fn values(&self) -> &HashMap<GroupKey, Vec<ScalarValue>> {
        &self.values
    }

    /// Partitions that have rows of the view.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    pub fn bytes(&self) -> usize {
        let states = self.states.values().flat_map(HashMap::values).flatten().flatten();
        states.map(ScalarValue::size).sum::<usize>()
            + self.values.values().flatten().map(ScalarValue::size).sum::<usize>()
            + self.readers.len() * 48
    }
}

impl Aggregate {
    fn arrays(&self, values: &[Vec<Datum>], world: &World) -> Vec<ArrayRef> {
        let dictionaries = world.snapshot.dictionaries.read().expect("no writer panicked");
        let one = |(values, data_type): (&Vec<Datum>, &Type)| to_arrow(values, *data_type, 0, &dictionaries);
        values.iter().zip(&self.arguments).map(one).collect()
    }
}

/// Merges one state.
pub(super) fn merge_state(accumulator: &mut dyn Accumulator, state: &[ScalarValue]) -> Result<()> {
    let arrays = state.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>, _>>()?;
    accumulator.merge_batch(&arrays)?;
    Ok(())
}
