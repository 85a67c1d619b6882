//! Writes rows as Parquet files: buffers them by folder, puts complete files.

use super::config::{Naming, ParquetConfig};
use super::folder::{Folders, folder_values};
use super::log::CompleteFile;
use super::open_files::OpenFiles;
use super::put::put;
use super::staging::{self, Staging};
use super::store::failure;
use crate::sink::{Published, Publisher, Sink, SinkRows};
use bytes::Bytes;
use citystream_model::time::{self, Micros};
use citystream_model::{Result, StagedFile};
use futures::StreamExt;
use parquet::file::metadata::ParquetMetaData;
use std::sync::Arc;

/// Bytes of all open files of a table.
const MAX_OPEN_BYTES: usize = 256 << 20;
/// Folders that are open at once.
const MAX_OPEN_FILES: usize = 256;
/// Files being put at once.
const PUTS: usize = 8;

/// A Parquet table being written; see [`Sink`] for the laws.
///
/// An error that is retryable leaves it usable: `write` has not taken the rows then, and nothing is lost.
pub struct ParquetSink {
    // === PROPERTIES ===
    config: ParquetConfig,
    folders: Folders,
    // === STATES ===
    open: OpenFiles,
    /// Complete files that are not put yet, in order.
    finished: Vec<Named>,
    /// Files that were put and wait: for their epoch, or for the table's log.
    staged: Vec<StagedFile>,
    /// Published files that were not reported yet.
    published: Vec<Published>,
    /// When the oldest row came that is not published or given to an epoch.
    oldest: Option<Micros>,
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
    pub(crate) metadata: ParquetMetaData,
}

/// A complete file and where it goes, below the table's folder.
#[derive(Debug)]
struct Named {
    /// Where it is put.
    at: String,
    /// Its name once it is visible.
    name: String,
    /// What the table's log is to say of it.
    entry: Option<String>,
    bytes: Bytes,
    rows: u64,
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
        staging::check_naming(&config.naming)?;
        let folders = Folders::new(&config.partition_by, config.schema.clone())?;
        let folders = if config.log.is_some() { folders.without_folder_columns()? } else { folders };
        let open = OpenFiles::new(folders.file_schema()?, config.file_target, max_bytes, max_files);
        let (finished, published, staged) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { config, folders, open, finished, published, staged, oldest: None, sequence: 0 })
    }

    /// Takes complete files, to be put by [`ParquetSink::put_finished`].
    fn keep(&mut self, finished: impl IntoIterator<Item = Finished>) -> Result<()> {
        for Finished { folder, bytes, rows, metadata } in finished {
            let (at, name) = self.names(&folder);
            let entry = match &self.config.log {
                None => None,
                Some(log) => {
                    let (folder, size) = (folder_values(&folder), bytes.len() as u64);
                    let (name, folder) = (name.as_str(), folder.as_slice());
                    Some(log.entry(&CompleteFile { name, folder, bytes: size, metadata: &metadata })?)
                }
            };
            self.sequence += 1;
            self.finished.push(Named { at, name, entry, bytes, rows });
        }
        Ok(())
    }

    /// Where the next file of `folder` is put, and its name once it is visible.
    fn names(&self, folder: &str) -> (String, String) {
        let number = self.sequence;
        let below = |name: String| if folder.is_empty() { name } else { format!("{folder}/{name}") };
        match (&self.config.naming, &self.config.log) {
            (Naming::Run(run), _) => {
                let name = below(format!("part-{run}-{number:06}.parquet"));
                (name.clone(), name)
            }
            (Naming::Epochs { identity, writer, next }, Some(_)) => {
                let name = below(staging::logged_name(identity, *next, number, writer));
                (name.clone(), name)
            }
            (Naming::Epochs { identity, writer, next }, None) => {
                let name = below(staging::final_name(identity, *next, number));
                (staging::staged_name(identity, *next, number, writer), name)
            }
        }
    }

    /// Puts every complete file; those that fail stay for the next call.
    fn put_finished(&mut self) -> Result<()> {
        if self.finished.is_empty() {
            return self.reveal();
        }
        let (store, prefix) = (&self.config.store, &self.config.prefix);
        let puts = std::mem::take(&mut self.finished).into_iter().map(|named| async move {
            let result = put(store, prefix, &named.at, named.bytes.clone()).await;
            (named, result)
        });
        let done: Vec<_> = self.config.handle.block_on(futures::stream::iter(puts).buffered(PUTS).collect());
        let mut failed = None;
        for (named, result) in done {
            match result {
                Ok(()) => self.note(named),
                Err(error) => {
                    let path = format!("{}/{}", self.config.display.trim_end_matches('/'), named.at);
                    failed.get_or_insert_with(|| failure("write", &path, error).with("sink", &self.config.name));
                    self.finished.push(named);
                }
            }
        }
        self.reveal()?;
        failed.map_or(Ok(()), Err)
    }

    /// Notes that a file was put.
    fn note(&mut self, Named { at, name, entry, bytes, rows }: Named) {
        let (sink, bytes) = (self.config.name.clone(), bytes.len() as u64);
        self.staged.push(StagedFile { sink, from: at, to: name, rows, bytes, entry });
    }

    /// Files without epochs are visible once put, or once the table's log says so.
    fn reveal(&mut self) -> Result<()> {
        if self.staged.is_empty() || matches!(self.config.naming, Naming::Epochs { .. }) {
            return Ok(());
        }
        if let Some(log) = &self.config.log {
            log.append(&self.staged).map_err(|error| error.with("sink", &self.config.name))?;
        }
        self.published.extend(std::mem::take(&mut self.staged).into_iter().map(Published::from));
        Ok(())
    }
}

impl Sink for ParquetSink {
    fn wants_ids(&self) -> bool {
        false
    }

    fn write(&mut self, rows: &SinkRows, now: Micros) -> Result<()> {
        // First, so that an error means that the rows were not taken.
        self.put_finished()?;
        for (folder, part) in self.folders.split(&rows.batch, &rows.event_times)? {
            let full = self.open.add(folder, &part, now)?;
            self.keep(full)?;
        }
        let over = self.open.shrink()?;
        self.keep(over)?;
        self.oldest.get_or_insert(now);
        Ok(())
    }

    fn publish_due(&mut self, now: Micros) -> Result<Vec<Published>> {
        if matches!(self.config.naming, Naming::Run(_)) {
            let due = self.open.finish_older(now.saturating_sub(time::micros(self.config.freshness)))?;
            self.keep(due)?;
        }
        self.put_finished()?;
        Ok(std::mem::take(&mut self.published))
    }

    fn flush(&mut self) -> Result<Vec<Published>> {
        let all = self.open.finish_older(Micros::MAX)?;
        self.keep(all)?;
        self.put_finished()?;
        Ok(std::mem::take(&mut self.published))
    }

    fn buffered_bytes(&self) -> usize {
        self.open.memory_bytes() + self.finished.iter().map(|named| named.bytes.len()).sum::<usize>()
    }

    fn is_due(&self, now: Micros) -> bool {
        self.oldest.is_some_and(|oldest| time::has_passed(oldest, time::micros(self.config.freshness), now))
    }

    fn stage(&mut self) -> Result<Vec<StagedFile>> {
        self.flush()?;
        if let Naming::Epochs { next, .. } = &mut self.config.naming {
            (*next, self.sequence) = (*next + 1, 0);
        }
        self.oldest = None;
        Ok(std::mem::take(&mut self.staged))
    }

    fn publisher(&self) -> Option<Arc<dyn Publisher>> {
        let Naming::Epochs { identity, .. } = &self.config.naming else { return None };
        Some(match &self.config.log {
            Some(log) => log.publisher(identity),
            None => Arc::new(Staging::new(&self.config, identity.clone())),
        })
    }
}
