//! Sorts of a physical plan: where DataFusion puts them, unless its own check refuses that.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::ensure_requirements::enforce_distribution::{
    DistributionContext, ensure_distribution,
};
use datafusion::physical_optimizer::ensure_requirements::enforce_sorting::{PlanWithCorrespondingSort, ensure_sorting};
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// [`EnsureRequirements`], which also moves sorts down. Below a join it may find a column to be constant that is none above
/// it, leaves that column out, and the plan is refused as unsorted (DataFusion 55.2): then only what is required is done, and
/// sorts stay where they are needed.
#[derive(Debug)]
pub(crate) struct Sorts;

// === impl Sorts ===

impl PhysicalOptimizerRule for Sorts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let moved = EnsureRequirements::new().optimize(Arc::clone(&plan), config)?;
        match SanityCheckPlan::new().optimize(Arc::clone(&moved), config) {
            Ok(_) => Ok(moved),
            Err(_) => in_place(plan, config),
        }
    }

    fn name(&self) -> &'static str {
        "Sorts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Each sort right below what needs it. The steps left out make plans faster, over several partitions above all; ours have
/// one.
fn in_place(plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
    let distributed = DistributionContext::new_default(plan);
    let distributed = distributed.transform_up(|node| ensure_distribution(node, config)).data()?.plan;
    Ok(PlanWithCorrespondingSort::new_default(distributed).transform_up(ensure_sorting).data()?.plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::UInt64Type;
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
    use datafusion::prelude::{SessionConfig, SessionContext};

    /// `b` is constant below the join, and a sort by it is moved to there.
    const MOVED: &str = "SELECT rank() OVER (PARTITION BY l.a, l.b ORDER BY l.k) AS place \
        FROM (SELECT a, b + 1 AS b, k FROM t WHERE b + 1 = 3) AS l JOIN (SELECT k FROM t WHERE a > 0) AS r ON l.k = r.k";

    fn places(rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>) -> Result<Vec<RecordBatch>> {
        let config = SessionConfig::new().with_target_partitions(1);
        let builder = SessionStateBuilder::new().with_config(config).with_default_features();
        let context = SessionContext::new_with_state(builder.with_physical_optimizer_rules(rules).build());
        let column = |values: [i64; 3]| Arc::new(Int64Array::from(values.to_vec())) as _;
        let columns = [("a", column([1, 1, 1])), ("b", column([2, 2, 7])), ("k", column([5, 4, 3]))];
        context.register_batch("t", RecordBatch::try_from_iter(columns)?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async { context.sql(MOVED).await?.collect().await })
    }

    #[test]
    fn a_sort_stays_where_it_is_if_it_would_not_serve_elsewhere() {
        let theirs = places(PhysicalOptimizer::new().rules).unwrap_err();
        assert!(theirs.to_string().starts_with("SanityCheckPlan"), "DataFusion does without this rule: {theirs}");
        let ours = places(crate::session::physical_rules()).unwrap();
        let mut places: Vec<u64> =
            ours.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().values().to_vec()).collect();
        places.sort_unstable();
        assert_eq!(places, [1, 2]);
    }
}
