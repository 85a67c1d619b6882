//! Writes rows to a topic exactly once: encoded records wait in an outbox until their epoch is decided.
//!
//! ```text
//!   rows --encode--> outbox/5f3a-17-0-w1 (Arrow IPC)  --epoch 17 is decided-->  one transaction: records, "epoch 17"
//! ```
//!
//! Kafka has no transaction that is prepared and survives its producer, so none can be left open for a decision. What is to be
//! sent is durable instead, and sending it is idempotent: see [`super::transaction`].

use super::config::KafkaClient;
use super::fault::no_topic;
use super::sink::{Message, messages};
use super::transaction::{Known, Transactions};
use crate::files::failure as store_failure;
use crate::kafka::partition_count;
use crate::sink::{Published, Publisher, Sink, SinkRows};
use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use citystream_codec::RowEncoder;
use citystream_model::time::{self, Micros};
use citystream_model::{Error, Result, StagedFile};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// Bytes of keys and values at which a part of an epoch's outbox is put.
const PART: usize = 8 << 20;

/// Where an outbox lies, and whose it is.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// Store of the job's checkpoints.
    pub store: Arc<dyn ObjectStore>,
    /// Folder of the outboxes of all topics in it.
    pub prefix: Path,
    /// Where its I/O runs.
    pub handle: Handle,
    /// The job's, drawn with its checkpoint folder: part of the transactional id.
    pub identity: String,
    /// This process.
    pub writer: String,
    /// The epoch of the next rows.
    pub next: u64,
    /// Longest time from a row's arrival to its commit.
    pub commit_interval: Duration,
}

/// A topic being written in transactions; see [`Sink`] for the laws.
pub struct TransactionalSink {
    // === PROPERTIES ===
    config: OutboxConfig,
    encoder: RowEncoder,
    topic: String,
    outbox: Arc<Outbox>,
    transactions: Arc<Transactions>,
    // === STATES ===
    open: Records,
    staged: Vec<StagedFile>,
    /// When the oldest row came that is not given to an epoch.
    oldest: Option<Micros>,
    /// The last epoch with rows for the topic; `None` before the first look.
    after: Option<Known>,
    /// Number of the next part.
    sequence: u64,
}

/// Encoded records, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) keys: Vec<Option<Vec<u8>>>,
    /// `None` for a tombstone.
    pub(crate) values: Vec<Option<Vec<u8>>>,
    /// 32 hexadecimal digits each.
    pub(crate) ids: Vec<String>,
    bytes: usize,
}

/// The parts of an outbox; what was put in this process is not read again.
#[derive(Debug)]
pub(crate) struct Outbox {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    handle: Handle,
    kept: Mutex<BTreeMap<String, Bytes>>,
}

/// What the manifest says of a part.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// CRC-32C of the part.
    pub(crate) crc32c: u32,
    /// The epoch before that had rows for the topic, if one had.
    pub(crate) after: Option<u64>,
}

// === impl TransactionalSink ===

impl TransactionalSink {
    /// Opens `topic` for the rows of `job`, with the columns `key` as message key; tries for `start_budget` to reach the
    /// brokers.
    ///
    /// # Errors
    /// As [`super::KafkaSink::open`].
    pub fn open(
        client: &KafkaClient,
        job: &str,
        topic: &str,
        key: &[String],
        schema: &Schema,
        config: OutboxConfig,
        start_budget: Duration,
    ) -> Result<Self> {
        let encoder = RowEncoder::new(schema, key)?;
        if partition_count(client, topic, start_budget)?.is_none() {
            return Err(no_topic(topic, client.brokers()));
        }
        let outbox = Arc::new(Outbox::new(&config, topic));
        let transactions = Transactions::new(client.clone(), job, topic, &config.identity, Arc::clone(&outbox));
        transactions.probe()?;
        Ok(Self {
            config,
            encoder,
            topic: topic.to_owned(),
            outbox,
            transactions: Arc::new(transactions),
            open: Records::default(),
            staged: Vec::new(),
            oldest: None,
            after: None,
            sequence: 0,
        })
    }

    /// Puts the open records as a part of the epoch; they stay open if that fails.
    fn put(&mut self) -> Result<()> {
        if self.open.values.is_empty() {
            return Ok(());
        }
        let bytes = self.open.encode()?;
        let OutboxConfig { identity, writer, next, .. } = &self.config;
        let from = format!("{identity}-{next}-{}-{writer}", self.sequence);
        // What the epochs before have sent is known once the job has been taken over.
        let known = self.after.unwrap_or_else(|| self.transactions.known());
        let entry = Entry { crc32c: crc32c::crc32c(&bytes), after: known.0 };
        let entry = serde_json::to_string(&entry).map_err(|error| Error::internal("outbox").caused_by(error))?;
        self.outbox.put(&from, bytes)?;
        let records = std::mem::take(&mut self.open);
        self.after = Some(known);
        self.sequence += 1;
        self.staged.push(StagedFile {
            sink: format!("kafka:{}", self.topic),
            from,
            to: self.topic.clone(),
            rows: records.values.len() as u64,
            bytes: records.bytes as u64,
            entry: Some(entry),
        });
        Ok(())
    }
}

impl Sink for TransactionalSink {
    fn wants_ids(&self) -> bool {
        true
    }

    fn write(&mut self, rows: &SinkRows, now: Micros) -> Result<()> {
        if self.open.bytes >= PART {
            // First, so that an error means that the rows were not taken.
            self.put()?;
        }
        for Message { key, value, id } in messages(&self.encoder, rows)? {
            self.open.bytes += value.as_ref().map_or(0, Vec::len) + key.as_ref().map_or(0, Vec::len);
            self.open.keys.push(key);
            self.open.values.push(value);
            self.open.ids.push(id);
        }
        if !rows.ids.is_empty() {
            self.oldest.get_or_insert(now);
        }
        Ok(())
    }

    fn publish_due(&mut self, _now: Micros) -> Result<Vec<Published>> {
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<Vec<Published>> {
        self.put().map(|()| Vec::new())
    }

    fn buffered_bytes(&self) -> usize {
        self.open.bytes + self.outbox.kept().values().map(Bytes::len).sum::<usize>()
    }

    fn is_due(&self, now: Micros) -> bool {
        self.oldest.is_some_and(|oldest| time::has_passed(oldest, time::micros(self.config.commit_interval), now))
    }

    fn stage(&mut self) -> Result<Vec<StagedFile>> {
        self.put()?;
        let staged = std::mem::take(&mut self.staged);
        if !staged.is_empty() {
            self.after = Some(Known(Some(self.config.next)));
        }
        (self.config.next, self.sequence, self.oldest) = (self.config.next + 1, 0, None);
        Ok(staged)
    }

    fn publisher(&self) -> Option<Arc<dyn Publisher>> {
        Some(Arc::clone(&self.transactions) as Arc<dyn Publisher>)
    }
}

// === impl Records ===

impl Records {
    fn encode(&self) -> Result<Bytes> {
        let columns: [(&str, ArrayRef); 3] = [
            ("key", Arc::new(self.keys.iter().map(Option::as_deref).collect::<BinaryArray>())),
            ("value", Arc::new(self.values.iter().map(Option::as_deref).collect::<BinaryArray>())),
            ("id", Arc::new(StringArray::from_iter_values(&self.ids))),
        ];
        let write = || {
            let batch = RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().zip([true, true, false]).map(|((name, column), null)| (name, column, null)),
            )?;
            let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
            writer.write(&batch)?;
            writer.into_inner()
        };
        let bytes: std::result::Result<Vec<u8>, arrow::error::ArrowError> = write();
        bytes.map(Bytes::from).map_err(|error| Error::internal("outbox of a topic").caused_by(error))
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, arrow::error::ArrowError> {
        let mut records = Self::default();
        for batch in StreamReader::try_new(bytes, None)? {
            let batch = batch?;
            let column = |at: usize| batch.column(at);
            let bytes = |at: usize| column(at).as_binary::<i32>().iter().map(|bytes| bytes.map(<[u8]>::to_vec));
            records.keys.extend(bytes(0));
            records.values.extend(bytes(1));
            records.ids.extend(column(2).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(records)
    }
}

// === impl Outbox ===

impl Outbox {
    /// That of one topic.
    pub(crate) fn new(config: &OutboxConfig, topic: &str) -> Self {
        let OutboxConfig { store, prefix, handle, .. } = config.clone();
        Self { store, prefix: prefix.join(topic), handle, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let path = self.prefix.clone().join(name);
        let put = self.store.put(&path, PutPayload::from(bytes.clone()));
        self.handle.block_on(put).map_err(|error| self.failure("write", name, error))?;
        self.kept().insert(name.to_owned(), bytes);
        Ok(())
    }

    /// The records of a part.
    ///
    /// # Errors
    /// The store cannot be read; permanent: the part is damaged or missing.
    pub(crate) fn read(&self, name: &str, crc32c: u32) -> Result<Records> {
        let kept = self.kept().get(name).cloned();
        let bytes = match kept {
            Some(bytes) => bytes,
            None => {
                let path = self.prefix.clone().join(name);
                let get = async { self.store.get(&path).await?.bytes().await };
                self.handle.block_on(get).map_err(|error| self.failure("read", name, error))?
            }
        };
        let damaged =
            |found: String| Error::unavailable(format!("outbox damaged: {}/{name}: {found}", self.prefix)).permanent();
        let found = crc32c::crc32c(&bytes);
        if found != crc32c {
            return Err(damaged(format!("found CRC-32C {found:08x}, expected {crc32c:08x}")));
        }
        Records::decode(&bytes).map_err(|error| damaged("no Arrow stream".to_owned()).caused_by(error))
    }

    /// True when one of `files` is there.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn has_any(&self, files: &[StagedFile]) -> Result<bool> {
        for file in files {
            match self.handle.block_on(self.store.head(&self.prefix.clone().join(file.from.as_str()))) {
                Ok(_) => return Ok(true),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failure("read", &file.from, error)),
            }
        }
        Ok(false)
    }

    /// Removes a part; one that is not there is fine.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.kept().remove(name);
        match self.handle.block_on(self.store.delete(&self.prefix.clone().join(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failure("remove", name, error)),
        }
    }

    /// Names of all parts.
    pub(crate) fn list(&self) -> Result<Vec<String>> {
        use futures::TryStreamExt;
        let listed = self.store.list(Some(&self.prefix)).map_ok(|part| part.location).try_collect::<Vec<_>>();
        let listed = self.handle.block_on(listed).map_err(|error| self.failure("list", "", error))?;
        Ok(listed.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    fn failure(&self, what: &str, name: &str, error: object_store::Error) -> Error {
        store_failure(what, &format!("{}/{name}", self.prefix), error)
    }
}
