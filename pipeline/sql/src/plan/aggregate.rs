//! `GROUP BY` and `DISTINCT`: a group is final when a window in its key has closed.

use crate::finding::{Finding, place_of};
use crate::plan::below::{Part, WindowBelow, Windows};
use crate::plan::columns::{self, ClosingKeys, Fact, Facts, Keys, Length, Role, facts_of_keys, first_close, settle};
use crate::plan::lower::Lowering;
use crate::plan::piece::Piece;
use crate::plan::session;
use citystream_functions::{Overlap, Sensitivity, WindowSpec, order_sensitivity};
use citystream_operators::plan::{Keeps, KeyRole, NodeKind, PaneSpec};
use datafusion::common::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use std::sync::Arc;

/// Lowers an aggregate over a stream: to panes, to sessions, or to a `ClosedWindow` where they cannot serve.
pub(crate) fn lower(lowering: &mut Lowering<'_>, aggregate: &Aggregate) -> Result<Piece> {
    let kept = keeps_rows(aggregate);
    if lowering.fast
        && kept.is_none()
        && let Some(below) = WindowBelow::of(aggregate, &|plan| Ok(!lowering.has_stream(plan)?))?
    {
        let mark = lowering.mark();
        let piece = match &below.windows {
            Windows::Overlapping { spec, overlap } => windows_of_panes(lowering, aggregate, &below, spec, *overlap)?,
            Windows::Session(node) => session::lower(lowering, aggregate, &below, node)?,
        };
        if let Some(piece) = piece {
            return Ok(piece);
        }
        lowering.forget_after(mark);
    }
    let piece = lowering.piece(&aggregate.input)?;
    let at = place_of(&aggregate.group_expr).or_else(|| place_of(&aggregate.aggr_expr));
    if matches!(aggregate.group_expr[..], [Expr::GroupingSet(_)]) {
        let help = "write one job per grouping, or UNION ALL of plain GROUP BYs";
        return Err(
            Finding::new("S102", at, "GROUPING SETS, ROLLUP and CUBE form groups that never close", help).into()
        );
    }
    let (keys, closing) = facts_of_keys(aggregate.group_expr.clone(), piece.plan.schema(), &piece.facts)?;
    let Some(closes_at) = first_close(&closing) else {
        let help = "add a window: FROM tumble(stream, time_column, INTERVAL '5 minutes') AS w ... GROUP BY w.window_start, w.window_end, ...";
        let message = "this groups forever: no window's start and end, and no date_bin or date_trunc of the event time, in GROUP BY or DISTINCT";
        return Err(Finding::new("S101", at, message, help).into());
    };
    let mut facts: Facts = keys.iter().map(|(_, fact)| fact.clone()).collect();
    settle(&mut facts, &closing, |at| closing.iter().any(|(key, _)| *key == keys[at].0));
    facts.resize(aggregate.schema.fields().len(), None);
    // The same keys, as the columns that come out.
    let position = |key: &Expr| keys.iter().position(|(known, _)| known == key);
    let closed: Vec<_> = closing
        .iter()
        .filter_map(|(key, fact)| position(key).map(|at| (out_column(aggregate, at), fact.clone())))
        .collect();
    let kept = kept.or_else(|| by_instant(&closing));
    if lowering.fast && kept.is_none() {
        let roles = roles(&keys, &closing);
        let is_open = |fact: &Fact| matches!(fact.role, Role::Start(Length::Open));
        let telling = |at: &usize| keys[*at].1.as_ref().is_some_and(|fact| fact.is_bound() && !is_open(fact));
        let telling = (0..keys.len()).filter(telling).collect();
        let node = NodeKind::Pane(groups(aggregate, roles, telling, None));
        let input = lowering.cut(piece, aggregate.input.schema(), Some(closes_at))?;
        return lowering.windowed("aggregate", vec![input], node, &aggregate.schema, facts, first_close(&closed));
    }
    let input = (piece, Arc::clone(aggregate.input.schema()), closes_at);
    let build = |inputs: Vec<LogicalPlan>| {
        let plan = LogicalPlan::Aggregate(aggregate.clone());
        plan.with_new_exprs(aggregate.group_expr.iter().chain(&aggregate.aggr_expr).cloned().collect(), inputs)
    };
    let keeps = Keeps::All(kept.unwrap_or_default());
    lowering.closed_window("aggregate", keeps, vec![input], build, facts, first_close(&closed))
}

/// Lowers an aggregate whose rows go into panes, of which the operator makes windows; `None` when windows close otherwise.
fn windows_of_panes(
    lowering: &mut Lowering<'_>,
    aggregate: &Aggregate,
    below: &WindowBelow,
    spec: &WindowSpec,
    overlap: Overlap,
) -> Result<Option<Piece>> {
    let piece = lowering.piece(&below.input)?;
    let fact = |key: &Expr| columns::known(key, piece.plan.schema(), &piece.facts);
    let parts: Vec<Option<Part>> = aggregate.group_expr.iter().map(|key| below.part(key)).collect();
    let keys = || aggregate.group_expr.iter().zip(&parts);
    // A bound of an inner window among the keys may close a group before the outer window ends.
    if keys().any(|(key, part)| part.is_none() && fact(key).is_some_and(|fact| fact.is_bound())) {
        return Ok(None);
    }
    let end_of_pane = keys().filter(|(_, part)| part.is_some()).find_map(|(key, _)| fact(key)?.closes_at(key));
    let Some(end_of_pane) = end_of_pane else { return Ok(None) };
    let (facts, closed) = key_facts(aggregate, &parts, &piece, columns::of_window(spec, lowering.next_window()));
    let role = |part: &Option<Part>| match part {
        Some(Part::Start) => KeyRole::Start,
        Some(Part::End) => KeyRole::End,
        Some(Part::Key(_)) | None => KeyRole::Key,
    };
    let roles: Vec<_> = keys().map(|(key, part)| (key.clone(), role(part))).collect();
    let tells = |role: KeyRole| match overlap {
        Overlap::Hop { .. } => role != KeyRole::Key,
        Overlap::Cumulate { .. } => role == KeyRole::End,
    };
    let telling = (0..roles.len()).filter(|at| tells(roles[*at].1)).collect();
    let node = NodeKind::Pane(groups(aggregate, roles, telling, Some(overlap)));
    let input = lowering.cut(piece, aggregate.input.schema(), Some(end_of_pane))?;
    lowering.windowed("aggregate", vec![input], node, &aggregate.schema, facts, first_close(&closed)).map(Some)
}

/// What is known of the columns that come out of an aggregate over windows with the facts `start` and `end`, and which of
/// them close a group.
pub(crate) fn key_facts(
    aggregate: &Aggregate,
    parts: &[Option<Part>],
    piece: &Piece,
    [start, end]: [Fact; 2],
) -> (Facts, ClosingKeys) {
    let label = |key: &Expr| {
        let fact = columns::known(key, piece.plan.schema(), &piece.facts);
        fact.map(|fact| Fact { role: Role::Label, ..fact })
    };
    let fact = |(key, part): (&Expr, &Option<Part>)| match part {
        Some(Part::Start) => Some(start.clone()),
        Some(Part::End) => Some(end.clone()),
        Some(Part::Key(_)) | None => label(key),
    };
    let mut facts: Facts = aggregate.group_expr.iter().zip(parts).map(fact).collect();
    let known = facts.iter().enumerate().filter_map(|(at, fact)| Some((out_column(aggregate, at), fact.clone()?)));
    let closed = known.filter(|(_, fact)| fact.is_bound()).collect();
    facts.resize(aggregate.schema.fields().len(), None);
    (facts, closed)
}

/// The operator of `aggregate`; the keys `telling` each tell which window a group is of.
pub(crate) fn groups(
    aggregate: &Aggregate,
    keys: Vec<(Expr, KeyRole)>,
    telling: Vec<usize>,
    overlap: Option<Overlap>,
) -> PaneSpec {
    PaneSpec {
        input: Arc::clone(aggregate.input.schema()),
        keys,
        telling,
        aggregates: aggregate.aggr_expr.clone(),
        overlap,
        schema: Arc::new(aggregate.schema.as_arrow().clone()),
        revises: None,
    }
}

/// What each key is: the bounds of one window are the same for all rows that close together.
fn roles(keys: &Keys, closing: &ClosingKeys) -> Vec<(Expr, KeyRole)> {
    let mut windows = closing.iter().map(|(_, fact)| fact.window);
    let first = windows.next().unwrap_or_default();
    let is_one = closing.len() == 1 || (first > 0 && windows.all(|window| window == first));
    let role = |key: &Expr| {
        if is_one && closing.iter().any(|(known, _)| known == key) { KeyRole::OfPane } else { KeyRole::Key }
    };
    keys.iter().map(|(key, _)| (key.clone(), role(key))).collect()
}

/// Why a state would be as large as the rows themselves.
fn keeps_rows(aggregate: &Aggregate) -> Option<String> {
    let name = |expr: &Expr| match expr.clone().unalias_nested().data {
        Expr::AggregateFunction(function) => Some(function.func.name().to_owned()),
        _ => None,
    };
    let keeps = |name: &String| {
        order_sensitivity(name) == Sensitivity::NeedsOrder && !matches!(name.as_str(), "first_value" | "last_value")
    };
    aggregate.aggr_expr.iter().filter_map(name).find(keeps).map(|name| format!("{name} needs all rows of its window"))
}

/// Why panes would be as many as the rows.
fn by_instant(closing: &ClosingKeys) -> Option<String> {
    let is_instant = closing.iter().any(|(_, fact)| fact.role == Role::EventTime);
    is_instant.then(|| "grouped by the event time itself, so that each instant is a window".to_owned())
}

fn out_column(aggregate: &Aggregate, at: usize) -> Expr {
    Expr::from(aggregate.schema.qualified_field(at))
}
