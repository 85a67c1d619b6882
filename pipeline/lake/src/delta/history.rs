//! The versions of a Delta table, read backwards: which one has no row of an epoch that is to be taken back.

use super::table::Table;
use citystream_model::{Error, Result};
use deltalake_core::DeltaTable;
use deltalake_core::kernel::{Action, Version};
use deltalake_core::logstore::get_actions;
use std::ops::Range;

/// What a version of the table is to a job.
struct Step {
    /// The job's epoch, if the commit is one of the job's.
    epoch: Option<u64>,
    /// True when it is such that rows were taken back.
    is_restore: bool,
    /// True when rows came or went.
    has_changed_rows: bool,
}

/// The newest version without rows of `epochs` of the job `app`; `None` when there is nothing to take back, or that was
/// done before.
///
/// # Errors
/// Another writer has changed rows since, so that no version is right; the log cannot be read as far.
pub(super) async fn last_before(
    table: &Table,
    delta: &DeltaTable,
    app: &str,
    epochs: &Range<u64>,
) -> Result<Option<Version>> {
    let (mut first, mut foreign) = (None, Vec::new());
    if table.newest(app).await?.is_none_or(|known| known < epochs.start) {
        return Ok(None);
    }
    let newest = delta.version().unwrap_or(0);
    for version in (1..=newest).rev() {
        let Some(step) = read(table, version, app).await? else { return Err(too_old(table, epochs, version)) };
        match step.epoch {
            Some(epoch) if epoch < epochs.start => break,
            // The number of a RESTORE is that of the last epoch that it has taken back.
            Some(epoch) if first.is_none() && step.is_restore && epoch + 1 >= epochs.end => return Ok(None),
            Some(_) => first = Some(version),
            None if step.has_changed_rows => foreign.push(version),
            None => {}
        }
    }
    let Some(first) = first else { return Ok(None) };
    match foreign.iter().find(|version| **version > first) {
        None => Ok(Some(first - 1)),
        Some(version) => {
            let message = format!(
                "Delta table {}: epochs {} to {} have to be taken back, but version {version} is another writer's; \
                 restore it to version {} by hand and put the other rows in again",
                table.place.display,
                epochs.start,
                epochs.end - 1,
                first - 1
            );
            Err(Error::unavailable(message).permanent())
        }
    }
}

fn too_old(table: &Table, epochs: &Range<u64>, version: Version) -> Error {
    let message = format!(
        "Delta table {}: epochs {} to {} have to be taken back, but its log is kept from version {} on only",
        table.place.display,
        epochs.start,
        epochs.end - 1,
        version + 1
    );
    Error::unavailable(message).permanent()
}

/// What version `version` did; `None` when its entry is not kept any more.
async fn read(table: &Table, version: Version, app: &str) -> Result<Option<Step>> {
    let failure = |error| table.failure("read the history of", error);
    let Some(bytes) = table.log_store().read_commit_entry(version).await.map_err(failure)? else { return Ok(None) };
    let mut step = Step { epoch: None, is_restore: false, has_changed_rows: false };
    for action in get_actions(version, &bytes).map_err(failure)? {
        match action {
            Action::Txn(txn) if txn.app_id == app => step.epoch = u64::try_from(txn.version).ok(),
            Action::CommitInfo(info) => step.is_restore = info.operation.as_deref() == Some("RESTORE"),
            Action::Add(add) => step.has_changed_rows |= add.data_change,
            Action::Remove(remove) => step.has_changed_rows |= remove.data_change,
            _ => {}
        }
    }
    Ok(Some(step))
}
