//! The columns of a Delta table: what our types are there, what a job's table needs, and whether one that exists fits.

use arrow::array::{RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use citystream_connect::SinkRows;
use citystream_connect::files::{FolderValues, split_by_folder};
use citystream_model::job::PartitionBy;
use citystream_model::{Error, Result};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{DataType as DeltaType, Metadata, MetadataExt, StructField, StructType};
use deltalake_core::table::state::DeltaTableState;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Features that ask nothing of a writer that only adds files, or that matter only where a table uses them, which
/// [`refuse_foreign`] looks at.
const KNOWN_FEATURES: [&str; 12] = [
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "generatedColumns",
    "identityColumns",
    "invariants",
    "timestampNtz",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// Keys of a column's metadata that ask something of its writers.
const COLUMN_RULES: [&str; 5] = [
    "delta.invariants",
    "delta.generationExpression",
    "delta.identity.start",
    "delta.columnMapping.physicalName",
    "CURRENT_DEFAULT",
];

/// The columns of a job's table.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// Those of the SELECT, then that of the folder if it is a time.
    fields: Vec<StructField>,
    /// Columns whose values are folders.
    pub(super) partitions: Vec<String>,
    /// Columns of the files.
    pub(super) in_files: SchemaRef,
    /// The job's columns, then that of the folder if it is a time.
    whole: SchemaRef,
    partition_by: PartitionBy,
}

/// Checks that a Delta table can hold `schema` in the folders of `partition_by`.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] with what was found and expected.
pub fn check_columns(schema: &Schema, partition_by: &PartitionBy) -> Result<()> {
    Columns::new(schema, partition_by).map(drop)
}

// === impl Columns ===

impl Columns {
    pub(super) fn new(schema: &Schema, partition_by: &PartitionBy) -> Result<Self> {
        let mut fields = schema.fields().iter().map(|field| delta_field(field)).collect::<Result<Vec<_>>>()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = fields.iter().find(|field| !names.insert(field.name().to_lowercase())) {
            let message =
                format!("column '{}': found twice but for its case, which Delta tables cannot hold", twice.name());
            return Err(Error::job(message));
        }
        let partitions = match partition_by {
            PartitionBy::None => Vec::new(),
            PartitionBy::Hour => vec![("hour", DeltaType::STRING)],
            PartitionBy::Day => vec![("day", DeltaType::DATE)],
            PartitionBy::Month => vec![("month", DeltaType::STRING)],
            PartitionBy::Columns(columns) => {
                columns.iter().try_for_each(|column| check_partition(schema, column))?;
                let partitions = columns.clone();
                let (in_files, whole) = (without(schema, &partitions)?, SchemaRef::new(schema.clone()));
                return Ok(Self { fields, in_files, partitions, whole, partition_by: partition_by.clone() });
            }
        };
        for (name, data_type) in &partitions {
            if names.contains(*name) {
                let message =
                    format!("column '{name}': partition_by = '{name}' adds a column of this name; call it otherwise");
                return Err(Error::job(message));
            }
            fields.push(StructField::nullable(*name, data_type.clone()));
        }
        let mut whole: Vec<FieldRef> = schema.fields().iter().cloned().collect();
        whole.extend(partitions.iter().map(|(name, data_type)| {
            let is_date = *data_type == DeltaType::DATE;
            Arc::new(Field::new(*name, if is_date { DataType::Date32 } else { DataType::Utf8 }, true))
        }));
        let partitions = partitions.into_iter().map(|(name, _)| name.to_owned()).collect();
        let (in_files, whole) = (SchemaRef::new(schema.clone()), SchemaRef::new(Schema::new(whole)));
        Ok(Self { fields, partitions, in_files, whole, partition_by: partition_by.clone() })
    }

    /// The job's columns, then that of the folder if it is a time.
    pub(super) fn whole(&self) -> &SchemaRef {
        &self.whole
    }

    /// Rows with all columns of the table, those of folders of time too.
    pub(super) fn with_folders(&self, rows: &SinkRows) -> Result<Vec<RecordBatch>> {
        if self.whole.fields().len() == rows.batch.num_columns() {
            return Ok(vec![rows.batch.clone()]);
        }
        let parts = split_by_folder(&self.partition_by, &rows.batch, &rows.event_times)?;
        let complete = |(folder, part): (FolderValues, RecordBatch)| {
            let mut columns = part.columns().to_vec();
            for (field, (_, value)) in self.whole.fields()[columns.len()..].iter().zip(&folder) {
                let texts: StringArray = std::iter::repeat_n(value.as_deref(), part.num_rows()).collect();
                columns.push(cast(&texts, field.data_type()).map_err(internal)?);
            }
            RecordBatch::try_new(Arc::clone(&self.whole), columns).map_err(internal)
        };
        parts.into_iter().map(complete).collect()
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = StructField> + '_ {
        self.fields.iter().cloned()
    }

    /// What the table's metadata have to become before files of these columns are added; `None` when they are fit.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Job`] when the table has rows, and other types, partitions or rules than we can serve.
    pub(super) fn fit(&self, state: &DeltaTableState, table: &str) -> Result<Option<Metadata>> {
        let wrong = |detail: String| Error::job(format!("Delta table {table}: {detail}"));
        self.check_rules(state, table)?;
        let (known, metadata) = (state.schema(), state.metadata());
        let is_known =
            |field: &StructField| known.field(field.name()).map(|other| other.data_type() == field.data_type());
        let is_laid_out = metadata.partition_columns() == self.partitions.as_slice();
        if is_laid_out && self.fields.iter().all(|field| is_known(field) == Some(true)) {
            return Ok(None);
        }
        if state.log_data().num_files() == 0 {
            return self.replaced(metadata).map(Some);
        }
        if !is_laid_out {
            let list = |columns: &[String]| if columns.is_empty() { "none".to_owned() } else { columns.join(", ") };
            let (found, expected) = (list(metadata.partition_columns()), list(&self.partitions));
            return Err(wrong(format!("found partition columns {found}, expected {expected} as the job has it")));
        }
        if let Some(other) = self.fields.iter().find(|field| is_known(field) == Some(false)) {
            let found = known.field(other.name()).map(|field| field.data_type().to_string()).unwrap_or_default();
            let (name, expected) = (other.name(), other.data_type());
            return Err(wrong(format!("column '{name}': found type {found}, expected {expected} as the job has it")));
        }
        let added = self.fields.iter().filter(|field| is_known(field).is_none()).cloned();
        let whole = StructType::try_new(known.fields().cloned().chain(added)).map_err(internal)?;
        metadata.clone().with_schema(&whole).map(Some).map_err(internal)
    }

    /// Makes sure that the table asks nothing of its writers that we do not do.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Job`] with what it asks.
    pub(super) fn check_rules(&self, state: &DeltaTableState, table: &str) -> Result<()> {
        refuse_foreign(state)
            .and_then(|()| refuse_times(state, &self.fields))
            .map_err(|detail| Error::job(format!("Delta table {table}: {detail}")))
    }

    /// The metadata of a table that takes these columns and no others.
    fn replaced(&self, metadata: &Metadata) -> Result<Metadata> {
        let schema = StructType::try_new(self.fields()).map_err(internal)?;
        let mut value = serde_json::to_value(metadata).map_err(internal)?;
        value["schemaString"] = serde_json::to_string(&schema).map_err(internal)?.into();
        value["partitionColumns"] = self.partitions.clone().into();
        serde_json::from_value(value).map_err(internal)
    }
}

/// A column as Delta has it; every column may be NULL.
fn delta_field(field: &Field) -> Result<StructField> {
    check_type(field.data_type()).map_err(|found| {
        let name = field.name();
        Error::job(format!("column '{name}': found type {found}, which Delta tables cannot hold; CAST it to another"))
    })?;
    let field = Field::new(field.name(), field.data_type().clone(), true);
    (&field).try_into_kernel().map_err(internal)
}

/// The type that Delta tables do not have or would change, if there is one.
fn check_type(data_type: &DataType) -> Result<(), String> {
    use DataType::{
        BinaryView, Boolean, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeList,
        LargeUtf8, List, Map, Struct, Timestamp, Utf8, Utf8View,
    };
    let all = |fields: &Fields| fields.iter().try_for_each(|field| check_type(field.data_type()));
    match data_type {
        Boolean | Int8 | Int16 | Int32 | Int64 | Float32 | Float64 | Date32 | Decimal128(..) => Ok(()),
        Utf8 | LargeUtf8 | Utf8View | DataType::Binary | LargeBinary | BinaryView => Ok(()),
        Timestamp(TimeUnit::Microsecond, None) => Ok(()),
        List(item) | LargeList(item) => check_type(item.data_type()),
        Map(entries, _) => check_type(entries.data_type()),
        Struct(fields) => all(fields),
        other => Err(other.to_string()),
    }
}

/// Checks that a column's values can be folders of a Delta table, which are text there.
fn check_partition(schema: &Schema, column: &str) -> Result<()> {
    use DataType::{Boolean, Date32, Int8, Int16, Int32, Int64, LargeUtf8, Utf8, Utf8View};
    let Ok(field) = schema.field_with_name(column) else { return Ok(()) };
    match field.data_type() {
        Boolean | Date32 | Int8 | Int16 | Int32 | Int64 | Utf8 | LargeUtf8 | Utf8View => Ok(()),
        other => Err(Error::job(format!(
            "option partition_by: column '{column}' is {other}; a Delta table is partitioned by text, whole numbers, dates \
             or booleans, or by 'hour', 'day' or 'month'"
        ))),
    }
}

fn without(schema: &Schema, partitions: &[String]) -> Result<SchemaRef> {
    let kept: Vec<_> = schema.fields().iter().filter(|field| !partitions.contains(field.name())).cloned().collect();
    if kept.is_empty() {
        return Err(Error::job("option partition_by: found every column of the table, expected fewer"));
    }
    Ok(SchemaRef::new(Schema::new(kept)))
}

/// Names what a table asks of its writers and we do not do.
fn refuse_foreign(state: &DeltaTableState) -> Result<(), String> {
    let protocol = serde_json::to_value(state.protocol()).unwrap_or_default();
    let features = protocol["writerFeatures"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let ask = |what: &str| Err(format!("it asks {what} of its writers, which this sink does not do"));
    if let Some(feature) = features.into_iter().find(|feature| !KNOWN_FEATURES.contains(feature)) {
        return ask(&format!("feature '{feature}'"));
    }
    if let Some(rule) = state.metadata().configuration().keys().find(|key| key.starts_with("delta.constraints.")) {
        return ask(&format!("constraint '{}'", rule.trim_start_matches("delta.constraints.")));
    }
    for field in state.schema().fields() {
        if let Some(rule) = COLUMN_RULES.iter().find(|rule| field.metadata().contains_key(**rule)) {
            return ask(&format!("'{rule}' of column '{}'", field.name()));
        }
        if !field.is_nullable() {
            return ask(&format!("NOT NULL of column '{}'", field.name()));
        }
    }
    Ok(())
}

/// Refuses columns that ask for a feature which the table's protocol does not have.
fn refuse_times(state: &DeltaTableState, fields: &[StructField]) -> Result<(), String> {
    let protocol = serde_json::to_value(state.protocol()).unwrap_or_default();
    let mut features = protocol["writerFeatures"].as_array().into_iter().flatten();
    match fields.iter().find(|field| field.data_type() == &DeltaType::TIMESTAMP_NTZ) {
        Some(field) if !features.any(|feature| feature == "timestampNtz") => Err(format!(
            "column '{}': found a protocol without timestampNtz, which TIMESTAMP needs; set the table's property \
             delta.feature.timestampNtz = 'supported'",
            field.name()
        )),
        _ => Ok(()),
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("columns of a Delta table: {error}"))
}
