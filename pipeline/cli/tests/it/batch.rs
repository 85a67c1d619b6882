//! `batch`: the same SQL over files gives the same rows as `run` over the same records.

use crate::broker::send;
use crate::caught_up::counts;
use crate::city::{City, PER_MINUTE, flow};
use crate::tables;
use parquet::arrow::ArrowWriter;
use std::path::Path;

#[test]
fn batch_over_lines_and_over_parquet_equals_run() {
    let city = City::with_flow(1);
    let lines: Vec<_> = (0..500)
        .map(|at| {
            flow(
                &format!("s{}", at % 7),
                if at % 5 == 0 { "null".to_owned() } else { at.to_string() },
                &format!("05:{:02}:{:02}.25", at / 60, at % 60),
            )
        })
        .collect();
    send(&city.topic("flow"), 0, &lines);
    city.file("flow.jsonl", &lines.join("\n"));
    let means = "SELECT site, window_start, window_end, avg(veh) AS mean, stddev(veh) AS spread, sum(CAST(veh AS DOUBLE) / 7) AS parts, count(*) AS n \
        FROM hop(flow, at, INTERVAL '20 seconds', INTERVAL '1 minute') GROUP BY site, window_start, window_end";
    let [minutes, means, rows] =
        [("minutes", PER_MINUTE), ("means", means), ("every", "SELECT site, veh, at FROM flow")]
            .map(|(name, select)| city.job(name, "", select));
    city.catch_up(&[&minutes, &means, &rows], &[]).expect(0);
    as_parquet(&city.table("every"), &city.path("flow.parquet"));
    for input in ["flow=flow.jsonl", "flow=flow.parquet"] {
        let args = [
            "batch",
            "minutes.sql",
            "means.sql",
            "every.sql",
            "--schemas",
            "schemas",
            "--data-dir",
            "past",
            "--input",
            input,
            "--if-exists",
            "replace",
            "--output",
            "json",
        ];
        let done = city.done(&args).expect(0);
        assert_eq!(counts(&done.job("minutes")), [500, 500, 0, 0, 0]);
        for table in ["minutes", "means", "every"] {
            let (batch, stream) = (tables::rows(&city.path("past").join(table)), city.rows(table));
            assert!(
                batch == stream && !stream.is_empty(),
                "{input}: {table}: {} and {} rows",
                batch.len(),
                stream.len()
            );
        }
    }
}

/// Writes all rows of a table into one file.
fn as_parquet(table: &Path, file: &Path) {
    let rows = tables::batch(table).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(file).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[test]
fn nothing_is_late_and_rejects_are_kept() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    city.file(
        "flow.jsonl",
        &[flow("a", 1, "05:10:00"), "broken".to_owned(), String::new(), flow("a", 2, "05:00:00")].join("\n"),
    );
    city.job(
        "places",
        "sink = 'kafka:nowhere'",
        "SELECT site, _partition AS part, _offset AS line, _timestamp AS recorded FROM flow",
    );
    let args = [
        "batch",
        "places.sql",
        "--schemas",
        "schemas",
        "--data-dir",
        "data",
        "--input",
        "flow=flow.jsonl",
        "--output",
        "json",
    ];
    let done = city.done(&args).expect(0);
    assert_eq!(counts(&done.job("places")), [3, 2, 0, 1, 0]);
    let row = |line: u8, at: &str| format!(r#"{{"site":"a","part":0,"line":{line},"recorded":"2026-03-29T{at}Z"}}"#);
    assert_eq!(city.rows("places"), [row(0, "05:10:00"), row(3, "05:00:00")]);
    assert_eq!(tables::column(&city.table("flow_rejected/places"), "_offset"), ["1"]);
    city.done(&args).expect(1).says(&["data/places", "already holds rows"]);
}

#[test]
fn a_missing_input_is_refused() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    city.declare("other", crate::city::FLOW, "");
    city.job("minutes", "", PER_MINUTE);
    city.file("flow.jsonl", &flow("a", 1, "05:00:00"));
    let batch = |inputs: &[&str]| {
        let mut args = vec!["batch", "minutes.sql", "--schemas", "schemas", "--data-dir", "data"];
        args.extend(inputs.iter().flat_map(|input| ["--input", input]));
        city.done(&args).expect(1)
    };
    batch(&["other=flow.jsonl"]).says(&["job 'minutes'", "stream 'flow'", "--input flow=FILE"]);
    batch(&["flwo=flow.jsonl"]).says(&["no stream is called 'flwo'", "did you mean 'flow'?"]);
    batch(&["flow=no.jsonl"]).says(&["no such file"]);
    batch(&["flow"]).says(&["STREAM=FILE"]);
    assert!(!city.path("data").exists());
}

#[test]
fn what_was_rejected_and_what_failed_is_said_in_words() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    let lines =
        [flow("12", 4, "05:00:00"), flow("x", 0, "05:00:01"), "{".to_owned(), flow("y", "\"many\"", "05:00:02")];
    city.file("flow.jsonl", &lines.join("\n"));
    city.file("bad.jsonl", "{\n[]\n{\n");
    city.job("failing", "", "SELECT site, 100 / veh AS share FROM flow");
    let batch = |input: &str| {
        let args =
            ["batch", "failing.sql", "--schemas", "schemas", "--data-dir", "past", "--if-exists", "replace", "--input"];
        city.done(&[&args[..], &[input]].concat()).expect(0)
    };
    let done = batch("flow=flow.jsonl");
    for part in ["failing: rejected 2 (invalid_json 1, wrong_type 1)", "failing: 1 expressions failed and are NULL"] {
        assert!(done.stdout.contains(part), "{}", done.stdout);
    }
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    // Nothing came out, which the exit code does not say.
    batch("flow=bad.jsonl")
        .says(&["warning: job 'failing': all 3 records were rejected, most of them for invalid_json"]);
}

/// `--if-exists error` looked at the sinks alone, and rejects of two runs came to lie in one table.
#[test]
fn rejects_of_an_earlier_run_are_not_written_on() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    city.file("bad.jsonl", "{\n");
    city.job("bad", "", "SELECT site FROM flow");
    let args = ["batch", "bad.sql", "--schemas", "schemas", "--data-dir", "past", "--if-exists", "error"];
    let batch = || city.done(&[&args[..], &["--input", "flow=bad.jsonl"]].concat());
    batch().expect(0);
    batch().expect(1).says(&["past/flow_rejected/bad", "already holds rows"]);
}

#[test]
fn a_delta_table_is_written_without_a_word_of_its_library() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    let rows = city.file("rows.jsonl", &flow("a", 1, "05:00:00"));
    let job = city.job("counts", "sink = 'delta:counts', partition_by = 'day'", "SELECT site, veh FROM flow");
    let input = format!("flow={}", rows.display());
    let args = ["batch", job.to_str().unwrap(), "--schemas", "schemas", "--input", &input, "--data-dir", "data"];
    let done = city.done(&args).expect(0);
    assert_eq!(done.stderr, "");
    assert_eq!(city.rows("counts"), [r#"{"site":"a","veh":1,"day":"2026-03-29"}"#]);
    city.done(&args).expect(1).says(&["already holds rows"]);
    city.done(&[&args[..], &["--if-exists", "replace"]].concat()).expect(0);
    assert_eq!(city.rows("counts").len(), 1);
    city.done(&[&args[..], &["--if-exists", "append"]].concat()).expect(0);
    assert_eq!(city.rows("counts").len(), 2);
    let other = city.job("counts", "sink = 'delta:counts', partition_by = 'day'", "SELECT site, 'x' AS veh FROM flow");
    assert_eq!(other, job);
    let wrong = city.done(&[&args[..], &["--if-exists", "append"]].concat()).expect(1);
    wrong.says(&["column 'veh': found type integer, expected string as the job has it"]);
}
