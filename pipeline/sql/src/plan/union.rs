//! `UNION ALL` of streams: rows side by side; what is not known of all inputs is forgotten.

use crate::finding::Finding;
use crate::plan::columns::{self, Fact, Facts, Length, Role, best_time};
use crate::plan::lower::Lowering;
use crate::plan::piece::{OFFSET, Piece, SOURCE, TIME};
use citystream_model::stream::timestamp_type;
use datafusion::common::{DFSchemaRef, Result, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Union, cast, lit};
use std::sync::Arc;

/// Lowers a union of streams.
pub(crate) fn lower(lowering: &mut Lowering<'_>, union: &Union) -> Result<Piece> {
    let pieces = union.inputs.iter().map(|input| lowering.piece(input)).collect::<Result<Vec<_>>>()?;
    if pieces.iter().any(Piece::is_table) {
        let help = "write the table's rows to the stream's topic, or make them a table of their own";
        let message = "UNION of a stream with a table or with constants has no time to come out";
        return Err(Finding::new("S161", None, message, help).into());
    }
    let in_all = |name: &&str| pieces.iter().all(|piece| piece.hidden(name).is_some());
    let hidden: Vec<&str> = [SOURCE, OFFSET].into_iter().filter(in_all).collect();
    let (mut plans, mut feeds, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for (input, piece) in union.inputs.iter().zip(pieces) {
        known.push(facts_of(input.schema(), &piece));
        plans.push(Arc::new(aligned(input.schema(), &piece, &hidden)?));
        feeds.extend(piece.feeds);
    }
    let mut facts = shared(known);
    facts.extend(hidden.iter().map(|_| None));
    facts.push(Some(Fact::new(Role::Label)));
    let plan = renamed(LogicalPlan::Union(Union::try_new(plans)?), &union.schema, &hidden)?;
    Ok(Piece { plan, feeds, facts })
}

fn facts_of(schema: &DFSchemaRef, piece: &Piece) -> Facts {
    piece.columns_of(schema).iter().map(|column| columns::known(column, piece.plan.schema(), &piece.facts)).collect()
}

/// One input with the columns that all inputs have: the union's, the hidden ones, a time for the output's folders.
fn aligned(schema: &DFSchemaRef, piece: &Piece, hidden: &[&str]) -> Result<LogicalPlan> {
    let mut columns = piece.columns_of(schema);
    columns.extend(hidden.iter().filter_map(|name| piece.hidden(name).map(|at| piece.column(at).alias(*name))));
    let time = best_time(&piece.facts).map_or_else(|| lit(ScalarValue::Null), |at| piece.column(at));
    columns.push(cast(time, timestamp_type()).alias(TIME));
    LogicalPlanBuilder::from(piece.plan.clone()).project(columns)?.build()
}

/// What is known of a column in every input; of windows of different lengths, that they start there.
fn shared(known: Vec<Facts>) -> Facts {
    let first = known.first().cloned().unwrap_or_default();
    let in_all = |at: usize, is: &dyn Fn(&Role) -> bool| {
        known.iter().all(|facts| facts[at].as_ref().is_some_and(|fact| !fact.nullable && is(&fact.role)))
    };
    let known_in_all = |(at, fact): (usize, Option<Fact>)| {
        let fact = fact?;
        if in_all(at, &|role| *role == fact.role) {
            return Some(fact);
        }
        in_all(at, &|role| matches!(role, Role::Start(_))).then_some(Fact { role: Role::Start(Length::Open), ..fact })
    };
    first.into_iter().enumerate().map(known_in_all).collect()
}

/// Gives the columns the names by which the parents know those of the union as it was planned.
fn renamed(plan: LogicalPlan, schema: &DFSchemaRef, hidden: &[&str]) -> Result<LogicalPlan> {
    let names = schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.name().clone()));
    let names = names.chain(hidden.iter().chain([&TIME]).map(|name| (None, (*name).to_owned())));
    let columns = plan.schema().iter().map(Expr::from).zip(names);
    let columns =
        columns.map(|(column, (qualifier, name))| column.alias_qualified(qualifier, name)).collect::<Vec<_>>();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
