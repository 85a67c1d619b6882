//! The one place that reads the wall clock: log timestamps of control records.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, as Kafka stamps records.
#[allow(clippy::disallowed_methods, reason = "a broker stamps control records with the wall clock, as Kafka does")]
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
