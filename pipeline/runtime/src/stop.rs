//! The signal that ends jobs in good order, and the only way in which a job waits.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Set once, seen by all jobs.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<Option<Instant>>, Condvar)>);

// === impl Stop ===

impl Stop {
    /// A signal that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks all jobs to end.
    pub fn set(&self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        self.0.1.notify_all();
    }

    /// True once it is set.
    pub fn is_set(&self) -> bool {
        self.since().is_some()
    }

    /// When it was set.
    pub fn since(&self) -> Option<Instant> {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `time`, or until the signal is set; true when it is set.
    pub fn wait(&self, time: Duration) -> bool {
        let set = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, _) =
            self.0.1.wait_timeout_while(set, time, |set| set.is_none()).unwrap_or_else(PoisonError::into_inner);
        set.is_some()
    }
}
