//! `CREATE EXTERNAL TABLE ... STORED AS PARQUET | KAFKA` in a job file: the sink of an `INSERT INTO` job.

use crate::ddl::{external_options, plain_name, refuse_clauses, types};
use crate::options::either;
use crate::text::{Place, Statement};
use arrow::datatypes::{Field, Schema, SchemaRef};
use citystream_model::Diagnostic;
use citystream_model::catalog::Connectors;
use citystream_model::job::SinkRef;
use datafusion::sql::parser::CreateExternalTable;
use std::sync::Arc;

/// A declared sink.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) name: String,
    pub(crate) at: Place,
    pub(crate) target: SinkRef,
    /// Declared columns, which the SELECT has to match; `None` takes those of the SELECT.
    pub(crate) schema: Option<SchemaRef>,
    /// Job options as written.
    pub(crate) options: Vec<(String, String, Option<Place>)>,
    pub(crate) statement: Statement,
    /// True when an INSERT has named it.
    pub(crate) used: bool,
}

/// Checks the declaration of a sink.
pub(crate) fn read(
    statement: &Statement,
    table: &CreateExternalTable,
    connectors: &dyn Connectors,
) -> Result<Sink, Vec<Diagnostic>> {
    refuse_clauses(statement, table).map_err(|finding| vec![finding])?;
    let (name, at) = plain_name(statement, &table.name, "sink").map_err(|finding| vec![finding])?;
    let declared = types::columns(statement, &table.columns)?;
    let options = external_options(statement, table).map_err(|finding| vec![finding])?;
    let scheme = table.file_type.to_lowercase();
    if !connectors.sink_schemes().contains(&scheme.as_str()) {
        let message = format!(
            "found STORED AS {}, expected {}",
            table.file_type,
            either(connectors.sink_schemes().iter().map(|scheme| scheme.to_uppercase()))
        );
        return Err(vec![statement.finding(
            "S006",
            statement.locate(&table.file_type),
            message,
            "a reference table belongs in the schemas folder",
        )]);
    }
    let target = SinkRef { scheme, target: table.locations.first().cloned().unwrap_or_default() };
    if let Err(error) = connectors.check_sink(&target) {
        let at = statement.locate(&target.target);
        return Err(vec![statement.finding(
            "S006",
            at,
            format!("LOCATION: {error}"),
            "name a folder below the data folder, or a topic",
        )]);
    }
    let fields: Vec<_> =
        declared.into_iter().map(|column| Field::new(column.name, column.data_type, column.nullable)).collect();
    let schema = (!fields.is_empty()).then(|| Arc::new(Schema::new(fields)));
    Ok(Sink { name, at, target, schema, options, statement: statement.clone(), used: false })
}
