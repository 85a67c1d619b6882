//! One run of the engine, from outside: a process on a core of its own, what it cost, and whether it was right.

use crate::broker::{Running, pinned};
use crate::digest::Digest;
use crate::output;
use crate::process::{self, Look};
use crate::profile::Profiler;
use crate::stages::{self, Stages};
use crate::workload::{JobName, Workload};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Time between two looks at the process; short against the 200 ms that the metrics page outlives a job.
const LOOK_EVERY: Duration = Duration::from_millis(30);
/// Time between two looks at the metrics page while there are records to read: the page costs the engine CPU time.
const SCRAPE_EVERY: Duration = Duration::from_millis(500);
/// A run that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(900);

/// Where things are, and which core is whose.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The binary under test.
    pub citystream: PathBuf,
    /// The repository.
    pub root: PathBuf,
    /// Folder for schemas, tables and logs of this process.
    pub folder: PathBuf,
    /// Core of the engine.
    pub engine_core: usize,
    /// Core of the broker, and of `perf`.
    pub broker_core: usize,
    /// How often the job makes a checkpoint; `None` for never.
    pub checkpoint_interval: Option<String>,
    /// Samples per second of `perf`, when a profile is wanted.
    pub perf: Option<u32>,
}

/// What one run cost.
#[derive(Debug, Clone)]
pub struct Cost {
    /// Records read.
    pub events: u64,
    /// User and system time of the engine, in seconds.
    pub cpu_s: f64,
    /// Time from start to end, in seconds.
    pub wall_s: f64,
    /// CPU time of the broker meanwhile, in seconds.
    pub broker_cpu_s: f64,
    /// Largest resident memory, in KiB.
    pub peak_kib: u64,
    /// Seconds on a CPU by thread name.
    pub threads: BTreeMap<String, f64>,
    /// Stages of the engine's own counters (wall clock).
    pub stages: Stages,
    /// Part of the time that the job's thread could have run and did: what a stage's wall clock is worth in CPU time.
    pub ran: f64,
    /// The stages were read after the last row was published.
    pub stages_complete: bool,
    /// Digest of the table.
    pub digest: Digest,
    /// Text of the profile, if one was taken.
    pub profile: Option<String>,
}

/// What was seen while it ran.
#[derive(Debug, Default)]
struct Seen {
    cpu_s: f64,
    peak_kib: u64,
    threads: BTreeMap<u32, (String, f64, f64)>,
    stages: Stages,
}

// === impl Bench ===

impl Bench {
    /// Runs `job` over topics that hold `workload`.
    ///
    /// # Errors
    /// The engine fails, hangs, or did not read exactly the workload. A wrong table is no error: its digest says it.
    pub fn run(&self, job: JobName, workload: &Workload, broker: &Running) -> Result<Cost> {
        let data = self.folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let schemas = self.schemas(workload)?;
        let address = free_address()?;
        let mut command = self.command(job, &schemas, &data, &broker.brokers, address)?;
        let broker_before = broker.cpu_s()?;
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("{:?}", command.get_program()))?;
        let watched = self.watch(&mut child, address, job.events(workload), started);
        let wall_s = started.elapsed().as_secs_f64();
        let status = child.wait()?;
        let (seen, profiler) = watched?;
        let broker_cpu_s = broker.cpu_s()? - broker_before;
        let log = || fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
        ensure!(status.success(), "citystream run {job}: {status}\n{}", log());
        let results = check_report(&fs::read_to_string(self.folder.join("stdout"))?, job.events(workload))?;
        let profile = profiler.map(Profiler::report).transpose()?;
        let digest = output::digest(job, &data.join(job.to_string()))?;
        fs::remove_dir_all(&data)?;
        Ok(Cost {
            events: job.events(workload),
            cpu_s: seen.cpu_s,
            wall_s,
            broker_cpu_s,
            peak_kib: seen.peak_kib,
            ran: seen.ran(),
            threads: seen.by_name(),
            stages_complete: seen.stages.sink_rows == results,
            stages: seen.stages,
            digest,
            profile,
        })
    }

    /// Looks at the process until it has ended; it is not waited for yet then.
    fn watch(
        &self,
        child: &mut Child,
        metrics: SocketAddr,
        events: u64,
        started: Instant,
    ) -> Result<(Seen, Option<Profiler>)> {
        let (pid, mut seen, mut profiler) = (child.id(), Seen::default(), None);
        let mut scraped = started;
        loop {
            seen.peak_kib = seen.peak_kib.max(process::peak_kib(pid).unwrap_or(0));
            // A thread that has ended keeps what was seen of it last.
            seen.threads.extend(process::threads(pid));
            if scraped.elapsed() >= SCRAPE_EVERY || seen.may_end_soon(events, started) {
                seen.stages = stages::scrape(metrics).unwrap_or(seen.stages);
                scraped = Instant::now();
            }
            // Once it reads: `perf` sees only the threads that are there when it comes, and theirs.
            if let (None, Some(rate), 1..) = (&profiler, self.perf, seen.stages.source_rows) {
                profiler = Some(Profiler::start(pid, rate, self.broker_core, &self.folder)?);
            }
            let Look { ended, cpu_s } = process::look(pid)?;
            if ended {
                return Ok((Seen { cpu_s, ..seen }, profiler));
            }
            if started.elapsed() > LONGEST {
                child.kill()?;
                bail!("citystream run: still running after {} seconds", LONGEST.as_secs());
            }
            process::pause(LOOK_EVERY);
        }
    }

    /// The streams' declarations, with the topics and the disorder of `workload`.
    pub(crate) fn schemas(&self, workload: &Workload) -> Result<PathBuf> {
        let schemas = self.folder.join("schemas");
        for topic in [crate::workload::Topic::Flow, crate::workload::Topic::Speed] {
            let stream = topic.stream();
            let path = self.root.join("benches/schemas").join(stream).join("stream.sql");
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let out_of_order = format!("'{} milliseconds'", workload.out_of_order_ms());
            let text =
                replaced(&text, &format!("LOCATION '{stream}'"), &format!("LOCATION '{}'", topic.name(workload)));
            let text = text.and_then(|text| replaced(&text, "'1 second'", &out_of_order));
            let folder = schemas.join(stream);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("stream.sql"), text.with_context(|| path.display().to_string())?)?;
        }
        Ok(schemas)
    }

    fn command(
        &self,
        job: JobName,
        schemas: &Path,
        data: &Path,
        brokers: &str,
        metrics: SocketAddr,
    ) -> Result<Command> {
        let mut command = pinned(self.engine_core, &self.citystream);
        command.arg("run").arg(self.root.join(format!("benches/jobs/{job}.sql")));
        command.arg("--schemas").arg(schemas).arg("--data-dir").arg(data);
        command.args(["--brokers", brokers, "--until-caught-up", "--output", "json", "--log-level", "warn"]);
        command.args(["--metrics-addr", &metrics.to_string()]);
        if let Some(interval) = &self.checkpoint_interval {
            // Beside the tables, so that each run begins anew.
            command.arg("--checkpoint-dir").arg(data.join("_checkpoints")).args(["--checkpoint-interval", interval]);
        }
        command.stdout(File::create(self.folder.join("stdout"))?).stderr(File::create(self.folder.join("stderr"))?);
        Ok(command)
    }
}

/// Checks that every record was read and admitted; returns the number of result rows.
fn check_report(stdout: &str, events: u64) -> Result<u64> {
    let report: Value = serde_json::from_str(stdout.trim()).with_context(|| format!("report: found {stdout:?}"))?;
    let number = |name: &str| report.pointer(&format!("/0/{name}")).and_then(Value::as_u64);
    for (name, expected) in [("read", events), ("late", 0), ("rejected", 0), ("tombstones", 0)] {
        ensure!(number(name) == Some(expected), "{name}: found {:?}, expected {expected}; {stdout}", number(name));
    }
    number("results").with_context(|| format!("report: found no results in {stdout}"))
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.matches(from).count() == 1, "expected {from} once");
    Ok(text.replace(from, to))
}

pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

// === impl Seen ===

impl Seen {
    /// At the pace so far, all is read before the next regular look at the metrics page.
    fn may_end_soon(&self, events: u64, started: Instant) -> bool {
        let pace = self.stages.source_rows as f64 / started.elapsed().as_secs_f64();
        self.stages.source_rows > 0 && self.stages.source_rows as f64 + pace * 0.7 >= events as f64
    }

    fn by_name(&self) -> BTreeMap<String, f64> {
        let mut by_name = BTreeMap::new();
        for (name, on_cpu_s, _) in self.threads.values() {
            *by_name.entry(name.clone()).or_default() += on_cpu_s;
        }
        by_name
    }

    /// Of the busiest thread, which is the job's.
    fn ran(&self) -> f64 {
        let busiest = self.threads.values().max_by(|one, other| one.1.total_cmp(&other.1));
        busiest.map_or(1.0, |(_, on_cpu_s, waited_s)| on_cpu_s / (on_cpu_s + waited_s).max(1e-9))
    }
}
