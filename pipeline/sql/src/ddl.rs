//! The statements that declare things: streams, reference tables, jobs and their sinks.

pub(crate) mod flink;
pub(crate) mod job;
pub(crate) mod show;
pub(crate) mod sink;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod types;

use crate::text::windows::{closing, is_keyword, split};
use crate::text::{Place, Statement, place};
use citystream_model::Diagnostic;
use datafusion::sql::parser::CreateExternalTable;
use datafusion::sql::sqlparser::ast::{
    CreateTableOptions, CreateView, Expr, Ident, Insert, ObjectName, Spanned, SqlOption, Value,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The plain, lower-case name in `name`; schemas and quotes around odd names are refused.
pub(crate) fn plain_name(statement: &Statement, name: &ObjectName, what: &str) -> Result<(String, Place), Diagnostic> {
    let ident = match &name.0[..] {
        [part] => part.as_ident(),
        _ => None,
    };
    let Some(ident) = ident else {
        let message = format!("found '{name}', expected the plain name of a {what}");
        return Err(statement.finding("S012", place(name.span().start), message, "leave out the schema"));
    };
    let (name, at) = (normal(ident), place(ident.span.start));
    let mut letters = name.chars();
    let starts_well = letters.next().is_some_and(|first| first.is_ascii_lowercase());
    if !starts_well || !letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') || name.len() > 128 {
        let message = format!(
            "found '{name}' as the name of a {what}, expected lower-case letters, digits and '_', a letter first"
        );
        return Err(statement.finding("S012", at, message, "name it in snake_case"));
    }
    Ok((name, at))
}

/// An identifier as SQL reads it: unquoted ones in lower case.
pub(crate) fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// A literal as the text that an option takes.
fn literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
        Value::Number(number, _) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        _ => return None,
    })
}

/// A literal expression as the text that an option takes; a bare word stands for itself.
fn literal_expr(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => literal(&value.value),
        Expr::Identifier(ident) => Some(ident.value.clone()),
        _ => None,
    }
}

/// Options of `CREATE EXTERNAL TABLE` as text.
fn external_options(
    statement: &Statement,
    table: &CreateExternalTable,
) -> Result<Vec<(String, String, Option<Place>)>, Diagnostic> {
    let places = option_places(statement);
    let read = |(number, (name, value)): (usize, &(String, Value))| {
        let at = places.get(number).copied();
        let text = literal(value).ok_or_else(|| {
            let message = format!("option '{name}': found {value}, expected a quoted text, a number or a boolean");
            statement.finding("S006", at.unwrap_or(statement.start()), message, "put the value in single quotes")
        })?;
        Ok((name.clone(), text, at))
    };
    table.options.iter().enumerate().map(read).collect()
}

/// Where the names in `OPTIONS (...)` stand: the parser keeps no places of them.
fn option_places(statement: &Statement) -> Vec<Place> {
    let words: Vec<TokenWithSpan> = statement.words().cloned().collect();
    let is_options = |pair: &[TokenWithSpan]| is_keyword(&pair[0], "options") && pair[1].token == Token::LParen;
    let Some(open) = words.windows(2).position(is_options).map(|options| options + 1) else { return Vec::new() };
    let end = closing(&words, open).unwrap_or(words.len());
    split(&words[open + 1..end]).iter().filter_map(|option| option.first()).map(|name| place(name.span.start)).collect()
}

/// Refuses the clauses of `CREATE EXTERNAL TABLE` that mean nothing here.
fn refuse_clauses(statement: &Statement, table: &CreateExternalTable) -> Result<(), Diagnostic> {
    let unused = [
        (!table.table_partition_cols.is_empty(), "PARTITIONED", "PARTITIONED BY"),
        (!table.order_exprs.is_empty(), "ORDER", "WITH ORDER"),
        (table.if_not_exists, "IF", "IF NOT EXISTS"),
        (table.or_replace, "REPLACE", "OR REPLACE"),
        (table.temporary, "TEMPORARY", "TEMPORARY"),
        (!table.constraints.is_empty(), "PRIMARY", "a table constraint"),
        (table.locations.len() != 1, "LOCATION", "several locations"),
    ];
    refuse_first(statement, &unused)
}

/// The `WITH (...)` options of a view as text, with the places of their names.
pub(crate) fn literal_pairs(
    statement: &Statement,
    options: &CreateTableOptions,
) -> Result<Vec<(String, String, Option<Place>)>, Diagnostic> {
    let options = match options {
        CreateTableOptions::None => return Ok(Vec::new()),
        CreateTableOptions::With(options) => options,
        _ => {
            return Err(statement.finding(
                "S003",
                statement.locate("options"),
                "found OPTIONS (...), expected WITH (...)",
                "write WITH (name = 'value', ...)",
            ));
        }
    };
    let read = |option: &SqlOption| match option {
        SqlOption::KeyValue { key, value } => {
            let at = place(key.span.start);
            let text = literal_expr(value).ok_or_else(|| {
                let message = format!("option '{key}': found {value}, expected a quoted text, a number or a word");
                statement.finding("S006", at, message, "put the value in single quotes")
            })?;
            Ok((key.value.clone(), text, Some(at)))
        }
        other => Err(statement.finding(
            "S004",
            statement.start(),
            format!("found the option {other}"),
            "write name = 'value'",
        )),
    };
    options.iter().map(read).collect()
}

/// Refuses a plain view and the clauses of a view that mean nothing here.
pub(crate) fn refuse_view_clauses(statement: &Statement, view: &CreateView) -> Result<(), Diagnostic> {
    if !view.materialized {
        let help = "write CREATE MATERIALIZED VIEW, or put the query into WITH name AS (...) of the job that reads it";
        return Err(statement.finding("S002", statement.start(), "found a plain view, which nothing would run", help));
    }
    let unused = [
        (view.or_replace, "REPLACE", "OR REPLACE"),
        (view.or_alter, "ALTER", "OR ALTER"),
        (view.if_not_exists, "IF", "IF NOT EXISTS"),
        (view.temporary, "TEMPORARY", "TEMPORARY"),
        (view.secure, "SECURE", "SECURE"),
        (!view.columns.is_empty(), "VIEW", "a column list"),
        (!view.cluster_by.is_empty(), "CLUSTER", "CLUSTER BY"),
        (view.comment.is_some(), "COMMENT", "COMMENT"),
        (view.with_no_schema_binding, "BINDING", "WITH NO SCHEMA BINDING"),
        (view.copy_grants, "COPY", "COPY GRANTS"),
        (view.to.is_some(), "TO", "TO"),
        (view.params.is_some(), "CREATE", "view parameters"),
    ];
    refuse_first(statement, &unused)
}

/// Refuses the clauses of an INSERT that mean nothing here.
pub(crate) fn refuse_insert_clauses(statement: &Statement, insert: &Insert) -> Result<(), Diagnostic> {
    let unused = [
        (!insert.columns.is_empty() || !insert.after_columns.is_empty(), "INTO", "a column list"),
        (insert.overwrite, "OVERWRITE", "OVERWRITE"),
        (insert.or.is_some() || insert.ignore || insert.replace_into, "INSERT", "INSERT OR, IGNORE or REPLACE"),
        (insert.on.is_some(), "ON", "ON CONFLICT"),
        (insert.returning.is_some() || insert.output.is_some(), "RETURNING", "RETURNING"),
        (insert.partitioned.is_some(), "PARTITION", "PARTITION"),
        (insert.settings.is_some(), "SETTINGS", "SETTINGS"),
        (insert.format_clause.is_some(), "FORMAT", "FORMAT"),
        (insert.table_alias.is_some() || insert.insert_alias.is_some(), "AS", "an alias of the sink"),
        (!insert.assignments.is_empty(), "SET", "SET"),
        (!insert.optimizer_hints.is_empty(), "INSERT", "an optimizer hint"),
        (insert.priority.is_some() || insert.multi_table_insert_type.is_some(), "INSERT", "an INSERT modifier"),
    ];
    refuse_first(statement, &unused)
}

fn refuse_first(statement: &Statement, unused: &[(bool, &str, &str)]) -> Result<(), Diagnostic> {
    match unused.iter().find(|(found, _, _)| *found) {
        None => Ok(()),
        Some((_, word, clause)) => {
            let message = format!("found {clause}, which has no effect here");
            Err(statement.finding("S003", statement.locate(word), message, "remove it"))
        }
    }
}
