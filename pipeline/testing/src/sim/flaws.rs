//! Steps of the protocol done wrongly: what a manifest says is not what was. A simulation that does not notice is worth nothing.

use citystream_state::Manifest;
use object_store::PutPayload;
use object_store::path::Path;

/// What is done wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Positions are one record ahead of the rows that went through the operators.
    PositionsEarly,
    /// Positions are one record behind.
    PositionsLate,
    /// Files that were staged are not in the manifest.
    StagedForgotten,
    /// The state is not in the manifest.
    StateForgotten,
    /// Heartbeats since the state was sealed are not in the manifest.
    HeartbeatsForgotten,
    /// What the gates know of the rows before is not in the manifest.
    GatesForgotten,
    /// A light epoch says that its state is its own: nothing is read again.
    ReplayForgotten,
    /// The clock of rows that came from the future is not in the manifest.
    ClockForgotten,
}

// === impl Flaw ===

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PositionsEarly,
        Self::PositionsLate,
        Self::StagedForgotten,
        Self::StateForgotten,
        Self::HeartbeatsForgotten,
        Self::GatesForgotten,
        Self::ReplayForgotten,
        Self::ClockForgotten,
    ];

    /// What is written in place of `payload`.
    pub(crate) fn spoil(self, location: &Path, payload: PutPayload) -> PutPayload {
        let name = location.as_ref();
        if !name.contains("/manifest/") {
            return payload;
        }
        let bytes: Vec<u8> = payload.iter().flat_map(|part| part.iter().copied()).collect();
        let mut manifest = Manifest::decode(name, &bytes).unwrap();
        self.change(&mut manifest);
        PutPayload::from(manifest.encode().unwrap())
    }

    fn change(self, manifest: &mut Manifest) {
        let partitions = manifest.streams.iter_mut().flat_map(|stream| stream.partitions.values_mut());
        match self {
            Self::PositionsEarly => partitions.for_each(|at| at.offset += 1),
            Self::PositionsLate => partitions.for_each(|at| at.offset = (at.offset - 1).max(0)),
            Self::StagedForgotten => manifest.staged.clear(),
            Self::StateForgotten => manifest.runs.clear(),
            Self::HeartbeatsForgotten => manifest.replay.iter_mut().for_each(|replay| replay.heartbeats.clear()),
            Self::GatesForgotten => partitions.for_each(|at| at.newest = None),
            Self::ReplayForgotten => manifest.replay = None,
            Self::ClockForgotten => manifest.replay.iter_mut().for_each(|replay| replay.clock = 0),
        }
    }
}
