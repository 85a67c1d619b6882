//! The group coordinator: groups by name. Membership is in `groups/group.rs`, offsets in `groups/offsets.rs`.

mod group;
mod member;
mod offsets;

use std::collections::BTreeMap;
use std::time::Instant;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

pub(crate) use group::{Group, JoinAnswer, Joined, SyncAnswer};
pub(crate) use member::Identity;
pub(crate) use offsets::Committed;

use crate::clock;

/// Bound on groups; further ones are refused.
const MAX_GROUPS: usize = 10_000;

/// All consumer groups.
#[derive(Debug)]
pub(crate) struct Groups {
    by_name: BTreeMap<String, Group>,
    /// Makes member ids unique across broker restarts, milliseconds since 1970.
    started_ms: i64,
    members_named: u64,
}

// === impl Groups ===

impl Default for Groups {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), started_ms: clock::now_ms(), members_named: 0 }
    }
}

impl Groups {
    pub(crate) fn get(&self, name: &str) -> Option<&Group> {
        self.by_name.get(name)
    }

    /// A group that must exist for the request to make sense.
    pub(crate) fn existing(&mut self, name: &str) -> Result<&mut Group, ResponseError> {
        self.by_name.get_mut(name).ok_or(ResponseError::UnknownMemberId)
    }

    /// A group, created if need be.
    pub(crate) fn group(&mut self, name: &str) -> Result<&mut Group, ResponseError> {
        if name.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        if self.by_name.len() >= MAX_GROUPS && !self.by_name.contains_key(name) {
            return Err(ResponseError::PolicyViolation);
        }
        Ok(self.by_name.entry(name.to_owned()).or_default())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.by_name.iter()
    }

    /// A member id that was never given before.
    pub(crate) fn new_member_id(&mut self, client_id: &str) -> StrBytes {
        self.members_named += 1;
        let id = format!("{client_id}-{:x}-{:x}", self.started_ms, self.members_named);
        StrBytes::from_string(id)
    }

    /// Removes members that went silent, ends rebalances that took too long, forgets groups that hold nothing.
    pub(crate) fn expire(&mut self, now: Instant) {
        for group in self.by_name.values_mut() {
            group.expire(now);
        }
        self.by_name.retain(|_, group| !group.is_bare());
    }

    pub(crate) fn end_transaction(&mut self, group: &str, producer_id: i64, committed: bool) {
        if let Some(group) = self.by_name.get_mut(group) {
            group.offsets.end_transaction(producer_id, committed);
        }
    }

    /// Offsets of a deleted topic mean nothing for the next one of that name.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for group in self.by_name.values_mut() {
            group.offsets.forget_topic(topic);
        }
    }
}
