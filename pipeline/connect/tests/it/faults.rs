//! Brokers that go away and come back (librdkafka's mock cluster) or lose records (the embedded broker, out of memory).

use crate::setup::{PATIENCE, RUNTIME, Read};
use citystream_broker::{Broker, BrokerConfig};
use citystream_connect::kafka::{KafkaClient, KafkaProducer, KafkaSource};
use citystream_connect::{Source, SourceEvent};
use citystream_model::position::{Positions, StartFrom};
use rdkafka::mocking::MockCluster;
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn brokers_that_come_back_are_told_once_and_nothing_is_lost() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let client = KafkaClient::new(cluster.bootstrap_servers(), BTreeMap::new());
    let producer = KafkaProducer::open(&client).unwrap();
    let send = |value: &str| {
        producer.send("t", Some(0), None, Some(value.as_bytes()), &[], None).unwrap();
        producer.flush(PATIENCE).unwrap();
    };
    send("a");
    let mut source = KafkaSource::open(&client, "t", &StartFrom::Earliest, PATIENCE).unwrap();
    let mut read = Read::default();
    read.until(&mut source, |read| read.ends.contains_key(&0));
    assert_eq!(read.others, []);
    cluster.broker_down(1).unwrap();
    read.until(&mut source, |read| !read.others.is_empty());
    for _ in 0..20 {
        source.poll(100, Duration::from_millis(50)).unwrap().into_iter().for_each(|event| read.take(event));
    }
    assert!(matches!(&read.others[..], [SourceEvent::Unavailable { .. }]), "{:?}", read.others);
    cluster.broker_up(1).unwrap();
    // It is told without a new record.
    read.until(&mut source, |read| read.others.len() == 2);
    assert_eq!(read.others[1], SourceEvent::Recovered);
    send("b");
    read.until(&mut source, |read| read.count() == 2);
    assert_eq!((read.shown().as_str(), read.others.len()), ("0: a b", 2));
}

#[test]
fn records_that_the_broker_lost_before_they_were_read_are_an_error_with_numbers() {
    let config = BrokerConfig {
        message_max_bytes: 100_000,
        request_max_bytes: 1 << 20,
        memory_max_bytes: 1 << 20,
        segment_bytes: 200_000,
        ..BrokerConfig::default()
    };
    let broker = RUNTIME.block_on(Broker::start(config)).unwrap();
    broker.create_topic("t", 1).unwrap();
    let options = BTreeMap::from([("compression.type".to_owned(), "none".to_owned())]);
    let options = citystream_connect::kafka::resolve_secrets(&options, &|_| None).unwrap();
    let client = KafkaClient::new(broker.bootstrap(), options);
    let mut source = KafkaSource::open(&client, "t", &StartFrom::Earliest, PATIENCE).unwrap();
    source.pause(&[0]).unwrap();
    let producer = KafkaProducer::open(&client).unwrap();
    for _ in 0..100 {
        producer.send("t", Some(0), None, Some(&[b'x'; 50_000]), &[], None).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
    let low = KafkaSource::open(&client, "t", &StartFrom::Earliest, PATIENCE).unwrap().start_offsets()[&0];
    assert!(low > 0);
    let expected = format!("is next but the log starts at {low}: ");
    let stored = StartFrom::Positions(Positions(BTreeMap::from([(0, 1)])));
    let error = KafkaSource::open(&client, "t", &stored, PATIENCE).err().unwrap();
    assert!(error.to_string().contains(&format!("offset 1 {expected}{} records were deleted", low - 1)), "{error}");
    source.resume(&[0]).unwrap();
    let mut read = Read::default();
    let error = read.until_error(&mut source);
    assert!(error.to_string().contains(&format!("offset 0 {expected}{low} records were deleted")), "{error}");
    assert_eq!((read.count(), error.is_retryable()), (0, false));
}
