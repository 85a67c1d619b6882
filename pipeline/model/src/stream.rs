//! What a stream declaration says: columns, event time, key, format and the Kafka options as written.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A declared stream: `CREATE UNBOUNDED EXTERNAL TABLE ... STORED AS KAFKA`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Name in SQL, `snake_case`.
    pub name: String,
    /// Kafka topic.
    pub topic: String,
    /// Declared columns, in order, without the hidden ones.
    pub columns: Vec<Column>,
    /// How the record's value is encoded.
    pub format: Format,
    /// Column that carries event time: a declared TIMESTAMP column or `_timestamp`.
    pub time_column: String,
    /// How every TIMESTAMP column is written in the record.
    pub time_format: TimeFormat,
    /// Zone of times without an offset; `None` means UTC.
    pub time_zone: Option<chrono_tz::Tz>,
    /// Which pass of the repeated autumn hour a local time means.
    pub time_fold: Fold,
    /// How far behind the newest row of its partition a row may come: the watermark delay.
    pub out_of_order: Duration,
    /// How far beyond the Kafka record time (or the reader's clock) an event time may lie.
    pub max_future: Duration,
    /// After how long a silent partition at its end gets a heartbeat.
    pub idle: Duration,
    /// Column that the producer partitions by, if it does.
    pub key: Option<String>,
    /// Folder of the rejects table below the data folder.
    pub rejects: String,
    /// Table that holds the stream's past, if there is one.
    pub history: Option<String>,
    /// Options of the Kafka client as written, without the `kafka.` prefix; secrets still as `${ENV_NAME}`.
    pub kafka: BTreeMap<String, String>,
}

/// One declared column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name in SQL.
    pub name: String,
    /// One of the types of [`is_column_type`].
    pub data_type: DataType,
    /// False for `NOT NULL`: a record without it is rejected.
    pub nullable: bool,
    /// Where in the record the value stands.
    pub path: Path,
}

/// Where in a Kafka record a column's value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// Field names from the body's root inwards, exact in case; never empty.
    Body(Vec<String>),
    /// The record's key, read as UTF-8 text.
    Key,
    /// A header, read as UTF-8 text; of several with the name the last.
    Header(String),
}

/// Encoding of record values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per record.
    Json,
}

/// How a TIMESTAMP is written in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeFormat {
    /// Text, `T` or a space before the time of day; no offset means UTC or the stream's zone; second 60 is the next minute.
    #[default]
    Rfc3339,
    /// Number of seconds since the epoch (a fraction is taken to the microsecond).
    EpochSeconds,
    /// Number of milliseconds since the epoch.
    EpochMillis,
    /// Number of microseconds since the epoch.
    EpochMicros,
}

/// Which pass of a repeated local hour is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fold {
    /// The first pass, in summer time.
    #[default]
    Earlier,
    /// The second pass, in winter time.
    Later,
}

/// Names of the hidden columns, in their order behind the declared ones.
pub const HIDDEN: [&str; 6] = [TOPIC, PARTITION, OFFSET, TIMESTAMP, KEY, HEADERS];
/// Hidden column: topic, Utf8.
pub const TOPIC: &str = "_topic";
/// Hidden column: partition, Int32.
pub const PARTITION: &str = "_partition";
/// Hidden column: offset, Int64.
pub const OFFSET: &str = "_offset";
/// Hidden column: Kafka record time, Timestamp(us).
pub const TIMESTAMP: &str = "_timestamp";
/// Hidden column: record key as it came, Binary, null where the record has none.
pub const KEY: &str = "_key";
/// Hidden column: headers as one JSON object of text by name (bytes that are no UTF-8 are replaced), Utf8.
pub const HEADERS: &str = "_headers";

// === impl Stream ===

impl Stream {
    /// Schema of the declared columns.
    pub fn declared_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    /// Schema of a decoded batch: the declared columns, then the six hidden ones.
    pub fn full_schema(&self) -> SchemaRef {
        let declared = self.columns.iter().map(Column::field);
        Arc::new(Schema::new(declared.chain(hidden_fields()).collect::<Vec<_>>()))
    }

    /// The declared column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Column {
    /// The Arrow field of this column.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), self.nullable)
    }
}

/// Fields of the hidden columns, in the order of [`HIDDEN`].
pub fn hidden_fields() -> [Field; 6] {
    [
        Field::new(TOPIC, DataType::Utf8, false),
        Field::new(PARTITION, DataType::Int32, false),
        Field::new(OFFSET, DataType::Int64, false),
        Field::new(TIMESTAMP, timestamp_type(), false),
        Field::new(KEY, DataType::Binary, true),
        Field::new(HEADERS, DataType::Utf8, false),
    ]
}

/// The type of every TIMESTAMP: UTC microseconds without a zone.
pub const fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// Types that a stream's column may have: BOOLEAN, the signed integers, FLOAT, DOUBLE, TEXT, TIMESTAMP, DATE, DECIMAL(p, s).
pub fn is_column_type(data_type: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Utf8};
    matches!(data_type, Boolean | Int8 | Int16 | Int32 | Int64 | Float32 | Float64 | Utf8 | Date32 | Decimal128(..))
        || *data_type == timestamp_type()
}
