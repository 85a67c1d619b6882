//! Where a source starts and where the log ends at that time, with retries until the brokers answer.

use super::admin::partitions_of;
use super::fault::{Class, Faults, no_topic, refused, unreachable};
use citystream_model::position::{Offset, Partition, Positions, StartFrom};
use citystream_model::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset as Kafka, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Offsets by partition.
pub(crate) type Offsets = BTreeMap<Partition, Offset>;

/// How long one request may take.
pub(crate) const REQUEST: Duration = Duration::from_secs(5);
/// Pause between two tries; spent on the client's events.
const PAUSE: Duration = Duration::from_millis(200);

/// What was found at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// First offset to read of each partition.
    pub(crate) starts: Offsets,
    /// Last stable offset of each partition.
    pub(crate) ends: Offsets,
}

/// Finds partitions, start and end of `topic`.
pub(crate) fn find(
    consumer: &BaseConsumer<Faults>,
    brokers: &str,
    topic: &str,
    from: &StartFrom,
    budget: Duration,
) -> Result<Start> {
    let deadline = Instant::now() + budget;
    loop {
        let Some(partitions) = partitions_of(consumer, brokers, topic, deadline)? else {
            return Err(no_topic(topic, brokers));
        };
        let error = match attempt(consumer, topic, from, &partitions) {
            Ok(start) => return start.check(topic, from),
            Err(error) => error,
        };
        let code = error.rdkafka_error_code();
        if code.map(Class::of) == Some(Class::Refused) {
            return Err(refused(brokers, &error.to_string()));
        }
        consumer.context().check_refused(brokers)?;
        if Instant::now() >= deadline {
            return Err(unreachable(brokers, &consumer.context().detail(&error.to_string())).caused_by(error));
        }
        let _ = consumer.poll(PAUSE);
    }
}

/// Offsets that `wanted` stands for (beginning, end, or a record time in milliseconds); a time behind the newest
/// record has none. The client asks with its isolation level, so that the end is the last stable offset.
pub(crate) fn offsets_at(
    consumer: &BaseConsumer<Faults>,
    topic: &str,
    partitions: &[Partition],
    wanted: Kafka,
) -> KafkaResult<Offsets> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition_offset(topic, *partition, wanted)?;
    }
    if partitions.is_empty() {
        return Ok(Offsets::new());
    }
    let found = consumer.offsets_for_times(list, REQUEST)?;
    let mut offsets = Offsets::new();
    for element in found.elements() {
        element.error()?;
        if let Kafka::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}

/// The list that assigns `offsets` of `topic`.
pub(crate) fn assignment(topic: &str, offsets: &Offsets) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Kafka::Offset(*offset))
            .map_err(|error| Error::internal(format!("offset {offset} of '{topic}' cannot be assigned: {error}")))?;
    }
    Ok(list)
}

/// Says which position of `next` the log does not have, given its `lows` and `ends`.
pub(crate) fn lost_position(topic: &str, next: &Offsets, lows: &Offsets, ends: &Offsets) -> Option<Error> {
    let lost = next.iter().find_map(|(partition, offset)| {
        let (low, end) = (*lows.get(partition)?, *ends.get(partition)?);
        let at = format!("topic '{topic}' partition {partition}: offset {offset} is next");
        if *offset < low {
            let gone = low - offset;
            Some(format!("{at} but the log starts at {low}: {gone} records were deleted before they were read"))
        } else if *offset > end {
            Some(format!("{at} but the log ends at {end}: the topic was made anew or lost records"))
        } else {
            None
        }
    })?;
    let remedy = "raise the topic's retention, or start anew without this checkpoint";
    Some(Error::unavailable(format!("{lost}; {remedy}")).permanent())
}

fn attempt(
    consumer: &BaseConsumer<Faults>,
    topic: &str,
    from: &StartFrom,
    partitions: &[Partition],
) -> KafkaResult<Unchecked> {
    let ends = offsets_at(consumer, topic, partitions, Kafka::End)?;
    let lows = offsets_at(consumer, topic, partitions, Kafka::Beginning)?;
    if ends.len() < partitions.len() || lows.len() < partitions.len() {
        return Err(KafkaError::NoMessageReceived);
    }
    let starts = match from {
        StartFrom::Earliest => lows.clone(),
        StartFrom::Latest => ends.clone(),
        StartFrom::Time(at) => {
            // Kafka counts milliseconds; -1 and -2 mean end and beginning there.
            let millis = at.div_euclid(1000) + i64::from(at.rem_euclid(1000) > 0);
            let mut found = offsets_at(consumer, topic, partitions, Kafka::Offset(millis.max(0)))?;
            for (partition, end) in &ends {
                found.entry(*partition).or_insert(*end);
            }
            found
        }
        StartFrom::Positions(Positions(stored)) => {
            lows.iter().map(|(partition, low)| (*partition, stored.get(partition).copied().unwrap_or(*low))).collect()
        }
    };
    Ok(Unchecked { starts, lows, ends })
}

/// An answer of the brokers that stored positions may not fit.
struct Unchecked {
    starts: Offsets,
    lows: Offsets,
    ends: Offsets,
}

// === impl Unchecked ===

impl Unchecked {
    fn check(self, topic: &str, from: &StartFrom) -> Result<Start> {
        if let StartFrom::Positions(Positions(stored)) = from {
            if let Some(gone) = stored.keys().find(|partition| !self.ends.contains_key(partition)) {
                let count = self.ends.len();
                return Err(Error::unavailable(format!(
                    "topic '{topic}': a position of partition {gone} is stored but there are {count} partitions: \
                     the topic was made anew; start anew without this checkpoint"
                ))
                .permanent());
            }
            if let Some(error) = lost_position(topic, &self.starts, &self.lows, &self.ends) {
                return Err(error);
            }
        }
        Ok(Start { starts: self.starts, ends: self.ends })
    }
}
