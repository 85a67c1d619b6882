//! What is done for Delta tables beside the jobs that write them: small files are merged (OPTIMIZE), and what is not needed
//! any more is removed (VACUUM).
//!
//! Limits: one table of the process at a time, one thread; a table is looked at after [`LOOK_EVERY`] new files, and merged
//! when some partition has [`FEW`] files that are small; merged files grow in steps of [`STEP`], so that a row is written
//! again a few times in its life, not once per merge. Files that the log has removed stay for the table's
//! `delta.deletedFileRetentionDuration` (a week); files that the log never had, those of processes that were killed, go after a
//! week where the table does not name a time.
//!
//! Nothing depends on it: a merge that fails, or meets another writer, is tried again later.

use super::table::Table;
use deltalake_core::operations::vacuum::VacuumMode;
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaResult, DeltaTable};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

/// New files of a table after which it is looked at.
const LOOK_EVERY: usize = 16;
/// Small files of one partition that are worth a merge.
const FEW: usize = 32;
/// By how much a merged file is larger than those of the step before.
const STEP: u64 = 16;
/// Sizes below it are not told apart.
const SMALLEST: u64 = 1 << 20;
/// Time between two removals of old files.
const VACUUM_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Requests under way at once while old files are looked for.
const SCANS: usize = 2;
/// For how long a table keeps files that its log has removed, if it says so.
const RETENTION: &str = "delta.deletedFileRetentionDuration";
/// A long merge commits what it has so often.
const COMMIT_EVERY: Duration = Duration::from_secs(60);

/// What the tables of a process share.
#[derive(Debug, Clone, Default)]
pub struct Duties {
    tables: Arc<Mutex<BTreeMap<String, Tended>>>,
    /// True while one table is being looked after.
    is_busy: Arc<AtomicBool>,
}

/// What was done for one table.
#[derive(Debug, Default)]
struct Tended {
    /// New files since it was looked at.
    new_files: usize,
    vacuumed_at: Option<Instant>,
}

/// One table to look after.
struct Task {
    delta: DeltaTable,
    folder: String,
    merge_to: Option<NonZeroU64>,
    vacuum: bool,
}

/// Gives the place free at the end, whatever end it is.
struct Busy(Arc<AtomicBool>);

// === impl Duties ===

impl Duties {
    /// Nothing is ever done.
    pub fn none() -> Self {
        let none = Self::default();
        none.is_busy.store(true, Ordering::Release);
        none
    }

    /// Looks after `table` on a thread of its own, if it is worth while, now that it has `files` more.
    pub(super) fn tend(&self, table: &Table, file_target: u64, files: usize) {
        if !self.is_due(&table.place.display, files) || self.is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let busy = Busy(Arc::clone(&self.is_busy));
        let Some(task) = self.task(table, file_target) else { return };
        let spawned = std::thread::Builder::new().name("tend-tables".to_owned()).spawn(move || {
            let _busy = busy;
            task.run();
        });
        if let Err(error) = spawned {
            tracing::warn!(table = table.place.display, %error, "no thread to merge small files, they stay for now");
        }
    }

    fn is_due(&self, display: &str, files: usize) -> bool {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let tended = tables.entry(display.to_owned()).or_default();
        tended.new_files += files;
        tended.new_files >= LOOK_EVERY && std::mem::take(&mut tended.new_files) > 0
    }

    fn task(&self, table: &Table, file_target: u64) -> Option<Task> {
        let delta = table.seen()?;
        let merge_to = merge_to(delta.snapshot().ok()?, file_target);
        let folder = table.place.display.clone();
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let tended = tables.entry(folder.clone()).or_default();
        let vacuum = tended.vacuumed_at.is_none_or(|at| at.elapsed() >= VACUUM_EVERY);
        if vacuum {
            tended.vacuumed_at = Some(Instant::now());
        }
        (vacuum || merge_to.is_some()).then_some(Task { delta, folder, merge_to, vacuum })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

// === impl Task ===

impl Task {
    fn run(self) {
        let Self { delta, folder, merge_to, vacuum } = self;
        // Of its own: one thread is the limit, and it may be there when the process ends.
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::warn!(table = folder, %error, "small files stay for now"),
        };
        if let Some(target) = merge_to {
            match runtime.block_on(merge(delta.clone(), target)) {
                Ok((removed, added)) => tracing::info!(table = folder, removed, added, "small files are merged"),
                Err(error) => tracing::warn!(table = folder, %error, "small files stay for now"),
            }
        }
        if vacuum {
            match runtime.block_on(remove_old(delta)) {
                Ok(0) => {}
                Ok(removed) => tracing::info!(table = folder, removed, "old files are removed"),
                Err(error) => tracing::warn!(table = folder, %error, "old files stay for now"),
            }
        }
    }
}

/// The size in bytes up to which files are worth merging; `None` when they are not.
fn merge_to(state: &DeltaTableState, file_target: u64) -> Option<NonZeroU64> {
    let mut sizes: BTreeMap<Vec<(String, Option<String>)>, Vec<u64>> = BTreeMap::new();
    for file in state.log_data().iter() {
        let mut partition: Vec<_> = file.partition_values_map().into_iter().collect();
        partition.sort_unstable();
        sizes.entry(partition).or_default().push(u64::try_from(file.size()).unwrap_or(0));
    }
    let target = steps(file_target).find(|target| {
        // Those that are half as large need no other half.
        let small = |sizes: &Vec<u64>| sizes.iter().filter(|size| **size < target / 2).count();
        sizes.values().any(|sizes| small(sizes) >= FEW)
    });
    NonZeroU64::new(target?)
}

/// Sizes of merged files, small ones first, up to `file_target`.
fn steps(file_target: u64) -> impl Iterator<Item = u64> {
    let below = std::iter::successors(Some(SMALLEST), |size| size.checked_mul(STEP));
    below.take_while(move |size| size.saturating_mul(2) < file_target).chain([file_target])
}

/// Merges the small files of each partition; files removed and added.
pub(super) async fn merge(delta: DeltaTable, target: NonZeroU64) -> DeltaResult<(u64, u64)> {
    let merge =
        delta.optimize().with_target_size(target).with_max_concurrent_tasks(1).with_min_commit_interval(COMMIT_EVERY);
    let (_, metrics) = merge.await?;
    Ok((metrics.num_files_removed, metrics.num_files_added))
}

/// Removes files that no reader needs any more; how many.
pub(super) async fn remove_old(mut delta: DeltaTable) -> DeltaResult<usize> {
    delta.update_state().await?;
    // A table with a time of its own may keep files for less time than they wait to be published.
    let is_usual = !delta.snapshot()?.metadata().configuration().contains_key(RETENTION);
    let mode = if is_usual { VacuumMode::Full } else { VacuumMode::Lite };
    let (_, metrics) = delta.vacuum().with_mode(mode).with_scan_concurrency(SCANS).await?;
    Ok(metrics.files_deleted.len())
}
