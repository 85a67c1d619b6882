//! Alignment: which partitions to pause so that a fast one does not fill the memory with windows that wait for a slow one.

use citystream_model::position::Partition;
use citystream_model::time::{Micros, Watermark};

/// How far ahead of the slowest a partition may run once memory is short.
pub const AHEAD: Micros = 600_000_000;

/// Event-time progress of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Index of its stream.
    pub stream: usize,
    /// Its number.
    pub partition: Partition,
    /// Its own watermark.
    pub watermark: Watermark,
    /// True when it is read to its end: then it holds back nobody's reading.
    pub at_end: bool,
}

/// Partitions that are more than [`AHEAD`] ahead of the slowest one that has more to read.
pub fn ahead(partitions: &[Progress]) -> Vec<(usize, Partition)> {
    let slowest = partitions.iter().filter(|progress| !progress.at_end).map(|progress| progress.watermark.0).min();
    let Some(slowest) = slowest else { return Vec::new() };
    let limit = slowest.saturating_add(AHEAD);
    partitions
        .iter()
        .filter(|progress| progress.watermark.0 > limit)
        .map(|progress| (progress.stream, progress.partition))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(partition: Partition, watermark: Micros, at_end: bool) -> Progress {
        Progress { stream: 0, partition, watermark: Watermark(watermark), at_end }
    }

    #[test]
    fn the_fast_wait_for_the_slow_but_not_for_the_ended() {
        let [slow, fast] = [progress(0, 0, false), progress(1, AHEAD + 1, false)];
        assert_eq!(ahead(&[slow, fast]), [(0, 1)]);
        assert_eq!(ahead(&[Progress { at_end: true, ..slow }, fast]), []);
        assert_eq!(ahead(&[slow, progress(1, AHEAD, false)]), []);
        assert_eq!(ahead(&[]), []);
    }
}
