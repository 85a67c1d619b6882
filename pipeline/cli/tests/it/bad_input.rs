//! Whatever a topic holds: no crash, every record counted, everything that can be kept is kept.

use crate::broker::{send, send_records};
use crate::caught_up::counts;
use crate::city::{City, flow};
use crate::tables;
use std::collections::BTreeMap;

/// Bytes of the largest record.
const LARGE: usize = 10 << 20;

#[test]
fn every_kind_of_bad_record_is_counted_and_kept() {
    let city = City::with_flow(1);
    let topic = city.topic("flow");
    let at = r#""at":"2026-03-29T05:00:00Z""#;
    let bad = bad_records(at);
    send(&topic, 0, bad.iter().map(|(_, value)| value));
    send(&topic, 0, [format!(r#"{{"site":"{}",{at}}}"#, "x".repeat(LARGE)), "z".repeat(LARGE)]);
    send_records(&topic, 0, [(None::<&str>, None), (None, None)]);
    // Unknown fields, spaces, a whole number with a fraction of zero, a duplicate key: all of that is read.
    send(
        &topic,
        0,
        [format!(r#" {{"new":{{"a":[1]}},"site":"old","veh":3.0,"site":"kept",{at}}} "#), flow("b", 1, "05:00:01")],
    );
    let job = city.job("kept", "", "SELECT site, veh FROM flow");
    let done = city.catch_up(&[&job], &[]).expect(0);
    let rejected = bad.len() as u64 + 1;
    let report = done.job("kept");
    assert_eq!(counts(&report)[2..], [0, rejected, 2], "{:#?}", reasons(&city));
    let mut expect = BTreeMap::from([("invalid_json".to_owned(), 1)]);
    for (reason, _) in &bad {
        *expect.entry((*reason).to_owned()).or_default() += 1;
    }
    assert_eq!(reasons(&city), expect);
    assert_eq!(report["rejected_reasons"], serde_json::to_value(&expect).unwrap());
    let rows = city.rows("kept");
    assert_eq!(rows[..2], [r#"{"site":"b","veh":1}"#, r#"{"site":"kept","veh":3}"#]);
    assert_eq!(rows.iter().map(String::len).max(), Some(LARGE + r#"{"site":"","veh":null}"#.len()));
    let values = tables::bytes(&city.table("flow_rejected/kept"), "_value");
    let sent: Vec<_> = bad.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values.into_iter().take(sent.len()).map(Option::unwrap_or_default).collect::<Vec<_>>(), sent);
}

#[test]
fn an_expression_that_fails_gives_null_and_is_counted() {
    let city = City::with_flow(1);
    send(&city.topic("flow"), 0, [flow("12", 4, "05:00:00"), flow("x", 0, "05:00:01"), flow("5", 0, "05:00:02")]);
    let job = city.job("failing", "", "SELECT site, 100 / veh AS share, CAST(site AS INT) AS number FROM flow");
    let done = city.catch_up(&[&job], &[]).expect(0);
    let expect = [
        r#"{"site":"12","share":25,"number":12}"#,
        r#"{"site":"5","share":null,"number":5}"#,
        r#"{"site":"x","share":null,"number":null}"#,
    ];
    assert_eq!(city.rows("failing"), expect);
    assert_eq!(done.job("failing")["expression_errors"], 3);
}

/// Bad values, each with the word for what is wrong with it; `at` is a time that is right.
fn bad_records(at: &str) -> Vec<(&'static str, Vec<u8>)> {
    let nested = format!(r#"{{"site":"a",{at},"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    vec![
        ("invalid_json", b"{\"site\":".to_vec()),
        ("invalid_json", format!("{{\"site\":\"a\",{at}}} x").into_bytes()),
        ("invalid_json", format!("{{\"site\":\"a\",\"veh\":NaN,{at}}}").into_bytes()),
        ("not_an_object", b"[1,2]".to_vec()),
        ("invalid_utf8", [b"{\"site\":\"\xc3\x28\",".as_slice(), at.as_bytes(), b"}"].concat()),
        ("empty_value", Vec::new()),
        ("too_deep", nested.into_bytes()),
        ("wrong_type", format!("{{\"site\":\"a\",\"veh\":\"12\",{at}}}").into_bytes()),
        ("wrong_type", format!("{{\"site\":7,{at}}}").into_bytes()),
        ("out_of_range", format!("{{\"site\":\"a\",\"veh\":99999999999,{at}}}").into_bytes()),
        ("missing_column", format!("{{\"veh\":1,{at}}}").into_bytes()),
        ("missing_column", b"{\"site\":\"a\"}".to_vec()),
        ("null_column", format!("{{\"site\":null,{at}}}").into_bytes()),
        ("null_column", b"{\"site\":\"a\",\"at\":null}".to_vec()),
        ("bad_time", b"{\"site\":\"a\",\"at\":\"29 March\"}".to_vec()),
        ("future_time", b"{\"site\":\"a\",\"at\":\"2150-01-01T00:00:00Z\"}".to_vec()),
        ("time_out_of_range", b"{\"site\":\"a\",\"at\":\"0001-01-01T00:00:00Z\"}".to_vec()),
    ]
}

/// How many records were rejected for each reason.
fn reasons(city: &City) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for reason in tables::column(&city.table("flow_rejected/kept"), "reason") {
        *reasons.entry(reason).or_default() += 1;
    }
    reasons
}
