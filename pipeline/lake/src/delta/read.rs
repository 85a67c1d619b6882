//! The rows of a Delta table as it is now.

use super::table::{Place, Table};
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use citystream_model::{Error, Result};
use futures::TryStreamExt;
use object_store::path::Path;
use std::sync::Arc;

/// Files in the folder of the table at `place` that its log does not have: those of epochs that were not decided.
///
/// # Errors
/// The store or the table cannot be read.
pub fn unknown_files(place: Place) -> Result<Vec<Path>> {
    let table = Table::new(place)?;
    table.run(async {
        let mut files = table.files().await?;
        if let Some(state) = table.state().await? {
            let logged = table.logged(&state).await?;
            files.retain(|file| !logged.contains(file));
        }
        Ok(files)
    })
}

/// All rows of the table at `place`, in no particular order; none where there is no table.
///
/// # Errors
/// The store or the table cannot be read.
pub fn read(place: Place) -> Result<Vec<RecordBatch>> {
    let table = Table::new(place)?;
    table.run(async {
        let Some(delta) = table.current().await? else { return Ok(Vec::new()) };
        let (_, rows) = delta.scan_table().await.map_err(|error| table.failure("read", error))?;
        let rows: Vec<RecordBatch> = rows.try_collect().await.map_err(|error| {
            Error::unavailable(format!("cannot read Delta table {}", table.place.display)).caused_by(error)
        })?;
        rows.iter().map(plain).collect()
    })
}

/// The same rows in the types that our own readers give: no views.
fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let known = batch.schema();
    let fields = known.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_data_type(plain_type(field))));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<std::result::Result<_, _>>();
    columns
        .and_then(|columns| RecordBatch::try_new(Arc::clone(&schema), columns))
        .map_err(|error| Error::internal("rows of a Delta table").caused_by(error))
}

fn plain_type(field: &Field) -> DataType {
    let inner = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(plain_type(field)));
    match field.data_type() {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(inner(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}
