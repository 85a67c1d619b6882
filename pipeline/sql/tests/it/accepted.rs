//! `accepted/*.sql`: a job file, then `-->` lines with the columns and operators of each job.

use crate::fixture::{check_jobs, files, is_update};
use arrow::datatypes::{DataType, TimeUnit};
use citystream_operators::dataflow::Dataflow;
use citystream_sql::CheckedJob;
use std::collections::BTreeMap;

#[test]
fn every_shape_has_the_columns_that_are_written_below_it() {
    let mut wrong = String::new();
    for path in files("accepted", "sql") {
        let written = std::fs::read_to_string(&path).unwrap();
        let sql: String =
            written.lines().filter(|line| !line.starts_with("-->")).map(|line| format!("{line}\n")).collect();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = match check_jobs(&name, &sql) {
            Ok(jobs) => format!("{sql}{}", jobs.iter().map(describe).collect::<String>()),
            Err(findings) => {
                wrong.extend(findings.iter().map(|finding| format!("{finding}\n")));
                continue;
            }
        };
        if is_update() {
            std::fs::write(&path, &found).unwrap();
        } else if found != written {
            wrong += &format!("{name}\n  expected {written}\n  found    {found}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Name, columns and operators of a job; its twin has to run too, over nothing.
pub(crate) fn describe(job: &CheckedJob) -> String {
    let columns = job.schema.fields().iter().map(|field| format!("{} {}", field.name(), sql_type(field.data_type())));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let rows = runtime.block_on(job.twin.run(&BTreeMap::new())).unwrap();
    for batch in rows {
        assert_eq!(batch.schema().fields().len(), job.schema.fields().len(), "{}", job.spec.name);
    }
    for shards in [1, 3] {
        Dataflow::build(job.plan.clone(), job.streams.len(), shards).unwrap();
    }
    let nodes = job.plan.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(" > ");
    format!("--> {}: {columns}\n--> {nodes}\n", job.spec.name)
}

fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Utf8 => "TEXT".into(),
        DataType::Binary => "BINARY".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP".into(),
        DataType::Decimal128(p, s) => format!("DECIMAL({p}, {s})"),
        other => format!("{other}"),
    }
}
