//! What Linux says of a process: CPU time, memory, threads. A process is read until it has ended and nobody has waited
//! for it yet: then its times are final.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Times in `/proc/<pid>/stat` are in hundredths of a second on every Linux (USER_HZ).
const TICK_S: f64 = 0.01;

/// One look at a process.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// It has ended.
    pub ended: bool,
    /// User and system time of all its threads, those that ended included, in seconds.
    pub cpu_s: f64,
}

/// Looks at the process `pid`.
///
/// # Errors
/// There is no such process.
pub fn look(pid: u32) -> Result<Look> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name in parentheses may hold anything; state is field 3, user time 14, system time 15.
    let (_, rest) = text.rsplit_once(')').with_context(|| format!("{path}: found no name"))?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    let (user, system) = ticks(14).zip(ticks(15)).with_context(|| format!("{path}: found no times"))?;
    Ok(Look { ended: fields.first() == Some(&"Z"), cpu_s: (user + system) as f64 * TICK_S })
}

/// Largest resident memory that the process ever had, in KiB; `None` once it has ended.
pub fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Name of each living thread, and its seconds on a CPU and waiting for one.
pub fn threads(pid: u32) -> BTreeMap<u32, (String, f64, f64)> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return BTreeMap::new() };
    let thread = |id: u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/task/{id}/comm")).ok()?;
        let (on_cpu_s, waited_s) = schedstat(&format!("/proc/{pid}/task/{id}/schedstat"))?;
        Some((id, (name.trim().to_owned(), on_cpu_s, waited_s)))
    };
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(thread).collect()
}

/// Seconds that the calling thread has been on a CPU.
///
/// # Errors
/// The kernel keeps no such statistics.
pub fn own_cpu_s() -> Result<f64> {
    let (on_cpu_s, _) = schedstat("/proc/thread-self/schedstat").context("/proc/thread-self/schedstat")?;
    Ok(on_cpu_s)
}

fn schedstat(path: &str) -> Option<(f64, f64)> {
    let text = fs::read_to_string(path).ok()?;
    let mut nanos = text.split_whitespace().map(|field| field.parse::<u64>().map(|nanos| nanos as f64 / 1e9));
    Some((nanos.next()?.ok()?, nanos.next()?.ok()?))
}

/// Waits between two looks.
#[allow(clippy::disallowed_methods, reason = "another process gives no event to wait for, only files in /proc")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
