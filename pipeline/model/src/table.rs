//! A reference table as it is declared: bounded, read once at the start.

use arrow::datatypes::SchemaRef;

/// `CREATE EXTERNAL TABLE ... STORED AS CSV | PARQUET | DELTA`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name in SQL.
    pub name: String,
    /// Declared columns; `None` takes those that the table has (not of CSV).
    pub schema: Option<SchemaRef>,
    /// How the file is written.
    pub format: TableFormat,
    /// Path or URL; a relative path is already resolved against the folder of the declaration.
    pub location: String,
}

/// File format of a reference table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableFormat {
    /// Text with one row per line.
    Csv {
        /// True when the first line holds the column names.
        has_header: bool,
        /// Byte between two values.
        delimiter: u8,
    },
    /// Apache Parquet.
    Parquet,
    /// A Delta table as it is when the job starts.
    Delta,
}
