//! One pane that rows may still come for: what is being added to, and parts that were sealed, for checkpoints or for results
//! before the end.

use super::complete::{Complete, OpenSession};
use super::keys::Keys;
use super::spans::Spans;
use super::states::Part;
use crate::aggregates::{Aggregates, Arguments, Groups, Sealed};
use arrow::array::{ArrayRef, UInt32Array};
use citystream_model::time::Micros;
use citystream_model::{Error, Result};

/// See the module's description. Each part holds its keys on its own.
pub(super) struct Open {
    /// What came since parts were sealed last.
    live: Groups,
    /// Place in `spans` of each of its groups' sessions.
    owners: Vec<u32>,
    /// What came before.
    sealed: Vec<SealedPart>,
    sealed_bytes: usize,
    /// How many of them stand in a checkpoint, the first ones.
    saved: usize,
    pub(super) spans: Spans,
    /// Bytes as last counted.
    pub(super) bytes: usize,
}

/// States of groups, and the places of their sessions.
#[derive(Default)]
pub(super) struct SealedPart {
    pub(super) states: Sealed,
    pub(super) owners: Vec<u32>,
}

// === impl SealedPart ===

impl SealedPart {
    fn bytes(&self) -> usize {
        self.states.bytes() + self.owners.capacity() * size_of::<u32>()
    }
}

// === impl Open ===

impl Open {
    pub(super) fn new(live: Groups) -> Self {
        let (owners, sealed, spans) = (Vec::new(), Vec::new(), Spans::default());
        Self { live, owners, sealed, sealed_bytes: 0, saved: 0, spans, bytes: 0 }
    }

    /// Adds rows of groups `numbers`, whose sessions have the places `owners`.
    pub(super) fn update(
        &mut self,
        values: &Arguments,
        numbers: &[usize],
        owners: &[usize],
        keys: &mut Keys,
    ) -> Result<()> {
        let places = self.place(numbers, owners, keys);
        self.live.update(values, &places)
    }

    /// Adds states of groups `numbers`, whose sessions have the places `owners`.
    pub(super) fn merge(
        &mut self,
        (by, states): (&Aggregates, &[ArrayRef]),
        numbers: &[usize],
        owners: &[usize],
        keys: &mut Keys,
    ) -> Result<()> {
        let places = self.place(numbers, owners, keys);
        self.live.merge(by, states, &places)
    }

    fn place(&mut self, numbers: &[usize], owners: &[usize], keys: &mut Keys) -> Vec<usize> {
        let known = self.owners.len();
        let places = self.live.place(numbers, keys.len());
        // New groups stand behind the others, in the order in which they came.
        for (place, owner) in places.iter().zip(owners) {
            if *place == self.owners.len() {
                self.owners.push(*owner as u32);
            }
        }
        keys.hold_groups(&self.live.numbers()[known..]);
        places
    }

    /// Moves what is added to, to the parts that are not; all of those.
    pub(super) fn seal_live(&mut self, by: &Aggregates) -> Result<&[SealedPart]> {
        // Accumulators without groups may have no states to give.
        if !self.owners.is_empty() {
            let states = std::mem::replace(&mut self.live, by.groups()?).seal()?;
            let part = SealedPart { states, owners: std::mem::take(&mut self.owners) };
            self.sealed_bytes += part.bytes();
            self.sealed.push(part);
        }
        Ok(&self.sealed)
    }

    /// What stands in no checkpoint.
    pub(super) fn unsaved(&mut self, start: Micros, by: &Aggregates) -> Result<Vec<Part>> {
        self.seal_live(by)?;
        let states = self.sealed[self.saved..].iter().map(|part| part.states.clone());
        let mut parts: Vec<Part> = states.map(|states| Part { start, states, sessions: Vec::new() }).collect();
        let sessions = self.spans.unsaved();
        parts.extend((!sessions.is_empty()).then(|| Part { start, states: Sealed::default(), sessions }));
        Ok(parts)
    }

    /// As [`Self::unsaved`]; it stands in one from now on.
    pub(super) fn save(&mut self, start: Micros, by: &Aggregates) -> Result<Vec<Part>> {
        let parts = self.unsaved(start, by)?;
        self.saved = self.sealed.len();
        self.spans.save();
        Ok(parts)
    }

    /// Has [`Self::save`] give everything next.
    pub(super) fn forget_saved(&mut self) {
        self.saved = 0;
        self.spans.forget_saved();
    }

    /// Puts the parts together, if there are more than `most`: true then, and [`Self::save`] gives all states next, so that
    /// the next checkpoint has to be whole.
    pub(super) fn compact(&mut self, most: usize, by: &Aggregates, keys: &mut Keys) -> Result<bool> {
        if self.sealed.len() <= most {
            return Ok(false);
        }
        self.gather(by, keys)?;
        self.seal_live(by)?;
        self.saved = 0;
        Ok(true)
    }

    /// Takes the parts back to what is added to.
    fn gather(&mut self, by: &Aggregates, keys: &mut Keys) -> Result<()> {
        self.sealed_bytes = 0;
        for SealedPart { states, owners } in std::mem::take(&mut self.sealed) {
            let numbers: Vec<usize> = states.numbers.iter().map(|number| *number as usize).collect();
            let owners: Vec<usize> = owners.iter().map(|owner| *owner as usize).collect();
            self.merge((by, &states.states), &numbers, &owners, keys)?;
            keys.release_groups(&states.numbers);
        }
        Ok(())
    }

    /// The pane as it is complete, with the states and starts of the sessions of `last` that go on here.
    /// Sessions are to be found by their keys if `is_index` is true.
    pub(super) fn complete(
        mut self,
        last: Option<&Complete>,
        by: &Aggregates,
        keys: &mut Keys,
        is_index: bool,
    ) -> Result<Complete> {
        let over = last.map(|last| self.begin(last).map(|over| (last, over))).transpose()?;
        let over = over.filter(|(_, (rows, _))| !rows.is_empty());
        if over.is_none() && self.owners.is_empty() && self.sealed.len() < 2 {
            // Nothing to put together; accumulators without groups may have no states to give.
            let SealedPart { states, owners } = self.sealed.pop().unwrap_or_default();
            return Ok(Complete::new(states, &owners, &self.spans, is_index));
        }
        self.gather(by, keys)?;
        if let Some((Complete { sealed, .. }, (rows, owners))) = over {
            let numbers: Vec<usize> = rows.values().iter().map(|row| sealed.numbers[*row as usize] as usize).collect();
            self.merge((by, &sealed.states_of(&rows)?), &numbers, &owners, keys)?;
        }
        Ok(Complete::new(self.live.seal()?, &self.owners, &self.spans, is_index))
    }

    /// Moves the starts of sessions to where those of `last` began that they go on with: rows of those in its states, and the
    /// places of their sessions.
    fn begin(&mut self, last: &Complete) -> Result<(UInt32Array, Vec<usize>)> {
        let open: Vec<OpenSession> = last.still_open().cloned().collect();
        let mut owners = Vec::new();
        for session in &open {
            let place = self.spans.begin(session.key, session.start);
            let place = place.ok_or_else(|| Error::internal("a session goes on without a row"))?;
            owners.extend(std::iter::repeat_n(place, session.groups.len()));
        }
        Ok((last.rows(&open), owners))
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, sessions: Option<(&[u32], usize)>, groups: Option<(&[u32], usize)>) {
        if let Some((moved, keys)) = groups {
            self.live.renumber(moved, keys);
            self.sealed.iter_mut().for_each(|part| part.states.renumber(moved));
        }
        if let Some((moved, keys)) = sessions {
            self.spans.renumber(moved, keys);
        }
    }

    /// Counts its bytes anew.
    pub(super) fn count(&mut self) -> usize {
        let owners = self.owners.capacity() * size_of::<u32>();
        self.bytes = self.live.bytes() + owners + self.sealed_bytes + self.spans.bytes();
        self.bytes
    }
}
