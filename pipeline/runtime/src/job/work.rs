//! The work on what was polled: partitions are decoded, judged and given to the operators, each on its shard.
//!
//! ```text
//!   polled                      shard 0: decode, judge, push partitions 0, 2  --+
//!   stream s, partitions 0..3   shard 1: decode, judge, push partitions 1, 3  --+--> late, rejects, counts
//! ```

use super::Job;
use crate::input::{Read, Reader};
use crate::metrics::Metrics;
use arrow::record_batch::RecordBatch;
use citystream_codec::{Records, rejects_batch};
use citystream_connect::SinkRows;
use citystream_model::Result;
use citystream_model::position::Partition;
use citystream_model::time::Micros;
use citystream_operators::admit::Lane;
use citystream_operators::dataflow::Shard;
use std::collections::BTreeMap;
use std::time::Instant;

/// Records that were polled, by stream and partition.
pub(super) type Polled = BTreeMap<(usize, Partition), Vec<Records>>;

/// Records of one partition, to be read on its shard.
struct Load<'a> {
    stream: usize,
    partition: Partition,
    reader: Reader<'a>,
    lane: &'a mut Lane,
    records: Vec<Records>,
}

impl Job {
    /// Reads what was polled and gives it to the operators.
    pub(super) fn read(&mut self, mut polled: Polled) -> Result<()> {
        if polled.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let now = self.replay.map_or(now, |replay| replay.clock(now));
        let shards = self.dataflow.entries();
        let mut loads: Vec<Vec<Load<'_>>> = shards.iter().map(|_| Vec::new()).collect();
        for (stream, input) in self.inputs.iter_mut().enumerate() {
            let (reader, lanes) = input.reader();
            for (partition, lane) in lanes {
                let Some(records) = polled.remove(&(stream, partition)) else { continue };
                let shard = partition.unsigned_abs() as usize % loads.len();
                loads[shard].push(Load { stream, partition, reader, lane, records });
            }
        }
        let (metrics, job) = (&self.metrics, self.spec.name.as_str());
        let work = |shard: &mut Shard, loads: Vec<Load<'_>>| run(shard, loads, now, metrics, job);
        let read = self.threads.map(shards, loads, work)?;
        for (stream, read) in read.into_iter().flatten() {
            self.believe(stream, &read)?;
            self.account(stream, read, now)?;
        }
        Ok(())
    }

    /// Goes on with an exchange when a row does not stand where its key says. Nothing has come out of it yet.
    fn believe(&mut self, stream: usize, read: &Read) -> Result<()> {
        let input = &mut self.inputs[stream];
        let (Some(claim), Some(explaining)) = (&mut input.claim, &read.explaining) else { return Ok(()) };
        if claim.narrow(explaining) {
            return Ok(());
        }
        // With other partitions than before, rows that are read again stand where they stood.
        if self.replay.is_some() {
            return self.exchange_from_now_on();
        }
        tracing::warn!(
            job = self.spec.name,
            stream = input.stream.name,
            key = input.stream.key,
            first = read.odd_one,
            "records are not partitioned by the declared key; shards exchange rows from now on, nothing is lost"
        );
        self.exchange_from_now_on()
    }

    /// Counts what was read, and keeps what was not admitted.
    fn account(&mut self, stream: usize, read: Read, now: Micros) -> Result<()> {
        if self.replay.is_some() {
            // An earlier process has counted and kept it all.
            self.inputs[stream].count_again(read.admitted);
            return Ok(());
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.note_admitted(stream, read.admitted, now);
            if read.rejects.iter().any(|reject| reject.record.timestamp > now) {
                // The clock had a say, which a replay does not know.
                checkpoints.seal_next();
            }
        }
        let started = Instant::now();
        let name = self.inputs[stream].stream.name.clone();
        let labels = [self.spec.name.as_str(), name.as_str()];
        let admitted = read.admitted;
        let late = read.late.as_ref().map_or(0, |(batch, _)| batch.num_rows()) as u64;
        self.metrics.source_rows.with_label_values(&labels).inc_by(read.records);
        self.metrics.source_bytes.with_label_values(&labels).inc_by(read.bytes);
        self.metrics.admitted_rows.with_label_values(&labels).inc_by(admitted);
        self.metrics.late_rows.with_label_values(&labels).inc_by(late);
        self.metrics.tombstones.with_label_values(&labels).inc_by(read.tombstones);
        for reject in &read.rejects {
            self.metrics.rejected_rows.with_label_values(&[labels[0], labels[1], reject.reason.as_str()]).inc();
        }
        let rejected = read.rejects.len() as u64;
        self.status.update(|status| {
            status.read += read.records;
            status.admitted += admitted;
            status.late += late;
            status.rejected += rejected;
            read.rejects
                .iter()
                .for_each(|reject| *status.rejected_reasons.entry(reject.reason.as_str()).or_default() += 1);
            status.tombstones += read.tombstones;
        });
        self.keep_late(stream, read.late, now)?;
        self.keep_rejects(stream, &read.rejects, now)?;
        self.observe("admit", started);
        Ok(())
    }

    fn keep_late(&mut self, stream: usize, late: Option<(RecordBatch, Vec<Micros>)>, now: Micros) -> Result<()> {
        let (Some((batch, times)), Some(sink)) = (late, &mut self.late[stream]) else { return Ok(()) };
        let rows = SinkRows::new(batch, times.into_iter().map(Some).collect());
        retries!(self).until_done(|| sink.write(&rows, now))
    }

    fn keep_rejects(&mut self, stream: usize, rejects: &[citystream_codec::Reject], now: Micros) -> Result<()> {
        let (Some(first), sink) = (rejects.first(), &mut self.rejects[stream]) else { return Ok(()) };
        tracing::debug!(
            job = self.spec.name,
            rejects = rejects.len(),
            reason = first.reason.as_str(),
            detail = first.detail,
            "records rejected"
        );
        let batch = rejects_batch(&self.inputs[stream].stream, &self.spec.name, rejects)?;
        let event_times = rejects.iter().map(|reject| Some(reject.record.timestamp)).collect();
        let rows = SinkRows::new(batch, event_times);
        retries!(self).until_done(|| sink.write(&rows, now))
    }
}

/// What a shard does with its partitions: what was read of them, admitted rows taken out.
fn run(
    shard: &mut Shard,
    loads: Vec<Load<'_>>,
    now: Micros,
    metrics: &Metrics,
    job: &str,
) -> Result<Vec<(usize, Read)>> {
    let mut done = Vec::new();
    for Load { stream, partition, reader, lane, records } in loads {
        for records in records {
            let started = Instant::now();
            lane.catch_up(records.first().map_or(0, |first| first.offset));
            let (read, admitted) = reader.read(lane, partition, &records, now)?;
            metrics.observe(job, "decode", started);
            if let Some(batch) = admitted {
                let started = Instant::now();
                shard.push(stream, &batch)?;
                metrics.observe(job, "operators", started);
            }
            done.push((stream, read));
        }
    }
    Ok(done)
}
