//! Results before a session has ended: of those that have changed since they came out last, and which rows they replace.
//!
//! A row may prolong a session or join two of them, and then what came out of them is none any more. So all that came out of
//! open sessions is remembered, a row per group.

use super::SessionPane;
use super::complete::OpenSession;
use crate::aggregates::{Aggregates, Groups, Sealed};
use crate::keys::NONE;
use crate::revision::Having;
use arrow::array::{RecordBatch, UInt32Array};
use citystream_model::Result;
use citystream_model::time::Micros;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// Sealed parts of a pane above which they are put together.
const MOST_PARTS: usize = 16;
/// Bytes of an entry of a tree that is half full, as a multiple of the entry.
const HALF_FULL: usize = 2;

/// What a row of the results is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    /// Number of the session's key.
    pub(super) key: u32,
    pub(super) start: Micros,
    pub(super) end: Micros,
    /// Number of the group.
    pub(super) group: u32,
}

/// What has come out of sessions that have not ended, and what has changed since.
pub(super) struct Revisions {
    having: Having,
    /// Sessions that end by then have come out as far as they went.
    fired: Micros,
    /// Keys of sessions with rows since.
    pub(super) changed: BTreeSet<u32>,
    /// What is a result by what came out last.
    pub(super) shown: BTreeSet<Row>,
}

/// A session as it is now.
struct Session {
    key: u32,
    start: Micros,
    last: Micros,
    pieces: Vec<Piece>,
}

/// What one pane has of a session.
enum Piece {
    Complete(OpenSession),
    /// Start of the pane, place of the session in it.
    Open(Micros, usize),
}

/// States of groups of sessions, put together.
struct Merged {
    groups: Groups,
    rows: Vec<Row>,
    /// Places in `rows` by session and group.
    places: HashMap<(usize, u32), usize>,
}

// === impl Revisions ===

impl Revisions {
    pub(super) fn new(having: Having) -> Self {
        Self { having, fired: Micros::MIN, changed: BTreeSet::new(), shown: BTreeSet::new() }
    }

    /// Takes out what came out of sessions of `key` that started in `starts`.
    fn take(&mut self, key: u32, starts: Range<Micros>) -> Vec<Row> {
        let bound = |start: Micros| Row { key, start, end: Micros::MIN, group: 0 };
        let rows: Vec<Row> = self.shown.range(bound(starts.start)..bound(starts.end)).copied().collect();
        for row in &rows {
            self.shown.remove(row);
        }
        rows
    }

    /// Takes over new key numbers; what is shown is of sessions that are held.
    pub(super) fn renumber(&mut self, sessions: Option<&[u32]>, groups: Option<&[u32]>) {
        let moved = |moved: Option<&[u32]>, number: u32| moved.map_or(number, |moved| moved[number as usize]);
        // Sessions of the others may have ended.
        self.changed = self.changed.iter().map(|key| moved(sessions, *key)).filter(|key| *key != NONE).collect();
        let row = |row: &Row| Row { key: moved(sessions, row.key), group: moved(groups, row.group), ..*row };
        self.shown = self.shown.iter().map(row).collect();
    }

    pub(super) fn bytes(&self) -> usize {
        HALF_FULL * (self.shown.len() * size_of::<Row>() + self.changed.len() * size_of::<u32>())
    }
}

impl SessionPane {
    /// Puts out what has changed in sessions that end at or before `until`, or before an earlier one.
    pub(super) fn revise(&mut self, until: Micros, out: &mut Vec<RecordBatch>) -> Result<()> {
        let Some(revisions) = &self.revisions else { return Ok(()) };
        let until = until.max(revisions.fired);
        if until == revisions.fired && revisions.changed.is_empty() {
            return Ok(());
        }
        let keys = self.keys_to_revise(revisions, until);
        if !keys.is_empty() {
            let mut due = self.sessions_of(&keys);
            due.retain(|session| session.last.saturating_add(self.gap) <= until);
            let Merged { mut groups, rows, .. } = self.merged(&due)?;
            let values = if rows.is_empty() { Vec::new() } else { groups.results()? };
            let results = if rows.is_empty() { self.bare(&[])? } else { self.batch(&rows, values)? };
            self.replace(keys.iter().map(|key| (*key, Micros::MIN..Micros::MAX)), &rows, &results, true, out)?;
        }
        if let Some(revisions) = &mut self.revisions {
            revisions.fired = until;
            revisions.changed.clear();
        }
        Ok(())
    }

    /// Puts out `results` of `rows`, and removes what came out of the sessions of `over` (keys, and when they started) and is
    /// none of them. What has not changed stays as it is.
    pub(super) fn replace(
        &mut self,
        over: impl Iterator<Item = (u32, Range<Micros>)>,
        rows: &[Row],
        results: &RecordBatch,
        is_open: bool,
        out: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let Some(revisions) = &mut self.revisions else { return Ok(()) };
        let known: BTreeSet<Row> = over.flat_map(|(key, starts)| revisions.take(key, starts)).collect();
        let passes = revisions.having.passes(results)?;
        let is_new = |row: &Row| !known.contains(row) || revisions.changed.contains(&row.key);
        let marks = rows.iter().zip(&passes).map(|(row, passes)| (*passes && is_new(row)).then_some(false));
        let marks: Vec<Option<bool>> = marks.collect();
        let now: BTreeSet<Row> = rows.iter().zip(&passes).filter(|(_, passes)| **passes).map(|(row, _)| *row).collect();
        let gone: Vec<Row> = known.difference(&now).copied().collect();
        if is_open {
            revisions.shown.extend(now);
        }
        let results = revisions.having.mark(results, &marks)?;
        if !gone.is_empty() {
            // First, since a job's key may name no more than the start of a session.
            let bare = self.bare(&gone)?;
            let Some(revisions) = &self.revisions else { return Ok(()) };
            out.push(revisions.having.mark(&bare, &vec![Some(true); gone.len()])?);
        }
        out.push(results);
        Ok(())
    }

    /// Keys with a session that has changed or that comes out for the first time, and perhaps others.
    fn keys_to_revise(&self, revisions: &Revisions, until: Micros) -> BTreeSet<u32> {
        let last = |end: Micros| end.saturating_sub(self.gap).saturating_add(1);
        let new = last(revisions.fired)..last(until);
        let complete = self.complete.iter().flat_map(|pane| pane.lasting(new.clone()));
        // A pane is as long as the gap.
        let panes = self.open.range(new.start.saturating_sub(self.gap)..new.end);
        let open = panes.flat_map(|(_, pane)| pane.spans.iter()).filter(|(_, _, last)| new.contains(last));
        let new = complete.chain(open.map(|(key, _, _)| key));
        new.chain(revisions.changed.iter().copied()).collect()
    }

    /// All sessions of `keys` as they are now.
    fn sessions_of(&self, keys: &BTreeSet<u32>) -> Vec<Session> {
        let mut sessions: Vec<Session> = Vec::new();
        for key in keys.iter().copied() {
            let complete = self.complete.as_ref().and_then(|pane| pane.find(key));
            let complete = complete.map(|open| (open.start, open.last, Piece::Complete(open.clone())));
            let open = self.open.iter().filter_map(|(start, pane)| {
                let (place, first, last) = pane.spans.find(key)?;
                Some((first, last, Piece::Open(*start, place)))
            });
            for (first, last, piece) in complete.into_iter().chain(open) {
                match sessions.last_mut() {
                    Some(session) if session.key == key && first.saturating_sub(session.last) < self.gap => {
                        session.last = last;
                        session.pieces.push(piece);
                    }
                    _ => sessions.push(Session { key, start: first, last, pieces: vec![piece] }),
                }
            }
        }
        sessions
    }

    /// The groups of `sessions`, those of each put together.
    fn merged(&mut self, sessions: &[Session]) -> Result<Merged> {
        let mut merged = Merged::new(&self.aggregates)?;
        let mut open: BTreeMap<Micros, Vec<(usize, usize)>> = BTreeMap::new();
        for (at, session) in sessions.iter().enumerate() {
            for piece in &session.pieces {
                match (piece, &self.complete) {
                    (Piece::Open(start, place), _) => open.entry(*start).or_default().push((*place, at)),
                    (Piece::Complete(of), Some(pane)) => {
                        let rows = pane.rows(std::slice::from_ref(of));
                        let states: Vec<_> = rows.values().iter().map(|row| (*row, at)).collect();
                        merged.add(&self.aggregates, sessions, self.gap, &pane.sealed, &states)?;
                    }
                    (Piece::Complete(_), None) => {}
                }
            }
        }
        for (start, places) in open {
            let Some(pane) = self.open.get_mut(&start) else { continue };
            let mut of_place = vec![None; pane.spans.len()];
            places.into_iter().for_each(|(place, at)| of_place[place] = Some(at));
            for part in pane.seal_live(&self.aggregates)? {
                let states = (0u32..).zip(&part.owners);
                let states = states.filter_map(|(row, owner)| Some((row, of_place[*owner as usize]?)));
                merged.add(&self.aggregates, sessions, self.gap, &part.states, &states.collect::<Vec<_>>())?;
            }
            if pane.compact(MOST_PARTS, &self.aggregates, &mut self.keys)? {
                self.parts.make_next_whole();
            }
            self.open_bytes -= pane.bytes;
            self.open_bytes += pane.count();
        }
        Ok(merged)
    }
}

impl Merged {
    fn new(by: &Aggregates) -> Result<Self> {
        Ok(Self { groups: by.groups()?, rows: Vec::new(), places: HashMap::new() })
    }

    /// Adds some of the `states`: rows, each with the session that it is of.
    fn add(
        &mut self,
        by: &Aggregates,
        sessions: &[Session],
        gap: Micros,
        sealed: &Sealed,
        states: &[(u32, usize)],
    ) -> Result<()> {
        if states.is_empty() {
            return Ok(());
        }
        let Self { groups, rows, places } = self;
        let mut place = |(row, at): &(u32, usize)| {
            let group = sealed.numbers[*row as usize];
            *places.entry((*at, group)).or_insert_with(|| {
                let Session { key, start, last, .. } = &sessions[*at];
                rows.push(Row { key: *key, start: *start, end: last.saturating_add(gap), group });
                rows.len() - 1
            })
        };
        let numbers: Vec<usize> = states.iter().map(&mut place).collect();
        let places = groups.place(&numbers, rows.len());
        let states = UInt32Array::from_iter_values(states.iter().map(|(row, _)| *row));
        groups.merge(by, &sealed.states_of(&states)?, &places)
    }
}
