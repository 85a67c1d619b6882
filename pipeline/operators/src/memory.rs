//! The memory of one job: what its operators hold, and what DataFusion asks for while windows close, under one limit.

use crate::plan::StreamPlan;
use arrow::record_batch::RecordBatch;
use citystream_model::duration::format_size;
use citystream_model::{Error, Result};
use datafusion::common::{DataFusionError, resources_datafusion_err};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many of the parts of a query that ask for most are named when there is no more.
const NAMED: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// The limit of a job, and what is taken of it.
#[derive(Debug)]
pub struct Memory {
    limit: usize,
    /// Bytes of operators' state and of unpublished output, as last reported.
    held: AtomicUsize,
    /// Bytes that DataFusion has while it runs SQL over closed windows.
    asked: AtomicUsize,
    /// What was said when there was no more.
    refused: Mutex<Option<String>>,
}

/// A [`Memory`] as DataFusion sees it.
#[derive(Debug)]
struct Pool(Arc<Memory>);

// === impl Memory ===

impl Memory {
    /// At most `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Arc::new(Self { limit, held: AtomicUsize::new(0), asked: AtomicUsize::new(0), refused: Mutex::new(None) })
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit as u64
    }

    /// Says how many bytes state and unpublished output take now.
    pub fn hold(&self, bytes: usize) {
        self.held.store(bytes, Ordering::Relaxed);
    }

    /// `plan`, whose SQL asks this memory for what it needs. It never spills: operators do no I/O.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when DataFusion refuses its own settings.
    pub fn bound(self: &Arc<Self>, mut plan: StreamPlan) -> Result<StreamPlan> {
        let pool = TrackConsumersPool::new(Pool(Arc::clone(self)), NAMED);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|error| Error::internal("memory of a job").caused_by(error))?;
        plan.runtime = runtime;
        Ok(plan)
    }

    /// What was said when DataFusion last asked for more than there was: its own words for it may name a part of it only.
    pub fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refusal(&self, more: usize) -> DataFusionError {
        let size = |bytes: usize| format_size(bytes as u64);
        let (held, asked) = (self.held.load(Ordering::Relaxed), self.asked.load(Ordering::Relaxed));
        let text = format!(
            "the SQL of closing windows asks for {} beside the {} that it has and {} of open windows and output, expected \
             at most {} in all; set memory_limit to {} at the least, or make windows smaller",
            size(more),
            size(asked),
            size(held),
            size(self.limit),
            size(held.saturating_add(asked).saturating_add(more))
        );
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
        resources_datafusion_err!("{text}")
    }
}

// === impl Pool ===

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        "job"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        self.0.asked.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, _: &MemoryReservation, shrink: usize) {
        self.0.asked.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, _: &MemoryReservation, additional: usize) -> Result<(), DataFusionError> {
        let free = self.0.limit.saturating_sub(self.0.held.load(Ordering::Relaxed));
        let grown = |asked: usize| asked.checked_add(additional).filter(|asked| *asked <= free);
        match self.0.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.0.refusal(additional)),
        }
    }

    fn reserved(&self) -> usize {
        self.0.asked.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.0.limit)
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job({})", format_size(self.0.limit as u64))
    }
}

/// Bytes of the rows of a batch. Batches cut from one buffer count their own parts of it only.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(column.get_array_memory_size())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use datafusion::execution::memory_pool::MemoryConsumer;

    #[test]
    fn state_and_closing_windows_share_the_limit() {
        let memory = Memory::new(100 << 20);
        let pool: Arc<dyn MemoryPool> = Arc::new(Pool(Arc::clone(&memory)));
        let reservation = MemoryConsumer::new("join").register(&pool);
        memory.hold(60 << 20);
        reservation.try_grow(40 << 20).unwrap();
        let refused = reservation.try_grow(1 << 20).unwrap_err().to_string();
        for part in
            ["asks for 1024 KiB", "the 40 MiB that", "60 MiB of open windows", "at most 100 MiB", "to 101 MiB at"]
        {
            assert!(refused.contains(part), "{part} in {refused}");
        }
        assert!(memory.refused().is_some_and(|text| refused.contains(&text)));
        reservation.shrink(40 << 20);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn slices_count_their_own_part() {
        let columns: [(&str, ArrayRef); 2] = [
            ("a", Arc::new(Int64Array::from_iter_values(0..1_000))),
            ("b", Arc::new(StringArray::from_iter_values((0..1_000).map(|_| "a text of twenty-two..")))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let whole = batch_bytes(&batch);
        assert!((30_000..36_000).contains(&whole), "{whole}");
        let parts: usize = (0..10).map(|part| batch_bytes(&batch.slice(part * 100, 100))).sum();
        assert!((whole..whole + 200).contains(&parts), "{parts} of {whole}");
    }
}
