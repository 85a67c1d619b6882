//! Patience at the start: an unreachable broker or store is tried for a while, in view, and a stop signal ends that.

use crate::status::{State, StatusBoard};
use crate::stop::Stop;
use citystream_model::{Error, Result};
use std::time::{Duration, Instant};

/// How long an unreachable broker or store is tried at the start.
pub const BUDGET: Duration = Duration::from_secs(30);
/// Longest single try; so late a stop signal is noticed.
const TRY: Duration = Duration::from_secs(5);

/// The patience of one job with its environment; its time begins with it.
pub struct Patience<'a> {
    pub(crate) job: &'a str,
    pub(crate) stop: &'a Stop,
    pub(crate) status: &'a StatusBoard,
    /// Time between two tries.
    pub(crate) pause: Duration,
    deadline: Instant,
}

// === impl Patience ===

impl<'a> Patience<'a> {
    /// Begins now; `pause` is the time between two tries.
    pub fn new(job: &'a str, stop: &'a Stop, status: &'a StatusBoard, pause: Duration) -> Self {
        Self { job, stop, status, pause, deadline: Instant::now() + BUDGET }
    }

    /// Fails when a stop was asked for.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Unavailable`], worth a retry: nothing is wrong.
    pub fn check_stop(&self) -> Result<()> {
        if self.stop.is_set() { Err(Error::unavailable("asked to stop before it had started")) } else { Ok(()) }
    }

    /// Tries `open`, each time with the budget that it is given, until it succeeds, fails for good, time is up or a
    /// stop is asked for.
    ///
    /// # Errors
    /// The last failure.
    pub fn open<T>(&self, mut open: impl FnMut(Duration) -> Result<T>) -> Result<T> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let error = match open(left.min(TRY)) {
                Err(error) if error.is_retryable() => error,
                done => {
                    self.status.update(|status| status.state = State::Starting);
                    return done;
                }
            };
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.is_set() {
                return Err(error);
            }
            tracing::warn!(job = self.job, %error, "trying again for another {} s", left.as_secs());
            self.status.update(|status| status.state = State::Waiting(error.to_string()));
            self.stop.wait(self.pause);
        }
    }
}
