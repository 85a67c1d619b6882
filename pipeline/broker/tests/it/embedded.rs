//! What only the embedded broker has: its bounds, its start and its end.

use citystream_broker::{Broker, BrokerConfig, Error};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{WAIT, assign, blocking, read, within};

fn client(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap()).set("group.id", "embedded").set("enable.auto.commit", "false");
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_memory_drops_the_oldest_and_says_so() {
    const COUNT: i64 = 80;
    let config = BrokerConfig {
        message_max_bytes: 256 << 10,
        memory_max_bytes: 2 << 20,
        segment_bytes: 256 << 10,
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config).await.unwrap();
    broker.create_topic("large", 1).unwrap();
    broker.create_topic("small", 1).unwrap();
    let writer: FutureProducer = client(&broker).create().unwrap();
    let payload = vec![7_u8; 100 << 10];
    within(writer.send(FutureRecord::<(), str>::to("small").payload("kept"), WAIT)).await.unwrap();
    for _ in 0..COUNT {
        within(writer.send(FutureRecord::<(), [u8]>::to("large").payload(&payload), WAIT)).await.unwrap();
    }

    let reader: StreamConsumer = client(&broker).create().unwrap();
    let (low, high) = reader.fetch_watermarks("large", 0, WAIT).unwrap();
    let evicted = broker.evicted();
    assert_eq!(high, COUNT);
    assert_eq!(evicted.records, low as u64);
    assert!((15..=20).contains(&(high - low)), "2 MiB hold about 20 records of 100 KiB: {low}..{high}");
    assert!(evicted.segments > 10 && evicted.bytes > 6_000_000, "{evicted:?}");
    assert_eq!(reader.fetch_watermarks("small", 0, WAIT).unwrap(), (0, 1));
    assign(&reader, "large", 0, Offset::Beginning);
    assert_eq!(read(&reader, 1).await[0].offset(), low);
    // Clients go first: librdkafka's consumer waits for its coordinator when it closes.
    blocking(move || drop((reader, writer))).await;
    within(broker.shutdown()).await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let config = BrokerConfig { memory_max_bytes: 1 << 20, ..BrokerConfig::default() };
    let error = Broker::start(config).await.unwrap_err();
    let expect = "broker option memory_max_bytes: found 1048576, expected at least 16778240";
    assert_eq!(error.to_string(), expect);
}

#[tokio::test]
async fn start_and_shutdown() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let address = broker.bootstrap();
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let taken = Broker::start(BrokerConfig { port, ..BrokerConfig::default() }).await.unwrap_err();
    assert!(matches!(taken, Error::Listen { .. }), "{taken}");

    broker.create_topic("twice", 1).unwrap();
    let twice = broker.create_topic("twice", 1).unwrap_err();
    assert_eq!(twice.to_string(), "create topic twice: TopicAlreadyExists");

    let mut open = TcpStream::connect(&address).await.unwrap();
    within(broker.shutdown()).await;
    assert_eq!(within(open.read(&mut [0; 1])).await.unwrap_or(0), 0, "open connections are closed");
    TcpStream::connect(&address).await.unwrap_err();
}

#[tokio::test]
async fn dropping_stops() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let address = broker.bootstrap();
    let mut open = TcpStream::connect(&address).await.unwrap();
    // One answer, so that the connection is known to be served.
    open.write_all(&API_VERSIONS_99).await.unwrap();
    within(open.read_i32()).await.unwrap();
    drop(broker);
    let mut rest = Vec::new();
    within(open.read_to_end(&mut rest)).await.unwrap();
}

/// ApiVersions in a version that nobody knows: length, key 18, version 99, correlation id 5, no client id, no tags.
const API_VERSIONS_99: [u8; 15] = [0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 5, 255, 255, 0];

#[tokio::test]
async fn a_newer_client_learns_the_versions() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let mut stream = TcpStream::connect(broker.bootstrap()).await.unwrap();
    stream.write_all(&API_VERSIONS_99).await.unwrap();
    let length = within(stream.read_i32()).await.unwrap();
    let mut answer = vec![0; usize::try_from(length).unwrap()];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer[..4], [0, 0, 0, 5], "correlation id");
    assert_eq!(answer[4..6], [0, 35], "unsupported version");
    assert!(answer.len() > 100, "the versions that are spoken follow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_ends_only_its_connection() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let too_long = [127, 0, 0, 0, 1, 2, 3, 4];
    let too_short = [0, 0, 0, 2, 0, 0];
    let unknown_request = [0, 0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 1];
    let cut_header = [0, 0, 0, 9, 0, 3, 0, 9, 0, 0, 0, 1, 0];
    let cut_body = [0, 0, 0, 11, 0, 0, 0, 9, 0, 0, 0, 1, 255, 255, 0];
    for bytes in [&too_long[..], &too_short, &unknown_request, &cut_header, &cut_body] {
        let mut stream = TcpStream::connect(broker.bootstrap()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        // Closed with bytes unread, the system may report a reset instead of an end.
        let _ = within(stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty(), "{bytes:?} got {rest:?}");
    }
    broker.create_topic("alive", 1).unwrap();
    let reader: StreamConsumer = client(&broker).create().unwrap();
    assert_eq!(reader.fetch_watermarks("alive", 0, WAIT).unwrap(), (0, 0));
}
