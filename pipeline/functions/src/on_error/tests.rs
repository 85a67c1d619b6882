//! Errors of a row in SQL: NULL for that row, counted, with names and types kept.

mod parts;

use super::*;
use crate::aggregates;
use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::util::display::array_value_to_string;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};

fn context(errors: Option<&ExpressionErrors>) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    if let Some(errors) = errors {
        context.add_analyzer_rule(null_on_error(errors));
        for udaf in aggregates(errors) {
            context.register_udaf(udaf.as_ref().clone());
        }
    }
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int32Array::from(vec![1, 2, 3, 4]))),
        ("i", Arc::new(Int64Array::from(vec![5, 0, i64::MAX, i64::MIN]))),
        ("text", Arc::new(StringArray::from(vec![Some("7"), Some("seven"), None, Some("7")]))),
        ("f", Arc::new(Float64Array::from(vec![1.5, 0.0, 1e300, f64::NAN]))),
        ("day", Arc::new(StringArray::from(vec!["2024-02-29", "2024-02-30", "", "1969-12-31"]))),
    ];
    context.register_batch("t", RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    context
}

/// Runs `query` and compares its rows (values joined by commas) and its errors, those of planning left out.
async fn check(query: &str, expected: &[&str], count: u64) {
    let errors = ExpressionErrors::new();
    let context = context(Some(&errors));
    let plan = context
        .sql(query)
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    errors.reset();
    let batches = collect(plan, context.task_ctx()).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let values: Vec<_> =
                batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect();
            rows.push(values.join(","));
        }
    }
    assert_eq!(rows, expected, "{query}");
    assert_eq!(errors.count(), count, "{query}");
}

#[tokio::test]
async fn constants() {
    check("SELECT 1/0, 1%0, CAST('x' AS INT), 9223372036854775807 + 1", &[",,,"], 0).await;
    check("SELECT 1.0/0.0, CAST('2024-01-01' AS DATE)", &["inf,2024-01-01"], 0).await;
    check("SELECT * FROM (VALUES (1/0), (2)) AS v(x)", &["", "2"], 0).await;
}

#[tokio::test]
async fn arithmetic() {
    check("SELECT 10 / i FROM t", &["2", "", "0", "0"], 1).await;
    check("SELECT i % (id - 2) FROM t", &["0", "", "0", "0"], 1).await;
    check(
        "SELECT i + 1, i - 1, i * 2 FROM t",
        &["6,4,10", "1,-1,0", ",9223372036854775806,", "-9223372036854775807,,"],
        4,
    )
    .await;
    check("SELECT -i FROM t", &["-5", "0", "-9223372036854775807", ""], 1).await;
    check("SELECT f / 0.0 FROM t WHERE id < 3", &["inf", "NaN"], 0).await;
    check("SELECT CAST(id AS DECIMAL(10, 2)) / (id - 2) FROM t WHERE id < 4", &["-1.000000", "", "3.000000"], 1).await;
    check("SELECT id / NULL FROM t WHERE id = 1", &[""], 0).await;
}

#[tokio::test]
async fn casts() {
    check("SELECT CAST(text AS INT) FROM t", &["7", "", "", "7"], 1).await;
    check("SELECT TRY_CAST(text AS INT) FROM t", &["7", "", "", "7"], 0).await;
    check("SELECT CAST(f AS BIGINT), CAST(i AS SMALLINT) FROM t", &["1,5", "0,0", ",", ","], 4).await;
    check("SELECT CAST(day AS DATE) FROM t", &["2024-02-29", "", "", "1969-12-31"], 2).await;
    check("SELECT arrow_cast(text, 'Int8') FROM t", &["7", "", "", "7"], 1).await;
    check("SELECT text::DOUBLE + 1 FROM t", &["8.0", "", "", "8.0"], 1).await;
}

#[tokio::test]
async fn functions() {
    check("SELECT to_timestamp(day) FROM t WHERE id <> 3", &["2024-02-29T00:00:00", "", "1969-12-31T00:00:00"], 1)
        .await;
    check("SELECT make_date(2024, id * 5, 30) FROM t", &["2024-05-30", "2024-10-30", "", ""], 2).await;
    check("SELECT abs(i) FROM t", &["5", "0", "9223372036854775807", ""], 1).await;
    check("SELECT chr(id - 2) FROM t WHERE id IN (1, 4)", &["", "\u{2}"], 1).await;
    check("SELECT regexp_like('a', '[' || text) FROM t WHERE id < 3", &["", ""], 2).await;
    check("SELECT 'a' ~ concat('(', text) FROM t WHERE id < 3", &["", ""], 2).await;
    check(
        "SELECT date_part('day', DATE '2024-02-29'), upper(text), coalesce(text, 'none') FROM t WHERE id = 3",
        &["29,,none"],
        0,
    )
    .await;
}

/// The functions on the list for doubles answer with NaN or an infinity, and never with an error.
#[tokio::test]
async fn functions_of_doubles_do_not_fail() {
    let functions = "acos acosh asin asinh atan atanh cbrt cos cosh cot degrees exp isnan iszero ln log10 log2 radians signum sin sinh tan tanh";
    for function in functions.split(' ') {
        assert!(call::is_infallible(function, &[]), "{function}");
        let query = format!(
            "SELECT count({function}(x)) FROM (SELECT f AS x FROM t UNION ALL SELECT -f FROM t UNION ALL SELECT f / 0.0 FROM t)"
        );
        check(&query, &["12"], 0).await;
    }
    check("SELECT count(atan2(f, -f)), count(nanvl(f, 1.0)) FROM t", &["4,4"], 0).await;
    check("SELECT sqrt(id - 2) FROM t WHERE id < 4", &["", "0.0", "1.0"], 1).await;
    check(
        "SELECT power(f, 2), ln(id - 2), power(i, -1) FROM t WHERE id < 4",
        &["2.25,NaN,0.2", "0.0,-inf,", "inf,0.0,1.0842021724855044e-19"],
        1,
    )
    .await;
}

#[tokio::test]
async fn every_place() {
    check("SELECT id FROM t WHERE 10 / i > 1", &["1"], 1).await;
    check("SELECT CAST(text AS INT), count(*) FROM t GROUP BY CAST(text AS INT) ORDER BY 1", &["7,2", ",2"], 1).await;
    check(
        "SELECT CAST(text AS INT) AS n, count(*) FROM t GROUP BY ROLLUP(CAST(text AS INT)) ORDER BY 2, 1",
        &["7,2", ",2", ",4"],
        1,
    )
    .await;
    check("SELECT sum(10 / i), count(CAST(text AS INT)) FROM t", &["2,2"], 2).await;
    check("SELECT sum(10 / i) FILTER (WHERE 10 / id > 2) FROM t", &["2"], 1).await;
    check("SELECT sum(i) FROM t WHERE i >= 0", &[""], 1).await;
    check("SELECT max(10 / i) AS m FROM t GROUP BY id % 2 HAVING max(10 / i) > 1", &["2"], 1).await;
    check("SELECT id, sum(10 / i) OVER (ORDER BY id) FROM t", &["1,2", "2,2", "3,2", "4,2"], 1).await;
    check("SELECT id FROM t ORDER BY 10 / i DESC NULLS LAST, id", &["1", "3", "4", "2"], 1).await;
    check("SELECT a.id, b.id FROM t a JOIN t b ON CAST(a.text AS INT) = b.id + 3 ORDER BY 1", &["1,4", "4,4"], 1).await;
    check("SELECT a.id FROM t a JOIN t b ON a.id = b.id AND 10 / a.i > b.id", &["1"], 1).await;
    check("SELECT id FROM t WHERE id > (SELECT max(10 / i) FROM t)", &["3", "4"], 1).await;
    check("SELECT id FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE 10 / u.i = t.id)", &["2"], 1).await;
    check("SELECT sum(x) FROM (SELECT id AS x FROM t UNION ALL SELECT CAST(text AS INT) FROM t)", &["24"], 1).await;
    check("SELECT count(x) FROM (SELECT id AS x FROM t UNION ALL SELECT 10 / id FROM t) GROUP BY x % 1", &["8"], 0)
        .await;
    check("SELECT DISTINCT CAST(text AS INT) AS n FROM t ORDER BY n LIMIT 1 + 1", &["7", ""], 1).await;
}

#[tokio::test]
async fn times_and_more_places() {
    let tomorrow = "SELECT to_timestamp_micros(i) + INTERVAL '1' DAY FROM t";
    check(tomorrow, &["1970-01-02T00:00:00.000005", "1970-01-02T00:00:00", "", ""], 2).await;
    check(
        "SELECT to_timestamp_seconds(i)::TIMESTAMP(6) FROM t WHERE id < 4",
        &["1970-01-01T00:00:05", "1970-01-01T00:00:00", ""],
        1,
    )
    .await;
    check("SELECT id FROM t WHERE CAST(text AS INT) IN (7, 8) AND id BETWEEN 10 / id AND 20", &["4"], 1).await;
    check("SELECT id FROM t WHERE text LIKE CAST(10 / i AS TEXT) OR NOT (10 / i = 2)", &["3", "4"], 1).await;
    check(
        "WITH RECURSIVE r(n) AS (SELECT 3 UNION ALL SELECT 10 / (n - 1) - 3 FROM r WHERE n > 1) SELECT n FROM r",
        &["3", "2", "7", "-2"],
        0,
    )
    .await;
    check(
        "SELECT id, (SELECT sum(10 / u.i) FROM t u WHERE u.id = t.id) FROM t ORDER BY 1",
        &["1,2", "2,", "3,0", "4,0"],
        1,
    )
    .await;
    check("SELECT CAST(day AS DATE) - DATE '2024-02-28' FROM t", &["1", "", "", "-19782"], 2).await;
    check("SELECT struct(10 / i)['c0'], [10 / i][1] FROM t WHERE id < 3", &["2,2", ","], 1).await;
    check("SELECT 10 / i AS q, 10 / i + 1 FROM t WHERE id < 3", &["2,3", ","], 1).await;
}

#[tokio::test]
async fn lazy_branches_stay_lazy() {
    check("SELECT CASE WHEN i <> 0 THEN 10 / i ELSE -1 END FROM t", &["2", "-1", "0", "0"], 0).await;
    check("SELECT id FROM t WHERE i <> 0 AND 10 / i > 1", &["1"], 1).await;
    check("SELECT coalesce(id, 10 / i) FROM t", &["1", "2", "3", "4"], 0).await;
}

#[tokio::test]
async fn names_and_types_stay() {
    let (with, without) = (context(Some(&ExpressionErrors::new())), context(None));
    let queries = [
        "SELECT 10 / i, -i, CAST(text AS INT), t.i + 1, abs(i), to_timestamp(day), day || CAST(i + 1 AS TEXT) FROM t",
        "SELECT sum(10 / i), CAST(text AS INT) + 1 FROM t GROUP BY CAST(text AS INT) + 1",
        "SELECT lag(10 / i, 1) OVER (PARTITION BY CAST(text AS INT) ORDER BY -i) FROM t",
        "SELECT DATE '2024-01-01' + INTERVAL '1' DAY, make_date(2024, id, 1) - DATE '2024-01-01' FROM t",
    ];
    for query in queries {
        let (left, right) = (with.sql(query).await.unwrap(), without.sql(query).await.unwrap());
        let (left, right) = (left.into_optimized_plan().unwrap(), right.into_optimized_plan().unwrap());
        let columns = |plan: &LogicalPlan| {
            plan.schema()
                .fields()
                .iter()
                .map(|field| (field.name().clone(), field.data_type().clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(columns(&left), columns(&right), "{query}");
    }
}

#[tokio::test]
async fn a_checked_cast_may_stand_in_a_join_key() {
    let query = "SELECT a.t FROM (VALUES ('1'), ('x')) AS a(t) \
        WHERE NOT EXISTS (SELECT 1 FROM (VALUES (1)) AS b(n) WHERE b.n = CAST(a.t AS INT))";
    let context = context(Some(&ExpressionErrors::new()));
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
}
