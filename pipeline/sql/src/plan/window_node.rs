//! The logical node of a window table function, and its meaning in plain DataFusion.

use arrow::datatypes::{DataType, Field};
use citystream_functions::{WindowSpec, assign_windows, window_end, window_start};
use citystream_model::stream::timestamp_type;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef, Result, ScalarValue, TableReference, UnnestOptions, plan_err};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn::lag;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    AggregateUDF, EmptyRelation, Expr, ExprFunctionExt, Extension, LogicalPlan, LogicalPlanBuilder,
    UserDefinedLogicalNodeCore, WindowFrame, case, cast, col, lit,
};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Name of the column with a window's start.
pub(crate) const WINDOW_START: &str = "window_start";
/// Name of the column with a window's end.
pub(crate) const WINDOW_END: &str = "window_end";

/// `tumble`, `hop`, `cumulate` or `session` over an input: its columns (less old window columns), then the window's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct WindowNode {
    pub(crate) input: LogicalPlan,
    /// Event-time column of the input.
    pub(crate) time: Expr,
    pub(crate) assign: Assign,
    schema: DFSchemaRef,
}

/// How rows get their windows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Assign {
    /// By the clock: each row for itself.
    Fixed(WindowSpec),
    /// By the rows: less than `gap` apart, per `keys`.
    Session { gap: Duration, keys: Vec<Expr> },
}

// === impl WindowNode ===

impl WindowNode {
    pub(crate) fn new(input: LogicalPlan, time: Expr, assign: Assign) -> Result<Self> {
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> = kept(input.schema())
            .map(|at| input.schema().qualified_field(at))
            .map(|(q, f)| (q.cloned(), Arc::clone(f)))
            .collect();
        for name in [WINDOW_START, WINDOW_END] {
            fields.push((None, Arc::new(Field::new(name, timestamp_type(), false))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Self { input, time, assign, schema })
    }

    pub(crate) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// The node behind an extension, if it is one.
    pub(crate) fn of(plan: &LogicalPlan) -> Option<&Self> {
        let LogicalPlan::Extension(extension) = plan else { return None };
        let node: &dyn std::any::Any = extension.node.as_any();
        node.downcast_ref()
    }

    /// Columns of the input that are passed on, as expressions.
    pub(crate) fn passed(&self) -> Vec<Expr> {
        kept(self.input.schema()).map(|at| Expr::from(self.input.schema().qualified_field(at))).collect()
    }

    /// What the node means in plain DataFusion: the batch meaning, and the live one of all but sessions.
    pub(crate) fn expand(&self, input: LogicalPlan) -> Result<LogicalPlan> {
        match &self.assign {
            Assign::Fixed(spec) if spec.is_tumble() => {
                let mut columns = self.passed();
                columns.push(window_start(spec.clone()).call(vec![self.time.clone()]).alias(WINDOW_START));
                columns.push(window_end(spec.clone()).call(vec![self.time.clone()]).alias(WINDOW_END));
                LogicalPlanBuilder::from(input).project(columns)?.build()
            }
            Assign::Fixed(spec) => {
                let mut columns = self.passed();
                columns.push(assign_windows(spec.clone()).call(vec![self.time.clone()]).alias(WINDOWS));
                let unnested = LogicalPlanBuilder::from(input)
                    .project(columns)?
                    .unnest_column_with_options(WINDOWS, UnnestOptions::new().with_preserve_nulls(false))?;
                let mut columns = self.passed();
                columns.extend([WINDOW_START, WINDOW_END].map(|name| field(name).alias(name)));
                unnested.project(columns)?.build()
            }
            Assign::Session { gap, keys } => self.expand_session(input, *gap, keys),
        }
    }

    /// Sessions as window functions: a row begins one when the row before it lies at least the gap behind.
    fn expand_session(&self, input: LogicalPlan, gap: Duration, keys: &[Expr]) -> Result<LogicalPlan> {
        let Ok(gap) = i64::try_from(gap.as_micros()) else { return plan_err!("gap is too large") };
        let micros = |expr: Expr| cast(expr, DataType::Int64);
        let order = || vec![self.time.clone().sort(true, false)];
        let previous = lag(self.time.clone(), Some(1), None)
            .partition_by(keys.to_vec())
            .order_by(order())
            .build()?
            .alias(PREVIOUS);
        let with_previous = LogicalPlanBuilder::from(input).window(vec![previous])?;
        let is_near = (micros(self.time.clone()) - micros(col(PREVIOUS))).lt(lit(gap));
        let mut columns = self.all_columns();
        columns.push(
            case(col(PREVIOUS).is_not_null().and(is_near))
                .when(lit(true), lit(0i64))
                .otherwise(lit(1i64))?
                .alias(BEGINS),
        );
        let flagged = with_previous.project(columns)?;
        let running = over(sum_udaf(), col(BEGINS)).partition_by(keys.to_vec()).order_by(order());
        // By value, not by row: rows of one time belong together, whichever of them the sort puts first.
        let numbered =
            flagged.window(vec![running.window_frame(WindowFrame::new(Some(false))).build()?.alias(NUMBER)])?;
        let mut session: Vec<Expr> = keys.to_vec();
        session.push(col(NUMBER));
        let first = over(min_udaf(), self.time.clone()).partition_by(session.clone()).build()?.alias(FIRST);
        let last = over(max_udaf(), self.time.clone()).partition_by(session).build()?.alias(LAST);
        let bounds = numbered.window(vec![first, last])?;
        let mut columns = self.passed();
        columns.push(col(FIRST).alias(WINDOW_START));
        let gap = ScalarValue::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano::new(
            0,
            0,
            gap.saturating_mul(1_000),
        )));
        columns.push(cast(col(LAST) + lit(gap), timestamp_type()).alias(WINDOW_END));
        bounds.project(columns)?.build()
    }

    fn all_columns(&self) -> Vec<Expr> {
        self.input.schema().iter().map(Expr::from).collect()
    }
}

/// `plan` with all windows in plain DataFusion.
pub(crate) fn expand_windows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let expand = |plan: LogicalPlan| match WindowNode::of(&plan) {
        Some(window) => Ok(Transformed::yes(window.expand(window.input.clone())?)),
        None => Ok(Transformed::no(plan)),
    };
    Ok(plan.transform_up(expand)?.data)
}

/// A window over nothing is nothing, which the optimizer cannot know; true when there was one.
pub(crate) fn prune_empty(plan: LogicalPlan) -> Result<(LogicalPlan, bool)> {
    let prune = |plan: LogicalPlan| match WindowNode::of(&plan) {
        Some(window) if matches!(&window.input, LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row) => {
            Ok(Transformed::yes(LogicalPlan::EmptyRelation(EmptyRelation {
                produce_one_row: false,
                schema: Arc::clone(&window.schema),
            })))
        }
        _ => Ok(Transformed::no(plan)),
    };
    let pruned = plan.transform_up(prune)?;
    Ok((pruned.data, pruned.transformed))
}

fn over(aggregate: Arc<AggregateUDF>, argument: Expr) -> Expr {
    Expr::from(WindowFunction::new(aggregate, vec![argument]))
}

const WINDOWS: &str = "__windows";
const PREVIOUS: &str = "__previous";
const BEGINS: &str = "__begins";
const NUMBER: &str = "__session";
const FIRST: &str = "__first";
const LAST: &str = "__last";

fn field(name: &str) -> Expr {
    datafusion::functions::core::expr_fn::get_field(col(WINDOWS), name)
}

/// Positions of the columns that a window passes on; windows of an inner query give way to the new ones.
fn kept(schema: &DFSchema) -> impl Iterator<Item = usize> + '_ {
    schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| field.name() != WINDOW_START && field.name() != WINDOW_END)
        .map(|(at, _)| at)
}

impl PartialOrd for WindowNode {
    fn partial_cmp(&self, _: &Self) -> Option<Ordering> {
        None
    }
}

impl UserDefinedLogicalNodeCore for WindowNode {
    fn name(&self) -> &str {
        "Window"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let keys: &[Expr] = if let Assign::Session { keys, .. } = &self.assign { keys } else { &[] };
        std::iter::once(self.time.clone()).chain(keys.iter().cloned()).collect()
    }

    /// A filter on other columns may run first, except below a session, whose extent the filtered rows have a part in.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let all = self.schema.fields().iter().map(|field| field.name().clone());
        match self.assign {
            Assign::Fixed(_) => [WINDOW_START, WINDOW_END].map(str::to_owned).into(),
            Assign::Session { .. } => all.collect(),
        }
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.assign {
            Assign::Fixed(spec) => write!(f, "Window: {spec} on {}", self.time),
            Assign::Session { gap, keys } => write!(f, "Window: session {gap:?} on {} by {keys:?}", self.time),
        }
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (mut exprs, mut inputs) = (exprs.into_iter(), inputs.into_iter());
        let (Some(time), Some(input)) = (exprs.next(), inputs.next()) else {
            return plan_err!("a window has a time and an input");
        };
        let assign = match &self.assign {
            Assign::Fixed(spec) => Assign::Fixed(spec.clone()),
            Assign::Session { gap, .. } => Assign::Session { gap: *gap, keys: exprs.collect() },
        };
        Self::new(input, time, assign)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let kept: Vec<usize> = kept(schema).collect();
        let mut needed: HashSet<usize> = output_columns.iter().filter_map(|at| kept.get(*at).copied()).collect();
        for expr in self.expressions() {
            needed.extend(expr.column_refs().into_iter().filter_map(|column| schema.maybe_index_of_column(column)));
        }
        let mut needed: Vec<usize> = needed.into_iter().collect();
        needed.sort_unstable();
        Some(vec![needed])
    }
}
