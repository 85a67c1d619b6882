//! DescribeConfigs: the few settings that mean something here.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::NODE_ID;
use crate::state::{Shared, State};

/// Kafka's numbers for kinds of resources and origins of values.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET_ON_TOPIC: i8 = 1;
const SET_ON_BROKER: i8 = 4;
const DEFAULT: i8 = 5;

pub(super) fn describe(shared: &Shared, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let state = shared.lock();
    let results = request.resources.iter().map(|resource| {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match settings(shared, &state, resource) {
            Ok(found) => answer.with_configs(wanted(resource, found)),
            Err(error) => {
                answer.with_error_code(error.code()).with_error_message(Some(StrBytes::from_string(error.to_string())))
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// Values with their origin, by name.
type Settings = BTreeMap<String, (String, i8)>;

fn settings(shared: &Shared, state: &State, resource: &DescribeConfigsResource) -> Result<Settings, ResponseError> {
    let name = resource.resource_name.as_str();
    let message_max = shared.config.message_max_bytes;
    match resource.resource_type {
        TOPIC => {
            let topic = state.store.topics.get(name);
            let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
            let mut settings = Settings::from([
                entry("cleanup.policy", "delete", DEFAULT),
                entry("max.message.bytes", message_max, SET_ON_BROKER),
                entry("message.timestamp.type", "CreateTime", DEFAULT),
                entry("retention.bytes", -1, DEFAULT),
                entry("retention.ms", -1, DEFAULT),
            ]);
            let own = topic.settings.iter();
            settings.extend(own.map(|(name, value)| entry(name, value, SET_ON_TOPIC)));
            Ok(settings)
        }
        BROKER if name.is_empty() || name == NODE_ID.to_string() => Ok(Settings::from([
            entry("auto.create.topics.enable", false, SET_ON_BROKER),
            entry("message.max.bytes", message_max, SET_ON_BROKER),
            entry("num.partitions", shared.config.default_partitions, SET_ON_BROKER),
        ])),
        _ => Err(ResponseError::InvalidRequest),
    }
}

fn entry(name: &str, value: impl ToString, origin: i8) -> (String, (String, i8)) {
    (name.to_owned(), (value.to_string(), origin))
}

/// Those that were asked for; all if none were named.
fn wanted(resource: &DescribeConfigsResource, found: Settings) -> Vec<DescribeConfigsResourceResult> {
    let keys = resource.configuration_keys.as_deref();
    let asked = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name));
    found
        .into_iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, (value, origin))| {
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_string(name))
                .with_value(Some(StrBytes::from_string(value)))
                .with_config_source(origin)
                .with_read_only(origin == SET_ON_BROKER)
        })
        .collect()
}
