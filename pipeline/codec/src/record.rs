//! Kafka records as they came: what every decoder reads.
//!
//! ```text
//!  Records   bytes   k e y 1 { "a": 1 } k 2 { "a": 2 } { "a": 3 }
//!            places  ^ 7     ^          ^ 8 ^          ^ 9          offset, time, where key and value begin and end
//! ```
//!
//! A source reads millions of records a second, so a record has no allocation of its own: [`Records`] holds the bytes
//! of all of them in one buffer and [`RecordRef`] looks into it. [`Record`] owns its bytes; it is for what is kept,
//! as a reject, and for tests.

use bytes::Bytes;
use citystream_model::time::Micros;
use std::fmt;
use std::ops::Range;

/// One Kafka record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Offset in its partition.
    pub offset: i64,
    /// Kafka record time, in microseconds.
    pub timestamp: Micros,
    /// Key, if the producer gave one.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in their order; a name may come more than once.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// One record of [`Records`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordRef<'a> {
    /// Offset in its partition.
    pub offset: i64,
    /// Kafka record time, in microseconds.
    pub timestamp: Micros,
    /// Key, if the producer gave one.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in their order; a name may come more than once.
    pub headers: Headers<'a>,
}

/// Headers of one record; [`Headers::default`] has none.
#[derive(Clone, Copy, Default)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    places: &'a [HeaderPlace],
}

/// Records of one partition in offset order, in one buffer.
#[derive(Clone, Default)]
pub struct Records {
    /// Keys, values and headers, one behind the other.
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Of all records, one behind the other.
    headers: Vec<HeaderPlace>,
}

/// Where a record stands in the buffer.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: i64,
    timestamp: Micros,
    /// Key and value follow each other: `start..key_end` and `key_end..value_end`.
    start: usize,
    key_end: usize,
    value_end: usize,
    /// Where in `headers` those of the next record begin.
    headers_end: u32,
    has_key: bool,
    has_value: bool,
}

/// Where a header stands in the buffer.
#[derive(Debug, Clone)]
struct HeaderPlace {
    name: Range<usize>,
    value: Option<Range<usize>>,
}

/// Most bytes that one text or binary column of a batch can hold (Arrow offsets have 32 bits).
pub(crate) const MAX_COLUMN_BYTES: usize = i32::MAX as usize;

// === impl Records ===

impl Records {
    /// An empty buffer with room for `records` of `bytes` together.
    pub fn with_capacity(records: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), places: Vec::with_capacity(records), headers: Vec::new() }
    }

    /// Appends a record, whose offset is larger than those before it; its headers follow with
    /// [`Records::push_header`].
    pub fn push(&mut self, offset: i64, timestamp: Micros, key: Option<&[u8]>, value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.unwrap_or_default());
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.places.push(Place {
            offset,
            timestamp,
            start,
            key_end,
            value_end: self.bytes.len(),
            headers_end: self.headers.len() as u32,
            has_key: key.is_some(),
            has_value: value.is_some(),
        });
    }

    /// Appends a header to the last record; without one, nothing happens.
    pub fn push_header(&mut self, name: &str, value: Option<&[u8]>) {
        let Some(last) = self.places.last_mut() else { return };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        let name = start..self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let value = value.map(|_| name.end..self.bytes.len());
        self.headers.push(HeaderPlace { name, value });
        last.headers_end = self.headers.len() as u32;
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of all keys, values and headers.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// True when a record has a header.
    pub fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// The records in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> + DoubleEndedIterator {
        (0..self.places.len()).map(|at| self.record(at))
    }

    /// The first record.
    pub fn first(&self) -> Option<RecordRef<'_>> {
        self.iter().next()
    }

    /// The last record.
    pub fn last(&self) -> Option<RecordRef<'_>> {
        self.iter().next_back()
    }

    /// Drops the records behind the first `len`.
    pub fn truncate(&mut self, len: usize) {
        let Some(first) = self.places.get(len) else { return };
        self.bytes.truncate(first.start);
        self.headers.truncate(self.headers_before(len));
        self.places.truncate(len);
    }

    /// Drops the records at and behind `offset`.
    pub fn truncate_at(&mut self, offset: i64) {
        self.truncate(self.places.partition_point(|place| place.offset < offset));
    }

    /// Takes the records behind the first `at` away.
    pub fn split_off(&mut self, at: usize) -> Self {
        let mut rest = Self::default();
        self.iter().skip(at).for_each(|record| rest.push_record(&record));
        self.truncate(at);
        rest
    }

    /// Copies that own their bytes.
    pub fn to_vec(&self) -> Vec<Record> {
        self.iter().map(|record| record.to_owned()).collect()
    }

    fn push_record(&mut self, record: &RecordRef<'_>) {
        self.push(record.offset, record.timestamp, record.key, record.value);
        record.headers.iter().for_each(|(name, value)| self.push_header(name, value));
    }

    fn record(&self, at: usize) -> RecordRef<'_> {
        let place = &self.places[at];
        let headers = if self.headers.is_empty() {
            Headers::default()
        } else {
            let places = &self.headers[self.headers_before(at)..place.headers_end as usize];
            Headers { bytes: &self.bytes, places }
        };
        RecordRef {
            offset: place.offset,
            timestamp: place.timestamp,
            key: place.has_key.then(|| &self.bytes[place.start..place.key_end]),
            value: place.has_value.then(|| &self.bytes[place.key_end..place.value_end]),
            headers,
        }
    }

    fn headers_before(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|before| self.places.get(before)).map_or(0, |place| place.headers_end as usize)
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut all = Self::default();
        for record in records {
            all.push(record.offset, record.timestamp, record.key.as_deref(), record.value.as_deref());
            record.headers.iter().for_each(|(name, value)| all.push_header(name, value.as_deref()));
        }
        all
    }
}

impl From<&[Record]> for Records {
    fn from(records: &[Record]) -> Self {
        records.iter().cloned().collect()
    }
}

// === impl RecordRef ===

impl RecordRef<'_> {
    /// A copy that owns its bytes.
    pub fn to_owned(&self) -> Record {
        let copy = |part: Option<&[u8]>| part.map(Bytes::copy_from_slice);
        Record {
            offset: self.offset,
            timestamp: self.timestamp,
            key: copy(self.key),
            value: copy(self.value),
            headers: self.headers.iter().map(|(name, value)| (name.to_owned(), copy(value))).collect(),
        }
    }
}

// === impl Headers ===

impl<'a> Headers<'a> {
    /// True without headers.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let bytes = self.bytes;
        self.places.iter().map(move |place| {
            // Was a `str` when it came.
            let name = std::str::from_utf8(&bytes[place.name.clone()]).unwrap_or_default();
            (name, place.value.clone().map(|value| &bytes[value]))
        })
    }
}

impl PartialEq for Headers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
