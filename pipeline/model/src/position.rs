//! Where a source is: the next offset of each partition.

use std::collections::BTreeMap;

/// Kafka partition number.
pub type Partition = i32;
/// Kafka offset.
pub type Offset = i64;

/// Next offset to read of each partition of one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions(pub BTreeMap<Partition, Offset>);

/// Where to begin when nothing is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartFrom {
    /// The oldest record that the broker still has.
    Earliest,
    /// Records produced after the start.
    Latest,
    /// The first record whose Kafka time is at or after this instant (microseconds since the epoch).
    Time(crate::time::Micros),
    /// Stored positions; a partition that is not among them starts at its first record.
    Positions(Positions),
}
