//! Produce: checks batches and appends them.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::log::batch::NewBatch;
use crate::state::{Shared, State};

/// Appends all batches of the request. `None` for acks=0: such a client reads no answer.
pub(super) fn produce(shared: &Shared, request: &ProduceRequest) -> Option<ProduceResponse> {
    let known_acks = matches!(request.acks, -1..=1);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        // Sums over megabytes are checked before the lock is taken.
        let parsed: Vec<_> = topic
            .partition_data
            .iter()
            .map(|data| if known_acks { parse(data) } else { Err(ResponseError::InvalidRequiredAcks) })
            .collect();
        responses.push(append_all(shared, request, topic, parsed));
    }
    shared.wake_readers();
    (request.acks != 0).then(|| ProduceResponse::default().with_responses(responses))
}

fn parse(data: &PartitionProduceData) -> Result<NewBatch, ResponseError> {
    match &data.records {
        Some(records) => NewBatch::parse(records),
        None => Err(ResponseError::InvalidRecord),
    }
}

fn append_all(
    shared: &Shared,
    request: &ProduceRequest,
    topic: &TopicProduceData,
    parsed: Vec<Result<NewBatch, ResponseError>>,
) -> TopicProduceResponse {
    let mut state = shared.lock();
    let mut answers = Vec::with_capacity(parsed.len());
    for (data, batch) in topic.partition_data.iter().zip(parsed) {
        let answer = PartitionProduceResponse::default().with_index(data.index);
        let appended = batch.and_then(|b| append(&mut state, request, &topic.name, data.index, b));
        answers.push(match appended {
            Ok((offset, start)) => answer.with_base_offset(offset).with_log_start_offset(start),
            Err(error) => answer.with_error_code(error.code()).with_base_offset(-1),
        });
    }
    TopicProduceResponse::default().with_name(topic.name.clone()).with_partition_responses(answers)
}

/// Appends one batch and returns its offset and the log start offset.
fn append(
    state: &mut State,
    request: &ProduceRequest,
    topic: &str,
    index: i32,
    batch: NewBatch,
) -> Result<(i64, i64), ResponseError> {
    state.store.partition(topic, index)?;
    if let (true, Some(producer)) = (batch.transactional, batch.producer) {
        let Some(id) = &request.transactional_id else {
            return Err(ResponseError::InvalidTxnState);
        };
        let checked = state.transactions.check_partition(id, producer, topic, index);
        checked.map_err(|error| match error {
            // The word for it in Produce: the epoch was overtaken.
            ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
            other => other,
        })?;
    }
    let offset = state.store.append(topic, index, batch)?;
    let start = state.store.partition(topic, index)?.marks().start;
    Ok((offset, start))
}
