//! Window functions in FROM, as arithmetic on integers.

use super::differences::{Difference, Outside};
use super::kind::Kind;
use super::scalar::{floor, length};
use super::scope::{Relation, quoted};
use super::translate::Translator;
use super::zone::Grid;
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
        let zone = match argument("zone") {
            None => None,
            Some(Expr::Value(value)) => Some(value.value.clone().into_string().ok_or(Difference::Syntax)?),
            Some(_) => return Err(Difference::Syntax.into()),
        };
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
        let calendar = |step: i64, size: i64| zone.as_ref().map(|zone| Grid::new(zone, step, size));
        Ok(match (function, sizes.as_slice()) {
            ("session", [gap]) => session(relation, &time, column("key").as_deref(), *gap),
            ("tumble", [size]) => self.hop(relation, &time, *size, *size, calendar(*size, *size)),
            ("hop", [slide, size]) => self.hop(relation, &time, *slide, *size, calendar(*slide, *size)),
            (_, [step, size]) => {
                let grids = calendar(*step, *size).zip(calendar(*size, *size));
                self.cumulate(relation, &time, *step, *size, grids)
            }
            _ => return Err(Difference::Syntax.into()),
        })
    }

    /// ```text
    ///  slide 5, size 10         |----- i = 1 -----|
    ///                     0     5     10 .  15    20
    ///                                 |----- i = 0 -----|
    /// ```
    fn hop(&mut self, relation: Relation, time: &str, slide: i64, size: i64, grid: Option<Grid>) -> Relation {
        if let Some(grid) = grid {
            let (steps, table) = (size / slide, quoted(&grid.name()));
            self.grids.insert(grid);
            return with_bounds(relation, "g.at", "e.at", |sql| {
                format!(
                    "{sql} AS x JOIN {table} AS g ON g.at <= {time} JOIN {table} AS e ON e.i = g.i + {steps} AND {time} < e.at"
                )
            });
        }
        let start = format!("({} - n.i * {slide})", floor(time, &slide.to_string()));
        let end = format!("({start} + {size})");
        let series = series((size - 1) / slide);
        with_bounds(relation, &start, &end, |sql| format!("{sql} AS x JOIN {series} AS n ON {time} < {end}"))
    }

    /// All windows of one start that a row lies in: those that end behind it.
    fn cumulate(
        &mut self,
        relation: Relation,
        time: &str,
        step: i64,
        size: i64,
        grids: Option<(Grid, Grid)>,
    ) -> Relation {
        if let Some((fine, coarse)) = grids {
            let (ends, bounds) = (quoted(&fine.name()), quoted(&coarse.name()));
            self.grids.extend([fine, coarse]);
            return with_bounds(relation, "g.at", "c.at", |sql| {
                format!(
                    "{sql} AS x JOIN {bounds} AS g ON g.at <= {time} JOIN {bounds} AS e ON e.i = g.i + 1 AND {time} < e.at \
                     JOIN {ends} AS c ON c.at > {time} AND c.at <= e.at"
                )
            });
        }
        let start = floor(time, &size.to_string());
        let end = format!("({start} + (n.i + 1) * {step})");
        let series = series(size / step - 1);
        with_bounds(relation, &start, &end, |sql| format!("{sql} AS x JOIN {series} AS n ON {time} < {end}"))
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
