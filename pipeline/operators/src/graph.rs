//! Runs a [`StreamPlan`]: batches enter at the streams, results leave at the last node.

use crate::closed_window::ClosedWindow;
use crate::fragment::Fragment;
use crate::operator::Operator;
use crate::pane::{Pane, Phase};
use crate::plan::{FragmentPlan, Input, Keeps, NodeKind, PlanNode, StreamPlan};
use crate::session::Session;
use crate::session_pane::SessionPane;
use arrow::record_batch::RecordBatch;
use citystream_model::time::Watermark;
use citystream_model::{Error, Result};
use datafusion::execution::SessionState;
use std::sync::Arc;

/// A running dataflow of one job; lives on one thread.
pub struct Graph {
    /// Operators, each behind its inputs.
    nodes: Vec<Running>,
    /// Per stream: the ports that read it.
    entries: Vec<Vec<(usize, usize)>>,
    watermark: Watermark,
}

struct Running {
    operator: Box<dyn Operator>,
    /// Node and port that reads this node; `None` is the output.
    reader: Option<(usize, usize)>,
}

/// Row by row: runs its fragment on every batch and remembers nothing.
struct Stateless {
    fragment: Fragment,
    ports: usize,
}

// === impl Graph ===

impl Graph {
    /// Builds the operators of `plan` for a job that reads `streams` streams.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when DataFusion cannot plan a fragment.
    pub fn build(plan: StreamPlan, streams: usize) -> Result<Self> {
        let executor = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| Error::resource("executor of a job").caused_by(error))?;
        let executor = Arc::new(executor);
        let mut entries = vec![Vec::new(); streams];
        let mut readers = vec![None; plan.nodes.len()];
        for (at, node) in plan.nodes.iter().enumerate() {
            for (port, input) in node.inputs.iter().enumerate() {
                match *input {
                    Input::Stream(stream) => entries[stream].push((at, port)),
                    Input::Node(child) => readers[child] = Some((at, port)),
                }
            }
        }
        let build = |(node, reader)| Ok(Running { operator: operator(node, &plan.session, &executor)?, reader });
        let nodes = plan.nodes.into_iter().zip(readers).map(build).collect::<Result<_>>()?;
        Ok(Self { nodes, entries, watermark: Watermark::NONE })
    }

    /// Gives admitted rows of a stream to the operators and returns what is final by that.
    ///
    /// # Errors
    /// As [`Operator::on_batch`].
    pub fn push(&mut self, stream: usize, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let mut results = Vec::new();
        for (node, port) in self.entries[stream].clone() {
            self.deliver(node, port, batch.clone(), &mut results)?;
        }
        Ok(results)
    }

    /// Raises the job's watermark and returns what is final by that; a lower one changes nothing.
    ///
    /// # Errors
    /// As [`Operator::on_watermark`].
    pub fn advance(&mut self, watermark: Watermark) -> Result<Vec<RecordBatch>> {
        let mut results = Vec::new();
        if watermark <= self.watermark {
            return Ok(results);
        }
        self.watermark = watermark;
        for at in 0..self.nodes.len() {
            let mut out = Vec::new();
            self.nodes[at].operator.on_watermark(watermark, &mut out)?;
            self.pass_on(at, out, &mut results)?;
        }
        Ok(results)
    }

    /// The newest watermark that the operators know.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// Bytes that the operators hold.
    pub fn state_bytes(&self) -> usize {
        self.nodes.iter().map(|node| node.operator.state_bytes()).sum()
    }

    /// Windows that are open in some operator.
    pub fn open_windows(&self) -> usize {
        self.nodes.iter().map(|node| node.operator.open_windows()).sum()
    }

    fn deliver(&mut self, node: usize, port: usize, batch: RecordBatch, results: &mut Vec<RecordBatch>) -> Result<()> {
        let mut out = Vec::new();
        self.nodes[node].operator.on_batch(port, batch, &mut out)?;
        self.pass_on(node, out, results)
    }

    fn pass_on(&mut self, node: usize, batches: Vec<RecordBatch>, results: &mut Vec<RecordBatch>) -> Result<()> {
        match self.nodes[node].reader {
            None => results.extend(batches),
            Some((reader, port)) => {
                for batch in batches {
                    self.deliver(reader, port, batch, results)?;
                }
            }
        }
        Ok(())
    }
}

fn operator(
    node: PlanNode,
    session: &SessionState,
    executor: &Arc<tokio::runtime::Runtime>,
) -> Result<Box<dyn Operator>> {
    let ports = node.inputs.len();
    let plan = |fragment: FragmentPlan| Fragment::plan(fragment, session, executor);
    Ok(match node.kind {
        NodeKind::Stateless(fragment) => Box::new(Stateless { fragment: plan(fragment)?, ports }),
        NodeKind::ClosedWindow { fragment, keeps } => {
            let pruning = match keeps {
                Keeps::All(_) => None,
                Keeps::First(pruning) => Some((plan(pruning.fragment)?, pruning.every)),
            };
            Box::new(ClosedWindow::new(plan(fragment)?, pruning, ports))
        }
        NodeKind::Pane(spec) => Box::new(Pane::plan(&spec, Phase::Whole, session)?),
        NodeKind::Session(spec) => Box::new(Session::new(spec)?),
        NodeKind::SessionPane(spec) => Box::new(SessionPane::plan(&spec, session)?),
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

    fn state_bytes(&self) -> usize {
        0
    }

    fn open_windows(&self) -> usize {
        0
    }
}
