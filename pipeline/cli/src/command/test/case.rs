//! One case of one job: rows through gate and operators one by one, as the slowest stream would bring them.

use super::rows::{self, Row};
use crate::command::Context;
use crate::inputs::decode_file;
use arrow::record_batch::RecordBatch;
use citystream_codec::Reject;
use citystream_model::stream::Stream;
use citystream_model::time::{Clock, Micros, SystemClock, Watermark};
use citystream_model::{Error, Result};
use citystream_operators::admit::{Gate, Verdict};
use citystream_operators::graph::Graph;
use citystream_sql::CheckedJob;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A stream's rows in file order, and what was rejected.
struct Read {
    rows: Vec<(RecordBatch, Micros)>,
    rejects: Vec<Reject>,
}

/// Runs the case in `folder`; returns a sentence for each difference.
pub(super) fn run(context: &Context, job: CheckedJob, folder: &Path) -> Result<Vec<String>> {
    let CheckedJob { spec, streams, schema, plan, twin, .. } = job;
    let count = streams.len();
    let mut graph = Graph::build(plan, count)?;
    let mut gates: Vec<Gate> =
        streams.iter().map(|stream| Gate::new(stream.out_of_order, spec.lateness, [0])).collect();
    let (mut results, mut differences) = (Vec::new(), Vec::new());
    let mut admitted: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
    for (at, stream) in streams.iter().enumerate() {
        let read = read(stream, &file(folder, "input", &stream.name, count))?;
        let mut late = Vec::new();
        for (row, time) in read.rows {
            match gates[at].judge(0, &[time], time) {
                Verdict::AllAdmitted => {
                    results.extend(graph.push(at, &row)?);
                    admitted.entry(stream.name.clone()).or_default().push(row);
                }
                Verdict::Mixed(_) => late.push(row),
            }
            let watermark = gates.iter().map(Gate::watermark).min().unwrap_or(Watermark::NONE);
            results.extend(graph.advance(watermark)?);
        }
        let what = |name: &str| if count > 1 { format!("{name} of {}", stream.name) } else { name.to_owned() };
        let expected = rows::of_file(&file(folder, "late", &stream.name, count))?;
        differences.extend(rows::differences(&what("late"), &expected, &rows::of_batches(&late)?));
        let expected = rows::of_file(&file(folder, "rejected", &stream.name, count))?;
        differences.extend(rows::differences(&what("rejected"), &expected, &rejected(&read.rejects)));
    }
    results.extend(graph.advance(Watermark::END)?);
    let results = results.iter().map(|batch| published(batch, &schema)).collect::<Result<Vec<_>>>()?;
    let streamed = rows::of_batches(&results)?;
    differences.extend(rows::differences("rows", &rows::of_file(&folder.join("expected.jsonl"))?, &streamed));
    let batch = context.handle().block_on(twin.run(&admitted))?;
    differences.extend(rows::differences("streamed against batch", &rows::of_batches(&batch)?, &streamed));
    Ok(differences)
}

/// `input.jsonl`, or `input.<stream>.jsonl` where a job reads several streams.
fn file(folder: &Path, what: &str, stream: &str, streams: usize) -> PathBuf {
    let single = folder.join(format!("{what}.jsonl"));
    if streams == 1 && single.exists() { single } else { folder.join(format!("{what}.{stream}.jsonl")) }
}

fn read(stream: &Arc<Stream>, file: &Path) -> Result<Read> {
    let mut read = Read { rows: Vec::new(), rejects: Vec::new() };
    decode_file(stream, file, SystemClock.now(), &mut |decoded| {
        read.rows
            .extend(decoded.event_times.iter().enumerate().map(|(row, time)| (decoded.batch.slice(row, 1), *time)));
        read.rejects.extend(decoded.rejects);
        Ok(())
    })?;
    Ok(read)
}

fn rejected(rejects: &[Reject]) -> Vec<Row> {
    let row = |reject: &Reject| {
        let value = reject.record.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
        [
            ("_offset".to_owned(), json!(reject.record.offset)),
            ("_value".to_owned(), value.map_or(Value::Null, Value::String)),
            ("reason".to_owned(), json!(reject.reason.as_str())),
        ]
    };
    rejects.iter().map(|reject| row(reject).into_iter().collect()).collect()
}

/// The SELECT's columns, without the hidden ones behind them.
fn published(batch: &RecordBatch, schema: &arrow::datatypes::SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns()[..schema.fields().len()].to_vec();
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|error| Error::internal("output of the job").caused_by(error))
}
