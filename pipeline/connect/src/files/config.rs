//! What a Parquet table is opened with, and which targets a sink may have.

use super::log::TableLog;
use crate::kafka::check_topic;
use arrow::datatypes::SchemaRef;
use citystream_model::job::{PartitionBy, SinkRef};
use citystream_model::nearest::nearest;
use citystream_model::{Error, Result};
use object_store::ObjectStore;
use object_store::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Schemes of the sinks that a target can be checked for.
const SCHEMES: [&str; 3] = ["parquet", "delta", "kafka"];

/// Everything that a [`super::ParquetSink`] needs.
#[derive(Debug, Clone)]
pub struct ParquetConfig {
    /// Where files go.
    pub store: Arc<dyn ObjectStore>,
    /// The table's folder in the store.
    pub prefix: Path,
    /// The table's folder for people, such as `/data/congestion`.
    pub display: String,
    /// Columns of the table, in order.
    pub schema: SchemaRef,
    /// Folders below the table's folder.
    pub partition_by: PartitionBy,
    /// Size in bytes at which a file is published.
    pub file_target: u64,
    /// Longest time from a row's arrival to its publication.
    pub freshness: Duration,
    /// How files are called, and when they become visible.
    pub naming: Naming,
    /// Where the store's I/O runs.
    pub handle: Handle,
    /// Name of the sink, such as `parquet:congestion`.
    pub name: String,
    /// The table's log, where one decides which files count.
    pub log: Option<Arc<dyn TableLog>>,
}

/// How the files of a table are called, and when they become visible. The texts are letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// `part-<run>-<number>.parquet`, visible once written. The run's text is unique among all that write to the table.
    Run(String),
    /// `part-<identity>-<epoch>-<number>.parquet`, visible once the epoch is decided; with `-<writer>` where a log says so.
    Epochs {
        /// The job's, drawn with its checkpoint folder.
        identity: String,
        /// Of this process.
        writer: String,
        /// The epoch of the next rows.
        next: u64,
    },
}

/// Checks the target of a sink: a table's relative path (or a URL below one of `allowed_prefixes`), a topic's name.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] with what was found and expected.
pub fn check_target(sink: &SinkRef, allowed_prefixes: &[String]) -> Result<()> {
    match sink.scheme.as_str() {
        "kafka" => check_topic(&sink.target).map_err(|error| error.with("sink", sink)),
        "parquet" | "delta" if sink.target.contains("://") => check_url(sink, allowed_prefixes),
        "parquet" | "delta" => check_table(&sink.target).map_err(|error| error.with("sink", sink)),
        other => {
            let hint = nearest(other, SCHEMES).map_or(String::new(), |near| format!("; did you mean '{near}:'?"));
            Err(Error::job(format!("sink '{sink}': found scheme '{other}', expected {}{hint}", SCHEMES.join(", "))))
        }
    }
}

/// Checks the name of a table: a relative path of plain parts, none of which is hidden.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] with what was found and expected.
pub fn check_table(name: &str) -> Result<()> {
    let wrong = |found: &str| {
        Err(Error::job(format!(
            "table '{name}': {found}, expected a relative path such as 'congestion' or 'traffic/congestion'"
        )))
    };
    if name.is_empty() {
        return wrong("found no name");
    }
    for part in name.split('/') {
        let unfit = |c: char| c.is_control() || "\\#%*?\"<>|{}[]^`~".contains(c);
        match part {
            "" => return wrong("found a '/' at its start or end, or two of them"),
            ".." | "." => return wrong(&format!("found '{part}'")),
            _ if part.starts_with('_') || part.starts_with('.') => {
                return wrong(&format!("found part '{part}', which would be hidden from readers"));
            }
            _ if part.contains('=') => {
                return wrong(&format!("found part '{part}', which readers take for a folder column"));
            }
            _ if part.ends_with(".parquet") => return wrong(&format!("found part '{part}', which looks like a file")),
            _ if part.contains(unfit) => {
                return wrong(&format!("found part '{part}' with a character that is not plain"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_url(sink: &SinkRef, allowed_prefixes: &[String]) -> Result<()> {
    let target = sink.target.as_str();
    let below = |prefix: &String| {
        let prefix = prefix.trim_end_matches('/');
        target.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if target.split('/').any(|part| part == ".." || part == ".") || target.contains("%2") {
        return Err(Error::job(format!(
            "sink '{sink}': found '..', '.' or an escaped character, expected a plain URL"
        )));
    }
    if allowed_prefixes.iter().any(below) {
        return Ok(());
    }
    Err(Error::job(format!(
        "sink '{sink}': found a URL that is not allowed; name a table below the data folder, \
         or have the operator allow its prefix"
    )))
}
