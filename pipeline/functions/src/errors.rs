//! How many expressions gave NULL because of an error in a row.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A shared count of expression results that are NULL because of an error (bounded by `u64`, which wraps).
///
/// Clones share one count. Two counters are equal when they are the same counter.
#[derive(Debug, Clone, Default)]
pub struct ExpressionErrors {
    count: Arc<AtomicU64>,
}

// === impl ExpressionErrors ===

impl ExpressionErrors {
    /// A counter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Errors so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts `errors` more.
    pub fn add(&self, errors: u64) {
        if errors > 0 {
            self.count.fetch_add(errors, Ordering::Relaxed);
        }
    }

    /// Back to zero: after planning, since the optimizer evaluates constant expressions.
    pub fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
    }
}

impl PartialEq for ExpressionErrors {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.count, &other.count)
    }
}

impl Eq for ExpressionErrors {}

impl Hash for ExpressionErrors {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.count).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_count() {
        let errors = ExpressionErrors::new();
        errors.clone().add(2);
        assert_eq!(errors.count(), 2);
        assert_eq!(errors, errors.clone());
        assert_ne!(errors, ExpressionErrors::new());
        errors.reset();
        assert_eq!(errors.count(), 0);
    }
}
