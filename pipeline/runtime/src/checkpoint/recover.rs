//! The start of a job with checkpoints: find the newest, take the job over, finish what was begun.
//!
//! ```text
//!   look: manifest 17, its runs are read --> connect sources and sinks --> create manifest 18, the claim
//!     ^                                                                     |           |
//!     +------------ 18 is there already: an older instance still runs ------+           v
//!                                       publish what 17 staged, discard the rest, go on from there
//! ```
//!
//! A job is taken over only by an instance that can start: sources and sinks are connected before.

use super::committer::{Committer, of, publish};
use super::taken_over;
use crate::start::patience::Patience;
use citystream_connect::Publisher;
use citystream_model::position::{Partition, Positions};
use citystream_model::time::Watermark;
use citystream_model::{Error, Result};
use citystream_state::commit::{KEPT, Verdict, claim, verdict};
use citystream_state::manifest::{Duties, StreamProgress};
use citystream_state::run::{Owner, Run};
use citystream_state::store::Identity;
use citystream_state::{CheckpointStore, Manifest, is_damage};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use tokio::runtime::Handle;

/// How often a folder is looked at again because another instance changed it meanwhile.
const LOOKS: usize = 5;
/// How often a claim is tried that needs nothing but the newest manifest.
const TRIES: usize = 100;

/// The checkpoint folder of a job, and who looks at it.
#[derive(Debug, Clone)]
pub struct JobFolder {
    /// The folder.
    pub store: CheckpointStore,
    /// Where its I/O runs.
    pub handle: Handle,
    /// The job's name.
    pub job: String,
    /// What its state depends on, part by part.
    pub plan: BTreeMap<String, String>,
    /// The reference tables that it reads, each with a hash of its rows.
    pub tables: BTreeMap<String, String>,
    /// This process.
    pub writer: String,
    /// The release of this binary.
    pub release: String,
}

/// Where a job goes on from.
#[derive(Debug)]
pub struct Base {
    /// The manifest that takes the job over; not created yet.
    pub claim: Manifest,
    /// The epoch that it goes on from; 0 for a new job.
    pub from: u64,
    /// The state.
    pub runs: Vec<(Owner, Run)>,
    /// True when the job has no checkpoint.
    pub is_new: bool,
}

// === impl JobFolder ===

impl JobFolder {
    /// True when the job has a checkpoint to go on from.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Job`] when it has changed since; the store cannot be read.
    pub fn check(&self) -> Result<bool> {
        let found = self.handle.block_on(self.store.newest(1))?;
        found.manifests.iter().try_for_each(|manifest| self.check_plan(manifest))?;
        Ok(!found.manifests.is_empty() || !found.damaged.is_empty())
    }

    /// Finds the newest checkpoint that can be read. A job that has none is new: `clear` says that it empties its tables.
    /// Epochs up to `published` have published something, whatever manifests there are.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Job`]: the folder is another job's, or the job has changed;
    /// [`citystream_model::ErrorKind::Unavailable`]: no checkpoint can be read.
    pub fn look(&self, clear: bool, published: u64) -> Result<Base> {
        let id = format!("{:016x}", RandomState::new().hash_one(&self.writer));
        // Another job's folder is refused; this one's says for people when it was made, and by whom.
        self.handle.block_on(self.store.identify(&Identity { job: self.job.clone(), id: id.clone() }))?;
        let mut newest = None;
        for _ in 0..LOOKS {
            let epochs = self.handle.block_on(self.store.epochs())?;
            let Some(&last) = epochs.last() else { return Ok(self.fresh(id, clear)) };
            let (base, damaged) = self.readable()?;
            // Runs that are missing may have been another instance's garbage, which has newer manifests then.
            if !damaged.is_empty() && newest.replace(last) != Some(last) {
                continue;
            }
            let Some((manifest, runs)) = base else { return Err(self.unreadable(&damaged)) };
            for detail in &damaged {
                let epoch = manifest.epoch;
                tracing::warn!(job = self.job, epoch, detail, "going on from an older checkpoint");
            }
            self.tell_changed_tables(&manifest);
            if published > last {
                let epoch = last;
                tracing::warn!(
                    job = self.job,
                    epoch,
                    published,
                    "newer checkpoints are gone; what they published comes again"
                );
            }
            let claim = claim(&manifest, last.max(published), &self.writer, &self.release);
            let claim = Manifest { tables: self.tables.clone(), ..claim };
            return Ok(Base { claim, from: manifest.epoch, runs, is_new: false });
        }
        Err(Error::unavailable(format!("job '{}': its checkpoints change all the time; is it running?", self.job)))
    }

    /// The newest manifest whose runs can be read, and why newer ones are none.
    #[allow(clippy::type_complexity, reason = "a manifest with its runs, and the reasons against others")]
    fn readable(&self) -> Result<(Option<(Manifest, Vec<(Owner, Run)>)>, Vec<String>)> {
        let found = self.handle.block_on(self.store.newest(KEPT))?;
        let mut damaged: Vec<String> = found.damaged.into_iter().map(|(_, detail)| detail).collect();
        let mut unreadable = BTreeSet::new();
        for manifest in found.manifests {
            self.check_plan(&manifest)?;
            if unreadable.contains(&manifest.sealed_in()) {
                continue;
            }
            match self.handle.block_on(self.store.read(&manifest.runs)) {
                Ok(runs) => return Ok((Some((manifest, runs)), damaged)),
                Err(error) if is_damage(&error) => {
                    unreadable.insert(manifest.sealed_in());
                    damaged.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok((None, damaged))
    }

    fn check_plan(&self, manifest: &Manifest) -> Result<()> {
        let parts: BTreeSet<&String> = manifest.plan.keys().chain(self.plan.keys()).collect();
        let changed: Vec<&str> = parts
            .into_iter()
            .filter(|part| manifest.plan.get(*part) != self.plan.get(*part))
            .map(String::as_str)
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let message = format!(
            "job '{}' has changed since its checkpoint of epoch {}: another {}; its state does not fit. Undo the change, \
             or give the job another name or checkpoint folder to start anew",
            self.job,
            manifest.epoch,
            changed.join(", another "),
        );
        Err(Error::job(message))
    }

    /// A changed table counts from the positions of the claim on: what is published before has seen the old one.
    fn tell_changed_tables(&self, manifest: &Manifest) {
        for (table, _) in self.tables.iter().filter(|(table, hash)| manifest.tables.get(*table) != Some(*hash)) {
            tracing::info!(
                job = self.job,
                table,
                epoch = manifest.epoch,
                "reference table has changed since the checkpoint"
            );
        }
    }

    fn unreadable(&self, damaged: &[String]) -> Error {
        let message = format!(
            "no checkpoint of job '{}' can be read: {}; restore the checkpoint folder, or start anew with another one",
            self.job,
            damaged.join("; ")
        );
        Error::unavailable(message).permanent()
    }

    /// The first claim of a job. Its identity is a new one, so that epochs that count from 1 again name other files than
    /// those of an earlier life of the folder.
    fn fresh(&self, identity: String, clear: bool) -> Base {
        let claim = Manifest {
            job: self.job.clone(),
            identity,
            generation: 1,
            writer: self.writer.clone(),
            epoch: 1,
            release: self.release.clone(),
            plan: self.plan.clone(),
            tables: self.tables.clone(),
            layout: String::new(),
            watermark: None,
            streams: Vec::new(),
            runs: Vec::new(),
            replay: None,
            published: BTreeMap::new(),
            staged_in: 0,
            staged: Vec::new(),
            first: Duties { clear, take_back: None },
        };
        Base { claim, from: 0, runs: Vec::new(), is_new: true }
    }

    /// Takes the job over; false when an older instance was quicker: look again.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Conflict`] when a newer instance has; the store does not answer.
    pub fn take_over(&self, claim: &Manifest) -> Result<bool> {
        match verdict(claim, &self.handle.block_on(self.store.create(claim))?) {
            Verdict::Committed => Ok(true),
            Verdict::Overtaken => Ok(false),
            Verdict::Fenced { generation, writer } => Err(taken_over(&claim.job, generation, &writer)),
        }
    }

    /// Ends an older instance that decides epochs faster than this one, which could start, gets ready: claims the job at once,
    /// and goes on from nowhere yet. The next look finds everything at rest; where the newest manifest is damaged nothing is
    /// done, and the next look sees to that. `published` as for [`Self::look`].
    ///
    /// # Errors
    /// As [`Self::take_over`]; [`citystream_model::ErrorKind::Job`] when the job has changed.
    pub fn stop_older(&self, published: u64) -> Result<()> {
        for _ in 0..TRIES {
            let found = self.handle.block_on(self.store.newest(1))?;
            let Some(newest) = found.manifests.first().filter(|_| found.damaged.is_empty()) else { return Ok(()) };
            self.check_plan(newest)?;
            if self.take_over(&claim(newest, newest.epoch.max(published), &self.writer, &self.release))? {
                return Ok(());
            }
        }
        let message = format!("job '{}': an older instance makes epochs faster than this store answers", self.job);
        Err(Error::unavailable(format!("{message}; stop it first")).permanent())
    }

    /// Finishes what `claim` says was begun, and removes what will never be published: the job can go on then.
    ///
    /// # Errors
    /// A store does not answer.
    pub fn settle(
        self,
        claim: Manifest,
        publishers: Vec<Arc<dyn Publisher>>,
        patience: &Patience<'_>,
    ) -> Result<Committer> {
        let (stop, status) = (patience.stop.clone(), patience.status.clone());
        let Self { store, handle, .. } = self;
        let (pause, collected) = (patience.pause, claim.epoch);
        let committer = Committer { store, handle, publishers, stop, status, pause, newest: claim, collected };
        // A publisher may have failed because that of a newer instance ended its work.
        committer.watch()?;
        let claim = committer.newest();
        publish(&committer.publishers, claim.staged_in, &claim.staged)?;
        for publisher in &committer.publishers {
            publisher.discard(claim.epoch, &of(&claim.staged, publisher.sink()))?;
            if let Some(epochs) = claim.first.take_back.clone() {
                publisher.take_back(epochs)?;
            }
        }
        committer.collect();
        Ok(committer)
    }
}

// === impl Base ===

impl Base {
    /// How far `stream` was read when the state was sealed; `None` for a job that is new.
    pub fn progress(&self, stream: &str) -> Option<&StreamProgress> {
        self.claim.sealed().1.iter().find(|progress| progress.stream == stream)
    }

    /// The job's watermark when the state was sealed.
    pub fn sealed_watermark(&self) -> Watermark {
        self.claim.sealed().0.map_or(Watermark::NONE, Watermark)
    }

    /// The job's watermark of the newest epoch.
    pub fn watermark(&self) -> Watermark {
        self.claim.watermark.map_or(Watermark::NONE, Watermark)
    }

    /// Where `stream` is to be read from; `None` for a job that is new.
    pub fn positions(&self, stream: &str) -> Option<Positions> {
        let progress = self.progress(stream)?;
        Some(Positions(progress.partitions.iter().map(|(partition, at)| (*partition, at.offset)).collect()))
    }

    /// The layout that the state was sealed in, if the streams still have the partitions of then.
    pub fn layout<'a>(&self, mut streams: impl Iterator<Item = (&'a str, Vec<Partition>)>) -> Option<&str> {
        let same = |(stream, partitions): (&str, Vec<Partition>)| {
            self.progress(stream).is_some_and(|known| known.partitions.keys().copied().eq(partitions))
        };
        (!self.is_new && streams.all(same)).then_some(self.claim.layout.as_str())
    }
}
