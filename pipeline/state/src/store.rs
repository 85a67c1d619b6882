//! The folder of one job's checkpoints in an object store.

use crate::commit::{Created, KEPT, Stored, garbage};
use crate::damage::{damaged, is_damage};
use crate::manifest::Manifest;
use crate::run::{Owner, Run};
use crate::segment::RunRef;
use bytes::Bytes;
use citystream_model::{Error, Result, storage};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Checkpoints of one job; see the crate's drawing for what lies where.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    /// The folder as it was written, for messages.
    shown: String,
}

/// Whose folder it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The job's name.
    pub job: String,
    /// Drawn when the folder was made.
    pub id: String,
}

/// Manifests in a job's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The good ones of those that were looked at, newest first.
    pub manifests: Vec<Manifest>,
    /// Epochs newer than the first of them that cannot be read, and why.
    pub damaged: Vec<(u64, String)>,
    /// True where another instance has removed some meanwhile, so that there are newer ones.
    pub is_old: bool,
}

/// How often manifests are listed again because all that were listed had gone.
const LISTINGS: usize = 3;
const IDENTITY: &str = "job.json";
const MANIFESTS: &str = "manifest";
const SEGMENTS: &str = "ckpt";
const OUTBOX: &str = "outbox";

// === impl CheckpointStore ===

impl CheckpointStore {
    /// The folder of `job` below `root`; `shown` is `root` as it was written.
    pub fn new(store: Arc<dyn ObjectStore>, root: &Path, job: &str, shown: &str) -> Self {
        Self { store, folder: root.clone().join(job), shown: format!("{}/{job}", shown.trim_end_matches('/')) }
    }

    /// Where sinks keep what they publish once it is decided, if they have no folder of their own.
    pub fn outbox(&self) -> (Arc<dyn ObjectStore>, Path) {
        (Arc::clone(&self.store), self.folder.clone().join(OUTBOX))
    }

    /// Whose folder it is; `new` makes it the folder of a job that has none yet.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Job`] when it is another job's folder; the store cannot be used.
    pub async fn identify(&self, new: &Identity) -> Result<Identity> {
        let text = serde_json::to_string_pretty(new).map_err(|error| Error::internal("identity").caused_by(error))?;
        if self.put_new(IDENTITY, Bytes::from(text)).await? {
            return Ok(new.clone());
        }
        let bytes = self.get(IDENTITY).await?;
        let found: Identity = serde_json::from_slice(&bytes).map_err(|error| {
            Error::job(format!("{}/{IDENTITY}: found no identity, expected a job's folder", self.shown))
                .caused_by(error)
        })?;
        if found.job == new.job {
            return Ok(found);
        }
        let message = format!("checkpoint folder '{}': found job '{}', expected '{}'", self.shown, found.job, new.job);
        Err(Error::job(message))
    }

    /// The newest good manifest, the one before it, and the newest one of each older state, of at most `states` states; and
    /// what is damaged above them.
    ///
    /// Whoever means to go on from one reads the runs, then claims the job: a claim that succeeds says that no other instance
    /// has decided anything, and so removed nothing, meanwhile.
    ///
    /// # Errors
    /// The store cannot be read; [`citystream_model::ErrorKind::Job`] when a newer release wrote the newest one.
    pub async fn newest(&self, states: usize) -> Result<Found> {
        let mut found = Found::default();
        for _ in 0..LISTINGS {
            for epoch in self.epochs().await?.into_iter().rev() {
                if !found.wants(epoch, states) {
                    continue;
                }
                match self.find(epoch).await {
                    Ok(Some(manifest)) => found.manifests.push(manifest),
                    // Another instance has made newer ones meanwhile.
                    Ok(None) => found.is_old = true,
                    Err(error) if is_damage(&error) && found.manifests.is_empty() => {
                        found.damaged.push((epoch, error.to_string()));
                    }
                    Err(error) if is_damage(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            if !found.is_old || !found.manifests.is_empty() {
                break;
            }
            found = Found::default();
        }
        Ok(found)
    }

    /// Creates `manifest`, unless its epoch has one.
    ///
    /// # Errors
    /// The store cannot be used: whether it was created is not known then.
    pub async fn create(&self, manifest: &Manifest) -> Result<Created> {
        let name = manifest_name(manifest.epoch);
        let mut stands = self.put_new(&name, Bytes::from(manifest.encode()?)).await?;
        if !stands {
            match self.find(manifest.epoch).await? {
                Some(theirs) if theirs != *manifest => return Ok(Created::Exists(Box::new(theirs))),
                found => stands = found.is_some(),
            }
        }
        // Its epoch may have been decided so long ago that the manifest is gone: then there are later ones. So too where
        // an earlier try has put it there, whose answer was lost.
        match self.epochs().await?.into_iter().next_back().filter(|newest| *newest > manifest.epoch) {
            Some(newest) => Ok(Created::Exists(Box::new(self.manifest(newest).await?))),
            None if stands => Ok(Created::Done),
            // S3 says so of two writes at once, of which neither may have been carried out.
            None => Err(Error::unavailable(format!("{}/{name} is being written by another", self.shown))),
        }
    }

    /// The manifest of `epoch`, if there is one.
    ///
    /// # Errors
    /// The store cannot be used, or the manifest cannot be read.
    pub async fn find(&self, epoch: u64) -> Result<Option<Manifest>> {
        let name = manifest_name(epoch);
        match self.store.get(&self.path(&name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure("read", &name, error)),
            Ok(found) => {
                let bytes = found.bytes().await.map_err(|error| self.failure("read", &name, error))?;
                Manifest::decode(&format!("{}/{name}", self.shown), &bytes).map(Some)
            }
        }
    }

    /// The newest manifest behind `ours`, if another instance has created one.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn successor(&self, ours: &Manifest) -> Result<Option<Manifest>> {
        match self.find(ours.epoch + 1).await {
            // Ours is there for as long as it is one of the newest.
            Ok(None) if self.exists(&manifest_name(ours.epoch)).await? => Ok(None),
            Ok(Some(next)) => Ok(Some(next)),
            Ok(None) => Ok(self.newest(1).await?.manifests.pop().filter(|newest| newest.epoch > ours.epoch)),
            Err(error) => Err(error),
        }
    }

    async fn exists(&self, name: &str) -> Result<bool> {
        match self.store.head(&self.path(name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failure("read", name, error)),
        }
    }

    /// Puts a segment.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn put_segment(&self, name: &str, bytes: Bytes) -> Result<()> {
        let put = self.store.put(&self.path(name), PutPayload::from(bytes)).await;
        put.map(drop).map_err(|error| self.failure("write", name, error))
    }

    /// Reads runs, a request per object.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Unavailable`], permanent, when an object is missing or damaged; the store cannot be
    /// used.
    pub async fn read(&self, runs: &[RunRef]) -> Result<Vec<(Owner, Run)>> {
        let mut objects: BTreeMap<&str, Vec<&RunRef>> = BTreeMap::new();
        runs.iter().for_each(|run| objects.entry(&run.object).or_default().push(run));
        let mut read = Vec::new();
        for (object, runs) in objects {
            let ranges: Vec<_> = runs.iter().map(|run| run.range()).collect();
            let parts = match self.store.get_ranges(&self.path(object), &ranges).await {
                Ok(parts) => parts,
                Err(object_store::Error::NotFound { .. }) => {
                    return Err(damaged(&format!("{}/{object} is missing", self.shown)));
                }
                Err(error) => return Err(self.failure("read", object, error)),
            };
            for (run, bytes) in runs.into_iter().zip(parts) {
                read.push((run.owner(), run.read(&bytes)?));
            }
        }
        Ok(read)
    }

    /// Removes manifests older than those that are kept, and segments that nothing needs.
    ///
    /// # Errors
    /// The store cannot be used; whatever was removed was not needed.
    pub async fn collect_garbage(&self) -> Result<usize> {
        // None between the oldest and the newest goes: an instance that was taken over finds the next one of its own.
        let Found { manifests: kept, is_old, .. } = self.newest(KEPT).await?;
        if is_old {
            // Whoever has newer ones sees to it.
            return Ok(0);
        }
        let Some(oldest) = kept.iter().map(|manifest| manifest.epoch).min() else { return Ok(0) };
        let old: Vec<u64> = self.epochs().await?.into_iter().filter(|epoch| *epoch < oldest).collect();
        let segments = self.segments().await?;
        // Manifests first: one that is left must never name what is gone.
        let names = old.iter().map(|epoch| manifest_name(*epoch));
        let names: Vec<String> = names.chain(garbage(&kept, &segments).into_iter().map(str::to_owned)).collect();
        for name in &names {
            match self.store.delete(&self.path(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failure("remove", name, error)),
            }
        }
        Ok(names.len())
    }

    /// Epochs that have a manifest.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn epochs(&self) -> Result<BTreeSet<u64>> {
        let listed = self.list(MANIFESTS).await?;
        Ok(listed.into_iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    async fn segments(&self) -> Result<Vec<Stored>> {
        let stored = self.list(SEGMENTS).await?.into_iter().filter_map(|name| {
            let epoch = name.split_once('-')?.0.parse().ok()?;
            Some(Stored { name: format!("{SEGMENTS}/{name}"), epoch })
        });
        Ok(stored.collect())
    }

    /// Names of the objects in a folder of the job's.
    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let prefix = self.path(folder);
        let listed: Vec<_> =
            self.store.list(Some(&prefix)).try_collect().await.map_err(|error| self.failure("list", folder, error))?;
        Ok(listed.into_iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }

    async fn manifest(&self, epoch: u64) -> Result<Manifest> {
        let found = self.find(epoch).await?;
        found.ok_or_else(|| damaged(&format!("{}/{} is missing", self.shown, manifest_name(epoch))))
    }

    /// Puts an object that is not there yet; false when one is.
    async fn put_new(&self, name: &str, bytes: Bytes) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.path(name), PutPayload::from(bytes), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failure("write", name, error)),
        }
    }

    async fn get(&self, name: &str) -> Result<Bytes> {
        let read = async { self.store.get(&self.path(name)).await?.bytes().await };
        read.await.map_err(|error| self.failure("read", name, error))
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.folder.clone(), |path, part| path.join(part))
    }

    fn failure(&self, what: &str, name: &str, error: object_store::Error) -> Error {
        use object_store::Error::{PermissionDenied, Unauthenticated};
        let denied = matches!(error, PermissionDenied { .. } | Unauthenticated { .. });
        storage::failure(what, &format!("{}/{name}", self.shown), denied, error)
    }
}

// === impl Found ===

impl Found {
    /// True for an epoch whose manifest is to be looked at, when those above it have been.
    fn wants(&self, epoch: u64, states: usize) -> bool {
        let Some(last) = self.manifests.last() else { return true };
        let known: BTreeSet<u64> = self.manifests.iter().map(Manifest::sealed_in).collect();
        let is_second = self.manifests.len() == 1 && states > 1;
        is_second || (known.len() < states && epoch < last.sealed_in())
    }
}

/// Name of a segment of `epoch` by `writer`.
pub fn segment_name(epoch: u64, writer: &str) -> String {
    format!("{SEGMENTS}/{epoch:020}-{writer}.seg")
}

fn manifest_name(epoch: u64) -> String {
    format!("{MANIFESTS}/{epoch:020}.json")
}

#[cfg(test)]
mod tests;
