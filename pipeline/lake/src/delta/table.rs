//! A Delta table in a store: its state as it is now, and commits to its log.

use super::columns::Columns;
use super::failure::{failure, is_conflict};
use citystream_connect::files::{at, is_visible};
use citystream_model::{Error, Result};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Transaction};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaResult, DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use url::Url;

/// How often a commit is tried again because another writer was quicker.
const TRIES: usize = 20;

/// Where a table lies.
#[derive(Debug, Clone)]
pub struct Place {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The table's folder in it.
    pub prefix: Path,
    /// The folder for people: a local path, or a URL.
    pub display: String,
    /// Where the store's I/O runs.
    pub handle: Handle,
}

/// A table, which may not exist yet.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) place: Place,
    log: LogStoreRef,
    /// The state as it was seen last.
    known: Mutex<Option<DeltaTable>>,
}

/// The number in a table's log that says which of a job's epochs stand in it.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// Whose number it is.
    pub(super) app: String,
    /// The number.
    pub(super) epoch: u64,
}

/// What a commit does.
pub(super) struct Change {
    pub(super) actions: Vec<Action>,
    pub(super) operation: DeltaOperation,
}

/// Removes all rows of the table at `place`, as a commit of its own: its history stays. With `job` it is done once in the
/// life of that job: whoever comes later, from whatever instance, does nothing.
///
/// # Errors
/// The store cannot be used.
pub fn clear(place: Place, job: Option<&str>) -> Result<()> {
    let table = Table::new(place)?;
    let mark = job.map(|identity| Mark { app: app_id(identity), epoch: 0 });
    table.run(async {
        if table.state().await?.is_none() {
            return table.remove_strays(job).await;
        }
        table.commit(mark.as_ref(), None, |state| Ok(Some(removal(state)))).await
    })
}

/// True when the table at `place` has rows, or files without a log that would not be seen.
///
/// # Errors
/// The store cannot be read.
pub fn holds_rows(place: Place) -> Result<bool> {
    let table = Table::new(place)?;
    table.run(async {
        match table.state().await? {
            Some(state) => Ok(state.log_data().num_files() > 0),
            None => Ok(!table.files().await?.is_empty()),
        }
    })
}

/// True when there is a Delta table at `place`, with rows or without.
///
/// # Errors
/// The store cannot be read.
pub fn is_table(place: Place) -> Result<bool> {
    let table = Table::new(place)?;
    table.run(async { table.log.is_delta_table_location().await.map_err(|error| table.failure("read", error)) })
}

/// The name under which the epochs of a job are counted in a table's log.
pub(super) fn app_id(identity: &str) -> String {
    format!("citystream-{identity}")
}

/// Every file leaves.
fn removal(state: &DeltaTableState) -> Change {
    let actions = state.log_data().iter().map(|file| Action::Remove(file.remove_action(true))).collect();
    let operation = DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate: None };
    Change { actions, operation }
}

// === impl Change ===

impl Change {
    /// No row comes or goes: for the mark's sake.
    pub(super) fn nothing() -> Self {
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        Self { actions: Vec::new(), operation }
    }
}

// === impl Table ===

impl Table {
    pub(super) fn new(place: Place) -> Result<Self> {
        let log = log_store(&place)?;
        Ok(Self { place, log, known: Mutex::new(None) })
    }

    /// Runs on the store's runtime and waits.
    pub(super) fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.place.handle.block_on(work)
    }

    pub(super) fn log_store(&self) -> &LogStoreRef {
        &self.log
    }

    pub(super) fn failure(&self, what: &str, error: DeltaTableError) -> Error {
        failure(what, &self.place.display, error)
    }

    /// The table as it is now; `None` when there is none.
    pub(super) async fn current(&self) -> Result<Option<DeltaTable>> {
        let mut known = self.known.lock().await;
        let seen = known.take();
        let found = match seen {
            Some(mut table) => match table.update_state().await {
                Ok(()) => Ok(Some(table)),
                // It may have been made anew since.
                Err(_) => self.load().await,
            },
            None => self.load().await,
        };
        *known = found.map_err(|error| self.failure("read", error))?;
        Ok(known.clone())
    }

    /// The state of the table as it is now.
    pub(super) async fn state(&self) -> Result<Option<DeltaTableState>> {
        let Some(delta) = self.current().await? else { return Ok(None) };
        self.state_of(&delta).cloned().map(Some)
    }

    fn state_of<'a>(&self, delta: &'a DeltaTable) -> Result<&'a DeltaTableState> {
        delta.snapshot().map_err(|error| self.failure("read", error))
    }

    /// The table as it was seen last, without a request; `None` while somebody looks.
    pub(super) fn seen(&self) -> Option<DeltaTable> {
        self.known.try_lock().ok()?.clone()
    }

    async fn load(&self) -> DeltaResult<Option<DeltaTable>> {
        if !self.log.is_delta_table_location().await? {
            return Ok(None);
        }
        let mut table = DeltaTable::new(Arc::clone(&self.log));
        table.load().await?;
        Ok(Some(table))
    }

    /// Makes an empty table, unless there is one.
    async fn create(&self, columns: &Columns) -> Result<()> {
        let create = DeltaTable::new(Arc::clone(&self.log))
            .create()
            .with_save_mode(SaveMode::Ignore)
            .with_columns(columns.fields())
            .with_partition_columns(columns.partitions.clone());
        match create.await {
            Ok(_) => Ok(()),
            Err(error) if is_conflict(&error) => Ok(()),
            Err(error) => Err(self.failure("create", error)),
        }
    }

    /// The newest of the job's epochs that stands in the table.
    pub(super) async fn newest(&self, app: &str) -> Result<Option<u64>> {
        match self.state().await? {
            None => Ok(None),
            Some(state) => self.mark_in(&state, app).await,
        }
    }

    pub(super) async fn mark_in(&self, state: &DeltaTableState, app: &str) -> Result<Option<u64>> {
        let found = state.transaction_version(self.log.as_ref(), app).await;
        let found = found.map_err(|error| self.failure("read", error))?;
        Ok(found.and_then(|epoch| u64::try_from(epoch).ok()))
    }

    /// Does `attempt` on the table as it is, again where another writer was quicker (false); nothing where the table's log has
    /// `mark` already. A table that is not there is made with `columns`.
    pub(super) async fn until_done(
        &self,
        mark: Option<&Mark>,
        columns: Option<&Columns>,
        attempt: impl AsyncFn(DeltaTable) -> Result<bool>,
    ) -> Result<()> {
        for _ in 0..TRIES {
            let delta = match (self.current().await?, columns) {
                (Some(delta), _) => delta,
                (None, Some(columns)) => {
                    self.create(columns).await?;
                    continue;
                }
                (None, None) => {
                    return Err(Error::unavailable(format!("Delta table {} has vanished", self.place.display)));
                }
            };
            if let Some(Mark { app, epoch }) = mark
                && self.mark_in(self.state_of(&delta)?, app).await?.is_some_and(|known| known >= *epoch)
            {
                return Ok(());
            }
            if attempt(delta).await? {
                return Ok(());
            }
        }
        let folder = &self.place.display;
        Err(Error::unavailable(format!("Delta table {folder}: other writers were quicker {TRIES} times in a row")))
    }

    /// True when a commit is done, false when another writer was quicker.
    pub(super) fn is_done<T>(&self, what: &str, commit: DeltaResult<T>) -> Result<bool> {
        match commit {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => {
                tracing::debug!(table = self.place.display, %error, "another writer was quicker");
                Ok(false)
            }
            Err(error) => Err(self.failure(what, error)),
        }
    }

    /// Commits what `change` makes of the table, as [`Self::until_done`]; nothing where it makes nothing.
    pub(super) async fn commit(
        &self,
        mark: Option<&Mark>,
        columns: Option<&Columns>,
        change: impl Fn(&DeltaTableState) -> Result<Option<Change>>,
    ) -> Result<()> {
        let attempt = async |delta: DeltaTable| {
            let state = self.state_of(&delta)?;
            let Some(Change { actions, operation }) = change(state)? else { return Ok(true) };
            let commit = CommitBuilder::from(properties(mark)?).with_actions(actions);
            self.is_done("write", commit.build(Some(state), Arc::clone(&self.log), operation).await)
        };
        self.until_done(mark, columns, attempt).await
    }

    /// All visible files below the table's folder, whatever the log says.
    pub(super) async fn files(&self) -> Result<Vec<Path>> {
        let Place { store, prefix, .. } = &self.place;
        let found = store.list(Some(prefix)).map_ok(|file| file.location);
        let found: Vec<Path> = found.try_collect().await.map_err(|error| self.failure("list", error.into()))?;
        Ok(found.into_iter().filter(|file| is_visible(prefix, file)).collect())
    }

    /// Files of the table that its log knows, those too that it has removed and keeps for older readers.
    pub(super) async fn logged(&self, state: &DeltaTableState) -> Result<BTreeSet<Path>> {
        let mut logged = BTreeSet::new();
        for file in state.log_data().iter() {
            logged.insert(self.path(&file.path())?);
        }
        let mut removed = state.all_tombstones(self.log.as_ref());
        while let Some(file) = removed.try_next().await.map_err(|error| self.failure("read", error))? {
            logged.insert(self.path(&file.path())?);
        }
        Ok(logged)
    }

    /// Removes files; those that are gone are fine.
    pub(super) async fn remove(&self, files: impl IntoIterator<Item = Path>) -> Result<()> {
        for file in files {
            match self.place.store.delete(&file).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failure("remove files of", error.into())),
            }
        }
        Ok(())
    }

    /// Removes files that stand in the folder of a table without a log, but those of `job`.
    async fn remove_strays(&self, job: Option<&str>) -> Result<()> {
        let is_own = |file: &Path| job.is_some_and(|job| citystream_connect::files::epoch_of(job, file).is_some());
        let strays = self.files().await?.into_iter().filter(|file| !is_own(file));
        self.remove(strays).await
    }

    /// The path of a file in the store.
    pub(super) fn path(&self, name: &str) -> Result<Path> {
        at(&self.place.prefix, name).map_err(|error| self.failure("name a file of", error.into()))
    }
}

/// Properties of a commit that carries `mark`.
pub(super) fn properties(mark: Option<&Mark>) -> Result<CommitProperties> {
    let properties = CommitProperties::default();
    let Some(Mark { app, epoch }) = mark else { return Ok(properties) };
    let version = i64::try_from(*epoch).map_err(|_| Error::internal(format!("epoch {epoch} is too large")))?;
    Ok(properties.with_application_transaction(Transaction::new(app, version)))
}

/// The library's way to the table: what it writes goes through our store.
fn log_store(place: &Place) -> Result<LogStoreRef> {
    let Place { store, prefix, display, .. } = place;
    let wrong = |detail: String| Error::job(format!("Delta table {display}: {detail}"));
    let own: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(store), prefix.clone()));
    let local = match display.split_once("://") {
        None => Some(PathBuf::from(display)),
        Some(("file", _)) => Url::parse(display).ok().and_then(|url| url.to_file_path().ok()),
        Some(_) => None,
    };
    let (root, location): (Arc<dyn ObjectStore>, Url) = match local {
        None => {
            let mut url = Url::parse(display).map_err(|error| wrong(error.to_string()))?;
            url.set_path(&format!("/{prefix}/"));
            (Arc::clone(store), url)
        }
        Some(folder) => {
            let folder = std::path::absolute(folder).map_err(|error| wrong(error.to_string()))?;
            if folder.to_string_lossy().contains('%') {
                return Err(wrong(
                    "found a folder with '%' in its name, which readers would take for an escape".to_owned(),
                ));
            }
            let url = Url::from_directory_path(&folder).map_err(|()| wrong("found no path for a URL".to_owned()))?;
            (Arc::new(LocalFileSystem::new()), url)
        }
    };
    Ok(default_logstore(own, root, &location, &StorageConfig::default()))
}
