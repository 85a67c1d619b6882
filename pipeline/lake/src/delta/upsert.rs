//! Rows that replace one another in a Delta table: the newest of each key stays. Serves results that come out before they are
//! final.
//!
//! ```text
//!   rows of an epoch --the last of each key--> _staging/5f3a-17-0-w1.parquet --epoch 17 is decided--> MERGE, txn (.., 17)
//! ```
//!
//! A row may also say that the one of its key is none any more; a last column tells the two apart on their way.
//!
//! With checkpoints an epoch's rows wait in a file that is not the table's; one MERGE, which carries the epoch's number,
//! brings them in. Without, a MERGE is done when `freshness` or memory demands. Bounds of the keys let it skip files.

use super::columns::Columns;
use super::log::DeltaLog;
use super::publisher::DeltaPublisher;
use super::table::{Change, Mark, Place, Table, properties};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use citystream_connect::files::{Naming, Staging, put_file, staged_name};
use citystream_connect::{Published, Publisher, Sink, SinkRows};
use citystream_model::time::{self, Micros};
use citystream_model::{Error, Result, StagedFile};
use datafusion::common::{Column, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::SessionContext;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::kernel::{Action, Metadata};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaResult, DeltaTable};
use object_store::ObjectStoreExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Rows in memory above which those that were replaced are dropped.
const MUCH: usize = 32 << 20;
/// Names of the two sides of a MERGE.
const SOURCE: &str = "newer";
const TARGET: &str = "known";
/// Column that says of a row on its way whether it removes the one of its key.
const REMOVED: &str = "__removed";

/// The sink; see the module.
pub struct UpsertSink {
    // PROPERTIES
    log: Arc<DeltaLog>,
    key: Vec<usize>,
    freshness: Duration,
    naming: Naming,
    // STATES
    /// Rows as they came, with the columns of folders and [`REMOVED`].
    rows: Vec<RecordBatch>,
    /// Bytes of `rows`, and of those that no later one replaces when it was last looked.
    bytes: usize,
    kept_bytes: usize,
    /// When the oldest row came.
    oldest: Option<Micros>,
    /// A file of this epoch that could not be put yet.
    waiting: Option<(StagedFile, Bytes)>,
}

/// Brings the epochs of one job in.
#[derive(Debug)]
struct UpsertPublisher {
    log: Arc<DeltaLog>,
    key: Vec<usize>,
    /// What is done the same way for tables that rows are added to.
    common: DeltaPublisher,
    /// The files that wait.
    staging: Staging,
}

// === impl UpsertSink ===

impl UpsertSink {
    pub(super) fn new(log: Arc<DeltaLog>, key: &[String], freshness: Duration, naming: Naming) -> Result<Self> {
        let position = |name: &String| {
            let wrong = |_| Error::internal(format!("key column '{name}' is not in the table"));
            log.columns.whole().index_of(name).map_err(wrong)
        };
        let key = key.iter().map(position).collect::<Result<_>>()?;
        let (rows, waiting) = (Vec::new(), None);
        Ok(Self { log, key, freshness, naming, rows, bytes: 0, kept_bytes: 0, oldest: None, waiting })
    }

    /// The rows that none after them replaces, as one batch; `None` when there are none.
    fn newest(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let newest = newest_of(&self.rows, &self.key)?;
        self.bytes = newest.get_array_memory_size();
        self.kept_bytes = self.bytes;
        self.rows = vec![newest.clone()];
        Ok(Some(newest))
    }

    fn forget(&mut self) {
        self.rows.clear();
        (self.bytes, self.kept_bytes, self.oldest) = (0, 0, None);
    }

    /// Merges what there is, for a sink without epochs.
    fn merge_now(&mut self) -> Result<Vec<Published>> {
        let Some(rows) = self.newest()? else { return Ok(Vec::new()) };
        let log = Arc::clone(&self.log);
        let (count, bytes) = (rows.num_rows() as u64, self.bytes as u64);
        log.run_apart(log.upsert(None, rows, &self.key))?;
        self.forget();
        log.tend(1);
        Ok(vec![Published { sink: log.name.clone(), path: String::new(), rows: count, bytes }])
    }

    /// Puts the epoch's file.
    fn put(&self, file: &StagedFile, bytes: &Bytes) -> Result<()> {
        let place = &self.log.table.place;
        let put = put_file(&place.store, &place.prefix, &file.from, bytes.clone());
        self.log.table.run(async { put.await.map_err(|error| self.log.table.failure("stage rows of", error.into())) })
    }
}

impl Sink for UpsertSink {
    fn wants_ids(&self) -> bool {
        false
    }

    fn write(&mut self, rows: &SinkRows, now: Micros) -> Result<()> {
        for batch in marked(&self.log.columns, rows)? {
            self.bytes += batch.get_array_memory_size();
            self.rows.push(batch);
        }
        if self.bytes > self.kept_bytes.saturating_mul(2).max(MUCH) {
            self.newest()?;
        }
        self.oldest.get_or_insert(now);
        Ok(())
    }

    fn publish_due(&mut self, now: Micros) -> Result<Vec<Published>> {
        let is_now = matches!(self.naming, Naming::Run(_)) && self.is_due(now);
        if is_now { self.merge_now() } else { Ok(Vec::new()) }
    }

    fn flush(&mut self) -> Result<Vec<Published>> {
        if matches!(self.naming, Naming::Run(_)) { self.merge_now() } else { Ok(Vec::new()) }
    }

    fn buffered_bytes(&self) -> usize {
        self.bytes
    }

    fn is_due(&self, now: Micros) -> bool {
        self.oldest.is_some_and(|oldest| time::has_passed(oldest, time::micros(self.freshness), now))
    }

    fn stage(&mut self) -> Result<Vec<StagedFile>> {
        let Naming::Epochs { identity, writer, next } = self.naming.clone() else {
            return self.merge_now().map(|_| Vec::new());
        };
        if self.waiting.is_none()
            && let Some(rows) = self.newest()?
        {
            let bytes = encode(&rows)?;
            let from = staged_name(&identity, next, 0, &writer);
            let (sink, to) = (self.log.name.clone(), from.clone());
            let (rows, size) = (rows.num_rows() as u64, bytes.len() as u64);
            self.waiting = Some((StagedFile { sink, from, to, rows, bytes: size, entry: None }, bytes));
            self.forget();
        }
        if let Some((file, bytes)) = &self.waiting {
            self.put(file, bytes)?;
        }
        self.naming = Naming::Epochs { identity, writer, next: next + 1 };
        Ok(self.waiting.take().into_iter().map(|(file, _)| file).collect())
    }

    fn publisher(&self) -> Option<Arc<dyn Publisher>> {
        let Naming::Epochs { identity, .. } = &self.naming else { return None };
        let (log, common) = (Arc::clone(&self.log), DeltaPublisher::new(Arc::clone(&self.log), identity));
        let (name, identity, Place { store, prefix, display, handle }) =
            (log.name.clone(), identity.clone(), log.table.place.clone());
        let staging = Staging { store, prefix, display, name, identity, handle };
        Some(Arc::new(UpsertPublisher { log, key: self.key.clone(), common, staging }))
    }
}

// === impl UpsertPublisher ===

impl UpsertPublisher {
    /// The rows of an epoch.
    async fn rows(&self, files: &[StagedFile]) -> Result<RecordBatch> {
        let mut rows = Vec::new();
        for file in files {
            rows.extend(read(&self.log.table, file).await?);
        }
        // Files of releases that removed no row have no column that says so.
        let mut old = rows.iter_mut().filter(|rows| rows.column_by_name(REMOVED).is_none());
        old.try_for_each(|rows| mark(rows.clone(), false).map(|marked| *rows = marked))?;
        newest_of(&rows, &self.key)
    }
}

impl Publisher for UpsertPublisher {
    fn sink(&self) -> &str {
        &self.log.name
    }

    fn publish(&self, epoch: u64, files: &[StagedFile]) -> Result<Vec<Published>> {
        let (table, mark) = (&self.log.table, self.common.mark(epoch));
        self.log.run_apart(async {
            if table.newest(&mark.app).await?.is_none_or(|known| known < epoch) {
                match self.rows(files).await {
                    Ok(rows) => self.log.upsert(Some(&mark), rows, &self.key).await?,
                    // Another instance has brought them in meanwhile, and removed the file.
                    Err(_) if table.newest(&mark.app).await?.is_some_and(|known| known >= epoch) => {}
                    Err(error) => return Err(error),
                }
            }
            let paths = files.iter().map(|file| table.path(&file.from)).collect::<Result<Vec<_>>>()?;
            table.remove(paths).await
        })?;
        self.log.tend(1);
        Ok(files.iter().cloned().map(Published::from).collect())
    }

    fn newest(&self) -> Result<Option<u64>> {
        self.common.newest()
    }

    fn check_kept(&self, epoch: u64) -> Result<()> {
        self.common.check_kept(epoch)
    }

    fn discard(&self, epoch: u64, keep: &[StagedFile]) -> Result<()> {
        self.staging.discard(epoch, keep)
    }

    fn take_back(&self, epochs: Range<u64>) -> Result<()> {
        self.common.take_back(epochs)
    }
}

// === impl DeltaLog ===

impl DeltaLog {
    /// Brings `rows`, one of each key, into the table in one commit.
    async fn upsert(&self, mark: Option<&Mark>, rows: RecordBatch, key: &[usize]) -> Result<()> {
        let table = &self.table;
        let fit = |state: &DeltaTableState| Ok(self.columns.fit(state, &table.place.display)?.map(new_metadata));
        table.commit(None, Some(&self.columns), fit).await?;
        let attempt =
            async |delta| table.is_done("merge into", merge(delta, rows.clone(), key, properties(mark)?).await);
        table.until_done(mark, None, attempt).await?;
        if mark.is_some() && removed(&rows) == rows.num_rows() {
            // Where none of them was there the MERGE has made no commit.
            table.commit(mark, None, |_| Ok(Some(Change::nothing()))).await?;
        }
        Ok(())
    }
}

/// One MERGE: a row whose key the table has replaces or removes that one, another is added.
async fn merge(delta: DeltaTable, rows: RecordBatch, key: &[usize], properties: CommitProperties) -> DeltaResult<()> {
    let schema = rows.schema();
    let of = |side: &str, name: &str| Expr::Column(Column::new(Some(side), name));
    let is_same = same_key(&schema, key)?;
    let names = || schema.fields().iter().map(|field| field.name()).filter(|name| *name != REMOVED);
    let columns = || names().map(|name| (Column::from_name(name), of(SOURCE, name)));
    let removes = removed(&rows) > 0;
    let source = SessionContext::new().read_batch(rows)?;
    let mut merge = delta
        .merge(source, is_same)
        .with_source_alias(SOURCE)
        .with_target_alias(TARGET)
        .with_commit_properties(properties);
    if removes {
        merge = merge.when_matched_delete(|delete| delete.predicate(of(SOURCE, REMOVED)))?;
    }
    let merge = merge
        .when_matched_update(|update| columns().fold(update, |update, (column, value)| update.update(column, value)))?
        .when_not_matched_insert(|insert| {
            let insert = if removes { insert.predicate(!of(SOURCE, REMOVED)) } else { insert };
            columns().fold(insert, |insert, (column, value)| insert.set(column, value))
        })?;
    merge.await.map(drop)
}

/// How many of `rows` remove the one of their key.
fn removed(rows: &RecordBatch) -> usize {
    rows.column_by_name(REMOVED).map_or(0, |removed| removed.as_boolean().true_count())
}

/// Rows with all columns of the table, and whether they remove the one of their key.
fn marked(columns: &Columns, rows: &SinkRows) -> Result<Vec<RecordBatch>> {
    if !rows.removed.contains(&true) {
        return columns.with_folders(rows)?.into_iter().map(|batch| mark(batch, false)).collect();
    }
    let mut all = Vec::new();
    for removed in [true, false] {
        let some: BooleanArray = (0..rows.batch.num_rows()).map(|at| Some(rows.removes(at) == removed)).collect();
        let batch = filter_record_batch(&rows.batch, &some).map_err(internal)?;
        let times = rows.event_times.iter().zip(some.values()).filter(|(_, is_one)| *is_one);
        let part = SinkRows::new(batch, times.map(|(time, _)| *time).collect());
        all.extend(columns.with_folders(&part)?.into_iter().map(|batch| mark(batch, removed)));
    }
    all.into_iter().collect()
}

fn mark(rows: RecordBatch, removed: bool) -> Result<RecordBatch> {
    let (schema, mut columns, count) = rows.into_parts();
    let fields = schema.fields().iter().cloned();
    let fields = fields.chain([Arc::new(Field::new(REMOVED, DataType::Boolean, false))]);
    columns.push(Arc::new(BooleanArray::from(vec![removed; count])));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).map_err(internal)
}

/// True where the two sides of a MERGE have one key: equalities only, which is what a hash join goes by.
fn same_key(schema: &SchemaRef, key: &[usize]) -> DeltaResult<Expr> {
    let mut equal = Vec::new();
    for field in key.iter().map(|at| schema.field(*at)) {
        let [known, newer] = [TARGET, SOURCE].map(|side| Expr::Column(Column::new(Some(side), field.name())));
        if field.is_nullable() {
            let any = lit(ScalarValue::new_default(field.data_type())?);
            equal.push(known.clone().is_null().eq(newer.clone().is_null()));
            equal.push(coalesce(vec![known, any.clone()]).eq(coalesce(vec![newer, any])));
        } else {
            equal.push(known.eq(newer));
        }
    }
    Ok(conjunction(equal).unwrap_or_else(|| lit(false)))
}

/// The rows that none after them replaces.
fn newest_of(rows: &[RecordBatch], key: &[usize]) -> Result<RecordBatch> {
    let schema = rows.first().map(RecordBatch::schema).ok_or_else(|| internal("none"))?;
    let all = concat_batches(&schema, rows).map_err(internal)?;
    let fields = key.iter().map(|at| SortField::new(schema.field(*at).data_type().clone())).collect();
    let columns: Vec<ArrayRef> = key.iter().map(|at| Arc::clone(all.column(*at))).collect();
    let keys = RowConverter::new(fields).and_then(|converter| converter.convert_columns(&columns)).map_err(internal)?;
    let last: HashMap<_, u32> = keys.iter().zip(0u32..).collect();
    let mut last: Vec<u32> = last.into_values().collect();
    last.sort_unstable();
    take_record_batch(&all, &UInt32Array::from(last)).map_err(internal)
}

/// Rows as the bytes of a file.
fn encode(rows: &RecordBatch) -> Result<Bytes> {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).map_err(internal)?;
    writer.write(rows).map_err(internal)?;
    writer.into_inner().map(Bytes::from).map_err(internal)
}

/// The rows of a file that waited for its epoch.
async fn read(table: &Table, file: &StagedFile) -> Result<Vec<RecordBatch>> {
    let found = match table.place.store.get(&table.path(&file.from)?).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    let bytes = match found {
        Ok(bytes) => bytes,
        Err(object_store::Error::NotFound { .. }) => {
            let (folder, name) = (&table.place.display, &file.from);
            let message = format!(
                "Delta table {folder}: found nothing at {name}, which waits to be merged, expected {} bytes",
                file.bytes
            );
            return Err(Error::unavailable(message).permanent());
        }
        Err(error) => return Err(table.failure("read staged rows of", error.into())),
    };
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build()).map_err(internal)?;
    reader.collect::<std::result::Result<_, _>>().map_err(internal)
}

fn new_metadata(metadata: Metadata) -> Change {
    let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
    Change { actions: vec![Action::Metadata(metadata)], operation }
}

fn internal(error: impl Display) -> Error {
    Error::internal(format!("rows of a keyed Delta table: {error}"))
}
