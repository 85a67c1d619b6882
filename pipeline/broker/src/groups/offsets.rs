//! The committed offsets of one group, and those that wait for their transaction.

use std::collections::{BTreeMap, HashMap};

use kafka_protocol::protocol::StrBytes;

/// A position that a group stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<StrBytes>,
}

type ByPartition = BTreeMap<(String, i32), Committed>;

/// Offsets by topic and partition.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    stable: ByPartition,
    /// By producer id; visible only once the transaction commits.
    pending: HashMap<i64, ByPartition>,
}

// === impl Offsets ===

impl Offsets {
    pub(crate) fn commit(&mut self, topic: &str, index: i32, committed: Committed) {
        self.stable.insert((topic.to_owned(), index), committed);
    }

    pub(crate) fn commit_pending(&mut self, producer_id: i64, topic: &str, index: i32, committed: Committed) {
        let pending = self.pending.entry(producer_id).or_default();
        pending.insert((topic.to_owned(), index), committed);
    }

    pub(crate) fn get(&self, topic: &str, index: i32) -> Option<&Committed> {
        self.stable.get(&(topic.to_owned(), index))
    }

    /// Whether an open transaction may still change this offset.
    pub(crate) fn is_pending(&self, topic: &str, index: i32) -> bool {
        let key = (topic.to_owned(), index);
        self.pending.values().any(|p| p.contains_key(&key))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&(String, i32), &Committed)> {
        self.stable.iter()
    }

    pub(crate) fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        if let Some(pending) = self.pending.remove(&producer_id)
            && committed
        {
            self.stable.extend(pending);
        }
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.stable.retain(|(t, _), _| t != topic);
        for pending in self.pending.values_mut() {
            pending.retain(|(t, _), _| t != topic);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stable.is_empty() && self.pending.is_empty()
    }
}
