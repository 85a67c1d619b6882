//! Rows that replace one another: the newest of each key stays, whoever brings an epoch in and however often.

use super::*;
use crate::delta::{UpsertSink, upsert};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

impl Lake {
    /// A sink of rows of which one stays per zone and time.
    fn keyed(&self, naming: Naming, partition_by: PartitionBy) -> UpsertSink {
        let key = ["zone".to_owned(), "at".to_owned()];
        upsert(self.config(schema(), partition_by), &key, Duration::from_secs(10), naming).unwrap()
    }

    /// `zone hour cars` of each row, sorted.
    fn shown(&self) -> Vec<String> {
        let batch = self.read();
        let form = FormatOptions::default().with_null("-").with_timestamp_format(Some("%dT%H"));
        let column = |name| ArrayFormatter::try_new(batch.column_by_name(name).unwrap(), &form).unwrap();
        if batch.num_rows() == 0 {
            return Vec::new();
        }
        let columns = ["zone", "at", "cars"].map(column);
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" ");
        let mut rows: Vec<String> = (0..batch.num_rows()).map(row).collect();
        rows.sort();
        rows
    }
}

#[test]
fn the_newest_row_of_a_key_stays() {
    let lake = Lake::new();
    let mut sink = lake.keyed(Naming::Run("r".to_owned()), PartitionBy::None);
    sink.write(&rows(&[(Some("a"), 0, 1), (Some("b"), 0, 2), (Some("a"), 0, 3), (None, 0, 4)]), 0).unwrap();
    sink.write(&rows(&[(Some("a"), 1, 5)]), 0).unwrap();
    assert_eq!(sink.publish_due(5_000_000).unwrap(), [], "not due yet");
    let published = sink.publish_due(10_000_000).unwrap();
    assert_eq!((published.len(), published[0].rows), (1, 4));
    assert_eq!(lake.shown(), ["- 28T23 4", "a 28T23 3", "a 29T00 5", "b 28T23 2"]);
    sink.write(&rows(&[(None, 0, 6), (Some("b"), 0, 7), (Some("c"), 0, 8)]), 0).unwrap();
    sink.flush().unwrap();
    assert_eq!(lake.shown(), ["- 28T23 6", "a 28T23 3", "a 29T00 5", "b 28T23 7", "c 28T23 8"]);
    assert_eq!((sink.flush().unwrap(), sink.buffered_bytes()), (vec![], 0));
}

/// The rows, of which those at `removed` remove the ones of their keys.
fn with_removed(all: &[(Option<&str>, i64, i64)], removed: &[usize]) -> SinkRows {
    SinkRows { removed: (0..all.len()).map(|at| removed.contains(&at)).collect(), ..rows(all) }
}

#[test]
fn a_row_may_remove_the_one_of_its_key() {
    let lake = Lake::new();
    let mut sink = lake.keyed(naming("5f3a", "w1", 1), PartitionBy::Day);
    let publisher = sink.publisher().unwrap();
    let mut publish = |epoch: u64, rows: &[SinkRows]| {
        rows.iter().for_each(|rows| sink.write(rows, 0).unwrap());
        publisher.publish(epoch, &sink.stage().unwrap()).unwrap();
        lake.shown()
    };
    let first = [(Some("a"), 0, 1), (Some("b"), 0, 2), (None, 1, 3)];
    // What was not there is not missed, and what comes behind its removal stays.
    let removed = with_removed(&[(Some("x"), 0, 0), (Some("a"), 0, 0), (Some("a"), 0, 7)], &[0, 1]);
    assert_eq!(publish(1, &[rows(&first), removed]), ["- 29T00 3", "a 28T23 7", "b 28T23 2"]);
    let removed = with_removed(&[(None, 1, 0), (Some("b"), 0, 0), (Some("c"), 0, 4)], &[0, 1]);
    assert_eq!(publish(2, &[removed]), ["a 28T23 7", "c 28T23 4"]);
    assert_eq!(
        publish(3, &[with_removed(&[(Some("a"), 0, 0)], &[0]), rows(&[(Some("a"), 0, 8)])]),
        ["a 28T23 8", "c 28T23 4"]
    );
    assert_eq!(publish(4, &[with_removed(&[(Some("a"), 0, 0), (Some("c"), 0, 0)], &[0, 1])]), [""; 0]);
}

/// A MERGE that changes nothing leaves no commit by itself.
#[test]
fn an_epoch_that_removes_what_is_not_there_is_known_too() {
    let lake = Lake::new();
    let mut sink = lake.keyed(naming("5f3a", "w1", 1), PartitionBy::None);
    let publisher = sink.publisher().unwrap();
    for epoch in 1..=2 {
        sink.write(&with_removed(&[(Some("a"), 0, 1), (None, 0, 1)], &[0, 1]), 0).unwrap();
        let staged = sink.stage().unwrap();
        // Whoever goes on from it publishes it again.
        for _ in 0..2 {
            publisher.publish(epoch, &staged).unwrap();
            publisher.check_kept(epoch).unwrap();
        }
    }
    assert_eq!(lake.shown(), [""; 0]);
}

#[test]
fn files_of_releases_that_removed_no_row_are_merged() {
    let lake = Lake::new();
    let mut sink = lake.keyed(naming("5f3a", "w1", 1), PartitionBy::None);
    let publisher = sink.publisher().unwrap();
    sink.write(&rows(&[(Some("a"), 0, 1)]), 0).unwrap();
    let staged = sink.stage().unwrap();
    // The file as it was: the columns of the table alone.
    let file = lake.folder.path().join("data/city/cars").join(&staged[0].from);
    let found = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap().build().unwrap();
    let found: Vec<RecordBatch> = found.map(Result::unwrap).collect();
    let columns: Vec<usize> = (0..found[0].num_columns() - 1).collect();
    let old = found[0].project(&columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&file).unwrap(), old.schema(), None).unwrap();
    writer.write(&old).unwrap();
    writer.close().unwrap();
    publisher.publish(1, &staged).unwrap();
    assert_eq!(lake.shown(), ["a 28T23 1"]);
}

#[test]
fn an_epoch_is_merged_once() {
    let lake = Lake::new();
    let mut sink = lake.keyed(naming("5f3a", "w1", 1), PartitionBy::Day);
    let publisher = sink.publisher().unwrap();
    sink.write(&rows(&[(Some("a"), 0, 1), (Some("a"), 1, 2)]), 0).unwrap();
    let first = sink.stage().unwrap();
    assert_eq!((first.len(), lake.shown()), (1, vec![]));
    sink.write(&rows(&[(Some("a"), 1, 3)]), 0).unwrap();
    let second = sink.stage().unwrap();
    assert_eq!(sink.stage().unwrap(), []);
    publisher.publish(1, &first).unwrap();
    publisher.publish(2, &second).unwrap();
    // An older instance wakes up.
    publisher.publish(1, &first).unwrap();
    assert_eq!((lake.shown(), publisher.newest().unwrap()), (vec!["a 28T23 1".into(), "a 29T00 3".into()], Some(2)));
    assert_eq!(lake.column("day"), ["2026-03-28", "2026-03-29"]);
    // What was staged is gone; what is new and never decided goes with the next start.
    sink.write(&rows(&[(Some("a"), 1, 4)]), 0).unwrap();
    let lost = sink.stage().unwrap();
    let staged = || std::fs::read_dir(lake.folder.path().join("data/city/cars/_staging")).unwrap().count();
    assert_eq!((lost.len(), staged()), (1, 1));
    publisher.discard(4, &lost).unwrap();
    assert_eq!(staged(), 1);
    publisher.discard(4, &[]).unwrap();
    assert_eq!(staged(), 0);
    let error = publisher.publish(4, &lost).unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("which waits to be merged"), "{error}");
}

#[test]
fn replaced_rows_come_back_with_what_is_taken_back() {
    let lake = Lake::new();
    let mut sink = lake.keyed(naming("5f3a", "w1", 1), PartitionBy::None);
    let publisher = sink.publisher().unwrap();
    for (epoch, cars) in [(1, 10), (2, 20), (3, 30)] {
        sink.write(&rows(&[(Some("a"), 0, cars)]), 0).unwrap();
        publisher.publish(epoch, &sink.stage().unwrap()).unwrap();
    }
    publisher.take_back(2..4).unwrap();
    assert_eq!((lake.shown(), publisher.newest().unwrap()), (vec!["a 28T23 10".to_owned()], Some(3)));
}

#[test]
fn memory_holds_the_newest_rows_only() {
    let lake = Lake::new();
    let mut sink = lake.keyed(Naming::Run("r".to_owned()), PartitionBy::None);
    let batch = rows(&(0..20_000).map(|at| (Some("center"), at % 10, at)).collect::<Vec<_>>());
    for _ in 0..100 {
        sink.write(&batch, 0).unwrap();
        assert!(sink.buffered_bytes() < 40 << 20, "{}", sink.buffered_bytes());
    }
    assert_eq!(sink.flush().unwrap()[0].rows, 10);
    assert_eq!(lake.shown().len(), 10);
}

#[test]
fn many_keys_that_may_be_null_are_merged_by_a_hash_join() {
    let lake = Lake::new();
    let mut sink = lake.keyed(Naming::Run("r".to_owned()), PartitionBy::None);
    // Compared pair by pair, these would take minutes.
    let names: Vec<String> = (0..30_000).map(|key| format!("zone {key}")).collect();
    for cars in 1..=2 {
        let all = names.iter().map(|name| (Some(name.as_str()), 0, cars)).chain([(None, 0, cars), (Some(""), 0, cars)]);
        sink.write(&rows(&all.collect::<Vec<_>>()), 0).unwrap();
        sink.flush().unwrap();
    }
    assert_eq!((lake.cars().len(), lake.cars().iter().all(|cars| *cars == 2)), (30_002, true));
}
