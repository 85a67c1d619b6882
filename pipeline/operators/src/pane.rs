//! `Pane`: aggregates of windows by the clock, a state per group and pane. Serves GROUP BY and DISTINCT over `tumble`,
//! `hop`, `cumulate`, `date_bin` and `date_trunc`.
//!
//! ```text
//!   rows             panes of 1 min: a state per key        watermark 10:05, hop 1 min / 5 min
//!   10:03:10 a  -->  10:03  a: {2, 17}  b: {1, 4}   --+
//!   10:04:50 b  -->  10:04  b: {3, 11}              --+-->  ring: merge panes 10:00 .. 10:04  -->  a row per key
//!   10:05:01 a  -->  10:05  a: {1, 9}   (stays open)
//! ```
//!
//! It remembers a state per key for each open pane, and for each closed one that an open window still needs; it forgets
//! a pane when the last window over it has closed. Its work is in two phases where several shards read one stream: each
//! shard puts out states of closed panes (`Partial`), one operator per share of the keys puts them together (`Final`).

use crate::aggregates::{Aggregates, Arguments, Groups, Sealed, failed};
use crate::closing;
use crate::group_keys;
use crate::keys::KeyDict;
use crate::operator::{OpenWindows, Operator, Parts};
use crate::plan::{KeyRole, PaneSpec};
use crate::revision::Having;
use arrow::array::{ArrayRef, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use citystream_functions::{Overlap, Window};
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, Result};
use citystream_state::run::{Run, Snapshot};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::physical_expr::PhysicalExpr;
use early::Revisions;
use open::Open;
use ring::Ring;
use shown::Shown;
use std::collections::BTreeMap;
use std::sync::Arc;

mod early;
mod open;
mod ring;
mod shown;
mod states;
#[cfg(test)]
mod tests;

/// Open windows that are counted: a day that slides by the second has more, and nobody counts them.
const MOST_WINDOWS: usize = 4_096;
/// Small windows that close together come out together, up to so many rows.
const ROWS_PER_BATCH: usize = 8_192;

/// What goes in and what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Rows in, results out.
    Whole,
    /// Rows in, states of closed panes out.
    Partial,
    /// States in, results out.
    Final,
}

/// See the module's description.
pub(crate) struct Pane {
    // PROPERTIES
    phase: Phase,
    /// What the key columns that come out are.
    roles: Vec<KeyRole>,
    /// Keys that rows differ in, and those that all rows of a pane share.
    keys: Vec<Arc<dyn PhysicalExpr>>,
    shared: Vec<Arc<dyn PhysicalExpr>>,
    aggregates: Aggregates,
    /// `None` when what comes out are panes.
    overlap: Option<Overlap>,
    /// True when results come out before they are final too.
    revises: bool,
    schema: SchemaRef,
    /// Columns of states as they go to another operator: keys, shared keys, states, closing time.
    states: SchemaRef,
    // STATES
    dict: KeyDict,
    /// Panes that rows may still come for, by the watermark that closes them.
    open: BTreeMap<Micros, Open>,
    ring: Ring,
    /// Parts of closed panes in the ring that no checkpoint has, by the watermark that closed them.
    fresh: Vec<(Micros, Sealed)>,
    parts: Parts,
    revisions: Revisions,
    /// What is a result by what came out last; `None` where no result vanishes.
    shown: Option<Shown>,
    /// The window after the last one that was put out.
    next: Option<Window>,
    watermark: Watermark,
    // METRICS
    /// Bytes of open panes.
    open_bytes: usize,
    ring_bytes: usize,
}

/// One batch, taken apart.
struct Input {
    keys: Vec<ArrayRef>,
    shared: Vec<ArrayRef>,
    values: Values,
}

enum Values {
    Rows(Arguments),
    States(Vec<ArrayRef>),
}

// === impl Pane ===

impl Pane {
    /// Plans the operator.
    pub(crate) fn plan(spec: &PaneSpec, phase: Phase, session: &SessionState) -> Result<Self> {
        let aggregates = Aggregates::plan(&spec.aggregates, &spec.input, session)?;
        Ok(Self {
            phase,
            roles: spec.keys.iter().map(|(_, role)| *role).collect(),
            keys: group_keys::exprs(spec, KeyRole::Key, session)?,
            shared: group_keys::exprs(spec, KeyRole::OfPane, session)?,
            dict: KeyDict::new(Arc::new(Schema::new(group_keys::fields(spec, KeyRole::Key))))?,
            overlap: spec.overlap.filter(|_| phase != Phase::Partial),
            revises: spec.revises.is_some(),
            schema: Arc::clone(&spec.schema),
            states: states::schema(spec, &aggregates),
            aggregates,
            open: BTreeMap::new(),
            ring: Ring::default(),
            fresh: Vec::new(),
            parts: Parts::default(),
            revisions: Revisions::new(),
            shown: Having::plan(spec, session)?.filter(|_| phase != Phase::Partial).map(Shown::new),
            next: None,
            watermark: Watermark::NONE,
            open_bytes: 0,
            ring_bytes: 0,
        })
    }

    fn input(&self, batch: &RecordBatch) -> Result<Input> {
        if self.phase == Phase::Final {
            return Ok(self.states(batch));
        }
        let (keys, shared) = (group_keys::values(&self.keys, batch)?, group_keys::values(&self.shared, batch)?);
        Ok(Input { keys, shared, values: Values::Rows(self.aggregates.arguments(batch)?) })
    }

    /// Adds a batch whose rows close at `closes_at`.
    fn take(&mut self, input: &Input, closes_at: &[Micros]) -> Result<()> {
        let Some(&first) = closes_at.first() else { return Ok(()) };
        let mut numbers = Vec::with_capacity(closes_at.len());
        self.dict.intern(&input.keys, closes_at.len(), &mut numbers)?;
        let Some(rows) = closing::rows(closes_at) else {
            return self.add(first, input, &numbers, None);
        };
        rows.into_iter()
            .try_for_each(|(closes_at, rows)| self.add(closes_at, input, &numbers, Some(&UInt32Array::from(rows))))
    }

    /// Adds `rows` of a batch, or all of them, to the pane that closes at `closes_at`.
    fn add(&mut self, closes_at: Micros, input: &Input, numbers: &[usize], rows: Option<&UInt32Array>) -> Result<()> {
        if !self.open.contains_key(&closes_at) {
            let first = rows.map_or(0, |rows| rows.value(0) as usize);
            let shared = input.shared.iter().map(|column| ScalarValue::try_from_array(column, first));
            let shared = shared.collect::<Result<_, _>>().map_err(failed)?;
            self.open.insert(closes_at, Open::new(self.aggregates.groups()?, shared));
        }
        let Some(pane) = self.open.get_mut(&closes_at) else { return Ok(()) };
        let known = pane.live.numbers().len();
        let places = match rows {
            None => pane.live.place(numbers, self.dict.len()),
            Some(rows) => {
                let some: Vec<usize> = rows.values().iter().map(|row| numbers[*row as usize]).collect();
                pane.live.place(&some, self.dict.len())
            }
        };
        self.dict.hold(&pane.live.numbers()[known..]);
        if self.revises && self.phase != Phase::Partial {
            self.revisions.note(closes_at, places.iter().map(|place| pane.live.numbers()[*place]));
        }
        match (&input.values, rows) {
            (Values::Rows(values), None) => pane.live.update(values, &places)?,
            (Values::Rows(values), Some(rows)) => pane.live.update(&values.of_rows(rows)?, &places)?,
            (Values::States(states), None) => pane.live.merge(&self.aggregates, states, &places)?,
            (Values::States(states), Some(rows)) => {
                let states = states.iter().map(|column| arrow::compute::take(column, rows, None));
                let states = states.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.into()))?;
                pane.live.merge(&self.aggregates, &states, &places)?;
            }
        }
        self.open_bytes -= pane.bytes;
        self.open_bytes += pane.count();
        Ok(())
    }

    /// Takes out the first open pane that closes at or before `time`.
    fn close(&mut self, time: Micros) -> Option<(Micros, Open)> {
        let first = self.open.first_entry().filter(|pane| *pane.key() <= time)?;
        let (closes_at, pane) = first.remove_entry();
        self.open_bytes -= pane.bytes;
        pane.release(&mut self.dict);
        Some((closes_at, pane))
    }

    /// Results of one window.
    fn rows(
        &mut self,
        keys: &[u32],
        shared: &[ScalarValue],
        window: Option<Window>,
        values: Vec<ArrayRef>,
    ) -> Result<RecordBatch> {
        let rows = keys.len();
        let (mut keys, mut shared) = (self.dict.keys(keys)?.into_iter(), shared.iter());
        let bound = |time: Option<Micros>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_value(time.unwrap_or_default(), rows))
        };
        let key = |role: &KeyRole| match role {
            KeyRole::Key => keys.next().ok_or_else(|| Error::internal("a window lacks a key")),
            KeyRole::OfPane => {
                let value = shared.next().ok_or_else(|| Error::internal("a window lacks a bound"))?;
                value.to_array_of_size(rows).map_err(failed)
            }
            KeyRole::Start => Ok(bound(window.map(|window| window.start))),
            KeyRole::End => Ok(bound(window.map(|window| window.end))),
        };
        let mut columns = self.roles.iter().map(key).collect::<Result<Vec<_>>>()?;
        columns.extend(values);
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal("result of a window").caused_by(error))
    }

    /// Puts out results of a window, or those that `shown` has something to say of.
    fn put_out(
        &mut self,
        groups: &mut Groups,
        of: (Micros, &[ScalarValue], Option<Window>),
        out: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let (closes_at, shared, window) = of;
        let values = groups.results()?;
        let mut rows = self.rows(groups.numbers(), shared, window, values)?;
        if let Some(shown) = &mut self.shown {
            rows = shown.revise(closes_at, groups.numbers(), &rows)?;
        }
        out.push(rows);
        Ok(())
    }

    /// Puts out every pane that closes at or before the watermark.
    fn close_panes(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        if self.phase == Phase::Partial {
            return self.pass_on(self.watermark.0, out).map(drop);
        }
        while let Some((closes_at, mut pane)) = self.close(self.watermark.0) {
            let shared = std::mem::take(&mut pane.shared);
            let mut groups = if self.revises {
                let changed = self.revisions.take(closes_at);
                if changed.is_empty() {
                    continue;
                }
                pane.changes(&changed, &self.aggregates, &self.dict)?
            } else {
                pane.total(&self.aggregates, &self.dict)?
            };
            self.put_out(&mut groups, (closes_at, &shared, None), out)?;
        }
        Ok(())
    }

    /// Puts out every window that ends at or before the watermark.
    fn close_windows(&mut self, windows: Overlap, out: &mut Vec<RecordBatch>) -> Result<()> {
        let pane = windows.pane();
        loop {
            let oldest = self.ring.oldest().or_else(|| self.open.keys().next().map(|closes_at| closes_at - pane));
            let Some(oldest) = oldest else { break };
            // Windows that no pane lies in are skipped.
            let first = windows.first_behind(oldest);
            let window = self.next.filter(|next| next.end >= first.end).unwrap_or(first);
            if window.end > self.watermark.0 {
                break;
            }
            while let Some((closes_at, closed)) = self.close(window.end) {
                let pane_states = self.ring_pane(closes_at, closed)?;
                self.ring.push(closes_at - pane, pane_states, &self.aggregates, &mut self.dict)?;
            }
            self.ring.drop_before(window.start, &self.aggregates, &mut self.dict)?;
            let groups = match self.revisions.of_window(window, pane) {
                None => self.ring.total(&self.aggregates, &self.dict)?,
                Some(changed) => self.ring.total_of(&changed, &self.aggregates, &self.dict)?,
            };
            if let Some(mut groups) = groups {
                self.put_out(&mut groups, (window.end, &[], Some(window)), out)?;
            }
            let next = windows.after(window);
            self.ring.drop_before(next.start, &self.aggregates, &mut self.dict)?;
            self.revisions.drop_before(next.start, pane);
            self.next = Some(next);
        }
        Ok(())
    }

    /// Forgets keys that no pane has.
    fn sweep(&mut self) -> Result<()> {
        if let Some(moved) = self.dict.sweep()? {
            let keys = self.dict.len();
            self.open.values_mut().for_each(|pane| pane.renumber(&moved, keys));
            self.fresh.iter_mut().for_each(|(_, part)| part.renumber(&moved));
            self.ring.renumber(&moved);
            self.revisions.renumber(&moved);
            self.shown.iter_mut().for_each(|shown| shown.renumber(&moved));
        }
        Ok(())
    }
}

impl Operator for Pane {
    fn on_batch(&mut self, _: usize, mut batch: RecordBatch, _: &mut Vec<RecordBatch>) -> Result<()> {
        let closes_at = closing::take(&mut batch)?;
        if let Some(first) = closes_at.values().iter().min() {
            closing::check_open(*first, self.watermark)?;
        }
        let input = self.input(&batch)?;
        self.take(&input, closes_at.values())
    }

    fn on_watermark(&mut self, watermark: Watermark, out: &mut Vec<RecordBatch>) -> Result<()> {
        self.watermark = self.watermark.max(watermark);
        let (mut results, before) = (Vec::new(), (self.open.len(), self.next));
        match self.overlap {
            Some(windows) => self.close_windows(windows, &mut results)?,
            None => self.close_panes(&mut results)?,
        }
        // What came out early may close without a word.
        if !results.is_empty() || (self.open.len(), self.next) != before {
            self.shown.iter_mut().for_each(|shown| shown.close(watermark.0));
            self.forget_fresh();
            self.ring_bytes = self.ring.bytes();
            self.sweep()?;
        }
        gather(&results, out)
    }

    fn fire_early(&mut self, until: Watermark, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut results = Vec::new();
        match self.phase {
            _ if !self.revises => return Ok(()),
            Phase::Partial => self.pass_on_early(until.0, &mut results)?,
            Phase::Whole | Phase::Final => self.revise(until.0, &mut results)?,
        }
        gather(&results, out)
    }

    fn seal(&mut self, whole: bool) -> Result<Snapshot> {
        let is_whole = self.parts.is_next_whole(whole);
        let mut runs = self.parts_of_state(is_whole)?;
        runs.extend(self.shown_run(is_whole)?);
        Ok(Snapshot { is_whole, runs })
    }

    fn restore(&mut self, runs: Vec<Run>, watermark: Watermark) -> Result<()> {
        self.resume_at(watermark);
        for run in runs {
            if run.port == states::SHOWN {
                self.restore_shown(&run, watermark)?;
                continue;
            }
            let Some(mut batch) = self.needed(&run, watermark)? else { continue };
            let closes_at = closing::take(&mut batch)?;
            let input = self.states(&batch);
            self.take(&input, closes_at.values())?;
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.dict.bytes()
            + self.open_bytes
            + self.ring_bytes
            + self.revisions.bytes()
            + self.shown.as_ref().map_or(0, Shown::bytes)
    }

    fn open_windows(&self, windows: &mut OpenWindows) {
        let Some(overlap) = self.overlap else { return windows.add_ends(self.open.keys().copied()) };
        let ends = self.open.keys().map(|closes_at| closes_at - overlap.pane());
        let starts: Vec<Micros> = self.ring.starts().chain(ends).collect();
        let (Some(first), Some(last)) = (starts.first(), starts.last()) else { return };
        let from = first.saturating_add(overlap.pane()).saturating_sub(1).max(self.watermark.0);
        let all = std::iter::successors(Some(overlap.first_behind(from)), |window| Some(overlap.after(*window)));
        let open = all.map(|window| window.end).take_while(|end| *end <= overlap.last_end(*last));
        windows.add_ends(open.take(MOST_WINDOWS));
    }

    fn last_end(&self) -> Option<Micros> {
        let newest = self.open.keys().next_back().copied();
        let Some(overlap) = self.overlap else { return newest };
        let starts = self.ring.starts().chain(newest.map(|closes_at| closes_at - overlap.pane()));
        starts.max().map(|start| overlap.last_end(start))
    }
}

/// Puts small batches together: what follows costs as much for a row as for a thousand.
pub(crate) fn gather(batches: &[RecordBatch], out: &mut Vec<RecordBatch>) -> Result<()> {
    let (mut from, mut rows) = (0, 0);
    for (at, batch) in batches.iter().enumerate() {
        rows += batch.num_rows();
        if rows >= ROWS_PER_BATCH || at + 1 == batches.len() {
            let together = concat_batches(&batch.schema(), &batches[from..=at]);
            let together = together.map_err(|error| Error::internal("results of windows").caused_by(error))?;
            out.extend((together.num_rows() > 0).then_some(together));
            (from, rows) = (at + 1, 0);
        }
    }
    Ok(())
}
