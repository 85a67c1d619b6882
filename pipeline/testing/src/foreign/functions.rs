//! Functions on one row that SQLite lacks or means otherwise, written down once more and without Arrow.

use super::differences::{Difference, Outside};
use super::kind::{from_key, to_key};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Error, Result, ToSql};

const DAY: i64 = 86_400_000_000;

/// Registers all of them.
pub(super) fn register(connection: &Connection) -> Result<()> {
    numbers(connection)?;
    decimals(connection)?;
    texts(connection)?;
    add(connection, "trunc", 2, |call| {
        let unit: String = call.get(0)?;
        Ok(call.get::<Option<i64>>(1)?.and_then(|time| truncated(&unit, time)))
    })
}

fn add<T: ToSql>(
    connection: &Connection,
    name: &str,
    args: i32,
    function: impl Fn(&mut Context<'_>) -> Result<T> + Send + 'static,
) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(name, args, flags, function)
}

/// Tells through SQLite that the case lies outside.
pub(super) fn outside(difference: Difference) -> Error {
    Error::UserFunctionError(Box::new(Outside(difference)))
}

/// What a wide integer is as one of 64 bits; beyond them the case lies outside.
pub(super) fn narrowed(value: i128) -> Result<i64> {
    i64::try_from(value).map_err(|_| outside(Difference::WideDecimals))
}

/// 0.0 for -0.0 too.
fn folded(key: i64) -> i64 {
    if key == to_key(-0.0) { 0 } else { key }
}

fn fitted(value: i128, bits: u8) -> Option<i64> {
    let limit = 1i128 << (bits - 1);
    (-limit..limit).contains(&value).then_some(value as i64)
}

fn numbers(connection: &Connection) -> Result<()> {
    add(connection, "int_op", 4, |call| {
        let (op, bits): (String, u8) = (call.get(0)?, call.get(3)?);
        let (Some(a), Some(b)) = (call.get::<Option<i64>>(1)?, call.get::<Option<i64>>(2)?) else { return Ok(None) };
        Ok(integers(&op, a.into(), b.into()).and_then(|value| fitted(value, bits)))
    })?;
    add(connection, "float_op", 3, |call| {
        let op: String = call.get(0)?;
        let (Some(a), Some(b)) = (call.get(1)?, call.get(2)?) else { return Ok(None) };
        let (a, b) = (from_key(a), from_key(b));
        let value = match op.as_str() {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            _ => a % b,
        };
        Ok(Some(to_key(value)))
    })?;
    add(connection, "float_unary", 2, |call| {
        let op: String = call.get(0)?;
        let Some(a) = call.get::<Option<i64>>(1)?.map(from_key) else { return Ok(None) };
        // The root of a negative number is an error, and so NULL.
        if op == "sqrt" && a < 0.0 {
            return Ok(None);
        }
        let value = match op.as_str() {
            "-" => -a,
            "round" => a.round(),
            "sqrt" => a.sqrt(),
            _ => f64::from(a as f32),
        };
        Ok(Some(to_key(value)))
    })?;
    add(connection, "fold", 1, |call| Ok(call.get::<Option<i64>>(0)?.map(folded)))?;
    add(connection, "same_float", 2, |call| {
        let (Some(a), Some(b)) = (call.get(0)?, call.get(1)?) else { return Ok(None) };
        if a != b && folded(a) == folded(b) { Err(outside(Difference::Zeros)) } else { Ok(Some(a == b)) }
    })?;
    add(connection, "float_of_int", 2, |call| {
        let bits: u8 = call.get(1)?;
        let value = |a: i64| if bits == 32 { f64::from(a as f32) } else { a as f64 };
        Ok(call.get::<Option<i64>>(0)?.map(|a| to_key(value(a))))
    })?;
    add(connection, "float_of_real", 1, |call| Ok(call.get::<Option<f64>>(0)?.map(to_key)))?;
    add(connection, "int_of_float", 2, |call| {
        let bits: u8 = call.get(1)?;
        let Some(value) = call.get::<Option<i64>>(0)?.map(from_key).filter(|value| !value.is_nan()) else {
            return Ok(None);
        };
        Ok(fitted(value.trunc() as i128, bits))
    })
}

fn integers(op: &str, a: i128, b: i128) -> Option<i128> {
    match op {
        "+" => Some(a + b),
        "-" => Some(a - b),
        "*" => Some(a * b),
        "/" => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}

fn decimals(connection: &Connection) -> Result<()> {
    add(connection, "rescale", 2, |call| {
        let digits: u32 = call.get(1)?;
        call.get::<Option<i64>>(0)?.map(|value| narrowed(i128::from(value) * 10i128.pow(digits))).transpose()
    })?;
    add(connection, "wide_op", 3, |call| {
        let op: String = call.get(0)?;
        let (Some(a), Some(b)) = (call.get::<Option<i64>>(1)?, call.get::<Option<i64>>(2)?) else { return Ok(None) };
        integers(&op, a.into(), b.into()).map(narrowed).transpose()
    })?;
    add(connection, "decimal_of_int", 3, |call| {
        let (digits, scale): (u32, u32) = (call.get(1)?, call.get(2)?);
        let fitting = call.get::<Option<i64>>(0)?.map(|value| i128::from(value) * 10i128.pow(scale));
        fitting.filter(|value| value.abs() < 10i128.pow(digits)).map(narrowed).transpose()
    })?;
    add(connection, "float_of_decimal", 2, |call| {
        let scale: i32 = call.get(1)?;
        Ok(call.get::<Option<i64>>(0)?.map(|value| to_key(value as f64 / 10f64.powi(scale))))
    })?;
    add(connection, "text_of_decimal", 2, |call| {
        let scale: u32 = call.get(1)?;
        Ok(call.get::<Option<i64>>(0)?.map(|value| {
            let (sign, unit) = (if value < 0 { "-" } else { "" }, 10u64.pow(scale));
            let (whole, fraction) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
            format!("{sign}{whole}.{fraction:0width$}", width = scale as usize)
        }))
    })
}

fn texts(connection: &Connection) -> Result<()> {
    let text = |call: &Context<'_>| call.get::<Option<String>>(0);
    add(connection, "upper_case", 1, move |call| Ok(text(call)?.map(|text| text.to_uppercase())))?;
    add(connection, "text_of_float", 2, |call| {
        let bits: u8 = call.get(1)?;
        let Some(value) = call.get::<Option<i64>>(0)?.map(from_key) else { return Ok(None) };
        let shortest = if bits == 32 { format!("{:?}", value as f32) } else { format!("{value:?}") };
        if is_tie(&shortest, value) { Err(outside(Difference::FloatTies)) } else { Ok(Some(shortest)) }
    })?;
    add(connection, "text_of_time", 2, |call| {
        let format = if call.get::<String>(1)? == "day" { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%S%.f" };
        let time = call.get::<Option<i64>>(0)?.and_then(DateTime::from_timestamp_micros);
        Ok(time.map(|time| time.format(format).to_string()))
    })?;
    add(connection, "int_of_text", 2, move |call| {
        let bits: u8 = call.get(1)?;
        Ok(text(call)?.and_then(|text| text.parse::<i128>().ok()).and_then(|value| fitted(value, bits)))
    })?;
    add(connection, "float_of_text", 1, move |call| Ok(text(call)?.and_then(|text| text.parse().ok()).map(to_key)))?;
    add(connection, "bool_of_text", 1, move |call| {
        Ok(text(call)?.and_then(|text| match text.to_lowercase().as_str() {
            "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Some(1),
            "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Some(0),
            _ => None,
        }))
    })?;
    add(connection, "time_of_text", 1, move |call| {
        Ok(text(call)?.and_then(|text| {
            let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN));
            let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok().or_else(day)?;
            Some(time.and_utc().timestamp_micros())
        }))
    })
}

/// True when another text of the same length is as near: 0.25 between 0.2 and 0.3, had it one digit.
fn is_tie(shortest: &str, value: f64) -> bool {
    let decimals = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let exact = format!("{value:.60}");
    let exact = exact.trim_end_matches('0');
    !shortest.contains('e') && exact.ends_with('5') && decimals(exact) == decimals(shortest) + 1
}

/// The start of the second, minute, hour, day, week or month.
fn truncated(unit: &str, time: i64) -> Option<i64> {
    let size = match unit {
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => DAY,
        _ => {
            let date = DateTime::from_timestamp_micros(time)?.date_naive();
            let first = match unit {
                "week" => date - chrono::Days::new(date.weekday().num_days_from_monday().into()),
                _ => date.with_day(1)?,
            };
            return Some(first.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
        }
    };
    Some(time.div_euclid(size) * size)
}
