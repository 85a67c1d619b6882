//! Casts that give NULL where they fail, and the list of casts that cannot fail.

use super::rows::null_where_it_fails;
use crate::ExpressionErrors;
use arrow::array::Array;
use arrow::compute::{CastOptions, can_cast_types};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TryCast, Volatility,
};
use std::sync::Arc;

const SAFE: CastOptions<'static> = CastOptions { safe: true, ..DEFAULT_CAST_OPTIONS };

/// `CAST(x AS type)` that is NULL where it fails, and `TRY_CAST`, which is so by itself and counts nothing. DataFusion's own
/// `TRY_CAST(x AS type) IS DISTINCT FROM NULL` becomes `x IS DISTINCT FROM NULL`, as if no value could fail.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckedCast {
    to: DataType,
    /// True for `TRY_CAST`: its NULL is wished for.
    is_try: bool,
    signature: Signature,
    errors: ExpressionErrors,
}

// === impl CheckedCast ===

impl CheckedCast {
    /// The checked form of `cast`; `None` where it cannot fail.
    pub(super) fn of(cast: &Cast, schema: &DFSchema, errors: &ExpressionErrors) -> Option<Expr> {
        let to = cast.field.data_type();
        let works = match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(to).is_ok(),
            expr => !is_fallible(&expr.get_type(schema).ok()?, to),
        };
        (!works).then(|| Self::call(cast.expr.as_ref().clone(), to.clone(), false, errors))
    }

    /// The checked form of `TRY_CAST`; `None` where it cannot fail, and for constants.
    pub(super) fn of_try(cast: &TryCast, schema: &DFSchema, errors: &ExpressionErrors) -> Option<Expr> {
        let to = cast.field.data_type();
        let from = cast.expr.get_type(schema).ok()?;
        let is_constant = matches!(cast.expr.as_ref(), Expr::Literal(..));
        // What Arrow cannot cast at all is refused when the plan is made.
        let fails = !is_constant && is_fallible(&from, to) && can_cast_types(&from, to);
        fails.then(|| Self::call(cast.expr.as_ref().clone(), to.clone(), true, errors))
    }

    /// A checked cast of `expr`.
    pub(super) fn call(expr: Expr, to: DataType, is_try: bool, errors: &ExpressionErrors) -> Expr {
        let signature = Signature::any(1, Volatility::Immutable);
        let function = Self { to, is_try, signature, errors: errors.clone() };
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), vec![expr]))
    }

    /// The cast without the check.
    pub(super) fn plain(&self, args: &[Expr]) -> Option<Expr> {
        let (expr, to) = (Box::new(args.first()?.clone()), self.to.clone());
        Some(if self.is_try { Expr::TryCast(TryCast::new(expr, to)) } else { Expr::Cast(Cast::new(expr, to)) })
    }

    fn cast(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = datafusion::common::utils::take_function_args("checked_cast", &args.args)?;
        let result = value.cast_to(&self.to, Some(&SAFE))?;
        let failed = match (value, &result) {
            (ColumnarValue::Array(before), ColumnarValue::Array(after)) => {
                after.logical_null_count().saturating_sub(before.logical_null_count())
            }
            (ColumnarValue::Scalar(before), ColumnarValue::Scalar(after)) if after.is_null() && !before.is_null() => {
                args.number_rows
            }
            _ => 0,
        };
        if !self.is_try {
            self.errors.add(failed as u64);
        }
        Ok(result)
    }
}

impl ScalarUDFImpl for CheckedCast {
    fn name(&self) -> &str {
        "checked_cast"
    }

    /// Not the name of the argument, which a plain CAST has: beside that column, as a join key is put, it would clash.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let cast = if self.is_try { "TRY_CAST" } else { "CAST" };
        Ok(args.first().map(|arg| format!("{cast}({} AS {})", arg.schema_name(), self.to)).unwrap_or_default())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = Field::new(self.name(), self.to.clone(), true);
        Ok(Arc::new(match args.arg_fields.first() {
            Some(arg) => field.with_metadata(arg.metadata().clone()),
            None => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // A few casts fail on the whole batch even when they are told to be safe.
        let unread = ExpressionErrors::new();
        let errors = if self.is_try { &unread } else { &self.errors };
        null_where_it_fails(args, errors, |args| self.cast(&args))
    }
}

/// False for the casts that succeed on every value.
pub(super) fn is_fallible(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, Null, Timestamp};
    if from == to || *from == Null {
        return false;
    }
    match (from, to) {
        // Every timestamp lies on a day.
        (Timestamp(_, None), DataType::Date32) => false,
        (Dictionary(_, value), to) => is_fallible(value, to),
        // There may be more values than keys.
        (_, Dictionary(..)) => true,
        (Timestamp(from, zone), Timestamp(to, new_zone)) => {
            fineness(to) > fineness(from) || (zone.is_none() && new_zone.is_some())
        }
        (
            Decimal32(from, from_scale)
            | Decimal64(from, from_scale)
            | Decimal128(from, from_scale)
            | Decimal256(from, from_scale),
            Decimal32(to, scale) | Decimal64(to, scale) | Decimal128(to, scale) | Decimal256(to, scale),
        ) => scale < from_scale || digits(*to, *scale) < digits(*from, *from_scale),
        (from, Decimal32(to, scale) | Decimal64(to, scale) | Decimal128(to, scale) | Decimal256(to, scale)) => {
            *scale < 0 || integer_digits(from).is_none_or(|needed| digits(*to, *scale) < needed)
        }
        (from, to) => !(is_widening(from, to) || is_text(to) && prints(from)) && is_nested_fallible(from, to),
    }
}

/// Lists and structs of the same shape fail where what is inside them fails.
fn is_nested_fallible(from: &DataType, to: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List, Struct};
    match (from, to) {
        (List(from), List(to) | LargeList(to))
        | (LargeList(from), LargeList(to))
        | (FixedSizeList(from, _), List(to) | LargeList(to)) => is_fallible(from.data_type(), to.data_type()),
        (FixedSizeList(from, left), FixedSizeList(to, right)) => {
            left != right || is_fallible(from.data_type(), to.data_type())
        }
        (Struct(from), Struct(to)) => {
            let differs = |from: &FieldRef, to: &FieldRef| {
                from.name() != to.name() || is_fallible(from.data_type(), to.data_type())
            };
            from.len() != to.len() || from.iter().zip(to).any(|(from, to)| differs(from, to))
        }
        _ => true,
    }
}

fn fineness(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

/// Digits before the point.
fn digits(precision: u8, scale: i8) -> i32 {
    i32::from(precision) - i32::from(scale)
}

fn integer_digits(from: &DataType) -> Option<i32> {
    Some(match from {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        _ => return None,
    })
}

/// Numbers into wider numbers. A double into a single float stays IEEE: too large is infinite.
fn is_widening(from: &DataType, to: &DataType) -> bool {
    let to_float = to.is_floating() && *to != DataType::Float16;
    if to_float && (from.is_numeric() || *from == DataType::Boolean) {
        return true;
    }
    let signed = |to: &DataType| to.is_signed_integer();
    let (Some(from_width), Some(to_width)) = (from.primitive_width(), to.primitive_width()) else {
        return *from == DataType::Boolean && to.is_integer();
    };
    from.is_integer()
        && to.is_integer()
        && match (signed(from), signed(to)) {
            (true, false) => false,
            (false, true) => to_width > from_width,
            _ => to_width >= from_width,
        }
}

fn is_text(to: &DataType) -> bool {
    matches!(to, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Types of which every value has a text; a date far outside the calendar has none.
fn prints(from: &DataType) -> bool {
    from.is_numeric() || *from == DataType::Boolean || matches!(from, DataType::Utf8 | DataType::Utf8View)
}
