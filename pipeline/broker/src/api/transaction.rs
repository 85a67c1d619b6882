//! Transactions: producer ids, what a transaction takes in, and its end.

use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse,
};

use super::code;
use crate::log::batch::{Marker, Producer};
use crate::state::Shared;

/// Gives out a producer id, and with a transactional id fences its earlier owner.
pub(super) fn init(shared: &Shared, version: i16, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    match init_producer(shared, request) {
        Ok(producer) => {
            InitProducerIdResponse::default().with_producer_id(producer.id.into()).with_producer_epoch(producer.epoch)
        }
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(fenced_since(4, version, error).code())
            .with_producer_id((-1).into())
            .with_producer_epoch(-1),
    }
}

fn init_producer(shared: &Shared, request: &InitProducerIdRequest) -> Result<Producer, ResponseError> {
    let mut state = shared.lock();
    let Some(id) = &request.transactional_id else {
        return Ok(state.transactions.new_producer());
    };
    if id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let timeout_ms = request.transaction_timeout_ms;
    if !(1..=shared.config.transaction_max_timeout_ms).contains(&timeout_ms) {
        return Err(ResponseError::InvalidTransactionTimeout);
    }
    let timeout = Duration::from_millis(u64::from(timeout_ms.unsigned_abs()));
    // A client that goes on with the producer it had names it (since version 3).
    let known =
        (*request.producer_id >= 0).then_some(Producer { id: *request.producer_id, epoch: request.producer_epoch });
    let (producer, aborted) = state.transactions.init(id, timeout, known)?;
    if let Some(aborted) = aborted {
        state.finish(&aborted);
        drop(state);
        shared.wake_readers();
    }
    Ok(producer)
}

/// Takes partitions in, all or none.
pub(super) fn add_partitions(
    shared: &Shared,
    version: i16,
    request: &AddPartitionsToTxnRequest,
    now: Instant,
) -> AddPartitionsToTxnResponse {
    let wanted = || {
        let topics = request.v3_and_below_topics.iter();
        topics.flat_map(|t| t.partitions.iter().map(move |p| (&t.name, *p)))
    };
    let producer = Producer { id: *request.v3_and_below_producer_id, epoch: request.v3_and_below_producer_epoch };
    let mut state = shared.lock();
    let all_exist = wanted().all(|(topic, p)| state.store.partition(topic, p).is_ok());
    let added = if all_exist {
        let id = &request.v3_and_below_transactional_id;
        let partitions = wanted().map(|(topic, p)| (topic.to_string(), p)).collect();
        state.transactions.add_partitions(id, producer, partitions, now)
    } else {
        // For those that do exist; the others say that they do not.
        Err(ResponseError::OperationNotAttempted)
    };
    let added = added.map_err(|error| fenced_since(2, version, error));
    let results = request.v3_and_below_topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            let outcome = state.store.partition(&topic.name, *p).and(added);
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*p)
                .with_partition_error_code(code(&outcome))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}

pub(super) fn add_offsets(
    shared: &Shared,
    version: i16,
    request: &AddOffsetsToTxnRequest,
    now: Instant,
) -> AddOffsetsToTxnResponse {
    let producer = Producer { id: *request.producer_id, epoch: request.producer_epoch };
    let mut state = shared.lock();
    let added = state
        .transactions
        .add_group(&request.transactional_id, producer, &request.group_id, now)
        .map_err(|error| fenced_since(2, version, error));
    AddOffsetsToTxnResponse::default().with_error_code(code(&added))
}

/// Commits or aborts: the markers are in the logs before the client hears of it.
pub(super) fn end(shared: &Shared, version: i16, request: &EndTxnRequest) -> EndTxnResponse {
    let producer = Producer { id: *request.producer_id, epoch: request.producer_epoch };
    let marker = if request.committed { Marker::Commit } else { Marker::Abort };
    let mut state = shared.lock();
    let ended = state
        .transactions
        .end(&request.transactional_id, producer, marker)
        .map_err(|error| fenced_since(2, version, error));
    if let Ok(Some(finished)) = &ended {
        state.finish(finished);
    }
    drop(state);
    shared.wake_readers();
    EndTxnResponse::default().with_error_code(code(&ended))
}

/// Older versions knew one word for both: the epoch is invalid.
fn fenced_since(since: i16, version: i16, error: ResponseError) -> ResponseError {
    if error == ResponseError::ProducerFenced && version < since {
        return ResponseError::InvalidProducerEpoch;
    }
    error
}
