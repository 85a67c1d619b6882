//! Findings that travel through DataFusion's planner as its errors, and its own errors as findings.

pub(crate) mod foreign;
mod names;
mod words;

use crate::text::{Place, Statement};
use crate::walk::WINDOW_FUNCTIONS;
use citystream_model::Diagnostic;
use citystream_model::nearest::nearest;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::logical_expr::Expr;
use std::fmt;
use words::{Advice, advice, operator, plain_words, quoted};

/// Words of what is grouped by instead of a window, and what to write.
const BINS: [(&[&str], &str); 6] = [
    (
        &["at", "time", "zone"],
        "for local hours, days or months write a window with a zone: FROM tumble(stream, time_column, INTERVAL '1 day', zone => 'Europe/Amsterdam') AS w ... GROUP BY w.window_start, w.window_end, ...",
    ),
    (
        &["date_bin"],
        "group by date_bin(INTERVAL '15 minutes', time_column), of the stream's time column and without an origin",
    ),
    (&["date_trunc"], "group by date_trunc('hour', time_column), of the stream's time column"),
    (&["as", "date"], DAY),
    (&["::", "date"], DAY),
    (&["to_char"], DAY),
];
const DAY: &str = "group by date_trunc('day', time_column), a day of UTC; local days are tumble(stream, time_column, INTERVAL '1 day', zone => 'Europe/Amsterdam')";

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
    let Advice { code, word, is_at_word, help } = advice(&message);
    let suggested = root.split("Did you mean '").nth(1).and_then(|rest| rest.split('\'').next());
    // The planner names the nearest function however far it is.
    let is_slip =
        |wrong: &str, near: &str| wrong.chars().next() == near.chars().next() && nearest(wrong, [near]).is_some();
    let wrong = quoted(&message).filter(|wrong| foreign::instead(wrong).is_none());
    let near = suggested.filter(|near| wrong.is_some_and(|wrong| is_slip(wrong, near)));
    let help = near.map_or(help, |near| format!("did you mean '{near}'?"));
    let word = word.and_then(|word| statement.find(word));
    let of_planner = || span.or_else(|| quoted(&message).and_then(|word| statement.find(word)));
    let at = word.filter(|_| is_at_word).or_else(|| operator(statement, &message)).or_else(of_planner).or(word);
    statement.finding(code, at.unwrap_or_else(|| statement.locate("select")), message, help)
}

/// A column that is not there, or there twice.
fn of_schema_error(statement: &Statement, error: &SchemaError, span: Option<Place>) -> Option<Diagnostic> {
    let at = |name: &str| span.unwrap_or_else(|| statement.locate(name));
    Some(match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            return Some(names::missing(statement, field, valid_fields, span));
        }
        SchemaError::AmbiguousReference { field } => {
            let message = format!("column '{}' stands in more than one table of FROM", field.name);
            statement.finding(
                "S012",
                at(&field.name),
                message,
                format!("name its table before it: a.{}, if FROM calls the table a", field.name),
            )
        }
        SchemaError::DuplicateQualifiedField { qualifier, name } => {
            let message =
                format!("two tables in FROM are called '{}', or it has two columns '{name}'", qualifier.table());
            statement.finding("S012", at(qualifier.table()), message, "give each its own name with AS")
        }
        SchemaError::DuplicateUnqualifiedField { name } if name.contains('(') => same_call(statement, name),
        SchemaError::DuplicateUnqualifiedField { name } => statement.finding(
            "S012",
            at(name),
            format!("two columns are called '{name}'"),
            "give each its own name with AS",
        ),
    })
}

/// Two calls that differ in a CAST only, which the planner leaves out of their names.
fn same_call(statement: &Statement, name: &str) -> Diagnostic {
    let function = name.split('(').next().unwrap_or_default();
    let at = statement.find_nth(function, 1).unwrap_or_else(|| statement.locate(function));
    let message = format!("two calls are {name} but for a CAST, and cannot stand side by side");
    let help =
        "compute the CAST in a WITH query or a subquery, under a name of its own, and write that name in the call";
    statement.finding("S012", at, message, help)
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

/// Where the first column that stands in `exprs` is written, as far as the plan still knows.
pub(crate) fn place_of<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Option<Place> {
    let columns = exprs.into_iter().flat_map(|expr| expr.column_refs());
    let spans = columns.filter_map(|column| column.spans.first());
    spans.map(|span| (span.start.line, span.start.column)).min()
}

/// A finding that is known to come from a clause of the statement, said of that clause.
pub(crate) fn precise(statement: &Statement, mut finding: Diagnostic) -> Diagnostic {
    let at = (finding.line, finding.column);
    let here = statement.around(at).1.map(|token| token.to_string().to_lowercase()).unwrap_or_default();
    let has_window = WINDOW_FUNCTIONS.iter().any(|function| statement.find(function).is_some());
    match (finding.code, here.as_str()) {
        ("S101", "union") => {
            finding.help = "write UNION ALL, which passes every row on; UNION drops what came before, and would have to keep all of it".into();
        }
        ("S101", "intersect" | "except") => {
            finding.help =
                "put both streams into the same windows, and join or LEFT JOIN them on window_start and window_end"
                    .into();
        }
        ("S101", _) if has_window => {
            finding.help = "add the bounds of the window: GROUP BY ..., window_start, window_end".into();
        }
        ("S101", _) => {
            let found = BINS.iter().find(|(words, _)| statement.has(words));
            finding.help = found.map_or(finding.help, |(_, help)| (*help).to_owned());
        }
        ("S013", _) if at == statement.start() && finding.message.ends_with("in UNION") => {
            (finding.line, finding.column) = statement.locate("union");
        }
        ("S013", _) if at == statement.start() && finding.message.contains("compared with") => {
            let clause = ["having", "qualify", "on", "where"].iter().find_map(|word| statement.find(word));
            (finding.line, finding.column) = clause.unwrap_or(at);
        }
        ("S121", _) if finding.message.contains("condition") => {
            let clause = ["where", "having", "on", "qualify"].iter().find_map(|word| statement.find(word));
            (finding.line, finding.column) = clause.unwrap_or(at);
        }
        _ => {}
    }
    finding
}
