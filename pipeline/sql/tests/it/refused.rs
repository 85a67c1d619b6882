//! `refused/*.txt`: cases of `=== title`, a job file (a schemas file where the name starts with `schemas` or `tables`),
//! `---`, and what is said about it. In `tables` the last line is what a table's file made its reader say.

use crate::fixture::{TestConnectors, check_jobs, files, is_update, sql_file};
use citystream_model::Error;
use citystream_sql::Catalog;
use std::fmt::Write;
use std::path::Path;

#[test]
fn every_refusal_says_where_what_and_what_instead() {
    let mut wrong = String::new();
    for path in files("refused", "txt") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let written = std::fs::read_to_string(&path).unwrap();
        let mut found = String::new();
        for case in written.split("=== ").skip(1) {
            let (title, body) = case.split_once('\n').unwrap();
            let (sql, expected) = body.split_once("---\n").unwrap_or((body, ""));
            let findings = check(&name, sql);
            if findings != expected.trim() && !is_update() {
                writeln!(wrong, "{name}, {title}\n  expected {}\n  found    {findings}", expected.trim()).unwrap();
            }
            complain(&name, title, sql, &findings, &mut wrong);
            writeln!(found, "=== {title}\n{}\n---\n{findings}\n", sql.trim_end()).unwrap();
        }
        update(&path, &format!("{}\n", found.trim_end()));
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// All findings about a text, one a line.
fn check(name: &str, sql: &str) -> String {
    if name.starts_with("tables") {
        let catalog = Catalog::read(&[sql_file("", sql)], &TestConnectors).unwrap();
        let error = Error::job(sql.trim().rsplit("-- ").next().unwrap());
        return catalog.unreadable(catalog.tables.keys().next().unwrap(), &error).to_string();
    }
    let findings = if name.starts_with("schemas") {
        Catalog::read(&[sql_file("", sql)], &TestConnectors).err()
    } else {
        check_jobs("", sql).err()
    };
    let Some(findings) = findings else { return "taken".to_owned() };
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn update(path: &Path, text: &str) {
    if is_update() {
        std::fs::write(path, text).unwrap();
    }
}

/// Rules that every message keeps: a place inside the text, lower case, no full stop, nothing from inside the engine.
fn complain(name: &str, title: &str, sql: &str, findings: &str, wrong: &mut String) {
    const INSIDE: [&str; 16] = [
        "Error during",
        "__",
        "TableScan",
        "DataFusion",
        "datafusion",
        "External",
        "Internal",
        "ParserError",
        "Some(",
        "None",
        "ScalarFunction",
        "not implemented",
        "Timestamp(",
        "Utf8",
        "Int64",
        "Field {",
    ];
    let mut say = |what: &str| writeln!(wrong, "{name}, {title}: {what}\n  {findings}").unwrap();
    if findings == "taken" {
        return say("is taken, and should be refused");
    }
    for line in findings.lines() {
        let parts: Vec<&str> = line.splitn(3, ':').collect();
        let (Ok(row), Ok(column)) = (parts[0].parse::<usize>(), parts[1].parse::<usize>()) else {
            return say("has no place");
        };
        if sql.lines().nth(row - 1).is_none_or(|text| column > text.chars().count() + 1) {
            say("has a place outside the text");
        }
        let message = &parts[2].trim_start()[5..];
        let (message, help) = message.split_once("; help: ").unwrap_or((message, ""));
        let starts_low = !message.starts_with(|first: char| first.is_uppercase())
            || message.starts_with(|c: char| c.is_uppercase())
                && message.chars().nth(1).is_some_and(|c| c.is_uppercase() || c == ' ');
        if !starts_low || message.ends_with('.') || help.is_empty() {
            say("is not in the form of a message");
        }
        let line = line.replace("'__", "");
        if let Some(word) = INSIDE.iter().find(|word| line.contains(**word)) {
            say(&format!("speaks of '{word}'"));
        }
    }
}
