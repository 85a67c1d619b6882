//! Texts at the limit: refused, whatever they hold, and never by a crash.

use crate::fixture::check_jobs;

/// The one finding about a text.
fn refusal(sql: &str) -> String {
    let findings = check_jobs("", sql).err().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings[0].to_string()
}

#[test]
fn a_text_beyond_one_mebibyte() {
    let text = format!("CREATE MATERIALIZED VIEW j AS SELECT zone FROM readings -- {}", "x".repeat(1 << 20));
    let found = refusal(&text);
    assert!(found.starts_with("1:1: S001 the text has 10") && found.contains("at most 1048576"), "{found}");
}

#[test]
fn nested_parentheses() {
    for depth in [60, 300, 3_000, 100_000] {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        let found = refusal(&format!("CREATE MATERIALIZED VIEW j AS\nSELECT {open}speed{close} AS s FROM readings"));
        assert!(found.starts_with("2:") && found.contains("S001") && found.contains("nested"), "{found}");
        let found = refusal(&format!("CREATE MATERIALIZED VIEW j AS\nSELECT * FROM {open}readings{close}"));
        assert!(found.starts_with("2:") && found.contains("S001") && found.contains("nested"), "{found}");
    }
}

#[test]
fn long_chains() {
    let longs = [
        format!("SELECT speed{} AS s FROM readings", " + 1".repeat(20_000)),
        format!("SELECT {} speed AS s FROM readings", "- ".repeat(20_000)),
        format!("SELECT speed FROM readings WHERE {} is_ok", "NOT ".repeat(20_000)),
        format!("SELECT speed FROM readings WHERE is_ok{}", " AND is_ok".repeat(20_000)),
        format!("SELECT speed FROM readings{}", " UNION ALL SELECT speed FROM readings".repeat(5_000)),
        format!("SELECT r.speed FROM readings AS r{}", " JOIN sensors AS s ON s.zone = r.zone".repeat(5_000)),
        format!("SELECT CASE {} END AS s FROM readings", "WHEN is_ok THEN CASE ".repeat(2_000)),
        format!("SELECT {} AS s FROM readings", "coalesce(speed, ".repeat(2_000)),
        format!("SELECT speed{} AS s FROM readings", "::DOUBLE".repeat(20_000)),
        format!("SELECT CAST(speed AS {}INT{}) AS s FROM readings", "ARRAY<".repeat(20_000), ">".repeat(20_000)),
        format!("SELECT {} FROM readings", "[".repeat(20_000)),
        format!("SELECT speed FROM readings WHERE zone{}", " = ANY zone".repeat(20_000)),
    ];
    for select in longs {
        let found = refusal(&format!("CREATE MATERIALIZED VIEW j AS\n{select}"));
        assert!(
            found.starts_with("2:") && found.contains("S001") && found.contains("too"),
            "{}... {found}",
            &select[..60]
        );
    }
}

#[test]
fn just_below_the_limits() {
    let longs = [
        format!("SELECT speed{} AS s FROM readings", " + 1".repeat(500)),
        format!("SELECT speed FROM readings WHERE is_ok{}", " OR is_ok".repeat(500)),
        format!("SELECT speed FROM readings WHERE zone IN ({} '')", "'a', ".repeat(20_000)),
        format!("SELECT speed FROM readings{}", " UNION ALL SELECT speed FROM readings".repeat(30)),
        format!("SELECT {}speed{} AS s FROM readings", "(".repeat(10), ")".repeat(10)),
    ];
    for select in longs {
        let result = check_jobs("", &format!("CREATE MATERIALIZED VIEW j AS\n{select}"));
        assert!(result.is_ok(), "{}... {:?}", &select[..60], result.err());
    }
}
