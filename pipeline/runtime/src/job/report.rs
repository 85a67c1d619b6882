//! How a job is doing: lag, watermarks, memory; and what it does when memory is short.

use super::Job;
use crate::align::{self, Progress};
use crate::checkpoint::Checkpoints;
use citystream_model::duration::{format_duration, format_size};
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many operators are named when memory is short.
const NAMED: usize = 3;

impl Job {
    /// Looks at lag, watermarks and buffers; pauses what runs too far ahead; fails beyond the memory limit.
    pub(super) fn report(&mut self, now: Micros) -> Result<()> {
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
        // Those of rows that are read again were counted by whoever read them first.
        let errors = if self.replay.is_some() { 0 } else { (self.expression_errors)() };
        let watermark = self.dataflow.watermark();
        self.status.update(|status| {
            status.expression_errors = errors;
            status.lag = lag;
            status.watermark = Some(watermark);
            status.held_back_by = slowest;
        });
        let counter = self.metrics.expression_errors.with_label_values(&[&self.spec.name]);
        counter.inc_by(errors.saturating_sub(counter.get()));
        self.metrics.open_windows.with_label_values(&[&self.spec.name]).set(self.dataflow.open_windows() as i64);
        self.bound_memory()
    }

    /// Near the limit: publishes early, then lets fast partitions wait. Beyond it: fails.
    pub(super) fn bound_memory(&mut self) -> Result<()> {
        let (state, limit) = (self.dataflow.state_bytes() as u64, self.memory.limit());
        let mut buffers = self.buffered_bytes();
        if buffers > self.relief.output {
            self.relieve()?;
            buffers = self.buffered_bytes();
        }
        self.metrics.state_bytes.with_label_values(&[&self.spec.name]).set((state + buffers) as i64);
        self.memory.hold((state + buffers) as usize);
        if state + buffers > limit {
            return Err(self.too_large(state, buffers));
        }
        self.align(state > limit / 4)
    }

    /// Says why closing windows did not get the memory that they asked for: DataFusion's own words name its parts.
    pub(super) fn explain(&self, error: Error) -> Error {
        match self.memory.refused().filter(|_| error.kind() == ErrorKind::Resource) {
            None => error,
            Some(refused) => {
                let largest = self.largest(self.buffered_bytes());
                let largest = if largest.is_empty() { largest } else { format!("; largest beside it: {largest}") };
                Error::resource(format!("memory limit reached: {refused}{largest}"))
            }
        }
    }

    /// Says what takes the memory, and how much would be needed to go on.
    fn too_large(&self, state: u64, buffers: u64) -> Error {
        Error::resource(format!(
            "memory limit reached: found {}, expected at most {}; largest: {}; set memory_limit to more than {}, or make windows smaller",
            format_size(state + buffers),
            format_size(self.memory.limit()),
            self.largest(buffers),
            format_size(state + buffers),
        ))
    }

    /// What holds most.
    fn largest(&self, buffers: u64) -> String {
        let mut operators = self.dataflow.state();
        operators.sort_by_key(|operator| std::cmp::Reverse(operator.bytes));
        let largest = operators.iter().take(NAMED).filter(|operator| operator.bytes > 0).map(|operator| {
            let windows = operator.open_windows.count();
            format!("{} {} in {windows} open windows", operator.name, format_size(operator.bytes as u64))
        });
        let largest = largest.chain((buffers > 0).then(|| format!("unpublished output {}", format_size(buffers))));
        largest.collect::<Vec<_>>().join(", ")
    }

    fn buffered_bytes(&self) -> u64 {
        let under_way = self.checkpoints.as_ref().map_or(0, Checkpoints::bytes_under_way);
        self.all_sinks().map(|sink| sink.buffered_bytes() as u64).sum::<u64>() + under_way as u64
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
}
