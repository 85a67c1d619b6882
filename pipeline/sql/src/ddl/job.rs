//! The options of a job, the same for `CREATE MATERIALIZED VIEW ... WITH` and for the sink of an `INSERT INTO`.

use crate::options::{Options, either, one_of, some_duration};
use crate::text::{Place, Statement};
use citystream_model::catalog::Connectors;
use citystream_model::duration::{parse_duration, parse_size};
use citystream_model::job::{Emit, JobSpec, LatePolicy, PartitionBy, SinkRef};
use citystream_model::nearest::nearest;
use citystream_model::{Diagnostic, Error};
use std::time::Duration;

/// Longest time from a final row to its publication, without a word of the job.
const FRESHNESS: Duration = Duration::from_secs(10);

/// Reads a job's options. `target` is the sink of an `INSERT INTO` job, which its declaration has named.
pub(crate) fn read(
    statement: &Statement,
    name: String,
    pairs: Vec<(String, String, Option<Place>)>,
    target: Option<SinkRef>,
    connectors: &dyn Connectors,
) -> Result<JobSpec, Vec<Diagnostic>> {
    let mut options = Options::new(statement, pairs);
    refuse_later(&mut options);
    let sinks = match target {
        Some(sink) => vec![sink],
        None => sinks(&mut options, &name, connectors),
    };
    let emit = options.parsed("emit", Emit::Final, emit);
    let freshness = match emit {
        Emit::Early(every) => every.min(FRESHNESS),
        Emit::Final | Emit::Updates => FRESHNESS,
    };
    let spec = JobSpec {
        emit,
        lateness: options.parsed("lateness", Duration::ZERO, parse_duration),
        late: options.parsed("late", LatePolicy::Table, |text| {
            one_of(text, &[("table", LatePolicy::Table), ("drop", LatePolicy::Drop)])
        }),
        key: options.text("key").map(|text| names(&text)).unwrap_or_default(),
        partition_by: options.parsed("partition_by", None, |text| partition_by(text).map(Some)),
        file_target: options.parsed("file_target", 128 << 20, file_target),
        freshness: options.parsed("freshness", freshness, some_duration),
        memory_limit: options.parsed("memory_limit", None, |text| memory_limit(text).map(Some)),
        sinks,
        name,
    };
    let findings = options.finish();
    if findings.is_empty() { Ok(spec) } else { Err(findings) }
}

fn emit(text: &str) -> Result<Emit, Error> {
    let words = text.trim().to_lowercase();
    match (words.as_str(), words.strip_prefix("early every")) {
        ("final", _) => Ok(Emit::Final),
        ("updates", _) => Ok(Emit::Updates),
        (_, Some(every)) => some_duration(every.trim()).map(Emit::Early),
        _ => Err(Error::job(format!("found '{text}', expected 'final', 'updates' or 'early every 10 seconds'"))),
    }
}

/// Options that exist in the design and not yet in the engine: refused by name rather than as unknown.
fn refuse_later(options: &mut Options<'_>) {
    for name in ["alert", "alert_key", "severity", "clear_after"] {
        if let Some((_, at)) = options.take(name) {
            let help =
                "an alert job writes one message per row: SELECT the condition, sink = 'kafka:<topic>, parquet:<name>'";
            options.report(
                "S104",
                at,
                format!("option {name} is not taken yet: alerts have no life (open, update, clear) here"),
                help,
            );
        }
    }
}

fn sinks(options: &mut Options<'_>, job: &str, connectors: &dyn Connectors) -> Vec<SinkRef> {
    let default = || vec![SinkRef { scheme: "parquet".into(), target: job.to_owned() }];
    let Some((text, at)) = options.take("sink") else { return default() };
    let mut sinks: Vec<SinkRef> = Vec::new();
    for part in text.split(',').map(str::trim) {
        match sink(part, connectors) {
            Ok(sink) if sinks.contains(&sink) => {
                options.report("S005", at, format!("sink '{part}' is given twice"), "keep one of the two")
            }
            Ok(sink) => sinks.push(sink),
            Err((error, help)) => options.report("S006", at, format!("option sink: {error}"), help),
        }
    }
    if sinks.is_empty() { default() } else { sinks }
}

fn sink(text: &str, connectors: &dyn Connectors) -> Result<SinkRef, (Error, String)> {
    let schemes = connectors.sink_schemes();
    let known = || either(schemes.iter().map(|scheme| format!("'{scheme}:<name>'")));
    let Some((scheme, target)) = text.split_once(':') else {
        return Err((Error::job(format!("found '{text}', expected <scheme>:<name>")), format!("write {}", known())));
    };
    if !schemes.contains(&scheme) {
        let help = match nearest(scheme, schemes.iter().copied()) {
            Some(near) => format!("did you mean '{near}:{target}'?"),
            None => format!("write {}", known()),
        };
        return Err((
            Error::job(format!(
                "unknown sink '{scheme}:', expected {}",
                either(schemes.iter().map(ToString::to_string))
            )),
            help,
        ));
    }
    let sink = SinkRef { scheme: scheme.to_owned(), target: target.trim().to_owned() };
    connectors.check_sink(&sink).map_err(|error| (error, format!("write {}", known())))?;
    Ok(sink)
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).collect()
}

fn partition_by(text: &str) -> Result<PartitionBy, Error> {
    Ok(match text.trim().to_lowercase().as_str() {
        "none" => PartitionBy::None,
        "hour" => PartitionBy::Hour,
        "day" => PartitionBy::Day,
        "month" => PartitionBy::Month,
        "" => return Err(Error::job("found '', expected 'none', 'hour', 'day', 'month' or columns")),
        _ => PartitionBy::Columns(names(text)),
    })
}

fn memory_limit(text: &str) -> Result<u64, Error> {
    let bytes = parse_size(text)?;
    if bytes >= 1 << 20 { Ok(bytes) } else { Err(Error::job(format!("found '{text}', expected at least '1 MiB'"))) }
}

fn file_target(text: &str) -> Result<u64, Error> {
    let bytes = parse_size(text)?;
    if (1 << 10..=4 << 30).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(Error::job(format!("found '{text}', expected '1 KiB' to '4 GiB'")))
    }
}
