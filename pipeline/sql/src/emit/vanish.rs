//! Conditions behind a GROUP BY whose results come out before they are final: the operator judges them, since it knows which
//! groups were results before; what makes rows of groups passes on which of them are none any more.

use super::Wrong;
use crate::plan::lower::EVENT_TIME;
use crate::plan::piece;
use arrow::datatypes::{DataType, Field, Schema};
use citystream_operators::fragment::Feed;
use citystream_operators::plan::{FragmentPlan, REMOVED};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::expr_fn::when;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, col, lit};
use std::sync::Arc;

/// Columns that are no columns of the SELECT.
const HIDDEN: [&str; 4] = [piece::TIME, piece::SOURCE, piece::OFFSET, EVENT_TIME];

/// All conditions of `plan`, those below before those above them, over the columns `c0`, `c1`, ... that it reads.
pub(super) fn condition(plan: &LogicalPlan) -> Result<Option<Expr>, Wrong> {
    let mut all = Vec::new();
    let mut rest = Some(plan);
    while let Some(plan) = rest {
        if let LogicalPlan::Filter(filter) = plan {
            all.push(over_groups(&filter.predicate, &filter.input).map_err(wrong)?);
        }
        rest = plan.inputs().first().copied();
    }
    all.reverse();
    Ok(conjunction(all))
}

/// `expr` over the columns of `plan` as one over those that the scan below reads.
fn over_groups(expr: &Expr, plan: &LogicalPlan) -> PlanResult<Expr> {
    let rewritten = expr.clone().transform(|expr| match &expr {
        Expr::Column(column) => {
            let at = plan.schema().index_of_column(column)?;
            Ok(Transformed::new(column_of(plan, at)?, true, TreeNodeRecursion::Jump))
        }
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
            Err(DataFusionError::Plan("found a subquery".to_owned()))
        }
        _ => Ok(Transformed::no(expr)),
    });
    rewritten.map(|rewritten| rewritten.data)
}

/// Column `at` of `plan` over those that the scan below reads.
fn column_of(plan: &LogicalPlan, at: usize) -> PlanResult<Expr> {
    match plan {
        LogicalPlan::TableScan(_) => Ok(col(format!("c{at}"))),
        LogicalPlan::Projection(projection) => over_groups(&projection.expr[at].clone().unalias(), &projection.input),
        LogicalPlan::SubqueryAlias(alias) => column_of(&alias.input, at),
        LogicalPlan::Filter(filter) => column_of(&filter.input, at),
        other => Err(DataFusionError::Plan(format!("found {}", other.display()))),
    }
}

/// Takes the conditions out of a fragment and has it pass on [`REMOVED`], whose position among its columns it returns.
pub(super) fn carry(fragment: &mut FragmentPlan) -> Result<usize, Wrong> {
    let [feed] = &fragment.feeds[..] else {
        return Err(wrong(DataFusionError::Plan("found several inputs".to_owned())));
    };
    let fields = feed.schema().fields().iter().cloned();
    let fields = fields.chain([Arc::new(Field::new(REMOVED, DataType::Boolean, false))]);
    let feed = Feed::new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), feed.number());
    let plan = carried(&fragment.plan, &feed).map_err(wrong)?;
    let at = plan.schema().fields().len() - 1;
    *fragment = FragmentPlan { plan, feeds: vec![feed] };
    Ok(at)
}

/// `plan` without its conditions, and with [`REMOVED`] as its last column.
fn carried(plan: &LogicalPlan, feed: &Arc<Feed>) -> PlanResult<LogicalPlan> {
    match plan {
        LogicalPlan::TableScan(_) => piece::scan(feed),
        LogicalPlan::Filter(filter) => carried(&filter.input, feed),
        LogicalPlan::SubqueryAlias(alias) => {
            LogicalPlanBuilder::from(carried(&alias.input, feed)?).alias(alias.alias.clone())?.build()
        }
        LogicalPlan::Projection(projection) => {
            let input = carried(&projection.input, feed)?;
            let last = input.schema().qualified_field(input.schema().fields().len() - 1);
            let removed = Expr::Column(Column::from(last));
            let of = |expr: &Expr| guarded(expr, &removed, input.schema());
            let mut columns = projection.expr.iter().map(of).collect::<PlanResult<Vec<_>>>()?;
            columns.push(removed.alias(REMOVED));
            LogicalPlanBuilder::from(input).project(columns)?.build()
        }
        other => Err(DataFusionError::Plan(format!("found {}", other.display()))),
    }
}

/// `expr` where the row is a result. What a condition kept away from it must not fail.
fn guarded(expr: &Expr, removed: &Expr, schema: &DFSchema) -> PlanResult<Expr> {
    // Hidden columns are times, and keys are columns as they are.
    let is_hidden = HIDDEN.contains(&expr.qualified_name().1.as_str());
    if is_hidden || matches!(expr.clone().unalias_nested().data, Expr::Column(_) | Expr::Literal(..)) {
        return Ok(expr.clone());
    }
    let data_type = expr.get_type(schema)?;
    let nothing = match expr.nullable(schema)? {
        true => ScalarValue::try_from(&data_type)?,
        false => ScalarValue::new_default(&data_type)?,
    };
    let (qualifier, name) = expr.qualified_name();
    let guarded = when(removed.clone(), lit(nothing)).otherwise(expr.clone().unalias())?;
    Ok(guarded.alias_qualified(qualifier, name))
}

fn wrong(error: DataFusionError) -> Wrong {
    let found = error.message();
    let message = format!("which groups are results cannot be judged before they are final: {found} behind GROUP BY");
    (message, "let HAVING compare what GROUP BY computes with constants, or write emit = 'final'")
}
