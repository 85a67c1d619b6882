//! The column that says of each row at which watermark its window closes.

use arrow::array::{Array, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use citystream_model::time::{Micros, Watermark, format_time};
use citystream_model::{Error, Result};
use std::collections::BTreeMap;

/// Takes the last column, [`crate::plan::CLOSES_AT`], off a batch.
pub(crate) fn take(batch: &mut RecordBatch) -> Result<Int64Array> {
    let closes_at = batch.remove_column(batch.num_columns() - 1);
    let closes_at = closes_at.as_primitive_opt::<Int64Type>().filter(|column| column.null_count() == 0).cloned();
    closes_at.ok_or_else(|| Error::internal("a row without a closing time"))
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
