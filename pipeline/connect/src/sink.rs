//! Where rows leave: the sink trait and its laws.

use arrow::array::RecordBatch;
use citystream_model::Result;
use citystream_model::time::Micros;

/// Rows on their way out.
#[derive(Debug, Clone)]
pub struct SinkRows {
    /// The job's output columns, in order.
    pub batch: RecordBatch,
    /// Of each row the window start, else the event time; `None` where it has neither.
    pub event_times: Vec<Option<Micros>>,
    /// Deterministic id of each row; empty when no sink of the job asked.
    pub ids: Vec<u128>,
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

/// Takes rows and publishes them.
///
/// Laws: a row that was written is published once by this sink, or an error is returned; what is visible is complete;
/// memory is bounded, so `write` may publish or wait. After an error the sink is not used again, unless it says that
/// a retryable error leaves it usable (`write` has not taken the rows then).
/// [`Sink::flush`] twice publishes nothing twice; every published row is reported once, by `publish_due` or `flush`.
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
}
