//! One stream's partitions as an instance reads them: a few records at a time, in an order that follows from a seed.

use crate::records::Raw;
use citystream_connect::{Source, SourceEvent};
use citystream_model::Result;
use citystream_model::position::{Offset, Partition, Positions, StartFrom};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Most records of one answer.
const MOST: usize = 12;

/// Reads the part of a log that is there.
pub(crate) struct LogSource {
    log: BTreeMap<Partition, Vec<Raw>>,
    starts: BTreeMap<Partition, Offset>,
    next: BTreeMap<Partition, Offset>,
    paused: BTreeSet<Partition>,
    /// A partition that comes into being at a poll to come, unless another instance has seen it before.
    young: Option<Young>,
    rng: StdRng,
}

/// A partition that is not there yet.
struct Young {
    raw: Vec<Raw>,
    partition: Partition,
    polls_left: usize,
    is_grown: Arc<AtomicBool>,
}

// === impl LogSource ===

impl LogSource {
    /// Reads the first `visible` thousandths of each partition of `log`, from where `from` says.
    pub(crate) fn new(log: &[Vec<Raw>], visible: usize, from: &StartFrom, seed: u64) -> Self {
        let cut = |raw: &Vec<Raw>| raw[..raw.len() * visible / 1_000].to_vec();
        let log: BTreeMap<Partition, Vec<Raw>> = (0..).zip(log.iter().map(cut)).collect();
        let stored = |partition: &Partition| match from {
            StartFrom::Positions(Positions(stored)) => stored.get(partition).copied().unwrap_or(0),
            _ => 0,
        };
        let starts: BTreeMap<Partition, Offset> = log.keys().map(|partition| (*partition, stored(partition))).collect();
        let (paused, young, rng) = (BTreeSet::new(), None, StdRng::seed_from_u64(seed));
        Self { log, next: starts.clone(), starts, paused, young, rng }
    }

    /// Has the last of several partitions come into being after `polls`, unless all have been seen by some instance.
    pub(crate) fn grows(mut self, polls: usize, is_grown: Arc<AtomicBool>) -> Self {
        if self.log.len() < 2 || is_grown.load(Ordering::Relaxed) {
            return self;
        }
        if let Some((partition, raw)) = self.log.pop_last() {
            self.starts.remove(&partition);
            self.next.remove(&partition);
            self.young = Some(Young { raw, partition, polls_left: polls, is_grown });
        }
        self
    }

    /// Notes that all partitions have been seen.
    pub(crate) fn shown(self, is_grown: &AtomicBool) -> Self {
        is_grown.store(true, Ordering::Relaxed);
        self
    }

    /// Brings a partition into being when its time has come.
    fn grow(&mut self) -> Option<SourceEvent> {
        let young = self.young.as_mut()?;
        if young.polls_left > 0 && !young.is_grown.load(Ordering::Relaxed) {
            young.polls_left -= 1;
            return None;
        }
        let Young { raw, partition, is_grown, .. } = self.young.take()?;
        is_grown.store(true, Ordering::Relaxed);
        self.log.insert(partition, raw);
        self.starts.insert(partition, 0);
        self.next.insert(partition, 0);
        Some(SourceEvent::Added { partition })
    }

    fn end(&self, partition: Partition) -> Offset {
        let last = self.log[&partition].last().map_or(0, |raw| raw.record.offset + 1);
        // What was read before stands in the log even where less of it is visible now.
        last.max(self.starts[&partition])
    }
}

impl Source for LogSource {
    fn partitions(&self) -> Vec<Partition> {
        self.log.keys().copied().collect()
    }

    fn end_offsets(&self) -> BTreeMap<Partition, Offset> {
        self.log.keys().map(|partition| (*partition, self.end(*partition))).collect()
    }

    fn start_offsets(&self) -> BTreeMap<Partition, Offset> {
        self.starts.clone()
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        self.next.clone()
    }

    fn poll(&mut self, _: usize, _: Duration) -> Result<Vec<SourceEvent>> {
        let mut events: Vec<SourceEvent> = self.grow().into_iter().collect();
        for (&partition, raw) in &self.log {
            if self.paused.contains(&partition) || self.rng.random_bool(0.3) {
                continue;
            }
            let (next, most) = (self.next[&partition], self.rng.random_range(1..=MOST));
            let left = raw.iter().filter(|raw| raw.record.offset >= next).take(most);
            let records: citystream_codec::Records = left.map(|raw| raw.record.clone()).collect();
            if let Some(last) = records.last() {
                self.next.insert(partition, last.offset + 1);
                events.push(SourceEvent::Records { partition, records });
            } else {
                events.push(SourceEvent::AtEnd { partition, offset: self.end(partition) });
            }
        }
        Ok(events)
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<()> {
        self.paused.extend(partitions);
        Ok(())
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<()> {
        self.paused.retain(|partition| !partitions.contains(partition));
        Ok(())
    }

    fn lag(&mut self) -> BTreeMap<Partition, i64> {
        self.log.keys().map(|partition| (*partition, self.end(*partition) - self.next[partition])).collect()
    }
}
