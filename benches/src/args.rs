//! What may be typed, and the defaults.

use citystream_benches::broker::Kind;
use citystream_benches::workload::{JobName, Topic, Workload};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Measures citystream: CPU seconds, memory and right answers on fixed workloads.
#[derive(Debug, Parser)]
#[command(name = "citystream-benches", arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  citystream-benches table                        everything; Markdown on stdout
  citystream-benches table --quick                the same with little input, to see that it works
  citystream-benches table --jobs reduce --brokers kafka --citystream /work/main/target/release/citystream
  citystream-benches run join --perf              one run with a profile (linux-perf)
  citystream-benches bare tumble                  our decoder and a hash map, without Kafka
  citystream-benches recovery --keys 1000000      kill -9, and how long the job takes to go on
  citystream-benches overhead tumble              the same job without and with checkpoints, in turn
  citystream-benches latency --commit-interval 100ms
  citystream-benches generate flow --sensors 12 --seconds 2

Needs taskset and, for Apache Kafka, a JDK (17 or newer) and Maven.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure jobs on brokers in two sizes, several times, and print the table
    Table(TableArgs),
    /// Run one job once
    Run {
        /// Which job
        job: JobName,
        /// Which broker
        #[arg(long, default_value = "kafka")]
        broker: Kind,
        #[command(flatten)]
        input: Input,
        #[command(flatten)]
        machine: Machine,
        /// Take a profile with this many samples per second; its cost is in the CPU time of other cores
        #[arg(long, value_name = "HZ", num_args = 0..=1, default_missing_value = "999")]
        perf: Option<u32>,
    },
    /// Run a job's bare loop once
    Bare {
        /// Which job
        job: JobName,
        #[command(flatten)]
        input: Input,
    },
    /// Print the digest that a job has to give
    Oracle {
        /// Which job
        job: JobName,
        #[command(flatten)]
        input: Input,
    },
    /// Kill a job with much state and measure how long it takes to go on
    Recovery {
        /// Which broker
        #[arg(long, default_value = "kafka")]
        broker: Kind,
        /// Keys of the open window, about
        #[arg(long, value_name = "N", default_value_t = 1_000_000)]
        keys: u32,
        #[command(flatten)]
        machine: Machine,
    },
    /// Run a job without and with checkpoints in turn (every 10s if not told), and print the ratio
    Overhead {
        /// Which job
        job: JobName,
        /// Which broker
        #[arg(long, default_value = "kafka")]
        broker: Kind,
        /// Runs each way
        #[arg(long, value_name = "N", default_value_t = 3)]
        repeats: u32,
        /// The input; --seconds 250 keeps a core busy for half a minute
        #[command(flatten)]
        input: Input,
        #[command(flatten)]
        machine: Machine,
    },
    /// Measure how long a record takes through a job that commits in transactions
    Latency {
        /// Which broker
        #[arg(long, default_value = "kafka")]
        broker: Kind,
        /// The job's --commit-interval
        #[arg(long, value_name = "DURATION", default_value = "100ms")]
        commit_interval: String,
        /// Records that count, 200 a second
        #[arg(long, value_name = "N", default_value_t = 4_000)]
        records: usize,
        #[command(flatten)]
        machine: Machine,
    },
    /// Write a topic's records as lines: partition, key, value
    Generate {
        /// Which topic
        topic: Topic,
        #[command(flatten)]
        input: Input,
        /// Print the SHA-256 of each partition's values instead
        #[arg(long)]
        sha256: bool,
    },
    /// Create and fill a topic on brokers of your own, for other engines
    Fill {
        /// Which topic
        topic: Topic,
        #[command(flatten)]
        input: Input,
        /// HOST:PORT[,..]
        #[arg(long)]
        brokers: String,
    },
    /// Serve the embedded broker until stdin ends
    #[command(hide = true)]
    ServeBroker {
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TableArgs {
    /// Jobs, separated by commas (default: all)
    #[arg(long, value_delimiter = ',')]
    pub(crate) jobs: Vec<JobName>,
    /// Brokers, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "kafka,embedded")]
    pub(crate) brokers: Vec<Kind>,
    /// Runs of each job, broker and size (default: 3)
    #[arg(long, value_name = "N")]
    repeats: Option<u32>,
    /// Little input and one run: shows that it works, says nothing about speed
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// The input; what is not given depends on the job.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// Measurement points; 12 of them have 19 lanes (default: 100000; join 20000)
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    sensors: Option<u32>,
    /// Seconds of event time; a table takes a third for its smaller input (default: 30; join 45)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// Seconds between two records of a lane
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    interval_s: u32,
    /// Partitions of each topic
    #[arg(long, value_name = "P", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    partitions: u32,
    /// Disorder: each record moved back by up to this many milliseconds of event time
    #[arg(long, value_name = "D", default_value_t = 0)]
    disorder_ms: u32,
    /// Seed of all values
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compression of the topics: none, lz4, zstd, snappy, gzip
    #[arg(long, default_value = "lz4")]
    pub(crate) compression: String,
}

/// Binary, cores and folders.
#[derive(Debug, Args)]
pub(crate) struct Machine {
    /// The binary under test (default: citystream beside this one)
    #[arg(long, value_name = "PATH")]
    pub(crate) citystream: Option<PathBuf>,
    /// Core of the engine
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub(crate) engine_core: usize,
    /// Core of the broker
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    pub(crate) broker_core: usize,
    /// Have the job make checkpoints this often, such as 1s
    #[arg(long, value_name = "DURATION")]
    pub(crate) checkpoint_interval: Option<String>,
    /// Let engine and broker share a core
    #[arg(long)]
    pub(crate) one_core: bool,
    /// Folder for topics, tables and logs; a folder of this process is made in it and removed again
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub(crate) work_dir: PathBuf,
    /// Keep that folder
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Points and seconds of `--quick`: two windows of each job.
const QUICK: (u32, u32) = (1_200, 24);

// === impl TableArgs ===

impl TableArgs {
    pub(crate) fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    /// Both inputs of `job`.
    pub(crate) fn sizes(&self, job: JobName) -> [Workload; 2] {
        let mut large = self.input.workload(job);
        if self.quick {
            large.sensors = self.input.sensors.unwrap_or(QUICK.0);
            large.seconds = self.input.seconds.unwrap_or(QUICK.1);
        }
        // The difference of the two must hold records.
        large.seconds = large.seconds.max(2 * large.interval_s);
        [Workload { seconds: (large.seconds / 3).max(1), ..large }, large]
    }
}

/// A workload of one record for each of about `keys` keys.
pub(crate) fn one_record_each(keys: u32) -> Workload {
    // 12 points have 19 lanes.
    let sensors = u32::try_from(u64::from(keys) * 12 / 19).unwrap_or(u32::MAX).max(1);
    Workload { seed: 1, sensors, seconds: 1, interval_s: 1, partitions: 4, disorder_ms: 0 }
}

// === impl Input ===

impl Input {
    /// The input of `job`; by default its larger one.
    pub(crate) fn workload(&self, job: JobName) -> Workload {
        let (sensors, seconds) = match job {
            JobName::Reduce | JobName::Tumble => (100_000, 30),
            JobName::Join => (20_000, 45),
        };
        Workload {
            seed: self.seed,
            sensors: self.sensors.unwrap_or(sensors),
            seconds: self.seconds.unwrap_or(seconds),
            interval_s: self.interval_s,
            partitions: self.partitions,
            disorder_ms: self.disorder_ms,
        }
    }
}
