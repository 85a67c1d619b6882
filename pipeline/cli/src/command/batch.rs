//! `citystream batch`: a job once over files, every readable row admitted.

use crate::args::BatchArgs;
use crate::command::Context;
use crate::config::required;
use crate::exit::{Failure, Outcome, number};
use crate::inputs::decode_file;
use crate::load;
use crate::report::{self, JobReport};
use crate::tables::{DataDir, if_exists, table_sinks};
use arrow::record_batch::RecordBatch;
use citystream_codec::{Reject, rejects_batch};
use citystream_connect::{Sink, SinkRows};
use citystream_model::job::SinkRef;
use citystream_model::nearest::nearest;
use citystream_model::stream::Stream;
use citystream_model::time::{Clock, SystemClock, Watermark};
use citystream_model::{Error, ErrorKind, Result};
use citystream_operators::dataflow::{Dataflow, InTurn};
use citystream_runtime::output::Output;
use citystream_runtime::status::Status;
use citystream_runtime::stop::Stop;
use citystream_sql::{Catalog, CheckedJob};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

type Inputs = BTreeMap<String, Vec<PathBuf>>;

pub(crate) fn run(context: &Context, args: BatchArgs) -> Outcome {
    let folder = context.schemas(args.schemas.clone())?;
    let schemas = load::schemas(&folder, &context.connectors, context.handle())?;
    let inputs = inputs(&args.input, &schemas.catalog)?;
    let jobs = load::jobs(&args.jobs, &schemas, &context.connectors)?.into_iter().map(with_table).collect::<Vec<_>>();
    for job in &jobs {
        if let Some(stream) = job.streams.iter().find(|stream| !inputs.contains_key(&stream.name)) {
            return Err(Error::job(format!(
                "job '{}' reads the stream '{}', which has no input; give --input {}=FILE",
                job.spec.name, stream.name, stream.name
            ))
            .into());
        }
    }
    let data_dir = required(args.data_dir, &context.config.run.data_dir, "data-dir")?;
    let if_exists = if_exists(args.if_exists, &context.config.run.if_exists)?;
    let data = DataDir::open(&data_dir, false, if_exists, context.handle().clone(), &context.stop)?;
    for job in &jobs {
        data.check_empty(&job.spec, &job.streams)?;
    }
    let (mut reports, mut worst) = (Vec::new(), Ok(()));
    for job in jobs {
        data.replace(&job.spec, &job.streams)?;
        let name = job.spec.name.clone();
        let mut status = Status::default();
        let result = run_job(job, &inputs, &data, &context.stop, &mut status);
        let state = match result {
            Ok(()) => "finished".to_owned(),
            Err(error) => {
                eprintln!("error: job '{name}': {error}");
                worst = worse(worst, error.kind());
                format!("failed: {error}")
            }
        };
        reports.push(JobReport { name, status, state });
    }
    report::print(&reports, context.output);
    worst
}

/// The worse of an outcome so far and a kind of failure that was printed.
fn worse(so_far: Outcome, kind: ErrorKind) -> Outcome {
    match so_far {
        Err(Failure::Reported(known)) if number(known) >= number(kind) => Err(Failure::Reported(known)),
        _ => Err(Failure::Reported(kind)),
    }
}

/// Reads `STREAM=FILE` arguments.
fn inputs(written: &[String], catalog: &Catalog) -> Outcome<Inputs> {
    let mut inputs = Inputs::new();
    for text in written {
        let wrong = |detail: String| Error::job(format!("--input {text}: {detail}"));
        let (stream, file) = text
            .split_once('=')
            .ok_or_else(|| wrong("expected STREAM=FILE.jsonl or STREAM=FILE.parquet".to_owned()))?;
        if !catalog.streams.contains_key(stream) {
            let near = nearest(stream, catalog.streams.keys().map(String::as_str))
                .map_or_else(|| format!("; streams: {}", names(catalog)), |near| format!("; did you mean '{near}'?"));
            return Err(wrong(format!("no stream is called '{stream}'{near}")).into());
        }
        let file = PathBuf::from(file);
        if !file.is_file() {
            return Err(wrong("there is no such file".to_owned()).into());
        }
        inputs.entry(stream.to_owned()).or_default().push(file);
    }
    Ok(inputs)
}

fn names(catalog: &Catalog) -> String {
    catalog.streams.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A batch run writes tables; a job that has none writes one under its name.
fn with_table(mut job: CheckedJob) -> CheckedJob {
    job.spec.sinks.retain(SinkRef::is_table);
    if job.spec.sinks.is_empty() {
        job.spec.sinks.push(SinkRef { scheme: "parquet".to_owned(), target: job.spec.name.clone() });
    }
    job
}

/// A job at work over files.
struct Run<'a> {
    dataflow: Dataflow,
    output: Output,
    sinks: Vec<Box<dyn Sink>>,
    status: &'a mut Status,
    now: i64,
}

fn run_job(job: CheckedJob, inputs: &Inputs, data: &DataDir, stop: &Stop, status: &mut Status) -> Result<()> {
    let CheckedJob { spec, streams, schema, plan, errors, .. } = job;
    let output = Output::new(&spec.name, plan.output.clone(), false)?;
    let sinks = table_sinks(&spec)
        .map(|sink| data.results(&spec, sink, &schema, &data.naming()))
        .collect::<Result<Vec<_>>>()?;
    let dataflow = Dataflow::build(plan, streams.len(), 1)?;
    let mut run = Run { dataflow, output, sinks, status, now: SystemClock.now() };
    for (at, stream) in streams.iter().enumerate() {
        let mut rejects = data.rejects(&spec, stream, &data.naming())?;
        for file in inputs.get(&stream.name).into_iter().flatten() {
            decode_file(stream, file, run.now, &mut |decoded| {
                if stop.is_set() {
                    return Err(Error::unavailable(
                        "stopped by a signal before the end of its input; its tables are not complete",
                    )
                    .permanent());
                }
                run.keep_rejects(stream, &spec.name, &decoded.rejects, rejects.as_mut())?;
                run.push(at, &decoded.batch, decoded.rejects.len() as u64)
            })?;
        }
        rejects.flush()?.iter().for_each(|published| run.status.add(published));
    }
    let results = run.dataflow.advance(Watermark::END, &InTurn)?;
    run.emit(&results)?;
    for sink in &mut run.sinks {
        sink.flush()?.iter().for_each(|published| run.status.add(published));
    }
    run.status.expression_errors = errors.count();
    Ok(())
}

// === impl Run ===

impl Run<'_> {
    fn push(&mut self, stream: usize, batch: &RecordBatch, rejected: u64) -> Result<()> {
        self.status.read += batch.num_rows() as u64 + rejected;
        self.status.admitted += batch.num_rows() as u64;
        self.status.rejected += rejected;
        let results = self.dataflow.push(0, stream, batch)?;
        self.emit(&results)
    }

    fn emit(&mut self, results: &[RecordBatch]) -> Result<()> {
        for rows in self.output.rows(results)? {
            self.status.results += rows.batch.num_rows() as u64;
            for sink in &mut self.sinks {
                sink.write(&rows, self.now)?;
            }
        }
        Ok(())
    }

    fn keep_rejects(&mut self, stream: &Arc<Stream>, job: &str, rejects: &[Reject], sink: &mut dyn Sink) -> Result<()> {
        if rejects.is_empty() {
            return Ok(());
        }
        for reject in rejects {
            *self.status.rejected_reasons.entry(reject.reason.as_str()).or_default() += 1;
        }
        let batch = rejects_batch(stream, job, rejects)?;
        let event_times = rejects.iter().map(|reject| Some(reject.record.timestamp)).collect();
        sink.write(&SinkRows::new(batch, event_times), self.now)
    }
}
