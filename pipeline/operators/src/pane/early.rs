//! Results before a window is final: of keys that have changed since they came out last.
//!
//! A first phase passes the states of its open panes on, and goes on with empty ones; the second puts them together. Both
//! forget nothing by it: what comes out last is the result over all rows.

use super::Pane;
use arrow::record_batch::RecordBatch;
use citystream_model::Result;
use citystream_model::time::Micros;

/// Sealed parts of a pane above which they are put together.
const MOST_PARTS: usize = 16;

impl Pane {
    /// Puts out the states of panes that close at or before `until`, of a first phase; true when there were some.
    pub(super) fn pass_on(&mut self, until: Micros, out: &mut Vec<RecordBatch>) -> Result<bool> {
        let mut some = false;
        while let Some((closes_at, mut pane)) = self.close(until) {
            some = true;
            pane.seal_live(&self.aggregates)?;
            for part in &pane.sealed {
                let rows = self.state_rows(part, &pane.shared, closes_at)?;
                out.push(rows);
            }
        }
        Ok(some)
    }

    /// As [`Self::pass_on`], of panes that rows may still come for.
    pub(super) fn pass_on_early(&mut self, until: Micros, out: &mut Vec<RecordBatch>) -> Result<()> {
        if self.pass_on(until, out)? {
            // Parts in earlier checkpoints have been passed on, though their panes are open.
            self.parts.make_next_whole();
            self.sweep()?;
        }
        Ok(())
    }

    /// Puts out what has changed in panes that close at or before `until`.
    pub(super) fn revise(&mut self, until: Micros, out: &mut Vec<RecordBatch>) -> Result<()> {
        let changed = self.open.range(..=until).filter(|(_, pane)| !pane.changed.is_empty());
        let changed: Vec<Micros> = changed.map(|(closes_at, _)| *closes_at).collect();
        for closes_at in changed {
            let Some(mut pane) = self.open.remove(&closes_at) else { continue };
            self.open_bytes -= pane.bytes;
            let mut groups = pane.changes(&self.aggregates, &self.dict)?;
            let values = groups.results()?;
            let rows = self.rows(groups.numbers(), &pane.shared, None, values)?;
            out.push(rows);
            if pane.sealed.len() > MOST_PARTS {
                pane.compact(&self.aggregates, &mut self.dict)?;
                self.parts.make_next_whole();
            }
            self.open_bytes += pane.count();
            self.open.insert(closes_at, pane);
        }
        Ok(())
    }
}
