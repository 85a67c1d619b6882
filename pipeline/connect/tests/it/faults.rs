//! Brokers that go away and come back, on librdkafka's mock cluster.

use crate::setup::{PATIENCE, Read};
use citystream_connect::kafka::{KafkaClient, KafkaProducer, KafkaSource};
use citystream_connect::{Source, SourceEvent};
use citystream_model::position::StartFrom;
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
