//! Sends records with a bounded queue: idempotent, acknowledged by all replicas.

use super::config::{KafkaClient, not_created};
use super::fault::{Class, Faults, refused};
use citystream_model::{Error, Result};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Pause while the queue is full or acknowledgements are awaited; spent on the client's events.
const PAUSE: Duration = Duration::from_millis(2);
/// Half of the queue's default bounds: below them a batch of rows finds room.
const ROOM_MESSAGES: i32 = 50_000;
const ROOM_BYTES: usize = 32 << 20;
/// Events served at one look.
const EVENTS: usize = 64;

/// A producer with back-pressure: [`KafkaProducer::send`] waits while 64 MiB are under way.
pub struct KafkaProducer {
    producer: BaseProducer<Deliveries>,
    brokers: String,
}

/// What the brokers said of the records under way.
#[derive(Default)]
pub(crate) struct Deliveries {
    faults: Faults,
    counts: Mutex<Counts>,
}

/// Acknowledged records that were not taken yet, and the first that failed.
#[derive(Debug, Default)]
struct Counts {
    acked: Acked,
    failed: Option<(Code, String)>,
    /// Bytes of keys and values taken and not answered yet.
    under_way: usize,
}

/// Acknowledged records.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) rows: u64,
    /// Bytes of keys and values.
    pub(crate) bytes: u64,
}

// === impl KafkaProducer ===

impl KafkaProducer {
    /// A producer; brokers are looked for when records come.
    ///
    /// # Errors
    /// Options that the client library does not take.
    pub fn open(client: &KafkaClient) -> Result<Self> {
        let producer =
            client.producer_config().create_with_context(Deliveries::default()).map_err(|error| not_created(&error))?;
        Ok(Self { producer, brokers: client.brokers().to_owned() })
    }

    /// A producer of transactions under `id`: whoever opened one before can commit nothing more, once [`Self::native`] is
    /// initialised.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn transactional(client: &KafkaClient, id: &str) -> Result<Self> {
        let config = client.transactional_config(id);
        let producer = config.create_with_context(Deliveries::default()).map_err(|error| not_created(&error))?;
        Ok(Self { producer, brokers: client.brokers().to_owned() })
    }

    /// The client library's producer.
    pub(crate) fn native(&self) -> &impl Producer<Deliveries> {
        &self.producer
    }

    /// The last trouble in the client's words, else `or`.
    pub(crate) fn detail(&self, or: &str) -> String {
        self.producer.context().faults.detail(or)
    }

    /// Takes a record for sending; waits while the queue is full. `None` leaves partition and time to the client.
    ///
    /// # Errors
    /// A record before this one was refused or not acknowledged within `message.timeout.ms`; this one is too large.
    pub fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
        timestamp_ms: Option<i64>,
    ) -> Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        (record.partition, record.key, record.payload, record.timestamp) = (partition, key, value, timestamp_ms);
        if !headers.is_empty() {
            let add =
                |all: OwnedHeaders, (key, value): &(&str, Option<&[u8]>)| all.insert(Header { key, value: *value });
            record.headers = Some(headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), add));
        }
        let size = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.producer.context().counts().under_way += size;
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(PAUSE);
                    self.check()?;
                }
                Err((error, _)) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                    return Err(self.failure(topic, code, &format!("a record of {size} bytes: {code}")));
                }
            }
        }
    }

    /// Waits until every record is acknowledged, for at most `budget`.
    ///
    /// # Errors
    /// A record was refused or is not acknowledged yet.
    pub fn flush(&self, budget: Duration) -> Result<()> {
        let deadline = Instant::now() + budget;
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(PAUSE);
            self.check()?;
            if Instant::now() >= deadline {
                let left = self.producer.in_flight_count();
                let detail = self.producer.context().faults.detail("no answer");
                let message = format!("brokers {}: {left} records are not acknowledged: {detail}", self.brokers);
                return Err(Error::unavailable(message));
            }
        }
        self.check()
    }

    /// Waits until less than half of the queue's bytes and messages are under way, for at most `budget`.
    ///
    /// # Errors
    /// As [`KafkaProducer::flush`]; the producer stays usable when only the time was up.
    pub(crate) fn make_room(&self, topic: &str, budget: Duration) -> Result<()> {
        let deadline = Instant::now() + budget;
        loop {
            self.serve()?;
            let (messages, bytes) = (self.producer.in_flight_count(), self.bytes_under_way());
            if messages < ROOM_MESSAGES && bytes < ROOM_BYTES {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let detail = self.producer.context().faults.detail("no answer");
                let message = format!(
                    "topic '{topic}' on brokers {}: {messages} records wait for acknowledgement: {detail}",
                    self.brokers
                );
                return Err(Error::unavailable(message));
            }
            self.producer.poll(PAUSE);
        }
    }

    /// Serves what the client has to say, without waiting; then as [`KafkaProducer::flush`] fails.
    pub(crate) fn serve(&self) -> Result<()> {
        for _ in 0..EVENTS {
            self.producer.poll(Duration::ZERO);
        }
        self.check()
    }

    /// Takes the count of what was acknowledged since the last call.
    pub(crate) fn take_acked(&self) -> Acked {
        std::mem::take(&mut self.producer.context().counts().acked)
    }

    /// Bytes of keys and values that are not answered yet.
    pub(crate) fn bytes_under_way(&self) -> usize {
        self.producer.context().counts().under_way
    }

    /// Fails when a record was not delivered.
    fn check(&self) -> Result<()> {
        let failed = self.producer.context().counts().failed.clone();
        match failed {
            Some((code, topic)) => Err(self.failure(&topic, code, &code.to_string())),
            None => Ok(()),
        }
    }

    fn failure(&self, topic: &str, code: Code, detail: &str) -> Error {
        let brokers = &self.brokers;
        if Class::of(code) == Class::Refused {
            return refused(brokers, &format!("topic '{topic}': {detail}"));
        }
        let message = format!("topic '{topic}' on brokers {brokers}: not delivered: {detail}");
        match code {
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => Error::resource(
                format!("{message}; raise message.max.bytes of the topic and 'kafka.message.max.bytes'"),
            ),
            // What is under way was given up by now, so that trying again on this producer would lose records.
            _ => Error::unavailable(format!("{message}: {}", self.producer.context().faults.detail("no reason given")))
                .permanent(),
        }
    }
}

// === impl Deliveries ===

impl Deliveries {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.faults.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.faults.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut counts = self.counts();
        let (Ok(message) | Err((_, message))) = result;
        let size = message.key_len() + message.payload_len();
        // A callback never comes before the send returned on this thread, so this does not wrap; saturate anyway.
        counts.under_way = counts.under_way.saturating_sub(size);
        match result {
            Ok(_) => {
                counts.acked.rows += 1;
                counts.acked.bytes += size as u64;
            }
            Err((error, message)) if counts.failed.is_none() => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                counts.failed = Some((code, message.topic().to_owned()));
            }
            Err(_) => {}
        }
    }
}
