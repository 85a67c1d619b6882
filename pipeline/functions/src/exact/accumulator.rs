//! A state behind DataFusion's `Accumulator`: one group, or one sliding window frame.

use super::groups::Groups;
use super::state::{Finish, Native, State};
use crate::ExpressionErrors;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, ListArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, internal_datafusion_err};
use datafusion::logical_expr::{Accumulator, GroupsAccumulator};
use std::collections::HashMap;
use std::sync::Arc;

/// How a state becomes a result.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) finish: Finish,
    pub(super) output: DataType,
    pub(super) errors: ExpressionErrors,
}

/// The three forms of one aggregate.
pub(super) struct Builders {
    pub(super) plain: fn(Ending) -> Box<dyn Accumulator>,
    pub(super) distinct: fn(Ending, DataType) -> Box<dyn Accumulator>,
    pub(super) groups: fn(Ending) -> Box<dyn GroupsAccumulator>,
}

/// One group.
#[derive(Debug)]
struct Plain<S> {
    state: S,
    ending: Ending,
}

/// One group of distinct values: how often each one is there, so that it can be taken back.
#[derive(Debug)]
struct Distinct<S: State> {
    values: HashMap<i128, (Native<S::Input>, i64)>,
    input: DataType,
    ending: Ending,
}

// === impl Builders ===

impl Builders {
    /// The forms of an aggregate that keeps `S`.
    pub(super) fn of<S: State>() -> Self {
        Self {
            plain: |ending| Box::new(Plain { state: S::default(), ending }),
            distinct: |ending, input| Box::new(Distinct::<S> { values: HashMap::new(), input, ending }),
            groups: |ending| Box::new(Groups::<S>::new(ending)),
        }
    }
}

// === impl Ending ===

impl Ending {
    /// The result of `state`; an overflow is NULL and counted.
    pub(super) fn result<S: State>(&self, state: &S) -> Option<Native<S::Output>> {
        state.finish(self.finish, &self.output).unwrap_or_else(|_| {
            self.errors.add(1);
            None
        })
    }
}

// === impl Plain ===

impl<S: State> Plain<S> {
    fn change(&mut self, values: &[ArrayRef], retract: bool) -> Result<()> {
        for value in primitive::<S::Input>(values)?.iter().flatten() {
            self.state.add(value, retract);
        }
        Ok(())
    }
}

impl<S: State> Accumulator for Plain<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.change(values, false)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.change(values, true)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::new_primitive::<S::Output>(self.ending.result(&self.state), &self.ending.output)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.state.heap()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut bytes = Vec::new();
        self.state.encode(&mut bytes);
        Ok(vec![ScalarValue::Binary(Some(bytes))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in binary(states)?.iter().flatten() {
            self.state.merge(&decode(bytes)?);
        }
        Ok(())
    }
}

// === impl Distinct ===

impl<S: State> Distinct<S> {
    fn change(&mut self, values: &PrimitiveArray<S::Input>, step: i64) {
        for value in values.iter().flatten() {
            let key = S::key(value);
            // Of the two zeros the positive one stays, so that equal sets have equal states.
            let value = if key == 0 { Native::<S::Input>::default() } else { value };
            let count = &mut self.values.entry(key).or_insert((value, 0)).1;
            *count += step;
            if *count == 0 {
                self.values.remove(&key);
            }
        }
    }
}

impl<S: State> Accumulator for Distinct<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.change(primitive::<S::Input>(values)?, 1);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.change(primitive::<S::Input>(values)?, -1);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut state = S::default();
        for (value, _) in self.values.values() {
            state.add(*value, false);
        }
        ScalarValue::new_primitive::<S::Output>(self.ending.result(&state), &self.ending.output)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<(i128, Native<S::Input>, i64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut values: Vec<_> = self.values.iter().map(|(key, (value, _))| (*key, *value)).collect();
        values.sort_unstable_by_key(|(key, _)| *key);
        let values = PrimitiveArray::<S::Input>::from_iter_values(values.into_iter().map(|(_, value)| value));
        let values = Arc::new(values.with_data_type(self.input.clone()));
        let field = Arc::new(Field::new_list_field(self.input.clone(), true));
        let list = ListArray::try_new(field, OffsetBuffer::from_lengths([values.len()]), values, None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states.first().and_then(|states| states.as_list_opt::<i32>());
        let lists = lists.ok_or_else(|| internal_datafusion_err!("exact aggregate: expected a list as its state"))?;
        for values in lists.iter().flatten() {
            self.change(primitive::<S::Input>(&[values])?, 1);
        }
        Ok(())
    }
}

/// The one argument as an array of its type.
pub(super) fn primitive<T: ArrowPrimitiveType>(values: &[ArrayRef]) -> Result<&PrimitiveArray<T>> {
    let value = values.first().ok_or_else(|| internal_datafusion_err!("exact aggregate: expected an argument"))?;
    value.as_primitive_opt::<T>().ok_or_else(|| {
        exec_datafusion_err!(
            "exact aggregate: found an argument of type {}, expected {}",
            value.data_type(),
            T::DATA_TYPE
        )
    })
}

/// The one state column.
pub(super) fn binary(states: &[ArrayRef]) -> Result<&BinaryArray> {
    let state = states.first().and_then(|states| states.as_binary_opt::<i32>());
    state.ok_or_else(|| internal_datafusion_err!("exact aggregate: expected one binary column as its state"))
}

/// A state that came back from a run or another partition.
pub(super) fn decode<S: State>(bytes: &[u8]) -> Result<S> {
    S::decode(bytes).ok_or_else(|| internal_datafusion_err!("exact aggregate: its state cannot be read"))
}
