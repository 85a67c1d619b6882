//! Reads tables back: of Parquet tables published files only, as any reader of the folder would; of Delta tables what the log
//! says.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use citystream_codec::RowEncoder;
use citystream_lake::delta::Place;
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

/// What the log of a Delta table in a local folder says that it holds.
fn read_delta(table: &Path) -> Vec<RecordBatch> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let display = table.to_str().unwrap().to_owned();
    let (store, prefix) = citystream_connect::files::open_store(&display).unwrap();
    citystream_lake::delta::read_rows(Place { store, prefix, display, handle: runtime.handle().clone() }).unwrap()
}

/// Has another reader count the rows of a Delta table: `deltalake` for Python says which files count, DuckDB reads them.
/// `CITYSTREAM_TEST_DELTA_PYTHON` is the interpreter that has both; without it nothing is checked.
pub(crate) fn check_with_python(table: &Path, expected: &[String]) {
    let Ok(python) = std::env::var("CITYSTREAM_TEST_DELTA_PYTHON") else {
        eprintln!("skipped: reading {} from Python: CITYSTREAM_TEST_DELTA_PYTHON is not set", table.display());
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/services/delta_rows.py");
    let read = std::process::Command::new(python).args([Path::new(script), table]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    // The two write numbers in their own ways.
    fn plain<'a>(rows: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut rows: Vec<String> =
            rows.map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap().to_string()).collect();
        rows.sort();
        rows
    }
    let found = plain(std::str::from_utf8(&read.stdout).unwrap().lines());
    assert_eq!(found, plain(expected.iter().map(String::as_str)), "{}", table.display());
}

/// All rows of a Parquet or Delta table, `None` when it has none.
pub(crate) fn batch(table: &Path) -> Option<RecordBatch> {
    let is_delta = table.join("_delta_log").is_dir();
    let mut batches = if is_delta { read_delta(table) } else { Vec::new() };
    for file in files(table).into_iter().filter(|_| !is_delta) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
        batches.extend(reader.build().unwrap().map(|batch| batch.unwrap()));
    }
    let schema = batches.first()?.schema();
    Some(concat_batches(&schema, &batches).unwrap())
}

/// The rows as JSON texts that keep every bit of a finite number, sorted.
pub(crate) fn rows(table: &Path) -> Vec<String> {
    let Some(batch) = batch(table) else { return Vec::new() };
    let mut rows = encode(&batch);
    rows.sort();
    rows
}

fn encode(batch: &RecordBatch) -> Vec<String> {
    let encoded = RowEncoder::new(&batch.schema(), &[]).unwrap().encode(batch).unwrap();
    encoded.into_iter().map(|row| String::from_utf8(row.value).unwrap()).collect()
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
