//! Only committed records are read, and the end is the last stable offset.

use crate::setup::{PATIENCE, Read, native, open, read_all, send, topic, unique};
use citystream_connect::Source;
use citystream_model::position::{Positions, StartFrom};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::time::Duration;

fn transactional() -> BaseProducer {
    let producer: BaseProducer = native(&[("transactional.id", &unique("writer"))]).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn begin(producer: &BaseProducer, topic: &str, values: &[&str]) {
    producer.begin_transaction().unwrap();
    for value in values {
        producer
            .send(BaseRecord::<(), str>::to(topic).partition(0).payload(value))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn aborted_and_open_transactions_are_not_read() {
    let topic = topic("transactions", 1);
    let (first, second) = (transactional(), transactional());
    send(&topic, 0, ["plain"]);
    begin(&first, &topic, &["aborted-1", "aborted-2"]);
    first.abort_transaction(PATIENCE).unwrap();
    begin(&first, &topic, &["committed-1", "committed-2"]);
    first.commit_transaction(PATIENCE).unwrap();
    // 0 plain, 1-2 aborted, 3 marker, 4-5 committed, 6 marker.
    let read = read_all(&topic, &StartFrom::Earliest);
    assert_eq!(read.shown(), "0: plain committed-1 committed-2");
    assert_eq!(read.ends, BTreeMap::from([(0, 7)]), "the end is behind the control record");

    // From 7: an open transaction, and a plain record behind it that has to wait.
    begin(&second, &topic, &["open"]);
    send(&topic, 0, ["waiting"]);
    let mut source = open(&topic, &StartFrom::Earliest);
    assert_eq!(source.end_offsets(), BTreeMap::from([(0, 7)]), "the last stable offset, not the high watermark");
    let mut read = Read::default();
    read.until(&mut source, |read| read.ends.contains_key(&0));
    assert_eq!(read.ends, BTreeMap::from([(0, 7)]));
    for _ in 0..15 {
        source.poll(100, Duration::from_millis(100)).unwrap().into_iter().for_each(|event| read.take(event));
    }
    assert_eq!(read.shown(), "0: plain committed-1 committed-2");
    assert_eq!(source.lag(), BTreeMap::from([(0, 0)]));
    assert_eq!(open(&topic, &StartFrom::Latest).start_offsets(), BTreeMap::from([(0, 7)]));

    second.commit_transaction(PATIENCE).unwrap();
    read.until(&mut source, |read| read.count() == 5);
    assert_eq!(read.shown(), "0: plain committed-1 committed-2 open waiting");
    read.until(&mut source, |read| read.ends.contains_key(&0));
}

#[test]
fn a_topic_that_ends_with_a_control_record_is_at_its_end_from_any_position() {
    let topic = topic("control", 1);
    let producer = transactional();
    begin(&producer, &topic, &["a"]);
    producer.commit_transaction(PATIENCE).unwrap();
    begin(&producer, &topic, &["b"]);
    producer.abort_transaction(PATIENCE).unwrap();
    // 0 a, 1 marker, 2 b, 3 marker.
    for position in 0..=4 {
        let from = StartFrom::Positions(Positions(BTreeMap::from([(0, position)])));
        let read = read_all(&topic, &from);
        assert_eq!((read.count(), &read.ends), (usize::from(position == 0), &BTreeMap::from([(0, 4)])), "{position}");
    }
    // An abort that comes while reading moves the end without a record: no lag stays.
    let mut source = open(&topic, &StartFrom::Earliest);
    let mut read = Read::default();
    read.until(&mut source, |read| read.ends.contains_key(&0));
    begin(&producer, &topic, &["c"]);
    producer.abort_transaction(PATIENCE).unwrap();
    let mut lags = Vec::new();
    for _ in 0..40 {
        source.poll(100, Duration::from_millis(100)).unwrap().into_iter().for_each(|event| read.take(event));
        lags.push(source.lag()[&0]);
    }
    assert_eq!((read.count(), lags.last()), (1, Some(&0)), "{lags:?}");
}
