//! Window table functions over a stream: windows by the clock are given row by row, sessions by an operator.

use crate::finding::place_of;
use crate::plan::columns::{self, Facts, Length, Role};
use crate::plan::lower::Lowering;
use crate::plan::piece::Piece;
use crate::plan::window_node::{Assign, WindowNode};
use citystream_operators::plan::{NodeKind, SessionSpec};
use datafusion::common::{Result, not_impl_err};
use datafusion::logical_expr::{Expr, UserDefinedLogicalNodeCore};
use std::sync::Arc;
use std::time::Duration;

/// Lowers a window table function.
pub(crate) fn lower(lowering: &mut Lowering<'_>, node: &WindowNode) -> Result<Piece> {
    let piece = lowering.piece(&node.input)?;
    let time = columns::of_expr(&node.time, piece.plan.schema(), &piece.facts)?;
    let spec = if let Assign::Fixed(spec) = &node.assign { Some(spec) } else { None };
    columns::check_time(time.as_ref(), spec, &columns::name_of(&node.time), place_of([&node.time]))?;
    // Over the piece, which may have hidden columns beside those of the input as it was planned.
    let whole = WindowNode::new(piece.plan.clone(), node.time.clone(), node.assign.clone())?;
    let passed = whole.passed();
    let mut facts: Facts =
        passed.iter().map(|column| columns::known(column, piece.plan.schema(), &piece.facts)).collect();
    let window = lowering.next_window();
    match &node.assign {
        Assign::Fixed(spec) => {
            facts.extend(columns::of_window(spec, window).map(Some));
            let plan = whole.expand(piece.plan.clone())?;
            Ok(Piece { plan, feeds: piece.feeds, facts })
        }
        Assign::Session { gap, keys } => {
            // Rows come out when their session is final, behind the watermark that their own times would have.
            facts.iter_mut().flatten().for_each(|fact| fact.role = Role::Label);
            facts.extend(columns::window_facts(Length::Open, window).map(Some));
            session(lowering, piece, &whole, *gap, keys, facts)
        }
    }
}

fn session(
    lowering: &mut Lowering<'_>,
    piece: Piece,
    node: &WindowNode,
    gap: Duration,
    keys: &[Expr],
    facts: Facts,
) -> Result<Piece> {
    let schema = Arc::clone(piece.plan.schema());
    let at =
        |expr: &Expr| expr.column_refs().into_iter().next().and_then(|column| schema.maybe_index_of_column(column));
    let (Some(time), Some(keys)) = (at(&node.time), keys.iter().map(at).collect::<Option<Vec<_>>>()) else {
        return not_impl_err!("session over an expression");
    };
    let output = Arc::clone(node.schema());
    let columns = node.passed().iter().filter_map(at).collect();
    let spec = SessionSpec { time, keys, gap, columns, schema: Arc::new(output.as_arrow().clone()) };
    let input = lowering.cut(piece, &schema, None)?;
    lowering.operator("session", vec![input], NodeKind::Session(spec), &output, facts)
}
