//! Brings epochs to their end, one after the other: segment, manifest, publication. Every step may be done again.

use super::{Committed, Epoch, taken_over};
use crate::output::Retries;
use crate::status::StatusBoard;
use crate::stop::Stop;
use citystream_connect::{Published, Publisher};
use citystream_model::{Error, Result, StagedFile};
use citystream_state::commit::{Verdict, verdict};
use citystream_state::{CheckpointStore, Manifest};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Old checkpoints are removed after so many new ones, at the next that has a state of its own.
const COLLECT_EVERY: u64 = 4;

/// What is needed to commit epochs of one job.
pub struct Committer {
    // PROPERTIES
    /// The job's checkpoint folder.
    pub(super) store: CheckpointStore,
    /// Where its I/O runs.
    pub(super) handle: Handle,
    /// What publishes staged files, by sink.
    pub(super) publishers: Vec<Arc<dyn Publisher>>,
    /// Shortens the time that a store is waited for.
    pub(super) stop: Stop,
    /// Where the waiting is shown.
    pub(super) status: StatusBoard,
    /// Time between two tries.
    pub(super) pause: Duration,
    // STATES
    /// The newest epoch of this instance that is decided.
    pub(super) newest: Manifest,
    /// The epoch after which it has removed what was old.
    pub(super) collected: u64,
}

// === impl Committer ===

impl Committer {
    /// The newest epoch of this instance that is decided.
    pub fn newest(&self) -> &Manifest {
        &self.newest
    }

    /// Commits `epoch`; a store that does not answer is tried again for a while.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Conflict`] when a newer instance has taken the job over; the store does not answer.
    pub fn commit(&mut self, epoch: Epoch) -> Result<Committed> {
        let published = self.retries().until_done(|| self.attempt(&epoch))?;
        let number = epoch.manifest.epoch;
        self.newest = epoch.manifest;
        // A light epoch makes no state old.
        if self.newest.replay.is_none() && number >= self.collected + COLLECT_EVERY {
            self.collected = number;
            self.collect();
        }
        let bytes = epoch.segment.map(|(_, bytes)| bytes.len() as u64);
        Ok(Committed { epoch: number, begun_at: epoch.begun_at, bytes, published })
    }

    /// Removes what no kept checkpoint needs.
    pub(super) fn collect(&self) {
        if let Err(error) = self.handle.block_on(self.store.collect_garbage()) {
            // Nothing is lost by it: a later epoch tries again.
            tracing::warn!(job = self.newest.job, %error, "old checkpoints stay for now");
        }
    }

    fn retries(&self) -> Retries<'_> {
        Retries { job: &self.newest.job, stop: &self.stop, status: &self.status, pause: self.pause }
    }

    fn attempt(&self, epoch: &Epoch) -> Result<Vec<Published>> {
        if let Some((name, bytes)) = &epoch.segment {
            self.handle.block_on(self.store.put_segment(name, bytes.clone()))?;
        }
        let manifest = &epoch.manifest;
        match verdict(manifest, &self.handle.block_on(self.store.create(manifest))?) {
            Verdict::Committed => publish(&self.publishers, manifest.staged_in, &manifest.staged),
            Verdict::Fenced { generation, writer } => Err(taken_over(&manifest.job, generation, &writer)),
            Verdict::Overtaken => Err(Error::internal("an older instance has decided behind our claim")),
        }
    }

    /// Looks whether a newer instance has taken the job over. A store that does not answer says nothing: the next epoch
    /// will tell.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Conflict`] when one has.
    pub fn watch(&self) -> Result<()> {
        match self.handle.block_on(self.store.successor(&self.newest)) {
            Ok(None) => Ok(()),
            Ok(Some(next)) => Err(taken_over(&next.job, next.generation, &next.writer)),
            Err(error) => {
                tracing::warn!(job = self.newest.job, %error, "cannot look at the job's checkpoints");
                Ok(())
            }
        }
    }
}

/// Publishes what `epoch` staged, each file by its own sink's publisher.
pub(super) fn publish(publishers: &[Arc<dyn Publisher>], epoch: u64, staged: &[StagedFile]) -> Result<Vec<Published>> {
    let mut published = Vec::new();
    for publisher in publishers {
        let own = of(staged, publisher.sink());
        if !own.is_empty() {
            published.extend(publisher.publish(epoch, &own)?);
        }
    }
    match staged.iter().find(|file| publishers.iter().all(|publisher| publisher.sink() != file.sink)) {
        None => Ok(published),
        Some(file) => Err(Error::internal(format!("no sink '{}' to publish {}", file.sink, file.from))),
    }
}

/// The files of one sink.
pub(super) fn of(staged: &[StagedFile], sink: &str) -> Vec<StagedFile> {
    staged.iter().filter(|file| file.sink == sink).cloned().collect()
}
