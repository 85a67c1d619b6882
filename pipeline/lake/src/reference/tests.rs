//! Reference tables from files: header order, types, nulls, and what is refused.

use super::*;
use arrow::datatypes::{DataType, Field};
use arrow::util::pretty::pretty_format_batches;

fn check(text: &str, expect: Result<&str, &str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zones.csv");
    std::fs::write(&path, text).unwrap();
    let fields = vec![Field::new("id", DataType::Utf8, false), Field::new("area", DataType::Float64, true)];
    let table = Table {
        name: "zones".into(),
        schema: Some(Arc::new(Schema::new(fields))),
        format: TableFormat::Csv { has_header: true, delimiter: b',' },
        location: path.to_string_lossy().into_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let loaded =
        load(&table, runtime.handle()).map(|(_, batches)| pretty_format_batches(&batches).unwrap().to_string());
    match (loaded, expect) {
        (Ok(found), Ok(expect)) => {
            assert_eq!(found.split_whitespace().collect::<Vec<_>>(), expect.split_whitespace().collect::<Vec<_>>())
        }
        (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{error}"),
        (found, expect) => panic!("found {found:?}, expected {expect:?}"),
    }
}

#[test]
fn columns_go_by_their_names() {
    check(
        "area,note,id\n1.5,x,a\n,y,b\n",
        Ok("+----+------+ | id | area | +----+------+ | a | 1.5 | | b | | +----+------+"),
    );
}

#[test]
fn what_is_not_as_declared_is_refused() {
    check("ident,area\na,1\n", Err("the first line has no column 'id'"));
    check("id,area\na,large\n", Err("large"));
    check("id,area\n,1\n", Err("declared NOT NULL"));
}
