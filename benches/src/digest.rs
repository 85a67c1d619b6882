//! A table in 128 bits: the same for any order of its rows, another for any other set of rows.

use sha2::{Digest as _, Sha256};
use std::fmt;

/// Number of rows, and the sum modulo 2^128 of a hash of each row's text: duplicates count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    /// Rows.
    pub rows: u64,
    sum: u128,
}

// === impl Digest ===

impl Digest {
    /// Adds a row by its canonical text.
    pub fn add(&mut self, row: &str) {
        let hash = Sha256::digest(row.as_bytes());
        let half = hash.iter().take(16).fold(0_u128, |half, byte| half << 8 | u128::from(*byte));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(half);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x} over {} rows", self.sum, self.rows)
    }
}

impl<S: AsRef<str>> FromIterator<S> for Digest {
    fn from_iter<I: IntoIterator<Item = S>>(rows: I) -> Self {
        let mut digest = Self::default();
        rows.into_iter().for_each(|row| digest.add(row.as_ref()));
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[&str]) -> Digest {
        rows.iter().collect()
    }

    #[test]
    fn order_is_nothing_and_duplicates_are_something() {
        assert_eq!(digest(&["a", "b"]), digest(&["b", "a"]));
        assert_ne!(digest(&["a", "b", "b"]), digest(&["a", "a", "b"]));
        assert_ne!(digest(&["a"]), digest(&["a", "a"]));
        assert_ne!(digest(&["ab"]), digest(&["a", "b"]));
    }
}
