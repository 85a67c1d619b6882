//! How many shards a job may have.

use citystream_model::{Error, Result};

/// More than this never helps one process.
const MOST: usize = 1_024;

/// The flag, else the setting, else the cores that the process may use.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] when the setting is no such number.
pub(crate) fn of(flag: Option<usize>, written: &str) -> Result<usize> {
    match flag {
        Some(shards) => Ok(shards),
        None if written.is_empty() => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        None => parse(written).map_err(|expected| Error::job(format!("parallelism: found '{written}', {expected}"))),
    }
}

/// A number of shards as it is typed.
pub(crate) fn parse(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(shards @ 1..=MOST) => Ok(shards),
        _ => Err(format!("expected 1 to {MOST} shards")),
    }
}
