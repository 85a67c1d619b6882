//! `Ring`: the closed panes of the newest windows, put together so that each window costs two merges whatever its number of panes.
//!
//! ```text
//!   panes          p1   p2   p3 | p4   p5             window = p2 .. p5
//!   back stack     [p1+p2+p3]                         its top holds all panes from its own to the border
//!                      [p2+p3] <- top
//!                          [p3]
//!   front                         [p4+p5]             one running sum; window = top + front
//! ```
//!
//! The two-stack queue of Tangwongsan, Hirzel, Schneider and Wu ("General Incremental Sliding-Window Aggregation", VLDB
//! 2015): no aggregate has to be taken back, so every one that merges can slide. The panes themselves are kept too: they
//! are what is sealed, since other shards have their border elsewhere.

use crate::aggregates::{Aggregates, Groups, Sealed};
use crate::keys::KeyDict;
use citystream_functions::Window;
use citystream_model::Result;
use citystream_model::time::Micros;
use std::collections::{BTreeSet, VecDeque};

/// Closed panes, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    panes: VecDeque<(Micros, Sealed)>,
    /// For the oldest panes: each with all newer ones up to the border. The oldest is last.
    back: Vec<Sealed>,
    /// All panes behind the border together, once it has more than one.
    sum: Option<Sealed>,
}

// === impl Ring ===

impl Ring {
    /// Start of the oldest pane.
    pub(super) fn oldest(&self) -> Option<Micros> {
        self.panes.front().map(|(start, _)| *start)
    }

    /// Adds the pane that follows all others.
    pub(super) fn push(&mut self, start: Micros, pane: Sealed, by: &Aggregates, keys: &mut KeyDict) -> Result<()> {
        keys.hold(&pane.numbers);
        if let Some(front) = self.front() {
            let sum = by.merge(&[front, &pane], keys.len())?.seal()?;
            keys.hold(&sum.numbers);
            if let Some(old) = self.sum.replace(sum) {
                keys.release(&old.numbers);
            }
        }
        self.panes.push_back((start, pane));
        Ok(())
    }

    /// All panes behind the border together.
    fn front(&self) -> Option<&Sealed> {
        self.sum.as_ref().or_else(|| self.panes.get(self.back.len()).map(|(_, pane)| pane))
    }

    /// Drops the panes that start before `start`.
    pub(super) fn drop_before(&mut self, start: Micros, by: &Aggregates, keys: &mut KeyDict) -> Result<()> {
        let mut crossed = false;
        while let Some((_, pane)) = self.panes.pop_front_if(|(at, _)| *at < start) {
            keys.release(&pane.numbers);
            match self.back.pop() {
                Some(stacked) => keys.release(&stacked.numbers),
                None => crossed = true,
            }
        }
        if crossed { self.turn(by, keys) } else { Ok(()) }
    }

    /// Moves the border behind the newest pane.
    fn turn(&mut self, by: &Aggregates, keys: &mut KeyDict) -> Result<()> {
        if let Some(sum) = self.sum.take() {
            keys.release(&sum.numbers);
        }
        for (_, pane) in self.panes.iter().rev() {
            let stacked = match self.back.last() {
                None => pane.clone(),
                Some(newer) => by.merge(&[pane, newer], keys.len())?.seal()?,
            };
            keys.hold(&stacked.numbers);
            self.back.push(stacked);
        }
        Ok(())
    }

    /// All panes together; `None` without any.
    pub(super) fn total(&self, by: &Aggregates, keys: &KeyDict) -> Result<Option<Groups>> {
        let parts: Vec<&Sealed> = self.back.last().into_iter().chain(self.front()).collect();
        if parts.is_empty() { Ok(None) } else { by.merge(&parts, keys.len()).map(Some) }
    }

    /// The panes of a window, those that have been put together for a window that ends behind them all as one.
    pub(super) fn parts_of(&self, window: Window) -> Vec<&Sealed> {
        let before = self.panes.partition_point(|(start, _)| *start < window.start);
        let is_last = self.panes.back().is_some_and(|(start, _)| *start < window.end);
        if is_last && before <= self.back.len() {
            let stacked = self.back.iter().rev().nth(before);
            return stacked.into_iter().chain(self.front()).collect();
        }
        let panes = self.panes.iter().skip(before);
        panes.take_while(|(start, _)| *start < window.end).map(|(_, pane)| pane).collect()
    }

    /// All panes together, of some keys only; `None` without any.
    pub(super) fn total_of(&self, some: &BTreeSet<u32>, by: &Aggregates, keys: &KeyDict) -> Result<Option<Groups>> {
        if some.is_empty() {
            return Ok(None);
        }
        let parts = self.back.last().into_iter().chain(self.front()).map(|part| part.of_keys(some));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        if parts.is_empty() { Ok(None) } else { by.merge(&parts.iter().collect::<Vec<_>>(), keys.len()).map(Some) }
    }

    /// The panes, oldest first.
    pub(super) fn panes(&self) -> impl Iterator<Item = (Micros, Sealed)> + '_ {
        self.panes.iter().cloned()
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, moved: &[u32]) {
        let panes = self.panes.iter_mut().map(|(_, pane)| pane);
        panes.chain(&mut self.back).chain(&mut self.sum).for_each(|states| states.renumber(moved));
    }

    /// Bytes of all states.
    pub(super) fn bytes(&self) -> usize {
        let panes = self.panes.iter().map(|(_, pane)| pane);
        // The newest stacked pane is the pane itself.
        panes.chain(self.back.iter().skip(1)).chain(&self.sum).map(Sealed::bytes).sum()
    }

    /// Starts of the panes that are held.
    pub(super) fn starts(&self) -> impl Iterator<Item = Micros> + '_ {
        self.panes.iter().map(|(start, _)| *start)
    }
}
