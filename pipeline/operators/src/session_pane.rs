//! `SessionPane`: aggregates of sessions, a state per group and session. Serves GROUP BY and DISTINCT over `session(t, ts,
//! gap, key => k)` where the session's keys are among the group's.
//!
//! ```text
//!   gap 5 min        panes of 5 min: first, last and a state per key
//!   10:01 a   -->    10:00  a: 10:01 .. 10:04 {3, 21}  b: 10:02 .. 10:02 {1, 7}
//!   10:06 a   -->    10:05  a: 10:06 .. 10:06 {1, 4}                 a goes on: 10:06 - 10:04 < 5 min
//!   watermark 10:10  10:05  a: 10:01 .. 10:06 {4, 25}                b has closed at 10:07
//! ```
//!
//! Rows of one key in one pane are less than a gap apart, so they are one session, and no row ever has to look for its own:
//! a pane fills like that of a tumbling window. When the watermark reaches a pane's end, its sessions take over the states
//! of those before them that they follow within the gap, and all others are final. So two panes joined by a late row need
//! no special case, and what is held never depends on the order of the rows.
//!
//! It remembers open panes and one complete pane with all that its sessions brought along: a state per group of an open
//! session, and of one that closed less than a gap ago. Each state is merged once per pane, however long its session; one
//! more time for each part that checkpoints or early results cut a pane into.
//!
//! A checkpoint has what came since the last one: parts of open panes, and of those that joined the complete one meanwhile,
//! which were put aside for it. Parts of a pane add up, so a restored operator walks through the panes as the first one did.

use crate::aggregates::{Aggregates, Arguments};
use crate::closing;
use crate::group_keys;
use crate::operator::{OpenWindows, Operator, Parts};
use crate::pane::gather;
use crate::plan::{KeyRole, SessionPaneSpec};
use crate::revision::Having;
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, UInt32Array};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Micros, Watermark, micros};
use citystream_model::{Error, Result};
use citystream_state::run::{Run, Snapshot};
use complete::Complete;
use datafusion::execution::SessionState;
use datafusion::physical_expr::PhysicalExpr;
use early::Revisions;
use keys::Keys;
use open::Open;
use spans::Spans;
use states::Aside;
use std::collections::BTreeMap;
use std::sync::Arc;

mod complete;
mod early;
mod keys;
mod open;
mod results;
mod spans;
mod states;
#[cfg(test)]
mod tests;

/// See the module's description.
pub(crate) struct SessionPane {
    // PROPERTIES
    /// What the key columns that come out are.
    roles: Vec<KeyRole>,
    /// Keys of the sessions, and those that rows of one session differ in.
    session_keys: Vec<Arc<dyn PhysicalExpr>>,
    more_keys: Vec<Arc<dyn PhysicalExpr>>,
    aggregates: Aggregates,
    /// Position of the time in a row.
    time: usize,
    /// Length of a pane too.
    gap: Micros,
    schema: SchemaRef,
    // STATES
    keys: Keys,
    /// Panes that rows may still come for, by start.
    open: BTreeMap<Micros, Open>,
    /// The newest of the others, if a session of it may go on.
    complete: Option<Complete>,
    parts: Parts,
    /// Of panes that were open at the last checkpoint or since, and are not any more: what it does not have.
    aside: Aside,
    /// `None` where results come out once.
    revisions: Option<Revisions>,
    watermark: Watermark,
    // METRICS
    /// Bytes of open panes.
    open_bytes: usize,
}

/// One batch, taken apart.
struct Input {
    times: TimestampMicrosecondArray,
    /// Number of each row's session key.
    sessions: Vec<usize>,
    /// Number of each row's group and the values of its aggregates; `None` for rows that are in no group.
    groups: Option<(Vec<usize>, Arguments)>,
}

// === impl SessionPane ===

impl SessionPane {
    /// Plans the operator.
    pub(crate) fn plan(spec: &SessionPaneSpec, session: &SessionState) -> Result<Self> {
        let groups = &spec.groups;
        Ok(Self {
            roles: groups.keys.iter().map(|(_, role)| *role).collect(),
            session_keys: group_keys::exprs(groups, KeyRole::OfPane, session)?,
            more_keys: group_keys::exprs(groups, KeyRole::Key, session)?,
            aggregates: Aggregates::plan(&groups.aggregates, &groups.input, session)?,
            time: spec.time,
            gap: micros(spec.gap),
            schema: Arc::clone(&groups.schema),
            keys: Keys::new(groups)?,
            open: BTreeMap::new(),
            complete: None,
            parts: Parts::next_whole(),
            aside: Aside::default(),
            revisions: Having::plan(groups, session)?.map(Revisions::new),
            watermark: Watermark::NONE,
            open_bytes: 0,
        })
    }

    /// Rows with their groups.
    fn rows(&mut self, batch: &RecordBatch) -> Result<Input> {
        let times = self.times(batch.column(self.time))?;
        let keys = group_keys::values(&self.session_keys, batch)?;
        let sessions = self.keys.sessions(&keys, batch.num_rows())?;
        let groups = self.keys.groups(&sessions, keys, group_keys::values(&self.more_keys, batch)?)?;
        Ok(Input { times, sessions, groups: Some((groups, self.aggregates.arguments(batch)?)) })
    }

    /// Keys and times of rows that may be in no group.
    fn extents(&mut self, batch: &RecordBatch) -> Result<Input> {
        let (keys, time) = batch.columns().split_at(self.session_keys.len());
        let time = time.first().ok_or_else(|| Error::internal("a session without a time"))?;
        Ok(Input { times: self.times(time)?, sessions: self.keys.sessions(keys, batch.num_rows())?, groups: None })
    }

    fn timestamps(&self, column: &ArrayRef) -> Result<TimestampMicrosecondArray> {
        let times = column.as_primitive_opt::<TimestampMicrosecondType>().filter(|times| times.null_count() == 0);
        times.cloned().ok_or_else(|| Error::internal("a session's time column is not a time"))
    }

    fn times(&self, column: &ArrayRef) -> Result<TimestampMicrosecondArray> {
        let times = self.timestamps(column)?;
        if times.values().iter().any(|time| *time < self.watermark.0) {
            let late = Error::internal("a row came behind the watermark of its session");
            return Err(late.with("watermark", self.watermark));
        }
        Ok(times)
    }

    /// Adds `rows` of a batch, or all of them, to the pane that starts at `start`.
    fn add(&mut self, start: Micros, input: &Input, rows: Option<&UInt32Array>) -> Result<()> {
        if !self.open.contains_key(&start) {
            self.open.insert(start, Open::new(self.aggregates.groups()?));
        }
        let Some(pane) = self.open.get_mut(&start) else { return Ok(()) };
        let some = |numbers: &[usize]| match rows {
            None => numbers.to_vec(),
            Some(rows) => rows.values().iter().map(|row| numbers[*row as usize]).collect(),
        };
        let times = |at: usize| input.times.value(rows.map_or(at, |rows| rows.value(at) as usize));
        let sessions = some(&input.sessions);
        if let Some(revisions) = &mut self.revisions {
            revisions.changed.extend(sessions.iter().map(|key| *key as u32));
        }
        let owners = pane.spans.add(&sessions, times, &mut self.keys);
        if let Some((groups, values)) = &input.groups {
            match rows {
                None => pane.update(values, groups, &owners, &mut self.keys)?,
                Some(rows) => pane.update(&values.of_rows(rows)?, &some(groups), &owners, &mut self.keys)?,
            }
        }
        self.open_bytes -= pane.bytes;
        self.open_bytes += pane.count();
        Ok(())
    }

    /// Takes out the first open pane, if the watermark has reached its end.
    fn take_complete(&mut self) -> Option<(Micros, Open)> {
        let last = self.watermark.0.saturating_sub(self.gap);
        let first = self.open.first_entry().filter(|pane| *pane.key() <= last)?;
        Some(first.remove_entry())
    }

    /// Makes an open pane the complete one: its sessions go on from the last pane's, and those that do not are final. They
    /// come out if there is an `out` for them.
    fn turn(&mut self, start: Micros, mut pane: Open, out: Option<&mut Vec<RecordBatch>>) -> Result<()> {
        self.open_bytes -= pane.bytes;
        // Put together with others it could not be told from what a checkpoint has.
        if !self.parts.must_be_whole() {
            self.aside.put(pane.unsaved(start, &self.aggregates)?, &mut self.keys);
        }
        let mut last = self.complete.take();
        if let Some(last) = &mut last {
            let ended = last.close(&pane.spans, self.gap, Micros::MAX);
            if let Some(out) = out {
                self.put_out(last, &ended, out)?;
            }
        }
        let is_index = self.revisions.is_some();
        self.complete = Some(pane.complete(last.as_ref(), &self.aggregates, &mut self.keys, is_index)?);
        last.iter().for_each(|last| last.release(&mut self.keys));
        Ok(())
    }

    /// Ends the sessions of the complete pane that end by the watermark and that no row of the next one goes on with; true
    /// when there were some. They come out if there is an `out` for them.
    fn close(&mut self, out: Option<&mut Vec<RecordBatch>>) -> Result<bool> {
        let Some(mut complete) = self.complete.take() else { return Ok(false) };
        let next = self.open.first_key_value().map(|(_, pane)| &pane.spans);
        let ended = complete.close(next.unwrap_or(&Spans::default()), self.gap, self.watermark.0);
        if let Some(out) = out {
            self.put_out(&complete, &ended, out)?;
        }
        if complete.open() == 0 {
            complete.release(&mut self.keys);
        } else {
            self.complete = Some(complete);
        }
        Ok(!ended.is_empty())
    }

    /// Lets the next checkpoint have the whole state, if what was put aside for it is more.
    fn bound_aside(&mut self) {
        if self.aside.bytes > self.open_bytes + self.complete.as_ref().map_or(0, Complete::bytes) {
            self.aside.take(&mut self.keys);
            self.parts.make_next_whole();
        }
    }

    /// Forgets keys that no pane has.
    fn sweep(&mut self) -> Result<()> {
        let moved = self.keys.sweep()?;
        let (sessions, groups) = (self.keys.sessions_len(), self.keys.len());
        for pane in self.open.values_mut() {
            pane.renumber(moved.sessions().map(|moved| (moved, sessions)), moved.groups().map(|moved| (moved, groups)));
        }
        self.aside.renumber(moved.sessions(), moved.groups());
        if let Some(complete) = &mut self.complete {
            complete.renumber(moved.sessions(), moved.groups());
        }
        if let Some(revisions) = &mut self.revisions {
            revisions.renumber(moved.sessions(), moved.groups());
        }
        Ok(())
    }
}

impl Operator for SessionPane {
    fn on_batch(&mut self, port: usize, batch: RecordBatch, _: &mut Vec<RecordBatch>) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let input = if port == 0 { self.rows(&batch)? } else { self.extents(&batch)? };
        let start = |time: &Micros| time.div_euclid(self.gap).saturating_mul(self.gap);
        let starts: Vec<Micros> = input.times.values().iter().map(start).collect();
        let Some(rows) = closing::rows(&starts) else {
            return self.add(starts[0], &input, None);
        };
        for (start, rows) in rows {
            self.add(start, &input, Some(&UInt32Array::from(rows)))?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Watermark, out: &mut Vec<RecordBatch>) -> Result<()> {
        self.watermark = self.watermark.max(watermark);
        let (mut results, before) = (Vec::new(), self.open.len());
        while let Some((start, pane)) = self.take_complete() {
            self.turn(start, pane, Some(&mut results))?;
        }
        let some_ended = self.close(Some(&mut results))?;
        self.bound_aside();
        // Sessions without a group end without a word.
        if some_ended || self.open.len() != before {
            self.sweep()?;
        }
        gather(&results, out)
    }

    fn fire_early(&mut self, until: Watermark, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut results = Vec::new();
        self.revise(until.0, &mut results)?;
        gather(&results, out)
    }

    fn seal(&mut self, whole: bool) -> Result<Snapshot> {
        let is_whole = self.parts.is_next_whole(whole);
        let runs = self.runs(is_whole)?;
        if self.revisions.is_some() {
            // What is a result by what came out early can be given as it stands only, and all else is with it.
            self.parts.make_next_whole();
        }
        Ok(Snapshot { is_whole, runs })
    }

    fn restore(&mut self, runs: Vec<Run>, watermark: Watermark) -> Result<()> {
        self.take_runs(runs, watermark)
    }

    fn state_bytes(&self) -> usize {
        let complete = self.complete.as_ref().map_or(0, Complete::bytes);
        self.keys.bytes()
            + self.open_bytes
            + self.aside.bytes
            + complete
            + self.revisions.as_ref().map_or(0, Revisions::bytes)
    }

    /// Sessions; one that reaches over several open panes counts in each.
    fn open_windows(&self, windows: &mut OpenWindows) {
        let open: usize = self.open.values().map(|pane| pane.spans.len()).sum();
        windows.add_sessions(open + self.complete.as_ref().map_or(0, Complete::open));
    }

    fn last_end(&self) -> Option<Micros> {
        let open = self.open.values().flat_map(|pane| pane.spans.iter()).map(|(_, _, last)| last);
        let complete = self.complete.iter().flat_map(Complete::still_open).map(|session| session.last);
        open.chain(complete).max().map(|last| last.saturating_add(self.gap))
    }
}
