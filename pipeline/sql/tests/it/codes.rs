//! Each code of the sources stands in the README's table with a case that shows it, and the table has no other.

use crate::fixture::{files, folder};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_table_of_codes_is_complete() {
    let readme = std::fs::read_to_string(folder("../README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| S").and_then(|rest| rest.get(..3)));
    let written: BTreeSet<String> = rows.map(|digits| format!("S{digits}")).collect();
    let mut used = BTreeSet::new();
    collect(&folder("../src"), &mut used);
    assert_eq!(written, used, "left: the table in pipeline/sql/README.md, right: the sources");
    let shown: String = files("refused", "txt").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let unseen: Vec<_> = used.iter().filter(|code| !shown.contains(&format!(": {code} "))).collect();
    assert_eq!(unseen, ["S001"; 0], "codes without a case in tests/refused");
}

/// Every `"S123"` below a folder.
fn collect(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            collect(&entry, codes);
            continue;
        }
        let text = std::fs::read_to_string(&entry).unwrap();
        let starts = text.match_indices("\"S").map(|(at, _)| &text[at + 1..]);
        let found = starts.filter_map(|rest| rest.split('"').next()).filter(|code| code.len() == 4);
        codes.extend(found.filter(|code| code[1..].bytes().all(|digit| digit.is_ascii_digit())).map(str::to_owned));
    }
}
