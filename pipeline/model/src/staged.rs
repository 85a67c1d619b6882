//! Files that wait for their epoch to be decided.

use serde::{Deserialize, Serialize};

/// A file that is complete and durable, and that becomes part of its table when its epoch is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagedFile {
    /// The sink as written, such as `parquet:congestion`.
    pub sink: String,
    /// File as it is, below the table's folder.
    pub from: String,
    /// File as it will be, below the table's folder; the same as `from` where the table has a log that decides.
    pub to: String,
    /// Number of rows.
    pub rows: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// What the table's log is to say of it, where there is one: the sink's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
}
