//! The hidden columns of good records: where they stood, their key and headers.

use super::headers;
use crate::record::{RecordRef, Records};
use crate::reject::repeated;
use arrow::array::{ArrayRef, BinaryBuilder, Int32Array, Int64Array, StringBuilder, TimestampMicrosecondArray};
use citystream_model::position::Partition;
use citystream_model::time::Micros;
use std::sync::Arc;

/// The hidden columns while they grow.
pub(super) struct Hidden {
    offsets: Vec<i64>,
    timestamps: Vec<Micros>,
    keys: BinaryBuilder,
    /// `None` where no record has any: then all rows have the same text.
    headers: Option<StringBuilder>,
}

// === impl Hidden ===

impl Hidden {
    /// Room for all of `records`.
    pub(super) fn of(records: &Records) -> Self {
        let rows = records.len();
        let key_bytes = records.iter().take(16).filter_map(|record| record.key).map(<[u8]>::len).max().unwrap_or(0);
        Self {
            offsets: Vec::with_capacity(rows),
            timestamps: Vec::with_capacity(rows),
            keys: BinaryBuilder::with_capacity(rows, (key_bytes * rows).min(records.byte_len())),
            headers: records.has_headers().then(StringBuilder::new),
        }
    }

    pub(super) fn append(&mut self, record: &RecordRef<'_>) {
        self.offsets.push(record.offset);
        self.timestamps.push(record.timestamp);
        self.keys.append_option(record.key);
        if let Some(texts) = &mut self.headers {
            texts.append_value(headers::text(record.headers));
        }
    }

    /// In the order of [`citystream_model::stream::HIDDEN`].
    pub(super) fn finish(mut self, topic: &str, partition: Partition) -> [ArrayRef; 6] {
        let rows = self.offsets.len();
        [
            repeated(topic, rows),
            Arc::new(Int32Array::from_value(partition, rows)),
            Arc::new(Int64Array::from(self.offsets)),
            Arc::new(TimestampMicrosecondArray::from(self.timestamps)),
            Arc::new(self.keys.finish()),
            match self.headers {
                Some(mut texts) => Arc::new(texts.finish()),
                None => repeated(headers::NONE, rows),
            },
        ]
    }
}
