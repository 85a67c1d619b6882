//! What a Parquet sink asks of the log of a Delta table.

use super::columns::Columns;
use super::duties::Duties;
use super::publisher::DeltaPublisher;
use super::stats::stats;
use super::table::{Change, Mark, Place, Table};
use super::upsert::UpsertSink;
use arrow::datatypes::SchemaRef;
use citystream_connect::Publisher;
use citystream_connect::files::{CompleteFile, Naming, TableLog};
use citystream_model::job::PartitionBy;
use citystream_model::time::{Clock, SystemClock};
use citystream_model::{Error, Result, StagedFile};
use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A Delta table that a job writes.
#[derive(Debug, Clone)]
pub struct DeltaConfig {
    /// Where it lies.
    pub place: Place,
    /// The job's columns, in order.
    pub schema: SchemaRef,
    /// Its folders.
    pub partition_by: PartitionBy,
    /// Name of the sink, such as `delta:congestion`.
    pub name: String,
    /// Size in bytes of a file that is not merged any more.
    pub file_target: u64,
    /// True when its rows are about to be removed, so that its columns may be other ones.
    pub is_replaced: bool,
    /// What is done beside the jobs.
    pub duties: Duties,
}

/// The log of one table.
#[derive(Debug)]
pub(super) struct DeltaLog {
    pub(super) table: Table,
    pub(super) columns: Columns,
    pub(super) name: String,
    file_target: u64,
    duties: Duties,
    /// Where a MERGE is computed.
    apart: OnceLock<Runtime>,
}

/// The log of a table, for [`citystream_connect::ParquetConfig::log`].
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`]: columns that Delta does not have, or that do not fit a table with rows; the store
/// cannot be read.
pub fn log(config: DeltaConfig) -> Result<Arc<dyn TableLog>> {
    Ok(Arc::new(Shared(open(config)?)))
}

/// A sink whose rows replace those of the same `key`, columns of the job.
///
/// # Errors
/// As [`log`].
pub fn upsert(config: DeltaConfig, key: &[String], freshness: Duration, naming: Naming) -> Result<UpsertSink> {
    UpsertSink::new(open(config)?, key, freshness, naming)
}

fn open(config: DeltaConfig) -> Result<Arc<DeltaLog>> {
    let DeltaConfig { place, schema, partition_by, name, file_target, is_replaced, duties } = config;
    let columns = Columns::new(&schema, &partition_by)?;
    let table = Table::new(place)?;
    if let Some(state) = table.run(table.state())? {
        // What is to be replaced has to be a table that can be written, before its rows go.
        let display = &table.place.display;
        if is_replaced { columns.check_rules(&state, display)? } else { columns.fit(&state, display).map(drop)? }
    }
    Ok(Arc::new(DeltaLog { table, columns, name, file_target, duties, apart: OnceLock::new() }))
}

/// A log and those who publish by it.
#[derive(Debug)]
struct Shared(Arc<DeltaLog>);

// === impl Shared ===

impl TableLog for Shared {
    fn entry(&self, file: &CompleteFile<'_>) -> Result<String> {
        let add = Add {
            path: file.name.to_owned(),
            partition_values: file.folder.iter().cloned().collect(),
            size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
            data_change: true,
            stats: Some(stats(&self.0.columns.in_files, file.metadata)?),
            ..Add::default()
        };
        serde_json::to_string(&add)
            .map_err(|error| Error::internal(format!("a file's entry cannot be written: {error}")))
    }

    fn append(&self, files: &[StagedFile]) -> Result<()> {
        self.0.table.run(self.0.add(None, files))?;
        self.0.tend(files.len());
        Ok(())
    }

    fn publisher(&self, identity: &str) -> Arc<dyn Publisher> {
        Arc::new(DeltaPublisher::new(Arc::clone(&self.0), identity))
    }
}

// === impl DeltaLog ===

impl DeltaLog {
    /// Adds files to the table in one commit, which makes it if it is not there.
    pub(super) async fn add(&self, mark: Option<&Mark>, files: &[StagedFile]) -> Result<()> {
        self.table.commit(mark, Some(&self.columns), |state| self.addition(state, files).map(Some)).await
    }

    fn addition(&self, state: &DeltaTableState, files: &[StagedFile]) -> Result<Change> {
        let metadata = self.columns.fit(state, &self.table.place.display)?;
        // In milliseconds; readers take nothing from it but the order of files.
        let now = SystemClock.now() / 1_000;
        let adds = files.iter().map(|file| Ok(Action::Add(Add { modification_time: now, ..entry_of(file)? })));
        let actions = metadata.map(|metadata| Ok(Action::Metadata(metadata))).into_iter().chain(adds);
        let partition_by = (!self.columns.partitions.is_empty()).then(|| self.columns.partitions.clone());
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
        Ok(Change { actions: actions.collect::<Result<_>>()?, operation })
    }

    /// Runs what takes a core for a while, apart from the runtime that serves all jobs, and waits.
    pub(super) fn run_apart<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let runtime = match self.apart.get() {
            Some(runtime) => runtime,
            None => {
                let built = Builder::new_multi_thread().worker_threads(1).thread_name("merge").enable_all().build();
                let built = built.map_err(|error| Error::resource("threads to merge rows").caused_by(error))?;
                self.apart.get_or_init(|| built)
            }
        };
        runtime.block_on(work)
    }

    /// Has the table looked after beside the job, now that it has `files` more.
    pub(super) fn tend(self: &Arc<Self>, files: usize) {
        self.duties.tend(&self.table, self.file_target, files);
    }
}

/// What was noted when the file was put.
fn entry_of(file: &StagedFile) -> Result<Add> {
    let entry =
        file.entry.as_deref().ok_or_else(|| Error::internal(format!("{} has no entry for the log", file.to)))?;
    serde_json::from_str(entry)
        .map_err(|error| Error::internal(format!("the entry of {} cannot be read: {error}", file.to)))
}
