//! Expressions of a plan as an analyst would write them: `r.speed / 2 > 30.0`, not `checked_divide(r.speed, Int64(2))`.

use citystream_functions::plain;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::CustomDialectBuilder;

/// The text of an expression; a column that an operator computed before has the text of its call.
pub(crate) fn sql(expr: &Expr) -> String {
    let Ok(spelt) = expr.clone().transform_down(|expr| Ok(spelt(expr))) else { return expr.to_string() };
    let dialect = CustomDialectBuilder::new().build();
    let text = Unparser::new(&dialect).with_pretty(true).expr_to_sql(&spelt.data).map(|sql| sql.to_string());
    let text = text.unwrap_or_else(|_| spelt.data.human_display().to_string());
    // What the planner makes of count(*).
    text.replace("count(1)", "count(*)").replace("count(Int64(1))", "count(*)")
}

/// What the plan has in place of what was written, as it was written.
fn spelt(expr: Expr) -> Transformed<Expr> {
    if let Some(plain) = plain(&expr) {
        return Transformed::yes(plain);
    }
    match expr {
        Expr::Alias(alias) => Transformed::yes(*alias.expr),
        Expr::Column(column) => Transformed::yes(Expr::Column(name(column))),
        other => Transformed::no(other),
    }
}

/// A column without the names that the planner has given.
fn name(mut column: Column) -> Column {
    column.relation = column.relation.filter(|table| !table.table().starts_with("__"));
    // A call with OVER is called by all that it says.
    if let Some((call, _)) = column.name.split_once(" PARTITION BY [").or(column.name.split_once(" ORDER BY [")) {
        column.name = format!("{call} OVER (...)");
    }
    column
}
