//! A running job from a checked one: sources, sinks and operators, new or as its newest checkpoint has them.

use super::Shared;
use crate::checkpoints::CheckpointDir;
use crate::start::Patience;
use citystream_connect::files::Naming;
use citystream_connect::kafka::{KafkaSink, KafkaSource};
use citystream_connect::{Publisher, Sink};
use citystream_model::job::SinkRef;
use citystream_model::stream::{Path, Stream};
use citystream_model::time::{Clock, SystemClock, Watermark};
use citystream_model::{Error, Result};
use citystream_operators::dataflow::Dataflow;
use citystream_operators::memory::Memory;
use citystream_runtime::checkpoint::Checkpoints;
use citystream_runtime::checkpoint::recover::{Base, JobFolder};
use citystream_runtime::input::Input;
use citystream_runtime::job::Job;
use citystream_runtime::key_claim::KeyClaim;
use citystream_runtime::output::Output;
use citystream_runtime::status::StatusBoard;
use citystream_sql::CheckedJob;
use std::sync::Arc;
use std::time::Instant;

/// What a job reads and writes, connected.
struct Connected {
    inputs: Vec<Input>,
    sinks: Vec<Box<dyn Sink>>,
    late: Vec<Option<Box<dyn Sink>>>,
    rejects: Vec<Box<dyn Sink>>,
}

/// A job about to run: what it is connected to, its operators, and the checkpoints that it goes on making.
struct Ready {
    connected: Connected,
    dataflow: Dataflow,
    checkpoints: Option<Checkpoints>,
}

// === impl Shared ===

impl Shared {
    /// Connects a checked job; sinks first, so that one that cannot be written is known before a record is read.
    ///
    /// # Errors
    /// A broker, topic or folder that cannot be used.
    pub(crate) fn open(&self, job: CheckedJob, status: StatusBoard) -> Result<Job> {
        let started = Instant::now();
        let patience = Patience::new(&job.spec.name, &self.stop, &status);
        let memory = Memory::new(job.spec.memory_limit.unwrap_or(self.memory_limit));
        let ready = match &self.checkpoints {
            None => self.begin(&job, &memory, &patience)?,
            Some(folder) => {
                let ready = self.resume(folder, &job, &memory, &patience, &status)?;
                let seconds = self.metrics.recovery_seconds.with_label_values(&[&job.spec.name]);
                seconds.set(started.elapsed().as_secs_f64());
                ready
            }
        };
        let Ready { connected: Connected { inputs, sinks, late, rejects }, dataflow, checkpoints } = ready;
        let CheckedJob { spec, plan, errors, .. } = job;
        let with_ids = sinks.iter().any(|sink| sink.wants_ids());
        Ok(Job {
            clock: Arc::new(SystemClock),
            stop: self.stop.clone(),
            dataflow,
            memory,
            threads: self.threads.clone(),
            output: Output::new(&spec.name, plan.output, with_ids)?,
            metrics: self.metrics.clone(),
            expression_errors: Box::new(move || errors.count()),
            paused: Default::default(),
            reported_at: 0,
            checkpoints,
            spec,
            inputs,
            sinks,
            late,
            rejects,
            status,
        })
    }

    /// A job that makes no checkpoints.
    fn begin(&self, job: &CheckedJob, memory: &Arc<Memory>, patience: &Patience<'_>) -> Result<Ready> {
        let mut connected = self.connect(job, patience, &self.data.naming(), None)?;
        self.data.replace(&job.spec, &job.streams, self.if_exists)?;
        let shards = self.shards(&connected.inputs);
        let dataflow = Dataflow::build(memory.bound(job.plan.clone())?, job.streams.len(), shards)?;
        connected.feed(&dataflow, None);
        Ok(Ready { connected, dataflow, checkpoints: None })
    }

    /// A job that goes on from its newest checkpoint, or begins to make some.
    fn resume(
        &self,
        folder: &CheckpointDir,
        job: &CheckedJob,
        memory: &Arc<Memory>,
        patience: &Patience<'_>,
        status: &StatusBoard,
    ) -> Result<Ready> {
        let writer = self.data.run_id.as_str();
        let folder_of_job = folder.of(job, writer);
        loop {
            let clear = self.if_exists == crate::args::IfExists::Replace;
            let mut base = patience.open(|_| folder_of_job.look(clear))?;
            let next = base.claim.epoch + 1;
            let naming = Naming::Epochs { identity: base.claim.identity.clone(), writer: writer.to_owned(), next };
            let mut connected = self.connect(job, patience, &naming, Some(&base))?;
            let dataflow = self.restore(job, memory, &mut connected, &mut base)?;
            if !patience.open(|_| folder_of_job.take_over(&base.claim))? {
                tracing::info!(job = job.spec.name, "an older instance still runs, trying again");
                continue;
            }
            let checkpoints = self.settle(folder, folder_of_job, job, base, &connected, patience, status)?;
            return Ok(Ready { connected, dataflow, checkpoints: Some(checkpoints) });
        }
    }

    /// The operators as `base` has them, and the inputs' gates. What a new job starts with is noted in its claim.
    fn restore(
        &self,
        job: &CheckedJob,
        memory: &Arc<Memory>,
        connected: &mut Connected,
        base: &mut Base,
    ) -> Result<Dataflow> {
        let plan = memory.bound(job.plan.clone())?;
        let (streams, shards) = (job.streams.len(), self.shards(&connected.inputs));
        let runs = std::mem::take(&mut base.runs);
        let watermark = base.claim.watermark.map_or(Watermark::NONE, Watermark);
        let dataflow = if runs.is_empty() {
            Dataflow::resume_empty(plan, streams, shards, watermark)?
        } else {
            let partitions =
                connected.inputs.iter().map(|input| (input.stream.name.as_str(), input.source.partitions()));
            Dataflow::resume(plan, streams, shards, base.layout(partitions), runs, watermark)?
        };
        for input in &mut connected.inputs {
            if let Some(known) = base.progress(&input.stream.name) {
                input.restore(known, watermark);
            }
        }
        connected.feed(&dataflow, Some(base));
        if base.is_new {
            base.claim.layout = dataflow.layout();
            base.claim.streams = connected.inputs.iter().map(Input::progress).collect();
        }
        Ok(dataflow)
    }

    /// Finishes what was begun before, and begins to make checkpoints.
    #[allow(clippy::too_many_arguments, reason = "what a start has at hand, used once")]
    fn settle(
        &self,
        folder: &CheckpointDir,
        of_job: JobFolder,
        job: &CheckedJob,
        base: Base,
        connected: &Connected,
        patience: &Patience<'_>,
        status: &StatusBoard,
    ) -> Result<Checkpoints> {
        let Base { claim, is_new, .. } = base;
        tracing::info!(
            job = job.spec.name,
            epoch = claim.epoch,
            start = claim.generation,
            checkpoint = if is_new { "none yet" } else { "found" },
            "job begins"
        );
        if claim.first.clear {
            self.data.replace(&job.spec, &job.streams, crate::args::IfExists::Replace)?;
        }
        let publishers = connected.publishers();
        let committer = patience.open(|_| {
            let (stop, status) = (self.stop.clone(), status.clone());
            of_job.clone().settle(claim.clone(), publishers.clone(), stop, status)
        })?;
        Checkpoints::new(committer, folder.interval, SystemClock.now())
    }

    /// Connects sinks and sources, the latter where `base` has them.
    fn connect(
        &self,
        job: &CheckedJob,
        patience: &Patience<'_>,
        naming: &Naming,
        base: Option<&Base>,
    ) -> Result<Connected> {
        let CheckedJob { spec, streams, .. } = job;
        let sinks = spec.sinks.iter().map(|sink| self.sink(job, sink, patience, naming)).collect::<Result<Vec<_>>>()?;
        let late = |stream: &Arc<Stream>| self.data.late(spec, stream, streams.len(), naming);
        let late = streams.iter().map(late).collect::<Result<_>>()?;
        let rejects = streams.iter().map(|stream| self.data.rejects(spec, stream, naming)).collect::<Result<_>>()?;
        let inputs = streams.iter().map(|stream| self.input(job, stream, patience, base)).collect::<Result<_>>()?;
        Ok(Connected { inputs, sinks, late, rejects })
    }

    fn input(
        &self,
        job: &CheckedJob,
        stream: &Arc<Stream>,
        patience: &Patience<'_>,
        base: Option<&Base>,
    ) -> Result<Input> {
        let client = self.client(Some(stream))?;
        let stored = base.and_then(|base| base.positions(&stream.name));
        let from = stored.map_or_else(|| self.from.clone(), citystream_model::position::StartFrom::Positions);
        let source = patience.open(|budget| KafkaSource::open(&client, &stream.topic, &from, budget))?;
        let in_columns = stream.columns.iter().any(|column| matches!(column.path, Path::Header(_)));
        let source = if job.plan.reads_headers || in_columns { source } else { source.without_headers() };
        let input = Input::new(Arc::clone(stream), Box::new(source), job.spec.lateness, self.until_caught_up);
        for partition in input.source.partitions() {
            self.metrics.start_partition(&job.spec.name, &stream.name, partition);
        }
        Ok(input)
    }

    /// A shard without a partition would have nothing to read.
    fn shards(&self, inputs: &[Input]) -> usize {
        let partitions = inputs.iter().map(|input| input.source.partitions().len()).max().unwrap_or(1);
        partitions.clamp(1, self.parallelism)
    }

    fn sink(
        &self,
        job: &CheckedJob,
        sink: &SinkRef,
        patience: &Patience<'_>,
        naming: &Naming,
    ) -> Result<Box<dyn Sink>> {
        let CheckedJob { spec, schema, .. } = job;
        match sink.scheme.as_str() {
            "parquet" => self.data.parquet(spec, &sink.target, schema, spec.partition_by.clone(), naming),
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

// === impl Connected ===

impl Connected {
    /// What publishes the files of all sinks.
    fn publishers(&self) -> Vec<Arc<dyn Publisher>> {
        let sinks = self.sinks.iter().chain(self.late.iter().flatten()).chain(&self.rejects);
        sinks.filter_map(|sink| sink.publisher()).collect()
    }

    /// Has inputs give enough for all shards, and watch over the keys where an exchange was left out for them.
    fn feed(&mut self, dataflow: &Dataflow, base: Option<&Base>) {
        for input in &mut self.inputs {
            input.feed(dataflow.shards());
            if dataflow.trusts_record_key() {
                let rules = base.and_then(|base| base.progress(&input.stream.name)?.key_rules.as_deref());
                let claim = KeyClaim::of(&input.stream, input.source.partitions().len());
                input.claim = claim.map(|claim| rules.map_or(claim.clone(), |rules| claim.restored(rules)));
            }
        }
    }
}
