//! Topics and records, over the embedded broker or the one that `CITYSTREAM_TEST_BROKERS` names.

use citystream_broker::{Broker, BrokerConfig};
use citystream_codec::Record;
use citystream_connect::kafka::{self, KafkaClient, KafkaProducer, KafkaSource};
use citystream_connect::{Source, SourceEvent};
use citystream_model::position::StartFrom;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Longest wait for anything but a whole run.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// The embedded broker, which lives as long as the tests.
static EMBEDDED: LazyLock<Broker> = LazyLock::new(|| RUNTIME.block_on(Broker::start(BrokerConfig::default())).unwrap());

static BROKERS: LazyLock<String> =
    LazyLock::new(|| std::env::var("CITYSTREAM_TEST_BROKERS").unwrap_or_else(|_| EMBEDDED.bootstrap()));

/// The brokers' address.
pub(crate) fn brokers() -> &'static str {
    &BROKERS
}

fn client() -> KafkaClient {
    KafkaClient::new(brokers(), BTreeMap::new())
}

/// Makes a topic that takes messages of up to 16 MB.
pub(crate) fn make(topic: &str, partitions: usize) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let count = i32::try_from(partitions).unwrap();
    let wanted = NewTopic::new(topic, count, TopicReplication::Fixed(1)).set("max.message.bytes", "16777216");
    let made = RUNTIME.block_on(admin.create_topics([&wanted], &AdminOptions::new())).unwrap();
    made.into_iter().for_each(|topic| drop(topic.unwrap()));
    assert_eq!(kafka::ensure_topic(&client(), topic, partitions, PATIENCE, RUNTIME.handle()).unwrap(), partitions);
}

/// Adds partitions to a topic.
pub(crate) fn grow(topic: &str, partitions: usize) {
    kafka::add_partitions(&client(), topic, partitions, RUNTIME.handle()).unwrap();
}

/// Takes a topic away.
pub(crate) fn delete(topic: &str) {
    kafka::delete_topic(&client(), topic, RUNTIME.handle()).unwrap();
}

/// Number of partitions, `None` when the topic is not there.
pub(crate) fn partitions(topic: &str) -> Option<usize> {
    kafka::partition_count(&client(), topic, PATIENCE).unwrap()
}

/// Sends values to one partition, with the record time that the client gives.
pub(crate) fn send<V: AsRef<[u8]>>(topic: &str, partition: i32, values: impl IntoIterator<Item = V>) {
    let values = values.into_iter().map(|value| (Some(value), None));
    send_records(topic, partition, values);
}

/// A producer, for tests that send often.
pub(crate) fn producer() -> KafkaProducer {
    KafkaProducer::open(&client()).unwrap()
}

/// As [`send`], through `producer`.
pub(crate) fn send_by<V: AsRef<[u8]>>(
    producer: &KafkaProducer,
    topic: &str,
    partition: i32,
    values: impl IntoIterator<Item = V>,
) {
    for value in values {
        producer.send(topic, Some(partition), Some(b"key"), Some(value.as_ref()), &[], None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Sends values or tombstones to one partition, each with its record time in milliseconds.
pub(crate) fn send_records<V: AsRef<[u8]>>(
    topic: &str,
    partition: i32,
    values: impl IntoIterator<Item = (Option<V>, Option<i64>)>,
) {
    let producer = KafkaProducer::open(&client()).unwrap();
    for (value, time) in values {
        let value = value.as_ref().map(AsRef::as_ref);
        producer.send(topic, Some(partition), Some(b"key"), value, &[], time).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Sends values with keys, each to the partition that the client chooses for its key.
pub(crate) fn send_keyed<'a>(topic: &str, values: impl IntoIterator<Item = (&'a str, String)>) {
    let producer = KafkaProducer::open(&client()).unwrap();
    for (key, value) in values {
        producer.send(topic, None, Some(key.as_bytes()), Some(value.as_bytes()), &[], None).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// All records of a topic, by partition.
pub(crate) fn records(topic: &str) -> BTreeMap<i32, Vec<Record>> {
    let mut source = KafkaSource::open(&client(), topic, &StartFrom::Earliest, PATIENCE).unwrap();
    let (mut found, mut ended) = (BTreeMap::<i32, Vec<Record>>::new(), BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    while ended.len() < source.partitions().len() {
        assert!(Instant::now() < deadline, "topic {topic} was not read to its end");
        for event in source.poll(10_000, Duration::from_millis(100)).unwrap() {
            match event {
                SourceEvent::Records { partition, records } => {
                    found.entry(partition).or_default().extend(records.to_vec())
                }
                SourceEvent::AtEnd { partition, .. } => drop(ended.insert(partition)),
                _ => {}
            }
        }
    }
    found
}

/// The values of a topic, partition after partition.
pub(crate) fn values(topic: &str) -> Vec<String> {
    records(topic).into_values().flatten().map(|record| text(record.value.as_deref())).collect()
}

/// The newest value of each key of a topic, sorted: what is left of it once it is compacted.
pub(crate) fn newest_values(topic: &str) -> Vec<String> {
    let all = records(topic).into_values().flatten();
    let newest: BTreeMap<_, _> = all.map(|record| (record.key, text(record.value.as_deref()))).collect();
    let mut newest: Vec<String> = newest.into_values().collect();
    newest.sort();
    newest
}

/// Bytes as text, `-` for none.
pub(crate) fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}
