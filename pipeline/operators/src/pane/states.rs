//! States of panes on their way: from one phase to the next, and out of an operator and back.

use super::{Input, Pane, Values, key_fields};
use crate::aggregates::{Aggregates, Sealed, failed};
use crate::plan::{CLOSES_AT, KeyRole, PaneSpec};
use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, Result};
use datafusion::common::ScalarValue;
use std::sync::Arc;

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

    /// Takes out the panes of the ring, each with the watermark that closed it.
    pub(super) fn closed_panes(&mut self) -> Vec<(Micros, Sealed)> {
        let pane = self.overlap.map_or(0, |windows| windows.pane());
        self.ring_bytes = 0;
        self.ring.take(&mut self.dict).into_iter().map(|(start, states)| (start + pane, states)).collect()
    }

    /// Goes on where an operator with `watermark` stopped: windows that have closed do not come again.
    pub(super) fn resume_at(&mut self, watermark: Watermark) {
        self.watermark = self.watermark.max(watermark);
        let is_known = watermark != Watermark::NONE && watermark != Watermark::END;
        self.next = self.overlap.filter(|_| is_known).map(|windows| windows.first_behind(watermark.0));
    }
}

/// Keys, shared keys, states, closing time.
pub(super) fn schema(spec: &PaneSpec, aggregates: &Aggregates) -> SchemaRef {
    let mut fields = key_fields(spec, KeyRole::Key);
    fields.extend(key_fields(spec, KeyRole::OfPane));
    fields.extend(aggregates.state_fields());
    fields.push(Field::new(CLOSES_AT, DataType::Int64, false));
    Arc::new(Schema::new(fields))
}
