//! Offsets of groups: committing them, alone or inside a transaction, and reading them back.

use std::time::Instant;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::groups::{Committed, Group, Identity};
use crate::log::batch::Producer;
use crate::state::{Shared, State};

/// Kafka's default `offset.metadata.max.bytes`.
const METADATA_MAX_BYTES: usize = 4_096;
const NO_OFFSET: i64 = -1;

pub(super) fn commit(shared: &Shared, request: &OffsetCommitRequest, now: Instant) -> OffsetCommitResponse {
    let mut state = shared.lock();
    let allowed = may_commit(&mut state, request, now);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for p in &topic.partitions {
            let stored = allowed.and_then(|()| commit_one(&mut state, &request.group_id, &topic.name, p));
            partitions.push(
                OffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(super::code(&stored)),
            );
        }
        let answer = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
        topics.push(answer.with_partitions(partitions));
    }
    OffsetCommitResponse::default().with_topics(topics)
}

fn may_commit(state: &mut State, request: &OffsetCommitRequest, now: Instant) -> Result<(), ResponseError> {
    let who = Identity { member: &request.member_id, instance: request.group_instance_id.as_ref() };
    let generation = request.generation_id_or_member_epoch;
    let group = state.groups.group(&request.group_id)?;
    group.check_commit(who, generation, now)
}

fn commit_one(
    state: &mut State,
    group: &str,
    topic: &str,
    wanted: &OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    let index = wanted.partition_index;
    state.store.partition(topic, index)?;
    let committed =
        committed(wanted.committed_offset, wanted.committed_leader_epoch, wanted.committed_metadata.as_ref())?;
    let group = state.groups.group(group)?;
    group.offsets.commit(topic, index, committed);
    Ok(())
}

fn committed(offset: i64, leader_epoch: i32, metadata: Option<&StrBytes>) -> Result<Committed, ResponseError> {
    if metadata.is_some_and(|m| m.len() > METADATA_MAX_BYTES) {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(Committed {
        offset,
        leader_epoch,
        // Copied, so that a few bytes do not keep their request frame in memory.
        metadata: metadata.map(|m| StrBytes::from_string(m.to_string())),
    })
}

/// Stores offsets that become visible when the transaction commits.
pub(super) fn commit_in_transaction(
    shared: &Shared,
    request: &TxnOffsetCommitRequest,
    now: Instant,
) -> TxnOffsetCommitResponse {
    let mut state = shared.lock();
    let allowed = may_commit_in_transaction(&mut state, request, now);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for p in &topic.partitions {
            let metadata = p.committed_metadata.as_ref();
            let stored = allowed.and_then(|()| {
                state.store.partition(&topic.name, p.partition_index)?;
                let c = committed(p.committed_offset, p.committed_leader_epoch, metadata)?;
                let group = state.groups.group(&request.group_id)?;
                let producer_id = *request.producer_id;
                group.offsets.commit_pending(producer_id, &topic.name, p.partition_index, c);
                Ok(())
            });
            partitions.push(
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(super::code(&stored)),
            );
        }
        let answer = TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone());
        topics.push(answer.with_partitions(partitions));
    }
    TxnOffsetCommitResponse::default().with_topics(topics)
}

fn may_commit_in_transaction(
    state: &mut State,
    request: &TxnOffsetCommitRequest,
    now: Instant,
) -> Result<(), ResponseError> {
    let producer = Producer { id: *request.producer_id, epoch: request.producer_epoch };
    let checked = state.transactions.check_group(&request.transactional_id, producer, &request.group_id);
    checked.map_err(|error| match error {
        ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
        other => other,
    })?;
    let who = Identity { member: &request.member_id, instance: request.group_instance_id.as_ref() };
    let group = state.groups.group(&request.group_id)?;
    group.check_transaction_commit(who, request.generation_id, now)
}

/// Stored offsets of the partitions asked for; of all that have one if none were named.
pub(super) fn fetch(shared: &Shared, version: i16, request: &OffsetFetchRequest) -> OffsetFetchResponse {
    let state = shared.lock();
    let group = state.groups.get(&request.group_id);
    let find = |topic: &str, index| {
        let mut found = fetch_one(group, topic, index, request.require_stable);
        if version < 5 {
            // The field exists since version 5.
            found.committed_leader_epoch = -1;
        }
        found
    };
    let mut topics = Vec::new();
    match &request.topics {
        Some(wanted) => {
            for topic in wanted {
                let indexes = topic.partition_indexes.iter();
                let found = indexes.map(|i| find(&topic.name, *i));
                topics.push(answer(topic.name.clone(), found.collect()));
            }
        }
        None => {
            for ((topic, index), _) in group.iter().flat_map(|g| g.offsets.iter()) {
                let found = find(topic, *index);
                let name = TopicName(StrBytes::from_string(topic.clone()));
                topics.push(answer(name, vec![found]));
            }
        }
    }
    OffsetFetchResponse::default().with_topics(topics)
}

fn answer(name: TopicName, found: Vec<OffsetFetchResponsePartition>) -> OffsetFetchResponseTopic {
    OffsetFetchResponseTopic::default().with_name(name).with_partitions(found)
}

fn fetch_one(group: Option<&Group>, topic: &str, index: i32, require_stable: bool) -> OffsetFetchResponsePartition {
    let answer = OffsetFetchResponsePartition::default()
        .with_partition_index(index)
        .with_committed_offset(NO_OFFSET)
        .with_metadata(Some(StrBytes::new()));
    if require_stable && group.is_some_and(|g| g.offsets.is_pending(topic, index)) {
        return answer.with_error_code(ResponseError::UnstableOffsetCommit.code());
    }
    match group.and_then(|g| g.offsets.get(topic, index)) {
        Some(committed) => answer
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(committed.metadata.clone()),
        None => answer,
    }
}
