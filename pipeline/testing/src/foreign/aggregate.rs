//! Aggregates, and functions with OVER.

use super::differences::{Difference, Outside};
use super::kind::{Kind, Typed};
use super::scalar::{arguments, cast, float, length};
use super::scope::From;
use super::translate::Translator;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    OrderByExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowType,
};

impl Translator<'_> {
    /// An aggregate with GROUP BY; `None` for any other function.
    pub(super) fn aggregate(&mut self, name: &str, call: &Function, from: &From) -> Result<Option<Typed>, Outside> {
        // Inside of it, a group's key is what it was in the row.
        let groups = std::mem::take(&mut self.groups);
        let value = self.aggregate_of_rows(name, call, from);
        self.groups = groups;
        value
    }

    fn aggregate_of_rows(&mut self, name: &str, call: &Function, from: &From) -> Result<Option<Typed>, Outside> {
        let FunctionArguments::List(list) = &call.args else { return Err(Difference::Syntax.into()) };
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let Some(mut value) = self.plain_aggregate(name, call, distinct, from)? else {
            return self.ordered_aggregate(name, call, from);
        };
        if let Some(filter) = &call.filter {
            value.sql = filtered(&value.sql, &self.condition(filter, from)?);
        }
        Ok(Some(value))
    }

    /// An aggregate whose answer does not follow the order of rows, without FILTER and OVER.
    fn plain_aggregate(
        &mut self,
        name: &str,
        call: &Function,
        distinct: bool,
        from: &From,
    ) -> Result<Option<Typed>, Outside> {
        if !is_plain(name)? {
            return Ok(None);
        }
        let word = if distinct { "DISTINCT " } else { "" };
        if is_count_of_rows(call) {
            return Ok(Some(Typed::new("count(*)", Kind::Int(64))));
        }
        let [argument] = arguments(call)?[..] else { return Err(Difference::Syntax.into()) };
        let value = self.expression(argument, from)?;
        let (x, kind) = (&value.sql, value.kind);
        Ok(Some(match (name, kind) {
            ("count", Kind::Float(_)) if distinct => Typed::new(format!("float_count(DISTINCT {x})"), Kind::Int(64)),
            ("count", _) => Typed::new(format!("count({word}{x})"), Kind::Int(64)),
            ("min" | "max", _) => Typed::new(format!("{name}({x})"), kind),
            ("bool_and", Kind::Bool) => Typed::new(format!("min({x})"), kind),
            ("bool_or", Kind::Bool) => Typed::new(format!("max({x})"), kind),
            ("bit_and" | "bit_or" | "bit_xor", Kind::Int(_) | Kind::Unsigned) => {
                Typed::new(format!("{name}({x})"), kind)
            }
            ("sum", Kind::Int(_)) => Typed::new(format!("int_sum({word}{x})"), Kind::Int(64)),
            ("sum", Kind::Unsigned) => Typed::new(format!("int_sum({word}{x})"), kind),
            ("sum", Kind::Decimal(digits, scale)) => {
                Typed::new(format!("wide_sum({word}{x})"), Kind::Decimal((digits + 10).min(38), scale))
            }
            ("sum", Kind::Float(_)) => Typed::new(format!("float_sum({word}{x})"), Kind::Float(64)),
            ("avg", Kind::Float(_) | Kind::Int(_) | Kind::Unsigned) => {
                Typed::new(format!("float_avg({word}{})", float(value, 64)), Kind::Float(64))
            }
            _ => return Err(Difference::Syntax.into()),
        }))
    }

    /// `first_value` and its like with an ORDER BY of their own; equal rows follow in the order of the argument.
    fn ordered_aggregate(&mut self, name: &str, call: &Function, from: &From) -> Result<Option<Typed>, Outside> {
        let FunctionArguments::List(list) = &call.args else { return Err(Difference::Syntax.into()) };
        let Some(FunctionArgumentClause::OrderBy(order)) = list.clauses.first() else { return Ok(None) };
        let value = self.expression(arguments(call)?.first().ok_or(Difference::Syntax)?, from)?;
        let mut orders = Vec::new();
        for order in order {
            // 0.0 and -0.0 are equal here.
            let by = self.expression(&order.expr, from)?;
            let by = if by.kind.is_float() { format!("float_op('+', {}, {})", by.sql, 0) } else { by.sql };
            orders.push(format!("{by}{}", direction(order)));
        }
        let last = if value.kind.is_float() { cast(value.clone(), Kind::Text)?.sql } else { value.sql.clone() };
        orders.push(format!("{last} ASC NULLS LAST"));
        let (x, order) = (&value.sql, orders.join(", "));
        let mut sql = match name {
            "first_value" => format!("nth({x}, 1 ORDER BY {order})"),
            "last_value" => format!("nth({x}, -1 ORDER BY {order})"),
            "nth_value" => format!("nth({x}, {} ORDER BY {order})", arguments(call)?[1]),
            "string_agg" => format!("group_concat({x}, {} ORDER BY {order})", arguments(call)?[1]),
            "array_agg" => format!("list({x} ORDER BY {order})"),
            _ => return Err(Difference::Syntax.into()),
        };
        let kind = if name == "array_agg" { Kind::List } else { value.kind };
        if let Some(filter) = &call.filter {
            sql = filtered(&sql, &self.condition(filter, from)?);
        }
        Ok(Some(Typed::new(sql, kind)))
    }

    /// A function with OVER.
    pub(super) fn window_function(&mut self, name: &str, call: &Function, from: &From) -> Result<Typed, Outside> {
        let Some(WindowType::WindowSpec(spec)) = &call.over else { return Err(Difference::Syntax.into()) };
        let mut over = Vec::new();
        if !spec.partition_by.is_empty() {
            let mut keys = Vec::new();
            for key in &spec.partition_by {
                let key = self.expression(key, from)?;
                self.guard_zeros(&key, from);
                keys.push(key.sql);
            }
            over.push(format!("PARTITION BY {}", keys.join(", ")));
        }
        let mut orders = Vec::new();
        for order in &spec.order_by {
            orders.push((self.expression(&order.expr, from)?.sql, direction(order)));
        }
        let value = match self.plain_aggregate(name, call, false, from)? {
            Some(value) => value,
            None => self.numbering(name, call, from)?,
        };
        if numbers_rows(name, spec.window_frame.as_ref()) {
            for column in from.sortable() {
                if !orders.iter().any(|(known, _)| *known == column) {
                    orders.push((column, " ASC NULLS LAST".to_owned()));
                }
            }
        }
        if !orders.is_empty() {
            let orders: Vec<String> = orders.into_iter().map(|(by, direction)| by + &direction).collect();
            over.push(format!("ORDER BY {}", orders.join(", ")));
        }
        if let Some(frame) = &spec.window_frame {
            over.push(frame_of(frame)?);
        }
        let sql = format!("{} OVER ({})", value.sql, over.join(" "));
        if numbers_rows(name, spec.window_frame.as_ref()) && !self.numbering.contains(&sql) {
            self.numbering.push(sql.clone());
        }
        let is_share = matches!(name, "percent_rank" | "cume_dist");
        Ok(Typed::new(if is_share { format!("float_of_real({sql})") } else { sql }, value.kind))
    }

    /// A function that exists with OVER only.
    fn numbering(&mut self, name: &str, call: &Function, from: &From) -> Result<Typed, Outside> {
        let args = arguments(call)?;
        match name {
            "row_number" | "rank" | "dense_rank" => Ok(Typed::new(format!("{name}()"), Kind::Unsigned)),
            "percent_rank" | "cume_dist" => Ok(Typed::new(format!("{name}()"), Kind::Float(64))),
            "ntile" => Ok(Typed::new(format!("ntile({})", args[0]), Kind::Unsigned)),
            "lag" | "lead" => {
                let value = self.expression(args[0], from)?;
                Ok(Typed::new(format!("{name}({}, {})", value.sql, args[1]), value.kind))
            }
            "first_value" | "last_value" => {
                let value = self.expression(args[0], from)?;
                Ok(Typed::new(format!("{name}({})", value.sql), value.kind))
            }
            _ => Err(Difference::Syntax.into()),
        }
    }
}

/// True for aggregates that are the same in any order of rows.
fn is_plain(name: &str) -> Result<bool, Outside> {
    match name {
        "count" | "min" | "max" | "bool_and" | "bool_or" | "bit_and" | "bit_or" | "bit_xor" | "sum" | "avg" => Ok(true),
        "approx_distinct" => Err(Difference::Approximate.into()),
        "median" | "percentile_cont" => Err(Difference::Quantiles.into()),
        "var_samp" | "var_pop" | "stddev" | "stddev_pop" => Err(Difference::Spreads.into()),
        _ => Ok(false),
    }
}

/// True when the answer depends on the order of rows that the ORDER BY leaves equal.
fn numbers_rows(name: &str, frame: Option<&WindowFrame>) -> bool {
    match name {
        "rank" | "dense_rank" | "percent_rank" | "cume_dist" => false,
        "count" | "min" | "max" | "sum" | "avg" => frame.is_some_and(|frame| frame.units == WindowFrameUnits::Rows),
        _ => true,
    }
}

fn is_count_of_rows(call: &Function) -> bool {
    let FunctionArguments::List(list) = &call.args else { return false };
    matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)])
}

fn filtered(aggregate: &str, condition: &str) -> String {
    format!("{aggregate} FILTER (WHERE {condition})")
}

/// Nulls are larger than all values unless the text says otherwise.
fn direction(order: &OrderByExpr) -> String {
    let ascending = order.options.asc.unwrap_or(true);
    let nulls_first = order.options.nulls_first.unwrap_or(!ascending);
    let word = |yes: bool, one: &'static str, other: &'static str| if yes { one } else { other };
    format!(" {} NULLS {}", word(ascending, "ASC", "DESC"), word(nulls_first, "FIRST", "LAST"))
}

fn frame_of(frame: &WindowFrame) -> Result<String, Outside> {
    let bound = |bound: &WindowFrameBound| {
        let by = |by: &Option<Box<Expr>>| match by.as_deref() {
            None => Ok::<_, Outside>("UNBOUNDED".to_owned()),
            Some(Expr::Interval(interval)) => Ok(length(interval)?.to_string()),
            Some(other) => Ok(other.to_string()),
        };
        Ok::<_, Outside>(match bound {
            WindowFrameBound::CurrentRow => "CURRENT ROW".to_owned(),
            WindowFrameBound::Preceding(offset) => format!("{} PRECEDING", by(offset)?),
            WindowFrameBound::Following(offset) => format!("{} FOLLOWING", by(offset)?),
        })
    };
    let end = frame.end_bound.as_ref().unwrap_or(&WindowFrameBound::CurrentRow);
    Ok(format!("{} BETWEEN {} AND {}", frame.units, bound(&frame.start_bound)?, bound(end)?))
}
