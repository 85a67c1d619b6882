//! One pane that rows may still come for: what came since the last checkpoint, and what stands in earlier ones.

use crate::aggregates::{Aggregates, Groups, Sealed};
use crate::keys::KeyDict;
use citystream_model::Result;
use datafusion::common::ScalarValue;

/// See the module's description. Each part holds its keys on its own.
pub(super) struct Open {
    /// What came since the last checkpoint.
    pub(super) live: Groups,
    /// What came before.
    pub(super) sealed: Vec<Sealed>,
    /// Values of the keys that all rows share.
    pub(super) shared: Vec<ScalarValue>,
    /// Bytes as last counted.
    pub(super) bytes: usize,
}

// === impl Open ===

impl Open {
    pub(super) fn new(live: Groups, shared: Vec<ScalarValue>) -> Self {
        Self { live, sealed: Vec::new(), shared, bytes: 0 }
    }

    /// Moves what came since the last checkpoint to what came before; the part that was moved, if there was one.
    pub(super) fn seal_live(&mut self, by: &Aggregates) -> Result<Option<Sealed>> {
        if self.live.numbers().is_empty() {
            return Ok(None);
        }
        let fresh = std::mem::replace(&mut self.live, by.groups()?).seal()?;
        self.sealed.push(fresh.clone());
        Ok(Some(fresh))
    }

    /// Puts the parts that came before together.
    pub(super) fn compact(&mut self, by: &Aggregates, keys: &mut KeyDict) -> Result<()> {
        if self.sealed.len() > 1 {
            let whole = by.merge(&self.sealed.iter().collect::<Vec<_>>(), keys.len())?.seal()?;
            keys.hold(&whole.numbers);
            self.sealed.iter().for_each(|part| keys.release(&part.numbers));
            self.sealed = vec![whole];
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
