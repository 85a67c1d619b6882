//! Statistics of a file as the Delta log keeps them, from the file's footer.
//!
//! Source: <https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics>. Bounds of floats are left out:
//! readers would skip a file that holds a NaN, which compares greater than every bound.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{SortOptions, sort_to_indices};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use citystream_model::{Error, Result};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// Columns with statistics, the first ones: as many as other writers keep.
const COLUMNS: usize = 32;
/// Times as JSON has them.
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.6f";

/// Number of rows, and of each of the first columns its bounds and number of NULLs.
///
/// # Errors
/// [`citystream_model::ErrorKind::Internal`] when `metadata` is not that of a file with `schema`.
pub(super) fn stats(schema: &Schema, metadata: &ParquetMetaData) -> Result<String> {
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    for field in schema.fields().iter().filter(|field| !field.data_type().is_nested()).take(COLUMNS) {
        let column = StatisticsConverter::try_new(field.name(), schema, metadata.file_metadata().schema_descr())
            .map_err(internal)?;
        let groups = metadata.row_groups();
        let counts = column.row_group_null_counts(groups).map_err(internal)?;
        if counts.null_count() == 0 {
            nulls.insert(field.name().clone(), counts.iter().flatten().sum::<u64>().into());
        }
        if !has_bounds(field.data_type()) {
            continue;
        }
        let bound = |values: ArrayRef, descending| -> Result<Option<Value>> {
            // A group without a bound is one of NULLs only; else nothing can be said of the file.
            let is_known = |at: usize| {
                values.is_valid(at) || i64::try_from(counts.value(at)).is_ok_and(|nulls| nulls == groups[at].num_rows())
            };
            if (0..values.len()).all(is_known) { extreme(&values, descending) } else { Ok(None) }
        };
        let name = field.name().clone();
        if let Some(value) = bound(column.row_group_mins(groups).map_err(internal)?, false)? {
            least.insert(name.clone(), value);
        }
        if let Some(value) = bound(column.row_group_maxes(groups).map_err(internal)?, true)? {
            greatest.insert(name, value);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    Ok(json!({ "numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls }).to_string())
}

/// True for types whose bounds every reader takes.
fn has_bounds(data_type: &DataType) -> bool {
    use DataType::{Date32, Int8, Int16, Int32, Int64, LargeUtf8, Timestamp, Utf8, Utf8View};
    matches!(
        data_type,
        Int8 | Int16 | Int32 | Int64 | Utf8 | LargeUtf8 | Utf8View | Date32 | Timestamp(TimeUnit::Microsecond, _)
    )
}

/// The least or the greatest of `values`; `None` when all are NULL.
fn extreme(values: &ArrayRef, descending: bool) -> Result<Option<Value>> {
    let options = SortOptions { descending, nulls_first: false };
    let order: UInt32Array = sort_to_indices(values, Some(options), Some(1)).map_err(internal)?;
    let Some(at) = order.values().first().map(|at| *at as usize).filter(|at| values.is_valid(*at)) else {
        return Ok(None);
    };
    let form = FormatOptions::default().with_timestamp_format(Some(TIME));
    let text = ArrayFormatter::try_new(values.as_ref(), &form).map_err(internal)?.value(at).to_string();
    Ok(Some(match text.parse::<i64>() {
        Ok(number) if values.data_type().is_integer() => number.into(),
        _ => text.into(),
    }))
}

fn internal(error: impl Display) -> Error {
    Error::internal(format!("statistics of a file cannot be read: {error}"))
}
