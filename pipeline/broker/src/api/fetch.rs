//! Fetch: reads batches, and waits for more while there are too few.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use tokio::time::{Instant, timeout_at};

use crate::log::partition::{Isolation, Marks, Slice};
use crate::state::{Shared, State};

/// What one look at the log gave.
struct Look {
    topics: Vec<(TopicName, Vec<Found>)>,
    bytes: usize,
    any_error: bool,
}

/// What one partition gave.
struct Found {
    index: i32,
    outcome: Result<(Marks, Slice), ResponseError>,
}

/// Answers when `min_bytes` are there, when a partition has an error, or when `max_wait` is over.
pub(super) async fn fetch(shared: &Shared, request: &FetchRequest) -> FetchResponse {
    if request.session_id != 0 {
        // No sessions here; the client then sends its full list each time.
        return FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let deadline = Instant::now() + max_wait;
    let mut changed = shared.changed.subscribe();
    loop {
        let look = look(shared, request);
        let enough = look.any_error || look.bytes >= min_bytes || Instant::now() >= deadline;
        if enough || request.topics.is_empty() {
            return respond(look, Isolation::from(request.isolation_level));
        }
        // A change since the subscription or the last wait returns at once. A timeout leads to a last look.
        let _ = timeout_at(deadline, changed.changed()).await;
    }
}

fn look(shared: &Shared, request: &FetchRequest) -> Look {
    let isolation = Isolation::from(request.isolation_level);
    let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
    let mut look = Look { topics: Vec::with_capacity(request.topics.len()), bytes: 0, any_error: false };
    let state = shared.lock();
    for topic in &request.topics {
        let mut found = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let first = look.bytes == 0;
            let outcome = read(&state, &topic.topic, partition, left, isolation, first);
            match &outcome {
                Ok((_, slice)) => {
                    look.bytes += slice.bytes;
                    left = left.saturating_sub(slice.bytes);
                }
                Err(_) => look.any_error = true,
            }
            found.push(Found { index: partition.partition, outcome });
        }
        look.topics.push((topic.topic.clone(), found));
    }
    look
}

fn read(
    state: &State,
    topic: &str,
    wanted: &FetchPartition,
    left: usize,
    isolation: Isolation,
    first_whole: bool,
) -> Result<(Marks, Slice), ResponseError> {
    let partition = state.store.partition(topic, wanted.partition)?;
    let own_limit = usize::try_from(wanted.partition_max_bytes).unwrap_or(0);
    let limit = own_limit.min(left);
    let slice = partition.read(wanted.fetch_offset, limit, isolation, first_whole)?;
    Ok((partition.marks(), slice))
}

/// Copies the batches into the answer; the lock is free again by now.
fn respond(look: Look, isolation: Isolation) -> FetchResponse {
    let topics = look.topics.into_iter().map(|(name, found)| {
        let partitions = found.into_iter().map(|f| partition_data(f, isolation));
        FetchableTopicResponse::default().with_topic(name).with_partitions(partitions.collect())
    });
    FetchResponse::default().with_responses(topics.collect())
}

fn partition_data(found: Found, isolation: Isolation) -> PartitionData {
    let data = PartitionData::default().with_partition_index(found.index);
    let (marks, slice) = match found.outcome {
        Ok(read) => read,
        Err(error) => {
            return data.with_error_code(error.code()).with_high_watermark(-1).with_records(Some(Bytes::new()));
        }
    };
    let aborted = slice.aborted.iter().map(|a| {
        AbortedTransaction::default().with_producer_id(a.producer_id.into()).with_first_offset(a.first_offset)
    });
    let aborted = (isolation == Isolation::ReadCommitted).then(|| aborted.collect());
    data.with_high_watermark(marks.high)
        .with_last_stable_offset(marks.last_stable)
        .with_log_start_offset(marks.start)
        .with_aborted_transactions(aborted)
        .with_records(Some(joined(slice)))
}

fn joined(slice: Slice) -> Bytes {
    if let [only] = slice.batches.as_slice() {
        return only.clone();
    }
    let mut records = BytesMut::with_capacity(slice.bytes);
    for batch in &slice.batches {
        records.extend_from_slice(batch);
    }
    records.freeze()
}
