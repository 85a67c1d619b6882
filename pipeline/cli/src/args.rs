//! What may be typed: commands, flags, and the examples that `--help` shows.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Stream analytics for cities: SQL jobs over Kafka, exact to the bit, into Parquet tables and alerts.
#[derive(Debug, Parser)]
#[command(name = "citystream", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  citystream demo --once                      replay real city data through all jobs and stop
  citystream check jobs/*/job.sql --schemas schemas
  citystream run jobs/corridor-flow/job.sql --schemas schemas --brokers localhost:9092 --data-dir data
  citystream batch jobs/corridor-flow/job.sql --schemas schemas --input scats_volume=history.jsonl --data-dir past

Exit codes: 0 done; 1 the job, SQL or options are wrong (nothing was started);
2 the environment failed (broker, store, disk); 3 an invariant broke; 4 a newer instance took over.";

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Configuration file (TOML); its settings may also come as CITYSTREAM__SECTION__KEY
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// error, warn, info, debug or trace, or a filter such as info,citystream_connect=debug
    #[arg(long, global = true, value_name = "L")]
    pub(crate) log_level: Option<String>,
    /// How log lines look
    #[arg(long, global = true)]
    pub(crate) log_format: Option<LogFormat>,
    /// How results are printed: for people or for scripts
    #[arg(long, global = true, default_value = "text")]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Text,
    Json,
}

/// What to do with a table sink that already holds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IfExists {
    /// Refuse to start
    Error,
    /// Write more rows beside those that are there
    Append,
    /// Remove the tables of the job first
    Replace,
}

/// What holds for the outputs of jobs with checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Guarantee {
    /// Each row once, whatever happens
    ExactlyOnce,
    /// Each row, in a topic perhaps several times after a crash
    AtLeastOnce,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run jobs continuously over Kafka
    Run(RunArgs),
    /// Run a job once over files: the same SQL, the same answer
    Batch(BatchArgs),
    /// Check jobs and declarations without starting anything
    Check(CheckArgs),
    /// Show what jobs will do: operators, when rows are final, what is remembered and why
    Explain(ExplainArgs),
    /// Send a file of JSON lines to a stream's topic
    Produce(ProduceArgs),
    /// List and verify the checkpoints of a job
    Checkpoints(CheckpointsArgs),
    /// Run the cases of jobs: given rows in, expected rows out
    Test(TestArgs),
    /// Replay real city data through an embedded broker and all jobs of the repository
    Demo(DemoArgs),
}

const RUN_EXAMPLES: &str = "Examples:
  citystream run jobs/*/job.sql --schemas schemas --brokers kafka:9092 --data-dir /data --metrics-addr 0.0.0.0:9464
  citystream run job.sql --schemas schemas --brokers kafka:9092 --data-dir s3://city/lake --from 2026-03-29T00:00:00Z
  citystream run job.sql --schemas schemas --brokers localhost:9092 --data-dir data --until-caught-up --if-exists replace
  citystream run job.sql --schemas schemas --brokers kafka:9092 --data-dir /data --checkpoint-dir /data/_checkpoints

Without --until-caught-up it runs until SIGTERM or SIGINT, publishes what is final, and exits with 0.
With --checkpoint-dir it may be killed at any time: started again, it goes on where it was, and no row is lost or doubled.";

#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// Job files; one wrong file and nothing starts
    #[arg(required = true, value_name = "JOB.sql")]
    pub(crate) jobs: Vec<PathBuf>,
    /// Folder with a subfolder per stream and reference table
    #[arg(long, value_name = "DIR")]
    pub(crate) schemas: Option<PathBuf>,
    /// Kafka brokers, HOST:PORT[,..]
    #[arg(long)]
    pub(crate) brokers: Option<String>,
    /// Folder or object-store URL below which tables are written
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// Where to begin: earliest, latest, or a time (RFC 3339)
    #[arg(long, value_name = "earliest|latest|TIMESTAMP")]
    pub(crate) from: Option<String>,
    /// Read up to the end that the topics have now, close all windows, publish everything and exit
    #[arg(long)]
    pub(crate) until_caught_up: bool,
    /// Serve /metrics, /healthz and /readyz here
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) metrics_addr: Option<String>,
    /// Most shards of a job, run by as many threads; a job has no more than its streams have partitions (default: the cores)
    #[arg(long, value_name = "N", value_parser = crate::parallelism::parse)]
    pub(crate) parallelism: Option<usize>,
    /// Most bytes of state and buffers of the process, such as 4GiB (default: 70 % of the memory there is)
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_limit: Option<String>,
    /// What to do with a table that already holds rows
    #[arg(long)]
    pub(crate) if_exists: Option<IfExists>,
    /// Folder or object-store URL of the jobs' checkpoints: a job goes on from its newest one, whatever ended it
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint_dir: Option<String>,
    /// Longest time between two checkpoints of a job, such as 10s
    #[arg(long, value_name = "DURATION")]
    pub(crate) checkpoint_interval: Option<String>,
    /// Longest time from a row to its commit in a topic, such as 500ms
    #[arg(long, value_name = "DURATION")]
    pub(crate) commit_interval: Option<String>,
    /// What holds for the outputs of jobs with checkpoints; tables are exact either way, topics may repeat rows after a
    /// crash with at-least-once (with the same citystream-id)
    #[arg(long)]
    pub(crate) guarantee: Option<Guarantee>,
}

const CHECKPOINTS_EXAMPLES: &str = "Examples:
  citystream checkpoints corridor_flow --checkpoint-dir /data/_checkpoints
  citystream checkpoints corridor_flow --checkpoint-dir s3://city/checkpoints --output json

Reads every object that the kept checkpoints need and compares its checksum. Exit code 2 when none can be used.";

#[derive(Debug, Args)]
#[command(after_help = CHECKPOINTS_EXAMPLES)]
pub(crate) struct CheckpointsArgs {
    /// The job's name
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// Folder or object-store URL that was given to run
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint_dir: Option<String>,
}

const BATCH_EXAMPLES: &str = "Examples:
  citystream batch jobs/building-load/job.sql --schemas schemas --input meter_reading=schemas/meter_reading/sample.jsonl --data-dir out
  citystream batch job.sql --schemas schemas --input flow=flow.parquet --input speed=speed.jsonl --data-dir out --if-exists replace

Every row that is not rejected is admitted: nothing is late. A batch run writes the tables among the sinks of a job; a job
that has none (its sinks are Kafka topics) writes parquet:<job>, its name.";

#[derive(Debug, Args)]
#[command(after_help = BATCH_EXAMPLES)]
pub(crate) struct BatchArgs {
    /// Job file
    #[arg(required = true, value_name = "JOB.sql")]
    pub(crate) jobs: Vec<PathBuf>,
    /// Folder with a subfolder per stream and reference table
    #[arg(long, value_name = "DIR")]
    pub(crate) schemas: Option<PathBuf>,
    /// Rows of a stream: a file of JSON lines, or Parquet; may be given several times
    #[arg(long, value_name = "STREAM=FILE", required = true)]
    pub(crate) input: Vec<String>,
    /// Folder or object-store URL below which tables are written
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// What to do with a table that already holds rows
    #[arg(long)]
    pub(crate) if_exists: Option<IfExists>,
}

const CHECK_EXAMPLES: &str = "Examples:
  citystream check jobs/*/job.sql --schemas schemas
  citystream check job.sql --schemas schemas --output json

Prints file:line:column: CODE message; help: ... for each finding and exits with 1 if there is one.";

#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) files: JobFiles,
}

/// Jobs, and what they read.
#[derive(Debug, Args)]
pub(crate) struct JobFiles {
    /// Job files
    #[arg(required = true, value_name = "JOB.sql")]
    pub(crate) jobs: Vec<PathBuf>,
    /// Folder with a subfolder per stream and reference table
    #[arg(long, value_name = "DIR")]
    pub(crate) schemas: Option<PathBuf>,
}

const EXPLAIN_EXAMPLES: &str = "Examples:
  citystream explain jobs/corridor-flow/job.sql --schemas schemas
  citystream explain jobs/*/job.sql --schemas schemas --output json";

#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) files: JobFiles,
}

const PRODUCE_EXAMPLES: &str = "Examples:
  citystream produce scats_volume schemas/scats_volume/sample.jsonl --schemas schemas --brokers localhost:9092 --partitions 4
  citystream produce scats_volume day.jsonl --schemas schemas --brokers localhost:9092 --speed 60
  citystream produce scats_volume day.jsonl --schemas schemas --brokers localhost:9092 --shuffle-within '5 minutes' --seed 7

The topic is made if it is missing. Lines are sent as they are, so that bad ones can be tried too.";

#[derive(Debug, Args)]
#[command(after_help = PRODUCE_EXAMPLES)]
pub(crate) struct ProduceArgs {
    /// Stream whose topic is written to
    pub(crate) stream: String,
    /// File of JSON lines
    #[arg(value_name = "FILE.jsonl")]
    pub(crate) file: PathBuf,
    /// Folder with a subfolder per stream and reference table
    #[arg(long, value_name = "DIR")]
    pub(crate) schemas: Option<PathBuf>,
    /// Kafka brokers, HOST:PORT[,..]
    #[arg(long)]
    pub(crate) brokers: Option<String>,
    /// Rows per second (default: as fast as it goes)
    #[arg(long, value_name = "N", conflicts_with = "speed")]
    pub(crate) rate: Option<f64>,
    /// Replay in event time, X times as fast as it happened
    #[arg(long, value_name = "X")]
    pub(crate) speed: Option<f64>,
    /// Partitions of the topic, if it has to be made
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = partitions)]
    pub(crate) partitions: usize,
    /// Column whose value becomes the Kafka key (default: the stream's key)
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key: Option<String>,
    /// Delay each row by a random part of this much event time, and send in that order
    #[arg(long, value_name = "DURATION")]
    pub(crate) shuffle_within: Option<String>,
    /// Seed of the random delays
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

const TEST_EXAMPLES: &str = "Examples:
  citystream test                           all jobs of ./jobs
  citystream test jobs/corridor-flow

A case is a folder jobs/NAME/cases/CASE with input.jsonl (several streams: input.<stream>.jsonl), expected.jsonl, and,
where there are any, late.jsonl and rejected.jsonl: one JSON object a row, in any order. Each runs on one shard and on four,
in file order and with its admitted rows shuffled as far as the stream allows, and against the same SQL as a batch.";

#[derive(Debug, Args)]
#[command(after_help = TEST_EXAMPLES)]
pub(crate) struct TestArgs {
    /// Folders of jobs (default: all of ./jobs)
    #[arg(value_name = "jobs/NAME")]
    pub(crate) jobs: Vec<PathBuf>,
    /// Folder with a subfolder per stream and reference table (default: ./schemas)
    #[arg(long, value_name = "DIR")]
    pub(crate) schemas: Option<PathBuf>,
}

const DEMO_EXAMPLES: &str = "Examples:
  citystream demo --once                 everything once, then a table of what was produced
  citystream demo --speed 600            a day in 2.4 minutes, until Ctrl-C; metrics on http://127.0.0.1:8080/metrics
  citystream demo --once --data-dir out  keep the tables in ./out

Needs no network and nothing but the repository: the broker is part of the binary.";

#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Folder for the tables; what an earlier demo left there is replaced
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    pub(crate) data_dir: String,
    /// Port of the metrics page
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Replay in event time, X times as fast as it happened
    #[arg(long, value_name = "X", default_value_t = 600.0)]
    pub(crate) speed: f64,
    /// Replay everything at full speed, print what was produced, and exit
    #[arg(long)]
    pub(crate) once: bool,
}

fn partitions(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=10_000) => Ok(count),
        _ => Err("expected 1 to 10000 partitions".to_owned()),
    }
}
