//! Exchanges: rows that belong together go to one shard.

use crate::keys::one_zero;
use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::record_batch::RecordBatch;
use citystream_model::{Error, Result};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use std::sync::Arc;

/// How rows find their shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// They stay where they are.
    Shard,
    /// Equal values of these columns go to one shard.
    Columns(Vec<usize>),
    /// All go to the first one.
    First,
}

// === impl By ===

impl By {
    /// The rows of `batch`, which stand on shard `from`, by the shard of `shards` that they go to.
    pub(crate) fn split(&self, batch: RecordBatch, from: usize, shards: usize) -> Result<Vec<(usize, RecordBatch)>> {
        let columns = match self {
            Self::Shard => return Ok(vec![(from, batch)]),
            Self::First => return Ok(vec![(0, batch)]),
            Self::Columns(columns) => columns,
        };
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); shards];
        let mut hashes = vec![0; batch.num_rows()];
        let keys: Vec<ArrayRef> = columns.iter().map(|at| one_form(batch.column(*at))).collect();
        create_hashes(&keys, &RandomState::with_seed(0), &mut hashes)
            .map_err(|error| Error::internal("hashes of keys").caused_by(error))?;
        for (row, hash) in (0u32..).zip(&hashes) {
            // The high bits: group tables go by the low ones.
            rows[(((hash >> 32) * shards as u64) >> 32) as usize].push(row);
        }
        let some = rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        some.map(|(shard, rows)| {
            if rows.len() == batch.num_rows() {
                return Ok((shard, batch.clone()));
            }
            let taken = take_record_batch(&batch, &UInt32Array::from(rows));
            Ok((shard, taken.map_err(|error| Error::internal("rows of a shard").caused_by(error))?))
        })
        .collect()
    }
}

/// Values that are equal as keys get one form: the two zeros, and all that is not a number.
fn one_form(column: &ArrayRef) -> ArrayRef {
    let column = one_zero(column);
    match column.data_type() {
        DataType::Float32 => {
            let form = |value: f32| if value.is_nan() { f32::NAN } else { value };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(form))
        }
        DataType::Float64 => {
            let form = |value: f64| if value.is_nan() { f64::NAN } else { value };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(form))
        }
        _ => column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array};

    #[test]
    fn equal_keys_meet_and_no_row_is_lost() {
        let keys: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.0), Some(-0.0), None, Some(7.5), None]));
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5));
        let batch = RecordBatch::try_from_iter([("key", keys), ("row", rows)]).unwrap();
        let parts = By::Columns(vec![0]).split(batch, 0, 4).unwrap();
        let shard = |row: i64| {
            let holds = |batch: &RecordBatch| {
                batch.column(1).as_primitive::<arrow::datatypes::Int64Type>().values().contains(&row)
            };
            let found: Vec<usize> = parts.iter().filter(|(_, batch)| holds(batch)).map(|(shard, _)| *shard).collect();
            assert_eq!(found.len(), 1, "row {row}");
            found[0]
        };
        assert_eq!(shard(0), shard(1));
        assert_eq!(shard(2), shard(4));
        shard(3);
    }
}
