//! A stream in our spelling: what `SHOW CREATE` prints, and what a pasted declaration is read as.

use crate::ddl::types::sql_name;
use citystream_model::stream::{Fold, Format, Path, Stream, TimeFormat};
use std::fmt::Write;
use std::time::Duration;

/// Words that begin a table constraint where a column's name is expected.
const CONSTRAINTS: [&str; 12] = [
    "check",
    "constraint",
    "exclude",
    "foreign",
    "fulltext",
    "index",
    "key",
    "like",
    "period",
    "primary",
    "spatial",
    "unique",
];

/// The declaration of `stream`, which is read as the same stream again: defaults are left out.
pub fn stream_ddl(stream: &Stream) -> String {
    let columns = stream.columns.iter().map(|column| {
        let not_null = if column.nullable { "" } else { " NOT NULL" };
        format!("  {} {}{not_null}", identifier(&column.name), sql_name(&column.data_type))
    });
    let columns = columns.collect::<Vec<_>>().join(",\n");
    let options = options(stream).into_iter().map(|(name, value)| format!("  {} {}", text(&name), text(&value)));
    let options = options.collect::<Vec<_>>().join(",\n");
    format!(
        "CREATE UNBOUNDED EXTERNAL TABLE {} (\n{columns}\n) STORED AS KAFKA LOCATION {}\nOPTIONS (\n{options}\n);\n",
        stream.name,
        text(&stream.topic)
    )
}

/// Options of which a reader would ask, and all that are not at their default.
fn options(stream: &Stream) -> Vec<(String, String)> {
    let Format::Json = stream.format;
    let mut options = vec![
        ("format".to_owned(), "json".to_owned()),
        ("time.column".to_owned(), stream.time_column.clone()),
        ("time.out_of_order".to_owned(), duration(stream.out_of_order)),
    ];
    let mut add = |name: &str, value: Option<String>| options.extend(value.map(|value| (name.to_owned(), value)));
    add(
        "time.format",
        match stream.time_format {
            TimeFormat::Rfc3339 => None,
            TimeFormat::EpochSeconds => Some("epoch_s".to_owned()),
            TimeFormat::EpochMillis => Some("epoch_ms".to_owned()),
            TimeFormat::EpochMicros => Some("epoch_us".to_owned()),
        },
    );
    add("time.zone", stream.time_zone.map(|zone| zone.name().to_owned()));
    add("time.fold", (stream.time_fold == Fold::Later).then(|| "later".to_owned()));
    let other = |found: Duration, default: u64| (found != Duration::from_secs(default)).then(|| duration(found));
    add("time.max_future", other(stream.max_future, 300));
    add("time.idle", other(stream.idle, 60));
    add("key", stream.key.clone());
    for column in &stream.columns {
        add(&format!("path.{}", column.name), path(&column.path, &column.name));
    }
    add("rejects", (stream.rejects != format!("{}_rejected", stream.name)).then(|| stream.rejects.clone()));
    add("history", stream.history.clone());
    for (name, value) in &stream.kafka {
        add(&format!("kafka.{name}"), Some(value.clone()));
    }
    options
}

/// Where a column stands, unless it is the field of its name.
fn path(path: &Path, column: &str) -> Option<String> {
    match path {
        Path::Body(parts) if matches!(&parts[..], [only] if only == column) => None,
        Path::Body(parts) => {
            let escaped = parts.iter().map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1")));
            Some(escaped.collect())
        }
        Path::Key => Some("_key".to_owned()),
        Path::Header(name) => Some(format!("_headers/{name}")),
    }
}

/// A duration in the words of an option: `1 hour 30 minutes`.
fn duration(duration: Duration) -> String {
    const UNITS: [(&str, u128); 6] = [
        ("day", 86_400_000_000),
        ("hour", 3_600_000_000),
        ("minute", 60_000_000),
        ("second", 1_000_000),
        ("millisecond", 1_000),
        ("microsecond", 1),
    ];
    let (mut micros, mut words) = (duration.as_micros(), String::new());
    for (unit, scale) in UNITS {
        let count = micros / scale;
        micros %= scale;
        if count > 0 {
            let gap = if words.is_empty() { "" } else { " " };
            let plural = if count == 1 { "" } else { "s" };
            // Writing to a String cannot fail.
            let _written = write!(words, "{gap}{count} {unit}{plural}");
        }
    }
    if words.is_empty() { "0 seconds".to_owned() } else { words }
}

/// A name, in quotes where it would be read as another one.
fn identifier(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_plain = name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(is_word);
    if is_plain && !CONSTRAINTS.contains(&name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
