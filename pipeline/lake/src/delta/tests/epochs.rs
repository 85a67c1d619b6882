//! Epochs: seen once decided, once, whoever publishes them and however often.

use super::*;
use crate::delta::{clear, holds_rows};
use deltalake_core::kernel::Action;
use deltalake_core::kernel::transaction::CommitBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};

#[test]
fn rows_are_seen_once_their_epoch_is_published() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    assert_eq!(job.publisher.newest().unwrap(), None);
    let (epoch, files) = job.stage(&cars([1, 2]));
    assert_eq!((lake.cars(), lake.files()), (vec![], 1));
    let published = job.publisher.publish(epoch, &files).unwrap();
    assert_eq!((published.len(), published[0].rows, published[0].path.as_str()), (1, 2, files[0].to.as_str()));
    assert_eq!((lake.cars(), job.publisher.newest().unwrap()), (vec![1, 2], Some(1)));
    // Another instance, that does not know.
    let mut again = lake.job("5f3a", "w2", 2);
    again.publisher.publish(epoch, &files).unwrap();
    assert_eq!((lake.cars(), lake.delta().version()), (vec![1, 2], Some(1)));
    again.publish(&cars([3]));
    job.publisher.publish(epoch, &files).unwrap();
    assert_eq!((lake.cars(), job.publisher.newest().unwrap()), (vec![1, 2, 3], Some(2)));
}

#[test]
fn an_epoch_whose_file_is_gone_is_not_published() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    job.publish(&cars([1]));
    let (epoch, files) = job.stage(&cars([2]));
    let table = lake.table();
    table.run(table.remove([table.path(&files[0].to).unwrap()])).unwrap();
    let error = job.publisher.publish(epoch, &files).unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("found nothing at part-5f3a-000002"), "{error}");
    assert_eq!(lake.cars(), [1]);
}

#[test]
fn files_that_no_epoch_needs_are_removed_and_no_others() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    job.publish(&cars([1]));
    let (_, lost) = job.stage(&cars([2]));
    let (_, kept) = job.stage(&cars([3]));
    let (_, newer) = job.stage(&cars([4]));
    lake.job("77aa", "w1", 2).stage(&cars([5]));
    assert_eq!((lake.files(), lost.len()), (5, 1));
    job.publisher.discard(3, &kept).unwrap();
    assert_eq!(lake.files(), 4, "that of epoch 2 goes; one is published, one kept, one newer, one another job's");
    job.publisher.publish(3, &kept).unwrap();
    job.publisher.publish(4, &newer).unwrap();
    job.publisher.discard(9, &[]).unwrap();
    assert_eq!((lake.cars(), lake.files()), (vec![1, 3, 4], 4));
    // What a merge has removed from the log stays for readers of older versions.
    lake.runtime
        .block_on(crate::delta::duties::merge(lake.delta(), std::num::NonZeroU64::new(1 << 20).unwrap()))
        .unwrap();
    job.publisher.discard(9, &[]).unwrap();
    assert_eq!((lake.cars(), lake.files()), (vec![1, 3, 4], 5));
}

#[test]
fn rows_of_lost_epochs_are_taken_back_once() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    for number in 1..=4 {
        job.publish(&cars([number]));
    }
    // A merge in between is undone with what it has merged.
    lake.runtime
        .block_on(crate::delta::duties::merge(lake.delta(), std::num::NonZeroU64::new(1 << 20).unwrap()))
        .unwrap();
    job.publish(&cars([5]));
    for _ in 0..2 {
        job.publisher.take_back(3..7).unwrap();
        assert_eq!((lake.cars(), job.publisher.newest().unwrap()), (vec![1, 2], Some(6)));
    }
    let version = lake.delta().version();
    let mut next = lake.job("5f3a", "w2", 7);
    next.publish(&cars([30]));
    next.publish(&cars([40]));
    assert_eq!((lake.cars(), lake.delta().version()), (vec![1, 2, 30, 40], version.map(|version| version + 2)));
    // The same checkpoint is lost to, once more and for longer.
    next.publisher.take_back(3..12).unwrap();
    assert_eq!((lake.cars(), next.publisher.newest().unwrap()), (vec![1, 2], Some(11)));
    let mut last = lake.job("5f3a", "w3", 12);
    last.publish(&cars([3]));
    last.publisher.take_back(13..15).unwrap();
    assert_eq!(lake.cars(), [1, 2, 3], "nothing of these epochs was published");
}

#[test]
fn the_first_epoch_of_a_job_can_be_taken_back() {
    let lake = Lake::new();
    lake.job("77aa", "w1", 1).publish(&cars([1]));
    let mut job = lake.job("5f3a", "w1", 1);
    job.publish(&cars([2]));
    job.publisher.take_back(1..3).unwrap();
    assert_eq!(lake.cars(), [1]);
}

#[test]
fn an_epoch_that_is_taken_back_before_it_was_published_never_is() {
    for first in [1, 2] {
        let lake = Lake::new();
        let mut sleeper = lake.job("5f3a", "w1", 1);
        for number in 1..first {
            sleeper.publish(&cars([number]));
        }
        let (epoch, files) = sleeper.stage(&cars([2]));
        // Whoever goes on without its checkpoint; the table may not be there yet.
        for _ in 0..2 {
            lake.job("5f3a", "w2", epoch + 2).publisher.take_back(epoch..epoch + 1).unwrap();
        }
        sleeper.publisher.publish(epoch, &files).unwrap();
        assert_eq!(lake.cars(), (1..first).collect::<Vec<_>>());
        let mut next = lake.job("5f3a", "w2", epoch + 2);
        next.publish(&cars([2]));
        assert_eq!(lake.cars(), (1..=2).skip(2 - first as usize).collect::<Vec<_>>());
    }
}

#[test]
fn a_log_that_forgets_epochs_is_refused() {
    let properties = [("delta.setTransactionRetentionDuration", "interval 7 days")];
    let lake = super::columns::made(&properties);
    let error = lake.job("5f3a", "w1", 1).publisher.newest().unwrap_err();
    assert!(
        error.to_string().contains("found the property delta.setTransactionRetentionDuration = 'interval 7 days'"),
        "{error}"
    );
    // A run without epochs has none to remember.
    let mut free = lake.sink(Naming::Run("r".to_owned()));
    free.write(&cars([1]), 0).unwrap();
    free.flush().unwrap();
    assert_eq!(lake.cars(), [1]);
}

#[test]
fn rows_of_another_writer_are_not_taken_back() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    job.publish(&cars([1]));
    lake.job("77aa", "w1", 1).publish(&cars([10]));
    job.publish(&cars([2]));
    // Those before the lost epoch are no hindrance.
    job.publisher.take_back(2..3).unwrap();
    assert_eq!(lake.cars(), [1, 10]);
    let mut job = lake.job("5f3a", "w1", 3);
    job.publish(&cars([3]));
    lake.job("77aa", "w1", 2).publish(&cars([20]));
    let error = job.publisher.take_back(3..4).unwrap_err();
    let expected = "version 6 is another writer's; restore it to version 4 by hand";
    assert!(!error.is_retryable() && error.to_string().contains(expected), "{error}");
    assert_eq!(lake.cars(), [1, 3, 10, 20]);
}

#[test]
fn writers_at_once_lose_nothing() {
    let lake = Lake::new();
    std::thread::scope(|scope| {
        for job in 0..4_i64 {
            let lake = &lake;
            scope.spawn(move || {
                let mut job_of = lake.job(&format!("j{job}"), "w", 1);
                for number in 0..6 {
                    job_of.publish(&cars([job * 10 + number]));
                }
            });
        }
        let lake = &lake;
        scope.spawn(move || {
            let mut free = lake.sink(Naming::Run("r".to_owned()));
            for number in 0..6 {
                free.write(&cars([40 + number]), 0).unwrap();
                free.flush().unwrap();
            }
        });
    });
    let expected: Vec<i64> = (0..5).flat_map(|job| (0..6).map(move |number| job * 10 + number)).collect();
    assert_eq!(lake.cars(), expected);
}

#[test]
fn a_table_is_emptied_once_in_the_life_of_a_job() {
    let lake = Lake::new();
    assert!(!holds_rows(lake.place()).unwrap());
    let mut free = lake.sink(Naming::Run("r".to_owned()));
    free.write(&cars([1]), 0).unwrap();
    assert_eq!(free.flush().unwrap()[0].path, "part-r-000000.parquet");
    assert!(holds_rows(lake.place()).unwrap());
    clear(lake.place(), Some("5f3a")).unwrap();
    assert!(!holds_rows(lake.place()).unwrap());
    let mut job = lake.job("5f3a", "w1", 1);
    job.publish(&cars([2]));
    // A sleeper of the same job wakes up.
    clear(lake.place(), Some("5f3a")).unwrap();
    assert_eq!(lake.cars(), [2]);
    clear(lake.place(), None).unwrap();
    assert_eq!(lake.cars(), [0; 0]);
}

#[test]
fn files_without_a_log_count_as_rows_and_go() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    job.stage(&cars([1]));
    lake.job("77aa", "w1", 1).stage(&cars([1]));
    assert!(holds_rows(lake.place()).unwrap());
    clear(lake.place(), Some("5f3a")).unwrap();
    assert_eq!(lake.files(), 1, "the job's own stays");
}

#[test]
fn a_log_that_is_cut_off_behind_is_an_error_not_a_guess() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    job.publish(&cars([1]));
    let path = lake.folder.path().join("data/city/cars/_delta_log/00000000000000000001.json");
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = lake.open(naming("5f3a", "w2", 2), schema(), PartitionBy::None).err().unwrap();
    assert!(error.to_string().contains("cannot read Delta table"), "{error}");
}

#[test]
fn a_commit_names_who_wrote_it() {
    let lake = Lake::new();
    lake.job("5f3a", "w1", 1).publish(&cars([1]));
    let delta = lake.delta();
    let state = delta.snapshot().unwrap().clone();
    let found =
        lake.runtime.block_on(state.transaction_version(delta.log_store().as_ref(), "citystream-5f3a")).unwrap();
    assert_eq!(found, Some(1));
    // A writer that counts its own numbers does not touch ours.
    let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
    let other = Action::Txn(deltalake_core::kernel::Transaction::new("etl", 99));
    let commit = CommitBuilder::default().with_actions(vec![other]).build(Some(&state), delta.log_store(), operation);
    lake.runtime.block_on(async { commit.await.unwrap() });
    assert_eq!(lake.job("5f3a", "w2", 2).publisher.newest().unwrap(), Some(1));
}

#[test]
fn a_log_that_vanishes_is_not_begun_anew() {
    let lake = Lake::new();
    let mut job = lake.job("5f3a", "w1", 1);
    job.publish(&cars([1]));
    job.publisher.check_kept(1).unwrap();
    let error = job.publisher.check_kept(2).unwrap_err();
    let expected = "found epoch 1 as the newest of this job in its log, expected epoch 2";
    assert!(!error.is_retryable() && error.to_string().contains(expected), "{error}");
    let log = lake.folder.path().join("data/city/cars/_delta_log");
    let aside = log.with_file_name("_aside");
    std::fs::rename(&log, &aside).unwrap();
    let (epoch, files) = job.stage(&cars([2]));
    for _ in 0..2 {
        let error = job.publisher.publish(epoch, &files).unwrap_err();
        assert!(error.to_string().contains("cannot read Delta table"), "{error}");
    }
    // A process that has never seen it knows what was published.
    let error = lake.job("5f3a", "w2", 3).publisher.check_kept(1).unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("found no log that has epochs of this job"), "{error}");
    std::fs::rename(&aside, &log).unwrap();
    job.publisher.publish(epoch, &files).unwrap();
    assert_eq!(lake.cars(), [1, 2]);
}
