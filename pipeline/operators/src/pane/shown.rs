//! The groups of open windows that are results by what came out last, where a condition may take them back.

use crate::revision::Having;
use arrow::record_batch::RecordBatch;
use citystream_model::Result;
use citystream_model::time::Micros;
use std::collections::{BTreeMap, HashSet};

/// See the module's description.
pub(super) struct Shown {
    having: Having,
    /// Keys by the end of their window, which is when it closes.
    keys: BTreeMap<Micros, HashSet<u32>>,
}

// === impl Shown ===

impl Shown {
    pub(super) fn new(having: Having) -> Self {
        Self { having, keys: BTreeMap::new() }
    }

    /// Of the groups of the window that ends at `end`, those that are results, and those that are none any more.
    pub(super) fn revise(&mut self, end: Micros, keys: &[u32], rows: &RecordBatch) -> Result<RecordBatch> {
        let passes = self.having.passes(rows)?;
        let shown = self.keys.entry(end).or_default();
        let mut mark = |(key, passes): (&u32, bool)| match passes {
            true => {
                shown.insert(*key);
                Some(false)
            }
            false => shown.remove(key).then_some(true),
        };
        let marks: Vec<Option<bool>> = keys.iter().zip(passes).map(&mut mark).collect();
        self.having.mark(rows, &marks)
    }

    /// Takes notice that groups were results.
    pub(super) fn restore(&mut self, end: Micros, keys: impl Iterator<Item = u32>) {
        self.keys.entry(end).or_default().extend(keys);
    }

    /// Forgets windows that end by `watermark`.
    pub(super) fn close(&mut self, watermark: Micros) {
        self.keys = self.keys.split_off(&watermark.saturating_add(1));
    }

    /// The keys by window.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Micros, Vec<u32>)> + '_ {
        self.keys.iter().filter(|(_, keys)| !keys.is_empty()).map(|(end, keys)| (*end, keys.iter().copied().collect()))
    }

    /// Takes over new key numbers.
    pub(super) fn renumber(&mut self, moved: &[u32]) {
        for keys in self.keys.values_mut() {
            *keys = keys.iter().map(|key| moved[*key as usize]).collect();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.values().map(|keys| keys.capacity() * (size_of::<u32>() + 1)).sum()
    }
}
