//! Rows of an earlier process, read again: from where the state was sealed to where its results are out.
//!
//! ```text
//!   partition 0   sealed 40 ──── heartbeat at 52 ──── end 60 | held until all partitions are there
//!   partition 1   sealed 17 ─ end 21 | held
//! ```
//!
//! Each partition stops exactly at its end, and recorded heartbeats come where they came: so the operators become what they
//! were, and what they put out is what they had put out.

use super::Input;
use citystream_codec::Records;
use citystream_connect::SourceEvent;
use citystream_model::position::{Offset, Partition};
use citystream_model::time::{Micros, format_time};
use citystream_model::{Error, Result};
use citystream_state::manifest::{ReplayedBeat, StreamProgress};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is read again of one stream.
#[derive(Debug)]
pub(super) struct Again {
    /// How far it was read, and what its gate knew there.
    known: StreamProgress,
    /// Rows that have to be admitted.
    admitted: u64,
    /// Rows that were, so far.
    found: u64,
    /// Offsets at which heartbeats came.
    cuts: BTreeMap<Partition, BTreeSet<Offset>>,
    /// Partitions that are not at their end.
    left: BTreeSet<Partition>,
}

// === impl Input ===

impl Input {
    /// Reads what an earlier process has read once more, up to where `known` ends: it had admitted so many rows, and its
    /// partitions got `beats`.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Unavailable`], permanent: the log ends before; the source refused.
    pub fn read_again(&mut self, known: &StreamProgress, admitted: u64, beats: &[ReplayedBeat]) -> Result<()> {
        let mut again =
            Again { known: known.clone(), admitted, found: 0, cuts: BTreeMap::new(), left: BTreeSet::new() };
        for beat in beats {
            self.gate.record(beat.partition, beat.offset, beat.newest);
            again.cuts.entry(beat.partition).or_default().insert(beat.offset);
        }
        let (starts, ends) = (self.source.start_offsets(), self.source.end_offsets());
        let (mut left, mut done) = (Vec::new(), Vec::new());
        for partition in self.source.partitions() {
            let end = again.end(partition);
            let at = |offsets: &BTreeMap<Partition, Offset>| offsets.get(&partition).copied().unwrap_or(0);
            if let Some(end) = end.filter(|end| *end > at(&ends)) {
                let message = format!(
                    "topic '{}' partition {partition}: it was read up to offset {end} but the log ends at {}: the topic was \
                     made anew or lost records; start anew without this checkpoint",
                    self.stream.topic,
                    at(&ends),
                );
                return Err(Error::unavailable(message).permanent());
            }
            let list = if end.is_some_and(|end| end > at(&starts)) { &mut left } else { &mut done };
            list.push(partition);
        }
        again.left = left.into_iter().collect();
        self.source.pause(&done)?;
        self.again = Some(again);
        Ok(())
    }

    /// As [`Input::poll`]: only what is to be read again comes now.
    pub(super) fn poll_again(&mut self, wait: Duration) -> Result<Vec<SourceEvent>> {
        let events = self.source.poll(self.most_records, wait)?;
        let Some(again) = &mut self.again else { return Ok(events) };
        let (mut now, mut heard) = (Vec::new(), BTreeSet::new());
        for event in events {
            match event {
                SourceEvent::Records { partition, records } => {
                    heard.insert(partition);
                    let rest = again.take(partition, records, &mut now);
                    self.held.extend((!rest.is_empty()).then_some(SourceEvent::Records { partition, records: rest }));
                }
                SourceEvent::AtEnd { partition, offset } => {
                    heard.insert(partition);
                    again.reach(partition, offset);
                    self.held.push(event);
                }
                SourceEvent::Added { partition } => {
                    heard.insert(partition);
                    self.held.push(event);
                }
                SourceEvent::Unavailable { .. } | SourceEvent::Recovered => now.push(event),
            }
        }
        let done: Vec<Partition> = heard.difference(&again.left).copied().collect();
        if !done.is_empty() {
            self.source.pause(&done)?;
        }
        Ok(now)
    }

    /// Counts rows that were admitted again.
    pub fn count_again(&mut self, admitted: u64) {
        if let Some(again) = &mut self.again {
            again.found += admitted;
        }
    }

    /// True when `partition` waits for others that are still read again.
    pub(super) fn waits(&self, partition: Partition) -> bool {
        self.again.as_ref().is_some_and(|again| !again.left.contains(&partition))
    }

    /// True when all is read that was to be read again, or there was nothing.
    pub fn has_been_read_again(&self) -> bool {
        self.again.as_ref().is_none_or(|again| again.left.is_empty())
    }

    /// Has partitions whose rows have all been judged again take in the heartbeats that came behind the last of them: windows
    /// close as they did.
    pub fn catch_up(&mut self) {
        let Some(Again { known, left, .. }) = &self.again else { return };
        let done = known.partitions.iter().filter(|(partition, _)| !left.contains(partition));
        done.for_each(|(partition, at)| self.gate.catch_up(*partition, at.offset));
    }

    /// Goes on with rows that nobody has read; how many were read again.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Unavailable`], permanent: they were not those of before; the source refused.
    pub fn go_on(&mut self) -> Result<u64> {
        let Some(again) = self.again.take() else { return Ok(0) };
        let newest = self.progress().partitions;
        let differs = again.known.partitions.iter().find_map(|(partition, at)| {
            let found = newest.get(partition).and_then(|found| found.newest);
            (found != at.newest).then(|| {
                let shown = |time: Option<Micros>| time.map_or_else(|| "none".to_owned(), format_time);
                format!(", in partition {partition} newest time {}, expected {}", shown(found), shown(at.newest))
            })
        });
        if again.found != again.admitted || differs.is_some() {
            let message = format!(
                "topic '{}': the rows since the state of the checkpoint are not those that were read before: found {} admitted \
                 ones, expected {}{}. Records were deleted or compacted away while the job was down, or the topic was made \
                 anew: the job cannot go on from this checkpoint, start anew with another checkpoint folder. To prevent it, let \
                 the topic keep what is new for longer than the job is ever down (retention.ms, min.compaction.lag.ms)",
                self.stream.topic,
                again.found,
                again.admitted,
                differs.unwrap_or_default(),
            );
            return Err(Error::unavailable(message).permanent());
        }
        self.source.resume(&self.source.partitions())?;
        Ok(again.found)
    }
}

// === impl Again ===

impl Again {
    fn end(&self, partition: Partition) -> Option<Offset> {
        self.known.partitions.get(&partition).map(|at| at.offset)
    }

    /// Gives what lies before the partition's end, cut where heartbeats came; what lies behind comes back.
    fn take(&mut self, partition: Partition, mut records: Records, out: &mut Vec<SourceEvent>) -> Records {
        // A partition that came into being since has nothing that was read.
        let end = self.end(partition).unwrap_or(0);
        let rest = split_at(&mut records, end);
        let behind = records.last().map(|last| last.offset + 1);
        let cuts = self.cuts.get(&partition).into_iter().flatten();
        for cut in cuts {
            let later = split_at(&mut records, *cut);
            let piece = std::mem::replace(&mut records, later);
            out.extend((!piece.is_empty()).then_some(SourceEvent::Records { partition, records: piece }));
        }
        out.extend((!records.is_empty()).then_some(SourceEvent::Records { partition, records }));
        let next = rest.first().map(|first| first.offset);
        next.or(behind).into_iter().for_each(|offset| self.reach(partition, offset));
        rest
    }

    /// Notes that all of a partition below `offset` has come.
    fn reach(&mut self, partition: Partition, offset: Offset) {
        if self.end(partition).is_none_or(|end| offset >= end) {
            self.left.remove(&partition);
        }
    }
}

/// Takes the records at and behind `offset` away.
fn split_at(records: &mut Records, offset: Offset) -> Records {
    let before = records.iter().take_while(|record| record.offset < offset).count();
    records.split_off(before)
}

#[cfg(test)]
mod tests;
