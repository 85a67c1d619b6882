//! Publishes the epochs of one job in a Delta table.

use super::history::last_before;
use super::log::DeltaLog;
use super::table::{Change, Mark, app_id, properties};
use citystream_connect::files::epoch_of;
use citystream_connect::{Published, Publisher};
use citystream_model::{Error, Result, StagedFile};
use deltalake_core::table::state::DeltaTableState;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Property of a table: for how long its log remembers the numbers of its writers.
const FORGETS: &str = "delta.setTransactionRetentionDuration";
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

/// Refuses a table whose log forgets after a while which epochs it has.
fn check_remembers(state: &DeltaTableState, table: &str) -> Result<()> {
    let Some(time) = state.metadata().configuration().get(FORGETS) else { return Ok(()) };
    Err(Error::job(format!(
        "Delta table {table}: found the property {FORGETS} = '{time}', after which its log forgets the epochs that it has, \
         so that rows could come twice; expected none: ALTER TABLE ... UNSET TBLPROPERTIES ('{FORGETS}')"
    )))
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
        let table = &self.log.table;
        table.run(async {
            let Some(state) = table.state().await? else { return Ok(None) };
            check_remembers(&state, &table.place.display)?;
            table.mark_in(&state, &self.app).await
        })
    }

    fn check_kept(&self, epoch: u64) -> Result<()> {
        let found = match self.newest()? {
            Some(newest) if newest >= epoch => return Ok(()),
            Some(newest) => format!("epoch {newest} as the newest of this job in its log"),
            None => "no log that has epochs of this job".to_owned(),
        };
        let message = format!(
            "Delta table {}: found {found}, expected epoch {epoch}, which was published; restore the table, or start the job anew \
             under another name or with another checkpoint folder",
            self.log.table.place.display
        );
        Err(Error::unavailable(message).permanent())
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
            let mark = self.mark(epochs.end.saturating_sub(1));
            let delta = table.current().await?;
            let version = match &delta {
                Some(delta) => last_before(table, delta, &self.app, &epochs).await?,
                None => None,
            };
            let (Some(delta), Some(version)) = (delta, version) else {
                // An instance that decided one of them may wake up yet: the log says that it is over.
                return table.commit(Some(&mark), Some(&self.log.columns), |_| Ok(Some(Change::nothing()))).await;
            };
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
