//! Function calls: those whose answer follows the clock, chance or the order of rows, and the arguments of windows.

use crate::finding::foreign;
use crate::text::{Place, place};
use crate::walk::{Flow, WINDOW_FUNCTIONS, Walker};
use citystream_functions::{Sensitivity, order_sensitivity};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, Ident, ObjectName, Query, Spanned, TableFactor, TableFunctionArgs, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

/// Functions that a plan folds to one value at the start or that differ from run to run.
const VOLATILE: [&str; 12] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "today",
    "random",
    "rand",
    "uuid",
    "version",
    "input_file_name",
];

impl Walker<'_> {
    pub(super) fn function(&self, function: &Function) -> Flow {
        let name = function.name.to_string().to_lowercase();
        self.clock(function, &name)?;
        self.misplaced(function, &name)?;
        self.arguments(function, &name)?;
        if function.over.is_some() || is_ordered(function) && order_sensitivity(&name) == Sensitivity::NeedsOrder {
            return ControlFlow::Continue(());
        }
        self.sensitive(function, &name)
    }

    /// Refuses a function of the clock or of chance.
    fn clock(&self, function: &Function, name: &str) -> Flow {
        if !VOLATILE.contains(&name) && !foreign::is_clock(name) {
            return ControlFlow::Continue(());
        }
        let message = format!("{name}() would be one value from the start on, or differ from run to run");
        let help = "use the event time: a column of the row, or window_start and window_end";
        self.refuse("S130", place(function.name.span().start), message, help)
    }

    /// Refuses a window function outside FROM, and a rank without OVER.
    fn misplaced(&self, function: &Function, name: &str) -> Flow {
        let at = place(function.name.span().start);
        if WINDOW_FUNCTIONS.contains(&name) {
            let message = format!("found {name}(...) as an expression, expected it in FROM");
            let help = format!(
                "write it in FROM: FROM {name}(stream, time_column, ...) AS w, and GROUP BY w.window_start, w.window_end"
            );
            return self.refuse("S003", at, message, help);
        }
        if foreign::is_rank(name) && function.over.is_none() {
            let message = format!("{name}() needs OVER, which says in which rows and in which order");
            let help = format!("write {name}(...) OVER (PARTITION BY window_start, window_end ORDER BY ...)");
            return self.refuse("S013", at, message, help);
        }
        ControlFlow::Continue(())
    }

    /// Refuses arguments that mean something else elsewhere: formats of letters, DISTINCT over several columns.
    fn arguments(&self, function: &Function, name: &str) -> Flow {
        let FunctionArguments::List(list) = &function.args else { return ControlFlow::Continue(()) };
        let formats = match (name, &list.args[..]) {
            ("to_char" | "date_format" | "to_timestamp" | "to_date", [_, formats @ ..]) => formats,
            ("count", [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, op, right }))])
                if is_condition(op) =>
            {
                let message =
                    format!("found count({left} {op} {right}), which counts where that is known, be it true or false");
                let help = format!("write count(*) FILTER (WHERE {left} {op} {right})");
                return self.refuse("S013", place(left.span().start), message, help);
            }
            ("count", args) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) => {
                return self.distinct(args, place(function.name.span().start));
            }
            _ => return ControlFlow::Continue(()),
        };
        formats.iter().filter_map(value).try_for_each(|format| self.format(name, format))
    }

    fn format(&self, name: &str, format: &Expr) -> Flow {
        let Expr::Value(format) = format else { return ControlFlow::Continue(()) };
        match &format.value {
            Value::SingleQuotedString(text) if !text.contains('%') => {
                let message = format!("{name}: found the format '{text}', in which each letter stands for itself");
                let help = "write it with %: '%Y-%m-%d %H:%M:%S', '%d.%m.%Y', '%A'";
                self.refuse("S013", place(format.span.start), message, help)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn distinct(&self, args: &[FunctionArg], at: Place) -> Flow {
        match args {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard | FunctionArgExpr::QualifiedWildcard(_))] => {
                let message = "found count(DISTINCT *), which counts no column";
                self.refuse("S013", at, message, "write count(*) for all rows, or count(DISTINCT x)")
            }
            [_, _, ..] => {
                let message = "found count(DISTINCT ...) over several columns";
                self.refuse("S013", at, message, "make one of them: count(DISTINCT a || '|' || b)")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// Refuses an aggregate whose answer follows the order of the rows.
    fn sensitive(&self, function: &Function, name: &str) -> Flow {
        let at = place(function.name.span().start);
        match order_sensitivity(name) {
            Sensitivity::NeedsOrder => {
                let message = format!("{name}() without ORDER BY depends on the order in which rows come");
                let separator = if name == "string_agg" { ", ','" } else { "" };
                let help = format!("write {name}(x{separator} ORDER BY time_column), or min(x) or max(x)");
                self.refuse("S131", at, message, help)
            }
            Sensitivity::Inexact { instead } => {
                let message =
                    format!("{name}() depends on the order of the rows, so a stream could not equal its batch");
                let instead = if instead.is_empty() { "it with sum, count and avg" } else { instead };
                self.refuse("S132", at, message, format!("write {instead}"))
            }
            Sensitivity::OrderFree | Sensitivity::Unknown => ControlFlow::Continue(()),
        }
    }

    /// Checks the stream that a window function reads, and notes its subquery as one that may read streams.
    pub(super) fn window_arguments(&mut self, function: &ObjectName, args: &TableFunctionArgs) -> Flow {
        if !WINDOW_FUNCTIONS.contains(&function.to_string().to_lowercase().as_str()) {
            return ControlFlow::Continue(());
        }
        for arg in &args.args {
            if let Some(Expr::Subquery(query)) = value(arg) {
                self.windowed.insert(place(query.span().start));
            }
        }
        match args.args.iter().enumerate().find_map(|(position, arg)| relation(position, arg)) {
            Some(ident) => self.known_ident(ident),
            None => ControlFlow::Continue(()),
        }
    }
}

fn is_condition(op: &BinaryOperator) -> bool {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    matches!(op, And | Eq | Gt | GtEq | Lt | LtEq | NotEq | Or)
}

/// Writes the stream that a window function reads as a subquery, so that the planner resolves its name.
pub(super) fn spell_out(args: &mut TableFunctionArgs) {
    for (position, arg) in args.args.iter_mut().enumerate() {
        let Some(ident) = relation(position, arg).cloned() else { continue };
        let Some(query) = all_of(ident) else { continue };
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
        | FunctionArg::Named { arg: FunctionArgExpr::Expr(value), .. } = arg
        {
            *value = Expr::Subquery(Box::new(query));
        }
        return;
    }
}

/// `SELECT * FROM ident`, with the place of the identifier.
fn all_of(ident: Ident) -> Option<Query> {
    use datafusion::sql::sqlparser::ast::SetExpr;
    let mut query = Parser::new(&GenericDialect {}).try_with_sql("SELECT * FROM t").ok()?.parse_query().ok()?;
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(TableFactor::Table { name, .. }) = select.from.first_mut().map(|from| &mut from.relation)
    {
        *name = ObjectName::from(vec![ident]);
    }
    Some(*query)
}

/// The name in the argument `t`: the first one, or the one called so.
pub(super) fn relation(position: usize, arg: &FunctionArg) -> Option<&Ident> {
    match arg {
        FunctionArg::Unnamed(_) if position > 0 => None,
        FunctionArg::Named { name, .. } if !name.value.eq_ignore_ascii_case("t") => None,
        _ => match value(arg)? {
            Expr::Identifier(ident) => Some(ident),
            _ => None,
        },
    }
}

fn value(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
        | FunctionArg::Named { arg: FunctionArgExpr::Expr(value), .. } => Some(value),
        _ => None,
    }
}

/// True for an aggregate with an ORDER BY of its own.
fn is_ordered(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    !function.within_group.is_empty()
        || list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
}
