//! The options of `WITH (...)`: those that mean the same here by our names, those that mean nothing refused.

use crate::ddl::flink::{Pair, Parts};
use crate::text::windows::split;
use crate::text::{Statement, place, print};
use citystream_model::Diagnostic;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

/// Flink's names of options that exist here too.
const SAME: [(&str, &str); 5] = [
    ("format", "format"),
    ("value.format", "format"),
    ("key.fields", "key"),
    ("scan.watermark.idle-timeout", "time.idle"),
    ("properties.", "kafka."),
];

/// Options, or beginnings of their names, that have no meaning here: why, and what to do instead.
const REFUSED: [(&str, &str, &str); 13] = [
    (
        "properties.bootstrap.servers",
        "brokers belong to the command",
        "remove it, and give --brokers HOST:PORT to run and produce",
    ),
    ("properties.group.id", "a job reads by itself, without a consumer group of that name", "remove it"),
    (
        "properties.auto.offset.reset",
        "where to begin belongs to the command",
        "remove it, and give --from earliest or --from latest to run",
    ),
    (
        "scan.startup.",
        "where to begin belongs to the command",
        "remove it, and give --from earliest, --from latest or --from 2026-03-29T05:00:00Z to run",
    ),
    ("scan.bounded.", "where to end belongs to the command", "remove it, and give --until-caught-up to run"),
    ("scan.topic-partition-discovery.", "new partitions are found by themselves", "remove it"),
    ("scan.parallelism", "a job runs on one thread", "remove it"),
    (
        "sink.",
        "a stream is read; where a job writes is an option of the job",
        "remove it, and write CREATE MATERIALIZED VIEW job WITH (sink = 'kafka:<topic>') AS SELECT ...",
    ),
    (
        "json.ignore-parse-errors",
        "a record that cannot be read is never skipped: it is kept in the rejects table",
        "remove it",
    ),
    (
        "json.fail-on-missing-field",
        "a record without a NOT NULL column is rejected, one without another column has NULL there",
        "remove it, and declare NOT NULL where the column has to be there",
    ),
    ("json.map-null-key.", "there are no map columns", "remove it"),
    ("topic-pattern", "a stream is one topic", "write 'topic' = '<topic>', and one stream for each"),
    (
        "value.fields-include",
        "every column is looked for in the value",
        "remove it; a column that stands in the Kafka key has 'path.<column>' = '_key'",
    ),
];

/// The topic, where it is written, and what is wrong with the rest; adds the options in our spelling to `pairs`.
///
/// # Errors
/// The connector is another one than Kafka.
pub(super) fn rewrite(
    statement: &Statement,
    parts: &Parts,
    pairs: &mut Vec<Pair>,
) -> Result<((String, Span), Vec<Diagnostic>), Diagnostic> {
    let mut findings = Vec::new();
    let (mut topic, mut connector) = (None, None);
    for option in split(&parts.options) {
        let (name, value, span) = match read(option) {
            Ok(Some(pair)) => pair,
            Ok(None) => continue,
            Err(found) => {
                let at = place(found.span.start);
                let message = format!("found {}, expected an option 'name' = 'value'", print(&found.token));
                findings.push(statement.finding(
                    "S001",
                    at,
                    message,
                    "write WITH ('name' = 'value', ...), names and values in single quotes",
                ));
                continue;
            }
        };
        match name.as_str() {
            "connector" => connector = Some((value, span)),
            "topic" => topic = Some((value, span)),
            _ => match translate(&name, &value) {
                Ok(Some((name, value))) => pairs.push((name, value, span)),
                Ok(None) => {}
                Err((code, message, help)) => findings.push(statement.finding(code, place(span.start), message, help)),
            },
        }
    }
    if connector.is_none()
        && let Some(finding) = findings.first()
    {
        // The option that cannot be read may be the one.
        return Err(finding.clone());
    }
    check_connector(statement, connector)?;
    let name = parts.name.first().map_or(Span::empty(), |token| token.span);
    let topic = topic.unwrap_or_else(|| {
        let help = "add 'topic' = '<the Kafka topic>'";
        findings.push(statement.finding("S007", place(name.start), "option 'topic' is missing", help));
        // Stands in, so that the rest is checked too.
        ("topic".to_owned(), name)
    });
    Ok((topic, findings))
}

fn check_connector(statement: &Statement, connector: Option<(String, Span)>) -> Result<(), Diagnostic> {
    let Some((connector, span)) = connector else {
        let help = "add WITH ('connector' = 'kafka', 'topic' = '<topic>', 'format' = 'json'), or write CREATE UNBOUNDED EXTERNAL TABLE ... STORED AS KAFKA LOCATION '<topic>'";
        return Err(statement.finding("S007", statement.start(), "option 'connector' is missing", help));
    };
    let help = match connector.to_lowercase().as_str() {
        "kafka" => return Ok(()),
        "upsert-kafka" => {
            "write 'kafka': every record is a row of its own, and last_value(x ORDER BY <time column>) in a window gives the newest of a key"
        }
        "filesystem" => {
            "a table of files is CREATE EXTERNAL TABLE name (...) STORED AS PARQUET or CSV LOCATION '<file>'"
        }
        "datagen" | "faker" => "write records into a file, and send them with citystream produce",
        _ => "write 'connector' = 'kafka'",
    };
    let message = format!("option connector: found '{connector}', expected 'kafka'");
    Err(statement.finding("S006", place(span.start), message, help))
}

/// `'name' = 'value'`, the name in lower case; nothing for an empty place.
fn read(option: &[TokenWithSpan]) -> Result<Option<Pair>, &TokenWithSpan> {
    let Some(first) = option.first() else { return Ok(None) };
    let Some(equals) = option.iter().position(|token| token.token == Token::Eq) else {
        return Err(first);
    };
    let name = match &option[..equals] {
        [TokenWithSpan { token: Token::SingleQuotedString(name), .. }] => name.clone(),
        [] => return Err(first),
        bare => bare.iter().map(|token| token.token.to_string()).collect(),
    };
    let value = match &option[equals + 1..] {
        [TokenWithSpan { token: Token::SingleQuotedString(value), .. }] => value.clone(),
        [TokenWithSpan { token: token @ (Token::Number(..) | Token::Word(_)), .. }] => token.to_string(),
        [other, ..] => return Err(other),
        [] => return Err(first),
    };
    Ok(Some((name.to_lowercase(), value, first.span)))
}

type Refusal = (&'static str, String, String);

/// An option in our spelling; nothing for one that says what holds anyway.
fn translate(name: &str, value: &str) -> Result<Option<(String, String)>, Refusal> {
    let is = |known: &str| if known.ends_with('.') { name.starts_with(known) } else { name == known };
    let wrong = |expected: &str, help: &str| {
        Err(("S006", format!("option {name}: found '{value}', expected {expected}"), help.to_owned()))
    };
    match name {
        "json.timestamp-format.standard" => {
            let is_known = ["sql", "iso-8601"].contains(&value.to_lowercase().as_str());
            // Both are read by rfc3339: T or a space before the time of day.
            let ours = ("time.format".to_owned(), "rfc3339".to_owned());
            return if is_known {
                Ok(Some(ours))
            } else {
                wrong("'SQL' or 'ISO-8601'", "both are read; numbers need 'time.format' = 'epoch_ms'")
            };
        }
        "key.format" | "value.fields-include" if is_default(name, value) => return Ok(None),
        "key.format" => {
            return wrong(
                "'raw'",
                "the key is never decoded: remove 'key.format', or read the key as text by 'path.<column>' = '_key'",
            );
        }
        "key.fields" if value.contains([';', ',']) => {
            return wrong("one column", "name the one column by which the producer partitions");
        }
        _ => {}
    }
    if let Some((_, why, help)) = REFUSED.iter().find(|(known, _, _)| is(known)) {
        return Err(("S003", format!("option '{name}' has no effect here: {why}"), (*help).to_owned()));
    }
    let ours = SAME.iter().find(|(flink, _)| is(flink)).map(|(flink, ours)| name.replacen(flink, ours, 1));
    Ok(Some((ours.unwrap_or_else(|| name.to_owned()), value.to_owned())))
}

fn is_default(name: &str, value: &str) -> bool {
    matches!((name, value.to_lowercase().as_str()), ("key.format", "raw") | ("value.fields-include", "all"))
}
