//! Other ways in which the admitted rows of a case may come: each has to give the rows that file order on one shard gave.

use crate::shuffle;
use arrow::record_batch::RecordBatch;
use citystream_codec::{Partitioner, RowEncoder};
use citystream_model::stream::Stream;
use citystream_model::time::{Micros, Watermark, micros};
use citystream_model::{Error, Result};
use citystream_operators::admit::{Gate, Verdict};
use citystream_operators::dataflow::{Dataflow, InTurn};
use citystream_sql::CheckedJob;
use std::fmt;
use std::sync::Arc;

/// A row that the gate let through.
pub(super) struct Admitted {
    /// Its stream, by number.
    pub(super) stream: usize,
    /// The row alone, full schema.
    pub(super) row: RecordBatch,
    /// Its event time.
    pub(super) time: Micros,
}

/// An order, and a number of partitions with a shard for each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    shards: usize,
    shuffled: bool,
}

/// Seed of the shuffle: a case that fails once fails again.
const SEED: u64 = 20_260_329;

// === impl Variant ===

impl Variant {
    /// All but the one that a case is written for.
    pub(super) const ALL: [Self; 3] =
        [Self { shards: 1, shuffled: true }, Self { shards: 4, shuffled: false }, Self { shards: 4, shuffled: true }];

    /// Runs `job` over the rows.
    pub(super) fn run(self, job: &CheckedJob, rows: &[Admitted]) -> Result<Vec<RecordBatch>> {
        let mut dataflow = Dataflow::build(job.plan.clone(), job.streams.len(), self.shards)?;
        let partitions = || (0i32..).take(self.shards);
        let gate = |stream: &Arc<Stream>| Gate::new(stream.out_of_order, job.spec.lateness, partitions());
        let mut gates: Vec<Gate> = job.streams.iter().map(gate).collect();
        let mut results = Vec::new();
        let encoder = |stream: &Arc<Stream>| {
            let key = stream.key.as_ref().map(|key| RowEncoder::new(&stream.full_schema(), std::slice::from_ref(key)));
            key.transpose()
        };
        let keys = job.streams.iter().map(encoder).collect::<Result<Vec<_>>>()?;
        for (at, Admitted { stream, row, time }) in self.order(job, rows) {
            let shard = self.shard(keys[*stream].as_ref(), row, at)?;
            let partition = i32::try_from(shard).unwrap_or_default();
            if gates[*stream].judge(partition, &[*time], *time) != Verdict::AllAdmitted {
                return Err(Error::internal("a row that was admitted in file order is late in another one"));
            }
            results.extend(dataflow.push(shard, *stream, row)?);
            let watermark = Gate::watermark_of(&gates);
            results.extend(dataflow.advance(watermark, &InTurn)?);
        }
        results.extend(dataflow.advance(Watermark::END, &InTurn)?);
        Ok(results)
    }

    /// The order in which rows come: as they stand, or each delayed by a part of what its stream lets it be late.
    fn order<'a>(self, job: &CheckedJob, rows: &'a [Admitted]) -> Vec<(usize, &'a Admitted)> {
        let numbered = rows.iter().enumerate().collect();
        if !self.shuffled {
            return numbered;
        }
        let allowance =
            |row: &Admitted| micros(job.streams[row.stream].out_of_order).saturating_add(micros(job.spec.lateness));
        shuffle::delayed(numbered, SEED, |(_, row)| row.time, |(_, row)| allowance(row))
    }

    /// Where a row stands: by its stream's key as a producer would have it, else anywhere.
    fn shard(self, key: Option<&RowEncoder>, row: &RecordBatch, at: usize) -> Result<usize> {
        let rows = key.map(|key| key.encode(row)).transpose()?.unwrap_or_default();
        let key = rows.first().and_then(|row| row.key.as_deref());
        let partition = |key: &[u8]| Partitioner::Murmur2.partition(key, self.shards as u32) as usize;
        Ok(key.map_or(at % self.shards, partition))
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.shuffled { "shuffled" } else { "in order" };
        write!(f, "rows at parallelism {}, {order}", self.shards)
    }
}
