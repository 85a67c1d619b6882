//! The keys of a GROUP BY: their fields, and their values in a batch.

use crate::aggregates::failed;
use crate::plan::{KeyRole, PaneSpec};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Field;
use citystream_model::Result;
use datafusion::common::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use std::sync::Arc;

/// The keys that are `role`, planned over the rows of `spec`.
pub(crate) fn exprs(spec: &PaneSpec, role: KeyRole, session: &SessionState) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
    let context = PhysicalPlanningContext::default();
    let keys = spec.keys.iter().filter(|(_, of)| *of == role);
    let exprs = keys.map(|(expr, _)| create_physical_expr(expr, &spec.input, session.execution_props(), &context));
    exprs.collect::<Result<_, DataFusionError>>().map_err(failed)
}

/// Their fields, as they come out.
pub(crate) fn fields(spec: &PaneSpec, role: KeyRole) -> Vec<Field> {
    let keys = spec.keys.iter().zip(spec.schema.fields()).filter(|((_, of), _)| *of == role);
    keys.map(|(_, field)| field.as_ref().clone()).collect()
}

/// Values of keys in a batch, a column per key.
pub(crate) fn values(exprs: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let values = exprs.iter().map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows()));
    values.collect::<Result<_, DataFusionError>>().map_err(failed)
}
