//! Order: what depends on the order of rows gets a total one, the same live and in batch, or is refused.

use crate::finding::Finding;
use crate::text::Statement;
use arrow::datatypes::DataType;
use citystream_functions::{Sensitivity, order_sensitivity};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, ExprSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Distinct, Expr, ExprSchemable, LogicalPlan, Volatility, Window, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, cast, lit,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// Leaves out sorts inside aggregates on what they have sorted by before: DataFusion 55's `first_value` panics on them.
#[derive(Debug)]
pub(crate) struct SortOnce;

impl OptimizerRule for SortOnce {
    fn name(&self) -> &str {
        "sort_once"
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !matches!(plan, LogicalPlan::Aggregate(_)) {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|expr| Ok(sort_once(expr)))?.update_data(|expr| name.restore(expr)))
        })
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }
}

fn sort_once(expr: Expr) -> Transformed<Expr> {
    let Expr::AggregateFunction(mut function) = expr else { return Transformed::no(expr) };
    let mut kept: Vec<Sort> = Vec::new();
    for sort in &function.params.order_by {
        if !kept.iter().any(|known| known.expr == sort.expr) {
            kept.push(sort.clone());
        }
    }
    let changed = kept.len() < function.params.order_by.len();
    function.params.order_by = kept;
    Transformed::new_transformed(Expr::AggregateFunction(function), changed)
}

/// Gives every order-sensitive function of `plan` a total order, and refuses what cannot have one.
pub(crate) fn make_total(plan: LogicalPlan, statement: &Statement) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        if matches!(node, LogicalPlan::Distinct(Distinct::On(_))) {
            return Err(refuse(
                statement,
                "distinct",
                "S131",
                "DISTINCT ON keeps an arbitrary row",
                "use row_number() OVER (PARTITION BY window_start, window_end, ... ORDER BY ...) = 1",
            ));
        }
        let columns: Vec<Column> =
            if let LogicalPlan::Window(window) = &node { window.input.schema().columns() } else { Vec::new() };
        let sortable: Vec<Column> = columns.into_iter().filter(|column| is_sortable(&node, column)).collect();
        let names = NamePreserver::new(&node);
        let schema = merge_schema(&node.inputs());
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| total(expr, &sortable, &schema, statement))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(one_order_each)
    });
    // Nodes above know their inputs' schemas, which have not changed but for their expressions.
    plan?.data.recompute_schema()
}

/// DataFusion sorts the input of a `Window` node once: functions whose orders are no longer the same part company.
fn one_order_each(node: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Window(window) = node else { return Ok(node) };
    let mut groups: Vec<(Vec<Sort>, Vec<Expr>)> = Vec::new();
    for expr in &window.window_expr {
        let order = match expr.clone().unalias_nested().data {
            Expr::WindowFunction(function) => function.params.order_by,
            _ => Vec::new(),
        };
        match groups.iter_mut().find(|(known, _)| *known == order) {
            Some((_, exprs)) => exprs.push(expr.clone()),
            None => groups.push((order, vec![expr.clone()])),
        }
    }
    if groups.len() < 2 {
        return Ok(LogicalPlan::Window(window));
    }
    let plan = groups.into_iter().try_fold(Arc::unwrap_or_clone(window.input), |plan, (_, exprs)| {
        Ok::<_, DataFusionError>(LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan))?))
    })?;
    Ok(plan)
}

fn is_sortable(node: &LogicalPlan, column: &Column) -> bool {
    let LogicalPlan::Window(window) = node else { return false };
    window.input.schema().field_from_column(column).is_ok_and(|field| !field.data_type().is_nested())
}

fn total(expr: Expr, columns: &[Column], schema: &DFSchema, statement: &Statement) -> Result<Transformed<Expr>> {
    match expr {
        Expr::AggregateFunction(function) => aggregate(function, schema, statement),
        Expr::WindowFunction(function) => window(*function, columns, statement),
        Expr::ScalarFunction(ref function) if function.func.signature().volatility != Volatility::Immutable => {
            Err(refuse(
                statement,
                function.name(),
                "S130",
                &format!("{}() would be folded to one value at the start, or differ from run to run", function.name()),
                "use the event time: a column of the row, or window_start and window_end",
            ))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn aggregate(mut function: AggregateFunction, schema: &DFSchema, statement: &Statement) -> Result<Transformed<Expr>> {
    let name = function.func.name().to_owned();
    match order_sensitivity(&name) {
        Sensitivity::OrderFree => return Ok(Transformed::no(Expr::AggregateFunction(function))),
        Sensitivity::Inexact { instead } => {
            let instead = if instead.is_empty() {
                "write it with sum, count and avg".to_owned()
            } else {
                format!("write {instead}")
            };
            return Err(refuse(
                statement,
                &name,
                "S132",
                &format!("{name}() depends on the order of the rows, so a stream could not equal its batch"),
                &instead,
            ));
        }
        Sensitivity::Unknown => {
            return Err(refuse(
                statement,
                &name,
                "S132",
                &format!("{name}() is not known to be independent of the order of the rows"),
                "use count, sum, avg, min, max, median, var_samp, stddev or percentile_cont",
            ));
        }
        Sensitivity::NeedsOrder => {}
    }
    if function.params.order_by.is_empty() {
        let help = format!("write {name}(x ORDER BY time_column), or min(x) or max(x)");
        return Err(refuse(
            statement,
            &name,
            "S131",
            &format!("{name}() without ORDER BY depends on the order in which rows come"),
            &help,
        ));
    }
    let Some(argument) = function.params.args.first().cloned() else {
        return Ok(Transformed::no(Expr::AggregateFunction(function)));
    };
    let is_float = |expr: &Expr| expr.get_type(schema).is_ok_and(|data_type| data_type.is_floating());
    // DataFusion sorts 0.0 behind -0.0 and merges the two as equal: here they are equal, and their texts decide.
    for sort in function.params.order_by.iter_mut().filter(|sort| is_float(&sort.expr)) {
        sort.expr = sort.expr.clone() + lit(0.0);
    }
    let last = if is_float(&argument) { cast(argument, DataType::Utf8) } else { argument };
    function.params.order_by.push(last.sort(true, false));
    Ok(Transformed::yes(Expr::AggregateFunction(function)))
}

fn window(mut function: WindowFunction, columns: &[Column], statement: &Statement) -> Result<Transformed<Expr>> {
    if !needs_total(&function, statement)? || is_over_all(&function) {
        return Ok(Transformed::no(Expr::WindowFunction(Box::new(function))));
    }
    if function.params.order_by.is_empty() {
        let name = function.fun.name();
        let message = format!("{name}() OVER without ORDER BY depends on the order in which rows come");
        return Err(refuse(statement, name, "S131", &message, "add ORDER BY to the OVER clause"));
    }
    for column in columns {
        let column = Expr::Column(column.clone());
        if !function.params.order_by.iter().any(|sort| sort.expr == column) {
            function.params.order_by.push(Sort::new(column, true, false));
        }
    }
    Ok(Transformed::yes(Expr::WindowFunction(Box::new(function))))
}

/// True when the answer of a function with OVER depends on the order of rows that its ORDER BY calls equal.
fn needs_total(function: &WindowFunction, statement: &Statement) -> Result<bool> {
    let name = function.fun.name();
    let by_rows = function.params.window_frame.units == WindowFrameUnits::Rows;
    let is_running = matches!(function.params.window_frame.end_bound, WindowFrameBound::CurrentRow);
    match (&function.fun, order_sensitivity(name)) {
        (WindowFunctionDefinition::WindowUDF(_), _) => match name {
            "rank" | "dense_rank" | "percent_rank" | "cume_dist" => Ok(false),
            "last_value" | "nth_value" if !by_rows && is_running => {
                let message = format!("{name}() with the default frame depends on the order of equal rows");
                let help =
                    format!("write {name}(...) OVER (... ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)");
                Err(refuse(statement, name, "S131", &message, &help))
            }
            _ => Ok(true),
        },
        (WindowFunctionDefinition::AggregateUDF(_), Sensitivity::OrderFree) => Ok(by_rows),
        (WindowFunctionDefinition::AggregateUDF(_), Sensitivity::Inexact { instead }) => {
            Err(refuse(statement, name, "S132", &format!("{name}() depends on the order of the rows"), instead))
        }
        (WindowFunctionDefinition::AggregateUDF(_), _) => {
            let message = format!("{name}() OVER depends on the order of equal rows");
            Err(refuse(statement, name, "S131", &message, "use it with GROUP BY and its own ORDER BY"))
        }
    }
}

/// True for an aggregate over the whole partition, which is the same whatever the order.
fn is_over_all(function: &WindowFunction) -> bool {
    let frame = &function.params.window_frame;
    let is_aggregate = matches!(function.fun, WindowFunctionDefinition::AggregateUDF(_));
    is_aggregate && frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded()
}

fn refuse(
    statement: &Statement,
    word: &str,
    code: &'static str,
    message: &str,
    help: &str,
) -> datafusion::common::DataFusionError {
    Finding::new(code, Some(statement.locate(word)), message, help).into()
}

/// Refuses subqueries inside expressions that read one of `streams`.
pub(crate) fn refuse_stream_subqueries(
    plan: &LogicalPlan,
    statement: &Statement,
    is_stream: &dyn Fn(&str) -> bool,
) -> Result<()> {
    plan.apply(|node| {
        node.apply_subqueries(|subquery| {
            let LogicalPlan::Subquery(subquery) = subquery else { return Ok(TreeNodeRecursion::Continue) };
            subquery.subquery.apply_with_subqueries(|inner| match inner {
                LogicalPlan::TableScan(scan) if is_stream(scan.table_name.table()) => {
                    let name = scan.table_name.table();
                    let help = "join the streams in FROM on the bounds of one window instead";
                    Err(Finding::new(
                        "S160",
                        Some(statement.locate(name)),
                        format!("a subquery in an expression reads the stream '{name}'"),
                        help,
                    )
                    .into())
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}
