//! First and last times of the sessions in one pane.

use super::keys::Keys;
use crate::aggregates::Groups;
use citystream_model::time::Micros;

/// Sessions of one pane, at most one per session key.
pub(super) struct Spans {
    /// Places of the session keys.
    places: Groups,
    /// First and last time of each.
    bounds: Vec<(Micros, Micros)>,
    /// Those of the first ones as a checkpoint has them.
    saved: Vec<(Micros, Micros)>,
}

// === impl Spans ===

impl Spans {
    /// Adds rows with session keys `numbers`, at `time` of a row's position; the place of each row's session.
    pub(super) fn add(&mut self, numbers: &[usize], time: impl Fn(usize) -> Micros, keys: &mut Keys) -> Vec<usize> {
        let known = self.len();
        let places = self.places.place(numbers, keys.sessions_len());
        self.bounds.resize(self.places.numbers().len(), (Micros::MAX, Micros::MIN));
        for (row, place) in places.iter().enumerate() {
            let (first, last) = &mut self.bounds[*place];
            let time = time(row);
            *first = time.min(*first);
            *last = time.max(*last);
        }
        keys.hold_sessions(&self.places.numbers()[known..]);
        places
    }

    /// Place, first and last time of a session key.
    pub(super) fn find(&self, key: u32) -> Option<(usize, Micros, Micros)> {
        self.places.find(key).map(|place| (place, self.bounds[place].0, self.bounds[place].1))
    }

    /// Moves the begin of a key's session to `start`; the place of the session, if the key has one.
    pub(super) fn begin(&mut self, key: u32, start: Micros) -> Option<usize> {
        let place = self.places.find(key)?;
        self.bounds[place].0 = start;
        Some(place)
    }

    /// Key, first and last time of each session, by place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Micros, Micros)> + '_ {
        self.places.numbers().iter().zip(&self.bounds).map(|(key, (first, last))| (*key, *first, *last))
    }

    /// The sessions as no checkpoint has them.
    pub(super) fn unsaved(&self) -> Vec<(u32, Micros, Micros)> {
        let saved = self.saved.iter().copied().map(Some).chain(std::iter::repeat(None));
        let unsaved = self.iter().zip(saved).filter(|((_, first, last), saved)| *saved != Some((*first, *last)));
        unsaved.map(|(session, _)| session).collect()
    }

    /// Takes note that a checkpoint has all of them as they are.
    pub(super) fn save(&mut self) {
        self.saved.clone_from(&self.bounds);
    }

    /// Takes note that none has.
    pub(super) fn forget_saved(&mut self) {
        self.saved.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, moved: &[u32], keys: usize) {
        self.places.renumber(moved, keys);
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.bytes() + (self.bounds.capacity() + self.saved.capacity()) * size_of::<(Micros, Micros)>()
    }
}

impl Default for Spans {
    fn default() -> Self {
        Self { places: Groups::without_states(), bounds: Vec::new(), saved: Vec::new() }
    }
}
