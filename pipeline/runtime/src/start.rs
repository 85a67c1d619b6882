//! The start of a job: connected sources and sinks become a job that runs, new or as its newest checkpoint has it.
//!
//! Who connects them is the caller's business ([`Connect`]); the order of things is here, so that simulations start jobs as
//! the binary does.

pub mod patience;

use crate::checkpoint::Checkpoints;
use crate::checkpoint::recover::{Base, JobFolder};
use crate::input::Input;
use crate::key_claim::KeyClaim;
use crate::replay::Replaying;
use crate::start::patience::Patience;
use citystream_connect::{Publisher, Sink};
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use citystream_operators::dataflow::Dataflow;
use citystream_operators::plan::StreamPlan;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a job begins again to start, because its folder has changed meanwhile.
const ROUNDS: usize = 20;

/// What a job reads and writes, connected.
pub struct Connected {
    /// Its streams, in the order of the plan's inputs.
    pub inputs: Vec<Input>,
    /// Where results go.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Late tables, per stream; none when late rows are dropped.
    pub late: Vec<Option<Box<dyn Sink>>>,
    /// Rejects tables, per stream.
    pub rejects: Vec<Box<dyn Sink>>,
}

/// A job about to run: what it is connected to, its operators, and the checkpoints that it goes on making.
pub struct Ready {
    /// Sources and sinks.
    pub connected: Connected,
    /// Operators.
    pub dataflow: Dataflow,
    /// What it reads again before it goes on.
    pub replay: Option<Replaying>,
    /// Checkpoints, if it makes any.
    pub checkpoints: Option<Checkpoints>,
}

/// Connects a job.
pub trait Connect {
    /// Connects sinks and sources, as `base` has them if there is one. Nothing is written yet.
    ///
    /// # Errors
    /// A broker, topic or folder that cannot be used.
    fn connect(&self, base: Option<&Base>) -> Result<Connected>;

    /// Empties the tables of a new job that was asked to, but for what the job `identity` has written itself: an instance
    /// that has taken over meanwhile may have.
    ///
    /// # Errors
    /// A table cannot be removed.
    fn clear(&self, identity: &str) -> Result<()>;
}

/// How a job makes checkpoints.
pub struct Checkpointing<'a> {
    /// The job's folder.
    pub folder: &'a JobFolder,
    /// Longest time between two.
    pub interval: Micros,
    /// True for epochs that are committed on the job's own thread: simulations.
    pub in_line: bool,
    /// For how long a store is tried.
    pub patience: &'a Patience<'a>,
    /// Now.
    pub now: Micros,
}

/// Builds a job that makes no checkpoints, on at most `parallelism` shards.
///
/// # Errors
/// As [`Dataflow::build`].
pub fn begin(mut connected: Connected, plan: StreamPlan, parallelism: usize) -> Result<Ready> {
    let dataflow = Dataflow::build(plan, connected.inputs.len(), connected.shards(parallelism))?;
    connected.feed(&dataflow, None);
    Ok(Ready { connected, dataflow, replay: None, checkpoints: None })
}

/// Builds a job that goes on from its newest checkpoint, or begins to make some. `clear`: a new one empties its tables.
///
/// # Errors
/// As [`JobFolder::look`], [`JobFolder::take_over`] and [`Connect::connect`].
pub fn resume(
    how: &Checkpointing<'_>,
    connect: &dyn Connect,
    plan: &StreamPlan,
    parallelism: usize,
    clear: bool,
) -> Result<Ready> {
    let patience = how.patience;
    let mut published = 0;
    for round in 0..ROUNDS {
        patience.check_stop()?;
        let mut base = patience.open(|_| how.folder.look(clear, published))?;
        let mut connected = patience.open(|_| connect.connect(Some(&base)))?;
        let dataflow = restore(&mut connected, &mut base, plan.clone(), parallelism)?;
        let replay = Replaying::of(&base, &mut connected.inputs)?;
        // Files or messages of epochs that no manifest knows: a manifest was lost, or the folder is an older copy, unless an
        // older instance still runs: then the next look finds its manifests.
        let newest = newest(&connected.publishers(), patience)?;
        if newest > base.from.max(published) {
            published = newest;
            if round > 0 {
                patience.open(|_| how.folder.stop_older(published))?;
            }
            continue;
        }
        check_kept(&connected.publishers(), &base.claim.published, patience)?;
        if !patience.open(|_| how.folder.take_over(&base.claim))? {
            tracing::info!(job = base.claim.job, "an older instance still runs, and has to end first");
            patience.open(|_| how.folder.stop_older(published))?;
            continue;
        }
        let checkpoints = settle(how, connect, base, connected.publishers())?;
        return Ok(Ready { connected, dataflow, replay, checkpoints: Some(checkpoints) });
    }
    let message =
        format!("job '{}': its checkpoint folder changed each of {ROUNDS} times that it was looked at", how.folder.job);
    let reasons = "other instances of it start all the time, or somebody copies into the folder";
    Err(Error::unavailable(format!("{message}: {reasons}")).permanent())
}

/// The newest epoch that has published something; 0 for none.
fn newest(publishers: &[Arc<dyn Publisher>], patience: &Patience<'_>) -> Result<u64> {
    let epochs = publishers.iter().map(|publisher| patience.open(|_| publisher.newest()));
    Ok(epochs.collect::<Result<Vec<_>>>()?.into_iter().flatten().max().unwrap_or(0))
}

/// Makes sure that the outputs still have what was `published` last, as far as they can tell.
fn check_kept(
    publishers: &[Arc<dyn Publisher>],
    published: &BTreeMap<String, u64>,
    patience: &Patience<'_>,
) -> Result<()> {
    let known = publishers.iter().filter_map(|publisher| Some((publisher, *published.get(publisher.sink())?)));
    known.into_iter().try_for_each(|(publisher, epoch)| patience.open(|_| publisher.check_kept(epoch)))
}

/// The operators and the inputs' gates as they were when the state of `base` was sealed. What a new job starts with is noted in
/// its claim.
fn restore(connected: &mut Connected, base: &mut Base, plan: StreamPlan, parallelism: usize) -> Result<Dataflow> {
    let (streams, shards) = (connected.inputs.len(), connected.shards(parallelism));
    let runs = std::mem::take(&mut base.runs);
    let watermark = base.sealed_watermark();
    let dataflow = if runs.is_empty() {
        Dataflow::resume_empty(plan, streams, shards, watermark)?
    } else {
        let partitions = connected.inputs.iter().map(|input| (input.stream.name.as_str(), input.source.partitions()));
        Dataflow::resume(plan, streams, shards, base.layout(partitions), runs, watermark)?
    };
    for input in &mut connected.inputs {
        if let Some(known) = base.progress(&input.stream.name) {
            input.restore(known, base.watermark());
        }
    }
    connected.feed(&dataflow, Some(base));
    if base.is_new {
        base.claim.layout = dataflow.layout();
        base.claim.streams = connected.inputs.iter().map(Input::progress).collect();
    }
    Ok(dataflow)
}

/// Finishes what was begun before, and begins to make checkpoints.
fn settle(
    how: &Checkpointing<'_>,
    connect: &dyn Connect,
    Base { claim, is_new, .. }: Base,
    publishers: Vec<Arc<dyn Publisher>>,
) -> Result<Checkpoints> {
    let checkpoint = if is_new { "none yet" } else { "found" };
    tracing::info!(job = claim.job, epoch = claim.epoch, start = claim.generation, checkpoint, "job begins");
    if claim.first.clear {
        how.patience.open(|_| connect.clear(&claim.identity))?;
    }
    let committer =
        how.patience.open(|_| how.folder.clone().settle(claim.clone(), publishers.clone(), how.patience))?;
    if how.in_line {
        return Ok(Checkpoints::in_line(committer, how.interval, how.now));
    }
    Checkpoints::new(committer, how.interval, how.now)
}

// === impl Connected ===

impl Connected {
    /// A shard without a partition would have nothing to read.
    fn shards(&self, parallelism: usize) -> usize {
        let partitions = self.inputs.iter().map(|input| input.source.partitions().len()).max().unwrap_or(1);
        partitions.clamp(1, parallelism.max(1))
    }

    /// What publishes the files of all sinks.
    fn publishers(&self) -> Vec<Arc<dyn Publisher>> {
        let sinks = self.sinks.iter().chain(self.late.iter().flatten()).chain(&self.rejects);
        sinks.filter_map(|sink| sink.publisher()).collect()
    }

    /// Has inputs give enough for all shards, and watch over the keys where an exchange was left out for them.
    fn feed(&mut self, dataflow: &Dataflow, base: Option<&Base>) {
        for input in &mut self.inputs {
            input.feed(dataflow.shards());
            if dataflow.trusts_record_key() {
                let rules = base.and_then(|base| base.progress(&input.stream.name)?.key_rules.as_deref());
                let claim = KeyClaim::of(&input.stream, input.source.partitions().len());
                input.claim = claim.map(|claim| rules.map_or(claim.clone(), |rules| claim.restored(rules)));
            }
        }
    }
}
