//! Where records enter: the source trait, its events and its laws.
//!
//! ```text
//!  poll -> [Records p0 [7, 8]] [AtEnd p1 4] -> poll -> [AtEnd p0 9] -> ... -> [Added p2] [Records p2 [0]]
//! ```

use citystream_codec::Records;
use citystream_model::Result;
use citystream_model::position::{Offset, Partition};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a source has to say, in the order in which it happened.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceEvent {
    /// Records of one partition in offset order, committed ones only; never empty.
    Records {
        /// Partition that they stand in.
        partition: Partition,
        /// The records; offsets rise but may have gaps.
        records: Records,
    },
    /// Every record below `offset` was read and none is left for now.
    ///
    /// Also said of an empty partition, and where the end is a control record of a transaction.
    AtEnd {
        /// Partition that was read to its end.
        partition: Partition,
        /// Next offset to read.
        offset: Offset,
    },
    /// A partition appeared while running; it starts at its first record.
    Added {
        /// The new partition.
        partition: Partition,
    },
    /// The environment does not answer; the source goes on trying. Said once until [`SourceEvent::Recovered`].
    Unavailable {
        /// What was found, for people.
        detail: String,
    },
    /// The environment answers again.
    Recovered,
}

/// A partitioned log of records.
///
/// Laws: records of one partition come in offset order, each once; nothing is skipped silently (a position that the
/// log no longer has is an error); reading again from a position gives the same records; memory is bounded while the
/// caller does not poll; dropping a source loses nothing, for positions are the caller's.
pub trait Source: Send {
    /// Partitions being read, those added while running included.
    fn partitions(&self) -> Vec<Partition>;

    /// Last stable offsets found at the start.
    fn end_offsets(&self) -> BTreeMap<Partition, Offset>;

    /// The offset that each partition started at.
    fn start_offsets(&self) -> BTreeMap<Partition, Offset>;

    /// The next offset of each partition: behind everything that [`Source::poll`] gave, control records too.
    fn positions(&self) -> BTreeMap<Partition, Offset>;

    /// What is there now, with at most `max_records` records; waits at most `wait` when there is nothing.
    ///
    /// # Errors
    /// What a retry cannot help: a refused login, a deleted topic, a position that the log no longer has.
    fn poll(&mut self, max_records: usize, wait: Duration) -> Result<Vec<SourceEvent>>;

    /// Stops the records of `partitions` until [`Source::resume`]; none of them is lost.
    ///
    /// # Errors
    /// The client refused.
    fn pause(&mut self, partitions: &[Partition]) -> Result<()>;

    /// Lets the records of `partitions` come again.
    ///
    /// # Errors
    /// The client refused.
    fn resume(&mut self, partitions: &[Partition]) -> Result<()>;

    /// Records between what was read and the newest end that the source knows, by partition; cheap.
    fn lag(&mut self) -> BTreeMap<Partition, i64>;
}
