//! Cuts an optimized plan into operators: what works row by row stays together, what has to wait for its window
//! becomes a `ClosedWindow`. Dispatches only; each construct has its own file.

use crate::finding::Finding;
use crate::plan::columns::{self, Fact, Facts, Role, best_time, better_time};
use crate::plan::piece::{OFFSET, Piece, SOURCE, TIME};
use crate::plan::top_n::TopN;
use crate::plan::window_node::{WindowNode, expand_windows};
use crate::plan::{aggregate, assign, join, over, route, union};
use arrow::datatypes::{DataType, FieldRef};
use citystream_model::stream::{self, Stream, timestamp_type};
use citystream_operators::fragment::Feed;
use citystream_operators::plan::{
    CLOSES_AT, FragmentPlan, Input, Keeps, NodeKind, OutputSpec, PlanNode, Route, StreamPlan,
};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, DataFusionError, Result, TableReference, not_impl_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias, TableScan, Unnest, cast, col, lit,
};
use std::sync::Arc;

/// Hidden column of the output with the time of a row.
pub(crate) const EVENT_TIME: &str = "__event_time";

/// The operators that have been cut off so far.
pub(crate) struct Lowering<'a> {
    pub(crate) streams: &'a [Arc<Stream>],
    /// True when a sink wants to know which record a row came from.
    pub(crate) origin: bool,
    /// False for the operators of all shapes only, with which the faster ones are compared.
    pub(crate) fast: bool,
    nodes: Vec<PlanNode>,
    reads_headers: bool,
    feeds: usize,
    windows: usize,
}

/// Cuts the optimized `plan` of a job over `streams` into operators.
pub(crate) fn lower(
    plan: &LogicalPlan,
    streams: &[Arc<Stream>],
    origin: bool,
    fast: bool,
    session: &SessionState,
) -> Result<StreamPlan> {
    let mut lowering =
        Lowering { streams, origin, fast, nodes: Vec::new(), reads_headers: false, feeds: 0, windows: 0 };
    let piece = lowering.piece(plan)?;
    if piece.is_table() {
        let (message, help) = if streams.is_empty() {
            ("the query reads no stream", "a job reads at least one stream; a table alone needs no job")
        } else {
            (
                "no row could ever come out: a condition is never true",
                "check the constants in WHERE and ON; a CAST that fails is NULL",
            )
        };
        return Err(Finding::new("S121", None, message, help).into());
    }
    let mut output = lowering.output(piece, plan.schema())?;
    output.schema = Arc::new(plan.schema().as_arrow().clone());
    let reads_headers = lowering.reads_headers;
    route::assign(&mut lowering.nodes, streams);
    let runtime = Arc::clone(session.runtime_env());
    Ok(StreamPlan { nodes: lowering.nodes, output, reads_headers, session: session.clone(), runtime })
}

// === impl Lowering ===

impl Lowering<'_> {
    /// Lowers `plan` and what is below it.
    pub(crate) fn piece(&mut self, plan: &LogicalPlan) -> Result<Piece> {
        if !self.has_stream(plan)? {
            return Ok(Piece::table(expand_windows(plan.clone())?));
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.source(scan),
            LogicalPlan::Filter(filter) => {
                let piece = match TopN::below(filter).filter(|_| self.fast) {
                    Some(top_n) => top_n.lower(self)?,
                    None => self.piece(&filter.input)?,
                };
                let plan = LogicalPlanBuilder::from(piece.plan).filter(filter.predicate.clone())?.build()?;
                Ok(Piece { plan, ..piece })
            }
            LogicalPlan::Projection(projection) => {
                let piece = self.piece(&projection.input)?;
                projected(piece, projection)
            }
            LogicalPlan::SubqueryAlias(alias) => aliased(self.piece(&alias.input)?, alias),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::Union(union) => union::lower(self, union),
            LogicalPlan::Join(join) => join::lower(self, join),
            LogicalPlan::Aggregate(aggregate) => aggregate::lower(self, aggregate),
            LogicalPlan::Window(window) => over::lower(self, window, None),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                let help = "for the first n of each window use row_number() OVER (PARTITION BY window_start, window_end ORDER BY ...) <= n";
                Err(Finding::new("S120", None, "ORDER BY and LIMIT need an end, which a stream has not", help).into())
            }
            other => match WindowNode::of(other) {
                Some(node) => assign::lower(self, node),
                None => Err(unsupported(other).into()),
            },
        }
    }

    /// A number for the windows of one window function.
    pub(crate) fn next_window(&mut self) -> usize {
        self.windows += 1;
        self.windows
    }

    /// Number of operators so far, to come back to with [`Self::forget_after`].
    pub(crate) fn mark(&self) -> usize {
        self.nodes.len()
    }

    /// Forgets the operators that were cut off since `mark`.
    pub(crate) fn forget_after(&mut self, mark: usize) {
        self.nodes.truncate(mark);
    }

    /// True when `plan` reads one of the job's streams.
    pub(crate) fn has_stream(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut found = false;
        plan.apply(|node| {
            found |= matches!(node, LogicalPlan::TableScan(scan) if self.stream_of(scan).is_some());
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(found)
    }

    fn stream_of(&self, scan: &TableScan) -> Option<usize> {
        self.streams.iter().position(|stream| stream.name == scan.table_name.table())
    }

    /// Admitted rows of a stream.
    fn source(&mut self, scan: &TableScan) -> Result<Piece> {
        let Some(number) = self.stream_of(scan) else { return not_impl_err!("scan of {}", scan.table_name) };
        let stream = Arc::clone(&self.streams[number]);
        self.reads_headers |= scan.projected_schema.fields().iter().any(|field| field.name() == stream::HEADERS);
        let full = Arc::new(datafusion::common::DFSchema::try_from_qualified_schema(
            scan.table_name.clone(),
            &stream.full_schema(),
        )?);
        self.feeds += 1;
        let mut piece = Piece::reading(Input::Stream(number), &full, vec![None; full.fields().len()], self.feeds)?;
        let mut columns = piece.columns_of(&scan.projected_schema);
        if self.origin {
            let source =
                cast(col(column(&scan.table_name, stream::PARTITION)), DataType::Int64) + lit((number as i64) << 32);
            columns.push(source.alias(SOURCE));
            columns.push(col(column(&scan.table_name, stream::OFFSET)).alias(OFFSET));
        }
        let time = scan.projected_schema.fields().iter().position(|field| *field.name() == stream.time_column);
        if time.is_none() {
            columns.push(col(column(&scan.table_name, &stream.time_column)).alias(TIME));
        }
        piece.plan = LogicalPlanBuilder::from(piece.plan).project(columns)?.build()?;
        piece.facts = vec![None; piece.plan.schema().fields().len()];
        let last = piece.facts.len() - 1;
        piece.facts[time.unwrap_or(last)] = Some(Fact::new(Role::EventTime));
        Ok(piece)
    }

    /// Rows out of lists; the columns beside them stay what they are.
    fn unnest(&mut self, unnest: &Unnest) -> Result<Piece> {
        let piece = self.piece(&unnest.input)?;
        let known = Arc::clone(piece.plan.schema());
        let columns = unnest.exec_columns.clone();
        let plan = LogicalPlanBuilder::from(piece.plan)
            .unnest_columns_with_options(columns, unnest.options.clone())?
            .build()?;
        let fact = |(qualifier, field): (Option<&TableReference>, &FieldRef)| {
            known.index_of_column_by_name(qualifier, field.name()).and_then(|at| piece.facts[at].clone())
        };
        let facts = plan.schema().iter().map(fact).collect();
        Ok(Piece { plan, feeds: piece.feeds, facts })
    }

    /// Ends a piece: an operator that puts out the columns of `schema`, and when each row is final if `closes_at` says so.
    pub(crate) fn cut(&mut self, piece: Piece, schema: &DFSchemaRef, closes_at: Option<Expr>) -> Result<Input> {
        let mut columns = piece.columns_of(schema);
        columns.extend(closes_at.map(|closes_at| closes_at.alias(CLOSES_AT)));
        let plan = LogicalPlanBuilder::from(piece.plan).project(columns)?.build()?;
        Ok(self.add("calc", piece.feeds, plan, NodeKind::Stateless))
    }

    fn add(
        &mut self,
        name: &str,
        feeds: Vec<(Arc<citystream_operators::fragment::Feed>, Input)>,
        plan: LogicalPlan,
        kind: fn(FragmentPlan) -> NodeKind,
    ) -> Input {
        let (feeds, inputs) = feeds.into_iter().unzip();
        self.push(name, inputs, kind(FragmentPlan { plan, feeds }))
    }

    fn push(&mut self, name: &str, inputs: Vec<Input>, kind: NodeKind) -> Input {
        // Which rows belong together is said of all operators at the end.
        self.nodes.push(PlanNode { name: name.to_owned(), inputs, kind, route: Route::Stay });
        Input::Node(self.nodes.len() - 1)
    }

    /// Adds an operator and returns a piece that reads it.
    pub(crate) fn operator(
        &mut self,
        name: &str,
        inputs: Vec<Input>,
        kind: NodeKind,
        schema: &DFSchemaRef,
        facts: Facts,
    ) -> Result<Piece> {
        let node = self.push(name, inputs, kind);
        self.feeds += 1;
        Piece::reading(node, schema, facts, self.feeds)
    }

    /// As [`Self::operator`], for one whose rows come when windows close: `closed_at` says when they did.
    pub(crate) fn windowed(
        &mut self,
        name: &str,
        inputs: Vec<Input>,
        kind: NodeKind,
        schema: &DFSchemaRef,
        facts: Facts,
        closed_at: Option<Expr>,
    ) -> Result<Piece> {
        let piece = self.operator(name, inputs, kind, schema, facts)?;
        match closed_at.filter(|_| self.origin) {
            None => Ok(piece),
            Some(closed_at) => closed_origin(piece, closed_at),
        }
    }

    /// Adds a `ClosedWindow` that runs the plan which `build` makes of its inputs, and returns a piece that reads it.
    ///
    /// Each input is a piece, the columns that the plan reads of it, and when its rows are final; `closed_at` says of
    /// the plan's rows when they were.
    pub(crate) fn closed_window(
        &mut self,
        name: &str,
        keeps: Keeps,
        inputs: Vec<(Piece, DFSchemaRef, Expr)>,
        build: impl FnOnce(Vec<LogicalPlan>) -> Result<LogicalPlan>,
        facts: Facts,
        closed_at: Option<Expr>,
    ) -> Result<Piece> {
        let (mut ports, mut scans, mut feeds) = (Vec::new(), Vec::new(), Vec::new());
        for (piece, schema, closes_at) in inputs {
            ports.push(self.cut(piece, &schema, Some(closes_at))?);
            let (scan, feed) = self.feed(&schema)?;
            scans.push(scan);
            feeds.push(feed);
        }
        let plan = build(scans)?;
        let schema = Arc::clone(plan.schema());
        let kind = NodeKind::ClosedWindow { fragment: FragmentPlan { plan, feeds }, keeps };
        self.windowed(name, ports, kind, &schema, facts, closed_at)
    }

    /// A scan of a new feed that looks like a plan with `schema`.
    pub(crate) fn feed(&mut self, schema: &DFSchemaRef) -> Result<(LogicalPlan, Arc<Feed>)> {
        self.feeds += 1;
        crate::plan::piece::feed(schema, self.feeds)
    }

    /// Ends the last piece: the SELECT's columns, then the hidden ones.
    fn output(&mut self, piece: Piece, schema: &DFSchemaRef) -> Result<OutputSpec> {
        let mut columns = piece.columns_of(schema);
        let event_time = best_time(&piece.facts).map(|at| {
            columns.push(cast(piece.column(at), timestamp_type()).alias(EVENT_TIME));
            columns.len() - 1
        });
        let origin = match (piece.hidden(SOURCE), piece.hidden(OFFSET)) {
            (Some(source), Some(offset)) => {
                columns.extend([piece.column(source), piece.column(offset)]);
                Some((columns.len() - 2, columns.len() - 1))
            }
            _ => None,
        };
        let plan = LogicalPlanBuilder::from(piece.plan).project(columns)?.build()?;
        self.add("output", piece.feeds, plan, NodeKind::Stateless);
        Ok(OutputSpec { schema: Arc::new(arrow::datatypes::Schema::empty()), event_time, origin, removed: None })
    }
}

/// `projection` over a piece, with the hidden columns of the piece beside it.
pub(crate) fn projected(piece: Piece, projection: &Projection) -> Result<Piece> {
    let schema = Arc::clone(piece.plan.schema());
    let mut exprs = projection.expr.clone();
    let mut facts: Facts = exprs.iter().map(|expr| columns::known(expr, &schema, &piece.facts)).collect();
    for name in [SOURCE, OFFSET] {
        if let Some(at) = piece.hidden(name) {
            exprs.push(piece.column(at).alias(name));
            facts.push(None);
        }
    }
    if let Some(at) = better_time(&piece.facts, &facts) {
        exprs.push(piece.column(at).alias(TIME));
        facts.push(piece.facts[at].clone());
    }
    let plan = LogicalPlanBuilder::from(piece.plan).project(exprs)?.build()?;
    Ok(Piece { plan, feeds: piece.feeds, facts })
}

/// A piece under another name.
pub(crate) fn aliased(piece: Piece, alias: &SubqueryAlias) -> Result<Piece> {
    let plan = LogicalPlanBuilder::from(piece.plan).alias(alias.alias.clone())?.build()?;
    Ok(Piece { plan, ..piece })
}

/// Rows of a window come from its closing, as those of a stateless job come from a record.
fn closed_origin(mut piece: Piece, closed_at: Expr) -> Result<Piece> {
    let mut columns: Vec<Expr> = piece.plan.schema().iter().map(Expr::from).collect();
    columns.extend([closed_at.alias(SOURCE), lit(-1i64).alias(OFFSET)]);
    piece.plan = LogicalPlanBuilder::from(piece.plan).project(columns)?.build()?;
    piece.facts.extend([None, None]);
    Ok(piece)
}

fn column(table: &TableReference, name: &str) -> datafusion::common::Column {
    datafusion::common::Column::new(Some(table.clone()), name)
}

impl From<Finding> for Box<DataFusionError> {
    fn from(finding: Finding) -> Self {
        Box::new(finding.into())
    }
}

fn unsupported(plan: &LogicalPlan) -> Finding {
    let name = plan.display().to_string();
    let name = name.split([':', ' ']).next().unwrap_or_default().to_lowercase();
    let help = "write it inside a window, or without it";
    Finding::new("S013", None, format!("found {name} over a stream, which is not supported"), help)
}
