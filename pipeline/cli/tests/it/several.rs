//! Several jobs in one process, and what is there already.

use crate::broker::send;
use crate::city::{City, FLOW, PER_MINUTE, flow};
use crate::tables;

#[test]
fn one_job_fails_and_the_others_finish() {
    let city = City::with_flow(1);
    city.declare("gone", FLOW, "");
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    let good = city.job("good", "", PER_MINUTE);
    let bad = city.job("bad", "", "SELECT site FROM gone");
    let text = "CREATE MATERIALIZED VIEW third AS SELECT site FROM flow;\nCREATE MATERIALIZED VIEW fourth AS SELECT veh FROM flow;\n";
    let more = city.file("more.sql", text);
    let done = city.catch_up(&[&good, &bad, &more], &[]).expect(2);
    let topic = city.topic("gone");
    done.says(&["job 'bad'", &format!("topic '{topic}' does not exist"), "create it or check LOCATION"]);
    for name in ["good", "third", "fourth"] {
        assert_eq!(done.job(name)["state"], "finished");
        assert_eq!(city.rows(name).len(), 1, "{name}");
    }
    assert!(done.job("bad")["state"].as_str().unwrap().starts_with("failed: topic"), "{}", done.stdout);
    assert!(done.took.as_secs() < 10, "{:?}", done.took);
}

#[test]
fn a_missing_sink_topic_fails_before_anything_is_read() {
    let city = City::with_flow(1);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00"), "broken".to_owned()]);
    let out = city.topic("out");
    let job = city.job("sinkless", &format!("sink = 'parquet:rows, kafka:{out}'"), "SELECT site FROM flow");
    let done = city.catch_up(&[&job], &[]).expect(2);
    done.says(&[&format!("topic '{out}' does not exist")]);
    assert_eq!(done.job("sinkless")["read"], 0);
    assert_eq!(tables::files(&city.path("data")), [""; 0].map(std::path::PathBuf::from));
    assert!(done.took.as_secs() < 10, "{:?}", done.took);
}

#[test]
fn what_is_there_is_refused_appended_to_or_replaced() {
    let city = City::with_flow(1);
    let topic = city.topic("flow");
    send(&topic, 0, [flow("a", 1, "05:00:30"), flow("late", 2, "05:00:00"), "broken".to_owned()]);
    let job = city.job("again", "", "SELECT site FROM flow");
    let counts = |expect: [usize; 3]| {
        let tables = ["again", "again_late", "flow_rejected/again"].map(|name| tables::files(&city.table(name)).len());
        assert_eq!(tables, expect);
    };
    city.catch_up(&[&job], &[]).expect(0);
    counts([1, 1, 1]);
    for more in [&[][..], &["--if-exists", "error"]] {
        let done = city.catch_up(&[&job], more).expect(1);
        done.says(&["data/again", "job 'again'", "already holds rows", "--if-exists append or replace"]);
        assert_eq!(done.stdout, "");
        counts([1, 1, 1]);
    }
    city.catch_up(&[&job], &["--if-exists", "append"]).expect(0);
    counts([2, 2, 2]);
    city.catch_up(&[&job], &["--if-exists", "replace"]).expect(0);
    counts([1, 1, 1]);
}

#[test]
fn nothing_is_replaced_by_a_job_that_cannot_start() {
    let city = City::with_flow(1);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:30")]);
    let job = city.job("kept", "", "SELECT site FROM flow");
    city.catch_up(&[&job], &[]).expect(0);
    let out = city.topic("out");
    let job = city.job("kept", &format!("sink = 'parquet:kept, kafka:{out}'"), "SELECT site FROM flow");
    city.catch_up(&[&job], &["--if-exists", "replace"]).expect(2);
    assert_eq!(city.rows("kept"), [r#"{"site":"a"}"#]);
}

#[test]
fn closing_windows_that_need_too_much_say_how_much() {
    let city = City::with_flow(1);
    let pad = "x".repeat(1_000);
    // The rows fit; sorting them when their window closes does not.
    send(&city.topic("flow"), 0, (0..40_000).map(|at| flow(&format!("{pad}{at}"), at, "05:00:00")));
    let ranked = "SELECT site, veh, row_number() OVER (PARTITION BY window_start, window_end ORDER BY veh) AS n \
        FROM tumble(flow, at, INTERVAL '1 minute')";
    let job = city.job("ranked", "", ranked);
    let done = city.catch_up(&[&job], &["--memory-limit", "64 MiB"]).expect(2);
    done.says(&["memory limit reached", "closing windows asks for", "expected at most 64 MiB", "set memory_limit to"]);
    assert!(!done.stderr.contains("DiskManager"), "{}", done.stderr);
    assert_eq!(city.rows("ranked"), [""; 0]);
}

#[test]
fn a_job_beyond_its_memory_fails_with_numbers_and_the_others_go_on() {
    let city = City::with_flow(1);
    let pad = "x".repeat(1_000);
    // One window of 40 MB; each of the two jobs may have 16 MiB.
    send(&city.topic("flow"), 0, (0..40_000).map(|at| flow(&format!("{pad}{at}"), at, "05:00:00")));
    let large = city.job("large", "", PER_MINUTE);
    let small = city.job("small", "", "SELECT veh, at FROM flow");
    let done = city.catch_up(&[&large, &small], &["--memory-limit", "32 MiB"]).expect(2);
    done.says(&[
        "job 'large'",
        "memory limit reached",
        "expected at most 16 MiB",
        "largest: aggregate",
        "in 1 open windows",
        "set memory_limit to more than",
    ]);
    assert_eq!(city.rows("large"), [""; 0]);
    assert_eq!(done.job("small")["sinks"]["parquet:small"]["rows"], 40_000);
}
