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

use citystream_model::position::{Offset, Partition};
use citystream_model::time::{Micros, Watermark, micros};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Event-time progress of one stream as one job sees it.
#[derive(Debug, Clone)]
pub struct Gate {
    /// How far a row may lie behind the newest one: the stream's delay and the job's lateness.
    allowance: Micros,
    lanes: BTreeMap<Partition, Lane>,
}

/// The gate of one partition; it needs nothing of the others, so that several may judge at once.
#[derive(Debug, Clone)]
pub struct Lane {
    allowance: Micros,
    /// Largest time of all rows that were not rejected, late ones too, raised by heartbeats (`M`).
    newest: Option<Micros>,
    /// Set while the partition is read to its end and silent: since when, wall clock.
    silent_since: Option<Micros>,
    /// Time of the newest row, and how far it lay behind its Kafka record time; heartbeats are no rows.
    newest_row: Option<(Micros, Micros)>,
    /// Heartbeats of an earlier process, to come again: each behind all records below its offset.
    recorded: VecDeque<(Offset, Micros)>,
}

/// What the gate of a partition knows of the rows before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Largest event time, raised by heartbeats (`M`).
    pub newest: Option<Micros>,
    /// Time of the newest row, and how far it lay behind its record time.
    pub newest_row: Option<(Micros, Micros)>,
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
        let allowance = micros(out_of_order).saturating_add(micros(lateness));
        let lanes = partitions.into_iter().map(|partition| (partition, Lane::new(allowance))).collect();
        Self { allowance, lanes }
    }

    fn lane(&mut self, partition: Partition) -> &mut Lane {
        self.lanes.entry(partition).or_insert_with(|| Lane::new(self.allowance))
    }

    /// What it knows of each partition.
    pub fn progress(&self) -> impl Iterator<Item = (Partition, Progress)> + '_ {
        let of = |lane: &Lane| Progress { newest: lane.newest, newest_row: lane.newest_row };
        self.lanes.iter().map(move |(partition, lane)| (*partition, of(lane)))
    }

    /// Goes on with what was known of `partition`.
    pub fn restore(&mut self, partition: Partition, Progress { newest, newest_row }: Progress) {
        let lane = self.lane(partition);
        (lane.newest, lane.newest_row) = (newest, newest_row);
    }

    /// Lets no row pass below `watermark` from now on, as if each partition had got a heartbeat.
    pub fn raise(&mut self, watermark: Watermark) {
        for lane in self.lanes.values_mut() {
            let raised = watermark.0.saturating_add(self.allowance);
            lane.newest = Some(lane.newest.map_or(raised, |newest| newest.max(raised)));
        }
    }

    /// Has a heartbeat of an earlier process come again behind all records of `partition` below `offset`; they are told in
    /// the order in which they came.
    pub fn record(&mut self, partition: Partition, offset: Offset, newest: Micros) {
        self.lane(partition).recorded.push_back((offset, newest));
    }

    /// As [`Lane::catch_up`], for `partition`.
    pub fn catch_up(&mut self, partition: Partition, offset: Offset) {
        self.lane(partition).catch_up(offset);
    }

    /// The gates of all partitions.
    pub fn lanes(&mut self) -> impl Iterator<Item = (Partition, &mut Lane)> {
        self.lanes.iter_mut().map(|(partition, lane)| (*partition, lane))
    }

    /// Takes in a partition that came into being.
    ///
    /// Its rows must not come behind a watermark that has been given, so it starts with the watermark as its own.
    pub fn add(&mut self, partition: Partition, watermark: Watermark) {
        if !self.lanes.contains_key(&partition) {
            self.start_at(partition, watermark);
        }
    }

    /// As [`Self::add`], for a partition that came into being before the first row was read.
    pub fn start_at(&mut self, partition: Partition, watermark: Watermark) {
        let newest = (watermark != Watermark::NONE).then(|| watermark.0.saturating_add(self.allowance));
        self.lanes.insert(partition, Lane { newest, ..Lane::new(self.allowance) });
    }

    /// As [`Lane::judge`], for rows of `partition`.
    pub fn judge(&mut self, partition: Partition, times: &[Micros], record_time: Micros) -> Verdict {
        self.lane(partition).judge(times, record_time)
    }

    /// Notes that `partition` has records again, whatever becomes of them.
    pub fn heard(&mut self, partition: Partition) {
        self.lane(partition).silent_since = None;
    }

    /// Notes that `partition` has been read to its end and has nothing more at wall-clock time `now`.
    pub fn at_end(&mut self, partition: Partition, now: Micros) {
        self.lane(partition).silent_since.get_or_insert(now);
    }

    /// Heartbeats that are due at `now`: see "Idle" in the interface. They have taken effect when this returns.
    pub fn heartbeats(&mut self, idle: Duration, now: Micros) -> Vec<Heartbeat> {
        let idle = micros(idle);
        let is_idle = |lane: &Lane| lane.silent_since.is_some_and(|since| now.saturating_sub(since) >= idle);
        let busy = self.lanes.values().filter(|lane| !is_idle(lane));
        let raised = if busy.clone().next().is_some() {
            // A busy partition without any row yet has promised nothing.
            busy.map(|lane| lane.newest).min().flatten()
        } else {
            let newest_row = self.lanes.values().filter_map(|lane| lane.newest_row).max();
            // A replay of old data that pauses must not run after the clock.
            newest_row.filter(|(_, behind)| *behind <= idle).map(|_| now.saturating_sub(idle))
        };
        let Some(raised) = raised else { return Vec::new() };
        let mut heartbeats = Vec::new();
        for (&partition, lane) in &mut self.lanes {
            if is_idle(lane) && lane.newest.is_none_or(|newest| newest < raised) {
                lane.newest = Some(raised);
                heartbeats.push(Heartbeat { partition, newest: raised });
            }
        }
        heartbeats
    }

    /// The watermark of the stream for this job: no row that is admitted from now on lies below it.
    pub fn watermark(&self) -> Watermark {
        self.slowest().map_or(Watermark::NONE, |(_, watermark)| watermark)
    }

    /// The watermark of a job that reads the streams of `gates`: the smallest of theirs.
    pub fn watermark_of<'a>(gates: impl IntoIterator<Item = &'a Self>) -> Watermark {
        gates.into_iter().map(Self::watermark).min().unwrap_or(Watermark::NONE)
    }

    /// The partition that holds the watermark back, with its own watermark.
    pub fn slowest(&self) -> Option<(Partition, Watermark)> {
        self.watermarks().min_by_key(|(_, watermark)| *watermark)
    }

    /// The watermark of each partition.
    pub fn watermarks(&self) -> impl Iterator<Item = (Partition, Watermark)> + '_ {
        self.lanes.iter().map(|(&partition, lane)| (partition, lane.watermark()))
    }

    /// True while `partition` is at its end.
    pub fn is_at_end(&self, partition: Partition) -> bool {
        self.lanes.get(&partition).is_some_and(|lane| lane.silent_since.is_some())
    }
}

// === impl Lane ===

impl Lane {
    fn new(allowance: Micros) -> Self {
        Self { allowance, newest: None, silent_since: None, newest_row: None, recorded: VecDeque::new() }
    }

    /// Takes in the recorded heartbeats that came before the record at `offset`, which is the next one to be judged.
    pub fn catch_up(&mut self, offset: Offset) {
        while let Some((_, newest)) = self.recorded.pop_front_if(|(at, _)| *at <= offset) {
            self.newest = Some(self.newest.map_or(newest, |known| known.max(newest)));
        }
    }

    /// Judges rows of the partition in offset order. `record_time` is the Kafka time of the newest of them.
    pub fn judge(&mut self, times: &[Micros], record_time: Micros) -> Verdict {
        if times.is_empty() {
            return Verdict::AllAdmitted;
        }
        let before = self.newest.unwrap_or(Micros::MIN);
        let (smallest, largest) =
            times.iter().fold((Micros::MAX, before), |(low, high), &at| (low.min(at), high.max(at)));
        let newest_row = times.iter().copied().max().unwrap_or(Micros::MIN);
        if self.newest_row.is_none_or(|(known, _)| newest_row > known) {
            self.newest_row = Some((newest_row, record_time.saturating_sub(newest_row)));
        }
        self.newest = Some(largest);
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

    /// No row of the partition that is admitted from now on lies below it.
    fn watermark(&self) -> Watermark {
        self.newest.map_or(Watermark::NONE, |newest| Watermark(newest.saturating_sub(self.allowance)))
    }
}

#[cfg(test)]
mod tests;
