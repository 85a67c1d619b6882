//! Tests of the Parquet sink: folders, publication, bounds, failures.

use super::store::failure;
use super::{
    Naming, ParquetConfig, ParquetSink, check_target, durable, holds_rows, is_visible, open_store, remove_table,
    table_path,
};
use crate::sink::{Published, Sink, SinkRows};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use citystream_model::ErrorKind;
use citystream_model::job::{PartitionBy, SinkRef};
use citystream_model::time::Micros;
use object_store::path::Path;
use object_store::{MultipartUpload as _, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const SECOND: Micros = 1_000_000;
const HOUR: Micros = 3600 * SECOND;

struct Table {
    folder: tempfile::TempDir,
    runtime: Runtime,
    config: ParquetConfig,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("zone", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("cars", DataType::Int64, false),
        Field::new("speed", DataType::Float64, true),
    ]))
}

fn table(partition_by: PartitionBy) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let data = folder.path().join("data");
    let (store, prefix) = open_store(data.to_str().unwrap()).unwrap();
    let config = ParquetConfig {
        store,
        prefix: table_path(&prefix, "city/cars"),
        display: data.join("city/cars").to_str().unwrap().to_owned(),
        schema: schema(),
        partition_by,
        file_target: 1 << 20,
        freshness: Duration::from_secs(10),
        naming: Naming::Run("r1".to_owned()),
        handle: runtime.handle().clone(),
        name: "parquet:city/cars".to_owned(),
        log: None,
    };
    Table { folder, runtime, config }
}

/// Rows `(zone, event time, cars)`.
fn rows(rows: &[(Option<&str>, Option<Micros>, i64)]) -> SinkRows {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0))),
        Arc::new(TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|row| Some(row.2 as f64 / 2.0)))),
    ];
    let batch = RecordBatch::try_new(schema(), columns).unwrap();
    SinkRows::new(batch, rows.iter().map(|row| row.1).collect())
}

impl Table {
    /// `cars` of each visible file, by path below the table.
    fn read(&self) -> BTreeMap<String, Vec<i64>> {
        let root = std::path::Path::new(&self.config.display).to_owned();
        let mut found = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    assert_eq!(path.extension().unwrap(), "parquet", "{path:?}");
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, self.read_file(&path));
                }
            }
        }
        found
    }

    fn read_file(&self, path: &std::path::Path) -> Vec<i64> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
        assert_eq!(reader.schema().fields(), schema().fields());
        let group = reader.metadata().row_group(0);
        assert!(group.column(2).statistics().is_some());
        let mut cars = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let column = batch.column(2).as_any().downcast_ref::<Int64Array>().unwrap();
            cars.extend(column.values().iter().copied());
        }
        cars
    }
}

fn paths(published: &[Published]) -> Vec<&str> {
    published.iter().map(|file| file.path.as_str()).collect()
}

/// Folders that rows of the given event times lie in.
#[track_caller]
fn folders(by: PartitionBy, times: &[Option<Micros>], expected: &[&str]) {
    let table = table(by);
    let mut sink = ParquetSink::open(table.config.clone()).unwrap();
    let all: Vec<_> = times.iter().map(|at| (Some("a"), *at, 1)).collect();
    sink.write(&rows(&all), 0).unwrap();
    let published = sink.flush().unwrap();
    let found: Vec<&str> =
        published.iter().map(|file| file.path.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
    assert_eq!(found, expected);
}

#[test]
fn rows_lie_in_event_time_folders() {
    // 2026-03-29T05:30Z, one hour before the epoch, the last microsecond of 1969, none.
    let times = [Some(1_774_762_200 * SECOND), Some(-HOUR), Some(-1), None, Some(1_774_762_200 * SECOND + HOUR)];
    folders(PartitionBy::None, &times, &[""]);
    folders(PartitionBy::Day, &times, &["day=1969-12-31", "day=2026-03-29", "day=__HIVE_DEFAULT_PARTITION__"]);
    folders(
        PartitionBy::Hour,
        &times,
        &["hour=1969-12-31T23", "hour=2026-03-29T05", "hour=2026-03-29T06", "hour=__HIVE_DEFAULT_PARTITION__"],
    );
    folders(PartitionBy::Month, &times, &["month=1969-12", "month=2026-03", "month=__HIVE_DEFAULT_PARTITION__"]);
    folders(PartitionBy::Day, &[Some(-8_520_336_000_000_000)], &["day=1700-01-01"]);
}

#[test]
fn rows_lie_in_column_folders_with_escaped_values() {
    let table = table(PartitionBy::Columns(vec!["zone".to_owned(), "cars".to_owned()]));
    let mut sink = ParquetSink::open(table.config.clone()).unwrap();
    let batch = rows(&[
        (Some("a/b ß=%"), None, 1),
        (None, None, 2),
        (Some("_x.."), None, 3),
        (Some("a/b ß=%"), None, 1),
        (Some(""), None, 4),
    ]);
    sink.write(&batch, 0).unwrap();
    sink.flush().unwrap();
    let expected = [
        ("zone=/cars=4/part-r1-000000.parquet", vec![4]),
        ("zone=_x../cars=3/part-r1-000002.parquet", vec![3]),
        ("zone=__HIVE_DEFAULT_PARTITION__/cars=2/part-r1-000001.parquet", vec![2]),
        ("zone=a%2Fb%20%C3%9F%3D%25/cars=1/part-r1-000003.parquet", vec![1, 1]),
    ];
    let found = table.read();
    let values: BTreeMap<String, Vec<i64>> =
        found.iter().map(|(path, cars)| (path.rsplit_once('/').unwrap().0.to_owned(), cars.clone())).collect();
    let wanted: BTreeMap<String, Vec<i64>> =
        expected.iter().map(|(path, cars)| (path.rsplit_once('/').unwrap().0.to_owned(), cars.clone())).collect();
    assert_eq!(values, wanted);
    for column in ["nothing", "_hidden"] {
        let mut config = table.config.clone();
        config.partition_by = PartitionBy::Columns(vec![column.to_owned()]);
        assert_eq!(ParquetSink::open(config).err().unwrap().kind(), ErrorKind::Job);
    }
}

#[test]
fn files_are_published_at_flush_once_and_never_change() {
    let table = table(PartitionBy::Day);
    let mut sink = ParquetSink::open(table.config.clone()).unwrap();
    assert_eq!(sink.flush().unwrap(), []);
    assert!(table.read().is_empty(), "a table without rows has no file");
    sink.write(&rows(&[(Some("a"), Some(0), 1)]), 0).unwrap();
    sink.write(&rows(&[(Some("a"), Some(0), 2)]), 0).unwrap();
    assert!(table.read().is_empty() && sink.buffered_bytes() > 0);
    let published = sink.flush().unwrap();
    assert_eq!(paths(&published), ["day=1970-01-01/part-r1-000000.parquet"]);
    assert_eq!((published[0].rows, published[0].sink.as_str()), (2, "parquet:city/cars"));
    assert_eq!(sink.buffered_bytes(), 0);
    assert_eq!(sink.flush().unwrap(), []);
    sink.write(&rows(&[(Some("a"), Some(0), 3)]), 0).unwrap();
    assert_eq!(paths(&sink.flush().unwrap()), ["day=1970-01-01/part-r1-000001.parquet"]);
    assert_eq!(table.read().into_values().collect::<Vec<_>>(), [vec![1, 2], vec![3]]);
    let size = std::fs::metadata(format!("{}/{}", table.config.display, published[0].path)).unwrap().len();
    assert_eq!(size, published[0].bytes);
}

#[test]
fn files_are_published_when_their_oldest_row_reaches_the_freshness() {
    let table = table(PartitionBy::Hour);
    let mut sink = ParquetSink::open(table.config.clone()).unwrap();
    sink.write(&rows(&[(None, Some(0), 1)]), 100 * SECOND).unwrap();
    sink.write(&rows(&[(None, Some(0), 2), (None, Some(HOUR), 3)]), 105 * SECOND).unwrap();
    assert_eq!(sink.publish_due(110 * SECOND - 1).unwrap(), []);
    assert_eq!(paths(&sink.publish_due(110 * SECOND).unwrap()), ["hour=1970-01-01T00/part-r1-000000.parquet"]);
    assert_eq!(paths(&sink.publish_due(115 * SECOND).unwrap()), ["hour=1970-01-01T01/part-r1-000001.parquet"]);
}

#[test]
fn files_are_published_at_their_target_size() {
    let mut table = table(PartitionBy::None);
    table.config.file_target = 20_000;
    let mut sink = ParquetSink::open(table.config.clone()).unwrap();
    let mut files = Vec::new();
    for round in 0..40 {
        let some: Vec<_> = (0..200_i64)
            .map(|i| (None, Some(i * 7919 * 7919 % 1_000_003), (round * 200 + i) * 2_654_435_761 % 1_000_000_007))
            .collect();
        sink.write(&rows(&some), 0).unwrap();
        files.extend(sink.publish_due(0).unwrap());
    }
    assert!(files.len() > 2, "{}", files.len());
    assert!(files.iter().all(|file| (10_000..60_000).contains(&file.bytes)), "{files:?}");
    files.extend(sink.flush().unwrap());
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 8000);
}

#[test]
fn open_files_are_bounded_in_number_and_bytes() {
    let table = table(PartitionBy::Hour);
    let spread: Vec<_> = (0..20).map(|hour| (Some("a"), Some(hour * HOUR), hour)).collect();
    let mut sink = ParquetSink::bounded(table.config.clone(), usize::MAX, 4).unwrap();
    sink.write(&rows(&spread), 0).unwrap();
    assert_eq!(sink.publish_due(0).unwrap().len(), 16);
    let mut config = table.config.clone();
    config.naming = Naming::Run("r2".to_owned());
    let mut sink = ParquetSink::bounded(config, 1, 100).unwrap();
    sink.write(&rows(&spread), 0).unwrap();
    assert_eq!(sink.publish_due(0).unwrap().len(), 20);
    assert_eq!(sink.buffered_bytes(), 0);
}

#[test]
fn a_large_file_goes_in_parts_and_whole() {
    let mut table = table(PartitionBy::None);
    table.config.file_target = 1 << 30;
    let mut sink = ParquetSink::open(table.config.clone()).unwrap();
    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(seed >> 1).unwrap()
    };
    for _ in 0..12 {
        let some: Vec<_> = (0..200_000).map(|_| (None, Some(random() % 1_000_000_000_000_000), random())).collect();
        sink.write(&rows(&some), 0).unwrap();
    }
    let published = sink.flush().unwrap();
    assert!(published[0].bytes > 40 << 20, "{published:?}");
    assert_eq!(table.read().into_values().map(|cars| cars.len()).sum::<usize>(), 2_400_000);
}

#[test]
fn a_failed_publication_leaves_nothing_and_can_be_tried_again() {
    let table = table(PartitionBy::Day);
    let mut sink = ParquetSink::open(table.config.clone()).unwrap();
    // A file stands where the table's folder should be: the same for root and others.
    let blocked = table.folder.path().join("data/city");
    std::fs::write(&blocked, "in the way").unwrap();
    sink.write(&rows(&[(None, Some(0), 1)]), 0).unwrap();
    let error = sink.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("data/city/cars/day=1970-01-01/part-r1-000000.parquet"), "{error}");
    assert!(sink.buffered_bytes() > 0);
    assert!(sink.write(&rows(&[(None, Some(0), 2)]), 0).is_err());
    std::fs::remove_file(&blocked).unwrap();
    sink.write(&rows(&[(None, Some(0), 2)]), 0).unwrap();
    assert_eq!(sink.flush().unwrap().len(), 2);
    assert_eq!(table.read().into_values().collect::<Vec<_>>(), [vec![1], vec![2]]);
}

#[test]
fn store_errors_say_whose_move_it_is() {
    let of = |kind: std::io::ErrorKind| {
        let source = object_store::Error::Generic { store: "x", source: Box::new(std::io::Error::from(kind)) };
        failure("write", "/data/x", source)
    };
    let full = of(std::io::ErrorKind::StorageFull);
    assert_eq!((full.kind(), full.is_retryable()), (ErrorKind::Resource, false));
    assert!(full.to_string().contains("cannot write /data/x: the disk is full; free space"), "{full}");
    let denied = of(std::io::ErrorKind::PermissionDenied);
    assert_eq!((denied.kind(), denied.is_retryable()), (ErrorKind::Unavailable, false));
    let other = of(std::io::ErrorKind::ConnectionReset);
    assert_eq!((other.kind(), other.is_retryable()), (ErrorKind::Unavailable, true));
}

#[test]
fn a_table_holds_rows_when_a_visible_file_does() {
    let table = table(PartitionBy::Day);
    let (store, prefix, handle) = (table.config.store.clone(), table.config.prefix.clone(), table.runtime.handle());
    assert!(!holds_rows(&store, &prefix, handle).unwrap());
    let root = std::path::Path::new(&table.config.display);
    for hidden in ["_log/x.parquet", ".tmp/x.parquet", "day=1/_x.parquet", "day=1/x.parquet#1", "readme.txt"] {
        std::fs::create_dir_all(root.join(hidden).parent().unwrap()).unwrap();
        std::fs::write(root.join(hidden), "x").unwrap();
    }
    assert!(!holds_rows(&store, &prefix, handle).unwrap());
    std::fs::write(root.join("day=1/x.parquet"), "x").unwrap();
    std::fs::write(table.folder.path().join("data/city/neighbour.parquet"), "x").unwrap();
    assert!(holds_rows(&store, &prefix, handle).unwrap());
    remove_table(&store, &prefix, Some("x.par"), handle).unwrap();
    assert!(holds_rows(&store, &prefix, handle).unwrap(), "spared");
    remove_table(&store, &prefix, None, handle).unwrap();
    remove_table(&store, &prefix, None, handle).unwrap();
    assert!(!holds_rows(&store, &prefix, handle).unwrap());
    assert!(holds_rows(&store, &Path::from("city"), handle).unwrap(), "the neighbour stays");
    assert!(
        is_visible(&Path::from("_x/t"), &Path::from("_x/t/day=1/a.parquet")),
        "the table's own path does not count"
    );
}

#[test]
fn targets_are_plain_relative_paths() {
    let allowed = ["s3://lake/city/".to_owned()];
    let check = |scheme: &str, target: &str| {
        check_target(&SinkRef { scheme: scheme.to_owned(), target: target.to_owned() }, &allowed)
    };
    for good in ["congestion", "traffic/congestion", "a-b.c/d_e", "s3://lake/city/x", "s3://lake/city"] {
        check("parquet", good).unwrap();
        check("delta", good).unwrap();
    }
    for bad in [
        "",
        "/etc",
        "a/",
        "a//b",
        "../x",
        "a/../b",
        "a/./b",
        "_x",
        "a/_delta_log",
        ".x",
        "a=b",
        "a.parquet",
        "a#1",
        "a*",
        "a\\b",
        "s3://lake/city2",
        "s3://other/x",
        "s3://lake/city/../x",
        "file:///etc",
    ] {
        let error = check("parquet", bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Job, "{bad}");
    }
    check("kafka", "traffic.jams").unwrap();
    assert!(check("kafka", "a b").is_err());
    let error = check("parket", "x").unwrap_err().to_string();
    assert!(error.contains("did you mean 'parquet:'?"), "{error}");
}

#[test]
fn stores_are_local_folders_or_s3() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let (_, prefix) = open_store(path.to_str().unwrap()).unwrap();
    assert_eq!((prefix.as_ref(), path.is_dir()), ("", true));
    open_store(&format!("file://{}", path.display())).unwrap();
    let (_, prefix) = open_store("s3://bucket/data/city").unwrap();
    assert_eq!(table_path(&prefix, "x/y").as_ref(), "data/city/x/y");
    for bad in ["", "gs://bucket/x", "http://x/y"] {
        assert_eq!(open_store(bad).err().unwrap().kind(), ErrorKind::Job, "{bad}");
    }
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let error = open_store(folder.path().join("file/x").to_str().unwrap()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

/// A table whose files wait for epoch 5 and later ones.
fn epochs(table: &Table) -> ParquetSink {
    let naming = Naming::Epochs { identity: "5f3a".to_owned(), writer: "w1".to_owned(), next: 5 };
    ParquetSink::open(ParquetConfig { naming, file_target: 1, ..table.config.clone() }).unwrap()
}

#[test]
fn files_of_an_epoch_are_visible_once_it_is_decided() {
    let table = table(PartitionBy::Day);
    let mut sink = epochs(&table);
    let publisher = sink.publisher().unwrap();
    sink.write(&rows(&[(Some("a"), Some(0), 1)]), 100 * SECOND).unwrap();
    sink.write(&rows(&[(Some("a"), Some(0), 2)]), 105 * SECOND).unwrap();
    assert!(!sink.is_due(110 * SECOND - 1) && sink.is_due(110 * SECOND));
    assert_eq!((sink.flush().unwrap(), sink.publish_due(Micros::MAX).unwrap()), (vec![], vec![]));
    let staged = sink.stage().unwrap();
    assert!(!sink.is_due(Micros::MAX), "nothing waits any more");
    assert_eq!(staged[0].from, "_staging/5f3a-5-0-w1.parquet");
    assert_eq!(staged[1].to, "day=1970-01-01/part-5f3a-000005-000001.parquet");
    assert!(!holds_rows(&table.config.store, &table.config.prefix, table.runtime.handle()).unwrap());
    let published = publisher.publish(5, &staged).unwrap();
    assert_eq!(paths(&published), [staged[0].to.as_str(), staged[1].to.as_str()]);
    assert_eq!(publisher.publish(5, &staged).unwrap(), published, "the second time it changes nothing");
    sink.write(&rows(&[(Some("a"), Some(0), 3)]), 0).unwrap();
    let next = sink.stage().unwrap();
    assert_eq!(next[0].to, "day=1970-01-01/part-5f3a-000006-000000.parquet");
    publisher.publish(6, &next).unwrap();
    assert_eq!(table.read().into_values().collect::<Vec<_>>(), [vec![1], vec![2], vec![3]]);
    assert_eq!(publisher.newest().unwrap(), Some(6));
    publisher.take_back(6..7).unwrap();
    assert_eq!(table.read().into_values().collect::<Vec<_>>(), [vec![1], vec![2]]);
    let error = publisher.publish(6, &next).unwrap_err();
    assert!(error.to_string().contains("neither staged nor published: found nothing at day=1970-01-01/"), "{error}");
}

#[test]
fn files_of_an_epoch_that_will_never_be_are_removed() {
    let table = table(PartitionBy::Day);
    let mut sink = epochs(&table);
    let publisher = sink.publisher().unwrap();
    sink.write(&rows(&[(None, Some(0), 1)]), 0).unwrap();
    let kept = sink.stage().unwrap();
    sink.write(&rows(&[(None, Some(0), 2)]), 0).unwrap();
    let lost = sink.stage().unwrap();
    let staging = std::path::Path::new(&table.config.display).join("_staging");
    std::fs::write(staging.join("other-5-0-w1.parquet"), "of another job").unwrap();
    // Of an instance that has taken over meanwhile: not this one's to remove.
    std::fs::write(staging.join("5f3a-7-0-w2.parquet"), "of a later epoch").unwrap();
    publisher.discard(6, &kept).unwrap();
    let mut left: Vec<_> = std::fs::read_dir(&staging).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["5f3a-5-0-w1.parquet", "5f3a-7-0-w2.parquet", "other-5-0-w1.parquet"]);
    publisher.publish(5, &kept).unwrap();
    assert!(publisher.publish(6, &lost).is_err());
}

#[test]
fn a_durable_folder_is_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (store, prefix) = durable(folder.path().to_str().unwrap()).unwrap();
    runtime.block_on(async {
        let (from, to) = (prefix.clone().join("a").join("x"), prefix.clone().join("b").join("c").join("y"));
        store.put(&from, "12".into()).await.unwrap();
        store.rename(&from, &to).await.unwrap();
        let mut upload = store.put_multipart(&from).await.unwrap();
        upload.put_part("345".into()).await.unwrap();
        upload.complete().await.unwrap();
        store.copy(&from, &prefix.clone().join("z")).await.unwrap();
        assert!(store.rename(&prefix.clone().join("missing"), &to).await.is_err());
    });
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!([read("a/x"), read("b/c/y"), read("z")], ["345", "12", "345"]);
}
