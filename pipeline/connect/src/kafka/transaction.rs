//! Publishes outboxes: one transaction per epoch, which says in the same breath that the epoch is published.
//!
//! ```text
//!   init (ends what an earlier producer had open) --> which epoch was published last? --> at or above: done
//!      ^                                                    | below
//!      +---- any failure: a new producer looks again <-- begin, records, offset = epoch, commit
//! ```
//!
//! The number of the epoch is the committed offset of a consumer group of the job's own, on partition 0 of the topic. Nobody
//! reads as that group; committing offsets is how a Kafka transaction can carry a number.

use super::config::{KafkaClient, not_created};
use super::fault::{Class, Faults, refused, unreachable};
use super::outbox::{Entry, Outbox};
use super::producer::KafkaProducer;
use super::sink::{ID, JOB};
use crate::files::staging::epoch_in;
use crate::sink::{Published, Publisher};
use citystream_model::{Error, ErrorKind, Result, StagedFile};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest wait for one answer of the brokers; so late a stop is noticed.
const WAIT: Duration = Duration::from_secs(5);

/// Isolation level of clients that take no answer while a transaction is open.
const COMMITTED: &str = "read_committed";

/// The epoch that was published last, if one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known(pub(crate) Option<u64>);

/// Publishes the outbox of one job for one topic.
pub(crate) struct Transactions {
    // === PROPERTIES ===
    client: KafkaClient,
    job: String,
    topic: String,
    name: String,
    identity: String,
    outbox: Arc<Outbox>,
    /// False for a job that may repeat rows: what is not known is no reason to stop then.
    is_strict: bool,
    // === STATES ===
    session: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    known: Known,
}

/// A producer that has ended what others had open, and what was published before.
struct Session {
    producer: KafkaProducer,
    group: ConsumerGroupMetadata,
    /// The group's metadata are the consumer's.
    _consumer: BaseConsumer<Faults>,
}

// === impl Transactions ===

impl Transactions {
    pub(crate) fn new(client: KafkaClient, job: &str, topic: &str, identity: &str, outbox: Arc<Outbox>) -> Self {
        let (job, topic, name) = (job.to_owned(), topic.to_owned(), format!("kafka:{topic}"));
        let (identity, session) = (identity.to_owned(), Mutex::default());
        Self { client, job, topic, name, identity, outbox, is_strict: true, session }
    }

    /// Rows may come again where it is not known whether they came.
    pub(crate) fn lenient(self) -> Self {
        Self { is_strict: false, ..self }
    }

    /// The epoch that was published last, as far as this process knows.
    pub(crate) fn known(&self) -> Known {
        self.state().known
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` with a session. After a failure the next call begins a new one, since nobody knows how far the old one got.
    fn with_session<T>(&self, work: impl FnOnce(&Session, &mut Known) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        let State { session, known } = &mut *state;
        if session.is_none() {
            let (opened, found) = self.open()?;
            (*session, *known) = (Some(opened), found);
        }
        let Some(opened) = session else { return Err(Error::internal("a session that was just opened")) };
        let done = work(opened, known);
        if done.is_err() {
            *session = None;
        }
        done
    }

    /// The transactional id, and the group whose offset is the number of an epoch.
    fn id(&self) -> String {
        format!("citystream-{}-{}", self.identity, self.topic)
    }

    /// A client for the group; it reads nothing, so that it needs no polling. Its isolation level says what it is told while
    /// somebody's transaction is open: nothing (`read_committed`), or the number before that.
    fn consumer(&self, isolation: &str) -> Result<BaseConsumer<Faults>> {
        let mut config = self.client.metadata_config();
        config.set("group.id", self.id()).set("isolation.level", isolation);
        config.create_with_context(Faults::default()).map_err(|error| not_created(&error))
    }

    /// Makes the clients, to see that their options are taken; nothing is sent.
    pub(crate) fn probe(&self) -> Result<()> {
        KafkaProducer::transactional(&self.client, &self.id())?;
        self.consumer(COMMITTED).map(drop)
    }

    /// Ends what an earlier producer had open, then asks which epoch was published last: no earlier one can follow.
    fn open(&self) -> Result<(Session, Known)> {
        let producer = KafkaProducer::transactional(&self.client, &self.id())?;
        producer.native().init_transactions(WAIT).map_err(|error| self.failed("init", &producer, &error))?;
        let consumer = self.consumer(COMMITTED)?;
        let group = consumer.group_metadata().ok_or_else(|| Error::internal("a consumer without a group"))?;
        let known = self.ask(&consumer)?;
        Ok((Session { producer, group, _consumer: consumer }, known))
    }

    /// Which epoch was published last.
    fn ask(&self, consumer: &BaseConsumer<Faults>) -> Result<Known> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, 0);
        let found = consumer.committed_offsets(asked, WAIT).map_err(|error| {
            let detail = consumer.context().detail("no answer");
            let asked = format!("topic '{}': which epoch was published last: {detail}", self.topic);
            unreachable(self.client.brokers(), &asked).caused_by(error)
        })?;
        let found = found.find_partition(&self.topic, 0).map(|found| found.offset());
        Ok(match found {
            Some(Offset::Offset(epoch)) => Known(u64::try_from(epoch).ok()),
            _ => Known(None),
        })
    }

    /// Sends all parts of an epoch in one transaction.
    fn send(&self, session: &Session, epoch: u64, files: &[StagedFile]) -> Result<()> {
        let Session { producer, group, .. } = session;
        let failed = |what: &str, error: &KafkaError| self.failed(what, producer, error);
        producer.native().begin_transaction().map_err(|error| failed("begin", &error))?;
        for file in files {
            let records = self.outbox.read(&file.from, entry(file)?.crc32c)?;
            for ((key, value), id) in records.keys.iter().zip(&records.values).zip(&records.ids) {
                let headers = [(JOB, Some(self.job.as_bytes())), (ID, Some(id.as_bytes()))];
                let sent = producer.send(&self.topic, None, key.as_deref(), value.as_deref(), &headers, None);
                sent.map_err(|error| self.not_sent(error))?;
            }
        }
        let offset = i64::try_from(epoch).map_err(|error| Error::internal("epoch").caused_by(error))?;
        let mut offsets = TopicPartitionList::new();
        let added = offsets.add_partition_offset(&self.topic, 0, Offset::Offset(offset));
        added.map_err(|error| failed("number", &error))?;
        self.deliver(producer)?;
        let native = producer.native();
        native.send_offsets_to_transaction(&offsets, group, WAIT).map_err(|error| failed("number", &error))?;
        native.commit_transaction(WAIT).map_err(|error| failed("commit", &error))
    }

    /// Waits until all records are delivered, for as long as some are within each wait.
    fn deliver(&self, producer: &KafkaProducer) -> Result<()> {
        loop {
            let before = producer.native().in_flight_count();
            match producer.flush(WAIT) {
                Err(error) if producer.native().in_flight_count() >= before => return Err(self.not_sent(error)),
                Err(error) if error.kind() == ErrorKind::Resource => return Err(error),
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
    }

    /// A record that was not delivered ends the transaction, and nothing is lost by that: another one can be tried.
    fn not_sent(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Resource {
            return error;
        }
        Error::unavailable(format!("topic '{}': transaction", self.topic)).caused_by(error)
    }

    fn failed(&self, what: &str, producer: &KafkaProducer, error: &KafkaError) -> Error {
        let (topic, brokers) = (&self.topic, self.client.brokers());
        if error.rdkafka_error_code().map(Class::of) == Some(Class::Refused) {
            return refused(brokers, &format!("topic '{topic}': transaction: {what}: {error}"));
        }
        let detail = producer.detail("no reason given");
        let message = format!("topic '{topic}' on brokers {brokers}: transaction: {what}: {detail}");
        Error::unavailable(message).caused_by(error.clone())
    }

    /// What was published before `epoch` has to be what its files say.
    fn check(&self, known: Known, epoch: u64, files: &[StagedFile]) -> Result<()> {
        let expected = files.first().map(entry).transpose()?.and_then(|entry| entry.after);
        if known.0 == expected || !self.is_strict {
            return Ok(());
        }
        let shown = |epoch: Option<u64>| epoch.map_or_else(|| "none".to_owned(), |epoch| format!("epoch {epoch}"));
        let message = format!(
            "topic '{}': the group '{}' says that {} was published last, expected {} or epoch {epoch}; its offsets \
             have expired, or the topic or the group was made anew; whether epoch {epoch} was published is not known. \
             Look into the topic, then start with --guarantee at-least-once, or anew with another checkpoint folder",
            self.topic,
            self.id(),
            shown(known.0),
            shown(expected),
        );
        Err(Error::unavailable(message).permanent())
    }
}

fn entry(file: &StagedFile) -> Result<Entry> {
    let entry = file.entry.as_deref().map(serde_json::from_str);
    let entry = entry.transpose().map_err(|error| Error::internal("outbox").caused_by(error))?;
    entry.ok_or_else(|| Error::internal("a part of an outbox without its checksum"))
}

impl Publisher for Transactions {
    fn sink(&self) -> &str {
        &self.name
    }

    fn publish(&self, epoch: u64, files: &[StagedFile]) -> Result<Vec<Published>> {
        self.with_session(|session, known| {
            let is_sent = known.0.is_some_and(|published| published >= epoch);
            // Parts are removed once they are sent, and only then: that tells where the number has expired.
            let is_gone = known.0.is_none() && !self.outbox.has_any(files)?;
            if !is_sent && !is_gone {
                self.check(*known, epoch, files)?;
                self.send(session, epoch, files)?;
                *known = Known(Some(epoch));
            }
            Ok(())
        })?;
        files.iter().try_for_each(|file| self.outbox.remove(&file.from))?;
        Ok(files.iter().cloned().map(Published::from).collect())
    }

    fn newest(&self) -> Result<Option<u64>> {
        // A process that died may have left its transaction open, which ends with the session to come and not before.
        Ok(self.ask(&self.consumer("read_uncommitted")?)?.0.filter(|_| self.is_strict))
    }

    fn discard(&self, epoch: u64, keep: &[StagedFile]) -> Result<()> {
        // Also finds out what was published before, and ends what an earlier process had open: perhaps by completing it.
        self.with_session(|_, known| match known.0.filter(|published| *published > epoch && self.is_strict) {
            None => Ok(()),
            Some(published) => {
                let message = format!("topic '{}': epoch {published} was published meanwhile", self.topic);
                Err(Error::unavailable(format!("{message}; a start that looks again goes on behind it")))
            }
        })?;
        let is_kept = |part: &String| keep.iter().any(|file| file.from == *part);
        let is_over = |part: &String| epoch_in(&self.identity, part).is_some_and(|of| of <= epoch) && !is_kept(part);
        self.outbox.list()?.iter().filter(|part| is_over(part)).try_for_each(|part| self.outbox.remove(part))
    }

    fn take_back(&self, epochs: Range<u64>) -> Result<()> {
        self.with_session(|_, known| match known.0.filter(|published| *published >= epochs.start) {
            None => Ok(()),
            Some(_) if !self.is_strict => Ok(()),
            Some(published) => {
                let message = format!(
                    "topic '{}' has the rows of epoch {published}, whose checkpoint is damaged: they cannot be taken back, and \
                     would come again. Start with --guarantee at-least-once to accept that",
                    self.topic
                );
                Err(Error::unavailable(message).permanent())
            }
        })
    }
}
