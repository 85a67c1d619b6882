//! What happens to a record that cannot be read: why, and its row in the rejects table.

use crate::record::{MAX_COLUMN_BYTES, Record};
use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use citystream_model::position::Partition;
use citystream_model::stream::{self, Stream};
use citystream_model::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Partition that it came from.
    pub partition: Partition,
    /// The record as it came.
    pub record: Record,
    /// Why, as one of a closed set of words.
    pub reason: Reason,
    /// What was found and what was expected, at most [`MAX_DETAIL_BYTES`] bytes.
    pub detail: String,
}

/// Why a record was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The value is not one JSON value.
    InvalidJson,
    /// The value is JSON, but no object.
    NotAnObject,
    /// The value, or the key or header that a column reads, is not UTF-8.
    InvalidUtf8,
    /// The value has no bytes.
    EmptyValue,
    /// Objects and arrays lie deeper in each other than the limit.
    TooDeep,
    /// A column has a value of another type.
    WrongType,
    /// A number does not fit its column.
    OutOfRange,
    /// A column that must be there is missing.
    MissingColumn,
    /// A column that must have a value is null.
    NullColumn,
    /// A time or date cannot be read.
    BadTime,
    /// The event time lies too far beyond the record time or the reader's clock.
    FutureTime,
    /// A time lies outside the years 1700 to 2200.
    TimeOutOfRange,
}

/// Most bytes of a reject's detail.
pub const MAX_DETAIL_BYTES: usize = 200;

// === impl Reason ===

impl Reason {
    /// Every reason, in the order of the declaration; labels of metrics.
    pub const ALL: [Self; 12] = [
        Self::InvalidJson,
        Self::NotAnObject,
        Self::InvalidUtf8,
        Self::EmptyValue,
        Self::TooDeep,
        Self::WrongType,
        Self::OutOfRange,
        Self::MissingColumn,
        Self::NullColumn,
        Self::BadTime,
        Self::FutureTime,
        Self::TimeOutOfRange,
    ];

    /// The word in the rejects table and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::NotAnObject => "not_an_object",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::EmptyValue => "empty_value",
            Self::TooDeep => "too_deep",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::MissingColumn => "missing_column",
            Self::NullColumn => "null_column",
            Self::BadTime => "bad_time",
            Self::FutureTime => "future_time",
            Self::TimeOutOfRange => "time_out_of_range",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === rejects table ===

/// Columns of every rejects table.
pub fn rejects_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(stream::TOPIC, DataType::Utf8, false),
        Field::new(stream::PARTITION, DataType::Int32, false),
        Field::new(stream::OFFSET, DataType::Int64, false),
        Field::new(stream::TIMESTAMP, stream::timestamp_type(), false),
        Field::new(stream::KEY, DataType::Binary, true),
        Field::new("_value", DataType::Binary, true),
        Field::new("_job", DataType::Utf8, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("detail", DataType::Utf8, false),
    ]))
}

/// The rejects of one job as rows of its rejects table; key and value are the bytes as they came.
pub fn rejects_batch(stream: &Stream, job: &str, rejects: &[Reject]) -> Result<RecordBatch> {
    check_size(stream, job, rejects)?;
    let records = || rejects.iter().map(|reject| &reject.record);
    let columns: Vec<ArrayRef> = vec![
        repeated(&stream.topic, rejects.len()),
        Arc::new(rejects.iter().map(|reject| Some(reject.partition)).collect::<Int32Array>()),
        Arc::new(records().map(|record| Some(record.offset)).collect::<Int64Array>()),
        Arc::new(records().map(|record| Some(record.timestamp)).collect::<TimestampMicrosecondArray>()),
        Arc::new(records().map(|record| record.key.as_deref()).collect::<BinaryArray>()),
        Arc::new(records().map(|record| record.value.as_deref()).collect::<BinaryArray>()),
        repeated(job, rejects.len()),
        Arc::new(rejects.iter().map(|reject| Some(reject.reason.as_str())).collect::<StringArray>()),
        Arc::new(rejects.iter().map(|reject| Some(reject.detail.as_str())).collect::<StringArray>()),
    ];
    RecordBatch::try_new(rejects_schema(), columns)
        .map_err(|error| Error::internal("rejects do not fit their schema").caused_by(error))
}

/// A text column with the same value in each row.
pub(crate) fn repeated(text: &str, rows: usize) -> ArrayRef {
    let offsets = OffsetBuffer::from_repeated_length(text.len(), rows);
    Arc::new(StringArray::new(offsets, Buffer::from(text.repeat(rows).into_bytes()), None))
}

/// Refuses what Arrow's 32-bit offsets cannot hold, before a builder would panic.
fn check_size(stream: &Stream, job: &str, rejects: &[Reject]) -> Result<()> {
    let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let bytes: usize = rejects
        .iter()
        .map(|reject| length(&reject.record.key) + length(&reject.record.value) + reject.detail.len() + 32)
        .sum();
    let bytes = bytes.max(rejects.len().saturating_mul(stream.topic.len().max(job.len())));
    if bytes > MAX_COLUMN_BYTES {
        let found =
            format!("rejects batch: found {bytes} bytes, expected at most {MAX_COLUMN_BYTES}; write fewer at once");
        return Err(Error::resource(found));
    }
    Ok(())
}

/// `text` without its end beyond `limit` bytes (cut between characters), control characters as spaces.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    let cut = if text.len() <= limit { text } else { &text[..text.floor_char_boundary(limit.saturating_sub(3))] };
    let mut short: String = cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // A control character takes at most two bytes and a space one, so this never grows.
    if cut.len() < text.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests;
