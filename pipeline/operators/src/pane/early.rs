//! Results before a window is final: of keys that have changed since they came out last.
//!
//! A first phase passes the states of its open panes on, and goes on with empty ones; the second puts them together. Both
//! forget nothing by it: what comes out last is the result over all rows.

use super::Pane;
use crate::aggregates::Sealed;
use arrow::record_batch::RecordBatch;
use citystream_functions::{Overlap, Window};
use citystream_model::Result;
use citystream_model::time::Micros;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Sealed parts of a pane above which they are put together.
const MOST_PARTS: usize = 16;
/// Bytes of a key that has changed: a number in a tree that is half full.
const BYTES_OF_CHANGED: usize = 12;

/// What has come out before it was final, and what has changed since.
pub(super) struct Revisions {
    /// Windows that end by then have come out as far as they went.
    fired: Micros,
    /// Keys whose states have changed since, by the watermark that closes their pane.
    changed: BTreeMap<Micros, BTreeSet<u32>>,
}

// === impl Revisions ===

impl Revisions {
    pub(super) fn new() -> Self {
        Self { fired: Micros::MIN, changed: BTreeMap::new() }
    }

    /// Takes notice of rows of `keys` in the pane that closes at `closes_at`.
    pub(super) fn note(&mut self, closes_at: Micros, keys: impl Iterator<Item = u32>) {
        self.changed.entry(closes_at).or_default().extend(keys);
    }

    /// The keys that have changed in a pane which is a window, and will have no more.
    pub(super) fn take(&mut self, closes_at: Micros) -> BTreeSet<u32> {
        self.changed.remove(&closes_at).unwrap_or_default()
    }

    /// Forgets panes that no open window needs: those that start before `start`.
    pub(super) fn drop_before(&mut self, start: Micros, pane: Micros) {
        self.changed = self.changed.split_off(&start.saturating_add(pane));
    }

    /// The keys that have something new to say in `window`; `None` when it has not come out yet, so that all have.
    pub(super) fn of_window(&self, window: Window, pane: Micros) -> Option<BTreeSet<u32>> {
        let panes = self.changed.range(window.start.saturating_add(pane)..=window.end);
        (window.end <= self.fired).then(|| panes.flat_map(|(_, keys)| keys).copied().collect())
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, moved: &[u32]) {
        for keys in self.changed.values_mut() {
            *keys = keys.iter().map(|number| moved[*number as usize]).collect();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.changed.values().map(|keys| keys.len() * BYTES_OF_CHANGED).sum()
    }
}

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

    /// Puts out what has changed in windows that end at or before `until`, or before an earlier one.
    pub(super) fn revise(&mut self, until: Micros, out: &mut Vec<RecordBatch>) -> Result<()> {
        let until = until.max(self.revisions.fired);
        match self.overlap {
            None => self.revise_panes(until, out)?,
            Some(windows) => self.revise_windows(windows, until, out)?,
        }
        self.revisions.fired = until;
        for (_, pane) in self.open.range_mut(..=until) {
            if pane.sealed.len() > MOST_PARTS {
                pane.compact(&self.aggregates, &mut self.dict)?;
                self.parts.make_next_whole();
            }
            self.open_bytes -= pane.bytes;
            self.open_bytes += pane.count();
        }
        Ok(())
    }

    fn revise_panes(&mut self, until: Micros, out: &mut Vec<RecordBatch>) -> Result<()> {
        let changed: Vec<Micros> = self.revisions.changed.range(..=until).map(|(closes_at, _)| *closes_at).collect();
        for closes_at in changed {
            let keys = self.revisions.take(closes_at);
            let Some(pane) = self.open.get_mut(&closes_at) else { continue };
            let mut groups = pane.changes(&keys, &self.aggregates, &self.dict)?;
            let shared = pane.shared.clone();
            self.put_out(&mut groups, (closes_at, &shared, None), out)?;
        }
        Ok(())
    }

    fn revise_windows(&mut self, windows: Overlap, until: Micros, out: &mut Vec<RecordBatch>) -> Result<()> {
        let pane = windows.pane();
        for window in self.windows_to_revise(windows, until) {
            let keys = self.revisions.of_window(window, pane);
            let mut parts: Vec<Sealed> = self.ring.parts_of(window).into_iter().cloned().collect();
            for (_, open) in self.open.range_mut(window.start + pane..=window.end) {
                open.seal_live(&self.aggregates)?;
                parts.extend(open.sealed.iter().cloned());
            }
            if let Some(keys) = keys {
                parts = parts.iter().map(|part| part.of_keys(&keys)).collect::<Result<_>>()?;
            }
            let mut groups = self.aggregates.merge(&parts.iter().collect::<Vec<_>>(), self.dict.len())?;
            self.put_out(&mut groups, (window.end, &[], Some(window)), out)?;
        }
        // Those of windows that end later have not come out at all, and will as a whole.
        self.revisions.changed.clear();
        Ok(())
    }

    /// Open windows that end at or before `until` and have rows, in order: those that have not come out yet, and those with
    /// keys that have changed since.
    fn windows_to_revise(&self, windows: Overlap, until: Micros) -> Vec<Window> {
        let (pane, watermark, fired) = (windows.pane(), self.watermark.0, self.revisions.fired);
        let held = self.ring.starts().chain(self.open.keys().map(|closes_at| closes_at - pane));
        let new = held.flat_map(|start| over(windows, start, watermark.max(fired)..until));
        let changed = self.revisions.changed.keys();
        let changed = changed.flat_map(|closes_at| over(windows, closes_at - pane, watermark..until));
        let ends: BTreeMap<Micros, Window> = new.chain(changed).map(|window| (window.end, window)).collect();
        ends.into_values().collect()
    }
}

/// The windows that the pane which starts at `start` is in and that end behind the start of `times`, up to its end.
fn over(windows: Overlap, start: Micros, times: Range<Micros>) -> impl Iterator<Item = Window> {
    let first = windows.first_behind(start.max(times.start));
    let all = std::iter::successors(Some(first), move |window| Some(windows.after(*window)));
    let last = windows.last_end(start).min(times.end);
    all.take_while(move |window| window.end <= last && window.start <= start)
}
