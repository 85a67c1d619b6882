//! Reading topics: content, order, starts, growth.

use crate::setup::{
    PATIENCE, RUNTIME, Read, admin, brokers, client, is_apache, open, read_all, send, topic, topic_of, unique,
};
use citystream_connect::kafka::{
    KafkaProducer, KafkaSource, add_partitions, delete_topic, partition_count, topic_exists,
};
use citystream_connect::{KafkaSink, Source, SourceEvent};
use citystream_model::ErrorKind;
use citystream_model::position::{Positions, StartFrom};
use rdkafka::admin::AdminOptions;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[test]
fn a_record_comes_back_as_it_was_sent() {
    let topic = topic("round-trip", 1);
    let producer = KafkaProducer::open(&client()).unwrap();
    let headers: [(&str, Option<&[u8]>); 4] =
        [("a", Some(b"1")), ("a", Some(b"\xff")), ("none", None), ("empty", Some(b""))];
    producer.send(&topic, Some(0), Some(b"key"), Some(b"{}"), &headers, Some(1_774_762_200_123)).unwrap();
    producer.send(&topic, Some(0), Some(b""), None, &[], Some(1)).unwrap();
    producer.send(&topic, Some(0), None, Some(b""), &[], None).unwrap();
    producer.flush(PATIENCE).unwrap();
    let read = read_all(&topic, &StartFrom::Earliest);
    let [first, tombstone, empty] = &read.records[&0][..] else { panic!("{read:?}") };
    assert_eq!((first.offset, first.timestamp), (0, 1_774_762_200_123_000));
    assert_eq!((first.key.as_deref(), first.value.as_deref()), (Some(&b"key"[..]), Some(&b"{}"[..])));
    let found: Vec<(&str, Option<&[u8]>)> =
        first.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    assert_eq!(found, headers);
    assert_eq!(
        (tombstone.key.as_deref(), tombstone.value.as_deref(), tombstone.timestamp),
        (Some(&b""[..]), None, 1000)
    );
    assert_eq!((empty.key.as_deref(), empty.value.as_deref()), (None, Some(&b""[..])));
    assert!(empty.timestamp > 1_700_000_000_000_000);
    assert_eq!(read.ends, BTreeMap::from([(0, 3)]));
    let mut source = open(&topic, &StartFrom::Earliest).without_headers();
    let mut bare = Read::default();
    bare.until(&mut source, |read| !read.ends.is_empty());
    assert!(bare.records[&0].iter().all(|record| record.headers.is_empty()));
    assert_eq!(bare.records[&0][1..], read.records[&0][1..]);
}

#[test]
fn partitions_keep_their_order_and_an_empty_one_is_at_its_end() {
    let topic = topic("several", 4);
    for partition in 0..3 {
        send(&topic, partition, (0..500).map(|n| format!("{partition}/{n}")));
    }
    let mut source = open(&topic, &StartFrom::Earliest);
    assert_eq!(source.partitions(), [0, 1, 2, 3]);
    assert_eq!(source.end_offsets(), BTreeMap::from([(0, 500), (1, 500), (2, 500), (3, 0)]));
    assert_eq!(source.start_offsets(), BTreeMap::from([(0, 0), (1, 0), (2, 0), (3, 0)]));
    assert_eq!(source.lag().values().sum::<i64>(), 1500);
    let mut read = Read::default();
    let deadline = Instant::now() + PATIENCE;
    while read.ends.len() < 4 && Instant::now() < deadline {
        let events = source.poll(64, Duration::from_millis(200)).unwrap();
        let records: usize = events
            .iter()
            .map(|event| if let SourceEvent::Records { records, .. } = event { records.len() } else { 0 })
            .sum();
        assert!(records <= 64);
        events.into_iter().for_each(|event| read.take(event));
    }
    assert_eq!(read.ends, source.end_offsets());
    for partition in 0..3 {
        let offsets: Vec<i64> = read.records[&partition].iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..500).collect::<Vec<_>>());
        assert_eq!(read.records[&partition][499].value.as_deref().unwrap(), format!("{partition}/499").as_bytes());
    }
    assert_eq!(source.lag().values().sum::<i64>(), 0);
    send(&topic, 3, ["late"]);
    read.until(&mut source, |read| read.ends.get(&3) == Some(&1));
    assert_eq!(source.poll(64, Duration::from_millis(50)).unwrap(), []);
}

#[test]
fn a_source_starts_where_it_is_told() {
    let topic = topic("starts", 2);
    send(&topic, 0, ["a", "b", "c", "d"]);
    send(&topic, 1, ["x", "y"]);
    let check = |from: StartFrom, starts: [i64; 2], expected: &str| {
        assert_eq!(open(&topic, &from).start_offsets(), BTreeMap::from([(0, starts[0]), (1, starts[1])]), "{from:?}");
        assert_eq!(read_all(&topic, &from).shown(), expected, "{from:?}");
    };
    check(StartFrom::Earliest, [0, 0], "0: a b c d, 1: x y");
    check(StartFrom::Latest, [4, 2], "");
    // Record times are 1000, 1001, ... ms.
    check(StartFrom::Time(-5), [0, 0], "0: a b c d, 1: x y");
    check(StartFrom::Time(1_001_000), [1, 1], "0: b c d, 1: y");
    check(StartFrom::Time(1_001_001), [2, 2], "0: c d");
    check(StartFrom::Time(9_000_000), [4, 2], "");
    check(StartFrom::Positions(Positions(BTreeMap::from([(0, 3), (1, 2)]))), [3, 2], "0: d");
    check(StartFrom::Positions(Positions(BTreeMap::from([(1, 1)]))), [0, 1], "0: a b c d, 1: y");
    for (stored, expected) in [((0, 9), "the log ends at 4"), ((7, 0), "there are 2 partitions")] {
        let from = StartFrom::Positions(Positions(BTreeMap::from([stored])));
        let error = KafkaSource::open(&client(), &topic, &from, PATIENCE).err().unwrap();
        assert!(error.to_string().contains(expected) && !error.is_retryable(), "{error}");
    }
}

#[test]
fn latest_means_what_comes_after_the_start() {
    let topic = topic("latest", 1);
    send(&topic, 0, ["old"]);
    let mut source = open(&topic, &StartFrom::Latest);
    send(&topic, 0, ["new"]);
    let mut read = Read::default();
    read.until(&mut source, |read| read.ends.get(&0) == Some(&2));
    assert_eq!(read.shown(), "0: new");
}

#[test]
fn partitions_added_while_running_are_read_from_their_first_record() {
    let topic = topic("growing", 1);
    send(&topic, 0, ["a", "b"]);
    let mut source = open(&topic, &StartFrom::Earliest);
    let mut read = Read::default();
    read.until(&mut source, |read| read.ends.len() == 1);
    add_partitions(&client(), &topic, 3, RUNTIME.handle()).unwrap();
    send(&topic, 2, ["x", "y"]);
    send(&topic, 0, ["c"]);
    read.until(&mut source, |read| read.ends.len() == 3 && read.count() == 5);
    assert_eq!(read.shown(), "0: a b c, 2: x y");
    assert_eq!(read.others, [SourceEvent::Added { partition: 1 }, SourceEvent::Added { partition: 2 }]);
    assert_eq!(source.partitions(), [0, 1, 2]);
    assert_eq!(source.end_offsets(), BTreeMap::from([(0, 2)]));
    assert_eq!(source.start_offsets(), BTreeMap::from([(0, 0), (1, 0), (2, 0)]));
}

#[test]
fn a_paused_partition_waits_and_loses_nothing() {
    let topic = topic("pausing", 2);
    for partition in 0..2 {
        send(&topic, partition, (0..300).map(|n| n.to_string()));
    }
    let mut source = open(&topic, &StartFrom::Earliest);
    let mut read = Read::default();
    read.until(&mut source, |read| read.count() > 0);
    source.pause(&[0]).unwrap();
    let before = read.records.get(&0).map_or(0, Vec::len);
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline || !read.ends.contains_key(&1) {
        source.poll(1000, Duration::from_millis(100)).unwrap().into_iter().for_each(|event| read.take(event));
    }
    assert_eq!(read.records.get(&0).map_or(0, Vec::len), before);
    source.resume(&[0]).unwrap();
    read.until(&mut source, |read| read.ends.len() == 2);
    // Paused at its end, then resumed: nothing comes twice, and the end is told again or still holds.
    source.pause(&[0, 1]).unwrap();
    source.resume(&[0, 1]).unwrap();
    send(&topic, 0, ["300"]);
    read.until(&mut source, |read| read.ends.get(&0) == Some(&301));
    for (partition, count) in [(0, 301), (1, 300)] {
        let offsets: Vec<i64> = read.records[&partition].iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn a_record_of_ten_megabytes_passes() {
    let topic = topic_of("large", &[("max.message.bytes", "12000000")]);
    let value: Vec<u8> = (0..10 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let producer = KafkaProducer::open(&client()).unwrap();
    for _ in 0..3 {
        producer.send(&topic, Some(0), None, Some(&value), &[], None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let read = read_all(&topic, &StartFrom::Earliest);
    assert_eq!(read.count(), 3);
    assert!(read.records[&0].iter().all(|record| record.value.as_deref() == Some(&value[..])));
    let error = producer.send(&topic, Some(0), None, Some(&vec![0; 20 << 20]), &[], None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resource, "{error}");
}

#[test]
fn records_deleted_before_they_were_read_are_an_error_with_numbers() {
    // The embedded broker cannot delete on demand; `faults` lets it lose records for want of memory.
    if !is_apache() {
        return;
    }
    let topic = topic("retention", 1);
    send(&topic, 0, (0..100).map(|n| n.to_string()));
    let mut source = open(&topic, &StartFrom::Earliest);
    let mut read = Read::default();
    source.pause(&[0]).unwrap();
    let mut below = TopicPartitionList::new();
    below.add_partition_offset(&topic, 0, Offset::Offset(40)).unwrap();
    let deleted = RUNTIME.block_on(admin().delete_records(&below, &AdminOptions::new())).unwrap();
    deleted.elements()[0].error().unwrap();
    // At the start: a stored position that is gone.
    let stored = StartFrom::Positions(Positions(BTreeMap::from([(0, 10)])));
    let error = KafkaSource::open(&client(), &topic, &stored, PATIENCE).err().unwrap();
    assert!(
        error.to_string().contains("offset 10 is next but the log starts at 40: 30 records were deleted"),
        "{error}"
    );
    assert_eq!(open(&topic, &StartFrom::Earliest).start_offsets(), BTreeMap::from([(0, 40)]));
    // While running.
    source.resume(&[0]).unwrap();
    let error = read.until_error(&mut source);
    assert!(
        error.to_string().contains("offset 0 is next but the log starts at 40: 40 records were deleted"),
        "{error}"
    );
    assert!(!error.is_retryable());
    assert_eq!(read.count(), 0);
}

#[test]
fn a_missing_topic_ends_at_once() {
    let name = unique("missing");
    let started = Instant::now();
    let error = KafkaSource::open(&client(), &name, &StartFrom::Earliest, PATIENCE).err().unwrap();
    let expected = format!("topic '{name}' does not exist on brokers {}; create it or check LOCATION", brokers());
    assert_eq!((error.message(), error.kind(), error.is_retryable()), (&expected[..], ErrorKind::Unavailable, false));
    let schema = arrow::datatypes::Schema::empty();
    let error = KafkaSink::open(&client(), "job", &name, &[], &schema, PATIENCE).err().unwrap();
    assert_eq!((error.message(), error.is_retryable()), (&expected[..], false));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(!topic_exists(&client(), &name, PATIENCE).unwrap(), "asking does not make it");
}

#[test]
fn a_topic_deleted_while_running_is_an_error() {
    let topic = topic("deleted", 2);
    send(&topic, 0, ["a"]);
    assert_eq!(partition_count(&client(), &topic, PATIENCE).unwrap(), Some(2));
    let mut source = open(&topic, &StartFrom::Earliest);
    let mut read = Read::default();
    read.until(&mut source, |read| read.ends.len() == 2);
    delete_topic(&client(), &topic, RUNTIME.handle()).unwrap();
    let error = read.until_error(&mut source);
    assert!(error.to_string().contains("does not exist") && !error.is_retryable(), "{error}");
    assert_eq!(read.shown(), "0: a");
}
