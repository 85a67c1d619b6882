//! The groups of open windows that are results by what came out last, where a condition may take them back.

use crate::revision::Having;
use arrow::record_batch::RecordBatch;
use citystream_model::Result;
use citystream_model::time::Micros;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// See the module's description.
pub(super) struct Shown {
    having: Having,
    /// Keys by the end of their window, which is when it closes.
    keys: BTreeMap<Micros, HashSet<u32>>,
    /// Windows whose keys are not those of the last checkpoint.
    unsaved: BTreeSet<Micros>,
}

// === impl Shown ===

impl Shown {
    pub(super) fn new(having: Having) -> Self {
        Self { having, keys: BTreeMap::new(), unsaved: BTreeSet::new() }
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
        self.unsaved.insert(end);
        self.having.mark(rows, &marks)
    }

    /// Takes notice that groups were results.
    pub(super) fn restore(&mut self, end: Micros, keys: impl Iterator<Item = u32>) {
        self.keys.entry(end).or_default().extend(keys);
    }

    /// Forgets windows that end by `watermark`.
    pub(super) fn close(&mut self, watermark: Micros) {
        let first = watermark.saturating_add(1);
        (self.keys, self.unsaved) = (self.keys.split_off(&first), self.unsaved.split_off(&first));
    }

    /// The keys by window for a checkpoint: all, or those of windows that have changed since the last one. What is read back
    /// from several may hold keys that were results once, which then are removed once more.
    pub(super) fn save(&mut self, whole: bool) -> Vec<(Micros, Vec<u32>)> {
        let unsaved = std::mem::take(&mut self.unsaved);
        let is_wanted = |end: &Micros, keys: &HashSet<u32>| (whole || unsaved.contains(end)) && !keys.is_empty();
        let wanted = self.keys.iter().filter(|(end, keys)| is_wanted(end, keys));
        wanted.map(|(end, keys)| (*end, keys.iter().copied().collect())).collect()
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
