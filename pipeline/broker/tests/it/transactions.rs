//! Transactions: all or nothing, one owner, offsets included.

use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{WAIT, blocking, consumer, producer, read, reader, send, topic, unique, until, watermarks};

async fn transactional(id: &str, settings: &[(&str, &str)]) -> FutureProducer {
    let mut all = vec![("transactional.id", id)];
    all.extend_from_slice(settings);
    let producer = producer(&all);
    let starting = producer.clone();
    blocking(move || starting.init_transactions(WAIT)).await.unwrap();
    producer
}

async fn commit(producer: &FutureProducer) -> Result<(), KafkaError> {
    let producer = producer.clone();
    blocking(move || producer.commit_transaction(WAIT)).await
}

async fn abort(producer: &FutureProducer) -> Result<(), KafkaError> {
    let producer = producer.clone();
    blocking(move || producer.abort_transaction(WAIT)).await
}

fn payloads(records: &[rdkafka::message::OwnedMessage]) -> Vec<&str> {
    records.iter().map(|r| std::str::from_utf8(r.payload().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn aborted_records_are_skipped_by_readers_of_committed_ones() {
    let name = topic("outcomes", 1).await;
    let writer = transactional(&unique("txn"), &[]).await;
    for (payload, keep) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", true)] {
        writer.begin_transaction().unwrap();
        send(&writer, &name, 0, payload).await;
        if keep { commit(&writer).await.unwrap() } else { abort(&writer).await.unwrap() }
    }
    let committed = read(&reader(&name, 0, &[("isolation.level", "read_committed")]), 3).await;
    assert_eq!(payloads(&committed), ["a", "c", "e"]);
    let all = read(&reader(&name, 0, &[("isolation.level", "read_uncommitted")]), 5).await;
    assert_eq!(payloads(&all), ["a", "b", "c", "d", "e"]);
    // Each transaction left one marker.
    assert_eq!(watermarks(&name, 0, "read_committed").await, (0, 10));
}

#[tokio::test]
async fn an_open_transaction_holds_back_what_follows() {
    let name = topic("open", 1).await;
    send(&producer(&[]), &name, 0, "before").await;
    let writer = transactional(&unique("txn"), &[]).await;
    writer.begin_transaction().unwrap();
    send(&writer, &name, 0, "inside").await;
    send(&producer(&[]), &name, 0, "after").await;
    assert_eq!(watermarks(&name, 0, "read_committed").await, (0, 1));
    assert_eq!(watermarks(&name, 0, "read_uncommitted").await, (0, 3));

    let committed = reader(&name, 0, &[("isolation.level", "read_committed")]);
    let (found, ended) = tokio::join!(read(&committed, 3), commit(&writer));
    ended.unwrap();
    assert_eq!(payloads(&found), ["before", "inside", "after"]);
    assert_eq!(watermarks(&name, 0, "read_committed").await, (0, 4));
}

#[tokio::test]
async fn a_transaction_spans_partitions_and_topics() {
    let (first, second) = (topic("span", 2).await, topic("span", 1).await);
    let places = [(&first, 0), (&first, 1), (&second, 0)];
    let writer = transactional(&unique("txn"), &[("compression.type", "lz4")]).await;
    for keep in [false, true] {
        writer.begin_transaction().unwrap();
        for (topic, partition) in places {
            send(&writer, topic, partition, &keep.to_string()).await;
        }
        if keep { commit(&writer).await.unwrap() } else { abort(&writer).await.unwrap() }
    }
    for (topic, partition) in places {
        let found = read(&reader(topic, partition, &[("isolation.level", "read_committed")]), 1).await;
        assert_eq!(payloads(&found), ["true"]);
    }
}

#[tokio::test]
async fn a_new_owner_fences_the_old_one() {
    let name = topic("fenced", 1).await;
    let id = unique("txn");
    let old = transactional(&id, &[]).await;
    old.begin_transaction().unwrap();
    send(&old, &name, 0, "zombie").await;

    let new = transactional(&id, &[]).await;
    new.begin_transaction().unwrap();
    send(&new, &name, 0, "owner").await;
    let refused = commit(&old).await.unwrap_err();
    let code = refused.rdkafka_error_code();
    assert!(matches!(code, Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced)), "{refused}");
    commit(&new).await.unwrap();

    let found = read(&reader(&name, 0, &[("isolation.level", "read_committed")]), 1).await;
    assert_eq!(payloads(&found), ["owner"]);
}

#[tokio::test]
async fn a_zombies_late_record_is_refused() {
    let name = topic("late", 1).await;
    let id = unique("txn");
    let old = transactional(&id, &[]).await;
    old.begin_transaction().unwrap();
    send(&old, &name, 0, "zombie").await;
    let new = transactional(&id, &[]).await;
    let record = rdkafka::producer::FutureRecord::<(), str>::to(&name).partition(0).payload("late");
    crate::cluster::within(old.send(record, WAIT)).await.unwrap_err();
    drop(new);
    let all = read(&reader(&name, 0, &[("isolation.level", "read_uncommitted")]), 1).await;
    assert_eq!(payloads(&all), ["zombie"]);
    // The record and the marker of its abort, nothing after.
    assert_eq!(watermarks(&name, 0, "read_committed").await, (0, 2));
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted() {
    let name = topic("slow", 1).await;
    let writer = transactional(&unique("txn"), &[("transaction.timeout.ms", "1000")]).await;
    writer.begin_transaction().unwrap();
    send(&writer, &name, 0, "slow").await;
    until("the broker ended it", || async { watermarks(&name, 0, "read_committed").await == (0, 2) }).await;
    commit(&writer).await.unwrap_err();
}

#[tokio::test]
async fn offsets_follow_their_transaction() {
    let input = topic("input", 1).await;
    for n in 0..5 {
        send(&producer(&[]), &input, 0, &n.to_string()).await;
    }
    let group = unique("group");
    let writer = transactional(&unique("txn"), &[]).await;
    let steps = [(2, false, Offset::Invalid), (3, true, Offset::Offset(3)), (5, false, Offset::Offset(3))];
    for (position, keep, expect) in steps {
        let reading = consumer(&[("group.id", &group)]);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&input, 0, Offset::Offset(position)).unwrap();
        writer.begin_transaction().unwrap();
        let sending = writer.clone();
        let sent = blocking(move || {
            let group = reading.group_metadata().unwrap();
            sending.send_offsets_to_transaction(&offsets, &group, WAIT)
        });
        sent.await.unwrap();
        if keep {
            commit(&writer).await.unwrap()
        } else {
            abort(&writer).await.unwrap()
        }
        assert_eq!(committed(&group, &input).await, expect);
    }
}

async fn committed(group: &str, topic: &str) -> Offset {
    let (group, topic) = (group.to_owned(), topic.to_owned());
    blocking(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        let found = consumer(&[("group.id", &group)]).committed_offsets(list, WAIT).unwrap();
        found.elements()[0].offset()
    })
    .await
}
