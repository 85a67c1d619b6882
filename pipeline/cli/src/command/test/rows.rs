//! Rows of cases: JSON objects, compared as multisets, numbers by value and only in the columns that a case names.

use arrow::record_batch::RecordBatch;
use citystream_codec::RowEncoder;
use citystream_model::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// A row as a JSON object.
pub(super) type Row = Map<String, Value>;

/// The rows of a file of JSON lines; none when there is no such file.
pub(super) fn of_file(path: &Path) -> Result<Vec<Row>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::job(format!("{}: cannot be read", path.display())).caused_by(error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|error| {
                Error::job(format!("{}:{}: not a JSON object", path.display(), at + 1)).caused_by(error)
            })
        })
        .collect()
}

/// The rows of batches, as they would be sent to Kafka.
pub(super) fn of_batches(batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in RowEncoder::new(&batch.schema(), &[])?.encode(batch)? {
            rows.push(
                serde_json::from_slice(&row.value).map_err(|error| Error::internal("encoded row").caused_by(error))?,
            );
        }
    }
    Ok(rows)
}

/// What of `found` is not expected, and what is expected and not found; an expected row may name fewer columns.
pub(super) fn differences(what: &str, expected: &[Row], found: &[Row]) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut left: Vec<&Row> = found.iter().collect();
    let mut missing = Vec::new();
    for row in expected {
        match left.iter().position(|found| matches(row, found)) {
            Some(at) => drop(left.swap_remove(at)),
            None => missing.push(row),
        }
    }
    let text = |row: &Row| Value::Object(row.clone()).to_string();
    let mut sentences: Vec<String> =
        missing.iter().take(SHOWN).map(|row| format!("{what}: missing {}", text(row))).collect();
    sentences.extend(left.iter().take(SHOWN).map(|row| format!("{what}: not expected {}", text(row))));
    let hidden = missing.len().saturating_sub(SHOWN) + left.len().saturating_sub(SHOWN);
    if hidden > 0 {
        sentences.push(format!("{what}: {hidden} more differences"));
    }
    sentences
}

fn matches(expected: &Row, found: &Row) -> bool {
    expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| equal(value, found)))
}

/// `27` and `27.0` are one number.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Row> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn rows_are_compared_as_multisets() {
        let found = rows("{\"a\":1,\"b\":\"x\"}\n{\"a\":1,\"b\":\"x\"}");
        assert_eq!(differences("late", &rows("{\"a\":1.0}\n{\"b\":\"x\"}"), &found), Vec::<String>::new());
        assert_eq!(differences("late", &rows("{\"a\":1}"), &found), ["late: not expected {\"a\":1,\"b\":\"x\"}"]);
        assert_eq!(differences("late", &rows("{\"a\":2}"), &[]), ["late: missing {\"a\":2}"]);
    }
}
