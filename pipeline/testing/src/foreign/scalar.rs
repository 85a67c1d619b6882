//! Expressions on one row.

use super::differences::{Difference, Outside};
use super::kind::{Kind, Typed, to_key};
use super::scope::From;
use super::translate::Translator;
use chrono::{DateTime, NaiveDate};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval,
    TypedString, UnaryOperator, Value,
};

const DAY: i64 = 86_400_000_000;

impl Translator<'_> {
    /// Any expression over the columns of `from`.
    pub(super) fn expression(&mut self, expr: &Expr, from: &From) -> Result<Typed, Outside> {
        let value = self.unfolded(expr, from)?;
        Ok(if self.groups.contains(expr) { value.folded() } else { value })
    }

    fn unfolded(&mut self, expr: &Expr, from: &From) -> Result<Typed, Outside> {
        match expr {
            Expr::Identifier(name) => from.column(None, &name.value),
            Expr::CompoundIdentifier(path) => match path.as_slice() {
                [relation, name] => from.column(Some(&relation.value), &name.value),
                _ => Err(Difference::Syntax.into()),
            },
            Expr::Nested(inner) => self.expression(inner, from),
            Expr::Value(value) => literal(&value.value),
            Expr::TypedString(TypedString { data_type, value, .. }) => point(data_type, &value.value),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr, from),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, from),
            Expr::Case { operand: None, conditions, else_result, .. } => {
                self.case(conditions, else_result.as_deref(), from)
            }
            Expr::Cast { expr, data_type, .. } => self.cast(expr, data_type, from),
            Expr::Function(function) => self.function(function, from),
            Expr::Substring { expr, substring_from: Some(start), substring_for: Some(length), .. } => {
                let parts =
                    [self.expression(expr, from)?, self.expression(start, from)?, self.expression(length, from)?];
                Ok(Typed::new(format!("substr({}, {}, {})", parts[0].sql, parts[1].sql, parts[2].sql), Kind::Text))
            }
            _ => self.predicate(expr, from),
        }
    }

    /// A condition, as SQLite's 0 and 1.
    pub(super) fn condition(&mut self, expr: &Expr, from: &From) -> Result<String, Outside> {
        Ok(self.expression(expr, from)?.sql)
    }

    fn predicate(&mut self, expr: &Expr, from: &From) -> Result<Typed, Outside> {
        let no = |negated: bool| if negated { "NOT " } else { "" };
        let sql = match expr {
            Expr::IsNull(inner) => format!("({} IS NULL)", self.expression(inner, from)?.sql),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.expression(inner, from)?.sql),
            Expr::IsDistinctFrom(left, right) => {
                let (left, right) = self.alike(left, right, from)?;
                format!("({} IS NOT {})", left.sql, right.sql)
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let (text, pattern) = (self.expression(expr, from)?, self.expression(pattern, from)?);
                format!("({} {}LIKE {})", text.sql, no(*negated), pattern.sql)
            }
            Expr::InList { expr, list, negated } => {
                let list: Result<Vec<Typed>, Outside> = list.iter().map(|item| self.expression(item, from)).collect();
                let list: Vec<String> = list?.into_iter().map(|item| item.sql).collect();
                format!("({} {}IN ({}))", self.expression(expr, from)?.sql, no(*negated), list.join(", "))
            }
            Expr::InSubquery { expr, subquery, negated } => {
                let relation = self.query(subquery)?;
                format!("({} {}IN {})", self.expression(expr, from)?.sql, no(*negated), relation.sql)
            }
            _ => return Err(Difference::Syntax.into()),
        };
        Ok(Typed::new(sql, Kind::Bool))
    }

    fn unary(&mut self, op: UnaryOperator, expr: &Expr, from: &From) -> Result<Typed, Outside> {
        let inner = self.expression(expr, from)?;
        match (op, inner.kind) {
            (UnaryOperator::Not, _) => Ok(Typed::new(format!("(NOT {})", inner.sql), Kind::Bool)),
            (UnaryOperator::Minus, Kind::Int(bits)) => {
                Ok(Typed::new(format!("int_op('-', 0, {}, {bits})", inner.sql), inner.kind))
            }
            (UnaryOperator::Minus, Kind::Float(_)) => {
                Ok(Typed::new(format!("float_unary('-', {})", inner.sql), inner.kind))
            }
            _ => Err(Difference::Syntax.into()),
        }
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, from: &From) -> Result<Typed, Outside> {
        use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or, StringConcat};
        if let Expr::Interval(interval) = right {
            return self.moved(left, op, interval, from);
        }
        match op {
            And | Or => {
                let (left, right) = (self.expression(left, from)?, self.expression(right, from)?);
                Ok(Typed::new(format!("({} {op} {})", left.sql, right.sql), Kind::Bool))
            }
            StringConcat => {
                let (left, right) = (self.expression(left, from)?, self.expression(right, from)?);
                Ok(Typed::new(format!("({} || {})", left.sql, right.sql), Kind::Text))
            }
            Eq | NotEq | Lt | LtEq | Gt | GtEq => {
                let (left, right) = self.alike(left, right, from)?;
                Ok(Typed::new(format!("({} {op} {})", left.sql, right.sql), Kind::Bool))
            }
            _ => {
                let (left, right) = (self.expression(left, from)?, self.expression(right, from)?);
                arithmetic(left, &op.to_string(), right)
            }
        }
    }

    /// A time or date and an interval.
    fn moved(&mut self, left: &Expr, op: &BinaryOperator, by: &Interval, from: &From) -> Result<Typed, Outside> {
        let left = self.expression(left, from)?;
        let unit = match left.kind {
            Kind::Time => 1,
            Kind::Date => DAY,
            _ => return Err(Difference::Syntax.into()),
        };
        Ok(Typed::new(format!("({} {op} ({}))", left.sql, length(by)? / unit), left.kind))
    }

    /// Both sides of a comparison in one representation.
    fn alike(&mut self, left: &Expr, right: &Expr, from: &From) -> Result<(Typed, Typed), Outside> {
        let (left, right) = (self.expression(left, from)?, self.expression(right, from)?);
        match (left.kind, right.kind) {
            (Kind::Int(_), Kind::Unsigned) | (Kind::Unsigned, Kind::Int(_)) => Ok((left, right)),
            _ => {
                let kind = left.kind.with(right.kind)?;
                Ok((left.widened(kind).folded(), right.widened(kind).folded()))
            }
        }
    }

    fn case(&mut self, whens: &[CaseWhen], otherwise: Option<&Expr>, from: &From) -> Result<Typed, Outside> {
        let mut conditions = Vec::new();
        let mut results = Vec::new();
        for when in whens {
            conditions.push(self.condition(&when.condition, from)?);
            results.push(self.expression(&when.result, from)?);
        }
        if let Some(otherwise) = otherwise {
            results.push(self.expression(otherwise, from)?);
        }
        let kind = results.iter().try_fold(Kind::Null, |kind, result| kind.with(result.kind))?;
        let mut results = results.into_iter().map(|result| result.widened(kind).sql);
        let mut sql = "CASE".to_owned();
        for condition in conditions {
            sql += &format!(" WHEN {condition} THEN {}", results.next().unwrap_or_default());
        }
        if let Some(otherwise) = results.next() {
            sql += &format!(" ELSE {otherwise}");
        }
        Ok(Typed::new(format!("({sql} END)"), kind))
    }

    fn cast(&mut self, expr: &Expr, to: &DataType, from: &From) -> Result<Typed, Outside> {
        let to = Kind::named(&to.to_string())?;
        if let (Expr::Value(value), Kind::Decimal(_, scale)) = (expr, to)
            && let Value::Number(text, _) = &value.value
            && text.contains('.')
        {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            return Ok(Typed::new(format!("{whole}{fraction:0<width$}", width = scale as usize), to));
        }
        let value = self.expression(expr, from)?;
        cast(value, to)
    }

    fn function(&mut self, function: &Function, from: &From) -> Result<Typed, Outside> {
        let name = function.name.to_string().to_lowercase();
        if function.over.is_some() {
            return self.window_function(&name, function, from);
        }
        if let Some(aggregate) = self.aggregate(&name, function, from)? {
            return Ok(aggregate);
        }
        let mut args = Vec::new();
        for arg in arguments(function)? {
            args.push(match arg {
                Expr::Interval(interval) => Typed::new(length(interval)?.to_string(), Kind::Null),
                _ => self.expression(arg, from)?,
            });
        }
        scalar(&name, args)
    }
}

/// The arguments of a call.
pub(super) fn arguments(function: &Function) -> Result<Vec<&Expr>, Outside> {
    let FunctionArguments::List(list) = &function.args else { return Err(Difference::Syntax.into()) };
    let expr = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Ok(expr),
        _ => Err(Outside(Difference::Syntax)),
    };
    list.args.iter().map(expr).collect()
}

fn scalar(name: &str, mut args: Vec<Typed>) -> Result<Typed, Outside> {
    let first = args.first().map_or(Kind::Null, |arg| arg.kind);
    if matches!(name, "coalesce" | "nullif") {
        let kind = args.iter().try_fold(Kind::Null, |kind, arg| kind.with(arg.kind))?;
        args = args.into_iter().map(|arg| arg.widened(kind)).collect();
        if let ("nullif", Kind::Float(_), [left, right]) = (name, kind, args.as_slice()) {
            let sql = format!("(CASE WHEN same_float({a}, {b}) THEN NULL ELSE {a} END)", a = left.sql, b = right.sql);
            return Ok(Typed::new(sql, kind));
        }
        let list: Vec<String> = args.into_iter().map(|arg| arg.sql).collect();
        return Ok(Typed::new(format!("{name}({})", list.join(", ")), kind));
    }
    let sql: Vec<&str> = args.iter().map(|arg| arg.sql.as_str()).collect();
    Ok(match (name, first, sql.as_slice()) {
        ("length", Kind::Text, [text]) => Typed::new(format!("length({text})"), Kind::Int(32)),
        ("upper", Kind::Text, [text]) => Typed::new(format!("upper_case({text})"), Kind::Text),
        ("replace", Kind::Text, [text, old, new]) => Typed::new(format!("replace({text}, {old}, {new})"), Kind::Text),
        ("substr", Kind::Text, [text, start, count]) => {
            Typed::new(format!("substr({text}, {start}, {count})"), Kind::Text)
        }
        ("concat", _, parts) => {
            let parts: Vec<String> = parts.iter().map(|part| format!("coalesce({part}, '')")).collect();
            Typed::new(format!("({})", parts.join(" || ")), Kind::Text)
        }
        ("abs", Kind::Int(bits), [number]) => Typed::new(
            format!("(CASE WHEN {number} < 0 THEN int_op('-', 0, {number}, {bits}) ELSE {number} END)"),
            first,
        ),
        ("round" | "sqrt", Kind::Float(bits), [number]) => {
            Typed::new(fitted(format!("float_unary('{name}', {number})"), bits), first)
        }
        ("date_trunc", _, [unit, time]) => Typed::new(format!("trunc({unit}, {time})"), Kind::Time),
        ("date_bin", _, [size, time]) => Typed::new(floor(time, size), Kind::Time),
        _ => return Err(Difference::Syntax.into()),
    })
}

/// The multiple of `size` at or below `time`, also before 1970.
pub(super) fn floor(time: &str, size: &str) -> String {
    format!("({time} - (({time} % {size}) + {size}) % {size})")
}

fn arithmetic(left: Typed, op: &str, right: Typed) -> Result<Typed, Outside> {
    let (a, b) = (&left.sql, &right.sql);
    Ok(match (left.kind, right.kind) {
        (Kind::Int(x), Kind::Int(y)) => {
            let bits = x.max(y);
            Typed::new(format!("int_op('{op}', {a}, {b}, {bits})"), Kind::Int(bits))
        }
        (Kind::Float(_), Kind::Float(_) | Kind::Int(_)) | (Kind::Int(_), Kind::Float(_)) => {
            let bits =
                [left.kind, right.kind].into_iter().map(|kind| if let Kind::Float(bits) = kind { bits } else { 0 });
            let bits = bits.max().unwrap_or(64);
            let (a, b) = (float(left, bits), float(right, bits));
            Typed::new(fitted(format!("float_op('{op}', {a}, {b})"), bits), Kind::Float(bits))
        }
        (Kind::Decimal(x, from), Kind::Decimal(y, to)) if matches!(op, "+" | "-") => {
            let scale = from.max(to);
            let whole = (x as i8 - from).max(y as i8 - to);
            let kind = Kind::Decimal(((whole + scale + 1) as u8).min(38), scale);
            let (a, b) = (left.widened(kind), right.widened(kind));
            Typed::new(format!("wide_op('{op}', {}, {})", a.sql, b.sql), kind)
        }
        (Kind::Decimal(..), Kind::Decimal(..)) => return Err(Difference::DecimalProducts.into()),
        (Kind::Unsigned, _) | (_, Kind::Unsigned) => return Err(Difference::UnsignedArithmetic.into()),
        _ => return Err(Difference::MixedTypes.into()),
    })
}

/// A number as a double.
pub(super) fn float(value: Typed, bits: u8) -> String {
    match value.kind {
        Kind::Int(_) | Kind::Unsigned => fitted(format!("float_of_int({}, {bits})", value.sql), bits),
        _ => value.sql,
    }
}

/// Rounded to 32 bits where the type has no more; a sum, product, quotient or root of such numbers is rounded right.
fn fitted(sql: String, bits: u8) -> String {
    if bits == 32 { format!("float_unary('f32', {sql})") } else { sql }
}

pub(super) fn cast(value: Typed, to: Kind) -> Result<Typed, Outside> {
    let x = &value.sql;
    let sql = match (value.kind, to) {
        (from, to) if from == to => value.sql,
        (Kind::Null, _) => value.sql,
        (Kind::Int(_), Kind::Int(bits)) => format!("int_op('+', 0, {x}, {bits})"),
        (Kind::Unsigned, Kind::Int(64)) | (Kind::Bool, Kind::Int(_)) | (Kind::Float(32), Kind::Float(64)) => value.sql,
        (Kind::Int(_), Kind::Bool) => format!("({x} <> 0)"),
        (Kind::Int(_) | Kind::Unsigned, Kind::Float(bits)) => float(value, bits),
        (Kind::Int(_), Kind::Decimal(digits, scale)) => format!("decimal_of_int({x}, {digits}, {scale})"),
        (Kind::Int(_) | Kind::Unsigned, Kind::Text) => format!("CAST({x} AS TEXT)"),
        (Kind::Bool, Kind::Text) => format!("(CASE {x} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"),
        (Kind::Float(bits), Kind::Text) => format!("text_of_float({x}, {bits})"),
        (Kind::Float(_), Kind::Int(bits)) => format!("int_of_float({x}, {bits})"),
        (Kind::Decimal(_, scale), Kind::Text) => format!("text_of_decimal({x}, {scale})"),
        (Kind::Decimal(_, scale), Kind::Int(bits)) => {
            format!("int_op('+', 0, {x} / {}, {bits})", 10i64.pow(scale as u32))
        }
        (Kind::Decimal(_, scale), Kind::Float(64)) => format!("float_of_decimal({x}, {scale})"),
        (Kind::Decimal(digits, from), Kind::Decimal(more, to))
            if from <= to && digits as i8 - from <= more as i8 - to =>
        {
            return Ok(value.widened(Kind::Decimal(more, to)));
        }
        (Kind::Date, Kind::Text) => format!("text_of_time({x} * {DAY}, 'day')"),
        (Kind::Time, Kind::Text) => format!("text_of_time({x}, 'second')"),
        (Kind::Time, Kind::Date) => format!("({} / {DAY})", floor(x, &DAY.to_string())),
        (Kind::Date, Kind::Time) => format!("({x} * {DAY})"),
        (Kind::Text, Kind::Int(bits)) => format!("int_of_text({x}, {bits})"),
        (Kind::Text, Kind::Float(64)) => format!("float_of_text({x})"),
        (Kind::Text, Kind::Bool) => format!("bool_of_text({x})"),
        (Kind::Text, Kind::Time) => format!("time_of_text({x})"),
        (Kind::Text, Kind::Date) => format!("(time_of_text({x}) / {DAY})"),
        (_, Kind::Decimal(..)) => return Err(Difference::ToDecimal.into()),
        _ => return Err(Difference::MixedTypes.into()),
    };
    Ok(Typed::new(sql, to))
}

fn literal(value: &Value) -> Result<Typed, Outside> {
    Ok(match value {
        Value::Null => Typed::new("NULL", Kind::Null),
        Value::Boolean(value) => Typed::new(i32::from(*value).to_string(), Kind::Bool),
        Value::SingleQuotedString(text) => Typed::new(format!("'{}'", text.replace('\'', "''")), Kind::Text),
        Value::Number(text, _) => match text.parse::<i64>() {
            Ok(number) => Typed::new(number.to_string(), Kind::Int(64)),
            Err(_) => {
                let number = text.parse::<f64>().map_err(|_| Difference::Syntax)?;
                Typed::new(format!("({})", to_key(number)), Kind::Float(64))
            }
        },
        _ => return Err(Difference::Syntax.into()),
    })
}

/// `DATE '...'` and `TIMESTAMP '...'`.
fn point(data_type: &DataType, value: &Value) -> Result<Typed, Outside> {
    let Value::SingleQuotedString(text) = value else { return Err(Difference::Syntax.into()) };
    match Kind::named(&data_type.to_string())? {
        Kind::Date => {
            let date = text.parse::<NaiveDate>().map_err(|_| Difference::Syntax)?;
            Ok(Typed::new(format!("({})", days(date)), Kind::Date))
        }
        Kind::Time => {
            let time = DateTime::parse_from_rfc3339(&format!("{}Z", text.replace(' ', "T")));
            Ok(Typed::new(format!("({})", time.map_err(|_| Difference::Syntax)?.timestamp_micros()), Kind::Time))
        }
        _ => Err(Difference::Syntax.into()),
    }
}

fn days(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days()
}

/// An interval in microseconds, a day with 24 hours.
pub(super) fn length(interval: &Interval) -> Result<i64, Outside> {
    let outside = Outside(Difference::Syntax);
    let Expr::Value(value) = interval.value.as_ref() else { return Err(outside) };
    let (Value::SingleQuotedString(text), None) = (&value.value, &interval.leading_field) else { return Err(outside) };
    let (number, unit) = text.split_once(' ').ok_or(outside)?;
    let unit = match unit.trim_end_matches('s') {
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => DAY,
        _ => return Err(outside),
    };
    Ok(number.parse::<i64>().map_err(|_| outside)? * unit)
}
