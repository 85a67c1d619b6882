//! Raw records of a stream, good and bad, with what has to become of each.

use crate::world::{Column, SECOND, StreamDef, TimeText, Type, World};
use bytes::Bytes;
use citystream_codec::Record;
use citystream_model::time::{Micros, format_time};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// A record and what has to become of it.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The record as it came.
    pub record: Record,
    /// Its fate at the decoder.
    pub fate: Fate,
}

/// What the decoder has to make of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A row with this event time.
    Row(Micros),
    /// A reject.
    Reject,
    /// Nothing: it has no value.
    Tombstone,
}

/// Records of each partition of `stream`.
pub fn generate(rng: &mut StdRng, world: &World, stream: &StreamDef) -> Vec<Vec<Raw>> {
    let most = *[3, 20, 40, 80].choose(rng).unwrap();
    let mut partition = |number: i32| {
        let keys = stream.keys(number);
        if rng.random_bool(0.1) { Vec::new() } else { one_partition(rng, world, stream, &keys, most) }
    };
    (0..stream.partitions).map(&mut partition).collect()
}

fn one_partition(rng: &mut StdRng, world: &World, stream: &StreamDef, keys: &[&str], most: usize) -> Vec<Raw> {
    let mut newest = world.base + rng.random_range(0..10) * world.pace;
    let (mut records, mut offset) = (Vec::new(), rng.random_range(0..3));
    for _ in 0..rng.random_range(0..=most) {
        let step = match rng.random_range(0..20) {
            0 => rng.random_range(0..40),
            1..5 => 0,
            _ => rng.random_range(0..3),
        };
        newest += step * world.pace;
        let behind = if rng.random_bool(0.4) { rng.random_range(0..=stream.out_of_order * 3 / 2) } else { 0 };
        let time = awkward(rng, stream, newest - behind, world.pace);
        records.push(record(rng, stream, keys, offset, time));
        // Compaction and transaction markers leave holes.
        offset += if rng.random_bool(0.1) { 3 } else { 1 };
        if rng.random_bool(0.05)
            && let Some(last) = records.last().cloned()
        {
            let record = Record { offset, ..last.record };
            records.push(Raw { record, ..last });
            offset += 1;
        }
    }
    records
}

/// Times that fall on window bounds, or just beside them.
fn awkward(rng: &mut StdRng, stream: &StreamDef, time: Micros, pace: Micros) -> Micros {
    let unit = match stream.time_text {
        TimeText::Seconds => SECOND,
        TimeText::Millis => 1_000,
        TimeText::Rfc3339 | TimeText::Micros => 1,
    };
    let rough = match rng.random_range(0..6) {
        0 => time.div_euclid(60 * SECOND) * 60 * SECOND,
        1 => time.div_euclid(300 * SECOND) * 300 * SECOND - unit,
        2 => time + rng.random_range(0..pace),
        _ => time,
    };
    rough.div_euclid(unit) * unit
}

fn record(rng: &mut StdRng, stream: &StreamDef, keys: &[&str], offset: i64, time: Micros) -> Raw {
    let by_record = stream.time_column == "_timestamp";
    let timestamp = if by_record { time } else { time + rng.random_range(0..10) * SECOND };
    let key = rng.random_bool(0.7).then(|| Bytes::from_static(b"key"));
    let record =
        |value: Option<String>| Record { offset, timestamp, key, value: value.map(Bytes::from), headers: Vec::new() };
    if rng.random_bool(0.03) {
        return Raw { record: record(None), fate: Fate::Tombstone };
    }
    if rng.random_bool(0.04) {
        let broken = ["", "{", "[1]", "nope", "{\"at\":}", "{} {}", "\"x\"", "NaN"].choose(rng).unwrap();
        return Raw { record: record(Some((*broken).to_owned())), fate: Fate::Reject };
    }
    let flaw = if rng.random_bool(0.08) { rng.random_range(1..5) } else { 0 };
    let (time_text, time_fate) = match flaw {
        1 if !by_record => (Some(written(stream, timestamp + stream.max_future + SECOND)), Fate::Reject),
        2 if !by_record => (None, Fate::Reject),
        3 if !by_record => (Some("null".to_owned()), Fate::Reject),
        _ => (Some(written(stream, time)), Fate::Row(time)),
    };
    let mut fields: Vec<String> = time_text.map(|text| format!("\"at\":{text}")).into_iter().collect();
    let mut fate = time_fate;
    for column in stream.columns.iter().filter(|column| column.name != "at") {
        match value(rng, stream, column, keys, time, flaw == 4) {
            Some((text, good)) => {
                fields.push(format!("\"{}\":{text}", column.name));
                fate = if good { fate } else { Fate::Reject };
            }
            None if column.nullable => {}
            None => fate = Fate::Reject,
        }
    }
    fields.push("\"other\":[1,{\"x\":null}]".to_owned());
    Raw { record: record(Some(format!("{{{}}}", fields.join(",")))), fate }
}

/// A time as the stream writes it.
fn written(stream: &StreamDef, time: Micros) -> String {
    match stream.time_text {
        TimeText::Rfc3339 => format!("\"{}\"", format_time(time)),
        TimeText::Seconds => format!("{}", time.div_euclid(SECOND)),
        TimeText::Millis => format!("{}", time.div_euclid(1_000)),
        TimeText::Micros => format!("{time}"),
    }
}

/// A value as JSON and whether the decoder takes it; `None` leaves the field out.
fn value(
    rng: &mut StdRng,
    stream: &StreamDef,
    column: &Column,
    keys: &[&str],
    time: Micros,
    flawed: bool,
) -> Option<(String, bool)> {
    if flawed && rng.random_bool(0.5) {
        let wrong = if column.data_type == Type::Text { "17" } else { "\"many\"" };
        return Some((wrong.to_owned(), false));
    }
    if rng.random_bool(if column.nullable { 0.15 } else { 0.01 }) {
        return rng.random_bool(0.5).then(|| ("null".to_owned(), column.nullable));
    }
    if column.name == "k" {
        // Skewed: most rows have the first key.
        let key = if rng.random_bool(0.5) { keys[0] } else { keys.choose(rng).unwrap() };
        return Some((format!("\"{key}\""), true));
    }
    let text = match column.data_type {
        Type::Time => written(stream, awkward(rng, stream, time, SECOND)),
        other => pool(other).choose(rng).map(|text| (*text).to_owned()).unwrap(),
    };
    Some((text, true))
}

/// Values of a type: few, so that they meet again, and awkward.
fn pool(data_type: Type) -> &'static [&'static str] {
    match data_type {
        Type::Boolean => &["true", "false"],
        Type::Small => &["0", "1", "-1", "7", "32767", "-32768", "3.0"],
        Type::Int => &["0", "1", "2", "-5", "100", "2147483647", "-2147483648"],
        Type::Big => &["0", "1", "3", "-9", "9223372036854775807", "-9223372036854775808", "9007199254740993"],
        Type::Float => &["0", "-0.0", "1.5", "0.1", "3e38", "1e-45", "-7.25"],
        Type::Double => {
            &["0", "-0.0", "0.1", "0.2", "1e300", "-1e300", "5e-324", "1e16", "-2.5", "1.7976931348623157e308"]
        }
        Type::Decimal => &["0", "0.001", "-12.5", "999999999.999", "-999999999.999", "3"],
        Type::Text => &[
            "\"\"",
            "\"x\"",
            "\"Y\"",
            "\"12\"",
            "\"-3.5\"",
            "\"2026-03-29\"",
            "\"ü\\n\\\"q\\\"\"",
            "\"true\"",
            "\"NULL\"",
        ],
        Type::Date => &["\"2026-03-29\"", "\"1970-01-01\"", "\"2199-12-31\"", "\"2024-02-29\""],
        Type::Time => &[],
    }
}
