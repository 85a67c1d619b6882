//! What the sessions of an operator are as runs: states of groups, and first and last times of sessions.

use super::complete::OpenSession;
use super::early::Row;
use super::{Open, SessionPane};
use crate::aggregates::{Sealed, failed};
use crate::closing;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Int64Type, Schema};
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, Result};
use citystream_state::run::Run;
use std::sync::Arc;

/// Port of runs with states: keys, states, start of the pane.
const STATES: usize = 0;
/// Port of runs with times: keys of the session, first and last time, start of the pane.
const TIMES: usize = 1;
/// Port of runs with what is a result by what came out last: keys, start and end of the session.
const SHOWN: usize = 2;

/// A pane on its way.
struct Part {
    start: Micros,
    states: Sealed,
    /// Number of the key, first and last time.
    sessions: Vec<(u32, Micros, Micros)>,
}

impl SessionPane {
    /// The whole state.
    pub(super) fn runs(&mut self) -> Result<Vec<Run>> {
        let mut parts = Vec::new();
        if let Some(complete) = &self.complete {
            let open: Vec<OpenSession> = complete.still_open().cloned().collect();
            let rows = complete.rows(&open);
            let numbers = rows.values().iter().map(|row| complete.sealed.numbers[*row as usize]).collect();
            parts.push(Part {
                // The newest pane that the watermark has passed: sessions of an older one have ended.
                start: self.watermark.0.div_euclid(self.gap).saturating_mul(self.gap).saturating_sub(self.gap),
                states: Sealed { numbers, states: complete.sealed.states_of(&rows)? },
                sessions: open.iter().map(|session| (session.key, session.start, session.last)).collect(),
            });
        }
        for (start, pane) in &mut self.open {
            let states = pane.copy(&self.aggregates)?;
            parts.push(Part { start: *start, states, sessions: pane.spans.iter().collect() });
        }
        let (mut states, mut times) = (Vec::new(), Vec::new());
        for part in &parts {
            times.push(self.times_of(part)?);
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
        let numbers: Vec<u32> = part.sessions.iter().map(|(key, _, _)| *key).collect();
        let mut columns = self.keys.session_columns(&numbers)?;
        let times = |of: fn(&(u32, Micros, Micros)) -> Micros| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter_values(part.sessions.iter().map(of)))
        };
        columns.extend([times(|(_, first, _)| *first), times(|(_, _, last)| *last)]);
        batch(columns, part.start, numbers.len())
    }

    /// Goes on with sessions that stand in `runs`.
    pub(super) fn take_runs(&mut self, mut runs: Vec<Run>, watermark: Watermark) -> Result<()> {
        self.watermark = self.watermark.max(watermark);
        // A group needs its session.
        runs.sort_by_key(|run| std::cmp::Reverse(run.port));
        for run in runs {
            for (start, rows) in closing::split(run.batch)? {
                match run.port {
                    SHOWN => self.take_shown(start, &rows)?,
                    port => self.take_run(start, port, &rows)?,
                }
            }
        }
        let mut out = Vec::new();
        while let Some(pane) = self.take_complete() {
            self.turn(pane, &mut out)?;
        }
        if out.is_empty() { Ok(()) } else { Err(Error::internal("a session of a checkpoint had ended before it")) }
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
                sessions.iter().map(|session| pane.spans.place_of(*session as u32)).collect::<Option<Vec<_>>>();
            let owners = owners.ok_or_else(|| Error::internal("a group of a checkpoint without its session"))?;
            let places = pane.place(&groups, &owners, &mut self.keys);
            pane.groups.merge(&self.aggregates, states, &places)?;
        }
        pane.bytes = pane.held();
        self.open_bytes += pane.bytes;
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
