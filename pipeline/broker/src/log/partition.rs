//! One partition: its batches in offset order, its watermarks, and reading from it.

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::batch::{Marker, NewBatch, Producer, StoredBatch};
use super::lookup::{self, TimedOffset};
use super::producers::Producers;

/// Memory charged per batch beyond its bytes: the entry and its allocation.
pub(crate) const BATCH_OVERHEAD_BYTES: usize = 128;

/// Log of one partition. Offsets grow without gaps from `start_offset` to `next_offset`.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    batches: VecDeque<StoredBatch>,
    start_offset: i64,
    /// The high watermark: with one replica every append is at once replicated.
    next_offset: i64,
    /// Memory charged for `batches`.
    used_bytes: usize,
    producers: Producers,
    /// In the order of their markers.
    aborted: VecDeque<Aborted>,
}

/// A transaction whose records readers must skip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    marker_offset: i64,
}

/// What a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

/// The marks of a log at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    pub(crate) start: i64,
    pub(crate) last_stable: i64,
    pub(crate) high: i64,
}

/// Batches found by one read.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) batches: Vec<Bytes>,
    pub(crate) bytes: usize,
    pub(crate) aborted: Vec<Aborted>,
}

/// What was dropped to stay within memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dropped {
    pub(crate) records: u64,
    pub(crate) bytes: usize,
}

// === impl Isolation ===

impl From<i8> for Isolation {
    fn from(level: i8) -> Self {
        if level == 1 { Self::ReadCommitted } else { Self::ReadUncommitted }
    }
}

// === impl Partition ===

impl Partition {
    pub(crate) fn marks(&self) -> Marks {
        let first_open = self.producers.first_open().unwrap_or(self.next_offset);
        Marks { start: self.start_offset, last_stable: first_open.max(self.start_offset), high: self.next_offset }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Whether the batch may come next; `Ok(Some(offset))` if it is already here. See [`Producers::check`].
    pub(crate) fn check(&self, batch: &NewBatch) -> Result<Option<i64>, ResponseError> {
        self.producers.check(batch)
    }

    /// Appends a checked batch and returns its offset.
    pub(crate) fn append(&mut self, batch: NewBatch) -> i64 {
        let base_offset = self.next_offset;
        self.producers.appended(&batch, base_offset);
        self.push(batch);
        base_offset
    }

    /// Writes the record that ends the producer's transaction.
    pub(crate) fn end_transaction(&mut self, marker: Marker, producer: Producer, now_ms: i64) {
        let marker_offset = self.next_offset;
        let start = self.producers.ended(producer, marker_offset);
        self.push(NewBatch::marker(marker, producer, now_ms));
        if let (Marker::Abort, Some(first_offset)) = (marker, start) {
            self.aborted.push_back(Aborted { producer_id: producer.id, first_offset, marker_offset });
        }
    }

    /// Batches from the one that holds `offset`, up to `max_bytes`; `first_whole` lets one larger batch through, so
    /// that a reader always gets on.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        isolation: Isolation,
        first_whole: bool,
    ) -> Result<Slice, ResponseError> {
        if offset < self.start_offset || offset > self.next_offset {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let end = self.end(isolation);
        let mut slice = Slice::default();
        let first = self.batches.partition_point(|b| b.last_offset < offset);
        let mut upto = offset;
        for batch in self.batches.range(first..) {
            let fits = slice.bytes + batch.bytes.len() <= max_bytes;
            let alone = first_whole && slice.batches.is_empty();
            if batch.base_offset >= end || !(fits || alone) {
                break;
            }
            slice.bytes += batch.bytes.len();
            slice.batches.push(batch.bytes.clone());
            upto = batch.last_offset;
        }
        if isolation == Isolation::ReadCommitted && !slice.batches.is_empty() {
            slice.aborted = self.aborted_between(offset, upto);
        }
        Ok(slice)
    }

    /// First record at or after a time.
    pub(crate) fn offset_at(&self, time_ms: i64, isolation: Isolation) -> Option<TimedOffset> {
        let end = self.end(isolation);
        let batch = self.batches.iter().find(|b| b.max_time_ms >= time_ms)?;
        let found = lookup::first_at_or_after(batch, time_ms);
        (found.offset < end).then_some(found)
    }

    /// The record with the latest time.
    pub(crate) fn latest_time(&self) -> Option<TimedOffset> {
        let latest = self.batches.iter().map(|b| b.max_time_ms).max()?;
        self.offset_at(latest, Isolation::ReadUncommitted)
    }

    /// One past the last offset that such a reader may see.
    pub(crate) fn end(&self, isolation: Isolation) -> i64 {
        let marks = self.marks();
        match isolation {
            Isolation::ReadUncommitted => marks.high,
            Isolation::ReadCommitted => marks.last_stable,
        }
    }

    /// Drops about `segment_bytes` from the front; the log then starts later.
    pub(crate) fn drop_oldest(&mut self, segment_bytes: usize) -> Dropped {
        let mut dropped = Dropped::default();
        while dropped.bytes < segment_bytes
            && let Some(batch) = self.batches.pop_front()
        {
            dropped.bytes += cost(batch.bytes.len());
            dropped.records += batch.last_offset.abs_diff(batch.base_offset) + 1;
            self.start_offset = batch.last_offset + 1;
        }
        self.used_bytes -= dropped.bytes;
        while self.aborted.front().is_some_and(|a| a.marker_offset < self.start_offset) {
            self.aborted.pop_front();
        }
        dropped
    }

    fn push(&mut self, batch: NewBatch) {
        let stored = batch.store_at(self.next_offset);
        self.next_offset = stored.last_offset + 1;
        self.used_bytes += cost(stored.bytes.len());
        self.batches.push_back(stored);
    }

    fn aborted_between(&self, first: i64, last: i64) -> Vec<Aborted> {
        let overlaps = |a: &&Aborted| a.marker_offset >= first && a.first_offset <= last;
        self.aborted.iter().filter(overlaps).copied().collect()
    }
}

/// Memory charged for a batch of this size.
pub(crate) fn cost(batch_bytes: usize) -> usize {
    batch_bytes + BATCH_OVERHEAD_BYTES
}
