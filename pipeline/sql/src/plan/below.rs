//! The window below a GROUP BY, for operators that know windows by themselves: `hop` and `cumulate`, whose rows then go into
//! panes once and not into every window, and `session`, whose rows then wait for nothing.
//!
//! ```text
//!   Aggregate [id, window_start, window_end]              Aggregate, which makes windows of panes
//!     Projection, Filter, join to a table       --->        the same
//!       Window hop 1 min / 5 min                              Window tumble 1 min
//! ```
//!
//! It holds only if nothing between looks at the window's bounds, which would be those of the pane, or the row's time where
//! a session was.

use crate::plan::window_node::{Assign, WINDOW_END, WINDOW_START, WindowNode};
use arrow::datatypes::DataType;
use citystream_functions::{Overlap, Step, WindowSpec};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{
    Aggregate, Expr, JoinType, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore,
};
use std::collections::BTreeSet;

/// More panes than this per window, and more than [`PANES_PER_STEP`] per window that a row is in, are not worth it.
const MAX_PANES: i64 = 4_096;
const PANES_PER_STEP: i64 = 16;

/// The window that an aggregate stands over.
pub(crate) struct WindowBelow {
    /// What the aggregate reads, with panes or times for windows.
    pub(crate) input: LogicalPlan,
    pub(crate) windows: Windows,
    /// Positions in `input` of panes' or rows' starts and ends.
    pub(crate) starts: BTreeSet<usize>,
    pub(crate) ends: BTreeSet<usize>,
    /// Positions in `input` of each key of a session.
    keys: Vec<BTreeSet<usize>>,
    /// True when rows of a window may be missing in `input`.
    pub(crate) loses_rows: bool,
}

/// How windows come about.
pub(crate) enum Windows {
    /// Of panes.
    Overlapping { spec: WindowSpec, overlap: Overlap },
    /// Of the rows, with a gap between.
    Session(Box<WindowNode>),
}

/// What a key of the aggregate is to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Start,
    End,
    /// The session's key with this number.
    Key(usize),
}

// === impl WindowBelow ===

impl WindowBelow {
    /// The window below `aggregate`, if all that stands between allows it; `is_table` is true of a plan without streams.
    pub(crate) fn of(aggregate: &Aggregate, is_table: &dyn Fn(&LogicalPlan) -> Result<bool>) -> Result<Option<Self>> {
        let Some(below) = Self::find(&aggregate.input, is_table)? else { return Ok(None) };
        let holds = aggregate.group_expr.iter().all(|key| below.bound(key).is_some() || !below.is_used_in([key]))
            && !below.is_used_in(aggregate.aggr_expr.iter())
            && below.closes(&aggregate.group_expr);
        Ok(holds.then_some(below))
    }

    /// The part of the window that `key` is, if it is one.
    pub(crate) fn part(&self, key: &Expr) -> Option<Part> {
        let Expr::Column(column) = key else { return None };
        let at = self.input.schema().maybe_index_of_column(column)?;
        self.part_at(at)
    }

    fn part_at(&self, at: usize) -> Option<Part> {
        let is = |part, places: &BTreeSet<usize>| places.contains(&at).then_some(part);
        let key = || self.keys.iter().position(|places| places.contains(&at)).map(Part::Key);
        is(Part::Start, &self.starts).or_else(|| is(Part::End, &self.ends)).or_else(key)
    }

    /// The bound that `key` is, if it is one.
    fn bound(&self, key: &Expr) -> Option<Part> {
        self.part(key).filter(|part| !matches!(part, Part::Key(_)))
    }

    /// True when a group by `keys` is of one window.
    fn closes(&self, keys: &[Expr]) -> bool {
        let has = |part: Part| keys.iter().any(|key| self.part(key) == Some(part));
        match self.windows {
            Windows::Overlapping { overlap: Overlap::Hop { .. }, .. } => has(Part::Start) || has(Part::End),
            Windows::Overlapping { overlap: Overlap::Cumulate { .. }, .. } => has(Part::End),
            Windows::Session(_) => {
                let has_key = |places: &BTreeSet<usize>| {
                    let at =
                        |key: &Expr| key.try_as_col().and_then(|key| self.input.schema().maybe_index_of_column(key));
                    keys.iter().filter_map(at).any(|at| places.contains(&at))
                };
                has(Part::End) && self.keys.iter().all(has_key)
            }
        }
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
                let loses_rows = below.loses_rows || join.join_type != JoinType::Left;
                let input = plan.with_new_exprs(plan.expressions(), vec![below.input, join.right.as_ref().clone()])?;
                Ok(Some(Self { input, loses_rows, ..below }))
            }
            other => match WindowNode::of(other) {
                Some(node) => Self::window(node),
                None => Ok(None),
            },
        }
    }

    /// The window itself.
    fn window(node: &WindowNode) -> Result<Option<Self>> {
        let (input, windows, keys) = match &node.assign {
            Assign::Fixed(spec) => match panes(node, spec)? {
                Some((input, overlap)) => (input, Windows::Overlapping { spec: spec.clone(), overlap }, Vec::new()),
                None => return Ok(None),
            },
            Assign::Session { keys, .. } => match times(node, keys)? {
                Some((input, keys)) => (input, Windows::Session(Box::new(node.clone())), keys),
                None => return Ok(None),
            },
        };
        let columns = input.schema().fields().len();
        let (starts, ends) = ([columns - 2].into(), [columns - 1].into());
        Ok(Some(Self { input, windows, starts, ends, keys, loses_rows: false }))
    }

    /// `plan` over the panes, if it hands the bounds on and does nothing else with them.
    fn through(mut self, plan: &LogicalPlan) -> Result<Option<Self>> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let (mut starts, mut ends) = (BTreeSet::new(), BTreeSet::new());
                let mut keys = vec![BTreeSet::new(); self.keys.len()];
                for (at, expr) in projection.expr.iter().enumerate() {
                    match self.part(&expr.clone().unalias_nested().data) {
                        Some(Part::Start) => drop(starts.insert(at)),
                        Some(Part::End) => drop(ends.insert(at)),
                        Some(Part::Key(key)) => drop(keys[key].insert(at)),
                        None if self.is_used_in([expr]) => return Ok(None),
                        None => {}
                    }
                }
                (self.starts, self.ends, self.keys) = (starts, ends, keys);
            }
            LogicalPlan::Filter(filter) if self.is_used_in([&filter.predicate]) => return Ok(None),
            LogicalPlan::Filter(_) => self.loses_rows = true,
            _ => {}
        }
        let input = plan.with_new_exprs(plan.expressions(), vec![self.input])?;
        Ok(Some(Self { input, ..self }))
    }
}

/// Panes in place of the windows of `spec`.
fn panes(node: &WindowNode, spec: &WindowSpec) -> Result<Option<(LogicalPlan, Overlap)>> {
    let Some(overlap) = spec.overlap() else { return Ok(None) };
    let (pane, per_row, size) = match overlap {
        Overlap::Hop { pane, slide, size } => (pane, size / slide, size),
        Overlap::Cumulate { step, size } => (step, size / step, size),
    };
    if size / pane > MAX_PANES && size / pane > per_row.saturating_mul(PANES_PER_STEP) {
        return Ok(None);
    }
    let Ok(tumble) = WindowSpec::tumble(Step::Micros(pane), None) else { return Ok(None) };
    let input = WindowNode::new(node.input.clone(), node.time.clone(), Assign::Fixed(tumble))?.into_plan();
    Ok(Some((input, overlap)))
}

/// The time of each row in place of its session's bounds, and the positions of the session's keys.
///
/// Keys whose equality is not that of GROUP BY are left to `Session`: it tells -0.0 from 0.0.
fn times(node: &WindowNode, keys: &[Expr]) -> Result<Option<(LogicalPlan, Vec<BTreeSet<usize>>)>> {
    let mut columns = node.passed();
    let places = keys.iter().map(|key| {
        let at = node.schema().maybe_index_of_column(key.try_as_col()?)?;
        let data_type = node.schema().field(at).data_type();
        let is_exact = !data_type.is_floating() && !data_type.is_nested() && *data_type != DataType::Null;
        is_exact.then(|| BTreeSet::from([at]))
    });
    let Some(places) = places.collect::<Option<Vec<_>>>() else { return Ok(None) };
    columns.extend([WINDOW_START, WINDOW_END].map(|bound| node.time.clone().alias(bound)));
    Ok(Some((LogicalPlanBuilder::from(node.input.clone()).project(columns)?.build()?, places)))
}
