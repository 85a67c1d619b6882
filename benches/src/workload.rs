//! What is measured: three jobs, and the parameters of their input.

use clap::ValueEnum;
use std::fmt;

/// A job of `jobs/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum JobName {
    /// Count, sum and newest time per point: 5 minutes, every minute
    Reduce,
    /// Four aggregates per point and 10 seconds
    Tumble,
    /// Flow and speed of a lane and second, joined, then put together per point
    Join,
}

/// A topic of OSPBench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Topic {
    /// Vehicles per hour
    Flow,
    /// Mean speed
    Speed,
}

/// Parameters of an input; the same parameters give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload {
    /// Of all values.
    pub seed: u64,
    /// Measurement points; 12 of them have 19 lanes.
    pub sensors: u32,
    /// Event time that passes.
    pub seconds: u32,
    /// Each lane sends one record per topic every so many seconds; never 0.
    pub interval_s: u32,
    /// Partitions of each topic.
    pub partitions: u32,
    /// Each record is delayed in position by up to this many milliseconds of event time; 0 leaves them in order.
    pub disorder_ms: u32,
}

/// Event time of the first second: 2017-03-15T14:40:50Z, ten seconds before the data of OSPBench begin, so that the
/// shortest runs see the start of a minute too.
pub const START_S: i64 = 1_489_588_850;
/// A speed record may be younger than the second of its flow record by less than this.
pub const SPEED_SHIFT_MS: u64 = 400;

// === impl JobName ===

impl JobName {
    /// All jobs, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Reduce, Self::Tumble, Self::Join];

    /// Topics that it reads.
    pub fn topics(self) -> &'static [Topic] {
        match self {
            Self::Reduce | Self::Tumble => &[Topic::Flow],
            Self::Join => &[Topic::Flow, Topic::Speed],
        }
    }

    /// Records that it reads.
    pub fn events(self, workload: &Workload) -> u64 {
        workload.records() * self.topics().len() as u64
    }
}

impl fmt::Display for JobName {
    /// Also the name of its file and of its table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reduce => "reduce",
            Self::Tumble => "tumble",
            Self::Join => "join",
        })
    }
}

// === impl Topic ===

impl Topic {
    /// Name of the stream.
    pub fn stream(self) -> &'static str {
        match self {
            Self::Flow => "ndwflow",
            Self::Speed => "ndwspeed",
        }
    }

    /// Name of the topic in Kafka: it says what is in it, so that no run can read another's input.
    pub fn name(self, workload: &Workload) -> String {
        let Workload { seed, sensors, seconds, interval_s, partitions, disorder_ms } = workload;
        format!("{}.{seed}.{sensors}x{seconds}.i{interval_s}.p{partitions}.d{disorder_ms}", self.stream())
    }
}

// === impl Workload ===

impl Workload {
    /// Records of each topic.
    pub fn records(&self) -> u64 {
        u64::from(self.seconds.div_ceil(self.interval_s)) * crate::sensors::lanes(self.sensors)
    }

    /// How far a record may lie behind the newest of its partition, in milliseconds: what `time.out_of_order` has to be.
    pub fn out_of_order_ms(&self) -> u64 {
        1_000.max(u64::from(self.disorder_ms) + SPEED_SHIFT_MS)
    }
}
