//! Files being written: one Parquet writer in memory per folder, and when each is finished.

use super::sink::Finished;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::collections::BTreeMap;

/// Rows of a row group: large enough to compress, small enough to skip by its statistics.
const ROW_GROUP_ROWS: usize = 256 * 1024;
/// Bytes of a row group, encoded.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// The open files of a table, by folder.
pub(crate) struct OpenFiles {
    // === PROPERTIES ===
    schema: SchemaRef,
    properties: WriterProperties,
    /// Bytes at which a file is finished.
    file_target: usize,
    /// Bytes of all open files; above it the largest are finished first.
    max_bytes: usize,
    /// Number of open files; above it the oldest are finished first.
    max_files: usize,
    // === STATES ===
    files: BTreeMap<String, OpenFile>,
}

struct OpenFile {
    writer: ArrowWriter<Vec<u8>>,
    rows: u64,
    /// When its first row came.
    since: Micros,
}

// === impl OpenFiles ===

impl OpenFiles {
    pub(crate) fn new(schema: SchemaRef, file_target: u64, max_bytes: usize, max_files: usize) -> Self {
        let level = ZstdLevel::try_new(1).unwrap_or_default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_created_by("citystream".to_owned())
            .build();
        let file_target = usize::try_from(file_target).unwrap_or(usize::MAX);
        Self { schema, properties, file_target, max_bytes, max_files, files: BTreeMap::new() }
    }

    /// Adds rows to the file of `folder`; returns it when it has reached its size.
    pub(crate) fn add(&mut self, folder: String, rows: &RecordBatch, now: Micros) -> Result<Option<Finished>> {
        let file = match self.files.get_mut(&folder) {
            Some(file) => file,
            None => {
                let opened = self.open(now)?;
                self.files.entry(folder.clone()).or_insert(opened)
            }
        };
        file.writer.write(rows).map_err(internal)?;
        file.rows += rows.num_rows() as u64;
        if file.encoded_bytes() >= self.file_target { self.finish(&folder) } else { Ok(None) }
    }

    /// Finishes files until the bounds hold again.
    pub(crate) fn shrink(&mut self) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        let mut sizes: Vec<(usize, String)> =
            self.files.iter().map(|(folder, file)| (file.memory_bytes(), folder.clone())).collect();
        let mut total: usize = sizes.iter().map(|(size, _)| size).sum();
        sizes.sort_unstable();
        while total > self.max_bytes {
            let Some((size, folder)) = sizes.pop() else { break };
            finished.extend(self.finish(&folder)?);
            total -= size;
        }
        while self.files.len() > self.max_files {
            let oldest = self.files.iter().min_by_key(|(_, file)| file.since).map(|(folder, _)| folder.clone());
            let Some(folder) = oldest else { break };
            finished.extend(self.finish(&folder)?);
        }
        Ok(finished)
    }

    /// Finishes the files whose first row came at or before `since`.
    pub(crate) fn finish_older(&mut self, since: Micros) -> Result<Vec<Finished>> {
        let due: Vec<String> =
            self.files.iter().filter(|(_, file)| file.since <= since).map(|(folder, _)| folder.clone()).collect();
        let mut finished = Vec::new();
        for folder in due {
            finished.extend(self.finish(&folder)?);
        }
        Ok(finished)
    }

    /// Bytes of memory that the open files take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.files.values().map(OpenFile::memory_bytes).sum()
    }

    fn open(&self, now: Micros) -> Result<OpenFile> {
        let writer = ArrowWriter::try_new(Vec::new(), self.schema.clone(), Some(self.properties.clone()));
        Ok(OpenFile { writer: writer.map_err(internal)?, rows: 0, since: now })
    }

    fn finish(&mut self, folder: &str) -> Result<Option<Finished>> {
        let Some(file) = self.files.remove(folder) else { return Ok(None) };
        let OpenFile { mut writer, rows, .. } = file;
        let metadata = writer.finish().map_err(internal)?;
        let bytes = std::mem::take(writer.inner_mut());
        Ok(Some(Finished { folder: folder.to_owned(), bytes: bytes.into(), rows, metadata }))
    }
}

// === impl OpenFile ===

impl OpenFile {
    fn encoded_bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    fn memory_bytes(&self) -> usize {
        self.writer.inner().capacity() + self.writer.memory_size()
    }
}

fn internal(error: ParquetError) -> Error {
    Error::internal(format!("parquet sink: rows cannot be encoded: {error}"))
}
