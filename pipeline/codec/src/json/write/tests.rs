//! The text of each type.

use super::*;
use arrow::array::*;
use arrow::datatypes::*;
use std::sync::Arc;

#[test]
fn numbers() {
    check(&Int8Array::from(vec![Some(-128), None]), "-128 null");
    check(&UInt64Array::from(vec![u64::MAX]), "18446744073709551615");
    check(&Int64Array::from(vec![i64::MIN]), "-9223372036854775808");
    check(&Float64Array::from(vec![0.1, -0.0, 1e300, 5e-324, 3.0]), "0.1 -0.0 1e+300 5e-324 3.0");
    check(&Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]), "null null null");
    check(&Float32Array::from(vec![0.1, 16_777_216.0, f32::NAN]), "0.1 16777216.0 null");
    check(&BooleanArray::from(vec![Some(true), Some(false), None]), "true false null");
    check(&NullArray::new(2), "null null");
}

#[test]
fn decimals_keep_their_digits() {
    let decimal = |values: Vec<i128>, scale| Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap();
    check(&decimal(vec![0, 5, -5, 1200, -123_456], 2), "0.00 0.05 -0.05 12.00 -1234.56");
    check(&decimal(vec![7, -7], 0), "7 -7");
    check(&decimal(vec![0, 12], -3), "0 12000");
    let wide = Decimal256Array::from(vec![i256::from_i128(i128::MIN)]).with_precision_and_scale(76, 10).unwrap();
    check(&wide, "-17014118346046923173168730371.5884105728");
    check(&Decimal32Array::from(vec![-1]).with_precision_and_scale(9, 9).unwrap(), "-0.000000001");
}

#[test]
fn texts_and_bytes() {
    let text = vec![Some("a\"\u{1}é"), None];
    let expect = "\"a\\\"\\u0001é\" null";
    check(&StringArray::from(text.clone()), expect);
    check(&LargeStringArray::from(text.clone()), expect);
    check(&StringViewArray::from(text), expect);
    let bytes = vec![Some(b"\x00\xff".as_slice()), None];
    check(&BinaryArray::from(bytes.clone()), "\"00ff\" null");
    check(&LargeBinaryArray::from(bytes.clone()), "\"00ff\" null");
    check(&BinaryViewArray::from(bytes), "\"00ff\" null");
    check(&FixedSizeBinaryArray::try_from_iter([b"\x0a\xb0"].into_iter()).unwrap(), "\"0ab0\"");
}

#[test]
fn timestamps() {
    let micros = vec![0, 1_500_000, 1_000_001, -1, -62_167_219_200_000_000];
    let expect = "\"1970-01-01T00:00:00Z\" \"1970-01-01T00:00:01.500Z\" \"1970-01-01T00:00:01.000001Z\" \
                  \"1969-12-31T23:59:59.999999Z\" \"0000-01-01T00:00:00Z\"";
    check(&TimestampMicrosecondArray::from(micros.clone()), expect);
    check(&TimestampMicrosecondArray::from(micros).with_timezone("Europe/Berlin"), expect);
    check(&TimestampMicrosecondArray::from(vec![253_402_300_800_000_000]), "\"+10000-01-01T00:00:00Z\"");
    check(&TimestampMicrosecondArray::from(vec![i64::MAX, i64::MIN]), "null null");
    check(&TimestampSecondArray::from(vec![1, i64::MAX]), "\"1970-01-01T00:00:01Z\" null");
    check(&TimestampMillisecondArray::from(vec![1]), "\"1970-01-01T00:00:00.001Z\"");
    check(
        &TimestampNanosecondArray::from(vec![1_999, -1]),
        "\"1970-01-01T00:00:00.000001Z\" \"1969-12-31T23:59:59.999999Z\"",
    );
}

#[test]
fn dates_and_times_of_day() {
    check(&Date32Array::from(vec![0, -1, 20_541]), "\"1970-01-01\" \"1969-12-31\" \"2026-03-29\"");
    check(&Date32Array::from(vec![2_932_897, i32::MAX]), "\"+10000-01-01\" null");
    check(&Date64Array::from(vec![86_400_000, -1]), "\"1970-01-02\" \"1969-12-31\"");
    check(&Time32SecondArray::from(vec![3_661, 86_400]), "\"01:01:01\" null");
    check(&Time32MillisecondArray::from(vec![500]), "\"00:00:00.500\"");
    check(&Time64MicrosecondArray::from(vec![1, -1]), "\"00:00:00.000001\" null");
    check(&Time64NanosecondArray::from(vec![1_000_000_000]), "\"00:00:01\"");
}

#[test]
fn durations_and_intervals() {
    check(&DurationSecondArray::from(vec![0, 90, i64::MIN]), "\"PT0S\" \"PT90S\" \"PT-9223372036854775808S\"");
    check(&DurationMicrosecondArray::from(vec![1_500_000, -1]), "\"PT1.5S\" \"PT-0.000001S\"");
    check(&IntervalYearMonthArray::from(vec![14, -1]), "\"P14M\" \"P-1M\"");
    check(&IntervalDayTimeArray::from(vec![IntervalDayTime::new(3, -250)]), "\"P3DT-0.25S\"");
    let full = IntervalMonthDayNano::new(14, 3, 250_000_000);
    check(&IntervalMonthDayNanoArray::from(vec![full, IntervalMonthDayNano::ZERO]), "\"P14M3DT0.25S\" \"PT0S\"");
}

#[test]
fn nested_values() {
    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![])];
    check(&ListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone()), "[1,null] null []");
    check(&LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone()), "[1,null] null []");
    // A slice starts inside its parent.
    check(&ListArray::from_iter_primitive::<Int32Type, _, _>(lists).slice(1, 2), "null []");
    let fixed = vec![Some(vec![Some(1), Some(2)]), None];
    check(&FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(fixed, 2), "[1,2] null");
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let fields = StructArray::from(vec![
        (Arc::new(Field::new("n", DataType::Int32, true)), numbers),
        (Arc::new(Field::new("s \"", DataType::Utf8, false)), names),
    ]);
    check(&fields, r#"{"n":1,"s \"":"x"} {"n":null,"s \"":"y"}"#);
    check(&fields.slice(1, 1), r#"{"n":null,"s \"":"y"}"#);
}

#[test]
fn maps() {
    let mut texts = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    texts.keys().append_value("a\"");
    texts.values().append_value(1);
    texts.append(true).unwrap();
    texts.append(false).unwrap();
    check(&texts.finish(), r#"{"a\"":1} null"#);
    let mut numbers = MapBuilder::new(None, Int32Builder::new(), Int32Builder::new());
    numbers.keys().append_slice(&[7, 8]);
    numbers.values().append_nulls(2);
    numbers.append(true).unwrap();
    check(&numbers.finish(), r#"{"7":null,"8":null}"#);
}

#[test]
fn dictionaries_and_runs() {
    let words: DictionaryArray<Int8Type> = vec![Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    check(&words, r#""a" null "b" "a""#);
    let runs =
        RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3]), &Int64Array::from(vec![Some(5), None])).unwrap();
    check(&runs, "5 5 null");
    check(&runs.slice(1, 2), "5 null");
}

#[test]
fn unions_are_refused_wherever_they_hide() {
    let union = DataType::Union(UnionFields::empty(), UnionMode::Dense);
    let field = Arc::new(Field::new("u", union.clone(), true));
    for hiding in [
        union.clone(),
        DataType::List(Arc::clone(&field)),
        DataType::Struct(vec![Arc::clone(&field)].into()),
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(union.clone())),
    ] {
        assert_eq!(refused(&hiding), Some(&union), "{hiding}");
    }
    assert_eq!(refused(&DataType::new_list(DataType::Utf8View, true)), None);
}

fn check(array: &dyn Array, expect: &str) {
    assert_eq!(refused(array.data_type()), None);
    let mut texts = Vec::new();
    for row in 0..array.len() {
        let mut text = Vec::new();
        value(&mut text, array, row).unwrap();
        texts.push(String::from_utf8(text).unwrap());
    }
    assert_eq!(texts.join(" "), expect);
}
