//! Function calls: those whose answer follows the clock, chance or the order of rows, and the arguments of windows.

use crate::finding::foreign;
use crate::text::place;
use crate::walk::{Flow, WINDOW_FUNCTIONS, Walker};
use citystream_functions::{Sensitivity, order_sensitivity};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, ObjectName, Query,
    Spanned, TableFactor, TableFunctionArgs,
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
        let at = place(function.name.span().start);
        if VOLATILE.contains(&name.as_str()) || foreign::is_clock(&name) {
            let help = "use the event time: a column of the row, or window_start and window_end";
            return self.refuse(
                "S130",
                at,
                format!("{name}() would be one value from the start on, or differ from run to run"),
                help,
            );
        }
        if WINDOW_FUNCTIONS.contains(&name.as_str()) {
            let help = format!(
                "write it in FROM: FROM {name}(stream, time_column, ...) AS w, and GROUP BY w.window_start, w.window_end"
            );
            return self.refuse("S003", at, format!("found {name}(...) as an expression, expected it in FROM"), help);
        }
        if foreign::is_rank(&name) && function.over.is_none() {
            let help = format!("write {name}(...) OVER (PARTITION BY window_start, window_end ORDER BY ...)");
            return self.refuse(
                "S013",
                at,
                format!("{name}() needs OVER, which says in which rows and in which order"),
                help,
            );
        }
        if function.over.is_some() || is_ordered(function) && order_sensitivity(&name) == Sensitivity::NeedsOrder {
            return ControlFlow::Continue(());
        }
        match order_sensitivity(&name) {
            Sensitivity::NeedsOrder => {
                let help = format!("write {name}(x ORDER BY time_column), or min(x) or max(x)");
                self.refuse(
                    "S131",
                    at,
                    format!("{name}() without ORDER BY depends on the order in which rows come"),
                    help,
                )
            }
            Sensitivity::Inexact { instead } => {
                let help = if instead.is_empty() {
                    "write it with sum, count and avg".to_owned()
                } else {
                    format!("write {instead}")
                };
                self.refuse(
                    "S132",
                    at,
                    format!("{name}() depends on the order of the rows, so a stream could not equal its batch"),
                    help,
                )
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
