//! Joins: a stream with a table at once, two windowed streams when their windows have closed.

use crate::finding::{Finding, place_of};
use crate::plan::columns::{Fact, Facts, Role, first_close, known, settle};
use crate::plan::lower::Lowering;
use crate::plan::piece::Piece;
use crate::text::Place;
use citystream_model::duration::format_duration;
use citystream_operators::plan::Keeps;
use datafusion::common::{DFSchemaRef, JoinType, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, when};
use std::sync::Arc;
use std::time::Duration;

/// Lowers a join of which at least one side is a stream.
pub(crate) fn lower(lowering: &mut Lowering<'_>, join: &Join) -> Result<Piece> {
    let (left, right) = (lowering.piece(&join.left)?, lowering.piece(&join.right)?);
    match (left.is_table(), right.is_table()) {
        (false, false) => windowed(lowering, join, left, right),
        (false, true) => lookup(join, left, right, true),
        _ => lookup(join, left, right, false),
    }
}

/// Joins every row of the stream with the table for itself.
fn lookup(join: &Join, left: Piece, right: Piece, stream_left: bool) -> Result<Piece> {
    use JoinType::{Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    let each_row = match join.join_type {
        Inner => true,
        Left | LeftSemi | LeftAnti | LeftMark => stream_left,
        Right | RightSemi | RightAnti | RightMark => !stream_left,
        JoinType::Full => false,
    };
    if !each_row {
        let help = "put the stream on the side whose rows are all kept; for table rows without a stream row, LEFT JOIN (windows x table) to a windowed aggregate";
        let at = place_of(join.on.iter().flat_map(|(left, right)| [left, right]).chain(&join.filter));
        let kind = join.join_type.to_string().to_uppercase();
        let message = format!(
            "{kind} JOIN of a stream and a table keeps all rows of the table, for which a stream is never at its end"
        );
        return Err(Finding::new("S162", at, message, help).into());
    }
    let (stream, facts) = if stream_left { (&left, &left.facts) } else { (&right, &right.facts) };
    let facts = facts.clone();
    let before = Arc::clone(stream.plan.schema());
    let feeds = if stream_left { left.feeds } else { right.feeds };
    let plan = rebuild(join, left.plan, right.plan)?;
    // Columns of the stream keep what is known of them, wherever the join has put them.
    let known = plan.schema().iter().map(|(qualifier, field)| {
        before.index_of_column_by_name(qualifier, field.name()).and_then(|at| facts[at].clone())
    });
    let facts = known.collect();
    Ok(Piece { plan, feeds, facts })
}

/// Joins two windowed streams on a window's start or end, when it closes.
fn windowed(lowering: &mut Lowering<'_>, join: &Join, left: Piece, right: Piece) -> Result<Piece> {
    let (mut left_keys, mut right_keys) = (Vec::new(), Vec::new());
    for (l, r) in &join.on {
        let left_fact = known(l, left.plan.schema(), &left.facts);
        let right_fact = known(r, right.plan.schema(), &right.facts);
        refuse_other_lengths(left_fact.as_ref(), right_fact.as_ref(), place_of([l, r]))?;
        if let (Some(left_fact), Some(right_fact)) = (left_fact, right_fact)
            && left_fact.joins_with(&right_fact)
        {
            left_keys.push((l.clone(), left_fact));
            right_keys.push((r.clone(), right_fact));
        }
    }
    let (Some(left_close), Some(right_close)) = (first_close(&left_keys), first_close(&right_keys)) else {
        let help = "put both streams into the same windows and join on them: ON a.window_start = b.window_start AND a.window_end = b.window_end AND ...";
        let at = place_of(join.on.iter().flat_map(|(left, right)| [left, right]).chain(&join.filter));
        let message = "a join of two streams that is not on the bounds of one window would have to keep all rows for ever (joins within a time distance are not taken yet)";
        return Err(Finding::new("S110", at, message, help).into());
    };
    let facts = joined_facts(join, (&left, &left_keys), (&right, &right_keys));
    let closed_at = match join.join_type {
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right_close.clone(),
        JoinType::Full => when(left_close.clone().is_not_null(), left_close.clone()).otherwise(right_close.clone())?,
        _ => left_close.clone(),
    };
    let inputs =
        vec![(left, Arc::clone(join.left.schema()), left_close), (right, Arc::clone(join.right.schema()), right_close)];
    let build = |inputs: Vec<LogicalPlan>| {
        let mut inputs = inputs.into_iter();
        let (Some(left), Some(right)) = (inputs.next(), inputs.next()) else {
            return datafusion::common::plan_err!("a join has two inputs");
        };
        rebuild(join, left, right)
    };
    lowering.closed_window(
        "join",
        Keeps::All("a join needs the rows of both sides".to_owned()),
        inputs,
        build,
        facts,
        Some(closed_at),
    )
}

/// Refuses equal starts of windows of two lengths, which no equal ends can go with.
fn refuse_other_lengths(left: Option<&Fact>, right: Option<&Fact>, at: Option<Place>) -> Result<()> {
    let (Some(left), Some(right)) = (left.and_then(Fact::length), right.and_then(Fact::length)) else { return Ok(()) };
    if left == right {
        return Ok(());
    }
    let [left, right] = [left, right].map(|micros| format_duration(Duration::from_micros(micros.unsigned_abs())));
    let message = format!("the start of windows of {left} is joined with that of windows of {right}");
    let help =
        "give both windows one size; or add the shorter ones up to the longer by a window over their window_start";
    Err(Finding::new("S110", at, message, help).into())
}

type Side<'a> = (&'a Piece, &'a Vec<(Expr, Fact)>);

fn joined_facts(join: &Join, left: Side<'_>, right: Side<'_>) -> Facts {
    use JoinType::{Full, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    let mut left_facts = side_facts(join.left.schema(), left);
    let mut right_facts = side_facts(join.right.schema(), right);
    let null = |facts: &mut Facts| facts.iter_mut().flatten().for_each(|fact| fact.nullable = true);
    if matches!(join.join_type, Right | Full) {
        null(&mut left_facts);
    }
    if matches!(join.join_type, Left | Full) {
        null(&mut right_facts);
    }
    let mut facts = match join.join_type {
        LeftSemi | LeftAnti | LeftMark => left_facts,
        RightSemi | RightAnti | RightMark => right_facts,
        _ => left_facts.into_iter().chain(right_facts).collect(),
    };
    facts.resize(join.schema.fields().len(), None);
    facts
}

fn side_facts(schema: &DFSchemaRef, (piece, keys): Side<'_>) -> Facts {
    let column = |at: usize| Expr::from(schema.qualified_field(at));
    let mut facts: Facts =
        (0..schema.fields().len()).map(|at| known(&column(at), piece.plan.schema(), &piece.facts)).collect();
    settle(&mut facts, keys, |at| keys.iter().any(|(key, _)| *key == column(at)));
    debug_assert!(facts.iter().flatten().all(|fact| fact.role != Role::EventTime));
    facts
}

fn rebuild(join: &Join, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
    let plan = LogicalPlan::Join(join.clone());
    let exprs = plan.expressions();
    plan.with_new_exprs(exprs, vec![left, right])
}
