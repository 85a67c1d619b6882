//! What is rewritten and what is not.

use super::super::call::is_infallible;
use super::super::cast::is_fallible;
use super::*;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::TreeNodeRecursion;

#[test]
fn casts_that_cannot_fail() {
    use DataType::{
        Boolean, Date32, Decimal128, Float32, Float64, Int8, Int32, Int64, Timestamp, UInt32, UInt64, Utf8, Utf8View,
    };
    let micros = Timestamp(TimeUnit::Microsecond, None);
    let nanos = Timestamp(TimeUnit::Nanosecond, None);
    for (from, to) in [
        (Int32, Int64),
        (UInt32, Int64),
        (Int64, Float64),
        (Float32, Float64),
        (Int64, Utf8),
        (Utf8, Utf8View),
        (nanos.clone(), micros.clone()),
        (Int64, Decimal128(20, 0)),
        (Decimal128(10, 2), Decimal128(12, 3)),
        (Boolean, Int8),
        (Decimal128(10, 2), Float64),
    ] {
        assert!(!is_fallible(&from, &to), "{from} {to}");
    }
    for (from, to) in [
        (Int64, Int32),
        (Int64, UInt64),
        (UInt64, Int64),
        (UInt32, Int32),
        (Float64, Int64),
        (Utf8, Int64),
        (Utf8, Boolean),
        (Utf8, Date32),
        (micros.clone(), nanos),
        (Date32, micros.clone()),
        (Int64, Decimal128(20, 2)),
        (Decimal128(10, 2), Decimal128(10, 3)),
        (Decimal128(10, 2), Int64),
        (micros, Utf8),
    ] {
        assert!(is_fallible(&from, &to), "{from} {to}");
    }
}

#[test]
fn functions_that_cannot_fail() {
    assert!(is_infallible("upper", &[]) && is_infallible("window_start", &[]));
    assert!(!is_infallible("to_timestamp", &[]) && !is_infallible("unheard_of", &[]));
    assert!(!is_infallible("date_trunc", &[]));
}

async fn optimized(query: &str) -> LogicalPlan {
    context(Some(&ExpressionErrors::new())).sql(query).await.unwrap().into_optimized_plan().unwrap()
}

#[tokio::test]
async fn widening_and_constants_stay_plain() {
    for query in [
        "SELECT CAST(id AS BIGINT), i > id, f + id, f * 2 FROM t",
        "SELECT date_trunc('hour', to_timestamp('2024-01-01')), DATE '2024-01-01' + INTERVAL '1' DAY",
        "SELECT upper(text), text LIKE 'a%', coalesce(i, 0) FROM t",
        "SELECT lag(i, 1) OVER (ORDER BY id) FROM t",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f) FROM t",
    ] {
        let plan = optimized(query).await.to_string();
        assert!(!plan.contains("checked_"), "{plan}");
    }
}

#[tokio::test]
async fn planners_can_see_through() {
    let plan = optimized("SELECT i + 1, -i, CAST(text AS INT), abs(i) FROM t").await;
    let mut found = Vec::new();
    plan.apply_expressions(|expr| {
        let inner = if let Expr::Alias(alias) = expr { &alias.expr } else { expr };
        found.extend(plain(inner).map(|expr| expr.to_string()));
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    assert_eq!(found, ["t.i + Int64(1)", "(- t.i)", "CAST(t.text AS Int32)", "abs(t.i)"]);
}

#[tokio::test]
async fn a_second_pass_changes_nothing() {
    let errors = ExpressionErrors::new();
    let context = context(Some(&errors));
    let query = "SELECT 10 / i, CAST(text AS INT), abs(i) FROM t";
    let once = context.sql(query).await.unwrap().into_optimized_plan().unwrap();
    let twice = null_on_error(&errors).analyze(once.clone(), &ConfigOptions::new()).unwrap();
    assert_eq!(once.to_string(), twice.to_string());
}
