//! A view's rows as a table of SQL: a leaf of DataFusion's plans over what is maintained.
//!
//! Other leaves hold no data and read the [`super::scan::Inputs`] of each execution, so that a cached plan
//! sees every epoch. This one holds the rows of one epoch, as the engine copied them out: it is for a query
//! that is planned, run once and forgotten, and never changes under it. It declares one partition, no order
//! and no exact statistics, and filters nothing itself. A view that has no rows at the epoch refuses to be
//! scanned and says why.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as PlanResult, Statistics};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::error::Result;

/// How a view is kept, as its line in a plan tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBy {
    pub strategy: String,
    /// Sums that are kept of rows.
    pub sums: usize,
    pub stages: usize,
}

/// A view at one epoch, as a table.
#[derive(Debug, Clone)]
pub struct ViewRows {
    name: String,
    epoch: u64,
    schema: SchemaRef,
    rows: Result<RecordBatch>,
    kept_by: KeptBy,
}

impl ViewRows {
    /// `rows` are of the schema, or say why there are none.
    pub fn new(
        name: String,
        epoch: u64,
        schema: SchemaRef,
        rows: Result<RecordBatch>,
        kept_by: KeptBy,
    ) -> ViewRows {
        ViewRows { name, epoch, schema, rows, kept_by }
    }

    /// The name by which SQL reads it, such as `views.exposure`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The epoch that its rows are of.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl TableProvider for ViewRows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    // Written out, because the async_trait form costs every build a minute of trait solving.
    fn scan<'a, 'b, 'c, 'd, 'e>(
        &'a self,
        _session: &'b dyn Session,
        projection: Option<&'c Vec<usize>>,
        _filters: &'d [Expr],
        _limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = PlanResult<Arc<dyn ExecutionPlan>>> + Send + 'e>>
    where
        'a: 'e,
        'b: 'e,
        'c: 'e,
        'd: 'e,
        Self: 'e,
    {
        let all = || (0..self.schema.fields().len()).collect();
        let projection = projection.cloned().unwrap_or_else(all);
        let made = ViewExec::try_new(self, &projection).map(|exec| Arc::new(exec) as Arc<dyn ExecutionPlan>);
        Box::pin(std::future::ready(made))
    }
}

/// Hands out the rows that it holds.
#[derive(Debug)]
struct ViewExec {
    name: String,
    epoch: u64,
    kept_by: KeptBy,
    rows: RecordBatch,
    properties: Arc<PlanProperties>,
}

impl ViewExec {
    fn try_new(view: &ViewRows, projection: &[usize]) -> PlanResult<ViewExec> {
        let rows = match &view.rows {
            Ok(rows) => rows.project(projection)?,
            Err(error) => return Err(DataFusionError::External(Box::new(error.clone()))),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(rows.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(ViewExec {
            name: view.name.clone(),
            epoch: view.epoch,
            kept_by: view.kept_by.clone(),
            rows,
            properties: Arc::new(properties),
        })
    }
}

impl DisplayAs for ViewExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.rows.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let KeptBy { strategy, sums, stages } = &self.kept_by;
        write!(
            f,
            "ViewExec: {} [{}], epoch={}, strategy={strategy}, kept sums={sums}, stages={stages}",
            self.name,
            names.join(", "),
            self.epoch
        )
    }
}

impl ExecutionPlan for ViewExec {
    fn name(&self) -> &str {
        "ViewExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> PlanResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        // Never exact: what is exact the planner folds into constants, and the plan then reads no view.
        statistics.num_rows = Precision::Inexact(self.rows.num_rows());
        Ok(Arc::new(statistics))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let reservation = MemoryConsumer::new(self.name.as_str()).register(context.memory_pool());
        reservation.try_grow(self.rows.get_array_memory_size())?;
        let stream = MemoryStream::try_new(vec![self.rows.clone()], self.schema(), None)?;
        Ok(Box::pin(stream.with_reservation(reservation)))
    }
}
