//! `produce`: a file to a topic, in its order, at a rate, or shuffled with a seed.

use crate::broker::{brokers, partitions, records, text, values};
use crate::caught_up::counts;
use crate::city::{City, FLOW, flow};

#[test]
fn it_makes_the_topic_and_keys_the_rows() {
    let city = City::new();
    city.declare("flow", FLOW, "'key' 'site'");
    let lines: Vec<_> =
        (0..40).map(|at| flow(&format!("s{}", at % 8), at, "05:00:00")).chain(["broken".to_owned()]).collect();
    city.file("flow.jsonl", &(lines.join("\n") + "\n\n"));
    let produce = |more: &[&str]| {
        let fixed =
            ["produce", "flow", "flow.jsonl", "--schemas", "schemas", "--brokers", brokers(), "--output", "json"];
        city.done(&[&fixed, more].concat())
    };
    let done = produce(&["--partitions", "3"]).expect(0);
    assert_eq!((&done.json()["rows"], &done.json()["partitions"]), (&41.into(), &3.into()));
    let topic = city.topic("flow");
    let sent = records(&topic);
    assert_eq!(partitions(&topic), Some(3));
    let mut found: Vec<_> = sent.values().flatten().map(|record| text(record.value.as_deref())).collect();
    found.sort();
    let mut expect = lines.clone();
    expect.sort();
    assert_eq!(found, expect, "lines go as they are");
    for (partition, records) in &sent {
        for record in records.iter().filter(|record| record.key.is_some()) {
            let key = text(record.key.as_deref());
            assert!(text(record.value.as_deref()).contains(&format!(r#""site":"{key}""#)));
            let elsewhere = sent.iter().filter(|(other, _)| *other != partition).flat_map(|(_, records)| records);
            assert!(elsewhere.into_iter().all(|other| other.key != record.key), "key {key} lies in two partitions");
        }
    }
    assert_eq!(sent.values().flatten().filter(|record| record.key.is_none()).count(), 1);
    produce(&["--key", "veh"]).expect(0);
    assert!(records(&topic).values().flatten().any(|record| record.key.as_deref() == Some(b"39")));
    produce(&["--key", "vehs"]).expect(1).says(&["--key vehs", "did you mean 'veh'?"]);
}

#[test]
fn the_rate_is_kept() {
    let city = City::with_flow(1);
    let lines: Vec<_> = (0..20).map(|at| flow("a", at, "05:00:00")).collect();
    city.file("flow.jsonl", &lines.join("\n"));
    let produce = ["produce", "flow", "flow.jsonl", "--schemas", "schemas", "--brokers", brokers(), "--rate"];
    let done = city.done(&[&produce[..], &["20"]].concat()).expect(0);
    assert!((900..5_000).contains(&done.took.as_millis()), "{:?}", done.took);
    assert_eq!(values(&city.topic("flow")), lines);
    city.done(&[&produce[..], &["0"]].concat()).expect(1).says(&["--rate", "above 0"]);
}

#[test]
fn shuffled_rows_come_in_the_same_order_again_and_none_is_late() {
    let city = City::with_flow(1);
    let lines: Vec<_> = (0..600).map(|at| flow("a", at, &format!("05:{:02}:{:02}", at / 60, at % 60))).collect();
    city.file("flow.jsonl", &lines.join("\n"));
    let send = |seed: &str| {
        let fixed = ["produce", "flow", "flow.jsonl", "--schemas", "schemas", "--brokers", brokers()];
        city.done(&[&fixed[..], &["--shuffle-within", "10 seconds", "--seed", seed]].concat()).expect(0);
    };
    send("7");
    let job = city.job("ordered", "", "SELECT site, veh FROM flow");
    let done = city.catch_up(&[&job], &[]).expect(0);
    assert_eq!(counts(&done.job("ordered")), [600, 600, 0, 0, 0]);
    send("7");
    send("8");
    let sent = values(&city.topic("flow"));
    let [first, second, third] = [0, 1, 2].map(|run| &sent[run * 600..(run + 1) * 600]);
    assert!(first == second && first != third && first != lines);
    let mut sorted = third.to_vec();
    sorted.sort_by_key(|line| lines.iter().position(|known| known == line));
    assert_eq!(sorted, lines);
}

#[test]
fn what_cannot_be_sent_is_said() {
    let city = City::new();
    city.declare("flow", FLOW, "");
    let produce = |stream: &str, file: &str| {
        city.done(&["produce", stream, file, "--schemas", "schemas", "--brokers", brokers()]).expect(1)
    };
    produce("flwo", "flow.jsonl").says(&["no stream is called 'flwo'", "did you mean 'flow'?"]);
    produce("flow", "no.jsonl").says(&["no.jsonl", "cannot be read"]);
    assert_eq!(partitions(&city.topic("flow")), None, "no topic is made for a file that is not there");
}
