//! One stream as one job reads it: records to admitted rows, late rows and rejects. [`again`] reads rows of an earlier
//! process once more.

pub mod again;

use crate::input::again::Again;
use crate::key_claim::KeyClaim;
use arrow::array::{Array, AsArray, BooleanArray, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use citystream_codec::{Decoder, Partitioner, Records, Reject};
use citystream_connect::{Source, SourceEvent};
use citystream_model::position::{Offset, Partition};
use citystream_model::stream::{HEADERS, KEY, Stream, TIMESTAMP, timestamp_type};
use citystream_model::time::{Micros, Watermark, micros};
use citystream_model::{Error, Result};
use citystream_operators::admit::{Gate, Heartbeat, Lane, Progress, Verdict};
use citystream_state::manifest::{PartitionProgress, StreamProgress};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Records taken from a source at once, for one shard.
pub const MAX_RECORDS: usize = 16_384;
/// A poll that brought so many bytes may have left some behind.
const FULL_BYTES: u64 = 8 << 20;

/// One stream of a job, being read.
pub struct Input {
    // PROPERTIES
    /// The declaration.
    pub stream: Arc<Stream>,
    decoder: Decoder,
    late_schema: SchemaRef,
    /// Records at or behind these offsets are not read; `None` reads on for ever.
    until: Option<BTreeMap<Partition, Offset>>,
    // STATES
    /// Records taken from the source at once.
    most_records: usize,
    /// Where records come from.
    pub source: Box<dyn Source>,
    /// What decides which rows are late.
    pub gate: Gate,
    /// Partitions that have not been read up to `until`.
    unfinished: BTreeMap<Partition, Offset>,
    /// Set while the source does not answer, with what it said last.
    down: Option<String>,
    /// When the source answered again; until then a partition's silence says nothing.
    recovered_at: Micros,
    /// Records and bytes taken since the last look for heartbeats.
    taken: (usize, u64),
    /// What the declared key claims, where an exchange was left out for it.
    pub claim: Option<KeyClaim>,
    /// Set while rows of an earlier process are read again.
    again: Option<Again>,
    /// What came behind them meanwhile.
    held: Vec<SourceEvent>,
}

/// Reads records of a stream's partitions: what all of them share.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    decoder: &'a Decoder,
    late_schema: &'a SchemaRef,
    claim: Option<&'a KeyClaim>,
}

/// What a run of records became.
#[derive(Debug)]
pub struct Read {
    /// How many rows were admitted.
    pub admitted: u64,
    /// Late rows, schema of the late table, with their event times.
    pub late: Option<(RecordBatch, Vec<Micros>)>,
    /// Records that could not be read.
    pub rejects: Vec<Reject>,
    /// Records without a value.
    pub tombstones: u64,
    /// Records that were looked at.
    pub records: u64,
    /// Bytes of their keys, values and headers.
    pub bytes: u64,
    /// Rules that explain where the admitted rows stand; `None` where nobody asks.
    pub explaining: Option<Vec<Partitioner>>,
    /// The first row that none explains, for people.
    pub odd_one: Option<String>,
}

// === impl Input ===

impl Input {
    /// Starts reading `stream` from `source` for a job with `lateness`, up to the present end if `until_end`.
    pub fn new(stream: Arc<Stream>, source: Box<dyn Source>, lateness: Duration, until_end: bool) -> Self {
        let gate = Gate::new(stream.out_of_order, lateness, source.partitions());
        let (ends, starts) = (source.end_offsets(), source.start_offsets());
        let start = |partition: &Partition| starts.get(partition).copied().unwrap_or(0);
        let unfinished = ends
            .iter()
            .filter(|(partition, end)| **end > start(partition))
            .map(|(partition, end)| (*partition, *end))
            .collect();
        Self {
            decoder: Decoder::new(Arc::clone(&stream)),
            late_schema: late_schema(&stream),
            until: until_end.then_some(ends),
            unfinished,
            down: None,
            recovered_at: Micros::MIN,
            taken: (0, 0),
            claim: None,
            again: None,
            held: Vec::new(),
            most_records: MAX_RECORDS,
            stream,
            source,
            gate,
        }
    }

    /// Takes so many records at once that `shards` shards have something to do: a broker sends thousands of one partition
    /// before it comes to the next.
    pub fn feed(&mut self, shards: usize) {
        self.most_records = if shards > 1 { 2 * MAX_RECORDS * shards } else { MAX_RECORDS };
    }

    /// What is there now; waits at most `wait` when there is nothing.
    ///
    /// # Errors
    /// As [`Source::poll`].
    pub fn poll(&mut self, wait: Duration) -> Result<Vec<SourceEvent>> {
        if self.again.is_some() {
            return self.poll_again(wait);
        }
        if !self.held.is_empty() {
            return Ok(std::mem::take(&mut self.held));
        }
        self.source.poll(self.most_records, wait)
    }

    /// True when nobody should wait for `partition`: it is at its end, or at the end that was found at the start, or waits itself
    /// for others that are read again.
    pub fn is_at_end(&self, partition: Partition) -> bool {
        let is_finished = self.until.is_some() && !self.unfinished.contains_key(&partition);
        self.gate.is_at_end(partition) || is_finished || self.waits(partition)
    }

    /// True when every partition has been read up to the end that was found at the start.
    pub fn is_finished(&self) -> bool {
        self.until.is_some() && self.unfinished.is_empty()
    }

    /// Notes that records of `partition` came, and takes off what lies behind the end.
    pub fn take(&mut self, partition: Partition, records: &mut Records) {
        self.gate.heard(partition);
        if let Some(until) = &self.until {
            let end = until.get(&partition).copied().unwrap_or(0);
            if records.last().is_some_and(|last| last.offset + 1 >= end) {
                self.unfinished.remove(&partition);
            }
            records.truncate_at(end);
        }
        self.taken = (self.taken.0 + records.len(), self.taken.1 + records.byte_len() as u64);
    }

    /// The next offset of each partition: all below it has been given to the operators, or kept as late or rejected; what is
    /// held has not.
    pub fn offsets(&self) -> impl Fn(Partition) -> Offset {
        let (mut positions, starts) = (self.source.positions(), self.source.start_offsets());
        for event in self.held.iter().rev() {
            if let SourceEvent::Records { partition, records } = event {
                positions.extend(records.first().map(|first| (*partition, first.offset)));
            }
        }
        move |partition| {
            let start = starts.get(&partition).copied().unwrap_or(0);
            let next = positions.get(&partition).copied().unwrap_or(start);
            // What lies behind the end of this run was taken off.
            let end = self.until.as_ref().map_or(next, |until| until.get(&partition).copied().unwrap_or(start));
            next.min(end).max(start)
        }
    }

    /// How far it was read.
    pub fn progress(&self) -> StreamProgress {
        let offset = self.offsets();
        let partitions = self.gate.progress().map(|(partition, Progress { newest, newest_row })| {
            (partition, PartitionProgress { offset: offset(partition), newest, newest_row })
        });
        let key_rules = self.claim.as_ref().map(KeyClaim::rules);
        StreamProgress { stream: self.stream.name.clone(), partitions: partitions.collect(), key_rules }
    }

    /// Goes on from `known`, when the job knew `watermark`. Partitions that came into being since start there.
    pub fn restore(&mut self, known: &StreamProgress, watermark: Watermark) {
        for partition in self.source.partitions() {
            match known.partitions.get(&partition) {
                Some(PartitionProgress { newest, newest_row, .. }) => {
                    self.gate.restore(partition, Progress { newest: *newest, newest_row: *newest_row });
                }
                None => self.gate.start_at(partition, watermark),
            }
        }
    }

    /// What reads records that were taken, and the gate of each partition: several may be read at once.
    pub fn reader(&mut self) -> (Reader<'_>, impl Iterator<Item = (Partition, &mut Lane)>) {
        let Self { decoder, late_schema, gate, claim, .. } = self;
        (Reader { decoder, late_schema, claim: claim.as_ref() }, gate.lanes())
    }

    /// Notes that `partition` has nothing left for now.
    pub fn at_end(&mut self, partition: Partition, offset: Offset, now: Micros) {
        if self.unfinished.get(&partition).is_some_and(|end| offset >= *end) {
            self.unfinished.remove(&partition);
        }
        self.gate.at_end(partition, now);
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// Decodes and judges records of one partition, in offset order; the admitted rows, full schema, stand beside.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when Arrow refuses to build a batch.
    pub fn read(
        self,
        lane: &mut Lane,
        partition: Partition,
        records: &Records,
        now: Micros,
    ) -> Result<(Read, Option<RecordBatch>)> {
        let decoded = self.decoder.decode(partition, records, now)?;
        let (admitted, late) = self.judge(lane, decoded.batch, decoded.event_times)?;
        let mut read = Read {
            admitted: admitted.as_ref().map_or(0, RecordBatch::num_rows) as u64,
            late,
            rejects: decoded.rejects,
            tombstones: decoded.tombstones,
            records: records.len() as u64,
            bytes: records.byte_len() as u64,
            explaining: None,
            odd_one: None,
        };
        if let (Some(claim), Some(batch)) = (self.claim, &admitted) {
            let explaining = claim.explaining(partition, batch);
            if explaining.is_empty() {
                read.odd_one = claim.odd_one(partition, batch);
            }
            read.explaining = Some(explaining);
        }
        Ok((read, admitted))
    }

    #[allow(clippy::type_complexity, reason = "the two halves of one batch, named by the fields of Read")]
    fn judge(
        self,
        lane: &mut Lane,
        batch: RecordBatch,
        times: Vec<Micros>,
    ) -> Result<(Option<RecordBatch>, Option<(RecordBatch, Vec<Micros>)>)> {
        if batch.num_rows() == 0 {
            return Ok((None, None));
        }
        let watermarks = match lane.judge(&times, newest_record_time(&batch, &times)) {
            Verdict::AllAdmitted => return Ok((Some(batch), None)),
            Verdict::Mixed(watermarks) => watermarks,
        };
        let is_late: BooleanArray = watermarks.iter().map(|watermark| Some(watermark.is_some())).collect();
        let is_admitted: BooleanArray = watermarks.iter().map(|watermark| Some(watermark.is_none())).collect();
        let split = |mask: &BooleanArray| {
            filter_record_batch(&batch, mask).map_err(|error| Error::internal("splitting late rows").caused_by(error))
        };
        let (admitted, late) = (split(&is_admitted)?, split(&is_late)?);
        let times =
            times.into_iter().zip(&watermarks).filter(|(_, watermark)| watermark.is_some()).map(|(at, _)| at).collect();
        let late = self.late_batch(&late, watermarks.into_iter().flatten())?;
        Ok(((admitted.num_rows() > 0).then_some(admitted), Some((late, times))))
    }

    fn late_batch(self, batch: &RecordBatch, watermarks: impl Iterator<Item = Watermark>) -> Result<RecordBatch> {
        let names = self.late_schema.fields().iter().take(self.late_schema.fields().len() - 1);
        let mut columns: Vec<Arc<dyn Array>> =
            names.filter_map(|field| batch.column_by_name(field.name()).cloned()).collect();
        columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(watermarks.map(|watermark| watermark.0))));
        RecordBatch::try_new(Arc::clone(self.late_schema), columns)
            .map_err(|error| Error::internal("late rows").caused_by(error))
    }
}

// === silence and outages ===

impl Input {
    /// Notes that the source does not answer.
    pub fn unavailable(&mut self, detail: String) {
        self.down = Some(detail);
    }

    /// Notes that it answers again.
    pub fn recovered(&mut self, now: Micros) {
        (self.down, self.recovered_at) = (None, now);
    }

    /// What the source is waited for, if it is.
    pub fn waits_for(&self) -> Option<String> {
        self.down.as_ref().map(|detail| format!("stream '{}': {detail}", self.stream.name))
    }

    /// Heartbeats that are due at `now`.
    ///
    /// None while the source may hold records that were not seen: it does not answer, it answered again only just
    /// now, or the last poll took as much as it may. Else rows of a partition that only seemed silent would be late.
    pub fn heartbeats(&mut self, now: Micros) -> Vec<Heartbeat> {
        let (records, bytes) = std::mem::take(&mut self.taken);
        let is_drained = records < self.most_records && bytes < FULL_BYTES;
        let is_trusted = self.down.is_none() && now >= self.recovered_at.saturating_add(micros(self.stream.idle));
        if is_drained && is_trusted { self.gate.heartbeats(self.stream.idle, now) } else { Vec::new() }
    }
}

/// The Kafka time of the row with the largest event time.
fn newest_record_time(batch: &RecordBatch, times: &[Micros]) -> Micros {
    let record_times =
        batch.column_by_name(TIMESTAMP).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    // The first of equal ones, so that the cuts of batches have no say.
    let newest = times.iter().enumerate().rev().max_by_key(|(_, at)| **at).map_or(0, |(row, _)| row);
    record_times.map_or(0, |record_times| record_times.value(newest))
}

/// Columns of the late table: the declared ones, where the record stood, and the watermark that it came behind.
pub fn late_schema(stream: &Stream) -> SchemaRef {
    let full = stream.full_schema();
    let kept = full.fields().iter().filter(|field| field.name() != KEY && field.name() != HEADERS).cloned();
    let watermark = Arc::new(Field::new("_watermark", timestamp_type(), false));
    Arc::new(Schema::new(kept.chain([watermark]).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests;
