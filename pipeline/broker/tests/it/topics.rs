//! Topics: created, described, deleted, widened.

use rdkafka::admin::{AdminOptions, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

use crate::cluster::{
    admin, assign, blocking, consumer, create, new_topic, producer, read, reader, send, topic, unique, until, within,
};

/// Number of partitions, or the error of the topic.
async fn width(topic: &str) -> Result<usize, RDKafkaRespErr> {
    let topic = topic.to_owned();
    blocking(move || {
        let metadata = consumer(&[]).fetch_metadata(Some(&topic), crate::cluster::WAIT).unwrap();
        let found = &metadata.topics()[0];
        found.error().map_or(Ok(found.partitions().len()), Err)
    })
    .await
}

#[tokio::test]
async fn a_created_topic_is_described() {
    let name = topic("described", 3).await;
    assert_eq!(width(&name).await, Ok(3));
    let metadata = blocking(move || {
        let metadata = consumer(&[]).fetch_metadata(None, crate::cluster::WAIT).unwrap();
        let nodes: Vec<i32> = metadata.brokers().iter().map(|b| b.id()).collect();
        let found = metadata.topics().iter().find(|t| t.name() == name).unwrap();
        (nodes, found.partitions().iter().map(|p| p.leader()).collect::<Vec<_>>())
    });
    let (nodes, leaders) = metadata.await;
    assert_eq!(leaders, [nodes[0]; 3]);
}

#[tokio::test]
async fn refusals_say_why() {
    let taken = topic("taken", 1).await;
    let cases = [
        (new_topic(&taken, 1), RDKafkaErrorCode::TopicAlreadyExists),
        (new_topic("no spaces", 1), RDKafkaErrorCode::InvalidTopic),
        (new_topic("citystream-none", 0), RDKafkaErrorCode::InvalidPartitions),
        (new_topic("citystream-odd", 1).set("max.message.bytes", "many"), RDKafkaErrorCode::InvalidConfig),
    ];
    for (wanted, expect) in cases {
        let answer = within(admin().create_topics([&wanted], &AdminOptions::new())).await;
        match answer {
            Ok(results) => assert_eq!(results, [Err((wanted.name.to_owned(), expect))]),
            // librdkafka refuses some by itself.
            Err(error) => assert!(error.to_string().contains("num_partitions"), "{error}"),
        }
    }
}

#[tokio::test]
async fn an_unknown_topic_is_not_created_by_asking() {
    let name = unique("unknown");
    for _ in 0..2 {
        assert_eq!(width(&name).await, Err(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
    }
}

#[tokio::test]
async fn a_deleted_topic_is_gone_and_its_name_free() {
    let name = topic("deleted", 2).await;
    send(&producer(&[]), &name, 0, "old").await;
    let delete = || async { within(admin().delete_topics(&[&name], &AdminOptions::new())).await.unwrap() };
    assert_eq!(delete().await, [Ok(name.clone())]);
    until("topic is gone", || async { width(&name).await.is_err() }).await;
    assert_eq!(delete().await, [Err((name.clone(), RDKafkaErrorCode::UnknownTopicOrPartition))]);

    create(new_topic(&name, 1)).await;
    let offset = send(&producer(&[]), &name, 0, "new").await;
    assert_eq!(offset, 0);
}

#[tokio::test]
async fn added_partitions_take_records() {
    let name = topic("widened", 1).await;
    let writer = producer(&[("topic.metadata.refresh.interval.ms", "500")]);
    send(&writer, &name, 0, "first").await;

    let widen = |count| {
        let name = name.clone();
        async move {
            let wanted = NewPartitions::new(&name, count);
            within(admin().create_partitions([&wanted], &AdminOptions::new())).await.unwrap()
        }
    };
    assert_eq!(widen(3).await, [Ok(name.clone())]);
    assert_eq!(widen(2).await, [Err((name.clone(), RDKafkaErrorCode::InvalidPartitions))]);
    until("three partitions", || async { width(&name).await == Ok(3) }).await;

    // The producer learns of the new partition by itself.
    until("producer knows partition 2", || async {
        let record = rdkafka::producer::FutureRecord::<(), str>::to(&name).partition(2).payload("third");
        within(writer.send(record, crate::cluster::WAIT)).await.is_ok()
    })
    .await;
    let found = read(&reader(&name, 2, &[]), 1).await;
    assert_eq!(rdkafka::Message::payload(&found[0]), Some(&b"third"[..]));
}

#[tokio::test]
async fn a_subscriber_is_given_added_partitions() {
    let name = topic("grown", 1).await;
    let member = consumer(&[("topic.metadata.refresh.interval.ms", "200")]);
    member.subscribe(&[&name]).unwrap();
    send(&producer(&[]), &name, 0, "first").await;
    read(&member, 1).await;

    let wanted = NewPartitions::new(&name, 2);
    within(admin().create_partitions([&wanted], &AdminOptions::new())).await.unwrap();
    until("two partitions", || async { width(&name).await == Ok(2) }).await;
    send(&producer(&[]), &name, 1, "second").await;
    // Nothing was committed, so the first record may come again after the rebalance.
    while rdkafka::Message::partition(&read(&member, 1).await[0]) != 1 {}
}

#[tokio::test]
async fn settings_of_a_topic_are_described() {
    let name = unique("settings");
    create(new_topic(&name, 1).set("max.message.bytes", "2000000").set("retention.ms", "86400000")).await;
    let wanted = ResourceSpecifier::Topic(&name);
    let described = within(admin().describe_configs([&wanted], &AdminOptions::new())).await.unwrap();
    let described = described[0].as_ref().unwrap();
    let value = |setting| described.get(setting).and_then(|entry| entry.value.clone()).unwrap();
    assert_eq!(value("max.message.bytes"), "2000000");
    assert_eq!(value("retention.ms"), "86400000");
    assert_eq!(value("cleanup.policy"), "delete");
}

#[tokio::test]
async fn reading_an_unknown_partition_is_an_error() {
    let name = topic("narrow", 1).await;
    let consumer = consumer(&[]);
    assign(&consumer, &name, 7, rdkafka::Offset::Beginning);
    let error = within(consumer.recv()).await.unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownPartition));
}
