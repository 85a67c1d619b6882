//! Records -> rows and rejects, and back.

use super::*;
use crate::record::Record;
use crate::reject::Reason;
use arrow::array::AsArray;
use arrow::datatypes::DataType;
use bytes::Bytes;
use citystream_model::ErrorKind;
use citystream_model::stream::{Column, Fold, Format, Path, TimeFormat, timestamp_type};
use std::collections::BTreeMap;
use std::time::Duration;

/// 2026-01-01T00:00:00Z, the reader's clock and each record's Kafka time.
pub(super) const NOW: Micros = 1_767_225_600_000_000;

// === values by type ===

#[test]
fn integers() {
    let int = DataType::Int32;
    for (token, expect) in [
        ("12", "12"),
        ("-12", "-12"),
        ("3.0", "3"),
        ("3e0", "3"),
        ("-0.0", "0"),
        ("2147483647", "2147483647"),
        ("null", "null"),
        ("\"many\"", r#"wrong_type: column v: found "many", expected INT"#),
        ("\"12\"", r#"wrong_type: column v: found "12", expected INT"#),
        ("3.5", "wrong_type: column v: found 3.5, expected INT"),
        ("true", "wrong_type: column v: found true, expected INT"),
        ("[1]", "wrong_type: column v: found [1], expected INT"),
        ("{}", "wrong_type: column v: found {}, expected INT"),
        ("99999999999", "out_of_range: column v: found 99999999999, expected INT"),
        ("2147483648", "out_of_range: column v: found 2147483648, expected INT"),
        ("1e999", "out_of_range: column v: found 1e999, expected INT"),
    ] {
        check_value(&int, token, expect);
    }
    check_value(&DataType::Int8, "-128", "-128");
    check_value(&DataType::Int8, "128", "out_of_range: column v: found 128, expected TINYINT");
    check_value(&DataType::Int64, "9223372036854775807", "9223372036854775807");
    let detail = "out_of_range: column v: found 9223372036854775808, expected BIGINT";
    check_value(&DataType::Int64, "9223372036854775808", detail);
}

#[test]
fn floats() {
    check_value(&DataType::Float64, "3", "3.0");
    check_value(&DataType::Float64, "-0.0", "-0.0");
    check_value(&DataType::Float64, "0.1", "0.1");
    check_value(&DataType::Float64, "1e-400", "0.0");
    check_value(&DataType::Float64, "1e309", "out_of_range: column v: found 1e309, expected DOUBLE");
    check_value(&DataType::Float64, "\"0.1\"", r#"wrong_type: column v: found "0.1", expected DOUBLE"#);
    check_value(&DataType::Float32, "0.1", "0.1");
    check_value(&DataType::Float32, "1e39", "out_of_range: column v: found 1e39, expected FLOAT");
}

#[test]
fn decimals_are_exact() {
    let money = DataType::Decimal128(5, 2);
    check_value(&money, "1.5", "1.50");
    check_value(&money, "-999.990", "-999.99");
    check_value(&money, "0.05", "0.05");
    check_value(&money, "1e2", "100.00");
    check_value(&money, "1000", "out_of_range: column v: found 1000, expected DECIMAL(5, 2)");
    check_value(&money, "1.005", "out_of_range: column v: found 1.005, expected DECIMAL(5, 2)");
    check_value(&money, "\"1\"", r#"wrong_type: column v: found "1", expected DECIMAL(5, 2)"#);
    let wide = DataType::Decimal128(38, 10);
    check_value(&wide, "1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789");
}

#[test]
fn texts_booleans_and_dates() {
    check_value(&DataType::Utf8, r#""a""#, r#""a""#);
    check_value(&DataType::Utf8, r#""""#, r#""""#);
    check_value(&DataType::Utf8, r#""\u00e9\n\ud83d\ude00\"""#, "\"é\\n😀\\\"\"");
    check_value(&DataType::Utf8, "1", "wrong_type: column v: found 1, expected TEXT");
    check_value(&DataType::Utf8, r#""\ud800""#, r#"invalid_json: column v: found "\ud800", expected TEXT"#);
    check_value(&DataType::Boolean, "true", "true");
    check_value(&DataType::Boolean, "1", "wrong_type: column v: found 1, expected BOOLEAN");
    check_value(&DataType::Boolean, "\"true\"", r#"wrong_type: column v: found "true", expected BOOLEAN"#);
    check_value(&DataType::Date32, r#""2026-02-28""#, r#""2026-02-28""#);
    check_value(
        &DataType::Date32,
        r#""2026-02-30""#,
        r#"bad_time: column v: found "2026-02-30", expected DATE YYYY-MM-DD"#,
    );
    check_value(&DataType::Date32, "20260228", "wrong_type: column v: found 20260228, expected DATE YYYY-MM-DD");
    check_value(&timestamp_type(), r#""2026-01-01T01:00:00+01:00""#, r#""2026-01-01T00:00:00Z""#);
    // Only the event time is held to the clock.
    check_value(&timestamp_type(), r#""2100-01-01T00:00:00Z""#, r#""2100-01-01T00:00:00Z""#);
    let detail = r#"wrong_type: column v: found 5, expected TIMESTAMP as rfc3339 in 1700 to 2200"#;
    check_value(&timestamp_type(), "5", detail);
}

/// A nullable column `v` of `data_type` beside a good time.
fn check_value(data_type: &DataType, token: &str, expect: &str) {
    let stream = stream(vec![column("v", data_type.clone(), &["v"]), required(time_column())]);
    let row = decoded(&stream, &format!(r#"{{"at":"2026-01-01T00:00:00Z","v":{token}}}"#));
    let expect = match expect.contains("column v") {
        true => expect.to_owned(),
        false => format!(r#"{{"v":{expect},"at":"2026-01-01T00:00:00Z"}}"#),
    };
    assert_eq!(row, expect, "{token}");
}

// === records ===

#[test]
fn a_value_has_to_be_one_json_object() {
    let stream = stream(vec![column("v", DataType::Int64, &["v"]), time_column()]);
    let good = r#"{"v":1,"at":"2026-01-01T00:00:00Z"}"#;
    let deep =
        |levels: usize| good.replace("}", &format!(r#","x":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1)));
    for (body, expect) in [
        (good.to_owned(), good),
        (format!(" \n\t\r{good}\n "), good),
        (good.replace("1,", r#"1,"x":{"y":[1,"}",{}],"v":5},"z":null,"#), good),
        // The last of two counts, also over a value of another type.
        (good.replace("{", r#"{"v":"many","#), good),
        (good.replace("{", r#"{"\u0076":7,"#), good),
        (deep(64), good),
        (deep(65), "too_deep"),
        (
            good.replace(
                "1,",
                r#"1,"x":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[[","#,
            ),
            good,
        ),
        ("[".repeat(100_000), "too_deep"),
        (String::new(), "empty_value"),
        (" ".to_owned(), "invalid_json"),
        ("{".to_owned(), "invalid_json"),
        ("{]".to_owned(), "invalid_json"),
        (good.replace('1', "NaN"), "invalid_json"),
        (good.replace(":1", ":01"), "invalid_json"),
        (good.replace(":1", ":1."), "invalid_json"),
        (good.replace(":1", ":'1'"), "invalid_json"),
        (good.replace(":1,", ":1,\"x\":\"\n\","), "invalid_json"),
        (good.replace(":1,", ":1,,"), "invalid_json"),
        (good.replace("\"}", "\",}"), "invalid_json"),
        (format!("{good}{good}"), "invalid_json"),
        (format!("{good} x"), "invalid_json"),
        (format!("\u{feff}{good}"), "invalid_json"),
        ("[]".to_owned(), "not_an_object"),
        ("12".to_owned(), "not_an_object"),
        ("null".to_owned(), "not_an_object"),
        ("\"{}\"".to_owned(), "not_an_object"),
        ("[1".to_owned(), "invalid_json"),
        ("{}".to_owned(), "missing_column: column at: found nothing, expected TIMESTAMP as rfc3339 in 1700 to 2200"),
        (
            r#"{"at":null}"#.to_owned(),
            "null_column: column at: found null, expected TIMESTAMP as rfc3339 in 1700 to 2200",
        ),
    ] {
        let row = decoded(&stream, &body);
        let row = if expect.contains([':', '{']) { row.as_str() } else { row.split(':').next().unwrap() };
        assert_eq!(row, expect, "{}", &body[..body.len().min(100)]);
    }
    assert!(
        decoded_bytes(&stream, b"{\"x\":\"\xff\"}")
            .starts_with("invalid_utf8: value: found a byte that is no UTF-8 at 6")
    );
}

#[test]
fn nested_fields() {
    let stream = stream(vec![
        column("a", DataType::Int64, &["p", "a"]),
        column("again", DataType::Int64, &["p", "a"]),
        column("b", DataType::Utf8, &["p", "q", "b"]),
    ]);
    check(&stream, r#"{"p":{"q":{"b":"x"},"a":1}}"#, r#"{"a":1,"again":1,"b":"x"}"#);
    check(&stream, "{}", r#"{"a":null,"again":null,"b":null}"#);
    check(&stream, r#"{"p":null,"q":{"b":1}}"#, r#"{"a":null,"again":null,"b":null}"#);
    check(&stream, r#"{"p":{"a":1,"q":null}}"#, r#"{"a":1,"again":1,"b":null}"#);
    // The last object counts as a whole.
    check(&stream, r#"{"p":{"a":1},"p":{"q":{"b":"x"}}}"#, r#"{"a":null,"again":null,"b":"x"}"#);
    check(&stream, r#"{"p":7,"p":{"a":1}}"#, r#"{"a":1,"again":1,"b":null}"#);
    check(&stream, r#"{"p":7}"#, "wrong_type: column a: found 7 on its path, expected an object");
    check(
        &stream,
        r#"{"p":{"a":1,"q":[{"b":"x"}]}}"#,
        r#"wrong_type: column b: found [{"b":"x"}] on its path, expected an object"#,
    );

    let prefix =
        super::tests::stream(vec![column("p", DataType::Utf8, &["p"]), column("a", DataType::Int64, &["p", "a"])]);
    check(&prefix, r#"{"p":null}"#, r#"{"p":null,"a":null}"#);
    check(&prefix, r#"{"p":{"a":1}}"#, r#"wrong_type: column p: found {"a":1}, expected TEXT"#);
    check(&prefix, r#"{"p":"x"}"#, r#"wrong_type: column a: found "x" on its path, expected an object"#);
}

#[test]
fn keys_and_headers() {
    let from = |name: &str, data_type, path| Column { name: name.to_owned(), data_type, nullable: true, path };
    let header = |name: &str| Path::Header(name.to_owned());
    let stream = stream(vec![
        from("k", DataType::Int32, Path::Key),
        from("t", DataType::Utf8, header("t")),
        from("b", DataType::Boolean, header("b")),
        from("at2", timestamp_type(), header("at")),
    ]);
    let check = |key: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)], expect: &str| {
        let mut record = record(b"{\"t\":\"not this\"}");
        record.key = key.map(Bytes::copy_from_slice);
        record.headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(Bytes::copy_from_slice))).collect();
        assert_eq!(shown(&stream, &record), expect);
    };
    check(None, &[], r#"{"k":null,"t":null,"b":null,"at2":null}"#);
    let headers: &[(&str, Option<&[u8]>)] =
        &[("t", Some(b"x")), ("t", Some(b"\"y\"")), ("b", Some(b"true")), ("at", Some(b"2026-01-01 00:00:00"))];
    check(Some(b"12"), headers, r#"{"k":12,"t":"\"y\"","b":true,"at2":"2026-01-01T00:00:00Z"}"#);
    check(None, &[("t", Some(b"x")), ("t", None)], r#"{"k":null,"t":null,"b":null,"at2":null}"#);
    check(Some(b" 12"), &[], r#"wrong_type: column k: found " 12", expected INT"#);
    check(Some(b""), &[], r#"wrong_type: column k: found "", expected INT"#);
    check(Some(b"\xff"), &[], "invalid_utf8: column k: found a byte that is no UTF-8 at 0, expected INT");
    check(None, &[("b", Some(b"TRUE"))], r#"wrong_type: column b: found "TRUE", expected BOOLEAN"#);
}

#[test]
fn the_future_is_refused() {
    let stream = stream(vec![time_column()]);
    check(&stream, r#"{"at":"2026-01-01T00:05:00Z"}"#, r#"{"at":"2026-01-01T00:05:00Z"}"#);
    let detail = "column at: found \"2026-01-01T00:05:00.000001Z\", \
                  expected at most 2026-01-01T00:05:00Z (the record time and time.max_future)";
    check(&stream, r#"{"at":"2026-01-01T00:05:00.000001Z"}"#, &format!("future_time: {detail}"));
    // The reader's clock counts too, and a record time may be out of range itself.
    let decoder = Decoder::new(Arc::new(stream));
    let late_record = Record { timestamp: NOW + 3_600_000_000, ..record(br#"{"at":"2026-01-01T00:06:00Z"}"#) };
    let rejects = decoder.decode(0, &records([late_record]), NOW).unwrap().rejects;
    assert_eq!(rejects[0].reason, Reason::FutureTime);
    assert!(rejects[0].detail.contains("reader's clock"), "{}", rejects[0].detail);
    let by_record = Decoder::new(Arc::new(super::tests::stream(Vec::new())));
    let records = [NOW, NOW + 300_000_001, i64::MAX, i64::MIN].map(|timestamp| Record { timestamp, ..record(b"{}") });
    let decoded = by_record.decode(0, &self::records(records), NOW).unwrap();
    assert_eq!(decoded.event_times, [NOW]);
    let reasons: Vec<_> = decoded.rejects.iter().map(|reject| reject.reason).collect();
    assert_eq!(reasons, [Reason::FutureTime, Reason::TimeOutOfRange, Reason::TimeOutOfRange]);
}

#[test]
fn one_bad_record_never_harms_its_neighbours() {
    let stream = Arc::new(stream(vec![required(column("v", DataType::Int32, &["v"])), time_column()]));
    let good = |v: &str| record(format!(r#"{{"v":{v},"at":"2026-01-01T00:00:00Z"}}"#).as_bytes());
    let tombstone = Record { value: None, ..good("0") };
    let mut records = vec![good("1"), good("null"), tombstone, good("\"x\""), good("2")];
    for (offset, record) in (40..).zip(&mut records) {
        record.offset = offset;
    }
    records[4].key = Some(Bytes::from_static(b"k"));
    records[4].headers = vec![("h".to_owned(), Some(Bytes::from_static(b"1")))];
    let decoded = Decoder::new(Arc::clone(&stream)).decode(3, &self::records(records), NOW).unwrap();
    assert_eq!((decoded.batch.schema(), decoded.tombstones), (stream.full_schema(), 1));
    let rows: Vec<_> = encoded(&decoded.batch).into_iter().map(|row| String::from_utf8(row.value).unwrap()).collect();
    let time = r#""2026-01-01T00:00:00Z""#;
    let hidden =
        |offset, rest| format!(r#""_topic":"topic","_partition":3,"_offset":{offset},"_timestamp":{time},{rest}}}"#);
    assert_eq!(
        rows,
        [
            format!(r#"{{"v":1,"at":{time},{}"#, hidden(40, r#""_key":null,"_headers":"{}""#)),
            format!(r#"{{"v":2,"at":{time},{}"#, hidden(44, r#""_key":"6b","_headers":"{\"h\":\"1\"}""#)),
        ]
    );
    assert_eq!(decoded.event_times, [NOW, NOW]);
    let rejects: Vec<_> =
        decoded.rejects.iter().map(|reject| (reject.partition, reject.record.offset, reject.reason)).collect();
    assert_eq!(rejects, [(3, 41, Reason::NullColumn), (3, 43, Reason::WrongType)]);
}

#[test]
fn epoch_formats_hold_for_every_time() {
    let mut stream = stream(vec![column("v", timestamp_type(), &["v"]), time_column()]);
    stream.time_format = TimeFormat::EpochSeconds;
    check(
        &stream,
        r#"{"at":1.7e9,"v":1700000000.000001}"#,
        r#"{"v":"2023-11-14T22:13:20.000001Z","at":"2023-11-14T22:13:20Z"}"#,
    );
    let detail = r#"column at: found "2023-11-14T22:13:20Z", expected TIMESTAMP as epoch_s in 1700 to 2200"#;
    check(&stream, r#"{"at":"2023-11-14T22:13:20Z"}"#, &format!("wrong_type: {detail}"));
}

#[test]
fn ten_megabytes_pass() {
    let stream = stream(vec![column("v", DataType::Utf8, &["v"])]);
    let text = "x\\n".repeat(5_000_000);
    let body = format!(r#"{{"junk":[{}1],"v":"{text}"}}"#, "[\"[\"],".repeat(1_000_000));
    let decoded = Decoder::new(Arc::new(stream)).decode(0, &records([record(body.as_bytes())]), NOW).unwrap();
    assert_eq!(decoded.batch.column(0).as_string::<i32>().value(0).len(), 10_000_000);
}

#[test]
fn a_skipped_local_time_is_called_so() {
    let mut stream = stream(vec![column("at", timestamp_type(), &["at"])]);
    stream.time_zone = Some(chrono_tz::Europe::Amsterdam);
    let detail = "column at: found \"2026-03-29T02:30:00\", expected a local time that exists: the clocks of \
        Europe/Amsterdam skip this one in spring, and an offset (+02:00) would say which is meant";
    check(&stream, r#"{"at":"2026-03-29T02:30:00"}"#, &format!("bad_time: {detail}"));
    let detail = r#"column at: found "soon", expected TIMESTAMP as rfc3339 in 1700 to 2200"#;
    check(&stream, r#"{"at":"soon"}"#, &format!("bad_time: {detail}"));
}

#[test]
fn details_are_short() {
    let name = "é".repeat(300);
    let stream = stream(vec![column(&name, DataType::Int32, &["v"])]);
    let body = format!(r#"{{"v":"{}"}}"#, "x".repeat(10_000));
    let decoded = Decoder::new(Arc::new(stream)).decode(0, &records([record(body.as_bytes())]), NOW).unwrap();
    assert!(decoded.rejects[0].detail.len() <= 200);
    assert!(decoded.rejects[0].detail.ends_with("é..."));
}

#[test]
fn an_unchecked_declaration_is_an_internal_error() {
    for columns in [vec![column("v", DataType::UInt8, &["v"])], vec![column("v", DataType::Int8, &[])]] {
        let decoder = Decoder::new(Arc::new(stream(columns)));
        assert_eq!(decoder.decode(0, &Records::default(), NOW).unwrap_err().kind(), ErrorKind::Internal);
    }
}

// === furniture ===

/// The row, or the reject, that `body` becomes.
fn check(stream: &Stream, body: &str, expect: &str) {
    assert_eq!(decoded(stream, body), expect, "{body}");
}

fn decoded(stream: &Stream, body: &str) -> String {
    decoded_bytes(stream, body.as_bytes())
}

pub(super) fn decoded_bytes(stream: &Stream, body: &[u8]) -> String {
    shown(stream, &record(body))
}

pub(super) fn records(records: impl IntoIterator<Item = Record>) -> Records {
    records.into_iter().collect()
}

/// The declared columns of a row as JSON, or `reason: detail`.
fn shown(stream: &Stream, record: &Record) -> String {
    let decoded = Decoder::new(Arc::new(stream.clone())).decode(0, &records([record.clone()]), NOW).unwrap();
    if let [reject] = decoded.rejects.as_slice() {
        return format!("{}: {}", reject.reason, reject.detail);
    }
    let shown: Vec<_> = (0..stream.columns.len()).collect();
    String::from_utf8(encoded(&decoded.batch.project(&shown).unwrap()).remove(0).value).unwrap()
}

pub(super) fn encoded(batch: &RecordBatch) -> Vec<EncodedRow> {
    RowEncoder::new(batch.schema_ref(), &[]).unwrap().encode(batch).unwrap()
}

pub(super) fn record(value: &[u8]) -> Record {
    Record { offset: 0, timestamp: NOW, key: None, value: Some(Bytes::copy_from_slice(value)), headers: Vec::new() }
}

pub(super) fn column(name: &str, data_type: DataType, path: &[&str]) -> Column {
    let path = Path::Body(path.iter().map(|part| (*part).to_owned()).collect());
    Column { name: name.to_owned(), data_type, nullable: true, path }
}

fn required(column: Column) -> Column {
    Column { nullable: false, ..column }
}

pub(super) fn time_column() -> Column {
    column("at", timestamp_type(), &["at"])
}

/// A stream whose event time is `at`, or the record time if there is no such column.
pub(super) fn stream(columns: Vec<Column>) -> Stream {
    let by_column = columns.iter().any(|column| column.name == "at");
    Stream {
        name: "s".to_owned(),
        topic: "topic".to_owned(),
        columns,
        format: Format::Json,
        time_column: if by_column { "at" } else { "_timestamp" }.to_owned(),
        time_format: TimeFormat::Rfc3339,
        time_zone: None,
        time_fold: Fold::Earlier,
        out_of_order: Duration::from_secs(10),
        max_future: Duration::from_secs(300),
        idle: Duration::from_secs(60),
        key: None,
        rejects: "s_rejected".to_owned(),
        history: None,
        kafka: BTreeMap::new(),
    }
}
