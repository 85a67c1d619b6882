//! JSON: records of a stream -> rows and rejects, rows of a result -> messages.
//!
//! ```text
//! {"lane":"A1","flow":12,"x":[1]}  --tree-->  lane: "A1", flow: 12  --cell-->  Text(A1), Integer(12)  --column-->  row
//! {"lane":"A1","flow":"many"}      -->  wrong_type, column flow: found "many", expected INT
//! ```
//!
//! `tree` finds the tokens of declared columns, or `scan` does in ordinary records, `cell` reads each token strictly by its
//! column's type (`number` and `time` know the grammars), `column` appends a row only when all of its cells are good.
//! The other way, `encode` makes messages and `write` and `temporal` know the text of each Arrow type.

mod cell;
mod column;
mod decode;
mod encode;
mod headers;
mod hidden;
mod number;
mod scan;
mod temporal;
mod time;
mod tree;
mod write;

pub use encode::{EncodedRow, RowEncoder};

use crate::record::{MAX_COLUMN_BYTES, RecordRef, Records};
use crate::reject::Reject;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use citystream_model::position::Partition;
use citystream_model::stream::Stream;
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use column::ColumnBuilder;
use decode::{Plan, Scratch};
use hidden::Hidden;
use std::sync::Arc;

/// Reads the records of one stream, strictly: what does not fit the declaration is rejected, never guessed.
#[derive(Debug)]
pub struct Decoder {
    stream: Arc<Stream>,
    /// Declared columns, then the hidden ones.
    schema: SchemaRef,
    /// Where each column comes from, or why the declaration cannot be decoded (it was not checked before).
    plan: Result<Plan, String>,
}

/// What became of some records of one partition: each is a row, a reject or a tombstone.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The good records in their order; schema of [`Stream::full_schema`].
    pub batch: RecordBatch,
    /// Event time of each row of the batch.
    pub event_times: Vec<Micros>,
    /// Records that could not be read, in their order.
    pub rejects: Vec<Reject>,
    /// How many records had no value.
    pub tombstones: u64,
}

// === impl Decoder ===

impl Decoder {
    /// A decoder for the records of `stream`.
    pub fn new(stream: Arc<Stream>) -> Self {
        let plan = Plan::of(&stream);
        Self { schema: stream.full_schema(), plan, stream }
    }

    /// Decodes `records` of one partition, read at `now`.
    ///
    /// An error is never about a single record: the stream's declaration was not checked, or the records together
    /// are too many for one batch (`Resource`; decode fewer at once).
    pub fn decode(&self, partition: Partition, records: &Records, now: Micros) -> Result<Decoded> {
        let plan =
            self.plan.as_ref().map_err(|found| Error::internal(found.clone()).with("stream", &self.stream.name))?;
        self.check_size(records)?;
        let mut builders = self.builders(records.len())?;
        let mut scratch = Scratch::default();
        let (mut hidden, mut event_times) = (Hidden::of(records), Vec::with_capacity(records.len()));
        let (mut rejects, mut tombstones) = (Vec::new(), 0);
        for record in records.iter() {
            let Some(value) = record.value else {
                tombstones += 1;
                continue;
            };
            match plan.read(&record, value, now, &mut scratch) {
                Ok(event_time) => {
                    for (builder, cell) in builders.iter_mut().zip(&scratch.cells) {
                        builder.append(cell)?;
                    }
                    hidden.append(&record);
                    event_times.push(event_time);
                }
                Err(refusal) => {
                    let (reason, detail) = (refusal.reason, refusal.detail);
                    rejects.push(Reject { partition, record: record.to_owned(), reason, detail });
                }
            }
        }
        let hidden = hidden.finish(&self.stream.topic, partition);
        let columns = builders.into_iter().map(ColumnBuilder::finish).chain(hidden).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal("decoded rows do not fit their schema").caused_by(error))?;
        Ok(Decoded { batch, event_times, rejects, tombstones })
    }

    fn builders(&self, rows: usize) -> Result<Vec<ColumnBuilder>> {
        self.stream.columns.iter().map(|column| ColumnBuilder::new(&column.data_type, rows)).collect()
    }

    /// Refuses what Arrow's 32-bit offsets cannot hold, before a builder would panic.
    fn check_size(&self, records: &Records) -> Result<()> {
        let most = |record: RecordRef<'_>| headers::most_bytes(record.headers);
        let headers = if records.has_headers() { records.iter().map(most).sum() } else { 2 * records.len() };
        let bytes = (records.byte_len() + headers).max(records.len().saturating_mul(self.stream.topic.len()));
        if bytes <= MAX_COLUMN_BYTES {
            return Ok(());
        }
        let found = format!("records: found {bytes} bytes, expected at most {MAX_COLUMN_BYTES}; decode fewer at once");
        Err(Error::resource(found).with("stream", &self.stream.name))
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;
