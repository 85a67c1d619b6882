//! Cuts an optimized plan into operators: what works row by row stays together, what has to wait for its window
//! becomes a `ClosedWindow`. Dispatches only; each construct has its own file.

use crate::finding::{Finding, place_of};
use crate::plan::columns::{self, Fact, Facts, Role, best_time};
use crate::plan::piece::{OFFSET, Piece, SOURCE, TIME};
use crate::plan::window_node::{Assign, WindowNode, expand_windows};
use crate::plan::{aggregate, join, over};
use arrow::datatypes::DataType;
use citystream_model::stream::{self, Stream, timestamp_type};
use citystream_operators::plan::{
    CLOSES_AT, FragmentPlan, Input, NodeKind, OutputSpec, PlanNode, SessionSpec, StreamPlan,
};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, DataFusionError, Result, TableReference, not_impl_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, TableScan, Union, cast, col, lit};
use std::sync::Arc;

/// The operators that have been cut off so far.
pub(crate) struct Lowering<'a> {
    pub(crate) streams: &'a [Arc<Stream>],
    /// True when a sink wants to know which record a row came from.
    pub(crate) origin: bool,
    nodes: Vec<PlanNode>,
    feeds: usize,
    windows: usize,
}

/// Cuts the optimized `plan` of a job over `streams` into operators.
pub(crate) fn lower(
    plan: &LogicalPlan,
    streams: &[Arc<Stream>],
    origin: bool,
    session: &SessionState,
) -> Result<StreamPlan> {
    let mut lowering = Lowering { streams, origin, nodes: Vec::new(), feeds: 0, windows: 0 };
    let piece = lowering.piece(plan)?;
    if piece.is_table() && !streams.is_empty() {
        let help = "check the constants in WHERE and ON; a CAST that fails is NULL";
        return Err(Finding::new("S121", None, "no row could ever come out: a condition is never true", help).into());
    }
    if piece.is_table() {
        let (message, help) = if streams.is_empty() {
            ("the query reads no stream", "a job reads at least one stream; a table alone needs no job")
        } else {
            ("the query can never have a row: a condition on the stream is always false", "correct the condition")
        };
        return Err(Finding::new("S121", None, message, help).into());
    }
    let mut output = lowering.output(piece, plan.schema())?;
    output.schema = Arc::new(plan.schema().as_arrow().clone());
    Ok(StreamPlan { nodes: lowering.nodes, output, session: session.clone() })
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
                let piece = self.piece(&filter.input)?;
                let plan = LogicalPlanBuilder::from(piece.plan).filter(filter.predicate.clone())?.build()?;
                Ok(Piece { plan, ..piece })
            }
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::SubqueryAlias(alias) => {
                let piece = self.piece(&alias.input)?;
                let plan = LogicalPlanBuilder::from(piece.plan).alias(alias.alias.clone())?.build()?;
                Ok(Piece { plan, ..piece })
            }
            LogicalPlan::Unnest(unnest) => {
                let piece = self.piece(&unnest.input)?;
                let known = Arc::clone(piece.plan.schema());
                let columns = unnest.exec_columns.clone();
                let plan = LogicalPlanBuilder::from(piece.plan)
                    .unnest_columns_with_options(columns, unnest.options.clone())?
                    .build()?;
                let fact = |(qualifier, name): (Option<&TableReference>, &str)| {
                    known.index_of_column_by_name(qualifier, name).and_then(|at| piece.facts[at].clone())
                };
                let facts = plan.schema().iter().map(|(qualifier, field)| fact((qualifier, field.name()))).collect();
                Ok(Piece { plan, feeds: piece.feeds, facts })
            }
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Join(join) => join::lower(self, join),
            LogicalPlan::Aggregate(aggregate) => aggregate::lower(self, aggregate),
            LogicalPlan::Window(window) => over::lower(self, window),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                let help = "for the first n of each window use row_number() OVER (PARTITION BY window_start, window_end ORDER BY ...) <= n";
                Err(Finding::new("S120", None, "ORDER BY and LIMIT need an end, which a stream has not", help).into())
            }
            other => match WindowNode::of(other) {
                Some(node) => self.window(node),
                None => {
                    let name = other.display().to_string();
                    let name = name.split([':', ' ']).next().unwrap_or_default().to_lowercase();
                    Err(Finding::new(
                        "S013",
                        None,
                        format!("found {name} over a stream, which is not supported"),
                        "write it inside a window, or without it",
                    )
                    .into())
                }
            },
        }
    }

    /// True when `plan` reads one of the job's streams.
    fn has_stream(&self, plan: &LogicalPlan) -> Result<bool> {
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

    fn projection(&mut self, projection: &Projection) -> Result<Piece> {
        let piece = self.piece(&projection.input)?;
        let schema = Arc::clone(piece.plan.schema());
        let mut exprs = projection.expr.clone();
        let mut facts: Facts = exprs.iter().map(|expr| columns::known(expr, &schema, &piece.facts)).collect();
        for name in [SOURCE, OFFSET] {
            if let Some(at) = piece.hidden(name) {
                exprs.push(piece.column(at).alias(name));
                facts.push(None);
            }
        }
        if best_time(&facts).is_none()
            && let Some(at) = best_time(&piece.facts)
        {
            exprs.push(piece.column(at).alias(TIME));
            facts.push(piece.facts[at].clone());
        }
        let plan = LogicalPlanBuilder::from(piece.plan).project(exprs)?.build()?;
        Ok(Piece { plan, feeds: piece.feeds, facts })
    }

    /// All inputs side by side; what they do not all have in common is forgotten.
    fn union(&mut self, union: &Union) -> Result<Piece> {
        let pieces = union.inputs.iter().map(|input| self.piece(input)).collect::<Result<Vec<_>>>()?;
        if pieces.iter().any(Piece::is_table) {
            let help = "write the table's rows to the stream's topic, or make them a table of their own";
            return Err(Finding::new(
                "S161",
                None,
                "UNION of a stream with a table or with constants has no time to come out",
                help,
            )
            .into());
        }
        let hidden: Vec<_> = [SOURCE, OFFSET]
            .into_iter()
            .filter(|name| pieces.iter().all(|piece| piece.hidden(name).is_some()))
            .collect();
        let (mut plans, mut feeds, mut all_facts) = (Vec::new(), Vec::new(), Vec::new());
        for (input, piece) in union.inputs.iter().zip(pieces) {
            let mut columns = piece.columns_of(input.schema());
            let known = columns.iter().map(|column| columns::known(column, piece.plan.schema(), &piece.facts));
            all_facts.push(known.collect::<Facts>());
            columns.extend(
                hidden
                    .iter()
                    .filter_map(|name| piece.hidden(name))
                    .map(|at| piece.column(at))
                    .zip(&hidden)
                    .map(|(column, name)| column.alias(*name)),
            );
            let time = best_time(&piece.facts)
                .map(|at| piece.column(at))
                .unwrap_or_else(|| lit(datafusion::common::ScalarValue::Null));
            columns.push(cast(time, timestamp_type()).alias(TIME));
            plans.push(Arc::new(LogicalPlanBuilder::from(piece.plan).project(columns)?.build()?));
            feeds.extend(piece.feeds);
        }
        let first = all_facts.first().cloned().unwrap_or_default();
        let mut facts: Facts = first
            .into_iter()
            .enumerate()
            .map(|(at, fact)| {
                fact.filter(|fact| {
                    all_facts
                        .iter()
                        .all(|other| other[at].as_ref().is_some_and(|other| other.role == fact.role && !other.nullable))
                })
            })
            .collect();
        facts.extend(hidden.iter().map(|_| None));
        facts.push(Some(Fact::new(Role::Label)));
        let joined = LogicalPlan::Union(Union::try_new(plans)?);
        // The parents know the columns by the names of the union as it was planned.
        let names = union.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.name().clone()));
        let names = names.chain(hidden.iter().chain([&TIME]).map(|name| (None, (*name).to_owned())));
        let columns = joined
            .schema()
            .iter()
            .map(Expr::from)
            .zip(names)
            .map(|(column, (qualifier, name))| column.alias_qualified(qualifier, name));
        let columns = columns.collect::<Vec<_>>();
        let plan = LogicalPlanBuilder::from(joined).project(columns)?.build()?;
        Ok(Piece { plan, feeds, facts })
    }

    /// A window table function: row by row, or a session operator.
    fn window(&mut self, node: &WindowNode) -> Result<Piece> {
        let piece = self.piece(&node.input)?;
        let time = columns::of_expr(&node.time, piece.plan.schema(), &piece.facts)?;
        let spec = if let Assign::Fixed(spec) = &node.assign { Some(spec) } else { None };
        let name = columns::name_of(&node.time);
        columns::check_time(time.as_ref(), spec, &name, place_of([&node.time]))?;
        let whole = WindowNode::new(piece.plan.clone(), node.time.clone(), node.assign.clone())?;
        let kept = |facts: &Facts| -> Facts {
            let passed = whole.passed();
            passed.iter().map(|column| columns::known(column, piece.plan.schema(), facts)).collect()
        };
        let mut facts = kept(&piece.facts);
        self.windows += 1;
        match &node.assign {
            Assign::Fixed(spec) => {
                facts.extend(columns::of_window(spec, self.windows).map(Some));
                let plan = whole.expand(piece.plan.clone())?;
                Ok(Piece { plan, feeds: piece.feeds, facts })
            }
            Assign::Session { gap, keys } => {
                // Rows come out when their session is final, behind the watermark that their own times would have.
                facts.iter_mut().flatten().for_each(|fact| fact.role = Role::Label);
                facts.extend(columns::window_facts(columns::Length::Open, self.windows).map(Some));
                let schema = Arc::clone(piece.plan.schema());
                let at = |expr: &Expr| {
                    expr.column_refs().into_iter().next().and_then(|column| schema.maybe_index_of_column(column))
                };
                let output = Arc::clone(datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(&whole));
                let (Some(time), Some(keys)) = (at(&node.time), keys.iter().map(at).collect::<Option<Vec<_>>>()) else {
                    return not_impl_err!("session over an expression");
                };
                let spec = SessionSpec {
                    time,
                    keys,
                    gap: *gap,
                    columns: whole.passed().iter().filter_map(at).collect(),
                    schema: Arc::new(output.as_arrow().clone()),
                };
                let input = self.cut(piece, &schema, None)?;
                self.operator("session", vec![input], NodeKind::Session(spec), &output, facts)
            }
        }
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
        self.nodes.push(PlanNode { name: name.to_owned(), inputs, kind: kind(FragmentPlan { plan, feeds }) });
        Input::Node(self.nodes.len() - 1)
    }

    /// Adds an operator and returns a piece that reads it.
    fn operator(
        &mut self,
        name: &str,
        inputs: Vec<Input>,
        kind: NodeKind,
        schema: &DFSchemaRef,
        facts: Facts,
    ) -> Result<Piece> {
        self.nodes.push(PlanNode { name: name.to_owned(), inputs, kind });
        self.feeds += 1;
        Piece::reading(Input::Node(self.nodes.len() - 1), schema, facts, self.feeds)
    }

    /// Adds a `ClosedWindow` that runs the plan which `build` makes of its inputs, and returns a piece that reads it.
    ///
    /// Each input is a piece, the columns that the plan reads of it, and when its rows are final.
    pub(crate) fn closed_window(
        &mut self,
        name: &str,
        inputs: Vec<(Piece, DFSchemaRef, Expr)>,
        build: impl FnOnce(Vec<LogicalPlan>) -> Result<LogicalPlan>,
        facts: Facts,
    ) -> Result<Piece> {
        let (mut ports, mut scans, mut feeds) = (Vec::new(), Vec::new(), Vec::new());
        for (piece, schema, closes_at) in inputs {
            ports.push(self.cut(piece, &schema, Some(closes_at))?);
            self.feeds += 1;
            let (scan, feed) = crate::plan::piece::feed(&schema, self.feeds)?;
            scans.push(scan);
            feeds.push(feed);
        }
        let plan = build(scans)?;
        let schema = Arc::clone(plan.schema());
        self.operator(name, ports, NodeKind::ClosedWindow(FragmentPlan { plan, feeds }), &schema, facts)
    }

    /// Ends the last piece: the SELECT's columns, then the hidden ones.
    fn output(&mut self, piece: Piece, schema: &DFSchemaRef) -> Result<OutputSpec> {
        let mut columns = piece.columns_of(schema);
        let event_time = best_time(&piece.facts).map(|at| {
            columns.push(cast(piece.column(at), timestamp_type()).alias("__event_time"));
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
        Ok(OutputSpec { schema: Arc::new(arrow::datatypes::Schema::empty()), event_time, origin })
    }
}

fn column(table: &TableReference, name: &str) -> datafusion::common::Column {
    datafusion::common::Column::new(Some(table.clone()), name)
}

impl From<Finding> for Box<DataFusionError> {
    fn from(finding: Finding) -> Self {
        Box::new(finding.into())
    }
}
