//! `citystream test`: the cases of the repository's jobs, and what is said of a case that does not hold.

use crate::city::{City, FLOW, PER_MINUTE, flow};
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// A city with the job `counted` and one case: two rows of a minute, a late one and a reject.
fn with_case(expected: &str, late: &str) -> City {
    let city = City::new();
    city.declare("flow", FLOW, "'key' 'site'");
    city.file("jobs/counted/job.sql", &format!("CREATE MATERIALIZED VIEW counted AS {PER_MINUTE};"));
    let rows = [flow("a", 1, "05:00:00"), flow("a", 2, "05:00:30"), flow("b", 5, "05:02:00"), flow("a", 9, "05:00:10")];
    city.file("jobs/counted/cases/small/input.jsonl", &format!("{}\n{{\n", rows.join("\n")));
    city.file("jobs/counted/cases/small/expected.jsonl", expected);
    city.file("jobs/counted/cases/small/late.jsonl", late);
    city.file("jobs/counted/cases/small/rejected.jsonl", r#"{"reason":"invalid_json"}"#);
    city
}

const EXPECTED: &str = r#"{"site":"a","veh":3,"readings":2}
{"site":"b","veh":5,"readings":1}"#;
const LATE: &str = r#"{"site":"a","veh":9}"#;

#[test]
fn every_case_of_the_repository_holds() {
    let (city, root) = (City::new(), repository());
    let cases: Vec<usize> = folders(&root.join("jobs")).iter().map(|job| folders(&job.join("cases")).len()).collect();
    assert!(cases.iter().all(|count| *count > 0), "every job has a case");
    let mut command = city.command(&["test"]);
    command.current_dir(&root);
    let done = crate::process::start(command, &city.path("")).wait().expect(0);
    let last = format!("{} passed, 0 failed", cases.iter().sum::<usize>());
    assert_eq!(done.stdout.lines().last(), Some(last.as_str()), "{}", done.stdout);
}

#[test]
fn a_case_holds_or_the_row_is_named() {
    let done = with_case(EXPECTED, LATE).done(&["test"]).expect(0);
    assert!(done.stdout.ends_with("jobs/counted/cases/small ... ok\n1 passed, 0 failed\n"), "{}", done.stdout);
    let wrong = [
        (EXPECTED.replace("\"veh\":3", "\"veh\":4"), LATE, r#"rows: missing {"site":"a","veh":4,"readings":2}"#),
        (EXPECTED.lines().next().unwrap().to_owned(), LATE, "rows: not expected"),
        (EXPECTED.to_owned(), "", "late: not expected"),
    ];
    for (expected, late, said) in wrong {
        let done = with_case(&expected, late).done(&["test"]).expect(1);
        assert!(done.stdout.contains("FAILED") && done.stdout.contains(said), "{said} in {}", done.stdout);
        assert!(done.stdout.ends_with("0 passed, 1 failed\n"), "{}", done.stdout);
    }
}

#[test]
fn a_folder_without_cases_stops_nothing_and_a_missing_one_is_named() {
    let city = with_case(EXPECTED, LATE);
    city.file("jobs/bare/job.sql", &format!("CREATE MATERIALIZED VIEW bare AS {PER_MINUTE};"));
    let done = city.done(&["test"]).expect(0);
    done.says(&["jobs/bare", "has no cases"]);
    assert!(done.stdout.ends_with("1 passed, 0 failed\n"), "{}", done.stdout);
    city.done(&["test", "jobs/nope"]).expect(1).says(&["no folder 'jobs/nope'", "expected jobs/NAME"]);
    city.done(&["test", "jobs/bare"]).expect(1).says(&["there is no case"]);
}
