//! The panes of the newest windows, put together so that each window costs two merges whatever its number of panes.
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
//! 2015): no aggregate has to be taken back, so every one that merges can slide.

use crate::aggregates::{Aggregates, Groups, Sealed};
use crate::keys::KeyDict;
use citystream_model::Result;
use citystream_model::time::Micros;
use std::collections::VecDeque;

/// Closed panes, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Oldest last; each holds its own pane and all newer ones of this stack.
    back: Vec<(Micros, Sealed)>,
    /// Panes behind those, oldest first.
    front: VecDeque<(Micros, Sealed)>,
    /// All of `front` together, once it has more than one.
    sum: Option<Sealed>,
}

// === impl Ring ===

impl Ring {
    /// Start of the oldest pane.
    pub(super) fn oldest(&self) -> Option<Micros> {
        self.back.last().or_else(|| self.front.front()).map(|(start, _)| *start)
    }

    /// Adds the pane that follows all others.
    pub(super) fn push(&mut self, start: Micros, pane: Sealed, by: &Aggregates, keys: &mut KeyDict) -> Result<()> {
        keys.hold(&pane.numbers);
        if let Some((_, last)) = self.front.back() {
            let sum = by.merge(&[self.sum.as_ref().unwrap_or(last), &pane], keys.len())?.seal()?;
            keys.hold(&sum.numbers);
            if let Some(old) = self.sum.replace(sum) {
                keys.release(&old.numbers);
            }
        }
        self.front.push_back((start, pane));
        Ok(())
    }

    /// Drops the panes that start before `start`.
    pub(super) fn drop_before(&mut self, start: Micros, by: &Aggregates, keys: &mut KeyDict) -> Result<()> {
        while let Some((_, pane)) = self.back.pop_if(|(at, _)| *at < start) {
            keys.release(&pane.numbers);
        }
        if !self.back.is_empty() || self.front.front().is_none_or(|(at, _)| *at >= start) {
            return Ok(());
        }
        if let Some(sum) = self.sum.take() {
            keys.release(&sum.numbers);
        }
        while let Some((_, pane)) = self.front.pop_front_if(|(at, _)| *at < start) {
            keys.release(&pane.numbers);
        }
        self.turn(by, keys)
    }

    /// Moves all panes from the front to the back.
    fn turn(&mut self, by: &Aggregates, keys: &mut KeyDict) -> Result<()> {
        while let Some((start, pane)) = self.front.pop_back() {
            let Some((_, newer)) = self.back.last() else {
                self.back.push((start, pane));
                continue;
            };
            let both = by.merge(&[&pane, newer], keys.len())?.seal()?;
            keys.hold(&both.numbers);
            keys.release(&pane.numbers);
            self.back.push((start, both));
        }
        Ok(())
    }

    /// All panes together; `None` without any.
    pub(super) fn total(&self, by: &Aggregates, keys: &KeyDict) -> Result<Option<Groups>> {
        let front = self.sum.as_ref().or_else(|| self.front.front().map(|(_, pane)| pane));
        let parts: Vec<&Sealed> = self.back.last().map(|(_, pane)| pane).into_iter().chain(front).collect();
        if parts.is_empty() { Ok(None) } else { by.merge(&parts, keys.len()).map(Some) }
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, moved: &[u32]) {
        let panes = self.back.iter_mut().chain(&mut self.front).map(|(_, pane)| pane);
        panes.chain(&mut self.sum).for_each(|pane| pane.renumber(moved));
    }

    /// Bytes of all states.
    pub(super) fn bytes(&self) -> usize {
        let panes = self.back.iter().chain(&self.front).map(|(_, pane)| pane);
        panes.chain(&self.sum).map(Sealed::bytes).sum()
    }

    /// Panes that are held.
    pub(super) fn len(&self) -> usize {
        self.back.len() + self.front.len()
    }
}
