//! The contract of every operator.

use arrow::record_batch::RecordBatch;
use citystream_model::Result;
use citystream_model::time::Watermark;

/// One node of the dataflow: synchronous, single-threaded, without clock or I/O.
///
/// Confluence: what an operator has put out after a watermark is a function of the set of rows it was given and that
/// watermark, never of the order or the cuts in which the rows came.
pub trait Operator: Send {
    /// Takes a batch on input `port` and puts out what follows from it at once.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when a row breaks the watermark's promise (I2), or when DataFusion fails.
    fn on_batch(&mut self, port: usize, batch: RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()>;

    /// Learns that no row with an event time below `watermark` follows, and puts out what is final by that.
    ///
    /// # Errors
    /// As [`Operator::on_batch`].
    fn on_watermark(&mut self, watermark: Watermark, out: &mut Vec<RecordBatch>) -> Result<()>;

    /// Bytes of buffered rows.
    fn state_bytes(&self) -> usize;

    /// Windows that hold rows and have not closed.
    fn open_windows(&self) -> usize;
}
