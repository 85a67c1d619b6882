//! Silence counts only while the source is known to have told all that it has.

use super::*;
use citystream_connect::MemorySource;
use citystream_model::stream::{Fold, Format, TIMESTAMP, TimeFormat};

const SECOND: Micros = 1_000_000;
const IDLE: Micros = 60 * SECOND;
/// Wall-clock time of the tests' start.
const START: Micros = 1_774_760_400 * SECOND;

/// A stream without columns, whose event time is the record time.
fn stream() -> Arc<Stream> {
    Arc::new(Stream {
        name: "s".to_owned(),
        topic: "topic".to_owned(),
        columns: Vec::new(),
        format: Format::Json,
        time_column: TIMESTAMP.to_owned(),
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
    })
}

/// An input of one live partition that was read to its end at [`START`].
fn at_end() -> Input {
    let mut input = Input::new(stream(), Box::new(MemorySource::new([])), Duration::ZERO, false);
    read(&mut input, 0, 1);
    input.at_end(0, 1, START);
    input
}

fn read(input: &mut Input, offset: Offset, count: usize) {
    let value = || Some(b"{}".as_slice().into());
    let record =
        |at| citystream_codec::Record { offset: at, timestamp: START, key: None, value: value(), headers: Vec::new() };
    let records = (offset..).take(count).map(record).collect();
    input.read(0, records, START).unwrap();
}

#[test]
fn a_silent_partition_gets_a_heartbeat() {
    let mut input = at_end();
    assert_eq!(input.heartbeats(START + IDLE - 1), []);
    assert_eq!(input.heartbeats(START + IDLE + SECOND), [Heartbeat { partition: 0, newest: START + SECOND }]);
}

#[test]
fn an_outage_is_no_silence() {
    let mut input = at_end();
    input.unavailable("gone".to_owned());
    assert_eq!(input.waits_for().as_deref(), Some("stream 's': gone"));
    assert_eq!(input.heartbeats(START + 10 * IDLE), []);
    // What was sent meanwhile has to come first.
    input.recovered(START + 10 * IDLE);
    assert_eq!(input.waits_for(), None);
    assert_eq!(input.heartbeats(START + 11 * IDLE - 1), []);
    assert_eq!(input.heartbeats(START + 11 * IDLE).len(), 1);
}

#[test]
fn a_full_poll_may_have_left_records_behind() {
    let mut input = at_end();
    read(&mut input, 1, MAX_RECORDS);
    input.at_end(0, 1 + MAX_RECORDS as i64, START);
    assert_eq!(input.heartbeats(START + 2 * IDLE), []);
    assert_eq!(input.heartbeats(START + 2 * IDLE).len(), 1);
}
