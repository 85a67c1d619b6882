//! The broker's settings, their defaults, and the check that they fit together.

use crate::error::{Error, Result};

/// Settings of one broker. `BrokerConfig::default()` suits tests and the demo.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Loopback port; 0 takes a free one.
    pub port: u16,
    /// Partitions of a topic created without a number (Kafka `num.partitions`).
    pub default_partitions: i32,
    /// Largest record batch that is accepted, in bytes (Kafka `message.max.bytes`). Topics may override it.
    pub message_max_bytes: usize,
    /// Largest request frame, in bytes (Kafka `socket.request.max.bytes`). A longer one ends its connection.
    pub request_max_bytes: usize,
    /// Bound on all stored record batches together, in bytes. Beyond it the largest partition loses its oldest segment.
    pub memory_max_bytes: usize,
    /// How much is dropped at once when memory is full, in bytes.
    pub segment_bytes: usize,
    /// Most client connections at a time; further ones are closed at once.
    pub max_connections: usize,
    /// Longest transaction a producer may ask for, in milliseconds (Kafka `transaction.max.timeout.ms`).
    pub transaction_max_timeout_ms: i32,
}

// === impl BrokerConfig ===

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            port: 0,
            default_partitions: 1,
            message_max_bytes: 16 << 20,
            request_max_bytes: 100 << 20,
            memory_max_bytes: 2 << 30,
            segment_bytes: 16 << 20,
            max_connections: 1_000,
            transaction_max_timeout_ms: 900_000,
        }
    }
}

impl BrokerConfig {
    /// Refuses settings under which a legal message could never be stored or sent.
    pub(crate) fn check(&self) -> Result<()> {
        at_least("default_partitions", self.default_partitions, 1)?;
        at_least("message_max_bytes", self.message_max_bytes, 1_024)?;
        // A request carries the batch plus topic names and headers.
        at_least("request_max_bytes", self.request_max_bytes, self.message_max_bytes.saturating_add(64 << 10))?;
        // One batch must always fit, or room could never be made for it.
        at_least("memory_max_bytes", self.memory_max_bytes, self.message_max_bytes.saturating_add(1_024))?;
        at_least("segment_bytes", self.segment_bytes, 1)?;
        at_least("max_connections", self.max_connections, 1)?;
        at_least("transaction_max_timeout_ms", self.transaction_max_timeout_ms, 1)
    }
}

fn at_least<T: PartialOrd + std::fmt::Display>(option: &'static str, found: T, least: T) -> Result<()> {
    if found >= least {
        return Ok(());
    }
    Err(Error::Config { option, detail: format!("found {found}, expected at least {least}") })
}
