//! The gate: decides once, per row and in the order of its own Kafka partition, whether a row is late.
//!
//! ```text
//!   partition 0, out of order 10 s     offset  time    M before   verdict
//!                                      0       10:00   none       admitted
//!                                      1       10:30   10:00      admitted
//!                                      2       10:19   10:30      late: 10:19 < 10:30 - 10 s
//!                                      3       10:20   10:30      admitted
//! ```
//!
//! Neither other partitions nor the cuts of batches nor the clock have a say, so the same log gives the same late rows.

use citystream_model::position::Partition;
use citystream_model::time::{Micros, Watermark, micros};
use std::collections::BTreeMap;
use std::time::Duration;

/// Event-time progress of one stream as one job sees it.
#[derive(Debug, Clone)]
pub struct Gate {
    /// How far a row may lie behind the newest one: the stream's delay and the job's lateness.
    allowance: Micros,
    partitions: BTreeMap<Partition, Progress>,
}

/// Event-time progress of one partition.
#[derive(Debug, Clone, Default)]
struct Progress {
    /// Largest time of all rows that were not rejected, late ones too, raised by heartbeats (`M`).
    newest: Option<Micros>,
    /// Set while the partition is read to its end and silent: since when, wall clock.
    silent_since: Option<Micros>,
    /// Time of the newest row, and how far it lay behind its Kafka record time; heartbeats are no rows.
    newest_row: Option<(Micros, Micros)>,
}

/// The gate's verdict over a run of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No row is late.
    AllAdmitted,
    /// Per row: `None` for an admitted row, else the watermark that it came behind.
    Mixed(Vec<Option<Watermark>>),
}

/// A heartbeat: `newest` of a silent partition rises. It is recorded with the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// The silent partition.
    pub partition: Partition,
    /// Its new `M`.
    pub newest: Micros,
}

// === impl Gate ===

impl Gate {
    /// A gate for rows that may come `out_of_order` plus the job's `lateness` behind the newest of their partition.
    pub fn new(out_of_order: Duration, lateness: Duration, partitions: impl IntoIterator<Item = Partition>) -> Self {
        let partitions = partitions.into_iter().map(|partition| (partition, Progress::default())).collect();
        Self { allowance: micros(out_of_order).saturating_add(micros(lateness)), partitions }
    }

    /// Takes in a partition that came into being.
    ///
    /// Its rows must not come behind a watermark that has been given, so it starts with the watermark as its own.
    pub fn add(&mut self, partition: Partition, watermark: Watermark) {
        let newest = (watermark != Watermark::NONE).then(|| watermark.0.saturating_add(self.allowance));
        self.partitions.entry(partition).or_insert(Progress { newest, ..Progress::default() });
    }

    /// Judges rows of one partition in offset order. `record_time` is the Kafka time of the newest of them.
    pub fn judge(&mut self, partition: Partition, times: &[Micros], record_time: Micros) -> Verdict {
        let progress = self.partitions.entry(partition).or_default();
        if times.is_empty() {
            return Verdict::AllAdmitted;
        }
        progress.silent_since = None;
        let before = progress.newest.unwrap_or(Micros::MIN);
        let (smallest, largest) =
            times.iter().fold((Micros::MAX, before), |(low, high), &at| (low.min(at), high.max(at)));
        let newest_row = times.iter().copied().max().unwrap_or(Micros::MIN);
        if progress.newest_row.is_none_or(|(known, _)| newest_row > known) {
            progress.newest_row = Some((newest_row, record_time.saturating_sub(newest_row)));
        }
        progress.newest = Some(largest);
        // No row can be late when even the smallest lies within the allowance of the largest.
        if smallest >= largest.saturating_sub(self.allowance) {
            return Verdict::AllAdmitted;
        }
        let mut newest = before;
        let verdicts: Vec<_> = times
            .iter()
            .map(|&at| {
                let watermark = Watermark(newest.saturating_sub(self.allowance));
                newest = newest.max(at);
                (at < watermark.0).then_some(watermark)
            })
            .collect();
        if verdicts.iter().all(Option::is_none) { Verdict::AllAdmitted } else { Verdict::Mixed(verdicts) }
    }

    /// Notes that `partition` has records again, whatever becomes of them.
    pub fn heard(&mut self, partition: Partition) {
        self.partitions.entry(partition).or_default().silent_since = None;
    }

    /// Notes that `partition` has been read to its end and has nothing more at wall-clock time `now`.
    pub fn at_end(&mut self, partition: Partition, now: Micros) {
        self.partitions.entry(partition).or_default().silent_since.get_or_insert(now);
    }

    /// Heartbeats that are due at `now`: see "Idle" in the interface. They have taken effect when this returns.
    pub fn heartbeats(&mut self, idle: Duration, now: Micros) -> Vec<Heartbeat> {
        let idle = micros(idle);
        let is_idle =
            |progress: &Progress| progress.silent_since.is_some_and(|since| now.saturating_sub(since) >= idle);
        let busy = self.partitions.values().filter(|progress| !is_idle(progress));
        let raised = if busy.clone().next().is_some() {
            // A busy partition without any row yet has promised nothing.
            busy.map(|progress| progress.newest).min().flatten()
        } else {
            let newest_row = self.partitions.values().filter_map(|progress| progress.newest_row).max();
            // A replay of old data that pauses must not run after the clock.
            newest_row.filter(|(_, behind)| *behind <= idle).map(|_| now.saturating_sub(idle))
        };
        let Some(raised) = raised else { return Vec::new() };
        let mut heartbeats = Vec::new();
        for (&partition, progress) in &mut self.partitions {
            if is_idle(progress) && progress.newest.is_none_or(|newest| newest < raised) {
                progress.newest = Some(raised);
                heartbeats.push(Heartbeat { partition, newest: raised });
            }
        }
        heartbeats
    }

    /// The watermark of the stream for this job: no row that is admitted from now on lies below it.
    pub fn watermark(&self) -> Watermark {
        self.slowest().map_or(Watermark::NONE, |(_, watermark)| watermark)
    }

    /// The partition that holds the watermark back, with its own watermark.
    pub fn slowest(&self) -> Option<(Partition, Watermark)> {
        self.watermarks().min_by_key(|(_, watermark)| *watermark)
    }

    /// The watermark of each partition.
    pub fn watermarks(&self) -> impl Iterator<Item = (Partition, Watermark)> + '_ {
        self.partitions.iter().map(|(&partition, progress)| {
            let behind = |newest: Micros| Watermark(newest.saturating_sub(self.allowance));
            (partition, progress.newest.map_or(Watermark::NONE, behind))
        })
    }

    /// True while `partition` is at its end.
    pub fn is_at_end(&self, partition: Partition) -> bool {
        self.partitions.get(&partition).is_some_and(|progress| progress.silent_since.is_some())
    }
}

#[cfg(test)]
mod tests;
