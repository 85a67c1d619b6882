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
    refuse_own_topic(statement, spec, streams)?;
    claim_folders(statement, spec, &late, catalog, names)
}

/// A job that wrote to a topic it reads would never come to an end.
fn refuse_own_topic(statement: &Statement, spec: &JobSpec, streams: &[Arc<Stream>]) -> Result<(), Diagnostic> {
    let reads = |topic: &str| streams.iter().find(|stream| stream.topic == topic);
    for sink in spec.sinks.iter().filter(|sink| sink.scheme == "kafka") {
        if let Some(stream) = reads(&sink.target) {
            let at = statement.find("sink").unwrap_or_else(|| statement.locate(&spec.name));
            let message =
                format!("the sink '{sink}' is the topic of the stream '{}', which the job reads", stream.name);
            return Err(statement.finding("S011", at, message, "write to a topic of its own"));
        }
    }
    Ok(())
}

/// True when one folder is the other, or lies in it.
fn overlap(left: &str, right: &str) -> bool {
    let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    left == right || within(left, right) || within(right, left)
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
        if let Some(stream) = catalog.streams.values().find(|stream| overlap(&stream.rejects, &sink.target)) {
            let is = if stream.rejects == sink.target { "is" } else { "shares folders with" };
            let message = format!("the sink '{sink}' {is} the rejects table of the stream '{}'", stream.name);
            return Err(statement.finding("S011", at, message, help));
        }
        let nested = |(name, _): &(&String, &String)| {
            name.strip_prefix("folder ").is_some_and(|other| other != sink.target && overlap(other, &sink.target))
        };
        if let Some((name, owner)) = names.iter().find(nested) {
            let other = name.trim_start_matches("folder ");
            let message = format!("the sink '{sink}' shares folders with the table '{other}' of the job '{owner}'");
            return Err(statement.finding("S011", at, message, help));
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
