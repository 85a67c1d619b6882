//! Reads the Parquet table that the engine has written, and takes its digest.

use crate::digest::Digest;
use crate::row;
use crate::workload::JobName;
use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Digest of the table in `folder`; folders that start with `_` are no data.
///
/// # Errors
/// A file that cannot be read, or that lacks a column.
pub fn digest(job: JobName, folder: &Path) -> Result<Digest> {
    let mut digest = Digest::default();
    for file in files(folder)? {
        let reader = File::open(&file)
            .map_err(anyhow::Error::from)
            .and_then(|opened| Ok(ParquetRecordBatchReaderBuilder::try_new(opened)?.with_batch_size(8_192).build()?));
        for batch in reader.with_context(|| format!("{}: cannot be read", file.display()))? {
            add(job, &batch?, &mut digest).with_context(|| format!("{}", file.display()))?;
        }
    }
    Ok(digest)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("table {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('_') {
            found.extend(files(&path)?);
        } else if name.ends_with(".parquet") {
            found.push(path);
        }
    }
    Ok(found)
}

fn add(job: JobName, batch: &RecordBatch, digest: &mut Digest) -> Result<()> {
    let id = strings(batch, "id")?;
    let numbers = match job {
        JobName::Reduce => times_then(batch, &["lane_count", "flow"], &["pub_ts"])?,
        JobName::Tumble => times_then(batch, &["n", "flow", "lowest", "highest"], &[])?,
        JobName::Join => join_numbers(batch)?,
    };
    let lanes = if job == JobName::Join { Some(lanes(batch)?) } else { None };
    let mut values = vec![0; numbers.len()];
    for row in 0..batch.num_rows() {
        for (value, column) in values.iter_mut().zip(&numbers) {
            if column.is_null(row) {
                bail!("row {row} has a NULL, expected none");
            }
            *value = column.value(row);
        }
        let lanes = lanes.as_ref().map_or("", |lanes| lanes[row].as_str());
        digest.add(&row::text(id.value(row), lanes, &values));
    }
    Ok(())
}

/// The window's bounds, then `integers`, then `times`.
fn times_then(batch: &RecordBatch, integers: &[&str], times: &[&str]) -> Result<Vec<Int64Array>> {
    let mut columns = vec![millis(batch, "window_start")?, millis(batch, "window_end")?];
    for name in integers {
        columns.push(integer(batch, name)?);
    }
    for name in times {
        columns.push(millis(batch, name)?);
    }
    Ok(columns)
}

fn join_numbers(batch: &RecordBatch) -> Result<Vec<Int64Array>> {
    let mut columns = times_then(batch, &["n"], &["pub_ts"])?;
    columns.push(integer(batch, "flow")?);
    let counts = integer(batch, "n")?;
    let means = float(batch, "speed")?;
    let sums = means.iter().zip(&counts).map(|(mean, count)| Some((mean? * count? as f64, 100.0)));
    columns.push(scaled(sums, "speed")?);
    for name in ["period", "flow_accuracy", "speed_accuracy", "num_lanes"] {
        columns.push(integer(batch, name)?);
    }
    for name in ["lat", "long"] {
        let degrees = float(batch, name)?;
        columns.push(scaled(degrees.iter().map(|value| Some((value?, 100_000.0))), name)?);
    }
    Ok(columns)
}

/// Whole numbers of what is a multiple of a decimal fraction, which a float only nearly is.
fn scaled(values: impl Iterator<Item = Option<(f64, f64)>>, name: &str) -> Result<Int64Array> {
    let whole = values.map(|value| {
        let Some((value, scale)) = value else { return Ok(None) };
        let (scaled, whole) = (value * scale, (value * scale).round());
        // Relative 1e-9, as workloads are compared where floats cannot be avoided.
        if (scaled - whole).abs() > 1e-9 * whole.abs().max(1.0) {
            bail!("column {name}: found {value}, expected a multiple of {}", 1.0 / scale);
        }
        Ok(Some(whole as i64))
    });
    whole.collect()
}

/// The lanes of each row, separated by commas.
fn lanes(batch: &RecordBatch) -> Result<Vec<String>> {
    let lists = column(batch, "lanes")?;
    let lists = lists.as_list_opt::<i32>().context("column lanes: expected a list")?;
    let names = lists.iter().map(|list| {
        let list = cast(&list.context("column lanes: found NULL")?, &DataType::Utf8)?;
        Ok(list.as_string::<i32>().iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(","))
    });
    names.collect()
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::ArrayRef> {
    batch.column_by_name(name).with_context(|| format!("no column {name}"))
}

fn strings(batch: &RecordBatch, name: &str) -> Result<StringArray> {
    Ok(cast(column(batch, name)?, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn integer(batch: &RecordBatch, name: &str) -> Result<Int64Array> {
    Ok(cast(column(batch, name)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn float(batch: &RecordBatch, name: &str) -> Result<Float64Array> {
    Ok(cast(column(batch, name)?, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

fn millis(batch: &RecordBatch, name: &str) -> Result<Int64Array> {
    let millis = cast(column(batch, name)?, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
    Ok(cast(&millis, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}
