//! The contract of every operator.

use arrow::record_batch::RecordBatch;
use citystream_model::Result;
use citystream_model::time::{Micros, Watermark};
use std::collections::BTreeSet;

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

    /// Takes the whole state out, as runs that [`Operator::restore`] of an operator of the same plan understands. What
    /// the operator knows after that is its watermark only.
    ///
    /// # Errors
    /// As [`Operator::on_batch`].
    fn seal(&mut self) -> Result<Vec<Run>>;

    /// Takes in a run that an operator of the same plan has sealed at `watermark`, on this shard or another one.
    ///
    /// # Errors
    /// As [`Operator::on_batch`].
    fn restore(&mut self, run: Run, watermark: Watermark) -> Result<()>;

    /// Bytes of the state.
    fn state_bytes(&self) -> usize;

    /// Adds the windows that hold rows and have not closed.
    fn open_windows(&self, windows: &mut OpenWindows);
}

/// Windows that hold rows and have not closed, in operators that may share them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenWindows {
    /// Windows and panes by the clock: the watermarks that close them.
    ends: BTreeSet<Micros>,
    /// Sessions, each of its own key.
    sessions: usize,
}

// === impl OpenWindows ===

impl OpenWindows {
    /// Adds windows by the clock.
    pub fn add_ends(&mut self, ends: impl IntoIterator<Item = Micros>) {
        self.ends.extend(ends);
    }

    /// Adds sessions.
    pub fn add_sessions(&mut self, count: usize) {
        self.sessions += count;
    }

    /// The watermarks that close windows by the clock, in order.
    pub fn ends(self) -> BTreeSet<Micros> {
        self.ends
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ends.len() + self.sessions
    }
}

/// A part of an operator's state, as rows: what one shard has of several keys.
#[derive(Debug, Clone)]
pub struct Run {
    /// Input that the rows came from; 0 for states that aggregates made of rows.
    pub port: usize,
    /// The rows; which columns, is the operator's.
    pub batch: RecordBatch,
}
