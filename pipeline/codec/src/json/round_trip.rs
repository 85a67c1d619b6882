//! What is encoded decodes to the same, and no bytes make the decoder panic.

use super::cell::Cell::{self, Boolean, Decimal, Double, Float, Integer, Null, Text};
use super::column::ColumnBuilder;
use super::tests::{NOW, column, encoded, record, records, stream, time_column};
use super::{Decoder, RecordBatch};
use crate::record::Record;
use arrow::datatypes::DataType;
use citystream_model::stream::{Column, Path, Stream, TimeFormat};
use citystream_model::time::MIN_EVENT_TIME;
use proptest::prelude::*;
use std::sync::Arc;

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(rows in prop::collection::vec(row(), 0..20)) {
        let stream = Arc::new(stream(columns()));
        let mut builders: Vec<_> =
            stream.columns.iter().map(|column| ColumnBuilder::new(&column.data_type, rows.len()).unwrap()).collect();
        for row in &rows {
            for (builder, cell) in builders.iter_mut().zip(row) {
                builder.append(cell).unwrap();
            }
        }
        let arrays = builders.into_iter().map(ColumnBuilder::finish).collect();
        let batch = RecordBatch::try_new(stream.declared_schema(), arrays).unwrap();
        let records = encoded(&batch).iter().map(|row| record(&row.value)).collect();
        let decoded = Decoder::new(Arc::clone(&stream)).decode(0, &records, NOW).unwrap();
        prop_assert_eq!(&decoded.rejects, &[]);
        let back = decoded.batch.project(&(0..stream.columns.len()).collect::<Vec<_>>()).unwrap();
        prop_assert_eq!(back, batch);
    }

    #[test]
    fn arbitrary_bytes_never_panic(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8)) {
        never_panics(&values);
    }

    #[test]
    fn arbitrary_keys_never_panic(text in prop_oneof![any::<String>(), TIME_LIKE, NUMBER_LIKE]) {
        use TimeFormat::{EpochMicros, EpochMillis, EpochSeconds, Rfc3339};
        for time_format in [Rfc3339, EpochSeconds, EpochMillis, EpochMicros] {
            let mut stream = stream(columns().into_iter().map(|column| Column { path: Path::Key, ..column }).collect());
            stream.time_format = time_format;
            stream.time_zone = Some(chrono_tz::Europe::Amsterdam);
            for column in stream.columns.clone() {
                let stream = Stream { columns: vec![column], time_column: "_timestamp".to_owned(), ..stream.clone() };
                let record = Record { key: Some(text.clone().into()), ..record(b"{}") };
                let decoded = Decoder::new(Arc::new(stream)).decode(0, &records([record]), NOW).unwrap();
                prop_assert_eq!(decoded.batch.num_rows() + decoded.rejects.len(), 1);
            }
        }
    }

    #[test]
    fn arbitrary_json_letters_never_panic(values in prop::collection::vec(JSON_LETTERS, 0..8)) {
        never_panics(&values.into_iter().map(String::into_bytes).collect::<Vec<_>>());
    }
}

const JSON_LETTERS: &str = r#"[{}\[\]":,a-e0-9.\-+Etrufalsn\\ ]{0,60}"#;
const TIME_LIKE: &str =
    r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,9})?([Zz]|[+-][0-9:]{0,6})?";
const NUMBER_LIKE: &str = r"-?[0-9]{0,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{0,20})?";

/// One column of each type.
fn columns() -> Vec<Column> {
    vec![
        column("b", DataType::Boolean, &["b"]),
        column("i", DataType::Int64, &["i"]),
        column("s", DataType::Int8, &["s"]),
        column("f", DataType::Float32, &["f"]),
        column("d", DataType::Float64, &["d"]),
        column("n", DataType::Decimal128(38, 7), &["n"]),
        column("t \"x\"", DataType::Utf8, &["t \"x\""]),
        column("day", DataType::Date32, &["day"]),
        time_column(),
    ]
}

fn never_panics(values: &[Vec<u8>]) {
    let stream = stream(vec![column("a", DataType::Int8, &["a"]), column("b", DataType::Utf8, &["b", "c"])]);
    let records = values.iter().map(|value| record(value)).collect();
    let decoded = Decoder::new(Arc::new(stream)).decode(0, &records, NOW).unwrap();
    assert_eq!(decoded.batch.num_rows() + decoded.rejects.len(), values.len());
}

fn row() -> impl Strategy<Value = Vec<Cell<'static>>> {
    let or_null = |cell: BoxedStrategy<Cell<'static>>| prop_oneof![1 => Just(Null), 5 => cell];
    let finite32 = any::<f32>().prop_filter("finite", |value| value.is_finite());
    let finite64 = any::<f64>().prop_filter("finite", |value| value.is_finite());
    let limit = 10_i128.pow(38);
    let integers = prop_oneof![any::<i64>(), -3..3_i64];
    (
        or_null(any::<bool>().prop_map(Boolean).boxed()),
        or_null(integers.prop_map(Integer).boxed()),
        or_null((-128..128_i64).prop_map(Integer).boxed()),
        or_null(finite32.prop_map(Float).boxed()),
        or_null(finite64.prop_map(Double).boxed()),
        or_null((1 - limit..limit).prop_map(Decimal).boxed()),
        or_null(any::<String>().prop_map(|text| Text(text.into())).boxed()),
        or_null((-700_000..2_900_000_i64).prop_map(Integer).boxed()),
        (MIN_EVENT_TIME..NOW).prop_map(Integer),
    )
        .prop_map(|(b, i, s, f, d, n, t, day, at)| vec![b, i, s, f, d, n, t, day, at])
}
