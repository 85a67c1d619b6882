//! Records: what is written comes back, byte for byte and in order.

use rdkafka::Message;
use rdkafka::Offset;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::FutureRecord;

use crate::cluster::{
    WAIT, assign, consumer, create, new_topic, producer, read, reader, send, topic, unique, watermarks, within,
};

async fn check_round_trip(settings: &[(&str, &str)]) {
    const COUNT: usize = 2_000;
    let name = topic("round-trip", 1).await;
    let writer = producer(settings);
    let payloads: Vec<String> = (0..COUNT).map(|n| format!("reading {n} of loop detector 17")).collect();
    let sent = payloads.iter().map(|payload| send(&writer, &name, 0, payload));
    let offsets = futures::future::join_all(sent).await;
    assert!(offsets.iter().copied().eq(0..COUNT as i64));

    let found = read(&reader(&name, 0, &[("check.crcs", "true")]), COUNT).await;
    for (n, record) in found.iter().enumerate() {
        assert_eq!(record.offset(), n as i64);
        assert_eq!(record.payload(), Some(payloads[n].as_bytes()));
    }
    assert_eq!(watermarks(&name, 0, "read_uncommitted").await, (0, COUNT as i64));
}

#[tokio::test]
async fn plain_records() {
    check_round_trip(&[]).await;
}

#[tokio::test]
async fn lz4_records() {
    check_round_trip(&[("compression.type", "lz4")]).await;
}

#[tokio::test]
async fn zstd_records() {
    check_round_trip(&[("compression.type", "zstd")]).await;
}

#[tokio::test]
async fn gzip_and_snappy_records() {
    check_round_trip(&[("compression.type", "gzip")]).await;
    check_round_trip(&[("compression.type", "snappy")]).await;
}

#[tokio::test]
async fn leader_acknowledged_records() {
    check_round_trip(&[("acks", "1")]).await;
}

#[tokio::test]
async fn unacknowledged_records_arrive() {
    let name = topic("acks-none", 1).await;
    let writer = producer(&[("acks", "0")]);
    for n in 0..10 {
        send(&writer, &name, 0, &n.to_string()).await;
    }
    let found = read(&reader(&name, 0, &[]), 10).await;
    assert_eq!(found[9].payload(), Some(&b"9"[..]));
}

#[tokio::test]
async fn key_headers_time_and_tombstone() {
    let name = topic("parts", 1).await;
    let writer = producer(&[]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "schema", value: Some("7") })
        .insert(Header::<&str> { key: "empty", value: None });
    let full = FutureRecord::to(&name).key("sensor-1").payload("12.5").timestamp(1_700_000_000_123).headers(headers);
    within(writer.send(full, WAIT)).await.unwrap();
    let tombstone = FutureRecord::<str, str>::to(&name).key("sensor-1");
    within(writer.send(tombstone, WAIT)).await.unwrap();

    let found = read(&reader(&name, 0, &[]), 2).await;
    assert_eq!(found[0].key(), Some(&b"sensor-1"[..]));
    assert_eq!(found[0].timestamp().to_millis(), Some(1_700_000_000_123));
    let headers = found[0].headers().unwrap();
    assert_eq!(headers.get(0).value, Some(&b"7"[..]));
    assert_eq!((headers.get(1).key, headers.get(1).value), ("empty", None));
    assert_eq!((found[1].key(), found[1].payload()), (Some(&b"sensor-1"[..]), None));
}

#[tokio::test]
async fn ten_megabytes_in_one_record() {
    let name = unique("large");
    create(new_topic(&name, 1).set("max.message.bytes", "16777216")).await;
    let large: Vec<u8> = (0..10_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let writer = producer(&[]);
    for _ in 0..2 {
        let record = FutureRecord::<(), [u8]>::to(&name).payload(&large);
        within(writer.send(record, WAIT)).await.unwrap();
    }
    // The reader asks for 1 MiB at a time: a larger record has to come through all the same.
    let found = read(&reader(&name, 0, &[]), 2).await;
    assert!(found.iter().all(|record| record.payload() == Some(&large[..])));
}

#[tokio::test]
async fn a_record_above_the_topics_limit_is_refused() {
    let name = unique("limited");
    create(new_topic(&name, 1).set("max.message.bytes", "2000")).await;
    let payload = "x".repeat(3_000);
    let record = FutureRecord::<(), str>::to(&name).payload(&payload);
    let (error, _) = within(producer(&[]).send(record, WAIT)).await.unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(rdkafka::error::RDKafkaErrorCode::MessageSizeTooLarge));
}

#[tokio::test]
async fn a_waiting_reader_gets_the_next_record() {
    let name = topic("tail", 1).await;
    let writer = producer(&[]);
    send(&writer, &name, 0, "before").await;
    let tail = consumer(&[("fetch.wait.max.ms", "10000")]);
    assign(&tail, &name, 0, Offset::Offset(1));
    let (found, _) = tokio::join!(read(&tail, 1), send(&writer, &name, 0, "after"));
    assert_eq!((found[0].offset(), found[0].payload()), (1, Some(&b"after"[..])));
}

#[tokio::test]
async fn reading_past_the_end_starts_over() {
    let name = topic("past", 1).await;
    send(&producer(&[]), &name, 0, "only").await;
    let consumer = consumer(&[]);
    assign(&consumer, &name, 0, Offset::Offset(1_000));
    let found = read(&consumer, 1).await;
    assert_eq!(found[0].offset(), 0);
}

#[tokio::test]
async fn partitions_are_read_together() {
    let name = topic("wide", 4).await;
    let writer = producer(&[]);
    for n in 0..40 {
        send(&writer, &name, n % 4, &n.to_string()).await;
    }
    let consumer = consumer(&[]);
    let mut list = rdkafka::TopicPartitionList::new();
    for partition in 0..4 {
        list.add_partition_offset(&name, partition, Offset::Beginning).unwrap();
    }
    rdkafka::consumer::Consumer::assign(&consumer, &list).unwrap();
    let mut payloads: Vec<i32> = Vec::new();
    for record in read(&consumer, 40).await {
        payloads.push(std::str::from_utf8(record.payload().unwrap()).unwrap().parse().unwrap());
    }
    payloads.sort_unstable();
    assert!(payloads.iter().copied().eq(0..40));
}
