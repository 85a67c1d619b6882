//! Bytes to Arrow batches and back: pure functions over buffers.
//!
//! It does not know where bytes come from or go to: no Kafka client, no file, no clock (`now` is an argument), no
//! async, no SQL. Start with [`Decoder`] (records of a stream -> rows and rejects) and [`RowEncoder`] (rows ->
//! messages).
//!
//! Invariants: a record that cannot be read becomes one [`Reject`] and never harms its neighbours; nothing is guessed
//! or rounded; every record is exactly one of row, reject and tombstone; the same records give the same batch (I7).

pub mod json;
pub mod partitioner;
pub mod record;
pub mod reject;

pub use json::{Decoded, Decoder, EncodedRow, RowEncoder};
pub use partitioner::Partitioner;
pub use record::{Headers, Record, RecordRef, Records};
pub use reject::{Reason, Reject, rejects_batch, rejects_schema};
