//! Disorder on purpose: rows delayed by random parts of what their stream allows.

use citystream_model::time::Micros;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// `rows` in the order of event time plus a random delay of up to `most` microseconds. The same seed gives the same order,
/// and no row lies further behind one before it than the delay that it may have.
pub(crate) fn delayed<T>(rows: Vec<T>, seed: u64, time: impl Fn(&T) -> Micros, most: impl Fn(&T) -> Micros) -> Vec<T> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut due = |row: &T| time(row).saturating_add(random.random_range(0..=most(row).max(0)));
    let mut delayed: Vec<(Micros, T)> = rows.into_iter().map(|row| (due(&row), row)).collect();
    delayed.sort_by_key(|(due, _)| *due);
    delayed.into_iter().map(|(_, row)| row).collect()
}
