//! The DataFusion session in which a job is planned: its functions, rules and settings, the same live and in batch.

use crate::plan::order::SortOnce;
use crate::plan::sorts::Sorts;
use crate::plan::windows::WindowPlanner;
use citystream_functions::{ExpressionErrors, aggregates, null_on_error};
use citystream_model::stream::timestamp_type;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};
use std::sync::Arc;

/// A session for one job; `errors` counts the rows on which an expression failed.
///
/// It has no table functions, object stores or file formats beyond those compiled in, and no table that is not
/// registered: a query reads what is declared and nothing else.
pub(crate) fn session(errors: &ExpressionErrors) -> SessionState {
    let mut config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    options.execution.parquet.schema_force_view_types = false;
    // Sorts stay where they are: DataFusion 55 moves one below a union and then finds its own plan unsorted.
    options.optimizer.repartition_sorts = false;
    // A CASE whose branch excludes NULL (`WHEN a = b THEN a`) is never NULL to the logical plan, and may be to the
    // physical one: DataFusion 55 calls that an error below an aggregate, though the wider of the two is never wrong.
    options.execution.skip_physical_aggregate_schema_check = true;
    // Plans of fragments are run again and again; a filter learnt in one run must not meet the next.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_table_functions(Default::default())
        .with_relation_planners(vec![Arc::new(WindowPlanner)])
        .with_type_planner(Arc::new(Microseconds))
        .with_analyzer_rule(null_on_error(errors))
        .with_optimizer_rules(logical_rules())
        .with_physical_optimizer_rules(physical_rules())
        .build();
    for aggregate in aggregates(errors) {
        register(&mut state, aggregate);
    }
    state
}

/// DataFusion's rules but one, and ours: beside a single `count(DISTINCT x)`, it sums per `x` first and then the sums, so
/// that a sum is rounded twice, or loses what did not fit in between.
fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let all = Optimizer::new().rules.into_iter();
    let kept = all.filter(|rule| rule.name() != "single_distinct_aggregation_to_group_by");
    kept.chain([Arc::new(SortOnce) as Arc<dyn OptimizerRule + Send + Sync>]).collect()
}

/// DataFusion's rules but one, which in 55.2 moves a filter over both sides of an outer join below that join; sorts are ours.
pub(crate) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let all = PhysicalOptimizer::new().rules.into_iter();
    let kept = all.filter(|rule| !rule.name().starts_with("FilterPushdown"));
    kept.map(|rule| if rule.name() == "EnsureRequirements" { Arc::new(Sorts) } else { rule }).collect()
}

fn register(state: &mut SessionState, aggregate: Arc<datafusion::logical_expr::AggregateUDF>) {
    use datafusion::execution::FunctionRegistry;
    // Replaces DataFusion's function of the name; there is nothing to refuse.
    let _replaced = state.register_udaf(aggregate);
}

/// TIMESTAMP means microseconds.
#[derive(Debug)]
struct Microseconds;

impl TypePlanner for Microseconds {
    fn plan_type_field(&self, sql: &SqlType) -> Result<Option<FieldRef>> {
        Ok(match sql {
            SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                Some(Arc::new(datafusion::arrow::datatypes::Field::new("", timestamp_type(), true)))
            }
            _ => None,
        })
    }
}
