//! Offsets by time.

use rdkafka::consumer::Consumer;
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{WAIT, blocking, consumer, producer, topic, watermarks, within};

/// Writes records of these times and returns where each of the asked times is found.
async fn lookup(settings: &[(&str, &str)], times_ms: &[i64], asked_ms: &[i64]) -> Vec<Offset> {
    let name = topic("times", 1).await;
    let writer = producer(settings);
    let sent = times_ms.iter().map(|time_ms| {
        let record = FutureRecord::<(), str>::to(&name).payload("reading").timestamp(*time_ms);
        writer.send_result(record).map_err(|(error, _)| error).unwrap()
    });
    for delivery in sent.collect::<Vec<_>>() {
        within(delivery).await.unwrap().unwrap();
    }
    let asked_ms = asked_ms.to_vec();
    blocking(move || {
        let consumer = consumer(&[]);
        let find = |time_ms: i64| {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&name, 0, Offset::Offset(time_ms)).unwrap();
            consumer.offsets_for_times(list, WAIT).unwrap().elements()[0].offset()
        };
        asked_ms.into_iter().map(find).collect()
    })
    .await
}

#[tokio::test]
async fn the_first_record_at_or_after_a_time() {
    // Out of order on purpose: the answer is the first in offset order, inside a batch too.
    let found = lookup(&[], &[1_000, 3_000, 2_000, 5_000], &[0, 1_000, 1_001, 2_500, 3_001, 5_000, 5_001]).await;
    let expect = [0, 0, 1, 1, 3, 3].map(Offset::Offset);
    assert_eq!(found[..6], expect);
    assert_eq!(found[6], Offset::End);
}

#[tokio::test]
async fn in_compressed_batches_no_record_is_missed() {
    let found = lookup(&[("compression.type", "lz4")], &[1_000, 2_000, 3_000, 4_000], &[1_000, 3_000, 9_000]).await;
    assert_eq!(found[0], Offset::Offset(0));
    // The embedded broker answers with the start of the batch, Apache Kafka with the record itself.
    assert!(matches!(found[1], Offset::Offset(0..=2)), "{found:?}");
    assert_eq!(found[2], Offset::End);
}

#[tokio::test]
async fn an_empty_partition_begins_and_ends_at_zero() {
    let name = topic("empty", 1).await;
    assert_eq!(watermarks(&name, 0, "read_uncommitted").await, (0, 0));
    assert_eq!(watermarks(&name, 0, "read_committed").await, (0, 0));
}
