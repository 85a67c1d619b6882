//! One case of one job: rows through gate and operators one by one, as the slowest stream would bring them; then the
//! admitted ones again, in another order and over several shards, which must come to the same.

use super::rows::{self, Row};
use super::variant::{Admitted, Variant};
use crate::command::Context;
use crate::inputs::decode_file;
use arrow::record_batch::RecordBatch;
use citystream_codec::Reject;
use citystream_model::stream::Stream;
use citystream_model::time::{Clock, Micros, SystemClock, Watermark};
use citystream_model::{Error, Result};
use citystream_operators::admit::{Gate, Verdict};
use citystream_operators::dataflow::{Dataflow, InTurn};
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
pub(super) fn run(context: &Context, job: &CheckedJob, folder: &Path) -> Result<Vec<String>> {
    let (streamed, admitted, mut differences) = in_order(job, folder)?;
    differences.extend(rows::differences("rows", &rows::of_file(&folder.join("expected.jsonl"))?, &streamed));
    let mut batches: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
    for row in &admitted {
        batches.entry(job.streams[row.stream].name.clone()).or_default().push(row.row.clone());
    }
    let batch = context.handle().block_on(job.twin.run(&batches))?;
    differences.extend(rows::differences("streamed against batch", &rows::of_batches(&batch)?, &streamed));
    for variant in Variant::ALL {
        let again = rows::of_batches(&published(&variant.run(job, &admitted)?, job)?)?;
        differences.extend(rows::differences(&variant.to_string(), &streamed, &again));
    }
    Ok(differences)
}

/// The case as it is written: the rows that come out, the admitted ones, and what else is not as expected.
fn in_order(job: &CheckedJob, folder: &Path) -> Result<(Vec<Row>, Vec<Admitted>, Vec<String>)> {
    let count = job.streams.len();
    let mut dataflow = Dataflow::build(job.plan.clone(), count, 1)?;
    let gate = |stream: &Arc<Stream>| Gate::new(stream.out_of_order, job.spec.lateness, [0]);
    let mut gates: Vec<Gate> = job.streams.iter().map(gate).collect();
    let (mut results, mut admitted, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for (at, stream) in job.streams.iter().enumerate() {
        let read = read(stream, &file(folder, "input", &stream.name, count))?;
        let mut late = Vec::new();
        for (row, time) in read.rows {
            match gates[at].judge(0, &[time], time) {
                Verdict::AllAdmitted => {
                    results.extend(dataflow.push(0, at, &row)?);
                    admitted.push(Admitted { stream: at, row, time });
                }
                Verdict::Mixed(_) => late.push(row),
            }
            let watermark = Gate::watermark_of(&gates);
            results.extend(dataflow.advance(watermark, &InTurn)?);
        }
        let what = |name: &str| if count > 1 { format!("{name} of {}", stream.name) } else { name.to_owned() };
        let expected = rows::of_file(&file(folder, "late", &stream.name, count))?;
        differences.extend(rows::differences(&what("late"), &expected, &rows::of_batches(&late)?));
        let expected = rows::of_file(&file(folder, "rejected", &stream.name, count))?;
        differences.extend(rows::differences(&what("rejected"), &expected, &rejected(&read.rejects)));
    }
    results.extend(dataflow.advance(Watermark::END, &InTurn)?);
    Ok((rows::of_batches(&published(&results, job)?)?, admitted, differences))
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
fn published(batches: &[RecordBatch], job: &CheckedJob) -> Result<Vec<RecordBatch>> {
    let published = |batch: &RecordBatch| {
        let columns = batch.columns()[..job.schema.fields().len()].to_vec();
        RecordBatch::try_new(Arc::clone(&job.schema), columns)
            .map_err(|error| Error::internal("output of the job").caused_by(error))
    };
    batches.iter().map(published).collect()
}
