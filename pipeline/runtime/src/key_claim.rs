//! The claim of a stream's declared `key`: rows of one key stand in one partition. An exchange is left out on the strength
//! of it, so it is believed for as long as every row bears it out, and no longer.
//!
//! ```text
//!   row        record key   column   partition   murmur2 says   crc32 says
//!   offset 7   "A12"        A12      3           3              1             murmur2 explains all rows so far
//!   offset 8   "B07"        B07      0           2              0             none does: the claim is false
//! ```

use arrow::array::{Array, AsArray, BinaryArray};
use arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use citystream_codec::Partitioner;
use citystream_model::position::Partition;
use citystream_model::stream::{KEY, OFFSET, Stream};
use std::fmt::Write;

/// What is left of the claim.
#[derive(Debug, Clone)]
pub struct KeyClaim {
    /// Position of the column.
    column: usize,
    partitions: u32,
    /// Rules that explain where all rows so far stand.
    rules: Vec<Partitioner>,
}

// === impl KeyClaim ===

impl KeyClaim {
    /// The claim of `stream`, which has `partitions` partitions; `None` if it declares no key.
    pub fn of(stream: &Stream, partitions: usize) -> Option<Self> {
        let key = stream.key.as_ref()?;
        let column = stream.columns.iter().position(|column| column.name == *key)?;
        let partitions = u32::try_from(partitions).ok()?;
        Some(Self { column, partitions, rules: Partitioner::ALL.to_vec() })
    }

    /// The first row of `batch` (full schema) that no rule explains on its own: its record key and position, for people.
    pub fn odd_one(&self, partition: Partition, batch: &RecordBatch) -> Option<String> {
        let one = |row: &usize| self.explaining(partition, &batch.slice(*row, 1)).is_empty();
        let row = (0..batch.num_rows()).find(one)?;
        let key = batch.column_by_name(KEY)?.as_binary_opt::<i32>()?;
        let key = if key.is_null(row) { "none".into() } else { String::from_utf8_lossy(key.value(row)) };
        let offset = batch.column_by_name(OFFSET)?.as_primitive_opt::<Int64Type>()?.value(row);
        Some(format!("partition {partition}, offset {offset}, record key {key}"))
    }

    /// The rules that explain that the rows of `batch` (full schema) stand in `partition` too.
    pub fn explaining(&self, partition: Partition, batch: &RecordBatch) -> Vec<Partitioner> {
        let keys = batch.column_by_name(KEY).and_then(|column| column.as_binary_opt::<i32>());
        let Some(keys) = keys.filter(|keys| keys.null_count() == 0 && equal(keys, batch.column(self.column))) else {
            return Vec::new();
        };
        let stand = |rule: &Partitioner| {
            keys.iter().flatten().all(|key| rule.partition(key, self.partitions).cast_signed() == partition)
        };
        self.rules.iter().copied().filter(stand).collect()
    }

    /// Names of the rules that are left.
    pub fn rules(&self) -> Vec<String> {
        self.rules.iter().map(|rule| rule.name().to_owned()).collect()
    }

    /// What is left of the claim where an earlier run had only the rules called `names` left.
    #[must_use]
    pub fn restored(mut self, names: &[String]) -> Self {
        self.rules.retain(|rule| names.iter().any(|name| name == rule.name()));
        self
    }

    /// Keeps the rules that are among `explaining`; false when none is left.
    pub fn narrow(&mut self, explaining: &[Partitioner]) -> bool {
        self.rules.retain(|rule| explaining.contains(rule));
        !self.rules.is_empty()
    }
}

/// True when each record's key is its row's value as text.
fn equal(keys: &BinaryArray, values: &dyn Array) -> bool {
    let mut text = String::new();
    let mut number = |key: &[u8], value: i64| {
        text.clear();
        // Writing to a string cannot fail.
        let _written = write!(text, "{value}");
        text.as_bytes() == key
    };
    let mut pairs = keys.iter().flatten().enumerate();
    match values.data_type() {
        DataType::Utf8 => pairs.all(|(row, key)| values.as_string::<i32>().value(row).as_bytes() == key),
        DataType::Int16 => pairs.all(|(row, key)| number(key, values.as_primitive::<Int16Type>().value(row).into())),
        DataType::Int32 => pairs.all(|(row, key)| number(key, values.as_primitive::<Int32Type>().value(row).into())),
        DataType::Int64 => pairs.all(|(row, key)| number(key, values.as_primitive::<Int64Type>().value(row))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Array, StringArray};
    use std::sync::Arc;

    fn claim() -> KeyClaim {
        KeyClaim { column: 0, partitions: 4, rules: Partitioner::ALL.to_vec() }
    }

    fn batch(column: ArrayRef, keys: &[Option<&str>]) -> RecordBatch {
        let keys: BinaryArray = keys.iter().map(|key| key.map(str::as_bytes)).collect();
        RecordBatch::try_from_iter([("k", column), (KEY, Arc::new(keys) as ArrayRef)]).unwrap()
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }

    /// The first of `k0`, `k1`, ... that `rule` puts into partition 1, and no other rule does.
    fn key_of(rule: Partitioner) -> String {
        let only = |key: &String| {
            Partitioner::ALL.iter().all(|other| (other.partition(key.as_bytes(), 4) == 1) == (*other == rule))
        };
        (0..).map(|number| format!("k{number}")).find(only).unwrap()
    }

    #[test]
    fn one_rule_has_to_explain_all_rows() {
        let mut claim = claim();
        let (java, librdkafka) = (key_of(Partitioner::Murmur2), key_of(Partitioner::Crc32));
        let of = |key: &str| batch(texts(&[key]), &[Some(key)]);
        let explaining = claim.explaining(1, &of(&java));
        assert_eq!(explaining, [Partitioner::Murmur2]);
        assert!(claim.narrow(&explaining));
        assert_eq!(claim.explaining(1, &of(&librdkafka)), []);
        assert!(!claim.narrow(&[]));
    }

    #[test]
    fn a_key_that_is_missing_or_another_explains_nothing() {
        let key = key_of(Partitioner::Murmur2);
        assert_eq!(claim().explaining(1, &batch(texts(&[&key]), &[None])), []);
        assert_eq!(claim().explaining(1, &batch(texts(&["other"]), &[Some(&key)])), []);
        let elsewhere = claim().explaining(2, &batch(texts(&[&key]), &[Some(&key)]));
        assert!(!elsewhere.contains(&Partitioner::Murmur2));
    }

    #[test]
    fn numbers_are_keys_as_text() {
        let number = (0..).find(|number: &i32| Partitioner::Murmur2.partition(number.to_string().as_bytes(), 4) == 1);
        let (number, text) = (number.unwrap(), number.unwrap().to_string());
        let column: ArrayRef = Arc::new(Int32Array::from(vec![number]));
        assert!(claim().explaining(1, &batch(Arc::clone(&column), &[Some(&text)])).contains(&Partitioner::Murmur2));
        assert_eq!(claim().explaining(1, &batch(column, &[Some(&format!("0{text}"))])), []);
    }
}
