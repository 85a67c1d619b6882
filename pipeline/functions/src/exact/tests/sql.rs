//! Exact aggregates in SQL: types, names, groups, DISTINCT, window frames, overflow.

use crate::{ExpressionErrors, aggregates};
use arrow::array::{ArrayRef, Decimal128Array, Float32Array, Float64Array, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

fn context(errors: &ExpressionErrors) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3).with_batch_size(2));
    for udaf in aggregates(errors) {
        context.register_udaf(udaf.as_ref().clone());
    }
    context.register_batch("t", table()).unwrap();
    context
}

fn table() -> RecordBatch {
    let max = Some(i64::MAX);
    let f = [Some(1e100), Some(1.0), Some(0.1), Some(0.2), Some(0.3), Some(-1e100), None];
    let i = [max, max, Some(1), Some(2), Some(1), Some(-i64::MAX), None];
    let d = Decimal128Array::from(vec![10i128.pow(38) - 1, 1, 2, 3, 4, 5, 6]);
    let columns: [(&str, ArrayRef); 6] = [
        ("k", Arc::new(Int64Array::from(vec![1, 1, 2, 2, 2, 1, 3]))),
        ("f", Arc::new(Float64Array::from(f.to_vec()))),
        ("f32", Arc::new(Float32Array::from(vec![0.5, 0.25, 1.0, 1.0, 1.0, 1.0, 2.0]))),
        ("i", Arc::new(Int64Array::from(i.to_vec()))),
        ("u", Arc::new(UInt64Array::from(vec![1, 2, 3, 4, 5, 6, u64::MAX]))),
        ("d", Arc::new(d.with_precision_and_scale(38, 0).unwrap())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

async fn rows(context: &SessionContext, query: &str) -> Vec<String> {
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    let row = |batch: &RecordBatch, row: usize| {
        let values: Vec<_> = batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect();
        values.join(",")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|at| row(batch, at)).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn groups() {
    let errors = ExpressionErrors::new();
    let context = context(&errors);
    let found = rows(
        &context,
        "SELECT k, sum(f), avg(f), sum(i), sum(f32), var_pop(f32), stddev(f32) FROM t GROUP BY k ORDER BY k",
    )
    .await;
    assert_eq!(
        found[0],
        format!("1,1.0,{},9223372036854775807,1.75,{},{}", 1.0f64 / 3.0, (7.0f64 / 72.0), (7.0f64 / 48.0).sqrt())
    );
    assert_eq!(found[1], "2,0.6,0.2,4,3.0,0.0,0.0");
    assert_eq!(found[2], "3,,,,2.0,0.0,");
    assert_eq!(errors.count(), 0);
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_null_and_counted() {
    let errors = ExpressionErrors::new();
    let context = context(&errors);
    assert_eq!(rows(&context, "SELECT sum(i) FROM t WHERE i > 5").await, [""]);
    assert_eq!(errors.count(), 1);
    assert_eq!(rows(&context, "SELECT sum(u), sum(d) FROM t").await, [","]);
    assert_eq!(errors.count(), 3);
    assert_eq!(rows(&context, "SELECT sum(u), sum(d), avg(d) FROM t WHERE k = 2").await, ["12,9,3.0000"]);
    assert_eq!(errors.count(), 3);
    assert_eq!(rows(&context, "SELECT avg(d) FROM t").await, [""]);
    assert_eq!(errors.count(), 4);
    assert_eq!(
        rows(&context, "SELECT avg(-CAST(u AS DECIMAL(20, 1))) FROM t WHERE u < 4 AND u <> 1").await,
        ["-2.50000"]
    );
}

#[tokio::test]
async fn distinct_values() {
    let context = context(&ExpressionErrors::new());
    let query = "SELECT sum(DISTINCT i), avg(DISTINCT f), count(DISTINCT f), sum(DISTINCT f32), var(DISTINCT f32), sum(DISTINCT d) FROM t WHERE k = 2";
    assert_eq!(rows(&context, query).await, ["3,0.2,3,1.0,,9"]);
    let query = "SELECT k, sum(DISTINCT i), avg(DISTINCT f) FROM t WHERE k < 3 GROUP BY k ORDER BY k";
    assert_eq!(rows(&context, query).await, [format!("1,0,{}", 1.0 / 3.0), "2,3,0.2".to_owned()]);
}

#[tokio::test]
async fn both_zeros_are_one_distinct_value() {
    let context = context(&ExpressionErrors::new());
    let values = "(VALUES (0.0), (-0.0), (3.0)) AS v(x)";
    assert_eq!(rows(&context, &format!("SELECT avg(DISTINCT x) FROM {values}")).await, ["1.5"]);
    let query = format!("SELECT avg(DISTINCT x), sum(DISTINCT x + 1) FROM {values}");
    assert_eq!(rows(&context, &query).await, ["1.5,5.0"]);
}

#[tokio::test]
async fn sliding_frames() {
    let context = context(&ExpressionErrors::new());
    let query = "SELECT sum(f) OVER w, avg(f) OVER w, var_pop(f) OVER w, sum(i) OVER w FROM t \
        WINDOW w AS (ORDER BY f NULLS LAST ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY f NULLS LAST";
    let found = rows(&context, query).await;
    assert_eq!(found[2].split(',').next(), Some(&*format!("{}", 0.1 + 0.2)));
    assert_eq!(found[3].split(',').next(), Some("0.5"), "1e100 has left no trace");
    assert_eq!(found[6].split(',').next(), Some("1e100"));
}

#[tokio::test]
async fn names_and_types_are_those_of_datafusion() {
    let (own, builtin) = (context(&ExpressionErrors::new()), SessionContext::new());
    builtin.register_table("t", own.table_provider("t").await.unwrap()).unwrap();
    let calls = ["sum(f)", "sum(f32)", "sum(i)", "sum(u)", "sum(d)", "avg(i)", "mean(f)", "avg(d)", "sum(DISTINCT i)"];
    let more = [
        "var(f)",
        "var_samp(f)",
        "var_sample(i)",
        "var_pop(f)",
        "var_population(f)",
        "stddev(f)",
        "stddev_samp(f)",
        "stddev_pop(f32)",
    ];
    for call in calls.into_iter().chain(more) {
        let query = format!("SELECT {call} FROM t");
        let (left, right) = (own.sql(&query).await.unwrap(), builtin.sql(&query).await.unwrap());
        assert_eq!(left.schema(), right.schema(), "{call}");
        let found = left.collect().await.unwrap();
        assert_eq!(found[0].schema().field(0).data_type(), right.schema().field(0).data_type(), "{call}");
    }
    assert_eq!(
        own.sql("SELECT sum(CAST(1 AS SMALLINT))").await.unwrap().schema().field(0).data_type(),
        &DataType::Int64
    );
}
