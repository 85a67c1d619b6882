//! Joins the crates: connectors for the checker, and a running job from a checked one. The only file that sees all.

use crate::args::IfExists;
use crate::checkpoints::CheckpointDir;
use crate::tables::DataDir;
use arrow::datatypes::SchemaRef;
use citystream_connect::files::Naming;
use citystream_connect::kafka::{self, KafkaClient};
use citystream_connect::{Sink, files};
use citystream_model::Result;
use citystream_model::catalog::Connectors;
use citystream_model::job::{JobSpec, LatePolicy, PartitionBy, SinkRef};
use citystream_model::position::StartFrom;
use citystream_model::stream::Stream;
use citystream_runtime::input::late_schema;
use citystream_runtime::metrics::Metrics;
use citystream_runtime::stop::Stop;
use citystream_runtime::threads::Threads;
use std::collections::BTreeMap;
use std::sync::Arc;

mod open;

/// The sinks that exist: one plain list.
const SINKS: [&str; 2] = ["parquet", "kafka"];

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
    pub(crate) if_exists: IfExists,
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

// === impl DataDir ===

impl DataDir {
    /// A table of `spec`'s job.
    ///
    /// # Errors
    /// The folder or store cannot be used.
    pub(crate) fn parquet(
        &self,
        spec: &JobSpec,
        target: &str,
        schema: &SchemaRef,
        partition_by: PartitionBy,
        naming: &Naming,
    ) -> Result<Box<dyn Sink>> {
        let (store, prefix) = self.table(target)?;
        let config = files::ParquetConfig {
            store,
            prefix,
            display: self.display(target),
            schema: Arc::clone(schema),
            partition_by,
            file_target: spec.file_target,
            freshness: spec.freshness,
            naming: naming.clone(),
            handle: self.handle.clone(),
            name: format!("parquet:{target}"),
        };
        Ok(Box::new(files::ParquetSink::open(config)?))
    }

    /// The late table of a job for one of its streams, unless late rows are dropped.
    ///
    /// # Errors
    /// As [`DataDir::parquet`].
    pub(crate) fn late(
        &self,
        spec: &JobSpec,
        stream: &Stream,
        streams: usize,
        naming: &Naming,
    ) -> Result<Option<Box<dyn Sink>>> {
        match spec.late {
            LatePolicy::Drop => Ok(None),
            LatePolicy::Table => self
                .parquet(spec, &spec.late_table(&stream.name, streams), &late_schema(stream), PartitionBy::Day, naming)
                .map(Some),
        }
    }

    /// Where a job keeps the records of a stream that it could not read.
    ///
    /// # Errors
    /// As [`DataDir::parquet`].
    pub(crate) fn rejects(&self, spec: &JobSpec, stream: &Stream, naming: &Naming) -> Result<Box<dyn Sink>> {
        self.parquet(spec, &rejects_table(spec, stream), &citystream_codec::rejects_schema(), PartitionBy::Day, naming)
    }

    /// Names of files that are visible once written.
    pub(crate) fn naming(&self) -> Naming {
        Naming::Run(self.run_id.clone())
    }
}

/// Folder of the records of `stream` that a job rejected.
pub(crate) fn rejects_table(spec: &JobSpec, stream: &Stream) -> String {
    format!("{}/{}", stream.rejects, spec.name)
}
