//! When a job makes a checkpoint, and what of it goes into one.

use super::Job;
use crate::checkpoint::{Committed, Cut};
use crate::input::Input;
use citystream_connect::{Published, Sink};
use citystream_model::job::Emit;
use citystream_model::time::{Micros, Watermark};
use citystream_model::{Result, StagedFile};

impl Job {
    /// Takes note of what was committed, and begins the next epoch when its time has come: by the clock, or because a row
    /// has waited for as long as the job's freshness allows.
    pub(super) fn commit_if_due(&mut self, now: Micros) -> Result<()> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        let done = checkpoints.poll()?;
        let (is_idle, is_due) = (checkpoints.is_idle(), checkpoints.is_due(now));
        self.note(done, now);
        if self.replay.is_none() && (is_due || (is_idle && self.all_sinks().any(|sink| sink.is_due(now)))) {
            self.begin_epoch(now)?;
        }
        Ok(())
    }

    /// Gets output out of the memory: it is published, or an epoch is begun and waited for.
    pub(super) fn relieve(&mut self) -> Result<()> {
        self.publish(true, self.clock.now())?;
        self.commit_all()
    }

    /// Brings everything to its end: nothing waits for an epoch any more. A job that still replays has nothing to commit.
    pub(super) fn commit_all(&mut self) -> Result<()> {
        if self.replay.is_some() {
            return Ok(());
        }
        for is_last in [false, true] {
            let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
            let done = checkpoints.wait()?;
            let now = self.clock.now();
            self.note(done, now);
            if !is_last {
                self.begin_epoch(now)?;
            }
        }
        Ok(())
    }

    /// Stages what sinks hold, and hands the epoch over.
    fn begin_epoch(&mut self, now: Micros) -> Result<()> {
        let mut staged: Vec<StagedFile> = Vec::new();
        let retries = retries!(self);
        for sink in self.sinks.iter_mut().chain(self.late.iter_mut().flatten()).chain(&mut self.rejects) {
            staged.extend(retries.until_done(|| sink.stage())?);
        }
        let streams = self.inputs.iter().map(Input::progress).collect();
        // Windows that close a few at a time may be in between: a replay would close them all.
        let is_settled = self.dataflow.watermark() == self.watermark();
        let watermark = match self.dataflow.watermark() {
            // Behind the end of the input comes the input of a later run.
            Watermark::END => self.watermark(),
            watermark => watermark,
        };
        let watermark = (watermark != Watermark::NONE).then_some(watermark.0);
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        // Results that come early follow from the clock too.
        let may_be_light = self.spec.emit == Emit::Final && is_settled;
        checkpoints.begin(&mut self.dataflow, Cut { watermark, streams, staged, may_be_light }, now)?;
        if !is_settled {
            checkpoints.seal_next();
        }
        Ok(())
    }

    fn note(&mut self, done: Option<Committed>, now: Micros) {
        let job = self.spec.name.as_str();
        let labels = [job];
        if let Some(Committed { epoch, begun_at, bytes, published }) = done {
            let seconds = now.saturating_sub(begun_at) as f64 / 1e6;
            tracing::debug!(job, epoch, bytes, files = published.len(), seconds, "committed");
            self.metrics.commit_seconds.with_label_values(&labels).observe(seconds);
            if let Some(bytes) = bytes {
                self.metrics.checkpoint_seconds.with_label_values(&labels).observe(seconds);
                self.metrics.checkpoint_bytes.with_label_values(&labels).set(bytes as i64);
            }
            let is_own = |published: &Published| self.spec.sinks.iter().any(|sink| sink.to_string() == published.sink);
            let (own, side): (Vec<_>, Vec<_>) = published.into_iter().partition(is_own);
            self.count(&own, &side);
        }
        if let Some((epoch, seconds)) = self.checkpoints.as_mut().and_then(|checkpoints| checkpoints.delayed(now)) {
            tracing::warn!(job, epoch, seconds, "a checkpoint takes long");
        }
        let age = self.checkpoints.as_ref().map_or(0.0, |checkpoints| checkpoints.age(now));
        self.metrics.checkpoint_age.with_label_values(&labels).set(age);
    }

    pub(super) fn all_sinks(&self) -> impl Iterator<Item = &dyn Sink> {
        let all = self.sinks.iter().chain(self.late.iter().flatten()).chain(&self.rejects);
        all.map(AsRef::as_ref)
    }
}
