//! What happens to a job on its way: how many shards it has, when it makes a checkpoint, and when it is killed.

use crate::run::Outcome;
use citystream_model::Result;
use citystream_model::time::Watermark;
use citystream_operators::admit::Gate;
use citystream_operators::dataflow::{Dataflow, Shard, Workers};
use citystream_operators::plan::StreamPlan;
use citystream_state::run::{Owner, Run};
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, BTreeSet};

/// The course of a run; pieces are numbered as they arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Partitions go to the shards in turn.
    pub shards: usize,
    /// So many pieces are given to the shards before the watermark rises, as in a round of the runtime.
    pub round: usize,
    /// Before which piece the streams are said to have got more partitions.
    pub repartition: Option<usize>,
    /// Before which pieces a checkpoint is made.
    pub checkpoints: BTreeSet<usize>,
    /// Before which pieces results come out that are not final.
    pub early: BTreeSet<usize>,
    /// Before which piece the job is killed, and how many shards it has when it comes back.
    pub kill: Option<(usize, usize)>,
}

/// The last shard first, since their order must not matter.
pub(crate) struct LastFirst;

/// All that a job goes on from.
pub(crate) struct Checkpoint {
    /// The next piece.
    pub(crate) piece: usize,
    pub(crate) gates: Vec<Gate>,
    pub(crate) outcome: Outcome,
    pub(crate) watermark: Watermark,
    layout: String,
    runs: BTreeMap<Owner, Vec<Run>>,
}

/// Checkpoints of a run, each on top of the one before.
#[derive(Default)]
pub(crate) struct Checkpoints {
    runs: BTreeMap<Owner, Vec<Run>>,
    layout: Option<String>,
}

// === impl Course ===

impl Course {
    /// One shard, and nothing happens.
    pub fn plain() -> Self {
        Self {
            shards: 1,
            round: 1,
            repartition: None,
            checkpoints: BTreeSet::new(),
            early: BTreeSet::new(),
            kill: None,
        }
    }

    /// `shards` shards, and what a random course over `pieces` pieces brings.
    pub fn random(rng: &mut StdRng, shards: usize, pieces: usize) -> Self {
        let some = |rng: &mut StdRng| rng.random_range(0..=pieces);
        let repartition = rng.random_bool(0.5).then(|| some(rng));
        let checkpoints = (0..rng.random_range(0..6)).map(|_| some(rng)).collect();
        let kill = rng.random_bool(0.7).then(|| (some(rng), rng.random_range(1..=4)));
        let round = rng.random_range(1..=4);
        Self { shards, round, repartition, checkpoints, early: BTreeSet::new(), kill }
    }

    /// The same, and results come out early before some of `pieces` pieces.
    pub fn with_early(self, rng: &mut StdRng, pieces: usize) -> Self {
        Self { early: (0..=pieces).filter(|_| rng.random_bool(0.4)).collect(), ..self }
    }
}

impl Workers for LastFirst {
    fn run(&self, shards: &mut [Shard], task: &(dyn Fn(&mut Shard) -> Result<()> + Sync)) -> Result<()> {
        shards.iter_mut().rev().try_for_each(task)
    }
}

// === impl Checkpoints ===

impl Checkpoints {
    /// What the job is before `piece`.
    pub(crate) fn make(
        &mut self,
        dataflow: &mut Dataflow,
        piece: usize,
        gates: &[Gate],
        outcome: &Outcome,
    ) -> Result<Checkpoint> {
        let layout = dataflow.layout();
        // Other shards hold the state now, or none has been saved.
        let whole = self.layout.as_ref() != Some(&layout);
        if whole {
            self.runs.clear();
        }
        for (owner, snapshot) in dataflow.seal(whole)? {
            let runs = self.runs.entry(owner).or_default();
            if snapshot.is_whole {
                runs.clear();
            }
            runs.extend(snapshot.runs);
        }
        self.layout = Some(layout.clone());
        let (runs, watermark) = (self.runs.clone(), dataflow.watermark());
        Ok(Checkpoint { piece, gates: gates.to_vec(), outcome: outcome.clone(), watermark, layout, runs })
    }
}

// === impl Checkpoint ===

impl Checkpoint {
    /// The job as it was, on `shards` shards.
    pub(crate) fn resume(&self, plan: &StreamPlan, streams: usize, shards: usize) -> Result<Dataflow> {
        let runs = self.runs.iter().flat_map(|(owner, runs)| runs.iter().map(|run| (*owner, run.clone())));
        Dataflow::resume(plan.clone(), streams, shards, Some(&self.layout), runs.collect(), self.watermark)
    }
}
