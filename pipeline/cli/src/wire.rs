//! Joins the crates: connectors for the checker, and a running job from a checked one. The only file that sees all.

use crate::args::IfExists;
use crate::start::Patience;
use crate::tables::DataDir;
use arrow::datatypes::SchemaRef;
use citystream_connect::kafka::{self, KafkaClient, KafkaSink, KafkaSource};
use citystream_connect::{Sink, files};
use citystream_model::catalog::Connectors;
use citystream_model::job::{JobSpec, LatePolicy, PartitionBy, SinkRef};
use citystream_model::position::StartFrom;
use citystream_model::stream::{Path, Stream};
use citystream_model::time::SystemClock;
use citystream_model::{Error, Result};
use citystream_operators::dataflow::Dataflow;
use citystream_operators::memory::Memory;
use citystream_runtime::input::{Input, late_schema};
use citystream_runtime::job::Job;
use citystream_runtime::key_claim::KeyClaim;
use citystream_runtime::metrics::Metrics;
use citystream_runtime::output::Output;
use citystream_runtime::status::StatusBoard;
use citystream_runtime::stop::Stop;
use citystream_runtime::threads::Threads;
use citystream_sql::CheckedJob;
use std::collections::BTreeMap;
use std::sync::Arc;

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

    /// Connects a checked job; sinks first, so that one that cannot be written is known before a record is read.
    ///
    /// # Errors
    /// A broker, topic or folder that cannot be used.
    pub(crate) fn open(&self, job: CheckedJob, status: StatusBoard) -> Result<Job> {
        let CheckedJob { spec, streams, schema, plan, errors, .. } = job;
        let output = plan.output.clone();
        let patience = Patience::new(&spec.name, &self.stop, &status);
        let sinks =
            spec.sinks.iter().map(|sink| self.sink(&spec, sink, &schema, &patience)).collect::<Result<Vec<_>>>()?;
        let late = streams.iter().map(|stream| self.data.late(&spec, stream, streams.len())).collect::<Result<_>>()?;
        let rejects = streams.iter().map(|stream| self.data.rejects(&spec, stream)).collect::<Result<_>>()?;
        let mut inputs = Vec::new();
        for stream in &streams {
            let client = self.client(Some(stream))?;
            let source = patience.open(|budget| KafkaSource::open(&client, &stream.topic, &self.from, budget))?;
            let in_columns = stream.columns.iter().any(|column| matches!(column.path, Path::Header(_)));
            let source = if plan.reads_headers || in_columns { source } else { source.without_headers() };
            let input = Input::new(Arc::clone(stream), Box::new(source), spec.lateness, self.until_caught_up);
            input
                .source
                .partitions()
                .into_iter()
                .for_each(|partition| self.metrics.start_partition(&spec.name, &stream.name, partition));
            inputs.push(input);
        }
        self.data.replace(&spec, &streams, self.if_exists)?;
        // A shard without a partition would have nothing to read.
        let partitions = inputs.iter().map(|input| input.source.partitions().len()).max().unwrap_or(1);
        let shards = partitions.clamp(1, self.parallelism);
        let memory = Memory::new(spec.memory_limit.unwrap_or(self.memory_limit));
        let dataflow = Dataflow::build(memory.bound(plan)?, streams.len(), shards)?;
        for input in &mut inputs {
            input.feed(shards);
            if dataflow.trusts_record_key() {
                input.claim = KeyClaim::of(&input.stream, input.source.partitions().len());
            }
        }
        let with_ids = sinks.iter().any(|sink| sink.wants_ids());
        Ok(Job {
            clock: Arc::new(SystemClock),
            stop: self.stop.clone(),
            dataflow,
            memory,
            threads: self.threads.clone(),
            output: Output::new(&spec.name, output, with_ids)?,
            metrics: self.metrics.clone(),
            expression_errors: Box::new(move || errors.count()),
            paused: Default::default(),
            reported_at: 0,
            spec,
            inputs,
            sinks,
            late,
            rejects,
            status,
        })
    }

    fn sink(
        &self,
        spec: &JobSpec,
        sink: &SinkRef,
        schema: &SchemaRef,
        patience: &Patience<'_>,
    ) -> Result<Box<dyn Sink>> {
        match sink.scheme.as_str() {
            "parquet" => self.data.parquet(spec, &sink.target, schema, spec.partition_by.clone()),
            "kafka" => {
                let client = self.client(None)?;
                let sink = patience
                    .open(|budget| KafkaSink::open(&client, &spec.name, &sink.target, &spec.key, schema, budget))?;
                Ok(Box::new(sink))
            }
            other => Err(Error::internal(format!("no sink of scheme '{other}'"))),
        }
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
            run_id: self.run_id.clone(),
            handle: self.handle.clone(),
            name: format!("parquet:{target}"),
        };
        Ok(Box::new(files::ParquetSink::open(config)?))
    }

    /// The late table of a job for one of its streams, unless late rows are dropped.
    ///
    /// # Errors
    /// As [`DataDir::parquet`].
    pub(crate) fn late(&self, spec: &JobSpec, stream: &Stream, streams: usize) -> Result<Option<Box<dyn Sink>>> {
        match spec.late {
            LatePolicy::Drop => Ok(None),
            LatePolicy::Table => self
                .parquet(spec, &spec.late_table(&stream.name, streams), &late_schema(stream), PartitionBy::Day)
                .map(Some),
        }
    }

    /// Where a job keeps the records of a stream that it could not read.
    ///
    /// # Errors
    /// As [`DataDir::parquet`].
    pub(crate) fn rejects(&self, spec: &JobSpec, stream: &Stream) -> Result<Box<dyn Sink>> {
        self.parquet(spec, &rejects_table(spec, stream), &citystream_codec::rejects_schema(), PartitionBy::Day)
    }
}

/// Folder of the records of `stream` that a job rejected.
pub(crate) fn rejects_table(spec: &JobSpec, stream: &Stream) -> String {
    format!("{}/{}", stream.rejects, spec.name)
}
