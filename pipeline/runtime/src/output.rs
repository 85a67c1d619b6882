//! A job's results on their way to its sinks: hidden columns off, ids on, retries around.

use crate::status::{State, StatusBoard};
use crate::stop::Stop;
use arrow::array::{Array, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use citystream_codec::RowEncoder;
use citystream_connect::{Published, Sink, SinkRows};
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use citystream_operators::plan::OutputSpec;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a sink may be unavailable before the job gives up.
const RETRY_BUDGET: Duration = Duration::from_secs(300);
/// Time between two tries.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Turns batches of the last operator into rows for sinks.
pub struct Output {
    job: String,
    spec: OutputSpec,
    /// Present when a sink asks for ids.
    encoder: Option<RowEncoder>,
}

// === impl Output ===

impl Output {
    /// An output of `job`, with row ids if `with_ids`.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Job`] when a column's type cannot be written as JSON, which ids are made of.
    pub fn new(job: &str, spec: OutputSpec, with_ids: bool) -> Result<Self> {
        let encoder = if with_ids { Some(RowEncoder::new(&spec.schema, &[])?) } else { None };
        Ok(Self { job: job.to_owned(), spec, encoder })
    }

    /// Rows of one step of the job: all that one batch or one watermark brought out.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when the batches are not those that the plan promised.
    pub fn rows(&self, batches: &[RecordBatch]) -> Result<Vec<SinkRows>> {
        let mut seen = HashMap::new();
        batches.iter().map(|batch| self.batch_rows(batch, &mut seen)).collect()
    }

    fn batch_rows(&self, batch: &RecordBatch, seen: &mut HashMap<[u8; 32], u32>) -> Result<SinkRows> {
        let wrong = |what: &str| Error::internal(format!("output of the job has no {what}"));
        let columns = batch.columns().get(..self.spec.schema.fields().len()).ok_or_else(|| wrong("columns"))?.to_vec();
        let published = RecordBatch::try_new_with_options(Arc::clone(&self.spec.schema), columns, &arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())));
        let published = published.map_err(|error| wrong("promised types").caused_by(error))?;
        let event_times = match self.spec.event_time {
            None => vec![None; batch.num_rows()],
            Some(at) => {
                let times: &TimestampMicrosecondArray = batch.column(at).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| wrong("event time"))?;
                times.iter().collect()
            }
        };
        let ids = self.ids(batch, &published, &event_times, seen)?;
        Ok(SinkRows { batch: published, event_times, ids })
    }

    /// An id is a hash of the job, the row's content, and where it came from: the record of a stateless job's row, the
    /// window's time of a windowed one, and the how-manieth of equal rows it is.
    fn ids(&self, batch: &RecordBatch, published: &RecordBatch, times: &[Option<Micros>], seen: &mut HashMap<[u8; 32], u32>) -> Result<Vec<u128>> {
        let Some(encoder) = &self.encoder else { return Ok(Vec::new()) };
        let origin = self.spec.origin.map(|(source, offset)| (int64(batch, source), int64(batch, offset)));
        let rows = encoder.encode(published)?;
        let id = |(at, row): (usize, citystream_codec::EncodedRow)| {
            let mut hash = Sha256::new();
            hash.update(self.job.as_bytes());
            hash.update([0]);
            match &origin {
                Some((Some(source), Some(offset))) => {
                    hash.update(source.value(at).to_be_bytes());
                    hash.update(offset.value(at).to_be_bytes());
                }
                _ => hash.update(times[at].unwrap_or(Micros::MIN).to_be_bytes()),
            }
            hash.update(&row.value);
            let content: [u8; 32] = hash.clone().finalize().into();
            let nth = seen.entry(content).and_modify(|nth| *nth += 1).or_insert(0);
            hash.update(nth.to_be_bytes());
            let digest = hash.finalize();
            digest[..16].iter().fold(0u128, |id, byte| id << 8 | u128::from(*byte))
        };
        Ok(rows.into_iter().enumerate().map(id).collect())
    }
}

fn int64(batch: &RecordBatch, at: usize) -> Option<Int64Array> {
    batch.column(at).as_any().downcast_ref::<Int64Array>().cloned()
}

/// Does `attempt` until it succeeds, fails for good, or the stop signal or the budget ends the tries.
///
/// # Errors
/// The last failure.
pub fn with_retries<T>(stop: &Stop, status: &StatusBoard, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let tries = RETRY_BUDGET.as_secs() / RETRY_PAUSE.as_secs();
    for _ in 0..tries {
        match attempt() {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "sink is not available, trying again");
                status.update(|status| status.state = State::Waiting(error.to_string()));
                if stop.wait(RETRY_PAUSE) {
                    return Err(error);
                }
            }
            done => {
                status.update(|status| if matches!(status.state, State::Waiting(_)) { status.state = State::Running });
                return done;
            }
        }
    }
    attempt()
}

/// Writes `rows` to every sink.
///
/// # Errors
/// As [`with_retries`].
pub fn write_all(sinks: &mut [Box<dyn Sink>], rows: &[SinkRows], now: Micros, stop: &Stop, status: &StatusBoard) -> Result<()> {
    for rows in rows {
        for sink in sinks.iter_mut() {
            with_retries(stop, status, || sink.write(rows, now))?;
        }
    }
    Ok(())
}

/// Publishes what is due, or everything when `all`.
///
/// # Errors
/// As [`with_retries`].
pub fn publish(sink: &mut dyn Sink, all: bool, now: Micros, stop: &Stop, status: &StatusBoard) -> Result<Vec<Published>> {
    with_retries(stop, status, || if all { sink.flush() } else { sink.publish_due(now) })
}
