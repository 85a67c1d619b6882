//! The bench is right before it is fast: bytes that never change, and three ways to the same answer.

use citystream_benches::arrivals::Arrivals;
use citystream_benches::record::Writer;
use citystream_benches::sensors::Sensors;
use citystream_benches::workload::{JobName, Topic, Workload};
use citystream_benches::{bare, oracle};
use sha2::{Digest, Sha256};

fn workload(disorder_ms: u32) -> Workload {
    Workload { seed: 1, sensors: 30, seconds: 12, interval_s: 1, partitions: 3, disorder_ms }
}

/// SHA-256 of all keys, partitions and values of a topic.
fn sha256(topic: Topic, disorder_ms: u32) -> String {
    let workload = workload(disorder_ms);
    let (sensors, mut writer, mut hash) = (Sensors::new(&workload), Writer::default(), Sha256::new());
    for event in Arrivals::new(&workload, topic) {
        let (point, mut value) = (event.point(&sensors), String::new());
        writer.value(&event, point, &mut value);
        hash.update(&point.key);
        hash.update(point.partition.to_be_bytes());
        hash.update(value);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_are_the_same_for_ever() {
    assert_eq!(
        [(Topic::Flow, 0), (Topic::Speed, 0), (Topic::Flow, 5_000)].map(|(topic, disorder)| sha256(topic, disorder)),
        [
            "6fefd836bc4b6b7166e13cae0ed606c654c95525fdcde77f021ebad02e4a588c",
            "e698be4550d7c8b28ffa46618babf72acbb44ebb2b054d4db72db3e1e5453974",
            "38d5d54afbda3959c7e0bd46e1655a3d5788004f38d01b3ac7d2d81f110ea80c",
        ]
    );
}

#[test]
fn the_answers_are_the_same_for_ever() {
    let digests = JobName::ALL.map(|job| oracle::expected(job, &workload(0)).to_string());
    assert_eq!(
        digests,
        [
            "55548c86c68ec6fd143831b6b33b9343 over 180 rows",
            "c8908e586baf0ca5e561bc22feb6de1a over 60 rows",
            "1edb90f7a65dff663daa8f5c01083d0e over 360 rows",
        ]
    );
}

#[test]
fn the_bare_loop_agrees_with_the_oracle() {
    for job in JobName::ALL {
        for disorder_ms in [0, 50, 5_000] {
            let workload = workload(disorder_ms);
            let bare = bare::run(job, &workload).unwrap();
            assert_eq!(bare.digest, oracle::expected(job, &workload), "{job}, disorder {disorder_ms}");
            assert_eq!(bare.events, job.events(&workload));
        }
    }
}

#[test]
fn disorder_changes_no_answer() {
    for job in JobName::ALL {
        assert_eq!(oracle::expected(job, &workload(0)), oracle::expected(job, &workload(5_000)));
    }
}
