//! Which requests the broker speaks, in which versions, and which file answers each.

mod configs;
mod coordinator;
mod fetch;
mod group_offsets;
mod membership;
mod offsets;
mod produce;
mod topics;
mod transaction;

use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

use crate::error::{Error, Result};
use crate::state::Shared;
use crate::wire::Request;

/// This broker's number in the cluster of one.
const NODE_ID: i32 = 1;

/// Requests with their lowest and highest version: what librdkafka 2.12 and kcat need, below the versions with topic
/// ids. Produce is decoded from 3 on; clients decide by the lower ones whether the broker is modern.
const VERSIONS: [(ApiKey, i16, i16); 23] = [
    (ApiKey::Produce, 0, 9),
    (ApiKey::Fetch, 4, 11),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 9),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 7),
    (ApiKey::FindCoordinator, 0, 3),
    (ApiKey::JoinGroup, 0, 7),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 4),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 4),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 6),
    (ApiKey::DeleteTopics, 1, 5),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::DescribeConfigs, 1, 4),
];

/// Answers a request; `None` if the client wants no answer. An error closes the connection, as in Kafka.
pub(crate) async fn handle(shared: &Shared, request: &Request) -> Result<Option<Bytes>> {
    let version = request.version;
    let spoken = |&(key, low, high): &(ApiKey, i16, i16)| key == request.key && (low..=high).contains(&version);
    if !VERSIONS.iter().any(spoken) {
        return refuse(request);
    }
    match request.key {
        ApiKey::Fetch => {
            let answer = fetch::fetch(shared, &request.body()?).await;
            request.answer(&answer)
        }
        ApiKey::JoinGroup => {
            let joining = membership::join(shared, version, &request.client_id, request.body()?);
            request.answer(&joining.await)
        }
        ApiKey::SyncGroup => {
            let answer = membership::sync(shared, request.body()?).await;
            request.answer(&answer)
        }
        _ => answer_now(shared, request),
    }
}

/// The requests that never wait.
fn answer_now(shared: &Shared, r: &Request) -> Result<Option<Bytes>> {
    let (version, now) = (r.version, Instant::now());
    match r.key {
        ApiKey::ApiVersions => r.answer(&api_versions(0)),
        ApiKey::Produce => match produce::produce(shared, &r.body()?) {
            Some(answer) => r.answer(&answer),
            None => Ok(None),
        },
        ApiKey::ListOffsets => r.answer(&offsets::list(shared, version, &r.body()?)),
        ApiKey::Metadata => r.answer(&topics::metadata(shared, version, &r.body()?)),
        ApiKey::CreateTopics => r.answer(&topics::create(shared, version, &r.body()?)),
        ApiKey::DeleteTopics => r.answer(&topics::delete(shared, &r.body()?)),
        ApiKey::CreatePartitions => r.answer(&topics::add_partitions(shared, &r.body()?)),
        ApiKey::DescribeConfigs => r.answer(&configs::describe(shared, &r.body()?)),
        ApiKey::FindCoordinator => r.answer(&coordinator::find(shared, &r.body()?)),
        ApiKey::OffsetCommit => r.answer(&group_offsets::commit(shared, &r.body()?, now)),
        ApiKey::OffsetFetch => r.answer(&group_offsets::fetch(shared, version, &r.body()?)),
        ApiKey::TxnOffsetCommit => r.answer(&group_offsets::commit_in_transaction(shared, &r.body()?, now)),
        ApiKey::Heartbeat => r.answer(&membership::heartbeat(shared, &r.body()?, now)),
        ApiKey::LeaveGroup => r.answer(&membership::leave(shared, version, &r.body()?, now)),
        ApiKey::DescribeGroups => r.answer(&coordinator::describe_groups(shared, &r.body()?)),
        ApiKey::ListGroups => r.answer(&coordinator::list_groups(shared, version, &r.body()?)),
        ApiKey::InitProducerId => r.answer(&transaction::init(shared, version, &r.body()?)),
        ApiKey::AddPartitionsToTxn => r.answer(&transaction::add_partitions(shared, version, &r.body()?, now)),
        ApiKey::AddOffsetsToTxn => r.answer(&transaction::add_offsets(shared, version, &r.body()?, now)),
        ApiKey::EndTxn => r.answer(&transaction::end(shared, version, &r.body()?)),
        _ => refuse(r),
    }
}

/// A version question gets an answer that every client can read; anything else unknown ends the connection.
fn refuse(request: &Request) -> Result<Option<Bytes>> {
    if request.key == ApiKey::ApiVersions {
        return request.answer_in(0, &api_versions(ResponseError::UnsupportedVersion.code()));
    }
    let (key, version) = (request.key, request.version);
    Err(Error::Protocol(format!("{key:?} version {version} is not spoken here")))
}

fn api_versions(error_code: i16) -> ApiVersionsResponse {
    let spoken = VERSIONS.iter().map(|&(key, low, high)| {
        ApiVersion::default().with_api_key(key as i16).with_min_version(low).with_max_version(high)
    });
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(spoken.collect())
}

/// Kafka's number for an outcome; 0 is success.
fn code<T>(outcome: &std::result::Result<T, ResponseError>) -> i16 {
    match outcome {
        Ok(_) => 0,
        Err(error) => error.code(),
    }
}
