//! Operators that give NULL where they fail: arithmetic, negation, regular expressions.

use super::rows::null_where_it_fails;
use crate::ExpressionErrors;
use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
};
use arrow::compute::kernels::numeric::neg;
use arrow::datatypes::{
    DataType, Field, Int8Type, Int16Type, Int32Type, Int64Type, Schema, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{self, Column, Literal};
use std::sync::Arc;

/// An operator on two numbers.
type Fallible<N> = fn(N, N) -> Result<N, ArrowError>;

/// An operator that is NULL where it fails; `None` is unary minus.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckedOperator {
    operator: Option<Operator>,
    output: DataType,
    signature: Signature,
    errors: ExpressionErrors,
}

// === impl CheckedOperator ===

impl CheckedOperator {
    /// The checked form of `binary`; `None` where it cannot fail.
    pub(super) fn of_binary(binary: &BinaryExpr, schema: &DFSchema, errors: &ExpressionErrors) -> Option<Expr> {
        let fallible = match binary.op {
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => true,
            Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch => {
                !matches!(binary.right.as_ref(), Expr::Literal(..))
            }
            _ => false,
        };
        if !fallible {
            return None;
        }
        let output = Expr::BinaryExpr(binary.clone()).get_type(schema).ok()?;
        if output.is_floating() || output.is_null() {
            return None;
        }
        let args = vec![binary.left.as_ref().clone(), binary.right.as_ref().clone()];
        Some(Self::call(Some(binary.op), output, args, errors))
    }

    /// The checked form of `-inner`; `None` where it cannot fail.
    pub(super) fn of_negative(inner: &Expr, schema: &DFSchema, errors: &ExpressionErrors) -> Option<Expr> {
        let output = inner.get_type(schema).ok()?;
        let works = match inner {
            Expr::Literal(value, _) => value.arithmetic_negate().is_ok(),
            _ => output.is_floating() || output.is_null(),
        };
        (!works).then(|| Self::call(None, output, vec![inner.clone()], errors))
    }

    fn call(operator: Option<Operator>, output: DataType, args: Vec<Expr>, errors: &ExpressionErrors) -> Expr {
        let signature = Signature::any(args.len(), Volatility::Immutable);
        let function = Self { operator, output, signature, errors: errors.clone() };
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), args))
    }

    /// The operator without the check.
    pub(super) fn plain(&self, args: &[Expr]) -> Option<Expr> {
        match (self.operator, args) {
            (Some(op), [left, right]) => {
                Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), op, Box::new(right.clone()))))
            }
            (None, [inner]) => Some(Expr::Negative(Box::new(inner.clone()))),
            _ => None,
        }
    }

    /// Evaluates the operator as DataFusion does, except that an overflow is an error.
    fn evaluate(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (self.operator, args.args.as_slice()) {
            (Some(op), [_, _]) => binary(op, args),
            (None, [ColumnarValue::Array(array)]) => Ok(ColumnarValue::Array(neg(array)?)),
            (None, [ColumnarValue::Scalar(value)]) => {
                let negated = neg(&value.to_array_of_size(1)?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&negated, 0)?))
            }
            _ => internal_err!("{}: found {} arguments", self.name(), args.args.len()),
        }
    }
}

impl ScalarUDFImpl for CheckedOperator {
    fn name(&self) -> &str {
        match self.operator {
            None => "checked_negative",
            Some(Operator::Plus) => "checked_add",
            Some(Operator::Minus) => "checked_subtract",
            Some(Operator::Multiply) => "checked_multiply",
            Some(Operator::Divide) => "checked_divide",
            Some(Operator::Modulo) => "checked_modulo",
            Some(_) => "checked_match",
        }
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(self.plain(args).map(|plain| plain.schema_name().to_string()).unwrap_or_default())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.output.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = self.evaluate(&args);
        if value.is_ok() {
            return value;
        }
        // The usual case, a division of integers by zero, is not worth evaluating row by row.
        if let Some((value, failed)) = self.operator.and_then(|op| integers(op, &args)) {
            self.errors.add(failed);
            return Ok(value);
        }
        null_where_it_fails(args, &self.errors, |args| self.evaluate(&args))
    }
}

fn binary(op: Operator, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (mut fields, mut columns, mut sides) = (Vec::new(), Vec::new(), Vec::<Arc<dyn PhysicalExpr>>::new());
    for (name, arg) in ["left", "right"].into_iter().zip(&args.args) {
        match arg {
            ColumnarValue::Scalar(value) => sides.push(Arc::new(Literal::new(value.clone()))),
            ColumnarValue::Array(array) => {
                sides.push(Arc::new(Column::new(name, columns.len())));
                fields.push(Field::new(name, array.data_type().clone(), true));
                columns.push(Arc::clone(array));
            }
        }
    }
    let [left, right] = datafusion::common::utils::take_function_args("operator", sides)?;
    let options = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
    expressions::BinaryExpr::new(left, op, right).with_fail_on_overflow(true).evaluate(&batch)
}

/// Arithmetic on two columns of the same integer type, with NULL where it fails, and how often it does.
fn integers(op: Operator, args: &ScalarFunctionArgs) -> Option<(ColumnarValue, u64)> {
    if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
        return None;
    }
    let [left, right] = args.args.as_slice() else { return None };
    let (left, right) = (left.to_array(args.number_rows).ok()?, right.to_array(args.number_rows).ok()?);
    if left.data_type() != right.data_type() {
        return None;
    }
    let (values, failed) = match left.data_type() {
        DataType::Int8 => checked::<Int8Type>(op, &left, &right)?,
        DataType::Int16 => checked::<Int16Type>(op, &left, &right)?,
        DataType::Int32 => checked::<Int32Type>(op, &left, &right)?,
        DataType::Int64 => checked::<Int64Type>(op, &left, &right)?,
        DataType::UInt8 => checked::<UInt8Type>(op, &left, &right)?,
        DataType::UInt16 => checked::<UInt16Type>(op, &left, &right)?,
        DataType::UInt32 => checked::<UInt32Type>(op, &left, &right)?,
        DataType::UInt64 => checked::<UInt64Type>(op, &left, &right)?,
        _ => return None,
    };
    Some((ColumnarValue::Array(values), failed))
}

fn checked<T: ArrowPrimitiveType>(op: Operator, left: &ArrayRef, right: &ArrayRef) -> Option<(ArrayRef, u64)> {
    let evaluate: Fallible<T::Native> = match op {
        Operator::Plus => |left, right| left.add_checked(right),
        Operator::Minus => |left, right| left.sub_checked(right),
        Operator::Multiply => |left, right| left.mul_checked(right),
        Operator::Divide => |left, right| left.div_checked(right),
        // As Arrow's kernel has it: the least number modulo -1 is 0, and no overflow.
        Operator::Modulo => |left, right| {
            if right.is_zero() { Err(ArrowError::DivideByZero) } else { Ok(left.mod_wrapping(right)) }
        },
        _ => return None,
    };
    let (left, right) = (left.as_primitive_opt::<T>()?, right.as_primitive_opt::<T>()?);
    let mut failed = 0;
    let values: PrimitiveArray<T> = left
        .iter()
        .zip(right)
        .map(|(left, right)| {
            let result = evaluate(left?, right?).ok();
            failed += u64::from(result.is_none());
            result
        })
        .collect();
    Some((Arc::new(values), failed))
}
