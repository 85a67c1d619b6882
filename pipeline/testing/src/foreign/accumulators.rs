//! Aggregates that SQLite lacks or means otherwise, also for frames.

use super::differences::Difference;
use super::exact::Sum;
use super::functions::{narrowed, outside};
use super::kind::{from_key, to_key};
use super::lists;
use rusqlite::functions::{Aggregate, Context, FunctionFlags, WindowAggregate};
use rusqlite::types::Value;
use rusqlite::{Connection, Result};

/// A sum of integers: NULL, or outside of what is compared, when it needs more than 64 bits.
struct IntegerSum {
    wide_is_null: bool,
}

/// A sum or mean of doubles.
struct FloatSum {
    mean: bool,
}

/// `bit_and`, `bit_or`, `bit_xor`.
struct Bits {
    combine: Combine,
}

type Combine = fn(i64, i64) -> i64;

/// The value at a place, from 1 at the start or from -1 at the end.
struct Nth;

/// `count(DISTINCT x)` of doubles, each given once: outside of what is compared where 0.0 and -0.0 meet.
struct FloatCount;

/// `array_agg`: all values in order.
struct List;

/// Registers all of them.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_window_function("int_sum", 1, flags, IntegerSum { wide_is_null: true })?;
    connection.create_window_function("wide_sum", 1, flags, IntegerSum { wide_is_null: false })?;
    connection.create_window_function("float_sum", 1, flags, FloatSum { mean: false })?;
    connection.create_window_function("float_avg", 1, flags, FloatSum { mean: true })?;
    let bits: [(&str, Combine); 3] = [("bit_and", |a, b| a & b), ("bit_or", |a, b| a | b), ("bit_xor", |a, b| a ^ b)];
    for (name, combine) in bits {
        connection.create_aggregate_function(name, 1, flags, Bits { combine })?;
    }
    connection.create_aggregate_function("float_count", 1, flags, FloatCount)?;
    connection.create_aggregate_function("list", 1, flags, List)?;
    connection.create_aggregate_function("nth", 2, flags, Nth)
}

// === impl IntegerSum ===

impl Aggregate<(i128, i64), Option<i64>> for IntegerSum {
    fn init(&self, _: &mut Context<'_>) -> Result<(i128, i64)> {
        Ok((0, 0))
    }

    fn step(&self, call: &mut Context<'_>, (sum, count): &mut (i128, i64)) -> Result<()> {
        if let Some(value) = call.get::<Option<i64>>(0)? {
            (*sum, *count) = (*sum + i128::from(value), *count + 1);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<(i128, i64)>) -> Result<Option<i64>> {
        self.value(state.as_ref().copied().as_mut())
    }
}

impl WindowAggregate<(i128, i64), Option<i64>> for IntegerSum {
    fn value(&self, state: Option<&mut (i128, i64)>) -> Result<Option<i64>> {
        match state {
            None | Some((_, 0)) => Ok(None),
            Some((sum, _)) if self.wide_is_null => Ok(i64::try_from(*sum).ok()),
            Some((sum, _)) => narrowed(*sum).map(Some),
        }
    }

    fn inverse(&self, call: &mut Context<'_>, (sum, count): &mut (i128, i64)) -> Result<()> {
        if let Some(value) = call.get::<Option<i64>>(0)? {
            (*sum, *count) = (*sum - i128::from(value), *count - 1);
        }
        Ok(())
    }
}

// === impl FloatSum ===

impl Aggregate<Sum, Option<i64>> for FloatSum {
    fn init(&self, _: &mut Context<'_>) -> Result<Sum> {
        Ok(Sum::new())
    }

    fn step(&self, call: &mut Context<'_>, sum: &mut Sum) -> Result<()> {
        if let Some(key) = call.get(0)? {
            sum.add(from_key(key), 1);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<Sum>) -> Result<Option<i64>> {
        self.value(sum.clone().as_mut())
    }
}

impl WindowAggregate<Sum, Option<i64>> for FloatSum {
    fn value(&self, sum: Option<&mut Sum>) -> Result<Option<i64>> {
        Ok(sum.and_then(|sum| if self.mean { sum.mean() } else { sum.sum() }).map(to_key))
    }

    fn inverse(&self, call: &mut Context<'_>, sum: &mut Sum) -> Result<()> {
        if let Some(key) = call.get(0)? {
            sum.add(from_key(key), -1);
        }
        Ok(())
    }
}

// === impl Bits ===

impl Aggregate<Option<i64>, Option<i64>> for Bits {
    fn init(&self, _: &mut Context<'_>) -> Result<Option<i64>> {
        Ok(None)
    }

    fn step(&self, call: &mut Context<'_>, bits: &mut Option<i64>) -> Result<()> {
        if let Some(value) = call.get::<Option<i64>>(0)? {
            *bits = Some(bits.map_or(value, |bits| (self.combine)(bits, value)));
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, bits: Option<Option<i64>>) -> Result<Option<i64>> {
        Ok(bits.flatten())
    }
}

// === impl Nth ===

impl Aggregate<(i64, Vec<Value>), Value> for Nth {
    fn init(&self, call: &mut Context<'_>) -> Result<(i64, Vec<Value>)> {
        Ok((call.get(1)?, Vec::new()))
    }

    fn step(&self, call: &mut Context<'_>, (_, values): &mut (i64, Vec<Value>)) -> Result<()> {
        values.push(call.get(0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<(i64, Vec<Value>)>) -> Result<Value> {
        let Some((place, mut values)) = state else { return Ok(Value::Null) };
        let at = if place < 0 { values.len() as i64 + place } else { place - 1 };
        Ok(usize::try_from(at)
            .ok()
            .filter(|at| *at < values.len())
            .map(|at| values.swap_remove(at))
            .unwrap_or(Value::Null))
    }
}

// === impl FloatCount ===

impl Aggregate<Vec<i64>, i64> for FloatCount {
    fn init(&self, _: &mut Context<'_>) -> Result<Vec<i64>> {
        Ok(Vec::new())
    }

    fn step(&self, call: &mut Context<'_>, keys: &mut Vec<i64>) -> Result<()> {
        keys.extend(call.get::<Option<i64>>(0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, keys: Option<Vec<i64>>) -> Result<i64> {
        let keys = keys.unwrap_or_default();
        let both = [0.0, -0.0].iter().all(|zero| keys.contains(&to_key(*zero)));
        if both { Err(outside(Difference::Zeros)) } else { Ok(keys.len() as i64) }
    }
}

// === impl List ===

impl Aggregate<String, Option<String>> for List {
    fn init(&self, _: &mut Context<'_>) -> Result<String> {
        Ok(String::new())
    }

    fn step(&self, call: &mut Context<'_>, list: &mut String) -> Result<()> {
        lists::push(list, &call.get(0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, list: Option<String>) -> Result<Option<String>> {
        Ok(list)
    }
}
