//! What a job is doing, for people: the progress line and the summary at the end.

use citystream_connect::Published;
use citystream_model::time::Watermark;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared between a job and those who look at it.
#[derive(Debug, Clone, Default)]
pub struct StatusBoard(Arc<Mutex<Status>>);

/// A job's state and totals.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What the job is doing.
    pub state: State,
    /// Records read.
    pub read: u64,
    /// Rows admitted.
    pub admitted: u64,
    /// Late rows.
    pub late: u64,
    /// Rejected records.
    pub rejected: u64,
    /// The same by reason; reasons without a record are left out.
    pub rejected_reasons: BTreeMap<&'static str, u64>,
    /// Tombstones skipped.
    pub tombstones: u64,
    /// Rows on which an expression failed and gave NULL.
    pub expression_errors: u64,
    /// Result rows given to the sinks.
    pub results: u64,
    /// Records that wait in the topics.
    pub lag: i64,
    /// The job's watermark.
    pub watermark: Option<Watermark>,
    /// Stream and partition that hold the watermark back.
    pub held_back_by: Option<(String, i32)>,
    /// Rows, files and bytes published, by sink.
    pub published: BTreeMap<String, Totals>,
}

/// Totals of one sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows published.
    pub rows: u64,
    /// Files of a table; 0 for a topic, whose messages are no files.
    pub files: u64,
    /// Bytes published.
    pub bytes: u64,
}

/// What a job is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// It connects.
    #[default]
    Starting,
    /// It reads again, in silence, what was read since the state of its checkpoint.
    Replaying,
    /// It reads and computes.
    Running,
    /// It waits for the environment and tries again.
    Waiting(String),
    /// It ended in good order.
    Finished,
    /// It failed, for this reason.
    Failed(String),
}

// === impl StatusBoard ===

impl StatusBoard {
    /// Changes the status.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A copy of the status.
    pub fn get(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl Status ===

impl Status {
    /// Adds a publication to the totals of its sink.
    pub fn add(&mut self, published: &Published) {
        let totals = self.published.entry(published.sink.clone()).or_default();
        totals.rows += published.rows;
        // The path of a publication to a topic is the topic itself.
        let is_topic = published.sink.strip_prefix("kafka:") == Some(published.path.as_str());
        totals.files += u64::from(!is_topic);
        totals.bytes += published.bytes;
    }
}
