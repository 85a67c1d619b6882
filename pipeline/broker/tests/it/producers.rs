//! Idempotent producers.

use rdkafka::Message;

use crate::cluster::{producer, read, reader, send, topic, watermarks};

#[tokio::test]
async fn an_idempotent_producer_writes_each_record_once() {
    const COUNT: i64 = 3_000;
    let name = topic("idempotent", 2).await;
    let writer = producer(&[("enable.idempotence", "true"), ("batch.num.messages", "50"), ("linger.ms", "1")]);
    let sent = (0..COUNT).map(|n| {
        let (writer, name) = (writer.clone(), name.clone());
        async move { send(&writer, &name, (n % 2) as i32, &n.to_string()).await }
    });
    futures::future::join_all(sent).await;
    for partition in 0..2 {
        assert_eq!(watermarks(&name, partition, "read_committed").await, (0, COUNT / 2));
        let found = read(&reader(&name, partition, &[]), (COUNT / 2) as usize).await;
        let expect = (0..COUNT).filter(|n| n % 2 == i64::from(partition));
        for (record, n) in found.iter().zip(expect) {
            assert_eq!(record.payload(), Some(n.to_string().as_bytes()));
        }
    }
}

#[tokio::test]
async fn several_idempotent_producers_share_a_partition() {
    let name = topic("shared", 1).await;
    for _ in 0..3 {
        let writer = producer(&[("enable.idempotence", "true")]);
        for n in 0..10 {
            send(&writer, &name, 0, &n.to_string()).await;
        }
    }
    assert_eq!(watermarks(&name, 0, "read_committed").await, (0, 30));
}

#[tokio::test]
async fn a_hundred_thousand_records_keep_their_order() {
    const COUNT: usize = 100_000;
    let name = topic("many", 1).await;
    let writer = producer(&[("enable.idempotence", "true"), ("compression.type", "lz4"), ("linger.ms", "20")]);
    let mut last = None;
    for n in 0..COUNT {
        let payload = n.to_string();
        let record = rdkafka::producer::FutureRecord::<(), str>::to(&name).partition(0).payload(&payload);
        last = Some(writer.send_result(record).map_err(|(error, _)| error).unwrap());
    }
    let delivery = crate::cluster::within(last.unwrap()).await.unwrap().unwrap();
    assert_eq!(delivery.offset, COUNT as i64 - 1);
    for (n, record) in read(&reader(&name, 0, &[]), COUNT).await.iter().enumerate() {
        assert_eq!(record.payload(), Some(n.to_string().as_bytes()));
    }
}
