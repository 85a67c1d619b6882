//! A run without an end: rows appear while it runs, it follows the topic, and it stops in good order.

use crate::broker::{grow, send, send_keyed};
use crate::city::{City, FLOW, PER_MINUTE, flow};
use crate::process::{Live, eventually};
use crate::tables;
use citystream_model::time::{Clock, SystemClock, format_time};
use std::path::PathBuf;

/// A row whose event time lies `seconds` before now.
fn fresh(site: &str, seconds: i64) -> String {
    let at = format_time(SystemClock.now() - seconds * 1_000_000);
    format!(r#"{{"site":"{site}","veh":1,"at":"{at}"}}"#)
}

/// Waits for rows of a table.
#[track_caller]
fn rows(live: &mut Live, city: &City, table: &str, count: usize) -> Vec<String> {
    eventually(table, || {
        assert!(!live.has_ended(), "{}", live.stderr());
        Some(city.rows(table)).filter(|rows| rows.len() >= count)
    })
}

#[test]
fn rows_appear_while_it_runs_and_the_rest_when_it_stops() {
    let city = City::with_flow(1);
    let topic = city.topic("flow");
    let eager = city.job("eager", "freshness = '1 second'", "SELECT site, veh FROM flow");
    let lazy = city.job("lazy", "freshness = '1 hour'", "SELECT site, veh FROM flow");
    let windows = city.job("windows", "freshness = '1 second'", PER_MINUTE);
    let mut live = city.live(&[&eager, &lazy, &windows], &[]);
    send(&topic, 0, [flow("a", 1, "05:00:00")]);
    assert_eq!(rows(&mut live, &city, "eager", 1), [r#"{"site":"a","veh":1}"#]);
    // Ten seconds of disorder are allowed: this closes the first window, and not the second.
    send(&topic, 0, [flow("b", 2, "05:01:10")]);
    let closed = rows(&mut live, &city, "windows", 1);
    assert_eq!(rows(&mut live, &city, "eager", 2).len(), 2);
    let before = tables::files(&city.table("eager"));
    assert_eq!(tables::files(&city.table("lazy")), [""; 0].map(PathBuf::from));
    let done = live.stop().expect(0);
    assert!(done.took.as_secs() < 20, "{:?}", done.took);
    assert_eq!(city.rows("lazy").len(), 2, "what is final is published at the end");
    assert_eq!(city.rows("windows"), closed, "an open window is not final");
    assert_eq!(tables::files(&city.table("eager")), before, "published files do not change");
    assert_eq!(done.job("windows")["state"], "finished");
}

#[test]
fn it_stops_on_an_interrupt_too() {
    let city = City::with_flow(1);
    let job = city.job("idle", "", PER_MINUTE);
    let live = city.live(&[&job], &[]);
    eventually("the data folder", || city.path("data").exists().then_some(()));
    live.signal("INT");
    let done = live.wait().expect(0);
    assert_eq!(done.job("idle")["state"], "finished");
}

#[test]
fn new_partitions_are_read() {
    let city = City::with_flow(1);
    let topic = city.topic("flow");
    let job = city.job("growing", "freshness = '1 second'", "SELECT site, _partition AS part FROM flow");
    let mut live = city.live(&[&job], &[]);
    send(&topic, 0, [flow("a", 1, "05:00:00")]);
    rows(&mut live, &city, "growing", 1);
    grow(&topic, 3);
    send(&topic, 2, [flow("c", 1, "05:00:00")]);
    send(&topic, 1, [flow("b", 1, "05:00:00")]);
    let expect = [r#"{"site":"a","part":0}"#, r#"{"site":"b","part":1}"#, r#"{"site":"c","part":2}"#];
    assert_eq!(rows(&mut live, &city, "growing", 3), expect);
    live.stop().expect(0);
}

/// Many sites: some of them in each of a few partitions.
const SITES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// What `PER_MINUTE` gives for rows of all sites in the minute of 05:00.
fn sums(rows: &[String]) -> Vec<String> {
    let sum = |row: &String| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        format!("{} {} {}", row["site"].as_str().unwrap(), row["veh"], row["readings"])
    };
    rows.iter().map(sum).collect()
}

#[test]
fn keys_that_move_to_new_partitions_stay_one_group() {
    let city = City::new();
    city.stream("flow", FLOW, "'key' 'site'", 2);
    let topic = city.topic("flow");
    let job = city.job("moving", "freshness = '1 second'", PER_MINUTE);
    let marks = city.job("marks", "freshness = '1 second'", "SELECT site FROM flow");
    let mut live = city.live(&[&job, &marks], &["--parallelism", "2"]);
    send_keyed(&topic, SITES.map(|site| (site, flow(site, 1, "05:00:00"))));
    rows(&mut live, &city, "marks", SITES.len());
    grow(&topic, 4);
    eventually("the new partitions", || live.stderr().contains("new partition").then_some(()));
    // The client puts a key elsewhere now; a row at 05:02 in each partition closes the minute.
    send_keyed(&topic, SITES.map(|site| (site, flow(site, 10, "05:00:20"))));
    send_keyed(&topic, SITES.map(|site| (site, flow(site, 1, "05:02:00"))));
    let found = rows(&mut live, &city, "moving", SITES.len());
    assert_eq!(sums(&found), SITES.map(|site| format!("{site} 11 2")));
    let done = live.stop().expect(0);
    assert!(!done.stderr.contains("not partitioned by the declared key"), "{}", done.stderr);
    assert_eq!(done.job("moving")["late"], 0);
}

#[test]
fn a_declared_key_is_believed_only_as_long_as_rows_bear_it_out() {
    let city = City::new();
    city.stream("flow", FLOW, "'key' 'site'", 2);
    let topic = city.topic("flow");
    let job = city.job("doubted", "", PER_MINUTE);
    send_keyed(&topic, SITES.map(|site| (site, flow(site, 1, "05:00:00"))));
    // A producer of another make: rows of all sites in each partition.
    for partition in 0..2 {
        send(&topic, partition, SITES.map(|site| flow(site, 10, "05:00:20")));
    }
    let done = city.catch_up(&[&job], &["--parallelism", "2"]).expect(0);
    assert_eq!(sums(&city.rows("doubted")), SITES.map(|site| format!("{site} 21 3")));
    done.says(&["not partitioned by the declared key", "flow", "site"]);
}

#[test]
fn silent_partitions_let_windows_close() {
    let city = City::new();
    city.stream("flow", FLOW, "'time.idle' '1 second', 'time.out_of_order' '1 second'", 4);
    let select = "SELECT site, window_start, window_end, count(*) AS n FROM tumble(flow, at, INTERVAL '2 seconds') \
        GROUP BY site, window_start, window_end";
    let job = city.job("beating", "freshness = '1 second'", select);
    let mut live = city.live(&[&job], &[]);
    // One partition has a row, three never have one, and then all are silent.
    send(&city.topic("flow"), 1, [fresh("a", 0)]);
    rows(&mut live, &city, "beating", 1);
    send(&city.topic("flow"), 2, [fresh("b", 0)]);
    rows(&mut live, &city, "beating", 2);
    let done = live.stop().expect(0);
    assert_eq!(done.job("beating")["late"], 0);
}

#[test]
fn a_replay_of_old_data_that_pauses_loses_nothing() {
    let city = City::new();
    city.stream("flow", FLOW, "'time.idle' '1 second'", 1);
    let topic = city.topic("flow");
    let job = city.job("replayed", "freshness = '1 second'", PER_MINUTE);
    let marks = city.job("marks", "freshness = '1 second'", "SELECT site FROM flow");
    let mut live = city.live(&[&job, &marks], &[]);
    send(&topic, 0, [flow("a", 1, "05:00:00")]);
    rows(&mut live, &city, "marks", 1);
    let paused = std::time::Instant::now();
    eventually("a pause of several times the idle time", || (paused.elapsed().as_secs() >= 3).then_some(()));
    send(&topic, 0, [flow("a", 2, "05:00:30"), flow("a", 3, "05:01:10")]);
    assert!(rows(&mut live, &city, "replayed", 1)[0].contains(r#""veh":3,"readings":2"#));
    let done = live.stop().expect(0);
    assert_eq!(done.job("replayed")["late"], 0);
}

#[test]
fn from_latest_reads_only_what_comes() {
    let city = City::with_flow(1);
    let topic = city.topic("flow");
    send(&topic, 0, [flow("old", 1, "05:00:00")]);
    let job = city.job("latest", "freshness = '1 second'", "SELECT site FROM flow");
    let address = crate::metrics::free_address();
    let mut live = city.live(&[&job], &["--from", "latest", "--metrics-addr", &address]);
    crate::metrics::wait_ready(&address);
    send(&topic, 0, [flow("new", 1, "05:00:00")]);
    assert_eq!(rows(&mut live, &city, "latest", 1), [r#"{"site":"new"}"#]);
    live.stop().expect(0);
}

#[test]
fn a_topic_that_is_deleted_ends_its_job() {
    let city = City::with_flow(1);
    let topic = city.topic("flow");
    let job = city.job("orphan", "", "SELECT site FROM flow");
    let address = crate::metrics::free_address();
    let live = city.live(&[&job], &["--metrics-addr", &address]);
    crate::metrics::wait_ready(&address);
    crate::broker::delete(&topic);
    let done = live.wait().expect(2);
    done.says(&["job 'orphan'", &topic, "deleted"]);
}
