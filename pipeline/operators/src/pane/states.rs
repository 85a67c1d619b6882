//! States of panes on their way: from one phase to the next, and out of an operator and back.

use super::open::Open;
use super::{Input, Pane, Phase, Values};
use crate::aggregates::{Aggregates, Sealed, failed};
use crate::closing;
use crate::group_keys;
use crate::plan::{CLOSES_AT, KeyRole, PaneSpec};
use arrow::array::{ArrayRef, Int64Array, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, Result};
use citystream_state::run::Run;
use datafusion::common::ScalarValue;
use std::sync::Arc;

/// Port of the states of a pane that is to be put out here, and of one whose rows are passed on.
const STATES: usize = 0;
const PASSED_ON: usize = 1;
/// Port of the groups that are results by what came out last: keys, end of the window.
pub(super) const SHOWN: usize = 2;

impl Pane {
    /// A batch of states, taken apart; its closing times are off.
    pub(super) fn states(&self, batch: &RecordBatch) -> Input {
        let mut columns = batch.columns().iter().cloned();
        let keys = columns.by_ref().take(self.keys.len()).collect();
        let shared = columns.by_ref().take(self.shared.len()).collect();
        Input { keys, shared, values: Values::States(columns.collect()) }
    }

    /// States of the pane that closes at `closes_at`, as [`Self::states`] reads them.
    pub(super) fn state_rows(
        &mut self,
        states: &Sealed,
        shared: &[ScalarValue],
        closes_at: Micros,
    ) -> Result<RecordBatch> {
        let rows = states.numbers.len();
        let mut columns = self.dict.keys(&states.numbers)?;
        for value in shared {
            columns.push(value.to_array_of_size(rows).map_err(failed)?);
        }
        columns.extend(states.states.iter().cloned());
        columns.push(Arc::new(Int64Array::from_value(closes_at, rows)) as ArrayRef);
        RecordBatch::try_new(Arc::clone(&self.states), columns)
            .map_err(|error| Error::internal("states of a pane").caused_by(error))
    }

    /// The states of a closed pane, to be kept while windows need it.
    pub(super) fn ring_pane(&mut self, closes_at: Micros, mut pane: Open) -> Result<Sealed> {
        let fresh = pane.save(&self.aggregates)?;
        self.fresh.extend(fresh.into_iter().map(|part| (closes_at, part)));
        match &mut pane.sealed[..] {
            [only] => Ok(std::mem::take(only)),
            _ => self.aggregates.merge(&pane.sealed.iter().collect::<Vec<_>>(), self.dict.len())?.seal(),
        }
    }

    /// Forgets parts of panes that have left the ring: no checkpoint needs them any more.
    pub(super) fn forget_fresh(&mut self) {
        let oldest = self.ring.oldest().unwrap_or(Micros::MAX);
        let pane = self.overlap.map_or(0, |windows| windows.pane());
        self.fresh.retain(|(closes_at, _)| closes_at - pane >= oldest);
    }

    /// The state as one run: all of it, or what came since the last checkpoint.
    pub(super) fn parts_of_state(&mut self, whole: bool) -> Result<Vec<Run>> {
        let pane = self.overlap.map_or(0, |windows| windows.pane());
        let fresh = std::mem::take(&mut self.fresh);
        let closed = if whole { self.ring.panes().map(|(start, part)| (start + pane, part)).collect() } else { fresh };
        let mut parts: Vec<(Micros, Sealed, Vec<ScalarValue>)> =
            closed.into_iter().map(|(closes_at, part)| (closes_at, part, Vec::new())).collect();
        self.open_bytes = 0;
        for (closes_at, open) in &mut self.open {
            if whole {
                open.seal_live(&self.aggregates)?;
                open.compact(&self.aggregates, &mut self.dict)?;
                open.forget_saved();
            }
            let some = open.save(&self.aggregates)?;
            parts.extend(some.into_iter().map(|part| (*closes_at, part, open.shared.clone())));
            self.open_bytes += open.count();
        }
        let rows = parts.iter().map(|(closes_at, part, shared)| self.state_rows(part, shared, *closes_at));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let batch = concat_batches(&self.states, &rows);
        let batch = batch.map_err(|error| Error::internal("states of a checkpoint").caused_by(error))?;
        Ok(vec![Run { port: if self.phase == Phase::Partial { PASSED_ON } else { STATES }, batch }])
    }

    /// The groups that are results: all of them, or those of windows where that has changed since the last checkpoint.
    pub(super) fn shown_run(&mut self, whole: bool) -> Result<Option<Run>> {
        let mut rows = Vec::new();
        for (end, keys) in self.shown.as_mut().map(|shown| shown.save(whole)).unwrap_or_default() {
            let columns = self.dict.keys(&keys)?;
            let schema = Arc::new(Schema::new(self.states.fields()[..columns.len()].to_vec()));
            let options = RecordBatchOptions::new().with_row_count(Some(keys.len()));
            let batch = RecordBatch::try_new_with_options(schema, columns, &options);
            rows.push(closing::put(batch.map_err(|error| Error::internal("keys of results").caused_by(error))?, end)?);
        }
        let Some(first) = rows.first() else { return Ok(None) };
        let batch = concat_batches(&first.schema(), &rows);
        let batch = batch.map_err(|error| Error::internal("results of a checkpoint").caused_by(error))?;
        Ok(Some(Run { port: SHOWN, batch }))
    }

    /// Takes notice of the groups that were results.
    pub(super) fn restore_shown(&mut self, run: &Run, watermark: Watermark) -> Result<()> {
        let Some(batch) = closing::still_needed(&run.batch, watermark, |end| end)? else { return Ok(()) };
        for (end, rows) in closing::split(batch)? {
            let mut keys = Vec::with_capacity(rows.num_rows());
            self.dict.intern(rows.columns(), rows.num_rows(), &mut keys)?;
            self.shown.iter_mut().for_each(|shown| shown.restore(end, keys.iter().map(|key| *key as u32)));
        }
        Ok(())
    }

    /// Rows of a run whose panes are still needed at `watermark`. Closed panes of a first phase have been passed on.
    pub(super) fn needed(&self, run: &Run, watermark: Watermark) -> Result<Option<RecordBatch>> {
        let overlap = self.overlap.filter(|_| run.port == STATES);
        let last_end = |closes_at| overlap.map_or(closes_at, |windows| windows.last_end(closes_at - windows.pane()));
        closing::still_needed(&run.batch, watermark, last_end)
    }

    /// Goes on where an operator with `watermark` stopped: windows that have closed do not come again.
    pub(super) fn resume_at(&mut self, watermark: Watermark) {
        self.watermark = self.watermark.max(watermark);
        self.parts.make_next_whole();
        let is_known = watermark != Watermark::NONE && watermark != Watermark::END;
        self.next = self.overlap.filter(|_| is_known).map(|windows| windows.first_behind(watermark.0));
    }
}

/// Keys, shared keys, states, closing time.
pub(super) fn schema(spec: &PaneSpec, aggregates: &Aggregates) -> SchemaRef {
    let mut fields = group_keys::fields(spec, KeyRole::Key);
    fields.extend(group_keys::fields(spec, KeyRole::OfPane));
    fields.extend(aggregates.state_fields());
    fields.push(Field::new(CLOSES_AT, DataType::Int64, false));
    Arc::new(Schema::new(fields))
}
