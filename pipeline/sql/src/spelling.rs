//! What was written in another system's spelling, and how it is read: nothing is taken for something else unsaid.

use crate::ddl::flink;
use crate::ddl::show::stream_ddl;
use crate::ddl::stream;
use crate::text::{Place, SqlFile, Statement};
use citystream_model::catalog::Connectors;
use datafusion::sql::parser::Statement as Parsed;
use std::fmt;

/// A courtesy: something in another spelling, and the same in ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// File that holds it.
    pub file: String,
    /// Line, counted from 1.
    pub line: u64,
    /// Column in characters, counted from 1.
    pub column: u64,
    /// The stream that is declared there; nothing for a window call of a job.
    pub stream: Option<String>,
    /// The same in our spelling.
    pub read_as: String,
}

/// Notes on all that `file` holds in another spelling, in the order of the text. What is wrong has none.
pub fn notes(file: &SqlFile, connectors: &dyn Connectors) -> Vec<Note> {
    let mut notes = Vec::new();
    for statement in file.statements().unwrap_or_default() {
        let note =
            |(line, column): Place, stream, read_as| Note { file: file.name.clone(), line, column, stream, read_as };
        if let Some((name, ddl)) = declaration(&statement, connectors) {
            notes.push(note(statement.start(), Some(name), ddl));
        }
        notes.extend(statement.pasted.iter().map(|call| note(call.at, None, call.read_as.clone())));
    }
    notes
}

/// A stream that was pasted, in our spelling.
fn declaration(statement: &Statement, connectors: &dyn Connectors) -> Option<(String, String)> {
    let rewritten = flink::in_our_spelling(statement)?.ok()?;
    let Ok(Parsed::CreateExternalTable(create)) = rewritten.statement.parse() else { return None };
    let stream = stream::read(&rewritten.statement, &create, connectors).ok()?;
    Some((stream.name.clone(), stream_ddl(&stream)))
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: note: read as {}", self.file, self.line, self.column, self.read_as.trim_end())
    }
}
