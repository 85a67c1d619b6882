//! The contract of every operator.

use arrow::record_batch::RecordBatch;
use citystream_model::Result;
use citystream_model::time::{Micros, Watermark};
use citystream_state::run::{Run, Snapshot};
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

    /// Puts out what windows hold that close at or before `until`, as far as it has changed since it came out last: rows that
    /// come out later replace those of the same key. `until` may lie beyond the watermark.
    ///
    /// # Errors
    /// As [`Operator::on_batch`].
    fn fire_early(&mut self, until: Watermark, out: &mut Vec<RecordBatch>) -> Result<()> {
        let _ = (until, out);
        Ok(())
    }

    /// Gives the state as immutable runs that [`Operator::restore`] of an operator of the same plan understands: the whole
    /// of it if `whole`, or if the operator finds that better, else what came since the last call. The state stays where
    /// it is; what is given is not copied again later.
    ///
    /// # Errors
    /// As [`Operator::on_batch`].
    fn seal(&mut self, whole: bool) -> Result<Snapshot>;

    /// Goes on with the state of operators of the same plan that knew `watermark`, on this shard or others: all of their
    /// runs that the newest checkpoint needs. Rows of windows that had closed by then are left out.
    ///
    /// # Errors
    /// As [`Operator::on_batch`].
    fn restore(&mut self, runs: Vec<Run>, watermark: Watermark) -> Result<()>;

    /// Bytes of the state.
    fn state_bytes(&self) -> usize;

    /// Adds the windows that hold rows and have not closed.
    fn open_windows(&self, windows: &mut OpenWindows);

    /// The watermark by which all that it holds has come out; `None` when it holds nothing.
    fn last_end(&self) -> Option<Micros>;
}

/// After so many checkpoints with what came since the last one, an operator gives its whole state: reading it back costs no
/// more than so many runs, and old ones can go.
const MOST_PARTS: u32 = 16;

/// How many checkpoints an operator has made since the last one with its whole state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Parts(u32);

/// Windows that hold rows and have not closed, in operators that may share them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenWindows {
    /// Windows and panes by the clock: the watermarks that close them.
    ends: BTreeSet<Micros>,
    /// Sessions, each of its own key.
    sessions: usize,
}

// === impl Parts ===

impl Parts {
    /// Of an operator that can give what came since the last checkpoint only once there is one.
    pub(crate) fn next_whole() -> Self {
        Self(MOST_PARTS)
    }

    /// True when the next checkpoint has to hold the whole state.
    pub(crate) fn must_be_whole(self) -> bool {
        self.0 >= MOST_PARTS
    }

    /// Counts a checkpoint; true when it has to hold the whole state, as it has to if `whole`.
    pub(crate) fn is_next_whole(&mut self, whole: bool) -> bool {
        let is_whole = whole || self.0 >= MOST_PARTS;
        self.0 = if is_whole { 0 } else { self.0 + 1 };
        is_whole
    }

    /// Says that what stands in earlier checkpoints is not what the operator holds: it was restored, or rows have gone.
    pub(crate) fn make_next_whole(&mut self) {
        self.0 = MOST_PARTS;
    }
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
