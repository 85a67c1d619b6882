//! `min` and `max` of floats in the total order of IEEE 754, so that neither `-0.0` nor NaN makes the result depend on
//! the order of the rows: `-0.0` is less than `0.0`, NaN (with its sign) lies beyond the infinities.
//!
//! DataFusion's own accumulator of single groups and of frames does the same; that of many groups takes whichever came
//! last of two values that do not compare. Everything but that one is DataFusion's.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion::scalar::ScalarValue;
use std::cmp::Ordering;
use std::sync::Arc;

/// `min` or `max`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    builtin: Arc<AggregateUDF>,
    is_min: bool,
}

/// The least or greatest value of each group.
struct Extremes<T: ArrowPrimitiveType> {
    /// How a value stands to the one in hand when it takes its place.
    wins: Ordering,
    compare: fn(&T::Native, &T::Native) -> Ordering,
    found: Vec<Option<T::Native>>,
}

/// `min` and `max`; registering them replaces DataFusion's.
pub(crate) fn extremes() -> [Arc<AggregateUDF>; 2] {
    [(min_udaf(), true), (max_udaf(), false)]
        .map(|(builtin, is_min)| Arc::new(AggregateUDF::from(Extreme { builtin, is_min })))
}

// === impl Extreme ===

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.builtin.name()
    }

    fn signature(&self) -> &Signature {
        self.builtin.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.builtin.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.builtin.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.builtin.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.builtin.create_sliding_accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.builtin.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.builtin.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let wins = if self.is_min { Ordering::Less } else { Ordering::Greater };
        Ok(match args.return_type() {
            DataType::Float32 => Box::new(Extremes::<Float32Type> { wins, compare: f32::total_cmp, found: Vec::new() }),
            DataType::Float64 => Box::new(Extremes::<Float64Type> { wins, compare: f64::total_cmp, found: Vec::new() }),
            _ => return self.builtin.create_groups_accumulator(args),
        })
    }

    fn is_descending(&self) -> Option<bool> {
        self.builtin.is_descending()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.builtin.value_from_stats(args)
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.builtin.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.builtin.documentation()
    }
}

// === impl Extremes ===

impl<T: ArrowPrimitiveType> Extremes<T> {
    fn take(&mut self, emit_to: EmitTo) -> ArrayRef {
        let found = emit_to.take_needed(&mut self.found);
        Arc::new(PrimitiveArray::<T>::from_iter(found))
    }
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for Extremes<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let values = floats::<T>(values)?;
        self.found.resize(total, None);
        for (row, group) in groups.iter().enumerate() {
            if !counts(values, filter, row) {
                continue;
            }
            let (value, found) = (values.value(row), &mut self.found[*group]);
            if found.is_none_or(|known| (self.compare)(&value, &known) == self.wins) {
                *found = Some(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(self.take(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.take(emit_to)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.update_batch(values, groups, None, total)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = floats::<T>(values)?;
        let kept = (0..values.len()).map(|row| counts(values, filter, row).then(|| values.value(row)));
        Ok(vec![Arc::new(kept.collect::<PrimitiveArray<T>>())])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.found.capacity() * size_of::<Option<T::Native>>()
    }
}

fn floats<T: ArrowPrimitiveType>(values: &[ArrayRef]) -> Result<&PrimitiveArray<T>> {
    let floats = values.first().and_then(|values| values.as_primitive_opt::<T>());
    floats.ok_or_else(|| internal_datafusion_err!("min or max: expected values of type {}", T::DATA_TYPE))
}

/// True for a row that has a value and passes the filter.
fn counts(values: &dyn Array, filter: Option<&BooleanArray>, row: usize) -> bool {
    values.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}
