//! A running job: its operators in stages, each stage on every shard. Runs a [`StreamPlan`].
//!
//! ```text
//!   rows of partition 0  -->  shard 0  --+  exchange  +-->  shard 0  --+
//!   rows of partition 1  -->  shard 1  --+   by key   +-->  shard 1  --+-->  results
//!                             stage 0                      stage 1
//! ```
//!
//! Shards of one stage know nothing of one another, so whoever owns the threads may run them at once ([`Workers`]). What
//! they put out for a later stage waits in their outboxes until all of them are done: then every shard of the next stage
//! has all rows that lie below the watermark before it learns of it. One watermark serves all shards.

use crate::graph::{Graph, Left};
use crate::operator::{OpenWindows, Operator, Run};
use crate::plan::StreamPlan;
use arrow::record_batch::RecordBatch;
use citystream_model::Result;
use citystream_model::time::{Micros, Watermark};
use layout::{Exit, Layout};
use std::collections::BTreeSet;
use std::sync::Arc;

mod exchange;
mod layout;
#[cfg(test)]
mod tests;

/// A running dataflow of one job.
pub struct Dataflow {
    // PROPERTIES
    plan: StreamPlan,
    layout: Layout,
    streams: usize,
    // STATES
    /// Per stage, its shards.
    stages: Vec<Vec<Shard>>,
    watermark: Watermark,
}

/// The operators of one stage that one worker runs.
pub struct Shard {
    // PROPERTIES
    number: usize,
    shards: usize,
    exits: Arc<[Exit]>,
    // STATES
    graph: Graph,
    /// Rows that came from an earlier stage, with their entries.
    inbox: Vec<(usize, RecordBatch)>,
    /// Rows for later stages: stage, entry, shard.
    outbox: Vec<((usize, usize), usize, RecordBatch)>,
    results: Vec<RecordBatch>,
}

/// What an operator of the plan holds, over all shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSize {
    /// The operator's name in the plan.
    pub name: String,
    /// Its place in the plan.
    pub node: usize,
    /// Bytes that it holds.
    pub bytes: usize,
    /// Windows that hold rows and have not closed.
    pub open_windows: OpenWindows,
}

/// Runs a task on each shard of a stage, in any order or at once.
pub trait Workers {
    /// Runs `task` on all of `shards`.
    ///
    /// # Errors
    /// The first failure, in the order of the shards.
    fn run(&self, shards: &mut [Shard], task: &(dyn Fn(&mut Shard) -> Result<()> + Sync)) -> Result<()>;
}

/// One shard after the other, on the calling thread.
#[derive(Debug, Clone, Copy)]
pub struct InTurn;

// === impl Dataflow ===

impl Dataflow {
    /// Builds the operators of `plan` for a job that reads `streams` streams, on `shards` shards.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when DataFusion cannot plan a fragment.
    pub fn build(plan: StreamPlan, streams: usize, shards: usize) -> Result<Self> {
        let layout = if shards <= 1 { Layout::single(&plan, streams) } else { Layout::parallel(&plan, streams, true) };
        Self::of_layout(plan, layout, streams, shards.max(1))
    }

    fn of_layout(plan: StreamPlan, layout: Layout, streams: usize, shards: usize) -> Result<Self> {
        let mut stages = Vec::new();
        for stage in &layout.stages {
            let exits: Arc<[Exit]> = stage.exits.clone().into();
            let shard = |number| {
                let graph = Graph::build(&stage.blueprints, stage.entries.clone(), &plan)?;
                let exits = Arc::clone(&exits);
                Ok(Shard { number, shards, exits, graph, inbox: Vec::new(), outbox: Vec::new(), results: Vec::new() })
            };
            stages.push((0..shards).map(shard).collect::<Result<_>>()?);
        }
        Ok(Self { plan, layout, streams, stages, watermark: Watermark::NONE })
    }

    /// The shards that rows of streams are given to: those of one partition always to the same.
    pub fn entries(&mut self) -> &mut [Shard] {
        self.stages.first_mut().map(Vec::as_mut_slice).unwrap_or_default()
    }

    /// Gives admitted rows of a stream to `shard` and returns what is final by that.
    ///
    /// # Errors
    /// As [`crate::operator::Operator::on_batch`].
    pub fn push(&mut self, shard: usize, stream: usize, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        self.entries()[shard].push(stream, batch)?;
        self.settle(&InTurn)
    }

    /// Raises the job's watermark and returns what is final by that; a lower one changes nothing.
    ///
    /// # Errors
    /// As [`crate::operator::Operator::on_watermark`].
    pub fn advance(&mut self, watermark: Watermark, workers: &dyn Workers) -> Result<Vec<RecordBatch>> {
        self.watermark = self.watermark.max(watermark);
        self.settle(workers)
    }

    /// Brings what the first stage put out through all later ones, and returns results.
    fn settle(&mut self, workers: &dyn Workers) -> Result<Vec<RecordBatch>> {
        let (watermark, mut results) = (self.watermark, Vec::new());
        for stage in 0..self.stages.len() {
            if self.stages[stage].iter().any(|shard| shard.has_work(watermark)) {
                workers.run(&mut self.stages[stage], &|shard| shard.work(watermark))?;
            }
            for shard in 0..self.stages[stage].len() {
                results.append(&mut self.stages[stage][shard].results);
                for ((stage, entry), shard, batch) in std::mem::take(&mut self.stages[stage][shard].outbox) {
                    self.stages[stage][shard].inbox.push((entry, batch));
                }
            }
        }
        Ok(results)
    }

    /// Takes notice that a stream has more partitions now: its producers may send a key elsewhere than before, so that
    /// an exchange has to bring together what the record's key kept together until now.
    ///
    /// # Errors
    /// As [`crate::operator::Operator::seal`].
    pub fn repartition(&mut self) -> Result<()> {
        let shards = self.entries().len();
        if shards <= 1 || !self.goes_by_record_key() {
            return Ok(());
        }
        let mut runs = Vec::new();
        for shard in self.stages.iter_mut().flatten() {
            runs.extend(shard.graph.seal()?);
        }
        let layout = Layout::parallel(&self.plan, self.streams, false);
        let mut next = Self::of_layout(self.plan.clone(), layout, self.streams, shards)?;
        for shard in next.stages.iter_mut().flatten() {
            let mut left = Left::new();
            shard.graph.advance(self.watermark, &mut left)?;
        }
        next.watermark = self.watermark;
        runs.into_iter().try_for_each(|(node, run)| next.restore(node, run))?;
        *self = next;
        Ok(())
    }

    /// Gives a run to the shards that its rows belong to.
    fn restore(&mut self, node: usize, run: Run) -> Result<()> {
        let owner = self.layout.owners[node].clone();
        let shards = self.stages[owner.stage].len();
        for (shard, batch) in owner.by[run.port].split(run.batch, 0, shards)? {
            let graph = &mut self.stages[owner.stage][shard].graph;
            graph.restore(owner.at, Run { port: run.port, batch }, self.watermark)?;
        }
        Ok(())
    }

    /// True when some exchange is left out because records of one key stand in one partition.
    fn goes_by_record_key(&self) -> bool {
        use crate::plan::Route;
        self.plan.nodes.iter().any(|node| matches!(node.route, Route::Keys { by_record_key: true, .. }))
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.stages.first().map_or(0, Vec::len)
    }

    /// The newest watermark that the operators know.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// What each operator of the plan holds.
    pub fn state(&self) -> Vec<StateSize> {
        let size = |(node, plan): (usize, &crate::plan::PlanNode)| StateSize {
            name: plan.name.clone(),
            node,
            bytes: 0,
            open_windows: OpenWindows::default(),
        };
        let mut sizes: Vec<StateSize> = self.plan.nodes.iter().enumerate().map(size).collect();
        for (node, operator) in self.operators() {
            sizes[node].bytes += operator.state_bytes();
            operator.open_windows(&mut sizes[node].open_windows);
        }
        sizes
    }

    /// The watermarks that close windows by the clock, in order.
    pub fn ends(&self) -> BTreeSet<Micros> {
        let mut windows = OpenWindows::default();
        self.operators().for_each(|(_, operator)| operator.open_windows(&mut windows));
        windows.ends()
    }

    fn operators(&self) -> impl Iterator<Item = (usize, &dyn Operator)> {
        self.stages.iter().flatten().flat_map(|shard| shard.graph.operators())
    }

    /// Bytes that all operators hold.
    pub fn state_bytes(&self) -> usize {
        self.operators().map(|(_, operator)| operator.state_bytes()).sum()
    }

    /// Windows that are open in some operator.
    pub fn open_windows(&self) -> usize {
        self.state().iter().map(|size| size.open_windows.count()).sum()
    }
}

// === impl Shard ===

impl Shard {
    /// Its number, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Gives admitted rows of a stream to the operators; what comes of them is kept until the stage is settled.
    ///
    /// # Errors
    /// As [`crate::operator::Operator::on_batch`].
    pub fn push(&mut self, stream: usize, batch: &RecordBatch) -> Result<()> {
        let mut left = Left::new();
        self.graph.push(stream, batch, &mut left)?;
        self.sort(left)
    }

    fn has_work(&self, watermark: Watermark) -> bool {
        !self.inbox.is_empty() || watermark > self.graph.watermark()
    }

    /// Takes what came from earlier stages, then the watermark.
    fn work(&mut self, watermark: Watermark) -> Result<()> {
        let mut left = Left::new();
        for (entry, batch) in std::mem::take(&mut self.inbox) {
            self.graph.push(entry, &batch, &mut left)?;
        }
        self.graph.advance(watermark, &mut left)?;
        self.sort(left)
    }

    /// Sorts what left the graph by where it goes.
    fn sort(&mut self, left: Left) -> Result<()> {
        for (exit, batch) in left {
            let Exit { by, to } = &self.exits[exit];
            match to {
                None => self.results.push(batch),
                Some(to) => {
                    let parts = by.split(batch, self.number, self.shards)?;
                    self.outbox.extend(parts.into_iter().map(|(shard, batch)| (*to, shard, batch)));
                }
            }
        }
        Ok(())
    }
}

// === impl InTurn ===

impl Workers for InTurn {
    fn run(&self, shards: &mut [Shard], task: &(dyn Fn(&mut Shard) -> Result<()> + Sync)) -> Result<()> {
        shards.iter_mut().try_for_each(task)
    }
}
