//! Tries to make the operators of a plan, so that what cannot be made is found while a job is checked and not at its start.

use crate::aggregates::Aggregates;
use crate::pane::{Pane, Phase};
use crate::plan::{NodeKind, StreamPlan};
use crate::session::Session;
use crate::session_pane::SessionPane;
use citystream_model::Result;

/// Makes the operators of `plan` that are no SQL of their own, and drops them.
///
/// # Errors
/// [`citystream_model::ErrorKind::Internal`] when an operator cannot be made.
pub fn try_operators(plan: &StreamPlan) -> Result<()> {
    for node in &plan.nodes {
        match &node.kind {
            NodeKind::Pane(spec) => {
                drop(Pane::plan(spec, Phase::Whole, &plan.session)?);
                // An aggregate says what it does not take when it gets its first group.
                drop(Aggregates::plan(&spec.aggregates, &spec.input, &plan.session)?.groups()?);
            }
            NodeKind::SessionPane(spec) => {
                drop(SessionPane::plan(spec, &plan.session)?);
                drop(Aggregates::plan(&spec.groups.aggregates, &spec.groups.input, &plan.session)?.groups()?);
            }
            NodeKind::Session(spec) => drop(Session::new(spec.clone())?),
            NodeKind::Stateless(_) | NodeKind::ClosedWindow { .. } => {}
        }
    }
    Ok(())
}
