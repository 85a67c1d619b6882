//! The silent replay: after a light epoch, which has positions but no state of its own, a start reads the rows since the
//! state was sealed once more. Their results, late rows and rejects are out, so nothing is written meanwhile.
//!
//! ```text
//!   epochs      [12 sealed] . . . [17 light]  X killed
//!   next start  state of 12, rows of 13 to 17 read again in silence | rows behind 17, written
//! ```
//!
//! Invariant: I7: results follow from the admitted rows and the watermark, so rows up to the same positions, behind the same
//! heartbeats, have brought out what was brought out before, no less and no more.

use crate::checkpoint::recover::Base;
use crate::input::Input;
use citystream_model::time::{Micros, Watermark, format_time};
use citystream_model::{Error, Result};
use citystream_state::manifest::{ReplayedBeat, StreamProgress};
use std::time::Instant;

/// A replay under way.
#[derive(Debug, Clone, Copy)]
pub struct Replaying {
    /// The epoch whose positions are its end.
    pub epoch: u64,
    /// The job's watermark there.
    watermark: Watermark,
    /// Wall clock up to which rows were read.
    clock: Micros,
    /// When it began.
    pub started: Instant,
}

// === impl Replaying ===

impl Replaying {
    /// Has `inputs`, which stand where the state of `base` was sealed, read again what was read since; `None` when that is
    /// nothing.
    ///
    /// # Errors
    /// As [`Input::read_again`].
    pub fn of(base: &Base, inputs: &mut [Input]) -> Result<Option<Self>> {
        let Some(replay) = base.claim.to_replay() else { return Ok(None) };
        for (at, input) in inputs.iter_mut().enumerate() {
            let is_same = |known: &&StreamProgress| known.stream == input.stream.name;
            let known = base.claim.streams.iter().find(is_same);
            let known = known.ok_or_else(|| Error::internal("a stream that the checkpoint does not know"))?;
            let beats: Vec<ReplayedBeat> = replay.heartbeats.iter().filter(|beat| beat.stream == at).copied().collect();
            input.read_again(known, replay.admitted.get(at).copied().unwrap_or(0), &beats)?;
        }
        let (epoch, watermark, clock) = (base.from, base.watermark(), replay.clock);
        let (job, sealed_in, rows) = (&base.claim.job, replay.sealed_in, replay.admitted.iter().sum::<u64>());
        tracing::info!(job, epoch, sealed_in, rows, "reading the rows since the state of the checkpoint again");
        Ok(Some(Self { epoch, watermark, clock, started: Instant::now() }))
    }

    /// The time at which rows are judged: not before they were judged first, so that none is of the future now that was not.
    pub fn clock(&self, now: Micros) -> Micros {
        now.max(self.clock)
    }

    /// Ends it, when the operators have reached `watermark`; how many rows were read again.
    ///
    /// # Errors
    /// As [`Input::go_on`]; the watermark is not that of before.
    pub fn end(&self, inputs: &mut [Input], watermark: Watermark) -> Result<u64> {
        let mut rows = 0;
        for input in inputs {
            rows += input.go_on()?;
        }
        if watermark == self.watermark {
            return Ok(rows);
        }
        let (found, expected) = (format_time(watermark.0), format_time(self.watermark.0));
        Err(Error::internal(format!(
            "rows since the state of the checkpoint led to watermark {found} when they were read again, expected {expected} as in \
             epoch {}; please report this, and start anew with another checkpoint folder",
            self.epoch
        )))
    }
}
