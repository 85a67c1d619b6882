//! Compares the demo's tables with the batch twin of each job: plain DataFusion over the sample files.

use crate::command::Context;
use crate::inputs::decode_file;
use crate::tables::{DataDir, table_sinks};
use arrow::record_batch::RecordBatch;
use citystream_codec::RowEncoder;
use citystream_connect::files::is_visible;
use citystream_lake::delta;
use citystream_model::job::{DELTA, SinkRef};
use citystream_model::time::{Clock, SystemClock};
use citystream_model::{Error, Result};
use citystream_sql::CheckedJob;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One sentence for each table that differs from the batch.
pub(crate) fn differing(
    context: &Context,
    jobs: Vec<CheckedJob>,
    data: &DataDir,
    inputs: &BTreeMap<String, PathBuf>,
) -> Result<Vec<String>> {
    let mut differing = Vec::new();
    for job in jobs {
        let mut rows = BTreeMap::new();
        for stream in &job.streams {
            let batches: &mut Vec<RecordBatch> = rows.entry(stream.name.clone()).or_default();
            if let Some(file) = inputs.get(&stream.name) {
                decode_file(stream, file, SystemClock.now(), &mut |decoded| {
                    batches.push(decoded.batch);
                    Ok(())
                })?;
            }
        }
        let expected = sorted(&context.handle().block_on(job.twin.run(&rows))?)?;
        for sink in table_sinks(&job.spec) {
            let found = sorted(&read(context, data, sink)?)?;
            if found != expected {
                differing.push(format!(
                    "table {} has {} rows, the batch has {}, and they are not the same",
                    data.display(&sink.target),
                    found.len(),
                    expected.len()
                ));
            }
        }
    }
    Ok(differing)
}

/// All rows of a table.
fn read(context: &Context, data: &DataDir, sink: &SinkRef) -> Result<Vec<RecordBatch>> {
    if sink.scheme == DELTA {
        return delta::read_rows(data.place(&sink.target)?);
    }
    context.handle().block_on(read_files(data, &sink.target))
}

/// All rows of the files of a Parquet table.
async fn read_files(data: &DataDir, target: &str) -> Result<Vec<RecordBatch>> {
    let (store, prefix) = data.table(target)?;
    let failed = |error: &dyn std::fmt::Display| Error::unavailable(format!("table {target} cannot be read: {error}"));
    let files: Vec<_> = store.list(Some(&prefix)).try_collect().await.map_err(|error| failed(&error))?;
    let mut batches = Vec::new();
    for file in files.into_iter().filter(|file| is_visible(&prefix, &file.location)) {
        let bytes = store
            .get(&file.location)
            .await
            .map_err(|error| failed(&error))?
            .bytes()
            .await
            .map_err(|error| failed(&error))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(|builder| builder.build())
            .map_err(|error| failed(&error))?;
        batches.extend(reader.collect::<std::result::Result<Vec<_>, _>>().map_err(|error| failed(&error))?);
    }
    Ok(batches)
}

/// Rows as text that keeps every bit of a finite number, in order.
fn sorted(batches: &[RecordBatch]) -> Result<Vec<Vec<u8>>> {
    let mut rows = Vec::new();
    for batch in batches {
        rows.extend(RowEncoder::new(&batch.schema(), &[])?.encode(batch)?.into_iter().map(|row| row.value));
    }
    rows.sort_unstable();
    Ok(rows)
}
