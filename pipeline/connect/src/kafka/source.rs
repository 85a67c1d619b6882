//! Reads one topic: all partitions, assigned by hand, committed records only, from positions that the caller keeps.
//!
//! Messages come in bulk, through [`super::batch`]; nothing is allocated for a single one.

use super::admin::{self, Answer};
use super::batch::{Kind, Reader};
use super::config::{KafkaClient, not_created};
use super::fault::{Class, End, Faults, Stats, no_topic, refused};
use super::gather::Gather;
use super::start::{self, Offsets};
use crate::source::{Source, SourceEvent};
use citystream_model::position::{Offset, Partition, StartFrom};
use citystream_model::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset as Kafka, TopicPartitionList};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

/// How often an idle source asks whether its topic is still there, and how long the brokers may deny it before they
/// are believed: one that has just started may not know all topics yet.
const CHECK: Duration = Duration::from_secs(5);
/// How long a source that waits for records does not look at anything else.
const LOOK: Duration = Duration::from_millis(50);
/// How often it asks while they deny it.
const DOUBT: Duration = Duration::from_secs(1);

/// A topic being read; see [`Source`] for the laws.
pub struct KafkaSource {
    // === PROPERTIES ===
    reader: Reader,
    brokers: String,
    topic: String,
    /// False when nobody asks for the records' headers.
    with_headers: bool,
    /// First offset of each partition.
    starts: Offsets,
    /// Last stable offsets at the start.
    ends: Offsets,
    // === STATES ===
    progress: BTreeMap<Partition, Progress>,
    /// True between [`SourceEvent::Unavailable`] and [`SourceEvent::Recovered`].
    down: bool,
    /// Since when the brokers deny that the topic is there.
    doubt: Option<Instant>,
    /// When they were asked for it last.
    asked: Instant,
}

/// How far a partition was read.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Next offset to read.
    next: Offset,
    /// True when nothing came behind the newest end-of-partition event.
    at_end: bool,
    /// Newest end that the client knows.
    end: Option<End>,
}

// === impl KafkaSource ===

impl KafkaSource {
    /// Starts to read `topic`; tries for `start_budget` to reach the brokers.
    ///
    /// # Errors
    /// Brokers not reachable within the budget; at once and for good: wrong options, a refused login, a missing
    /// topic, a stored position that the log does not have.
    pub fn open(client: &KafkaClient, topic: &str, from: &StartFrom, start_budget: Duration) -> Result<Self> {
        super::check_topic(topic)?;
        let group = format!("citystream-{:016x}", RandomState::new().hash_one(topic));
        let consumer: BaseConsumer<Faults> = client
            .consumer_config(&group)
            .create_with_context(Faults::default())
            .map_err(|error| not_created(&error))?;
        let found = start::find(&consumer, client.brokers(), topic, from, start_budget)?;
        let reader = Reader::new(consumer, topic)?;
        found.starts.keys().try_for_each(|partition| reader.forward(*partition))?;
        let list = start::assignment(topic, &found.starts)?;
        reader.consumer().assign(&list).map_err(|error| refusal("assign", &error))?;
        Ok(Self {
            reader,
            with_headers: true,
            brokers: client.brokers().to_owned(),
            topic: topic.to_owned(),
            progress: found.starts.iter().map(|(partition, next)| (*partition, Progress::at(*next))).collect(),
            starts: found.starts,
            ends: found.ends,
            down: false,
            doubt: None,
            asked: Instant::now(),
        })
    }

    /// Takes what is there until `gather` is full; returns how many messages.
    fn take(&mut self, wait: Duration, max_records: usize, gather: &mut Gather) -> Result<usize> {
        let mut failed = Vec::new();
        let (progress, with_headers) = (&mut self.progress, self.with_headers);
        let count = self.reader.take(wait, |message| {
            match message.kind() {
                Kind::Record => gather.push(&message, with_headers),
                Kind::AtEnd(offset) => {
                    let partition = message.partition();
                    if let Some(progress) = progress.get_mut(&partition) {
                        (progress.next, progress.at_end) = (progress.next.max(offset), true);
                        gather.note(SourceEvent::AtEnd { partition, offset: progress.next });
                    }
                }
                Kind::Failed(error) => failed.push(error),
            }
            gather.is_full(max_records)
        });
        for (partition, next) in gather.positions() {
            if let Some(progress) = progress.get_mut(&partition) {
                (progress.next, progress.at_end) = (next, false);
            }
        }
        if count > failed.len() {
            self.recovered(gather);
        }
        failed.iter().try_for_each(|error| self.failed(error, gather))?;
        Ok(count)
    }

    /// Leaves the headers of records out: for streams whose headers neither a column nor a query reads. librdkafka builds
    /// a buffer to look for them even where there are none, which is a third of all that reading costs.
    #[must_use]
    pub fn without_headers(self) -> Self {
        Self { with_headers: false, ..self }
    }

    /// Sorts an error by whose move it is; what may pass is no error of ours.
    fn failed(&mut self, error: &KafkaError, gather: &mut Gather) -> Result<()> {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let detail = self.reader.consumer().context().detail(&code.to_string());
        match Class::of(code) {
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Err(Error::internal(format!("topic '{}': the Kafka client failed for good: {detail}", self.topic)))
            }
            Class::Refused => {
                let detail = self.reader.consumer().context().seen().refused.clone().unwrap_or(detail);
                Err(refused(&self.brokers, &detail))
            }
            Class::Range => Err(self.lost(&detail)),
            Class::Corrupt => Err(Error::unavailable(format!(
                "topic '{}': a batch of records cannot be read: {detail}; see the broker's log",
                self.topic
            ))
            .permanent()),
            Class::NoTopic => {
                self.doubt.get_or_insert_with(Instant::now);
                Ok(())
            }
            Class::AllDown => {
                if !self.down {
                    self.down = true;
                    gather.note(SourceEvent::Unavailable { detail });
                }
                Ok(())
            }
            Class::Tls | Class::Transport | Class::Group | Class::Other => {
                tracing::debug!(topic = self.topic, %code, detail, "kafka source goes on");
                Ok(())
            }
        }
    }

    fn recovered(&mut self, gather: &mut Gather) {
        if self.down {
            self.down = false;
            gather.note(SourceEvent::Recovered);
        }
    }

    /// An error with the numbers: what was to be read next and what the log has.
    fn lost(&self, detail: &str) -> Error {
        let next: Offsets = self.progress.iter().map(|(partition, progress)| (*partition, progress.next)).collect();
        let partitions: Vec<Partition> = next.keys().copied().collect();
        let lows =
            start::offsets_at(self.reader.consumer(), &self.topic, &partitions, Kafka::Beginning).unwrap_or_default();
        let ends = start::offsets_at(self.reader.consumer(), &self.topic, &partitions, Kafka::End).unwrap_or_default();
        start::lost_position(&self.topic, &next, &lows, &ends).unwrap_or_else(|| {
            Error::unavailable(format!("topic '{}': the next offset is not in the log: {detail}", self.topic))
                .permanent()
        })
    }

    /// Takes the newest statistics: ends, new partitions, connected brokers. No request is made for them.
    fn look_around(&mut self, gather: &mut Gather) -> Result<()> {
        while let Some(error) = self.reader.serve() {
            self.failed(&error, gather)?;
        }
        let stats = self.reader.consumer().context().seen().stats.take();
        if let Some(Stats { connected, mut ends }) = stats {
            if connected {
                self.recovered(gather);
            }
            for (partition, end) in ends.remove(&self.topic).unwrap_or_default() {
                match self.progress.get_mut(&partition) {
                    Some(progress) => progress.end = Some(end),
                    None => self.add(partition, gather)?,
                }
            }
        }
        Ok(())
    }

    /// Reads a partition that appeared, from its first record.
    fn add(&mut self, partition: Partition, gather: &mut Gather) -> Result<()> {
        // A partition so new that it has no leader yet is tried again with the next statistics.
        let Ok(lows) = start::offsets_at(self.reader.consumer(), &self.topic, &[partition], Kafka::Beginning) else {
            return Ok(());
        };
        let Some(low) = lows.get(&partition) else { return Ok(()) };
        let list = start::assignment(&self.topic, &lows)?;
        self.reader.forward(partition)?;
        self.reader.consumer().incremental_assign(&list).map_err(|error| refusal("assign", &error))?;
        self.starts.insert(partition, *low);
        self.progress.insert(partition, Progress::at(*low));
        gather.note(SourceEvent::Added { partition });
        Ok(())
    }

    /// Asks the brokers now and then whether the topic is still there; only of a source that has nothing to read.
    fn confirm(&mut self) -> Result<()> {
        let pause = if self.doubt.is_some() { DOUBT } else { CHECK };
        if self.down || self.asked.elapsed() < pause {
            return Ok(());
        }
        self.asked = Instant::now();
        match (admin::ask(self.reader.consumer(), &self.topic), self.doubt) {
            (Answer::Missing, Some(since)) if since.elapsed() >= CHECK => {
                Err(no_topic(&self.topic, &self.brokers).with("while", "reading; it was deleted"))
            }
            (Answer::Missing, None) => {
                self.doubt = Some(self.asked);
                Ok(())
            }
            (Answer::Partitions(_), _) => {
                self.doubt = None;
                Ok(())
            }
            (Answer::Missing | Answer::Wait(_), _) => Ok(()),
        }
    }

    fn list(&self, partitions: &[Partition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions.iter().filter(|partition| self.progress.contains_key(partition)) {
            list.add_partition(&self.topic, *partition);
        }
        list
    }
}

impl Source for KafkaSource {
    fn partitions(&self) -> Vec<Partition> {
        self.progress.keys().copied().collect()
    }

    fn end_offsets(&self) -> BTreeMap<Partition, Offset> {
        self.ends.clone()
    }

    fn start_offsets(&self) -> BTreeMap<Partition, Offset> {
        self.starts.clone()
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        self.progress.iter().map(|(partition, progress)| (*partition, progress.next)).collect()
    }

    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Vec<SourceEvent>> {
        let deadline = Instant::now() + wait;
        let mut gather = Gather::default();
        self.look_around(&mut gather)?;
        while !gather.is_full(max_records) {
            let left =
                if gather.is_empty() { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            if self.take(left.min(LOOK), max_records, &mut gather)? == 0 {
                self.look_around(&mut gather)?;
                self.confirm()?;
                if !gather.is_empty() || Instant::now() >= deadline {
                    break;
                }
            }
        }
        Ok(gather.finish())
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<()> {
        self.reader.consumer().pause(&self.list(partitions)).map_err(|error| refusal("pause", &error))
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<()> {
        self.reader.consumer().resume(&self.list(partitions)).map_err(|error| refusal("resume", &error))
    }

    fn lag(&mut self) -> BTreeMap<Partition, i64> {
        let lag = |(partition, progress): (&Partition, &Progress)| {
            (*partition, progress.lag(self.ends.get(partition).copied().unwrap_or(0)))
        };
        self.progress.iter().map(lag).collect()
    }
}

// === impl Progress ===

impl Progress {
    fn at(next: Offset) -> Self {
        Self { next, at_end: false, end: None }
    }

    /// Records behind `next`; `known` is the end found at the start.
    fn lag(&self, known: Offset) -> i64 {
        match self.end {
            // What stands between is control records only.
            Some(end) if self.at_end && end.reported >= 0 && end.reported >= end.stable => 0,
            Some(end) if end.stable >= 0 => (end.stable.max(known) - self.next).max(0),
            _ => (known - self.next).max(0),
        }
    }
}

fn refusal(what: &str, error: &KafkaError) -> Error {
    Error::internal(format!("kafka source: {what} failed: {error}"))
}
