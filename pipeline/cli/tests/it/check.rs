//! `check`: findings for people and for scripts.

use crate::city::{City, PER_MINUTE};

#[test]
fn findings_have_a_place_a_code_and_a_remedy() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    city.job("good", "", PER_MINUTE);
    city.file(
        "bad.sql",
        "CREATE MATERIALIZED VIEW bad WITH (latenes = '1 minute') AS\nSELECT site, now() AS n FROM flow;\n",
    );
    let check = |more: &[&str]| city.done(&[&["check", "--schemas", "schemas"], more].concat());
    let done = check(&["good.sql"]).expect(0);
    assert_eq!(done.stdout, "good: ok, reads flow, writes parquet:good\n");
    assert_eq!(check(&["good.sql", "--output", "json"]).expect(0).stdout, "[]\n");
    let done = check(&["good.sql", "bad.sql"]).expect(1);
    done.says(&["bad.sql:1:36: S004", "help: did you mean"]);
    assert_eq!(done.stdout, "");
    let done = check(&["bad.sql", "--output", "json"]).expect(1);
    let found = done.json();
    let first = &found[0];
    assert_eq!((&first["code"], &first["line"], &first["column"]), (&"S004".into(), &1.into(), &36.into()), "{found}");
    assert_eq!(first["file"], "bad.sql");
    assert!(first["message"].is_string() && first["help"].is_string(), "{found}");
}

#[test]
fn a_pasted_stream_and_window_are_shown_in_our_spelling() {
    let city = City::new();
    let pasted = "CREATE TABLE flow (site STRING, at TIMESTAMP(3), WATERMARK FOR at AS at - INTERVAL '30' SECOND)\nWITH ('connector' = 'kafka', 'topic' = 'flow')";
    city.file("schemas/flow/stream.sql", pasted);
    let job = "CREATE MATERIALIZED VIEW j AS SELECT window_start, count(*) AS n\nFROM TABLE(TUMBLE(TABLE flow, DESCRIPTOR(at), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end";
    city.file("j.sql", job);
    let done = city.done(&["check", "j.sql", "--schemas", "schemas"]).expect(0);
    for part in [
        "schemas/flow/stream.sql:1:1: note: read as CREATE UNBOUNDED EXTERNAL TABLE flow (\n  site TEXT,",
        "j.sql:2:12: note: read as tumble(flow, at, INTERVAL '1' MINUTE)",
        "j: ok, reads flow",
    ] {
        assert!(done.stdout.contains(part), "{}", done.stdout);
    }
    let found = city.done(&["check", "j.sql", "--schemas", "schemas", "--output", "json"]).expect(0).json();
    assert_eq!((&found[1]["severity"], &found[1]["line"]), (&"note".into(), &2.into()), "{found}");
    assert_eq!(found[1]["read_as"], "tumble(flow, at, INTERVAL '1' MINUTE)");
}

#[test]
fn a_folder_has_the_name_of_what_it_declares() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    city.job("good", "", PER_MINUTE);
    std::fs::rename(city.path("schemas/flow"), city.path("schemas/flows")).unwrap();
    let done = city.done(&["check", "good.sql", "--schemas", "schemas"]).expect(1);
    done.says(&["flows/stream.sql:1:", "S012 the stream 'flow' is declared in the folder 'flows'", "flow/stream.sql"]);
}

#[test]
fn a_table_that_does_not_fit_is_said_at_its_column() {
    let city = City::new();
    city.declare("flow", crate::city::FLOW, "");
    city.job("good", "", PER_MINUTE);
    let table =
        "CREATE EXTERNAL TABLE flow_limits (\n  site TEXT,\n  kmh INT\n) STORED AS CSV LOCATION 'limits.csv';\n";
    city.file("schemas/flow_limits/table.sql", table);
    city.file("schemas/flow_limits/limits.csv", "site,kmhh\na,5\n");
    let done = city.done(&["check", "good.sql", "--schemas", "schemas"]).expect(1);
    done.says(&["schemas/flow_limits/table.sql:3:3: S022", "has no column 'kmh'", "did you mean 'kmhh'?"]);
}

#[test]
fn an_error_that_is_no_finding_is_json_too() {
    let city = City::new();
    let done = city.done(&["check", "x.sql", "--schemas", "nowhere", "--output", "json"]).expect(1);
    done.says(&["nowhere", "cannot be read"]);
}
