//! Other spellings: a pasted declaration is the same stream as ours, a pasted window the same job, and what is printed is
//! read as the same again.

use crate::accepted::describe;
use crate::fixture::{TestConnectors, check_jobs, sql_file};
use arrow::datatypes::DataType;
use citystream_model::stream::{Column, Fold, Format, Path, Stream, TimeFormat, timestamp_type};
use citystream_sql::{Catalog, notes, stream_ddl};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// The one stream that is declared.
fn stream(sql: &str) -> Stream {
    let catalog = Catalog::read(&[sql_file("stream.sql", sql)], &TestConnectors);
    let catalog = catalog.unwrap_or_else(|findings| panic!("{findings:#?}\n{sql}"));
    assert_eq!(catalog.streams.len(), 1);
    Stream::clone(catalog.streams.values().next().unwrap())
}

const FLINK: &str = "
CREATE TABLE loops (
  `detector_id` STRING NOT NULL COMMENT 'of the cabinet', -- and a comment of SQL
  laneNo        INT,
  vehicles      BIGINT,
  kmh           DOUBLE,
  price         DECIMAL(10, 2),
  ok            BOOLEAN,
  seen_at       TIMESTAMP(3) WITH LOCAL TIME ZONE,
  Measured_At   TIMESTAMP(3),
  WATERMARK FOR Measured_At AS Measured_At - INTERVAL '30' SECOND
) COMMENT 'counts' WITH (
  'connector' = 'kafka',
  'topic' = 'traffic.loops',
  'value.format' = 'json',
  'key.format' = 'raw',
  'key.fields' = 'detector_id',
  'json.timestamp-format.standard' = 'SQL',
  'scan.watermark.idle-timeout' = '2 min',
  'properties.security.protocol' = 'SSL',
  'time.max_future' = '1 hour'
)";

const OURS: &str = "
CREATE UNBOUNDED EXTERNAL TABLE loops (
  detector_id TEXT NOT NULL, laneno INT, vehicles BIGINT, kmh DOUBLE, price DECIMAL(10, 2), ok BOOLEAN, seen_at TIMESTAMP,
  measured_at TIMESTAMP
) STORED AS KAFKA LOCATION 'traffic.loops' OPTIONS (
  'format' 'json', 'time.column' 'measured_at', 'time.out_of_order' '30 seconds', 'time.idle' '2 minutes',
  'time.max_future' '1 hour', 'key' 'detector_id', 'path.laneno' '/laneNo', 'path.measured_at' '/Measured_At',
  'kafka.security.protocol' 'SSL'
)";

#[test]
fn both_spellings_are_one_stream() {
    assert_eq!(stream(FLINK), stream(OURS));
}

#[test]
fn delays_of_a_watermark() {
    let delays = [
        ("at", 0),
        ("at - INTERVAL '5' SECOND", 5_000_000),
        ("at - INTERVAL '0.001' SECOND", 1_000),
        ("at - INTERVAL '2' MINUTES", 120_000_000),
        ("at - INTERVAL '1' HOUR", 3_600_000_000),
        ("at - INTERVAL '90 seconds'", 90_000_000),
        ("`at` - INTERVAL 3 DAY", 259_200_000_000),
    ];
    for (expression, micros) in delays {
        let found = stream(&format!(
            "CREATE TABLE s (at TIMESTAMP(3), WATERMARK FOR at AS {expression}) WITH ('connector' = 'kafka', 'topic' = 's')"
        ));
        assert_eq!((found.time_column.as_str(), found.out_of_order.as_micros()), ("at", micros), "{expression}");
    }
}

#[test]
fn a_pasted_declaration_is_shown_in_our_spelling() {
    let found = notes(&sql_file("loops/stream.sql", FLINK), &TestConnectors);
    let [note] = &found[..] else { panic!("{found:?}") };
    assert_eq!((note.line, note.column, note.stream.as_deref()), (2, 1, Some("loops")));
    assert!(
        note.read_as.starts_with("CREATE UNBOUNDED EXTERNAL TABLE loops (\n  detector_id TEXT NOT NULL,"),
        "{note}"
    );
    assert_eq!(stream(&note.read_as), stream(FLINK));
    assert!(note.to_string().starts_with("loops/stream.sql:2:1: note: read as CREATE UNBOUNDED"), "{note}");
    assert_eq!(notes(&sql_file("ours", OURS), &TestConnectors), []);
}

/// FROM items as they are pasted, and in our spelling.
const WINDOWS: [(&str, &str); 11] = [
    (
        "TABLE(TUMBLE(TABLE readings, DESCRIPTOR(measured_at), INTERVAL '5' MINUTE))",
        "tumble(readings, measured_at, INTERVAL '5' MINUTE)",
    ),
    (
        "TUMBLE(TABLE `readings`, DESCRIPTOR(`measured_at`), INTERVAL '5' MINUTES)",
        "tumble(`readings`, `measured_at`, INTERVAL '5' MINUTES)",
    ),
    (
        "TABLE(HOP(TABLE readings, DESCRIPTOR(measured_at), INTERVAL '5' MINUTE, INTERVAL '10' MINUTE))",
        "hop(readings, measured_at, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)",
    ),
    (
        "TABLE( CUMULATE( TABLE readings , DESCRIPTOR( measured_at ) , INTERVAL '2' MINUTE , INTERVAL '10' MINUTE ) )",
        "cumulate(readings , measured_at , INTERVAL '2' MINUTE , INTERVAL '10' MINUTE )",
    ),
    (
        "TABLE(SESSION(TABLE readings PARTITION BY zone, DESCRIPTOR(measured_at), INTERVAL '5' MINUTE))",
        "session(readings, measured_at, INTERVAL '5' MINUTE, key => zone)",
    ),
    (
        "TABLE(SESSION(TABLE readings PARTITION BY (zone, sensor_id), DESCRIPTOR(measured_at), INTERVAL '5' MINUTE))",
        "session(readings, measured_at, INTERVAL '5' MINUTE, key => (zone, sensor_id))",
    ),
    (
        "TABLE(SESSION(TABLE readings, DESCRIPTOR(measured_at), DESCRIPTOR(zone, sensor_id), INTERVAL '5' MINUTE))",
        "session(readings, measured_at, INTERVAL '5' MINUTE, key => (zone, sensor_id))",
    ),
    (
        "TABLE(TUMBLE(DATA => TABLE readings, TIMECOL => DESCRIPTOR(measured_at), SIZE => INTERVAL '5' MINUTE))",
        "tumble(t => readings, ts => measured_at, SIZE => INTERVAL '5' MINUTE)",
    ),
    (
        "TABLE(HOP(DATA => TABLE readings, TIMECOL => DESCRIPTOR(measured_at), SLIDE => INTERVAL '5' MINUTE, SIZE => INTERVAL '10' MINUTE))",
        "hop(t => readings, ts => measured_at, SLIDE => INTERVAL '5' MINUTE, SIZE => INTERVAL '10' MINUTE)",
    ),
    (
        "TABLE(CUMULATE(SIZE => INTERVAL '10' MINUTE, STEP => INTERVAL '2' MINUTE, TIMECOL => DESCRIPTOR(measured_at), DATA => TABLE readings))",
        "cumulate(SIZE => INTERVAL '10' MINUTE, STEP => INTERVAL '2' MINUTE, ts => measured_at, t => readings)",
    ),
    (
        "TABLE(SESSION(DATA => TABLE readings PARTITION BY zone, TIMECOL => DESCRIPTOR(measured_at), GAP => INTERVAL '5' MINUTE))",
        "session(t => readings, ts => measured_at, GAP => INTERVAL '5' MINUTE, key => zone)",
    ),
];

#[test]
fn a_pasted_window_is_the_window_in_our_spelling() {
    for (pasted, ours) in WINDOWS {
        let job = |from: &str| {
            format!(
                "CREATE MATERIALIZED VIEW j AS -- it's a job\nSELECT zone, sensor_id, window_start, count(*) AS n, 'it''s' AS text\nFROM {from} AS w\nGROUP BY zone, sensor_id, window_start, window_end"
            )
        };
        let file = sql_file("job.sql", &job(pasted));
        let found = notes(&file, &TestConnectors);
        assert_eq!(found.len(), 1, "{pasted}");
        assert_eq!(
            (found[0].line, found[0].read_as.replace(" ,", ",").replace(" )", ")")),
            (3, ours.replace(" ,", ",").replace(" )", ")"))
        );
        let printed = file.in_our_spelling().unwrap();
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeezed(&printed), squeezed(&job(ours)));
        let plan = |sql: &str| {
            let jobs = check_jobs("", sql).unwrap_or_else(|findings| panic!("{findings:#?}\n{sql}"));
            let node = |job: &citystream_sql::CheckedJob| format!("{}{:?}", describe(job), job.plan.nodes.len());
            jobs.iter().map(node).collect::<String>()
        };
        assert_eq!(plan(&job(pasted)), plan(&job(ours)), "{pasted}");
        assert_eq!(plan(&printed), plan(&job(ours)), "{pasted}");
        assert_eq!(notes(&sql_file("", &printed), &TestConnectors), [], "{printed}");
    }
}

#[test]
fn all_columns_of_a_window_whose_stream_is_named_last_leave_the_hidden_ones_out() {
    let sql = "CREATE MATERIALIZED VIEW j AS SELECT * FROM tumble(size => INTERVAL '5 minutes', ts => changed_at, t => signals)";
    let found = describe(&check_jobs("", sql).unwrap()[0]);
    assert!(!found.contains("_offset"), "{found}");
}

#[test]
fn every_keyword_may_name_a_column() {
    use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
    for keyword in ALL_KEYWORDS.iter().map(|keyword| keyword.to_lowercase()) {
        if keyword.starts_with('_') || matches!(keyword.as_str(), "end-exec" | "window_start" | "window_end") {
            continue;
        }
        let mut declared = stream(OURS);
        declared.columns[1].name = keyword.clone();
        declared.columns[1].path = Path::Body(vec![keyword]);
        assert_eq!(stream(&stream_ddl(&declared)), declared);
    }
}

fn column() -> impl Strategy<Value = (DataType, bool, Path)> {
    let types = prop_oneof![
        Just(DataType::Boolean),
        Just(DataType::Int8),
        Just(DataType::Int16),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::Float32),
        Just(DataType::Float64),
        Just(DataType::Utf8),
        Just(DataType::Date32),
        Just(timestamp_type()),
        (1u8..=38).prop_flat_map(|p| (Just(p), 0..=p)).prop_map(|(p, s)| DataType::Decimal128(p, s as i8)),
    ];
    let path = prop_oneof![
        prop::collection::vec("[a-zA-Z ~/'\"é]{0,6}", 1..4).prop_map(Path::Body),
        Just(Path::Key),
        "[a-zA-Z'/-]{1,8}".prop_map(Path::Header),
    ];
    (types, any::<bool>(), path)
}

/// Streams as their declarations are read: the time is a column that is not null, or the time of the record.
fn streams() -> impl Strategy<Value = Stream> {
    let names = prop::collection::btree_set("[a-zA-Z][a-zA-Z0-9_ '\"é]{0,8}", 1..6);
    let columns = names.prop_flat_map(|names| {
        let count = names.len();
        (Just(names), prop::collection::vec(column(), count..=count))
    });
    let zone = prop_oneof![Just(None), Just(Some(chrono_tz::Europe::Amsterdam)), Just(Some(chrono_tz::UTC))];
    let format = prop_oneof![
        Just(TimeFormat::Rfc3339),
        Just(TimeFormat::EpochSeconds),
        Just(TimeFormat::EpochMillis),
        Just(TimeFormat::EpochMicros)
    ];
    let micros = || prop_oneof![Just(0u64), Just(60_000_000), Just(300_000_000), 0u64..400_000_000_000];
    let times = (format, zone, any::<bool>(), micros(), micros(), micros());
    let texts =
        ("[a-z][a-z0-9_]{0,8}", "[a-z0-9._-]{1,8}", prop::option::of("r[a-z_]{0,8}"), prop::option::of("[ -~]{1,9}"));
    (columns, times, texts, any::<prop::sample::Index>(), any::<bool>(), any::<bool>()).prop_map(
        |((names, columns), (time_format, time_zone, is_later, late, future, idle), texts, at, has_time, has_kafka)| {
            let (name, topic, rejects, history) = texts;
            let mut columns: Vec<Column> = names
                .into_iter()
                .zip(columns)
                .map(|(name, (data_type, nullable, path))| Column { name, data_type, nullable, path })
                .collect();
            let key = columns.first().filter(|_| has_kafka).map(|column| column.name.clone());
            let mut time_column = "_timestamp".to_owned();
            if has_time {
                let column = at.get(&columns).name.clone();
                for column in columns.iter_mut().filter(|other| other.name == column) {
                    (column.data_type, column.nullable) = (timestamp_type(), false);
                }
                time_column = column;
            }
            let password = ("sasl.password".to_owned(), "${PASSWORD}".to_owned());
            Stream {
                topic,
                columns,
                format: Format::Json,
                time_column,
                time_format,
                time_zone,
                time_fold: if is_later { Fold::Later } else { Fold::Earlier },
                out_of_order: Duration::from_micros(late),
                max_future: Duration::from_micros(future),
                idle: Duration::from_micros(idle.max(100_000)),
                key,
                rejects: rejects.unwrap_or_else(|| format!("s_{name}_rejected")),
                history,
                kafka: if has_kafka { BTreeMap::from([password]) } else { BTreeMap::new() },
                name: format!("s_{name}"),
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same_stream(declared in streams()) {
        prop_assert_eq!(stream(&stream_ddl(&declared)), declared);
    }
}
