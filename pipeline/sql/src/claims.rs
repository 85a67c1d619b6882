//! Names and folders that a job takes for itself, so that no two writers meet.

use crate::catalog::Catalog;
use crate::text::{Place, Statement};
use citystream_model::Diagnostic;
use citystream_model::job::{JobSpec, LatePolicy};
use citystream_model::stream::Stream;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Jobs, late tables and rejects tables share one name space with each other and with streams and tables; so do the
/// folders below the data folder.
pub(crate) fn claim_names(
    statement: &Statement,
    at: Place,
    spec: &JobSpec,
    streams: &[Arc<Stream>],
    catalog: &Catalog,
    names: &mut BTreeMap<String, String>,
) -> Result<(), Diagnostic> {
    let clash = |what: &str, name: &str, other: &str| {
        let help = "rename the job, or what has that name already";
        statement.finding("S011", at, format!("{what} '{name}' has the name of {other}"), help)
    };
    let is_kept = spec.late == LatePolicy::Table;
    let late: Vec<String> =
        streams.iter().filter(|_| is_kept).map(|stream| spec.late_table(&stream.name, streams.len())).collect();
    for (name, what) in std::iter::once((&spec.name, "the job")).chain(late.iter().map(|name| (name, "the late table")))
    {
        if catalog.streams.contains_key(name) || catalog.tables.contains_key(name) {
            return Err(clash(what, name, "a stream or a table"));
        }
        if let Some(stream) = catalog.streams.values().find(|stream| stream.rejects == *name) {
            return Err(clash(what, name, &format!("the rejects table of the stream '{}'", stream.name)));
        }
        if let Some(owner) = names.insert(name.clone(), spec.name.clone()) {
            let other =
                if owner == *name { "another job".to_owned() } else { format!("the late table of the job '{owner}'") };
            return Err(clash(what, name, &other));
        }
    }
    claim_folders(statement, spec, &late, catalog, names)
}

/// No two writers share a folder below the data folder.
fn claim_folders(
    statement: &Statement,
    spec: &JobSpec,
    late: &[String],
    catalog: &Catalog,
    names: &mut BTreeMap<String, String>,
) -> Result<(), Diagnostic> {
    let help = "give each job its own table";
    let at = statement.find("sink").unwrap_or_else(|| statement.locate(&spec.name));
    for sink in spec.sinks.iter().filter(|sink| sink.is_table()) {
        if let Some(stream) = catalog.streams.values().find(|stream| stream.rejects == sink.target) {
            return Err(statement.finding(
                "S011",
                at,
                format!("the sink '{sink}' is the rejects table of the stream '{}'", stream.name),
                help,
            ));
        }
        if let Some(owner) = names.insert(format!("folder {}", sink.target), spec.name.clone()) {
            return Err(statement.finding(
                "S011",
                at,
                format!("the sink '{sink}' is written by the job '{owner}' already"),
                help,
            ));
        }
    }
    for name in late {
        if let Some(owner) = names.insert(format!("folder {name}"), spec.name.clone()) {
            return Err(statement.finding(
                "S011",
                at,
                format!("the late table '{name}' is a sink of the job '{owner}'"),
                help,
            ));
        }
    }
    Ok(())
}
