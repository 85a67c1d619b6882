//! `citystream demo`: the repository's jobs over real city data, through a broker that is part of the binary.

mod verify;

use crate::args::{DemoArgs, IfExists};
use crate::command::Context;
use crate::command::run::run_jobs;
use crate::exit::{Failure, Outcome};
use crate::load::{self, Schemas};
use crate::memory;
use crate::parallelism;
use crate::report;
use crate::samples::{Pace, Sending};
use crate::tables::DataDir;
use crate::wire::Shared;
use citystream_broker::{Broker, BrokerConfig};
use citystream_connect::kafka::{self, KafkaClient, KafkaProducer};
use citystream_model::position::StartFrom;
use citystream_model::stream::Stream;
use citystream_model::time::micros;
use citystream_model::{Error, ErrorKind, Result};
use citystream_runtime::metrics::Metrics;
use citystream_runtime::start::patience::BUDGET;
use citystream_runtime::stop::Stop;
use citystream_runtime::threads::Threads;
use citystream_sql::CheckedJob;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Partitions of the demo's topics.
const PARTITIONS: usize = 4;
/// Seed of the disorder in which rows are sent.
const SEED: u64 = 20_260_329;

/// A replay takes a partition for idle at the earliest after so long: a pause between two sends is none.
const LEAST_IDLE: Duration = Duration::from_secs(5);

/// Streams that jobs read, each with its sample.
type Samples = BTreeMap<String, (Arc<Stream>, PathBuf)>;

pub(crate) fn run(context: &Context, args: DemoArgs) -> Outcome {
    let root = repository()?;
    let schemas = load::schemas(&root.join("schemas"), &context.connectors, context.handle())?;
    let files = job_files(&root.join("jobs"))?;
    let jobs = load::jobs(&files, &schemas, &context.connectors)?;
    let samples = samples(&root, &jobs)?;
    let data = DataDir::open(&args.data_dir, false, IfExists::Replace, context.handle().clone(), &context.stop)?;
    let broker = context
        .handle()
        .block_on(Broker::start(BrokerConfig::default()))
        .map_err(|error| Error::unavailable("the demo's broker").caused_by(error))?;
    let client = KafkaClient::new(broker.bootstrap(), BTreeMap::new());
    make_topics(context, &client, &samples, &jobs)?;
    tracing::info!(
        brokers = broker.bootstrap(),
        jobs = jobs.len(),
        streams = samples.len(),
        data = args.data_dir,
        "demo started"
    );
    let parallelism = parallelism::of(None, &context.config.run.parallelism)?;
    let shared = Shared {
        brokers: broker.bootstrap(),
        kafka: BTreeMap::new(),
        data,
        from: StartFrom::Earliest,
        until_caught_up: args.once,
        parallelism,
        threads: Threads::new(parallelism)?,
        memory_limit: memory::limit(&context.config.run.memory_limit)? / jobs.len().max(1) as u64,
        metrics: Metrics::new(env!("CARGO_PKG_VERSION"))?,
        stop: context.stop.clone(),
        checkpoints: None,
    };
    let outcome = if args.once {
        once(context, jobs, &shared, &client, &samples, &schemas, &files)
    } else {
        replay(context, &args, jobs, &shared, &client, &samples)
    };
    context.handle().block_on(broker.shutdown());
    outcome
}

/// Sends everything, runs all jobs to the end, shows what came out and that it equals the batch.
fn once(
    context: &Context,
    jobs: Vec<CheckedJob>,
    shared: &Shared,
    client: &KafkaClient,
    samples: &Samples,
    schemas: &Schemas,
    files: &[PathBuf],
) -> Outcome {
    for (stream, file) in samples.values() {
        let rows = send(stream, file, client, Pace::Full, &context.stop)?;
        tracing::info!(stream = stream.name, rows, "sample sent");
    }
    let (reports, outcome) = run_jobs(context, jobs, shared, None)?;
    report::print(&reports, context.output);
    outcome?;
    if context.stop.is_set() {
        return Ok(());
    }
    // The same SQL once more, over the files: what the promise is about.
    let inputs = samples.iter().map(|(name, (_, file))| (name.clone(), file.clone())).collect();
    let differing =
        verify::differing(context, load::jobs(files, schemas, &context.connectors)?, &shared.data, &inputs)?;
    if differing.is_empty() {
        eprintln!("every table equals the same SQL run as a batch over the same rows");
        return Ok(());
    }
    differing.iter().for_each(|difference| eprintln!("error: {difference}"));
    Err(Failure::Reported(ErrorKind::Internal))
}

/// Sends the samples in event time until the stop signal, with the jobs running beside.
fn replay(
    context: &Context,
    args: &DemoArgs,
    jobs: Vec<CheckedJob>,
    shared: &Shared,
    client: &KafkaClient,
    samples: &Samples,
) -> Outcome {
    if !args.speed.is_finite() || args.speed <= 0.0 {
        return Err(Error::job(format!("--speed: found {}, expected a number above 0", args.speed)).into());
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let jobs = jobs.into_iter().map(|job| hurried(job, args.speed)).collect();
    let outcome = std::thread::scope(|scope| {
        for (stream, file) in samples.values() {
            scope.spawn(move || {
                if let Err(error) = send(stream, file, client, Pace::Speed(args.speed), &context.stop) {
                    tracing::error!(stream = stream.name, %error, "sample was not sent");
                }
            });
        }
        let outcome = run_jobs(context, jobs, shared, Some(address));
        context.stop.set();
        outcome
    });
    let (reports, outcome) = outcome?;
    report::print(&reports, context.output);
    outcome
}

/// A job for a replay `speed` times as fast as it happened: silence is noticed as much sooner. Without it a stream of
/// few keys, and so with empty partitions, would wait for `time.idle` by the clock on the wall.
fn hurried(mut job: CheckedJob, speed: f64) -> CheckedJob {
    for stream in &mut job.streams {
        let idle = Duration::try_from_secs_f64(stream.idle.as_secs_f64() / speed).unwrap_or(stream.idle);
        let idle = idle.max(LEAST_IDLE).min(stream.idle);
        *stream = Arc::new(Stream { idle, ..Stream::clone(stream) });
    }
    job
}

fn send(stream: &Arc<Stream>, file: &Path, client: &KafkaClient, pace: Pace, stop: &Stop) -> Result<u64> {
    // As much disorder as the stream allows: rows come out of order, and none comes late.
    let shuffle = Some((micros(stream.out_of_order), SEED));
    let producer = KafkaProducer::open(client)?;
    Sending { stream, key: stream.key.as_deref(), pace, shuffle, stop }.send(file, &producer, &mut |_| {})
}

fn make_topics(context: &Context, client: &KafkaClient, samples: &Samples, jobs: &[CheckedJob]) -> Outcome {
    let sources = samples.values().map(|(stream, _)| (stream.topic.clone(), PARTITIONS));
    let sinks = jobs
        .iter()
        .flat_map(|job| &job.spec.sinks)
        .filter(|sink| !sink.is_table())
        .map(|sink| (sink.target.clone(), 1));
    for (topic, partitions) in sources.chain(sinks).collect::<BTreeSet<_>>() {
        kafka::ensure_topic(client, &topic, partitions, BUDGET, context.handle())?;
    }
    Ok(())
}

/// The sample of each stream that a job reads.
fn samples(root: &Path, jobs: &[CheckedJob]) -> Outcome<Samples> {
    let streams = jobs.iter().flat_map(|job| &job.streams);
    let samples: Samples = streams
        .map(|stream| {
            (stream.name.clone(), (Arc::clone(stream), root.join("schemas").join(&stream.name).join("sample.jsonl")))
        })
        .collect();
    match samples.values().find(|(_, file)| !file.is_file()) {
        None => Ok(samples),
        Some((stream, file)) => {
            Err(Error::job(format!("stream '{}' has no sample {}", stream.name, file.display())).into())
        }
    }
}

/// The repository: the working folder if it is one, else the one that the binary was built from.
fn repository() -> Outcome<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let candidates = [PathBuf::from("."), built];
    let found = candidates.into_iter().find(|root| root.join("schemas").is_dir() && root.join("jobs").is_dir());
    found.ok_or_else(|| {
        Error::job("the demo needs the repository's folders jobs and schemas; start it from the repository's root")
            .into()
    })
}

fn job_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder)
        .map_err(|error| Error::job(format!("folder '{}': cannot be read", folder.display())).caused_by(error))?;
    let mut files: Vec<PathBuf> = listed
        .filter_map(|entry| entry.ok().map(|entry| entry.path().join("job.sql")))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    Ok(files)
}
