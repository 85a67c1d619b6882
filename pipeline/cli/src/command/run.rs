//! `citystream run`: jobs over Kafka, until they are caught up or asked to stop.

use crate::args::RunArgs;
use crate::checkpoints::{self, CheckpointDir, Promises};
use crate::command::Context;
use crate::config::{brokers, required};
use crate::exit::{Failure, Outcome, number};
use crate::http::{self, Pages};
use crate::load;
use crate::memory;
use crate::parallelism;
use crate::progress::{Progress, state};
use crate::report::{self, JobReport};
use crate::tables::{DataDir, if_exists};
use crate::wire::Shared;
use citystream_model::position::StartFrom;
use citystream_model::{Error, ErrorKind};
use citystream_runtime::metrics::Metrics;
use citystream_runtime::output::RETRY_PAUSE;
use citystream_runtime::start::patience::Patience;
use citystream_runtime::status::StatusBoard;
use citystream_runtime::supervise::{self, Ended, Starting};
use citystream_runtime::threads::Threads;
use citystream_sql::CheckedJob;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Time between two drawings of the progress.
const REDRAW: Duration = Duration::from_millis(200);

pub(crate) fn run(context: &Context, args: RunArgs) -> Outcome {
    let folder = context.schemas(args.schemas)?;
    let schemas = load::schemas(&folder, &context.connectors, context.handle())?;
    let jobs = load::jobs(&args.jobs, &schemas, &context.connectors)?;
    let config = &context.config.run;
    let from = start(args.from.as_deref().unwrap_or(&config.from))?;
    let limit = memory::limit(args.memory_limit.as_deref().unwrap_or(&config.memory_limit))?;
    let brokers = brokers(args.brokers, &config.brokers)?;
    let data_dir = required(args.data_dir, &config.data_dir, "data-dir")?;
    let if_exists = if_exists(args.if_exists, &config.if_exists)?;
    let metrics_addr = metrics_addr(args.metrics_addr.as_deref().unwrap_or(&config.metrics_addr))?;
    let checkpoint_dir = text(args.checkpoint_dir, &config.checkpoint_dir);
    let data = DataDir::open(&data_dir, checkpoint_dir.is_some(), if_exists, context.handle().clone(), &context.stop)?;
    let checkpoints = match checkpoint_dir {
        None => None,
        Some(folder) => {
            let promises = Promises {
                interval: args.checkpoint_interval.unwrap_or_else(|| config.checkpoint_interval.clone()),
                commit_interval: args.commit_interval.unwrap_or_else(|| config.commit_interval.clone()),
                guarantee: checkpoints::guarantee(args.guarantee, &config.guarantee)?,
            };
            let (handle, run_id) = (context.handle().clone(), data.run_id.as_str());
            Some(CheckpointDir::open(&folder, &promises, run_id, handle, &context.stop)?)
        }
    };
    jobs.iter().try_for_each(|job| check_outputs(context, job, &data, checkpoints.as_ref()))?;
    let parallelism = parallelism::of(args.parallelism, &context.config.run.parallelism)?;
    let shared = Shared {
        brokers,
        kafka: context.config.kafka.clone(),
        data,
        from,
        until_caught_up: args.until_caught_up,
        parallelism,
        threads: Threads::new(parallelism)?,
        memory_limit: limit / jobs.len().max(1) as u64,
        metrics: Metrics::new(env!("CARGO_PKG_VERSION"))?,
        stop: context.stop.clone(),
        checkpoints,
    };
    let reports = run_jobs(context, jobs, &shared, metrics_addr)?;
    report::print(&reports.0, context.output);
    reports.1
}

/// Refuses a job that does not fit its checkpoints, and a new one whose tables hold rows. A store that hangs up is asked again.
fn check_outputs(context: &Context, job: &CheckedJob, data: &DataDir, checkpoints: Option<&CheckpointDir>) -> Outcome {
    let board = StatusBoard::default();
    let patience = Patience::new(&job.spec.name, &context.stop, &board, RETRY_PAUSE);
    let goes_on = match checkpoints {
        None => false,
        Some(folder) => {
            folder.check_results(job)?;
            patience.open(|_| folder.of(job, &data.run_id).check())?
        }
    };
    if !goes_on {
        patience.open(|_| data.check_empty(&job.spec, &job.streams))?;
    }
    Ok(())
}

/// Runs `jobs` to their end; returns what each did, and how it ended in all.
pub(crate) fn run_jobs(
    context: &Context,
    jobs: Vec<CheckedJob>,
    shared: &Shared,
    metrics_addr: Option<SocketAddr>,
) -> Outcome<(Vec<JobReport>, Outcome)> {
    let boards: Vec<(String, StatusBoard)> =
        jobs.iter().map(|job| (job.spec.name.clone(), StatusBoard::default())).collect();
    for job in &jobs {
        let streams: Vec<&str> = job.streams.iter().map(|stream| stream.name.as_str()).collect();
        shared.metrics.start_job(&job.spec.name, &streams);
    }
    if let Some(address) = metrics_addr {
        let pages = Pages { metrics: shared.metrics.clone(), jobs: boards.clone() };
        let bound = http::serve(address, pages, context.handle())?;
        tracing::info!("metrics on http://{bound}/metrics");
    }
    let mut running = Vec::new();
    for (job, (name, status)) in jobs.into_iter().zip(&boards) {
        let (shared, board) = (shared.clone(), status.clone());
        let open = Box::new(move || match shared.open(job, board) {
            // Asked to stop while it waited for the environment: nothing was begun.
            Err(error) if error.is_retryable() && shared.stop.is_set() => Ok(None),
            opened => opened.map(Some),
        });
        running.push(supervise::start(Starting { name: name.clone(), status: status.clone(), open })?);
    }
    let mut progress = Progress::new(&context.screen, &boards);
    while !running.iter().all(supervise::Running::has_ended) {
        context.handle().block_on(async { tokio::time::sleep(REDRAW).await });
        progress.update();
    }
    progress.finish();
    let ended = supervise::wait(running);
    let reports = ended.iter().map(|job| JobReport {
        name: job.name.clone(),
        status: job.status.get(),
        state: state(&job.status.get()),
    });
    Ok((reports.collect(), worst(&ended)))
}

/// The worst end of all jobs, said for each that failed.
fn worst(ended: &[Ended]) -> Outcome {
    let failed = ended.iter().filter_map(|job| job.result.as_ref().err().map(|error| (&job.name, error)));
    let worst =
        failed.inspect(|(name, error)| eprintln!("error: job '{name}': {error}")).map(|(_, error)| error.kind());
    worst.max_by_key(|kind: &ErrorKind| number(*kind)).map_or(Ok(()), |kind| Err(Failure::Reported(kind)))
}

/// Reads `earliest`, `latest` or a time.
fn start(text: &str) -> Outcome<StartFrom> {
    match text {
        "" | "earliest" => Ok(StartFrom::Earliest),
        "latest" => Ok(StartFrom::Latest),
        _ => chrono::DateTime::parse_from_rfc3339(text).map(|time| StartFrom::Time(time.timestamp_micros())).map_err(
            |error| {
                Error::job(format!(
                    "--from: found '{text}', expected earliest, latest or a time such as 2026-03-29T05:00:00Z"
                ))
                .caused_by(error)
                .into()
            },
        ),
    }
}

/// A flag, else the setting; nothing for an empty one.
fn text(flag: Option<String>, setting: &str) -> Option<String> {
    flag.or_else(|| Some(setting.to_owned())).filter(|text| !text.is_empty())
}

/// Reads `HOST:PORT`; nothing for an empty text.
fn metrics_addr(text: &str) -> Outcome<Option<SocketAddr>> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || Error::job(format!("--metrics-addr: found '{text}', expected HOST:PORT such as 0.0.0.0:9464"));
    let mut found = text.to_socket_addrs().map_err(|error| wrong().caused_by(error))?;
    found.next().map(Some).ok_or_else(|| wrong().into())
}
