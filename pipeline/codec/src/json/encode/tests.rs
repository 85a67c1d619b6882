//! Messages and their keys.

use super::*;
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, UnionFields, UnionMode};
use citystream_model::ErrorKind;
use std::sync::Arc;

#[test]
fn a_row_is_an_object_in_column_order() {
    check(&[], [(None, r#"{"zone":"A \"1\"","n":3,"mean":1.5,"at":"2026-01-01T00:00:00Z"}"#), (None, NULLS)]);
}

#[test]
fn one_key_column_is_plain_text() {
    check(&["zone"], [(Some("A \"1\""), VALUES), (None, NULLS)]);
    check(&["n"], [(Some("3"), VALUES), (None, NULLS)]);
    check(&["at"], [(Some("2026-01-01T00:00:00Z"), VALUES), (None, NULLS)]);
    check(&["mean"], [(Some("1.5"), VALUES), (None, NULLS)]);
}

#[test]
fn several_key_columns_are_an_array() {
    check(&["n", "zone"], [(Some(r#"[3,"A \"1\""]"#), VALUES), (Some("[null,null]"), NULLS)]);
}

#[test]
fn an_empty_schema_writes_empty_objects() {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(2));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    let rows = RowEncoder::new(&Schema::empty(), &[]).unwrap().encode(&batch).unwrap();
    assert_eq!(rows, vec![EncodedRow { key: None, value: b"{}".to_vec() }; 2]);
}

#[test]
fn refusals_name_the_column() {
    let union = DataType::Union(UnionFields::empty(), UnionMode::Sparse);
    let list = DataType::new_list(union, true);
    let refuse = |fields: Vec<Field>, key: &[&str], expect: &str| {
        let error = RowEncoder::new(&Schema::new(fields), &owned(key)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Job);
        assert!(error.message().starts_with(expect), "{error}");
    };
    let int = |name: &str| Field::new(name, DataType::Int64, true);
    refuse(vec![int("a"), Field::new("deep", list, true)], &[], "column deep: found type Union");
    refuse(vec![int("a"), int("a")], &[], "column a: found twice, expected distinct names");
    refuse(
        vec![int("zone")],
        &["zome"],
        "option key: found \"zome\", expected a column of the result; did you mean zone?",
    );
}

#[test]
fn other_columns_than_promised_are_our_fault() {
    let encoder = RowEncoder::new(&Schema::empty(), &[]).unwrap();
    assert_eq!(encoder.encode(&batch()).unwrap_err().kind(), ErrorKind::Internal);
}

const VALUES: &str = r#"{"zone":"A \"1\"","n":3,"mean":1.5,"at":"2026-01-01T00:00:00Z"}"#;
const NULLS: &str = r#"{"zone":null,"n":null,"mean":null,"at":null}"#;

fn check(key: &[&str], expect: [(Option<&str>, &str); 2]) {
    let rows = RowEncoder::new(batch().schema_ref(), &owned(key)).unwrap().encode(&batch()).unwrap();
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row.key.as_ref().map(text), text(&row.value))).collect();
    assert_eq!(rows, expect.map(|(key, value)| (key.map(str::to_owned), value.to_owned())));
}

/// Two rows; the second is all NULL, its float NaN.
fn batch() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("zone", Arc::new(StringArray::from(vec![Some("A \"1\""), None]))),
        ("n", Arc::new(Int64Array::from(vec![Some(3), None]))),
        ("mean", Arc::new(Float64Array::from(vec![1.5, f64::NAN]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_767_225_600_000_000), None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
