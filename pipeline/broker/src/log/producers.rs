//! What a partition knows of its idempotent producers: epochs, the last sequences, open transactions.

use std::collections::{BTreeMap, HashMap, VecDeque};

use kafka_protocol::ResponseError;

use super::batch::{NewBatch, Producer};

/// How many batches back a repeated one is recognised. Kafka's number: at most five requests are in flight.
const REMEMBERED_BATCHES: usize = 5;
/// Bound on remembered producers per partition. Beyond it those without a transaction that wrote longest ago go.
const MAX_PRODUCERS: usize = 10_000;

/// Producers of one partition.
///
/// States: an entry appears with a producer's first batch or marker; `open` holds one offset per producer from its
/// first transactional batch until the marker.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Entry>,
    /// First offset of each open transaction, to its producer.
    open: BTreeMap<i64, i64>,
}

#[derive(Debug)]
struct Entry {
    epoch: i16,
    recent: VecDeque<Written>,
    transaction_start: Option<i64>,
    last_offset: i64,
}

#[derive(Debug, Clone, Copy)]
struct Written {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

// === impl Producers ===

impl Producers {
    /// Whether the batch may be appended. `Ok(Some(offset))` means that it already was, at that offset.
    pub(crate) fn check(&self, batch: &NewBatch) -> Result<Option<i64>, ResponseError> {
        let Some(producer) = batch.producer else {
            return Ok(None);
        };
        let Some(entry) = self.by_id.get(&producer.id) else {
            return Ok(None);
        };
        if producer.epoch < entry.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let first = batch.base_sequence;
        if producer.epoch > entry.epoch {
            return in_order(first == 0);
        }
        let last = sequence_after(first, batch.count - 1);
        let repeated = |w: &&Written| w.first_sequence == first && w.last_sequence == last;
        if let Some(written) = entry.recent.iter().find(repeated) {
            return Ok(Some(written.base_offset));
        }
        match entry.recent.back() {
            Some(written) => in_order(first == sequence_after(written.last_sequence, 1)),
            None => Ok(None),
        }
    }

    /// Remembers a batch that was appended at `base_offset`.
    pub(crate) fn appended(&mut self, batch: &NewBatch, base_offset: i64) {
        let Some(producer) = batch.producer else {
            return;
        };
        self.make_room();
        let entry = self.entry(producer);
        if entry.recent.len() == REMEMBERED_BATCHES {
            entry.recent.pop_front();
        }
        entry.recent.push_back(Written {
            first_sequence: batch.base_sequence,
            last_sequence: sequence_after(batch.base_sequence, batch.count - 1),
            base_offset,
        });
        entry.last_offset = base_offset;
        if batch.transactional && entry.transaction_start.is_none() {
            entry.transaction_start = Some(base_offset);
            self.open.insert(base_offset, producer.id);
        }
    }

    /// Notes a marker, which fences older epochs. Returns where the ended transaction began, if it wrote here.
    pub(crate) fn ended(&mut self, producer: Producer, marker_offset: i64) -> Option<i64> {
        let entry = self.entry(producer);
        entry.last_offset = marker_offset;
        let start = entry.transaction_start.take();
        if let Some(start) = start {
            self.open.remove(&start);
        }
        start
    }

    /// First offset of the oldest open transaction.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first_key_value().map(|(offset, _)| *offset)
    }

    /// The entry of this producer, without sequences if the epoch is new.
    fn entry(&mut self, producer: Producer) -> &mut Entry {
        let entry = self.by_id.entry(producer.id).or_insert_with(|| Entry {
            epoch: producer.epoch,
            recent: VecDeque::new(),
            transaction_start: None,
            last_offset: 0,
        });
        if producer.epoch > entry.epoch {
            entry.epoch = producer.epoch;
            entry.recent.clear();
        }
        entry
    }

    /// At the bound, forgets the older half of the idle producers; each scan then pays for thousands of appends.
    fn make_room(&mut self) {
        if self.by_id.len() < MAX_PRODUCERS {
            return;
        }
        let mut last_offsets: Vec<i64> = self.by_id.values().map(|e| e.last_offset).collect();
        let (_, median, _) = last_offsets.select_nth_unstable(MAX_PRODUCERS / 2);
        let median = *median;
        self.by_id.retain(|_, e| e.transaction_start.is_some() || e.last_offset > median);
    }
}

fn in_order(holds: bool) -> Result<Option<i64>, ResponseError> {
    if holds { Ok(None) } else { Err(ResponseError::OutOfOrderSequenceNumber) }
}

/// Sequences run from 0 to `i32::MAX` and begin again at 0.
fn sequence_after(sequence: i32, steps: i32) -> i32 {
    sequence.wrapping_add(steps) & i32::MAX
}
