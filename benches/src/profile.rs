//! A profile of the engine while it runs: `perf record` beside it, `perf report` as text.

use crate::broker::pinned;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A `perf record` that runs until the process that it looks at has ended.
#[derive(Debug)]
pub struct Profiler {
    child: Child,
    data: PathBuf,
}

/// Share of all samples below which a symbol is left out, in percent.
const LEAST_PERCENT: &str = "0.4";

// === impl Profiler ===

impl Profiler {
    /// Samples all threads of the process `pid` from now on, `rate` times a second.
    ///
    /// # Errors
    /// There is no `perf` (Debian: linux-perf).
    pub fn start(pid: u32, rate: u32, core: usize, folder: &Path) -> Result<Self> {
        let data = folder.join("perf.data");
        let mut record = pinned(core, Path::new("perf"));
        record.args(["record", "-q", "-F", &rate.to_string(), "-p", &pid.to_string(), "-o"]).arg(&data);
        let log = File::create(folder.join("perf.log"))?;
        let child = record.stdout(Stdio::null()).stderr(log).spawn().context("perf record; install linux-perf")?;
        Ok(Self { child, data })
    }

    /// The symbols by their share, once the process has ended.
    ///
    /// # Errors
    /// `perf` was not allowed to look: see `kernel.perf_event_paranoid`.
    pub fn report(mut self) -> Result<String> {
        self.child.wait()?;
        let mut report = Command::new("perf");
        report.args(["report", "--stdio", "-q", "--percent-limit", LEAST_PERCENT, "--sort", "comm,symbol", "-i"]);
        let report = report.arg(&self.data).output().context("perf report")?;
        let (text, errors) = (String::from_utf8_lossy(&report.stdout), String::from_utf8_lossy(&report.stderr));
        ensure!(report.status.success() && !text.trim().is_empty(), "perf report: {errors}");
        let lines = text.lines().map(|line| line.trim_end_matches([' ', '-'])).filter(|line| !line.is_empty());
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}
