//! The transaction coordinator: which producer owns a transactional id, what its transaction touched, how it ends.
//!
//! ```text
//!          InitProducerId (epoch + 1, aborts what was open)
//!             |
//!          Idle --AddPartitions / AddOffsets--> Open --EndTxn--> Idle(outcome)
//!                                                 \--timeout---> Idle, epoch + 1
//! ```

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;

use crate::clock;
use crate::log::batch::{Marker, Producer};

/// Bound on remembered transactional ids; further ones are refused.
const MAX_TRANSACTIONAL_IDS: usize = 10_000;
/// The last epoch that may be handed out; after it the id gets a new producer.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// All transactional ids.
#[derive(Debug)]
pub(crate) struct Transactions {
    by_id: HashMap<String, Transaction>,
    next_producer_id: i64,
}

#[derive(Debug)]
struct Transaction {
    producer: Producer,
    timeout: Duration,
    open: Option<Open>,
    /// How the last transaction of this epoch ended, to answer a repeated `EndTxn`.
    outcome: Option<Marker>,
}

/// What an open transaction touched.
#[derive(Debug)]
struct Open {
    deadline: Instant,
    partitions: BTreeSet<(String, i32)>,
    groups: BTreeSet<String>,
}

/// A transaction whose end has been decided and must now be written to its partitions and groups.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) marker: Marker,
    /// With the epoch that fences earlier ones.
    pub(crate) producer: Producer,
    pub(crate) partitions: BTreeSet<(String, i32)>,
    pub(crate) groups: BTreeSet<String>,
}

// === impl Transactions ===

impl Default for Transactions {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            // Clients of an earlier broker on this port must not meet their own ids again.
            next_producer_id: clock::now_ms() * 1_000,
        }
    }
}

impl Transactions {
    /// A producer that nobody had before.
    pub(crate) fn new_producer(&mut self) -> Producer {
        let id = self.next_producer_id;
        self.next_producer_id += 1;
        Producer { id, epoch: 0 }
    }

    /// Gives a transactional id to the caller and fences whoever had it. `known` is the producer that a client wants
    /// to carry on with. What was open is aborted: the caller carries that out.
    pub(crate) fn init(
        &mut self,
        id: &str,
        timeout: Duration,
        known: Option<Producer>,
    ) -> Result<(Producer, Option<Finished>), ResponseError> {
        let fresh = self.new_producer();
        let Some(transaction) = self.by_id.get_mut(id) else {
            if self.by_id.len() >= MAX_TRANSACTIONAL_IDS {
                return Err(ResponseError::PolicyViolation);
            }
            let transaction = Transaction { producer: fresh, timeout, open: None, outcome: None };
            self.by_id.insert(id.to_owned(), transaction);
            return Ok((fresh, None));
        };
        if known.is_some_and(|known| known != transaction.producer) {
            return Err(ResponseError::ProducerFenced);
        }
        let exhausted = transaction.producer.epoch >= LAST_EPOCH;
        transaction.producer.epoch += 1;
        let finished = transaction.finish(Marker::Abort);
        transaction.outcome = None;
        transaction.timeout = timeout;
        if exhausted {
            transaction.producer = fresh;
        }
        Ok((transaction.producer, finished))
    }

    /// Takes partitions into the transaction, opening it with the first.
    pub(crate) fn add_partitions(
        &mut self,
        id: &str,
        producer: Producer,
        added: Vec<(String, i32)>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let open = self.owned(id, producer)?.open(now);
        open.partitions.extend(added);
        Ok(())
    }

    /// Takes a consumer group's offsets into the transaction.
    pub(crate) fn add_group(
        &mut self,
        id: &str,
        producer: Producer,
        group: &str,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let open = self.owned(id, producer)?.open(now);
        open.groups.insert(group.to_owned());
        Ok(())
    }

    /// Whether this producer may write to the partition inside its open transaction.
    pub(crate) fn check_partition(
        &mut self,
        id: &str,
        producer: Producer,
        topic: &str,
        index: i32,
    ) -> Result<(), ResponseError> {
        let open = self.owned(id, producer)?.open.as_ref();
        let wanted = |(t, i): &(String, i32)| t == topic && *i == index;
        joined(open.is_some_and(|open| open.partitions.iter().any(wanted)))
    }

    /// Whether this producer may commit the group's offsets inside its open transaction.
    pub(crate) fn check_group(&mut self, id: &str, producer: Producer, group: &str) -> Result<(), ResponseError> {
        let open = self.owned(id, producer)?.open.as_ref();
        joined(open.is_some_and(|open| open.groups.contains(group)))
    }

    /// Ends the transaction. `None` if it had ended in this way before: the client repeats itself.
    pub(crate) fn end(
        &mut self,
        id: &str,
        producer: Producer,
        marker: Marker,
    ) -> Result<Option<Finished>, ResponseError> {
        let transaction = self.owned(id, producer)?;
        if transaction.open.is_none() && transaction.outcome != Some(marker) {
            return Err(ResponseError::InvalidTxnState);
        }
        Ok(transaction.finish(marker))
    }

    /// Aborts what has been open for too long and fences its producers.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Finished> {
        let mut expired = Vec::new();
        for transaction in self.by_id.values_mut() {
            if transaction.open.as_ref().is_some_and(|open| open.deadline <= now) {
                transaction.producer.epoch = transaction.producer.epoch.saturating_add(1);
                expired.extend(transaction.finish(Marker::Abort));
            }
        }
        expired
    }

    /// A deleted topic gets no markers, nor does a later one of its name.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for open in self.by_id.values_mut().filter_map(|t| t.open.as_mut()) {
            open.partitions.retain(|(name, _)| name != topic);
        }
    }

    fn owned(&mut self, id: &str, producer: Producer) -> Result<&mut Transaction, ResponseError> {
        let Some(transaction) = self.by_id.get_mut(id) else {
            return Err(ResponseError::InvalidProducerIdMapping);
        };
        if transaction.producer.id != producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if transaction.producer.epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(transaction)
    }
}

// === impl Transaction ===

impl Transaction {
    /// The open transaction; begins one if there is none.
    fn open(&mut self, now: Instant) -> &mut Open {
        self.open.get_or_insert_with(|| Open {
            deadline: now + self.timeout,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
        })
    }

    fn finish(&mut self, marker: Marker) -> Option<Finished> {
        let open = self.open.take()?;
        self.outcome = Some(marker);
        Some(Finished { marker, producer: self.producer, partitions: open.partitions, groups: open.groups })
    }
}

fn joined(holds: bool) -> Result<(), ResponseError> {
    if holds { Ok(()) } else { Err(ResponseError::InvalidTxnState) }
}

#[cfg(test)]
mod tests;
