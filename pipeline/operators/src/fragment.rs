//! A piece of SQL that DataFusion runs over batches in hand.

use crate::plan::{FragmentPlan, StreamPlan};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use citystream_model::{Error, Result};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a scan of a fragment reads from. It holds no rows itself: those stand in the [`Inputs`] of the task that runs the
/// plan, so that the shards of a job may all run copies of one plan.
#[derive(Debug)]
pub struct Feed {
    schema: SchemaRef,
    /// Its number, of its own within a plan.
    number: usize,
}

/// The batches that the feeds of one fragment read in its next run.
#[derive(Debug)]
struct Inputs {
    /// Per port: number of its feed, and the batches.
    ports: Mutex<Vec<(usize, Vec<RecordBatch>)>>,
}

/// A planned fragment; planned once, run often.
pub(crate) struct Fragment {
    /// Plan as it was made; each run works on a copy with fresh states (hash tables of joins and the like).
    plan: Arc<dyn ExecutionPlan>,
    inputs: Arc<Inputs>,
    task: Arc<TaskContext>,
    /// Drives DataFusion's futures on the calling thread; they wait for nothing but one another.
    executor: Arc<tokio::runtime::Runtime>,
}

// === impl Feed ===

impl Feed {
    /// A feed of `schema`; `number` is its own within a plan.
    pub fn new(schema: SchemaRef, number: usize) -> Arc<Self> {
        Arc::new(Self { schema, number })
    }

    /// Its number.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The table that a plan scans to read this feed.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when DataFusion refuses the schema.
    pub fn table(self: &Arc<Self>) -> Result<Arc<dyn TableProvider>> {
        let stream = Arc::clone(self) as Arc<dyn PartitionStream>;
        let table = StreamingTable::try_new(Arc::clone(&self.schema), vec![stream]);
        Ok(Arc::new(table.map_err(|error| Error::internal("feed of a fragment").caused_by(error))?))
    }
}

// === impl Inputs ===

impl Inputs {
    fn of(feeds: &[Arc<Feed>]) -> Self {
        Self { ports: Mutex::new(feeds.iter().map(|feed| (feed.number, Vec::new())).collect()) }
    }

    fn ports(&self) -> MutexGuard<'_, Vec<(usize, Vec<RecordBatch>)>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One list of batches per port.
    fn put(&self, inputs: Vec<Vec<RecordBatch>>) {
        self.ports().iter_mut().zip(inputs).for_each(|((_, batches), input)| *batches = input);
    }

    fn take(&self, feed: usize) -> Vec<RecordBatch> {
        let mut ports = self.ports();
        let port = ports.iter_mut().find(|(number, _)| *number == feed);
        port.map(|(_, batches)| std::mem::take(batches)).unwrap_or_default()
    }
}

impl PartitionStream for Feed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let inputs = task.session_config().get_extension::<Inputs>();
        let batches = inputs.map(|inputs| inputs.take(self.number)).unwrap_or_default();
        match MemoryStream::try_new(batches, Arc::clone(&schema), None) {
            Ok(stream) => Box::pin(stream),
            Err(error) => {
                let failed = futures::stream::once(async move { Err(error) });
                Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, failed))
            }
        }
    }
}

// === impl Fragment ===

impl Fragment {
    /// Plans `fragment` of `plan` for execution.
    pub(crate) fn plan(
        fragment: &FragmentPlan,
        plan: &StreamPlan,
        executor: &Arc<tokio::runtime::Runtime>,
    ) -> Result<Self> {
        let mut session = plan.session.clone();
        let physical = executor
            .block_on(session.query_planner().create_physical_plan(&fragment.plan, &session))
            .map_err(|error| Error::internal("physical plan of a fragment").caused_by(error))?;
        let inputs = Arc::new(Inputs::of(&fragment.feeds));
        session.config_mut().set_extension(Arc::clone(&inputs));
        let task = TaskContext::from(&session).with_runtime(Arc::clone(&plan.runtime));
        Ok(Self { plan: physical, inputs, task: Arc::new(task), executor: Arc::clone(executor) })
    }

    /// Runs the fragment over `inputs`, one list of batches per feed; the result has no empty batch.
    pub(crate) fn run(&self, inputs: Vec<Vec<RecordBatch>>) -> Result<Vec<RecordBatch>> {
        let ports = inputs.len();
        self.inputs.put(inputs);
        let fresh = reset_plan_states(Arc::clone(&self.plan)).map_err(failed)?;
        let result = self.executor.block_on(collect(fresh, Arc::clone(&self.task)));
        // A plan may leave a feed unread (a join with an empty side); its rows must not meet the next run.
        self.inputs.put(vec![Vec::new(); ports]);
        Ok(result.map_err(failed)?.into_iter().filter(|batch| batch.num_rows() > 0).collect())
    }
}

fn failed(error: DataFusionError) -> Error {
    failure("query failed", error)
}

/// An error of DataFusion: want of memory is the environment's, anything else ours, with `message`.
pub(crate) fn failure(message: &str, error: DataFusionError) -> Error {
    if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return Error::resource("not enough memory for a window").caused_by(error);
    }
    Error::internal(message).caused_by(error)
}
