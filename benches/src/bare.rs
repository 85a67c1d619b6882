//! The yardstick: the same bytes through our decoder and a plain hash map, in one loop, without Kafka, SQL or Parquet.
//!
//! Records are made in chunks outside of the measured time, in the batches that a poll of the engine gives.

mod flows;
mod lanes;

use crate::arrivals::Arrivals;
use crate::digest::Digest;
use crate::process;
use crate::record::Writer;
use crate::sensors::Sensors;
use crate::workload::{JobName, Topic, Workload};
use anyhow::{Context, Result, ensure};
use arrow::array::{Array, AsArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType};
use bytes::Bytes;
use citystream_codec::{Decoded, Decoder, Record, Records};
use citystream_model::stream::{Column, Fold, Format, Path, Stream, TimeFormat, timestamp_type};
use flows::Flows;
use lanes::Lanes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Records made at once: a full batch of each of four partitions, as warm in the caches as what a client just received.
const CHUNK: usize = 65_536;
/// Records decoded at once, at most.
const BATCH: usize = 16_384;

/// What the loop cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Records decoded.
    pub events: u64,
    /// Seconds on a CPU of decoding.
    pub decode_s: f64,
    /// Seconds on a CPU of the windows.
    pub windows_s: f64,
    /// Digest of the result.
    pub digest: Digest,
}

/// The window part of a job.
trait Windows {
    /// Takes the rows of one batch.
    fn add(&mut self, topic: Topic, decoded: &Decoded) -> Result<()>;
    /// The result, row by row.
    fn finish(self: Box<Self>) -> Vec<Row>;
}

/// A result row, before it is text.
struct Row {
    id: Arc<str>,
    lanes: String,
    numbers: Vec<i64>,
}

/// Numbers for texts, in the order in which they came.
#[derive(Debug)]
struct Names {
    numbers: HashMap<Arc<str>, u32, ahash::RandomState>,
    names: Vec<Arc<str>>,
}

impl Cost {
    /// Seconds on a CPU in all.
    pub fn cpu_s(&self) -> f64 {
        self.decode_s + self.windows_s
    }
}

/// Runs `job` over `workload`.
///
/// # Errors
/// A record is refused.
pub fn run(job: JobName, workload: &Workload) -> Result<Cost> {
    let sensors = Sensors::new(workload);
    let mut inputs: Vec<_> = job.topics().iter().map(|topic| Input::new(workload, *topic)).collect();
    let mut windows: Box<dyn Windows> = match job {
        JobName::Reduce => Box::new(Flows::reduce()),
        JobName::Tumble => Box::new(Flows::tumble()),
        JobName::Join => Box::new(Lanes::new()),
    };
    let mut cost = Cost { events: 0, decode_s: 0.0, windows_s: 0.0, digest: Digest::default() };
    loop {
        let before = cost.events;
        for input in &mut inputs {
            for (partition, records) in input.chunk(&sensors) {
                cost.events += records.len() as u64;
                for batch in records.chunks(BATCH) {
                    let batch = Records::from(batch);
                    let started = process::own_cpu_s()?;
                    let decoded = input.decoder.decode(partition as i32, &batch, i64::MAX)?;
                    let decoded_at = process::own_cpu_s()?;
                    windows.add(input.topic, &decoded)?;
                    cost.windows_s += process::own_cpu_s()? - decoded_at;
                    cost.decode_s += decoded_at - started;
                    ensure!(decoded.rejects.is_empty(), "found a reject: {:?}", decoded.rejects.first());
                }
            }
        }
        if cost.events == before {
            break;
        }
    }
    let started = process::own_cpu_s()?;
    let rows = windows.finish();
    cost.windows_s += process::own_cpu_s()? - started;
    cost.digest = rows.iter().map(|row| crate::row::text(&row.id, &row.lanes, &row.numbers)).collect();
    Ok(cost)
}

/// One topic, made as it is read.
struct Input {
    topic: Topic,
    arrivals: Arrivals,
    writer: Writer,
    decoder: Decoder,
    offsets: BTreeMap<u32, i64>,
}

// === impl Input ===

impl Input {
    fn new(workload: &Workload, topic: Topic) -> Self {
        Self {
            topic,
            arrivals: Arrivals::new(workload, topic),
            writer: Writer::default(),
            decoder: Decoder::new(Arc::new(stream(topic, workload))),
            offsets: BTreeMap::new(),
        }
    }

    /// The next records, by partition.
    fn chunk(&mut self, sensors: &Sensors) -> BTreeMap<u32, Vec<Record>> {
        let mut chunk: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
        let mut value = String::new();
        for event in self.arrivals.by_ref().take(CHUNK) {
            let point = event.point(sensors);
            value.clear();
            self.writer.value(&event, point, &mut value);
            let offset = self.offsets.entry(point.partition).or_default();
            let record = Record {
                offset: *offset,
                timestamp: event.event_time_ms * 1_000,
                key: Some(Bytes::copy_from_slice(&point.key)),
                value: Some(Bytes::copy_from_slice(value.as_bytes())),
                headers: Vec::new(),
            };
            *offset += 1;
            chunk.entry(point.partition).or_default().push(record);
        }
        chunk
    }
}

/// What `schemas/<topic>/stream.sql` declares.
fn stream(topic: Topic, workload: &Workload) -> Stream {
    let column = |name: &str, data_type: DataType, nullable: bool, path: Path| Column {
        name: name.to_owned(),
        data_type,
        nullable,
        path,
    };
    let field = |name: &str, data_type| column(name, data_type, true, Path::Body(vec![name.to_owned()]));
    let mut columns = vec![
        column("id", DataType::Utf8, false, Path::Key),
        column("lane", DataType::Utf8, false, Path::Body(vec!["internalId".to_owned()])),
        field("lat", DataType::Float64),
        field("long", DataType::Float64),
    ];
    match topic {
        Topic::Flow => columns.extend([field("flow", DataType::Int32), field("period", DataType::Int32)]),
        Topic::Speed => columns.push(field("speed", DataType::Float64)),
    }
    columns.push(field("accuracy", DataType::Int32));
    columns.push(column("num_lanes", DataType::Int32, false, Path::Body(vec!["num_lanes".to_owned()])));
    columns.push(column("event_time", timestamp_type(), false, Path::Body(vec!["timestamp".to_owned()])));
    Stream {
        name: topic.stream().to_owned(),
        topic: topic.name(workload),
        columns,
        format: Format::Json,
        time_column: "event_time".to_owned(),
        time_format: TimeFormat::Rfc3339,
        time_zone: None,
        time_fold: Fold::Earlier,
        out_of_order: Duration::from_millis(workload.out_of_order_ms()),
        max_future: Duration::from_secs(300),
        idle: Duration::from_secs(3_600),
        key: None,
        rejects: format!("{}_rejected", topic.stream()),
        history: None,
        kafka: BTreeMap::new(),
    }
}

// === impl Names ===

impl Names {
    fn new() -> Self {
        // Fixed seeds: the loop does the same in every run.
        Self { numbers: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)), names: Vec::new() }
    }

    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number as usize;
        }
        let name: Arc<str> = name.into();
        self.numbers.insert(Arc::clone(&name), self.names.len() as u32);
        self.names.push(name);
        self.names.len() - 1
    }
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    batch.column_by_name(name).and_then(|column| column.as_string_opt()).with_context(|| format!("column {name}"))
}

fn numbers<'a, T: ArrowPrimitiveType>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<T>> {
    let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<T>());
    column.filter(|column| column.null_count() == 0).with_context(|| format!("column {name} without NULL"))
}
