//! The decoder against a slow, independent one on `serde_json::Value`, over random records with wrong types, duplicate
//! keys and damaged text.
//!
//! The reference reads numbers through `f64`, so the generated ones have at most 15 digits.

use super::Decoder;
use super::tests::{NOW, column, decoded_bytes, record, records, stream, time_column};
use crate::reject::Reason;
use arrow::datatypes::DataType;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use citystream_model::stream::{Column, Path, Stream, timestamp_type};
use citystream_model::time::{MAX_EVENT_TIME, MIN_EVENT_TIME, Micros, format_time};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decoder_and_reference_agree(body in body(), damage in damage()) {
        let bytes = damaged(body.into_bytes(), &damage);
        let stream = declared();
        let expect = match reference(&stream, &bytes) {
            Ok(row) => Ok(row),
            // The reference reads every token, the decoder those of declared columns only.
            Err(Refused::Unread) => return Ok(()),
            Err(Refused::Because(reason)) => Err(reason),
        };
        let decoded = Decoder::new(Arc::new(stream.clone())).decode(0, &records([record(&bytes)]), NOW).unwrap();
        match (expect, decoded.rejects.as_slice()) {
            (Ok(row), []) => {
                let found: Value = serde_json::from_str(&decoded_bytes(&stream, &bytes)).unwrap();
                prop_assert_eq!(found, Value::Object(row));
            }
            (Err(reason), [reject]) => {
                // Damaged text may be wrong in several ways at once.
                prop_assert!(damage.is_some() || reject.reason == reason, "{reason}, found {reject:?}");
                prop_assert!(!reject.detail.is_empty() && reject.detail.len() <= 200);
            }
            (expect, rejects) => prop_assert!(false, "expected {expect:?}, found {rejects:?}"),
        }
    }
}

fn declared() -> Stream {
    let required = Column { nullable: false, ..column("i", DataType::Int32, &["i"]) };
    let mut stream = stream(vec![
        required,
        column("d", DataType::Float64, &["d"]),
        column("f", DataType::Float32, &["f"]),
        column("t", DataType::Utf8, &["t"]),
        column("b", DataType::Boolean, &["b"]),
        column("n", DataType::Decimal128(6, 2), &["n"]),
        column("day", DataType::Date32, &["day"]),
        column("o", DataType::Utf8, &["o"]),
        column("oi", DataType::Int64, &["o", "i"]),
        column("pt", DataType::Utf8, &["p", "q", "t"]),
        column("pi", DataType::Int16, &["p", "i"]),
        time_column(),
    ]);
    stream.max_future = std::time::Duration::from_secs(60);
    stream
}

// === generated records ===

const NUMBERS: [&str; 24] = [
    "0",
    "-0",
    "1",
    "-1",
    "3.0",
    "3e0",
    "3.5",
    "0.25",
    "-0.0",
    "12.345",
    "127",
    "32767",
    "32768",
    "-32768",
    "99999",
    "9999.99",
    "10000",
    "2147483647",
    "2147483648",
    "-2147483648",
    "99999999999",
    "1e5",
    "1.5E+2",
    "25e-2",
];
const TEXTS: [&str; 14] = [
    "",
    "a",
    "12",
    "many",
    "null",
    "é😀",
    "2026-01-01",
    "2026-02-30",
    "2025-12-31T23:00:00Z",
    "2025-12-31 23:00:00.25",
    "2026-01-01T01:00:30+01:00",
    "2026-01-01T00:02:00Z",
    "1699-12-31T23:59:59Z",
    "2300-01-01T00:00:00",
];
const NAMES: [&str; 14] = ["i", "d", "f", "t", "b", "n", "day", "o", "p", "at", "q", "x", "", "I"];

pub(super) fn body() -> impl Strategy<Value = String> {
    let good = Just(r#""i":1,"at":"2025-12-31T23:00:00Z""#.to_owned());
    let fields = prop::collection::vec(field(), 0..8).prop_map(|fields| fields.join(","));
    (prop_oneof![4 => good, 1 => Just(String::new())], fields, any::<bool>()).prop_map(|(good, fields, first)| {
        let parts = if first { [good, fields] } else { [fields, good] };
        format!("{{{}}}", parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" , "))
    })
}

/// A field, most often of the type that a column of its name has.
fn field() -> impl Strategy<Value = String> {
    let number = prop::sample::select(&NUMBERS[..]).prop_map(str::to_owned);
    let text = prop::sample::select(&TEXTS[..]).prop_map(|text| serde_json::to_string(text).unwrap());
    let any_name = (prop::sample::select(&NAMES[..]), value());
    let numbers = (prop::sample::select(&["i", "d", "f", "n"][..]), number);
    let texts = (prop::sample::select(&["t", "day", "at"][..]), text);
    let named = prop_oneof![2 => any_name, 3 => numbers, 2 => texts];
    named.prop_map(|(name, value)| format!("\"{name}\" :{value}"))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(&["null", "true", "false", "[]", "{}"][..]).prop_map(str::to_owned),
        prop::sample::select(&NUMBERS[..]).prop_map(str::to_owned),
        prop::sample::select(&TEXTS[..]).prop_map(|text| serde_json::to_string(text).unwrap()),
        prop::sample::select(&[62_usize, 63, 64, 70][..]).prop_map(|deep| "[".repeat(deep) + &"]".repeat(deep)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let field =
            (prop::sample::select(&NAMES[..]), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            3 => prop::collection::vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(", "))),
        ]
    })
}

/// A place in the text, and a byte to put there, or nothing to take one away.
type Damage = Option<(prop::sample::Index, Option<u8>)>;

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop::option::of(prop::sample::select(&b"{}[]\",:\\ \n\x00\xff\xc3x"[..]));
    prop::option::weighted(0.3, (any::<prop::sample::Index>(), byte))
}

fn damaged(mut bytes: Vec<u8>, damage: &Damage) -> Vec<u8> {
    match damage {
        None => {}
        Some((at, Some(byte))) => bytes.insert(at.index(bytes.len()), *byte),
        Some((at, None)) => drop(bytes.remove(at.index(bytes.len()))),
    }
    bytes
}

// === the reference ===

enum Refused {
    Because(Reason),
    /// A string that is no text, or a number that no float holds.
    Unread,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Because(reason)
    }
}

fn reference(stream: &Stream, bytes: &[u8]) -> Result<Map<String, Value>, Refused> {
    let body = body_of(bytes)?;
    let mut row = Map::new();
    for column in &stream.columns {
        let found = at_path(&body, column)?;
        if column.name == "at" || !column.nullable {
            match found {
                None => return Err(Reason::MissingColumn.into()),
                Some(Value::Null) => return Err(Reason::NullColumn.into()),
                Some(_) => {}
            }
        }
        let cell = match found {
            None | Some(Value::Null) => Value::Null,
            Some(value) => cell(&column.data_type, value)?,
        };
        row.insert(column.name.clone(), cell);
    }
    let event_time = DateTime::parse_from_rfc3339(row["at"].as_str().unwrap()).unwrap();
    if event_time.timestamp_micros() > NOW + 60_000_000 {
        return Err(Reason::FutureTime.into());
    }
    Ok(row)
}

fn body_of(bytes: &[u8]) -> Result<Value, Refused> {
    if bytes.is_empty() {
        return Err(Reason::EmptyValue.into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::InvalidUtf8)?;
    let value: Value = serde_json::from_str(text).map_err(|error| match error.to_string() {
        message if message.contains("surrogate") || message.contains("out of range") => Refused::Unread,
        message if message.contains("unexpected end of hex") => Refused::Unread,
        _ => Refused::Because(Reason::InvalidJson),
    })?;
    if serde_json::from_str::<Depth>(text).is_ok_and(|deepest| deepest.0 > 64) {
        return Err(Reason::TooDeep.into());
    }
    if value.is_object() { Ok(value) } else { Err(Reason::NotAnObject.into()) }
}

fn at_path<'v>(value: &'v Value, column: &Column) -> Result<Option<&'v Value>, Reason> {
    let Path::Body(path) = &column.path else { panic!("the reference knows the body only") };
    let mut at = Some(value);
    for name in path {
        at = match at {
            None | Some(Value::Null) => return Ok(at),
            Some(Value::Object(fields)) => fields.get(name),
            Some(_) => return Err(Reason::WrongType),
        };
    }
    Ok(at)
}

/// The value as the encoder would write it.
fn cell(data_type: &DataType, value: &Value) -> Result<Value, Reason> {
    let number = || value.as_f64().ok_or(Reason::WrongType);
    let text = || value.as_str().ok_or(Reason::WrongType);
    match data_type {
        DataType::Int16 => whole(number()?, i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => whole(number()?, i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => whole(number()?, i64::MIN as f64, i64::MAX as f64),
        DataType::Float64 => Ok(number()?.into()),
        DataType::Float32 => Ok((number()? as f32).to_string().parse::<f64>().unwrap().into()),
        DataType::Utf8 => Ok(text()?.into()),
        DataType::Boolean => value.as_bool().map(Value::Bool).ok_or(Reason::WrongType),
        DataType::Decimal128(6, 2) => decimal(number()?),
        DataType::Date32 => match NaiveDate::parse_from_str(text()?, "%Y-%m-%d") {
            Ok(date) if date.to_string() == text()? => Ok(text()?.into()),
            _ => Err(Reason::BadTime),
        },
        other if *other == timestamp_type() => {
            let at = time(text()?).ok_or(Reason::BadTime)?;
            if (MIN_EVENT_TIME..MAX_EVENT_TIME).contains(&at) {
                Ok(format_time(at).into())
            } else {
                Err(Reason::TimeOutOfRange)
            }
        }
        other => panic!("the reference does not know {other}"),
    }
}

fn whole(number: f64, min: f64, max: f64) -> Result<Value, Reason> {
    match number {
        number if number.fract() != 0.0 => Err(Reason::WrongType),
        number if number < min || number > max => Err(Reason::OutOfRange),
        number => Ok((number as i64).into()),
    }
}

/// The shortest text of a float has the digits that were written.
fn decimal(number: f64) -> Result<Value, Reason> {
    let text = number.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    if whole.len() > 4 || fraction.len() > 2 { Err(Reason::OutOfRange) } else { Ok(number.into()) }
}

fn time(text: &str) -> Option<Micros> {
    let rfc3339 = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros());
    // Chrono wants the colon of an offset.
    let without_colon = || {
        let (head, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
        rfc3339(&format!("{head}:{minutes}"))
    };
    let local = |format| {
        let time = NaiveDateTime::parse_from_str(text, format).ok()?;
        // Chrono takes months and days of one digit, too.
        let is_padded = text.get(..19).is_some_and(|text| text.replace('T', " ") == time.format("%F %T").to_string());
        is_padded.then(|| time.and_utc().timestamp_micros())
    };
    let with_offset = rfc3339(text).or_else(without_colon);
    with_offset.or_else(|| local("%Y-%m-%d %H:%M:%S%.f")).or_else(|| local("%Y-%m-%dT%H:%M:%S%.f"))
}

/// How deep a value is, those that a duplicate key replaces included.
struct Depth(usize);

impl<'de> Deserialize<'de> for Depth {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_any(Self(0))
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        let mut deepest = 0;
        while let Some(item) = items.next_element::<Self>()? {
            deepest = deepest.max(item.0);
        }
        Ok(Self(deepest + 1))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut deepest = 0;
        while let Some((_, field)) = fields.next_entry::<IgnoredAny, Self>()? {
            deepest = deepest.max(field.0);
        }
        Ok(Self(deepest + 1))
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}
