//! Where rows leave: the sink trait and its laws.

use arrow::array::RecordBatch;
use citystream_model::time::Micros;
use citystream_model::{Result, StagedFile};
use std::ops::Range;
use std::sync::Arc;

/// Rows on their way out.
#[derive(Debug, Clone)]
pub struct SinkRows {
    /// The job's output columns, in order.
    pub batch: RecordBatch,
    /// Of each row the window start, else the event time; `None` where it has neither.
    pub event_times: Vec<Option<Micros>>,
    /// Deterministic id of each row; empty when no sink of the job asked.
    pub ids: Vec<u128>,
    /// Of each row, whether it says that the row of its key is none any more: then only its key counts. Where a key comes
    /// again in the same rows, it is removed first. Empty when nothing is removed; sinks whose rows do not replace one another
    /// get nothing that is.
    pub removed: Vec<bool>,
}

impl SinkRows {
    /// Rows without ids, none of which removes another.
    pub fn new(batch: RecordBatch, event_times: Vec<Option<Micros>>) -> Self {
        Self { batch, event_times, ids: Vec::new(), removed: Vec::new() }
    }

    /// True when the row at `at` removes the one of its key.
    pub fn removes(&self, at: usize) -> bool {
        self.removed.get(at).copied().unwrap_or_default()
    }
}

/// Rows that became durable and visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The sink as written, such as `parquet:congestion`.
    pub sink: String,
    /// File below the table's folder, or topic.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Number of bytes: of the file, or of keys and values.
    pub bytes: u64,
}

impl From<StagedFile> for Published {
    /// What a file is once its epoch is published.
    fn from(StagedFile { sink, to: path, rows, bytes, .. }: StagedFile) -> Self {
        Self { sink, path, rows, bytes }
    }
}

/// Takes rows and publishes them.
///
/// Laws: a row that was written is published once by this sink, or an error is returned; what is visible is complete;
/// memory is bounded, so `write` may publish or wait. After an error the sink is not used again, unless it says that
/// a retryable error leaves it usable (`write` has not taken the rows then).
/// [`Sink::flush`] twice publishes nothing twice; every published row is reported once, by `publish_due` or `flush`.
///
/// A sink with a [`Publisher`] serves jobs with checkpoints: it publishes nothing itself. Rows go into files that wait for
/// their epoch, which [`Sink::stage`] ends.
pub trait Sink: Send {
    /// True when [`SinkRows::ids`] has to be filled.
    fn wants_ids(&self) -> bool;

    /// Takes rows; `now` is the time from which their freshness counts.
    ///
    /// # Errors
    /// The sink cannot take them, or an earlier row could not be published.
    fn write(&mut self, rows: &SinkRows, now: Micros) -> Result<()>;

    /// Publishes what freshness or size demands; cheap when nothing is due.
    ///
    /// # Errors
    /// A row could not be published.
    fn publish_due(&mut self, now: Micros) -> Result<Vec<Published>>;

    /// Publishes everything: all is durable and visible when it returns.
    ///
    /// # Errors
    /// A row could not be published.
    fn flush(&mut self) -> Result<Vec<Published>>;

    /// Bytes in memory that are not published yet.
    fn buffered_bytes(&self) -> usize;

    /// True when a row has waited for as long as the job's freshness allows: an epoch is due.
    fn is_due(&self, now: Micros) -> bool;

    /// Ends an epoch: all rows written so far are durable when it returns, in files that nobody sees yet, unless the sink
    /// has no publisher: then they are published. Files of one epoch are given once.
    ///
    /// # Errors
    /// A row could not be written; the files are given by the next call then, if the error is retryable.
    fn stage(&mut self) -> Result<Vec<StagedFile>>;

    /// What publishes the files that it stages; `None` for a sink that cannot tell the two apart.
    fn publisher(&self) -> Option<Arc<dyn Publisher>>;
}

/// Publishes the files of one sink once their epoch is decided.
///
/// Laws: what it is asked twice it does once, and another process may have been asked before; a file that is visible is
/// complete; all files of a call are visible when it returns.
pub trait Publisher: Send + Sync {
    /// The sink as written, such as `parquet:congestion`: files of other sinks are not its business.
    fn sink(&self) -> &str;

    /// Publishes `files`, all of this sink, which `epoch` staged.
    ///
    /// # Errors
    /// The store cannot be used; permanent when a file is neither staged nor published.
    fn publish(&self, epoch: u64, files: &[StagedFile]) -> Result<Vec<Published>>;

    /// The newest epoch of the job that has published something, as far as can be seen without changing anything.
    ///
    /// # Errors
    /// The store cannot be used.
    fn newest(&self) -> Result<Option<u64>>;

    /// Makes sure that the output is still the one in which `epoch` has published something, as far as it remembers epochs.
    ///
    /// # Errors
    /// Permanent: it does not know of the epoch. The store cannot be used.
    fn check_kept(&self, epoch: u64) -> Result<()> {
        let _ = epoch;
        Ok(())
    }

    /// Removes files of the job that wait for an epoch up to `epoch` that will never be: all but `keep`. Later ones may be those
    /// of an instance that has taken the job over meanwhile.
    ///
    /// # Errors
    /// The store cannot be used.
    fn discard(&self, epoch: u64, keep: &[StagedFile]) -> Result<()>;

    /// Takes back what `epochs` have published: their checkpoints are damaged, and their rows come again.
    ///
    /// # Errors
    /// The store cannot be used.
    fn take_back(&self, epochs: Range<u64>) -> Result<()>;
}
