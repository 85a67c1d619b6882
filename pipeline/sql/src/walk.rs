//! Walks a query's syntax tree before planning: refuses what the planner would drop without a word or could only fold
//! once at the start, finds names that do not exist, and leaves the hidden columns out of `*`.

mod clauses;
mod functions;
mod values;
mod wildcards;

use crate::catalog::Catalog;
use crate::ddl::normal;
use crate::text::{Place, Statement, place};
use citystream_model::Diagnostic;
use citystream_model::nearest::nearest;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, SetExpr, Spanned, TableFactor, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Names of the window table functions.
pub(crate) const WINDOW_FUNCTIONS: [&str; 4] = ["tumble", "hop", "cumulate", "session"];

/// Checks `query` and rewrites its wildcards and the first arguments of its window functions.
pub(crate) fn walk(statement: &Statement, query: &mut Query, catalog: &Catalog) -> Result<(), Diagnostic> {
    let mut walker = Walker { statement, catalog, with: Vec::new(), windowed: BTreeSet::new() };
    match VisitMut::visit(query, &mut walker) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(finding) => Err(*finding),
    }
}

const JOINED: &str = "join the streams in FROM on the bounds of one window instead";

struct Walker<'a> {
    statement: &'a Statement,
    catalog: &'a Catalog,
    /// Names of the WITH queries in scope, innermost last.
    with: Vec<BTreeSet<String>>,
    /// Where subqueries begin that are arguments of window functions, which may read streams.
    windowed: BTreeSet<Place>,
}

type Flow = ControlFlow<Box<Diagnostic>>;

// === impl Walker ===

impl VisitorMut for Walker<'_> {
    type Break = Box<Diagnostic>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Flow {
        self.query(query)?;
        self.set(&mut query.body)?;
        let names = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| normal(&cte.alias.name));
        self.with.push(names.collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> Flow {
        self.with.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        self.table_factor(factor)?;
        let TableFactor::Table { name, args, .. } = factor else { return ControlFlow::Continue(()) };
        let Some(args) = args else { return self.known(name) };
        self.window_arguments(name, args)
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> Flow {
        if let TableFactor::Table { args: Some(args), .. } = factor {
            functions::spell_out(args);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Flow {
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::InSubquery { subquery, negated: true, .. } | Expr::Exists { subquery, negated: true } => {
                self.subquery(subquery, "put both streams into the same windows, LEFT JOIN the second on window_start, window_end and the key, and keep the rows WHERE its key IS NULL")
            }
            Expr::InSubquery { subquery, .. } | Expr::Exists { subquery, .. } => self.subquery(subquery, JOINED),
            Expr::Subquery(subquery) if !self.windowed.contains(&place(subquery.span().start)) => {
                self.subquery(subquery, JOINED)
            }
            Expr::BinaryOp { left, op, right } => self.operator(left, op, right),
            Expr::InList { expr, list, .. } => self.list(expr, list.iter()),
            Expr::Between { expr, low, high, negated } => {
                self.list(expr, [&**low, &**high])?;
                if *negated { ControlFlow::Continue(()) } else { self.between(expr, low, high) }
            }
            Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => self.like(expr, pattern),
            Expr::Interval(interval) => self.interval(interval),
            Expr::AtTimeZone { timestamp, time_zone } => self.time_zone(timestamp, time_zone),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> Flow {
        match &value.value {
            Value::Placeholder(name) => self.refuse(
                "S003",
                place(value.span.start),
                format!("found the placeholder {name}, expected a value"),
                "write the value itself",
            ),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Walker<'_> {
    fn refuse(&self, code: &'static str, at: Place, message: impl Into<String>, help: impl Into<String>) -> Flow {
        ControlFlow::Break(Box::new(self.statement.finding(code, at, message, help)))
    }

    /// Checks every SELECT of a query's body.
    fn set(&self, set: &mut SetExpr) -> Flow {
        match set {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.set(left)?;
                self.set(right)
            }
            SetExpr::Table(table) => {
                let name = table.table_name.clone().unwrap_or_default();
                self.refuse(
                    "S003",
                    self.statement.locate("table"),
                    format!("found TABLE {name}, expected SELECT"),
                    format!("write SELECT * FROM {name}"),
                )
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// Refuses the name of something that is neither a stream nor a table nor a WITH query.
    fn known(&self, name: &ObjectName) -> Flow {
        let [part] = &name.0[..] else {
            let help = "a job reads the streams and tables of the schemas folder, by their plain names";
            return self.refuse(
                "S010",
                place(name.span().start),
                format!("found '{name}', expected the name of a stream or a table"),
                help,
            );
        };
        part.as_ident().map_or(ControlFlow::Continue(()), |ident| self.known_ident(ident))
    }

    fn known_ident(&self, ident: &Ident) -> Flow {
        let name = normal(ident);
        let declared = || self.catalog.streams.keys().chain(self.catalog.tables.keys());
        let with = || self.with.iter().flatten();
        if declared().chain(with()).any(|known| *known == name) {
            return ControlFlow::Continue(());
        }
        let help = match nearest(&name, declared().chain(with()).map(String::as_str)) {
            Some(near) => format!("did you mean '{near}'?"),
            None if name.contains(['.', '/']) => {
                "a job reads no files; declare a table with that LOCATION in the schemas folder".into()
            }
            None => format!("a job reads the streams and tables of the schemas folder: {}", some(declared())),
        };
        // The parser keeps no place of FROM 'x.csv'.
        let at = if ident.span.start.line == 0 { self.statement.locate(&ident.value) } else { place(ident.span.start) };
        self.refuse("S010", at, format!("there is no stream or table '{name}'"), help)
    }

    /// Refuses a subquery in an expression that reads a stream; `help` says what to write instead.
    fn subquery(&self, query: &Query, help: &str) -> Flow {
        use datafusion::sql::sqlparser::ast::visit_relations;
        let is_stream = |name: &ObjectName| matches!(&name.0[..], [part] if part.as_ident().is_some_and(|ident| self.catalog.streams.contains_key(&normal(ident))));
        let found = visit_relations(query, |name| {
            if is_stream(name) { ControlFlow::Break(name.clone()) } else { ControlFlow::Continue(()) }
        });
        match found {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(name) => self.refuse(
                "S160",
                place(name.span().start),
                format!("a subquery in an expression reads the stream '{name}'"),
                help,
            ),
        }
    }
}

fn some<'a>(names: impl Iterator<Item = &'a String>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.map(String::as_str).collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown}, ... ({} in all)", names.len()) } else { shown }
}
