//! Reads tables back as any reader of the folder would.

use super::{World, addresses_of};
use arrow::array::RecordBatch;
use citystream_connect::files::{is_visible, table_path};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// All rows of a table.
pub(crate) fn rows(world: &World, table: &str) -> Vec<RecordBatch> {
    let prefix = table_path(&Path::from("data"), table);
    let files = list(world, &prefix).into_iter().filter(|file| is_visible(&prefix, file));
    let read = |file: Path| {
        let bytes = world.runtime.block_on(async { world.store().get(&file).await.unwrap().bytes().await.unwrap() });
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        reader.map(|batch| batch.unwrap()).collect::<Vec<_>>()
    };
    files.flat_map(read).collect()
}

/// Where the rows of a late or rejects table stood.
pub(crate) fn addresses(world: &World, table: &str) -> Vec<(i32, i64)> {
    rows(world, table).iter().flat_map(addresses_of).collect()
}

/// Files that wait for an epoch.
pub(crate) fn staged(world: &World) -> Vec<Path> {
    let found = list(world, &Path::from("data"));
    found.into_iter().filter(|file| file.as_ref().contains("/_staging/")).collect()
}

fn list(world: &World, prefix: &Path) -> Vec<Path> {
    let store = world.store();
    let listed = store.list(Some(prefix)).map_ok(|file| file.location).try_collect();
    world.runtime.block_on(listed).unwrap()
}
