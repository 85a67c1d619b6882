//! Publishes the epochs of one job in a Delta table.

use super::history::last_before;
use super::log::DeltaLog;
use super::table::{Mark, app_id, properties};
use citystream_connect::files::epoch_of;
use citystream_connect::{Published, Publisher};
use citystream_model::{Error, Result, StagedFile};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Files looked at at once.
const LOOKS: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct DeltaPublisher {
    log: Arc<DeltaLog>,
    identity: String,
    /// The identity as the table's log has it.
    app: String,
}

// === impl DeltaPublisher ===

impl DeltaPublisher {
    pub(super) fn new(log: Arc<DeltaLog>, identity: &str) -> Self {
        Self { log, identity: identity.to_owned(), app: app_id(identity) }
    }

    /// What the table's log says once it has `epoch`.
    pub(super) fn mark(&self, epoch: u64) -> Mark {
        Mark { app: self.app.clone(), epoch }
    }

    /// Makes sure that files stand where the log is to say that they are: what is decided may have waited for long.
    async fn check(&self, files: &[StagedFile]) -> Result<()> {
        let table = &self.log.table;
        let looks = files.iter().map(|file| async move {
            let found = match table.place.store.head(&table.path(&file.to)?).await {
                Ok(found) => Some(found.size),
                Err(object_store::Error::NotFound { .. }) => None,
                Err(error) => return Err(table.failure("read", error.into())),
            };
            if found == Some(file.bytes) {
                return Ok(());
            }
            let found = found.map_or_else(|| "nothing".to_owned(), |size| format!("{size} bytes"));
            let (folder, name, expected) = (&table.place.display, &file.to, file.bytes);
            let message = format!(
                "Delta table {folder}: found {found} at {name}, which waits to be published, expected {expected} bytes"
            );
            Err(Error::unavailable(message).permanent())
        });
        futures::stream::iter(looks).buffer_unordered(LOOKS).try_collect().await
    }
}

impl Publisher for DeltaPublisher {
    fn sink(&self) -> &str {
        &self.log.name
    }

    fn publish(&self, epoch: u64, files: &[StagedFile]) -> Result<Vec<Published>> {
        let mark = self.mark(epoch);
        let table = &self.log.table;
        table.run(async {
            if table.newest(&self.app).await?.is_some_and(|known| known >= epoch) {
                return Ok(());
            }
            self.check(files).await?;
            self.log.add(Some(&mark), files).await
        })?;
        self.log.tend(files.len());
        Ok(files.iter().cloned().map(Published::from).collect())
    }

    fn newest(&self) -> Result<Option<u64>> {
        self.log.table.run(self.log.table.newest(&self.app))
    }

    fn discard(&self, epoch: u64, keep: &[StagedFile]) -> Result<()> {
        let table = &self.log.table;
        table.run(async {
            let kept = keep.iter().map(|file| table.path(&file.from)).collect::<Result<BTreeSet<Path>>>()?;
            let is_over =
                |file: &Path| epoch_of(&self.identity, file).is_some_and(|of| of <= epoch) && !kept.contains(file);
            let mut over: Vec<Path> = table.files().await?.into_iter().filter(is_over).collect();
            if over.is_empty() {
                return Ok(());
            }
            if let Some(state) = table.state().await? {
                let logged = table.logged(&state).await?;
                over.retain(|file| !logged.contains(file));
            }
            table.remove(over).await
        })
    }

    fn take_back(&self, epochs: Range<u64>) -> Result<()> {
        let table = &self.log.table;
        table.run(async {
            let Some(delta) = table.current().await? else { return Ok(()) };
            let Some(version) = last_before(table, &delta, &self.app, &epochs).await? else { return Ok(()) };
            let mark = self.mark(epochs.end.saturating_sub(1));
            let restore =
                delta.restore().with_version_to_restore(version).with_commit_properties(properties(Some(&mark))?);
            let (_, restored) = restore.await.map_err(|error| table.failure("take rows back from", error))?;
            let (folder, removed) = (&table.place.display, restored.num_removed_file);
            tracing::warn!(
                table = folder,
                version,
                removed,
                "rows of lost checkpoints are taken back, they come again"
            );
            Ok(())
        })
    }
}
