//! Message ids: the same rows have the same ids, however watermarks cut the steps in which they come out.

use crate::scenario::{DDL, time};
use citystream_codec::{Decoder, Record, Records};
use citystream_model::time::Watermark;
use citystream_operators::dataflow::{Dataflow, InTurn};
use citystream_runtime::output::Output;
use citystream_sql::Tables;
use citystream_testing::run;
use std::collections::BTreeSet;

/// Ids of the rows that come out when the watermark goes through `steps`.
fn ids(select: &str, steps: &[Watermark]) -> Vec<u128> {
    let sql = format!("CREATE MATERIALIZED VIEW out WITH (sink = 'kafka:out') AS {select}");
    let job = run::prepare(DDL, &sql, &Tables::new()).unwrap_or_else(|found| panic!("{found:?}"));
    let output = Output::new("out", job.plan.output.clone(), true).unwrap();
    let mut dataflow = Dataflow::build(job.plan.clone(), 1, 1).unwrap();
    let rows = ["10:00:10", "10:00:20"].map(time);
    let record = |(offset, at): (usize, i64)| {
        let value = format!("{{\"at\":\"{}\",\"k\":\"a\",\"v\":1,\"x\":1.5}}", citystream_model::time::format_time(at));
        Record { offset: offset as i64, timestamp: at, key: None, value: Some(value.into()), headers: Vec::new() }
    };
    let records: Records = rows.into_iter().enumerate().map(record).collect();
    let decoded = Decoder::new(job.streams[0].clone()).decode(0, &records, time("11:00")).unwrap();
    let mut batches = vec![dataflow.push(0, 0, &decoded.batch).unwrap()];
    batches.extend(steps.iter().map(|step| dataflow.advance(*step, &InTurn).unwrap()));
    let rows = batches.iter().flat_map(|batches| output.rows(batches).unwrap());
    rows.flat_map(|rows| rows.ids).collect()
}

/// Windows that share a start, with equal rows and no end among the columns.
#[test]
fn equal_rows_of_different_windows_have_ids_of_their_own() {
    let all = "10:01 10:02 10:03".split(' ').map(|at| Watermark(time(at))).collect::<Vec<_>>();
    for select in [
        "SELECT w.k, w.window_start, count(*) AS n FROM cumulate(s, at, INTERVAL '1 minute', INTERVAL '3 minutes') AS w \
         GROUP BY w.k, w.window_start, w.window_end",
        "SELECT w.k, row_number() OVER (PARTITION BY w.window_start, w.window_end ORDER BY w.v) AS place \
         FROM cumulate(s, at, INTERVAL '1 minute', INTERVAL '3 minutes') AS w",
        "SELECT a.k FROM cumulate(s, at, INTERVAL '1 minute', INTERVAL '3 minutes') AS a \
         JOIN cumulate(s, at, INTERVAL '1 minute', INTERVAL '3 minutes') AS b ON a.window_end = b.window_end AND a.k = b.k",
        "SELECT w.k FROM tumble(s, at, INTERVAL '1 minute') AS w",
    ] {
        let (stepwise, at_once) = (ids(select, &all), ids(select, &[Watermark::END]));
        let set: BTreeSet<u128> = stepwise.iter().copied().collect();
        assert_eq!(set.len(), stepwise.len(), "{select}");
        assert_eq!(set, at_once.into_iter().collect(), "{select}");
    }
}
