//! `CREATE EXTERNAL TABLE ... STORED AS CSV | PARQUET | DELTA` in the schemas folder: a reference table.

use crate::ddl::{external_options, plain_name, refuse_clauses, types};
use crate::options::Options;
use crate::text::Statement;
use arrow::datatypes::{Field, Schema};
use citystream_model::table::{Table, TableFormat};
use citystream_model::{Diagnostic, Error};
use datafusion::sql::parser::CreateExternalTable;
use std::path::Path;
use std::sync::Arc;

/// Checks the declaration of a reference table; `folder` is where a relative location starts.
pub(crate) fn read(
    statement: &Statement,
    table: &CreateExternalTable,
    folder: &Path,
) -> Result<Table, Vec<Diagnostic>> {
    refuse_clauses(statement, table).map_err(|finding| vec![finding])?;
    let (name, _) = plain_name(statement, &table.name, "table").map_err(|finding| vec![finding])?;
    let declared = types::columns(statement, &table.columns)?;
    let pairs = external_options(statement, table).map_err(|finding| vec![finding])?;
    let mut options = Options::new(statement, pairs);
    let format = match table.file_type.to_uppercase().as_str() {
        "CSV" => TableFormat::Csv {
            has_header: options.parsed("format.has_header", true, boolean),
            delimiter: options.parsed("format.delimiter", b',', delimiter),
        },
        "PARQUET" => TableFormat::Parquet,
        "DELTA" => TableFormat::Delta,
        other => {
            let message = format!("found STORED AS {other}, expected CSV, PARQUET or DELTA");
            let help = "a stream is declared as CREATE UNBOUNDED EXTERNAL TABLE ... STORED AS KAFKA";
            // Its options are those of another kind of thing.
            return Err(vec![statement.finding("S006", statement.locate(other), message, help)]);
        }
    };
    if declared.is_empty() && matches!(format, TableFormat::Csv { .. }) {
        options.report(
            "S020",
            statement.locate(&name),
            "a CSV table declares its columns, found none",
            "list them: (name TYPE, ...)",
        );
    }
    let fields: Vec<_> =
        declared.into_iter().map(|column| Field::new(column.name, column.data_type, column.nullable)).collect();
    let schema = (!fields.is_empty()).then(|| Arc::new(Schema::new(fields)));
    let location = locate(table.locations.first().map_or("", String::as_str), folder);
    let findings = options.finish();
    if findings.is_empty() { Ok(Table { name, schema, format, location }) } else { Err(findings) }
}

fn locate(location: &str, folder: &Path) -> String {
    if location.contains("://") { location.to_owned() } else { folder.join(location).to_string_lossy().into_owned() }
}

fn boolean(text: &str) -> Result<bool, Error> {
    crate::options::one_of(text, &[("true", true), ("false", false)])
}

fn delimiter(text: &str) -> Result<u8, Error> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ if text == "\\t" => Ok(b'\t'),
        _ => Err(Error::job(format!("found '{text}', expected one ASCII character"))),
    }
}
