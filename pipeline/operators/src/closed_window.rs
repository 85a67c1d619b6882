//! `ClosedWindow`: any SQL inside a window. Serves every window-decomposable shape that has no faster operator:
//! aggregates of all kinds, joins of windowed streams, window functions, DISTINCT, top-N inside a window.
//!
//! ```text
//!   rows            buffered by closing time            watermark 10:10
//!   10:01 a  --->   10:05: [10:01 a] [10:04 b]  --+
//!   10:07 a  --->   10:10: [10:07 a]            --+-->  run the SQL over both windows at once  -->  rows
//!   10:12 c  --->   10:15: [10:12 c]                    (its keys hold the window, so windows do not mix)
//! ```
//!
//! It remembers the rows of open windows and forgets them when the watermark reaches their closing time. Where the plan
//! says which rows are enough (the first three of each key), a window with many rows is pruned down to those.

use crate::closing;
use crate::fragment::Fragment;
use crate::memory::batch_bytes;
use crate::operator::{OpenWindows, Operator, Parts};
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, Result};
use citystream_state::run::{Run, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// Windows are run together until they hold this many rows: one run costs a fraction of a millisecond whatever it reads.
const ROWS_PER_RUN: usize = 65_536;

/// See the module's description.
pub(crate) struct ClosedWindow {
    // PROPERTIES
    /// SQL that is run over closed windows.
    fragment: Fragment,
    /// SQL that leaves of a window's rows those that are enough, and the rows that come between two runs of it.
    pruning: Option<(Fragment, usize)>,
    // STATES
    /// Per port: rows by the watermark that closes them, microseconds.
    open: Vec<BTreeMap<i64, Rows>>,
    parts: Parts,
    /// Newest watermark.
    watermark: Watermark,
    // METRICS
    /// Bytes of all buffered rows.
    bytes: usize,
}

/// Rows of one window.
#[derive(Debug, Clone, Default)]
struct Rows {
    batches: Vec<RecordBatch>,
    count: usize,
    bytes: usize,
    /// Rows that the last pruning left.
    left: usize,
    /// How many of the batches stand in a checkpoint.
    saved: usize,
}

// === impl ClosedWindow ===

impl ClosedWindow {
    pub(crate) fn new(fragment: Fragment, pruning: Option<(Fragment, usize)>, ports: usize) -> Self {
        Self {
            fragment,
            pruning,
            open: vec![BTreeMap::new(); ports],
            parts: Parts::default(),
            watermark: Watermark::NONE,
            bytes: 0,
        }
    }

    /// Closing times up to the watermark, in ascending order.
    fn closing(&self) -> BTreeSet<i64> {
        self.open.iter().flat_map(|port| port.range(..=self.watermark.0).map(|(closes_at, _)| *closes_at)).collect()
    }

    /// Runs the SQL over the windows of `closing`.
    fn run(&mut self, closing: &[i64], out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut inputs = Vec::with_capacity(self.open.len());
        for port in &mut self.open {
            let rows: Vec<Rows> = closing.iter().filter_map(|closes_at| port.remove(closes_at)).collect();
            self.bytes -= rows.iter().map(|rows| rows.bytes).sum::<usize>();
            inputs.push(rows.into_iter().flat_map(|rows| rows.batches).collect());
        }
        out.extend(self.fragment.run(inputs)?);
        Ok(())
    }

    fn rows(&self, closes_at: i64) -> usize {
        self.open.iter().filter_map(|port| port.get(&closes_at)).map(|rows| rows.count).sum()
    }
}

impl Operator for ClosedWindow {
    fn on_batch(&mut self, port: usize, batch: RecordBatch, _: &mut Vec<RecordBatch>) -> Result<()> {
        for (closes_at, rows) in closing::split(batch)? {
            closing::check_open(closes_at, self.watermark)?;
            let window = self.open[port].entry(closes_at).or_default();
            self.bytes -= window.bytes;
            window.push(rows);
            if let Some((fragment, every)) = &self.pruning {
                let was_saved = window.saved > 0;
                if window.prune(fragment, *every)? && was_saved {
                    // Rows that went stand in a checkpoint: the next one has to hold the whole state.
                    self.parts.make_next_whole();
                }
            }
            self.bytes += window.bytes;
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Watermark, out: &mut Vec<RecordBatch>) -> Result<()> {
        self.watermark = self.watermark.max(watermark);
        let (mut closing, mut rows) = (Vec::new(), 0);
        for closes_at in self.closing() {
            rows += self.rows(closes_at);
            closing.push(closes_at);
            if rows >= ROWS_PER_RUN {
                self.run(&closing, out)?;
                closing.clear();
                rows = 0;
            }
        }
        if !closing.is_empty() {
            self.run(&closing, out)?;
        }
        Ok(())
    }

    fn seal(&mut self, whole: bool) -> Result<Snapshot> {
        let is_whole = self.parts.is_next_whole(whole);
        let mut runs = Vec::new();
        for (port, windows) in self.open.iter_mut().enumerate() {
            let mut rows = Vec::new();
            for (closes_at, held) in windows {
                let from = if is_whole { 0 } else { held.saved };
                for batch in &held.batches[from..] {
                    rows.push(closing::put(batch.clone(), *closes_at)?);
                }
                held.saved = held.batches.len();
            }
            if let Some(first) = rows.first() {
                let batch = concat_batches(&first.schema(), &rows);
                let batch = batch.map_err(|error| Error::internal("rows of a checkpoint").caused_by(error))?;
                runs.push(Run { port, batch });
            }
        }
        Ok(Snapshot { is_whole, runs })
    }

    fn restore(&mut self, runs: Vec<Run>, watermark: Watermark) -> Result<()> {
        self.watermark = self.watermark.max(watermark);
        self.parts.make_next_whole();
        for run in runs {
            if let Some(rows) = closing::still_needed(&run.batch, watermark, |closes_at| closes_at)? {
                self.on_batch(run.port, rows, &mut Vec::new())?;
            }
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.bytes
    }

    fn open_windows(&self, windows: &mut OpenWindows) {
        windows.add_ends(self.open.iter().flat_map(BTreeMap::keys).copied());
    }

    fn last_end(&self) -> Option<Micros> {
        self.open.iter().filter_map(|windows| windows.keys().next_back()).max().copied()
    }
}

// === impl Rows ===

impl Rows {
    fn push(&mut self, batch: RecordBatch) {
        self.count += batch.num_rows();
        self.bytes += batch_bytes(&batch);
        self.batches.push(batch);
    }

    /// Leaves the rows that are enough, once as many have come as were left, and `every`: so a row is read twice or so.
    /// True when it has.
    fn prune(&mut self, fragment: &Fragment, every: usize) -> Result<bool> {
        if self.count - self.left < every.max(self.left) {
            return Ok(false);
        }
        let batches = fragment.run(vec![std::mem::take(self).batches])?;
        batches.into_iter().for_each(|batch| self.push(batch));
        self.left = self.count;
        Ok(true)
    }
}
