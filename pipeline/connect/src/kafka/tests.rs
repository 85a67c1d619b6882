//! Tests of the Kafka parts that need no broker: options, secrets, topic names, lost positions.

use super::config::{KafkaClient, check_option, check_topic, resolve_secrets};
use super::gather::Gather;
use super::start::lost_position;
use super::{KafkaSink, KafkaSource};
use crate::source::SourceEvent;
use arrow::datatypes::{DataType, Field, Schema};
use citystream_model::ErrorKind;
use citystream_model::position::StartFrom;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[track_caller]
fn refused(name: &str, value: &str, expected: &str) {
    let error = check_option(name, value).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Job);
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn options_are_checked_by_name_and_value() {
    for (name, value) in [
        ("fetch.min.bytes", "1"),
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "${KAFKA_USER}"),
        ("sasl.password", "${KAFKA_PASSWORD}"),
        ("ssl.ca.location", "/etc/ssl/ca.pem"),
        ("message.timeout.ms", "10000"),
        ("compression.type", "zstd"),
    ] {
        check_option(name, value).unwrap();
    }
    refused("sasl.pasword", "${X}", "did you mean 'kafka.sasl.password'?");
    refused("fetch.min.byte", "1", "did you mean 'kafka.fetch.min.bytes'?");
    refused("something.else.entirely", "1", "does not know; see librdkafka's CONFIGURATION.md");
    refused("fetch.min.bytes", "many", "option 'kafka.fetch.min.bytes': Invalid value");
    refused("fetch.min.bytes", "0", "option 'kafka.fetch.min.bytes'");
    refused("group.id", "x", "it cannot be set, a job's positions are in its checkpoint");
    refused("bootstrap.servers", "x:1", "the brokers come from --brokers");
    refused("isolation.level", "read_uncommitted", "only committed records are read");
    refused("error_cb", "x", "does not know");
    refused("sasl.username", "${KAFKA USER}", "without a variable's name");
}

#[test]
fn secrets_are_references_and_stay_hidden() {
    for name in
        ["sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.client.secret"]
    {
        refused(name, "hunter2", "found a value in clear text");
        refused(name, "a${B}", "found a value in clear text");
        let text = check_option(name, "hunter2").unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
    let options = BTreeMap::from([
        ("sasl.password".to_owned(), "${PW}".to_owned()),
        ("sasl.username".to_owned(), "user-${NAME}-x".to_owned()),
    ]);
    let env = |name: &str| match name {
        "PW" => Some("hunter2".to_owned()),
        "NAME" => Some("city".to_owned()),
        _ => None,
    };
    let resolved = resolve_secrets(&options, &env).unwrap();
    assert_eq!(format!("{resolved:?}"), r#"{"sasl.password": ***, "sasl.username": ***}"#);
    let client = KafkaClient::new("b:1", resolved);
    assert!(!format!("{client:?}").contains("hunter2"));
    let config = client.consumer_config("g");
    assert_eq!(config.get("sasl.password"), Some("hunter2"));
    assert_eq!(config.get("sasl.username"), Some("user-city-x"));
    let missing = resolve_secrets(&options, &|_| None).unwrap_err().to_string();
    assert!(missing.contains("'kafka.sasl.password': the environment variable PW is not set"), "{missing}");
}

#[test]
fn every_listed_property_is_known_to_the_library() {
    let strange = |name: &&str| {
        let mut probe = rdkafka::ClientConfig::new();
        let made = probe.set(*name, "?").create_native_config();
        matches!(made, Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)))
    };
    let unknown: Vec<&str> = include_str!("properties.txt").lines().filter(strange).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn topic_names_follow_kafka() {
    for good in ["traffic.loops", "a", "A_b-9"] {
        check_topic(good).unwrap();
    }
    for bad in ["", ".", "..", "a b", "a/b", "straße", &"x".repeat(250)] {
        assert_eq!(check_topic(bad).unwrap_err().kind(), ErrorKind::Job, "{bad}");
    }
}

#[test]
fn a_lost_position_is_told_with_its_numbers() {
    let at = |offset| BTreeMap::from([(3, offset)]);
    assert!(lost_position("t", &at(500), &at(500), &at(500)).is_none());
    let old = lost_position("t", &at(120), &at(500), &at(900)).unwrap();
    assert!(
        old.to_string().contains("offset 120 is next but the log starts at 500: 380 records were deleted"),
        "{old}"
    );
    let new = lost_position("t", &at(120), &at(0), &at(7)).unwrap();
    assert!(new.to_string().contains("offset 120 is next but the log ends at 7"), "{new}");
    assert!(!old.is_retryable() && !new.is_retryable());
}

#[test]
fn records_are_gathered_by_partition_and_stay_before_their_end() {
    let mut gather = Gather::default();
    let push = |gather: &mut Gather, partition, offset, value: Option<&str>| {
        let value = value.map(str::as_bytes);
        gather.place(partition).push(offset, offset * 1_000_000, Some(b""), value);
    };
    push(&mut gather, 0, 7, Some("a"));
    push(&mut gather, 1, 3, None);
    push(&mut gather, 0, 8, Some(""));
    assert_eq!(gather.positions().collect::<Vec<_>>(), [(0, 9), (1, 4)]);
    gather.note(SourceEvent::AtEnd { partition: 1, offset: 4 });
    assert_eq!(gather.positions().collect::<Vec<_>>(), [(0, 9)]);
    push(&mut gather, 1, 4, Some("b"));
    assert!(gather.is_full(4) && !gather.is_full(5));
    let shown: Vec<String> = gather.finish().iter().map(show).collect();
    assert_eq!(
        shown,
        [
            "p0 [7@7000000 Some(\"a\"), 8@8000000 Some(\"\")]",
            "p1 [3@3000000 None]",
            "p1 end 4",
            "p1 [4@4000000 Some(\"b\")]"
        ]
    );
}

fn show(event: &SourceEvent) -> String {
    match event {
        SourceEvent::Records { partition, records } => {
            let one = |record: citystream_codec::RecordRef<'_>| {
                let value = record.value.map(|value| String::from_utf8_lossy(value).into_owned());
                assert_eq!(record.key, Some(&b""[..]));
                format!("{}@{} {value:?}", record.offset, record.timestamp)
            };
            format!("p{partition} [{}]", records.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        SourceEvent::AtEnd { partition, offset } => format!("p{partition} end {offset}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn brokers_that_do_not_answer_are_given_up_after_the_budget() {
    // Port 1 of the loopback is closed.
    let client = KafkaClient::new("127.0.0.1:1", BTreeMap::new());
    let started = Instant::now();
    let error = KafkaSource::open(&client, "t", &StartFrom::Earliest, Duration::from_millis(1500)).err().unwrap();
    assert!(started.elapsed() >= Duration::from_millis(1500));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().starts_with("brokers not reachable: 127.0.0.1:1: "), "{error}");
    let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
    let error = KafkaSink::open(&client, "j", "t", &[], &schema, Duration::ZERO).err().unwrap();
    assert!(error.to_string().starts_with("brokers not reachable"), "{error}");
}

#[test]
fn options_that_do_not_go_together_are_the_jobs_fault() {
    let env = |_: &str| None;
    let options = BTreeMap::from([
        ("security.protocol".to_owned(), "sasl_plaintext".to_owned()),
        ("sasl.mechanism".to_owned(), "PLAIN".to_owned()),
    ]);
    let client = KafkaClient::new("127.0.0.1:1", resolve_secrets(&options, &env).unwrap());
    let error = KafkaSource::open(&client, "t", &StartFrom::Earliest, Duration::from_secs(5)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Job, "{error}");
}
