//! Findings that travel through DataFusion's planner as its errors, and its own errors as findings.

use crate::text::{Place, Statement, lower_first};
use citystream_model::Diagnostic;
use citystream_model::nearest::nearest;
use datafusion::common::{Column, DataFusionError, SchemaError};
use datafusion::logical_expr::Expr;
use std::collections::BTreeSet;
use std::fmt;

/// A finding of ours inside a planner's error.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) at: Option<Place>,
    pub(crate) message: String,
    pub(crate) help: String,
}

// === impl Finding ===

impl Finding {
    pub(crate) fn new(
        code: &'static str,
        at: Option<Place>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { code, at, message: message.into(), help: help.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

impl std::error::Error for Finding {}

impl From<Finding> for DataFusionError {
    fn from(finding: Finding) -> Self {
        Self::External(Box::new(finding))
    }
}

/// What a planner's error says, at the best place that is known for it.
pub(crate) fn of_error(statement: &Statement, error: &DataFusionError) -> Diagnostic {
    if let Some(finding) = own(error) {
        return statement.finding(
            finding.code,
            finding.at.unwrap_or_else(|| statement.start()),
            &finding.message,
            &finding.help,
        );
    }
    let span =
        error.diagnostic().and_then(|diagnostic| diagnostic.span).map(|span| (span.start.line, span.start.column));
    if let DataFusionError::SchemaError(schema, _) = error.find_root()
        && let Some(finding) = of_schema_error(statement, schema, span)
    {
        return finding;
    }
    let root = error.find_root().strip_backtrace();
    let message = plain_words(&root);
    let (code, word, help) = explain(&message);
    let suggested = root.split("Did you mean '").nth(1).and_then(|rest| rest.split('\'').next());
    // The planner names the nearest function however far it is.
    let near = suggested.filter(|near| quoted(&message).is_some_and(|word| nearest(word, [*near]).is_some()));
    let help = near.map_or_else(|| help.to_owned(), |near| format!("did you mean '{near}'?"));
    let quoted = || quoted(&message).and_then(|word| statement.find(word));
    let at = span.or_else(quoted).or_else(|| word.and_then(|word| statement.find(word)));
    statement.finding(code, at.unwrap_or_else(|| statement.locate("select")), message, help)
}

/// A column that is not there, or is asked of a table that is not there.
fn missing(statement: &Statement, field: &Column, valid_fields: &[Column], span: Option<Place>) -> Diagnostic {
    let at = |name: &str| span.unwrap_or_else(|| statement.locate(name));
    let name = field.name.as_str();
    let valid: Vec<&str> =
        valid_fields.iter().map(|column| column.name.as_str()).filter(|name| !name.starts_with('_')).collect();
    let tables: BTreeSet<&str> =
        valid_fields.iter().filter_map(|column| column.relation.as_ref()).map(|table| table.table()).collect();
    if let Some(table) = field.relation.as_ref().filter(|table| !valid.is_empty() && !tables.contains(table.table())) {
        let known = tables.into_iter().collect::<Vec<_>>().join(", ");
        let help = if known.is_empty() { "name the column alone".to_owned() } else { format!("known here: {known}") };
        let at = statement.find(table.table()).unwrap_or_else(|| at(name));
        return statement.finding("S010", at, format!("no stream or table is called '{}' here", table.table()), help);
    }
    let help = match nearest(name, valid.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if valid.is_empty() => "check FROM and the WITH queries".to_owned(),
        None => format!("columns here: {}", some(&valid)),
    };
    statement.finding(
        "S010",
        at(name),
        format!("column '{}' does not exist here", field.flat_name().replace('"', "")),
        help,
    )
}

/// A column that is not there, or there twice.
fn of_schema_error(statement: &Statement, error: &SchemaError, span: Option<Place>) -> Option<Diagnostic> {
    let at = |name: &str| span.unwrap_or_else(|| statement.locate(name));
    Some(match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            return Some(missing(statement, field, valid_fields, span));
        }
        SchemaError::AmbiguousReference { field } => {
            let message = format!("column '{}' stands in more than one table of FROM", field.name);
            statement.finding("S012", at(&field.name), message, format!("name the table before it: t.{}", field.name))
        }
        SchemaError::DuplicateQualifiedField { qualifier, name } => {
            let message =
                format!("two tables in FROM are called '{}', or it has two columns '{name}'", qualifier.table());
            statement.finding("S012", at(qualifier.table()), message, "give each its own name with AS")
        }
        SchemaError::DuplicateUnqualifiedField { name } => statement.finding(
            "S012",
            at(name),
            format!("two columns are called '{name}'"),
            "give each its own name with AS",
        ),
    })
}

fn own(error: &DataFusionError) -> Option<&Finding> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(finding) = error.downcast_ref::<Finding>() {
            return Some(finding);
        }
        if let Some(DataFusionError::External(inner)) = error.downcast_ref::<DataFusionError>()
            && let Some(finding) = inner.downcast_ref::<Finding>()
        {
            return Some(finding);
        }
        next = error.source();
    }
    None
}

fn some(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, ... ({} in all)", names.len()) } else { shown }
}

/// Code, keyword at which the finding stands if nothing else is known, and remedy.
fn explain(message: &str) -> (&'static str, Option<&'static str>, &'static str) {
    let lower = message.to_lowercase();
    let has = |part: &str| lower.contains(part);
    if has("not found") || has("there is no function") {
        ("S010", None, "check the spelling; a job reads the streams and tables of the schemas folder")
    } else if has("having clause references") {
        ("S013", Some("having"), "use WHERE for conditions on rows; HAVING is for groups")
    } else if has("neither in group by")
        || has("must appear in the group by")
        || has("could not be resolved from available columns")
    {
        ("S013", None, "add the column to GROUP BY, or put it into an aggregate such as min(...)")
    } else if has("aggregate functions are not allowed in the where") {
        ("S013", Some("where"), "put the condition on the aggregate into HAVING")
    } else if has("correlated scalar subquery") {
        ("S013", None, "join the table in FROM, or put the column into an aggregate such as min(...)")
    } else if has("specified more than once") || has("two columns of one select") || has("duplicate") {
        ("S012", None, "give each its own name")
    } else if has("ambiguous") {
        ("S012", None, "name the table before the column, or give the column its own name with AS")
    } else if has("different number of columns") || has("for union") {
        ("S013", Some("union"), "give both sides the same columns, in the same order")
    } else if has("interval") {
        ("S013", Some("interval"), "write INTERVAL '5 minutes'; units: seconds, minutes, hours, days, months")
    } else {
        ("S013", None, "check the types and arguments; CAST(x AS TYPE) changes a type")
    }
}

/// A planner's message in the words of an analyst: its first sentence, types as SQL calls them, nothing of the engine.
fn plain_words(text: &str) -> String {
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
    let text = text
        .replace("failed to match any signature", "does not take these arguments")
        .replace("Invalid function", "there is no function");
    lower_first(&literals(&text))
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

/// Where the first column that stands in `exprs` is written, as far as the plan still knows.
pub(crate) fn place_of<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Option<Place> {
    let columns = exprs.into_iter().flat_map(|expr| expr.column_refs());
    let spans = columns.filter_map(|column| column.spans.first());
    spans.map(|span| (span.start.line, span.start.column)).min()
}

/// The first quoted word of a message.
fn quoted(message: &str) -> Option<&str> {
    ['\'', '"', '`']
        .into_iter()
        .find_map(|quote| message.split(quote).nth(1))
        .map(|word| word.rsplit('.').next().unwrap_or(word))
}
