//! Topics: do they exist, make them, grow them, delete them.

use super::config::{KafkaClient, check_topic, not_created};
use super::fault::{Class, Faults, no_topic, refused, unreachable};
use citystream_model::{Error, Result};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long one metadata request may take.
const REQUEST: Duration = Duration::from_secs(1);
/// Pause between two tries; spent on the client's events.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a change of topics may take until the brokers know it.
const CHANGE: Duration = Duration::from_secs(15);

/// Number of partitions of a topic, `None` when it does not exist; tries for `budget` to reach a broker.
///
/// # Errors
/// Brokers that are not reachable within the budget, a refused login.
pub fn partition_count(client: &KafkaClient, topic: &str, budget: Duration) -> Result<Option<usize>> {
    check_topic(topic)?;
    let config: ClientConfig = client.metadata_config();
    let consumer = config.create_with_context(Faults::default()).map_err(|error| not_created(&error))?;
    Ok(partitions_of(&consumer, client.brokers(), topic, Instant::now() + budget)?.map(|found| found.len()))
}

/// True when the topic exists.
///
/// # Errors
/// As [`partition_count`].
pub fn topic_exists(client: &KafkaClient, topic: &str, budget: Duration) -> Result<bool> {
    Ok(partition_count(client, topic, budget)?.is_some())
}

/// Makes the topic if it is missing and waits until it has leaders; returns how many partitions it has.
///
/// # Errors
/// As [`partition_count`]; the brokers refused to make it.
pub fn ensure_topic(
    client: &KafkaClient,
    topic: &str,
    partitions: usize,
    budget: Duration,
    handle: &Handle,
) -> Result<usize> {
    if let Some(found) = partition_count(client, topic, budget)? {
        return Ok(found);
    }
    let count = i32::try_from(partitions).unwrap_or(i32::MAX).max(1);
    // -1: the brokers' default.
    let wanted = NewTopic::new(topic, count, TopicReplication::Fixed(-1));
    change(client, topic, handle, Some(Code::TopicAlreadyExists), async |admin, options| {
        admin.create_topics([&wanted], options).await
    })?;
    partition_count_when(client, topic, |found| found.is_some())?.ok_or_else(|| no_topic(topic, client.brokers()))
}

/// Raises the number of partitions to `partitions`.
///
/// # Errors
/// The brokers refused.
pub fn add_partitions(client: &KafkaClient, topic: &str, partitions: usize, handle: &Handle) -> Result<()> {
    let wanted = NewPartitions::new(topic, partitions);
    change(client, topic, handle, None, async |admin, options| admin.create_partitions([&wanted], options).await)?;
    partition_count_when(client, topic, |found| found == Some(partitions)).map(drop)
}

/// Deletes the topic; one that does not exist is fine.
///
/// # Errors
/// The brokers refused.
pub fn delete_topic(client: &KafkaClient, topic: &str, handle: &Handle) -> Result<()> {
    let gone = Some(Code::UnknownTopicOrPartition);
    change(client, topic, handle, gone, async |admin, options| admin.delete_topics(&[topic], options).await)?;
    partition_count_when(client, topic, |found| found.is_none()).map(drop)
}

/// What one metadata request says of a topic.
pub(crate) enum Answer {
    /// It exists, with these partitions.
    Partitions(Vec<i32>),
    /// It does not exist.
    Missing,
    /// Nothing yet: no answer, no leader.
    Wait(Option<Code>),
}

/// Partition numbers of a topic, `None` when it does not exist. Retries until `deadline` what may pass.
///
/// It polls the consumer for reasons, so that one with an assignment would lose records: ask [`ask`] then.
pub(crate) fn partitions_of(
    consumer: &BaseConsumer<Faults>,
    brokers: &str,
    topic: &str,
    deadline: Instant,
) -> Result<Option<Vec<i32>>> {
    let faults = consumer.client().context();
    loop {
        let answer = ask(consumer, topic);
        // Reasons come as events beside the call.
        for _ in 0..16 {
            let _ = consumer.poll(Duration::ZERO);
        }
        let code = match answer {
            Answer::Partitions(found) => return Ok(Some(found)),
            Answer::Missing => return Ok(None),
            Answer::Wait(code) => code,
        };
        if code.map(Class::of) == Some(Class::Refused) {
            return Err(refused(brokers, &format!("topic '{topic}': {}", text(code))));
        }
        faults.check_refused(brokers)?;
        if Instant::now() >= deadline {
            return Err(unreachable(brokers, &faults.detail(&text(code))));
        }
        let _ = consumer.poll(PAUSE);
    }
}

/// Asks once for a topic; harmless for a consumer with an assignment.
pub(crate) fn ask(consumer: &BaseConsumer<Faults>, topic: &str) -> Answer {
    let found = match consumer.fetch_metadata(Some(topic), REQUEST) {
        Ok(found) => found,
        Err(error) => return Answer::Wait(error.rdkafka_error_code()),
    };
    let Some(topic) = found.topics().first() else { return Answer::Wait(None) };
    match topic.error().map(Code::from) {
        None if topic.partitions().iter().all(|partition| partition.leader() >= 0) => {
            Answer::Partitions(topic.partitions().iter().map(|partition| partition.id()).collect())
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::InvalidTopic) => Answer::Missing,
        code => Answer::Wait(code),
    }
}

fn text(code: Option<Code>) -> String {
    code.map_or_else(|| "no answer, no leader".to_owned(), |code| code.to_string())
}

/// Asks until the brokers agree with `wanted`, for at most [`CHANGE`].
fn partition_count_when(
    client: &KafkaClient,
    topic: &str,
    wanted: impl Fn(Option<usize>) -> bool,
) -> Result<Option<usize>> {
    let config = client.metadata_config();
    let consumer: BaseConsumer<Faults> =
        config.create_with_context(Faults::default()).map_err(|error| not_created(&error))?;
    let deadline = Instant::now() + CHANGE;
    loop {
        let found = partitions_of(&consumer, client.brokers(), topic, deadline)?.map(|found| found.len());
        if wanted(found) || Instant::now() >= deadline {
            return Ok(found);
        }
        let _ = consumer.poll(PAUSE);
    }
}

fn change<F>(client: &KafkaClient, topic: &str, handle: &Handle, fine: Option<Code>, call: F) -> Result<()>
where
    F: AsyncFnOnce(&AdminClient<Faults>, &AdminOptions) -> KafkaResult<Vec<TopicResult>>,
{
    let config = client.admin_config();
    let admin: AdminClient<Faults> =
        config.create_with_context(Faults::default()).map_err(|error| not_created(&error))?;
    let options = AdminOptions::new().request_timeout(Some(CHANGE)).operation_timeout(Some(CHANGE));
    let results = handle.block_on(call(&admin, &options));
    let failed = |code: Code| Error::unavailable(format!("topic '{topic}' on brokers {}: {code}", client.brokers()));
    match results {
        Err(error) => {
            Err(unreachable(client.brokers(), &admin.inner().context().detail(&error.to_string())).caused_by(error))
        }
        Ok(results) => match results.into_iter().find_map(std::result::Result::err) {
            Some((_, code)) if Some(code) != fine => Err(failed(code).permanent()),
            _ => Ok(()),
        },
    }
}
