//! Times as producers write them.

use super::*;
use citystream_model::time::format_time;

#[test]
fn rfc3339() {
    let utc = rules(TimeFormat::Rfc3339, None, Fold::Earlier);
    for (text, expect) in [
        ("2026-03-29T01:02:03Z", "2026-03-29T01:02:03Z"),
        ("2026-03-29t01:02:03z", "2026-03-29T01:02:03Z"),
        ("2026-03-29 01:02:03", "2026-03-29T01:02:03Z"),
        ("2017-03-15 14:41:00.0", "2017-03-15T14:41:00Z"),
        ("2026-03-29T01:02:03.5Z", "2026-03-29T01:02:03.500Z"),
        ("2026-03-29T01:02:03.1234569999999999Z", "2026-03-29T01:02:03.123456Z"),
        ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
        ("2026-03-29T01:02:03+02:00", "2026-03-28T23:02:03Z"),
        ("2026-03-29T01:02:03+0200", "2026-03-28T23:02:03Z"),
        ("2026-03-29T01:02:03.25-05:30", "2026-03-29T06:32:03.250Z"),
        ("2026-03-29T01:02:03-00:00", "2026-03-29T01:02:03Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"),
        ("2026-06-01T10:00:60", "2026-06-01T10:01:00Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("1700-01-01T00:00:00Z", "1700-01-01T00:00:00Z"),
        ("2200-12-31T23:59:59.999999Z", "2200-12-31T23:59:59.999999Z"),
        ("2201-01-01T00:00:00Z", "time_out_of_range"),
        ("2200-12-31T23:59:60Z", "time_out_of_range"),
        ("2200-12-31T23:59:59-01:00", "time_out_of_range"),
        ("1699-12-31T23:59:59Z", "time_out_of_range"),
        ("0000-01-01T00:00:00Z", "time_out_of_range"),
    ] {
        check(&utc, text, expect);
    }
}

#[test]
fn other_texts_are_no_times() {
    let utc = rules(TimeFormat::Rfc3339, None, Fold::Earlier);
    for text in [
        "",
        "2026",
        "2026-03-29",
        "2026-03-29T",
        "2026-03-29T01:02",
        "2026-03-29T01:02Z",
        "2026-3-29T01:02:03Z",
        "2026-03-29T01:02:03.Z",
        "2026-03-29T01:02:03,5Z",
        "2026-03-29T24:00:00Z",
        "2026-03-29T01:60:00Z",
        "2026-03-29T01:02:61Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-03-29T01:02:03+2",
        "2026-03-29T01:02:03+02",
        "2026-03-29T01:02:03+24:00",
        "2026-03-29T01:02:03+01:60",
        "2026-03-29T01:02:03 Z",
        " 2026-03-29T01:02:03Z",
        "2026-03-29T01:02:03Z ",
        "2026-03-29T01:02:03ZZ",
        "2026-03-29_01:02:03Z",
        "+2026-03-29T01:02:03Z",
        "12026-03-29T01:02:03Z",
        "2026-03-29T01:02:03 Europe/Berlin",
        "1700000000",
        "２026-03-29T01:02:03Z",
        "2026-03-29T01:02:0é",
    ] {
        check(&utc, text, "bad_time");
    }
}

#[test]
fn local_times() {
    let berlin = Some(chrono_tz::Europe::Berlin);
    let earlier = rules(TimeFormat::Rfc3339, berlin, Fold::Earlier);
    let later = rules(TimeFormat::Rfc3339, berlin, Fold::Later);
    check(&earlier, "2026-01-15T12:00:00", "2026-01-15T11:00:00Z");
    check(&earlier, "2026-07-15T12:00:00", "2026-07-15T10:00:00Z");
    // An offset is stronger than the zone.
    check(&earlier, "2026-07-15T12:00:00Z", "2026-07-15T12:00:00Z");
    // Spring: 02:00 to 03:00 does not exist.
    check(&earlier, "2026-03-29T01:59:59.9", "2026-03-29T00:59:59.900Z");
    check(&earlier, "2026-03-29T01:59:60", "2026-03-29T01:00:00Z");
    check(&earlier, "2026-03-29T02:00:00", "bad_time");
    check(&earlier, "2026-03-29T02:59:60", "bad_time");
    check(&later, "2026-03-29T02:30:00", "bad_time");
    check(&earlier, "2026-03-29T03:00:00", "2026-03-29T01:00:00Z");
    // Autumn: 02:00 to 03:00 comes twice.
    check(&earlier, "2026-10-25T02:30:00", "2026-10-25T00:30:00Z");
    check(&later, "2026-10-25T02:30:00", "2026-10-25T01:30:00Z");
    check(&later, "2026-10-25T01:30:00", "2026-10-24T23:30:00Z");
}

#[test]
fn epochs() {
    let [s, ms, us] = [TimeFormat::EpochSeconds, TimeFormat::EpochMillis, TimeFormat::EpochMicros]
        .map(|format| rules(format, None, Fold::Earlier));
    for (rules, token, expect) in [
        (&s, "1700000000", "2023-11-14T22:13:20Z"),
        (&s, "1700000000.123456", "2023-11-14T22:13:20.123456Z"),
        (&s, "1700000000.1234569", "2023-11-14T22:13:20.123456Z"),
        (&s, "1.7e9", "2023-11-14T22:13:20Z"),
        (&s, "-0.5", "1969-12-31T23:59:59.500Z"),
        (&s, "-0", "1970-01-01T00:00:00Z"),
        (&ms, "1700000000123.4", "2023-11-14T22:13:20.123400Z"),
        (&us, "1700000000123456", "2023-11-14T22:13:20.123456Z"),
        (&us, "1700000000123456.9", "2023-11-14T22:13:20.123456Z"),
        (&s, "1700000000123", "time_out_of_range"),
        (&us, "99999999999999999999999", "time_out_of_range"),
        (&s, "1e400", "time_out_of_range"),
        (&s, "-9000000000", "time_out_of_range"),
        (&s, "\"1700000000\"", "wrong_type"),
        (&s, "true", "wrong_type"),
    ] {
        assert_eq!(shown(rules.number(token)), expect, "{token}");
    }
}

#[test]
fn dates() {
    assert_eq!(date("1970-01-01"), Ok(0));
    assert_eq!(date("2026-03-29"), Ok(20_541));
    assert_eq!(date("1969-12-31"), Ok(-1));
    for text in ["", "2026-02-30", "2026-3-1", "20260301", "2026-03-01T00:00:00Z", " 2026-03-01", "2026/03/01"] {
        assert_eq!(date(text), Err(Reason::BadTime), "{text}");
    }
}

fn rules(format: TimeFormat, zone: Option<chrono_tz::Tz>, fold: Fold) -> TimeRules {
    TimeRules { format, zone, fold }
}

fn check(rules: &TimeRules, text: &str, expect: &str) {
    assert_eq!(shown(rules.text(text)), expect, "{text}");
}

fn shown(time: Result<Micros, Reason>) -> String {
    time.map_or_else(|reason| reason.to_string(), format_time)
}

#[test]
fn dates_are_those_of_the_calendar() {
    let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    for year in 0..=9999 {
        for month in 0..=13 {
            for day in [0, 1, 2, 27, 28, 29, 30, 31, 32] {
                let expect = chrono::NaiveDate::from_ymd_opt(year, month, day);
                let text = format!("{year:04}-{month:02}-{day:02}");
                let expect = expect.map(|date| (date - epoch).num_days());
                assert_eq!(super::parse_date(text.as_bytes()).map(i64::from), expect, "{text}");
            }
        }
    }
}
