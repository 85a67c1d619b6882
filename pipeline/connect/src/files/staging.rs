//! Files of epochs: put below `_staging`, moved to where readers see them when their epoch is decided.
//!
//! ```text
//!   _staging/5f3a-17-0-w1.parquet  --epoch 17 is decided-->  day=2026-03-29/part-5f3a-000017-000000.parquet
//! ```
//!
//! The final name does not depend on who moves the file, or how often.

use super::config::{Naming, ParquetConfig};
use super::store::{at, failure, is_visible};
use crate::sink::{Published, Publisher};
use citystream_model::{Error, Result, StagedFile};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Folder of the files that wait, below the table's.
const STAGING: &str = "_staging";
/// Files being moved at once.
const MOVES: usize = 8;

/// Publishes the staged files of one table.
#[derive(Debug)]
pub struct Staging {
    /// Where the table lies.
    pub store: Arc<dyn ObjectStore>,
    /// Its folder there.
    pub prefix: Path,
    /// Its folder for people.
    pub display: String,
    /// Name of the sink.
    pub name: String,
    /// The job's, which names of files begin with.
    pub identity: String,
    /// Where the store's I/O runs.
    pub handle: Handle,
}

/// Checks that what names are made of can be part of a name.
pub(crate) fn check_naming(naming: &Naming) -> Result<()> {
    let usable = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let parts = match naming {
        Naming::Run(run) => vec![run],
        Naming::Epochs { identity, writer, .. } => vec![identity, writer],
    };
    match parts.into_iter().find(|part| part.is_empty() || !part.chars().all(usable)) {
        None => Ok(()),
        Some(part) => Err(Error::internal(format!("parquet sink: '{part}' cannot be part of a name"))),
    }
}

pub(crate) fn final_name(identity: &str, epoch: u64, number: u64) -> String {
    format!("part-{identity}-{epoch:06}-{number:06}.parquet")
}

/// The name of a file that stays where it is put, and counts once a log says so.
pub(crate) fn logged_name(identity: &str, epoch: u64, number: u64, writer: &str) -> String {
    format!("part-{identity}-{epoch:06}-{number:06}-{writer}.parquet")
}

/// The name of a file that waits for its epoch.
pub fn staged_name(identity: &str, epoch: u64, number: u64, writer: &str) -> String {
    format!("{STAGING}/{identity}-{epoch}-{number}-{writer}.parquet")
}

/// The epoch in the final name of a file of the job `identity`.
pub fn epoch_of(identity: &str, file: &Path) -> Option<u64> {
    epoch_in(identity, file.filename()?.strip_prefix("part-")?)
}

/// The epoch in the name of a staged file of the job `identity`.
fn staged_epoch(identity: &str, file: &Path) -> Option<u64> {
    epoch_in(identity, file.filename()?)
}

/// The epoch in a name that begins with the job's identity.
pub(crate) fn epoch_in(identity: &str, name: &str) -> Option<u64> {
    name.strip_prefix(identity)?.strip_prefix('-')?.split_once('-')?.0.parse().ok()
}

// === impl Staging ===

impl Staging {
    pub(crate) fn new(config: &ParquetConfig, identity: String) -> Self {
        let ParquetConfig { store, prefix, display, name, handle, .. } = config.clone();
        Self { store, prefix, display, name, identity, handle }
    }

    /// Moves one file, unless that was done before.
    async fn publish_one(&self, file: &StagedFile) -> Result<Published> {
        let (from, to) = (self.path(&file.from)?, self.path(&file.to)?);
        match self.store.rename(&from, &to).await {
            Ok(()) => {}
            Err(object_store::Error::NotFound { .. }) => self.was_published(file, &to).await?,
            Err(error) => return Err(self.failure("publish", &file.to, error)),
        }
        Ok(file.clone().into())
    }

    /// Makes sure that a file that is not staged any more stands in the table.
    async fn was_published(&self, file: &StagedFile, to: &Path) -> Result<()> {
        let found = match self.store.head(to).await {
            Ok(found) => Some(found.size),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => return Err(self.failure("read", &file.to, error)),
        };
        if found == Some(file.bytes) {
            return Ok(());
        }
        let found = found.map_or_else(|| "nothing".to_owned(), |size| format!("{size} bytes"));
        let message = format!(
            "table {}: {} is neither staged nor published: found {found} at {}, expected {} bytes; restore the file, or start the \
             job anew under another name or with another checkpoint folder",
            self.display, file.from, file.to, file.bytes
        );
        Err(Error::unavailable(message).permanent())
    }

    async fn remove(&self, files: impl Iterator<Item = Path>) -> Result<()> {
        for file in files {
            match self.store.delete(&file).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failure("remove", file.as_ref(), error)),
            }
        }
        Ok(())
    }

    async fn list(&self, prefix: &Path) -> Result<Vec<Path>> {
        let found = self.store.list(Some(prefix)).map_ok(|file| file.location).try_collect().await;
        found.map_err(|error| self.failure("list", prefix.as_ref(), error))
    }

    fn path(&self, name: &str) -> Result<Path> {
        at(&self.prefix, name).map_err(|error| self.failure("name", name, error))
    }

    fn failure(&self, what: &str, name: &str, error: object_store::Error) -> Error {
        failure(what, &format!("{}/{name}", self.display.trim_end_matches('/')), error).with("sink", &self.name)
    }
}

impl Publisher for Staging {
    fn sink(&self) -> &str {
        &self.name
    }

    fn publish(&self, _epoch: u64, files: &[StagedFile]) -> Result<Vec<Published>> {
        let moves = futures::stream::iter(files.iter().map(|file| self.publish_one(file)));
        self.handle.block_on(moves.buffered(MOVES).try_collect())
    }

    fn newest(&self) -> Result<Option<u64>> {
        let found = self.handle.block_on(self.list(&self.prefix))?;
        Ok(found
            .iter()
            .filter(|file| is_visible(&self.prefix, file))
            .filter_map(|file| epoch_of(&self.identity, file))
            .max())
    }

    fn discard(&self, epoch: u64, keep: &[StagedFile]) -> Result<()> {
        self.handle.block_on(async {
            let kept = keep.iter().map(|file| self.path(&file.from)).collect::<Result<BTreeSet<Path>>>()?;
            let is_over = |file: &Path| staged_epoch(&self.identity, file).is_some_and(|of| of <= epoch);
            let found = self.list(&self.path(STAGING)?).await?;
            self.remove(found.into_iter().filter(|file| is_over(file) && !kept.contains(file))).await
        })
    }

    fn take_back(&self, epochs: Range<u64>) -> Result<()> {
        self.handle.block_on(async {
            let is_of_them = |file: &Path| epoch_of(&self.identity, file).is_some_and(|epoch| epochs.contains(&epoch));
            let found = self.list(&self.prefix).await?;
            self.remove(found.into_iter().filter(|file| is_visible(&self.prefix, file) && is_of_them(file))).await
        })
    }
}
