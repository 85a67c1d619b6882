//! What a job will do, as text: its operators, when rows are final, what it remembers, and why.
//!
//! ```text
//! job loops_5m
//!   reads   loops by measured_at: out of order 30 s, ...
//!   output  aggregate: panes ...
//! ```

pub(crate) mod expression;

use crate::jobs::CheckedJob;
use citystream_functions::Overlap;
use citystream_model::duration::format_duration;
use citystream_model::job::{Emit, LatePolicy};
use citystream_model::stream::Stream;
use citystream_operators::plan::{
    Input, Keeps, KeyRole, NodeKind, PaneSpec, PlanNode, Route, SessionPaneSpec, SessionSpec,
};
use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, ident};
use expression::sql;
use std::fmt::Write;
use std::time::Duration;

/// The plan of `job` for people; the same job gives the same text.
pub fn explain(job: &CheckedJob) -> String {
    let mut text = format!("job {}\n", job.spec.name);
    for stream in &job.streams {
        line(&mut text, 1, &reads(stream));
    }
    line(&mut text, 1, &readiness(job));
    line(&mut text, 1, &format!("late rows: {}", late(job)));
    let sinks: Vec<String> = job.spec.sinks.iter().map(ToString::to_string).collect();
    let by = if job.spec.emit == Emit::Final {
        String::new()
    } else {
        format!(", a row of each {}", job.spec.key.join(", "))
    };
    line(&mut text, 1, &format!("writes {}{by}", sinks.join(", ")));
    line(&mut text, 1, &exchanges(job));
    line(&mut text, 1, "operators");
    if let Some(last) = job.plan.nodes.len().checked_sub(1) {
        node(&mut text, job, last, 2);
    }
    line(&mut text, 1, &format!("oracle: the same SQL in plain DataFusion over the admitted rows{}", answered(job)));
    text
}

fn line(text: &mut String, depth: usize, what: &str) {
    // Writing to a string cannot fail.
    let _written = writeln!(text, "{}{what}", "  ".repeat(depth));
}

fn reads(stream: &Stream) -> String {
    format!(
        "reads {} by {}: watermark {} behind the newest row of each partition, idle after {}, at most {} ahead",
        stream.name,
        stream.time_column,
        format_duration(stream.out_of_order),
        format_duration(stream.idle),
        format_duration(stream.max_future),
    )
}

fn is_stateless(job: &CheckedJob) -> bool {
    job.plan.nodes.iter().all(|node| matches!(node.kind, NodeKind::Stateless(_)))
}

/// Which rows of the oracle a stream has put out so far.
fn answered(job: &CheckedJob) -> &'static str {
    if is_stateless(job) { "" } else { "; rows with window_end <= watermark" }
}

fn late(job: &CheckedJob) -> String {
    let tables = job.streams.iter().map(|stream| job.spec.late_table(&stream.name, job.streams.len()));
    match job.spec.late {
        LatePolicy::Table => format!("kept in {}", tables.collect::<Vec<_>>().join(", ")),
        LatePolicy::Drop => "counted and dropped".to_owned(),
    }
}

fn readiness(job: &CheckedJob) -> String {
    if is_stateless(job) {
        return "ready: each row at once; state: none".to_owned();
    }
    let lateness = job.spec.lateness;
    let early = match job.spec.emit {
        Emit::Final => String::new(),
        Emit::Updates => "; first when the window ends, again when a row within the lateness changes them".to_owned(),
        Emit::Early(every) => format!("; as far as they go every {}", format_duration(every)),
    };
    let wait = if lateness.is_zero() {
        String::new()
    } else {
        format!(", held back by lateness {}", format_duration(lateness))
    };
    format!("ready: when the watermark of every partition has reached the window's end{wait}{early}")
}

fn node(text: &mut String, job: &CheckedJob, at: usize, depth: usize) {
    let plan = &job.plan.nodes[at];
    line(text, depth, &format!("{}{}", operator(plan), route(plan)));
    for input in &plan.inputs {
        match *input {
            Input::Node(child) => node(text, job, child, depth + 1),
            Input::Stream(stream) => line(text, depth + 1, &format!("source {}", job.streams[stream].name)),
        }
    }
}

fn operator(node: &PlanNode) -> String {
    match &node.kind {
        NodeKind::Stateless(fragment) => format!("calc: {}; state: none", steps(&fragment.plan)),
        NodeKind::Pane(spec) => pane(spec),
        NodeKind::Session(spec) => session(spec),
        NodeKind::SessionPane(spec) => session_pane(spec),
        NodeKind::ClosedWindow { keeps, .. } => format!("closed window ({}); state: {}", node.name, kept(keeps)),
    }
}

fn kept(keeps: &Keeps) -> String {
    match keeps {
        Keeps::First(pruning) => format!("{}, pruned every {} rows", pruning.what, pruning.every),
        Keeps::All(reason) => {
            let why = if reason.is_empty() { "no faster operator has this shape" } else { reason };
            format!("the rows of open windows, since {why}")
        }
    }
}

/// Whether the shards of a job have to give one another rows.
fn exchanges(job: &CheckedJob) -> String {
    let keys = job.streams.iter().filter_map(|stream| Some(format!("{} by {}", stream.name, stream.key.as_ref()?)));
    let keys: Vec<String> = keys.collect();
    let moves = |node: &&PlanNode| !matches!(node.route, Route::Stay | Route::Keys { by_record_key: true, .. });
    match (job.plan.nodes.iter().filter(moves).count(), keys.is_empty()) {
        (0, _) => "shards: one per partition, up to --parallelism; no exchange between them".to_owned(),
        (_, true) => "shards: one per partition, up to --parallelism; no stream has a key".to_owned(),
        (_, false) => format!("shards: one per partition, up to --parallelism; partitioned: {}", keys.join(", ")),
    }
}

/// How an operator's rows come together from several shards.
fn route(node: &PlanNode) -> String {
    match (&node.route, &node.kind) {
        (Route::Stay, _) => String::new(),
        (Route::One, _) => "; exchange: all rows to one shard".to_owned(),
        (Route::Keys { by_record_key: true, .. }, _) => {
            "; exchange: none while records stand where the stream's key says".to_owned()
        }
        (Route::Keys { .. }, NodeKind::Pane(spec)) => {
            let has_keys = spec.keys.iter().any(|(_, role)| *role == KeyRole::Key);
            format!("; exchange: states of closed panes {}", if has_keys { "by key" } else { "to one shard" })
        }
        (Route::Keys { .. }, _) => "; exchange: rows by key".to_owned(),
    }
}

/// What a fragment does, innermost first.
fn steps(plan: &LogicalPlan) -> String {
    let mut steps = Vec::new();
    collect_steps(plan, &mut steps);
    steps.dedup();
    if steps.is_empty() { "columns".to_owned() } else { steps.join(", ") }
}

fn collect_steps(plan: &LogicalPlan, steps: &mut Vec<String>) {
    plan.inputs().into_iter().for_each(|input| collect_steps(input, steps));
    match plan {
        LogicalPlan::Filter(filter) => steps.push(format!("filter {}", sql(&filter.predicate))),
        LogicalPlan::Join(join) => steps.push(lookup(join)),
        LogicalPlan::Union(_) => steps.push("union".to_owned()),
        LogicalPlan::Unnest(_) => steps.push("a row per window".to_owned()),
        _ => {}
    }
}

/// A join of rows with a table, as it is written: the condition with the names of the query.
fn lookup(join: &Join) -> String {
    let kind = match join.join_type {
        JoinType::Inner if join.on.is_empty() && join.filter.is_none() => "cross join",
        JoinType::Inner => "join",
        JoinType::Left | JoinType::Right => "left join",
        JoinType::LeftSemi | JoinType::RightSemi => "semi join",
        JoinType::LeftAnti | JoinType::RightAnti => "anti join",
        JoinType::LeftMark | JoinType::RightMark => "mark join",
        JoinType::Full => "full join",
    };
    let on = join.on.iter().map(|(left, right)| format!("{} = {}", sql(left), sql(right)));
    let on: Vec<String> = on.chain(join.filter.iter().map(sql)).collect();
    let on = if on.is_empty() { String::new() } else { format!(" on {}", on.join(" AND ")) };
    let tables = [&join.left, &join.right].map(|side| tables(side)).concat();
    let tables = if tables.is_empty() { "a table".to_owned() } else { tables.join(", ") };
    format!("{kind} to {tables}{on}")
}

/// Names of the tables that `plan` reads for itself.
fn tables(plan: &LogicalPlan) -> Vec<String> {
    if let LogicalPlan::TableScan(scan) = plan {
        let name = scan.table_name.table();
        return if name.starts_with("__") { Vec::new() } else { vec![name.to_owned()] };
    }
    // A side that reads a stream has tables of its own, which stand in steps of their own.
    let inputs: Vec<Vec<String>> = plan.inputs().into_iter().map(tables).collect();
    if inputs.iter().any(Vec::is_empty) { Vec::new() } else { inputs.concat() }
}

fn pane(spec: &PaneSpec) -> String {
    let time = |micros: i64| format_duration(Duration::from_micros(micros.unsigned_abs()));
    let (windows, held) = match spec.overlap {
        None => ("a pane per window".to_owned(), "open windows".to_owned()),
        Some(Overlap::Hop { pane, slide, size }) => (
            format!("panes of {}, windows of {} every {}", time(pane), time(size), time(slide)),
            format!("{} panes", size / pane + 1),
        ),
        Some(Overlap::Cumulate { step, size }) => {
            (format!("panes of {}, windows up to {}", time(step), time(size)), format!("{} panes", size / step))
        }
    };
    let keys = keys_of(spec, |role| role == KeyRole::Key);
    format!("pane aggregate by {keys}{}; {windows}; state: a group per key in {held}", aggregates_of(spec))
}

fn session_pane(spec: &SessionPaneSpec) -> String {
    let keys = keys_of(&spec.groups, |role| matches!(role, KeyRole::OfPane | KeyRole::Key));
    let sessions = keys_of(&spec.groups, |role| role == KeyRole::OfPane);
    format!(
        "session aggregate by {keys}{}; sessions by {sessions}, gap {}; state: a group per key in each open session",
        aggregates_of(&spec.groups),
        format_duration(spec.gap)
    )
}

fn keys_of(spec: &PaneSpec, is_wanted: impl Fn(KeyRole) -> bool) -> String {
    let keys: Vec<String> = spec.keys.iter().filter(|(_, role)| is_wanted(*role)).map(|(key, _)| name(key)).collect();
    if keys.is_empty() { "all rows".to_owned() } else { keys.join(", ") }
}

fn aggregates_of(spec: &PaneSpec) -> String {
    let aggregates = spec.aggregates.iter().map(sql).collect::<Vec<_>>().join(", ");
    let aggregates = if aggregates.is_empty() { aggregates } else { format!(": {aggregates}") };
    match spec.revises.as_ref().and_then(|revision| revision.having.as_ref()) {
        None => aggregates,
        Some(having) => format!("{aggregates}; results where {}", sql(&over_names(having, spec))),
    }
}

/// `having` over the names of the columns that come out.
fn over_names(having: &Expr, spec: &PaneSpec) -> Expr {
    let named = having.clone().transform(|expr| {
        let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
        let at = column.name().strip_prefix('c').and_then(|at| at.parse::<usize>().ok());
        let field = at.and_then(|at| spec.schema.fields().get(at));
        Ok(field.map_or(Transformed::no(expr.clone()), |field| Transformed::yes(ident(field.name()))))
    });
    named.map_or_else(|_| having.clone(), |named| named.data)
}

fn session(spec: &SessionSpec) -> String {
    let field = |at: &usize| spec.schema.fields().get(*at).map_or("?", |field| field.name().as_str());
    let keys: Vec<&str> = spec.keys.iter().map(field).collect();
    let keys = if keys.is_empty() { "all rows".to_owned() } else { keys.join(", ") };
    format!("session by {keys}, gap {}; state: the rows of open sessions", format_duration(spec.gap))
}

/// An expression without the names of its tables.
pub(crate) fn name(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Alias(alias) => name(&alias.expr),
        other => sql(other),
    }
}
