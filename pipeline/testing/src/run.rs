//! Runs a job over raw records, the way the runtime does: decode, gate, graph; nothing else has a say.

use crate::arrival::Piece;
use crate::course::{Checkpoint, Checkpoints, Course, LastFirst};
use crate::records::{Fate, Raw};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;
use citystream_codec::{Decoder, Records};
use citystream_model::catalog::Connectors;
use citystream_model::job::{PartitionBy, SinkRef};
use citystream_model::time::{Micros, Watermark, micros};
use citystream_model::{Diagnostic, Result};
use citystream_operators::admit::{Gate, Verdict};
use citystream_operators::dataflow::Dataflow;
use citystream_operators::plan::StreamPlan;
use citystream_sql::{Catalog, CheckedJob, SqlFile, Tables, compile};
use std::collections::{BTreeMap, BTreeSet};

/// Sinks and options of the tests: everything goes.
#[derive(Debug, Clone, Copy)]
pub struct Permissive;

/// A record by stream, partition and offset.
pub type Address = (usize, i32, i64);

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Output batches with the watermarks before and after which they came; hidden columns behind the SELECT's.
    pub output: Vec<Emission>,
    /// Admitted rows by stream of the job.
    pub admitted: Vec<Vec<RecordBatch>>,
    /// Late rows.
    pub late: BTreeSet<Address>,
    /// Rejected records.
    pub rejected: BTreeSet<Address>,
    /// Number of records without a value.
    pub tombstones: u64,
    /// Number of all records that were read.
    pub read: u64,
}

/// A batch of results.
#[derive(Debug, Clone)]
pub struct Emission {
    /// The job's watermark before.
    pub before: Watermark,
    /// The job's watermark by which the rows are final.
    pub after: Watermark,
    /// True when the rows came out of a push and not of a watermark.
    pub at_once: bool,
    /// The rows.
    pub batch: RecordBatch,
}

/// Later than every event time: only the record time bounds the future.
pub const NOW: Micros = 4_000_000_000_000_000;

// === impl Permissive ===

impl Connectors for Permissive {
    fn sink_schemes(&self) -> Vec<&'static str> {
        vec!["parquet", "delta", "kafka"]
    }

    fn check_sink(&self, _: &SinkRef) -> Result<()> {
        Ok(())
    }

    fn check_columns(&self, _: &SinkRef, _: &Schema, _: &PartitionBy) -> Result<()> {
        Ok(())
    }

    fn check_kafka_option(&self, _: &str, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The text of `job` with results that come out as `emit` says, to `sink`; `None` where it names no sink.
pub fn with_emit(job: &str, emit: &str, sink: &str) -> Option<String> {
    let (start, rest) = job.split_once("sink = '")?;
    let (_, rest) = rest.split_once('\'')?;
    Some(format!("{start}emit = '{emit}', sink = '{sink}'{rest}"))
}

/// Reads declarations and compiles a job file that holds one job.
///
/// # Errors
/// All findings.
pub fn prepare(ddl: &str, job: &str, tables: &Tables) -> Result<CheckedJob, Vec<Diagnostic>> {
    let file =
        |name: &str, text: &str| SqlFile { name: name.to_owned(), folder: "/schemas".into(), text: text.to_owned() };
    let catalog = Catalog::read(&[file("stream.sql", ddl)], &Permissive)?;
    let mut jobs = compile(&[file("job.sql", job)], &catalog, tables, &Permissive)?;
    assert_eq!(jobs.len(), 1, "one job a file");
    Ok(jobs.remove(0))
}

/// Runs `plan` of `job` over `records[stream][partition]` as they arrive, on `course`; `names` are the streams' names.
///
/// # Errors
/// What the engine reports.
pub fn stream(
    job: &CheckedJob,
    plan: &StreamPlan,
    names: &[&str],
    records: &[Vec<Vec<Raw>>],
    arrival: &[Piece],
    course: &Course,
) -> Result<Outcome> {
    let place = |stream: &str| names.iter().position(|name| *name == stream).expect("a stream of the world");
    let inputs: Vec<usize> = job.streams.iter().map(|stream| place(&stream.name)).collect();
    let mut dataflow = Dataflow::build(plan.clone(), inputs.len(), course.shards)?;
    let gate = |(at, world): (usize, &usize)| {
        let partitions = 0..i32::try_from(records[*world].len()).expect("few partitions");
        Gate::new(job.streams[at].out_of_order, job.spec.lateness, partitions)
    };
    let mut gates: Vec<Gate> = inputs.iter().enumerate().map(gate).collect();
    let decoders: Vec<Decoder> = job.streams.iter().map(|stream| Decoder::new(stream.clone())).collect();
    let mut outcome = Outcome { admitted: vec![Vec::new(); inputs.len()], ..Outcome::default() };
    let (mut checkpoints, mut saved, mut kill) = (Checkpoints::default(), None::<Checkpoint>, course.kill);
    let mut number = 0;
    while number <= arrival.len() {
        if let Some((_, shards)) = kill.take_if(|(piece, _)| *piece == number)
            && let Some(checkpoint) = &saved
        {
            (number, gates, outcome) = (checkpoint.piece, checkpoint.gates.clone(), checkpoint.outcome.clone());
            dataflow = checkpoint.resume(plan, inputs.len(), shards)?;
            checkpoints = Checkpoints::default();
        }
        if course.repartition == Some(number) {
            dataflow.repartition()?;
        }
        if course.checkpoints.contains(&number) {
            outcome.advance(&mut dataflow, &gates)?;
            saved = Some(checkpoints.make(&mut dataflow, number, &gates, &outcome)?);
        }
        if course.early.contains(&number) {
            let watermark = dataflow.watermark();
            let soft = Watermark(watermark.0.saturating_add(micros(job.spec.lateness)));
            let until = if number % 2 == 0 { Watermark::END } else { soft };
            outcome.emit(dataflow.fire_early(until, &LastFirst)?, watermark, watermark, false);
        }
        let Some(piece) = arrival.get(number) else { break };
        number += 1;
        let Some(at) = inputs.iter().position(|input| *input == piece.stream) else { continue };
        let raw = &records[piece.stream][piece.partition as usize][piece.records.clone()];
        let rows = admit(&decoders[at], &mut gates[at], piece, raw, &mut outcome)?;
        let shard = piece.partition as usize % dataflow.shards();
        if course.round == 1 {
            let watermark = dataflow.watermark();
            let pushed = if rows.num_rows() > 0 { dataflow.push(shard, at, &rows)? } else { Vec::new() };
            outcome.emit(pushed, watermark, watermark, true);
        } else if rows.num_rows() > 0 {
            dataflow.entries()[shard].push(at, &rows)?;
        }
        outcome.admitted[at].push(rows);
        if number.is_multiple_of(course.round) {
            outcome.advance(&mut dataflow, &gates)?;
        }
    }
    outcome.advance(&mut dataflow, &gates)?;
    let watermark = dataflow.watermark();
    outcome.emit(dataflow.advance(Watermark::END, &LastFirst)?, watermark, Watermark::END, false);
    assert_eq!(dataflow.open_windows(), 0, "no window is open at the end");
    Ok(outcome)
}

/// Decodes one piece and lets its rows through the gate.
fn admit(decoder: &Decoder, gate: &mut Gate, piece: &Piece, raw: &[Raw], outcome: &mut Outcome) -> Result<RecordBatch> {
    let records: Records = raw.iter().map(|raw| raw.record.clone()).collect();
    let decoded = decoder.decode(piece.partition, &records, NOW)?;
    outcome.read += records.len() as u64;
    outcome.tombstones += decoded.tombstones;
    outcome.rejected.extend(decoded.rejects.iter().map(|reject| (piece.stream, piece.partition, reject.record.offset)));
    let record_time = records.last().map_or(0, |record| record.timestamp);
    let Verdict::Mixed(verdicts) = gate.judge(piece.partition, &decoded.event_times, record_time) else {
        return Ok(decoded.batch);
    };
    let offsets = decoded.batch.column_by_name("_offset").expect("hidden column");
    let offsets = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(offsets.as_ref());
    for (verdict, offset) in verdicts.iter().zip(offsets.values()) {
        if verdict.is_some() {
            outcome.late.insert((piece.stream, piece.partition, *offset));
        }
    }
    let mask: BooleanArray = verdicts.iter().map(|verdict| Some(verdict.is_none())).collect();
    Ok(filter_record_batch(&decoded.batch, &mask).expect("mask fits"))
}

/// Runs the batch twin over `rows`, which stand in the order of the job's streams.
///
/// # Errors
/// What DataFusion reports.
pub fn batch(job: &CheckedJob, rows: Vec<Vec<RecordBatch>>) -> Result<Vec<RecordBatch>> {
    let names = job.streams.iter().map(|stream| stream.name.clone());
    let rows: BTreeMap<String, Vec<RecordBatch>> = names.zip(rows).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(job.twin.run(&rows))
}

/// The rule for late rows, one row after the other, from the records' fates alone.
pub fn late_by_the_rule(records: &[Vec<Vec<Raw>>], inputs: &BTreeMap<usize, Micros>) -> BTreeSet<Address> {
    let mut late = BTreeSet::new();
    for (&stream, &allowance) in inputs {
        for (partition, raw) in (0i32..).zip(&records[stream]) {
            let mut newest: Option<Micros> = None;
            for raw in raw {
                let Fate::Row(time) = raw.fate else { continue };
                if newest.is_some_and(|newest| time < newest - allowance) {
                    late.insert((stream, partition, raw.record.offset));
                }
                newest = Some(newest.map_or(time, |newest| newest.max(time)));
            }
        }
    }
    late
}

// === impl Outcome ===

impl Outcome {
    /// Raises the watermark to that of the gates.
    fn advance(&mut self, dataflow: &mut Dataflow, gates: &[Gate]) -> Result<()> {
        let watermark = dataflow.watermark();
        let next = Gate::watermark_of(gates);
        assert!(next >= watermark, "the watermark went back");
        self.emit(dataflow.advance(next, &LastFirst)?, watermark, next, false);
        Ok(())
    }

    fn emit(&mut self, batches: Vec<RecordBatch>, before: Watermark, after: Watermark, at_once: bool) {
        self.output.extend(batches.into_iter().map(|batch| Emission { before, after, at_once, batch }));
    }

    /// All results.
    pub fn batches(&self) -> Vec<RecordBatch> {
        self.output.iter().map(|emission| emission.batch.clone()).collect()
    }
}
