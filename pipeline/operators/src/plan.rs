//! The operator graph as data: `sql` makes it, [`crate::dataflow::Dataflow`] runs it.

use crate::fragment::Feed;
use arrow::datatypes::SchemaRef;
use citystream_functions::Overlap;
use datafusion::common::DFSchemaRef;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::sync::Arc;
use std::time::Duration;

/// A job's dataflow. Nodes stand behind their inputs; the last one is the output.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// The operators.
    pub nodes: Vec<PlanNode>,
    /// What the last node puts out.
    pub output: OutputSpec,
    /// True when the query reads headers of records.
    pub reads_headers: bool,
    /// Functions and settings with which fragments are planned; the same as the batch twin's.
    pub session: SessionState,
    /// Where fragments get their memory.
    pub runtime: Arc<RuntimeEnv>,
}

/// One operator with its inputs.
#[derive(Debug, Clone)]
pub struct PlanNode {
    /// What it does, for logs and explain.
    pub name: String,
    /// Where its ports read from.
    pub inputs: Vec<Input>,
    /// What it is.
    pub kind: NodeKind,
    /// Which of its rows belong together.
    pub route: Route,
}

/// Which rows an operator has to see together, where several shards share the work of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// None: every row by itself, or those that an operator before it has brought together.
    Stay,
    /// Those with equal values in these columns of each input. A `Pane` has none here: it goes by its keys.
    Keys {
        /// Positions of the columns, per port.
        columns: Vec<Vec<usize>>,
        /// True when such rows stand in one partition of the stream, as its declared key has it: then no exchange is
        /// needed for as long as the stream keeps its partitions.
        by_record_key: bool,
    },
    /// All.
    One,
}

/// Where a port reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Admitted rows of the job's stream with this index: its full schema.
    Stream(usize),
    /// Output of an earlier node.
    Node(usize),
}

/// The kinds of operators.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Row by row: filters, projections, window assignment, unions, lookup joins.
    Stateless(FragmentPlan),
    /// Any SQL inside a window; each input has a last column [`CLOSES_AT`] that the fragment does not see.
    ClosedWindow {
        /// The SQL.
        fragment: FragmentPlan,
        /// Which rows of open windows it keeps.
        keeps: Keeps,
    },
    /// Aggregates of groups whose keys hold a window; each input has a last column [`CLOSES_AT`].
    Pane(PaneSpec),
    /// Session assignment.
    Session(SessionSpec),
    /// Aggregates of groups whose keys hold a session and its keys. Where a session has rows that are in no group, a
    /// second input has the session's keys and times of all rows: [`KeyRole::OfPane`] in order, then the time.
    SessionPane(SessionPaneSpec),
}

/// Which rows of open windows are kept.
#[derive(Debug, Clone)]
pub enum Keeps {
    /// All; why no operator with a smaller state serves, empty where none was asked for.
    All(String),
    /// Those that may be among the first.
    First(Box<Pruning>),
}

/// Leaves out rows of an open window that cannot count any more.
#[derive(Debug, Clone)]
pub struct Pruning {
    /// From rows of the window to those of them that are kept, with the same columns; what goes changes no answer.
    pub fragment: FragmentPlan,
    /// Rows that come between two prunings, at least.
    pub every: usize,
    /// What is kept, for explain.
    pub what: String,
}

/// `GROUP BY` a window and keys.
#[derive(Debug, Clone)]
pub struct PaneSpec {
    /// Columns of the rows, less [`CLOSES_AT`].
    pub input: DFSchemaRef,
    /// Group keys over the rows, and what each is.
    pub keys: Vec<(Expr, KeyRole)>,
    /// Indices of the keys that tell a window from every other, each of them alone: its end, and its start unless windows
    /// of several lengths start there.
    pub telling: Vec<usize>,
    /// Aggregate functions over the rows.
    pub aggregates: Vec<Expr>,
    /// How panes make up windows; `None` when a pane is a window. A pane ends at its [`CLOSES_AT`].
    pub overlap: Option<Overlap>,
    /// Columns that come out: keys, then aggregates; [`REMOVED`] is not among them.
    pub schema: SchemaRef,
    /// How results come out before they are final too; `None` when they do not.
    pub revises: Option<Revision>,
}

/// How results come out before they are final, and again when they change.
#[derive(Debug, Clone)]
pub struct Revision {
    /// What groups have to fulfil to be results, over the columns that come out, which are called `c0`, `c1`, ...
    pub having: Option<Expr>,
    /// True when what was a result may be none later. Behind the other columns comes out [`REMOVED`] then.
    pub may_vanish: bool,
}

/// `GROUP BY` a session, its keys and more.
#[derive(Debug, Clone)]
pub struct SessionPaneSpec {
    /// The groups; keys of the session are [`KeyRole::OfPane`], and there is no overlap and no [`CLOSES_AT`].
    pub groups: PaneSpec,
    /// Index of the event-time column among the rows' columns, Timestamp(us).
    pub time: usize,
    /// Shortest silence that ends a session.
    pub gap: Duration,
}

/// What a group key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// One of many values in a window.
    Key,
    /// The same for all rows of a pane or session: bounds of a tumbling window, keys of a session.
    OfPane,
    /// Start of the window, which the operator knows.
    Start,
    /// End of the window, which the operator knows.
    End,
}

/// A piece of SQL over feeds, one feed per port.
#[derive(Debug, Clone)]
pub struct FragmentPlan {
    /// Optimized plan whose scans of streams are scans of the feeds.
    pub plan: LogicalPlan,
    /// Inputs of the plan, in port order.
    pub feeds: Vec<Arc<Feed>>,
}

/// Sessions: rows of one key less than `gap` apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSpec {
    /// Index of the event-time column, Timestamp(us).
    pub time: usize,
    /// Indices of the key columns; none means one sequence of sessions for all rows.
    pub keys: Vec<usize>,
    /// Shortest silence that ends a session.
    pub gap: Duration,
    /// Columns of the input that are passed on, in order; `window_start` and `window_end` follow.
    pub columns: Vec<usize>,
    /// Input columns and the two window columns.
    pub schema: SchemaRef,
}

/// Layout of the output batches: the SELECT's columns, then hidden ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    /// The SELECT's columns, as they are published.
    pub schema: SchemaRef,
    /// Index of the row's event time (window start, else event time), Timestamp(us).
    pub event_time: Option<usize>,
    /// Indices of source number and offset (both Int64) of the record that a stateless job's row came from; for a
    /// windowed job's row the watermark at which its window closed, and -1.
    pub origin: Option<(usize, usize)>,
    /// Index of [`REMOVED`].
    pub removed: Option<usize>,
}

/// Name of the hidden Int64 column that says at which watermark a row's window closes.
pub const CLOSES_AT: &str = "__closes_at";

/// Name of the hidden Boolean column that says of a row that it is no result any more: only what names its group counts.
pub const REMOVED: &str = "__removed";
