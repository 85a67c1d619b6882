//! One job: the loop that reads, decodes, admits, computes and writes.

use crate::checkpoint::Checkpoints;
use crate::input::Input;
use crate::metrics::Metrics;
use crate::output::Output;
use crate::replay::Replaying;
use crate::status::{State, StatusBoard};
use crate::stop::Stop;
use crate::threads::Threads;
use arrow::record_batch::RecordBatch;
use citystream_connect::{Published, Sink, SourceEvent};
use citystream_model::Result;
use citystream_model::job::{Emit, JobSpec};
use citystream_model::position::Partition;
use citystream_model::time::{Clock, Micros, Watermark, has_passed, micros};
use citystream_operators::admit::{Gate, Heartbeat};
use citystream_operators::dataflow::Dataflow;
use citystream_operators::memory::Memory;
use citystream_state::manifest::ReplayedBeat;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use work::Polled;

/// How a job tries again; a macro, since its sinks are borrowed meanwhile.
macro_rules! retries {
    ($job:ident) => {
        $crate::output::Retries {
            job: &$job.spec.name,
            stop: &$job.stop,
            status: &$job.status,
            pause: $job.retry_pause,
        }
    };
}

mod commit;
mod report;
mod work;

/// Longest wait for records when nothing happens; also how late a stop or a heartbeat may be noticed.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Time between two looks at lag and buffers.
const REPORT_EVERY: Micros = 250_000;

/// What is too much to stand in memory at once.
#[derive(Debug, Clone, Copy)]
pub struct Relief {
    /// Windows that hold so many bytes of state close a few at a time.
    pub state: usize,
    /// So many bytes of output are published at once.
    pub output: u64,
}

/// A job whose loop runs on the calling thread.
pub struct Job {
    // PROPERTIES
    /// Its policies.
    pub spec: JobSpec,
    /// What state, buffers and closing windows may take.
    pub memory: Arc<Memory>,
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// Set to end the job.
    pub stop: Stop,
    /// Time between two tries of what the environment does not take.
    pub retry_pause: Duration,
    /// When results leave the memory before their time.
    pub relief: Relief,
    // STATES
    /// Its streams, in the order of the plan's inputs.
    pub inputs: Vec<Input>,
    /// Its operators.
    pub dataflow: Dataflow,
    /// What runs their shards.
    pub threads: Threads,
    /// Results to rows.
    pub output: Output,
    /// Where results go.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Late tables, per stream; none when late rows are dropped.
    pub late: Vec<Option<Box<dyn Sink>>>,
    /// Rejects tables, per stream.
    pub rejects: Vec<Box<dyn Sink>>,
    /// Partitions that wait for slower ones.
    pub paused: BTreeSet<(usize, Partition)>,
    /// When results were last put out before they were final.
    pub fired_at: Micros,
    /// When lag and buffers were last looked at.
    pub reported_at: Micros,
    /// What it reads again before it goes on: nothing is written meanwhile.
    pub replay: Option<Replaying>,
    /// Its checkpoints, if it makes any.
    pub checkpoints: Option<Checkpoints>,
    // METRICS
    /// Counters of the process.
    pub metrics: Metrics,
    /// The job's own totals.
    pub status: StatusBoard,
    /// Rows on which an expression failed, in all.
    pub expression_errors: Box<dyn Fn() -> u64 + Send>,
}

// === impl Relief ===

impl Relief {
    /// What a job with this memory limit does.
    pub fn of(memory: &Memory) -> Self {
        Self { state: 64 << 20, output: memory.limit() / 4 }
    }
}

// === impl Job ===

impl Job {
    /// Runs until the input ends or the stop signal is set; then everything final is published.
    ///
    /// # Errors
    /// Whatever ends the job; nothing is half published then.
    pub fn run(mut self) -> Result<()> {
        self.show_state();
        let mut busy = true;
        while !self.has_ended() {
            busy = self.step(busy)?;
        }
        self.finish()
    }

    /// True when it was asked to stop, or has read all that it is to read.
    pub fn has_ended(&self) -> bool {
        self.stop.is_set() || self.is_finished()
    }

    fn is_finished(&self) -> bool {
        self.replay.is_none() && self.inputs.iter().all(Input::is_finished)
    }

    /// One turn of the loop; true when there were records. `busy` says so of the turn before.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn step(&mut self, busy: bool) -> Result<bool> {
        let busy = self.round(busy)?;
        let now = self.clock.now();
        if has_passed(self.reported_at, REPORT_EVERY, now) {
            self.report(now)?;
        }
        self.publish(false, now)?;
        self.commit_if_due(now)?;
        Ok(busy)
    }

    /// Publishes all that is final, and says where a later run goes on.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn finish(mut self) -> Result<()> {
        if self.is_finished() {
            self.close_windows()?;
        }
        self.publish(true, self.clock.now())?;
        // A start after an orderly end has nothing to read again.
        self.checkpoints.iter_mut().for_each(Checkpoints::seal_next);
        self.commit_all()?;
        // Nor has it files to publish again: they may be merged or moved while the job is down.
        if self.checkpoints.as_ref().is_some_and(Checkpoints::has_staged) {
            self.commit_all()?;
        }
        self.report(self.clock.now())
    }

    /// Closes all windows: nothing comes behind the end of the input. A later run goes on behind the largest end of a window,
    /// as if every partition had got a heartbeat there.
    fn close_windows(&mut self) -> Result<()> {
        // What comes out of some windows may open later ones.
        while let Some(end) = self.dataflow.last_end().filter(|end| *end > self.dataflow.watermark().0) {
            self.raise_gates(Watermark(end));
            self.advance(Watermark(end))?;
        }
        let end = self.dataflow.watermark();
        self.advance(Watermark::END)?;
        if end != Watermark::NONE && end != Watermark::END {
            self.raise_gates(end);
        }
        Ok(())
    }

    fn raise_gates(&mut self, watermark: Watermark) {
        self.inputs.iter_mut().for_each(|input| input.gate.raise(watermark));
    }

    /// Takes what all sources have; true when there was something.
    fn round(&mut self, busy: bool) -> Result<bool> {
        let wait = if busy { Duration::ZERO } else { IDLE_WAIT / u32::try_from(self.inputs.len()).unwrap_or(1) };
        let mut polled = Polled::new();
        for stream in 0..self.inputs.len() {
            for event in self.inputs[stream].poll(wait)? {
                self.take(stream, event, &mut polled)?;
            }
        }
        let had_records = !polled.is_empty();
        self.read(polled)?;
        match self.replay {
            None => self.heartbeats(),
            Some(_) => self.inputs.iter_mut().for_each(Input::catch_up),
        }
        self.advance(self.watermark())?;
        if let Some(replay) = self.replay.filter(|_| self.inputs.iter().all(Input::has_been_read_again)) {
            self.end_replay(replay)?;
        }
        self.fire_early()?;
        if had_records {
            // After each round, so that the limit is passed by no more than one round's records.
            self.bound_memory()?;
        }
        Ok(had_records)
    }

    /// The rows that were to be read again are all there: the last of their results are out, and the job goes on.
    fn end_replay(&mut self, replay: Replaying) -> Result<()> {
        let rows = replay.end(&mut self.inputs, self.dataflow.watermark())?;
        self.replay = None;
        self.show_state();
        self.paused.clear();
        // An earlier process has counted them.
        let known = (self.expression_errors)();
        let count = std::mem::replace(&mut self.expression_errors, Box::new(|| 0));
        self.expression_errors = Box::new(move || count() - known);
        self.metrics.replayed_rows.with_label_values(&[&self.spec.name]).inc_by(rows);
        let seconds = replay.started.elapsed().as_secs_f64();
        tracing::info!(
            job = self.spec.name,
            epoch = replay.epoch,
            rows,
            seconds,
            "rows since the checkpoint read again"
        );
        Ok(())
    }

    fn heartbeats(&mut self) {
        let now = self.clock.now();
        for (stream, input) in self.inputs.iter_mut().enumerate() {
            let beats = input.heartbeats(now);
            if let Some(checkpoints) = self.checkpoints.as_mut().filter(|_| !beats.is_empty()) {
                let offset = input.offsets();
                for Heartbeat { partition, newest } in beats.iter().copied() {
                    checkpoints.note_beat(ReplayedBeat { stream, partition, offset: offset(partition), newest });
                }
            }
            for beat in beats {
                tracing::debug!(
                    job = self.spec.name,
                    stream = input.stream.name,
                    partition = beat.partition,
                    "idle partition got a heartbeat"
                );
            }
        }
    }

    /// Takes in what a source says; its records wait in `polled`.
    fn take(&mut self, stream: usize, event: SourceEvent, polled: &mut Polled) -> Result<()> {
        let now = self.clock.now();
        match event {
            SourceEvent::Records { partition, mut records } => {
                self.inputs[stream].take(partition, &mut records);
                polled.entry((stream, partition)).or_default().push(records);
            }
            SourceEvent::AtEnd { partition, offset } => self.inputs[stream].at_end(partition, offset, now),
            SourceEvent::Added { partition } => self.add(stream, partition)?,
            SourceEvent::Unavailable { detail } => {
                tracing::warn!(
                    job = self.spec.name,
                    stream = self.inputs[stream].stream.name,
                    detail,
                    "source is not available, trying again"
                );
                self.inputs[stream].unavailable(detail);
                self.show_state();
            }
            SourceEvent::Recovered => {
                tracing::info!(
                    job = self.spec.name,
                    stream = self.inputs[stream].stream.name,
                    "source is available again"
                );
                self.inputs[stream].recovered(now);
                self.show_state();
            }
        }
        Ok(())
    }

    /// Takes in a partition that came into being.
    fn add(&mut self, stream: usize, partition: Partition) -> Result<()> {
        let (watermark, input) = (self.dataflow.watermark(), &mut self.inputs[stream]);
        tracing::info!(job = self.spec.name, stream = input.stream.name, partition, "new partition");
        input.gate.add(partition, watermark);
        self.metrics.start_partition(&self.spec.name, &input.stream.name, partition);
        // Rows that were polled before stand in partitions of before, and are still to be read: an exchange does no harm.
        self.exchange_from_now_on()
    }

    /// Leaves no exchange out any more.
    fn exchange_from_now_on(&mut self) -> Result<()> {
        self.inputs.iter_mut().for_each(|input| input.claim = None);
        self.dataflow.repartition()
    }

    /// Running or replaying, unless a source is waited for.
    fn show_state(&self) {
        let waits_for = self.inputs.iter().find_map(Input::waits_for);
        let is_up = if self.replay.is_some() { State::Replaying } else { State::Running };
        self.status.update(|status| status.state = waits_for.map_or(is_up, State::Waiting));
    }

    /// The job's watermark: the smallest of all partitions of all streams.
    fn watermark(&self) -> Watermark {
        Gate::watermark_of(self.inputs.iter().map(|input| &input.gate))
    }

    /// Raises the watermark. Where windows hold much they close a few at a time, so that the results of some are written
    /// before those of the next are there.
    fn advance(&mut self, watermark: Watermark) -> Result<()> {
        let state = if watermark > self.dataflow.watermark() { self.dataflow.state_bytes() } else { 0 };
        let much = self.relief.state;
        if state > much {
            let ends: Vec<Micros> = self.dataflow.ends().into_iter().collect();
            let at_once = (much / 4 * ends.len() / state).max(1);
            for some in ends.chunks(at_once) {
                if let Some(end) = some.last().filter(|end| **end < watermark.0) {
                    self.advance_to(Watermark(*end))?;
                    // Windows that have closed are no state any more, but output.
                    self.bound_memory()?;
                }
            }
        }
        self.advance_to(watermark)
    }

    fn advance_to(&mut self, watermark: Watermark) -> Result<()> {
        let rises = watermark > self.dataflow.watermark();
        let started = Instant::now();
        let results = self.dataflow.advance(watermark, &self.threads).map_err(|error| self.explain(error))?;
        if rises {
            self.metrics
                .window_close_seconds
                .with_label_values(&[&self.spec.name])
                .observe(started.elapsed().as_secs_f64());
            self.observe("operators", started);
        }
        self.emit(&results, self.clock.now())
    }

    /// Puts out results that are not final yet, if the job wants them by now.
    fn fire_early(&mut self) -> Result<()> {
        let (now, watermark) = (self.clock.now(), self.dataflow.watermark());
        let until = match self.spec.emit {
            Emit::Final => return Ok(()),
            // The watermark as it would be without lateness: windows have ended by it.
            Emit::Updates if watermark == Watermark::NONE => return Ok(()),
            Emit::Updates => Watermark(watermark.0.saturating_add(micros(self.spec.lateness))),
            Emit::Early(every) if !has_passed(self.fired_at, micros(every), now) => return Ok(()),
            Emit::Early(_) => Watermark::END,
        };
        self.fired_at = now;
        let started = Instant::now();
        let results = self.dataflow.fire_early(until, &self.threads).map_err(|error| self.explain(error))?;
        self.observe("operators", started);
        self.emit(&results, now)
    }

    fn emit(&mut self, results: &[RecordBatch], now: Micros) -> Result<()> {
        // What a replay brings out is out.
        if results.is_empty() || self.replay.is_some() {
            return Ok(());
        }
        let started = Instant::now();
        let rows = self.output.rows(results)?;
        let count: usize = results.iter().map(RecordBatch::num_rows).sum();
        self.status.update(|status| status.results += count as u64);
        retries!(self).write_all(&mut self.sinks, &rows, now)?;
        self.observe("sink", started);
        Ok(())
    }

    /// Publishes what is due in all sinks, or everything.
    fn publish(&mut self, all: bool, now: Micros) -> Result<()> {
        let started = Instant::now();
        let retries = retries!(self);
        let mut own = Vec::new();
        for sink in &mut self.sinks {
            own.extend(retries.publish(sink.as_mut(), all, now)?);
        }
        let mut side = Vec::new();
        for sink in self.late.iter_mut().flatten().chain(&mut self.rejects) {
            side.extend(retries.publish(sink.as_mut(), all, now)?);
        }
        if own.is_empty() && side.is_empty() {
            return Ok(());
        }
        self.observe("sink", started);
        self.count(&own, &side);
        Ok(())
    }

    /// Counts what was published: results, and late rows and rejects.
    fn count(&self, own: &[Published], side: &[Published]) {
        for published in own {
            self.metrics.sink_rows.with_label_values(&[&self.spec.name]).inc_by(published.rows);
            self.metrics.sink_bytes.with_label_values(&[&self.spec.name]).inc_by(published.bytes);
        }
        for Published { sink, path, rows, bytes } in own.iter().chain(side) {
            tracing::debug!(job = self.spec.name, sink, path, rows, bytes, "published");
        }
        self.status.update(|status| own.iter().chain(side).for_each(|published| status.add(published)));
    }

    fn observe(&self, stage: &str, started: Instant) {
        self.metrics.observe(&self.spec.name, stage, started);
    }
}
