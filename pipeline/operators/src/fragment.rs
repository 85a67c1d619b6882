//! A piece of SQL that DataFusion runs over batches in hand.

use crate::plan::FragmentPlan;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use citystream_model::{Error, Result};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};
use std::sync::{Arc, Mutex, PoisonError};

/// The batches that one scan of a fragment reads in its next run.
#[derive(Debug)]
pub struct Feed {
    schema: SchemaRef,
    batches: Mutex<Vec<RecordBatch>>,
}

/// A planned fragment; planned once, run often.
pub(crate) struct Fragment {
    /// Plan as it was made; each run works on a copy with fresh states (hash tables of joins and the like).
    plan: Arc<dyn ExecutionPlan>,
    feeds: Vec<Arc<Feed>>,
    task: Arc<TaskContext>,
    /// Drives DataFusion's futures on the calling thread; they wait for nothing but one another.
    executor: Arc<tokio::runtime::Runtime>,
}

// === impl Feed ===

impl Feed {
    /// An empty feed of `schema`.
    pub fn new(schema: SchemaRef) -> Arc<Self> {
        Arc::new(Self { schema, batches: Mutex::new(Vec::new()) })
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

    fn put(&self, batches: Vec<RecordBatch>) {
        *self.batches.lock().unwrap_or_else(PoisonError::into_inner) = batches;
    }

    fn take(&self) -> Vec<RecordBatch> {
        std::mem::take(&mut *self.batches.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl PartitionStream for Feed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        match MemoryStream::try_new(self.take(), Arc::clone(&schema), None) {
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
    /// Plans `fragment` for execution.
    pub(crate) fn plan(
        fragment: FragmentPlan,
        session: &SessionState,
        executor: &Arc<tokio::runtime::Runtime>,
    ) -> Result<Self> {
        let plan = executor
            .block_on(session.query_planner().create_physical_plan(&fragment.plan, session))
            .map_err(|error| Error::internal("physical plan of a fragment").caused_by(error))?;
        Ok(Self { plan, feeds: fragment.feeds, task: session.task_ctx(), executor: Arc::clone(executor) })
    }

    /// Runs the fragment over `inputs`, one list of batches per feed; the result has no empty batch.
    pub(crate) fn run(&self, inputs: Vec<Vec<RecordBatch>>) -> Result<Vec<RecordBatch>> {
        debug_assert_eq!(inputs.len(), self.feeds.len());
        for (feed, batches) in self.feeds.iter().zip(inputs) {
            feed.put(batches);
        }
        let fresh = reset_plan_states(Arc::clone(&self.plan)).map_err(failed)?;
        let result = self.executor.block_on(collect(fresh, Arc::clone(&self.task)));
        // A plan may leave a feed unread (a join with an empty side); its rows must not meet the next run.
        self.feeds.iter().for_each(|feed| drop(feed.take()));
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
