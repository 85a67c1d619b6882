//! Results that come out before they are final: which jobs can, and which columns say what a later row replaces.

use crate::plan::route;
use crate::text::Statement;
use citystream_model::Diagnostic;
use citystream_model::job::{Emit, JobSpec, PARQUET};
use citystream_operators::plan::{FragmentPlan, Input, KeyRole, NodeKind, PaneSpec, PlanNode, StreamPlan};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;

/// What is wrong: message and help.
type Wrong = (String, &'static str);

/// Has the last aggregate of `plan` put out results early, if the job asks; the job's key becomes that of its groups unless
/// it has named one.
pub(crate) fn apply(statement: &Statement, spec: &mut JobSpec, plan: &mut StreamPlan) -> Result<(), Diagnostic> {
    if spec.emit == Emit::Final {
        return Ok(());
    }
    let names: Vec<String> = plan.output.schema.fields().iter().map(|field| field.name().clone()).collect();
    check_sinks(spec)
        .and_then(|()| {
            let (pane, output) = last_aggregate(&mut plan.nodes)?;
            let groups = group_columns(pane, output, &names)?;
            pane.revises = true;
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

/// The aggregate whose results are the job's rows, and what makes rows of them.
fn last_aggregate(nodes: &mut [PlanNode]) -> Result<(&mut PaneSpec, &FragmentPlan), Wrong> {
    let help =
        "let the last step of the query be GROUP BY over tumble, date_bin or date_trunc; or write emit = 'final'";
    let wrong =
        |what: &str| Err((format!("only groups of a window can come out before they are final; found {what}"), help));
    let Some((last, nodes)) = nodes.split_last_mut() else { return wrong("no operator") };
    let (NodeKind::Stateless(output), [Input::Node(at)]) = (&last.kind, &last.inputs[..]) else {
        return wrong("a query without a window");
    };
    let pane = match nodes.get_mut(*at).map(|node| &mut node.kind) {
        Some(NodeKind::Pane(pane)) if pane.overlap.is_none() => pane,
        Some(NodeKind::Pane(_)) => return wrong("hop or cumulate"),
        Some(NodeKind::SessionPane(_) | NodeKind::Session(_)) => return wrong("a session"),
        Some(NodeKind::ClosedWindow { .. }) => return wrong("a join, OVER or array_agg, which need the whole window"),
        _ => return wrong("a query without a window"),
    };
    let Some(what) = behind(output) else { return Ok((pane, output)) };
    let message =
        format!("a row that came out early may vanish again by a {what} behind its GROUP BY, and nothing would say so");
    Err((message, "filter and join before GROUP BY, or write emit = 'final'"))
}

/// What stands between the groups and the output beside projections.
fn behind(output: &FragmentPlan) -> Option<&'static str> {
    let mut found = None;
    let walked = output.plan.apply(|node| {
        found = match node {
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::TableScan(_) => None,
            LogicalPlan::Filter(_) => Some("condition (HAVING)"),
            LogicalPlan::Join(_) => Some("join"),
            _ => Some("further step"),
        };
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_or(Some("further step"), |_| found)
}

/// The output columns that name a group: those of its keys, and those of its window, which each tell the other.
struct GroupColumns {
    keys: Vec<String>,
    window: Vec<String>,
}

fn group_columns(pane: &PaneSpec, output: &FragmentPlan, names: &[String]) -> Result<GroupColumns, Wrong> {
    let shown = |key: usize| {
        let is_it = |at: &usize| route::origin(&output.plan, *at, output) == Some((0, key));
        (0..names.len()).find(is_it).map(|at| names[at].clone())
    };
    let mut columns = GroupColumns { keys: Vec::new(), window: Vec::new() };
    let mut has_window = false;
    for (at, (expr, role)) in pane.keys.iter().enumerate() {
        has_window |= *role != KeyRole::Key;
        match (shown(at), role) {
            (Some(name), KeyRole::Key) => columns.keys.push(name),
            (Some(name), _) => columns.window.push(name),
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
    let GroupColumns { keys, window } = groups;
    if spec.key.is_empty() {
        spec.key = keys.into_iter().chain(window).collect();
        return Ok(());
    }
    let help = "leave the key out, or name the columns of GROUP BY and no others";
    let key = spec.key.join(", ");
    if let Some(other) = spec.key.iter().find(|name| !keys.contains(name) && !window.contains(name)) {
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
