//! One bad row never stops a job: expressions that can fail on data give NULL for that row, and are counted.
//!
//! ```text
//! CAST(text AS INT) + 10 / n    ──>    checked_add(checked_cast(text), checked_divide(10, n))
//! ```
//!
//! What is rewritten (all of it keeps its name and type, and may be NULL):
//!
//! - casts that can fail or lose range (`cast::is_fallible` has the list of those that cannot); a cast of a literal that
//!   works stays; `TRY_CAST` too, but its NULL is wished for and not counted;
//! - `+ - * / %` and unary minus on integers, decimals, dates, times and intervals; floats stay, they follow IEEE 754;
//! - regular expression operators whose pattern is not a literal;
//! - scalar functions that are not on the list of `call::is_infallible` (closed world), except those without arguments,
//!   volatile ones, and those that evaluate their arguments lazily.
//!
//! `CASE`, `AND`, `OR` and `coalesce` stay what they are, so they evaluate (and count) what DataFusion evaluates.
//! `LIMIT` is left alone. Not covered: `SIMILAR TO` with a pattern from data, window functions, a NULL inside a nested
//! value (its row is not counted).
//!
//! An error of resources, of types or of something not implemented still stops the query: those are not errors of a row.

mod call;
mod cast;
mod operator;
mod rows;
#[cfg(test)]
mod tests;

use crate::ExpressionErrors;
use call::GuardedCall;
use cast::CheckedCast;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Union, Values};
use datafusion::optimizer::AnalyzerRule;
use operator::CheckedOperator;
use std::any::Any;
use std::sync::Arc;

/// The analyzer rule.
#[derive(Debug)]
struct NullOnError {
    errors: ExpressionErrors,
}

/// An analyzer rule that makes errors of a row NULL, counted in `errors`; to run after DataFusion's `TypeCoercion`.
///
/// Planning evaluates constant expressions, and counts their errors once: call [`ExpressionErrors::reset`] after it.
pub fn null_on_error(errors: &ExpressionErrors) -> Arc<dyn AnalyzerRule + Send + Sync> {
    Arc::new(NullOnError { errors: errors.clone() })
}

/// What a node that [`null_on_error`] made stood for, its arguments as they are; `None` for any other expression.
///
/// For planners that look for shapes, such as `a.time + INTERVAL '5' MINUTE`.
pub fn plain(expr: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let function: &dyn Any = call.func.inner().as_ref();
    if let Some(cast) = function.downcast_ref::<CheckedCast>() {
        return cast.plain(&call.args);
    }
    if let Some(operator) = function.downcast_ref::<CheckedOperator>() {
        return operator.plain(&call.args);
    }
    function.downcast_ref::<GuardedCall>().map(|guarded| guarded.plain(&call.args))
}

// === impl NullOnError ===

impl AnalyzerRule for NullOnError {
    fn name(&self) -> &str {
        "null_on_error"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(|plan| self.node(plan))?.data)
    }
}

impl NullOnError {
    fn node(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let plan = match plan {
            LogicalPlan::Limit(_) => return Ok(Transformed::no(plan)),
            LogicalPlan::Union(union) => return nullable_union(union),
            plan => plan,
        };
        let schema = expression_schema(&plan)?;
        let names = NamePreserver::new(&plan);
        let rewrite = |expr: Expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| self.expression(expr, &schema))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        };
        plan.map_expressions(|expr| match expr {
            // Each expression of a ROLLUP is a column of its own.
            Expr::GroupingSet(_) => expr.map_children(rewrite),
            expr => rewrite(expr),
        })?
        // Also where only an input has changed: its columns may be NULL now.
        .map_data(|plan| nullable_values(plan.recompute_schema()?))
    }

    fn expression(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let checked = match &expr {
            Expr::Cast(cast) => CheckedCast::of(cast, schema, &self.errors),
            Expr::TryCast(cast) => CheckedCast::of_try(cast, schema, &self.errors),
            Expr::BinaryExpr(binary) => CheckedOperator::of_binary(binary, schema, &self.errors),
            Expr::Negative(inner) => CheckedOperator::of_negative(inner, schema, &self.errors),
            Expr::ScalarFunction(call) => GuardedCall::of(call, schema, &self.errors),
            _ => None,
        };
        Ok(checked.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}

/// All columns that an expression of this node may name, for their types.
fn expression_schema(plan: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    Ok(schema)
}

/// `recompute_schema` keeps the schema of a union, so its columns learn here that they may be NULL.
fn nullable_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let of_inputs = |at: usize| union.inputs.iter().any(|input| input.schema().field(at).is_nullable());
    let schema = with_nullable(&union.schema, of_inputs)?;
    if schema == union.schema {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    Ok(Transformed::yes(LogicalPlan::Union(Union { inputs: union.inputs, schema })))
}

/// The same for `VALUES`, which were not NULL as long as they were literals.
fn nullable_values(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Values(Values { schema, values }) = plan else { return Ok(plan) };
    let of_rows =
        |at: usize| values.iter().any(|row| row.get(at).is_some_and(|value| !matches!(value, Expr::Literal(..))));
    let schema = with_nullable(&schema, of_rows)?;
    Ok(LogicalPlan::Values(Values { schema, values }))
}

fn with_nullable(schema: &DFSchema, is_nullable: impl Fn(usize) -> bool) -> Result<DFSchemaRef> {
    let fields = schema.iter().enumerate().map(|(at, (table, field))| {
        let nullable = field.is_nullable() || is_nullable(at);
        (table.cloned(), Arc::new(field.as_ref().clone().with_nullable(nullable)))
    });
    Ok(DFSchemaRef::new(DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?))
}
