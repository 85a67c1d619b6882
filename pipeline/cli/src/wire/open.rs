//! A running job from a checked one: sources, sinks and operators, new or as its newest checkpoint has them.

use super::Shared;
use crate::args::Guarantee;
use crate::checkpoints::CheckpointDir;
use citystream_connect::Sink;
use citystream_connect::files::Naming;
use citystream_connect::kafka::{KafkaSink, KafkaSource, TransactionalSink};
use citystream_model::job::{DELTA, PARQUET, SinkRef};
use citystream_model::position::StartFrom;
use citystream_model::stream::{Path, Stream};
use citystream_model::time::{Clock, SystemClock};
use citystream_model::{Error, Result};
use citystream_operators::memory::Memory;
use citystream_operators::plan::StreamPlan;
use citystream_runtime::checkpoint::recover::Base;
use citystream_runtime::input::Input;
use citystream_runtime::job::{Job, Relief};
use citystream_runtime::output::{Output, RETRY_PAUSE};
use citystream_runtime::start::patience::Patience;
use citystream_runtime::start::{self, Checkpointing, Connect, Connected, Ready};
use citystream_runtime::status::StatusBoard;
use citystream_sql::CheckedJob;
use std::sync::Arc;
use std::time::Instant;

/// Connects one job.
struct Connector<'a> {
    shared: &'a Shared,
    job: &'a CheckedJob,
    patience: &'a Patience<'a>,
}

// === impl Shared ===

impl Shared {
    /// Connects a checked job; sinks first, so that one that cannot be written is known before a record is read.
    ///
    /// # Errors
    /// A broker, topic or folder that cannot be used.
    pub(crate) fn open(&self, job: CheckedJob, status: StatusBoard) -> Result<Job> {
        let patience = Patience::new(&job.spec.name, &self.stop, &status, RETRY_PAUSE);
        let memory = Memory::new(job.spec.memory_limit.unwrap_or(self.memory_limit));
        let connector = Connector { shared: self, job: &job, patience: &patience };
        let plan = memory.bound(job.plan.clone())?;
        let ready = match &self.checkpoints {
            None => {
                let connected = patience.open(|_| connector.connect(None))?;
                self.data.replace(&job.spec, &job.streams)?;
                start::begin(connected, plan, self.parallelism)?
            }
            Some(folder) => self.resume(folder, &connector, &plan)?,
        };
        let Ready { connected: Connected { inputs, sinks, late, rejects }, dataflow, replay, checkpoints } = ready;
        let CheckedJob { spec, plan, errors, .. } = job;
        let with_ids = sinks.iter().any(|sink| sink.wants_ids());
        Ok(Job {
            clock: Arc::new(SystemClock),
            stop: self.stop.clone(),
            retry_pause: RETRY_PAUSE,
            relief: Relief::of(&memory),
            dataflow,
            memory,
            threads: self.threads.clone(),
            output: Output::new(&spec.name, plan.output, with_ids)?,
            metrics: self.metrics.clone(),
            expression_errors: Box::new(move || errors.count()),
            paused: Default::default(),
            fired_at: 0,
            reported_at: 0,
            replay,
            checkpoints,
            spec,
            inputs,
            sinks,
            late,
            rejects,
            status,
        })
    }

    /// A job that goes on from its newest checkpoint, or begins to make some.
    fn resume(&self, folder: &CheckpointDir, connector: &Connector<'_>, plan: &StreamPlan) -> Result<Ready> {
        let started = Instant::now();
        let name = connector.job.spec.name.as_str();
        let how = Checkpointing {
            folder: &folder.of(connector.job, &self.data.run_id),
            interval: folder.interval,
            in_line: false,
            patience: connector.patience,
            now: SystemClock.now(),
        };
        let clear = self.data.replaces();
        let ready = start::resume(&how, connector, plan, self.parallelism, clear)?;
        self.metrics.recovery_seconds.with_label_values(&[name]).set(started.elapsed().as_secs_f64());
        Ok(ready)
    }
}

// === impl Connector ===

impl Connect for Connector<'_> {
    fn connect(&self, base: Option<&Base>) -> Result<Connected> {
        let (data, CheckedJob { spec, streams, .. }) = (&self.shared.data, self.job);
        let asks = self.shared.from != StartFrom::Earliest || data.replaces();
        if base.is_some_and(|base| !base.is_new) && asks {
            tracing::warn!(
                job = spec.name,
                "going on from its checkpoint: --from and --if-exists are for new jobs only"
            );
        }
        let naming = match base {
            None => data.naming(),
            Some(base) => {
                let (identity, writer) = (base.claim.identity.clone(), data.run_id.clone());
                Naming::Epochs { identity, writer, next: base.claim.epoch + 1 }
            }
        };
        let sinks = spec.sinks.iter().map(|sink| self.sink(sink, &naming, base)).collect::<Result<_>>()?;
        let late = streams.iter().map(|stream| data.late(spec, stream, streams.len(), &naming));
        let late = late.collect::<Result<_>>()?;
        let rejects = streams.iter().map(|stream| data.rejects(spec, stream, &naming)).collect::<Result<_>>()?;
        let inputs = streams.iter().map(|stream| self.input(stream, base)).collect::<Result<_>>()?;
        Ok(Connected { inputs, sinks, late, rejects })
    }

    fn clear(&self, identity: &str) -> Result<()> {
        self.shared.data.clear(&self.job.spec, &self.job.streams, Some(identity))
    }
}

impl Connector<'_> {
    fn input(&self, stream: &Arc<Stream>, base: Option<&Base>) -> Result<Input> {
        let Self { shared, job, patience } = self;
        let client = shared.client(Some(stream))?;
        let stored = base.and_then(|base| base.positions(&stream.name));
        let from = stored.map_or_else(|| shared.from.clone(), StartFrom::Positions);
        let source = patience.open(|budget| KafkaSource::open(&client, &stream.topic, &from, budget))?;
        let in_columns = stream.columns.iter().any(|column| matches!(column.path, Path::Header(_)));
        let source = if job.plan.reads_headers || in_columns { source } else { source.without_headers() };
        let input = Input::new(Arc::clone(stream), Box::new(source), job.spec.lateness, shared.until_caught_up);
        for partition in input.source.partitions() {
            shared.metrics.start_partition(&job.spec.name, &stream.name, partition);
        }
        Ok(input)
    }

    fn sink(&self, sink: &SinkRef, naming: &Naming, base: Option<&Base>) -> Result<Box<dyn Sink>> {
        let CheckedJob { spec, schema, .. } = self.job;
        match sink.scheme.as_str() {
            PARQUET | DELTA => self.shared.data.results(spec, sink, schema, naming),
            "kafka" => self.topic(&sink.target, base),
            other => Err(Error::internal(format!("no sink of scheme '{other}'"))),
        }
    }

    /// A topic: in transactions with checkpoints, unless rows may be repeated.
    fn topic(&self, topic: &str, base: Option<&Base>) -> Result<Box<dyn Sink>> {
        let CheckedJob { spec, schema, .. } = self.job;
        let client = self.shared.client(None)?;
        let plain = |budget| KafkaSink::open(&client, &spec.name, topic, &spec.key, schema, budget);
        let (Some(base), Some(folder)) = (base, &self.shared.checkpoints) else {
            if self.job.plan.output.removed.is_some() {
                tracing::warn!(
                    job = spec.name,
                    topic,
                    "without --checkpoint-dir, results of an earlier run that are none any more stay in the topic"
                );
            }
            return Ok(Box::new(self.patience.open(plain)?));
        };
        let outbox = folder.outbox(&folder.of(self.job, &self.shared.data.run_id), base);
        match folder.guarantee {
            Guarantee::AtLeastOnce => Ok(Box::new(self.patience.open(plain)?.with_leftovers(&client, &outbox))),
            Guarantee::ExactlyOnce => {
                let sink = self.patience.open(|budget| {
                    let outbox = outbox.clone();
                    TransactionalSink::open(&client, &spec.name, topic, &spec.key, schema, outbox, budget)
                });
                Ok(Box::new(sink?))
            }
        }
    }
}
