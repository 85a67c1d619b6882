//! What came since the operators were sealed: what a start needs to bring a sealed state to where a later, light epoch was.

use citystream_model::time::Micros;
use citystream_state::manifest::{Replay, ReplayedBeat, StreamProgress};

/// A state is sealed after so many light epochs: each is an object that stands until then.
const MOST_EPOCHS: u64 = 256;
/// A state is sealed after so many heartbeats: each stands in every manifest until then.
const MOST_BEATS: usize = 1_024;

/// Rows and heartbeats since a seal.
#[derive(Debug)]
pub(super) struct Since(Replay);

// === impl Since ===

impl Since {
    /// Nothing yet behind the seal of `epoch`.
    pub(super) fn seal(epoch: u64, watermark: Option<Micros>, streams: &[StreamProgress]) -> Self {
        Self(Replay::nothing_since(epoch, watermark, streams))
    }

    pub(super) fn admit(&mut self, stream: usize, rows: u64, now: Micros) {
        self.0.admitted[stream] += rows;
        self.0.clock = self.0.clock.max(now);
    }

    pub(super) fn beat(&mut self, beat: ReplayedBeat) {
        self.0.heartbeats.push(beat);
    }

    /// True while an epoch with these positions may be a light one: nothing but rows and heartbeats came.
    pub(super) fn can_grow(&self, epoch: u64, streams: &[StreamProgress]) -> bool {
        let same = |(before, now): (&StreamProgress, &StreamProgress)| {
            before.partitions.keys().eq(now.partitions.keys()) && before.key_rules.is_some() == now.key_rules.is_some()
        };
        epoch - self.0.sealed_in <= MOST_EPOCHS
            && self.0.heartbeats.len() <= MOST_BEATS
            && self.0.streams.iter().zip(streams).all(same)
    }

    /// What a manifest of now says of it.
    pub(super) fn replay(&self) -> Replay {
        self.0.clone()
    }
}
