//! Other ways in which the admitted rows of a case may come: each has to give the rows that file order on one shard gave.

use arrow::record_batch::RecordBatch;
use citystream_codec::RowEncoder;
use citystream_model::stream::Stream;
use citystream_model::time::{Micros, Watermark, micros};
use citystream_model::{Error, Result};
use citystream_operators::admit::{Gate, Verdict};
use citystream_operators::dataflow::{Dataflow, InTurn};
use citystream_sql::CheckedJob;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
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
        for at in self.order(job, rows) {
            let Admitted { stream, row, time } = &rows[at];
            let shard = self.shard(&job.streams[*stream], row, at)?;
            let partition = i32::try_from(shard).unwrap_or_default();
            if gates[*stream].judge(partition, &[*time], *time) != Verdict::AllAdmitted {
                return Err(Error::internal("a row that was admitted in file order is late in another one"));
            }
            results.extend(dataflow.push(shard, *stream, row)?);
            let watermark = gates.iter().map(Gate::watermark).min().unwrap_or(Watermark::NONE);
            results.extend(dataflow.advance(watermark, &InTurn)?);
        }
        results.extend(dataflow.advance(Watermark::END, &InTurn)?);
        Ok(results)
    }

    /// The order in which rows come: as they stand, or each delayed by a part of what its stream lets it be late.
    fn order(self, job: &CheckedJob, rows: &[Admitted]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        if self.shuffled {
            let mut random = StdRng::seed_from_u64(SEED);
            let mut delayed = |row: &Admitted| {
                let most = micros(job.streams[row.stream].out_of_order).saturating_add(micros(job.spec.lateness));
                row.time.saturating_add(random.random_range(0..=most.max(0)))
            };
            let due: Vec<Micros> = rows.iter().map(&mut delayed).collect();
            order.sort_by_key(|at| due[*at]);
        }
        order
    }

    /// Where a row stands: by its stream's key as a producer would have it, else anywhere.
    fn shard(self, stream: &Stream, row: &RecordBatch, at: usize) -> Result<usize> {
        let Some(key) = &stream.key else { return Ok(at % self.shards) };
        let encoded = RowEncoder::new(&row.schema(), std::slice::from_ref(key))?.encode(row)?;
        let mut hash = DefaultHasher::new();
        encoded.iter().for_each(|row| row.key.hash(&mut hash));
        Ok((hash.finish() % self.shards as u64) as usize)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.shuffled { "shuffled" } else { "in order" };
        write!(f, "rows at parallelism {}, {order}", self.shards)
    }
}
