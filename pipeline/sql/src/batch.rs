//! The batch twin: the same SQL over rows in hand, in plain DataFusion. It is what a stream's answer has to equal.

use crate::plan::window_node::WindowNode;
use arrow::record_batch::RecordBatch;
use citystream_model::{Error, Result};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, collect};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A job's query, ready to run over any rows of its streams.
#[derive(Debug, Clone)]
pub struct BatchTwin {
    plan: LogicalPlan,
    state: SessionState,
}

// === impl BatchTwin ===

impl BatchTwin {
    pub(crate) fn new(plan: LogicalPlan, state: SessionState) -> Self {
        Self { plan, state }
    }

    /// Runs the query over `rows`, batches of each stream's full schema by stream name; a stream without is empty.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when DataFusion fails.
    pub async fn run(&self, rows: &BTreeMap<String, Vec<RecordBatch>>) -> Result<Vec<RecordBatch>> {
        self.try_run(rows).await.map_err(|error| Error::internal("batch run of the query failed").caused_by(error))
    }

    /// Plans the query as far as that goes without rows.
    pub(crate) async fn try_plan(
        &self,
        rows: &BTreeMap<String, Vec<RecordBatch>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let plan = self.plan.clone().transform_up(|node| bind(node, rows))?.data.recompute_schema()?;
        let plan = self.state.optimize(&plan)?;
        self.state.query_planner().create_physical_plan(&plan, &self.state).await
    }

    async fn try_run(&self, rows: &BTreeMap<String, Vec<RecordBatch>>) -> PlanResult<Vec<RecordBatch>> {
        let physical = self.try_plan(rows).await?;
        let batches = collect(physical, self.state.task_ctx()).await?;
        Ok(batches.into_iter().filter(|batch| batch.num_rows() > 0).collect())
    }
}

/// Gives scans of streams their rows, and windows their meaning in plain DataFusion.
fn bind(node: LogicalPlan, rows: &BTreeMap<String, Vec<RecordBatch>>) -> PlanResult<Transformed<LogicalPlan>> {
    if let Some(window) = WindowNode::of(&node) {
        return Ok(Transformed::yes(window.expand(window.input.clone())?));
    }
    match node {
        LogicalPlan::TableScan(scan) => {
            let Some(batches) = rows.get(scan.table_name.table()) else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let table = MemTable::try_new(scan.source.schema(), vec![batches.clone()])
                .map_err(|error: DataFusionError| error.context(scan.table_name.to_string()))?;
            let bound = LogicalPlanBuilder::scan(
                scan.table_name.clone(),
                provider_as_source(Arc::new(table)),
                scan.projection,
            )?
            .build()?;
            Ok(Transformed::yes(bound))
        }
        other => Ok(Transformed::no(other)),
    }
}
