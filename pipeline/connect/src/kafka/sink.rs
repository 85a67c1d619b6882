//! Writes rows to a topic as JSON: at least once, in order within a partition, with an id per row.

use super::admin::partition_count;
use super::config::KafkaClient;
use super::fault::no_topic;
use super::outbox::{Outbox, OutboxConfig};
use super::producer::KafkaProducer;
use super::transaction::Transactions;
use crate::sink::{Published, Publisher, Sink, SinkRows};
use arrow::datatypes::Schema;
use citystream_codec::{EncodedRow, RowEncoder};
use citystream_model::time::Micros;
use citystream_model::{Error, Result, StagedFile};
use std::sync::Arc;
use std::time::Duration;

/// Header with the job's name.
pub(crate) const JOB: &str = "citystream-job";
/// Header with the row's id, 32 hexadecimal digits: the same row after a crash has the same id.
pub(crate) const ID: &str = "citystream-id";

/// Longest wait for acknowledgements in one call; the caller tries again, and may stop instead. In the end
/// `message.timeout.ms` (5 minutes unless set) gives a record up.
const WAIT: Duration = Duration::from_secs(5);

/// A topic being written; see [`Sink`] for the laws.
///
/// An error that is retryable leaves it usable: `write` has not taken the rows then, and nothing is lost.
pub struct KafkaSink {
    producer: KafkaProducer,
    encoder: RowEncoder,
    job: String,
    topic: String,
    /// Publishes what an earlier run with transactions has staged.
    leftovers: Option<Arc<Transactions>>,
}

// === impl KafkaSink ===

impl KafkaSink {
    /// Opens `topic` for the rows of `job`, with the columns `key` as message key; tries for `start_budget` to reach
    /// the brokers.
    ///
    /// # Errors
    /// As [`super::KafkaSource::open`]; a key that `schema` does not have.
    pub fn open(
        client: &KafkaClient,
        job: &str,
        topic: &str,
        key: &[String],
        schema: &Schema,
        start_budget: Duration,
    ) -> Result<Self> {
        let encoder = RowEncoder::new(schema, key)?;
        if partition_count(client, topic, start_budget)?.is_none() {
            return Err(no_topic(topic, client.brokers()));
        }
        let producer = KafkaProducer::open(client)?;
        Ok(Self { producer, encoder, job: job.to_owned(), topic: topic.to_owned(), leftovers: None })
    }

    /// Also publishes what an earlier run of the job has left in its outbox, perhaps for the second time.
    #[must_use]
    pub fn with_leftovers(mut self, client: &KafkaClient, config: &OutboxConfig) -> Self {
        let outbox = Arc::new(Outbox::new(config, &self.topic));
        let transactions = Transactions::new(client.clone(), &self.job, &self.topic, &config.identity, outbox);
        self.leftovers = Some(Arc::new(transactions.lenient()));
        self
    }

    fn published(&self) -> Vec<Published> {
        let acked = self.producer.take_acked();
        if acked.rows == 0 {
            return Vec::new();
        }
        let sink = format!("kafka:{}", self.topic);
        vec![Published { sink, path: self.topic.clone(), rows: acked.rows, bytes: acked.bytes }]
    }
}

/// A row as it is sent.
pub(crate) struct Message {
    pub(crate) key: Option<Vec<u8>>,
    /// `None` says that the row of the key is none any more: a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    /// The row's id, 32 hexadecimal digits.
    pub(crate) id: String,
}

/// Rows as messages.
pub(crate) fn messages(encoder: &RowEncoder, rows: &SinkRows) -> Result<impl Iterator<Item = Message>> {
    let encoded = encoder.encode(&rows.batch)?;
    if rows.ids.len() != encoded.len() {
        let (found, expected) = (rows.ids.len(), encoded.len());
        return Err(Error::internal(format!("kafka sink: found {found} row ids, expected {expected}")));
    }
    let message = |(at, (row, id)): (usize, (EncodedRow, &u128))| {
        let value = (!rows.removes(at)).then_some(row.value);
        Message { key: row.key, value, id: format!("{id:032x}") }
    };
    Ok(encoded.into_iter().zip(&rows.ids).enumerate().map(message))
}

impl Sink for KafkaSink {
    fn wants_ids(&self) -> bool {
        true
    }

    fn write(&mut self, rows: &SinkRows, _now: Micros) -> Result<()> {
        let messages = messages(&self.encoder, rows)?;
        self.producer.make_room(&self.topic, WAIT)?;
        for Message { key, value, id } in messages {
            let headers = [(JOB, Some(self.job.as_bytes())), (ID, Some(id.as_bytes()))];
            self.producer.send(&self.topic, None, key.as_deref(), value.as_deref(), &headers, None)?;
        }
        self.producer.serve()
    }

    fn publish_due(&mut self, _now: Micros) -> Result<Vec<Published>> {
        self.producer.serve()?;
        Ok(self.published())
    }

    fn flush(&mut self) -> Result<Vec<Published>> {
        self.producer.flush(WAIT)?;
        Ok(self.published())
    }

    fn buffered_bytes(&self) -> usize {
        self.producer.bytes_under_way()
    }

    fn is_due(&self, _now: Micros) -> bool {
        false
    }

    fn stage(&mut self) -> Result<Vec<StagedFile>> {
        self.producer.flush(WAIT)?;
        Ok(Vec::new())
    }

    fn publisher(&self) -> Option<Arc<dyn Publisher>> {
        self.leftovers.clone().map(|leftovers| leftovers as Arc<dyn Publisher>)
    }
}
