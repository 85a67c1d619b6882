//! The operators of one stage on one shard: batches come in at entries, what comes out has the number of its exit.

use crate::closed_window::ClosedWindow;
use crate::fragment::Fragment;
use crate::operator::{OpenWindows, Operator};
use crate::pane::{Pane, Phase};
use crate::plan::{FragmentPlan, Keeps, NodeKind, StreamPlan};
use crate::session::Session;
use crate::session_pane::SessionPane;
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, Result};
use citystream_state::run::{Run, Snapshot};
use std::sync::Arc;

/// Operators that call one another; each stands behind its inputs.
pub(crate) struct Graph {
    nodes: Vec<Running>,
    /// Who reads each entry.
    entries: Vec<Vec<Reader>>,
    watermark: Watermark,
}

/// An operator to build: a node of the plan, in one of its phases, and who reads it.
#[derive(Debug, Clone)]
pub(crate) struct Blueprint {
    /// Index of the node in the plan.
    pub(crate) node: usize,
    pub(crate) phase: Phase,
    pub(crate) reader: Reader,
}

/// Who takes what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// An operator of the same graph, and its port.
    Node(usize, usize),
    /// Nobody here.
    Exit(usize),
}

struct Running {
    node: usize,
    operator: Box<dyn Operator>,
    reader: Reader,
}

/// Batches, each with the exit that it left by.
pub(crate) type Left = Vec<(usize, RecordBatch)>;

/// Row by row: runs its fragment on every batch and remembers nothing.
struct Stateless {
    fragment: Fragment,
    ports: usize,
}

// === impl Graph ===

impl Graph {
    /// Builds the operators of `blueprints` out of the nodes of `plan`.
    pub(crate) fn build(blueprints: &[Blueprint], entries: Vec<Vec<Reader>>, plan: &StreamPlan) -> Result<Self> {
        let executor = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| Error::resource("executor of a job").caused_by(error))?;
        let executor = Arc::new(executor);
        let build = |blueprint: &Blueprint| {
            let operator = operator(blueprint, plan, &executor)?;
            Ok(Running { node: blueprint.node, operator, reader: blueprint.reader })
        };
        let nodes = blueprints.iter().map(build).collect::<Result<_>>()?;
        Ok(Self { nodes, entries, watermark: Watermark::NONE })
    }

    /// Gives rows to the readers of an entry and takes what is final by that.
    pub(crate) fn push(&mut self, entry: usize, batch: &RecordBatch, left: &mut Left) -> Result<()> {
        for reader in 0..self.entries[entry].len() {
            self.deliver(self.entries[entry][reader], batch.clone(), left)?;
        }
        Ok(())
    }

    /// Raises the watermark and takes what is final by that; a lower one changes nothing.
    pub(crate) fn advance(&mut self, watermark: Watermark, left: &mut Left) -> Result<()> {
        if watermark <= self.watermark {
            return Ok(());
        }
        self.watermark = watermark;
        for at in 0..self.nodes.len() {
            let mut out = Vec::new();
            self.nodes[at].operator.on_watermark(watermark, &mut out)?;
            self.pass_on(at, out, left)?;
        }
        Ok(())
    }

    /// Takes what operators have to say of windows that close at or before `until` and have not closed yet.
    pub(crate) fn fire_early(&mut self, until: Watermark, left: &mut Left) -> Result<()> {
        for at in 0..self.nodes.len() {
            let mut out = Vec::new();
            self.nodes[at].operator.fire_early(until, &mut out)?;
            self.pass_on(at, out, left)?;
        }
        Ok(())
    }

    /// The newest watermark that the operators know.
    pub(crate) fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// What each operator gives for a checkpoint, with the node of the plan that it belongs to.
    pub(crate) fn seal(&mut self, whole: bool) -> Result<Vec<(usize, Snapshot)>> {
        self.nodes.iter_mut().map(|running| Ok((running.node, running.operator.seal(whole)?))).collect()
    }

    /// Gives the operator at `at` its runs.
    pub(crate) fn restore(&mut self, at: usize, runs: Vec<Run>, watermark: Watermark) -> Result<()> {
        self.nodes[at].operator.restore(runs, watermark)
    }

    /// Where the operator of a node stands, if it is here.
    pub(crate) fn place_of(&self, node: usize) -> Option<usize> {
        self.nodes.iter().position(|running| running.node == node)
    }

    /// The operators, each with the node of the plan that it belongs to.
    pub(crate) fn operators(&self) -> impl Iterator<Item = (usize, &dyn Operator)> {
        self.nodes.iter().map(|running| (running.node, running.operator.as_ref()))
    }

    fn deliver(&mut self, reader: Reader, batch: RecordBatch, left: &mut Left) -> Result<()> {
        match reader {
            Reader::Exit(exit) => {
                left.push((exit, batch));
                Ok(())
            }
            Reader::Node(node, port) => {
                let mut out = Vec::new();
                self.nodes[node].operator.on_batch(port, batch, &mut out)?;
                self.pass_on(node, out, left)
            }
        }
    }

    fn pass_on(&mut self, node: usize, batches: Vec<RecordBatch>, left: &mut Left) -> Result<()> {
        let reader = self.nodes[node].reader;
        batches.into_iter().try_for_each(|batch| self.deliver(reader, batch, left))
    }
}

fn operator(
    blueprint: &Blueprint,
    plan: &StreamPlan,
    executor: &Arc<tokio::runtime::Runtime>,
) -> Result<Box<dyn Operator>> {
    let node = &plan.nodes[blueprint.node];
    let ports = node.inputs.len();
    let fragment = |fragment: &FragmentPlan| Fragment::plan(fragment, plan, executor);
    Ok(match &node.kind {
        NodeKind::Stateless(spec) => Box::new(Stateless { fragment: fragment(spec)?, ports }),
        NodeKind::ClosedWindow { fragment: spec, keeps } => {
            let pruning = match keeps {
                Keeps::All(_) => None,
                Keeps::First(pruning) => Some((fragment(&pruning.fragment)?, pruning.every)),
            };
            Box::new(ClosedWindow::new(fragment(spec)?, pruning, ports))
        }
        NodeKind::Pane(spec) => Box::new(Pane::plan(spec, blueprint.phase, &plan.session)?),
        NodeKind::Session(spec) => Box::new(Session::new(spec.clone())?),
        NodeKind::SessionPane(spec) => Box::new(SessionPane::plan(spec, &plan.session)?),
    })
}

// === impl Stateless ===

impl Operator for Stateless {
    fn on_batch(&mut self, port: usize, batch: RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut inputs = vec![Vec::new(); self.ports];
        inputs[port].push(batch);
        out.extend(self.fragment.run(inputs)?);
        Ok(())
    }

    fn on_watermark(&mut self, _: Watermark, _: &mut Vec<RecordBatch>) -> Result<()> {
        Ok(())
    }

    fn seal(&mut self, _: bool) -> Result<Snapshot> {
        Ok(Snapshot { is_whole: true, runs: Vec::new() })
    }

    fn restore(&mut self, _: Vec<Run>, _: Watermark) -> Result<()> {
        Err(Error::internal("a row by row operator has no state"))
    }

    fn state_bytes(&self) -> usize {
        0
    }

    fn open_windows(&self, _: &mut OpenWindows) {}

    fn last_end(&self) -> Option<Micros> {
        None
    }
}
