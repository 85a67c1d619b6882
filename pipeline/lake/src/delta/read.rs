//! The rows of a Delta table as it is now.

use super::table::{Place, Table};
use arrow::array::RecordBatch;
use citystream_model::{Error, Result};
use futures::TryStreamExt;

/// All rows of the table at `place`, in no particular order; none where there is no table.
///
/// # Errors
/// The store or the table cannot be read.
pub fn read(place: Place) -> Result<Vec<RecordBatch>> {
    let table = Table::new(place)?;
    table.run(async {
        let Some(delta) = table.current().await? else { return Ok(Vec::new()) };
        let (_, rows) = delta.scan_table().await.map_err(|error| table.failure("read", error))?;
        rows.try_collect().await.map_err(|error| {
            Error::unavailable(format!("cannot read Delta table {}", table.place.display)).caused_by(error)
        })
    })
}
