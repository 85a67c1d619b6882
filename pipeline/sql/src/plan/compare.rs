//! Values of two kinds where one is expected. The planner would cast a text that is compared with a number, row by row, and
//! NULL is equal to nothing: a slip such as `ON a.lane = b.lane_name` joined nothing, without a word. In a UNION it would
//! make texts of numbers.

use crate::ddl::types::sql_name;
use crate::explain::expression::sql;
use crate::finding::{Finding, place_of};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{BinaryExpr, InSubquery};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, Expr, ExprSchemable, LogicalPlan, Union};

/// Refuses comparisons of a number with a text, other than with constants, and unions of columns of two kinds.
///
/// # Errors
/// S013, with the cast to write.
pub(crate) fn refuse_mixed(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        if let LogicalPlan::Join(join) = node {
            join.on.iter().try_for_each(|(left, right)| refuse(left, right, &schema, &schema))?;
        }
        if let LogicalPlan::Union(union) = node {
            same_kinds(union)?;
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                comparison(expr, &schema)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn same_kinds(union: &Union) -> Result<()> {
    let inputs = union.inputs.iter().map(|input| input.schema().as_arrow());
    for (one, other) in inputs.clone().zip(inputs.skip(1)) {
        for (left, right) in one.fields().iter().zip(other.fields()) {
            if let (Some(left_kind), Some(right_kind)) = (kind(left.data_type()), kind(right.data_type()))
                && left_kind != right_kind
            {
                let types = [left, right].map(|field| sql_name(field.data_type()));
                let name = left.name();
                let message =
                    format!("column '{name}' is {} in one SELECT and {} in another, in UNION", types[0], types[1]);
                return Err(Finding::new("S013", None, message, "give both one type: CAST(x AS TEXT)").into());
            }
        }
    }
    Ok(())
}

/// Types of one kind go together without a loss; `None` for those that are left to the planner.
fn kind(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Date32 | DataType::Timestamp(..) => Some("time"),
        DataType::Boolean => Some("condition"),
        number if number.is_numeric() => Some("number"),
        text if text.is_string() => Some("text"),
        _ => None,
    }
}

fn comparison(expr: &Expr, schema: &DFSchema) -> Result<()> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            refuse(left, right, schema, schema)
        }
        Expr::Between(Between { expr, low, high, .. }) => {
            refuse(expr, low, schema, schema)?;
            refuse(expr, high, schema, schema)
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. }) => {
            let found = subquery.subquery.schema();
            found.columns().into_iter().try_for_each(|column| refuse(expr, &Expr::Column(column), schema, found))
        }
        _ => Ok(()),
    }
}

/// Refuses a number beside a text; each side with the columns that it is computed from.
fn refuse(left: &Expr, right: &Expr, of_left: &DFSchema, of_right: &DFSchema) -> Result<()> {
    // What cannot be typed here is said of by the planner.
    let (Ok(left_type), Ok(right_type)) = (left.get_type(of_left), right.get_type(of_right)) else { return Ok(()) };
    let is_constant = |expr: &Expr| expr.column_refs().is_empty() && !expr.contains_outer();
    if is_constant(left) || is_constant(right) {
        return Ok(());
    }
    let (number, text) = match (left_type.is_numeric(), right_type.is_numeric()) {
        (true, false) if right_type.is_string() => ((left, &left_type), (right, &right_type)),
        (false, true) if left_type.is_string() => ((right, &right_type), (left, &left_type)),
        _ => return Ok(()),
    };
    Err(finding(number, text).into())
}

fn finding((number, number_type): (&Expr, &DataType), (text, text_type): (&Expr, &DataType)) -> Finding {
    let (number_name, text_name) = (shown(number), shown(text));
    let (number_type, text_type) = (sql_name(number_type), sql_name(text_type));
    let message = format!("{number_name} is of type {number_type}, compared with {text_name} of type {text_type}");
    let help = format!(
        "write CAST({text_name} AS {number_type}), which is NULL for a text that is no number, or CAST({number_name} AS TEXT)"
    );
    Finding::new("S013", place_of([number, text]), message, help)
}

fn shown(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => sql(&Expr::Column(Column::from_name(&column.name))),
        other => sql(other),
    }
}
