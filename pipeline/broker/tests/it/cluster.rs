//! The cluster under test, its clients, and names that no other run uses.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use citystream_broker::{Broker, BrokerConfig};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Bound on every wait.
pub(crate) const WAIT: Duration = Duration::from_secs(30);

/// The one place that says who is spoken to: Apache Kafka if the environment names one, else an embedded broker that
/// all tests share.
pub(crate) fn brokers() -> &'static str {
    static BROKERS: OnceLock<(String, Option<(Runtime, Broker)>)> = OnceLock::new();
    let (address, _) = BROKERS.get_or_init(|| {
        if let Ok(address) = std::env::var("CITYSTREAM_TEST_BROKERS") {
            return (address, None);
        }
        // A runtime of its own: it outlives those of the single tests.
        std::thread::spawn(|| {
            let runtime = Runtime::new().unwrap();
            let broker = runtime.block_on(Broker::start(BrokerConfig::default())).unwrap();
            (broker.bootstrap(), Some((runtime, broker)))
        })
        .join()
        .unwrap()
    });
    address
}

/// A name for a topic, group or transactional id that is new in this run.
#[allow(clippy::disallowed_methods, reason = "a run has to differ from the runs before it")]
pub(crate) fn unique(stem: &str) -> String {
    static RUN: OnceLock<u128> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let run = RUN.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis());
    format!("{stem}-{run:x}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn client(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    client(&[]).create().unwrap()
}

pub(crate) fn new_topic(name: &str, partitions: i32) -> NewTopic<'_> {
    NewTopic::new(name, partitions, TopicReplication::Fixed(1))
}

/// Creates a topic of a new name.
pub(crate) async fn topic(stem: &str, partitions: i32) -> String {
    let name = unique(stem);
    create(new_topic(&name, partitions)).await;
    name
}

pub(crate) async fn create(topic: NewTopic<'_>) {
    let name = topic.name.to_owned();
    let created = within(admin().create_topics([&topic], &AdminOptions::new())).await.unwrap();
    assert_eq!(created, [Ok(name)]);
}

pub(crate) fn producer(settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = client(&[("message.max.bytes", "16777216"), ("linger.ms", "5")]);
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

/// A consumer in a group of its own that starts at the beginning.
pub(crate) fn consumer(settings: &[(&str, &str)]) -> StreamConsumer {
    let group = unique("group");
    let mut config = client(&[
        ("group.id", &group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("fetch.wait.max.ms", "100"),
    ]);
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

/// A consumer that reads all of the partition from the start.
pub(crate) fn reader(topic: &str, partition: i32, settings: &[(&str, &str)]) -> StreamConsumer {
    let consumer = consumer(settings);
    assign(&consumer, topic, partition, Offset::Beginning);
    consumer
}

pub(crate) fn assign(consumer: &StreamConsumer, topic: &str, partition: i32, from: Offset) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, from).unwrap();
    consumer.assign(&list).unwrap();
}

/// Sends one payload and returns its offset.
pub(crate) async fn send(producer: &FutureProducer, topic: &str, partition: i32, payload: &str) -> i64 {
    let record = FutureRecord::<(), str>::to(topic).partition(partition).payload(payload);
    within(producer.send(record, WAIT)).await.unwrap().offset
}

/// The next `count` records.
pub(crate) async fn read(consumer: &StreamConsumer, count: usize) -> Vec<OwnedMessage> {
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        records.push(within(consumer.recv()).await.unwrap().detach());
    }
    records
}

/// First and next offset. A reader of committed records gets the last stable offset as the next one.
pub(crate) async fn watermarks(topic: &str, partition: i32, isolation: &'static str) -> (i64, i64) {
    let topic = topic.to_owned();
    blocking(move || {
        let consumer = consumer(&[("isolation.level", isolation)]);
        consumer.fetch_watermarks(&topic, partition, WAIT).unwrap()
    })
    .await
}

/// Runs one of rdkafka's blocking calls off the test's own thread.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    within(tokio::task::spawn_blocking(call)).await.unwrap()
}

pub(crate) async fn within<F: Future>(work: F) -> F::Output {
    timeout(WAIT, work).await.expect("no answer in time")
}

/// Asks until the answer is yes, at most for `WAIT`.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(WAIT, asking).await.unwrap_or_else(|_| panic!("never came true: {what}"));
}
