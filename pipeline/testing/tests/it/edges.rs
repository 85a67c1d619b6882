//! Edges of partitions and of time: who waits for whom, what is lost (nothing) and what is late.

use crate::scenario::{Scenario, check};
use citystream_model::position::Partition;

/// Minutes with their number of rows.
const MINUTES: &str = "SELECT w.window_end, count(*) AS n FROM tumble(s, at, INTERVAL '1 minute') AS w GROUP BY w.window_start, w.window_end";

type Row = (&'static str, &'static str, i64);

/// Rows of a partition in pieces, as a reader gets them: partition, and how many rows more.
type Delivery = &'static [(Partition, usize)];

#[test]
fn a_filled_topic_is_read_without_loss_in_whatever_order_its_partitions_come() {
    // Partition 1 is a day ahead, and partition 2 holds one old row at its end.
    let partitions: [&[Row]; 3] = [
        &[("10:00:10", "a", 1), ("10:01:10", "a", 1), ("10:00:55", "a", 1), ("10:01:05", "a", 1), ("10:02:30", "a", 1)],
        &[("2026-03-02T10:00:00Z", "b", 1), ("2026-03-02T10:00:50Z", "b", 1), ("2026-03-02T10:01:00Z", "b", 1)],
        &[("09:00", "c", 1), ("10:00:20", "c", 1)],
    ];
    let orders: [Delivery; 6] = [
        &[(0, 5), (1, 3), (2, 2)],
        &[(1, 3), (0, 5), (2, 2)],
        &[(2, 2), (1, 3), (0, 5)],
        &[(1, 1), (0, 1), (1, 1), (2, 1), (0, 2), (1, 1), (2, 1), (0, 2)],
        &[(0, 1), (0, 1), (0, 1), (0, 1), (0, 1), (1, 1), (1, 1), (1, 1), (2, 1), (2, 1)],
        &[(1, 2), (2, 1), (1, 1), (0, 4), (2, 1), (0, 1)],
    ];
    // 10:00:55 lies 15 seconds behind 10:01:10 in its own partition, which alone decides.
    let all = [
        "1T09:01:00 | 1",
        "1T10:01:00 | 2",
        "1T10:02:00 | 2",
        "1T10:03:00 | 1",
        "2026-03-02T10:01:00 | 2",
        "2026-03-02T10:02:00 | 1",
    ];
    for order in orders {
        let mut scenario = Scenario::new(MINUTES, 3);
        let (mut late, mut read) = (0, [0; 3]);
        for &(partition, count) in order {
            let at = partition as usize;
            late += scenario.rows(partition, &partitions[at][read[at]..read[at] + count]);
            read[at] += count;
        }
        assert_eq!((late, read), (1, [5, 3, 2]), "{order:?}");
        // The slowest partition ends at 10:00:20, less 10 seconds.
        scenario.expect(&all[..1]);
        scenario.end(&all[1..], &all);
    }
}

#[test]
fn a_partition_far_ahead_closes_no_window_of_the_others() {
    let mut scenario = Scenario::new(MINUTES, 2);
    scenario.rows(0, &[("10:00:10", "a", 1)]);
    scenario.rows(1, &[("2026-12-31T23:00:00Z", "b", 1)]);
    scenario.expect(&[]);
    assert_eq!(scenario.rows(0, &[("10:00:20", "a", 1), ("10:01:10", "a", 1)]), 0);
    scenario.expect(&["1T10:01:00 | 2"]);
    scenario.end(
        &["1T10:02:00 | 1", "2026-12-31T23:01:00 | 1"],
        &["1T10:01:00 | 2", "1T10:02:00 | 1", "2026-12-31T23:01:00 | 1"],
    );
}

#[test]
fn an_empty_partition_waits_for_its_heartbeat_and_loses_no_row_in_time() {
    let mut scenario = Scenario::new(MINUTES, 3);
    scenario.rows(0, &[("10:00:30", "a", 1), ("10:01:30", "a", 1)]);
    scenario.rows(1, &[("10:02:30", "b", 1)]);
    scenario.idle(2, "10:03", "10:03:59");
    scenario.expect(&[]);
    // It follows the slowest busy partition, 10:01:30, and not the fastest.
    scenario.idle(2, "10:03", "10:04");
    scenario.expect(&["1T10:01:00 | 1"]);
    assert_eq!(scenario.rows(2, &[("10:01:20", "c", 1)]), 0);
    scenario.end(&["1T10:02:00 | 2", "1T10:03:00 | 1"], &["1T10:01:00 | 1", "1T10:02:00 | 2", "1T10:03:00 | 1"]);
}

#[test]
fn a_stream_that_is_silent_as_a_whole_follows_the_clock() {
    let mut scenario = Scenario::new(MINUTES, 2);
    scenario.rows(0, &[("10:00:30", "a", 1)]);
    scenario.rows(1, &[("10:00:40", "b", 1)]);
    scenario.idle(0, "10:01", "10:01:30");
    scenario.idle(1, "10:01", "10:01:59");
    scenario.expect(&[]);
    // 10:02:10, less the minute of silence and the 10 seconds of disorder.
    scenario.idle(1, "10:01", "10:02:10");
    scenario.expect(&["1T10:01:00 | 2"]);
    assert_eq!(scenario.rows(0, &[("10:00:59", "a", 1), ("10:01", "a", 1)]), 1);
    scenario.end(&["1T10:02:00 | 1"], &["1T10:01:00 | 2", "1T10:02:00 | 1"]);
}

#[test]
fn a_paused_replay_of_old_data_goes_on_without_loss() {
    let mut scenario = Scenario::new(MINUTES, 3);
    // Sent half a year after it was measured; partition 2 has never had a row.
    let sent = "2026-09-01T12:00:00Z";
    scenario.sent(0, sent, &[("2026-03-01T10:00:10Z", "a", 1), ("2026-03-01T10:00:50Z", "a", 1)]);
    scenario.sent(1, sent, &[("2026-03-01T10:00:20Z", "b", 1)]);
    for now in ["2026-09-01T12:02:00Z", "2026-09-01T18:00:00Z", "2026-09-02T12:00:00Z"] {
        for partition in 0..3 {
            scenario.idle(partition, "2026-09-01T12:00:30Z", now);
        }
        scenario.expect(&[]);
    }
    let on = "2026-09-02T12:00:10Z";
    assert_eq!(
        scenario.sent(1, on, &[("2026-03-01T10:00:59Z", "b", 1), ("2026-03-01T10:01:30Z", "b", 1)]),
        (0, vec![])
    );
    assert_eq!(scenario.sent(2, on, &[("2026-03-01T10:00:00Z", "c", 1)]), (0, vec![]));
    assert_eq!(scenario.sent(0, on, &[("2026-03-01T10:01:40Z", "a", 1)]), (0, vec![]));
    scenario.expect(&[]);
    scenario.end(&["1T10:01:00 | 5", "1T10:02:00 | 2"], &["1T10:01:00 | 5", "1T10:02:00 | 2"]);
}

#[test]
fn a_partition_that_comes_into_being_breaks_no_promise_and_harms_nobody() {
    let mut scenario = Scenario::new(MINUTES, 1);
    scenario.rows(0, &[("10:00:30", "a", 1), ("10:02:20", "a", 1)]);
    scenario.expect(&["1T10:01:00 | 1"]);
    scenario.grow(1);
    // The watermark was 10:02:10.
    assert_eq!(scenario.rows(1, &[("10:02:09", "b", 1), ("10:02:10", "b", 1), ("10:02:59", "b", 1)]), 1);
    assert_eq!(scenario.rows(0, &[("10:02:50", "a", 1), ("10:05", "a", 1)]), 0);
    // The new one is at 10:02:49 and holds the window open.
    scenario.expect(&[]);
    assert_eq!(scenario.rows(1, &[("10:03:10", "b", 1)]), 0);
    scenario.expect(&["1T10:03:00 | 4"]);
    scenario.end(
        &["1T10:04:00 | 1", "1T10:06:00 | 1"],
        &["1T10:01:00 | 1", "1T10:03:00 | 4", "1T10:04:00 | 1", "1T10:06:00 | 1"],
    );
}

#[test]
fn a_partition_that_comes_into_being_before_any_row_is_like_the_others() {
    let mut scenario = Scenario::new(MINUTES, 1);
    scenario.grow(1);
    assert_eq!(scenario.rows(0, &[("10:05", "a", 1)]), 0);
    scenario.expect(&[]);
    assert_eq!(scenario.rows(1, &[("10:00", "b", 1)]), 0);
    scenario.end(&["1T10:01:00 | 1", "1T10:06:00 | 1"], &["1T10:01:00 | 1", "1T10:06:00 | 1"]);
}

#[test]
fn a_sensor_that_is_a_year_ahead_is_rejected_and_harms_nobody() {
    for (at, fate) in [
        ("2027-03-01T10:00:00Z", vec!["future_time"]),
        ("2026-03-01T10:05:31.000001Z", vec!["future_time"]),
        // `time.max_future` is five minutes.
        ("2026-03-01T10:05:31Z", vec![]),
    ] {
        let taken = fate.is_empty();
        let mut scenario = Scenario::new(MINUTES, 2);
        let rows = [("2026-03-01T10:00:30Z", "a", 1), (at, "broken clock", 1), ("2026-03-01T10:00:31Z", "a", 1)];
        // A row that is taken moves its own partition on, so that the next one is late.
        assert_eq!(scenario.sent(0, "10:00:31", &rows), (usize::from(taken), fate));
        scenario.expect(&[]);
        assert_eq!(scenario.rows(1, &[("10:00:32", "b", 1), ("10:01:15", "b", 1)]), 0);
        let minute = if taken { "1T10:01:00 | 2" } else { "1T10:01:00 | 3" };
        let mut all = vec![minute, "1T10:02:00 | 1"];
        all.extend(taken.then_some("1T10:06:00 | 1"));
        scenario.expect(if taken { &all[..1] } else { &[] });
        scenario.end(if taken { &all[1..] } else { &all }, &all);
    }
}

#[test]
fn a_partition_of_which_every_row_is_late_stops_nothing() {
    let mut scenario = Scenario::new(MINUTES, 2);
    scenario.rows(0, &[("10:10:00", "a", 1), ("10:20:00", "a", 1)]);
    scenario.idle(1, "10:20", "10:21");
    scenario.expect(&["1T10:11:00 | 1"]);
    for minute in ["10:00", "10:05", "10:10", "10:19:49"] {
        assert_eq!(scenario.rows(1, &[(minute, "b", 1), (minute, "b", 2)]), 2, "{minute}");
    }
    assert_eq!(scenario.rows(0, &[("10:21:10", "a", 1)]), 0);
    // Late rows are rows: the partition is not silent, and stays at its heartbeat.
    scenario.expect(&[]);
    scenario.idle(1, "10:22", "10:23");
    scenario.expect(&["1T10:21:00 | 1"]);
    scenario.end(&["1T10:22:00 | 1"], &["1T10:11:00 | 1", "1T10:21:00 | 1", "1T10:22:00 | 1"]);
}

/// Amsterdam's days of 23 and 25 hours, around both nights: the window's length decides when it comes out.
#[test]
fn a_day_closes_after_its_23_24_or_25_hours() {
    let days = "SELECT w.window_start, w.window_end, count(*) AS n FROM tumble(s, at, INTERVAL '1 day', zone => 'Europe/Amsterdam') AS w GROUP BY w.window_start, w.window_end";
    for (noon, last, next, day) in [
        (
            "2026-03-29T10:00:00Z",
            "2026-03-29T22:00:09.999999Z",
            "2026-03-29T22:00:10Z",
            "2026-03-28T23:00:00 | 2026-03-29T22:00:00 | 1",
        ),
        (
            "2026-03-30T10:00:00Z",
            "2026-03-30T22:00:09.999999Z",
            "2026-03-30T22:00:10Z",
            "2026-03-29T22:00:00 | 2026-03-30T22:00:00 | 1",
        ),
        (
            "2026-10-25T11:00:00Z",
            "2026-10-25T23:00:09.999999Z",
            "2026-10-25T23:00:10Z",
            "2026-10-24T22:00:00 | 2026-10-25T23:00:00 | 1",
        ),
    ] {
        let mut scenario = Scenario::new(days, 1);
        scenario.rows(0, &[(noon, "a", 1), (last, "a", 1)]);
        scenario.expect(&[]);
        scenario.rows(0, &[(next, "a", 1)]);
        scenario.expect(&[day]);
    }
}

#[test]
fn hours_of_the_nights_in_which_the_clock_changes() {
    let hours = |day: &str| {
        let list = "0 1 2 3 4".split(' ').map(|hour| format!("{day}T0{hour}:30:00Z"));
        list.collect::<Vec<_>>()
    };
    for (day, sql, expected) in [
        // 01:00Z is 03:00 in Amsterdam: its third hour of the day is its third window, and ends at noon all the same.
        (
            "2026-03-29",
            "cumulate(s, at, INTERVAL '12 hours', INTERVAL '1 day', zone => 'Europe/Amsterdam')",
            vec!["2026-03-28T23:00:00 | 2026-03-29T11:00:00 | 5", "2026-03-28T23:00:00 | 2026-03-29T22:00:00 | 5"],
        ),
        (
            "2026-10-25",
            "cumulate(s, at, INTERVAL '12 hours', INTERVAL '1 day', zone => 'Europe/Amsterdam')",
            vec![
                "2026-10-24T22:00:00 | 2026-10-25T10:00:00 | 5",
                "2026-10-24T22:00:00 | 2026-10-25T22:00:00 | 5",
                "2026-10-24T22:00:00 | 2026-10-25T23:00:00 | 5",
            ],
        ),
        (
            "2026-10-25",
            "hop(s, at, INTERVAL '1 day', INTERVAL '2 days', zone => 'Europe/Amsterdam')",
            vec!["2026-10-23T22:00:00 | 2026-10-25T23:00:00 | 5", "2026-10-24T22:00:00 | 2026-10-26T23:00:00 | 5"],
        ),
    ] {
        let times = hours(day);
        let rows: Vec<(&str, &str, i64)> = times.iter().map(|at| (at.as_str(), "a", 1)).collect();
        check(
            &format!(
                "SELECT w.window_start, w.window_end, count(*) AS n FROM {sql} AS w GROUP BY w.window_start, w.window_end"
            ),
            &rows,
            &expected,
        );
    }
}

#[test]
fn months_end_where_the_calendar_says() {
    let months = "SELECT w.window_start, w.window_end, sum(w.v) AS v FROM tumble(s, at, INTERVAL '1 month', zone => 'UTC') AS w GROUP BY w.window_start, w.window_end";
    check(
        months,
        &[
            ("2023-02-28T23:59:59.999999Z", "a", 1),
            ("2023-03-01T00:00:00Z", "a", 2),
            ("2024-02-28T23:59:59Z", "a", 4),
            ("2024-02-29T00:00:00Z", "a", 8),
            ("2024-02-29T23:59:59.999999Z", "a", 16),
            ("2024-03-01T00:00:00Z", "a", 32),
            ("2024-04-30T23:59:59Z", "a", 64),
            ("2024-12-31T23:59:59Z", "a", 128),
            ("2025-01-01T00:00:00Z", "a", 256),
        ],
        &[
            "2023-02-01T00:00:00 | 2023-03-01T00:00:00 | 1",
            "2023-03-01T00:00:00 | 2023-04-01T00:00:00 | 2",
            "2024-02-01T00:00:00 | 2024-03-01T00:00:00 | 28",
            "2024-03-01T00:00:00 | 2024-04-01T00:00:00 | 32",
            "2024-04-01T00:00:00 | 2024-05-01T00:00:00 | 64",
            "2024-12-01T00:00:00 | 2025-01-01T00:00:00 | 128",
            "2025-01-01T00:00:00 | 2025-02-01T00:00:00 | 256",
        ],
    );
    // The last hour of a local month is the next month in UTC, in winter an hour and in summer two.
    check(
        &months.replace("UTC", "Europe/Amsterdam"),
        &[("2024-02-29T22:59:59Z", "a", 1), ("2024-02-29T23:00:00Z", "a", 2), ("2024-03-31T22:00:00Z", "a", 4)],
        &[
            "2024-01-31T23:00:00 | 2024-02-29T23:00:00 | 1",
            "2024-02-29T23:00:00 | 2024-03-31T22:00:00 | 2",
            "2024-03-31T22:00:00 | 2024-04-30T22:00:00 | 4",
        ],
    );
}

#[test]
fn second_60_is_the_next_minute() {
    for (written, end) in [
        ("2026-03-01T10:00:60Z", "1T10:02:00 | 1"),
        ("2026-03-01T10:00:60.999999Z", "1T10:02:00 | 1"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:01:00 | 1"),
        ("2026-03-01T10:00:59.999999Z", "1T10:01:00 | 1"),
    ] {
        let mut scenario = Scenario::new(MINUTES, 1);
        assert_eq!(scenario.sent(0, written.replace(":60", ":59").as_str(), &[(written, "a", 1)]), (0, vec![]));
        scenario.end(&[end], &[end]);
    }
}
