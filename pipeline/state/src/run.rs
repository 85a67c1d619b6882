//! Immutable runs: what an operator remembers, as rows.

use arrow::record_batch::RecordBatch;

/// A part of an operator's state, as rows: what one shard has of several keys.
#[derive(Debug, Clone)]
pub struct Run {
    /// Input that the rows came from; 0 for states that aggregates made of rows.
    pub port: usize,
    /// The rows; which columns, is the operator's.
    pub batch: RecordBatch,
}

/// Whose run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Number of the operator in the job's plan.
    pub operator: usize,
    /// Stage that it ran in.
    pub stage: usize,
    /// Number of the shard that held it.
    pub shard: usize,
}

/// What an operator gives for a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// True when the runs are the whole state, and those of earlier checkpoints are not needed any more; else they are
    /// what came since the last checkpoint.
    pub is_whole: bool,
    /// The runs.
    pub runs: Vec<Run>,
}
