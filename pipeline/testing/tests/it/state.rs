//! What operators hold of a window with many rows, in bytes.

use crate::scenario::DDL;
use arrow::array::RecordBatch;
use citystream_codec::{Decoder, Record, Records};
use citystream_model::time::Watermark;
use citystream_operators::dataflow::{Dataflow, InTurn};
use citystream_sql::{Tables, explain};
use citystream_testing::rows::render;
use citystream_testing::run::{self, NOW};

const ROWS: i64 = 100_000;
/// Rows of a batch.
const BATCH: i64 = 5_000;
/// Midnight of 1 March 2026.
const START: i64 = 1_772_323_200_000;

/// Most bytes that `select` holds over 100,000 rows, ten a second, of 10 keys in turn, with `v` by number of the row; and
/// its answer. What is held has to be explained as `state`.
fn most_held(select: &str, state: &str, v: impl Fn(i64) -> i64) -> (usize, Vec<String>) {
    let job = run::prepare(DDL, &format!("CREATE MATERIALIZED VIEW out AS {select}"), &Tables::new()).unwrap();
    assert!(explain(&job).contains(&format!("state: {state}")), "{}", explain(&job));
    let decoder = Decoder::new(job.streams[0].clone());
    let mut dataflow = Dataflow::build(job.plan.clone(), 1, 1).unwrap();
    let mut most = 0;
    for from in (0..ROWS).step_by(BATCH as usize) {
        let record = |row: i64| {
            let at = citystream_model::time::format_time((START + row * 100) * 1_000);
            let value = format!("{{\"at\":\"{at}\",\"k\":\"k{}\",\"v\":{}}}", row % 10, v(row));
            Record {
                offset: row,
                timestamp: (START + row * 100) * 1_000,
                key: None,
                value: Some(value.into()),
                headers: Vec::new(),
            }
        };
        let records: Records = (from..from + BATCH).map(record).collect();
        let batch = decoder.decode(0, &records, NOW).unwrap().batch;
        assert_eq!(batch.num_rows(), records.len());
        assert!(dataflow.push(0, 0, &batch).unwrap().is_empty(), "nothing is final");
        assert!(
            dataflow.advance(Watermark((START + from * 100) * 1_000), &InTurn).unwrap().is_empty(),
            "nothing is final"
        );
        most = most.max(dataflow.state_bytes());
    }
    let rows: Vec<RecordBatch> = dataflow.advance(Watermark::END, &InTurn).unwrap();
    (most, render(&rows, job.schema.fields().len()))
}

/// Rows of one batch weigh half a megabyte.
const FEW_BATCHES: usize = 3_000_000;

#[test]
fn the_first_three_of_each_key_are_all_that_a_top_three_holds() {
    let top = |rank: &str| {
        format!(
            "SELECT w.k, w.v FROM tumble(s, at, INTERVAL '1 day') AS w \
             QUALIFY {rank}() OVER (PARTITION BY w.window_start, w.window_end, w.k ORDER BY w.v DESC) <= 3"
        )
    };
    // Upwards: each row displaces an older one.
    let (held, rows) = most_held(&top("row_number"), "the first 3 rows per k and window", |row| row);
    assert!(held < FEW_BATCHES, "{held} bytes");
    let expected = (99_970..ROWS).map(|row| format!("\"k{}\" | {row}", row % 10));
    let mut expected: Vec<String> = expected.collect();
    expected.sort();
    let mut found = rows;
    found.sort();
    assert_eq!(found, expected);
    // Many values come twice.
    for rank in ["rank", "dense_rank"] {
        let (held, rows) = most_held(&top(rank), "the rows of ranks 1 to 3 per k and window", |row| row % 70_000);
        assert!(held < FEW_BATCHES, "{held} bytes");
        assert_eq!(rows.len(), 30);
    }
}

#[test]
fn the_newest_of_each_key_is_all_that_a_dedup_holds() {
    let newest = "SELECT w.k, w.v FROM tumble(s, at, INTERVAL '1 day') AS w \
         QUALIFY row_number() OVER (PARTITION BY w.window_start, w.window_end, w.k ORDER BY w.at DESC) = 1";
    let (held, rows) = most_held(newest, "the first row per k and window", |_| 1);
    assert!(held < FEW_BATCHES, "{held} bytes");
    assert_eq!(rows.len(), 10);
}

#[test]
fn a_session_holds_a_state_per_group() {
    let sessions = "SELECT w.k, w.v % 2 AS odd, w.window_start, w.window_end, count(*) AS n \
         FROM session(s, at, INTERVAL '2 seconds', key => k) AS w WHERE w.v > 3 GROUP BY w.k, w.v % 2, w.window_start, w.window_end";
    let (held, rows) = most_held(sessions, "a group per key in each open session", |row| row / 10);
    // The panes of two batches are open, with 20 groups each.
    assert!(held < 1_000_000, "{held} bytes");
    assert_eq!(rows.len(), 20);
}
