//! `GROUP BY` and `DISTINCT`: a group is final when a window in its key has closed.

use crate::finding::{Finding, place_of};
use crate::plan::columns::{Facts, facts_of_keys, first_close, settle};
use crate::plan::lower::Lowering;
use crate::plan::piece::Piece;
use datafusion::common::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use std::sync::Arc;

/// Lowers an aggregate over a stream to a `ClosedWindow`.
pub(crate) fn lower(lowering: &mut Lowering<'_>, aggregate: &Aggregate) -> Result<Piece> {
    let piece = lowering.piece(&aggregate.input)?;
    let at = place_of(&aggregate.group_expr).or_else(|| place_of(&aggregate.aggr_expr));
    if matches!(aggregate.group_expr[..], [Expr::GroupingSet(_)]) {
        let help = "write one job per grouping, or UNION ALL of plain GROUP BYs";
        return Err(
            Finding::new("S102", at, "GROUPING SETS, ROLLUP and CUBE form groups that never close", help).into()
        );
    }
    let (keys, closing) = facts_of_keys(aggregate.group_expr.clone(), piece.plan.schema(), &piece.facts)?;
    let Some(closes_at) = first_close(&closing) else {
        let help = "add a window: FROM tumble(stream, time_column, INTERVAL '5 minutes') AS w ... GROUP BY w.window_start, w.window_end, ...";
        let message = "this groups forever: no window's start and end, and no date_bin or date_trunc of the event time, in GROUP BY or DISTINCT";
        return Err(Finding::new("S101", at, message, help).into());
    };
    let mut facts: Facts = keys.iter().map(|(_, fact)| fact.clone()).collect();
    settle(&mut facts, &closing, |at| closing.iter().any(|(key, _)| *key == keys[at].0));
    facts.resize(aggregate.schema.fields().len(), None);
    let input = (piece, Arc::clone(aggregate.input.schema()), closes_at);
    let build = |inputs: Vec<LogicalPlan>| {
        let plan = LogicalPlan::Aggregate(aggregate.clone());
        plan.with_new_exprs(aggregate.group_expr.iter().chain(&aggregate.aggr_expr).cloned().collect(), inputs)
    };
    // The same keys, as the columns that come out.
    let position = |key: &Expr| keys.iter().position(|(known, _)| known == key);
    let column = |at: usize| Expr::from(aggregate.schema.qualified_field(at));
    let closed: Vec<_> =
        closing.iter().filter_map(|(key, fact)| position(key).map(|at| (column(at), fact.clone()))).collect();
    lowering.closed_window("aggregate", vec![input], build, facts, first_close(&closed))
}
