//! Topics: describing, creating, deleting and widening them.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{NODE_ID, code};
use crate::state::{Shared, State};
use crate::store::{Store, Topic, check_name};

const NODE: BrokerId = BrokerId(NODE_ID);

/// Brokers, and the topics asked for. Asking never creates a topic.
pub(super) fn metadata(shared: &Shared, version: i16, request: &MetadataRequest) -> MetadataResponse {
    let state = shared.lock();
    let named = request.topics.as_deref().unwrap_or_default();
    // "All" was an empty list in version 0 and is null since.
    let all = request.topics.is_none() || (version == 0 && named.is_empty());
    let topics = if all {
        let topics = state.store.topics.iter();
        topics.map(|(name, topic)| describe(StrBytes::from_string(name.clone()).into(), topic, version)).collect()
    } else {
        let names = named.iter().filter_map(|topic| topic.name.clone());
        names.map(|name| find(&state.store, name, version)).collect()
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE)
        .with_host(StrBytes::from_static_str("127.0.0.1"))
        .with_port(i32::from(shared.port));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_static_str("citystream-development")))
        .with_controller_id(NODE)
        .with_topics(topics)
}

fn find(store: &Store, name: TopicName, version: i16) -> MetadataResponseTopic {
    if let Some(topic) = store.topics.get(name.as_str()) {
        return describe(name, topic, version);
    }
    let legal = check_name(&name);
    let error = legal.err().unwrap_or(ResponseError::UnknownTopicOrPartition);
    MetadataResponseTopic::default().with_name(Some(name)).with_error_code(error.code())
}

fn describe(name: TopicName, topic: &Topic, version: i16) -> MetadataResponseTopic {
    // The field exists since version 7.
    let epoch = if version >= 7 { 0 } else { -1 };
    let partitions = (0..topic.width()).map(|index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(epoch)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    });
    MetadataResponseTopic::default().with_name(Some(name)).with_partitions(partitions.collect())
}

pub(super) fn create(shared: &Shared, version: i16, request: &CreateTopicsRequest) -> CreateTopicsResponse {
    let mut state = shared.lock();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let created = create_one(shared, &mut state, topic, request.validate_only);
        let mut result = CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_error_code(code(&created))
            .with_error_message(message(&created));
        // Both fields exist since version 5.
        if let (true, Ok(partitions)) = (version >= 5, &created) {
            result = result.with_num_partitions(*partitions).with_replication_factor(1);
        }
        results.push(result);
    }
    CreateTopicsResponse::default().with_topics(results)
}

/// Creates a topic, or only checks that it could be; returns how many partitions it has.
fn create_one(
    shared: &Shared,
    state: &mut State,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<i32, ResponseError> {
    if topic.replication_factor > 1 {
        return Err(ResponseError::InvalidReplicationFactor);
    }
    let partitions = match (topic.num_partitions, topic.assignments.len()) {
        (-1, 0) => shared.config.default_partitions,
        (wanted, 0) => wanted,
        (_, assigned) => i32::try_from(assigned).map_err(|_| ResponseError::InvalidPartitions)?,
    };
    let here = |brokers: &[BrokerId]| brokers == [NODE];
    if !topic.assignments.iter().all(|a| here(&a.broker_ids)) {
        return Err(ResponseError::InvalidReplicaAssignment);
    }
    let mut settings = BTreeMap::new();
    for config in &topic.configs {
        let value = config.value.as_ref().ok_or(ResponseError::InvalidConfig)?;
        settings.insert(config.name.to_string(), value.to_string());
    }
    if validate_only {
        state.store.check_new_topic(&topic.name, partitions, &settings)?;
    } else {
        state.store.create_topic(&topic.name, partitions, settings)?;
    }
    Ok(partitions)
}

pub(super) fn delete(shared: &Shared, request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut state = shared.lock();
    let mut results = Vec::with_capacity(request.topic_names.len());
    for name in &request.topic_names {
        let deleted = state.store.delete_topic(name);
        if deleted.is_ok() {
            state.groups.forget_topic(name);
            state.transactions.forget_topic(name);
        }
        results.push(DeletableTopicResult::default().with_name(Some(name.clone())).with_error_code(code(&deleted)));
    }
    drop(state);
    // Waiting readers learn that their topic is gone.
    shared.wake_readers();
    DeleteTopicsResponse::default().with_responses(results)
}

pub(super) fn add_partitions(shared: &Shared, request: &CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut state = shared.lock();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let added = widen(&mut state.store, topic, request.validate_only);
        results.push(
            CreatePartitionsTopicResult::default()
                .with_name(topic.name.clone())
                .with_error_code(code(&added))
                .with_error_message(message(&added)),
        );
    }
    CreatePartitionsResponse::default().with_results(results)
}

fn widen(store: &mut Store, topic: &CreatePartitionsTopic, dry: bool) -> Result<(), ResponseError> {
    let mut assigned = topic.assignments.iter().flatten();
    if !assigned.all(|a| a.broker_ids == [NODE]) {
        return Err(ResponseError::InvalidReplicaAssignment);
    }
    store.add_partitions(&topic.name, topic.count, dry)
}

fn message<T>(outcome: &Result<T, ResponseError>) -> Option<StrBytes> {
    let error = outcome.as_ref().err()?;
    Some(StrBytes::from_string(error.to_string()))
}
