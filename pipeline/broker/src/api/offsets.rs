//! ListOffsets: where a log begins and ends, and where a time is in it.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::log::partition::Isolation;
use crate::state::{Shared, State};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record with the latest time (since version 7).
const LATEST_TIME: i64 = -3;
/// Time of an answer that is not about a record, and offset of one that found none.
const NONE: i64 = -1;

pub(super) fn list(shared: &Shared, version: i16, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = Isolation::from(request.isolation_level);
    let state = shared.lock();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
            partitions.push(match find(&state, &topic.name, wanted, isolation) {
                Ok((offset, time_ms)) => {
                    // The field exists since version 4.
                    let epoch = if version >= 4 { 0 } else { -1 };
                    answer.with_offset(offset).with_timestamp(time_ms).with_leader_epoch(epoch)
                }
                Err(error) => answer.with_error_code(error.code()).with_offset(NONE),
            });
        }
        let answer = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
        topics.push(answer.with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// Offset and, if it is that of a record, its time in milliseconds.
fn find(
    state: &State,
    topic: &str,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<(i64, i64), ResponseError> {
    let partition = state.store.partition(topic, wanted.partition_index)?;
    let timed = match wanted.timestamp {
        LATEST => return Ok((partition.end(isolation), NONE)),
        EARLIEST => return Ok((partition.marks().start, NONE)),
        LATEST_TIME => partition.latest_time(),
        time_ms if time_ms >= 0 => partition.offset_at(time_ms, isolation),
        _ => return Err(ResponseError::InvalidRequest),
    };
    Ok(timed.map_or((NONE, NONE), |found| (found.offset, found.time_ms)))
}
