//! What a job asks for besides its SELECT: when results come out, what happens to late rows, where results go.

use crate::stream::Stream;
use std::fmt;
use std::time::Duration;

/// Scheme of a Parquet table.
pub const PARQUET: &str = "parquet";
/// Scheme of a Delta table.
pub const DELTA: &str = "delta";

/// A job's policies, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// Name in SQL, which is also the name of its output.
    pub name: String,
    /// When results come out.
    pub emit: Emit,
    /// How long a window stays open past the watermark.
    pub lateness: Duration,
    /// What happens to rows that come later still.
    pub late: LatePolicy,
    /// Where results go; never empty, no target twice.
    pub sinks: Vec<SinkRef>,
    /// Output columns that make the Kafka message key, and that say which row a later one replaces.
    pub key: Vec<String>,
    /// Folders of a table sink, if the job says; see [`JobSpec::folders`].
    pub partition_by: Option<PartitionBy>,
    /// Size in bytes at which a table file is published.
    pub file_target: u64,
    /// Longest time from a final row to its publication in a table.
    pub freshness: Duration,
    /// Most bytes of state and buffers; `None` is the process's share.
    pub memory_limit: Option<u64>,
}

/// When results come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Emit {
    /// Once, when the watermark has passed the window (a job without windows: at once).
    #[default]
    Final,
    /// When the window ends, and again whenever a row within the job's lateness changes them; rows of one key replace one
    /// another.
    Updates,
    /// As far as they go, so often, and once more when they are final; rows of one key replace one another.
    Early(Duration),
}

/// What happens to a late row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LatePolicy {
    /// It is written to the job's late table.
    #[default]
    Table,
    /// It is counted only.
    Drop,
}

/// One output of a job, written `scheme:target`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkRef {
    /// `parquet`, `delta`, `kafka`, ...
    pub scheme: String,
    /// Table name below the data folder, or topic.
    pub target: String,
}

/// Folders of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionBy {
    /// All files in one folder.
    None,
    /// `hour=2026-03-29T05`.
    Hour,
    /// `day=2026-03-29`.
    Day,
    /// `month=2026-03`.
    Month,
    /// One folder level per output column, `zone=center`.
    Columns(Vec<String>),
}

// === impl PartitionBy ===

impl PartitionBy {
    /// Folders of a table of `scheme` of which nothing is said.
    pub fn of(scheme: &str) -> Self {
        if scheme == DELTA { Self::None } else { Self::Day }
    }
}

// === impl SinkRef ===

impl fmt::Display for SinkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.target)
    }
}

impl SinkRef {
    /// True for a sink that holds a table at rest, which takes a job's late rows and rejects too.
    pub fn is_table(&self) -> bool {
        self.scheme == PARQUET || self.scheme == DELTA
    }
}

// === impl JobSpec ===

impl JobSpec {
    /// Name of the late table for rows of `stream`; a job over several streams has one each.
    pub fn late_table(&self, stream: &str, streams: usize) -> String {
        if streams > 1 { format!("{}_late_{stream}", self.name) } else { format!("{}_late", self.name) }
    }

    /// The late table for rows of `stream` as a sink: a Delta table if the job's first sink is one.
    pub fn late_sink(&self, stream: &str, streams: usize) -> SinkRef {
        let is_delta = self.sinks.first().is_some_and(|sink| sink.scheme == DELTA);
        let scheme = if is_delta { DELTA } else { PARQUET }.to_owned();
        SinkRef { scheme, target: self.late_table(stream, streams) }
    }

    /// Where the job keeps the records of `stream` that it rejected.
    pub fn rejects_sink(&self, stream: &Stream) -> SinkRef {
        SinkRef { scheme: PARQUET.to_owned(), target: format!("{}/{}", stream.rejects, self.name) }
    }

    /// Folders of the job's tables of `scheme`: without a word of the job, days of a Parquet table and none of a Delta table.
    pub fn folders(&self, scheme: &str) -> PartitionBy {
        self.partition_by.clone().unwrap_or_else(|| PartitionBy::of(scheme))
    }
}
