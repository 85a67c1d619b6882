//! Reads Parquet tables back: published files only, as any reader of the folder would.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use citystream_codec::RowEncoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::path::{Path, PathBuf};

/// The published files of a table; none when the folder is not there.
pub(crate) fn files(table: &Path) -> Vec<PathBuf> {
    let Ok(listed) = std::fs::read_dir(table) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in listed.map(|entry| entry.unwrap()) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if name.starts_with('_') || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else if name.ends_with(".parquet") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Copies the files of a folder or object store into a local folder.
pub(crate) fn fetch(from: &str, to: &Path) {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (store, prefix) = citystream_connect::files::open_store(from).unwrap();
    runtime.block_on(async {
        for file in store.list(Some(&prefix)).try_collect::<Vec<_>>().await.unwrap() {
            let below: PathBuf =
                file.location.prefix_match(&prefix).unwrap().map(|part| part.as_ref().to_owned()).collect();
            std::fs::create_dir_all(to.join(&below).parent().unwrap()).unwrap();
            let bytes = store.get(&file.location).await.unwrap().bytes().await.unwrap();
            std::fs::write(to.join(&below), bytes).unwrap();
        }
    });
}

/// All rows of a table, `None` when it has none.
pub(crate) fn batch(table: &Path) -> Option<RecordBatch> {
    let mut batches = Vec::new();
    for file in files(table) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
        batches.extend(reader.build().unwrap().map(|batch| batch.unwrap()));
    }
    let schema = batches.first()?.schema();
    Some(concat_batches(&schema, &batches).unwrap())
}

/// The rows as JSON texts that keep every bit of a finite number, sorted.
pub(crate) fn rows(table: &Path) -> Vec<String> {
    let Some(batch) = batch(table) else { return Vec::new() };
    let encoded = RowEncoder::new(&batch.schema(), &[]).unwrap().encode(&batch).unwrap();
    let mut rows: Vec<String> = encoded.into_iter().map(|row| String::from_utf8(row.value).unwrap()).collect();
    rows.sort();
    rows
}

/// Names of the table's columns.
pub(crate) fn columns(table: &Path) -> Vec<String> {
    let schema = batch(table).unwrap().schema();
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// One column as texts, NULL as `-`, in the order of the files.
pub(crate) fn column(table: &Path, name: &str) -> Vec<String> {
    let batch = batch(table).unwrap();
    let values = batch.column_by_name(name).unwrap();
    let options = FormatOptions::default().with_null("-");
    let shown = ArrayFormatter::try_new(values, &options).unwrap();
    (0..values.len()).map(|row| shown.value(row).to_string()).collect()
}

/// One column of bytes.
pub(crate) fn bytes(table: &Path, name: &str) -> Vec<Option<Vec<u8>>> {
    let batch = batch(table).unwrap();
    batch.column_by_name(name).unwrap().as_binary::<i32>().iter().map(|bytes| bytes.map(<[u8]>::to_vec)).collect()
}
