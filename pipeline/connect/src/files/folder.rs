//! Which folder a row lies in: `day=2026-03-29`, `hour=2026-03-29T05`, `month=2026-03` or `zone=center/kind=car`.

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;
use citystream_model::job::PartitionBy;
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Value of a folder column where the row has none, as Hive has it.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Microseconds of an hour and of a day.
const HOUR: Micros = 3_600_000_000;
const DAY: Micros = 24 * HOUR;

/// Columns that a folder stands for, each with its value; `None` is NULL.
pub type FolderValues = Vec<(String, Option<String>)>;

/// Splits batches by folder.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    by: By,
    schema: SchemaRef,
    /// Positions of the columns that files have, where folders have the others.
    in_files: Option<Vec<usize>>,
}

#[derive(Debug, Clone)]
enum By {
    None,
    /// Name, length in microseconds and form of a span of time.
    Span(&'static str, Micros, &'static str),
    Month,
    /// Escaped name and position of each column.
    Columns(Vec<(String, usize)>),
}

// === impl Folders ===

impl Folders {
    /// # Errors
    /// A column that the table does not have, or whose folder would be hidden.
    pub(crate) fn new(by: &PartitionBy, schema: SchemaRef) -> Result<Self> {
        let by = match by {
            PartitionBy::None => By::None,
            PartitionBy::Hour => By::Span("hour", HOUR, "%Y-%m-%dT%H"),
            PartitionBy::Day => By::Span("day", DAY, "%Y-%m-%d"),
            PartitionBy::Month => By::Month,
            PartitionBy::Columns(names) => {
                By::Columns(names.iter().map(|name| column(name, &schema)).collect::<Result<_>>()?)
            }
        };
        Ok(Self { by, schema, in_files: None })
    }

    /// Leaves the columns of folders out of the files, where a log keeps them.
    ///
    /// # Errors
    /// No column is left.
    pub(crate) fn without_folder_columns(mut self) -> Result<Self> {
        if let By::Columns(columns) = &self.by {
            let in_files: Vec<usize> =
                (0..self.schema.fields().len()).filter(|at| columns.iter().all(|(_, column)| column != at)).collect();
            if in_files.is_empty() {
                return Err(Error::job("option partition_by: found every column of the table, expected fewer"));
            }
            self.in_files = Some(in_files);
        }
        Ok(self)
    }

    /// Columns of the files.
    pub(crate) fn file_schema(&self) -> Result<SchemaRef> {
        let Some(in_files) = &self.in_files else { return Ok(Arc::clone(&self.schema)) };
        self.schema.project(in_files).map(Arc::new).map_err(unsplit)
    }

    /// The rows of `batch` by folder, in their order; `""` is the table's own folder.
    pub(crate) fn split(&self, batch: &RecordBatch, times: &[Option<Micros>]) -> Result<Vec<(String, RecordBatch)>> {
        let parts = self.split_whole(batch, times)?;
        let Some(in_files) = &self.in_files else { return Ok(parts) };
        let cut = |(folder, part): (String, RecordBatch)| Ok((folder, part.project(in_files).map_err(unsplit)?));
        parts.into_iter().map(cut).collect()
    }

    fn split_whole(&self, batch: &RecordBatch, times: &[Option<Micros>]) -> Result<Vec<(String, RecordBatch)>> {
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|error| Error::internal(format!("parquet sink: rows do not fit the table: {error}")))?;
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        if !matches!(self.by, By::None | By::Columns(_)) && times.len() != batch.num_rows() {
            let (found, expected) = (times.len(), batch.num_rows());
            return Err(Error::internal(format!("parquet sink: found {found} event times, expected {expected}")));
        }
        match &self.by {
            By::None => Ok(vec![(String::new(), batch)]),
            By::Span(name, length, form) => {
                let start = |at: Micros| at.div_euclid(*length) * length;
                split_by(&batch, times.iter().map(|at| at.map(start)), |start| time_folder(name, form, *start))
            }
            By::Month => {
                let month = |at: Micros| form_time("%Y-%m", at);
                split_by(&batch, month_keys(times, month), |month| {
                    format!("month={}", month.as_deref().unwrap_or(NULL))
                })
            }
            By::Columns(columns) => split_by(&batch, column_keys(&batch, columns)?.into_iter(), Clone::clone),
        }
    }
}

/// Months of the rows; a run of rows of one day is formatted once.
fn month_keys<'a>(
    times: &'a [Option<Micros>],
    month: impl Fn(Micros) -> String + 'a,
) -> impl Iterator<Item = Option<String>> + 'a {
    let mut last: Option<(Micros, String)> = None;
    times.iter().map(move |at| {
        let day = (*at)?.div_euclid(DAY);
        if last.as_ref().is_none_or(|(known, _)| *known != day) {
            last = Some((day, month(day * DAY)));
        }
        last.as_ref().map(|(_, text)| text.clone())
    })
}

fn split_by<K: Ord>(
    batch: &RecordBatch,
    keys: impl Iterator<Item = K>,
    name: impl Fn(&K) -> String,
) -> Result<Vec<(String, RecordBatch)>> {
    let mut rows: BTreeMap<K, Vec<u32>> = BTreeMap::new();
    for (row, key) in (0_u32..).zip(keys) {
        rows.entry(key).or_default().push(row);
    }
    if rows.len() == 1 {
        return Ok(rows.keys().map(|key| (name(key), batch.clone())).collect());
    }
    let taken = |(key, rows): (K, Vec<u32>)| {
        let part = take_record_batch(batch, &UInt32Array::from(rows)).map_err(unsplit)?;
        Ok((name(&key), part))
    };
    rows.into_iter().map(taken).collect()
}

/// A batch by the folders that its rows lie in: columns and values of each, `None` is NULL.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`]: a column that the rows do not have.
pub fn split_by_folder(
    by: &PartitionBy,
    batch: &RecordBatch,
    times: &[Option<Micros>],
) -> Result<Vec<(FolderValues, RecordBatch)>> {
    let parts = Folders::new(by, batch.schema())?.split(batch, times)?;
    Ok(parts.into_iter().map(|(folder, part)| (folder_values(&folder), part)).collect())
}

fn unsplit(error: ArrowError) -> Error {
    Error::internal(format!("parquet sink: rows cannot be split: {error}"))
}

/// Columns and values of `zone=center/kind=car`; `None` is NULL.
pub(crate) fn folder_values(folder: &str) -> FolderValues {
    let pairs = folder.split('/').filter_map(|level| level.split_once('='));
    pairs.map(|(name, value)| (unescape(name), (value != NULL).then(|| unescape(value)))).collect()
}

fn time_folder(name: &str, form: &str, start: Option<Micros>) -> String {
    format!("{name}={}", start.map_or_else(|| NULL.to_owned(), |start| form_time(form, start)))
}

fn form_time(form: &str, at: Micros) -> String {
    DateTime::from_timestamp_micros(at).map_or_else(|| NULL.to_owned(), |time| time.format(form).to_string())
}

fn column(name: &str, schema: &Schema) -> Result<(String, usize)> {
    let Ok(position) = schema.index_of(name) else {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let known = names.join(", ");
        return Err(Error::job(format!("option partition_by: found '{name}', expected one of the columns {known}")));
    };
    if name.starts_with('_') || name.starts_with('.') {
        return Err(Error::job(format!("option partition_by: folders of '{name}' would be hidden; rename the column")));
    }
    Ok((escape(name), position))
}

/// `zone=center/kind=car` of each row.
fn column_keys(batch: &RecordBatch, columns: &[(String, usize)]) -> Result<Vec<String>> {
    let mut keys = vec![String::new(); batch.num_rows()];
    for (name, position) in columns {
        let values = batch.column(*position);
        let options = FormatOptions::default();
        let shown = ArrayFormatter::try_new(values.as_ref(), &options)
            .map_err(|error| Error::job(format!("option partition_by: column '{name}' cannot be a folder: {error}")))?;
        for (row, key) in keys.iter_mut().enumerate() {
            if !key.is_empty() {
                key.push('/');
            }
            let value = if values.is_null(row) { NULL.to_owned() } else { escape(&shown.value(row).to_string()) };
            // Writing to a String does not fail.
            let _ = write!(key, "{name}={value}");
        }
    }
    Ok(keys)
}

/// Percent-escapes all but letters, digits and a few harmless characters, so that every reader takes it back.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Takes [`escape`] back.
fn unescape(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(byte) => bytes.push(byte),
            None => bytes.push(b'%'),
        }
        bytes.extend_from_slice(part.get(if code.is_some() { 2 } else { 0 }..).unwrap_or_default().as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
