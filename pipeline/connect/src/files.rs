//! Tables as Parquet files, in a local folder or on an object store.
//!
//! Delivery guarantee: a row is in exactly one file of one instance; a file is complete when it is visible and never
//! changes. With checkpoints (`Naming::Epochs`) files wait below `_staging` until their epoch is decided; without, they are
//! visible once written, and a crash may repeat rows in files of another run. A retryable error leaves the sink usable and
//! loses no row.
//!
//! | option | meaning |
//! |---|---|
//! | `partition_by` | event-time folders: `none`, `hour`, `day`, `month`, or one folder level per column |
//! | `file_target` | size in bytes at which a file is published |
//! | `freshness` | longest time from a row's arrival to its publication |
//!
//! ```text
//!  rows --split--> day=2026-03-28 [writer] --size, freshness, flush, memory--> finished --put--> part-<run>-<seq>.parquet
//!                  day=2026-03-29 [writer]
//! ```
//!
//! Files are compressed with zstd, times are microseconds without a zone, the folder's columns are extra. A local
//! file is written under a name with `#` at its end and renamed; it survives the death of the process, not
//! necessarily that of the machine, unless the store is `durable`, as it is for jobs with checkpoints.

mod config;
mod durable;
mod folder;
mod log;
mod open_files;
mod put;
mod sink;
pub(crate) mod staging;
mod store;
#[cfg(test)]
mod tests;

pub use config::{Naming, ParquetConfig, check_table, check_target};
pub use folder::{FolderValues, split_by_folder};
pub use log::{CompleteFile, TableLog};
pub use put::put as put_file;
pub use sink::ParquetSink;
pub use staging::{Staging, epoch_of, staged_name};
pub use store::{at, durable, failure, holds_rows, is_visible, open_store, remove_table, table_path};
