//! Delta tables: files stand where they are put, and count once the table's log says so.
//!
//! ```text
//!   part-5f3a-000017-000000-w1.parquet  --epoch 17 is decided-->  _delta_log/00000000000000000042.json:
//!                                                                 add part-5f3a-000017-..., txn (citystream-5f3a, 17)
//! ```
//!
//! One commit of the log publishes an epoch, with the epoch's number in it (`txn`): who finds a number as large has nothing
//! left to do. Rows that are to be taken back leave with a RESTORE that carries the number of the last epoch taken back.
//!
//! - The table is made with its first rows; `TIMESTAMP` is `timestamp_ntz`; every column may be NULL.
//! - A job's new columns are added to the table; a column of another type is refused. Columns that the job does not have
//!   are NULL in its rows. An empty table takes the job's columns as they are.
//! - Tables that ask more of their writers than we do (constraints, generated columns, column mapping, ...) are refused.
//! - Small files are merged and old ones removed beside the job ([`duties`]).
//!
//! Start with [`log()`], which makes a [`citystream_connect::ParquetSink`] write to such a table.

mod columns;
pub mod duties;
mod failure;
mod history;
mod log;
mod publisher;
mod read;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod upsert;

pub use columns::check_columns;
pub use log::{DeltaConfig, log, upsert};
pub use read::{read, read_rows, unknown_files};
pub use table::{Place, clear, holds_rows, is_table};
pub use upsert::UpsertSink;
