//! Topics, records and small steps that the tests share.

use citystream_broker::{Broker, BrokerConfig};
use citystream_codec::Record;
use citystream_connect::kafka::{KafkaClient, KafkaProducer, KafkaSource, ensure_topic};
use citystream_connect::{Source, SourceEvent};
use citystream_model::Error;
use citystream_model::position::{Offset, Partition, StartFrom};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// Apache Kafka, where the environment names it; it is right where the two differ.
static BROKERS: LazyLock<String> = LazyLock::new(|| match std::env::var("CITYSTREAM_TEST_BROKERS") {
    Ok(brokers) => brokers,
    Err(_) => EMBEDDED.bootstrap(),
});

static EMBEDDED: LazyLock<Broker> = LazyLock::new(|| RUNTIME.block_on(Broker::start(BrokerConfig::default())).unwrap());

pub(crate) fn brokers() -> &'static str {
    &BROKERS
}

/// True where the tests run against Apache Kafka.
pub(crate) fn is_apache() -> bool {
    std::env::var_os("CITYSTREAM_TEST_BROKERS").is_some()
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    native(&[]).create().unwrap()
}

pub(crate) fn client() -> KafkaClient {
    KafkaClient::new(brokers(), BTreeMap::new())
}

pub(crate) fn native(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

/// A name that no other test and no other run has.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("{what}-{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A fresh topic.
pub(crate) fn topic(what: &str, partitions: usize) -> String {
    let topic = unique(what);
    assert_eq!(ensure_topic(&client(), &topic, partitions, PATIENCE, RUNTIME.handle()).unwrap(), partitions);
    topic
}

/// A fresh topic of one partition with settings of its own.
pub(crate) fn topic_of(what: &str, settings: &[(&str, &str)]) -> String {
    let topic = unique(what);
    let bare = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    let wanted = settings.iter().fold(bare, |wanted, (name, value)| wanted.set(name, value));
    let made = RUNTIME.block_on(admin().create_topics([&wanted], &AdminOptions::new())).unwrap();
    assert_eq!(made, [Ok(topic.clone())]);
    assert_eq!(ensure_topic(&client(), &topic, 1, PATIENCE, RUNTIME.handle()).unwrap(), 1);
    topic
}

/// Sends values to one partition, with the record times 1000, 1001, ... milliseconds.
pub(crate) fn send(topic: &str, partition: Partition, values: impl IntoIterator<Item = impl AsRef<str>>) {
    let producer = KafkaProducer::open(&client()).unwrap();
    for (at, value) in values.into_iter().enumerate() {
        let time = 1000 + i64::try_from(at).unwrap();
        producer.send(topic, Some(partition), None, Some(value.as_ref().as_bytes()), &[], Some(time)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

pub(crate) fn open(topic: &str, from: &StartFrom) -> KafkaSource {
    KafkaSource::open(&client(), topic, from, PATIENCE).unwrap()
}

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) records: BTreeMap<Partition, Vec<Record>>,
    pub(crate) ends: BTreeMap<Partition, Offset>,
    pub(crate) others: Vec<SourceEvent>,
}

impl Read {
    /// Polls until `done` or impatient.
    #[track_caller]
    pub(crate) fn until(&mut self, source: &mut dyn Source, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "impatient with {} and {:?}", self.shown(), self.others);
            for event in source.poll(1000, Duration::from_millis(100)).unwrap() {
                self.take(event);
            }
        }
    }

    /// Polls until the source fails.
    #[track_caller]
    pub(crate) fn until_error(&mut self, source: &mut dyn Source) -> Error {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "impatient with {} and {:?}", self.shown(), self.others);
            match source.poll(1000, Duration::from_millis(100)) {
                Ok(events) => events.into_iter().for_each(|event| self.take(event)),
                Err(error) => break error,
            }
        }
    }

    pub(crate) fn take(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Records { partition, records } => {
                assert!(!records.is_empty());
                self.ends.remove(&partition);
                self.records.entry(partition).or_default().extend(records.to_vec());
            }
            SourceEvent::AtEnd { partition, offset } => {
                self.ends.insert(partition, offset);
            }
            other => self.others.push(other),
        }
    }

    /// Number of records.
    pub(crate) fn count(&self) -> usize {
        self.records.values().map(Vec::len).sum()
    }

    /// `0: a b, 1: c`
    pub(crate) fn shown(&self) -> String {
        let text = |record: &Record| String::from_utf8_lossy(record.value.as_deref().unwrap_or(b"-")).into_owned();
        let one = |(partition, records): (&Partition, &Vec<Record>)| {
            format!("{partition}: {}", records.iter().map(text).collect::<Vec<_>>().join(" "))
        };
        self.records.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// Reads all partitions to their ends.
#[track_caller]
pub(crate) fn read_all(topic: &str, from: &StartFrom) -> Read {
    let mut source = open(topic, from);
    let (mut read, partitions) = (Read::default(), source.partitions().len());
    read.until(&mut source, |read| read.ends.len() == partitions);
    read
}
