//! One token -> one value of a column's type, strictly: no rounding, no number in a string, no guess.

use super::number::{Below, Digits, Unfit, integer, short};
use super::time::{TimeRules, date};
use crate::reject::Reason;
use arrow::datatypes::DataType;
use citystream_model::stream::timestamp_type;
use std::borrow::Cow;

/// A value that fits its column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Boolean(bool),
    /// Of the integer types, days of a DATE, microseconds of a TIMESTAMP.
    Integer(i64),
    Float(f32),
    Double(f64),
    /// Unscaled.
    Decimal(i128),
    Text(Cow<'a, str>),
}

/// How a column's tokens are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Integer {
        min: i64,
        max: i64,
    },
    Float,
    Double,
    Text,
    Date,
    Timestamp,
    /// Unscaled values lie below `limit`, either side of zero.
    Decimal {
        scale: i8,
        limit: i128,
    },
}

/// A token in the two ways that a record can carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// As JSON, text in quotes.
    Json(&'a str),
    /// As bare text of a key or header.
    Bare(&'a str),
}

// === impl Kind ===

impl Kind {
    /// `None` if a stream cannot have a column of this type.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        let integer = |min: i64, max: i64| Some(Self::Integer { min, max });
        match data_type {
            DataType::Boolean => Some(Self::Boolean),
            DataType::Int8 => integer(i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => integer(i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => integer(i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => integer(i64::MIN, i64::MAX),
            DataType::Float32 => Some(Self::Float),
            DataType::Float64 => Some(Self::Double),
            DataType::Utf8 => Some(Self::Text),
            DataType::Date32 => Some(Self::Date),
            DataType::Decimal128(precision, scale) => {
                let limit = 10_i128.checked_pow(u32::from(*precision))?;
                Some(Self::Decimal { scale: *scale, limit })
            }
            other if *other == timestamp_type() => Some(Self::Timestamp),
            _ => None,
        }
    }

    /// Reads one token, which is no null, into `cell`: in place, for the way through a result would be half of the work.
    pub(super) fn read<'a>(self, token: Token<'a>, times: &TimeRules, cell: &mut Cell<'a>) -> Result<(), Reason> {
        let (Token::Json(bare) | Token::Bare(bare)) = token;
        match self {
            Self::Text => *cell = Cell::Text(token.text()?),
            Self::Boolean => *cell = Cell::Boolean(boolean(bare)?),
            Self::Integer { min, max } => {
                let value = integer(bare).ok_or(Reason::WrongType)?.map_err(integer_reason)?;
                if !(min..=max).contains(&value) {
                    return Err(Reason::OutOfRange);
                }
                *cell = Cell::Integer(value);
            }
            Self::Float => *cell = Cell::Float(finite(number(bare)?, f32::is_finite)?),
            Self::Double => {
                let value = short(bare).map_or_else(|| finite(number(bare)?, f64::is_finite), Ok)?;
                *cell = Cell::Double(value);
            }
            Self::Decimal { scale, limit } => {
                let digits = Digits::parse(bare).ok_or(Reason::WrongType)?;
                let value = digits.scaled(scale.into(), Below::Refuse).map_err(|_| Reason::OutOfRange)?;
                if value.abs() >= limit {
                    return Err(Reason::OutOfRange);
                }
                *cell = Cell::Decimal(value);
            }
            Self::Date => *cell = Cell::Integer(date(&token.text()?)?.into()),
            Self::Timestamp if times.is_text() => *cell = Cell::Integer(times.text(&token.text()?)?),
            Self::Timestamp => *cell = Cell::Integer(times.number(bare)?),
        }
        Ok(())
    }
}

impl<'a> Token<'a> {
    /// The text that the token writes; borrowed unless it has escapes.
    fn text(self) -> Result<Cow<'a, str>, Reason> {
        let quoted = match self {
            Self::Bare(text) => return Ok(Cow::Borrowed(text)),
            Self::Json(token) => token,
        };
        let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or(Reason::WrongType)?;
        if !inner.as_bytes().contains(&b'\\') {
            return Ok(Cow::Borrowed(inner));
        }
        // Half a surrogate pair is JSON by its grammar, but no text.
        serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| Reason::InvalidJson)
    }
}

/// `3.5` is no integer at all; 99999999999 is one that does not fit.
fn integer_reason(unfit: Unfit) -> Reason {
    match unfit {
        Unfit::Fraction => Reason::WrongType,
        Unfit::Range => Reason::OutOfRange,
    }
}

/// The float nearest to a number token (the grammar of Rust's own parser is wider than JSON's).
fn number<T: std::str::FromStr>(token: &str) -> Result<T, Reason> {
    Digits::parse(token).ok_or(Reason::WrongType)?;
    token.parse().map_err(|_| Reason::WrongType)
}

fn boolean(token: &str) -> Result<bool, Reason> {
    match token {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Reason::WrongType),
    }
}

fn finite<T: Copy>(value: T, is_finite: fn(T) -> bool) -> Result<T, Reason> {
    if is_finite(value) { Ok(value) } else { Err(Reason::OutOfRange) }
}
