//! What a wrong call or a broken environment looks like: exit code, message, and nothing started.

use crate::broker::brokers;
use crate::city::{City, PER_MINUTE};
use std::net::{Ipv4Addr, TcpListener};

#[test]
fn wrong_sql_starts_nothing_and_is_pointed_at() {
    let city = City::with_flow(1);
    let good = city.job("good", "", PER_MINUTE);
    let bad = city.file("bad.sql", "CREATE MATERIALIZED VIEW bad AS\nSELECT site, vehicles FROM flow;\n");
    let done = city.catch_up(&[&good, &bad], &[]).expect(1);
    done.says(&["bad.sql:2:14: S010", "vehicles", "help: "]);
    assert_eq!(done.stdout, "");
    assert!(!city.path("data").exists());
}

#[test]
fn wrong_calls_are_refused_with_a_way_out() {
    let city = City::with_flow(1);
    let job = city.job("good", "", PER_MINUTE);
    let job = job.to_str().unwrap();
    let place = ["--schemas", "schemas", "--brokers", "127.0.0.1:1", "--data-dir", "data"];
    let with =
        |more: &[&'static str]| ["run", job].into_iter().chain(place).chain(more.iter().copied()).collect::<Vec<_>>();
    let calls: Vec<(Vec<&str>, &[&str])> = vec![
        (with(&["--until-cought-up"]), &["--until-cought-up", "--until-caught-up"]),
        (with(&["--from", "yesterday"]), &["--from", "yesterday", "earliest"]),
        (with(&["--memory-limit", "much"]), &["--memory-limit", "much"]),
        (with(&["--memory-limit", "1 KiB"]), &["--memory-limit", "16 MiB"]),
        (with(&["--if-exists", "replce"]), &["replce", "replace"]),
        (with(&["--metrics-addr", "nowhere"]), &["--metrics-addr", "nowhere", "HOST:PORT"]),
        (with(&["--log-level", "loud"]), &["log level", "loud", "debug"]),
        (vec!["run"], &["JOB.sql"]),
        (vec!["run", job, "--data-dir", "data", "--brokers", "127.0.0.1:1"], &["--schemas is missing"]),
        (vec!["run", job, "--schemas", "schemas", "--data-dir", "data"], &["--brokers is missing", "[run]"]),
        (vec!["run", job, "--schemas", "schemas", "--brokers", "127.0.0.1:1"], &["--data-dir is missing"]),
        (vec!["run", "no.sql", "--schemas", "schemas"], &["no.sql", "cannot be read"]),
        (vec!["run", job, "--schemas", "nowhere"], &["nowhere", "cannot be read"]),
        (vec!["rum"], &["rum", "'run'"]),
    ];
    for (args, words) in calls {
        let done = city.done(&args).expect(1);
        done.says(words);
        assert!(!city.path("data").exists(), "{args:?}");
    }
    let done = city.done(&["--help"]).expect(0);
    assert!(done.stdout.contains("Exit codes"), "{}", done.stdout);
    assert!(city.done(&["--version"]).expect(0).stdout.starts_with("citystream "));
}

#[test]
fn brokers_that_do_not_answer_end_the_run_within_the_budget() {
    let city = City::with_flow(1);
    let job = city.job("alone", "", PER_MINUTE);
    let args = ["run", job.to_str().unwrap(), "--schemas", "schemas", "--brokers", "127.0.0.1:1", "--data-dir", "data"];
    let done = city.done(&args).expect(2);
    done.says(&["job 'alone'", "brokers not reachable: 127.0.0.1:1", "Connection refused"]);
    assert!((25..36).contains(&done.took.as_secs()), "{:?}", done.took);
}

#[test]
fn a_stop_does_not_wait_for_brokers_that_do_not_answer() {
    let city = City::with_flow(1);
    let job = city.job("alone", "", PER_MINUTE);
    let args = ["run", job.to_str().unwrap(), "--schemas", "schemas", "--brokers", "127.0.0.1:1", "--data-dir", "data"];
    let live = city.start(&args);
    crate::process::eventually("the data folder", || city.path("data").exists().then_some(()));
    let done = live.stop().expect(0);
    assert!(done.took.as_secs() < 15, "{:?}", done.took);
}

#[test]
fn a_data_folder_that_cannot_be_written_ends_the_run() {
    let city = City::with_flow(1);
    let job = city.job("homeless", "", PER_MINUTE);
    city.file("a_file", "");
    for folder in ["a_file/data", "/proc/citystream"] {
        let args = ["run", job.to_str().unwrap(), "--schemas", "schemas", "--brokers", brokers(), "--data-dir", folder];
        let done = city.done(&args).expect(2);
        done.says(&[folder]);
        assert!(done.took.as_secs() < 10, "{:?}", done.took);
    }
}

#[test]
fn a_port_that_is_taken_ends_the_run() {
    let city = City::with_flow(1);
    let job = city.job("portless", "", PER_MINUTE);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = city.catch_up(&[&job], &["--metrics-addr", &address]).expect(2);
    done.says(&[&address, "--metrics-addr"]);
}
