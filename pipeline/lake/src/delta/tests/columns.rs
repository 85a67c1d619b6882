//! Columns: types, folders, new ones, and tables that are not for us.

use super::*;
use crate::delta::check_columns;
use deltalake_core::DeltaTable;
use std::collections::HashMap;

fn fields(fields: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
}

/// Writes one row of NULLs of `schema`, but for its Int64 columns, which are 7.
fn write_row(lake: &Lake, schema: &SchemaRef, partition_by: PartitionBy) -> Result<()> {
    let run = format!("r{}", lake.files());
    let mut sink = lake.open(Naming::Run(run), Arc::clone(schema), partition_by)?;
    let columns = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Int64 => Arc::new(Int64Array::from(vec![7])) as ArrayRef,
        other => arrow::array::new_null_array(other, 1),
    });
    let batch = RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap();
    sink.write(&SinkRows::new(batch, vec![Some(START)]), 0)?;
    sink.flush().map(drop)
}

#[test]
fn every_type_of_a_result_is_kept() {
    let lake = Lake::new();
    let mut sink = lake.sink(Naming::Run("r".to_owned()));
    sink.write(&rows(&[(Some("center"), 0, 7), (None, 5, -1)]), 0).unwrap();
    sink.flush().unwrap();
    let batch = lake.read();
    let types: Vec<String> =
        batch.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    assert_eq!(types[1..], ["at Timestamp(µs)", "cars Int64", "speed Float64"]);
    assert_eq!(lake.column("zone"), ["-", "center"]);
    assert_eq!(lake.column("at"), ["2026-03-28T23:00:00", "2026-03-29T04:00:00"]);
    assert_eq!(lake.column("speed"), ["-0.3333333333333333", "2.3333333333333335"]);
}

#[test]
fn folders_are_partition_columns() {
    let lake = Lake::new();
    let by = PartitionBy::Columns(vec!["zone".to_owned()]);
    let mut sink = lake.open(Naming::Run("r".to_owned()), schema(), by.clone()).unwrap();
    let zones = ["center", "a=b/c d%", "Zürich", "x+y&z?"];
    let of = |zone: &'static str| (Some(zone), 0, zone.len() as i64);
    sink.write(&rows(&[of(zones[0]), of(zones[1]), of(zones[2]), of(zones[3]), (None, 0, 99)]), 0).unwrap();
    sink.flush().unwrap();
    let mut expected = [&["-"], &zones[..]].concat();
    expected.sort_unstable();
    assert_eq!(lake.column("zone"), expected);
    assert_eq!(lake.cars(), [6, 6, 7, 8, 99]);
    assert_eq!(lake.delta().snapshot().unwrap().metadata().partition_columns().to_vec(), ["zone"]);
    // A table with rows keeps its folders.
    let error = lake.open(Naming::Run("s".to_owned()), schema(), PartitionBy::None).err().unwrap();
    assert!(error.to_string().contains("found partition columns zone, expected none"), "{error}");
}

#[test]
fn folders_of_time_add_a_column() {
    for (by, name, values) in [
        (PartitionBy::Day, "day", ["2026-03-28", "2026-03-29"]),
        (PartitionBy::Hour, "hour", ["2026-03-28T23", "2026-03-29T00"]),
        (PartitionBy::Month, "month", ["2026-03", "2026-03"]),
    ] {
        let lake = Lake::new();
        let mut sink = lake.open(Naming::Run("r".to_owned()), schema(), by).unwrap();
        sink.write(&rows(&[(None, 0, 1), (None, 1, 2)]), 0).unwrap();
        sink.flush().unwrap();
        assert_eq!(lake.column(name), values);
        assert_eq!(lake.read().schema().fields().last().unwrap().name(), name);
    }
}

#[test]
fn new_columns_are_added_and_others_are_null() {
    let lake = Lake::new();
    write_row(&lake, &fields(&[("zone", DataType::Utf8), ("cars", DataType::Int64)]), PartitionBy::None).unwrap();
    write_row(&lake, &fields(&[("trucks", DataType::Int64), ("zone", DataType::Utf8)]), PartitionBy::None).unwrap();
    let names: Vec<String> = lake.read().schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["zone", "cars", "trucks"]);
    assert_eq!(
        (lake.column("cars"), lake.column("trucks")),
        (vec!["-".into(), "7".into()], vec!["-".into(), "7".into()])
    );
    let other = fields(&[("zone", DataType::Int64)]);
    let error = write_row(&lake, &other, PartitionBy::None).unwrap_err();
    assert!(error.to_string().contains("column 'zone': found type string, expected long as the job has it"), "{error}");
    // Emptied, it takes what comes.
    crate::delta::clear(lake.place(), None).unwrap();
    write_row(&lake, &other, PartitionBy::Day).unwrap();
    assert_eq!((lake.column("zone"), lake.column("day")), (vec!["7".to_owned()], vec!["2026-03-28".to_owned()]));
}

#[test]
fn columns_that_delta_does_not_have_are_refused() {
    let refused = |schema: &Schema, by: &PartitionBy, expected: &str| {
        let error = check_columns(schema, by).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let none = PartitionBy::None;
    check_columns(&schema(), &none).unwrap();
    refused(
        &fields(&[("a", DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano))]),
        &none,
        "column 'a': found type Interval",
    );
    refused(&fields(&[("a", DataType::Null)]), &none, "column 'a': found type Null");
    let nested = Field::new("item", DataType::UInt64, true);
    refused(&fields(&[("a", DataType::List(Arc::new(nested)))]), &none, "column 'a': found type UInt64");
    refused(
        &fields(&[("a", DataType::Utf8), ("A", DataType::Utf8)]),
        &none,
        "column 'A': found twice but for its case",
    );
    refused(&fields(&[("day", DataType::Utf8)]), &PartitionBy::Day, "partition_by = 'day' adds a column of this name");
    let by = |name: &str| PartitionBy::Columns(vec![name.to_owned()]);
    refused(&schema(), &by("speed"), "column 'speed' is Float64; a Delta table is partitioned by text");
    refused(&schema(), &by("at"), "'hour', 'day' or 'month'");
    refused(&fields(&[("zone", DataType::Utf8)]), &by("zone"), "found every column of the table");
}

/// A table with these properties that somebody else has made.
pub(super) fn made(properties: &[(&str, &str)]) -> Lake {
    let lake = Lake::new();
    let columns = super::super::columns::Columns::new(&schema(), &PartitionBy::None).unwrap();
    let properties: HashMap<String, Option<String>> =
        properties.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect();
    let create = DeltaTable::new(Arc::clone(lake.table().log_store()))
        .create()
        .with_columns(columns.fields())
        .with_configuration(properties)
        .with_raise_if_key_not_exists(false);
    lake.runtime.block_on(async { create.await.unwrap() });
    lake
}

#[test]
fn tables_that_ask_for_more_are_refused() {
    let refused = |properties: &[(&str, &str)], expected: &str| {
        let lake = made(properties);
        let error = lake.open(Naming::Run("r".to_owned()), schema(), PartitionBy::None).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(&[("delta.constraints.positive", "cars > 0")], "it asks constraint 'positive' of its writers");
    refused(&[("delta.columnMapping.mode", "name")], "'delta.columnMapping.physicalName' of column 'zone'");
    refused(&[("delta.enableRowTracking", "true")], "it asks feature 'rowTracking' of its writers");
    // Rules that a writer of files keeps by itself.
    let lake = made(&[("delta.appendOnly", "true"), ("delta.enableChangeDataFeed", "true")]);
    let mut sink = lake.sink(Naming::Run("r".to_owned()));
    sink.write(&cars([1]), 0).unwrap();
    sink.flush().unwrap();
    assert_eq!(lake.cars(), [1]);
}
