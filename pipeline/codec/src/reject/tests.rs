//! Words, details and rows of rejects.

use super::*;
use arrow::array::{Array, AsArray};
use bytes::Bytes;
use citystream_model::stream::{Fold, Format, TimeFormat};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

#[test]
fn every_reason_has_its_own_word() {
    let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    assert_eq!(Reason::InvalidJson.to_string(), "invalid_json");
}

#[test]
fn details_are_cut_between_characters() {
    assert_eq!(shortened("short", 5), "short");
    assert_eq!(shortened("too long", 6), "too...");
    assert_eq!(shortened("ééééé", 8), "éé...");
    assert_eq!(shortened("a\nb\u{85}c", 10), "a b c");
    assert_eq!(shortened("abc", 1), "...");
}

#[test]
fn a_reject_is_a_row_with_its_bytes_as_they_came() {
    let record = Record {
        offset: 7,
        timestamp: 1_000_000,
        key: None,
        value: Some(Bytes::from_static(b"\xff{")),
        headers: Vec::new(),
    };
    let reject = Reject { partition: 3, record, reason: Reason::InvalidUtf8, detail: "value: ...".to_owned() };
    let batch = rejects_batch(&stream(), "jam", &[reject]).unwrap();
    assert_eq!(batch.schema(), rejects_schema());
    assert_eq!(batch.num_rows(), 1);
    assert!(batch.column(4).is_null(0));
    assert_eq!(batch.column(5).as_binary::<i32>().value(0), b"\xff{");
    let text = |at: usize| batch.column(at).as_string::<i32>().value(0);
    assert_eq!([text(0), text(6), text(7), text(8)], ["topic", "jam", "invalid_utf8", "value: ..."]);
    assert_eq!(rejects_batch(&stream(), "jam", &[]).unwrap().num_rows(), 0);
}

fn stream() -> Stream {
    Stream {
        name: "s".to_owned(),
        topic: "topic".to_owned(),
        columns: Vec::new(),
        format: Format::Json,
        time_column: stream::TIMESTAMP.to_owned(),
        time_format: TimeFormat::Rfc3339,
        time_zone: None,
        time_fold: Fold::Earlier,
        out_of_order: Duration::from_secs(10),
        max_future: Duration::from_secs(300),
        idle: Duration::from_secs(60),
        key: None,
        rejects: "s_rejected".to_owned(),
        history: None,
        kafka: BTreeMap::new(),
    }
}
