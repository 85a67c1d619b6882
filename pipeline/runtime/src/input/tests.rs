//! Silence counts only while the source is known to have told all that it has.

use super::*;
use citystream_codec::Record;
use citystream_connect::MemorySource;
use citystream_model::stream::{Fold, Format, TIMESTAMP, TimeFormat};

const SECOND: Micros = 1_000_000;
const IDLE: Micros = 60 * SECOND;
/// Wall-clock time of the tests' start.
pub(super) const START: Micros = 1_774_760_400 * SECOND;

/// A stream without columns, whose event time is the record time.
pub(super) fn stream() -> Arc<Stream> {
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

/// Records without any field.
pub(super) fn records(offset: Offset, count: usize) -> Records {
    let value = || Some(b"{}".as_slice().into());
    let record = |at| Record { offset: at, timestamp: START, key: None, value: value(), headers: Vec::new() };
    (offset..).take(count).map(record).collect()
}

fn read(input: &mut Input, offset: Offset, count: usize) {
    let mut records = records(offset, count);
    input.take(0, &mut records);
    let (reader, mut lanes) = input.reader();
    let (_, lane) = lanes.next().unwrap();
    reader.read(lane, 0, &records, START).unwrap();
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

/// Offsets 0 to 9 in partition 0, none in partition 1.
fn filled(until_end: bool) -> Input {
    let source = MemorySource::new([
        SourceEvent::Records { partition: 0, records: records(0, 10) },
        SourceEvent::AtEnd { partition: 1, offset: 0 },
    ]);
    Input::new(stream(), Box::new(source), Duration::ZERO, until_end)
}

#[test]
fn a_live_partition_is_at_its_end_until_it_is_heard_again() {
    let mut input = filled(false);
    assert!(!input.is_at_end(0) && !input.is_at_end(1), "nobody has looked yet");
    read(&mut input, 0, 10);
    assert!(!input.is_at_end(0), "there may be more");
    input.at_end(0, 10, START);
    assert!(input.is_at_end(0) && !input.is_at_end(1));
    read(&mut input, 10, 1);
    assert!(!input.is_at_end(0));
    assert!(!input.is_finished(), "a live stream never is");
}

#[test]
fn a_bounded_partition_is_at_its_end_with_its_last_record_of_the_start() {
    let mut input = filled(true);
    assert!(input.is_at_end(1), "it was empty at the start");
    read(&mut input, 0, 9);
    assert!(!input.is_at_end(0) && !input.is_finished());
    // A word of the end at a smaller offset than was promised is an end all the same, for now.
    input.at_end(0, 9, START);
    assert!(input.is_at_end(0) && !input.is_finished());
    read(&mut input, 9, 5);
    assert!(input.is_at_end(0) && input.is_finished(), "what came behind the end is not read");
}
