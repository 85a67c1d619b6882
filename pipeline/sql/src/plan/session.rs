//! `GROUP BY` a session and its keys: aggregates of sessions, without their rows.

use crate::plan::aggregate::{groups, key_facts};
use crate::plan::below::{Part, WindowBelow};
use crate::plan::columns::{self, Length, Role, first_close};
use crate::plan::lower::Lowering;
use crate::plan::piece::Piece;
use crate::plan::window_node::{Assign, WindowNode};
use citystream_operators::plan::{Input, KeyRole, NodeKind, SessionPaneSpec};
use datafusion::common::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlanBuilder};

/// Lowers an aggregate over the sessions of `node`; `None` where that cannot serve.
pub(crate) fn lower(
    lowering: &mut Lowering<'_>,
    aggregate: &Aggregate,
    below: &WindowBelow,
    node: &WindowNode,
) -> Result<Option<Piece>> {
    let Assign::Session { gap, keys: session_keys } = &node.assign else { return Ok(None) };
    let piece = lowering.piece(&below.input)?;
    // Where a bound was stands the row's time.
    let Some(&time) = below.ends.first() else { return Ok(None) };
    let column = Expr::from(below.input.schema().qualified_field(time));
    let fact = columns::known(&column, piece.plan.schema(), &piece.facts);
    if !fact.is_some_and(|fact| !fact.nullable && matches!(fact.role, Role::EventTime | Role::End)) {
        return Ok(None);
    }
    let parts: Vec<Option<Part>> = aggregate.group_expr.iter().map(|key| below.part(key)).collect();
    let bounds = columns::window_facts(Length::Open, lowering.next_window());
    let (facts, closed) = key_facts(aggregate, &parts, &piece, bounds);
    let role = |part: &Option<Part>| match part {
        Some(Part::Start) => KeyRole::Start,
        Some(Part::End) => KeyRole::End,
        Some(Part::Key(_)) => KeyRole::OfPane,
        None => KeyRole::Key,
    };
    let keys = aggregate.group_expr.iter().cloned().zip(parts.iter().map(role)).collect();
    let is_bound = |at: &usize| matches!(parts[*at], Some(Part::Start | Part::End));
    let telling = (0..parts.len()).filter(is_bound).collect();
    let spec = SessionPaneSpec { groups: groups(aggregate, keys, telling, None), time, gap: *gap };
    let mut inputs = vec![lowering.cut(piece, aggregate.input.schema(), None)?];
    if below.loses_rows {
        let keys = parts.iter().filter_map(|part| if let Some(Part::Key(key)) = part { Some(*key) } else { None });
        let columns = keys.map(|key| session_keys[key].clone()).chain([node.time.clone()]);
        let Some(all) = all_rows(lowering, node, columns)? else { return Ok(None) };
        inputs.push(all);
    }
    let kind = NodeKind::SessionPane(spec);
    lowering.windowed("aggregate", inputs, kind, &aggregate.schema, facts, first_close(&closed)).map(Some)
}

/// `columns` of all rows of the sessions, also of those that a filter or join above them drops; `None` for sessions of
/// windows, which would be computed twice.
fn all_rows(
    lowering: &mut Lowering<'_>,
    node: &WindowNode,
    columns: impl Iterator<Item = Expr>,
) -> Result<Option<Input>> {
    let piece = lowering.piece(&node.input)?;
    if piece.feeds.iter().any(|(_, input)| matches!(input, Input::Node(_))) {
        return Ok(None);
    }
    let columns: Vec<Expr> = columns.enumerate().map(|(at, column)| column.alias(format!("__extent{at}"))).collect();
    let plan = LogicalPlanBuilder::from(piece.plan).project(columns)?.build()?;
    let schema = std::sync::Arc::clone(plan.schema());
    lowering.cut(Piece { plan, ..piece }, &schema, None).map(Some)
}
