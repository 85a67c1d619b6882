//! A dictionary of group keys: each combination of key values has one number for as long as something refers to it.
//!
//! ```text
//!   rows        A12   B07   A12   C33                 numbers   0   1   0   2
//!   panes say which numbers they hold (`hold`, `release`); what nothing holds any more is swept out
//! ```

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use citystream_model::{Error, Result};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use std::sync::Arc;

/// A key that nothing holds is kept for so many sweeps, since sensors come back in the next window.
const KEPT_SWEEPS: u32 = 4;
/// Fewer keys than this are never worth a sweep.
const SMALL: usize = 4_096;
/// Stands for "no number" in tables indexed by key numbers.
pub(crate) const NONE: u32 = u32::MAX;

/// Keys by number.
pub(crate) struct KeyDict {
    schema: SchemaRef,
    /// Finds the number of a key; `None` when there are no key columns, and all rows are one group.
    values: Option<Box<dyn GroupValues>>,
    /// Keys in the order of their numbers, one array per column.
    keys: Vec<ArrayRef>,
    /// Keys that came since `keys` was put together.
    recent: Vec<Vec<ArrayRef>>,
    /// How many panes hold each key.
    holders: Vec<u32>,
    /// The sweep at which each key was held last.
    seen: Vec<u32>,
    sweeps: u32,
}

// === impl KeyDict ===

impl KeyDict {
    /// An empty dictionary for keys with the columns of `schema`.
    pub(crate) fn new(schema: SchemaRef) -> Result<Self> {
        let keys = schema.fields().iter().map(|field| arrow::array::new_empty_array(field.data_type())).collect();
        let values = group_values(&schema)?;
        Ok(Self { schema, values, keys, recent: Vec::new(), holders: Vec::new(), seen: Vec::new(), sweeps: 0 })
    }

    /// Keys with a number.
    pub(crate) fn len(&self) -> usize {
        self.holders.len()
    }

    /// Numbers of the keys in `columns`, one per row, into `numbers`.
    pub(crate) fn intern(&mut self, columns: &[ArrayRef], rows: usize, numbers: &mut Vec<usize>) -> Result<()> {
        let known = self.len();
        let columns: Vec<ArrayRef> = columns.iter().map(one_zero).collect();
        let Some(values) = &mut self.values else {
            numbers.clear();
            numbers.resize(rows, 0);
            self.holders.resize(1, 0);
            self.seen.resize(1, self.sweeps);
            return Ok(());
        };
        values.intern(&columns, numbers).map_err(failed)?;
        let total = values.len();
        if total >= NONE as usize {
            return Err(Error::resource(format!("{total} keys at once, expected fewer than {NONE}")));
        }
        if total > known {
            let mut firsts = vec![NONE; total - known];
            for (row, number) in (0u32..).zip(numbers.iter()).filter(|(_, number)| **number >= known) {
                let first = &mut firsts[number - known];
                *first = (*first).min(row);
            }
            let firsts = UInt32Array::from(firsts);
            let taken = columns.iter().map(|column| take(column, &firsts, None)).collect::<Result<Vec<_>, _>>();
            self.recent.push(taken.map_err(|error| Error::internal("new keys").caused_by(error))?);
            self.holders.resize(total, 0);
            self.seen.resize(total, self.sweeps);
        }
        Ok(())
    }

    /// The key columns of `numbers`.
    pub(crate) fn keys(&mut self, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        self.gather()?;
        let numbers = UInt32Array::from(numbers.to_vec());
        let taken = self.keys.iter().map(|column| take(column, &numbers, None)).collect::<Result<Vec<_>, _>>();
        taken.map_err(|error| Error::internal("keys of a window").caused_by(error))
    }

    /// Puts new keys behind the others.
    fn gather(&mut self) -> Result<()> {
        if self.recent.is_empty() {
            return Ok(());
        }
        for (at, column) in self.keys.iter_mut().enumerate() {
            let parts: Vec<&dyn Array> =
                std::iter::once(column.as_ref()).chain(self.recent.iter().map(|chunk| chunk[at].as_ref())).collect();
            *column = concat(&parts).map_err(|error| Error::resource("keys of a window").caused_by(error))?;
        }
        self.recent.clear();
        Ok(())
    }

    /// Notes that a pane holds `numbers`.
    pub(crate) fn hold(&mut self, numbers: &[u32]) {
        numbers.iter().for_each(|number| self.holders[*number as usize] += 1);
    }

    /// Notes that a pane holds `numbers` no more.
    pub(crate) fn release(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.holders[*number as usize] -= 1;
            self.seen[*number as usize] = self.sweeps;
        }
    }

    /// Forgets keys that nothing holds, if they are the majority: the new number of each old one, [`NONE`] if forgotten.
    pub(crate) fn sweep(&mut self) -> Result<Option<Vec<u32>>> {
        self.sweeps += 1;
        let is_live = |at: usize| self.holders[at] > 0 || self.seen[at] + KEPT_SWEEPS > self.sweeps;
        if self.len() < SMALL || self.values.is_none() {
            return Ok(None);
        }
        let live: Vec<u32> = (0u32..).take(self.len()).filter(|at| is_live(*at as usize)).collect();
        if live.len() * 2 > self.len() {
            return Ok(None);
        }
        let keys = self.keys(&live)?;
        let mut moved = vec![NONE; self.len()];
        let mut numbers = Vec::new();
        let mut values = group_values(&self.schema)?;
        if let Some(values) = &mut values {
            values.intern(&keys, &mut numbers).map_err(failed)?;
        }
        let (mut holders, mut seen) = (vec![0; live.len()], vec![0; live.len()]);
        // Numbers of distinct keys are a permutation of 0..live; `keys` has to follow it.
        let mut order = vec![0; live.len()];
        for (place, (old, new)) in (0u32..).zip(live.iter().zip(&numbers)) {
            moved[*old as usize] = *new as u32;
            holders[*new] = self.holders[*old as usize];
            seen[*new] = self.seen[*old as usize];
            order[*new] = place;
        }
        let order = UInt32Array::from(order);
        let sorted = keys.iter().map(|column| take(column, &order, None)).collect::<Result<Vec<_>, _>>();
        self.keys = sorted.map_err(|error| Error::internal("keys of a window").caused_by(error))?;
        (self.values, self.holders, self.seen) = (values, holders, seen);
        Ok(Some(moved))
    }

    /// Keys that something holds.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.holders.iter().filter(|holders| **holders > 0).count()
    }

    /// Bytes that the dictionary holds.
    pub(crate) fn bytes(&self) -> usize {
        if self.len() == 0 {
            return 0;
        }
        let arrays = self.keys.iter().chain(self.recent.iter().flatten());
        self.values.as_ref().map_or(0, |values| values.size())
            + arrays.map(|array| array.get_array_memory_size()).sum::<usize>()
            + (self.holders.capacity() + self.seen.capacity()) * size_of::<u32>()
    }
}

/// The two zeros of floats are one key, written 0.0, as in DataFusion's GROUP BY of several columns.
pub(crate) fn one_zero(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float32 => {
            let zero = |value| if value == 0.0 { 0.0 } else { value };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(zero))
        }
        DataType::Float64 => {
            let zero = |value| if value == 0.0 { 0.0 } else { value };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(zero))
        }
        _ => Arc::clone(column),
    }
}

fn group_values(schema: &SchemaRef) -> Result<Option<Box<dyn GroupValues>>> {
    if schema.fields().is_empty() {
        return Ok(None);
    }
    new_group_values(schema.clone(), &GroupOrdering::None).map(Some).map_err(failed)
}

fn failed(error: datafusion::error::DataFusionError) -> Error {
    Error::internal("group keys").caused_by(error)
}
