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
//! It remembers the rows of open windows and forgets them when the watermark reaches their closing time.

use crate::closing;
use crate::fragment::Fragment;
use crate::memory::batch_bytes;
use crate::operator::{OpenWindows, Operator, Run};
use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use citystream_model::time::Watermark;
use citystream_model::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Windows are run together until they hold this many rows: one run costs a fraction of a millisecond whatever it reads.
const ROWS_PER_RUN: usize = 65_536;

/// See the module's description.
pub(crate) struct ClosedWindow {
    // PROPERTIES
    /// SQL that is run over closed windows.
    fragment: Fragment,
    // STATES
    /// Per port: rows by the watermark that closes them, microseconds.
    open: Vec<BTreeMap<i64, Vec<RecordBatch>>>,
    /// Newest watermark.
    watermark: Watermark,
    // METRICS
    /// Bytes of all buffered rows.
    bytes: usize,
}

// === impl ClosedWindow ===

impl ClosedWindow {
    pub(crate) fn new(fragment: Fragment, ports: usize) -> Self {
        Self { fragment, open: vec![BTreeMap::new(); ports], watermark: Watermark::NONE, bytes: 0 }
    }

    /// Closing times up to the watermark, in ascending order.
    fn closing(&self) -> BTreeSet<i64> {
        self.open.iter().flat_map(|port| port.range(..=self.watermark.0).map(|(closes_at, _)| *closes_at)).collect()
    }

    /// Runs the SQL over the windows of `closing`.
    fn run(&mut self, closing: &[i64], out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut inputs = Vec::with_capacity(self.open.len());
        for port in &mut self.open {
            let batches: Vec<_> = closing.iter().filter_map(|closes_at| port.remove(closes_at)).flatten().collect();
            self.bytes = self.bytes.saturating_sub(batches.iter().map(batch_bytes).sum::<usize>());
            inputs.push(batches);
        }
        out.extend(self.fragment.run(inputs)?);
        Ok(())
    }

    fn rows(&self, closes_at: i64) -> usize {
        self.open.iter().filter_map(|port| port.get(&closes_at)).flatten().map(RecordBatch::num_rows).sum()
    }
}

impl Operator for ClosedWindow {
    fn on_batch(&mut self, port: usize, batch: RecordBatch, _: &mut Vec<RecordBatch>) -> Result<()> {
        for (closes_at, rows) in split(batch)? {
            closing::check_open(closes_at, self.watermark)?;
            self.bytes += batch_bytes(&rows);
            self.open[port].entry(closes_at).or_default().push(rows);
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

    fn seal(&mut self) -> Result<Vec<Run>> {
        self.bytes = 0;
        let mut runs = Vec::new();
        for (port, windows) in self.open.iter_mut().enumerate() {
            for (closes_at, batches) in std::mem::take(windows) {
                let rows = batches.into_iter().map(|batch| closing::put(batch, closes_at));
                runs.extend(rows.map(|batch| Ok(Run { port, batch: batch? })).collect::<Result<Vec<_>>>()?);
            }
        }
        Ok(runs)
    }

    fn restore(&mut self, run: Run, watermark: Watermark) -> Result<()> {
        self.watermark = self.watermark.max(watermark);
        self.on_batch(run.port, run.batch, &mut Vec::new())
    }

    fn state_bytes(&self) -> usize {
        self.bytes
    }

    fn open_windows(&self, windows: &mut OpenWindows) {
        windows.add_ends(self.open.iter().flat_map(BTreeMap::keys).copied());
    }
}

/// Takes the last column off and splits the rows by it.
fn split(mut batch: RecordBatch) -> Result<Vec<(i64, RecordBatch)>> {
    let closes_at = closing::take(&mut batch)?;
    let Some(&first) = closes_at.values().first() else { return Ok(Vec::new()) };
    let Some(rows) = closing::rows(closes_at.values()) else { return Ok(vec![(first, batch)]) };
    rows.into_iter()
        .map(|(closes_at, rows)| {
            let taken = take_record_batch(&batch, &UInt32Array::from(rows));
            Ok((closes_at, taken.map_err(|error| Error::internal("splitting a batch by window").caused_by(error))?))
        })
        .collect()
}
