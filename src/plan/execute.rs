//! Runs a physical plan on given inputs: a cached one as often as wanted, a query's own within bounds.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use super::scan::Inputs;
use crate::error::{Error, Result};

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
    Ok(run(plan, state, inputs, Arc::clone(state.runtime_env()))?)
}

/// Executes a plan that may hold at most `memory_bytes_max` at a time, its rows among them, and writes
/// nothing to disk.
///
/// # Errors
/// `ResourcesExhausted` where it needs more, else what DataFusion says of the query.
pub fn execute_within(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
    inputs: &Arc<Inputs>,
    memory_bytes_max: usize,
) -> PlanResult<Vec<RecordBatch>> {
    let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let bounded = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes_max)))
        .with_disk_manager_builder(no_disk)
        .build_arc()?;
    run(plan, state, inputs, bounded)
}

fn run(
    plan: &Arc<dyn ExecutionPlan>,
    state: &SessionState,
    inputs: &Arc<Inputs>,
    runtime: Arc<RuntimeEnv>,
) -> PlanResult<Vec<RecordBatch>> {
    let context = context(state, inputs, runtime);
    let plan = reset_plan_states(Arc::clone(plan))?;
    let collected = MemoryConsumer::new("result").register(context.memory_pool());
    let mut batches = Vec::new();
    // One output partition after another: gathering them in DataFusion would need a runtime.
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut stream = plan.execute(partition, Arc::clone(&context))?;
        wait(async {
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                collected.try_grow(batch.get_array_memory_size())?;
                batches.push(batch);
            }
            Ok::<_, DataFusionError>(())
        })?;
    }
    Ok(batches)
}

/// Executes plans side by side and collects the rows of each, in the order of the plans.
///
/// Every partition of every plan is a task of the runtime, so that plans made for several partitions use as
/// many threads. The caller waits, and so must not be one of the runtime's own threads.
///
/// # Errors
/// `Internal` where a plan does not run; what the others compute is lost.
pub fn execute_together(
    plans: &[Arc<dyn ExecutionPlan>],
    state: &SessionState,
    inputs: &Arc<Inputs>,
    runtime: &Handle,
) -> Result<Vec<Vec<RecordBatch>>> {
    let context = context(state, inputs, Arc::clone(state.runtime_env()));
    // A plan that repartitions its rows spawns tasks as soon as it is executed.
    let _entered = runtime.enter();
    let mut tasks = Vec::new();
    for (at, plan) in plans.iter().enumerate() {
        let plan = reset_plan_states(Arc::clone(plan))?;
        for partition in 0..plan.output_partitioning().partition_count() {
            let stream = plan.execute(partition, Arc::clone(&context))?;
            tasks.push((at, runtime.spawn(stream.try_collect::<Vec<RecordBatch>>())));
        }
    }
    let mut results = vec![Vec::new(); plans.len()];
    for (at, task) in tasks {
        let batches = wait(task).map_err(|error| Error::internal(format!("a plan's task: {error}")))?;
        results[at].extend(batches?);
    }
    Ok(results)
}

fn context(state: &SessionState, inputs: &Arc<Inputs>, runtime: Arc<RuntimeEnv>) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        None,
        String::new(),
        state.config().clone().with_extension(Arc::clone(inputs)),
        Default::default(),
        Default::default(),
        Default::default(),
        Default::default(),
        runtime,
    ))
}
