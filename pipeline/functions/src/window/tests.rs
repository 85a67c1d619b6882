//! Windows against brute force, and on the days when clocks change.

use super::*;
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use citystream_model::ErrorKind;
use citystream_model::time::Micros;
use datafusion::arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use std::sync::Arc;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const AMSTERDAM: Option<Tz> = Some(Tz::Europe__Amsterdam);

fn at(text: &str) -> Micros {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

fn windows(spec: &WindowSpec, at: Micros) -> Vec<(Micros, Micros)> {
    let mut out = Vec::new();
    spec.windows(at, &mut out);
    out
}

fn local(zone: Tz, at: Micros) -> String {
    zone.timestamp_micros(at).unwrap().format("%m-%d %H:%M").to_string()
}

fn locals(spec: &WindowSpec, zone: Tz, time: &str) -> Vec<String> {
    windows(spec, at(time))
        .iter()
        .map(|(start, end)| format!("{} .. {}", local(zone, *start), local(zone, *end)))
        .collect()
}

#[test]
fn fixed_windows() {
    let tumble = WindowSpec::tumble(Step::Micros(15 * MINUTE), None).unwrap();
    assert_eq!(windows(&tumble, 15 * MINUTE - 1), [(0, 15 * MINUTE)]);
    assert_eq!(windows(&tumble, 15 * MINUTE), [(15 * MINUTE, 30 * MINUTE)]);
    assert_eq!(windows(&tumble, -1), [(-15 * MINUTE, 0)]);
    let hop = WindowSpec::hop(Step::Micros(2), Step::Micros(5), None).unwrap();
    assert_eq!(windows(&hop, 4), [(0, 5), (2, 7), (4, 9)]);
    assert_eq!(windows(&hop, 5), [(2, 7), (4, 9)]);
    let gaps = WindowSpec::hop(Step::Micros(10), Step::Micros(3), None).unwrap();
    assert_eq!(windows(&gaps, 12), [(10, 13)]);
    assert_eq!(windows(&gaps, 13), []);
    let cumulate = WindowSpec::cumulate(Step::Micros(2), Step::Micros(6), None).unwrap();
    assert_eq!(windows(&cumulate, 6), [(6, 8), (6, 10), (6, 12)]);
    assert_eq!(windows(&cumulate, -3), [(-6, -2), (-6, 0)]);
}

#[test]
fn a_day_of_23_or_25_hours() {
    let hours = WindowSpec::tumble(Step::Micros(HOUR), AMSTERDAM).unwrap();
    let days = WindowSpec::tumble(Step::Days(1), AMSTERDAM).unwrap();
    for (noon, length) in
        [("2024-03-31T12:00:00+02:00", 23), ("2024-10-27T12:00:00+01:00", 25), ("2024-06-01T12:00:00+02:00", 24)]
    {
        let (start, end) = windows(&days, at(noon))[0];
        assert_eq!(end - start, length * HOUR, "{noon}");
        let starts: std::collections::BTreeSet<_> =
            (start..end).step_by(MINUTE as usize).map(|at| windows(&hours, at)[0]).collect();
        assert_eq!(starts.len() as i64, length, "{noon}");
        assert!(starts.iter().all(|(start, end)| end - start == HOUR));
    }
    let quarters = WindowSpec::tumble(Step::Micros(6 * HOUR), AMSTERDAM).unwrap();
    let end_of_day = locals(&quarters, Tz::Europe__Amsterdam, "2024-10-27T23:30:00+01:00");
    assert_eq!(end_of_day, ["10-27 23:00 .. 10-28 00:00"], "a short rest of the long day");
}

#[test]
fn hops_in_a_zone_count_steps() {
    let hop = WindowSpec::hop(Step::Days(1), Step::Days(2), AMSTERDAM).unwrap();
    let found = locals(&hop, Tz::Europe__Amsterdam, "2024-10-27T12:00:00+01:00");
    assert_eq!(found, ["10-26 00:00 .. 10-28 00:00", "10-27 00:00 .. 10-29 00:00"]);
    assert_eq!(hop.to_string(), "hop 1d/2d zone Europe/Amsterdam");
    let hop = WindowSpec::hop(Step::Micros(HOUR), Step::Micros(25 * HOUR), AMSTERDAM).unwrap();
    let found = windows(&hop, at("2024-10-27T12:00:00+01:00"));
    assert_eq!(found.len(), 25);
    assert!(found.iter().all(|(start, end)| end - start == 25 * HOUR));
}

#[test]
fn midnight_that_does_not_exist() {
    // In Sao Paulo the clocks went from 00:00 to 01:00 on 2018-11-04, and in Beirut on 2024-03-31.
    for (zone, before, day) in [
        (Tz::America__Sao_Paulo, "2018-11-04T02:59:59Z", "2018-11-04T03:00:00Z"),
        (Tz::Asia__Beirut, "2024-03-30T21:59:59Z", "2024-03-30T22:00:00Z"),
    ] {
        let days = WindowSpec::tumble(Step::Days(1), Some(zone)).unwrap();
        assert_eq!(windows(&days, at(before))[0].1, at(day), "{zone}");
        let (start, end) = windows(&days, at(day))[0];
        assert_eq!((start, end - start), (at(day), 23 * HOUR), "{zone}");
    }
    // The clocks went back from 00:00 to 23:00, so Saturday was long.
    let days = WindowSpec::tumble(Step::Days(1), Some(Tz::America__Sao_Paulo)).unwrap();
    let (start, end) = windows(&days, at("2018-02-18T02:30:00Z"))[0];
    assert_eq!((start, end), (at("2018-02-17T02:00:00Z"), at("2018-02-18T03:00:00Z")));
    // Samoa had no 30 December 2011.
    let days = WindowSpec::tumble(Step::Days(1), Some(Tz::Pacific__Apia)).unwrap();
    assert_eq!(windows(&days, at("2011-12-30T10:00:00Z")), [(at("2011-12-30T10:00:00Z"), at("2011-12-31T10:00:00Z"))]);
    assert_eq!(windows(&days, at("2011-12-30T09:59:59Z")), [(at("2011-12-29T10:00:00Z"), at("2011-12-30T10:00:00Z"))]);
}

#[test]
fn months() {
    let months = WindowSpec::tumble(Step::Months(1), AMSTERDAM).unwrap();
    assert_eq!(locals(&months, Tz::Europe__Amsterdam, "2024-02-29T23:30:00+01:00"), ["02-01 00:00 .. 03-01 00:00"]);
    assert_eq!(locals(&months, Tz::Europe__Amsterdam, "2024-02-29T23:30:00Z"), ["03-01 00:00 .. 04-01 00:00"]);
    let quarters = WindowSpec::tumble(Step::Months(3), AMSTERDAM).unwrap();
    assert_eq!(locals(&quarters, Tz::Europe__Amsterdam, "1969-12-01T00:00:00Z"), ["10-01 00:00 .. 01-01 00:00"]);
    let to_date = WindowSpec::cumulate(Step::Days(1), Step::Months(1), AMSTERDAM).unwrap();
    let found = locals(&to_date, Tz::Europe__Amsterdam, "2024-02-28T12:00:00Z");
    assert_eq!(found, ["02-01 00:00 .. 02-29 00:00", "02-01 00:00 .. 03-01 00:00"]);
    assert_eq!(to_date.to_string(), "cumulate 1d/1mo zone Europe/Amsterdam");
}

#[test]
fn what_is_refused() {
    let refused = [
        WindowSpec::tumble(Step::Micros(0), None),
        WindowSpec::tumble(Step::Days(0), AMSTERDAM),
        WindowSpec::tumble(Step::Months(1), None),
        WindowSpec::tumble(Step::Micros(7 * HOUR), AMSTERDAM),
        WindowSpec::tumble(Step::Micros(25 * HOUR), AMSTERDAM),
        WindowSpec::tumble(Step::Micros(i64::MAX), None),
        WindowSpec::hop(Step::Micros(HOUR), Step::Micros(90 * MINUTE), AMSTERDAM),
        WindowSpec::hop(Step::Micros(2 * HOUR), Step::Micros(HOUR), AMSTERDAM),
        WindowSpec::hop(Step::Micros(1), Step::Micros(10_001), None),
        WindowSpec::hop(Step::Months(1), Step::Days(30), AMSTERDAM),
        WindowSpec::cumulate(Step::Micros(2), Step::Micros(5), None),
        WindowSpec::cumulate(Step::Days(2), Step::Months(1), AMSTERDAM),
        WindowSpec::cumulate(Step::Micros(1), Step::Days(1), None),
    ];
    for spec in refused {
        assert_eq!(spec.unwrap_err().kind(), ErrorKind::Job);
    }
    assert_eq!(
        Grid::new(Step::Micros(2 * DAY), AMSTERDAM).unwrap(),
        Grid::Days { count: 2, zone: Tz::Europe__Amsterdam }
    );
    assert_eq!(WindowSpec::tumble(Step::Micros(15 * MINUTE), None).unwrap().to_string(), "tumble 15m");
}

proptest! {
    #[test]
    fn hop_is_brute_force(slide in 1i64..40, size in 1i64..120, at in -500i64..500) {
        let spec = WindowSpec::hop(Step::Micros(slide), Step::Micros(size), None).unwrap();
        let all = (-1000..1000).map(|k| (k * slide, k * slide + size));
        let expected: Vec<_> = all.filter(|(start, end)| (*start..*end).contains(&at)).collect();
        prop_assert_eq!(windows(&spec, at), expected);
    }

    #[test]
    fn cumulate_is_brute_force(step in 1i64..20, count in 1i64..12, at in -500i64..500) {
        let size = step * count;
        let spec = WindowSpec::cumulate(Step::Micros(step), Step::Micros(size), None).unwrap();
        let all = (-1000..1000).flat_map(|k| (1..=count).map(move |n| (k * size, k * size + n * step)));
        let expected: Vec<_> = all.filter(|(start, end)| (*start..*end).contains(&at)).collect();
        prop_assert_eq!(windows(&spec, at), expected);
    }

    #[test]
    fn windows_of_a_zone_tile_the_time_line(seconds in -8_520_336_000i64..7_289_654_400, zone in 0usize..8, step in 0usize..6) {
        let zones = [Tz::Europe__Amsterdam, Tz::America__Sao_Paulo, Tz::Asia__Beirut, Tz::Pacific__Apia, Tz::America__St_Johns, Tz::America__Havana, Tz::Australia__Lord_Howe, Tz::Africa__Monrovia];
        let steps = [Step::Micros(HOUR), Step::Micros(6 * HOUR), Step::Days(1), Step::Days(7), Step::Months(1), Step::Months(3)];
        let grid = Grid::new(steps[step], Some(zones[zone])).unwrap();
        let at = seconds * 1_000_000;
        let (start, end) = (grid.floor(at).unwrap(), grid.next(at).unwrap());
        prop_assert!(start <= at && at < end);
        prop_assert_eq!(grid.floor(start), Some(start));
        prop_assert_eq!(grid.floor(end), Some(end));
        prop_assert_eq!(grid.floor(end - 1), Some(start));
        prop_assert_eq!(grid.next(start), Some(end));
        prop_assert_eq!(grid.before(end), Some(start));
    }
}

#[test]
fn times_beyond_the_calendar_are_in_no_window() {
    let days = WindowSpec::tumble(Step::Days(1), AMSTERDAM).unwrap();
    assert_eq!(windows(&days, Micros::MAX), []);
    assert_eq!(windows(&days, Micros::MIN), []);
    assert_eq!(windows(&WindowSpec::tumble(Step::Micros(HOUR), None).unwrap(), Micros::MAX), []);
}

async fn sql(context: &SessionContext, query: &str) -> RecordBatch {
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[tokio::test]
async fn functions_in_sql() {
    let context = SessionContext::new();
    context.register_udf(window_start(WindowSpec::tumble(Step::Micros(10), None).unwrap()));
    context.register_udf(window_end(WindowSpec::tumble(Step::Days(1), AMSTERDAM).unwrap()));
    context.register_udf(assign_windows(WindowSpec::hop(Step::Micros(2), Step::Micros(5), None).unwrap()));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(4), None, Some(-1)]).with_timezone("UTC"));
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![12_000, 0, 0]));
    context.register_batch("t", RecordBatch::try_from_iter([("at", times), ("ns", nanos)]).unwrap()).unwrap();

    let found =
        sql(&context, "SELECT window_start(at), window_end(at), window_start(ns), assign_windows(at) FROM t").await;
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(found.column(0).data_type(), &utc);
    assert_eq!(
        found.column(0).as_primitive::<TimestampMicrosecondType>().iter().collect::<Vec<_>>(),
        [Some(0), None, Some(-10)]
    );
    let ends = found.column(1).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(ends.iter().collect::<Vec<_>>(), [Some(23 * HOUR), None, Some(23 * HOUR)]);
    assert_eq!(found.column(2).as_primitive::<TimestampMicrosecondType>().value(0), 10);
    let lists = found.column(3).as_list::<i32>();
    assert!(lists.is_null(1));
    let first = lists.value(0);
    let starts = first.as_struct().column_by_name("window_start").unwrap();
    assert_eq!(starts.as_primitive::<TimestampMicrosecondType>().values(), &[0, 2, 4]);

    let exploded =
        sql(&context, "SELECT w['window_end'] AS e FROM (SELECT unnest(assign_windows(at)) AS w FROM t) ORDER BY e")
            .await;
    assert_eq!(exploded.column(0).as_primitive::<TimestampMicrosecondType>().values(), &[1, 3, 5, 7, 9]);
}
