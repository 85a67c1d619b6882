//! The record batch format, version 2: reading the header, checking the sum, writing control batches.
//!
//! Layout (big endian): base offset 0..8, length 8..12, leader epoch 12..16, magic 16, CRC32C 17..21 over all that
//! follows, attributes 21..23, last offset delta 23..27, base time 27..35, max time 35..43, producer id 43..51,
//! producer epoch 51..53, base sequence 53..57, record count 57..61, records.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 61;
/// The sum covers everything from here on; what lies before may be overwritten by the broker.
const CRC_FROM: usize = 21;
const COMPRESSION_MASK: i16 = 0x07;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Who wrote a batch, for duplicate detection and fencing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// A checked batch that has no offset yet. Owns its bytes, so that a request frame is not kept alive by one batch.
#[derive(Debug)]
pub(crate) struct NewBatch {
    bytes: BytesMut,
    /// Number of offsets that it takes.
    pub(crate) count: i32,
    pub(crate) base_time_ms: i64,
    pub(crate) max_time_ms: i64,
    pub(crate) producer: Option<Producer>,
    pub(crate) base_sequence: i32,
    pub(crate) transactional: bool,
    compressed: bool,
}

/// A batch in the log.
#[derive(Debug, Clone)]
pub(crate) struct StoredBatch {
    pub(crate) bytes: Bytes,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) base_time_ms: i64,
    pub(crate) max_time_ms: i64,
    pub(crate) compressed: bool,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Abort,
    Commit,
}

// === impl NewBatch ===

impl NewBatch {
    /// Reads and checks what a producer sent for one partition. Kafka takes exactly one batch there, so do we.
    pub(crate) fn parse(records: &Bytes) -> Result<Self, ResponseError> {
        let header = Header(records);
        if header.i8(16) != Some(2) {
            return Err(ResponseError::UnsupportedForMessageFormat);
        }
        let (Some(length), Some(crc)) = (header.i32(8), header.i32(17)) else {
            return Err(ResponseError::CorruptMessage);
        };
        if records.len() < HEADER_BYTES {
            return Err(ResponseError::CorruptMessage);
        }
        if usize::try_from(length).map(|l| l + 12) != Ok(records.len()) {
            return Err(ResponseError::InvalidRecord);
        }
        if crc32c::crc32c(&records[CRC_FROM..]) != crc.cast_unsigned() {
            return Err(ResponseError::CorruptMessage);
        }
        Self::from_header(records, &header).ok_or(ResponseError::InvalidRecord)
    }

    fn from_header(records: &Bytes, header: &Header<'_>) -> Option<Self> {
        let attributes = header.i16(21)?;
        let last_delta = header.i32(23)?;
        let count = header.i32(57)?;
        let producer_id = header.i64(43)?;
        let producer = (producer_id >= 0).then_some(Producer { id: producer_id, epoch: header.i16(51)? });
        let base_sequence = header.i32(53)?;
        let transactional = attributes & TRANSACTIONAL != 0;
        let sequence_fits = producer.is_some_and(|p| p.epoch >= 0) && base_sequence >= 0;
        let well_formed = count >= 1
            && last_delta == count - 1
            // Only the broker writes control batches.
            && attributes & CONTROL == 0
            && (producer.is_none() || sequence_fits)
            && (producer.is_some() || !transactional);
        well_formed.then_some(())?;
        Some(Self {
            bytes: BytesMut::from(&records[..]),
            count,
            base_time_ms: header.i64(27)?,
            max_time_ms: header.i64(35)?,
            producer,
            base_sequence,
            transactional,
            compressed: attributes & COMPRESSION_MASK != 0,
        })
    }

    /// A batch with the one control record that ends a transaction.
    pub(crate) fn marker(marker: Marker, producer: Producer, now_ms: i64) -> Self {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + 17);
        bytes.put_i64(0);
        bytes.put_i32(66); // Length after this field: 49 bytes of header and 17 of record.
        bytes.put_i32(0);
        bytes.put_i8(2);
        bytes.put_i32(0);
        bytes.put_i16(TRANSACTIONAL | CONTROL);
        bytes.put_i32(0);
        bytes.put_i64(now_ms);
        bytes.put_i64(now_ms);
        bytes.put_i64(producer.id);
        bytes.put_i16(producer.epoch);
        bytes.put_i32(-1);
        bytes.put_i32(1);
        // Record: length 16, attributes, time delta, offset delta, key length 4 (the numbers are zigzag varints).
        bytes.put_slice(&[32, 0, 0, 0, 8]);
        bytes.put_i16(0);
        bytes.put_i16(i16::from(marker == Marker::Commit));
        bytes.put_u8(12); // Value length 6: version and coordinator epoch.
        bytes.put_i16(0);
        bytes.put_i32(0);
        bytes.put_u8(0); // No headers.
        let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Self {
            bytes,
            count: 1,
            base_time_ms: now_ms,
            max_time_ms: now_ms,
            producer: Some(producer),
            base_sequence: -1,
            transactional: true,
            compressed: false,
        }
    }

    /// Bytes on the wire.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Gives the batch its place. Base offset and leader epoch lie before the sum, so the rest stays as received.
    pub(crate) fn store_at(mut self, base_offset: i64) -> StoredBatch {
        self.bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
        self.bytes[12..16].copy_from_slice(&0_i32.to_be_bytes());
        StoredBatch {
            bytes: self.bytes.freeze(),
            base_offset,
            last_offset: base_offset + i64::from(self.count) - 1,
            base_time_ms: self.base_time_ms,
            max_time_ms: self.max_time_ms,
            compressed: self.compressed,
        }
    }
}

// === Header ===

/// Reads of fixed fields that answer `None` beyond the end.
struct Header<'a>(&'a [u8]);

impl Header<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at + N)?.try_into().ok()
    }

    fn i8(&self, at: usize) -> Option<i8> {
        self.bytes(at).map(i8::from_be_bytes)
    }

    fn i16(&self, at: usize) -> Option<i16> {
        self.bytes(at).map(i16::from_be_bytes)
    }

    fn i32(&self, at: usize) -> Option<i32> {
        self.bytes(at).map(i32::from_be_bytes)
    }

    fn i64(&self, at: usize) -> Option<i64> {
        self.bytes(at).map(i64::from_be_bytes)
    }
}
