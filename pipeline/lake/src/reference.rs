//! Reference tables: CSV and Parquet, one file or a folder, and Delta tables, local or in an object store.

use crate::delta::Place;
use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use citystream_connect::files::open_store;
use citystream_model::nearest::nearest;
use citystream_model::table::{Table, TableFormat};
use citystream_model::{Error, Result};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::io::Cursor;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Columns and rows of a reference table.
pub type Loaded = (SchemaRef, Vec<RecordBatch>);

/// Most bytes of one reference table's files: it is held in memory by every job.
const MAX_BYTES: u64 = 1 << 30;

/// Reads the whole table. A folder is read file by file, in the order of their names; a Delta table in the order of its rows.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] when the file is missing or does not hold what is declared.
pub fn load(table: &Table, handle: &Handle) -> Result<Loaded> {
    if table.format == TableFormat::Delta {
        return delta(table, handle);
    }
    let files = handle.block_on(fetch(table))?;
    let mut schema = table.schema.clone();
    let mut batches = Vec::new();
    for (name, bytes) in files {
        let (found, read) = match table.format {
            TableFormat::Csv { has_header, delimiter } => csv(table, bytes, has_header, delimiter),
            TableFormat::Parquet | TableFormat::Delta => parquet(table, bytes),
        }
        .map_err(|error| error.with("file", name))?;
        schema.get_or_insert(found);
        batches.extend(read);
    }
    let schema = schema.ok_or_else(|| wrong(table, "found no file"))?;
    Ok((schema, batches))
}

/// The files of the table with their bytes.
async fn fetch(table: &Table) -> Result<Vec<(String, Bytes)>> {
    let location = table.location.trim_end_matches('/');
    let missing = |error: &dyn std::fmt::Display| wrong(table, &format!("cannot be read: {error}"));
    let (folder, name) = location.rsplit_once('/').unwrap_or((".", location));
    check_there(table, location)?;
    let (store, prefix) = open_store(folder)?;
    let path = prefix.join(name);
    let paths: Vec<Path> = match store.head(&path).await {
        Ok(_) => vec![path],
        Err(_) => {
            let ending = if table.format == TableFormat::Parquet { ".parquet" } else { ".csv" };
            let files: Vec<_> = store.list(Some(&path)).try_collect().await.map_err(|error| missing(&error))?;
            let mut paths: Vec<_> =
                files.into_iter().map(|file| file.location).filter(|path| path.as_ref().ends_with(ending)).collect();
            paths.sort();
            paths
        }
    };
    let (mut files, mut total) = (Vec::new(), 0);
    for path in paths {
        let size = store.head(&path).await.map_err(|error| missing(&error))?.size;
        total += size;
        if total > MAX_BYTES {
            return Err(wrong(table, &format!("holds more than {MAX_BYTES} bytes, and every job keeps it in memory")));
        }
        let bytes =
            store.get(&path).await.map_err(|error| missing(&error))?.bytes().await.map_err(|error| missing(&error))?;
        files.push((path.to_string(), bytes));
    }
    Ok(files)
}

/// What the log of a Delta table says that it holds now.
fn delta(table: &Table, handle: &Handle) -> Result<Loaded> {
    let location = table.location.trim_end_matches('/');
    check_there(table, location)?;
    let (store, prefix) = open_store(location)?;
    let place = Place { store, prefix, display: location.to_owned(), handle: handle.clone() };
    let found = crate::delta::read(place, MAX_BYTES).map_err(|error| error.with("table", &table.name))?;
    let Some((known, rows)) = found else { return Err(wrong(table, "there is no Delta table")) };
    let schema = table.schema.clone().unwrap_or(known);
    let rows = rows.iter().map(|batch| select(table, batch, &schema)).collect::<Result<Vec<_>>>()?;
    // Readers give files in any order; the same rows have to look the same at every start.
    let whole = concat_batches(&schema, &rows).and_then(|whole| sorted(&whole));
    Ok((schema, vec![whole.map_err(|error| wrong(table, &error.to_string()))?]))
}

/// The rows in the order of all their columns.
fn sorted(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields = batch.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(batch.columns())?;
    let mut order: Vec<u32> = (0u32..).take(batch.num_rows()).collect();
    order.sort_unstable_by(|one, other| rows.row(*one as usize).cmp(&rows.row(*other as usize)));
    take_record_batch(batch, &UInt32Array::from(order))
}

fn check_there(table: &Table, location: &str) -> Result<()> {
    if location.contains("://") || std::path::Path::new(location).exists() {
        return Ok(());
    }
    Err(wrong(table, "there is no such file or folder; a relative LOCATION starts at the folder of its table.sql"))
}

fn csv(table: &Table, bytes: Bytes, has_header: bool, delimiter: u8) -> Result<Loaded> {
    let declared = table.schema.clone().ok_or_else(|| wrong(table, "a CSV table needs declared columns"))?;
    let file_schema = if has_header { header(table, &bytes, &declared, delimiter)? } else { Arc::clone(&declared) };
    let reader =
        ReaderBuilder::new(file_schema).with_header(has_header).with_delimiter(delimiter).build(Cursor::new(bytes));
    let batches =
        reader.and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| wrong(table, &error.to_string()))?;
    let batches = batches.iter().map(|batch| select(table, batch, &declared)).collect::<Result<_>>()?;
    Ok((declared, batches))
}

/// The columns in the order of the file's first line; those that are not declared are read as text and left out.
fn header(table: &Table, bytes: &Bytes, declared: &SchemaRef, delimiter: u8) -> Result<SchemaRef> {
    let (found, _) = Format::default()
        .with_header(true)
        .with_delimiter(delimiter)
        .infer_schema(Cursor::new(bytes.clone()), Some(0))
        .map_err(|error| wrong(table, &error.to_string()))?;
    let names: Vec<&str> = found.fields().iter().map(|field| field.name().as_str()).collect();
    if let Some(absent) = declared.fields().iter().find(|field| !names.contains(&field.name().as_str())) {
        let hint = nearest(absent.name(), names.iter().copied())
            .map(|near| format!("; did you mean '{near}'?"))
            .unwrap_or_default();
        return Err(wrong(
            table,
            &format!("the first line has no column '{}', it has {}{hint}", absent.name(), names.join(", ")),
        ));
    }
    let fields = found.fields().iter().map(|field| {
        let text =
            || Arc::new(field.as_ref().clone().with_data_type(arrow::datatypes::DataType::Utf8).with_nullable(true));
        // Whether a null is allowed is checked for all rows at once, with a message of ours.
        declared
            .field_with_name(field.name())
            .map_or_else(|_| text(), |field| Arc::new(field.clone().with_nullable(true)))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn parquet(table: &Table, bytes: Bytes) -> Result<Loaded> {
    let failed = |error: parquet::errors::ParquetError| wrong(table, &error.to_string());
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(failed)?;
    let found = Arc::clone(builder.schema());
    let batches = builder
        .build()
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(table, &error.to_string()))?;
    let schema = table.schema.clone().unwrap_or(found);
    let batches = batches.iter().map(|batch| select(table, batch, &schema)).collect::<Result<_>>()?;
    Ok((schema, batches))
}

/// The declared columns of a batch, in the declared order and types.
fn select(table: &Table, batch: &RecordBatch, declared: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef> {
        let column = batch
            .column_by_name(field.name())
            .ok_or_else(|| wrong(table, &format!("the file has no column '{}'", field.name())))?;
        let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
        let cast = arrow::compute::cast_with_options(column, field.data_type(), &options);
        let cast = cast.map_err(|error| wrong(table, &format!("column '{}': {error}", field.name())))?;
        if !field.is_nullable() && cast.null_count() > 0 {
            return Err(wrong(
                table,
                &format!("column '{}' is declared NOT NULL and {} rows have no value", field.name(), cast.null_count()),
            ));
        }
        Ok(cast)
    };
    let columns = declared.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(declared), columns).map_err(|error| wrong(table, &error.to_string()))
}

fn wrong(table: &Table, found: &str) -> Error {
    Error::job(format!("table '{}': {found}", table.name)).with("location", &table.location)
}

#[cfg(test)]
mod tests;
