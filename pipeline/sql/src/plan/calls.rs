//! Calls with constants among their arguments, tried on one row of NULLs: a unit, a stride or an encoding that does not
//! exist would stop the job at its first row.

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ident};
use datafusion::physical_expr::create_physical_expr;
use std::sync::Arc;

/// Tries every such call of `plan`.
///
/// # Errors
/// What the call says.
pub(crate) fn try_all(plan: &LogicalPlan, state: &SessionState) -> Result<()> {
    plan.apply(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr
                    && call.args.iter().any(is_constant)
                {
                    try_one(call, &schema, state)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

fn try_one(call: &ScalarFunction, schema: &DFSchema, state: &SessionState) -> Result<()> {
    let (mut fields, mut args) = (Vec::new(), Vec::new());
    for (at, arg) in call.args.iter().enumerate() {
        if is_constant(arg) {
            args.push(arg.clone());
            continue;
        }
        // A scan knows its columns itself, and has no calls of its own.
        let Ok(data_type) = arg.get_type(schema) else { return Ok(()) };
        let field = Field::new(format!("c{at}"), data_type, true);
        args.push(ident(field.name()));
        fields.push(field);
    }
    let nulls = fields.iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    let schema = Arc::new(Schema::new(fields));
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::clone(&schema), nulls, &one)?;
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&call.func), args));
    let schema = DFSchema::try_from(schema)?;
    let call = create_physical_expr(&call, &schema, state.execution_props(), &PhysicalPlanningContext::default())?;
    call.evaluate(&row).map(drop)
}
