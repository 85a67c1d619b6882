//! Top-N and dedup: `row_number`, `rank` or `dense_rank` of a window with a filter on it. Of a window's rows only those
//! that may still be among the first are kept.
//!
//! ```text
//!   Filter place <= 3                                      rows of one window, pruned once there are many
//!     Projection, alias                          --->        a: 9 8 7 | 6 5 4 ...        b: 5
//!       Window row_number() OVER (PARTITION BY               a: 9 8 7                    b: 5
//!         window_start, window_end, k ORDER BY v DESC)
//! ```
//!
//! It is right for two reasons, for each of the three functions and for equal values too. A row's rank never falls as rows
//! are added, so a row above the limit stays above it, and can go. And what goes changes no answer: the rows before one
//! within the limit have ranks within it themselves, so all of them are there; and before a row above the limit n there
//! are always the first n rows (or values), which never go, so it stays above. Where NULLs stand is part of the order.
//! With several functions a row goes when it is above the limit of each, for then it counts in none of them.

use crate::explain::name;
use crate::plan::lower::{Lowering, aliased, projected};
use crate::plan::over;
use crate::plan::piece::Piece;
use arrow::datatypes::DataType;
use citystream_operators::plan::{FragmentPlan, Pruning};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Window, WindowFunctionDefinition, lit,
};

#[cfg(test)]
mod tests;

/// A window is pruned when it has got as many rows since the last time, and as many as were left then.
const PRUNED_EVERY: usize = 8_192;

/// Ranks that all have a limit.
pub(crate) struct TopN<'a> {
    window: &'a Window,
    /// What stands between the filter and the window, innermost first.
    between: Vec<&'a LogicalPlan>,
    /// Highest rank that passes, for each function of the window.
    limits: Vec<u64>,
}

// === impl TopN ===

impl<'a> TopN<'a> {
    /// The ranks below `filter`, if it sets limits to all of them.
    pub(crate) fn below(filter: &'a Filter) -> Option<Self> {
        let mut between = Vec::new();
        let mut plan = filter.input.as_ref();
        while let LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) = plan {
            between.push(plan);
            plan = plan.inputs()[0];
        }
        between.reverse();
        let LogicalPlan::Window(window) = plan else { return None };
        if !window.window_expr.iter().all(is_rank) {
            return None;
        }
        let columns = window.schema.fields().len();
        let input = columns - window.window_expr.len();
        let mut ranks: Vec<Option<usize>> = (0..columns).map(|at| at.checked_sub(input)).collect();
        for plan in &between {
            if let LogicalPlan::Projection(projection) = plan {
                let below = projection.input.schema();
                let rank = |expr: &Expr| column(expr).and_then(|column| ranks[below.maybe_index_of_column(column)?]);
                ranks = projection.expr.iter().map(rank).collect();
            }
        }
        let rank =
            |expr: &Expr| column(expr).and_then(|column| ranks[filter.input.schema().maybe_index_of_column(column)?]);
        let limit = |function| limit(&filter.predicate, &|expr| rank(expr) == Some(function));
        let limits = (0..window.window_expr.len()).map(limit).collect::<Option<_>>()?;
        Some(Self { window, between, limits })
    }

    /// Lowers all but the filter itself.
    pub(crate) fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Piece> {
        let piece = over::lower(lowering, self.window, Some(self))?;
        self.between.iter().try_fold(piece, |piece, plan| match plan {
            LogicalPlan::Projection(projection) => projected(piece, projection),
            LogicalPlan::SubqueryAlias(alias) => aliased(piece, alias),
            _ => Ok(piece),
        })
    }

    /// The rows of an open window that are kept; `per` are the keys beside the window.
    pub(crate) fn pruning(&self, lowering: &mut Lowering<'_>, per: &[Expr]) -> Result<Pruning> {
        let (scan, feed) = lowering.feed(self.window.input.schema())?;
        let rows: Vec<Expr> = scan.schema().iter().map(Expr::from).collect();
        let plan =
            LogicalPlan::Window(self.window.clone()).with_new_exprs(self.window.window_expr.clone(), vec![scan])?;
        let functions = plan.schema().iter().skip(rows.len()).map(Expr::from);
        let within = functions.zip(&self.limits).map(|(rank, limit)| rank.lt_eq(lit(*limit)));
        let any = within.reduce(Expr::or).unwrap_or_else(|| lit(true));
        let plan = LogicalPlanBuilder::from(plan).filter(any)?.project(rows)?.build()?;
        let fragment = FragmentPlan { plan, feeds: vec![feed] };
        Ok(Pruning { fragment, every: PRUNED_EVERY, what: self.what(per) })
    }

    fn what(&self, per: &[Expr]) -> String {
        let most = self.limits.iter().max().copied().unwrap_or_default();
        let numbered =
            self.window.window_expr.iter().all(|expr| rank_name(expr).is_some_and(|name| name == "row_number"));
        let first = match (numbered, most) {
            (true, 1) => "the first row".to_owned(),
            (true, _) => format!("the first {most} rows"),
            (false, 1) => "the rows of rank 1".to_owned(),
            (false, _) => format!("the rows of ranks 1 to {most}"),
        };
        let per: Vec<String> = per.iter().map(name).collect();
        if per.is_empty() {
            format!("{first} per window")
        } else {
            format!("{first} per {} and window", per.join(", "))
        }
    }
}

fn is_rank(expr: &Expr) -> bool {
    rank_name(expr).is_some_and(|name| matches!(name.as_str(), "row_number" | "rank" | "dense_rank"))
}

fn rank_name(expr: &Expr) -> Option<String> {
    let Expr::WindowFunction(function) = expr.clone().unalias_nested().data else { return None };
    let is_plain = function.params.filter.is_none() && !function.params.distinct;
    (is_plain && matches!(function.fun, WindowFunctionDefinition::WindowUDF(_))).then(|| function.fun.name().to_owned())
}

/// The column that `expr` is, under another name or as another kind of integer.
fn column(expr: &Expr) -> Option<&datafusion::common::Column> {
    match expr {
        Expr::Column(name) => Some(name),
        Expr::Alias(alias) => column(&alias.expr),
        Expr::Cast(cast) if cast.field.data_type().is_integer() => column(&cast.expr),
        _ => None,
    }
}

/// The highest value of a rank with which `predicate` can be true.
fn limit(predicate: &Expr, is_rank: &dyn Fn(&Expr) -> bool) -> Option<u64> {
    match predicate {
        Expr::BinaryExpr(binary) => {
            let (left, right) = (binary.left.as_ref(), binary.right.as_ref());
            match binary.op {
                Operator::And => match (limit(left, is_rank), limit(right, is_rank)) {
                    (Some(left), Some(right)) => Some(left.min(right)),
                    (left, right) => left.or(right),
                },
                Operator::Or => Some(limit(left, is_rank)?.max(limit(right, is_rank)?)),
                Operator::LtEq | Operator::Eq if is_rank(left) => number(right),
                Operator::Lt if is_rank(left) => Some(number(right)?.saturating_sub(1)),
                Operator::GtEq | Operator::Eq if is_rank(right) => number(left),
                Operator::Gt if is_rank(right) => Some(number(left)?.saturating_sub(1)),
                _ => None,
            }
        }
        Expr::Between(between) if !between.negated && is_rank(&between.expr) => number(&between.high),
        Expr::InList(list) if !list.negated && is_rank(&list.expr) => {
            list.list.iter().map(number).collect::<Option<Vec<_>>>()?.into_iter().max()
        }
        _ => None,
    }
}

fn number(expr: &Expr) -> Option<u64> {
    let Expr::Literal(value, _) = expr else { return None };
    if !value.data_type().is_integer() {
        return None;
    }
    match value.cast_to(&DataType::UInt64) {
        Ok(ScalarValue::UInt64(number)) => number,
        _ => None,
    }
}
