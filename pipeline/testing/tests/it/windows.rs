//! Windows by hand: the batch twin shares the window functions with the stream, so it cannot be their only judge.

use crate::scenario::{Scenario, check};

#[test]
fn tumbling_windows_are_half_open() {
    check(
        "SELECT w.window_start, w.window_end, sum(w.v) AS v FROM tumble(s, at, INTERVAL '5 minutes') AS w GROUP BY w.window_start, w.window_end",
        &[("10:00", "a", 1), ("10:04:59.999999", "a", 2), ("10:05", "a", 4), ("10:20", "a", 8)],
        &["1T10:00:00 | 1T10:05:00 | 3", "1T10:05:00 | 1T10:10:00 | 4", "1T10:20:00 | 1T10:25:00 | 8"],
    );
}

#[test]
fn times_before_the_epoch_fall_into_the_window_below() {
    check(
        "SELECT w.window_start, count(*) AS n FROM tumble(s, at, INTERVAL '1 hour') AS w GROUP BY w.window_start, w.window_end",
        &[("1969-12-31T23:59:59.999999Z", "a", 1), ("1970-01-01T00:00:00Z", "a", 1)],
        &["1969-12-31T23:00:00 | 1", "1970-01-01T00:00:00 | 1"],
    );
}

#[test]
fn hopping_windows_overlap() {
    check(
        "SELECT w.window_start, w.window_end, sum(w.v) AS v FROM hop(s, at, INTERVAL '5 minutes', INTERVAL '10 minutes') AS w GROUP BY w.window_start, w.window_end",
        &[("10:02", "a", 1), ("10:05", "a", 2)],
        &["1T09:55:00 | 1T10:05:00 | 1", "1T10:00:00 | 1T10:10:00 | 3", "1T10:05:00 | 1T10:15:00 | 2"],
    );
}

#[test]
fn hops_with_gaps_leave_rows_out() {
    check(
        "SELECT w.window_start, w.window_end, w.v FROM hop(s, at, slide => INTERVAL '10 minutes', size => INTERVAL '2 minutes') AS w",
        &[("10:01:59", "a", 1), ("10:02", "a", 2), ("10:09:59", "a", 3), ("10:10", "a", 4)],
        &["1T10:00:00 | 1T10:02:00 | 1", "1T10:10:00 | 1T10:12:00 | 4"],
    );
}

#[test]
fn cumulating_windows_share_their_start() {
    check(
        "SELECT w.window_start, w.window_end, sum(w.v) AS v FROM cumulate(s, at, INTERVAL '5 minutes', INTERVAL '15 minutes') AS w GROUP BY w.window_start, w.window_end",
        &[("10:02", "a", 1), ("10:07", "a", 2)],
        &["1T10:00:00 | 1T10:05:00 | 1", "1T10:00:00 | 1T10:10:00 | 3", "1T10:00:00 | 1T10:15:00 | 3"],
    );
}

#[test]
fn a_session_takes_rows_less_than_the_gap_apart() {
    check(
        "SELECT w.k, w.window_start, w.window_end, sum(w.v) AS v FROM session(s, at, INTERVAL '5 minutes', key => k) AS w GROUP BY w.k, w.window_start, w.window_end",
        &[("10:00", "a", 1), ("10:01", "b", 2), ("10:04:59", "a", 4), ("10:09:59", "a", 8), ("10:09:59", "a", 16)],
        &[
            r#""a" | 1T10:00:00 | 1T10:09:59 | 5"#,
            r#""a" | 1T10:09:59 | 1T10:14:59 | 24"#,
            r#""b" | 1T10:01:00 | 1T10:06:00 | 2"#,
        ],
    );
}

#[test]
fn a_session_without_a_key_is_one_for_all_rows() {
    check(
        "SELECT w.window_start, w.window_end, count(*) AS n FROM session(s, at, INTERVAL '1 minute') AS w GROUP BY w.window_start, w.window_end",
        &[("10:00", "a", 1), ("10:00:59", "b", 1), ("10:02", "c", 1)],
        &["1T10:00:00 | 1T10:01:59 | 2", "1T10:02:00 | 1T10:03:00 | 1"],
    );
}

#[test]
fn a_row_in_between_makes_two_sessions_one() {
    let sql = "SELECT w.window_start, w.window_end, count(*) AS n FROM session(s, at, INTERVAL '8 seconds') AS w GROUP BY w.window_start, w.window_end";
    let all = ["1T10:00:00 | 1T10:00:22 | 3"];
    let mut scenario = Scenario::new(sql, 1);
    // Two sessions, until a row that is not late yet bridges them.
    assert_eq!(scenario.rows(0, &[("10:00", "a", 1), ("10:00:10", "a", 1)]), 0);
    scenario.expect(&[]);
    assert_eq!(scenario.rows(0, &[("10:00:05", "a", 1)]), 0);
    assert_eq!(scenario.rows(0, &[("10:00:14", "a", 1)]), 0);
    scenario.expect(&[]);
    scenario.end(&["1T10:00:00 | 1T10:00:22 | 4"], &[all[0].replace("| 3", "| 4").as_str()]);
}

#[test]
fn days_of_amsterdam_are_short_and_long() {
    check(
        "SELECT w.window_start, w.window_end, count(*) AS n FROM tumble(s, at, INTERVAL '1 day', zone => 'Europe/Amsterdam') AS w GROUP BY w.window_start, w.window_end",
        &[
            ("2026-03-28T22:59:59Z", "a", 1),
            ("2026-03-28T23:00:00Z", "a", 1),
            ("2026-03-29T21:59:59Z", "a", 1),
            ("2026-03-29T22:00:00Z", "a", 1),
            ("2026-10-25T12:00:00Z", "a", 1),
        ],
        &[
            "2026-03-27T23:00:00 | 2026-03-28T23:00:00 | 1",
            "2026-03-28T23:00:00 | 2026-03-29T22:00:00 | 2",
            "2026-03-29T22:00:00 | 2026-03-30T22:00:00 | 1",
            "2026-10-24T22:00:00 | 2026-10-25T23:00:00 | 1",
        ],
    );
}

#[test]
fn both_passes_of_the_autumn_hour_are_windows_of_their_own() {
    check(
        "SELECT w.window_start, w.window_end, count(*) AS n FROM tumble(s, at, INTERVAL '1 hour', zone => 'Europe/Amsterdam') AS w GROUP BY w.window_start, w.window_end",
        &[("2026-10-25T00:30:00Z", "a", 1), ("2026-10-25T01:30:00Z", "a", 1)],
        &["2026-10-25T00:00:00 | 2026-10-25T01:00:00 | 1", "2026-10-25T01:00:00 | 2026-10-25T02:00:00 | 1"],
    );
}

#[test]
fn a_window_comes_out_once_when_the_watermark_reaches_its_end() {
    let sql = "SELECT w.k, w.window_end, sum(w.v) AS v FROM tumble(s, at, INTERVAL '1 minute') AS w GROUP BY w.k, w.window_start, w.window_end";
    let mut scenario = Scenario::new(sql, 1);
    scenario.rows(0, &[("10:00:10", "a", 1), ("10:01:05", "a", 2)]);
    scenario.expect(&[]);
    // 10:01:09.999999 - 10 s is just below 10:01.
    scenario.rows(0, &[("10:01:09.999999", "a", 4)]);
    scenario.expect(&[]);
    scenario.rows(0, &[("10:01:10", "a", 8), ("10:01", "a", 16)]);
    scenario.expect(&[r#""a" | 1T10:01:00 | 1"#]);
    assert_eq!(scenario.rows(0, &[("10:00:59.999999", "a", 32)]), 1);
    scenario.end(&[r#""a" | 1T10:02:00 | 30"#], &[r#""a" | 1T10:01:00 | 1"#, r#""a" | 1T10:02:00 | 30"#]);
}

#[test]
fn a_silent_partition_holds_windows_back_until_its_heartbeat() {
    let sql = "SELECT w.window_end, count(*) AS n FROM tumble(s, at, INTERVAL '1 minute') AS w GROUP BY w.window_start, w.window_end";
    let mut scenario = Scenario::new(sql, 2);
    scenario.rows(0, &[("10:00:30", "a", 1), ("10:05", "a", 1)]);
    scenario.expect(&[]);
    scenario.idle(1, "10:06", "10:06:59");
    scenario.expect(&[]);
    scenario.idle(1, "10:06", "10:07");
    scenario.expect(&["1T10:01:00 | 1"]);
    // Behind its heartbeat (10:05) by more than the delay, a row of the partition is late, though it is its first.
    assert_eq!(scenario.rows(1, &[("10:04:49", "b", 1), ("10:04:50", "b", 1)]), 1);
    scenario.expect(&[]);
    scenario.end(&["1T10:05:00 | 1", "1T10:06:00 | 1"], &["1T10:01:00 | 1", "1T10:05:00 | 1", "1T10:06:00 | 1"]);
}

#[test]
fn hours_of_minutes_close_with_their_last_minute() {
    let sql = "WITH m AS (SELECT w.window_start, w.window_end, sum(w.v) AS v FROM tumble(s, at, INTERVAL '1 minute') AS w GROUP BY w.window_start, w.window_end) \
               SELECT h.window_start, h.window_end, max(h.v) AS busiest, count(*) AS minutes FROM tumble(m, window_start, INTERVAL '1 hour') AS h GROUP BY h.window_start, h.window_end";
    let mut scenario = Scenario::new(sql, 1);
    scenario.rows(0, &[("10:00", "a", 1), ("10:00:30", "a", 2), ("10:59:59", "a", 2), ("11:00:09", "a", 7)]);
    scenario.expect(&[]);
    scenario.rows(0, &[("11:00:10", "a", 1)]);
    scenario.expect(&["1T10:00:00 | 1T11:00:00 | 3 | 2"]);
    scenario.end(
        &["1T11:00:00 | 1T12:00:00 | 8 | 1"],
        &["1T10:00:00 | 1T11:00:00 | 3 | 2", "1T11:00:00 | 1T12:00:00 | 8 | 1"],
    );
}
