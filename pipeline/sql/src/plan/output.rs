//! The output's columns: plain unique names, and types that every sink can carry.

use crate::ddl::normal;
use crate::ddl::types::sql_name;
use crate::finding::Finding;
use crate::text::{Statement, place};
use arrow::datatypes::{DataType, TimeUnit};
use citystream_model::Diagnostic;
use citystream_model::stream::timestamp_type;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, try_cast};
use datafusion::optimizer::Analyzer;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Query, SelectItem, SetExpr, Spanned};
use std::collections::HashSet;

/// Refuses output columns without a name of their own.
pub(crate) fn check_names(statement: &Statement, query: &Query) -> Result<(), Diagnostic> {
    let mut body = query.body.as_ref();
    let select = loop {
        match body {
            SetExpr::Select(select) => break select,
            SetExpr::Query(inner) => body = inner.body.as_ref(),
            SetExpr::SetOperation { left, .. } => body = left.as_ref(),
            _ => return Ok(()),
        }
    };
    let mut seen = HashSet::new();
    for item in &select.projection {
        named(statement, item, &mut seen)?;
        if let SelectItem::UnnamedExpr(expr) = item
            && !matches!(expr, SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_))
        {
            let message = format!("the output column {} has no plain name", brief(&expr.to_string()));
            return Err(statement.finding("S012", place(expr.span().start), message, "give it one: ... AS name"));
        }
    }
    Ok(())
}

/// Refuses a name that was given before or that is no plain name.
fn named(statement: &Statement, item: &SelectItem, seen: &mut HashSet<String>) -> Result<(), Diagnostic> {
    let ident = match item {
        SelectItem::ExprWithAlias { alias, .. } => alias,
        SelectItem::UnnamedExpr(SqlExpr::Identifier(ident)) => ident,
        SelectItem::UnnamedExpr(SqlExpr::CompoundIdentifier(parts)) => match parts.last() {
            Some(ident) => ident,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    let (name, at) = (normal(ident), place(ident.span.start));
    if name.is_empty() || name.starts_with("__") || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        let message = format!("found '{name}' as the name of an output column, expected letters, digits and '_'");
        return Err(statement.finding(
            "S012",
            at,
            message,
            "give it another one with AS; names that begin with '__' are kept",
        ));
    }
    if !seen.insert(name.to_lowercase()) {
        return Err(statement.finding(
            "S012",
            at,
            format!("two output columns are called '{name}'"),
            "rename one of them with AS",
        ));
    }
    Ok(())
}

/// Adds a projection that gives every column a type that all sinks have.
pub(crate) fn normalize(plan: LogicalPlan, statement: &Statement, options: &ConfigOptions) -> Result<LogicalPlan> {
    let mut seen = HashSet::new();
    let mut columns = Vec::new();
    // A column of a UNION or a CASE has the type that its parts agree on, which the plan as it is written does not say.
    let agreed = Analyzer::new().execute_and_check(plan.clone(), options, |_, _| {})?;
    for ((qualifier, field), agreed) in plan.schema().iter().zip(agreed.schema().fields()) {
        let name = field.name();
        if !seen.insert(name.to_lowercase()) {
            let message = format!("two output columns are called '{name}'");
            // A name that is not written comes from a `*`.
            let (at, help) = match (statement.find(name), statement.find_sign(&["*"], (1, 1))) {
                (None, Some(star)) => (star, "list the columns instead of *, each under a name of its own"),
                _ => (last(statement, name), "rename one of them with AS"),
            };
            return Err(Finding::new("S012", Some(at), message, help).into());
        }
        let column = Expr::from((qualifier, field));
        let target = output_type(agreed.data_type()).ok_or_else(|| {
            let message =
                format!("output column '{name}' is of type {}, which no sink can carry", sql_name(agreed.data_type()));
            let help = match agreed.data_type() {
                DataType::Interval(_) | DataType::Duration(_) => {
                    "a length of time is a number of seconds: date_part('epoch', b) - date_part('epoch', a)"
                }
                _ => "change it with CAST(... AS BIGINT | DOUBLE | TEXT | TIMESTAMP)",
            };
            Finding::new("S021", Some(last(statement, name)), message, help)
        })?;
        let column = match (agreed.data_type(), target) {
            (same, target) if *same == target => column,
            // BIGINT has no room for the upper half of the unsigned numbers.
            (DataType::UInt64, target) => try_cast(column, target),
            (_, target) => cast(column, target),
        };
        columns.push(column.alias(name));
    }
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// The type under which a column is published; `None` for one that is refused.
fn output_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Timestamp(..) => timestamp_type(),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Dictionary(_, value) => output_type(value)?,
        DataType::Null
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Union(..)
        | DataType::RunEndEncoded(..) => return None,
        DataType::Decimal256(..) => return None,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        other => other.clone(),
    })
}

/// Where a column's name stands last in the outermost SELECT list, which is where it was given.
fn last(statement: &Statement, name: &str) -> crate::text::Place {
    statement.locate(name)
}

fn brief(text: &str) -> String {
    match text.char_indices().nth(40) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
