//! The world of a case: streams, their columns and options, and a reference table with its rows.

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use citystream_model::time::Micros;
use citystream_sql::Tables;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::sync::Arc;

/// Every type that a stream's column may be declared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `BOOLEAN`
    Boolean,
    /// `SMALLINT`
    Small,
    /// `INT`
    Int,
    /// `BIGINT`
    Big,
    /// `FLOAT`
    Float,
    /// `DOUBLE`
    Double,
    /// `DECIMAL(12, 3)`
    Decimal,
    /// `TEXT`
    Text,
    /// `DATE`
    Date,
    /// `TIMESTAMP`
    Time,
}

/// One declared column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Name in SQL and in the record.
    pub name: String,
    /// Declared type.
    pub data_type: Type,
    /// False for `NOT NULL`.
    pub nullable: bool,
}

/// How event times are written in the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeText {
    /// RFC 3339.
    Rfc3339,
    /// Number of seconds.
    Seconds,
    /// Number of milliseconds.
    Millis,
    /// Number of microseconds.
    Micros,
}

/// One stream.
#[derive(Debug, Clone)]
pub struct StreamDef {
    /// Name in SQL.
    pub name: String,
    /// Declared columns.
    pub columns: Vec<Column>,
    /// `at`, or `_timestamp` for the record time.
    pub time_column: &'static str,
    /// How TIMESTAMP columns are written.
    pub time_text: TimeText,
    /// `time.out_of_order`, microseconds.
    pub out_of_order: Micros,
    /// `time.max_future`, microseconds.
    pub max_future: Micros,
    /// Number of partitions.
    pub partitions: i32,
    /// True when `k` is the declared key: then it is NOT NULL, and each of its values stands in one partition.
    pub keyed: bool,
}

/// Streams, a table, and the scale of time in this case.
#[derive(Debug, Clone)]
pub struct World {
    /// One or two streams, `s1` and `s2`.
    pub streams: Vec<StreamDef>,
    /// Rows of the reference table `ref`, if there is one.
    pub table: Option<RecordBatch>,
    /// Typical step between two event times, microseconds.
    pub pace: Micros,
    /// Around here event times begin.
    pub base: Micros,
}

/// One second.
pub const SECOND: Micros = 1_000_000;
/// Keys that streams and table share, so that joins meet.
pub const KEYS: [&str; 6] = ["a", "b", "", "ä🚲", "A", "null"];
/// The types in their order.
pub const TYPES: [Type; 10] = {
    use Type::{Big, Boolean, Date, Decimal, Double, Float, Int, Small, Text, Time};
    [Boolean, Small, Int, Big, Float, Double, Decimal, Text, Date, Time]
};

// === impl Type ===

impl Type {
    /// The type in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Small => "SMALLINT",
            Self::Int => "INT",
            Self::Big => "BIGINT",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Decimal => "DECIMAL(12, 3)",
            Self::Text => "TEXT",
            Self::Date => "DATE",
            Self::Time => "TIMESTAMP",
        }
    }
}

// === impl World ===

impl World {
    /// A world from the generator's next numbers.
    pub fn generate(rng: &mut StdRng) -> Self {
        // Fine times within an hour, or coarse ones across the days on which Amsterdam changes its clocks.
        let coarse = rng.random_bool(0.25);
        let pace = if coarse { 1_500 * SECOND } else { *[5, 20, 60].choose(rng).unwrap() * SECOND };
        let bases = ["2026-03-28T18:00:00Z", "2026-10-24T20:00:00Z", "2024-02-28T22:00:00Z", "1969-12-31T23:30:00Z"];
        let base = chrono::DateTime::parse_from_rfc3339(bases.choose(rng).unwrap()).unwrap().timestamp_micros();
        let count = if rng.random_bool(0.5) { 1 } else { 2 };
        let streams = (1..=count).map(|number| stream(rng, number, pace)).collect();
        let table = rng.random_bool(0.7).then(|| table(rng));
        Self { streams, table, pace, base }
    }

    /// The declarations, as SQL.
    pub fn ddl(&self) -> String {
        let mut ddl: Vec<String> = self.streams.iter().map(StreamDef::ddl).collect();
        if self.table.is_some() {
            ddl.push(
                "CREATE EXTERNAL TABLE ref (rk TEXT, rv INT, rd DOUBLE) STORED AS CSV LOCATION 'ref.csv'".to_owned(),
            );
        }
        ddl.join(";\n")
    }

    /// Rows of the reference table for the compiler.
    pub fn tables(&self) -> Tables {
        let rows = self.table.iter().map(|batch| ("ref".to_owned(), (batch.schema(), vec![batch.clone()])));
        rows.collect()
    }
}

// === impl StreamDef ===

impl StreamDef {
    /// Keys that may stand in `partition`.
    pub fn keys(&self, partition: i32) -> Vec<&'static str> {
        let numbered = (0i32..).zip(KEYS);
        numbered.filter(|(at, _)| !self.keyed || at % self.partitions == partition).map(|(_, key)| key).collect()
    }

    fn ddl(&self) -> String {
        let null = |column: &Column| if column.nullable { "" } else { " NOT NULL" };
        let columns =
            self.columns.iter().map(|column| format!("  {} {}{}", column.name, column.data_type.sql(), null(column)));
        let format = match self.time_text {
            TimeText::Rfc3339 => "rfc3339",
            TimeText::Seconds => "epoch_s",
            TimeText::Millis => "epoch_ms",
            TimeText::Micros => "epoch_us",
        };
        let key = if self.keyed { ", 'key' 'k'" } else { "" };
        format!(
            "CREATE UNBOUNDED EXTERNAL TABLE {} (\n{}\n) STORED AS KAFKA LOCATION 'topic.{}' OPTIONS ('format' 'json', 'time.column' '{}', \
             'time.format' '{format}', 'time.out_of_order' '{} us', 'time.max_future' '{} us'{key})",
            self.name,
            columns.collect::<Vec<_>>().join(",\n"),
            self.name,
            self.time_column,
            self.out_of_order,
            self.max_future,
        )
    }
}

fn stream(rng: &mut StdRng, number: usize, pace: Micros) -> StreamDef {
    let nullable = |rng: &mut StdRng| rng.random_bool(0.8);
    let keyed = rng.random_bool(0.4);
    let mut columns = vec![Column { name: "k".into(), data_type: Type::Text, nullable: !keyed && nullable(rng) }];
    for at in 0..rng.random_range(2..6) {
        let data_type = *TYPES.choose(rng).unwrap();
        columns.push(Column { name: format!("v{at}"), data_type, nullable: nullable(rng) });
    }
    let by_record = rng.random_bool(0.1);
    columns.push(Column { name: "at".into(), data_type: Type::Time, nullable: by_record });
    let texts = [TimeText::Rfc3339, TimeText::Rfc3339, TimeText::Seconds, TimeText::Millis, TimeText::Micros];
    StreamDef {
        name: format!("s{number}"),
        columns,
        time_column: if by_record { "_timestamp" } else { "at" },
        time_text: *texts.choose(rng).unwrap(),
        out_of_order: *[0, 1, 3, 10].choose(rng).unwrap() * pace,
        max_future: 300 * SECOND,
        partitions: rng.random_range(1..5),
        keyed,
    }
}

fn table(rng: &mut StdRng) -> RecordBatch {
    let rows = rng.random_range(0..8);
    let maybe = |rng: &mut StdRng| rng.random_bool(0.85);
    let keys: StringArray = (0..rows).map(|_| maybe(rng).then(|| *KEYS.choose(rng).unwrap())).collect();
    let numbers: Int32Array =
        (0..rows).map(|_| maybe(rng).then(|| *[0, 1, -3, 7, i32::MAX].choose(rng).unwrap())).collect();
    let doubles: Float64Array =
        (0..rows).map(|_| maybe(rng).then(|| *[0.0, -0.0, 0.1, 1e300].choose(rng).unwrap())).collect();
    let fields = [("rk", DataType::Utf8), ("rv", DataType::Int32), ("rd", DataType::Float64)];
    let schema = Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec());
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(numbers), Arc::new(doubles)];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}
