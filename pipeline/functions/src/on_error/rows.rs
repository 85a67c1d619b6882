//! Evaluates a function on a batch, and where that fails, row by row: the rows that fail are NULL, and counted.

use crate::ExpressionErrors;
use arrow::array::new_empty_array;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// The value of `evaluate`, with NULL for the rows on which it fails.
pub(super) fn null_where_it_fails(
    args: ScalarFunctionArgs,
    errors: &ExpressionErrors,
    evaluate: impl Fn(ScalarFunctionArgs) -> Result<ColumnarValue>,
) -> Result<ColumnarValue> {
    match evaluate(args.clone()) {
        Err(error) if is_of_a_row(&error) => row_by_row(&args, errors, evaluate),
        result => result,
    }
}

fn row_by_row(
    args: &ScalarFunctionArgs,
    errors: &ExpressionErrors,
    evaluate: impl Fn(ScalarFunctionArgs) -> Result<ColumnarValue>,
) -> Result<ColumnarValue> {
    let null = ScalarValue::try_from(args.return_type())?;
    if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
        errors.add(args.number_rows as u64);
        return Ok(ColumnarValue::Scalar(null));
    }
    let (mut values, mut failed) = (Vec::with_capacity(args.number_rows), 0);
    for row in 0..args.number_rows {
        match evaluate(one_row(args, row)) {
            Ok(ColumnarValue::Scalar(value)) => values.push(value),
            Ok(ColumnarValue::Array(array)) => values.push(ScalarValue::try_from_array(&array, 0)?),
            Err(error) if is_of_a_row(&error) => {
                failed += 1;
                values.push(null.clone());
            }
            Err(error) => return Err(error),
        }
    }
    errors.add(failed);
    if values.is_empty() {
        return Ok(ColumnarValue::Array(new_empty_array(args.return_type())));
    }
    Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
}

fn one_row(args: &ScalarFunctionArgs, row: usize) -> ScalarFunctionArgs {
    let one = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(row, 1)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    };
    ScalarFunctionArgs { args: args.args.iter().map(one).collect(), number_rows: 1, ..args.clone() }
}

/// False for errors that no other value of the row would have avoided.
fn is_of_a_row(error: &DataFusionError) -> bool {
    !matches!(
        error.find_root(),
        DataFusionError::ResourcesExhausted(_)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::IoError(_)
            | DataFusionError::ObjectStore(_)
    )
}
