//! Streams and reference tables: the declarations of the schemas folder, checked together.

use crate::ddl::{flink, stream, table};
use crate::text::{SqlFile, Statement};
use citystream_model::catalog::Connectors;
use citystream_model::stream::Stream;
use citystream_model::table::Table;
use citystream_model::{Diagnostic, Error};
use datafusion::sql::parser::Statement as Parsed;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a job's SQL may name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Streams by name.
    pub streams: BTreeMap<String, Arc<Stream>>,
    /// Reference tables by name.
    pub tables: BTreeMap<String, Table>,
    /// Where each of them is declared.
    declared: BTreeMap<String, Declared>,
}

/// The declaration of a stream or a table.
#[derive(Debug, Clone)]
struct Declared {
    statement: Statement,
    /// The folder of its file.
    folder: PathBuf,
}

/// A stream or a table.
enum Entry {
    Stream(Stream),
    Table(Table),
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

    /// Refuses what is not declared where a reader looks for it: `<name>/stream.sql`, `<name>/table.sql`.
    ///
    /// # Errors
    /// A finding for each name that is not that of its folder, and for each declaration in the other file.
    pub fn in_their_folders(&self) -> Result<(), Vec<Diagnostic>> {
        let mut findings = Vec::new();
        for (name, Declared { statement, folder }) in &self.declared {
            let (kind, other) = if self.streams.contains_key(name) { ("stream", "table") } else { ("table", "stream") };
            if statement.file.ends_with(&format!("{other}.sql")) {
                let message = format!("found the declaration of a {kind}, expected a {other} in {other}.sql");
                let help = format!("rename the file to {kind}.sql");
                findings.push(statement.finding("S002", statement.start(), message, help));
            }
            let folder = folder.file_name().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
            if folder != *name {
                let message =
                    format!("the {kind} '{name}' is declared in the folder '{folder}', expected its own name");
                let help = format!("move it to {name}/{kind}.sql, or name it {folder}");
                findings.push(statement.finding("S012", statement.locate(name), message, help));
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// The finding about a table whose file cannot be read or does not hold what is declared.
    pub fn unreadable(&self, table: &str, error: &Error) -> Diagnostic {
        let (message, help) = match error.message().split_once("; ") {
            Some((message, help)) => (message, help),
            None => (error.message(), "check LOCATION and the declared columns"),
        };
        // The context, such as the file, stands behind an error's message.
        let text = error.to_string();
        let message = format!("{message}{}", text.strip_prefix(error.message()).unwrap_or_default());
        let Some(Declared { statement, .. }) = self.declared.get(table) else {
            return Diagnostic::new("S022", (1, 1), message, help);
        };
        let column = message.split_once("column '").and_then(|(_, rest)| rest.split('\'').next());
        let at = column.and_then(|column| statement.find(column)).unwrap_or_else(|| statement.locate("location"));
        statement.finding("S022", at, message, help)
    }

    fn add(&mut self, file: &SqlFile, connectors: &dyn Connectors) -> Result<(), Vec<Diagnostic>> {
        let mut findings = Vec::new();
        for written in file.statements().map_err(|finding| vec![finding])? {
            let (statement, mut found) = match flink::in_our_spelling(&written) {
                None => (written, Vec::new()),
                Some(Ok(rewritten)) => (rewritten.statement, rewritten.findings),
                Some(Err(found)) => {
                    findings.extend(found);
                    continue;
                }
            };
            let added = read(&statement, file, connectors).and_then(|entry| {
                if found.is_empty() {
                    self.insert(&statement, file, entry).map_err(|finding| vec![finding])
                } else {
                    Ok(())
                }
            });
            found.extend(added.err().unwrap_or_default());
            found.sort_by_key(|finding| (finding.line, finding.column));
            findings.extend(found);
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Takes a stream or a table in, unless its names are taken.
    fn insert(&mut self, statement: &Statement, file: &SqlFile, entry: Entry) -> Result<(), Diagnostic> {
        let (name, stream) = match &entry {
            Entry::Stream(stream) => (stream.name.clone(), Some(stream)),
            Entry::Table(table) => (table.name.clone(), None),
        };
        let at = statement.locate(&name);
        if let Some(other) = self.declared.get(&name) {
            let there = &other.statement.file;
            let message = if *there == statement.file {
                format!("'{name}' is declared twice")
            } else {
                format!("'{name}' is declared in {there} already")
            };
            return Err(statement.finding("S011", at, message, "rename one of them"));
        }
        if let Some(message) = self.rejects_clash(&name, stream) {
            let help = "give each stream its own folder: 'rejects' '<stream>_rejected'";
            return Err(statement.finding("S011", at, message, help));
        }
        self.declared.insert(name.clone(), Declared { statement: statement.clone(), folder: file.folder.clone() });
        match entry {
            Entry::Stream(stream) => drop(self.streams.insert(name, Arc::new(stream))),
            Entry::Table(table) => drop(self.tables.insert(name, table)),
        }
        Ok(())
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

/// Reads one declaration in our spelling.
fn read(statement: &Statement, file: &SqlFile, connectors: &dyn Connectors) -> Result<Entry, Vec<Diagnostic>> {
    let create = match statement.parse() {
        Err(finding) => return Err(vec![finding]),
        Ok(Parsed::CreateExternalTable(create)) => create,
        Ok(_) => {
            let help = "CREATE UNBOUNDED EXTERNAL TABLE ... STORED AS KAFKA declares a stream, CREATE EXTERNAL TABLE ... STORED AS CSV or PARQUET a table; Flink's CREATE TABLE ... WITH ('connector' = 'kafka', ...) is read too";
            let message = format!("found {}, expected the declaration of a stream or a table", statement.head());
            return Err(vec![statement.finding("S002", statement.start(), message, help)]);
        }
    };
    match create.unbounded {
        true if create.file_type.eq_ignore_ascii_case("kafka") => {
            stream::read(statement, &create, connectors).map(Entry::Stream)
        }
        true => {
            let message = format!("found UNBOUNDED with STORED AS {}, expected STORED AS KAFKA", create.file_type);
            let at = statement.locate(&create.file_type);
            Err(vec![statement.finding("S006", at, message, "leave out UNBOUNDED for a reference table")])
        }
        false => table::read(statement, &create, &file.folder).map(Entry::Table),
    }
}
