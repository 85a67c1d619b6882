//! Window functions (`OVER`): final when a window in every PARTITION BY has closed.

use crate::finding::{Finding, place_of};
use crate::plan::columns::{Facts, facts_of_keys, first_close, known, settle};
use crate::plan::lower::Lowering;
use crate::plan::piece::Piece;
use crate::plan::top_n::TopN;
use citystream_operators::plan::Keeps;
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Window};
use std::sync::Arc;

/// Lowers window functions over a stream to a `ClosedWindow`, which is pruned if only the first rows are wanted.
pub(crate) fn lower(lowering: &mut Lowering<'_>, window: &Window, top_n: Option<&TopN<'_>>) -> Result<Piece> {
    let piece = lowering.piece(&window.input)?;
    let schema = Arc::clone(window.input.schema());
    let at = place_of(&window.window_expr);
    let (keys, closing) = facts_of_keys(shared_keys(&window.window_expr), piece.plan.schema(), &piece.facts)?;
    let Some(closes_at) = first_close(&closing) else {
        let help = "add the window: OVER (PARTITION BY window_start, window_end, ... ORDER BY ...)";
        let message = "OVER without a window's start and end in PARTITION BY never closes (OVER along the stream is not taken yet)";
        return Err(Finding::new("S140", at, message, help).into());
    };
    let column = |at: usize| Expr::from(schema.qualified_field(at));
    let mut facts: Facts =
        (0..schema.fields().len()).map(|at| known(&column(at), piece.plan.schema(), &piece.facts)).collect();
    settle(&mut facts, &closing, |at| closing.iter().any(|(key, _)| *key == column(at)));
    facts.resize(window.schema.fields().len(), None);
    let build = |inputs: Vec<LogicalPlan>| {
        LogicalPlan::Window(window.clone()).with_new_exprs(window.window_expr.clone(), inputs)
    };
    let others: Vec<Expr> = keys.into_iter().filter(|(_, fact)| fact.is_none()).map(|(key, _)| key).collect();
    let keeps = match top_n {
        None => Keeps::All("window functions need the rows of their window".to_owned()),
        Some(top_n) => Keeps::First(Box::new(top_n.pruning(lowering, &others)?)),
    };
    let input = (piece, Arc::clone(&schema), closes_at.clone());
    lowering.closed_window("over", keeps, vec![input], build, facts, Some(closes_at))
}

/// Expressions that stand in the PARTITION BY of all window functions.
pub(crate) fn shared_keys(exprs: &[Expr]) -> Vec<Expr> {
    let mut partitions = exprs.iter().map(|expr| match expr.clone().unalias_nested().data {
        Expr::WindowFunction(function) => function.params.partition_by,
        _ => Vec::new(),
    });
    let first = partitions.next().unwrap_or_default();
    partitions.fold(first, |shared, other| shared.into_iter().filter(|key| other.contains(key)).collect())
}
