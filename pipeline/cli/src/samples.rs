//! Sending a file of JSON lines to a topic, in its order, at a rate, in event time, or shuffled.

use crate::inputs::lines;
use crate::shuffle;
use bytes::Bytes;
use citystream_codec::{Decoder, RecordRef, Records, RowEncoder};
use citystream_connect::KafkaProducer;
use citystream_model::stream::{OFFSET, Stream};
use citystream_model::time::{MAX_EVENT_TIME, Micros};
use citystream_model::{Error, Result};
use citystream_runtime::stop::Stop;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How fast rows are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As fast as the broker takes them.
    Full,
    /// So many rows a second.
    Rate(f64),
    /// So many times as fast as they happened.
    Speed(f64),
}

/// A line about to be sent.
struct Row {
    value: Bytes,
    key: Option<Vec<u8>>,
    /// Event time; a line that cannot be read has the time of the line before it.
    at: Micros,
}

/// How a file is sent.
pub(crate) struct Sending<'a> {
    pub(crate) stream: &'a Arc<Stream>,
    /// Column whose value becomes the key.
    pub(crate) key: Option<&'a str>,
    pub(crate) pace: Pace,
    /// Random delays of up to so many microseconds of event time, and their seed.
    pub(crate) shuffle: Option<(Micros, u64)>,
    pub(crate) stop: &'a Stop,
}

/// How long the last rows may take to be acknowledged.
const FLUSH_BUDGET: Duration = Duration::from_secs(120);
/// Rows that are keyed and sent at once.
const CHUNK: usize = 16_384;

// === impl Sending ===

impl Sending<'_> {
    /// Sends the lines of `path`; returns how many. `progress` learns how many were sent so far.
    ///
    /// # Errors
    /// The file cannot be read, or the broker does not take a row.
    pub(crate) fn send(&self, path: &Path, producer: &KafkaProducer, progress: &mut dyn FnMut(u64)) -> Result<u64> {
        let mut records = lines(path, MAX_EVENT_TIME)?.peekable();
        let (started, mut first, mut sent) = (Instant::now(), None, 0);
        // A shuffle needs all rows; otherwise a large file goes through in parts.
        let chunk = if self.shuffle.is_some() { usize::MAX } else { CHUNK };
        let mut last_time = 0;
        'sending: while records.peek().is_some() && !self.stop.is_set() {
            let records = records.by_ref().take(chunk).collect::<Result<Records>>()?;
            for row in self.order(self.rows(&records, &mut last_time)?) {
                let due = self.due(*first.get_or_insert(row.at), row.at, sent);
                while let Some(wait) = due.checked_sub(started.elapsed()).filter(|wait| !wait.is_zero()) {
                    if self.stop.wait(wait) {
                        break 'sending;
                    }
                }
                producer.send(&self.stream.topic, None, row.key.as_deref(), Some(&row.value), &[], None)?;
                sent += 1;
                if sent % 1_000 == 0 || self.pace != Pace::Full {
                    progress(sent);
                }
            }
        }
        producer.flush(FLUSH_BUDGET)?;
        progress(sent);
        Ok(sent)
    }

    /// When a row is to be sent, from the start.
    fn due(&self, first: Micros, at: Micros, sent: u64) -> Duration {
        match self.pace {
            Pace::Full => Duration::ZERO,
            Pace::Rate(rate) => Duration::from_secs_f64(sent as f64 / rate),
            Pace::Speed(speed) => Duration::from_secs_f64((at - first).max(0) as f64 / 1e6 / speed),
        }
    }

    /// Keys and event times of lines; a line that cannot be read is sent all the same, without a key.
    fn rows(&self, records: &Records, last_time: &mut Micros) -> Result<Vec<Row>> {
        let decoded = Decoder::new(Arc::clone(self.stream)).decode(0, records, MAX_EVENT_TIME)?;
        let offsets = decoded
            .batch
            .column_by_name(OFFSET)
            .and_then(|column| column.as_any().downcast_ref::<arrow::array::Int64Array>());
        let offsets = offsets.ok_or_else(|| Error::internal("decoded rows have no offset"))?;
        let keys: Vec<Option<Vec<u8>>> = match self.key {
            None => vec![None; decoded.batch.num_rows()],
            Some(key) => {
                let encoder = RowEncoder::new(&decoded.batch.schema(), &[key.to_owned()])?;
                encoder.encode(&decoded.batch)?.into_iter().map(|row| row.key).collect()
            }
        };
        let known: HashMap<i64, (Option<Vec<u8>>, Micros)> =
            offsets.values().iter().copied().zip(keys.into_iter().zip(decoded.event_times)).collect();
        let row = |record: RecordRef<'_>| {
            let (key, at) = known.get(&record.offset).cloned().unwrap_or((None, *last_time));
            *last_time = at;
            Row { value: Bytes::copy_from_slice(record.value.unwrap_or_default()), key, at }
        };
        Ok(records.iter().map(row).collect())
    }

    /// The order of sending: by event time plus a random delay, where that is asked for.
    fn order(&self, rows: Vec<Row>) -> Vec<Row> {
        let Some((within, seed)) = self.shuffle else { return rows };
        shuffle::delayed(rows, seed, |row| row.at, |_| within)
    }
}
