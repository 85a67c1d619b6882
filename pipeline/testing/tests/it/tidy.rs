//! The house in order: who imports whom, module docs, short files, rooms with the same furniture.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom of ours, from "Who may import whom" in the architecture page; `testing` is never imported.
const IMPORTS: [(&str, &[&str]); 12] = [
    ("model", &[]),
    ("codec", &["model"]),
    ("connect", &["model", "codec"]),
    ("lake", &["model", "connect"]),
    ("functions", &["model"]),
    ("state", &["model"]),
    ("operators", &["model", "state", "functions"]),
    ("sql", &["model", "operators", "functions"]),
    ("runtime", &["model", "codec", "connect", "state", "operators"]),
    ("broker", &[]),
    ("cli", &["model", "codec", "connect", "lake", "functions", "operators", "sql", "runtime", "broker", "state"]),
    // Measures from outside; nothing imports it.
    ("benches", &["model", "codec", "connect", "broker"]),
];
/// Heavy dependencies have a home.
const HOMES: [(&str, &[&str]); 4] = [
    ("datafusion", &["functions", "lake", "operators", "sql", "cli", "testing"]),
    ("deltalake-core", &["lake"]),
    ("rdkafka", &["connect"]),
    ("axum", &["cli"]),
];
/// Crates that may use a heavy dependency in their own tests too.
const HOMES_IN_TESTS: [(&str, &[&str]); 1] = [("rdkafka", &["broker", "connect", "cli"])];
/// Longest file, in lines.
const MOST_LINES: usize = 450;

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().other_options(["--offline".to_owned()]).exec().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn ours(metadata: &Metadata) -> impl Iterator<Item = (&str, &Package)> {
    metadata.packages.iter().filter_map(|package| Some((package.name.strip_prefix("citystream-")?, package)))
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn imports_follow_the_table() {
    let metadata = metadata();
    let table: BTreeMap<&str, &[&str]> = IMPORTS.into_iter().collect();
    let mut found = Vec::new();
    for (name, package) in ours(&metadata).filter(|(name, _)| *name != "testing") {
        let Some(allowed) = table.get(name) else {
            found.push(format!("{name} stands in no row of the table"));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(other) = dependency.name.strip_prefix("citystream-") else { continue };
            let in_tests = dependency.kind == DependencyKind::Development && other != "testing";
            if !allowed.contains(&other) && !in_tests {
                found.push(format!("{name} imports {other}"));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn heavy_dependencies_stay_at_home() {
    let metadata = metadata();
    let mut found = Vec::new();
    for (name, package) in ours(&metadata) {
        for dependency in &package.dependencies {
            let homes = if dependency.kind == DependencyKind::Development { &HOMES_IN_TESTS[..] } else { &HOMES[..] };
            let home = homes.iter().chain(&HOMES).find(|(heavy, _)| dependency.name == *heavy);
            if home.is_some_and(|(_, homes)| !homes.contains(&name)) {
                found.push(format!("{name} uses {}", dependency.name));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn files_say_what_they_know_and_stay_short() {
    let mut found = Vec::new();
    let ours = ["pipeline", "benches"].map(|folder| files(&root().join(folder), "rs"));
    for file in ours.into_iter().flatten() {
        let text = fs::read_to_string(&file).unwrap();
        let in_tests = file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs");
        if !text.starts_with("//!") && !in_tests {
            found.push(format!("{}: the first line is no //!", file.display()));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            found.push(format!("{}: {lines} lines, expected at most {MOST_LINES}", file.display()));
        }
        if file.ends_with("mod.rs") {
            found.push(format!("{}: write foo.rs and foo/ instead of foo/mod.rs", file.display()));
        }
    }
    assert_none(&found);
}

#[test]
fn jobs_have_their_furniture() {
    let jobs = root().join("jobs");
    let mut found = Vec::new();
    for folder in folders(&jobs) {
        found.extend(missing(&folder, &["job.sql", "README.md", "cases"]));
        for case in folders(&folder.join("cases")) {
            found.extend(missing(&case, &["expected.jsonl"]));
            let has_input = fs::read_dir(&case)
                .unwrap()
                .any(|file| file.unwrap().file_name().to_string_lossy().starts_with("input."));
            found.extend((!has_input).then(|| format!("{}: no input", case.display())));
        }
        found.extend(folders(&folder.join("cases")).is_empty().then(|| format!("{}: no case", folder.display())));
    }
    assert!(!folders(&jobs).is_empty(), "no job");
    assert_none(&found);
}

#[test]
fn streams_have_their_furniture() {
    let schemas = root().join("schemas");
    let mut found = Vec::new();
    for folder in folders(&schemas) {
        if folder.join("stream.sql").exists() {
            found.extend(missing(&folder, &["README.md", "sample.jsonl"]));
        } else {
            found.extend(missing(&folder, &["table.sql"]));
        }
    }
    assert!(!folders(&schemas).is_empty(), "no stream");
    assert_none(&found);
}

fn missing(folder: &Path, names: &[&str]) -> Vec<String> {
    let gone = names.iter().filter(|name| !folder.join(name).exists());
    gone.map(|name| format!("{}: no {name}", folder.display())).collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}
