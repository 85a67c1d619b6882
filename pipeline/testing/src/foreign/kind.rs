//! Types, and how their values are kept in SQLite: all but text, bytes and lists as one integer.
//!
//! | type | in SQLite |
//! |---|---|
//! | BOOLEAN | 0, 1 |
//! | integers | as they are |
//! | FLOAT, DOUBLE | the bits of the double, turned so that integers compare in the total order of IEEE 754 |
//! | DECIMAL | without the point |
//! | DATE, TIMESTAMP | days, microseconds since 1970 |
//! | lists | the items one after the other, as a text ([`super::lists`]) |

use super::differences::{Difference, Outside};
use arrow::datatypes::{DataType, TimeUnit};

/// A type, as far as it decides what an expression means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    /// Width in bits.
    Int(u8),
    /// What counts rows: `row_number` and its like.
    Unsigned,
    /// Width in bits.
    Float(u8),
    /// Digits, and digits behind the point.
    Decimal(u8, i8),
    Text,
    Bytes,
    Date,
    Time,
    /// What `array_agg` gives; it is only passed on.
    List,
}

/// An expression in SQLite's dialect.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) sql: String,
    pub(super) kind: Kind,
}

/// A double as an integer of the same order.
pub(super) fn to_key(value: f64) -> i64 {
    turn(value.to_bits() as i64)
}

/// The double of a key.
pub(super) fn from_key(key: i64) -> f64 {
    f64::from_bits(turn(key) as u64)
}

fn turn(bits: i64) -> i64 {
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

// === impl Kind ===

impl Kind {
    /// The kind of an Arrow type.
    pub(super) fn of(data_type: &DataType) -> Result<Self, Outside> {
        Ok(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int16 => Self::Int(16),
            DataType::Int32 => Self::Int(32),
            DataType::Int64 => Self::Int(64),
            DataType::UInt64 => Self::Unsigned,
            DataType::Float32 => Self::Float(32),
            DataType::Float64 => Self::Float(64),
            DataType::Decimal128(digits, scale) => Self::Decimal(*digits, *scale),
            DataType::Utf8 => Self::Text,
            DataType::Binary => Self::Bytes,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Time,
            DataType::List(_) => Self::List,
            _ => return Err(Difference::Syntax.into()),
        })
    }

    /// The type named in a CAST.
    pub(super) fn named(text: &str) -> Result<Self, Outside> {
        let text = text.to_uppercase();
        Ok(match text.as_str() {
            "BOOLEAN" => Self::Bool,
            "SMALLINT" => Self::Int(16),
            "INT" => Self::Int(32),
            "BIGINT" => Self::Int(64),
            "FLOAT" => Self::Float(32),
            "DOUBLE" => Self::Float(64),
            "TEXT" => Self::Text,
            "DATE" => Self::Date,
            "TIMESTAMP" => Self::Time,
            _ => {
                let numbers = text.strip_prefix("DECIMAL(").and_then(|rest| rest.strip_suffix(')'));
                let (digits, scale) = numbers.and_then(|rest| rest.split_once(',')).ok_or(Difference::Syntax)?;
                let parse = |part: &str| part.trim().parse::<u8>().map_err(|_| Difference::Syntax);
                Self::Decimal(parse(digits)?, parse(scale)? as i8)
            }
        })
    }

    /// The type that two branches of one expression share.
    pub(super) fn with(self, other: Self) -> Result<Self, Outside> {
        Ok(match (self, other) {
            (left, right) if left == right => left,
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (Self::Int(left), Self::Int(right)) => Self::Int(left.max(right)),
            (Self::Float(left), Self::Float(right)) => Self::Float(left.max(right)),
            (Self::Decimal(left, left_scale), Self::Decimal(right, right_scale)) => {
                let scale = left_scale.max(right_scale);
                let whole = (left as i8 - left_scale).max(right as i8 - right_scale);
                Self::Decimal((whole + scale) as u8, scale)
            }
            (Self::Unsigned, Self::Int(_)) | (Self::Int(_), Self::Unsigned) => {
                return Err(Difference::UnsignedArithmetic.into());
            }
            _ => return Err(Difference::MixedTypes.into()),
        })
    }

    /// True for all kinds of numbers that are kept as doubles.
    pub(super) fn is_float(self) -> bool {
        matches!(self, Self::Float(_))
    }
}

// === impl Typed ===

impl Typed {
    pub(super) fn new(sql: impl Into<String>, kind: Kind) -> Self {
        Self { sql: sql.into(), kind }
    }

    /// The value as it is compared and grouped: 0.0 and -0.0 are equal in SQL, and a group of both is one of 0.0.
    pub(super) fn folded(self) -> Self {
        match self.kind {
            Kind::Float(_) => Self::new(format!("fold({})", self.sql), self.kind),
            _ => self,
        }
    }

    /// The value as one of `kind`, which is its own or one that [`Kind::with`] gave.
    pub(super) fn widened(self, kind: Kind) -> Self {
        match (self.kind, kind) {
            (Kind::Decimal(_, from), Kind::Decimal(_, to)) if from < to => {
                Self::new(format!("rescale({}, {})", self.sql, to - from), kind)
            }
            _ => Self::new(self.sql, kind),
        }
    }
}
