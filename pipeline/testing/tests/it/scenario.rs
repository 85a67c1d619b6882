//! Scenarios by hand: rows of one partition as JSON, a job, and the rows that have to come out, with when.

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use citystream_codec::{Decoder, Record, Records};
use citystream_model::position::Partition;
use citystream_model::time::{Micros, Watermark};
use citystream_operators::admit::{Gate, Verdict};
use citystream_operators::dataflow::{Dataflow, InTurn};
use citystream_sql::{CheckedJob, Tables};
use citystream_testing::foreign::{Answer, Table, ask};
use citystream_testing::rows::{difference, render};
use citystream_testing::run::{self, NOW};
use std::time::Duration;

/// The stream of the scenarios; out of order by at most 10 seconds.
pub(crate) const DDL: &str = "CREATE UNBOUNDED EXTERNAL TABLE s (k TEXT, v BIGINT, x DOUBLE, at TIMESTAMP NOT NULL) STORED AS KAFKA LOCATION 's' \
    OPTIONS ('time.column' 'at', 'time.out_of_order' '10 seconds')";

/// A job over `s` that is fed by hand.
pub(crate) struct Scenario {
    select: String,
    job: CheckedJob,
    dataflow: Dataflow,
    gate: Gate,
    offset: i64,
    admitted: Vec<arrow::array::RecordBatch>,
    output: Vec<String>,
}

/// `12:34` or `12:34:56.5` of 1 March 2026, or a whole RFC 3339 time.
pub(crate) fn time(text: &str) -> Micros {
    let whole = match text.len() {
        5 => format!("2026-03-01T{text}:00Z"),
        6..17 => format!("2026-03-01T{text}Z"),
        _ => text.to_owned(),
    };
    chrono::DateTime::parse_from_rfc3339(&whole).unwrap().timestamp_micros()
}

impl Scenario {
    /// A job with this SELECT over a stream of `partitions` partitions.
    pub(crate) fn new(select: &str, partitions: Partition) -> Self {
        let sql = format!("CREATE MATERIALIZED VIEW out AS {select}");
        let job = run::prepare(DDL, &sql, &Tables::new()).unwrap_or_else(|found| panic!("{found:?}"));
        let dataflow = Dataflow::build(job.plan.clone(), 1, 1).unwrap();
        let gate = Gate::new(job.streams[0].out_of_order, job.spec.lateness, 0..partitions);
        Self { select: select.to_owned(), job, dataflow, gate, offset: 0, admitted: Vec::new(), output: Vec::new() }
    }

    /// Rows `(time, k, v)` of a partition, sent at their own times; gives back how many were late.
    pub(crate) fn rows(&mut self, partition: Partition, rows: &[(&str, &str, i64)]) -> usize {
        let rows: Vec<_> = rows.iter().map(|(at, k, v)| (at_full_length(at), time(at), *k, *v)).collect();
        let (late, rejected) = self.records(partition, &rows);
        assert!(rejected.is_empty(), "{rejected:?}");
        late
    }

    /// Rows `(time, k, v)` of a partition that were sent at `sent`, times as written; how many were late, and the codes of
    /// the rejected ones.
    pub(crate) fn sent(
        &mut self,
        partition: Partition,
        sent: &str,
        rows: &[(&str, &str, i64)],
    ) -> (usize, Vec<&'static str>) {
        let rows: Vec<_> = rows.iter().map(|(at, k, v)| ((*at).to_owned(), time(sent), *k, *v)).collect();
        self.records(partition, &rows)
    }

    /// Records `(time as written, record time, k, v)`.
    fn records(&mut self, partition: Partition, rows: &[(String, Micros, &str, i64)]) -> (usize, Vec<&'static str>) {
        let record = |(at, timestamp, k, v): &(String, Micros, &str, i64)| {
            self.offset += 1;
            let value = format!("{{\"at\":\"{at}\",\"k\":\"{k}\",\"v\":{v},\"x\":{v}.5}}");
            let value = Some(value.into());
            Record { offset: self.offset, timestamp: *timestamp, key: None, value, headers: Vec::new() }
        };
        let records: Records = rows.iter().map(record).collect();
        let decoded = Decoder::new(self.job.streams[0].clone()).decode(partition, &records, NOW).unwrap();
        let rejected = decoded.rejects.iter().map(|reject| reject.reason.as_str()).collect();
        self.gate.heard(partition);
        let verdict =
            self.gate.judge(partition, &decoded.event_times, records.last().map_or(0, |record| record.timestamp));
        let admitted: Vec<bool> = match verdict {
            Verdict::AllAdmitted => vec![true; decoded.batch.num_rows()],
            Verdict::Mixed(verdicts) => verdicts.iter().map(Option::is_none).collect(),
        };
        let late = admitted.iter().filter(|admitted| !**admitted).count();
        let batch = arrow::compute::filter_record_batch(&decoded.batch, &admitted.into()).unwrap();
        let pushed = self.dataflow.push(0, 0, &batch).unwrap();
        self.admitted.push(batch);
        self.take(pushed);
        self.advance(self.gate.watermark());
        (late, rejected)
    }

    /// A partition that comes into being.
    pub(crate) fn grow(&mut self, partition: Partition) {
        self.gate.add(partition, self.gate.watermark());
    }

    /// Silence of `partition` from `since`, and heartbeats as of `now`.
    pub(crate) fn idle(&mut self, partition: Partition, since: &str, now: &str) {
        self.gate.at_end(partition, time(since));
        self.gate.heartbeats(Duration::from_secs(60), time(now));
        self.advance(self.gate.watermark());
    }

    /// The rows that came out since the last call.
    pub(crate) fn expect(&mut self, expected: &[&str]) {
        let found = std::mem::take(&mut self.output);
        assert_rows(&found, expected);
    }

    /// The rest of the rows at the end; the batch twin and the second oracle have to agree with `all`.
    pub(crate) fn end(mut self, rest: &[&str], all: &[&str]) {
        self.advance(Watermark::END);
        self.expect(rest);
        let table = Table { name: "s", schema: self.job.streams[0].full_schema(), rows: &self.admitted };
        if let Answer::Rows(rows) = ask(&self.select, &[table], &self.job.schema).unwrap() {
            assert_rows(&render(&[rows], self.job.schema.fields().len()), all);
        }
        let batch = run::batch(&self.job, vec![self.admitted]).unwrap();
        assert_rows(&render(&batch, self.job.schema.fields().len()), all);
    }

    /// Days of the rows that come out at the end, as their folders say.
    pub(crate) fn days_at_end(mut self) -> Vec<String> {
        let results = self.dataflow.advance(Watermark::END, &InTurn).unwrap();
        let at = self.job.plan.output.event_time.unwrap();
        let times = results.iter().flat_map(|batch| batch.column(at).as_primitive::<TimestampMicrosecondType>().iter());
        times.flatten().map(|time| citystream_model::time::format_time(time)[..10].to_owned()).collect()
    }

    fn advance(&mut self, watermark: Watermark) {
        let results = self.dataflow.advance(watermark, &InTurn).unwrap();
        self.take(results);
    }

    fn take(&mut self, batches: Vec<arrow::array::RecordBatch>) {
        self.output.extend(render(&batches, self.job.schema.fields().len()));
    }
}

fn at_full_length(at: &str) -> String {
    citystream_model::time::format_time(time(at))
}

fn assert_rows(found: &[String], expected: &[&str]) {
    // `1T10:00:00` is a time of 1 March 2026.
    let whole =
        |value: &str| value.strip_prefix("1T").map_or_else(|| value.to_owned(), |time| format!("2026-03-01T{time}"));
    let expected = expected.iter().map(|row| row.split(" | ").map(whole).collect::<Vec<_>>().join(" | "));
    let expected: Vec<String> = expected.collect();
    let (more, fewer) = difference(found, &expected);
    assert!(more.is_empty() && fewer.is_empty(), "not expected: {more:#?}\nmissing: {fewer:#?}");
}

/// All rows that a SELECT makes of these rows, live and in batch.
pub(crate) fn check(select: &str, rows: &[(&str, &str, i64)], expected: &[&str]) {
    let mut scenario = Scenario::new(select, 1);
    assert_eq!(scenario.rows(0, rows), 0, "no row is late");
    let early = std::mem::take(&mut scenario.output);
    scenario.advance(Watermark::END);
    scenario.output.extend(early);
    scenario.expect(expected);
    scenario.end(&[], expected);
}
