//! Tables of which a log decides, not the folder: what the sink asks of it.

use crate::sink::Publisher;
use citystream_model::{Result, StagedFile};
use parquet::file::metadata::ParquetMetaData;
use std::fmt::Debug;
use std::sync::Arc;

/// A complete file, before it is put.
#[derive(Debug)]
pub struct CompleteFile<'a> {
    /// Its name below the table's folder.
    pub name: &'a str,
    /// Each column of the folder that it lies in, with its value; `None` is NULL.
    pub folder: &'a [(String, Option<String>)],
    /// Number of bytes.
    pub bytes: u64,
    /// Its footer, with the statistics of its columns.
    pub metadata: &'a ParquetMetaData,
}

/// The log of a table: a file counts when the log says so. Files are put where they stay, under names that no other process
/// writes.
pub trait TableLog: Debug + Send + Sync {
    /// What the log is to say of a file, to be kept with it until then.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when the file is not one of this table.
    fn entry(&self, file: &CompleteFile<'_>) -> Result<String>;

    /// Adds files that stand in the table, all or none; to add a file twice is to add it once.
    ///
    /// # Errors
    /// The store cannot be used; permanent when the table is not what it was.
    fn append(&self, files: &[StagedFile]) -> Result<()>;

    /// What publishes the epochs of the job `identity`.
    fn publisher(&self, identity: &str) -> Arc<dyn Publisher>;
}
