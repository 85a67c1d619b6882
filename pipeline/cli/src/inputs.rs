//! Files as records: JSON lines as they are, Parquet rows as JSON.

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use bytes::Bytes;
use citystream_codec::{Decoded, Decoder, Record, Records, RowEncoder};
use citystream_model::stream::{Path as ColumnPath, Stream, TIMESTAMP, TimeFormat};
use citystream_model::time::{MAX_EVENT_TIME, Micros};
use citystream_model::{Error, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

/// Records decoded at once.
const CHUNK: usize = 8_192;

/// The lines of a file, without blank ones; offsets are line numbers from 0, the Kafka time is `timestamp`.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] when the file cannot be read.
pub(crate) fn lines(path: &Path, timestamp: Micros) -> Result<impl Iterator<Item = Result<Record>> + use<>> {
    let unreadable = {
        let path = path.display().to_string();
        move |error: std::io::Error| Error::job(format!("input '{path}': cannot be read")).caused_by(error)
    };
    let mut reader = BufReader::new(File::open(path).map_err(&unreadable)?);
    let mut offset = 0;
    Ok(std::iter::from_fn(move || {
        loop {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Err(error) => return Some(Err(unreadable(error))),
                Ok(0) => return None,
                Ok(_) => {}
            }
            offset += 1;
            while line.last().is_some_and(u8::is_ascii_whitespace) {
                line.pop();
            }
            if !line.is_empty() {
                let value = Some(Bytes::from(line));
                return Some(Ok(Record { offset: offset - 1, timestamp, key: None, value, headers: Vec::new() }));
            }
        }
    }))
}

/// Decodes a file of `stream` for a batch run and hands on each part.
///
/// The Kafka time of a row is its event time; that of a reject, which may have none, is 1970.
///
/// # Errors
/// The file cannot be read, or the stream's time is the Kafka time, which a file has not.
pub(crate) fn decode_file(
    stream: &Arc<Stream>,
    path: &Path,
    now: Micros,
    take: &mut dyn FnMut(Decoded) -> Result<()>,
) -> Result<()> {
    if stream.time_column == TIMESTAMP {
        return Err(Error::job(format!(
            "input of stream '{}': its time is the Kafka record time, which a file has not; batch needs a time column",
            stream.name
        )));
    }
    let is_parquet = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"));
    let (stream, records): (_, Box<dyn Iterator<Item = Result<Record>>>) = if is_parquet {
        (Arc::new(flat(stream)), Box::new(rows(path)?))
    } else {
        (Arc::clone(stream), Box::new(lines(path, MAX_EVENT_TIME)?))
    };
    let decoder = Decoder::new(stream);
    let mut records = records.peekable();
    while records.peek().is_some() {
        let chunk = records.by_ref().take(CHUNK).collect::<Result<Records>>()?;
        let mut decoded = decoder.decode(0, &chunk, now)?;
        decoded.batch = with_event_time(&decoded.batch, &decoded.event_times)?;
        decoded.rejects.iter_mut().for_each(|reject| reject.record.timestamp = 0);
        take(decoded)?;
    }
    Ok(())
}

/// The rows of a Parquet file as records of JSON.
fn rows(path: &Path) -> Result<impl Iterator<Item = Result<Record>> + use<>> {
    let name = path.display().to_string();
    let unreadable =
        move |error: &dyn std::fmt::Display| Error::job(format!("input '{name}': cannot be read: {error}"));
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(&error))?;
    let encoder = RowEncoder::new(builder.schema(), &[])?;
    let reader = builder.with_batch_size(CHUNK).build().map_err(|error| unreadable(&error))?;
    let batches = reader.map(move |batch| encoder.encode(&batch.map_err(|error| unreadable(&error))?));
    let values = batches.flat_map(|rows| match rows {
        Ok(rows) => rows.into_iter().map(|row| Ok(Bytes::from(row.value))).collect(),
        Err(error) => vec![Err(error)],
    });
    Ok((0..).zip(values).map(|(offset, value)| {
        Ok(Record { offset, timestamp: MAX_EVENT_TIME, key: None, value: Some(value?), headers: Vec::new() })
    }))
}

/// The stream as a Parquet file holds it: a column per column, times as times.
fn flat(stream: &Stream) -> Stream {
    let mut flat = stream.clone();
    (flat.time_format, flat.time_zone) = (TimeFormat::Rfc3339, None);
    for column in &mut flat.columns {
        column.path = ColumnPath::Body(vec![column.name.clone()]);
    }
    flat
}

fn with_event_time(batch: &RecordBatch, times: &[Micros]) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    let at = batch.schema().index_of(TIMESTAMP).map_err(|error| Error::internal("decoded rows").caused_by(error))?;
    columns[at] = Arc::new(TimestampMicrosecondArray::from(times.to_vec()));
    RecordBatch::try_new(batch.schema(), columns).map_err(|error| Error::internal("decoded rows").caused_by(error))
}
