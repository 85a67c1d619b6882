//! How long a job takes to go on after kill -9, by the size of its state.

use crate::broker::{Running, pinned};
use crate::engine::{Bench, free_address};
use crate::workload::Workload;
use crate::{process, stages};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A window that stays open: every key of the topic is state.
const JOB: &str = "CREATE MATERIALIZED VIEW recovery WITH (sink = 'parquet:recovery') AS
SELECT w.id, w.lane, w.window_start, w.window_end, count(*) AS n, sum(w.flow) AS flow, min(w.flow) AS lowest, max(w.flow) AS highest
FROM tumble(ndwflow, event_time, INTERVAL '1 day') AS w
GROUP BY w.id, w.lane, w.window_start, w.window_end;
";
/// Time between two checkpoints.
const INTERVAL: Duration = Duration::from_secs(1);
/// A step that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(300);

/// What one recovery took.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// Keys of the open window.
    pub keys: u64,
    /// Bytes of the operators' state before the kill.
    pub state_bytes: u64,
    /// Bytes of the checkpoint's runs on disk.
    pub checkpoint_bytes: u64,
    /// The job's own figure: from looking for a checkpoint to being ready, in seconds.
    pub recovery_s: f64,
    /// From the start of the process to its readiness, in seconds.
    pub ready_s: f64,
}

/// Fills a job's window from a topic that holds `workload`, one record per key, kills it and starts it again.
///
/// # Errors
/// The engine fails, or a step hangs.
pub fn run(bench: &Bench, workload: &Workload, broker: &Running) -> Result<Recovery> {
    let data = bench.folder.join("data");
    fs::create_dir_all(&data)?;
    let (job, schemas) = (bench.folder.join("recovery.sql"), bench.schemas(workload)?);
    fs::write(&job, JOB)?;
    let start = |address: SocketAddr| {
        let mut command = pinned(bench.engine_core, &bench.citystream);
        command.arg("run").arg(&job).arg("--schemas").arg(&schemas).arg("--data-dir").arg(&data);
        command.args(["--brokers", &broker.brokers, "--log-level", "warn", "--metrics-addr", &address.to_string()]);
        command.arg("--checkpoint-dir").arg(data.join("_checkpoints")).args(["--checkpoint-interval", "1s"]);
        spawn(command, &bench.folder)
    };
    let (keys, address) = (workload.records(), free_address()?);
    let mut first = Alive(start(address)?);
    let all_read = || stages::sum(address, "citystream_source_rows_total").filter(|rows| *rows >= keys as f64);
    first.until("all keys are read", all_read)?;
    process::pause(3 * INTERVAL);
    let state_bytes = first.until("the state's size", || stages::sum(address, "citystream_state_bytes"))? as u64;
    first.kill()?;
    let checkpoint_bytes = size(&data.join("_checkpoints/recovery/ckpt"))?;
    let (address, started) = (free_address()?, Instant::now());
    let mut second = Alive(start(address)?);
    let recovered = || stages::sum(address, "citystream_recovery_seconds").filter(|seconds| *seconds > 0.0);
    let recovery_s = second.until("the job is ready", recovered)?;
    let ready_s = started.elapsed().as_secs_f64();
    // It goes on with all of it.
    let whole = || stages::sum(address, "citystream_state_bytes").filter(|bytes| *bytes * 2.0 >= state_bytes as f64);
    second.until("the state is back", whole)?;
    second.kill()?;
    fs::remove_dir_all(&data)?;
    Ok(Recovery { keys, state_bytes, checkpoint_bytes, recovery_s, ready_s })
}

/// A process that is killed when it is not needed any more.
pub(crate) struct Alive(pub(crate) Child);

impl Alive {
    /// Looks until there is something to see.
    pub(crate) fn until<T>(&mut self, what: &str, look: impl Fn() -> Option<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            ensure!(self.0.try_wait()?.is_none(), "citystream has ended before {what}");
            ensure!(started.elapsed() < LONGEST, "waited in vain until {what}");
            process::pause(Duration::from_millis(5));
        }
    }

    fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // It has ended in most cases.
        let _ = self.kill();
    }
}

/// Starts `command` with its output in files of `folder`.
pub(crate) fn spawn(mut command: Command, folder: &Path) -> Result<Child> {
    command.stdout(File::create(folder.join("stdout"))?).stderr(File::create(folder.join("stderr"))?);
    command.spawn().with_context(|| format!("{:?}", command.get_program()))
}

fn size(folder: &Path) -> Result<u64> {
    let files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    files.map(|file| Ok(file?.metadata()?.len())).sum()
}
