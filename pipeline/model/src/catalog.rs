//! What connectors know and the SQL checker has to ask: which sinks exist and which client options are valid.

use crate::error::Result;
use crate::job::{PartitionBy, SinkRef};
use arrow::datatypes::Schema;

/// Plugged in by the binary, so that the checker needs no connector.
pub trait Connectors: Send + Sync {
    /// Schemes of the sinks that exist, such as `parquet` and `kafka`.
    fn sink_schemes(&self) -> Vec<&'static str>;

    /// Checks the target of a sink: a relative path without `..`, or a legal topic name.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Job`] with what was found and expected.
    fn check_sink(&self, sink: &SinkRef) -> Result<()>;

    /// Checks that a sink can hold rows of `schema`, in the folders of `partition_by` if it is a table.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Job`] with what was found and expected.
    fn check_columns(&self, sink: &SinkRef, schema: &Schema, partition_by: &PartitionBy) -> Result<()>;

    /// Checks one `kafka.*` option of a stream (without the prefix).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Job`] for a name that the client does not know, a bad value, or a secret in clear text.
    fn check_kafka_option(&self, name: &str, value: &str) -> Result<()>;
}
