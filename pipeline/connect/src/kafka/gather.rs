//! Collects what a poll finds, by partition and in order.
//!
//! ```text
//!  messages  p0/7  p1/3  p0/8  p1 end  p1/4
//!  events    Records p0 [7, 8]   Records p1 [3]   AtEnd p1 4   Records p1 [4]
//! ```

use super::batch::Message;
use crate::source::SourceEvent;
use citystream_codec::Records;
use citystream_model::position::{Offset, Partition};
use std::collections::BTreeMap;

/// Bytes after which a poll has enough; one record more may exceed it.
const MAX_BYTES: usize = 16 << 20;

/// What one poll found.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    // === STATE ===
    /// What to hand out, in order.
    events: Vec<Event>,
    runs: Vec<(Partition, Records)>,
    /// The run of a partition that goes on.
    open: BTreeMap<Partition, usize>,
    /// The entry of `open` that was used last: records of a partition mostly follow each other.
    last: Option<(Partition, usize)>,
    /// Number of records and of their bytes so far.
    records: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Event {
    /// Records, at this place of `runs`.
    Run(usize),
    Other(SourceEvent),
}

// === impl Gather ===

impl Gather {
    /// True when nothing was found yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// True when a poll with at most `max_records` has enough.
    pub(crate) fn is_full(&self, max_records: usize) -> bool {
        self.records >= max_records || self.bytes >= MAX_BYTES
    }

    /// Takes a record.
    pub(crate) fn push(&mut self, message: &Message<'_>, with_headers: bool) {
        let (key, value) = (message.key(), message.value());
        let records = self.place(message.partition());
        let before = records.byte_len();
        records.push(message.offset(), message.timestamp(), key, value);
        if with_headers {
            message.headers(|name, value| records.push_header(name, value));
        }
        let bytes = records.byte_len() - before;
        self.bytes += bytes;
    }

    /// Where the next record of `partition` goes.
    pub(crate) fn place(&mut self, partition: Partition) -> &mut Records {
        self.records += 1;
        let run = match self.last {
            Some((last, run)) if last == partition => run,
            _ => self.run(partition),
        };
        &mut self.runs[run].1
    }

    /// Takes anything else; later records of any partition come behind an [`SourceEvent::AtEnd`] of theirs.
    pub(crate) fn note(&mut self, event: SourceEvent) {
        if let SourceEvent::AtEnd { partition, .. } = event {
            self.open.remove(&partition);
            self.last = None;
        }
        self.events.push(Event::Other(event));
    }

    /// Partitions whose newest find is a record, with the offset behind it.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (Partition, Offset)> {
        self.open.iter().filter_map(|(partition, run)| Some((*partition, self.runs[*run].1.last()?.offset + 1)))
    }

    /// Hands out what was found.
    pub(crate) fn finish(mut self) -> Vec<SourceEvent> {
        let event = |event| match event {
            Event::Other(event) => event,
            Event::Run(run) => {
                let (partition, records) = std::mem::take(&mut self.runs[run]);
                SourceEvent::Records { partition, records }
            }
        };
        self.events.into_iter().map(event).collect()
    }

    fn run(&mut self, partition: Partition) -> usize {
        let run = *self.open.entry(partition).or_insert(self.runs.len());
        if run == self.runs.len() {
            self.runs.push((partition, Records::default()));
            self.events.push(Event::Run(run));
        }
        self.last = Some((partition, run));
        run
    }
}
