//! Aggregates whose result does not depend on the order of their input, under the names of DataFusion's own.
//!
//! ```text
//!  value ──> contribution ──> integer state ──+──> rounded once ──> result
//!            (of the value     (adding is     |
//!             alone)            associative)  +──> Binary column: merge, checkpoint, exchange
//! ```
//!
//! | function | argument | result |
//! |---|---|---|
//! | `sum` | Float64 | the exact sum, rounded once to nearest even; exact zero is `+0.0` |
//! | `sum` | Int64, UInt64, Decimal32/64/128 | the exact sum, NULL (and counted) where it does not fit the type |
//! | `avg`, `mean` | Float64 | the exact sum divided by the count, rounded once: never an overflow on the way |
//! | `avg`, `mean` | Decimal32/64/128 | the exact sum divided by the count, cut off as in DataFusion; NULL where it does not fit |
//! | `var`, `var_samp`, `var_sample`, `var_pop`, `var_population` | Float64 | `(n*Sxx - Sx^2) / (n*(n-1))` or `/ n^2`, rounded once |
//! | `stddev`, `stddev_samp`, `stddev_pop` | Float64 | its square root, also rounded once |
//!
//! NaN and infinities follow IEEE addition; a spread over one of them is NaN. Other arguments (Decimal256, durations,
//! intervals) go to DataFusion's own integer arithmetic, which is order-independent too but wraps on overflow (and fails
//! in `avg` of Decimal256). Signatures and coercions are DataFusion's: an integer under `avg`
//! becomes Float64 first, Float32 becomes Float64.

mod accumulator;
mod groups;
mod moments;
mod rounding;
mod state;
mod sum;
#[cfg(test)]
mod tests;
mod wide;

use crate::ExpressionErrors;
use accumulator::{Builders, Ending};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type,
};
use datafusion::common::Result;
use datafusion::functions_aggregate::{average, stddev, sum as builtin_sum, variance};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
};
use moments::{Moments, Spread};
use state::{DecimalState, Finish, FloatState, IntegerState};
use std::sync::Arc;

/// An aggregate of DataFusion with an exact implementation for the types it knows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    finish: Finish,
    /// Gives name, aliases, signature and types, and runs for the types that are not ours.
    builtin: Arc<AggregateUDF>,
    errors: ExpressionErrors,
}

/// The exact aggregates, with `min` and `max`; registering them replaces DataFusion's. A sum that does not fit its type counts in `errors`.
pub fn aggregates(errors: &ExpressionErrors) -> Vec<Arc<AggregateUDF>> {
    let spread = |sample, root| Finish::Spread(Spread { sample, root });
    [
        (Finish::Sum, builtin_sum::sum_udaf()),
        (Finish::Mean, average::avg_udaf()),
        (spread(true, false), variance::var_samp_udaf()),
        (spread(false, false), variance::var_pop_udaf()),
        (spread(true, true), stddev::stddev_udaf()),
        (spread(false, true), stddev::stddev_pop_udaf()),
    ]
    .into_iter()
    .map(|(finish, builtin)| Arc::new(AggregateUDF::from(Exact { finish, builtin, errors: errors.clone() })))
    .chain(crate::extremes::extremes())
    .collect()
}

// === impl Exact ===

impl Exact {
    /// `None` for the types that DataFusion's own implementation handles.
    fn builders(&self, input: Option<&FieldRef>) -> Option<Builders> {
        Some(match (self.finish, input?.data_type()) {
            (Finish::Sum | Finish::Mean, DataType::Float64) => Builders::of::<FloatState>(),
            (Finish::Spread(_), DataType::Float64) => Builders::of::<Moments>(),
            (Finish::Sum, DataType::Int64) => Builders::of::<IntegerState<Int64Type>>(),
            (Finish::Sum, DataType::UInt64) => Builders::of::<IntegerState<UInt64Type>>(),
            (Finish::Sum | Finish::Mean, DataType::Decimal32(..)) => Builders::of::<DecimalState<Decimal32Type>>(),
            (Finish::Sum | Finish::Mean, DataType::Decimal64(..)) => Builders::of::<DecimalState<Decimal64Type>>(),
            (Finish::Sum | Finish::Mean, DataType::Decimal128(..)) => Builders::of::<DecimalState<Decimal128Type>>(),
            _ => return None,
        })
    }

    fn ending(&self, args: &AccumulatorArgs) -> Ending {
        let output = args.return_type().clone();
        let scales = args.expr_fields.first().and_then(|input| Some((scale(input.data_type())?, scale(&output)?)));
        let finish = match (self.finish, scales) {
            (Finish::Mean, Some((from, to))) => Finish::DecimalMean { more_digits: u32::from(from.abs_diff(to)) },
            (finish, _) => finish,
        };
        Ending { finish, output, errors: self.errors.clone() }
    }

    fn own(&self, args: &AccumulatorArgs) -> Option<Box<dyn Accumulator>> {
        let builders = self.builders(args.expr_fields.first())?;
        let ending = self.ending(args);
        Some(match args.is_distinct {
            true => (builders.distinct)(ending, args.expr_fields.first()?.data_type().clone()),
            false => (builders.plain)(ending),
        })
    }
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        self.builtin.name()
    }

    fn aliases(&self) -> &[String] {
        self.builtin.aliases()
    }

    fn signature(&self) -> &Signature {
        self.builtin.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.builtin.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match self.own(&args) {
            Some(own) => Ok(own),
            None => self.builtin.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match self.own(&args) {
            Some(own) => Ok(own),
            None => self.builtin.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let Some(input) = args.input_fields.first().filter(|input| self.builders(Some(input)).is_some()) else {
            return self.builtin.state_fields(args);
        };
        let field = match args.is_distinct {
            true => {
                let values = Field::new_list_field(input.data_type().clone(), true);
                Field::new_list(format_state_name(args.name, "distinct"), values, false)
            }
            false => Field::new(format_state_name(args.name, "exact"), DataType::Binary, true),
        };
        Ok(vec![Arc::new(field)])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        match self.builders(args.expr_fields.first()) {
            Some(_) => !args.is_distinct,
            None => self.builtin.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match self.builders(args.expr_fields.first()) {
            Some(builders) => Ok((builders.groups)(self.ending(&args))),
            None => self.builtin.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.builtin.documentation()
    }
}

fn scale(decimal: &DataType) -> Option<i8> {
    match decimal {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    }
}
