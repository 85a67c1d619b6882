//! Joins the crates: connectors for the checker, and a running job from a checked one. The only file that sees all.

use crate::checkpoints::CheckpointDir;
use crate::tables::DataDir;
use arrow::datatypes::Schema;
use citystream_connect::files;
use citystream_connect::kafka::{self, KafkaClient};
use citystream_lake::delta;
use citystream_model::Result;
use citystream_model::catalog::Connectors;
use citystream_model::job::{DELTA, PARQUET, PartitionBy, SinkRef};
use citystream_model::position::StartFrom;
use citystream_model::stream::Stream;
use citystream_runtime::metrics::Metrics;
use citystream_runtime::stop::Stop;
use citystream_runtime::threads::Threads;
use std::collections::BTreeMap;

mod open;

/// The sinks that exist: one plain list.
const SINKS: [&str; 3] = [PARQUET, DELTA, "kafka"];

/// Answers the checker's questions about connectors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wired {
    /// URL prefixes that a table target may have.
    pub(crate) allowed_prefixes: Vec<String>,
}

/// What the jobs of one process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) brokers: String,
    /// Options of every Kafka client, secrets still as `${ENV_NAME}`.
    pub(crate) kafka: BTreeMap<String, String>,
    pub(crate) data: DataDir,
    pub(crate) from: StartFrom,
    pub(crate) until_caught_up: bool,
    /// Most bytes of a job that does not say so itself.
    pub(crate) memory_limit: u64,
    /// Most shards of a job, and the threads that run them.
    pub(crate) parallelism: usize,
    pub(crate) threads: Threads,
    pub(crate) metrics: Metrics,
    pub(crate) stop: Stop,
    /// Where jobs have their checkpoints, if they make any.
    pub(crate) checkpoints: Option<CheckpointDir>,
}

// === impl Wired ===

impl Connectors for Wired {
    fn sink_schemes(&self) -> Vec<&'static str> {
        SINKS.to_vec()
    }

    fn check_sink(&self, sink: &SinkRef) -> Result<()> {
        files::check_target(sink, &self.allowed_prefixes)
    }

    fn check_columns(&self, sink: &SinkRef, schema: &Schema, partition_by: &PartitionBy) -> Result<()> {
        if sink.scheme == DELTA { delta::check_columns(schema, partition_by) } else { Ok(()) }
    }

    fn check_kafka_option(&self, name: &str, value: &str) -> Result<()> {
        kafka::check_option(name, value)
    }
}

// === impl Shared ===

impl Shared {
    /// A client with the process's options and those of `stream`, secrets resolved.
    pub(crate) fn client(&self, stream: Option<&Stream>) -> Result<KafkaClient> {
        let mut options = self.kafka.clone();
        options.extend(stream.map(|stream| stream.kafka.clone()).unwrap_or_default());
        let secrets = kafka::resolve_secrets(&options, &|name| std::env::var(name).ok())?;
        Ok(KafkaClient::new(self.brokers.clone(), secrets))
    }
}
