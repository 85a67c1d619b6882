//! Writes rows as Parquet files: buffers them by folder, publishes complete files.

use super::config::ParquetConfig;
use super::folder::Folders;
use super::open_files::OpenFiles;
use super::store::failure;
use crate::sink::{Published, Sink, SinkRows};
use bytes::Bytes;
use citystream_model::time::{self, Micros};
use citystream_model::{Error, Result};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload as _, ObjectStore, ObjectStoreExt, PutPayload};
use std::sync::Arc;

/// Bytes of all open files of a table.
const MAX_OPEN_BYTES: usize = 256 << 20;
/// Folders that are open at once.
const MAX_OPEN_FILES: usize = 256;
/// Files being put at once.
const PUTS: usize = 8;
/// Above it a file goes in parts, so that a slow line does not run into the time limit of one request.
const SINGLE_PUT: usize = 32 << 20;
/// Bytes of a part.
const PART: usize = 8 << 20;
/// Parts of one file under way at once.
const PARTS: usize = 4;

/// A Parquet table being written; see [`Sink`] for the laws.
///
/// An error that is retryable leaves it usable: `write` has not taken the rows then, and nothing is lost.
pub struct ParquetSink {
    // === PROPERTIES ===
    config: ParquetConfig,
    folders: Folders,
    // === STATES ===
    open: OpenFiles,
    /// Complete files that are not published yet, in order.
    finished: Vec<Named>,
    /// Published files that were not reported yet.
    published: Vec<Published>,
    /// Number of the next file.
    sequence: u64,
}

/// A complete file in memory.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Folder below the table's, `""` for none.
    pub(crate) folder: String,
    pub(crate) bytes: Bytes,
    pub(crate) rows: u64,
}

/// A complete file and its name below the table's folder.
#[derive(Debug)]
struct Named {
    name: String,
    file: Finished,
}

// === impl ParquetSink ===

impl ParquetSink {
    /// Opens the table; nothing is written before rows come.
    ///
    /// # Errors
    /// Columns of `partition_by` that the table does not have; columns that Parquet does not have.
    pub fn open(config: ParquetConfig) -> Result<Self> {
        Self::bounded(config, MAX_OPEN_BYTES, MAX_OPEN_FILES)
    }

    pub(crate) fn bounded(config: ParquetConfig, max_bytes: usize, max_files: usize) -> Result<Self> {
        let usable = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if config.run_id.is_empty() || !config.run_id.chars().all(usable) {
            return Err(Error::internal(format!("parquet sink: run id '{}' cannot be part of a name", config.run_id)));
        }
        let folders = Folders::new(&config.partition_by, config.schema.clone())?;
        let open = OpenFiles::new(config.schema.clone(), config.file_target, max_bytes, max_files);
        Ok(Self { config, folders, open, finished: Vec::new(), published: Vec::new(), sequence: 0 })
    }

    fn keep(&mut self, finished: impl IntoIterator<Item = Finished>) {
        for file in finished {
            let name = format!("part-{}-{:06}.parquet", self.config.run_id, self.sequence);
            let name = if file.folder.is_empty() { name } else { format!("{}/{name}", file.folder) };
            self.sequence += 1;
            self.finished.push(Named { name, file });
        }
    }

    /// Puts every complete file; those that fail stay for the next call.
    fn publish(&mut self) -> Result<()> {
        if self.finished.is_empty() {
            return Ok(());
        }
        let (store, prefix) = (&self.config.store, &self.config.prefix);
        let puts = std::mem::take(&mut self.finished).into_iter().map(|named| put(store, prefix, named));
        let done: Vec<_> = self.config.handle.block_on(futures::stream::iter(puts).buffered(PUTS).collect());
        let mut failed = None;
        for (named, result) in done {
            match result {
                Ok(()) => self.published.push(Published {
                    sink: self.config.name.clone(),
                    rows: named.file.rows,
                    bytes: named.file.bytes.len() as u64,
                    path: named.name,
                }),
                Err(error) => {
                    let path = format!("{}/{}", self.config.display.trim_end_matches('/'), named.name);
                    failed.get_or_insert_with(|| failure("write", &path, error).with("sink", &self.config.name));
                    self.finished.push(named);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl Sink for ParquetSink {
    fn wants_ids(&self) -> bool {
        false
    }

    fn write(&mut self, rows: &SinkRows, now: Micros) -> Result<()> {
        // First, so that an error means that the rows were not taken.
        self.publish()?;
        for (folder, part) in self.folders.split(&rows.batch, &rows.event_times)? {
            let full = self.open.add(folder, &part, now)?;
            self.keep(full);
        }
        let over = self.open.shrink()?;
        self.keep(over);
        Ok(())
    }

    fn publish_due(&mut self, now: Micros) -> Result<Vec<Published>> {
        let due = self.open.finish_older(now.saturating_sub(time::micros(self.config.freshness)))?;
        self.keep(due);
        self.publish()?;
        Ok(std::mem::take(&mut self.published))
    }

    fn flush(&mut self) -> Result<Vec<Published>> {
        let all = self.open.finish_older(Micros::MAX)?;
        self.keep(all);
        self.publish()?;
        Ok(std::mem::take(&mut self.published))
    }

    fn buffered_bytes(&self) -> usize {
        self.open.memory_bytes() + self.finished.iter().map(|named| named.file.bytes.len()).sum::<usize>()
    }
}

/// Puts one file under its final name, whole or not at all.
async fn put(store: &Arc<dyn ObjectStore>, prefix: &Path, named: Named) -> (Named, object_store::Result<()>) {
    let bytes = named.file.bytes.clone();
    let result = match at(prefix, &named.name) {
        Err(error) => Err(error),
        Ok(path) if bytes.len() <= SINGLE_PUT => store.put(&path, PutPayload::from(bytes)).await.map(drop),
        Ok(path) => put_parts(store, &path, bytes).await,
    };
    (named, result)
}

async fn put_parts(store: &Arc<dyn ObjectStore>, path: &Path, bytes: Bytes) -> object_store::Result<()> {
    let mut upload = store.put_multipart(path).await?;
    let mut rest = bytes;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let part = rest.split_to(rest.len().min(PART));
        parts.push(upload.put_part(PutPayload::from(part)));
    }
    let sent: object_store::Result<Vec<()>> = futures::stream::iter(parts).buffered(PARTS).try_collect().await;
    let result = match sent {
        Ok(_) => upload.complete().await.map(drop),
        Err(error) => Err(error),
    };
    if result.is_err() {
        // The first error is the one to tell.
        let _ = upload.abort().await;
    }
    result
}

/// Joins without escaping again: folder values are escaped already.
fn at(prefix: &Path, name: &str) -> object_store::Result<Path> {
    let whole = if prefix.as_ref().is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    Path::parse(whole).map_err(Into::into)
}
