//! What is read again stops where it was read to, and is cut where heartbeats came.

use super::*;
use crate::input::tests::{START, records, stream};
use citystream_connect::MemorySource;
use citystream_model::time::Watermark;
use citystream_state::manifest::PartitionProgress;

/// Ten records of partition 0, four of partition 1, which an earlier process has read up to 6 and 2; a heartbeat came at 3.
fn again(known: [i64; 2], admitted: u64) -> Result<Input> {
    let source = MemorySource::new([
        SourceEvent::Records { partition: 0, records: records(0, 10) },
        SourceEvent::Records { partition: 1, records: records(0, 4) },
        SourceEvent::AtEnd { partition: 1, offset: 4 },
    ]);
    let mut input = Input::new(stream(), Box::new(source), Duration::ZERO, false);
    let at = |offset, newest| PartitionProgress { offset, newest: Some(newest), newest_row: None };
    let partitions = [(0, at(known[0], START + 7)), (1, at(known[1], START))].into();
    let known = StreamProgress { stream: "s".to_owned(), partitions, key_rules: None };
    let beat = ReplayedBeat { stream: 0, partition: 0, offset: 3, newest: START + 7 };
    input.read_again(&known, admitted, &[beat])?;
    Ok(input)
}

/// What comes, as ranges of offsets, and the largest watermark of the gate behind each.
fn shown(input: &mut Input) -> String {
    let mut text = Vec::new();
    for event in input.poll(Duration::ZERO).unwrap() {
        match event {
            SourceEvent::Records { partition, mut records } => {
                let (first, last) = (records.first().unwrap().offset, records.last().unwrap().offset);
                input.take(partition, &mut records);
                let (reader, lanes) = input.reader();
                let (_, lane) = lanes.into_iter().find(|(of, _)| *of == partition).unwrap();
                lane.catch_up(first);
                let (read, _) = reader.read(lane, partition, &records, START).unwrap();
                input.count_again(read.admitted);
                text.push(format!("{partition}: {first}-{last}"));
            }
            SourceEvent::AtEnd { partition, offset } => text.push(format!("{partition}: end {offset}")),
            other => text.push(format!("{other:?}")),
        }
    }
    text.join(", ")
}

#[test]
fn partitions_stop_where_they_were_read_to_and_go_on_from_there() {
    let mut input = again([6, 2], 8).unwrap();
    assert!(!input.has_been_read_again());
    assert_eq!(shown(&mut input), "0: 0-2, 0: 3-5, 1: 0-1");
    assert!(input.has_been_read_again());
    input.catch_up();
    assert_eq!(input.gate.slowest().unwrap().1, Watermark(START - 10_000_000));
    assert_eq!(input.go_on().unwrap(), 8);
    // What came behind them is not read yet.
    assert_eq!((input.offsets()(0), input.offsets()(1)), (6, 2));
    assert_eq!(shown(&mut input), "0: 6-9, 1: 2-3, 1: end 4");
    assert_eq!((input.offsets()(0), input.offsets()(1)), (10, 4));
}

#[test]
fn rows_that_are_not_those_of_before_are_refused() {
    let mut input = again([6, 2], 9).unwrap();
    shown(&mut input);
    assert!(input.has_been_read_again());
    let error = input.go_on().unwrap_err();
    assert!(
        error.to_string().contains("found 8 admitted ones, expected 9. Records were deleted or compacted"),
        "{error}"
    );
    assert!(!error.is_retryable());
    let error = again([11, 2], 9).map(drop).unwrap_err();
    assert!(error.to_string().contains("partition 0: it was read up to offset 11 but the log ends at 10"), "{error}");
}

#[test]
fn a_partition_of_which_nothing_is_read_again_waits() {
    let mut input = again([0, 2], 2).unwrap();
    assert!(input.is_at_end(0) && !input.is_at_end(1), "nobody has to wait for it");
    assert_eq!(shown(&mut input), "1: 0-1");
    assert!(input.has_been_read_again());
}
