//! Constants and conditions that the planner takes and an analyst cannot have meant: `= NULL`, `INTERVAL '5'`, a text where
//! a column is a number.

use crate::ddl::normal;
use crate::ddl::stream::zone;
use crate::ddl::types::sql_name;
use crate::text::place;
use crate::walk::{Flow, Walker};
use arrow::datatypes::DataType;
use citystream_model::nearest::nearest;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Interval, Spanned, Value};
use std::ops::ControlFlow;

/// Units of an interval, as they are read.
const UNITS: [&str; 45] = [
    "y",
    "yr",
    "yrs",
    "year",
    "years",
    "mon",
    "mons",
    "month",
    "months",
    "w",
    "week",
    "weeks",
    "d",
    "day",
    "days",
    "h",
    "hr",
    "hrs",
    "hour",
    "hours",
    "m",
    "min",
    "mins",
    "minute",
    "minutes",
    "s",
    "sec",
    "secs",
    "second",
    "seconds",
    "ms",
    "msec",
    "msecs",
    "millisecond",
    "milliseconds",
    "us",
    "usec",
    "usecs",
    "microsecond",
    "microseconds",
    "nanosecond",
    "nanoseconds",
    "decade",
    "century",
    "centuries",
];
/// Units that are suggested.
const LONG: [&str; 8] = ["seconds", "minutes", "hours", "days", "weeks", "months", "years", "milliseconds"];
const INTERVAL: &str = "write INTERVAL '5 minutes'; units: milliseconds, seconds, minutes, hours, days, weeks, months";

impl Walker<'_> {
    /// Refuses a comparison that is never true, or compares a number with a text.
    pub(super) fn operator(&self, left: &Expr, operator: &BinaryOperator, right: &Expr) -> Flow {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if *operator == BinaryOperator::PGOverlap {
            let at = self.statement.find_sign(&["&&"], place(left.span().end)).unwrap_or(place(left.span().start));
            return self.refuse("S003", at, "found &&, expected AND", "write a AND b");
        }
        if !matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
            return ControlFlow::Continue(());
        }
        for (side, other) in [(left, right), (right, left)] {
            if let Expr::Value(value) = other
                && value.value == Value::Null
            {
                let help = format!("write {side} IS NULL, or {side} IS NOT NULL");
                let message = format!("found {operator} NULL, which is never true");
                return self.refuse("S013", place(value.span.start), message, help);
            }
            self.constant(side, operator, other)?;
        }
        ControlFlow::Continue(())
    }

    /// Refuses a column compared with a constant of another kind.
    fn constant(&self, side: &Expr, operator: &BinaryOperator, other: &Expr) -> Flow {
        let Expr::Value(value) = other else { return ControlFlow::Continue(()) };
        let Some((name, data_type)) = self.declared_type(side) else { return ControlFlow::Continue(()) };
        let is_order = !matches!(operator, BinaryOperator::Eq | BinaryOperator::NotEq);
        let help = match &value.value {
            Value::SingleQuotedString(text) if data_type.is_numeric() && text.trim().parse::<f64>().is_err() => {
                format!("write a number, such as {side} {operator} 5")
            }
            Value::Number(number, _) if data_type == DataType::Utf8 && is_order => {
                format!("write CAST({side} AS DOUBLE) {operator} {number}")
            }
            Value::Number(number, _) if data_type == DataType::Utf8 => {
                format!("write a text, {side} {operator} '{number}', or CAST({side} AS DOUBLE) {operator} {number}")
            }
            Value::Number(..) if data_type == DataType::Boolean => format!("write {side}, or NOT {side}"),
            Value::SingleQuotedString(text)
                if data_type == DataType::Boolean && !matches!(text.as_str(), "true" | "false") =>
            {
                format!("write {side}, or NOT {side}")
            }
            _ => return ControlFlow::Continue(()),
        };
        let message = format!("column '{name}' is of type {}, compared with {}", sql_name(&data_type), value.value);
        self.refuse("S013", place(value.span.start), message, help)
    }

    /// Refuses a list of constants of another kind than the column.
    pub(super) fn list<'e>(&self, side: &Expr, list: impl IntoIterator<Item = &'e Expr>) -> Flow {
        list.into_iter().try_for_each(|other| self.constant(side, &BinaryOperator::Eq, other))
    }

    /// The type of a column that is declared, unless another thing in this statement has its name.
    fn declared_type(&self, expr: &Expr) -> Option<(String, DataType)> {
        let ident = match expr {
            Expr::Identifier(ident) => ident,
            Expr::CompoundIdentifier(parts) => parts.last()?,
            _ => return None,
        };
        let name = normal(ident);
        if self.statement.names(&name) {
            return None;
        }
        let is_read = |table: &String| self.statement.find(table).is_some();
        let streams = self.catalog.streams.values().filter(|stream| is_read(&stream.name));
        let tables = self.catalog.tables.values().filter(|table| is_read(&table.name));
        let mut types: Vec<DataType> =
            streams.filter_map(|stream| Some(stream.column(&name)?.data_type.clone())).collect();
        for table in tables {
            // A table that declares no columns may have this one.
            let fields = table.schema.as_ref()?;
            types.extend(fields.field_with_name(&name).ok().map(|field| field.data_type().clone()));
        }
        let first = types.first()?.clone();
        types.iter().all(|other| *other == first).then_some((name, first))
    }

    /// Refuses an interval whose unit is missing or misspelt.
    pub(super) fn interval(&self, interval: &Interval) -> Flow {
        let at = place(interval.value.span().start);
        let text = match interval.value.as_ref() {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => text,
                _ => return ControlFlow::Continue(()),
            },
            Expr::Identifier(ident) if ident.quote_style.is_some() => {
                let message = format!("found INTERVAL {ident}, expected single quotes");
                return self.refuse("S013", at, message, format!("write INTERVAL '{}'", ident.value));
            }
            _ => return ControlFlow::Continue(()),
        };
        if interval.leading_field.is_some() || text.contains(':') {
            return ControlFlow::Continue(());
        }
        let words: Vec<&str> = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            let message = format!("found INTERVAL '{text}' without a unit");
            return self.refuse(
                "S013",
                at,
                message,
                format!("write INTERVAL '{} minutes', or seconds, hours, days", text.trim()),
            );
        }
        match words.iter().find(|word| !UNITS.contains(&word.to_lowercase().as_str())) {
            None => ControlFlow::Continue(()),
            Some(word) => {
                let near = nearest(word, LONG);
                let help = near.map_or_else(
                    || INTERVAL.to_owned(),
                    |near| format!("did you mean '{}'?", text.replace(word, near)),
                );
                self.refuse("S013", at, format!("unknown unit '{word}' in INTERVAL '{text}'"), help)
            }
        }
    }

    /// Refuses a zone that does not exist: at run time it would be NULL.
    pub(super) fn time_zone(&self, written: &Expr) -> Flow {
        let Expr::Value(value) = written else { return ControlFlow::Continue(()) };
        let Value::SingleQuotedString(text) = &value.value else { return ControlFlow::Continue(()) };
        let is_offset = text.starts_with(['+', '-']);
        match zone(text) {
            Err(error) if !is_offset => {
                let (message, help) = error
                    .message()
                    .split_once("; ")
                    .unwrap_or((error.message(), "use a name of the IANA zones, such as 'Europe/Amsterdam'"));
                self.refuse("S013", place(value.span.start), format!("AT TIME ZONE: {message}"), help)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
