//! All topics, and the memory that their records may take together.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use tracing::warn;

use crate::config::BrokerConfig;
use crate::log::batch::{Marker, NewBatch, Producer};
use crate::log::partition::{self, Partition};

/// Bounds on names, so that a client cannot fill memory with empty topics.
const MAX_TOPICS: usize = 10_000;
const MAX_PARTITIONS_PER_TOPIC: i32 = 10_000;
const MAX_NAME_BYTES: usize = 249;
/// Charged for a control record: header and one small record.
const MARKER_BYTES: usize = 78;

/// A topic: its partitions by number, and its settings as they were written.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) settings: BTreeMap<String, String>,
    /// From the setting `max.message.bytes`; the broker's bound without it.
    pub(crate) message_max_bytes: Option<usize>,
}

/// What memory pressure cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Segments dropped.
    pub segments: u64,
    /// Records in them, control records included.
    pub records: u64,
    /// Memory that they took, in bytes.
    pub bytes: u64,
}

/// Topics by name.
///
/// Invariant: `used_bytes` is the sum over the partitions and never exceeds `memory_max_bytes` after an append.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) topics: BTreeMap<String, Topic>,
    used_bytes: usize,
    memory_max_bytes: usize,
    segment_bytes: usize,
    message_max_bytes: usize,
    pub(crate) evicted: Evicted,
}

// === impl Store ===

impl Store {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        Self {
            topics: BTreeMap::new(),
            used_bytes: 0,
            memory_max_bytes: config.memory_max_bytes,
            segment_bytes: config.segment_bytes,
            message_max_bytes: config.message_max_bytes,
            evicted: Evicted::default(),
        }
    }

    /// Whether a topic of this name, width and settings could be created now.
    pub(crate) fn check_new_topic(
        &self,
        name: &str,
        partitions: i32,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), ResponseError> {
        check_name(name)?;
        if self.topics.contains_key(name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        if self.topics.len() >= MAX_TOPICS {
            return Err(ResponseError::PolicyViolation);
        }
        if !(1..=MAX_PARTITIONS_PER_TOPIC).contains(&partitions) {
            return Err(ResponseError::InvalidPartitions);
        }
        message_limit(settings).map(|_| ())
    }

    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        settings: BTreeMap<String, String>,
    ) -> Result<(), ResponseError> {
        self.check_new_topic(name, partitions, &settings)?;
        let mut topic = Topic { message_max_bytes: message_limit(&settings)?, settings, ..Topic::default() };
        topic.widen(partitions);
        self.topics.insert(name.to_owned(), topic);
        Ok(())
    }

    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<(), ResponseError> {
        let Some(topic) = self.topics.remove(name) else {
            return Err(ResponseError::UnknownTopicOrPartition);
        };
        let freed: usize = topic.partitions.iter().map(Partition::used_bytes).sum();
        self.used_bytes -= freed;
        Ok(())
    }

    /// Adds partitions up to `count`; only looks when `dry`.
    pub(crate) fn add_partitions(&mut self, name: &str, count: i32, dry: bool) -> Result<(), ResponseError> {
        let Some(topic) = self.topics.get_mut(name) else {
            return Err(ResponseError::UnknownTopicOrPartition);
        };
        if count <= topic.width() || count > MAX_PARTITIONS_PER_TOPIC {
            return Err(ResponseError::InvalidPartitions);
        }
        if !dry {
            topic.widen(count);
        }
        Ok(())
    }

    pub(crate) fn partition(&self, topic: &str, index: i32) -> Result<&Partition, ResponseError> {
        let index = usize::try_from(index).ok();
        self.topics.get(topic).and_then(|t| t.partitions.get(index?)).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Largest batch that this topic takes, in bytes.
    pub(crate) fn message_max_bytes(&self, topic: &Topic) -> usize {
        topic.message_max_bytes.unwrap_or(self.message_max_bytes)
    }

    /// Appends a batch, or finds that it was appended before. Returns its offset.
    pub(crate) fn append(&mut self, topic: &str, index: i32, batch: NewBatch) -> Result<i64, ResponseError> {
        if let Some(offset) = self.partition(topic, index)?.check(&batch)? {
            return Ok(offset);
        }
        let found = self.topics.get(topic);
        let limit = found.map_or(0, |t| self.message_max_bytes(t));
        // A topic may ask for more than the broker holds; memory was sized for the broker's own bound.
        if batch.len() > limit.min(self.memory_max_bytes.saturating_sub(1_024)) {
            return Err(ResponseError::MessageTooLarge);
        }
        let cost = partition::cost(batch.len());
        self.make_room(cost);
        let offset = self.partition_mut(topic, index)?.append(batch);
        self.used_bytes += cost;
        Ok(offset)
    }

    /// Ends a producer's transaction in one partition; a topic deleted meanwhile needs no marker.
    pub(crate) fn end_transaction(&mut self, topic: &str, index: i32, marker: Marker, producer: Producer, now_ms: i64) {
        let cost = partition::cost(MARKER_BYTES);
        self.make_room(cost);
        if let Ok(partition) = self.partition_mut(topic, index) {
            partition.end_transaction(marker, producer, now_ms);
            self.used_bytes += cost;
        }
    }

    fn partition_mut(&mut self, topic: &str, index: i32) -> Result<&mut Partition, ResponseError> {
        let index = usize::try_from(index).ok();
        self.topics
            .get_mut(topic)
            .and_then(|t| t.partitions.get_mut(index?))
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Drops oldest segments, always of the partition that is largest then, until `incoming` bytes fit.
    fn make_room(&mut self, incoming: usize) {
        while self.used_bytes + incoming > self.memory_max_bytes {
            let partitions = self.topics.iter_mut().flat_map(|(name, topic)| {
                let numbered = topic.partitions.iter_mut().enumerate();
                numbered.map(move |(index, partition)| (name, index, partition))
            });
            let Some((topic, index, largest)) = partitions.max_by_key(|(_, _, p)| p.used_bytes()) else {
                return;
            };
            let dropped = largest.drop_oldest(self.segment_bytes);
            if dropped.bytes == 0 {
                return;
            }
            warn!(
                topic,
                partition = index,
                records = dropped.records,
                bytes = dropped.bytes,
                log_start_offset = largest.marks().start,
                memory_max_bytes = self.memory_max_bytes,
                "memory is full, oldest records dropped"
            );
            self.used_bytes -= dropped.bytes;
            self.evicted.segments += 1;
            self.evicted.records += dropped.records;
            self.evicted.bytes += dropped.bytes as u64;
        }
    }
}

// === impl Topic ===

impl Topic {
    /// Number of partitions.
    pub(crate) fn width(&self) -> i32 {
        // `widen` keeps it within MAX_PARTITIONS_PER_TOPIC.
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    fn widen(&mut self, count: i32) {
        let count = usize::try_from(count).unwrap_or(0);
        self.partitions.resize_with(count, Partition::default);
    }
}

/// Kafka's rule for topic names.
pub(crate) fn check_name(name: &str) -> Result<(), ResponseError> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let good =
        !name.is_empty() && name.len() <= MAX_NAME_BYTES && name != "." && name != ".." && name.bytes().all(legal);
    if good { Ok(()) } else { Err(ResponseError::InvalidTopicException) }
}

fn message_limit(settings: &BTreeMap<String, String>) -> Result<Option<usize>, ResponseError> {
    match settings.get("max.message.bytes") {
        None => Ok(None),
        Some(written) => written.parse().map(Some).map_err(|_| ResponseError::InvalidConfig),
    }
}
