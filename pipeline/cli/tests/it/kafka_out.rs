//! Results to a topic: one JSON object a row, a key, headers, and ids that are the same in a second run.

use crate::broker::{records, send, text};
use crate::city::{City, PER_MINUTE, flow};
use citystream_codec::Record;
use std::collections::BTreeMap;

#[test]
fn a_stateless_job_writes_json_with_key_and_headers() {
    let city = City::with_flow(1);
    let out = city.make("out", 2);
    let rows = [
        flow("a", 1, "05:00:00.500"),
        flow("b", "null", "05:00:01"),
        flow("a", 1, "05:00:00.500"),
        flow("c", 0, "05:00:02"),
    ];
    send(&city.topic("flow"), 0, rows);
    let select = "SELECT site, veh, at, CAST(veh AS DOUBLE) / 0 AS ratio FROM flow";
    let job = city.job("mapped", &format!("sink = 'kafka:{out}', key = 'site'"), select);
    let done = city.catch_up(&[&job], &[]).expect(0);
    let sink = &done.job("mapped")["sinks"][format!("kafka:{out}")];
    assert_eq!(sink["rows"], 4);
    assert_eq!(sink.get("files"), None, "messages are no files");
    let first = found(&records(&out));
    let row = |site: &str, veh: &str, at: &str| {
        (site.to_owned(), format!(r#"{{"site":"{site}","veh":{veh},"at":"2026-03-29T{at}Z","ratio":null}}"#))
    };
    let mut expect = vec![
        row("a", "1", "05:00:00.500"),
        row("a", "1", "05:00:00.500"),
        row("b", "null", "05:00:01"),
        row("c", "0", "05:00:02"),
    ];
    expect.sort();
    assert_eq!(first.values().cloned().collect::<std::collections::BTreeSet<_>>(), expect.into_iter().collect());
    assert_eq!(first.len(), 4, "equal rows of different records have ids of their own");

    let done = city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(done.job("mapped")["sinks"][format!("kafka:{out}")]["rows"], 4);
    let both = records(&out);
    assert_eq!(both.values().map(Vec::len).sum::<usize>(), 8);
    assert_eq!(found(&both), first, "the second run gave the same rows the same ids");
}

#[test]
fn a_windowed_job_writes_to_a_table_and_a_topic() {
    let city = City::with_flow(2);
    let out = city.make("out", 1);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00"), flow("b", 2, "05:00:01")]);
    let options = format!("sink = 'kafka:{out}, parquet:windows', key = 'site, window_start'");
    let job = city.job("windowed", &options, PER_MINUTE);
    for _ in 0..2 {
        city.catch_up(&[&job], &["--if-exists", "replace"]).expect(0);
    }
    let records = records(&out);
    let ids = found(&records);
    assert_eq!((records[&0].len(), ids.len()), (4, 2));
    let mut values: Vec<_> = ids.values().map(|(_, value)| value.clone()).collect();
    values.sort();
    assert_eq!(values, city.rows("windows"));
    assert!(ids.values().any(|(key, _)| key == r#"["a","2026-03-29T05:00:00Z"]"#), "{ids:?}");
}

#[test]
fn without_a_key_there_is_none() {
    let city = City::with_flow(1);
    let out = city.make("out", 1);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    let job = city.job("keyless", &format!("sink = 'kafka:{out}'"), "SELECT site FROM flow");
    city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(records(&out)[&0][0].key, None);
}

/// Key and value of each id; fails when a header is not as it should be.
fn found(records: &BTreeMap<i32, Vec<Record>>) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    for record in records.values().flatten() {
        let headers: Vec<_> =
            record.headers.iter().map(|(name, value)| (name.as_str(), text(value.as_deref()))).collect();
        let [("citystream-job", job), ("citystream-id", id)] = headers.as_slice() else { panic!("{headers:?}") };
        assert!(["mapped", "windowed"].contains(&job.as_str()), "{job}");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        found.insert(id.clone(), (text(record.key.as_deref()), text(record.value.as_deref())));
    }
    found
}
