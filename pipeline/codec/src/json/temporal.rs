//! Text of dates, times, durations and intervals in messages, always in quotes.
//!
//! | type | text |
//! |---|---|
//! | timestamps of any unit and zone | `2026-03-29T01:00:00.500Z`: UTC, three or six digits of fraction if any |
//! | dates | `2026-03-29` |
//! | times of day | `01:00:00`, with a fraction where there is one |
//! | durations, intervals | ISO 8601: `PT90.5S`, `P14M3DT-0.25S` (each part with its own sign), `PT0S` for nothing |
//!
//! What no calendar of 262,000 years has is `null`.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike};
use citystream_model::time::{Micros, format_time};
use std::io::{self, Write};

const MILLIS_PER_DAY: i64 = 86_400_000;
const NANOS_PER_SECOND: i128 = 1_000_000_000;

pub(super) fn is_temporal(data_type: &DataType) -> bool {
    use DataType::{Date32, Date64, Duration, Interval, Time32, Time64, Timestamp};
    matches!(data_type, Timestamp(..) | Date32 | Date64 | Time32(_) | Time64(_) | Duration(_) | Interval(_))
}

/// Appends the value of `row`, which is not null.
pub(super) fn value(out: &mut Vec<u8>, array: &dyn Array, row: usize) -> io::Result<()> {
    match array.data_type() {
        DataType::Timestamp(unit, _) => timestamp(out, micros(array, row, *unit)),
        DataType::Date32 => date(out, array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Date64 => date(out, array.as_primitive::<Date64Type>().value(row).div_euclid(MILLIS_PER_DAY)),
        DataType::Time32(TimeUnit::Second) => {
            time_of_day(out, i128::from(array.as_primitive::<Time32SecondType>().value(row)) * NANOS_PER_SECOND)
        }
        DataType::Time32(_) => {
            time_of_day(out, i128::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1_000_000)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            time_of_day(out, i128::from(array.as_primitive::<Time64MicrosecondType>().value(row)) * 1_000)
        }
        DataType::Time64(_) => time_of_day(out, array.as_primitive::<Time64NanosecondType>().value(row).into()),
        DataType::Duration(unit) => period(out, 0, 0, duration_nanos(array, row, *unit)),
        DataType::Interval(IntervalUnit::YearMonth) => {
            period(out, array.as_primitive::<IntervalYearMonthType>().value(row), 0, 0)
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            period(out, 0, value.days, i128::from(value.milliseconds) * 1_000_000)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            period(out, value.months, value.days, value.nanoseconds.into())
        }
        _ => out.write_all(b"null"),
    }
}

// === timestamps and dates ===

/// `None` beyond the range of 64-bit microseconds; what is finer is cut off.
fn micros(array: &dyn Array, row: usize, unit: TimeUnit) -> Option<Micros> {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000),
        TimeUnit::Microsecond => Some(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        TimeUnit::Nanosecond => Some(array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000)),
    }
}

fn timestamp(out: &mut Vec<u8>, at: Option<Micros>) -> io::Result<()> {
    let time = at.and_then(|at| Some((at, DateTime::from_timestamp_micros(at)?.naive_utc())));
    let Some((at, time)) = time else { return out.write_all(b"null") };
    if !(0..=9999).contains(&time.year()) {
        return write!(out, "\"{}\"", format_time(at));
    }
    out.push(b'"');
    four_digit_date(out, time.date());
    for (mark, part) in [(b'T', time.hour()), (b':', time.minute()), (b':', time.second())] {
        out.push(mark);
        two_digits(out, part);
    }
    match time.nanosecond() / 1_000 {
        0 => {}
        micros if micros % 1_000 == 0 => write!(out, ".{:03}", micros / 1_000)?,
        micros => write!(out, ".{micros:06}")?,
    }
    out.write_all(b"Z\"")
}

/// `day` counts from the epoch.
fn date(out: &mut Vec<u8>, day: i64) -> io::Result<()> {
    let date = chrono::TimeDelta::try_days(day).and_then(|days| NaiveDate::default().checked_add_signed(days));
    match date {
        None => out.write_all(b"null"),
        Some(date) if (0..=9999).contains(&date.year()) => {
            out.push(b'"');
            four_digit_date(out, date);
            out.push(b'"');
            Ok(())
        }
        Some(date) => write!(out, "\"{date}\""),
    }
}

fn four_digit_date(out: &mut Vec<u8>, date: NaiveDate) {
    let year = date.year().unsigned_abs();
    two_digits(out, year / 100);
    two_digits(out, year % 100);
    out.push(b'-');
    two_digits(out, date.month());
    out.push(b'-');
    two_digits(out, date.day());
}

/// `number` is below 100.
fn two_digits(out: &mut Vec<u8>, number: u32) {
    out.extend([b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

fn time_of_day(out: &mut Vec<u8>, nanos: i128) -> io::Result<()> {
    let seconds = u32::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok();
    let nanos = nanos.rem_euclid(NANOS_PER_SECOND) as u32;
    match seconds.and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos)) {
        Some(time) => write!(out, "\"{time}\""),
        None => out.write_all(b"null"),
    }
}

// === durations and intervals ===

fn duration_nanos(array: &dyn Array, row: usize, unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => i128::from(array.as_primitive::<DurationSecondType>().value(row)) * NANOS_PER_SECOND,
        TimeUnit::Millisecond => i128::from(array.as_primitive::<DurationMillisecondType>().value(row)) * 1_000_000,
        TimeUnit::Microsecond => i128::from(array.as_primitive::<DurationMicrosecondType>().value(row)) * 1_000,
        TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().value(row).into(),
    }
}

/// `P14M3DT0.25S`, without the parts that are zero.
fn period(out: &mut Vec<u8>, months: i32, days: i32, nanos: i128) -> io::Result<()> {
    out.write_all(b"\"P")?;
    if months != 0 {
        write!(out, "{months}M")?;
    }
    if days != 0 {
        write!(out, "{days}D")?;
    }
    if nanos != 0 || (months == 0 && days == 0) {
        let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
        let second = NANOS_PER_SECOND.unsigned_abs();
        write!(out, "T{sign}{}", nanos / second)?;
        if !nanos.is_multiple_of(second) {
            let fraction = format!(".{:09}", nanos % second);
            out.write_all(fraction.trim_end_matches('0').as_bytes())?;
        }
        out.push(b'S');
    }
    out.write_all(b"\"")
}
