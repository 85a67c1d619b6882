//! Finding the first record at or after a time. Exact in uncompressed batches; a compressed batch answers with its
//! first offset, which is never too late (the broker carries no decompressor).

use super::batch::{HEADER_BYTES, StoredBatch};

/// An offset and the time of its record, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimedOffset {
    pub(crate) offset: i64,
    pub(crate) time_ms: i64,
}

/// First record of this batch whose time is at least `time_ms`. The caller knows that there is one.
pub(crate) fn first_at_or_after(batch: &StoredBatch, time_ms: i64) -> TimedOffset {
    let whole = TimedOffset { offset: batch.base_offset, time_ms: batch.base_time_ms };
    if batch.compressed {
        return whole;
    }
    let mut records = &batch.bytes[HEADER_BYTES..];
    while let Some((time_delta, offset_delta)) = next_record(&mut records) {
        let found = TimedOffset { offset: batch.base_offset + offset_delta, time_ms: batch.base_time_ms + time_delta };
        if found.time_ms >= time_ms {
            return found;
        }
    }
    whole
}

/// Takes one record off the front and returns its time and offset deltas.
fn next_record(records: &mut &[u8]) -> Option<(i64, i64)> {
    let length = usize::try_from(varint(records)?).ok()?;
    let (mut record, rest) = records.split_at_checked(length)?;
    *records = rest;
    record = record.get(1..)?; // Attributes.
    Some((varint(&mut record)?, varint(&mut record)?))
}

/// Zigzag variable-length integer, at most ten bytes.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}
