//! Collects what a poll finds, by partition and in order, with one allocation for the bytes of all its records.
//!
//! ```text
//!  messages  p0/7  p1/3  p0/8  p1 end  p1/4
//!  events    Records p0 [7, 8]   Records p1 [3]   AtEnd p1 4   Records p1 [4]
//! ```

use crate::source::SourceEvent;
use bytes::Bytes;
use citystream_codec::Record;
use citystream_model::position::{Offset, Partition};
use citystream_model::time::Micros;
use rdkafka::message::{Headers, Message};
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes after which a poll has enough; one record more may exceed it.
const MAX_BYTES: usize = 16 << 20;

/// What one poll found.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    // === STATE ===
    /// Keys, values and header values of all records, one behind the other.
    bytes: Vec<u8>,
    /// What to hand out, in order.
    events: Vec<Event>,
    /// Where in `events` the records of a partition go on.
    open: BTreeMap<Partition, usize>,
    /// Number of records so far.
    records: usize,
}

#[derive(Debug)]
enum Event {
    Records(Partition, Vec<Raw>),
    Other(SourceEvent),
}

/// A record whose bytes are still in the common buffer.
#[derive(Debug)]
struct Raw {
    offset: Offset,
    timestamp: Micros,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(String, Option<Range<usize>>)>,
}

// === impl Gather ===

impl Gather {
    /// True when nothing was found yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// True when a poll with at most `max_records` has enough.
    pub(crate) fn is_full(&self, max_records: usize) -> bool {
        self.records >= max_records || self.bytes.len() >= MAX_BYTES
    }

    /// Takes a record; returns its partition and offset.
    pub(crate) fn push(&mut self, message: &impl Message) -> (Partition, Offset) {
        let (partition, offset) = (message.partition(), message.offset());
        let headers = match message.headers() {
            None => Vec::new(),
            Some(headers) => headers.iter().map(|header| (header.key.to_owned(), self.keep(header.value))).collect(),
        };
        let raw = Raw {
            offset,
            timestamp: message.timestamp().to_millis().unwrap_or(0).saturating_mul(1000),
            key: self.keep(message.key()),
            value: self.keep(message.payload()),
            headers,
        };
        self.records += 1;
        match self.open.get(&partition).and_then(|at| self.events.get_mut(*at)) {
            Some(Event::Records(_, records)) => records.push(raw),
            _ => {
                self.open.insert(partition, self.events.len());
                self.events.push(Event::Records(partition, vec![raw]));
            }
        }
        (partition, offset)
    }

    /// Takes anything else; later records of any partition come behind an [`SourceEvent::AtEnd`] of theirs.
    pub(crate) fn note(&mut self, event: SourceEvent) {
        if let SourceEvent::AtEnd { partition, .. } = event {
            self.open.remove(&partition);
        }
        self.events.push(Event::Other(event));
    }

    /// Hands out what was found.
    pub(crate) fn finish(self) -> Vec<SourceEvent> {
        let bytes = Bytes::from(self.bytes);
        let cut = |range: Range<usize>| bytes.slice(range);
        let record = |raw: Raw| Record {
            offset: raw.offset,
            timestamp: raw.timestamp,
            key: raw.key.map(cut),
            value: raw.value.map(cut),
            headers: raw.headers.into_iter().map(|(name, value)| (name, value.map(cut))).collect(),
        };
        let event = |event| match event {
            Event::Other(event) => event,
            Event::Records(partition, records) => {
                SourceEvent::Records { partition, records: records.into_iter().map(record).collect() }
            }
        };
        self.events.into_iter().map(event).collect()
    }

    fn keep(&mut self, found: Option<&[u8]>) -> Option<Range<usize>> {
        let found = found?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(found);
        Some(start..self.bytes.len())
    }
}
