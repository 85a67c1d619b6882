//! What goes wrong between us and the brokers, sorted by whose move it is; and what the client's statistics say.

use citystream_model::position::{Offset, Partition};
use citystream_model::{Error, Result};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::statistics::Statistics;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Collects what a client reports outside its calls.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Seen>);

/// What was reported so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The last refused login.
    pub(crate) refused: Option<String>,
    /// The last failed TLS handshake.
    pub(crate) tls: Option<String>,
    /// The last other trouble, in the client's words.
    pub(crate) transport: Option<String>,
    /// The last statistics, until they are taken.
    pub(crate) stats: Option<Stats>,
}

/// The part of the client's statistics that a source needs.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// True when at least one broker is connected.
    pub(crate) connected: bool,
    /// Partitions by topic, then number.
    pub(crate) ends: BTreeMap<String, BTreeMap<Partition, End>>,
}

/// What the client knows of the end of a partition; negative numbers mean "not known".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Last stable offset of the newest answer.
    pub(crate) stable: Offset,
    /// Offset of the newest end-of-partition event.
    pub(crate) reported: Offset,
}

/// Whose move an error code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Wrong login or missing right: a person has to act.
    Refused,
    /// TLS does not come about: wrong certificate, or a broker going down in the middle of a handshake.
    Tls,
    /// The network or brokers; the client tries again by itself.
    Transport,
    /// Not one broker answers.
    AllDown,
    /// The topic or partition is not there.
    NoTopic,
    /// The position is not in the log any more.
    Range,
    /// Bytes in the log that are no records.
    Corrupt,
    /// Of the consumer group, which we do not use.
    Group,
    /// Anything else.
    Other,
}

// === impl Class ===

impl Class {
    pub(crate) fn of(code: Code) -> Self {
        match code {
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed => Self::Refused,
            Code::SSL => Self::Tls,
            Code::AllBrokersDown => Self::AllDown,
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
                Self::NoTopic
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => Self::Range,
            Code::BadMessage | Code::BadCompression | Code::InvalidMessage => Self::Corrupt,
            Code::GroupAuthorizationFailed | Code::CoordinatorNotAvailable | Code::NotCoordinator => Self::Group,
            Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut | Code::NetworkException => {
                Self::Transport
            }
            _ => Self::Other,
        }
    }
}

// === impl Faults ===

impl Faults {
    /// What was seen so far.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails when the brokers refused us, which no retry changes.
    pub(crate) fn check_refused(&self, brokers: &str) -> Result<()> {
        let seen = self.seen();
        match (&seen.refused, &seen.tls) {
            (Some(detail), _) => Err(refused(brokers, detail)),
            (None, Some(detail)) => Err(Error::unavailable(format!(
                "brokers {brokers}: TLS failed: {detail}; check security.protocol and the ssl options"
            ))
            .permanent()),
            (None, None) => Ok(()),
        }
    }

    /// The last trouble in the client's words, else `or`.
    pub(crate) fn detail(&self, or: &str) -> String {
        self.seen().transport.clone().unwrap_or_else(|| or.to_owned())
    }
}

impl ClientContext for Faults {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // Options of the other kind of client are harmless: `[kafka]` holds for sources and sinks.
        if facility == "CONFWARN" || !matches!(level, RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert) {
            tracing::debug!(facility, "librdkafka: {text}");
        } else {
            tracing::warn!(facility, "librdkafka: {text}");
        }
    }

    fn stats(&self, statistics: Statistics) {
        let end = |end: &rdkafka::statistics::Partition| End { stable: end.ls_offset, reported: end.eof_offset };
        let ends = statistics.topics.into_iter().map(|(topic, found)| {
            let numbered = found.partitions.iter().filter(|(number, _)| **number >= 0);
            (topic, numbered.map(|(number, partition)| (*number, end(partition))).collect())
        });
        let connected = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.seen().stats = Some(Stats { connected, ends: ends.collect() });
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == Code::PartitionEOF {
            return;
        }
        tracing::debug!(%code, "kafka client: {reason}");
        let mut seen = self.seen();
        match Class::of(code) {
            Class::Refused => seen.refused = Some(reason.to_owned()),
            Class::Tls => seen.tls = Some(reason.to_owned()),
            // "1/1 brokers are down" says less than the reason before it.
            Class::AllDown if seen.transport.is_some() => {}
            Class::Group => {}
            _ => seen.transport = Some(reason.to_owned()),
        }
    }
}

impl ConsumerContext for Faults {}

/// The brokers refused the login or a right.
pub(crate) fn refused(brokers: &str, detail: &str) -> Error {
    Error::unavailable(format!("brokers {brokers}: access refused: {detail}; check the login and its rights"))
        .permanent()
}

/// No broker answered within the budget.
pub(crate) fn unreachable(brokers: &str, detail: &str) -> Error {
    Error::unavailable(format!("brokers not reachable: {brokers}: {detail}"))
}

/// The topic is not there.
pub(crate) fn no_topic(topic: &str, brokers: &str) -> Error {
    Error::unavailable(format!("topic '{topic}' does not exist on brokers {brokers}; create it or check LOCATION"))
        .permanent()
}
