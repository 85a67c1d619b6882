//! In which order and in which pieces records arrive: what results must not depend on.

use crate::records::Raw;
use rand::Rng;
use rand::rngs::StdRng;
use std::ops::Range;

/// A run of records of one partition that arrive together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Number of the stream in the world.
    pub stream: usize,
    /// Partition.
    pub partition: i32,
    /// Positions of the records in their partition.
    pub records: Range<usize>,
}

/// A random interleaving of the partitions of all streams (`records[stream][partition]`), each in its own order.
pub fn generate(rng: &mut StdRng, records: &[Vec<Vec<Raw>>]) -> Vec<Piece> {
    let longest = [1, 4, 30, 1_000][rng.random_range(0..4)];
    let mut left: Vec<(usize, i32, Range<usize>)> = Vec::new();
    for (stream, partitions) in records.iter().enumerate() {
        left.extend((0i32..).zip(partitions).map(|(partition, records)| (stream, partition, 0..records.len())));
    }
    left.retain(|(_, _, range)| range.start < range.end);
    // Sometimes one partition runs ahead of the others.
    let favourite =
        if rng.random_bool(0.3) { left.first().map(|(stream, partition, _)| (*stream, *partition)) } else { None };
    let mut pieces = Vec::new();
    while !left.is_empty() {
        let preferred = left.iter().position(|(stream, partition, _)| Some((*stream, *partition)) == favourite);
        let at = preferred.filter(|_| rng.random_bool(0.7)).unwrap_or_else(|| rng.random_range(0..left.len()));
        let (stream, partition, range) = &mut left[at];
        let end = range.end.min(range.start + rng.random_range(1..=longest));
        pieces.push(Piece { stream: *stream, partition: *partition, records: range.start..end });
        range.start = end;
        if range.start >= range.end {
            left.swap_remove(at);
        }
    }
    pieces
}
