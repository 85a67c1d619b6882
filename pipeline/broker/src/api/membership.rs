//! Membership of groups: joining, receiving an assignment, heartbeats, leaving.

use std::collections::HashMap;
use std::time::Instant;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use crate::groups::{Identity, JoinAnswer, Joined, SyncAnswer};
use crate::state::{Shared, State};

/// A join that ended at once, with the id that the client should use next.
struct Refusal {
    error: ResponseError,
    member: StrBytes,
}

/// Joins, and waits until all members have; the rebalance timeout bounds the wait.
pub(super) async fn join(
    shared: &Shared,
    version: i16,
    client_id: &str,
    mut request: JoinGroupRequest,
) -> JoinGroupResponse {
    if version == 0 {
        // The field exists since version 1.
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
    own_bytes(&mut request);
    let waiting = begin_join(&mut shared.lock(), version, client_id, &request, Instant::now());
    let refusal = match waiting {
        Ok(answer) => match answer.await {
            Ok(Ok(joined)) => return joined_response(version, joined),
            Ok(Err(error)) => refusal(error, &request.member_id),
            // The group was dropped with its waiters: the broker stops.
            Err(_) => refusal(ResponseError::CoordinatorNotAvailable, &request.member_id),
        },
        Err(refusal) => refusal,
    };
    JoinGroupResponse::default()
        .with_error_code(refusal.error.code())
        .with_generation_id(-1)
        // Null is not allowed before version 7.
        .with_protocol_name(Some(StrBytes::new()))
        .with_member_id(refusal.member)
}

fn refusal(error: ResponseError, member: &StrBytes) -> Refusal {
    Refusal { error, member: member.clone() }
}

/// Detaches what the group will keep from the request frame.
fn own_bytes(request: &mut JoinGroupRequest) {
    for protocol in &mut request.protocols {
        protocol.name = StrBytes::from_string(protocol.name.to_string());
        protocol.metadata = protocol.metadata.to_vec().into();
    }
    request.protocol_type = StrBytes::from_string(request.protocol_type.to_string());
    let instance = request.group_instance_id.as_ref();
    request.group_instance_id = instance.map(|i| StrBytes::from_string(i.to_string()));
}

fn begin_join(
    state: &mut State,
    version: i16,
    client_id: &str,
    request: &JoinGroupRequest,
    now: Instant,
) -> Result<oneshot::Receiver<JoinAnswer>, Refusal> {
    let refuse = |error| refusal(error, &request.member_id);
    let group = state.groups.group(&request.group_id).map_err(refuse)?;
    group.check_join(request).map_err(refuse)?;
    let is_new = request.member_id.is_empty();
    let new_id = is_new.then(|| state.groups.new_member_id(client_id));
    let group = state.groups.group(&request.group_id).map_err(refuse)?;
    // Since version 4 a client has to come back with its id, so that a lost answer leaves no ghost member.
    if let (Some(id), true, None) = (&new_id, version >= 4, &request.group_instance_id) {
        group.promise(id.clone(), request, now);
        return Err(refusal(ResponseError::MemberIdRequired, id));
    }
    group.join(request, new_id, client_id, now).map_err(refuse)
}

fn joined_response(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        let member = JoinGroupResponseMember::default().with_member_id(id).with_metadata(metadata);
        // The field exists since version 5.
        member.with_group_instance_id(instance.filter(|_| version >= 5))
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type((version >= 7).then_some(joined.protocol_type))
        .with_protocol_name(Some(joined.protocol))
        .with_leader(joined.leader)
        .with_member_id(joined.member)
        .with_members(members.collect())
}

/// Brings the leader's assignment, or waits for it.
pub(super) async fn sync(shared: &Shared, request: SyncGroupRequest) -> SyncGroupResponse {
    let waiting = begin_sync(&mut shared.lock(), &request, Instant::now());
    let outcome = match waiting {
        Ok(answer) => answer.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable)),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(assignment) => SyncGroupResponse::default()
            .with_protocol_type(request.protocol_type)
            .with_protocol_name(request.protocol_name)
            .with_assignment(assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}

fn begin_sync(
    state: &mut State,
    request: &SyncGroupRequest,
    now: Instant,
) -> Result<oneshot::Receiver<SyncAnswer>, ResponseError> {
    let who = Identity { member: &request.member_id, instance: request.group_instance_id.as_ref() };
    let group = state.groups.existing(&request.group_id)?;
    let differs = |asked: &Option<StrBytes>, own: &StrBytes| asked.as_ref().is_some_and(|a| a != own);
    if differs(&request.protocol_type, group.protocol_type()) || differs(&request.protocol_name, group.protocol()) {
        return Err(ResponseError::InconsistentGroupProtocol);
    }
    let assignments = request.assignments.iter();
    let assignments: HashMap<_, _> = assignments.map(|a| (a.member_id.clone(), a.assignment.to_vec().into())).collect();
    group.sync(who, request.generation_id, &assignments, now)
}

pub(super) fn heartbeat(shared: &Shared, request: &HeartbeatRequest, now: Instant) -> HeartbeatResponse {
    let who = Identity { member: &request.member_id, instance: request.group_instance_id.as_ref() };
    let mut state = shared.lock();
    let group = state.groups.existing(&request.group_id);
    let alive = group.and_then(|group| group.heartbeat(who, request.generation_id, now));
    HeartbeatResponse::default().with_error_code(super::code(&alive))
}

pub(super) fn leave(shared: &Shared, version: i16, request: &LeaveGroupRequest, now: Instant) -> LeaveGroupResponse {
    let mut state = shared.lock();
    let mut leave_one = |who: Identity<'_>| {
        let group = state.groups.existing(&request.group_id);
        super::code(&group.and_then(|group| group.leave(who, now)))
    };
    // Up to version 2 one member left, named in the request itself.
    if version < 3 {
        let who = Identity { member: &request.member_id, instance: None };
        return LeaveGroupResponse::default().with_error_code(leave_one(who));
    }
    let mut members = Vec::with_capacity(request.members.len());
    for leaving in &request.members {
        let error = leave_one(Identity { member: &leaving.member_id, instance: leaving.group_instance_id.as_ref() });
        members.push(
            MemberResponse::default()
                .with_member_id(leaving.member_id.clone())
                .with_group_instance_id(leaving.group_instance_id.clone())
                .with_error_code(error),
        );
    }
    LeaveGroupResponse::default().with_members(members)
}
