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
fn what_cannot_come_out_early_is_refused() {
    let city = City::with_flow(1);
    let refused = |options: &str, select: &str, words: &[&str]| {
        let job = city.job("sums", options, select);
        city.done(&["check", job.to_str().unwrap(), "--schemas", "schemas"]).expect(1).says(words);
    };
    let having = format!("{PER_MINUTE} HAVING sum(veh) > 5");
    refused("emit = 'updates', sink = 'delta:sums'", &having, &["S103", "a condition (HAVING) behind its GROUP BY"]);
    refused("emit = 'updates'", PER_MINUTE, &["S103", "which the sink 'parquet:sums' cannot"]);
    let key = "emit = 'updates', sink = 'delta:sums', key = 'site'";
    refused(key, PER_MINUTE, &["S103", "key = 'site' leaves out 'window_start'"]);
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
