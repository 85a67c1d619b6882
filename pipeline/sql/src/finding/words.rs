//! The planner's messages in the words of an analyst, each with what to write instead.

use crate::finding::foreign;
use crate::text::{Statement, lower_first};

/// What an analyst is told about a planner's message.
pub(super) struct Advice {
    pub(super) code: &'static str,
    /// The keyword at which the finding stands.
    pub(super) word: Option<&'static str>,
    /// True when that keyword is a better place than the one that the planner names.
    pub(super) is_at_word: bool,
    pub(super) help: String,
}

const CAST: &str = "check the types and arguments; CAST(x AS TYPE) changes a type";
const UNITS: &str = "write INTERVAL '5 minutes'; units: seconds, minutes, hours, days, months";
const TYPES_OF_CAST: &str =
    "use BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(p, s), TEXT, DATE or TIMESTAMP";
const FUNCTIONS: &str = "check the spelling; among the functions are date_bin, date_trunc, date_part, coalesce, round, and in FROM tumble, hop, cumulate, session";

/// Parts of a message in lower case, code, keyword, whether the finding stands at it, and remedy.
type Rule = (&'static [&'static str], &'static str, Option<&'static str>, bool, &'static str);

const ADVICE: [Rule; 31] = [
    (&["having refers to"], "S013", Some("having"), true, "use WHERE for conditions on rows; HAVING is for groups"),
    (
        &["neither in group by", "must appear in the group by", "could not be resolved from available columns"],
        "S013",
        None,
        false,
        "add the column to GROUP BY, or put it into an aggregate such as min(...)",
    ),
    (
        &["aggregate functions are not allowed in the where"],
        "S013",
        Some("where"),
        true,
        "put the condition on the aggregate into HAVING",
    ),
    (
        &["stands inside another"],
        "S013",
        None,
        false,
        "compute the inner one in a WITH query, and the outer one over a window of that",
    ),
    (
        &["an aggregate stands where none"],
        "S013",
        Some("group"),
        true,
        "GROUP BY takes columns and what is computed from them; a condition on an aggregate goes into HAVING",
    ),
    (&["over stands where none"], "S013", Some("where"), true, "put the condition on OVER (...) into QUALIFY"),
    (
        &["correlated scalar subquery"],
        "S013",
        None,
        false,
        "join the table in FROM, or put the column into an aggregate such as min(...)",
    ),
    (
        &["specified more than once", "two columns of one select", "duplicate"],
        "S012",
        None,
        false,
        "give each its own name",
    ),
    (&["ambiguous"], "S012", None, false, "name the table before the column, or give the column its own name with AS"),
    (
        &["number of columns", "in union"],
        "S013",
        Some("union"),
        true,
        "give both sides the same columns, in the same order and of the same types",
    ),
    (
        &["column with position"],
        "S013",
        Some("group"),
        true,
        "a number in GROUP BY counts the columns of SELECT from 1; write the column's name",
    ),
    (&["unknown type"], "S013", None, false, TYPES_OF_CAST),
    (&["is no condition"], "S013", Some("where"), true, "compare it with something: x > 0, x = 'a', x IS NOT NULL"),
    (
        &["compute text + text", "compute text + bigint", "compute bigint + text"],
        "S013",
        None,
        false,
        "join texts with ||: a || '-' || b",
    ),
    (
        &["compute timestamp", "compute bigint - timestamp", "compute bigint + timestamp"],
        "S013",
        None,
        false,
        "add or take off an interval: t - INTERVAL '5 minutes'; the difference of two times in seconds is date_part('epoch', b) - date_part('epoch', a)",
    ),
    (
        &["compute boolean", "+ boolean", "- boolean", "* boolean"],
        "S013",
        None,
        false,
        "write CAST(x AS INT), which is 1 or 0",
    ),
    (&["compute "], "S013", None, false, "change a type with CAST(x AS DOUBLE)"),
    (
        &["date_trunc granularity"],
        "S013",
        None,
        false,
        "write 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter' or 'year'; other lengths are date_bin(INTERVAL '5 minutes', time_column)",
    ),
    (
        &["date part"],
        "S013",
        None,
        false,
        "write 'year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second', 'dow', 'doy' or 'epoch'",
    ),
    (&["date_bin stride"], "S013", Some("date_bin"), true, "write date_bin(INTERVAL '5 minutes', time_column)"),
    (&["regex parse error"], "S013", None, false, r"signs such as ( ) [ ] * + ? are written with a backslash: '\('"),
    (
        &["logical boolean operation"],
        "S013",
        None,
        false,
        "write each condition out: x = 'a' OR x = 'b', or x IN ('a', 'b')",
    ),
    (&["string concat"], "S013", None, false, "one of them has to be a text: CAST(a AS TEXT) || b"),
    (&["bitwise operation"], "S013", None, false, "join texts with ||: a || '-' || b"),
    (&["compare boolean", "= boolean"], "S013", None, false, "a BOOLEAN is a condition itself: write x, or NOT x"),
    (&["compare "], "S013", None, false, "change one side with CAST(x AS TYPE)"),
    (
        &["like a pattern"],
        "S013",
        Some("like"),
        true,
        "write CAST(x AS TEXT) LIKE '5%', or compare with numbers: x >= 50 AND x < 60",
    ),
    (
        &["operator -> ", "operator ->> "],
        "S013",
        None,
        false,
        "declare the field as a column of the stream: 'path.<column>' '/payload/speed'",
    ),
    (&["type interval"], "S013", Some("interval"), false, UNITS),
    (&["an index [n]"], "S013", None, false, "write substr(x, 1, 1) for a part of a text"),
    (
        &["not found"],
        "S010",
        None,
        false,
        "check the spelling; a job reads the streams and tables of the schemas folder",
    ),
];

/// How the arguments of functions that are often written otherwise go.
const CALLS: [(&str, &str); 8] = [
    ("date_bin", "write date_bin(INTERVAL '5 minutes', time_column)"),
    ("date_trunc", "write date_trunc('hour', time_column)"),
    ("date_part", "write date_part('hour', time_column)"),
    ("to_char", "write to_char(time_column, '%Y-%m-%d %H:%M')"),
    ("sum", "sum takes numbers: for a BOOLEAN write count(*) FILTER (WHERE x), for a text CAST(x AS DOUBLE)"),
    ("avg", "avg takes numbers: for a time take min(x) or max(x), for a text CAST(x AS DOUBLE)"),
    ("string_agg", "write string_agg(text, ',' ORDER BY time_column)"),
    ("round", "write round(x), or round(x, 2)"),
];

/// Code, place and remedy of a message in plain words.
pub(super) fn advice(message: &str) -> Advice {
    let lower = message.to_lowercase();
    if let Some(name) = lower.strip_prefix("there is no function '").and_then(|rest| rest.split('\'').next()) {
        let help = foreign::instead(name).unwrap_or(FUNCTIONS);
        return Advice { code: "S010", word: None, is_at_word: false, help: help.to_owned() };
    }
    if let Some((_, help)) = CALLS.iter().find(|(name, _)| lower.starts_with(&format!("function '{name}'"))) {
        return Advice { code: "S013", word: None, is_at_word: false, help: (*help).to_owned() };
    }
    let found = ADVICE.iter().find(|(parts, ..)| parts.iter().any(|part| lower.contains(part)));
    let (code, word, is_at_word, help) = found
        .map_or(("S013", None, false, CAST), |(_, code, word, is_at_word, help)| (*code, *word, *is_at_word, *help));
    Advice { code, word, is_at_word, help: help.to_owned() }
}

/// The operator of a message such as `cannot compute TEXT + TEXT`, where the statement has it once.
pub(super) fn operator(statement: &Statement, message: &str) -> Option<crate::text::Place> {
    let rest = ["cannot compute ", "cannot compare "].iter().find_map(|start| message.strip_prefix(start))?;
    let sign = rest.split(' ').find(|word| !word.contains(|c: char| c.is_alphanumeric()))?;
    let first = statement.find_sign(&[sign], (1, 1))?;
    // A `*` is also the list of all columns.
    let is_only = statement.find_sign(&[sign], (first.0, first.1 + 1)).is_none();
    is_only.then_some(first)
}

/// A planner's message in the words of an analyst: its first sentence, types as SQL calls them, nothing of the engine.
pub(super) fn plain_words(text: &str) -> String {
    const PREFIXES: [&str; 10] = [
        "Error during planning: ",
        "This feature is not implemented: ",
        "Schema error: ",
        "SQL error: ",
        "Arrow error: ",
        "Parser error: ",
        "Internal error: ",
        "Execution error: ",
        "Cast error: ",
        "External error: ",
    ];
    const TYPES: [(&str, &str); 20] = [
        ("Utf8View", "TEXT"),
        ("LargeUtf8", "TEXT"),
        ("Utf8", "TEXT"),
        ("UInt64", "BIGINT"),
        ("Int64", "BIGINT"),
        ("Int32", "INT"),
        ("Int16", "SMALLINT"),
        ("Int8", "TINYINT"),
        ("Float64", "DOUBLE"),
        ("Float32", "FLOAT"),
        ("Boolean", "BOOLEAN"),
        ("Date32", "DATE"),
        ("Timestamp(µs)", "TIMESTAMP"),
        ("Timestamp(ns)", "TIMESTAMP"),
        ("Interval(MonthDayNano)", "INTERVAL"),
        ("Duration(µs)", "INTERVAL"),
        ("Binary", "BYTEA"),
        ("Decimal128", "DECIMAL"),
        ("datafusion.public.", ""),
        ("Null", "NULL"),
    ];
    let mut text = text.lines().next().unwrap_or_default();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    let text = text.split(". ").next().unwrap_or(text).split(", errors:").next().unwrap_or_default();
    let text = TYPES.iter().fold(text.to_owned(), |text, (inside, plain)| {
        text.replace(&format!("{inside}("), &format!("{plain}(")).replace(inside, plain)
    });
    if text.contains("must be in GROUP BY or an aggregate") {
        let column = text.split('"').nth(1).and_then(|name| name.rsplit('.').next()).unwrap_or_default();
        return format!("column '{column}' stands neither in GROUP BY nor in an aggregate");
    }
    if text.contains("unique expression names") {
        let column = text.split('"').nth(1).and_then(|name| name.rsplit('.').next()).unwrap_or_default();
        return format!("two columns of one SELECT are called '{column}'");
    }
    lower_first(&rephrase(&literals(&text)))
}

/// What the planner says of a shape, said of what an analyst wrote.
fn rephrase(text: &str) -> String {
    let between = |start: &str, end: &str| {
        let (_, rest) = text.split_once(start)?;
        if end.is_empty() { Some(rest.to_owned()) } else { rest.split_once(end).map(|(found, _)| found.to_owned()) }
    };
    let call = |name: &str, types: &str| format!("function '{name}' does not take arguments of these types: {types}");
    if let Some(name) = between("arguments to satisfy a call to '", "'") {
        return call(&name, &between("coercion from ", " to the signature").unwrap_or_default());
    }
    if let Some(name) = between("Function '", "' failed to match any signature") {
        return format!("function '{name}' does not take these arguments");
    }
    if let Some(types) = between("Cannot coerce arithmetic expression ", " to valid types") {
        return format!("cannot compute {types}");
    }
    if let Some(types) = between("Cannot infer common argument type for comparison operation ", "") {
        return format!("cannot compare {types}");
    }
    if let Some(types) = between("common type to coerce ", " in LIKE expression") {
        return format!("cannot LIKE a pattern: {types}");
    }
    if let Some(found) = between("with non-boolean predicate '", " returning ") {
        let data_type = between(" returning ", "").unwrap_or_default();
        return format!("{} is no condition: it is of type {data_type}", found.strip_suffix('\'').unwrap_or(&found));
    }
    if let Some(found) = between("HAVING clause references: ", " must appear") {
        return format!("HAVING refers to {found}, which is in no group");
    }
    if let Some(found) = between("Unsupported SQL type ", "") {
        return format!("unknown type '{found}'");
    }
    if let Some(inner) = between("calls cannot be nested: '", "'") {
        return format!("the aggregate {inner} stands inside another");
    }
    if let Some(inner) = between("does not support logical expression ", "Function(") {
        let kind = if inner == "Window" { "a function with OVER" } else { "an aggregate" };
        return format!("{kind} stands where none can be computed");
    }
    if let Some(found) = between("Incompatible inputs for Union: Previous inputs were of type ", ", but") {
        let other = between("incompatible type ", " on column").unwrap_or_default();
        return format!("a column is {found} in one SELECT and {other} in another, in UNION");
    }
    if let Some(found) = between("array_element does not support type ", "") {
        return format!("an index [n] needs a list, found {found}");
    }
    text.replace("Invalid function", "there is no function")
        .replace("UNION queries have different", "the SELECTs of UNION have a different")
}

/// Writes `BIGINT(1)` and `TEXT("a")` as the constants they are.
fn literals(text: &str) -> String {
    let mut plain = text.to_owned();
    for head in ["BIGINT(", "INT(", "DOUBLE(", "BOOLEAN(", "TEXT(", "FLOAT("] {
        while let Some(at) = plain.find(head) {
            let Some(end) = plain[at..].find(')') else { break };
            let value = plain[at + head.len()..at + end].replace('"', "'");
            plain.replace_range(at..=at + end, &value);
        }
    }
    plain
}

/// The first quoted word of a message.
pub(super) fn quoted(message: &str) -> Option<&str> {
    ['\'', '"', '`']
        .into_iter()
        .find_map(|quote| message.split(quote).nth(1))
        .map(|word| word.rsplit('.').next().unwrap_or(word))
}
