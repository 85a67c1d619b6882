//! Window functions in FROM, as arithmetic on integers.

use super::differences::{Difference, Outside};
use super::kind::Kind;
use super::scalar::{floor, length};
use super::scope::{Relation, quoted};
use super::translate::Translator;
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr};

impl Translator<'_> {
    /// `tumble(...)` and its like: the rows of the first argument with `window_start` and `window_end`.
    pub(super) fn window(&mut self, function: &str, args: &[FunctionArg]) -> Result<Relation, Outside> {
        let names: &[&str] = match function {
            "tumble" => &["t", "ts", "size"],
            "hop" => &["t", "ts", "slide", "size"],
            "cumulate" => &["t", "ts", "step", "size"],
            "session" => &["t", "ts", "gap"],
            _ => return Err(Difference::Syntax.into()),
        };
        let mut given = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            given.push(match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) if at < names.len() => (names[at].to_owned(), value),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => (name.value.clone(), value),
                _ => return Err(Difference::Syntax.into()),
            });
        }
        let argument = |name: &str| given.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        if argument("zone").is_some() {
            return Err(Difference::Zones.into());
        }
        let sizes = names[2..].iter().map(|name| match argument(name) {
            Some(Expr::Interval(interval)) => length(interval),
            _ => Err(Outside(Difference::Syntax)),
        });
        let sizes: Vec<i64> = sizes.collect::<Result<_, _>>()?;
        let relation = match argument("t").ok_or(Difference::Syntax)? {
            Expr::Identifier(name) => self.named(&name.value)?,
            Expr::Subquery(query) => self.query(query)?,
            _ => return Err(Difference::Syntax.into()),
        };
        let column = |name: &str| match argument(name) {
            Some(Expr::Identifier(name)) => Some(format!("x.{}", quoted(&name.value))),
            _ => None,
        };
        let time = column("ts").ok_or(Difference::Syntax)?;
        Ok(match (function, sizes.as_slice()) {
            ("session", [gap]) => session(relation, &time, column("key").as_deref(), *gap),
            ("tumble", [size]) => hop(relation, &time, *size, *size),
            ("hop", [slide, size]) => hop(relation, &time, *slide, *size),
            (_, [step, size]) => cumulate(relation, &time, *step, *size),
            _ => return Err(Difference::Syntax.into()),
        })
    }
}

/// `relation` with the window's bounds, which hide those of an inner window.
fn with_bounds(mut relation: Relation, start: &str, end: &str, source: impl FnOnce(&str) -> String) -> Relation {
    relation.columns.retain(|column| !matches!(column.name.as_str(), "window_start" | "window_end"));
    let columns = relation.columns.iter().map(|column| format!("x.{}", quoted(&column.name)));
    let columns: Vec<String> = columns.collect();
    let source = source(&relation.sql);
    let sql = format!("(SELECT {}, {start} AS window_start, {end} AS window_end FROM {source})", columns.join(", "));
    relation.columns.extend(["window_start", "window_end"].map(|name| Translator::column(name, Kind::Time)));
    Relation { sql, ..relation }
}

fn series(last: i64) -> String {
    let numbers: Vec<String> = (0..=last).map(|number| format!("({number})")).collect();
    format!("(SELECT column1 AS i FROM (VALUES {}))", numbers.join(", "))
}

/// ```text
///  slide 5, size 10         |----- i = 1 -----|
///                     0     5     10 .  15    20
///                                 |----- i = 0 -----|
/// ```
fn hop(relation: Relation, time: &str, slide: i64, size: i64) -> Relation {
    let start = format!("({} - n.i * {slide})", floor(time, &slide.to_string()));
    let end = format!("({start} + {size})");
    let series = series((size - 1) / slide);
    with_bounds(relation, &start, &end, |sql| format!("{sql} AS x JOIN {series} AS n ON {time} < {end}"))
}

fn cumulate(relation: Relation, time: &str, step: i64, size: i64) -> Relation {
    let start = floor(time, &size.to_string());
    let end = format!("({start} + (n.i + 1) * {step})");
    let series = series(size / step - 1);
    with_bounds(relation, &start, &end, |sql| format!("{sql} AS x JOIN {series} AS n ON {time} < {end}"))
}

/// A row opens a session unless one of its key lies less than the gap before it; the number of opened ones is its session.
fn session(relation: Relation, time: &str, key: Option<&str>, gap: i64) -> Relation {
    let key = key.map(|key| format!("PARTITION BY {key} ")).unwrap_or_default();
    let in_session =
        if key.is_empty() { "PARTITION BY x.\"session?\"".to_owned() } else { format!("{key}, x.\"session?\"") };
    let start = format!("min({time}) OVER ({in_session})");
    let end = format!("(max({time}) OVER ({in_session}) + {gap})");
    with_bounds(relation, &start, &end, |sql| {
        let opens = format!(
            "SELECT x.*, ifnull({time} - lag({time}) OVER ({key}ORDER BY {time}) >= {gap}, 1) AS \"opens?\" FROM {sql} AS x"
        );
        format!("(SELECT x.*, sum(x.\"opens?\") OVER ({key}ORDER BY {time}) AS \"session?\" FROM ({opens}) AS x) AS x")
    })
}
