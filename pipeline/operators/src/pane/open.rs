//! One pane that rows may still come for: what is being added to, and parts that were sealed, for checkpoints or for results
//! before the end.

use crate::aggregates::{Aggregates, Groups, Sealed};
use crate::keys::KeyDict;
use citystream_model::Result;
use datafusion::common::ScalarValue;
use std::collections::BTreeSet;

/// See the module's description. Each part holds its keys on its own.
pub(super) struct Open {
    /// What came since parts were sealed last.
    pub(super) live: Groups,
    /// What came before.
    pub(super) sealed: Vec<Sealed>,
    /// How many of them stand in a checkpoint, the first ones.
    saved: usize,
    /// Values of the keys that all rows share.
    pub(super) shared: Vec<ScalarValue>,
    /// Bytes as last counted.
    pub(super) bytes: usize,
}

// === impl Open ===

impl Open {
    pub(super) fn new(live: Groups, shared: Vec<ScalarValue>) -> Self {
        Self { live, sealed: Vec::new(), saved: 0, shared, bytes: 0 }
    }

    /// Moves what is added to, to the parts that are not.
    pub(super) fn seal_live(&mut self, by: &Aggregates) -> Result<()> {
        if !self.live.numbers().is_empty() {
            self.sealed.push(std::mem::replace(&mut self.live, by.groups()?).seal()?);
        }
        Ok(())
    }

    /// The parts that stand in no checkpoint; they do from now on.
    pub(super) fn save(&mut self, by: &Aggregates) -> Result<Vec<Sealed>> {
        self.seal_live(by)?;
        let fresh = self.sealed[self.saved..].to_vec();
        self.saved = self.sealed.len();
        Ok(fresh)
    }

    /// Has [`Self::save`] give every part next.
    pub(super) fn forget_saved(&mut self) {
        self.saved = 0;
    }

    /// All parts together, of keys that have changed.
    pub(super) fn changes(&mut self, changed: &BTreeSet<u32>, by: &Aggregates, keys: &KeyDict) -> Result<Groups> {
        self.seal_live(by)?;
        let parts = self.sealed.iter().map(|part| part.of_keys(changed)).collect::<Result<Vec<_>>>()?;
        by.merge(&parts.iter().collect::<Vec<_>>(), keys.len())
    }

    /// Puts the parts that came before together.
    pub(super) fn compact(&mut self, by: &Aggregates, keys: &mut KeyDict) -> Result<()> {
        if self.sealed.len() > 1 {
            let whole = by.merge(&self.sealed.iter().collect::<Vec<_>>(), keys.len())?.seal()?;
            keys.hold(&whole.numbers);
            self.sealed.iter().for_each(|part| keys.release(&part.numbers));
            self.sealed = vec![whole];
            self.saved = 0;
        }
        Ok(())
    }

    /// All parts together.
    pub(super) fn total(mut self, by: &Aggregates, keys: &KeyDict) -> Result<Groups> {
        if self.sealed.is_empty() {
            return Ok(self.live);
        }
        self.seal_live(by)?;
        by.merge(&self.sealed.iter().collect::<Vec<_>>(), keys.len())
    }

    /// Lets go of all keys.
    pub(super) fn release(&self, keys: &mut KeyDict) {
        keys.release(self.live.numbers());
        self.sealed.iter().for_each(|part| keys.release(&part.numbers));
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, moved: &[u32], keys: usize) {
        self.live.renumber(moved, keys);
        self.sealed.iter_mut().for_each(|part| part.renumber(moved));
    }

    /// Counts its bytes anew.
    pub(super) fn count(&mut self) -> usize {
        self.bytes = self.live.bytes() + self.sealed.iter().map(Sealed::bytes).sum::<usize>();
        self.bytes
    }
}
