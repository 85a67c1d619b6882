//! A second oracle that shares nothing with DataFusion: SQLite answers the same question over the admitted rows.
//!
//! ```text
//!   SELECT ... FROM hop(s1, at, ...) AS w        (our SQL, as generated)
//!        | sqlparser, then translate/scalar/aggregate/window
//!   SELECT ... FROM (SELECT x.*, ... FROM "s1" AS x JOIN (VALUES ...) ...) AS "w"      (SQLite's)
//!        | rows of both, as multisets, bit for bit
//!   equal?
//! ```
//!
//! It does not know the planner, the batch twin and our functions; it shares the parser of SQL text, and types of results
//! must agree too. What is not compared stands in [`DIFFERENCES`] with the reason, and a case outside is never half
//! compared. Start with [`ask`].

mod accumulators;
mod aggregate;
pub mod coverage;
mod database;
mod differences;
mod exact;
mod functions;
mod kind;
mod lists;
mod scalar;
mod scope;
mod translate;
mod window;
mod zone;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use database::{Database, Failure};
use datafusion::sql::sqlparser::ast::{Query, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
pub use differences::{DIFFERENCES, Difference, Outside};
use kind::Kind;
use scope::Column;
use std::collections::BTreeMap;
use std::sync::Arc;
use translate::Translator;

/// A stream or table with its rows.
#[derive(Debug)]
pub struct Table<'a> {
    /// Name in SQL.
    pub name: &'a str,
    /// Its columns; names that begin with `_` are hidden ones.
    pub schema: SchemaRef,
    /// Its rows.
    pub rows: &'a [RecordBatch],
}

/// What became of a question.
#[derive(Debug)]
pub enum Answer {
    /// The rows of the result.
    Rows(RecordBatch),
    /// The question lies outside of what is compared.
    Outside(Difference),
}

/// Asks SQLite what `select` over `tables` gives; the result has `schema`.
///
/// # Errors
/// What SQLite reports, or that types differ: the translation is wrong, or the engine.
pub fn ask(select: &str, tables: &[Table<'_>], schema: &Arc<Schema>) -> Result<Answer, String> {
    match answer(select, tables, schema) {
        Ok(rows) => Ok(Answer::Rows(rows)),
        Err(Failure::Outside(Outside(difference))) => Ok(Answer::Outside(difference)),
        Err(Failure::Broken(message)) => Err(message),
    }
}

fn answer(select: &str, tables: &[Table<'_>], schema: &Arc<Schema>) -> Result<RecordBatch, Failure> {
    let mut columns = BTreeMap::new();
    for table in tables {
        columns.insert(table.name.to_owned(), columns_of(&table.schema)?);
    }
    let mut translator = Translator::new(&columns);
    let relation = translator.query(&parse(select)?)?;
    let (guards, grids) = (translator.guards, translator.grids);
    same_types(&relation.columns, schema)?;
    let database = Database::open()?;
    for table in tables {
        database.load(table.name, &columns[table.name], table.rows)?;
    }
    for grid in grids {
        database.mark(&grid, tables.iter().flat_map(|table| table.rows))?;
    }
    let broken = |failure, sql: &str| match failure {
        Failure::Broken(message) => Failure::Broken(format!("{message}\n{sql}")),
        outside => outside,
    };
    for (guard, difference) in guards {
        if database.number(&guard).map_err(|failure| broken(failure, &guard))? != 0 {
            return Err(Failure::Outside(Outside(difference)));
        }
    }
    let sql = format!("SELECT * FROM {}", relation.sql);
    database.rows(&sql, schema).map_err(|failure| broken(failure, &sql))
}

fn parse(select: &str) -> Result<Query, Outside> {
    let statements = Parser::parse_sql(&GenericDialect {}, select).map_err(|_| Outside(Difference::Syntax))?;
    match statements.into_iter().next() {
        Some(Statement::Query(query)) => Ok(*query),
        _ => Err(Difference::Syntax.into()),
    }
}

fn columns_of(schema: &Schema) -> Result<Vec<Column>, Outside> {
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let kind = Kind::of(field.data_type())?;
        Ok(Column { name: field.name().clone(), kind, hidden: field.name().starts_with('_') })
    };
    schema.fields().iter().map(column).collect()
}

/// What the translation takes an expression for has to be what the planner takes it for.
fn same_types(columns: &[Column], schema: &Schema) -> Result<(), Failure> {
    if columns.len() != schema.fields().len() {
        return Err(Failure::Broken(format!("{} columns, expected {}", columns.len(), schema.fields().len())));
    }
    for (column, field) in columns.iter().zip(schema.fields()) {
        let kind = Kind::of(field.data_type())?;
        // Sinks carry no unsigned integers.
        let as_written = matches!((column.kind, kind), (Kind::Unsigned, Kind::Int(64)) | (Kind::Null, _));
        if (column.kind, kind) == (Kind::Int(32), Kind::Int(64)) {
            return Err(Outside(Difference::Widths).into());
        }
        if column.name != *field.name() || column.kind != kind && !as_written {
            return Err(Failure::Broken(format!("column {} is {:?}, expected {field:?}", column.name, column.kind)));
        }
    }
    Ok(())
}
