//! Overlapping windows (`hop`, `cumulate`) below a GROUP BY: rows go into panes once, not into every window.
//!
//! ```text
//!   Aggregate [id, window_start, window_end]              Aggregate, which makes windows of panes
//!     Projection, Filter, join to a table       --->        the same
//!       Window hop 1 min / 5 min                              Window tumble 1 min
//! ```
//!
//! It holds only if nothing between looks at the window's bounds, which would be those of the pane.

use crate::plan::window_node::{Assign, WindowNode};
use citystream_functions::{Overlap, Step, WindowSpec};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, JoinType, LogicalPlan};
use std::collections::BTreeSet;

/// More panes than this per window, and more than [`PANES_PER_STEP`] per window that a row is in, are not worth it.
const MAX_PANES: i64 = 4_096;
const PANES_PER_STEP: i64 = 16;

/// An aggregate over panes.
pub(crate) struct Sliding {
    /// What the aggregate reads, with panes for windows.
    pub(crate) input: LogicalPlan,
    /// The windows that the panes make up.
    pub(crate) spec: WindowSpec,
    pub(crate) overlap: Overlap,
    /// Positions in `input` of panes' starts and ends.
    pub(crate) starts: BTreeSet<usize>,
    pub(crate) ends: BTreeSet<usize>,
}

// === impl Sliding ===

impl Sliding {
    /// The panes below `aggregate`, if all that stands between allows it; `is_table` is true of a plan without streams.
    pub(crate) fn below(
        aggregate: &Aggregate,
        is_table: &dyn Fn(&LogicalPlan) -> Result<bool>,
    ) -> Result<Option<Self>> {
        let Some(sliding) = Self::find(&aggregate.input, is_table)? else { return Ok(None) };
        let is_known = |key: &Expr| sliding.bound(key).is_some() || !sliding.is_used_in([key]);
        let closes = aggregate.group_expr.iter().any(|key| match (sliding.bound(key), sliding.overlap) {
            (Some(Bound::End), _) | (Some(Bound::Start), Overlap::Hop { .. }) => true,
            (Some(Bound::Start), Overlap::Cumulate { .. }) | (None, _) => false,
        });
        let holds =
            closes && aggregate.group_expr.iter().all(is_known) && !sliding.is_used_in(aggregate.aggr_expr.iter());
        Ok(holds.then_some(sliding))
    }

    /// The bound of a window that `key` is, if it is one.
    pub(crate) fn bound(&self, key: &Expr) -> Option<Bound> {
        let Expr::Column(column) = key else { return None };
        let at = self.input.schema().maybe_index_of_column(column)?;
        let is = |bound, places: &BTreeSet<usize>| places.contains(&at).then_some(bound);
        is(Bound::Start, &self.starts).or_else(|| is(Bound::End, &self.ends))
    }

    fn is_used_in<'a>(&self, exprs: impl IntoIterator<Item = &'a Expr>) -> bool {
        exprs.into_iter().any(|expr| expr.column_refs().into_iter().any(|column| self.is_bound(column)))
    }

    /// True for a column of the input that is a bound; false for one of another input too.
    fn is_bound(&self, column: &Column) -> bool {
        let at = self.input.schema().maybe_index_of_column(column);
        at.is_some_and(|at| self.starts.contains(&at) || self.ends.contains(&at))
    }

    fn find(plan: &LogicalPlan, is_table: &dyn Fn(&LogicalPlan) -> Result<bool>) -> Result<Option<Self>> {
        match plan {
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
                let Some(below) = Self::find(plan.inputs()[0], is_table)? else { return Ok(None) };
                below.through(plan)
            }
            LogicalPlan::Join(join) => {
                let keeps_left = matches!(
                    join.join_type,
                    JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti
                );
                if !keeps_left || !is_table(&join.right)? {
                    return Ok(None);
                }
                let Some(below) = Self::find(&join.left, is_table)? else { return Ok(None) };
                if below.is_used_in(join.on.iter().map(|(left, _)| left).chain(&join.filter)) {
                    return Ok(None);
                }
                let input = plan.with_new_exprs(plan.expressions(), vec![below.input, join.right.as_ref().clone()])?;
                Ok(Some(Self { input, ..below }))
            }
            other => Self::panes(other),
        }
    }

    /// The window itself.
    fn panes(plan: &LogicalPlan) -> Result<Option<Self>> {
        let Some(node) = WindowNode::of(plan) else { return Ok(None) };
        let Assign::Fixed(spec) = &node.assign else { return Ok(None) };
        let Some(overlap) = spec.overlap() else { return Ok(None) };
        let (pane, per_row, size) = match overlap {
            Overlap::Hop { pane, slide, size } => (pane, size / slide, size),
            Overlap::Cumulate { step, size } => (step, size / step, size),
        };
        if size / pane > MAX_PANES && size / pane > per_row.saturating_mul(PANES_PER_STEP) {
            return Ok(None);
        }
        let Ok(tumble) = WindowSpec::tumble(Step::Micros(pane), None) else { return Ok(None) };
        let spec = spec.clone();
        let input = WindowNode::new(node.input.clone(), node.time.clone(), Assign::Fixed(tumble))?.into_plan();
        let columns = input.schema().fields().len();
        Ok(Some(Self { input, spec, overlap, starts: [columns - 2].into(), ends: [columns - 1].into() }))
    }

    /// `plan` over the panes, if it hands the bounds on and does nothing else with them.
    fn through(self, plan: &LogicalPlan) -> Result<Option<Self>> {
        let (mut starts, mut ends) = (BTreeSet::new(), BTreeSet::new());
        match plan {
            LogicalPlan::Projection(projection) => {
                for (at, expr) in projection.expr.iter().enumerate() {
                    match self.bound(&expr.clone().unalias_nested().data) {
                        Some(Bound::Start) => drop(starts.insert(at)),
                        Some(Bound::End) => drop(ends.insert(at)),
                        None if self.is_used_in([expr]) => return Ok(None),
                        None => {}
                    }
                }
            }
            LogicalPlan::Filter(filter) if self.is_used_in([&filter.predicate]) => return Ok(None),
            _ => (starts, ends) = (self.starts, self.ends),
        }
        let input = plan.with_new_exprs(plan.expressions(), vec![self.input])?;
        Ok(Some(Self { input, spec: self.spec, overlap: self.overlap, starts, ends }))
    }
}

/// A bound of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Start,
    End,
}
