//! The column that says of each row at which watermark its window closes.

use crate::plan::CLOSES_AT;
use arrow::array::{Array, AsArray, BooleanArray, Int64Array, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Micros, Watermark, format_time};
use citystream_model::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Takes the last column, [`crate::plan::CLOSES_AT`], off a batch.
pub(crate) fn take(batch: &mut RecordBatch) -> Result<Int64Array> {
    let closes_at = batch.remove_column(batch.num_columns() - 1);
    let closes_at = closes_at.as_primitive_opt::<Int64Type>().filter(|column| column.null_count() == 0).cloned();
    closes_at.ok_or_else(|| Error::internal("a row without a closing time"))
}

/// Puts the column back: all rows of `batch` close at `closes_at`.
pub(crate) fn put(batch: RecordBatch, closes_at: Micros) -> Result<RecordBatch> {
    let (schema, mut columns, rows) = batch.into_parts();
    let fields = schema.fields().iter().cloned();
    let fields = fields.chain([Arc::new(Field::new(CLOSES_AT, DataType::Int64, false))]);
    columns.push(Arc::new(Int64Array::from_value(closes_at, rows)));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
        .map_err(|error| Error::internal("rows of a window").caused_by(error))
}

/// Takes the column off and splits the rows by it.
pub(crate) fn split(batch: RecordBatch) -> Result<Vec<(Micros, RecordBatch)>> {
    let mut bare = batch.clone();
    let closes_at = take(&mut bare)?;
    let Some(&first) = closes_at.values().first() else { return Ok(Vec::new()) };
    let Some(rows) = rows(closes_at.values()) else { return Ok(vec![(first, bare)]) };
    rows.into_iter()
        .map(|(closes_at, rows)| {
            // The column comes off last: it may be the only one, and Arrow takes no rows from a batch without columns.
            let taken = take_record_batch(&batch, &UInt32Array::from(rows));
            let mut taken = taken.map_err(|error| Error::internal("splitting a batch by window").caused_by(error))?;
            take(&mut taken)?;
            Ok((closes_at, taken))
        })
        .collect()
}

/// Rows that are needed behind `watermark`, where `last_end` says until when, by their closing times; `None` if none is.
pub(crate) fn still_needed(
    batch: &RecordBatch,
    watermark: Watermark,
    last_end: impl Fn(Micros) -> Micros,
) -> Result<Option<RecordBatch>> {
    let closes_at = take(&mut batch.clone())?;
    let needed: BooleanArray = closes_at.values().iter().map(|at| Some(last_end(*at) > watermark.0)).collect();
    if needed.true_count() == 0 {
        return Ok(None);
    }
    let rows = filter_record_batch(batch, &needed);
    rows.map(Some).map_err(|error| Error::internal("rows of a checkpoint").caused_by(error))
}

/// Numbers of the rows by the time at which they close; `None` for rows that all close with the first, and for no rows.
pub(crate) fn rows(closes_at: &[Micros]) -> Option<BTreeMap<Micros, Vec<u32>>> {
    let first = closes_at.first()?;
    if closes_at.iter().all(|other| other == first) {
        return None;
    }
    let mut rows: BTreeMap<Micros, Vec<u32>> = BTreeMap::new();
    for (row, &closes_at) in (0u32..).zip(closes_at) {
        rows.entry(closes_at).or_default().push(row);
    }
    Some(rows)
}

/// Fails for rows of a window that has closed (I2).
pub(crate) fn check_open(closes_at: Micros, watermark: Watermark) -> Result<()> {
    if closes_at > watermark.0 {
        return Ok(());
    }
    Err(Error::internal("a row came after its window had closed")
        .with("closes_at", format_time(closes_at))
        .with("watermark", watermark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_another_column_are_split_too() {
        let schema = Schema::new(vec![Field::new(CLOSES_AT, DataType::Int64, false)]);
        let closes_at = Arc::new(Int64Array::from(vec![20, 10, 20]));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![closes_at]).unwrap();
        let parts = split(batch).unwrap();
        let sizes: Vec<_> = parts.iter().map(|(at, rows)| (*at, rows.num_rows(), rows.num_columns())).collect();
        assert_eq!(sizes, [(10, 1, 0), (20, 2, 0)]);
    }
}
