//! The leaf of every DataFusion plan: it holds no data but reads the execution's [`Inputs`].
//!
//! So one physical plan serves every epoch, and all its leaves see the same snapshot. A leaf declares no
//! partitioning, no order and no statistics that a later epoch could break: a number of rows is an estimate.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, exec_datafusion_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use hashbrown::HashMap;

use super::grouped::{GROUPED_LEG, LEG};
use crate::datum::{Datum, NULL};
use crate::ingest::source::SetAside;
use crate::schema::{Column, Schema, Table, Type};
use crate::table::chunk::to_arrow;
use crate::table::snapshot::Snapshot;
use crate::table::{PartitionId, is_currency_code};

/// Rows of one batch that a leaf hands out.
const BATCH_ROWS: usize = 8192;

/// What a text is taken to occupy before it is read: its offset and a name of some length.
const TEXT_BYTES: usize = 24;

/// Everything a plan reads: base tables of one snapshot, and relations computed before.
pub struct Inputs {
    snapshot: Arc<Snapshot>,
    /// The partitions of the partitioned tables to read; `None` is all.
    partitions: Option<Vec<PartitionId>>,
    relations: HashMap<String, Vec<RecordBatch>>,
    /// Converted columns of base tables: rows do not change within a snapshot.
    converted: Mutex<HashMap<(usize, usize), Arc<Vec<ArrayRef>>>>,
}

impl Inputs {
    pub fn new(snapshot: Arc<Snapshot>, partitions: Option<Vec<PartitionId>>) -> Inputs {
        Inputs { snapshot, partitions, relations: HashMap::new(), converted: Mutex::default() }
    }

    /// Makes a computed relation readable under its name.
    pub fn with_relation(mut self, name: &str, batches: Vec<RecordBatch>) -> Inputs {
        self.relations.insert(name.to_owned(), batches);
        self
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    fn read(&self, leaf: &Leaf, projection: &[usize], part: usize, parts: usize) -> Result<Vec<RecordBatch>> {
        let schema = Arc::new(leaf.schema.project(projection)?);
        let mine = |at: usize| at % parts == part;
        match &leaf.source {
            Source::Relation => {
                let batches = self
                    .relations
                    .get(&leaf.name)
                    .ok_or_else(|| exec_datafusion_err!("the relation {} is not computed yet", leaf.name))?;
                let chosen = batches.iter().enumerate().filter(|(at, _)| mine(*at));
                chosen.map(|(_, batch)| Ok(batch.project(projection)?)).collect()
            }
            Source::Base(table) => {
                let columns: Vec<_> = projection.iter().map(|&column| self.column(table, column)).collect();
                let batches = self.batch_rows(table);
                let chosen = batches.iter().enumerate().filter(|(at, _)| mine(*at));
                chosen
                    .map(|(at, &rows)| {
                        let arrays = columns.iter().map(|column| Arc::clone(&column[at])).collect();
                        let options = RecordBatchOptions::new().with_row_count(Some(rows));
                        Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options)?)
                    })
                    .collect()
            }
            Source::System(system) if mine(0) => {
                let (arrays, rows) = match system {
                    System::Quarantine => self.quarantine(projection),
                    _ => self.system(*system, projection),
                };
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                Ok(vec![RecordBatch::try_new_with_options(schema, arrays, &options)?])
            }
            Source::System(_) => Ok(Vec::new()),
        }
    }

    /// How many rows each batch of a base table has.
    fn batch_rows(&self, table: &Table) -> Vec<usize> {
        let mut batches = Vec::new();
        self.gather(table, 0, &mut |values| batches.push(values.len()));
        batches
    }

    fn column(&self, table: &Table, column: usize) -> Arc<Vec<ArrayRef>> {
        let key = (table.id, column);
        if let Some(found) = self.converted.lock().expect("no reader panicked").get(&key) {
            return Arc::clone(found);
        }
        let mut arrays = Vec::new();
        self.gather(table, column, &mut |values| {
            // Held for one batch only: whoever adds a name meanwhile waits no longer than that.
            let dictionaries = self.snapshot.dictionaries.read().expect("no writer panicked");
            arrays.push(to_arrow(values, table.columns[column].data_type, table.id, &dictionaries));
        });
        let arrays = Arc::new(arrays);
        self.converted.lock().expect("no reader panicked").insert(key, Arc::clone(&arrays));
        arrays
    }

    /// Calls `f` for each batch of a column, small partitions gathered together.
    fn gather(&self, table: &Table, column: usize, f: &mut dyn FnMut(&[Datum])) {
        let stored = self.snapshot.table(table.id);
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        let mut add = |rows: &crate::table::partition::Rows| {
            for chunk in rows.chunks() {
                if batch.len() + chunk.len() > BATCH_ROWS {
                    f(&batch);
                    batch.clear();
                }
                chunk.columns[column].read(&mut batch);
            }
        };
        match (&self.partitions, table.partition) {
            (Some(chosen), Some(_)) => {
                chosen.iter().filter_map(|&at| stored.partition(at as usize)).for_each(|rows| add(rows))
            }
            _ => stored.partitions().for_each(|(_, rows)| add(rows)),
        }
        if !batch.is_empty() {
            f(&batch);
        }
    }

    /// The chosen columns of a system relation, and how many rows they have.
    fn system(&self, system: System, projection: &[usize]) -> (Vec<ArrayRef>, usize) {
        let snapshot = &self.snapshot;
        let dictionaries = snapshot.dictionaries.read().expect("no writer panicked");
        let codes = |codes: &[u32]| codes.iter().map(|&code| Datum::from(code)).collect::<Vec<_>>();
        let columns: Vec<Vec<Datum>> = match system {
            System::Day => day_row(snapshot).into_iter().map(|datum| vec![datum]).collect(),
            System::Instrument => {
                let cash = |&code: &u32| Datum::from(is_currency_code(dictionaries.names.text(code)));
                vec![codes(&snapshot.instruments), snapshot.instruments.iter().map(cash).collect()]
            }
            System::Currency => vec![codes(&snapshot.currencies)],
            System::CurrencyPair => {
                let all = &snapshot.currencies;
                let pairs = all.iter().flat_map(|&from| all.iter().map(move |&to| (from, to)));
                let (from, to): (Vec<u32>, Vec<u32>) = pairs.unzip();
                vec![codes(&from), codes(&to)]
            }
            System::Account => vec![codes(&snapshot.accounts)],
            System::Quarantine => unreachable!("its texts have no codes"),
        };
        let array = |&at: &usize| to_arrow(&columns[at], system.columns()[at].1, 0, &dictionaries);
        (projection.iter().map(array).collect(), columns[0].len())
    }

    /// Set-aside records, oldest first. Their bytes may be no text: what is none is replaced.
    fn quarantine(&self, projection: &[usize]) -> (Vec<ArrayRef>, usize) {
        let records = &self.snapshot.quarantine;
        let array = |&at: &usize| -> ArrayRef {
            let text = |record: &SetAside| match at {
                0 => record.topic.clone(),
                1 => record.position.clone(),
                2 => record.key.clone(),
                3 => record.reason.clone(),
                _ => String::from_utf8_lossy(&record.payload).into_owned(),
            };
            Arc::new(records.iter().map(|record| Some(text(record))).collect::<StringArray>())
        };
        (projection.iter().map(array).collect(), records.len())
    }

    /// About the bytes that reading these columns of a leaf takes, known before it is read.
    fn bytes(&self, leaf: &Leaf, projection: &[usize]) -> usize {
        let rows = match &leaf.source {
            Source::Base(table) => self.snapshot.table(table.id).len(),
            Source::Relation => {
                let batches = self.relations.get(&leaf.name);
                return batches
                    .map_or(0, |batches| batches.iter().map(RecordBatch::get_array_memory_size).sum());
            }
            Source::System(System::Quarantine) => {
                let record =
                    |record: &SetAside| record.reason.len() + record.key.len() + record.payload.len();
                return self.snapshot.quarantine.iter().map(record).sum();
            }
            Source::System(System::Day) => 1,
            Source::System(System::Instrument) => self.snapshot.instruments.len(),
            Source::System(System::Currency) => self.snapshot.currencies.len(),
            Source::System(System::CurrencyPair) => self.snapshot.currencies.len().pow(2),
            Source::System(System::Account) => self.snapshot.accounts.len(),
        };
        let width = |&at: &usize| match leaf.schema.field(at).data_type() {
            DataType::Utf8 => TEXT_BYTES,
            other => other.primitive_width().unwrap_or(1),
        };
        rows * projection.iter().map(width).sum::<usize>()
    }
}

/// The one row of `system.day`: the business date, and the times before which a price is stale.
pub fn day_row(snapshot: &Snapshot) -> [Datum; 3] {
    let from = |age: i64| Datum::from(snapshot.as_of - age);
    [
        snapshot.business_date(),
        from(snapshot.freshness.quote_us_max),
        from(snapshot.freshness.evaluation_us_max),
    ]
}

/// The relations that describe the engine's own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum System {
    Day,
    /// Every instrument that any topic names.
    Instrument,
    /// Every currency that any topic names.
    Currency,
    /// Every ordered pair of them.
    CurrencyPair,
    /// Every account that any topic names.
    Account,
    /// The records set aside.
    Quarantine,
}

impl System {
    pub const ALL: [System; 6] = [
        System::Day,
        System::Instrument,
        System::Currency,
        System::CurrencyPair,
        System::Account,
        System::Quarantine,
    ];

    pub fn name(self) -> &'static str {
        match self {
            System::Day => "system.day",
            System::Instrument => "system.instrument",
            System::Currency => "system.currency",
            System::CurrencyPair => "system.currency_pair",
            System::Account => "system.account",
            System::Quarantine => "system.quarantine",
        }
    }

    pub fn columns(self) -> &'static [(&'static str, Type)] {
        match self {
            System::Day => &[
                ("business_date", Type::Date),
                ("quotes_from", Type::Timestamp),
                ("evaluations_from", Type::Timestamp),
            ],
            System::Instrument => &[("instrument_id", Type::Text), ("currency_code", Type::Boolean)],
            System::Currency => &[("currency", Type::Text)],
            System::CurrencyPair => &[("from_currency", Type::Text), ("to_currency", Type::Text)],
            System::Account => &[("account_id", Type::Text)],
            System::Quarantine => &[
                ("topic", Type::Text),
                ("position", Type::Text),
                ("key", Type::Text),
                ("reason", Type::Text),
                ("payload", Type::Text),
            ],
        }
    }
}

/// What a leaf reads: a base table, the engine's own state, or a relation computed before.
#[derive(Debug, Clone)]
pub enum Source {
    Base(Arc<Table>),
    System(System),
    Relation,
}

/// A named source with its Arrow schema; a table provider that holds no rows.
#[derive(Debug)]
pub struct Leaf {
    pub name: String,
    pub source: Source,
    schema: SchemaRef,
    /// About how many rows it has, where that is known when plans are made.
    rows: Option<usize>,
}

impl Leaf {
    pub fn relation(name: &str, schema: SchemaRef) -> Leaf {
        Leaf { name: name.to_owned(), source: Source::Relation, schema, rows: None }
    }

    pub fn with_rows(self, rows: usize) -> Leaf {
        Leaf { rows: Some(rows), ..self }
    }

    pub fn system(system: System) -> Leaf {
        let field = |&(name, data_type): &(&str, Type)| Field::new(name, arrow_type(data_type), true);
        let fields: Vec<_> = system.columns().iter().map(field).collect();
        Leaf {
            name: system.name().to_owned(),
            source: Source::System(system),
            schema: Arc::new(ArrowSchema::new(fields)),
            rows: None,
        }
    }

    /// The leaves of all base tables.
    pub fn base(schema: &Schema) -> Vec<Leaf> {
        let field = |column: &Column| Field::new(&column.name, arrow_type(column.data_type), column.nullable);
        let leaf = |table: &Table| {
            let fields: Vec<_> = table.columns.iter().map(field).collect();
            Leaf {
                name: table.name.clone(),
                source: Source::Base(Arc::new(table.clone())),
                schema: Arc::new(ArrowSchema::new(fields)),
                rows: None,
            }
        };
        schema.tables.iter().map(leaf).collect()
    }
}

/// The Arrow type of a column as SQL sees it.
pub fn arrow_type(data_type: Type) -> DataType {
    match data_type {
        Type::Text | Type::Id => DataType::Utf8,
        Type::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        Type::Date => DataType::Date32,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::Integer => DataType::Int64,
        Type::Boolean => DataType::Boolean,
    }
}

impl TableProvider for Leaf {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    // Written out, because the async_trait form costs every build a minute of trait solving.
    fn scan<'a, 'b, 'c, 'd, 'e>(
        &'a self,
        session: &'b dyn Session,
        projection: Option<&'c Vec<usize>>,
        _filters: &'d [Expr],
        _limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>>> + Send + 'e>>
    where
        'a: 'e,
        'b: 'e,
        'c: 'e,
        'd: 'e,
        Self: 'e,
    {
        let all = || (0..self.schema.fields().len()).collect();
        let projection = projection.cloned().unwrap_or_else(all);
        let partitions = match self.source {
            Source::Base(ref table) if table.partition.is_some() => session.config().target_partitions(),
            Source::Relation if [LEG, GROUPED_LEG].contains(&self.name.as_str()) => {
                session.config().target_partitions()
            }
            _ => 1,
        };
        Box::pin(std::future::ready(ScanExec::try_new(self, projection, partitions)))
    }
}

/// Reads one leaf from the [`Inputs`] of the execution.
#[derive(Debug)]
struct ScanExec {
    leaf: Leaf,
    projection: Vec<usize>,
    partitions: usize,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    fn try_new(leaf: &Leaf, projection: Vec<usize>, partitions: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = Arc::new(leaf.schema.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let leaf = Leaf {
            name: leaf.name.clone(),
            source: leaf.source.clone(),
            schema: Arc::clone(&leaf.schema),
            rows: leaf.rows,
        };
        Ok(Arc::new(ScanExec { leaf, projection, partitions, properties: Arc::new(properties) }))
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            self.projection.iter().map(|&at| self.leaf.schema.field(at).name().as_str()).collect();
        write!(f, "ScanExec: {} [{}]", self.leaf.name, names.join(", "))
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let Some(rows) = self.leaf.rows {
            let share = if args.partition().is_some() { self.partitions } else { 1 };
            // Never exact: the planner would fold an exact number into the plan for good.
            statistics.num_rows = Precision::Inexact(rows / share);
        }
        Ok(Arc::new(statistics))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inputs = context
            .session_config()
            .get_extension::<Inputs>()
            .ok_or_else(|| exec_datafusion_err!("a live plan is executed with its inputs"))?;
        // What is read stays in memory until the stream ends: an execution with a bound is told beforehand.
        let reservation = MemoryConsumer::new(self.leaf.name.as_str()).register(context.memory_pool());
        reservation.try_grow(inputs.bytes(&self.leaf, &self.projection) / self.partitions)?;
        let batches = inputs.read(&self.leaf, &self.projection, partition, self.partitions)?;
        let stream =
            MemoryStream::try_new(batches, Arc::clone(self.properties.eq_properties.schema()), None)?;
        Ok(Box::pin(stream.with_reservation(reservation)))
    }
}

/// The datums of a column that DataFusion computed, text as codes of `names`.
pub fn from_arrow(array: &ArrayRef, names: &mut crate::dictionary::Dictionary) -> Result<Vec<Datum>> {
    use datafusion::arrow::array::{Array, AsArray};
    use datafusion::arrow::datatypes::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
    let rows = 0..array.len();
    Ok(match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            rows.map(|row| if texts.is_null(row) { NULL } else { names.intern(texts.value(row)).into() })
                .collect()
        }
        DataType::Utf8View => {
            let texts = array.as_string_view();
            rows.map(|row| if texts.is_null(row) { NULL } else { names.intern(texts.value(row)).into() })
                .collect()
        }
        DataType::Boolean => {
            let flags = array.as_boolean();
            rows.map(|row| if flags.is_null(row) { NULL } else { flags.value(row).into() }).collect()
        }
        DataType::Decimal128(..) => {
            let values = array.as_primitive::<Decimal128Type>();
            rows.map(|row| if values.is_null(row) { NULL } else { values.value(row) }).collect()
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>();
            rows.map(|row| if values.is_null(row) { NULL } else { values.value(row).into() }).collect()
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>();
            rows.map(|row| if values.is_null(row) { NULL } else { values.value(row).into() }).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            rows.map(|row| if values.is_null(row) { NULL } else { values.value(row).into() }).collect()
        }
        DataType::Null => vec![NULL; array.len()],
        other => return Err(exec_datafusion_err!("no datum for {other}")),
    })
}
