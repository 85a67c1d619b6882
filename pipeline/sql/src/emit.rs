//! Results that come out before they are final: which jobs can, and which columns say what a later row replaces.

mod vanish;

use crate::plan::route;
use crate::plan::window_node::{Assign, WindowNode};
use crate::text::Statement;
use citystream_model::Diagnostic;
use citystream_model::job::{Emit, JobSpec, PARQUET};
use citystream_operators::plan::{FragmentPlan, Input, KeyRole, NodeKind, PaneSpec, PlanNode, Revision, StreamPlan};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;

/// Most windows that a row may be in, where each comes out early.
const MOST_WINDOWS: usize = 100;

/// What is wrong: message and help.
type Wrong = (String, &'static str);

/// Has the last aggregate of `plan` put out results early, if the job asks; the job's key becomes that of its groups unless
/// it has named one.
pub(crate) fn apply(
    statement: &Statement,
    spec: &mut JobSpec,
    plan: &mut StreamPlan,
    query: &LogicalPlan,
) -> Result<(), Diagnostic> {
    if spec.emit == Emit::Final {
        return Ok(());
    }
    let names: Vec<String> = plan.output.schema.fields().iter().map(|field| field.name().clone()).collect();
    check_sinks(spec)
        .and_then(|()| {
            let Last { pane, output, is_session } = last_aggregate(&mut plan.nodes)?;
            check_windows(spec.emit, query)?;
            let groups = group_columns(pane, output, is_session, &names)?;
            let having = vanish::condition(&output.plan)?;
            // A row may prolong a session, or join two.
            let may_vanish = having.is_some() || is_session;
            if may_vanish {
                plan.output.removed = Some(vanish::carry(output)?);
            }
            pane.revises = Some(Revision { having, may_vanish });
            Ok(groups)
        })
        .and_then(|groups| choose_key(spec, groups))
        .map_err(|(message, help)| statement.finding("S103", statement.locate("emit"), message, help))
}

fn check_sinks(spec: &JobSpec) -> Result<(), Wrong> {
    match spec.sinks.iter().find(|sink| sink.scheme == PARQUET) {
        None => Ok(()),
        Some(sink) => Err((
            format!("a row that came out early has to be replaced later, which the sink '{sink}' cannot"),
            "write sink = 'delta:<name>' or 'kafka:<topic>', or emit = 'final'",
        )),
    }
}

/// Each row changes all windows that it is in, which come out each time as long as they are open.
fn check_windows(emit: Emit, query: &LogicalPlan) -> Result<(), Wrong> {
    let (mut windows, mut aggregates) = (None, 0);
    let walked = query.apply(|node| {
        windows = WindowNode::of(node).map(|node| match &node.assign {
            Assign::Fixed(spec) => spec.most_windows(),
            Assign::Session { .. } => 1,
        });
        aggregates += usize::from(matches!(node, LogicalPlan::Aggregate(_)));
        let is_found = windows.is_some() || aggregates > 1;
        Ok(if is_found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    let windows = walked.ok().and(windows).unwrap_or(1);
    if matches!(emit, Emit::Updates) || windows <= MOST_WINDOWS {
        return Ok(());
    }
    let message =
        format!("a row is in {windows} windows, and each of them would come out early; at most {MOST_WINDOWS} do");
    Err((message, "write emit = 'updates', with which windows come out when they end; or take a longer slide or step"))
}

/// The aggregate whose results are the job's rows.
struct Last<'a> {
    pane: &'a mut PaneSpec,
    /// What makes rows of its groups.
    output: &'a mut FragmentPlan,
    is_session: bool,
}

fn last_aggregate(nodes: &mut [PlanNode]) -> Result<Last<'_>, Wrong> {
    let help = "let the last step of the query be GROUP BY over tumble, hop, cumulate, session, date_bin or date_trunc; or write emit = 'final'";
    let wrong =
        |what: &str| Err((format!("only groups of a window can come out before they are final; found {what}"), help));
    let Some((last, nodes)) = nodes.split_last_mut() else { return wrong("no operator") };
    let (NodeKind::Stateless(output), [Input::Node(at)]) = (&mut last.kind, &last.inputs[..]) else {
        return wrong("a query without a window");
    };
    if waits_for_sessions(nodes, *at) {
        return wrong(
            "a session whose rows wait for its end, since it is grouped without its key or there is a condition on its start or end",
        );
    }
    let (pane, is_session) = match nodes.get_mut(*at).map(|node| &mut node.kind) {
        Some(NodeKind::Pane(pane)) => (pane, false),
        Some(NodeKind::SessionPane(session)) => (&mut session.groups, true),
        Some(NodeKind::ClosedWindow { .. }) => return wrong("a join, OVER or array_agg, which need the whole window"),
        _ => return wrong("a query without a window"),
    };
    let Some(what) = behind(output) else { return Ok(Last { pane, output, is_session }) };
    let message =
        format!("results come out before they are final right behind GROUP BY and HAVING; found a {what} behind it");
    Err((message, "join before GROUP BY, or write emit = 'final'"))
}

/// True when node `at` reads rows of sessions, which come out when a session has ended.
fn waits_for_sessions(nodes: &[PlanNode], at: usize) -> bool {
    let reads = |input: &Input| matches!(input, Input::Node(node) if waits_for_sessions(nodes, *node));
    nodes.get(at).is_some_and(|node| matches!(node.kind, NodeKind::Session(_)) || node.inputs.iter().any(reads))
}

/// What stands between the groups and the output beside projections and conditions.
fn behind(output: &FragmentPlan) -> Option<&'static str> {
    let mut found = None;
    let walked = output.plan.apply(|node| {
        found = match node {
            LogicalPlan::Projection(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::Filter(_) => None,
            LogicalPlan::Join(_) => Some("join"),
            _ => Some("further step"),
        };
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_or(Some("further step"), |_| found)
}

/// The output columns that name a group.
struct GroupColumns {
    keys: Vec<String>,
    /// Those of its window, each of which tells which window it is.
    window: Vec<String>,
    /// Those of its window that several windows share: where windows cumulate, their start.
    shared: Vec<String>,
}

fn group_columns(
    pane: &PaneSpec,
    output: &FragmentPlan,
    is_session: bool,
    names: &[String],
) -> Result<GroupColumns, Wrong> {
    let shown = |key: usize| {
        let is_it = |at: &usize| route::origin(&output.plan, *at, output) == Some((0, key));
        (0..names.len()).find(is_it).map(|at| names[at].clone())
    };
    let mut columns = GroupColumns { keys: Vec::new(), window: Vec::new(), shared: Vec::new() };
    let mut has_window = false;
    for (at, (expr, role)) in pane.keys.iter().enumerate() {
        let role = if is_session && *role == KeyRole::OfPane { KeyRole::Key } else { *role };
        has_window |= role != KeyRole::Key;
        match (shown(at), role) {
            (Some(name), KeyRole::Key) => columns.keys.push(name),
            (Some(name), _) if pane.telling.contains(&at) => columns.window.push(name),
            (Some(name), _) => columns.shared.push(name),
            (None, KeyRole::Key) => return Err(missing(&expr.to_string())),
            (None, _) => {}
        }
    }
    if has_window && columns.window.is_empty() { Err(missing("the window's start or end")) } else { Ok(columns) }
}

fn missing(what: &str) -> Wrong {
    (
        format!(
            "rows of one group replace one another, so the SELECT has to show what it groups by; {what} is missing"
        ),
        "add it to the SELECT as it is, or write emit = 'final'",
    )
}

/// The columns of the groups, unless the job has named them itself, in an order of its own.
fn choose_key(spec: &mut JobSpec, groups: GroupColumns) -> Result<(), Wrong> {
    let GroupColumns { keys, window, shared } = groups;
    if spec.key.is_empty() {
        spec.key = keys.into_iter().chain(window).collect();
        return Ok(());
    }
    let help = "leave the key out, or name the columns of GROUP BY and no others";
    let key = spec.key.join(", ");
    let may_be_in = |name: &&String| [&keys, &window, &shared].iter().any(|columns| columns.contains(name));
    if let Some(other) = spec.key.iter().find(|name| !may_be_in(name)) {
        return Err((
            format!("key = '{key}' holds '{other}', which may change from one row of a group to the next"),
            help,
        ));
    }
    let left_out = keys.iter().find(|column| !spec.key.contains(column));
    let has_window = window.is_empty() || window.iter().any(|column| spec.key.contains(column));
    match left_out.or_else(|| window.first().filter(|_| !has_window)) {
        Some(column) => Err((
            format!("key = '{key}' leaves out '{column}', so that rows of several groups would replace one another"),
            help,
        )),
        None => Ok(()),
    }
}
