//! Names of columns that do not exist, and what was meant.

use crate::text::{Place, Statement};
use citystream_model::Diagnostic;
use citystream_model::nearest::nearest;
use citystream_model::stream::HIDDEN;
use datafusion::common::Column;
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::BTreeSet;

/// A column that is not there, or is asked of a table that is not there.
pub(super) fn missing(
    statement: &Statement,
    field: &Column,
    valid_fields: &[Column],
    span: Option<Place>,
) -> Diagnostic {
    let at = |name: &str| span.unwrap_or_else(|| statement.locate(name));
    let name = field.name.as_str();
    let valid: Vec<&str> =
        valid_fields.iter().map(|column| column.name.as_str()).filter(|name| !name.starts_with('_')).collect();
    let tables: BTreeSet<&str> =
        valid_fields.iter().filter_map(|column| column.relation.as_ref()).map(|table| table.table()).collect();
    if let Some(table) = field.relation.as_ref().filter(|table| !valid.is_empty() && !tables.contains(table.table())) {
        let known = tables.into_iter().collect::<Vec<_>>().join(", ");
        let called = table.table();
        // A table that is named twice has another name where it is used.
        let help = match known.as_str() {
            "" => "name the column alone".to_owned(),
            _ if valid.contains(&name) && statement.find_nth(called, 1).is_none() => format!("known here: {known}"),
            _ if statement.find_nth(called, 1).is_some() => format!("known here: {known}, as AS calls them"),
            _ => format!(
                "known here: {known}; a field inside another is declared as a column: 'path.<column>' '/{called}/{name}'"
            ),
        };
        let at = statement.find(table.table()).unwrap_or_else(|| at(name));
        return statement.finding("S010", at, format!("no stream or table is called '{}' here", table.table()), help);
    }
    let at = at(name);
    let help = remedy(statement, name, at, &valid);
    statement.finding("S010", at, format!("column '{}' does not exist here", field.flat_name().replace('"', "")), help)
}

/// What to write instead of a column that does not exist.
fn remedy(statement: &Statement, name: &str, at: Place, valid: &[&str]) -> String {
    let (before, here) = statement.around(at);
    if statement.names(name) && !valid.is_empty() {
        return format!(
            "'{name}' is a name that this SELECT gives: write its expression again here, or SELECT from a WITH query that gives the name"
        );
    }
    if let Some(instead) = foreign_column(name).filter(|_| !valid.is_empty()) {
        return instead.to_owned();
    }
    let is_text = |token: &Token| matches!(token, Token::Word(word) if word.quote_style == Some('"'));
    let is_compared = before.is_some_and(|token| matches!(token, Token::Eq | Token::Neq | Token::Lt | Token::Gt));
    let near = nearest(name, valid.iter().copied().chain(HIDDEN.iter().copied().filter(|_| name.starts_with('_'))));
    if here.is_some_and(is_text) && is_compared && near.is_none_or(|near| !near.eq_ignore_ascii_case(name)) {
        return format!("a text stands in single quotes: '{name}'");
    }
    if let Some(near) = near {
        return format!("did you mean '{near}'?");
    }
    match valid {
        [_, ..] if name.starts_with('_') => format!("hidden columns: {}", HIDDEN.join(", ")),
        [] => "check FROM and the WITH queries".to_owned(),
        _ if is_compared => format!("a text stands in single quotes: '{name}'; columns here: {}", some(valid)),
        _ => format!("columns here: {}", some(valid)),
    }
}

/// Columns that other systems have, by their names in lower case.
fn foreign_column(name: &str) -> Option<&'static str> {
    Some(match name.to_lowercase().as_str() {
        "window_start" | "window_end" | "windowstart" | "windowend" | "window" => {
            "add a window: FROM tumble(stream, time_column, INTERVAL '5 minutes') gives window_start and window_end"
        }
        "session_start" | "tumble_start" | "hop_start" => "write window_start",
        "session_end" | "tumble_end" | "hop_end" => "write window_end",
        "window_time" => "write window_end, which is the first time behind the window",
        "rowtime" | "proctime" | "event_time" | "eventtime" | "record_timestamp" | "kafka_timestamp" => {
            "write the stream's time column, or _timestamp, the time of the Kafka record"
        }
        "rowkey" | "_kafka_key" | "record_key" => "write _key, the key of the Kafka record",
        "offset" | "rowoffset" => "write _offset, the offset of the Kafka record",
        "partition" | "rowpartition" => "write _partition, the partition of the Kafka record",
        "headers" => "write _headers, the headers of the Kafka record as JSON text",
        "topic" => "write _topic, the topic of the Kafka record",
        "sysdate" | "systimestamp" => "use the event time: a column of the row, or window_start and window_end",
        _ => return None,
    })
}

fn some(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, ... ({} in all)", names.len()) } else { shown }
}
