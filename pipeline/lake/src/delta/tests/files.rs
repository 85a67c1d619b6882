//! Files: their statistics, merges, and what is removed when.

use super::*;
use crate::delta::duties::{merge, remove_old};
use std::num::NonZeroU64;

fn stats_of(rows: &SinkRows) -> serde_json::Value {
    let lake = Lake::new();
    lake.job("5f3a", "w1", 1).publish(rows);
    let delta = lake.delta();
    let files: Vec<String> = delta.snapshot().unwrap().log_data().iter().filter_map(|file| file.stats()).collect();
    assert_eq!(files.len(), 1);
    serde_json::from_str(&files[0]).unwrap()
}

#[test]
fn statistics_bound_what_a_file_holds() {
    let stats = stats_of(&rows(&[(Some("b"), 2, 7), (None, 0, -3), (Some("a"), 1, 5)]));
    assert_eq!(stats["numRecords"], 3);
    assert_eq!(stats["minValues"]["zone"], "a");
    assert_eq!(stats["maxValues"]["zone"], "b");
    assert_eq!((&stats["minValues"]["cars"], &stats["maxValues"]["cars"]), (&(-3).into(), &7.into()));
    assert!(stats["minValues"]["at"].as_str().unwrap().starts_with("2026-03-28T23:00:00"), "{stats}");
    assert!(stats["maxValues"]["at"].as_str().unwrap().starts_with("2026-03-29T01:00:00"), "{stats}");
    assert_eq!((&stats["nullCount"]["zone"], &stats["nullCount"]["cars"]), (&1.into(), &0.into()));
    // A NaN is beyond every bound.
    assert!(stats["minValues"].get("speed").is_none());
}

#[test]
fn a_column_of_nulls_has_no_bounds() {
    let stats = stats_of(&rows(&[(None, 0, 1), (None, 0, 2)]));
    assert_eq!(stats["nullCount"]["zone"], 2);
    assert!(stats["minValues"].get("zone").is_none());
}

#[test]
fn long_texts_are_bounded_from_above() {
    let long = "z".repeat(300);
    let stats = stats_of(&rows(&[(Some(&long), 0, 1), (Some("a"), 0, 2)]));
    let greatest = &stats["maxValues"]["zone"];
    assert!(greatest.as_str().is_none_or(|text| text >= long.as_str()), "{stats}");
}

#[test]
fn small_files_are_merged_without_touching_a_row() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    for number in 0..40 {
        job.publish(&rows(&[(Some("center"), number, number), (None, number, 100 + number)]));
    }
    let before = (lake.cars(), lake.column("at"), lake.column("zone"), lake.column("speed"));
    let (removed, added) = lake.runtime.block_on(merge(lake.delta(), NonZeroU64::new(1 << 20).unwrap())).unwrap();
    assert_eq!((removed, added), (40, 1));
    assert_eq!((lake.cars(), lake.column("at"), lake.column("zone"), lake.column("speed")), before);
    assert_eq!(lake.delta().snapshot().unwrap().log_data().num_files(), 1);
    job.publish(&cars([500]));
    assert_eq!(lake.cars().last(), Some(&500));
    // Readers of an older version have a week.
    assert_eq!((lake.runtime.block_on(remove_old(lake.delta())).unwrap(), lake.files()), (0, 42));
}

#[test]
fn a_table_is_looked_after_beside_its_job() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    let few = || lake.delta().snapshot().unwrap().log_data().num_files() < 40;
    for number in 0..64 {
        job.publish(&cars([number]));
    }
    let begun = std::time::Instant::now();
    while !few() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was merged");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(lake.cars(), (0..64).collect::<Vec<_>>());
}
