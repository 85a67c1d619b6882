//! Rows of a result -> messages: one JSON object each, and the message key.

use super::write;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use citystream_model::nearest::nearest;
use citystream_model::{Error, Result};
use std::collections::HashSet;
use std::io;

/// Writes rows of one schema as messages; `write` says how each type looks.
///
/// The value is one JSON object with the columns by name, in order. The key is the one key column as plain text, of
/// several columns a JSON array; without key columns, or where the one key column is NULL, there is none.
#[derive(Debug)]
pub struct RowEncoder {
    columns: Vec<ColumnText>,
    /// Places of the key columns.
    key: Vec<usize>,
}

#[derive(Debug)]
struct ColumnText {
    name: String,
    /// What stands before the value: brace or comma, the quoted name, a colon.
    lead: Vec<u8>,
}

/// One row as a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRow {
    /// Message key, if the row has one.
    pub key: Option<Vec<u8>>,
    /// One JSON object.
    pub value: Vec<u8>,
}

// === impl RowEncoder ===

impl RowEncoder {
    /// An encoder for batches of `schema` with the columns `key` as message key.
    ///
    /// Refuses (kind `Job`) a type that JSON cannot carry, two columns of one name, and a key that is no column.
    pub fn new(schema: &Schema, key: &[String]) -> Result<Self> {
        let mut names = HashSet::new();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let name = field.name();
            if let Some(found) = write::refused(field.data_type()) {
                let message = format!("column {name}: found type {found}, expected a type that JSON can carry");
                return Err(Error::job(message + "; cast the column to another type"));
            }
            if !names.insert(name) {
                return Err(Error::job(format!(
                    "column {name}: found twice, expected distinct names; rename one with AS"
                )));
            }
            columns.push(ColumnText::new(name, columns.is_empty())?);
        }
        let key = key.iter().map(|name| key_column(schema, name)).collect::<Result<_>>()?;
        Ok(Self { columns, key })
    }

    /// The rows of `batch` as messages, in order.
    pub fn encode(&self, batch: &RecordBatch) -> Result<Vec<EncodedRow>> {
        let schema = batch.schema_ref();
        if !schema.fields().iter().map(|field| field.name()).eq(self.columns.iter().map(|column| &column.name)) {
            return Err(Error::internal("rows to encode: found other columns than the encoder was made for"));
        }
        let mut rows: Vec<EncodedRow> = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let like_the_last = rows.last().map_or(128, |last| last.value.len() + 16);
            let encoded = self.row(batch.columns(), row, like_the_last);
            rows.push(encoded.map_err(|error| Error::internal("row could not be written").caused_by(error))?);
        }
        Ok(rows)
    }

    fn row(&self, arrays: &[arrow::array::ArrayRef], row: usize, capacity: usize) -> io::Result<EncodedRow> {
        let mut value = Vec::with_capacity(capacity);
        for (column, array) in self.columns.iter().zip(arrays) {
            value.extend_from_slice(&column.lead);
            write::value(&mut value, array, row)?;
        }
        value.extend_from_slice(if self.columns.is_empty() { b"{}" } else { b"}" });
        let key = match self.key.as_slice() {
            [] => None,
            [one] => plain_text(arrays[*one].as_ref(), row)?,
            several => Some(array_text(several.iter().map(|at| arrays[*at].as_ref()), row)?),
        };
        Ok(EncodedRow { key, value })
    }
}

impl ColumnText {
    fn new(name: &str, first: bool) -> Result<Self> {
        let quoted = serde_json::to_string(name).map_err(|error| Error::internal("column name").caused_by(error))?;
        let lead = format!("{}{quoted}:", if first { '{' } else { ',' }).into_bytes();
        Ok(Self { name: name.to_owned(), lead })
    }
}

fn key_column(schema: &Schema, name: &str) -> Result<usize> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    names().position(|column| column == name).ok_or_else(|| {
        let hint = nearest(name, names()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Error::job(format!("option key: found {name:?}, expected a column of the result{hint}"))
    })
}

/// A value without the quotes of JSON text; `None` for null.
fn plain_text(array: &dyn Array, row: usize) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    write::value(&mut text, array, row)?;
    match text.as_slice() {
        b"null" => Ok(None),
        [b'"', plain @ .., b'"'] if !plain.contains(&b'\\') => Ok(Some(plain.to_vec())),
        [b'"', ..] => Ok(Some(serde_json::from_slice::<String>(&text)?.into_bytes())),
        _ => Ok(Some(text)),
    }
}

fn array_text<'a>(arrays: impl Iterator<Item = &'a dyn Array>, row: usize) -> io::Result<Vec<u8>> {
    let mut text = vec![b'['];
    for (at, array) in arrays.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        write::value(&mut text, array, row)?;
    }
    text.push(b']');
    Ok(text)
}

#[cfg(test)]
mod tests;
