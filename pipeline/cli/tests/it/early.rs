//! Results that come out before they are final.

use crate::broker::{newest_values, send, values};
use crate::city::{City, PER_MINUTE, flow};
use crate::process::eventually;

/// A job over `flow` whose rows replace one another, in a table and a topic.
fn job(city: &City, emit: &str) -> std::path::PathBuf {
    let topic = city.make("sums", 1);
    let sinks = format!("delta:sums, kafka:{topic}");
    let options = format!("emit = '{emit}', lateness = '1 minute', freshness = '200 ms', sink = '{sinks}'");
    city.job("sums", &options, PER_MINUTE)
}

fn row(site: &str, veh: i64, readings: i64) -> String {
    let window = r#""window_start":"2026-03-29T05:00:00Z","window_end":"2026-03-29T05:01:00Z""#;
    format!(r#"{{"site":"{site}",{window},"veh":{veh},"readings":{readings}}}"#)
}

#[test]
fn a_window_comes_out_when_it_ends_and_again_when_a_row_is_late() {
    let city = City::with_flow(1);
    let job = job(&city, "updates");
    let live = city.live(&[&job], &["--checkpoint-dir", "checkpoints", "--commit-interval", "100ms"]);
    let topic = city.topic("sums");
    // The window has ended by the third row, which is ten seconds beyond: rows may come for another minute.
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00"), flow("b", 2, "05:00:10"), flow("c", 9, "05:01:10")]);
    eventually("the window's first results", || (values(&topic) == [row("a", 1, 1), row("b", 2, 1)]).then_some(()));
    send(&city.topic("flow"), 0, [flow("a", 5, "05:00:30")]);
    let both = [row("a", 1, 1), row("b", 2, 1), row("a", 6, 2)];
    eventually("the changed row alone", || (values(&topic) == both).then_some(()));
    eventually("the table", || (city.rows("sums") == [row("a", 6, 2), row("b", 2, 1)]).then_some(()));
    // Final: nothing has changed, so nothing comes.
    send(&city.topic("flow"), 0, [flow("d", 1, "05:02:20")]);
    eventually("the next window", || values(&topic).iter().find(|row| row.contains(r#""site":"c""#)).map(drop));
    assert_eq!(values(&topic).len(), 4);
    live.stop().expect(0);
}

#[test]
fn open_windows_come_out_now_and_then() {
    let city = City::with_flow(2);
    let job = job(&city, "early every 100 ms");
    let live = city.live(&[&job], &[]);
    let topic = city.topic("sums");
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    eventually("a first result", || (newest_values(&topic) == [row("a", 1, 1)]).then_some(()));
    send(&city.topic("flow"), 1, [flow("a", 2, "05:00:01"), flow("b", 3, "05:00:02")]);
    let now = [row("a", 3, 2), row("b", 3, 1)];
    eventually("both partitions together", || (newest_values(&topic) == now).then_some(()));
    eventually("the table", || (city.rows("sums") == now).then_some(()));
    live.stop().expect(0);
}

#[test]
fn every_window_over_a_row_comes_out_with_it() {
    let city = City::with_flow(1);
    let query = |windows: &str| {
        format!(
            "SELECT site, window_start, window_end, sum(veh) AS veh FROM {windows} GROUP BY site, window_start, window_end"
        )
    };
    let job = |name: &str, windows: &str| {
        let topic = city.make(name, 1);
        let options =
            format!("emit = 'early every 100 ms', lateness = '1 minute', sink = 'delta:{name}, kafka:{topic}'");
        city.job(name, &options, &query(windows))
    };
    let hop = job("hops", "hop(flow, at, INTERVAL '1 minute', INTERVAL '2 minutes')");
    let cumulate = job("days", "cumulate(flow, at, INTERVAL '1 minute', INTERVAL '2 minutes')");
    let live = city.live(&[&hop, &cumulate], &["--checkpoint-dir", "checkpoints", "--commit-interval", "100ms"]);
    let row = |start: &str, end: &str, veh: i64| {
        let window = format!(r#""window_start":"2026-03-29T{start}:00Z","window_end":"2026-03-29T{end}:00Z""#);
        format!(r#"{{"site":"a",{window},"veh":{veh}}}"#)
    };
    let now = |name: &str, rows: &[String]| hold(&city, name, rows);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    now("hops", &[row("04:59", "05:01", 1), row("05:00", "05:02", 1)]);
    now("days", &[row("05:00", "05:01", 1), row("05:00", "05:02", 1)]);
    send(&city.topic("flow"), 0, [flow("a", 2, "05:01:10")]);
    now("hops", &[row("04:59", "05:01", 1), row("05:00", "05:02", 3), row("05:01", "05:03", 2)]);
    now("days", &[row("05:00", "05:01", 1), row("05:00", "05:02", 3)]);
    // Late, within what the job waits for.
    send(&city.topic("flow"), 0, [flow("a", 4, "05:00:50")]);
    now("hops", &[row("04:59", "05:01", 5), row("05:00", "05:02", 7), row("05:01", "05:03", 2)]);
    now("days", &[row("05:00", "05:01", 5), row("05:00", "05:02", 7)]);
    live.stop().expect(0);
}

/// Waits until a topic, compacted, and a table hold these rows.
fn hold(city: &City, name: &str, rows: &[String]) {
    let topic = city.topic(name);
    let newest = || newest_values(&topic).into_iter().filter(|value| value != "-").collect::<Vec<_>>();
    eventually("the topic", || (newest() == rows).then_some(()));
    eventually("the table", || (city.rows(name) == rows).then_some(()));
}

#[test]
fn a_row_that_is_no_result_any_more_is_removed() {
    let city = City::with_flow(1);
    let slow = format!("{PER_MINUTE} HAVING avg(veh) < 5");
    let stay = "SELECT site, window_start, window_end, sum(veh) AS veh, 100 / (count(*) - 1) AS share FROM session(flow, at, INTERVAL '1 minute', key => site) GROUP BY site, window_start, window_end";
    let job = |name: &str, query: &str| {
        let topic = city.make(name, 1);
        let options =
            format!("emit = 'early every 100 ms', lateness = '1 minute', sink = 'delta:{name}, kafka:{topic}'");
        city.job(name, &options, query)
    };
    let jobs = [job("slow", &slow), job("stays", stay)];
    let start = || city.live(&[&jobs[0], &jobs[1]], &["--checkpoint-dir", "checkpoints", "--commit-interval", "100ms"]);
    let stay = |start: &str, end: &str, veh: i64, share: &str| {
        let window = format!(r#""window_start":"2026-03-29T{start}Z","window_end":"2026-03-29T{end}Z""#);
        format!(r#"{{"site":"a",{window},"veh":{veh},"share":{share}}}"#)
    };
    let live = start();
    let flow_topic = city.topic("flow");
    send(&flow_topic, 0, [flow("a", 1, "05:00:00"), flow("b", 9, "05:00:00"), flow("b", 9, "05:00:01")]);
    hold(&city, "slow", &[row("a", 1, 1)]);
    let b = stay("05:00:00", "05:01:01", 18, "100").replace(r#""a""#, r#""b""#);
    hold(&city, "stays", &[stay("05:00:00", "05:01:00", 1, "null"), b.clone()]);
    // Another session of the same site; then a row between the two, which makes them one.
    send(&flow_topic, 0, [flow("a", 1, "05:01:10")]);
    let second = stay("05:01:10", "05:02:10", 1, "null");
    hold(&city, "stays", &[stay("05:00:00", "05:01:00", 1, "null"), second, b.clone()]);
    live.stop().expect(0);
    // The process that goes on knows what there is to be removed.
    let live = start();
    send(&flow_topic, 0, [flow("a", 30, "05:00:40")]);
    hold(&city, "stays", &[stay("05:00:00", "05:02:10", 32, "50"), b]);
    // The slow minute is over, the next one is not.
    let next = row("a", 1, 1).replace("05:01:00", "05:02:00").replace("05:00:00", "05:01:00");
    hold(&city, "slow", &[next]);
    live.stop().expect(0);
}

#[test]
fn results_that_may_vanish_are_not_sent_before_their_epoch() {
    let city = City::with_flow(1);
    let topic = city.make("slow", 1);
    let job = city.job(
        "slow",
        &format!("emit = 'updates', sink = 'kafka:{topic}'"),
        &format!("{PER_MINUTE} HAVING avg(veh) < 5"),
    );
    let live = city.live(&[&job], &["--checkpoint-dir", "checkpoints", "--guarantee", "at-least-once"]);
    live.wait().expect(1).says(&["job 'slow'", "found --guarantee at-least-once", "leave the flag out"]);
}

#[test]
fn what_cannot_come_out_early_is_refused() {
    let city = City::with_flow(1);
    let refused = |options: &str, select: &str, words: &[&str]| {
        let job = city.job("sums", options, select);
        city.done(&["check", job.to_str().unwrap(), "--schemas", "schemas"]).expect(1).says(words);
    };
    let over = "SELECT site, veh, sum(veh) OVER (PARTITION BY window_start, window_end, site ORDER BY at) AS sum FROM tumble(flow, at, INTERVAL '1 minute')";
    refused("emit = 'updates', sink = 'delta:sums'", over, &["S103", "OVER"]);
    refused("emit = 'updates'", PER_MINUTE, &["S103", "which the sink 'parquet:sums' cannot"]);
    let key = "emit = 'updates', sink = 'delta:sums', key = 'site'";
    refused(key, PER_MINUTE, &["S103", "key = 'site' leaves out 'window_start'"]);
    let cumulate = |zone: &str| {
        let windows = format!("cumulate(flow, at, INTERVAL '1 minute', INTERVAL '1 hour'{zone})");
        format!(
            "SELECT site, window_start, window_end, sum(veh) AS veh FROM {windows} GROUP BY site, window_start, window_end"
        )
    };
    for zone in ["", ", zone => 'Europe/Amsterdam'"] {
        let key = "emit = 'updates', sink = 'delta:sums', key = 'site, window_start'";
        refused(key, &cumulate(zone), &["S103", "leaves out 'window_end'"]);
    }
    let many = "SELECT window_end, count(*) AS readings FROM hop(flow, at, INTERVAL '1 second', INTERVAL '5 minutes') GROUP BY window_end";
    refused(
        "emit = 'early every 1 second', sink = 'delta:sums'",
        many,
        &["S103", "a row is in 300 windows", "updates"],
    );
    let interval =
        "SELECT site, window_start, window_end, INTERVAL '1 minute' AS step FROM tumble(flow, at, INTERVAL '1 minute')";
    refused("sink = 'delta:sums'", interval, &["S021"]);
    let day = "SELECT site, veh AS day FROM flow";
    refused(
        "sink = 'delta:sums', partition_by = 'day'",
        day,
        &["S013", "adds a column of this name; call it otherwise"],
    );
}
