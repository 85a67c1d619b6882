//! SQLite: tables from batches, and batches from answers.

use super::differences::Outside;
use super::kind::{Kind, from_key, to_key};
use super::scope::{Column, quoted};
use super::zone::Grid;
use super::{accumulators, functions, lists};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int64Array, ListArray, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int64Type, Schema,
    TimestampMicrosecondType,
};
use rusqlite::types::Value;
use rusqlite::{Connection, Error, params_from_iter};
use std::sync::Arc;

/// A database in memory with our functions.
pub(super) struct Database {
    connection: Connection,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The case lies outside of what is compared.
    Outside(Outside),
    /// SQLite's own words.
    Broken(String),
}

// === impl Failure ===

impl From<Outside> for Failure {
    fn from(outside: Outside) -> Self {
        Self::Outside(outside)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        Outside::in_message(&message).map_or(Self::Broken(message), Self::Outside)
    }
}

// === impl Database ===

impl Database {
    pub(super) fn open() -> Result<Self, Failure> {
        let connection = Connection::open_in_memory()?;
        // In text as in our SQL, upper and lower case differ.
        connection.execute_batch("PRAGMA case_sensitive_like = ON; PRAGMA temp_store = MEMORY;")?;
        functions::register(&connection)?;
        accumulators::register(&connection)?;
        Ok(Self { connection })
    }

    /// Makes a table of `batches`. Columns have no type, so that SQLite changes no value.
    pub(super) fn load(&self, name: &str, columns: &[Column], batches: &[RecordBatch]) -> Result<(), Failure> {
        let list: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        let holes = vec!["?"; columns.len()].join(", ");
        self.connection.execute_batch(&format!("CREATE TABLE {} ({})", quoted(name), list.join(", ")))?;
        let mut insert = self.connection.prepare(&format!("INSERT INTO {} VALUES ({holes})", quoted(name)))?;
        for batch in batches {
            let values: Vec<Vec<Value>> = batch.columns().iter().map(values).collect();
            for row in 0..batch.num_rows() {
                insert.execute(params_from_iter(values.iter().map(|column| &column[row])))?;
            }
        }
        Ok(())
    }

    /// Makes the table of a calendar, for the times of `batches`.
    pub(super) fn mark<'a>(&self, grid: &Grid, batches: impl Iterator<Item = &'a RecordBatch>) -> Result<(), Failure> {
        let name = quoted(&grid.name());
        self.connection.execute_batch(&format!("CREATE TABLE {name} (i INTEGER PRIMARY KEY, at INTEGER UNIQUE)"))?;
        let mut insert = self.connection.prepare(&format!("INSERT INTO {name} (at) VALUES (?)"))?;
        for boundary in grid.boundaries(batches) {
            insert.execute([boundary])?;
        }
        Ok(())
    }

    /// The first number of the answer to `sql`.
    pub(super) fn number(&self, sql: &str) -> Result<i64, Failure> {
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// All rows of the answer, as a batch of `schema`.
    pub(super) fn rows(&self, sql: &str, schema: &Arc<Schema>) -> Result<RecordBatch, Failure> {
        let mut statement = self.connection.prepare(sql)?;
        let mut columns: Vec<Vec<Value>> = vec![Vec::new(); schema.fields().len()];
        let (mut rows, mut count) = (statement.query([])?, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            for (at, column) in columns.iter_mut().enumerate() {
                column.push(row.get(at)?);
            }
        }
        let arrays = schema.fields().iter().zip(columns).map(|(field, column)| {
            array(field.data_type(), column).map_err(|message| Failure::Broken(format!("{}: {message}", field.name())))
        });
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, _>>()?;
        let named = schema.fields().iter().zip(&arrays);
        let fields: Vec<Field> =
            named.map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true)).collect();
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
            .map_err(|error| Failure::Broken(error.to_string()))
    }
}

/// The values of a column as SQLite keeps them (see [`super::kind`]).
fn values(array: &ArrayRef) -> Vec<Value> {
    let value = |row: usize| match array.data_type() {
        DataType::Boolean => Value::Integer(array.as_boolean().value(row).into()),
        DataType::Float32 => Value::Integer(to_key(array.as_primitive::<Float32Type>().value(row).into())),
        DataType::Float64 => Value::Integer(to_key(array.as_primitive::<Float64Type>().value(row))),
        DataType::Decimal128(..) => Value::Integer(array.as_primitive::<Decimal128Type>().value(row) as i64),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Binary => Value::Blob(array.as_binary::<i32>().value(row).to_vec()),
        DataType::Date32 => Value::Integer(array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Timestamp(..) => Value::Integer(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        _ => {
            let wide = cast(array, &DataType::Int64).expect("an integer");
            Value::Integer(wide.as_primitive::<Int64Type>().value(row))
        }
    };
    (0..array.len()).map(|row| if array.is_null(row) { Value::Null } else { value(row) }).collect()
}

/// A column of `data_type` from SQLite's values.
fn array(data_type: &DataType, values: Vec<Value>) -> Result<ArrayRef, String> {
    match data_type {
        DataType::Utf8 => {
            let texts = values.into_iter().map(|value| match value {
                Value::Null => Ok(None),
                Value::Text(text) => Ok(Some(text)),
                other => Err(format!("found {other:?}, expected a text")),
            });
            return Ok(Arc::new(texts.collect::<Result<StringArray, _>>()?));
        }
        DataType::List(item) => return list(item, values),
        DataType::Binary => {
            let mut bytes = BinaryBuilder::new();
            for value in values {
                match value {
                    Value::Null => bytes.append_null(),
                    Value::Blob(value) => bytes.append_value(value),
                    other => return Err(format!("found {other:?}, expected bytes")),
                }
            }
            return Ok(Arc::new(bytes.finish()));
        }
        _ => {}
    }
    let numbers = values.into_iter().map(|value| match value {
        Value::Null => Ok(None),
        Value::Integer(number) => Ok(Some(number)),
        other => Err(format!("found {other:?}, expected a number")),
    });
    let numbers: Vec<Option<i64>> = numbers.collect::<Result<_, _>>()?;
    numeric(data_type, numbers)
}

fn list(item: &FieldRef, values: Vec<Value>) -> Result<ArrayRef, String> {
    let (mut all, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let items = match &value {
            Value::Null => Vec::new(),
            Value::Text(text) => lists::items(text)?,
            other => return Err(format!("found {other:?}, expected a list")),
        };
        lengths.push(items.len());
        valid.push(value != Value::Null);
        all.extend(items);
    }
    let items = array(item.data_type(), all)?;
    let item = Arc::new(item.as_ref().clone().with_nullable(true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(item, offsets, items, Some(valid.into())).map_err(|error| error.to_string())?;
    Ok(Arc::new(list))
}

fn numeric(data_type: &DataType, numbers: Vec<Option<i64>>) -> Result<ArrayRef, String> {
    let numbers = numbers.into_iter();
    Ok(match (data_type, Kind::of(data_type).map_err(|outside| outside.to_string())?) {
        (_, Kind::Bool) => Arc::new(numbers.map(|number| number.map(|number| number != 0)).collect::<BooleanArray>()),
        (_, Kind::Float(64)) => Arc::new(numbers.map(|key| key.map(from_key)).collect::<Float64Array>()),
        (_, Kind::Float(_)) => {
            Arc::new(numbers.map(|key| key.map(|key| from_key(key) as f32)).collect::<Float32Array>())
        }
        (DataType::Decimal128(digits, scale), _) => {
            let array = numbers.map(|number| number.map(i128::from)).collect::<Decimal128Array>();
            Arc::new(array.with_precision_and_scale(*digits, *scale).map_err(|error| error.to_string())?)
        }
        (_, Kind::Date) => Arc::new(numbers.map(|day| day.map(|day| day as i32)).collect::<Date32Array>()),
        (_, Kind::Time) => Arc::new(numbers.collect::<TimestampMicrosecondArray>()),
        (data_type, _) => {
            let wide: ArrayRef = Arc::new(numbers.collect::<Int64Array>());
            let narrow = cast(&wide, data_type).map_err(|error| error.to_string())?;
            if narrow.null_count() > wide.null_count() {
                return Err(format!("a number does not fit {data_type}"));
            }
            narrow
        }
    })
}
