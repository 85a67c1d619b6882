//! Every metric of the data plane, in one place. Each series of a job exists from its start, with 0.

use citystream_codec::Reason;
use citystream_model::{Error, Result};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use std::time::Instant;

/// Metric families of the process.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Records read, by job and stream.
    pub source_rows: IntCounterVec,
    /// Bytes of keys and values read, by job and stream.
    pub source_bytes: IntCounterVec,
    /// Rows admitted, by job and stream.
    pub admitted_rows: IntCounterVec,
    /// Late rows, by job and stream.
    pub late_rows: IntCounterVec,
    /// Rejected records, by job, stream and reason.
    pub rejected_rows: IntCounterVec,
    /// Tombstones, by job and stream.
    pub tombstones: IntCounterVec,
    /// Rows on which an expression failed, by job.
    pub expression_errors: IntCounterVec,
    /// Result rows published, by job.
    pub sink_rows: IntCounterVec,
    /// Bytes of results published, by job.
    pub sink_bytes: IntCounterVec,
    /// Records that wait, by job, stream and partition.
    pub consumer_lag_rows: IntGaugeVec,
    /// Wall clock less watermark in seconds, by job, stream and partition.
    pub watermark_delay: GaugeVec,
    /// Open windows, by job.
    pub open_windows: IntGaugeVec,
    /// Bytes of operator state and sink buffers, by job.
    pub state_bytes: IntGaugeVec,
    /// Seconds from the seal of an epoch until what it staged is visible, by job.
    pub checkpoint_seconds: HistogramVec,
    /// Seconds per epoch, light ones too, by job.
    pub commit_seconds: HistogramVec,
    /// Rows that were read again at the start, by job.
    pub replayed_rows: IntCounterVec,
    /// Bytes of the newest checkpoint that no earlier one has, by job.
    pub checkpoint_bytes: IntGaugeVec,
    /// Seconds since the newest checkpoint, by job.
    pub checkpoint_age: GaugeVec,
    /// Seconds that finding and restoring the newest checkpoint took at the start, by job.
    pub recovery_seconds: GaugeVec,
    /// Seconds per batch, by job and stage.
    pub stage_seconds: HistogramVec,
    /// Seconds that a watermark's closing of windows took, by job.
    pub window_close_seconds: HistogramVec,
}

/// Stages of the loop, in the order of the data.
pub const STAGES: [&str; 4] = ["decode", "admit", "operators", "sink"];

// === impl Metrics ===

impl Metrics {
    /// All families in a registry of their own; `version` is the binary's.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when a name is registered twice.
    pub fn new(version: &str) -> Result<Self> {
        Self::try_new(version).map_err(|error| Error::internal("metrics").caused_by(error))
    }

    fn try_new(version: &str) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let seconds = |name: &str, help: &str, labels: &[&str]| {
            let buckets = prometheus::exponential_buckets(0.000_1, 4.0, 10)?;
            let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let number = |name: &str, help: &str, labels: &[&str]| {
            let family = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let stream = &["job", "stream"];
        let partition = &["job", "stream", "partition"];
        let build = gauge("citystream_build_info", "Always 1; the version of the binary is the label.", &["version"])?;
        build.with_label_values(&[version]).set(1);
        Ok(Self {
            source_rows: counter("citystream_source_rows_total", "Records read from the source.", stream)?,
            source_bytes: counter(
                "citystream_source_bytes_total",
                "Bytes of keys and values read from the source.",
                stream,
            )?,
            admitted_rows: counter("citystream_admitted_rows_total", "Rows admitted by the gate.", stream)?,
            late_rows: counter(
                "citystream_late_rows_total",
                "Rows that came behind their partition's watermark.",
                stream,
            )?,
            rejected_rows: counter(
                "citystream_rejected_rows_total",
                "Records that could not be read or break the schema.",
                &["job", "stream", "reason"],
            )?,
            tombstones: counter("citystream_tombstones_total", "Records without a value, which are skipped.", stream)?,
            expression_errors: counter(
                "citystream_expression_errors_total",
                "Rows on which an expression failed and gave NULL.",
                &["job"],
            )?,
            sink_rows: counter("citystream_sink_rows_total", "Result rows published by the job's sinks.", &["job"])?,
            sink_bytes: counter("citystream_sink_bytes_total", "Bytes published by the job's sinks.", &["job"])?,
            consumer_lag_rows: gauge(
                "citystream_consumer_lag_rows",
                "Records between the job's position and the end of the partition.",
                partition,
            )?,
            watermark_delay: number(
                "citystream_watermark_delay_seconds",
                "Wall clock less watermark; 0 before the first row.",
                partition,
            )?,
            open_windows: gauge("citystream_open_windows", "Windows that hold rows and have not closed.", &["job"])?,
            state_bytes: gauge(
                "citystream_state_bytes",
                "Bytes of operator state and of unpublished output.",
                &["job"],
            )?,
            checkpoint_seconds: seconds(
                "citystream_checkpoint_seconds",
                "Time from the seal of the operators until the checkpoint is decided and what it staged is visible.",
                &["job"],
            )?,
            commit_seconds: seconds(
                "citystream_commit_seconds",
                "Time from the beginning of an epoch, with a seal or without, until what it staged is visible.",
                &["job"],
            )?,
            replayed_rows: counter(
                "citystream_replayed_rows_total",
                "Rows since the newest checkpoint whose results were out already, read again in silence at the start.",
                &["job"],
            )?,
            checkpoint_bytes: gauge(
                "citystream_checkpoint_bytes",
                "Bytes of the newest checkpoint that no earlier one has.",
                &["job"],
            )?,
            checkpoint_age: number(
                "citystream_checkpoint_age_seconds",
                "Time since the newest checkpoint; 0 for a job without checkpoints.",
                &["job"],
            )?,
            recovery_seconds: number(
                "citystream_recovery_seconds",
                "Time to find and restore the newest checkpoint at the start.",
                &["job"],
            )?,
            stage_seconds: seconds(
                "citystream_stage_seconds",
                "Time per batch in a stage of the job.",
                &["job", "stage"],
            )?,
            window_close_seconds: seconds(
                "citystream_window_close_seconds",
                "Time to compute the windows that one watermark closed.",
                &["job"],
            )?,
            registry,
        })
    }

    /// Creates the series of a job over `streams`.
    pub fn start_job(&self, job: &str, streams: &[&str]) {
        for family in [&self.expression_errors, &self.sink_rows, &self.sink_bytes, &self.replayed_rows] {
            family.with_label_values(&[job]);
        }
        for family in [&self.open_windows, &self.state_bytes, &self.checkpoint_bytes] {
            family.with_label_values(&[job]);
        }
        for family in [&self.checkpoint_age, &self.recovery_seconds] {
            family.with_label_values(&[job]);
        }
        for family in [&self.window_close_seconds, &self.checkpoint_seconds, &self.commit_seconds] {
            family.with_label_values(&[job]);
        }
        for stage in STAGES {
            self.stage_seconds.with_label_values(&[job, stage]);
        }
        for stream in streams {
            for family in
                [&self.source_rows, &self.source_bytes, &self.admitted_rows, &self.late_rows, &self.tombstones]
            {
                family.with_label_values(&[job, stream]);
            }
            for reason in Reason::ALL {
                self.rejected_rows.with_label_values(&[job, stream, reason.as_str()]);
            }
        }
    }

    /// Notes how long a batch took in a stage of a job.
    pub fn observe(&self, job: &str, stage: &str, started: Instant) {
        self.stage_seconds.with_label_values(&[job, stage]).observe(started.elapsed().as_secs_f64());
    }

    /// Creates the series of a partition.
    pub fn start_partition(&self, job: &str, stream: &str, partition: i32) {
        let labels = [job, stream, &partition.to_string()];
        self.consumer_lag_rows.with_label_values(&labels);
        self.watermark_delay.with_label_values(&labels);
    }

    /// The text page of Prometheus (exposition format 0.0.4).
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when a family cannot be written.
    pub fn page(&self) -> Result<String> {
        prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .map_err(|error| Error::internal("metrics page").caused_by(error))
    }
}
