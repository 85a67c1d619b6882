//! What the sessions of an operator are as runs: states of groups, and first and last times of sessions.

use super::SessionPane;
use super::complete::OpenSession;
use super::early::Row;
use super::keys::Keys;
use super::open::Open;
use crate::aggregates::{Sealed, failed};
use crate::closing;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Int64Type, Schema};
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, Result};
use citystream_state::run::Run;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Port of runs with states: keys, states, start of the pane.
const STATES: usize = 0;
/// Port of runs with times: keys of the session, first and last time, start of the pane.
const TIMES: usize = 1;
/// Port of runs with what is a result by what came out last: keys, start and end of the session.
const SHOWN: usize = 2;

/// Some of a pane on its way. Parts of one pane add up.
pub(super) struct Part {
    pub(super) start: Micros,
    pub(super) states: Sealed,
    /// Number of the key, first and last time.
    pub(super) sessions: Vec<(u32, Micros, Micros)>,
}

/// Parts of panes that are not open any more, for the next checkpoint. They hold their keys.
#[derive(Default)]
pub(super) struct Aside {
    parts: Vec<Part>,
    pub(super) bytes: usize,
}

// === impl Part ===

impl Part {
    fn session_keys(&self) -> Vec<u32> {
        self.sessions.iter().map(|(key, _, _)| *key).collect()
    }

    fn bytes(&self) -> usize {
        self.states.bytes() + self.sessions.capacity() * size_of::<(u32, Micros, Micros)>()
    }
}

// === impl Aside ===

impl Aside {
    pub(super) fn put(&mut self, parts: Vec<Part>, keys: &mut Keys) {
        for part in &parts {
            keys.hold_groups(&part.states.numbers);
            keys.hold_sessions(&part.session_keys());
            self.bytes += part.bytes();
        }
        self.parts.extend(parts);
    }

    /// Takes all parts out.
    pub(super) fn take(&mut self, keys: &mut Keys) -> Vec<Part> {
        for part in &self.parts {
            keys.release_groups(&part.states.numbers);
            keys.release_sessions(&part.session_keys());
        }
        std::mem::take(self).parts
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, sessions: Option<&[u32]>, groups: Option<&[u32]>) {
        for part in &mut self.parts {
            if let Some(moved) = groups {
                part.states.renumber(moved);
            }
            if let Some(moved) = sessions {
                part.sessions.iter_mut().for_each(|(key, _, _)| *key = moved[*key as usize]);
            }
        }
    }
}

// === impl SessionPane ===

impl SessionPane {
    /// The state: all of it, or what came since the last checkpoint.
    pub(super) fn runs(&mut self, is_whole: bool) -> Result<Vec<Run>> {
        let mut parts = self.aside.take(&mut self.keys);
        if is_whole {
            parts = self.complete_part()?.into_iter().collect();
        }
        self.open_bytes = 0;
        for (start, pane) in &mut self.open {
            if is_whole {
                pane.seal_live(&self.aggregates)?;
                pane.compact(1, &self.aggregates, &mut self.keys)?;
                pane.forget_saved();
            }
            parts.extend(pane.save(*start, &self.aggregates)?);
            self.open_bytes += pane.count();
        }
        let (mut states, mut times) = (Vec::new(), Vec::new());
        for part in &parts {
            if !part.sessions.is_empty() {
                times.push(self.times_of(part)?);
            }
            if !part.states.numbers.is_empty() {
                states.push(self.states_of(part)?);
            }
        }
        let shown: Vec<RecordBatch> = self.shown_rows()?.into_iter().collect();
        let runs = [(STATES, states), (TIMES, times), (SHOWN, shown)].into_iter().filter_map(|(port, batches)| {
            let schema = batches.first()?.schema();
            Some(
                concat_batches(&schema, &batches)
                    .map(|batch| Run { port, batch })
                    .map_err(|error| failed(error.into())),
            )
        });
        runs.collect()
    }

    /// The sessions of the complete pane that have not ended.
    fn complete_part(&self) -> Result<Option<Part>> {
        let Some(complete) = &self.complete else { return Ok(None) };
        let open: Vec<OpenSession> = complete.still_open().cloned().collect();
        let rows = complete.rows(&open);
        let numbers = rows.values().iter().map(|row| complete.sealed.numbers[*row as usize]).collect();
        Ok(Some(Part {
            // The newest pane that the watermark has passed: sessions of an older one have ended.
            start: self.watermark.0.div_euclid(self.gap).saturating_mul(self.gap).saturating_sub(self.gap),
            states: Sealed { numbers, states: complete.sealed.states_of(&rows)? },
            sessions: open.iter().map(|session| (session.key, session.start, session.last)).collect(),
        }))
    }

    fn shown_rows(&mut self) -> Result<Option<RecordBatch>> {
        let Some(rows) = self.revisions.as_ref().map(|revisions| revisions.shown.iter().copied()) else {
            return Ok(None);
        };
        let rows: Vec<Row> = rows.collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let numbers: Vec<u32> = rows.iter().map(|row| row.group).collect();
        let (mut columns, more) = self.keys.columns(&numbers, self.session_keys.len())?;
        columns.extend(more);
        let bound =
            |of: fn(&Row) -> Micros| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(of))) };
        columns.extend([bound(|row| row.start), bound(|row| row.end)]);
        batch_of(columns).map(Some)
    }

    /// Takes notice of what came out of sessions that end at `end`.
    fn take_shown(&mut self, end: Micros, rows: &RecordBatch) -> Result<()> {
        let (keys, values) = rows.columns().split_at(self.session_keys.len());
        let sessions = self.keys.sessions(keys, rows.num_rows())?;
        let (more, starts) = values.split_at(self.more_keys.len());
        let groups = self.keys.groups(&sessions, keys.to_vec(), more.to_vec())?;
        let starts = starts.first().and_then(|starts| starts.as_primitive_opt::<Int64Type>());
        let starts = starts.ok_or_else(|| Error::internal("a result of a checkpoint without its start"))?;
        let rows = sessions.iter().zip(&groups).zip(starts.values());
        let rows = rows.map(|((key, group), start)| Row { key: *key as u32, start: *start, end, group: *group as u32 });
        self.revisions.iter_mut().for_each(|revisions| revisions.shown.extend(rows.clone()));
        Ok(())
    }

    fn states_of(&mut self, part: &Part) -> Result<RecordBatch> {
        let (mut columns, more) = self.keys.columns(&part.states.numbers, self.session_keys.len())?;
        columns.extend(more);
        columns.extend(part.states.states.iter().cloned());
        batch(columns, part.start, part.states.numbers.len())
    }

    fn times_of(&mut self, part: &Part) -> Result<RecordBatch> {
        let mut columns = self.keys.session_columns(&part.session_keys())?;
        let times = |of: fn(&(u32, Micros, Micros)) -> Micros| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter_values(part.sessions.iter().map(of)))
        };
        columns.extend([times(|(_, first, _)| *first), times(|(_, _, last)| *last)]);
        batch(columns, part.start, part.sessions.len())
    }

    /// Goes on with sessions that stand in `runs`.
    pub(super) fn take_runs(&mut self, runs: Vec<Run>, watermark: Watermark) -> Result<()> {
        self.watermark = self.watermark.max(watermark);
        self.parts.make_next_whole();
        let mut panes: BTreeMap<Micros, Vec<(usize, RecordBatch)>> = BTreeMap::new();
        for run in runs {
            for (start, rows) in closing::split(run.batch)? {
                match run.port {
                    SHOWN => self.take_shown(start, &rows)?,
                    port => panes.entry(start).or_default().push((port, rows)),
                }
            }
        }
        // Old runs may hold sessions that have ended and come out since: they end here as they did there.
        for (start, mut parts) in panes {
            // A group needs its session.
            parts.sort_by_key(|(port, _)| std::cmp::Reverse(*port));
            parts.iter().try_for_each(|(port, rows)| self.take_run(start, *port, rows))?;
            while let Some((start, pane)) = self.take_complete() {
                self.turn(start, pane, None)?;
            }
        }
        self.close(None).map(drop)
    }

    fn take_run(&mut self, start: Micros, port: usize, rows: &RecordBatch) -> Result<()> {
        let (keys, values) = rows.columns().split_at(self.session_keys.len());
        let sessions = self.keys.sessions(keys, rows.num_rows())?;
        if let Some(revisions) = &mut self.revisions {
            revisions.changed.extend(sessions.iter().map(|key| *key as u32));
        }
        let mut pane = match self.open.remove(&start) {
            Some(pane) => pane,
            None => Open::new(self.aggregates.groups()?),
        };
        self.open_bytes -= pane.bytes;
        if port == TIMES {
            for times in values {
                let times = self.timestamps(times)?;
                pane.spans.add(&sessions, |row| times.value(row), &mut self.keys);
            }
        } else {
            let (more, states) = values.split_at(self.more_keys.len());
            let groups = self.keys.groups(&sessions, keys.to_vec(), more.to_vec())?;
            let owners =
                sessions.iter().map(|session| Some(pane.spans.find(*session as u32)?.0)).collect::<Option<Vec<_>>>();
            let owners = owners.ok_or_else(|| Error::internal("a group of a checkpoint without its session"))?;
            pane.merge((&self.aggregates, states), &groups, &owners, &mut self.keys)?;
        }
        self.open_bytes += pane.count();
        self.open.insert(start, pane);
        Ok(())
    }
}

fn batch(mut columns: Vec<ArrayRef>, start: Micros, rows: usize) -> Result<RecordBatch> {
    columns.push(Arc::new(Int64Array::from_value(start, rows)));
    batch_of(columns)
}

fn batch_of(columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let field = |(at, column): (usize, &ArrayRef)| Field::new(format!("c{at}"), column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns)
        .map_err(|error| Error::internal("sessions of a checkpoint").caused_by(error))
}
