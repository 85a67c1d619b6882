//! How much memory there is.

use citystream_model::duration::parse_size;
use citystream_model::{Error, Result};

/// Share of the memory that state and buffers may take by default.
const SHARE: f64 = 0.7;
/// What is assumed where neither the cgroup nor the kernel says.
const ASSUMED: u64 = 2 << 30;

/// The limit as written, else 70 % of what the cgroup or the machine gives.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] when the text is not a size.
pub(crate) fn limit(written: &str) -> Result<u64> {
    if written.is_empty() {
        return Ok((available() as f64 * SHARE) as u64);
    }
    let bytes = parse_size(written).map_err(|error| Error::job(format!("--memory-limit: {error}")))?;
    if bytes < 16 << 20 {
        return Err(Error::job(format!("--memory-limit: found '{written}', expected at least 16 MiB")));
    }
    Ok(bytes)
}

fn available() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let cgroup = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let machine = read("/proc/meminfo").and_then(|text| total(&text));
    [cgroup, machine].into_iter().flatten().min().unwrap_or(ASSUMED)
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}
