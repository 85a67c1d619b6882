//! Rows as text that is equal exactly when the rows are, bit for bit.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::BTreeMap;

/// The first `columns` columns of every row of `batches`.
pub fn render(batches: &[RecordBatch], columns: usize) -> Vec<String> {
    let row = |batch: &RecordBatch, row: usize| {
        let cells = batch.columns()[..columns].iter().map(|column| cell(column.as_ref(), row));
        cells.collect::<Vec<_>>().join(" | ")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

/// One value: floats with their bits, text in quotes.
pub fn cell(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "∅".to_owned();
    }
    match array.data_type() {
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            format!("{value:?}#{:x}", value.to_bits())
        }
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            format!("{value:?}#{:x}", value.to_bits())
        }
        DataType::Utf8 => format!("{:?}", array.as_string::<i32>().value(row)),
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(row);
            let cells: Vec<String> = (0..list.len()).map(|at| cell(list.as_ref(), at)).collect();
            format!("[{}]", cells.join(", "))
        }
        _ => ArrayFormatter::try_new(array, &FormatOptions::new()).unwrap().value(row).to_string(),
    }
}

/// Rows that are in one multiset and not in the other: (only left, only right).
pub fn difference(left: &[String], right: &[String]) -> (Vec<String>, Vec<String>) {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    left.iter().for_each(|row| *counts.entry(row).or_default() += 1);
    right.iter().for_each(|row| *counts.entry(row).or_default() -= 1);
    let side = |sign: i64| {
        let rows = counts.iter().filter(|(_, count)| **count * sign > 0);
        rows.flat_map(|(row, count)| std::iter::repeat_n((*row).to_owned(), count.unsigned_abs() as usize)).collect()
    };
    (side(1), side(-1))
}
