//! Runs a cached physical plan on given inputs, as often as wanted.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use super::scan::Inputs;
use crate::error::Result;

/// Waits for DataFusion, whose work here is all computing.
///
/// Tokio makes its own locks yield now and then to other tasks of the thread; within a runtime that this
/// wait blocks, such a yield would never return.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(tokio::task::coop::unconstrained(future))
}

/// Executes a plan from its beginning and collects its rows.
///
/// A plan keeps the build side of its joins from one run to the next, that is, old prices: its state is
/// reset first. Cost of that: microseconds.
pub fn execute(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
    inputs: &Arc<Inputs>,
) -> Result<Vec<RecordBatch>> {
    let config = state.config().clone().with_extension(Arc::clone(inputs));
    let context = TaskContext::new(
        None,
        String::new(),
        config,
        Default::default(),
        Default::default(),
        Default::default(),
        Default::default(),
        Arc::clone(state.runtime_env()),
    );
    let plan = reset_plan_states(Arc::clone(plan))?;
    let context = Arc::new(context);
    let mut batches = Vec::new();
    // One output partition after another: gathering them in DataFusion would need a runtime.
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut stream = plan.execute(partition, Arc::clone(&context))?;
        wait(async {
            while let Some(batch) = stream.next().await {
                batches.push(batch?);
            }
            Ok::<_, datafusion::error::DataFusionError>(())
        })?;
    }
    Ok(batches)
}
