//! Flow per point and window: panes of the slide's length, put together into windows at the end.

use super::{Names, Row, Windows, numbers, texts};
use crate::row::{REDUCE, TUMBLE, Window};
use crate::workload::Topic;
use anyhow::Result;
use arrow::datatypes::Int32Type;
use citystream_codec::Decoded;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All panes; the state of a point stands at its number.
pub(super) struct Flows {
    window: Window,
    /// Extremes instead of the newest time.
    extremes: bool,
    names: Names,
    panes: BTreeMap<i64, Vec<Pane>>,
}

#[derive(Debug, Clone, Copy)]
struct Pane {
    count: i64,
    sum: i64,
    lowest: i32,
    highest: i32,
    newest: i64,
}

const EMPTY: Pane = Pane { count: 0, sum: 0, lowest: i32::MAX, highest: i32::MIN, newest: i64::MIN };

// === impl Flows ===

impl Flows {
    pub(super) fn reduce() -> Self {
        Self { window: REDUCE, extremes: false, names: Names::new(), panes: BTreeMap::new() }
    }

    pub(super) fn tumble() -> Self {
        Self { window: TUMBLE, extremes: true, names: Names::new(), panes: BTreeMap::new() }
    }

    fn row(&self, point: usize, start: i64, pane: &Pane) -> Row {
        let mut numbers = vec![start, start + self.window.size_ms, pane.count, pane.sum];
        if self.extremes {
            numbers.extend([i64::from(pane.lowest), i64::from(pane.highest)]);
        } else {
            numbers.push(pane.newest / 1_000);
        }
        Row { id: Arc::clone(&self.names.names[point]), lanes: String::new(), numbers }
    }
}

impl Windows for Flows {
    fn add(&mut self, _topic: Topic, decoded: &Decoded) -> Result<()> {
        let (ids, flows) = (texts(&decoded.batch, "id")?, numbers::<Int32Type>(&decoded.batch, "flow")?);
        let slide = self.window.slide_ms * 1_000;
        for (row, event_time) in decoded.event_times.iter().enumerate() {
            let (point, flow) = (self.names.number(ids.value(row)), flows.value(row));
            let panes = self.panes.entry(event_time.div_euclid(slide)).or_default();
            if panes.len() <= point {
                panes.resize(self.names.names.len(), EMPTY);
            }
            panes[point].add(&Pane {
                count: 1,
                sum: i64::from(flow),
                lowest: flow,
                highest: flow,
                newest: *event_time,
            });
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<Row> {
        let Window { size_ms, slide_ms } = self.window;
        let reach = size_ms / slide_ms;
        let (Some((first, _)), Some((last, _))) = (self.panes.first_key_value(), self.panes.last_key_value()) else {
            return Vec::new();
        };
        let mut rows = Vec::new();
        for window in first - reach + 1..=*last {
            let mut merged = vec![EMPTY; self.names.names.len()];
            for (_, panes) in self.panes.range(window..window + reach) {
                merged.iter_mut().zip(panes).for_each(|(merged, pane)| merged.add(pane));
            }
            let points = merged.iter().enumerate().filter(|(_, pane)| pane.count > 0);
            rows.extend(points.map(|(point, pane)| self.row(point, window * slide_ms, pane)));
        }
        rows
    }
}

// === impl Pane ===

impl Pane {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
        self.newest = self.newest.max(other.newest);
    }
}
