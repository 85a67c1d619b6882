//! Delta tables as a job writes them, read back by the library.

mod columns;
mod epochs;
mod files;
mod upsert;

use super::table::Table;
use super::{DeltaConfig, Place, log, read};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use citystream_connect::files::{Naming, open_store, table_path};
use citystream_connect::{ParquetConfig, ParquetSink, Publisher, Sink, SinkRows};
use citystream_model::job::PartitionBy;
use citystream_model::time::Micros;
use citystream_model::{Result, StagedFile};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// 2026-03-28T23:00:00Z.
const START: Micros = 1_774_738_800_000_000;
const HOUR: Micros = 3_600_000_000;

/// A folder for a table.
struct Lake {
    folder: tempfile::TempDir,
    runtime: Runtime,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("zone", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("cars", DataType::Int64, false),
        Field::new("speed", DataType::Float64, true),
    ]))
}

/// Rows `(zone, hours after START, cars)`.
fn rows(rows: &[(Option<&str>, i64, i64)]) -> SinkRows {
    let times: Vec<Micros> = rows.iter().map(|row| START + row.1 * HOUR).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0))),
        Arc::new(TimestampMicrosecondArray::from(times.clone())),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|row| Some(row.2 as f64 / 3.0)))),
    ];
    let batch = RecordBatch::try_new(schema(), columns).unwrap();
    SinkRows::new(batch, times.into_iter().map(Some).collect())
}

/// One row per number, all at the start.
fn cars(numbers: impl IntoIterator<Item = i64>) -> SinkRows {
    rows(&numbers.into_iter().map(|number| (Some("center"), 0, number)).collect::<Vec<_>>())
}

fn naming(identity: &str, writer: &str, next: u64) -> Naming {
    Naming::Epochs { identity: identity.to_owned(), writer: writer.to_owned(), next }
}

impl Lake {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), runtime }
    }

    fn place(&self) -> Place {
        let data = self.folder.path().join("data");
        let (store, prefix) = open_store(data.to_str().unwrap()).unwrap();
        let display = data.join("city/cars").to_str().unwrap().to_owned();
        Place { store, prefix: table_path(&prefix, "city/cars"), display, handle: self.runtime.handle().clone() }
    }

    fn table(&self) -> Table {
        Table::new(self.place()).unwrap()
    }

    fn delta(&self) -> deltalake_core::DeltaTable {
        let table = self.table();
        table.run(table.current()).unwrap().expect("there is a table")
    }

    fn config(&self, schema: SchemaRef, partition_by: PartitionBy) -> DeltaConfig {
        let (place, name, duties) = (self.place(), "delta:city/cars".to_owned(), Default::default());
        DeltaConfig { place, schema, partition_by, name, file_target: 1 << 20, is_replaced: false, duties }
    }

    /// A sink over the table.
    fn open(&self, naming: Naming, schema: SchemaRef, partition_by: PartitionBy) -> Result<ParquetSink> {
        let log = log(self.config(Arc::clone(&schema), partition_by.clone()))?;
        let Place { store, prefix, display, handle } = self.place();
        ParquetSink::open(ParquetConfig {
            store,
            prefix,
            display,
            schema,
            partition_by,
            file_target: 1 << 20,
            freshness: Duration::from_secs(10),
            naming,
            handle,
            name: "delta:city/cars".to_owned(),
            log: Some(log),
        })
    }

    fn sink(&self, naming: Naming) -> ParquetSink {
        self.open(naming, schema(), PartitionBy::None).unwrap()
    }

    /// A job of which every epoch is published at once.
    fn job(&self, identity: &str, writer: &str, next: u64) -> Job {
        let sink = self.sink(naming(identity, writer, next));
        let publisher = sink.publisher().unwrap();
        Job { sink, publisher, next }
    }

    fn read(&self) -> RecordBatch {
        let found = read(self.place(), u64::MAX).unwrap();
        let (schema, batches) = found.unwrap_or_else(|| (Arc::new(Schema::empty()), Vec::new()));
        concat_batches(&schema, &batches).unwrap()
    }

    /// A column as sorted texts, NULL as `-`.
    fn column(&self, name: &str) -> Vec<String> {
        let batch = self.read();
        let Some(values) = batch.column_by_name(name) else { return Vec::new() };
        let form = FormatOptions::default().with_null("-");
        let shown = ArrayFormatter::try_new(values, &form).unwrap();
        let mut texts: Vec<String> = (0..values.len()).map(|row| shown.value(row).to_string()).collect();
        texts.sort();
        texts
    }

    /// The column `cars`.
    fn cars(&self) -> Vec<i64> {
        let mut cars: Vec<i64> = self.column("cars").iter().map(|text| text.parse().unwrap()).collect();
        cars.sort_unstable();
        cars
    }

    /// Files below the table's folder, whatever the log says.
    fn files(&self) -> usize {
        let table = self.table();
        table.run(table.files()).unwrap().len()
    }
}

/// A sink and its publisher.
struct Job {
    sink: ParquetSink,
    publisher: Arc<dyn Publisher>,
    next: u64,
}

impl Job {
    /// Ends an epoch: its number and files.
    fn stage(&mut self, rows: &SinkRows) -> (u64, Vec<StagedFile>) {
        self.sink.write(rows, 0).unwrap();
        self.next += 1;
        (self.next - 1, self.sink.stage().unwrap())
    }

    fn publish(&mut self, rows: &SinkRows) -> u64 {
        let (epoch, files) = self.stage(rows);
        self.publisher.publish(epoch, &files).unwrap();
        epoch
    }
}
