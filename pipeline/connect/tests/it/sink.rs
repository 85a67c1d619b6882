//! Writing topics.

use crate::setup::{PATIENCE, client, read_all, topic, topic_of};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use citystream_connect::{KafkaSink, Sink, SinkRows};
use citystream_model::ErrorKind;
use citystream_model::position::StartFrom;
use std::sync::Arc;

/// Rows `(zone, cars)` with the ids 1, 2, ...
pub(crate) fn rows(rows: &[(&str, i64)]) -> SinkRows {
    let zones: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
    let cars: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
    let batch = RecordBatch::try_from_iter([("zone", zones), ("cars", cars)]).unwrap();
    SinkRows { ids: (1..).take(rows.len()).collect(), ..SinkRows::new(batch, vec![None; rows.len()]) }
}

#[test]
fn rows_become_messages_with_key_job_and_id() {
    let topic = topic("output", 1);
    let some = rows(&[("center", 3), ("harbour", 5)]);
    let mut sink =
        KafkaSink::open(&client(), "jams", &topic, &["zone".to_owned()], &some.batch.schema(), PATIENCE).unwrap();
    assert!(sink.wants_ids());
    sink.write(&some, 0).unwrap();
    let published = sink.flush().unwrap();
    assert_eq!((published[0].sink.as_str(), published[0].rows), (format!("kafka:{topic}").as_str(), 2));
    assert_eq!(sink.flush().unwrap(), []);
    assert_eq!(sink.buffered_bytes(), 0);
    let read = read_all(&topic, &StartFrom::Earliest);
    assert_eq!(read.shown(), r#"0: {"zone":"center","cars":3} {"zone":"harbour","cars":5}"#);
    let second = &read.records[&0][1];
    assert_eq!(second.key.as_deref(), Some(&b"harbour"[..]));
    let headers: Vec<(&str, &str)> = second
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_deref().unwrap()).unwrap()))
        .collect();
    assert_eq!(headers, [("citystream-job", "jams"), ("citystream-id", "00000000000000000000000000000002")]);
    let without = SinkRows { ids: Vec::new(), ..some };
    assert_eq!(sink.write(&without, 0).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn many_rows_pass_the_bounded_queue() {
    let topic = topic("many", 3);
    let text = "x".repeat(1000);
    let some = rows(&vec![(text.as_str(), 1); 10_000]);
    let mut sink = KafkaSink::open(&client(), "jams", &topic, &[], &some.batch.schema(), PATIENCE).unwrap();
    let mut acknowledged = 0;
    for _ in 0..15 {
        sink.write(&some, 0).unwrap();
        assert!(sink.buffered_bytes() <= 64 << 20);
        acknowledged += sink.publish_due(0).unwrap().iter().map(|published| published.rows).sum::<u64>();
    }
    acknowledged += sink.flush().unwrap().iter().map(|published| published.rows).sum::<u64>();
    assert_eq!(acknowledged, 150_000);
    assert_eq!(read_all(&topic, &StartFrom::Earliest).count(), 150_000);
}

#[test]
fn a_row_that_is_too_large_is_an_error_with_a_remedy() {
    let topic = topic_of("too-large", &[("max.message.bytes", "1000000")]);
    let text = "ab0".repeat(1_000_000);
    let some = rows(&[(text.as_str(), 1)]);
    let mut options = std::collections::BTreeMap::new();
    options.insert("compression.type".to_owned(), "none".to_owned());
    let options = citystream_connect::kafka::resolve_secrets(&options, &|_| None).unwrap();
    let client = citystream_connect::KafkaClient::new(crate::setup::brokers(), options);
    let mut sink = KafkaSink::open(&client, "jams", &topic, &[], &some.batch.schema(), PATIENCE).unwrap();
    let error = sink.write(&some, 0).and_then(|()| sink.flush()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resource, "{error}");
    assert!(error.to_string().contains("raise message.max.bytes"), "{error}");
}
