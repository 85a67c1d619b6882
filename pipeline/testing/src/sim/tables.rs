//! Reads tables back as any reader of the folder would.

use super::{World, addresses_of};
use arrow::array::RecordBatch;
use citystream_connect::files::{is_visible, table_path};
use citystream_lake::delta::{self, Place};
use citystream_model::job::{DELTA, Emit, SinkRef};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::sync::Arc;

/// Where a Delta table lies, as an instance sees the store.
pub(crate) fn place(world: &World, store: Arc<dyn ObjectStore>, table: &str) -> Place {
    let (prefix, handle) = (table_path(&Path::from("data"), table), world.runtime.handle().clone());
    Place { store, prefix, display: format!("memory://simulated/data/{table}"), handle }
}

/// All rows of a table.
pub(crate) fn rows(world: &World, SinkRef { scheme, target }: &SinkRef) -> Vec<RecordBatch> {
    if scheme == DELTA {
        return delta::read_rows(place(world, world.store(), target)).unwrap();
    }
    let prefix = table_path(&Path::from("data"), target);
    let files = list(world, &prefix).into_iter().filter(|file| is_visible(&prefix, file));
    let read = |file: Path| {
        let bytes = world.runtime.block_on(async { world.store().get(&file).await.unwrap().bytes().await.unwrap() });
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        reader.map(|batch| batch.unwrap()).collect::<Vec<_>>()
    };
    files.flat_map(read).collect()
}

/// Where the rows of a late or rejects table stood.
pub(crate) fn addresses(world: &World, table: &SinkRef) -> Vec<(i32, i64)> {
    rows(world, table).iter().flat_map(addresses_of).collect()
}

/// Files that wait for an epoch, and those of Delta tables that no log has; but a MERGE that was broken off leaves its files to
/// VACUUM.
pub(crate) fn left(world: &World) -> Vec<Path> {
    let found = list(world, &Path::from("data"));
    let mut left: Vec<Path> = found.into_iter().filter(|file| file.as_ref().contains("/_staging/")).collect();
    let spec = &world.job.spec;
    let late = world.job.streams.iter().map(|stream| spec.late_sink(&stream.name, world.job.streams.len()));
    let own = spec.sinks.iter().filter(|_| spec.emit == Emit::Final).cloned();
    for sink in late.chain(own).filter(|sink| sink.scheme == DELTA) {
        left.extend(delta::unknown_files(place(world, world.store(), &sink.target)).unwrap());
    }
    left
}

fn list(world: &World, prefix: &Path) -> Vec<Path> {
    let store = world.store();
    let listed = store.list(Some(prefix)).map_ok(|file| file.location).try_collect();
    world.runtime.block_on(listed).unwrap()
}
