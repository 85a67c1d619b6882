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
use std::time::{Duration, Instant};

/// How long a sink may be unavailable before the job gives up.
const RETRY_BUDGET: Duration = Duration::from_secs(300);
/// The same from when the job is asked to stop, for all that is still to be done: the process has 20 seconds to end.
const STOP_BUDGET: Duration = Duration::from_secs(10);
/// Time between two tries.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);

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
        let published = RecordBatch::try_new_with_options(
            Arc::clone(&self.spec.schema),
            columns,
            &arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
        );
        let published = published.map_err(|error| wrong("promised types").caused_by(error))?;
        let event_times = match self.spec.event_time {
            None => vec![None; batch.num_rows()],
            Some(at) => {
                let times: &TimestampMicrosecondArray = batch
                    .column(at)
                    .as_primitive_opt::<TimestampMicrosecondType>()
                    .ok_or_else(|| wrong("event time"))?;
                times.iter().collect()
            }
        };
        let removed = match self.spec.removed {
            None => Vec::new(),
            Some(at) => {
                let removed = batch.column(at).as_boolean_opt().ok_or_else(|| wrong("column of removed rows"))?;
                removed.iter().map(Option::unwrap_or_default).collect()
            }
        };
        let mut rows = SinkRows { batch: published, event_times, ids: Vec::new(), removed };
        rows.ids = self.ids(batch, &rows, seen)?;
        Ok(rows)
    }

    /// An id is a hash of the job, the row's content, and where it came from: the record of a stateless job's row, the
    /// closing time of a windowed one, and the how-manieth of equal rows it is. Rows of one origin come in one step.
    fn ids(&self, batch: &RecordBatch, out: &SinkRows, seen: &mut HashMap<[u8; 32], u32>) -> Result<Vec<u128>> {
        let Some(encoder) = &self.encoder else { return Ok(Vec::new()) };
        let origin = self.spec.origin.map(|(source, offset)| (int64(batch, source), int64(batch, offset)));
        let rows = encoder.encode(&out.batch)?;
        let id = |(at, row): (usize, citystream_codec::EncodedRow)| {
            let mut hash = Sha256::new();
            hash.update(self.job.as_bytes());
            hash.update([0]);
            match &origin {
                Some((Some(source), Some(offset))) => {
                    hash.update(source.value(at).to_be_bytes());
                    hash.update(offset.value(at).to_be_bytes());
                }
                _ => hash.update(out.event_times[at].unwrap_or(Micros::MIN).to_be_bytes()),
            }
            if out.removes(at) {
                // No row is text that begins so.
                hash.update([0]);
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

/// How a job tries again what the environment did not take.
#[derive(Debug, Clone, Copy)]
pub struct Retries<'a> {
    /// The job's name.
    pub job: &'a str,
    /// Shortens the budget.
    pub stop: &'a Stop,
    /// Where the waiting is shown.
    pub status: &'a StatusBoard,
    /// Time between two tries.
    pub pause: Duration,
}

// === impl Retries ===

impl Retries<'_> {
    /// Does `attempt` until it succeeds, fails for good, or the budget ends the tries.
    ///
    /// # Errors
    /// The last failure.
    pub fn until_done<T>(self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let mut before: Option<State> = None;
        loop {
            let error = match attempt() {
                Err(error) if error.is_retryable() => error,
                done => {
                    if let Some(before) = before {
                        self.status.update(|status| status.state = before);
                    }
                    return done;
                }
            };
            let stopped = self.stop.since();
            if started.elapsed() >= RETRY_BUDGET || stopped.is_some_and(|since| since.elapsed() >= STOP_BUDGET) {
                return Err(error);
            }
            tracing::warn!(job = self.job, %error, "cannot write, trying again");
            self.status.update(|status| {
                // A source may be waited for as well; what was shown comes back when the sink answers.
                before.get_or_insert_with(|| status.state.clone());
                status.state = State::Waiting(error.to_string());
            });
            // Once the signal is set, waiting for it would not wait.
            if stopped.is_some() {
                Stop::new().wait(self.pause)
            } else {
                self.stop.wait(self.pause)
            };
        }
    }

    /// Writes `rows` to every sink.
    ///
    /// # Errors
    /// As [`Retries::until_done`].
    pub fn write_all(self, sinks: &mut [Box<dyn Sink>], rows: &[SinkRows], now: Micros) -> Result<()> {
        for rows in rows {
            for sink in sinks.iter_mut() {
                self.until_done(|| sink.write(rows, now))?;
            }
        }
        Ok(())
    }

    /// Publishes what is due, or everything when `all`.
    ///
    /// # Errors
    /// As [`Retries::until_done`].
    pub fn publish(self, sink: &mut dyn Sink, all: bool, now: Micros) -> Result<Vec<Published>> {
        self.until_done(|| if all { sink.flush() } else { sink.publish_due(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(attempts: &mut dyn Iterator<Item = Result<u8>>, stop: &Stop, status: &StatusBoard) -> Result<u8> {
        Retries { job: "j", stop, status, pause: RETRY_PAUSE }.until_done(|| attempts.next().unwrap())
    }

    #[test]
    fn what_was_shown_before_comes_back() {
        let (stop, status) = (Stop::new(), StatusBoard::default());
        let source = State::Waiting("stream 'flow': gone".to_owned());
        status.update(|status| status.state = source.clone());
        let shown = status.clone();
        let mut attempts = [Err(Error::unavailable("away")), Ok(7)].into_iter().inspect(|attempt| {
            let expect = if attempt.is_err() { source.clone() } else { State::Waiting("away".to_owned()) };
            assert_eq!(shown.get().state, expect);
        });
        assert_eq!(retries(&mut attempts, &stop, &status).unwrap(), 7);
        assert_eq!(status.get().state, source);
    }

    #[test]
    fn what_is_permanent_is_not_tried_again_and_a_stop_leaves_time_for_a_retry() {
        let (stop, status) = (Stop::new(), StatusBoard::default());
        let permanent = || Err(Error::unavailable("refused").permanent());
        retries(&mut [permanent()].into_iter(), &stop, &status).unwrap_err();
        stop.set();
        assert_eq!(retries(&mut [Err(Error::unavailable("slow")), Ok(3)].into_iter(), &stop, &status).unwrap(), 3);
    }
}
