//! Streams and reference tables: the declarations of the schemas folder, checked together.

use crate::ddl::{stream, table};
use crate::text::SqlFile;
use citystream_model::Diagnostic;
use citystream_model::catalog::Connectors;
use citystream_model::stream::Stream;
use citystream_model::table::Table;
use datafusion::sql::parser::Statement as Parsed;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a job's SQL may name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Streams by name.
    pub streams: BTreeMap<String, Arc<Stream>>,
    /// Reference tables by name.
    pub tables: BTreeMap<String, Table>,
}

// === impl Catalog ===

impl Catalog {
    /// Reads declarations and reports everything that is wrong with them.
    ///
    /// # Errors
    /// All findings, in the order of the files.
    pub fn read(files: &[SqlFile], connectors: &dyn Connectors) -> Result<Self, Vec<Diagnostic>> {
        let (mut catalog, mut findings) = (Self::default(), Vec::new());
        for file in files {
            if let Err(found) = catalog.add(file, connectors) {
                findings.extend(found);
            }
        }
        if findings.is_empty() { Ok(catalog) } else { Err(findings) }
    }

    fn add(&mut self, file: &SqlFile, connectors: &dyn Connectors) -> Result<(), Vec<Diagnostic>> {
        let mut findings = Vec::new();
        for statement in file.statements().map_err(|finding| vec![finding])? {
            let added = match statement.parse() {
                Err(finding) => Err(vec![finding]),
                Ok(Parsed::CreateExternalTable(create))
                    if create.unbounded && create.file_type.eq_ignore_ascii_case("kafka") =>
                {
                    stream::read(&statement, &create, connectors)
                        .map(|stream| (stream.name.clone(), Some(stream), None))
                }
                Ok(Parsed::CreateExternalTable(create)) if !create.unbounded => {
                    table::read(&statement, &create, &file.folder).map(|table| (table.name.clone(), None, Some(table)))
                }
                Ok(Parsed::CreateExternalTable(create)) => {
                    let message =
                        format!("found UNBOUNDED with STORED AS {}, expected STORED AS KAFKA", create.file_type);
                    Err(vec![statement.finding(
                        "S006",
                        statement.locate(&create.file_type),
                        message,
                        "leave out UNBOUNDED for a reference table",
                    )])
                }
                Ok(_) => {
                    let help = "CREATE UNBOUNDED EXTERNAL TABLE ... STORED AS KAFKA declares a stream, CREATE EXTERNAL TABLE ... STORED AS CSV or PARQUET a table";
                    Err(vec![statement.finding(
                        "S002",
                        statement.start(),
                        format!("found {}, expected the declaration of a stream or a table", statement.head()),
                        help,
                    )])
                }
            };
            match added {
                Ok((name, _, _)) if self.streams.contains_key(&name) || self.tables.contains_key(&name) => {
                    findings.push(statement.finding(
                        "S011",
                        statement.locate(&name),
                        format!("'{name}' is declared twice"),
                        "rename one of them",
                    ));
                }
                Ok((name, stream, _)) if self.rejects_clash(&name, stream.as_ref()).is_some() => {
                    let message = self.rejects_clash(&name, stream.as_ref()).unwrap_or_default();
                    findings.push(statement.finding(
                        "S011",
                        statement.locate(&name),
                        message,
                        "give each stream its own folder: 'rejects' '<stream>_rejected'",
                    ));
                }
                Ok((name, stream, table)) => {
                    self.streams.extend(stream.map(|stream| (name.clone(), Arc::new(stream))));
                    self.tables.extend(table.map(|table| (name, table)));
                }
                Err(found) => findings.extend(found),
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Says how the rejects table of a stream, or a new name, is in the way of another.
    fn rejects_clash(&self, name: &str, stream: Option<&Stream>) -> Option<String> {
        if let Some(owner) = self.streams.values().find(|owner| owner.rejects == name) {
            return Some(format!("'{name}' is the rejects table of the stream '{}'", owner.name));
        }
        let rejects = &stream?.rejects;
        if let Some(owner) = self.streams.values().find(|owner| owner.rejects == *rejects) {
            return Some(format!("the rejects table '{rejects}' belongs to the stream '{}' already", owner.name));
        }
        let is_taken = rejects == name || self.streams.contains_key(rejects) || self.tables.contains_key(rejects);
        is_taken.then(|| format!("the rejects table '{rejects}' has the name of a stream or a table"))
    }
}
