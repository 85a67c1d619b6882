//! Checkpoints of a job: what it is between two rounds, put where the next process finds it.
//!
//! ```text
//!   loop of the job                            committer, on a thread of its own
//!   round, round, round
//!   stage sinks, seal operators --> epoch 17 --> segment, manifest (the decision), publish, collect garbage
//!   round, round, ...                <-- what was published, or why not
//! ```
//!
//! One epoch is under way at a time; the loop goes on meanwhile, since runs and staged files do not change any more. An epoch
//! between two seals is light: it has the positions, and what a start needs to read the rows since the seal again
//! ([`crate::replay`]), so that results may come out ten times a second while the state is put away every ten. Start with
//! [`Epoch`]; [`committer`] brings one to its end, [`recover`] finds the newest at the start, [`since`] counts rows and
//! heartbeats.
//!
//! Invariants: I3, I4: an epoch is decided by one PUT, and nothing of it is visible before; nothing is given up after.

pub mod committer;
pub mod recover;
mod since;
mod worker;

use crate::checkpoint::committer::Committer;
use crate::checkpoint::since::Since;
use bytes::Bytes;
use citystream_connect::Published;
use citystream_model::time::{Micros, has_passed};
use citystream_model::{Error, Result, StagedFile};
use citystream_operators::dataflow::Dataflow;
use citystream_state::Manifest;
use citystream_state::manifest::{Duties, ReplayedBeat, StreamProgress};
use citystream_state::run::Owner;
use citystream_state::segment::{RunRef, SegmentWriter};
use citystream_state::store::segment_name;
use std::collections::BTreeMap;
use worker::Worker;

/// An epoch that takes longer is told of.
const LONG: Micros = 30_000_000;

/// An epoch on its way: all of it is durable but the segment and the manifest.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// What it is, once it is decided.
    pub manifest: Manifest,
    /// Runs that no earlier epoch has, and the name of their object.
    pub segment: Option<(String, Bytes)>,
    /// When it began, for how long it took.
    pub begun_at: Micros,
}

/// Where a job stands between two rounds: all rows before have gone through the operators.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The job's watermark.
    pub watermark: Option<Micros>,
    /// How far its streams were read, in the order of its inputs.
    pub streams: Vec<StreamProgress>,
    /// Files that its sinks have staged.
    pub staged: Vec<StagedFile>,
    /// True for a job whose results follow from rows and watermarks alone, so that a light epoch is enough.
    pub may_be_light: bool,
}

/// What an epoch came to.
#[derive(Debug)]
pub struct Committed {
    /// The epoch.
    pub epoch: u64,
    /// When it began.
    pub begun_at: Micros,
    /// Bytes of its segment; `None` for a light epoch, or where nothing has changed.
    pub bytes: Option<u64>,
    /// What it published.
    pub published: Vec<Published>,
}

/// The checkpoints of a running job.
pub struct Checkpoints {
    // PROPERTIES
    /// Longest time between two seals.
    interval: Micros,
    // STATES
    /// The newest epoch that was handed over, decided or not.
    newest: Manifest,
    /// What the state needs, by operator; meaningless while `layout` is `None`.
    runs: BTreeMap<Owner, Vec<RunRef>>,
    /// How the operators were laid out when they were sealed last.
    layout: Option<String>,
    /// What came since the operators were sealed last; `None` where the next epoch has to seal them.
    since: Option<Since>,
    /// When the newest epoch began.
    begun_at: Micros,
    /// When the operators were sealed last.
    sealed_at: Micros,
    /// When the newest that was decided began.
    decided_at: Micros,
    /// Bytes of the segment under way.
    bytes: usize,
    /// When it was said that the epoch under way takes long.
    told_at: Micros,
    worker: Worker,
}

// === impl Checkpoints ===

impl Checkpoints {
    /// Checkpoints at least every `interval`, on top of the one that `committer` goes on from; `now` is the start.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Resource`] when the machine gives no thread.
    pub fn new(committer: Committer, interval: Micros, now: Micros) -> Result<Self> {
        let newest = committer.newest().clone();
        Ok(Self::over(newest, Worker::start(committer)?, interval, now))
    }

    /// As [`Self::new`], without a thread: an epoch is brought to its end before the job goes on. For simulations.
    pub fn in_line(committer: Committer, interval: Micros, now: Micros) -> Self {
        let newest = committer.newest().clone();
        Self::over(newest, Worker::in_line(committer), interval, now)
    }

    fn over(newest: Manifest, worker: Worker, interval: Micros, now: Micros) -> Self {
        let (runs, layout, since) = (BTreeMap::new(), None, None);
        let (begun_at, sealed_at, decided_at, told_at) = (now, now, now, now);
        Self { interval, newest, runs, layout, since, begun_at, sealed_at, decided_at, bytes: 0, told_at, worker }
    }

    /// True when the next is due by the clock, and none is under way.
    pub fn is_due(&self, now: Micros) -> bool {
        self.is_idle() && has_passed(self.sealed_at, self.interval, now)
    }

    /// Bytes of the epoch under way, which stand in memory until it is committed.
    pub fn bytes_under_way(&self) -> usize {
        self.bytes
    }

    /// True when none is under way.
    pub fn is_idle(&self) -> bool {
        self.worker.is_idle()
    }

    /// True when the newest epoch has files of its own, which a start would publish again.
    pub fn has_staged(&self) -> bool {
        !self.newest.staged.is_empty()
    }

    /// The epoch under way and its seconds so far, now and then when it takes long.
    pub fn delayed(&mut self, now: Micros) -> Option<(u64, f64)> {
        let is_late = !self.is_idle() && has_passed(self.begun_at.max(self.told_at), LONG, now);
        is_late.then(|| {
            self.told_at = now;
            (self.newest.epoch, now.saturating_sub(self.begun_at) as f64 / 1e6)
        })
    }

    /// Seconds since the job can go on from where it was.
    pub fn age(&self, now: Micros) -> f64 {
        now.saturating_sub(self.decided_at) as f64 / 1e6
    }

    /// Counts rows that were admitted at wall-clock time `now`.
    pub fn note_admitted(&mut self, stream: usize, rows: u64, now: Micros) {
        self.since.iter_mut().for_each(|since| since.admit(stream, rows, now));
    }

    /// Keeps a heartbeat, to come again in a replay.
    pub fn note_beat(&mut self, beat: ReplayedBeat) {
        self.since.iter_mut().for_each(|since| since.beat(beat));
    }

    /// Has the next epoch seal the operators: something came that a replay could not repeat.
    pub fn seal_next(&mut self) {
        self.since = None;
    }

    /// Hands the next epoch over; seals the operators, unless it may be light. Nothing may be on its way between shards.
    ///
    /// # Errors
    /// As [`Dataflow::seal`]; the committer has stopped.
    pub fn begin(&mut self, dataflow: &mut Dataflow, cut: Cut, now: Micros) -> Result<()> {
        let epoch = self.newest.epoch + 1;
        let layout = dataflow.layout();
        let may_be_light = cut.may_be_light && self.newest.tables.is_empty() && self.layout.as_ref() == Some(&layout);
        let is_due = has_passed(self.sealed_at, self.interval, now);
        let since = self.since.take().filter(|since| may_be_light && !is_due && since.can_grow(epoch, &cut.streams));
        let mut segment = None;
        let replay = since.as_ref().map(|since| since.replay());
        if since.is_none() {
            let name = segment_name(epoch, &self.newest.writer);
            let bytes = self.seal(dataflow, &layout, SegmentWriter::new(name.clone()))?;
            (segment, self.sealed_at) = (bytes.map(|bytes| (name, bytes)), now);
        }
        self.since = Some(since.unwrap_or_else(|| Since::seal(epoch, cut.watermark, &cut.streams)));
        let manifest = Manifest {
            epoch,
            layout: layout.clone(),
            watermark: cut.watermark,
            streams: cut.streams,
            runs: self.runs.values().flatten().cloned().collect(),
            replay,
            published: self.newest.published_with_staged(),
            staged_in: epoch,
            staged: cut.staged,
            first: Duties::default(),
            ..self.newest.clone()
        };
        (self.layout, self.begun_at) = (Some(layout), now);
        self.bytes = segment.as_ref().map_or(0, |(_, bytes)| bytes.len());
        self.newest = manifest.clone();
        self.worker.submit(Epoch { manifest, segment, begun_at: now })
    }

    /// Takes what came since the last call into a segment, and notes which runs the state needs now.
    fn seal(&mut self, dataflow: &mut Dataflow, layout: &str, mut segment: SegmentWriter) -> Result<Option<Bytes>> {
        // Other shards hold the state than those that stand in earlier checkpoints, or none does.
        let whole = self.layout.as_deref() != Some(layout);
        if whole {
            self.runs.clear();
        }
        for (owner, snapshot) in dataflow.seal(whole)? {
            if snapshot.is_whole {
                self.runs.remove(&owner);
            }
            snapshot.runs.iter().try_for_each(|run| segment.add(owner, run))?;
        }
        let Some((bytes, refs)) = segment.finish() else { return Ok(None) };
        refs.into_iter().for_each(|run| self.runs.entry(run.owner()).or_default().push(run));
        Ok(Some(bytes))
    }

    /// What became of the epoch under way, if it has come to its end; what the fence says, if the job was taken over.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Conflict`] when a newer instance has taken the job over; an epoch could not be
    /// committed.
    pub fn poll(&mut self) -> Result<Option<Committed>> {
        let done = self.worker.poll()?;
        self.note(&done);
        Ok(done)
    }

    /// Waits for the end of the epoch under way, if there is one.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub fn wait(&mut self) -> Result<Option<Committed>> {
        let done = self.worker.wait()?;
        self.note(&done);
        Ok(done)
    }

    fn note(&mut self, done: &Option<Committed>) {
        if let Some(done) = done {
            (self.decided_at, self.bytes) = (done.begun_at, 0);
        }
    }
}

/// The error of an instance that is not the newest any more.
fn taken_over(job: &str, generation: u64, writer: &str) -> Error {
    let message = format!(
        "a newer instance has taken job '{job}' over (start {generation}, process {writer}); this one has stopped, and has \
         published nothing that the newer one does not go on from"
    );
    Error::new(citystream_model::ErrorKind::Conflict, message)
}
