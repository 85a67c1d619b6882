//! One Kafka record as it came: what every decoder reads.

use bytes::Bytes;
use citystream_model::time::Micros;

/// One Kafka record as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Offset in its partition.
    pub offset: i64,
    /// Kafka record time, in microseconds.
    pub timestamp: Micros,
    /// Key, if the producer gave one.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their order; a name may come more than once.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Most bytes that one text or binary column of a batch can hold (Arrow offsets have 32 bits).
pub(crate) const MAX_COLUMN_BYTES: usize = i32::MAX as usize;
