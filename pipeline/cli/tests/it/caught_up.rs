//! `run --until-caught-up`: exactly the expected rows, late rows and rejects kept, everything counted once.

use crate::broker::{send, send_records};
use crate::city::{City, FLOW, PER_MINUTE, flow};
use crate::tables;
use serde_json::{Value, json};

#[test]
fn several_partitions_give_exactly_the_expected_rows() {
    let city = City::with_flow(3);
    let topic = city.topic("flow");
    // Out of order by up to the ten seconds of the default.
    send(&topic, 0, [flow("a", 1, "05:00:10"), flow("a", 2, "05:00:01"), flow("b", 4, "05:01:00")]);
    send(&topic, 1, [flow("a", 8, "05:00:59.999999"), flow("b", "null", "05:01:59"), flow("a", 16, "05:01:50")]);
    let job = city.job("per_minute", "", PER_MINUTE);
    let done = city.catch_up(&[&job], &[]).expect(0);
    let expect = [
        r#"{"site":"a","window_start":"2026-03-29T05:00:00Z","window_end":"2026-03-29T05:01:00Z","veh":11,"readings":3}"#,
        r#"{"site":"a","window_start":"2026-03-29T05:01:00Z","window_end":"2026-03-29T05:02:00Z","veh":16,"readings":1}"#,
        r#"{"site":"b","window_start":"2026-03-29T05:01:00Z","window_end":"2026-03-29T05:02:00Z","veh":4,"readings":2}"#,
    ];
    assert_eq!(city.rows("per_minute"), expect);
    assert_eq!(tables::columns(&city.table("per_minute")), ["site", "window_start", "window_end", "veh", "readings"]);
    let report = done.job("per_minute");
    assert_eq!(report["state"], "finished");
    assert_eq!(counts(&report), [6, 6, 0, 0, 0]);
    assert_eq!(report["results"], 3);
    assert_eq!(report["sinks"]["parquet:per_minute"]["rows"], 3);
    assert_eq!(report["sinks"]["parquet:per_minute"]["files"], 1);
    let file = &tables::files(&city.table("per_minute"))[0];
    assert!(file.parent().unwrap().ends_with("day=2026-03-29"), "{}", file.display());
}

#[test]
fn late_rows_are_kept_before_any_filter_with_every_declared_column() {
    let city = City::with_flow(2);
    let topic = city.topic("flow");
    let rows = [
        flow("a", 1, "05:00:00"),
        flow("a", 2, "05:00:30"),
        // M is 05:00:30, less 10 s and the job's 5 s: 05:00:15 is the first time that is not late.
        flow("a", 3, "05:00:15"),
        flow("a", 4, "05:00:14.999999"),
        // A late row counts for M as well as any other; this one does not raise it.
        flow("filtered", -1, "05:00:01"),
    ];
    send_records(&topic, 0, rows.map(|row| (Some(row), Some(1_774_760_400_000))));
    send(&topic, 1, [flow("b", 5, "05:00:02")]);
    let job = city.job("filtered", "lateness = '5 seconds'", "SELECT site, veh, at FROM flow WHERE veh > 0");
    let done = city.catch_up(&[&job], &[]).expect(0);
    let report = done.job("filtered");
    assert_eq!(counts(&report), [6, 4, 2, 0, 0]);
    assert_eq!(report["sinks"]["parquet:filtered_late"]["rows"], 2);
    assert_eq!(city.rows("filtered").len(), 4);
    let late = |offset: u8, site: &str, veh: i8, at: &str| {
        format!(
            r#"{{"site":"{site}","veh":{veh},"at":"2026-03-29T{at}Z","_topic":"{topic}","_partition":0,"_offset":{offset},"_timestamp":"2026-03-29T05:00:00Z","_watermark":"2026-03-29T05:00:15Z"}}"#
        )
    };
    assert_eq!(city.rows("filtered_late"), [late(3, "a", 4, "05:00:14.999999"), late(4, "filtered", -1, "05:00:01")]);
}

#[test]
fn late_rows_may_be_dropped_and_are_counted() {
    let city = City::with_flow(1);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:30"), flow("a", 2, "05:00:00")]);
    let job = city.job("dropping", "late = 'drop'", "SELECT site, veh FROM flow");
    let done = city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(counts(&done.job("dropping")), [2, 1, 1, 0, 0]);
    assert!(!city.table("dropping_late").exists());
}

#[test]
fn rejects_are_kept_as_they_came_and_everything_adds_up() {
    let city = City::new();
    city.stream("flow", FLOW, "'rejects' 'bad/flow'", 1);
    let topic = city.topic("flow");
    let bad: &[u8] = b"{\"site\":\"a\",\"veh\":\"many\",\"at\":\"2026-03-29T05:00:00Z\"}";
    let values: [Option<&[u8]>; 4] = [Some(bad), None, Some(b"\xff\x00{"), Some(b"{")];
    send_records(&topic, 0, values.map(|value| (value, Some(1_774_760_400_000))));
    send(&topic, 0, [flow("a", 1, "05:00:30"), flow("a", 2, "05:00:00")]);
    let job = city.job("counting", "", "SELECT site, veh FROM flow");
    let done = city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(counts(&done.job("counting")), [6, 1, 1, 3, 1]);
    let table = city.table("bad/flow/counting");
    let columns = tables::columns(&table);
    assert_eq!(
        columns,
        ["_topic", "_partition", "_offset", "_timestamp", "_key", "_value", "_job", "reason", "detail"]
    );
    let values: Vec<_> = tables::bytes(&table, "_value").into_iter().map(Option::unwrap).collect();
    assert_eq!(values, [bad, b"\xff\x00{", b"{"]);
    assert_eq!(tables::bytes(&table, "_key")[0].as_deref(), Some(&b"key"[..]));
    assert_eq!(tables::column(&table, "_offset"), ["0", "2", "3"]);
    assert_eq!(tables::column(&table, "_job"), ["counting"; 3]);
    assert_eq!(tables::column(&table, "reason"), ["wrong_type", "invalid_utf8", "invalid_json"]);
    assert!(tables::column(&table, "detail")[0].contains("veh"), "{:?}", tables::column(&table, "detail"));
}

#[test]
fn an_empty_topic_is_caught_up_at_once() {
    let city = City::with_flow(2);
    let job = city.job("empty", "", PER_MINUTE);
    let done = city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(counts(&done.job("empty")), [0; 5]);
    assert_eq!(city.rows("empty"), [""; 0]);
    assert!(done.took.as_secs() < 10, "{:?}", done.took);
}

#[test]
fn the_end_is_that_of_the_start_and_from_says_where_to_begin() {
    let city = City::with_flow(2);
    let topic = city.topic("flow");
    let at = |minute: i64| Some(1_774_760_400_000 + minute * 60_000);
    for minute in 0..4 {
        // Each in a batch of its own, in which the embedded broker does not look for a time.
        send_records(&topic, 0, [(Some(flow("a", minute, &format!("05:0{minute}:00"))), at(minute))]);
    }
    send_records(&topic, 1, [(Some(flow("b", 9, "05:09:00")), at(9))]);
    for (from, expect) in [
        ("earliest", 5),
        ("latest", 0),
        ("2026-03-29T05:02:00Z", 3),
        ("2026-03-29T07:01:00.5+02:00", 3),
        ("2026-03-29T05:01:00Z", 4),
    ] {
        let job = city.job("beginning", "", "SELECT site, veh FROM flow");
        let done = city.catch_up(&[&job], &["--from", from, "--if-exists", "replace"]).expect(0);
        assert_eq!(done.job("beginning")["read"], expect, "{from}");
        assert_eq!(city.rows("beginning").len(), expect, "{from}");
    }
}

/// What was read, admitted, late, rejected and skipped; fails when that does not add up.
pub(crate) fn counts(report: &Value) -> [u64; 5] {
    let count = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"));
    let [read, parts @ ..] = ["read", "admitted", "late", "rejected", "tombstones"].map(count);
    let [admitted, late, rejected, tombstones] = parts;
    assert_eq!(json!(read), json!(parts.iter().sum::<u64>()), "{report}");
    [read, admitted, late, rejected, tombstones]
}
