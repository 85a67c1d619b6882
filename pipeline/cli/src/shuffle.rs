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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_lost_or_late_and_the_seed_decides() {
        let rows: Vec<Micros> = (0..200).collect();
        let order = |seed| delayed(rows.clone(), seed, |row| *row, |_| 30);
        assert_ne!(order(1), rows);
        assert_ne!(order(1), order(2));
        assert_eq!(order(1), order(1));
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, rows);
        let mut newest = Micros::MIN;
        for row in order(1) {
            assert!(row >= newest.saturating_sub(30), "{row} behind {newest}");
            newest = newest.max(row);
        }
    }
}
