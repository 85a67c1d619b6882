//! A vector of states behind DataFusion's `GroupsAccumulator`.

use super::accumulator::{Ending, binary, decode, primitive};
use super::state::State;
use arrow::array::{Array, ArrayRef, BinaryBuilder, BooleanArray, PrimitiveArray};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use std::sync::Arc;

/// One state per group.
#[derive(Debug)]
pub(super) struct Groups<S> {
    states: Vec<S>,
    /// Bytes that the states keep on the heap.
    heap: usize,
    ending: Ending,
}

// === impl Groups ===

impl<S: State> Groups<S> {
    /// No groups yet.
    pub(super) fn new(ending: Ending) -> Self {
        Self { states: Vec::new(), heap: 0, ending }
    }

    fn change(&mut self, group: usize, change: impl FnOnce(&mut S)) {
        let state = &mut self.states[group];
        let before = state.heap();
        change(state);
        self.heap += state.heap() - before;
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<S> {
        let states = emit_to.take_needed(&mut self.states);
        self.heap -= states.iter().map(State::heap).sum::<usize>();
        states
    }
}

impl<S: State> GroupsAccumulator for Groups<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = primitive::<S::Input>(values)?;
        self.states.resize_with(total_num_groups, S::default);
        if values.null_count() == 0 && opt_filter.is_none() {
            for (value, group) in values.values().iter().zip(group_indices) {
                self.change(*group, |state| state.add(*value, false));
            }
            return Ok(());
        }
        for (row, group) in group_indices.iter().enumerate() {
            if counts(values, opt_filter, row) {
                self.change(*group, |state| state.add(values.value(row), false));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let states = self.take(emit_to);
        let results: PrimitiveArray<S::Output> = states.iter().map(|state| self.ending.result(state)).collect();
        Ok(Arc::new(results.with_data_type(self.ending.output.clone())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let states = self.take(emit_to);
        let (mut column, mut bytes) = (BinaryBuilder::with_capacity(states.len(), 24 * states.len()), Vec::new());
        for state in &states {
            bytes.clear();
            state.encode(&mut bytes);
            column.append_value(&bytes);
        }
        Ok(vec![Arc::new(column.finish())])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        let states = binary(values)?;
        self.states.resize_with(total_num_groups, S::default);
        for (bytes, group) in states.iter().zip(group_indices) {
            if let Some(bytes) = bytes {
                let other = decode(bytes)?;
                self.change(*group, |state| state.merge(&other));
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = primitive::<S::Input>(values)?;
        let (mut column, mut bytes) = (BinaryBuilder::with_capacity(values.len(), 24 * values.len()), Vec::new());
        for row in 0..values.len() {
            if !counts(values, opt_filter, row) {
                column.append_null();
                continue;
            }
            let mut state = S::default();
            state.add(values.value(row), false);
            bytes.clear();
            state.encode(&mut bytes);
            column.append_value(&bytes);
        }
        Ok(vec![Arc::new(column.finish())])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.states.capacity() * size_of::<S>() + self.heap
    }
}

/// True for a row that has a value and passes the filter.
fn counts(values: &dyn Array, filter: Option<&BooleanArray>, row: usize) -> bool {
    values.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}
