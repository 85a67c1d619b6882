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

use crate::fragment::Fragment;
use crate::operator::Operator;
use arrow::array::{Array, Int64Array, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Watermark, format_time};
use citystream_model::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
            self.bytes = self.bytes.saturating_sub(batches.iter().map(RecordBatch::get_array_memory_size).sum());
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
            if closes_at <= self.watermark.0 {
                return Err(Error::internal("a row came after its window had closed")
                    .with("closes_at", format_time(closes_at))
                    .with("watermark", self.watermark));
            }
            self.bytes += rows.get_array_memory_size();
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

    fn state_bytes(&self) -> usize {
        self.bytes
    }

    fn open_windows(&self) -> usize {
        self.open.iter().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>().len()
    }
}

/// Takes the last column off and splits the rows by it.
fn split(mut batch: RecordBatch) -> Result<Vec<(i64, RecordBatch)>> {
    let wrong = || Error::internal("a row without a closing time");
    let closes_at = batch.remove_column(batch.num_columns() - 1);
    let closes_at =
        closes_at.as_any().downcast_ref::<Int64Array>().filter(|column| column.null_count() == 0).ok_or_else(wrong)?;
    let Some(&first) = closes_at.values().first() else { return Ok(Vec::new()) };
    if closes_at.values().iter().all(|&other| other == first) {
        return Ok(vec![(first, batch)]);
    }
    let mut rows: HashMap<i64, Vec<u32>> = HashMap::new();
    for (row, &closes_at) in (0u32..).zip(closes_at.values()) {
        rows.entry(closes_at).or_default().push(row);
    }
    rows.into_iter()
        .map(|(closes_at, rows)| {
            let taken = take_record_batch(&batch, &UInt32Array::from(rows));
            Ok((closes_at, taken.map_err(|error| Error::internal("splitting a batch by window").caused_by(error))?))
        })
        .collect()
}
