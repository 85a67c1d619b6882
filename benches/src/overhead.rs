//! What checkpoints cost: the same job over the same topic without and with them, in turn.

use crate::broker::{Kind, Running};
use crate::engine::{Bench, Cost};
use crate::measure::{check, line};
use crate::oracle;
use crate::table::spread;
use crate::workload::{JobName, Workload};
use anyhow::Result;

/// What was found, in the order of the runs.
#[derive(Debug, Clone)]
pub struct Found {
    /// Runs without checkpoints.
    pub without: Vec<Cost>,
    /// Runs with them.
    pub with: Vec<Cost>,
}

/// Runs `job` over topics that hold `workload`, so many times each way, with a checkpoint every `interval`.
///
/// # Errors
/// A run fails, or gives another table than the oracle.
pub fn run(
    bench: &Bench,
    (kind, broker): (Kind, &Running),
    job: JobName,
    workload: &Workload,
    interval: &str,
    repeats: u32,
) -> Result<Found> {
    let expected = oracle::expected(job, workload);
    let plain = Bench { checkpoint_interval: None, ..bench.clone() };
    let with = Bench { checkpoint_interval: Some(interval.to_owned()), ..bench.clone() };
    let mut found = Found { without: Vec::new(), with: Vec::new() };
    for _ in 0..repeats.max(1) {
        for (bench, costs) in [(&plain, &mut found.without), (&with, &mut found.with)] {
            let cost = bench.run(job, workload, broker)?;
            check(cost.digest, expected, &format!("{job} on {kind}"))?;
            let checkpoints = bench.checkpoint_interval.as_deref().unwrap_or("never");
            eprintln!("checkpoint {checkpoints}: {}", line(job, kind, &cost));
            costs.push(cost);
        }
    }
    Ok(found)
}

// === impl Found ===

impl Found {
    /// Medians of CPU seconds per million events, without and with.
    pub fn cpu_s_per_million(&self) -> (f64, f64) {
        let of = |costs: &[Cost]| spread(costs.iter().map(|cost| cost.cpu_s / cost.events as f64 * 1e6)).median;
        (of(&self.without), of(&self.with))
    }

    /// Medians of seconds from start to end, without and with.
    pub fn wall_s(&self) -> (f64, f64) {
        let of = |costs: &[Cost]| spread(costs.iter().map(|cost| cost.wall_s)).median;
        (of(&self.without), of(&self.with))
    }
}
