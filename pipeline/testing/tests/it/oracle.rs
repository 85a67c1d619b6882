//! The second oracle sees what it is there to see: one wrong bit, one row too many or too few, one row not read.

use crate::scenario::check;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::array::{TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use citystream_sql::CheckedJob;
use citystream_testing::arrival;
use citystream_testing::case::Case;
use citystream_testing::check::second_opinion;
use citystream_testing::course::Course;
use citystream_testing::rows::render;
use citystream_testing::run::{self, Outcome};
use std::sync::Arc;

/// A case on which the two agree, with some rows.
struct Agreed {
    case: Case,
    job: CheckedJob,
    outcome: Outcome,
    /// Its result, the SELECT's columns only.
    result: RecordBatch,
}

impl Agreed {
    fn of(seed: u64) -> Option<Self> {
        let case = Case::generate(seed);
        let job = run::prepare(&case.world.ddl(), &case.job, &case.world.tables()).ok()?;
        let names: Vec<&str> = case.world.streams.iter().map(|stream| stream.name.as_str()).collect();
        let arrival = arrival::generate(&mut case.rng(1), &case.records);
        let outcome = run::stream(&job, &job.plan, &names, &case.records, &arrival, &Course::plain()).unwrap();
        let columns: Vec<usize> = (0..job.schema.fields().len()).collect();
        let batches: Vec<RecordBatch> =
            outcome.batches().iter().map(|batch| batch.project(&columns).unwrap()).collect();
        let result = concat_batches(&batches.first()?.schema(), &batches).unwrap();
        let agreed = Self { case, job, outcome, result };
        let compared = agreed.opinion(&agreed.result).unwrap().is_none();
        (compared && agreed.result.num_rows() > 0).then_some(agreed)
    }

    fn opinion(&self, result: &RecordBatch) -> Result<Option<citystream_testing::foreign::Difference>, String> {
        let rows = render(std::slice::from_ref(result), result.num_columns());
        second_opinion(&self.case, &self.job, &self.outcome, &rows)
    }
}

fn agreed(count: usize) -> impl Iterator<Item = Agreed> {
    (0..).filter_map(Agreed::of).take(count)
}

/// `batch` with one value changed as little as can be; `None` for types that it does not know, and for NULL.
fn flipped(batch: &RecordBatch, row: usize, column: usize) -> Option<RecordBatch> {
    let array = batch.column(column);
    let at = |index: usize| index == row;
    let changed: ArrayRef = match array.data_type() {
        _ if array.is_null(row) => return None,
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().iter().enumerate();
            Arc::new(
                values.map(|(index, value)| value.map(|value| value ^ i64::from(at(index)))).collect::<Int64Array>(),
            )
        }
        DataType::Float64 => {
            let flip = |index: usize, value: f64| f64::from_bits(value.to_bits() ^ u64::from(at(index)));
            let values = array.as_primitive::<Float64Type>().iter().enumerate();
            Arc::new(values.map(|(index, value)| value.map(|value| flip(index, value))).collect::<Float64Array>())
        }
        DataType::Timestamp(..) => {
            let values = array.as_primitive::<TimestampMicrosecondType>().iter().enumerate();
            let changed = values.map(|(index, value)| value.map(|value| value ^ i64::from(at(index))));
            Arc::new(changed.collect::<TimestampMicrosecondArray>())
        }
        DataType::Boolean => {
            let values = array.as_boolean().iter().enumerate();
            Arc::new(values.map(|(index, value)| value.map(|value| value ^ at(index))).collect::<BooleanArray>())
        }
        DataType::Utf8 => {
            let end = |index: usize| if at(index) { "a" } else { "" };
            let values = array.as_string::<i32>().iter().enumerate();
            let changed = values.map(|(index, value)| value.map(|value| format!("{value}{}", end(index))));
            Arc::new(changed.collect::<StringArray>())
        }
        _ => return None,
    };
    let mut columns = batch.columns().to_vec();
    columns[column] = changed;
    Some(RecordBatch::try_new(batch.schema(), columns).unwrap())
}

#[test]
fn one_wrong_value_is_caught() {
    let mut flips = 0;
    for agreed in agreed(60) {
        for column in 0..agreed.result.num_columns() {
            let row = (agreed.case.seed as usize + column) % agreed.result.num_rows();
            let Some(wrong) = flipped(&agreed.result, row, column) else { continue };
            assert!(agreed.opinion(&wrong).is_err(), "seed {}, row {row}, column {column}", agreed.case.seed);
            flips += 1;
        }
    }
    assert!(flips > 120, "{flips} values were changed");
}

#[test]
fn one_row_too_few_or_too_many_is_caught() {
    for agreed in agreed(60) {
        let all: Vec<u32> = (0..agreed.result.num_rows() as u32).collect();
        let row = agreed.case.seed as usize % all.len();
        let fewer: Vec<u32> = all.iter().copied().filter(|at| *at as usize != row).collect();
        let more: Vec<u32> = all.iter().copied().chain([row as u32]).collect();
        for rows in [fewer, more] {
            let wrong = take_record_batch(&agreed.result, &UInt32Array::from(rows)).unwrap();
            assert!(agreed.opinion(&wrong).is_err(), "seed {}, row {row}", agreed.case.seed);
        }
    }
}

/// As if the engine had read a row that it had not, or the other way round. Filters hide some of them.
#[test]
fn most_rows_that_were_not_read_are_missed() {
    let (mut caught, mut all) = (0, 0);
    for mut agreed in agreed(120) {
        let Some(batch) = agreed.outcome.admitted.iter_mut().flatten().find(|batch| batch.num_rows() > 0) else {
            continue;
        };
        *batch = batch.slice(1, batch.num_rows() - 1);
        all += 1;
        caught += usize::from(agreed.opinion(&agreed.result).is_err());
    }
    assert!(all > 100 && caught * 2 > all, "{caught} of {all} were caught");
}

/// `Difference::Zeros`: what DataFusion 55 makes of 0.0 and -0.0, which it groups as one. When this fails, it has become
/// more of one mind, and the difference may go.
#[test]
fn zeros_of_datafusion() {
    let zero = "CASE WHEN w.v > 0 THEN 0.0 ELSE -0.0 END";
    let rows = [("10:00", "a", 1), ("10:00", "a", -1)];
    let from = "FROM tumble(s, at, INTERVAL '1 hour') AS w";
    let group = "GROUP BY w.window_start, w.window_end";
    for (select, expected) in [
        (format!("SELECT count(DISTINCT {zero}) AS n {from} {group}"), &["2"][..]),
        (format!("SELECT count(DISTINCT {zero}) AS n, count(DISTINCT w.k) AS k {from} {group}"), &["2 | 1"]),
        (
            format!("SELECT nullif({zero}, 0.0) IS NULL AS n, {zero} = 0.0 AS e {from}"),
            &["true | true", "false | true"],
        ),
        (format!("SELECT count(*) OVER (PARTITION BY w.window_start, w.window_end, {zero}) AS n {from}"), &["1", "1"]),
    ] {
        check(&select, &rows, expected);
    }
}
