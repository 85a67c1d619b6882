//! Calls of scalar functions that give NULL where they fail, and the list of functions that cannot fail.

use super::cast::CheckedCast;
use super::operator::CheckedOperator;
use super::rows::null_where_it_fails;
use crate::ExpressionErrors;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::any::Any;
use std::sync::Arc;

/// A scalar function that is NULL where it fails.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct GuardedCall {
    inner: Arc<ScalarUDF>,
    signature: Signature,
    errors: ExpressionErrors,
}

// === impl GuardedCall ===

impl GuardedCall {
    /// The guarded form of `call`; `None` where it cannot fail or must not be evaluated in another way.
    pub(super) fn of(call: &ScalarFunction, schema: &DFSchema, errors: &ExpressionErrors) -> Option<Expr> {
        let (function, args) = (&call.func, &call.args);
        let volatility = function.signature().volatility;
        if args.is_empty() || volatility == Volatility::Volatile || function.short_circuits() {
            return None;
        }
        // These two exist only as casts, which DataFusion makes of them after the analyzer.
        if let ("arrow_cast" | "cast_to_type", Some(value)) = (function.name(), args.first()) {
            let to = Expr::ScalarFunction(call.clone()).get_type(schema).ok()?;
            return Some(CheckedCast::call(value.clone(), to, false, errors));
        }
        if is_ours(function) || is_infallible(function.name(), args) {
            return None;
        }
        let signature = Signature::any(args.len(), volatility);
        let guarded = Self { inner: Arc::clone(function), signature, errors: errors.clone() };
        Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(guarded)), args.clone())))
    }

    /// The call without the guard.
    pub(super) fn plain(&self, args: &[Expr]) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.inner), args.to_vec()))
    }
}

impl ScalarUDFImpl for GuardedCall {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        null_where_it_fails(args, &self.errors, |args| self.inner.invoke_with_args(args))
    }
}

fn is_ours(function: &ScalarUDF) -> bool {
    let function: &dyn Any = function.inner().as_ref();
    function.is::<GuardedCall>() || function.is::<CheckedCast>() || function.is::<CheckedOperator>()
}

/// True for functions that succeed on every row, once their types and literal arguments are right.
pub(super) fn is_infallible(name: &str, args: &[Expr]) -> bool {
    match name {
        "date_bin" | "date_trunc" => matches!(args.first(), Some(Expr::Literal(..))),
        _ => [TEXT, NUMBERS, CHOICES, NESTED, META, OURS].iter().any(|list| list.contains(&name)),
    }
}

const TEXT: &[&str] = &[
    "ascii",
    "bit_length",
    "btrim",
    "character_length",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "find_in_set",
    "initcap",
    "levenshtein",
    "lower",
    "ltrim",
    "md5",
    "octet_length",
    "replace",
    "reverse",
    "rtrim",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "starts_with",
    "strpos",
    "substr_index",
    "to_hex",
    "translate",
    "upper",
];

/// On doubles, which answer with NaN or an infinity; `sqrt`, `power` and `log` have errors of their own.
const NUMBERS: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "cot", "degrees", "exp",
    "isnan", "iszero", "ln", "log10", "log2", "nanvl", "radians", "signum", "sin", "sinh", "tan", "tanh",
];

const CHOICES: &[&str] = &["coalesce", "greatest", "least", "nullif", "nvl", "nvl2"];

const NESTED: &[&str] = &[
    "array_has",
    "array_has_all",
    "array_has_any",
    "array_length",
    "array_ndims",
    "cardinality",
    "empty",
    "get_field",
    "make_array",
    "map_keys",
    "map_values",
    "named_struct",
    "struct",
];

const META: &[&str] = &[
    "arrow_field",
    "arrow_metadata",
    "arrow_try_cast",
    "arrow_typeof",
    "date_part",
    "try_cast_to_type",
    "version",
    "with_metadata",
];

const OURS: &[&str] = &["assign_windows", "window_end", "window_start"];
