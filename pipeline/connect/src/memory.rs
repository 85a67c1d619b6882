//! An in-process source and sink for tests and benches: a script that is played, rows that are collected.
//!
//! Delivery guarantee: exactly what the script says, once; rows are visible when they are flushed or due (at once).
//! There are no options.

use crate::sink::{Published, Publisher, Sink, SinkRows};
use crate::source::{Source, SourceEvent};
use arrow::array::RecordBatch;
use citystream_codec::{Record, Records};
use citystream_model::position::{Offset, Partition, Positions, StartFrom};
use citystream_model::time::Micros;
use citystream_model::{Result, StagedFile};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Plays a script of events; it never waits, and an empty answer means that the script is over or paused.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    // === PROPERTIES ===
    starts: BTreeMap<Partition, Offset>,
    ends: BTreeMap<Partition, Offset>,
    // === STATES ===
    script: VecDeque<SourceEvent>,
    partitions: BTreeSet<Partition>,
    /// Next offset of partitions that events were given of.
    given: BTreeMap<Partition, Offset>,
    paused: BTreeSet<Partition>,
}

/// Collects rows; clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemorySink(Arc<Mutex<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    name: String,
    wants_ids: bool,
    rows: Vec<SinkRows>,
    /// How many of `rows` were reported.
    reported: usize,
}

// === impl MemorySource ===

impl MemorySource {
    /// A source that plays `script`; a partition that is not `Added` by it is there from the start.
    pub fn new(script: impl IntoIterator<Item = SourceEvent>) -> Self {
        let mut source = Self { script: script.into_iter().collect(), ..Self::default() };
        let mut added = BTreeSet::new();
        for event in &source.script {
            let (partition, first, end) = match event {
                SourceEvent::Added { partition } => {
                    added.insert(*partition);
                    continue;
                }
                SourceEvent::Records { partition, records } => {
                    let Some((first, last)) = records.first().zip(records.last()) else { continue };
                    (*partition, first.offset, last.offset + 1)
                }
                SourceEvent::AtEnd { partition, offset } => (*partition, *offset, *offset),
                SourceEvent::Unavailable { .. } | SourceEvent::Recovered => continue,
            };
            source.starts.entry(partition).or_insert(first);
            if !added.contains(&partition) {
                source.partitions.insert(partition);
                let known = source.ends.entry(partition).or_insert(end);
                *known = end.max(*known);
            }
        }
        source
    }

    /// A source that reads `log` from where `from` says, each partition to its end, one after the other.
    pub fn of_log(log: &BTreeMap<Partition, Vec<Record>>, from: &StartFrom) -> Self {
        let mut source = Self::default();
        for (partition, records) in log {
            let end = records.last().map_or(0, |record| record.offset + 1);
            let start = match from {
                StartFrom::Earliest => 0,
                StartFrom::Latest => end,
                StartFrom::Time(at) => {
                    records.iter().find(|record| record.timestamp >= *at).map_or(end, |record| record.offset)
                }
                StartFrom::Positions(Positions(stored)) => stored.get(partition).copied().unwrap_or(0),
            };
            let left: Records = records.iter().filter(|record| record.offset >= start).cloned().collect();
            if !left.is_empty() {
                source.script.push_back(SourceEvent::Records { partition: *partition, records: left });
            }
            source.script.push_back(SourceEvent::AtEnd { partition: *partition, offset: end.max(start) });
            source.partitions.insert(*partition);
            source.starts.insert(*partition, start);
            source.ends.insert(*partition, end);
        }
        source
    }

    /// Appends to the script.
    pub fn push(&mut self, event: SourceEvent) {
        self.script.push_back(event);
    }

    /// True when the whole script was played.
    pub fn is_over(&self) -> bool {
        self.script.is_empty()
    }

    /// Notes that an event is given.
    fn note(&mut self, event: &SourceEvent) {
        let (partition, next) = match event {
            SourceEvent::Records { partition, records } => {
                (*partition, records.last().map_or(0, |last| last.offset + 1))
            }
            SourceEvent::AtEnd { partition, offset } => (*partition, *offset),
            SourceEvent::Added { partition } => {
                self.partitions.insert(*partition);
                return;
            }
            SourceEvent::Unavailable { .. } | SourceEvent::Recovered => return,
        };
        let known = self.given.entry(partition).or_insert(next);
        *known = next.max(*known);
    }

    fn is_paused(&self, event: &SourceEvent) -> bool {
        match event {
            SourceEvent::Records { partition, .. } | SourceEvent::AtEnd { partition, .. } => {
                self.paused.contains(partition)
            }
            _ => false,
        }
    }
}

impl Source for MemorySource {
    fn partitions(&self) -> Vec<Partition> {
        self.partitions.iter().copied().collect()
    }

    fn end_offsets(&self) -> BTreeMap<Partition, Offset> {
        self.ends.clone()
    }

    fn start_offsets(&self) -> BTreeMap<Partition, Offset> {
        self.starts
            .iter()
            .filter(|(partition, _)| self.partitions.contains(partition))
            .map(|(p, at)| (*p, *at))
            .collect()
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        let mut positions = self.start_offsets();
        positions.extend(self.given.iter().filter(|(partition, _)| self.partitions.contains(partition)));
        positions
    }

    fn poll(&mut self, max_records: usize, _wait: Duration) -> Result<Vec<SourceEvent>> {
        let mut found = Vec::new();
        let mut held = VecDeque::new();
        let mut left = max_records;
        while let Some(mut event) = self.script.pop_front() {
            if self.is_paused(&event) {
                held.push_back(event);
                continue;
            }
            if left == 0 {
                held.push_back(event);
                break;
            }
            if let SourceEvent::Records { partition, records } = &mut event {
                if records.len() > left {
                    let rest = records.split_off(left);
                    held.push_back(SourceEvent::Records { partition: *partition, records: rest });
                    self.note(&event);
                    found.push(event);
                    break;
                }
                left -= records.len();
            }
            self.note(&event);
            found.push(event);
        }
        held.append(&mut self.script);
        self.script = held;
        Ok(found)
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
        let mut lag: BTreeMap<Partition, i64> = self.partitions.iter().map(|partition| (*partition, 0)).collect();
        for event in &self.script {
            if let SourceEvent::Records { partition, records } = event
                && let Some(lag) = lag.get_mut(partition)
            {
                *lag += i64::try_from(records.len()).unwrap_or(i64::MAX);
            }
        }
        lag
    }
}

// === impl MemorySink ===

impl MemorySink {
    /// A sink called `name` in [`Published::sink`].
    pub fn new(name: impl Into<String>, wants_ids: bool) -> Self {
        Self(Arc::new(Mutex::new(Collected { name: name.into(), wants_ids, ..Collected::default() })))
    }

    /// Everything written so far.
    pub fn rows(&self) -> Vec<SinkRows> {
        self.lock().rows.clone()
    }

    /// The batches of everything written so far.
    pub fn batches(&self) -> Vec<RecordBatch> {
        self.lock().rows.iter().map(|rows| rows.batch.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for MemorySink {
    fn wants_ids(&self) -> bool {
        self.lock().wants_ids
    }

    fn write(&mut self, rows: &SinkRows, _now: Micros) -> Result<()> {
        self.lock().rows.push(rows.clone());
        Ok(())
    }

    fn publish_due(&mut self, _now: Micros) -> Result<Vec<Published>> {
        self.flush()
    }

    fn flush(&mut self) -> Result<Vec<Published>> {
        let mut collected = self.lock();
        let fresh = collected.rows.get(collected.reported..).unwrap_or_default();
        let rows = fresh.iter().map(|rows| rows.batch.num_rows() as u64).sum();
        let bytes = fresh.iter().map(|rows| rows.batch.get_array_memory_size() as u64).sum();
        collected.reported = collected.rows.len();
        let sink = collected.name.clone();
        Ok(if rows == 0 { Vec::new() } else { vec![Published { path: sink.clone(), sink, rows, bytes }] })
    }

    fn buffered_bytes(&self) -> usize {
        0
    }
    fn is_due(&self, _now: Micros) -> bool {
        false
    }

    fn stage(&mut self) -> Result<Vec<StagedFile>> {
        Ok(Vec::new())
    }

    fn publisher(&self) -> Option<Arc<dyn Publisher>> {
        None
    }
}
