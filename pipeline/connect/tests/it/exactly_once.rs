//! Topics exactly once: an epoch's rows come once, whoever publishes them, however often.

use crate::setup::{PATIENCE, RUNTIME, client, native, read_all, topic, unique};
use crate::sink::rows;
use citystream_connect::kafka::{OutboxConfig, TransactionalSink};
use citystream_connect::{KafkaSink, Sink};
use citystream_model::StagedFile;
use citystream_model::position::StartFrom;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

/// One job's checkpoint store and topic.
struct Job {
    store: Arc<InMemory>,
    topic: String,
    identity: String,
}

impl Job {
    fn new(what: &str) -> Self {
        Self { store: Arc::new(InMemory::new()), topic: topic(what, 2), identity: unique("id") }
    }

    fn outbox(&self, writer: &str, next: u64) -> OutboxConfig {
        OutboxConfig {
            store: Arc::clone(&self.store) as Arc<dyn ObjectStore>,
            prefix: Path::from("outbox"),
            handle: RUNTIME.handle().clone(),
            identity: self.identity.clone(),
            writer: writer.to_owned(),
            next,
            commit_interval: Duration::from_millis(100),
        }
    }

    /// A process whose next epoch is `next`.
    fn open(&self, writer: &str, next: u64) -> TransactionalSink {
        let schema = rows(&[]).batch.schema();
        let outbox = self.outbox(writer, next);
        TransactionalSink::open(&client(), "jams", &self.topic, &[], &schema, outbox, PATIENCE).unwrap()
    }

    /// The same; it has taken the job over.
    fn process(&self, writer: &str, next: u64, keep: &[StagedFile]) -> TransactionalSink {
        let sink = self.open(writer, next);
        sink.publisher().unwrap().discard(next - 1, keep).unwrap();
        sink
    }

    /// A process dies after it has sent the number of `epoch`, before its transaction ends.
    fn dies_within(&self, epoch: i64) {
        let id = format!("citystream-{}-{}", self.identity, self.topic);
        let producer: BaseProducer = native(&[("transactional.id", &id)]).create().unwrap();
        let consumer: BaseConsumer = native(&[("group.id", &id)]).create().unwrap();
        let mut numbers = TopicPartitionList::new();
        numbers.add_partition_offset(&self.topic, 0, Offset::Offset(epoch)).unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        let group = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&numbers, &group, PATIENCE).unwrap();
    }

    /// What readers of committed records see.
    fn values(&self) -> Vec<String> {
        let read = read_all(&self.topic, &StartFrom::Earliest);
        let value = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let mut found: Vec<String> =
            read.records.values().flatten().map(|record| value(record.value.as_deref().unwrap())).collect();
        found.sort();
        found
    }

    fn parts(&self) -> usize {
        use futures::TryStreamExt;
        RUNTIME.block_on(self.store.list(None).try_collect::<Vec<_>>()).unwrap().len()
    }
}

fn row(zone: &str) -> String {
    format!(r#"{{"zone":"{zone}","cars":1}}"#)
}

/// Writes a row and ends its epoch.
fn stage(sink: &mut TransactionalSink, zone: &str) -> Vec<StagedFile> {
    sink.write(&rows(&[(zone, 1)]), 0).unwrap();
    sink.stage().unwrap()
}

#[test]
fn an_epoch_is_published_once_by_whoever_comes() {
    let job = Job::new("once");
    let mut first = job.process("w1", 5, &[]);
    assert!(!first.is_due(i64::MAX));
    first.write(&rows(&[("a", 1)]), 1_000).unwrap();
    assert!(first.is_due(101_000) && !first.is_due(100_999));
    let staged = first.stage().unwrap();
    assert_eq!((staged.len(), staged[0].rows, job.parts()), (1, 1, 1));
    assert_eq!(job.values(), [""; 0], "nothing is sent before the epoch is decided");
    let publisher = first.publisher().unwrap();
    let published = publisher.publish(5, &staged).unwrap();
    assert_eq!((published[0].path.as_str(), published[0].rows), (job.topic.as_str(), 1));
    assert_eq!(publisher.publish(5, &staged).unwrap(), published);
    assert_eq!((job.values(), job.parts()), (vec![row("a")], 0));
    // Decided, but the process died before it was published; the next one publishes it, and goes on.
    let staged = stage(&mut first, "b");
    drop(first);
    let mut second = job.process("w2", 8, &staged);
    second.publisher().unwrap().publish(6, &staged).unwrap();
    let next = stage(&mut second, "c");
    second.publisher().unwrap().publish(8, &next).unwrap();
    assert_eq!(job.values(), [row("a"), row("b"), row("c")]);
    assert_eq!(second.stage().unwrap(), [], "an epoch without rows has no part");
}

#[test]
fn a_transaction_that_a_dead_process_left_open_holds_nobody_up() {
    let job = Job::new("open");
    let mut first = job.process("w1", 5, &[]);
    let staged = stage(&mut first, "a");
    first.publisher().unwrap().publish(5, &staged).unwrap();
    let staged = stage(&mut first, "b");
    drop(first);
    job.dies_within(6);
    let publisher = job.open("w2", 8).publisher().unwrap();
    assert_eq!(publisher.newest().unwrap(), Some(5));
    publisher.discard(7, &staged).unwrap();
    publisher.publish(6, &staged).unwrap();
    assert_eq!((job.values(), publisher.newest().unwrap()), (vec![row("a"), row("b")], Some(6)));
}

#[test]
fn an_older_process_that_wakes_up_publishes_nothing_twice() {
    let job = Job::new("zombie");
    let mut older = job.process("w1", 5, &[]);
    let staged = stage(&mut older, "a");
    // It sleeps; another one takes over.
    let newer = job.process("w2", 7, &staged);
    newer.publisher().unwrap().publish(5, &staged).unwrap();
    // Its producer is not the newest any more: it may try again, and finds that all is done.
    let publisher = older.publisher().unwrap();
    if let Err(error) = publisher.publish(5, &staged) {
        assert!(error.is_retryable(), "{error}");
        publisher.publish(5, &staged).unwrap();
    }
    assert_eq!(job.values(), [row("a")]);
}

#[test]
fn what_was_never_decided_is_never_sent() {
    let job = Job::new("undecided");
    let mut first = job.process("w1", 5, &[]);
    let decided = stage(&mut first, "decided");
    first.publisher().unwrap().publish(5, &decided).unwrap();
    let lost = stage(&mut first, "lost");
    let second = job.process("w2", 8, &[]);
    assert_eq!(job.parts(), 0);
    assert!(second.publisher().unwrap().publish(6, &lost).is_err());
    assert_eq!(job.values(), [row("decided")]);
}

#[test]
fn an_older_process_that_wakes_up_removes_nothing_of_a_newer_one() {
    let job = Job::new("sleeper");
    let older = job.process("w1", 5, &[]);
    let mut newer = job.process("w2", 6, &[]);
    let staged = stage(&mut newer, "a");
    older.publisher().unwrap().discard(4, &[]).unwrap();
    assert_eq!(job.parts(), 1);
    newer.publisher().unwrap().publish(6, &staged).or_else(|_| newer.publisher().unwrap().publish(6, &staged)).unwrap();
    assert_eq!(job.values(), [row("a")]);
}

#[test]
fn an_epoch_behind_the_claim_is_noticed() {
    let job = Job::new("behind");
    let mut other = job.process("w2", 9, &[]);
    let staged = stage(&mut other, "a");
    other.publisher().unwrap().publish(9, &staged).unwrap();
    let error = job.open("w1", 8).publisher().unwrap().discard(7, &[]).unwrap_err();
    assert!(error.to_string().contains("epoch 9 was published meanwhile"), "{error}");
    assert!(error.is_retryable());
}

#[test]
fn a_number_that_has_expired_is_no_reason_to_send_again() {
    let job = Job::new("expired");
    let mut sink = job.process("w1", 5, &[]);
    let staged = stage(&mut sink, "a");
    sink.publisher().unwrap().publish(5, &staged).unwrap();
    let forgotten = Job { store: Arc::clone(&job.store), topic: job.topic.clone(), identity: unique("id") };
    forgotten.process("w2", 7, &staged).publisher().unwrap().publish(5, &staged).unwrap();
    assert_eq!(job.values(), [row("a")]);
}

#[test]
fn doubt_is_no_guess() {
    let job = Job::new("doubt");
    let mut sink = job.process("w1", 5, &[]);
    let first = stage(&mut sink, "a");
    sink.publisher().unwrap().publish(5, &first).unwrap();
    let second = stage(&mut sink, "b");
    // As after the group's offsets have expired: another identity has none.
    let forgotten = Job { store: Arc::clone(&job.store), topic: job.topic.clone(), identity: unique("id") };
    let other = forgotten.process("w2", 9, &second);
    let error = other.publisher().unwrap().publish(6, &second).unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(error.to_string().contains("says that none was published last, expected epoch 5 or epoch 6"), "{error}");
    let error = sink.publisher().unwrap().take_back(5..6).unwrap_err();
    assert!(error.to_string().contains("cannot be taken back"), "{error}");
    sink.publisher().unwrap().take_back(6..7).unwrap();
    // A job that may repeat rows goes on.
    let schema = rows(&[]).batch.schema();
    let lenient = KafkaSink::open(&client(), "jams", &job.topic, &[], &schema, PATIENCE).unwrap();
    let lenient = lenient.with_leftovers(&client(), &forgotten.outbox("w3", 9)).publisher().unwrap();
    lenient.publish(6, &second).unwrap();
    lenient.take_back(1..9).unwrap();
    assert_eq!(job.values(), [row("a"), row("b")]);
}

#[test]
fn a_damaged_part_is_told() {
    let job = Job::new("damaged");
    let mut sink = job.process("w1", 5, &[]);
    let staged = stage(&mut sink, "a");
    drop(sink);
    let path = Path::from("outbox").join(job.topic.as_str()).join(staged[0].from.as_str());
    RUNTIME.block_on(job.store.put(&path, "other bytes".into())).unwrap();
    let next = job.process("w2", 7, &staged);
    let error = next.publisher().unwrap().publish(5, &staged).unwrap_err();
    assert!(error.to_string().contains("outbox damaged: "), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(job.values(), [""; 0]);
}
