//! The rows of a Delta table as it is now.

use super::table::{Place, Table};
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
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

/// Columns and rows of the table at `place` as it is now, in no particular order; `None` where there is no table.
///
/// # Errors
/// The store or the table cannot be read; its files hold more than `most` bytes.
pub fn read(place: Place, most: u64) -> Result<Option<(SchemaRef, Vec<RecordBatch>)>> {
    let table = Table::new(place)?;
    table.run(async {
        let Some(delta) = table.current().await? else { return Ok(None) };
        let state = delta.snapshot().map_err(|error| table.failure("read", error))?;
        let bytes: u64 = state.log_data().iter().filter_map(|file| u64::try_from(file.size()).ok()).sum();
        if bytes > most {
            let folder = &table.place.display;
            return Err(Error::job(format!("Delta table {folder}: found {bytes} bytes, expected at most {most}")));
        }
        let (_, rows) = delta.scan_table().await.map_err(|error| table.failure("read", error))?;
        let schema = plain_schema(&rows.schema());
        let rows: Vec<RecordBatch> = rows.try_collect().await.map_err(|error| {
            Error::unavailable(format!("cannot read Delta table {}", table.place.display)).caused_by(error)
        })?;
        let rows = rows.iter().map(|batch| plain(batch, &schema)).collect::<Result<_>>()?;
        Ok(Some((schema, rows)))
    })
}

/// All rows of the table at `place`, however many; none where there is no table.
///
/// # Errors
/// As [`read`].
pub fn read_rows(place: Place) -> Result<Vec<RecordBatch>> {
    Ok(read(place, u64::MAX)?.map(|(_, rows)| rows).unwrap_or_default())
}

/// The same rows in the types that our own readers give: no views, no dictionaries.
fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<std::result::Result<_, _>>();
    columns
        .and_then(|columns| RecordBatch::try_new(Arc::clone(schema), columns))
        .map_err(|error| Error::internal("rows of a Delta table").caused_by(error))
}

fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_data_type(plain_type(field)));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn plain_type(field: &Field) -> DataType {
    let inner = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(plain_type(field)));
    match field.data_type() {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}
