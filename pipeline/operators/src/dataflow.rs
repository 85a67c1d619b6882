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
use crate::operator::{OpenWindows, Operator};
use crate::plan::{PlanNode, Route, StreamPlan};
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, Result};
use citystream_state::run::{Owner, Run, Snapshot};
use layout::{Exit, Layout};
use std::collections::{BTreeMap, BTreeSet};
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
    /// True while some exchange is left out because records of one key stand in one partition.
    trusts_record_key: bool,
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
        let trusts_record_key = goes_by_record_key(&plan, shards);
        Ok(Self { trusts_record_key, ..Self::of_layout(plan, layout, streams, shards.max(1))? })
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
        Ok(Self { plan, layout, streams, trusts_record_key: false, stages, watermark: Watermark::NONE })
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

    /// Returns what has changed in windows that close at or before `until` and have not closed yet. A row that comes out later
    /// replaces that of the same key.
    ///
    /// # Errors
    /// As [`crate::operator::Operator::fire_early`].
    pub fn fire_early(&mut self, until: Watermark, workers: &dyn Workers) -> Result<Vec<RecordBatch>> {
        self.settle_with(workers, Some(until))
    }

    /// Brings what the first stage put out through all later ones, and returns results.
    fn settle(&mut self, workers: &dyn Workers) -> Result<Vec<RecordBatch>> {
        self.settle_with(workers, None)
    }

    /// As [`Self::settle`], and fires windows early that close up to a time.
    fn settle_with(&mut self, workers: &dyn Workers, early: Option<Watermark>) -> Result<Vec<RecordBatch>> {
        let (watermark, mut results) = (self.watermark, Vec::new());
        for stage in 0..self.stages.len() {
            if early.is_some() || self.stages[stage].iter().any(|shard| shard.has_work(watermark)) {
                workers.run(&mut self.stages[stage], &|shard| shard.work(watermark, early))?;
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

    /// Takes notice that records of one key stand in several partitions, or may do so from now on, since a stream has more
    /// partitions: an exchange has to bring together what the record's key kept together until now. Nothing may have come
    /// out of such records yet: call it before [`Self::advance`].
    ///
    /// # Errors
    /// As [`crate::operator::Operator::seal`].
    pub fn repartition(&mut self) -> Result<()> {
        let shards = self.entries().len();
        if shards <= 1 || !self.trusts_record_key {
            return Ok(());
        }
        // Rows on their way to a later stage are no state yet. Without a higher watermark no window closes by that.
        let results = self.settle(&InTurn)?;
        let sealed = self.seal(true)?.into_iter();
        let runs = sealed.flat_map(|(owner, snapshot)| snapshot.runs.into_iter().map(move |run| (owner, run)));
        *self = Self::with_exchanges(self.plan.clone(), self.streams, shards, runs.collect(), self.watermark)?;
        if let Some(first) = self.entries().first_mut() {
            first.results = results;
        }
        Ok(())
    }

    /// What each operator gives for a checkpoint: its whole state if `whole`, else what came since the last one.
    ///
    /// # Errors
    /// As [`crate::operator::Operator::seal`]; [`citystream_model::ErrorKind::Internal`] while rows are on their way
    /// between stages, which no operator would give.
    pub fn seal(&mut self, whole: bool) -> Result<Vec<(Owner, Snapshot)>> {
        if self.stages.iter().flatten().any(Shard::is_under_way) {
            return Err(Error::internal("a checkpoint while rows are on their way between shards"));
        }
        let mut sealed = Vec::new();
        for (stage, shards) in self.stages.iter_mut().enumerate() {
            for shard in shards {
                let of = |operator| Owner { operator, stage, shard: shard.number };
                sealed.extend(shard.graph.seal(whole)?.into_iter().map(|(node, snapshot)| (of(node), snapshot)));
            }
        }
        Ok(sealed)
    }

    /// How the work is laid out: state that goes by the record's key fits no other layout without an exchange.
    pub fn layout(&self) -> String {
        layout_name(self.shards(), self.trusts_record_key)
    }

    /// Goes on with the state of a job that was laid out as `layout` says when it knew `watermark`: all runs that its
    /// newest checkpoint needs. `layout` is `None` when a stream has other partitions than then.
    ///
    /// # Errors
    /// As [`Self::build`] and [`crate::operator::Operator::restore`].
    pub fn resume(
        plan: StreamPlan,
        streams: usize,
        shards: usize,
        layout: Option<&str>,
        runs: Vec<(Owner, Run)>,
        watermark: Watermark,
    ) -> Result<Self> {
        let same = layout == Some(layout_name(shards, goes_by_record_key(&plan, shards)).as_str());
        if !same && shards > 1 {
            return Self::with_exchanges(plan, streams, shards, runs, watermark);
        }
        let mut fresh = Self::build(plan, streams, shards)?;
        fresh.restore(runs, watermark, same)?;
        Ok(fresh)
    }

    /// Goes on without any state of a job that knew `watermark`: which rows stood together until then does not matter.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn resume_empty(plan: StreamPlan, streams: usize, shards: usize, watermark: Watermark) -> Result<Self> {
        let mut fresh = Self::build(plan, streams, shards)?;
        fresh.restore(Vec::new(), watermark, true)?;
        Ok(fresh)
    }

    /// A dataflow that leaves no exchange out.
    fn with_exchanges(
        plan: StreamPlan,
        streams: usize,
        shards: usize,
        runs: Vec<(Owner, Run)>,
        watermark: Watermark,
    ) -> Result<Self> {
        let layout = Layout::parallel(&plan, streams, false);
        let mut fresh = Self::of_layout(plan, layout, streams, shards)?;
        fresh.restore(runs, watermark, false)?;
        Ok(fresh)
    }

    /// Gives runs to the operators that they belong to: those that sealed them if the layout is the `same`, else those
    /// of the shards that their keys go to.
    fn restore(&mut self, runs: Vec<(Owner, Run)>, watermark: Watermark, same: bool) -> Result<()> {
        for shard in self.stages.iter_mut().flatten() {
            shard.graph.advance(watermark, &mut Left::new())?;
        }
        self.watermark = watermark;
        let mut parts: BTreeMap<(usize, usize, usize), Vec<Run>> = BTreeMap::new();
        for (owner, run) in runs {
            if same {
                let graph = self.stages.get(owner.stage).and_then(|shards| Some(&shards.get(owner.shard)?.graph));
                let at = graph.and_then(|graph| graph.place_of(owner.operator));
                let at = at.ok_or_else(|| Error::internal("a checkpoint of another layout"))?;
                parts.entry((owner.stage, owner.shard, at)).or_default().push(run);
                continue;
            }
            let home = self.layout.owners.get(owner.operator).cloned();
            let home = home.ok_or_else(|| Error::internal("a checkpoint of another plan"))?;
            let by = home.by.get(run.port.min(home.by.len().saturating_sub(1)));
            let by = by.ok_or_else(|| Error::internal("a checkpoint of another plan"))?;
            for (shard, batch) in by.split(run.batch, 0, self.stages[home.stage].len())? {
                parts.entry((home.stage, shard, home.at)).or_default().push(Run { port: run.port, batch });
            }
        }
        for ((stage, shard, at), runs) in parts {
            self.stages[stage][shard].graph.restore(at, runs, watermark)?;
        }
        Ok(())
    }

    /// True while some exchange is left out because records of one key stand in one partition.
    pub fn trusts_record_key(&self) -> bool {
        self.trusts_record_key
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
        let size =
            |node: &PlanNode| StateSize { name: node.name.clone(), bytes: 0, open_windows: OpenWindows::default() };
        let mut sizes: Vec<StateSize> = self.plan.nodes.iter().map(size).collect();
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
        windows.ends().split_off(&self.watermark.0.saturating_add(1))
    }

    /// The watermark by which all that operators hold has come out; what comes out may open later windows.
    pub fn last_end(&self) -> Option<Micros> {
        self.operators().filter_map(|(_, operator)| operator.last_end()).max()
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

/// True when a job of `plan` on so many shards leaves an exchange out because of the record's key.
fn goes_by_record_key(plan: &StreamPlan, shards: usize) -> bool {
    shards > 1 && plan.nodes.iter().any(|node| matches!(node.route, Route::Keys { by_record_key: true, .. }))
}

fn layout_name(shards: usize, by_record_key: bool) -> String {
    let by = if by_record_key { ", by the record's key where that serves" } else { "" };
    format!("{shards} shards{by}")
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

    fn is_under_way(&self) -> bool {
        !(self.inbox.is_empty() && self.outbox.is_empty() && self.results.is_empty())
    }

    fn has_work(&self, watermark: Watermark) -> bool {
        !self.inbox.is_empty() || watermark > self.graph.watermark()
    }

    /// Takes what came from earlier stages, then the watermark, and fires windows early that close up to `early`.
    fn work(&mut self, watermark: Watermark, early: Option<Watermark>) -> Result<()> {
        let mut left = Left::new();
        for (entry, batch) in std::mem::take(&mut self.inbox) {
            self.graph.push(entry, &batch, &mut left)?;
        }
        self.graph.advance(watermark, &mut left)?;
        if let Some(until) = early {
            self.graph.fire_early(until, &mut left)?;
        }
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
