//! The newest pane that is complete, with all that its sessions brought along from older ones.

use super::keys::Keys;
use super::spans::Spans;
use crate::aggregates::Sealed;
use arrow::array::UInt32Array;
use citystream_model::time::Micros;
use std::collections::HashMap;
use std::ops::Range;

/// See the module's description.
pub(super) struct Complete {
    pub(super) sealed: Sealed,
    /// Sessions by last time, so that those that end first come first.
    sessions: Vec<OpenSession>,
    /// Groups of all sessions, those of one session beside one another.
    groups: Vec<u32>,
    /// Sessions before this one have been looked at: they have ended, or go on in the next pane.
    next: usize,
    /// Those of them that go on, in order.
    go_on: Vec<usize>,
    /// Places of the sessions by key, if they are looked for.
    places: Option<HashMap<u32, usize>>,
}

/// A session that has not come out.
#[derive(Debug, Clone)]
pub(super) struct OpenSession {
    /// Number of its key.
    pub(super) key: u32,
    pub(super) start: Micros,
    pub(super) last: Micros,
    /// Where [`Complete::groups`] has its groups; empty when none of its rows is in a group.
    pub(super) groups: Range<usize>,
}

// === impl Complete ===

impl Complete {
    /// The pane with these states; `owners` says of each group at which place of `spans` its session is.
    /// Sessions are to be found by their keys if `is_index` is true.
    pub(super) fn new(sealed: Sealed, owners: &[u32], spans: &Spans, is_index: bool) -> Self {
        let mut ends = vec![0; spans.len() + 1];
        owners.iter().for_each(|owner| ends[*owner as usize + 1] += 1);
        for place in 0..spans.len() {
            ends[place + 1] += ends[place];
        }
        let session =
            |(place, (key, start, last))| OpenSession { key, start, last, groups: ends[place]..ends[place + 1] };
        let mut sessions: Vec<OpenSession> = spans.iter().enumerate().map(session).collect();
        sessions.sort_unstable_by_key(|session| session.last);
        let mut groups: Vec<u32> = (0u32..).take(owners.len()).collect();
        groups.sort_unstable_by_key(|group| owners[*group as usize]);
        let places = is_index.then(|| by_key(&sessions));
        Self { sealed, sessions, groups, next: 0, go_on: Vec::new(), places }
    }

    /// Takes out the sessions that end by `time` and that nothing in the pane behind this one goes on with.
    pub(super) fn close(&mut self, behind: &Spans, gap: Micros, time: Micros) -> Vec<OpenSession> {
        let mut ended = Vec::new();
        while let Some(session) =
            self.sessions.get(self.next).filter(|session| session.last.saturating_add(gap) <= time)
        {
            let next = behind.find(session.key);
            let goes_on = next.is_some_and(|(_, first, _)| first.saturating_sub(session.last) < gap);
            if goes_on {
                self.go_on.push(self.next);
            } else {
                ended.push(session.clone());
            }
            self.next += 1;
        }
        ended
    }

    /// Sessions that have not ended.
    pub(super) fn still_open(&self) -> impl Iterator<Item = &OpenSession> {
        self.go_on.iter().map(|at| &self.sessions[*at]).chain(&self.sessions[self.next..])
    }

    /// The session of `key`, if it has not ended.
    pub(super) fn find(&self, key: u32) -> Option<&OpenSession> {
        let at = *self.places.as_ref()?.get(&key)?;
        (at >= self.next || self.go_on.binary_search(&at).is_ok()).then(|| &self.sessions[at])
    }

    /// Keys of sessions whose last row here is in `times`.
    pub(super) fn lasting(&self, times: Range<Micros>) -> impl Iterator<Item = u32> {
        let [from, until] = [times.start, times.end].map(|time| self.sessions.partition_point(|open| open.last < time));
        self.sessions[from..until].iter().map(|session| session.key)
    }

    /// Number of sessions that have not ended.
    pub(super) fn open(&self) -> usize {
        self.go_on.len() + self.sessions.len() - self.next
    }

    /// Groups of `sessions`, in their order, as rows of the states.
    pub(super) fn rows(&self, sessions: &[OpenSession]) -> UInt32Array {
        UInt32Array::from_iter_values(
            sessions.iter().flat_map(|session| self.groups[session.groups.clone()].iter().copied()),
        )
    }

    /// Lets go of all keys.
    pub(super) fn release(&self, keys: &mut Keys) {
        keys.release_groups(&self.sealed.numbers);
        let sessions: Vec<u32> = self.sessions.iter().map(|session| session.key).collect();
        keys.release_sessions(&sessions);
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, sessions: Option<&[u32]>, groups: Option<&[u32]>) {
        if let Some(moved) = sessions {
            self.sessions.iter_mut().for_each(|session| session.key = moved[session.key as usize]);
            self.places = self.places.take().map(|_| by_key(&self.sessions));
        }
        if let Some(moved) = groups {
            self.sealed.renumber(moved);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.sealed.bytes()
            + self.sessions.capacity() * size_of::<OpenSession>()
            + self.groups.capacity() * size_of::<u32>()
            + self.go_on.capacity() * size_of::<usize>()
            + self.places.as_ref().map_or(0, |places| places.capacity() * size_of::<(u32, usize)>())
    }
}

fn by_key(sessions: &[OpenSession]) -> HashMap<u32, usize> {
    sessions.iter().enumerate().map(|(at, session)| (session.key, at)).collect()
}
