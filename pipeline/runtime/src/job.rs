//! One job: the loop that reads, decodes, admits, computes and writes.

use crate::align::{self, Progress};
use crate::input::{Input, MAX_RECORDS, Read};
use crate::metrics::Metrics;
use crate::output::{Output, Retries};
use crate::status::{State, StatusBoard};
use crate::stop::Stop;
use arrow::record_batch::RecordBatch;
use citystream_codec::rejects_batch;
use citystream_connect::{Published, Sink, SinkRows, SourceEvent};
use citystream_model::duration::format_duration;
use citystream_model::job::JobSpec;
use citystream_model::position::Partition;
use citystream_model::time::{Clock, Micros, Watermark};
use citystream_model::{Error, Result};
use citystream_operators::graph::Graph;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for records when nothing happens; also how late a stop or a heartbeat may be noticed.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// Time between two looks at lag and buffers.
const REPORT_EVERY: Micros = 250_000;

/// A job that runs on the calling thread.
pub struct Job {
    // PROPERTIES
    /// Its policies.
    pub spec: JobSpec,
    /// Most bytes of state and buffers.
    pub memory_limit: u64,
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// Set to end the job.
    pub stop: Stop,
    // STATES
    /// Its streams, in the order of the plan's inputs.
    pub inputs: Vec<Input>,
    /// Its operators.
    pub graph: Graph,
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
    /// When lag and buffers were last looked at.
    pub reported_at: Micros,
    // METRICS
    /// Counters of the process.
    pub metrics: Metrics,
    /// The job's own totals.
    pub status: StatusBoard,
    /// Rows on which an expression failed, in all.
    pub expression_errors: Box<dyn Fn() -> u64 + Send>,
}

// === impl Job ===

impl Job {
    /// Runs until the input ends or the stop signal is set; then everything final is published.
    ///
    /// # Errors
    /// Whatever ends the job; nothing is half published then.
    pub fn run(mut self) -> Result<()> {
        self.status.update(|status| status.state = State::Running);
        let mut busy = true;
        while !self.stop.is_set() && !self.inputs.iter().all(Input::is_finished) {
            busy = self.round(busy)?;
            let now = self.clock.now();
            if now - self.reported_at >= REPORT_EVERY {
                self.report(now)?;
            }
            self.publish(false, now)?;
        }
        if self.inputs.iter().all(Input::is_finished) {
            self.advance(Watermark::END)?;
        }
        let now = self.clock.now();
        self.publish(true, now)?;
        self.report(now)
    }

    /// Takes what all sources have; true when there was something.
    fn round(&mut self, busy: bool) -> Result<bool> {
        let wait = if busy { Duration::ZERO } else { IDLE_WAIT / u32::try_from(self.inputs.len()).unwrap_or(1) };
        let mut had_records = false;
        for stream in 0..self.inputs.len() {
            for event in self.inputs[stream].source.poll(MAX_RECORDS, wait)? {
                had_records |= matches!(event, SourceEvent::Records { .. });
                self.take(stream, event)?;
            }
            let now = self.clock.now();
            let input = &mut self.inputs[stream];
            for beat in input.heartbeats(now) {
                tracing::debug!(
                    job = self.spec.name,
                    stream = input.stream.name,
                    partition = beat.partition,
                    "idle partition got a heartbeat"
                );
            }
        }
        self.advance(self.watermark())?;
        if had_records {
            // After each round, so that the limit is passed by no more than one round's records.
            self.bound_memory()?;
        }
        Ok(had_records)
    }

    fn take(&mut self, stream: usize, event: SourceEvent) -> Result<()> {
        let now = self.clock.now();
        match event {
            SourceEvent::Records { partition, records } => {
                let started = Instant::now();
                let read = self.inputs[stream].read(partition, records, now)?;
                self.observe("decode", started);
                self.records(stream, read, now)?;
            }
            SourceEvent::AtEnd { partition, offset } => self.inputs[stream].at_end(partition, offset, now),
            SourceEvent::Added { partition } => self.add(stream, partition),
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
    fn add(&mut self, stream: usize, partition: Partition) {
        let (watermark, input) = (self.graph.watermark(), &mut self.inputs[stream]);
        tracing::info!(job = self.spec.name, stream = input.stream.name, partition, "new partition");
        input.gate.add(partition, watermark);
        self.metrics.start_partition(&self.spec.name, &input.stream.name, partition);
    }

    /// Running, unless a source is waited for.
    fn show_state(&self) {
        let waits_for = self.inputs.iter().find_map(Input::waits_for);
        self.status.update(|status| status.state = waits_for.map_or(State::Running, State::Waiting));
    }

    /// Counts what was read and passes it on.
    fn records(&mut self, stream: usize, read: Read, now: Micros) -> Result<()> {
        let started = Instant::now();
        let name = self.inputs[stream].stream.name.clone();
        let labels = [self.spec.name.as_str(), name.as_str()];
        let admitted = read.admitted.as_ref().map_or(0, RecordBatch::num_rows) as u64;
        let late = read.late.as_ref().map_or(0, |(batch, _)| batch.num_rows()) as u64;
        self.metrics.source_rows.with_label_values(&labels).inc_by(read.records);
        self.metrics.source_bytes.with_label_values(&labels).inc_by(read.bytes);
        self.metrics.admitted_rows.with_label_values(&labels).inc_by(admitted);
        self.metrics.late_rows.with_label_values(&labels).inc_by(late);
        self.metrics.tombstones.with_label_values(&labels).inc_by(read.tombstones);
        for reject in &read.rejects {
            self.metrics.rejected_rows.with_label_values(&[labels[0], labels[1], reject.reason.as_str()]).inc();
        }
        let rejected = read.rejects.len() as u64;
        self.status.update(|status| {
            status.read += read.records;
            status.admitted += admitted;
            status.late += late;
            status.rejected += rejected;
            read.rejects
                .iter()
                .for_each(|reject| *status.rejected_reasons.entry(reject.reason.as_str()).or_default() += 1);
            status.tombstones += read.tombstones;
        });
        self.keep_late(stream, read.late, now)?;
        self.keep_rejects(stream, &read.rejects, now)?;
        self.observe("admit", started);
        let Some(batch) = read.admitted else { return Ok(()) };
        let started = Instant::now();
        let results = self.graph.push(stream, &batch)?;
        self.observe("operators", started);
        self.emit(&results, now)
    }

    fn keep_late(&mut self, stream: usize, late: Option<(RecordBatch, Vec<Micros>)>, now: Micros) -> Result<()> {
        let (Some((batch, times)), Some(sink)) = (late, &mut self.late[stream]) else { return Ok(()) };
        let rows = SinkRows { batch, event_times: times.into_iter().map(Some).collect(), ids: Vec::new() };
        let retries = Retries { job: &self.spec.name, stop: &self.stop, status: &self.status };
        retries.until_done(|| sink.write(&rows, now))
    }

    fn keep_rejects(&mut self, stream: usize, rejects: &[citystream_codec::Reject], now: Micros) -> Result<()> {
        let (Some(first), sink) = (rejects.first(), &mut self.rejects[stream]) else { return Ok(()) };
        tracing::debug!(
            job = self.spec.name,
            rejects = rejects.len(),
            reason = first.reason.as_str(),
            detail = first.detail,
            "records rejected"
        );
        let batch = rejects_batch(&self.inputs[stream].stream, &self.spec.name, rejects)?;
        let event_times = rejects.iter().map(|reject| Some(reject.record.timestamp)).collect();
        let rows = SinkRows { batch, event_times, ids: Vec::new() };
        let retries = Retries { job: &self.spec.name, stop: &self.stop, status: &self.status };
        retries.until_done(|| sink.write(&rows, now))
    }

    /// The job's watermark: the smallest of all partitions of all streams.
    fn watermark(&self) -> Watermark {
        self.inputs.iter().map(|input| input.gate.watermark()).min().unwrap_or(Watermark::NONE)
    }

    fn advance(&mut self, watermark: Watermark) -> Result<()> {
        if watermark <= self.graph.watermark() {
            return Ok(());
        }
        let started = Instant::now();
        let results = self.graph.advance(watermark)?;
        self.metrics
            .window_close_seconds
            .with_label_values(&[&self.spec.name])
            .observe(started.elapsed().as_secs_f64());
        self.observe("operators", started);
        self.emit(&results, self.clock.now())
    }

    fn emit(&mut self, results: &[RecordBatch], now: Micros) -> Result<()> {
        if results.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let rows = self.output.rows(results)?;
        let count: usize = results.iter().map(RecordBatch::num_rows).sum();
        self.status.update(|status| status.results += count as u64);
        Retries { job: &self.spec.name, stop: &self.stop, status: &self.status }.write_all(
            &mut self.sinks,
            &rows,
            now,
        )?;
        self.observe("sink", started);
        Ok(())
    }

    /// Publishes what is due in all sinks, or everything.
    fn publish(&mut self, all: bool, now: Micros) -> Result<()> {
        let started = Instant::now();
        let retries = Retries { job: &self.spec.name, stop: &self.stop, status: &self.status };
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
        for published in &own {
            self.metrics.sink_rows.with_label_values(&[&self.spec.name]).inc_by(published.rows);
            self.metrics.sink_bytes.with_label_values(&[&self.spec.name]).inc_by(published.bytes);
        }
        for Published { sink, path, rows, bytes } in own.iter().chain(&side) {
            tracing::debug!(job = self.spec.name, sink, path, rows, bytes, "published");
        }
        self.status.update(|status| own.iter().chain(&side).for_each(|published| status.add(published)));
        Ok(())
    }

    /// Looks at lag, watermarks and buffers; pauses what runs too far ahead; fails beyond the memory limit.
    fn report(&mut self, now: Micros) -> Result<()> {
        self.reported_at = now;
        let mut lag = 0;
        for input in &mut self.inputs {
            for (partition, rows) in input.source.lag() {
                lag += rows;
                self.metrics
                    .consumer_lag_rows
                    .with_label_values(&[&self.spec.name, &input.stream.name, &partition.to_string()])
                    .set(rows);
            }
            for (partition, watermark) in input.gate.watermarks().filter(|(_, watermark)| *watermark != Watermark::NONE)
            {
                let delay = now.saturating_sub(watermark.0) as f64 / 1e6;
                self.metrics
                    .watermark_delay
                    .with_label_values(&[&self.spec.name, &input.stream.name, &partition.to_string()])
                    .set(delay);
            }
        }
        let slowest = self.inputs.iter().filter_map(|input| {
            input.gate.slowest().map(|(partition, watermark)| (watermark, &input.stream.name, partition))
        });
        let slowest = slowest
            .min_by_key(|(watermark, _, _)| *watermark)
            .map(|(_, stream, partition)| (stream.clone(), partition));
        let (watermark, errors) = (self.graph.watermark(), (self.expression_errors)());
        self.status.update(|status| {
            status.expression_errors = errors;
            status.lag = lag;
            status.watermark = Some(watermark);
            status.held_back_by = slowest;
        });
        let counter = self.metrics.expression_errors.with_label_values(&[&self.spec.name]);
        counter.inc_by(errors.saturating_sub(counter.get()));
        self.metrics.open_windows.with_label_values(&[&self.spec.name]).set(self.graph.open_windows() as i64);
        self.bound_memory()
    }

    /// Near the limit: publishes early, then lets fast partitions wait. Beyond it: fails.
    fn bound_memory(&mut self) -> Result<()> {
        let state = self.graph.state_bytes() as u64;
        let mut buffers = self.buffered_bytes();
        if buffers > self.memory_limit / 4 {
            self.publish(true, self.clock.now())?;
            buffers = self.buffered_bytes();
        }
        self.metrics.state_bytes.with_label_values(&[&self.spec.name]).set((state + buffers) as i64);
        if state + buffers > self.memory_limit {
            let message = format!(
                "memory limit reached: {state} bytes of open windows and {buffers} bytes of unpublished output, expected at most {} in all; raise memory_limit or make windows smaller",
                self.memory_limit
            );
            return Err(Error::resource(message).with("open_windows", self.graph.open_windows()));
        }
        self.align(state > self.memory_limit / 4)
    }

    fn buffered_bytes(&self) -> u64 {
        let sinks = self.sinks.iter().chain(self.late.iter().flatten()).chain(&self.rejects);
        sinks.map(|sink| sink.buffered_bytes() as u64).sum()
    }

    /// Pauses partitions that run ahead while memory is short, and lets them go on when it is not.
    fn align(&mut self, short: bool) -> Result<()> {
        let progress = self.inputs.iter().enumerate().flat_map(|(stream, input)| {
            input.gate.watermarks().map(move |(partition, watermark)| Progress {
                stream,
                partition,
                watermark,
                at_end: input.is_at_end(partition),
            })
        });
        let progress: Vec<_> = progress.collect();
        let ahead: BTreeSet<_> = if short { align::ahead(&progress).into_iter().collect() } else { BTreeSet::new() };
        for &(stream, partition) in self.paused.difference(&ahead) {
            self.inputs[stream].source.resume(&[partition])?;
        }
        for &(stream, partition) in ahead.difference(&self.paused) {
            tracing::debug!(
                job = self.spec.name,
                partition,
                by = format_duration(Duration::from_micros(align::AHEAD as u64)),
                "partition waits for slower ones"
            );
            self.inputs[stream].source.pause(&[partition])?;
        }
        self.paused = ahead;
        Ok(())
    }

    fn observe(&self, stage: &str, started: Instant) {
        self.metrics
            .stage_seconds
            .with_label_values(&[&self.spec.name, stage])
            .observe(started.elapsed().as_secs_f64());
    }
}
