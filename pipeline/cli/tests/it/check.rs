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
fn an_error_that_is_no_finding_is_json_too() {
    let city = City::new();
    let done = city.done(&["check", "x.sql", "--schemas", "nowhere", "--output", "json"]).expect(1);
    done.says(&["nowhere", "cannot be read"]);
}
