//! Segments: the runs of one checkpoint in one object.
//!
//! ```text
//!   CSSEG001 | run 0: Arrow IPC stream | run 1: Arrow IPC stream | ...
//!              ^ range and CRC-32C of each stand in the manifest
//! ```

use crate::damage::damaged;
use crate::run::{Owner, Run};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use citystream_model::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// First bytes of a segment: format and its version.
const MAGIC: &[u8; 8] = b"CSSEG001";

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRef {
    /// Operator of the plan.
    pub operator: usize,
    /// Stage that it ran in.
    pub stage: usize,
    /// Shard that held it.
    pub shard: usize,
    /// Input of the operator.
    pub port: usize,
    /// Object below the job's folder.
    pub object: String,
    /// First byte in the object.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// CRC-32C of those bytes.
    pub crc32c: u32,
    /// Number of rows.
    pub rows: u64,
}

/// A segment being put together.
#[derive(Debug)]
pub struct SegmentWriter {
    object: String,
    bytes: Vec<u8>,
    refs: Vec<RunRef>,
}

// === impl RunRef ===

impl RunRef {
    /// Whose run it is.
    pub fn owner(&self) -> Owner {
        Owner { operator: self.operator, stage: self.stage, shard: self.shard }
    }

    /// Its bytes in the object.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.length)
    }

    /// The run in `bytes`, which are those of its range.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Unavailable`], permanent: the bytes are not those that were written.
    pub fn read(&self, bytes: &[u8]) -> Result<Run> {
        let damaged = |found: String| {
            let at = format!("bytes {} to {} of {}", self.offset, self.offset.saturating_add(self.length), self.object);
            damaged(&format!("{at}: {found}"))
        };
        let found = crc32c::crc32c(bytes);
        if bytes.len() as u64 != self.length || found != self.crc32c {
            let (length, crc) = (bytes.len(), self.crc32c);
            return Err(damaged(format!("{length} bytes with CRC-32C {found:08x}, expected {crc:08x}")));
        }
        let wrong = |error: arrow::error::ArrowError| damaged("no Arrow stream".to_owned()).caused_by(error);
        let mut reader = StreamReader::try_new(bytes, None).map_err(wrong)?;
        let batch = reader.next().transpose().map_err(wrong)?.ok_or_else(|| damaged("no rows".to_owned()))?;
        Ok(Run { port: self.port, batch })
    }
}

// === impl SegmentWriter ===

impl SegmentWriter {
    /// An empty segment that will stand in `object`.
    pub fn new(object: String) -> Self {
        Self { object, bytes: MAGIC.to_vec(), refs: Vec::new() }
    }

    /// Adds a run.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when Arrow cannot write it.
    pub fn add(&mut self, owner: Owner, run: &Run) -> Result<()> {
        let offset = self.bytes.len();
        write(&run.batch, &mut self.bytes).map_err(|error| Error::internal("run of a checkpoint").caused_by(error))?;
        let written = &self.bytes[offset..];
        self.refs.push(RunRef {
            operator: owner.operator,
            stage: owner.stage,
            shard: owner.shard,
            port: run.port,
            object: self.object.clone(),
            offset: offset as u64,
            length: written.len() as u64,
            crc32c: crc32c::crc32c(written),
            rows: run.batch.num_rows() as u64,
        });
        Ok(())
    }

    /// The object's bytes, and where in it each run stands; `None` without runs.
    pub fn finish(self) -> Option<(Bytes, Vec<RunRef>)> {
        (!self.refs.is_empty()).then(|| (Bytes::from(self.bytes), self.refs))
    }
}

fn write(batch: &RecordBatch, bytes: &mut Vec<u8>) -> std::result::Result<(), arrow::error::ArrowError> {
    let mut writer = StreamWriter::try_new(bytes, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, BinaryArray, Float64Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn run(from: i64, rows: usize) -> Run {
        let numbers = || (from..).take(rows);
        let columns: [(&str, ArrayRef); 4] = [
            ("key", Arc::new(numbers().map(|at| (at % 3 != 0).then(|| format!("ä🚲{at}"))).collect::<StringArray>())),
            ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(numbers()))),
            ("sum", Arc::new(Float64Array::from_iter_values(numbers().map(|at| 0.1 * at as f64)))),
            ("state", Arc::new(BinaryArray::from_iter_values(numbers().map(i64::to_be_bytes)))),
        ];
        Run { port: 1, batch: RecordBatch::try_from_iter(columns).unwrap() }
    }

    fn segment() -> (Bytes, Vec<RunRef>) {
        let mut writer = SegmentWriter::new("ckpt/7-w.seg".to_owned());
        for (operator, run) in [(3, run(0, 100)), (5, run(100, 1)), (3, run(50, 0))] {
            writer.add(Owner { operator, stage: 1, shard: operator - 3 }, &run).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn runs_come_back_as_they_were() {
        let (bytes, refs) = segment();
        let read = |at: usize| {
            let range = refs[at].range();
            refs[at].read(&bytes[range.start as usize..range.end as usize]).unwrap()
        };
        assert_eq!(read(0).batch, run(0, 100).batch);
        assert_eq!((read(1).batch, read(1).port), (run(100, 1).batch, 1));
        assert_eq!(read(2).batch.num_rows(), 0);
        assert_eq!(refs[1].owner(), Owner { operator: 5, stage: 1, shard: 2 });
        assert!(SegmentWriter::new(String::new()).finish().is_none());
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let (bytes, refs) = segment();
        let range = refs[1].range();
        let good = &bytes[range.start as usize..range.end as usize];
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0x10;
            let error = refs[1].read(&bad).unwrap_err();
            assert!(error.to_string().contains("checkpoint damaged"), "{error}");
        }
        assert!(refs[1].read(&good[1..]).is_err());
    }
}
