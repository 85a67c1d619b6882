//! `Session`: gives every row the session it belongs to, once no later row can change it. Serves `session(t, ts, gap, key => k)`.
//!
//! ```text
//!   gap 5 min      10:00 a   10:03 a            10:20 a
//!   key a          [----------------)   gap     [--- ...
//!                  window_start 10:00, window_end 10:08; closes at watermark 10:08
//! ```
//!
//! It remembers the rows of open sessions and forgets them when the watermark reaches the session's end. A row that
//! joins two sessions makes them one, so the sessions depend on the set of rows only.

use crate::memory::batch_bytes;
use crate::operator::{OpenWindows, Operator, Parts};
use crate::plan::SessionSpec;
use arrow::array::{Array, ArrayRef, TimestampMicrosecondArray};
use arrow::compute::interleave_record_batch;
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, SortField};
use citystream_model::time::{Micros, Watermark, micros};
use citystream_model::{Error, Result};
use citystream_state::run::{Run, Snapshot};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Rows per output batch.
const ROWS_PER_BATCH: usize = 8_192;

/// See the module's description.
pub(crate) struct Session {
    // PROPERTIES
    spec: SessionSpec,
    gap: Micros,
    converter: Option<RowConverter>,
    // STATES
    /// Open sessions by key; the inner map is by first time.
    keys: HashMap<Option<OwnedRow>, BTreeMap<Micros, Open>>,
    /// Ends of the open sessions: (end, key, first time).
    ends: BTreeSet<(Micros, Option<OwnedRow>, Micros)>,
    /// Batches that hold rows of open sessions, by number.
    batches: HashMap<usize, Held>,
    next_batch: usize,
    parts: Parts,
    watermark: Watermark,
    // METRICS
    /// Bytes of batches, keys, ends and places.
    bytes: usize,
}

/// Where a row is held: number of its batch, and its place in it.
type Place = (usize, usize);

/// One open session of one key.
#[derive(Debug)]
struct Open {
    last: Micros,
    rows: Vec<Place>,
}

/// A session that no later row can change.
struct Closed {
    start: Micros,
    end: Micros,
    rows: Vec<Place>,
}

struct Held {
    batch: RecordBatch,
    /// Rows that are still in open sessions.
    live: usize,
    /// True once it stands in a checkpoint.
    is_saved: bool,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(spec: SessionSpec) -> Result<Self> {
        let types =
            spec.keys.iter().map(|&key| SortField::new(spec.schema.field(key).data_type().clone())).collect::<Vec<_>>();
        let converter = if types.is_empty() { None } else { Some(RowConverter::new(types).map_err(failed)?) };
        let gap = micros(spec.gap);
        Ok(Self {
            spec,
            gap,
            converter,
            keys: HashMap::new(),
            ends: BTreeSet::new(),
            batches: HashMap::new(),
            next_batch: 0,
            parts: Parts::default(),
            watermark: Watermark::NONE,
            bytes: 0,
        })
    }

    fn row_keys(&self, batch: &RecordBatch) -> Result<Vec<Option<OwnedRow>>> {
        let Some(converter) = &self.converter else { return Ok(vec![None; batch.num_rows()]) };
        let columns: Vec<ArrayRef> = self.spec.keys.iter().map(|&key| Arc::clone(batch.column(key))).collect();
        let rows = converter.convert_columns(&columns).map_err(failed)?;
        Ok(rows.iter().map(|row| Some(row.owned())).collect())
    }

    fn times(&self, batch: &RecordBatch) -> Result<TimestampMicrosecondArray> {
        let times = batch.column(self.spec.time).as_any().downcast_ref::<TimestampMicrosecondArray>();
        let times = times.filter(|times| times.null_count() == 0).cloned();
        times.ok_or_else(|| Error::internal("a session's time column is not a time"))
    }

    /// Adds the rows of a batch.
    fn take(&mut self, batch: RecordBatch, times: &TimestampMicrosecondArray) -> Result<()> {
        let number = self.next_batch;
        for (row, (key, &at)) in self.row_keys(&batch)?.into_iter().zip(times.values()).enumerate() {
            self.insert(key, at, (number, row));
        }
        self.next_batch += 1;
        self.bytes += batch_bytes(&batch);
        let live = batch.num_rows();
        self.batches.insert(number, Held { batch, live, is_saved: false });
        Ok(())
    }

    /// Takes out the sessions that end at or before the watermark.
    fn take_closed(&mut self) -> Vec<Closed> {
        let mut closed = Vec::new();
        while let Some((end, key, start)) = self.ends.pop_first() {
            if end > self.watermark.0 {
                self.ends.insert((end, key, start));
                break;
            }
            let Some(sessions) = self.keys.get_mut(&key) else { continue };
            if let Some(open) = sessions.remove(&start) {
                self.bytes -= entry_bytes(&key) + open.rows.len() * size_of::<Place>();
                closed.push(Closed { start, end, rows: open.rows });
            }
            if sessions.is_empty() {
                self.bytes -= entry_bytes(&key);
                self.keys.remove(&key);
            }
        }
        closed
    }

    /// Gives back the rows of `closed` sessions.
    fn forget(&mut self, closed: &[Closed]) {
        closed.iter().flat_map(|session| &session.rows).for_each(|place| self.release(place.0));
    }

    /// Batches that stand in no checkpoint; rows of sessions that have ended since are among them.
    fn fresh_batches(&self) -> Vec<Run> {
        let fresh = self.batches.values().filter(|held| !held.is_saved);
        fresh.map(|held| Run { port: 0, batch: held.batch.clone() }).collect()
    }

    /// Rows of all open sessions.
    fn open_rows(&self) -> Result<Vec<Run>> {
        let index: HashMap<usize, usize> = self.batches.keys().enumerate().map(|(at, number)| (*number, at)).collect();
        let held: Vec<&RecordBatch> = self.batches.values().map(|held| &held.batch).collect();
        let open = self.keys.values().flat_map(BTreeMap::values).flat_map(|open| &open.rows);
        let rows: Vec<Place> = open.filter_map(|(number, row)| index.get(number).map(|at| (*at, *row))).collect();
        let runs = rows.chunks(ROWS_PER_BATCH).map(|rows| {
            let batch = interleave_record_batch(&held, rows).map_err(failed)?;
            Ok(Run { port: 0, batch })
        });
        runs.collect()
    }

    /// Puts a row at `at` into the sessions of its key, joining those that it bridges.
    fn insert(&mut self, key: Option<OwnedRow>, at: Micros, row: Place) {
        let bytes = entry_bytes(&key);
        let sessions = self.keys.entry(key.clone()).or_insert_with(|| {
            self.bytes += bytes;
            BTreeMap::new()
        });
        self.bytes += size_of::<Place>();
        let mut merged = Open { last: at, rows: vec![row] };
        let mut first = at;
        // Sessions that are less than the gap away from the row, on either side of it.
        let near: Vec<Micros> = sessions
            .range(..at.saturating_add(self.gap))
            .rev()
            .take_while(|(_, open)| open.last > at.saturating_sub(self.gap))
            .map(|(start, _)| *start)
            .collect();
        for start in near {
            if let Some(open) = sessions.remove(&start) {
                self.bytes -= bytes;
                self.ends.remove(&(open.last.saturating_add(self.gap), key.clone(), start));
                first = first.min(start);
                merged.last = merged.last.max(open.last);
                let mut rows = open.rows;
                rows.append(&mut merged.rows);
                merged.rows = rows;
            }
        }
        self.bytes += bytes;
        self.ends.insert((merged.last.saturating_add(self.gap), key, first));
        sessions.insert(first, merged);
    }

    /// Puts out the rows of `closed` sessions.
    fn emit(&self, closed: &[Closed], out: &mut Vec<RecordBatch>) -> Result<()> {
        let places = || closed.iter().flat_map(|session| &session.rows);
        let numbers: BTreeSet<usize> = places().map(|place| place.0).collect();
        let held: BTreeMap<usize, RecordBatch> = numbers
            .into_iter()
            .filter_map(|number| self.batches.get(&number).map(|held| (number, held.batch.clone())))
            .collect();
        let index: HashMap<usize, usize> = held.keys().enumerate().map(|(at, number)| (*number, at)).collect();
        let held: Vec<&RecordBatch> = held.values().collect();
        let rows: Vec<(&Closed, Place)> = closed
            .iter()
            .flat_map(|session| session.rows.iter().map(move |place| (session, *place)))
            .filter_map(|(session, (number, row))| index.get(&number).map(|at| (session, (*at, row))))
            .collect();
        for rows in rows.chunks(ROWS_PER_BATCH) {
            out.push(self.batch(rows, &held)?);
        }
        Ok(())
    }

    /// Rows out of `held`, with the bounds of their sessions.
    fn batch(&self, rows: &[(&Closed, Place)], held: &[&RecordBatch]) -> Result<RecordBatch> {
        let places: Vec<Place> = rows.iter().map(|(_, place)| *place).collect();
        let taken = interleave_record_batch(held, &places).map_err(failed)?;
        let mut columns: Vec<ArrayRef> =
            self.spec.columns.iter().map(|&column| Arc::clone(taken.column(column))).collect();
        let times = |bound: fn(&Closed) -> Micros| {
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(session, _)| bound(session))))
        };
        columns.push(times(|session| session.start));
        columns.push(times(|session| session.end));
        RecordBatch::try_new(Arc::clone(&self.spec.schema), columns).map_err(failed)
    }

    fn release(&mut self, number: usize) {
        if let Some(held) = self.batches.get_mut(&number) {
            held.live -= 1;
            if held.live == 0 {
                self.bytes = self.bytes.saturating_sub(batch_bytes(&held.batch));
                self.batches.remove(&number);
            }
        }
    }
}

impl Operator for Session {
    fn on_batch(&mut self, _: usize, batch: RecordBatch, _: &mut Vec<RecordBatch>) -> Result<()> {
        let times = self.times(&batch)?;
        if times.values().iter().any(|at| *at < self.watermark.0) {
            return Err(
                Error::internal("a row came behind the watermark of its session").with("watermark", self.watermark)
            );
        }
        self.take(batch, &times)
    }

    fn on_watermark(&mut self, watermark: Watermark, out: &mut Vec<RecordBatch>) -> Result<()> {
        self.watermark = self.watermark.max(watermark);
        let closed = self.take_closed();
        if closed.is_empty() {
            return Ok(());
        }
        self.emit(&closed, out)?;
        self.forget(&closed);
        Ok(())
    }

    fn seal(&mut self, whole: bool) -> Result<Snapshot> {
        let is_whole = self.parts.is_next_whole(whole);
        let runs = if is_whole { self.open_rows()? } else { self.fresh_batches() };
        self.batches.values_mut().for_each(|held| held.is_saved = true);
        Ok(Snapshot { is_whole, runs })
    }

    fn restore(&mut self, runs: Vec<Run>, watermark: Watermark) -> Result<()> {
        self.parts.make_next_whole();
        self.watermark = self.watermark.max(watermark);
        for run in runs {
            let times = self.times(&run.batch)?;
            self.take(run.batch, &times)?;
        }
        // An old run may hold a part of a session that has ended; that part ends no later.
        let closed = self.take_closed();
        self.forget(&closed);
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.bytes
    }

    fn open_windows(&self, windows: &mut OpenWindows) {
        windows.add_sessions(self.ends.len());
    }

    fn last_end(&self) -> Option<Micros> {
        self.ends.last().map(|(end, _, _)| *end)
    }
}

/// Bytes of one end with its session, and of one key with its sessions, within a few.
fn entry_bytes(key: &Option<OwnedRow>) -> usize {
    size_of::<(Micros, Option<OwnedRow>, Micros, Open)>() + key.as_ref().map_or(0, |key| key.as_ref().len())
}

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::internal("session operator").caused_by(error)
}
