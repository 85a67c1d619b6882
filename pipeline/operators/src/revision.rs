//! Results that may vanish before they are final: which groups are results, and which were.

use crate::fragment::failure;
use crate::plan::{PaneSpec, REMOVED, Revision};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use citystream_model::{Error, Result};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use std::sync::Arc;

/// What a group has to fulfil to be a result.
pub(crate) struct Having {
    /// `None` when all groups are results.
    condition: Option<Arc<dyn PhysicalExpr>>,
    /// Columns that come out, [`REMOVED`] among them.
    schema: SchemaRef,
}

// === impl Having ===

impl Having {
    /// The condition of `spec`; `None` when no result vanishes.
    pub(crate) fn plan(spec: &PaneSpec, session: &SessionState) -> Result<Option<Self>> {
        let Some(Revision { having, may_vanish: true }) = &spec.revises else { return Ok(None) };
        let fields = spec.schema.fields().iter().enumerate();
        let columns: Vec<Field> =
            fields.map(|(at, field)| field.as_ref().clone().with_name(format!("c{at}"))).collect();
        let columns = DFSchema::try_from(Schema::new(columns)).map_err(failed)?;
        let context = PhysicalPlanningContext::default();
        let plan = |expr| create_physical_expr(expr, &columns, session.execution_props(), &context);
        let condition = having.as_ref().map(plan).transpose().map_err(failed)?;
        let fields = spec.schema.fields().iter().cloned();
        let fields = fields.chain([Arc::new(Field::new(REMOVED, DataType::Boolean, false))]);
        Ok(Some(Self { condition, schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())) }))
    }

    /// Of each row, whether it is a result.
    pub(crate) fn passes(&self, rows: &RecordBatch) -> Result<Vec<bool>> {
        let Some(condition) = &self.condition else { return Ok(vec![true; rows.num_rows()]) };
        let values = condition.evaluate(rows).and_then(|values| values.into_array(rows.num_rows())).map_err(failed)?;
        let values = values.as_boolean_opt().ok_or_else(|| Error::internal("HAVING is no condition"))?;
        Ok((0..rows.num_rows()).map(|row| values.is_valid(row) && values.value(row)).collect())
    }

    /// Some of the `rows`: those of which `removed` says something, with what it says.
    pub(crate) fn mark(&self, rows: &RecordBatch, removed: &[Option<bool>]) -> Result<RecordBatch> {
        let some: BooleanArray = removed.iter().map(|removed| Some(removed.is_some())).collect();
        let marks: BooleanArray = removed.iter().map(|removed| Some(removed.unwrap_or_default())).collect();
        let columns = rows.columns().iter().cloned().chain([Arc::new(marks) as ArrayRef]).collect();
        let marked = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let some = marked.and_then(|marked| filter_record_batch(&marked, &some));
        some.map_err(|error| Error::internal("results that vanish").caused_by(error))
    }
}

fn failed(error: DataFusionError) -> Error {
    failure("HAVING of results that come out early", error)
}
