//! The whole measurement: every job on every broker in two sizes, several times; nothing counts that is not right.

use crate::bare;
use crate::broker::{Kind, Running};
use crate::digest::Digest;
use crate::engine::{Bench, Cost};
use crate::fill;
use crate::oracle;
use crate::workload::{JobName, Topic, Workload};
use anyhow::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Jobs, in the order of the table.
    pub jobs: Vec<JobName>,
    /// Brokers, one after the other.
    pub brokers: Vec<Kind>,
    /// The two inputs of each job; the second holds more seconds of the same.
    pub sizes: BTreeMap<JobName, [Workload; 2]>,
    /// Runs of each job, broker and size.
    pub repeats: u32,
    /// Compression of the topics.
    pub compression: String,
}

/// The runs of one job on one broker.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Which job.
    pub job: JobName,
    /// Which broker.
    pub broker: Kind,
    /// Runs over the smaller input.
    pub small: Vec<Cost>,
    /// Runs over the larger input.
    pub large: Vec<Cost>,
}

/// All numbers of a plan.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// The engine.
    pub measured: Vec<Measured>,
    /// The bare loop of each job over its larger input.
    pub bare: BTreeMap<JobName, Vec<bare::Cost>>,
}

/// Measures everything that `plan` says.
///
/// # Errors
/// A run fails, or gives another table than the oracle.
pub fn run(plan: &Plan, bench: &Bench) -> Result<Results> {
    let mut expected = Expected::default();
    let mut results = Results::default();
    for &job in &plan.jobs {
        let large = &plan.sizes[&job][1];
        for _ in 0..plan.repeats {
            let cost = bare::run(job, large)?;
            check(cost.digest, expected.of(job, large), &format!("bare loop of {job}"))?;
            eprintln!("{job} bare: {:.2} CPU-s per million events", cost.cpu_s() / cost.events as f64 * 1e6);
            results.bare.entry(job).or_default().push(cost);
        }
    }
    for &kind in &plan.brokers {
        let broker = Running::start(kind, bench.broker_core, &bench.root, &bench.folder)?;
        fill_topics(plan, &broker)?;
        for &job in &plan.jobs {
            results.measured.push(measure(job, kind, plan, bench, &broker, &mut expected)?);
        }
    }
    Ok(results)
}

fn measure(
    job: JobName,
    kind: Kind,
    plan: &Plan,
    bench: &Bench,
    broker: &Running,
    expected: &mut Expected,
) -> Result<Measured> {
    let mut runs = [Vec::new(), Vec::new()];
    // Sizes in turn, so that a slow minute of the machine meets both.
    for _ in 0..plan.repeats {
        for (workload, runs) in plan.sizes[&job].iter().zip(&mut runs) {
            let cost = bench.run(job, workload, broker)?;
            check(cost.digest, expected.of(job, workload), &format!("{job} on {kind}"))?;
            eprintln!("{}", line(job, kind, &cost));
            runs.push(cost);
        }
    }
    let [small, large] = runs;
    Ok(Measured { job, broker: kind, small, large })
}

/// One run in one line.
pub fn line(job: JobName, kind: Kind, cost: &Cost) -> String {
    let Cost { events, cpu_s, wall_s, broker_cpu_s, peak_kib, digest, .. } = cost;
    let (per_million, peak_mib) = (cpu_s / *events as f64 * 1e6, peak_kib / 1_024);
    format!(
        "{job} on {kind}: {events} events, {cpu_s:.2} CPU-s ({per_million:.2} per million), {wall_s:.1} s wall, \
         broker {broker_cpu_s:.2} CPU-s, peak {peak_mib} MiB, digest {digest}"
    )
}

/// Writes each topic that some job reads, once.
fn fill_topics(plan: &Plan, broker: &Running) -> Result<()> {
    let mut topics: BTreeSet<(Topic, Workload)> = BTreeSet::new();
    for job in &plan.jobs {
        for workload in &plan.sizes[job] {
            topics.extend(job.topics().iter().map(|topic| (*topic, *workload)));
        }
    }
    for (topic, workload) in topics {
        let name = fill::topic(&broker.brokers, &workload, topic, &plan.compression)?;
        eprintln!("topic {name}: {} records", workload.records());
    }
    Ok(())
}

/// Fails loudly unless every row is right.
///
/// # Errors
/// The digests differ.
pub fn check(found: Digest, expected: Digest, what: &str) -> Result<()> {
    ensure!(found == expected, "{what}: WRONG RESULT: found {found}, expected {expected}");
    Ok(())
}

/// The oracle's answers, each computed once.
#[derive(Debug, Default)]
pub struct Expected {
    known: BTreeMap<(JobName, Workload), Digest>,
}

// === impl Expected ===

impl Expected {
    /// What `job` has to give for `workload`.
    pub fn of(&mut self, job: JobName, workload: &Workload) -> Digest {
        *self.known.entry((job, *workload)).or_insert_with(|| oracle::expected(job, workload))
    }
}
