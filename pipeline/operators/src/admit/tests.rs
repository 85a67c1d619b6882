//! The gate by tables of rows, and against the rule written down row by row.

use super::*;
use proptest::prelude::*;

const SECOND: Micros = 1_000_000;

fn gate(delay_seconds: u64, partitions: &[Partition]) -> Gate {
    Gate::new(Duration::from_secs(delay_seconds), Duration::ZERO, partitions.iter().copied())
}

fn late(verdict: &Verdict, rows: usize) -> Vec<bool> {
    match verdict {
        Verdict::AllAdmitted => vec![false; rows],
        Verdict::Mixed(rows) => rows.iter().map(Option::is_some).collect(),
    }
}

#[test]
fn a_row_exactly_at_the_delay_is_admitted() {
    let mut gate = gate(10, &[0]);
    let times = [0, 30, 19, 20].map(|at| at * SECOND);
    assert_eq!(late(&gate.judge(0, &times, 0), 4), [false, false, true, false]);
    assert_eq!(gate.watermark(), Watermark(20 * SECOND));
}

#[test]
fn the_watermark_waits_for_every_partition() {
    let mut gate = gate(0, &[0, 1]);
    gate.judge(0, &[50], 50);
    assert_eq!(gate.watermark(), Watermark::NONE);
    gate.judge(1, &[20], 20);
    assert_eq!(gate.slowest(), Some((1, Watermark(20))));
}

#[test]
fn an_idle_partition_follows_the_busy_ones() {
    let mut gate = gate(0, &[0, 1]);
    gate.judge(0, &[50 * SECOND], 0);
    gate.at_end(1, 0);
    assert_eq!(gate.heartbeats(Duration::from_secs(60), 59 * SECOND), []);
    let beat = Heartbeat { partition: 1, newest: 50 * SECOND };
    assert_eq!(gate.heartbeats(Duration::from_secs(60), 60 * SECOND), [beat]);
    assert_eq!(gate.watermark(), Watermark(50 * SECOND));
    // A row behind the heartbeat is late.
    assert_eq!(late(&gate.judge(1, &[49 * SECOND], 0), 1), [true]);
}

#[test]
fn an_idle_live_stream_follows_the_clock_and_a_paused_replay_waits() {
    for (record_time, expected) in
        [(100 * SECOND, vec![Heartbeat { partition: 0, newest: 140 * SECOND }]), (9_000 * SECOND, vec![])]
    {
        let mut gate = gate(0, &[0]);
        gate.judge(0, &[100 * SECOND], record_time);
        gate.at_end(0, 130 * SECOND);
        assert_eq!(gate.heartbeats(Duration::from_secs(60), 200 * SECOND), expected);
    }
}

#[test]
fn an_empty_partition_does_not_make_a_paused_replay_live() {
    let mut gate = gate(0, &[0, 1]);
    let idle = Duration::from_secs(60);
    gate.judge(0, &[100 * SECOND], 9_000 * SECOND);
    gate.at_end(1, 0);
    assert_eq!(gate.heartbeats(idle, 60 * SECOND), [Heartbeat { partition: 1, newest: 100 * SECOND }]);
    gate.at_end(0, 60 * SECOND);
    assert_eq!(gate.heartbeats(idle, 9_200 * SECOND), []);
}

#[test]
fn a_new_partition_starts_at_the_watermark() {
    let mut gate = gate(10, &[0]);
    gate.judge(0, &[100 * SECOND], 0);
    gate.add(1, gate.watermark());
    assert_eq!(gate.watermark(), Watermark(90 * SECOND));
    assert_eq!(late(&gate.judge(1, &[89 * SECOND, 90 * SECOND], 0), 2), [true, false]);
}

#[test]
fn a_partition_that_is_heard_is_not_at_its_end_and_gets_no_heartbeat() {
    let mut gate = gate(0, &[0, 1]);
    let idle = Duration::from_secs(60);
    gate.judge(0, &[50 * SECOND], 0);
    assert!(!gate.is_at_end(1));
    gate.at_end(1, 0);
    assert!(gate.is_at_end(1) && !gate.is_at_end(0));
    // Records that are rejected are heard too, though there is nothing to judge.
    gate.heard(1);
    assert!(!gate.is_at_end(1));
    assert_eq!(gate.heartbeats(idle, 600 * SECOND), []);
    // The silence begins anew; a second word of the end does not move its beginning.
    gate.at_end(1, 600 * SECOND);
    gate.at_end(1, 650 * SECOND);
    assert_eq!(gate.heartbeats(idle, 659 * SECOND), []);
    assert_eq!(gate.heartbeats(idle, 660 * SECOND), [Heartbeat { partition: 1, newest: 50 * SECOND }]);
}

#[test]
fn a_partition_that_is_heard_for_the_first_time_holds_the_watermark_back() {
    let mut gate = gate(0, &[0]);
    gate.judge(0, &[50 * SECOND], 0);
    gate.heard(7);
    assert_eq!(gate.slowest(), Some((7, Watermark::NONE)));
    assert!(!gate.is_at_end(8), "nothing is known of it");
}

#[test]
fn recorded_heartbeats_come_again_where_they_came() {
    let mut gate = gate(0, &[0]);
    gate.record(0, 5, 70 * SECOND);
    gate.record(0, 5, 80 * SECOND);
    gate.record(0, 9, 90 * SECOND);
    gate.judge(0, &[50 * SECOND], 0);
    gate.catch_up(0, 4);
    assert_eq!(gate.watermark(), Watermark(50 * SECOND));
    gate.catch_up(0, 5);
    assert_eq!(late(&gate.judge(0, &[79 * SECOND, 80 * SECOND], 0), 2), [true, false]);
    gate.catch_up(0, 20);
    assert_eq!(gate.watermark(), Watermark(90 * SECOND));
}

proptest! {
    #[test]
    fn verdicts_do_not_depend_on_the_cuts(times in prop::collection::vec(0i64..100, 1..60), cut in 1usize..10, delay in 0u64..40) {
        let mut rule = Vec::new();
        let mut newest = i64::MIN / 2;
        for &at in &times {
            rule.push(at * SECOND < newest.saturating_sub(delay as i64 * SECOND));
            newest = newest.max(at * SECOND);
        }
        let mut gate = gate(delay, &[0]);
        let scaled: Vec<_> = times.iter().map(|at| at * SECOND).collect();
        let mut verdicts = Vec::new();
        let mut watermark = Watermark::NONE;
        for rows in scaled.chunks(cut) {
            verdicts.extend(late(&gate.judge(0, rows, 0), rows.len()));
            prop_assert!(gate.watermark() >= watermark);
            watermark = gate.watermark();
        }
        prop_assert_eq!(verdicts, rule);
    }
}
