//! The small world of the tests: two streams, two tables, and connectors that check like the real ones.

use arrow::datatypes::Schema;
use citystream_model::catalog::Connectors;
use citystream_model::job::{PartitionBy, SinkRef};
use citystream_model::{Diagnostic, Error, Result};
use citystream_sql::{Catalog, CheckedJob, SqlFile, Tables, compile};
use std::path::{Path, PathBuf};

/// Connectors of the tests.
pub(crate) struct TestConnectors;

impl Connectors for TestConnectors {
    fn sink_schemes(&self) -> Vec<&'static str> {
        vec!["parquet", "delta", "kafka"]
    }

    fn check_sink(&self, sink: &SinkRef) -> Result<()> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let target = &sink.target;
        let legal = match sink.scheme.as_str() {
            "kafka" => target.chars().all(is_word),
            _ => target.split('/').all(|part| part != ".." && !part.is_empty() && part.chars().all(is_word)),
        };
        let expected = if sink.scheme == "kafka" { "a topic name" } else { "a relative path without '..'" };
        if legal && !target.is_empty() {
            Ok(())
        } else {
            Err(Error::job(format!("found '{target}', expected {expected}")))
        }
    }

    fn check_columns(&self, _: &SinkRef, _: &Schema, _: &PartitionBy) -> Result<()> {
        Ok(())
    }

    fn check_kafka_option(&self, name: &str, value: &str) -> Result<()> {
        match name {
            "sasl.password" if !value.starts_with("${") => {
                Err(Error::job("found a secret in clear text, expected '${ENV_NAME}'"))
            }
            "sasl.password" | "security.protocol" | "fetch.min.bytes" => Ok(()),
            _ => Err(Error::job(format!("the client knows no option '{name}'"))),
        }
    }
}

/// The folder of the test data.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A text as a file of SQL.
pub(crate) fn sql_file(name: &str, text: &str) -> SqlFile {
    SqlFile { name: name.to_owned(), folder: PathBuf::from("/schemas"), text: text.to_owned() }
}

/// Streams and tables of `tests/schemas.sql`.
pub(crate) fn catalog() -> Catalog {
    let text = std::fs::read_to_string(folder("schemas.sql")).unwrap();
    Catalog::read(&[sql_file("schemas.sql", &text)], &TestConnectors).unwrap()
}

/// The tables of `catalog`, without rows.
pub(crate) fn empty_tables(catalog: &Catalog) -> Tables {
    let declared =
        catalog.tables.values().filter_map(|table| Some((table.name.clone(), (table.schema.clone()?, Vec::new()))));
    declared.collect()
}

/// Checks a job file against the world of the tests.
pub(crate) fn check_jobs(name: &str, text: &str) -> Result<Vec<CheckedJob>, Vec<Diagnostic>> {
    let catalog = catalog();
    compile(&[sql_file(name, text)], &catalog, &empty_tables(&catalog), &TestConnectors)
}

/// True when the expectations are to be rewritten.
pub(crate) fn is_update() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// The files with `extension` in a folder of the test data, in order.
pub(crate) fn files(name: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}
