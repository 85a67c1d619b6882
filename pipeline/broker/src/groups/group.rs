//! One consumer group: who is in it and how a rebalance goes.
//!
//! ```text
//! Empty --join--> Joining --all joined, or too late--> Syncing --leader's assignment--> Stable
//!                    ^                                    |                               |
//!                    +------- a member joins, leaves, goes silent or changes -------------+
//! ```

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use super::member::{Identity, Member};
use super::offsets::Offsets;

/// Bound on members; further ones are refused as Kafka does with `group.max.size`.
const MAX_MEMBERS: usize = 1_000;
/// Kafka's default `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
const SESSION_TIMEOUT_MS: std::ops::RangeInclusive<i32> = 6_000..=1_800_000;

/// A member's view of a finished join.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocol: StrBytes,
    pub(crate) leader: StrBytes,
    pub(crate) member: StrBytes,
    /// All members with their subscriptions, for the leader only.
    pub(crate) members: Vec<(StrBytes, Option<StrBytes>, Bytes)>,
}

/// What a joining member is told in the end.
pub(crate) type JoinAnswer = Result<Joined, ResponseError>;
/// What a syncing member is told in the end: its assignment.
pub(crate) type SyncAnswer = Result<Bytes, ResponseError>;

/// Membership and offsets of one group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: StrBytes,
    protocol: StrBytes,
    leader: StrBytes,
    /// In the order in which they came.
    members: Vec<Member>,
    /// Ids given out that have not joined yet, with when they lapse.
    promised: HashMap<StrBytes, Instant>,
    pub(crate) offsets: Offsets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Empty,
    Joining {
        deadline: Instant,
    },
    Syncing,
    Stable,
}

// === impl Group ===

impl Group {
    /// Name of the phase as Kafka reports it.
    pub(crate) fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Empty => "Empty",
            Phase::Joining { .. } => "PreparingRebalance",
            Phase::Syncing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }

    pub(crate) fn protocol_type(&self) -> &StrBytes {
        &self.protocol_type
    }

    pub(crate) fn protocol(&self) -> &StrBytes {
        &self.protocol
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether nothing would be lost by forgetting the group.
    pub(crate) fn is_bare(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty() && self.offsets.is_empty()
    }

    /// Keeps an id for a client that was told to come back with it.
    pub(crate) fn promise(&mut self, id: StrBytes, request: &JoinGroupRequest, now: Instant) {
        if self.promised.len() < MAX_MEMBERS {
            self.promised.insert(id, now + millis(request.session_timeout_ms));
        }
    }

    /// Whether a join with these words fits the group.
    pub(crate) fn check_join(&self, request: &JoinGroupRequest) -> Result<(), ResponseError> {
        if !SESSION_TIMEOUT_MS.contains(&request.session_timeout_ms) {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let shared = |name: &StrBytes| {
            let others = self.members.iter().filter(|m| *m.id != *request.member_id);
            others.into_iter().all(|m| m.supports(name))
        };
        let fits = self.members.is_empty() || request.protocol_type == self.protocol_type;
        if !fits || request.protocol_type.is_empty() || !request.protocols.iter().any(|p| shared(&p.name)) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// Joins under an id that the group knows, or under the one just made for the client (`new_id`).
    pub(crate) fn join(
        &mut self,
        request: &JoinGroupRequest,
        new_id: Option<StrBytes>,
        client_id: &str,
        now: Instant,
    ) -> Result<oneshot::Receiver<JoinAnswer>, ResponseError> {
        let id = self.admit(request, new_id, client_id, now)?;
        if self.members.len() == 1 {
            self.protocol_type = request.protocol_type.clone();
        }
        let (waiter, answer) = oneshot::channel();
        let is_leader = id == self.leader;
        let member = self.find(&id)?;
        let protocols = request.protocols.iter();
        let protocols: Vec<_> = protocols.map(|p| (p.name.clone(), p.metadata.clone())).collect();
        let changed = member.protocols != protocols;
        member.protocols = protocols;
        member.session_timeout = millis(request.session_timeout_ms);
        member.rebalance_timeout = millis(request.rebalance_timeout_ms.max(1));
        member.last_seen = now;
        member.join_waiter = Some(waiter);
        match self.phase {
            // A repeated join: nothing changes for this member.
            Phase::Stable if !changed && !is_leader => self.answer_again(&id, now)?,
            Phase::Syncing if !changed => self.answer_again(&id, now)?,
            Phase::Joining { .. } => {}
            Phase::Empty | Phase::Stable | Phase::Syncing => self.begin_rebalance(now),
        }
        self.complete_if_all_joined(now);
        Ok(answer)
    }

    /// The leader brings everybody's assignment, the others wait for it.
    pub(crate) fn sync(
        &mut self,
        who: Identity<'_>,
        generation: i32,
        assignments: &HashMap<StrBytes, Bytes>,
        now: Instant,
    ) -> Result<oneshot::Receiver<SyncAnswer>, ResponseError> {
        let is_leader = *self.leader == *who.member;
        self.check_generation(who, generation, now)?;
        let phase = self.phase;
        let member = self.find(who.member)?;
        let (waiter, answer) = oneshot::channel();
        member.sync_waiter = Some(waiter);
        match phase {
            Phase::Empty => return Err(ResponseError::UnknownMemberId),
            Phase::Joining { .. } => return Err(ResponseError::RebalanceInProgress),
            Phase::Stable => {
                let assignment = member.assignment.clone();
                member.answer_sync(Ok(assignment), now);
            }
            Phase::Syncing if is_leader => {
                self.phase = Phase::Stable;
                for member in &mut self.members {
                    member.assignment = assignments.get(&member.id).cloned().unwrap_or_default();
                    let assignment = member.assignment.clone();
                    member.answer_sync(Ok(assignment), now);
                }
            }
            Phase::Syncing => {}
        }
        Ok(answer)
    }

    pub(crate) fn heartbeat(&mut self, who: Identity<'_>, generation: i32, now: Instant) -> Result<(), ResponseError> {
        self.check_generation(who, generation, now)?;
        match self.phase {
            Phase::Joining { .. } => Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::Syncing | Phase::Stable => Ok(()),
        }
    }

    pub(crate) fn leave(&mut self, who: Identity<'_>, now: Instant) -> Result<(), ResponseError> {
        if self.promised.remove(who.member.as_bytes()).is_some() {
            return Ok(());
        }
        let same_instance = |m: &&mut Member| who.instance.is_some() && m.instance.as_ref() == who.instance;
        let id = match self.members.iter_mut().find(same_instance) {
            Some(member) if who.member.is_empty() => member.id.clone(),
            _ => self.check_member(who)?.id.clone(),
        };
        self.find(&id)?.refuse(ResponseError::UnknownMemberId, now);
        self.members.retain(|m| m.id != id);
        self.members_left(now);
        Ok(())
    }

    /// Whether offsets may be committed in this member's name. Without a generation the committer is no member, which
    /// is fine while there are none.
    pub(crate) fn check_commit(
        &mut self,
        who: Identity<'_>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.check_generation(who, generation, now)?;
        match self.phase {
            Phase::Syncing => Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::Joining { .. } | Phase::Stable => Ok(()),
        }
    }

    /// As `check_commit` for a transaction, whose producer may stay outside of the group.
    pub(crate) fn check_transaction_commit(
        &mut self,
        who: Identity<'_>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && who.member.is_empty() {
            return Ok(());
        }
        self.check_generation(who, generation, now)
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.promised.retain(|_, lapses| *lapses > now);
        let before = self.members.len();
        self.members.retain(|m| !m.is_expired(now));
        if self.members.len() < before {
            self.members_left(now);
        }
        if let Phase::Joining { deadline } = self.phase
            && deadline <= now
        {
            self.complete(now);
        }
    }

    /// Finds or makes the member of this request and returns its id.
    fn admit(
        &mut self,
        request: &JoinGroupRequest,
        new_id: Option<StrBytes>,
        client_id: &str,
        now: Instant,
    ) -> Result<StrBytes, ResponseError> {
        let instance = request.group_instance_id.as_ref();
        let Some(new_id) = new_id else {
            let who = Identity { member: &request.member_id, instance };
            if self.promised.remove(who.member.as_bytes()).is_some() {
                self.add_member(request.member_id.clone(), instance, client_id, now)?;
            }
            return Ok(self.check_member(who)?.id.clone());
        };
        let same = |m: &&mut Member| instance.is_some() && m.instance.as_ref() == instance;
        if let Some(member) = self.members.iter_mut().find(same) {
            // A static member came back under its instance name: the new process takes the place over.
            member.refuse(ResponseError::FencedInstanceId, now);
            let old_id = std::mem::replace(&mut member.id, new_id.clone());
            member.protocols.clear();
            if self.leader == old_id {
                self.leader = new_id.clone();
            }
        } else {
            self.add_member(new_id.clone(), instance, client_id, now)?;
        }
        Ok(new_id)
    }

    fn add_member(
        &mut self,
        id: StrBytes,
        instance: Option<&StrBytes>,
        client_id: &str,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.members.len() >= MAX_MEMBERS {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        self.members.push(Member {
            id,
            instance: instance.cloned(),
            client_id: client_id.to_owned(),
            session_timeout: Duration::ZERO,
            rebalance_timeout: Duration::ZERO,
            protocols: Vec::new(),
            assignment: Bytes::new(),
            last_seen: now,
            join_waiter: None,
            sync_waiter: None,
        });
        Ok(())
    }

    /// Everybody has to join again; whoever waits for an assignment is told so.
    fn begin_rebalance(&mut self, now: Instant) {
        let mut longest = Duration::ZERO;
        for member in &mut self.members {
            member.assignment = Bytes::new();
            longest = longest.max(member.rebalance_timeout);
            if member.sync_waiter.is_some() {
                member.answer_sync(Err(ResponseError::RebalanceInProgress), now);
            }
        }
        self.phase = Phase::Joining { deadline: now + longest };
    }

    fn members_left(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stable | Phase::Syncing) {
            self.begin_rebalance(now);
        }
        self.complete_if_all_joined(now);
    }

    fn complete_if_all_joined(&mut self, now: Instant) {
        let joining = matches!(self.phase, Phase::Joining { .. });
        if joining && self.members.iter().all(Member::is_joining) {
            self.complete(now);
        }
    }

    /// Ends the joining: a new generation of those who came.
    fn complete(&mut self, now: Instant) {
        self.members.retain(Member::is_joining);
        self.generation += 1;
        let Some(first) = self.members.first() else {
            self.phase = Phase::Empty;
            self.protocol = StrBytes::new();
            self.leader = StrBytes::new();
            return;
        };
        if !self.members.iter().any(|m| m.id == self.leader) {
            self.leader = first.id.clone();
        }
        let leads = self.members.iter().find(|m| m.id == self.leader);
        let mut preferred = leads.unwrap_or(first).protocols.iter();
        let by_all = preferred.find(|(name, _)| self.members.iter().all(|m| m.supports(name)));
        self.protocol = by_all.map(|(name, _)| name.clone()).unwrap_or_default();
        self.phase = Phase::Syncing;
        let ids: Vec<StrBytes> = self.members.iter().map(|m| m.id.clone()).collect();
        for id in ids {
            // Cannot fail: the ids are those of the members.
            let _ = self.answer_again(&id, now);
        }
    }

    /// Tells a waiting member the current generation.
    fn answer_again(&mut self, id: &StrBytes, now: Instant) -> Result<(), ResponseError> {
        let mut members = Vec::new();
        if *id == self.leader {
            let all = self.members.iter();
            members.extend(all.map(|m| (m.id.clone(), m.instance.clone(), m.subscription(&self.protocol))));
        }
        let joined = Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: id.clone(),
            members,
        };
        self.find(id)?.answer_join(Ok(joined), now);
        Ok(())
    }

    fn find(&mut self, id: &str) -> Result<&mut Member, ResponseError> {
        let found = self.members.iter_mut().find(|m| *m.id == *id);
        found.ok_or(ResponseError::UnknownMemberId)
    }

    fn check_member(&mut self, who: Identity<'_>) -> Result<&mut Member, ResponseError> {
        let same = |m: &Member| who.instance.is_some() && m.instance.as_ref() == who.instance;
        if self.members.iter().any(|m| same(m) && *m.id != *who.member) {
            return Err(ResponseError::FencedInstanceId);
        }
        self.find(who.member)
    }

    fn check_generation(&mut self, who: Identity<'_>, generation: i32, now: Instant) -> Result<(), ResponseError> {
        let current = self.generation;
        let member = self.check_member(who)?;
        if generation != current {
            return Err(ResponseError::IllegalGeneration);
        }
        member.last_seen = now;
        Ok(())
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests;
