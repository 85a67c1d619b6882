//! Constants and conditions that the planner takes and an analyst cannot have meant: `= NULL`, `INTERVAL '5'`, a text where
//! a column is a number.

use crate::ddl::normal;
use crate::ddl::stream::zone;
use crate::ddl::types::sql_name;
use crate::plan::window_node::{WINDOW_END, WINDOW_START};
use crate::text::place;
use crate::text::units::{SUGGESTED, UNITS};
use crate::walk::{Flow, Walker};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::DataType;
use citystream_model::nearest::nearest;
use citystream_model::stream::timestamp_type;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Interval, Spanned, Value};
use std::ops::ControlFlow;

/// Zones in which a time of a stream is what it is.
const UTC: [&str; 5] = ["UTC", "Etc/UTC", "GMT", "Z", "+00:00"];
/// How times are written.
const DATE: &str = "DATE '2026-03-29'";
const TIMESTAMP: &str = "TIMESTAMP '2026-03-29 01:00:00'";
const INTERVAL: &str = "write INTERVAL '5 minutes'; units: milliseconds, seconds, minutes, hours, days, weeks, months";

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
}

impl Walker<'_> {
    /// Refuses a comparison that is never true, or compares a number with a text.
    pub(super) fn operator(&self, left: &Expr, operator: &BinaryOperator, right: &Expr) -> Flow {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if *operator == BinaryOperator::PGOverlap {
            let at = self.statement.find_sign(&["&&"], place(left.span().end)).unwrap_or(place(left.span().start));
            return self.refuse("S003", at, "found &&, expected AND", "write a AND b");
        }
        if *operator == BinaryOperator::BitwiseXor {
            let at = self.statement.find_sign(&["^"], place(left.span().end)).unwrap_or(place(left.span().start));
            let message = "found ^, which is XOR of the bits of whole numbers, and no power";
            return self.refuse("S003", at, message, format!("write power({left}, {right})"));
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
            Value::Number(number, _) if data_type == timestamp_type() => {
                format!(
                    "write {side} {operator} to_timestamp_seconds({number}), if it is one, or {side} {operator} {TIMESTAMP}"
                )
            }
            Value::Number(..) if data_type == DataType::Date32 => format!("write {side} {operator} {DATE}"),
            Value::SingleQuotedString(text) if is_time(&data_type) && string_to_timestamp_nanos(text).is_err() => {
                format!("write {side} {operator} {}", if data_type == DataType::Date32 { DATE } else { TIMESTAMP })
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

    /// Refuses BETWEEN two numbers of which the first is the larger.
    pub(super) fn between(&self, side: &Expr, low: &Expr, high: &Expr) -> Flow {
        let number = |expr: &Expr| match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => number.parse::<f64>().ok(),
                _ => None,
            },
            _ => None,
        };
        if number(low) <= number(high) || number(low).is_none() || number(high).is_none() {
            return ControlFlow::Continue(());
        }
        let message = format!("found BETWEEN {low} AND {high}, which is never true");
        self.refuse("S013", place(low.span().start), message, format!("write {side} BETWEEN {high} AND {low}"))
    }

    /// Refuses a pattern with the wildcards of file names.
    pub(super) fn like(&self, side: &Expr, pattern: &Expr) -> Flow {
        let Expr::Value(value) = pattern else { return ControlFlow::Continue(()) };
        match &value.value {
            Value::SingleQuotedString(text) if text.contains('*') && !text.contains(['%', '_']) => {
                let message = format!("found LIKE '{text}', in which * stands for itself");
                self.refuse(
                    "S013",
                    place(value.span.start),
                    message,
                    format!("write {side} LIKE '{}'", text.replace('*', "%")),
                )
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// True for a column with a time of the records or of their windows, which are UTC.
    fn is_time_of_stream(&self, expr: &Expr) -> bool {
        let name = match expr {
            Expr::Identifier(ident) => Some(normal(ident)),
            Expr::CompoundIdentifier(parts) => parts.last().map(normal),
            _ => None,
        };
        let is_bound = name.is_some_and(|name| [WINDOW_START, WINDOW_END].contains(&name.as_str()));
        is_bound || self.declared_type(expr).is_some_and(|(_, data_type)| data_type == timestamp_type())
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
                let near = nearest(word, SUGGESTED);
                let help = near.map_or_else(
                    || INTERVAL.to_owned(),
                    |near| format!("did you mean '{}'?", text.replace(word, near)),
                );
                self.refuse("S013", at, format!("unknown unit '{word}' in INTERVAL '{text}'"), help)
            }
        }
    }

    /// Refuses a zone that does not exist, which at run time would be NULL, and a time that would be read as one of the zone.
    pub(super) fn time_zone(&self, time: &Expr, written: &Expr) -> Flow {
        let Expr::Value(value) = written else { return ControlFlow::Continue(()) };
        let Value::SingleQuotedString(text) = &value.value else { return ControlFlow::Continue(()) };
        if !text.starts_with(['+', '-'])
            && let Err(error) = zone(text)
        {
            let (message, help) = error
                .message()
                .split_once("; ")
                .unwrap_or((error.message(), "use a name of the IANA zones, such as 'Europe/Amsterdam'"));
            return self.refuse("S013", place(value.span.start), format!("AT TIME ZONE: {message}"), help);
        }
        if UTC.iter().any(|utc| utc.eq_ignore_ascii_case(text)) || !self.is_time_of_stream(time) {
            return ControlFlow::Continue(());
        }
        let message =
            format!("{time} AT TIME ZONE '{text}' takes {time} for a local time of that zone, and times here are UTC");
        let mut help = format!("write {time} AT TIME ZONE 'UTC' AT TIME ZONE '{text}'");
        if !text.starts_with(['+', '-']) {
            help += &format!(
                "; windows of local hours or days are tumble(stream, time_column, INTERVAL '1 day', zone => '{text}')"
            );
        }
        self.refuse("S013", place(time.span().start), message, help)
    }
}
