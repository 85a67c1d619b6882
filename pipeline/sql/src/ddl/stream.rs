//! `CREATE UNBOUNDED EXTERNAL TABLE ... STORED AS KAFKA`: a stream and what its producer promises.

use crate::ddl::types::{self, Declared};
use crate::ddl::{external_options, plain_name, refuse_clauses};
use crate::options::{Options, one_of, some_duration};
use crate::text::Statement;
use citystream_model::catalog::Connectors;
use citystream_model::duration::parse_duration;
use citystream_model::job::SinkRef;
use citystream_model::nearest::nearest;
use citystream_model::stream::{Column, Fold, Format, Path, Stream, TIMESTAMP, TimeFormat, timestamp_type};
use citystream_model::{Diagnostic, Error};
use datafusion::sql::parser::CreateExternalTable;
use std::collections::BTreeMap;
use std::time::Duration;

/// Checks a stream declaration and reports everything that is wrong with it.
pub(crate) fn read(
    statement: &Statement,
    table: &CreateExternalTable,
    connectors: &dyn Connectors,
) -> Result<Stream, Vec<Diagnostic>> {
    refuse_clauses(statement, table).map_err(|finding| vec![finding])?;
    let (name, _) = plain_name(statement, &table.name, "stream").map_err(|finding| vec![finding])?;
    let declared = types::columns(statement, &table.columns)?;
    let pairs = external_options(statement, table).map_err(|finding| vec![finding])?;
    let mut options = Options::new(statement, pairs);
    if declared.is_empty() {
        options.report(
            "S020",
            statement.locate(&name),
            "a stream declares its columns, found none",
            "list them: (name TYPE, ...)",
        );
    }
    let topic = table.locations.first().cloned().unwrap_or_default();
    if let Err(error) = connectors.check_sink(&SinkRef { scheme: "kafka".into(), target: topic.clone() }) {
        let at =
            statement.find_after(&topic, statement.locate("location")).unwrap_or_else(|| statement.locate("location"));
        options.report("S006", at, format!("LOCATION: {}", error.message()), "name the Kafka topic");
    }
    for column in declared.iter().filter(|column| matches!(column.name.as_str(), "window_start" | "window_end")) {
        let message = format!("column '{}' has the name of a window's bound", column.name);
        options.report(
            "S012",
            statement.locate(&column.name),
            message,
            "rename it and say where it stands: 'path.<column>' '/window_start'",
        );
    }
    let stream = Stream {
        topic,
        columns: columns(&mut options, declared),
        format: options.parsed("format", Format::Json, format),
        time_column: String::new(),
        time_format: options.parsed("time.format", TimeFormat::Rfc3339, time_format),
        time_zone: options.parsed("time.zone", None, |text| zone(text).map(Some)),
        time_fold: options.parsed("time.fold", Fold::Earlier, |text| {
            one_of(text, &[("earlier", Fold::Earlier), ("later", Fold::Later)])
        }),
        out_of_order: options.parsed("time.out_of_order", Duration::from_secs(10), parse_duration),
        max_future: options.parsed("time.max_future", Duration::from_secs(300), parse_duration),
        idle: options.parsed("time.idle", Duration::from_secs(60), some_duration),
        key: None,
        rejects: rejects(&mut options, &name, connectors),
        history: options.text("history"),
        kafka: kafka_options(&mut options, connectors),
        name,
    };
    let stream = finish(statement, stream, &mut options);
    let findings = options.finish();
    if findings.is_empty() { Ok(stream) } else { Err(findings) }
}

/// Reads the options that refer to columns or folders.
fn finish(statement: &Statement, mut stream: Stream, options: &mut Options<'_>) -> Stream {
    match options.take("time.column") {
        None => {
            let help = "add 'time.column' '<a TIMESTAMP column>' or 'time.column' '_timestamp' (the Kafka record time)";
            options.report("S007", statement.locate(&stream.name), "option 'time.column' is missing", help);
        }
        Some((name, at)) => {
            match stream.column(&name) {
                _ if name == TIMESTAMP => {}
                Some(column) if column.data_type == timestamp_type() => {}
                Some(column) => {
                    let message = format!(
                        "time.column '{name}' is of type {}, expected TIMESTAMP",
                        types::sql_name(&column.data_type)
                    );
                    options.report(
                        "S006",
                        at,
                        message,
                        "declare it as TIMESTAMP and say how it is written with 'time.format'",
                    );
                }
                None => unknown_column(options, &stream.columns, "time.column", &name, at),
            }
            // The event time is never null, whatever the declaration says: a record without it is rejected.
            for column in stream.columns.iter_mut().filter(|column| column.name == name) {
                column.nullable = false;
            }
            stream.time_column = name;
        }
    }
    if let Some((name, at)) = options.take("key") {
        if stream.column(&name).is_none() {
            unknown_column(options, &stream.columns, "key", &name, at);
        }
        stream.key = Some(name);
    }
    stream
}

/// The folder of the rejects table.
fn rejects(options: &mut Options<'_>, stream: &str, connectors: &dyn Connectors) -> String {
    let Some((target, at)) = options.take("rejects") else { return format!("{stream}_rejected") };
    if let Err(error) = connectors.check_sink(&SinkRef { scheme: "parquet".into(), target: target.clone() }) {
        let help = "name a folder below the data folder, such as '<stream>_rejected'";
        options.report("S006", at, format!("option rejects: {}", error.message()), help);
    }
    target
}

fn unknown_column(options: &mut Options<'_>, columns: &[Column], option: &str, name: &str, at: (u64, u64)) {
    let names = columns.iter().map(|column| column.name.as_str());
    let help = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("declared columns: {}", names.collect::<Vec<_>>().join(", ")),
    };
    options.report("S010", at, format!("{option} '{name}' is not a declared column"), help);
}

/// Joins declared columns with their `path.<column>` options.
fn columns(options: &mut Options<'_>, declared: Vec<Declared>) -> Vec<Column> {
    let mut columns: Vec<Column> = declared
        .into_iter()
        .map(|column| Column {
            path: Path::Body(vec![column.name.clone()]),
            name: column.name,
            data_type: column.data_type,
            nullable: column.nullable,
        })
        .collect();
    for (name, value, at) in options.prefixed("path.") {
        let lower = name.to_lowercase();
        let is_declared = columns.iter().any(|column| column.name == name);
        let wanted = if is_declared { &name } else { &lower };
        match (columns.iter_mut().find(|column| column.name == *wanted), path(&value)) {
            (Some(column), Ok(path)) => column.path = path,
            (None, _) => unknown_column(options, &columns, "option path:", &name, at),
            (_, Err(error)) => options.report(
                "S006",
                at,
                format!("option path.{name}: {error}"),
                "write '/payload/speed', '_key' or '_headers/<name>'",
            ),
        }
    }
    columns
}

/// Reads a JSON pointer (RFC 6901), `_key` or `_headers/<name>`.
fn path(text: &str) -> Result<Path, Error> {
    let wrong = || {
        Error::job(format!(
            "found '{text}', expected a JSON pointer such as '/payload/speed', '_key' or '_headers/<name>'"
        ))
    };
    if text == "_key" {
        return Ok(Path::Key);
    }
    if let Some(name) = text.strip_prefix("_headers/") {
        return if name.is_empty() { Err(wrong()) } else { Ok(Path::Header(name.to_owned())) };
    }
    let parts = text.strip_prefix('/').ok_or_else(wrong)?;
    Ok(Path::Body(parts.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect()))
}

fn format(text: &str) -> Result<Format, Error> {
    one_of(text, &[("json", Format::Json)])
        .map_err(|error| Error::job(format!("{}; write 'json': a record is one JSON object", error.message())))
}

fn time_format(text: &str) -> Result<TimeFormat, Error> {
    one_of(
        text,
        &[
            ("rfc3339", TimeFormat::Rfc3339),
            ("epoch_s", TimeFormat::EpochSeconds),
            ("epoch_ms", TimeFormat::EpochMillis),
            ("epoch_us", TimeFormat::EpochMicros),
        ],
    )
}

/// An IANA zone by its name.
pub(crate) fn zone(text: &str) -> Result<chrono_tz::Tz, Error> {
    text.parse().map_err(|_| {
        let near = nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
        Error::job(format!("found '{text}', expected an IANA zone such as 'Europe/Amsterdam'{hint}"))
    })
}

fn kafka_options(options: &mut Options<'_>, connectors: &dyn Connectors) -> BTreeMap<String, String> {
    let mut kafka = BTreeMap::new();
    for (name, value, at) in options.prefixed("kafka.") {
        if let Err(error) = connectors.check_kafka_option(&name, &value) {
            options.report(
                "S006",
                at,
                format!("option kafka.{name}: {error}"),
                "see librdkafka's CONFIGURATION.md for names and values, and write secrets as '${ENV_NAME}'",
            );
        }
        kafka.insert(name, value);
    }
    kafka
}
