//! The local calendar as a table of boundaries, since SQLite knows no time zones.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, Days, NaiveTime, TimeZone};
use chrono_tz::Tz;

const DAY: i64 = 86_400_000_000;

/// Every `step` from each local midnight, anew each day; for a step of a day, the midnights.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grid {
    zone: String,
    step: i64,
    /// Length of the longest window on it.
    size: i64,
}

// === impl Grid ===

impl Grid {
    pub(super) fn new(zone: &str, step: i64, size: i64) -> Self {
        Self { zone: zone.to_owned(), step, size }
    }

    /// The table that holds it.
    pub(super) fn name(&self) -> String {
        format!("grid {} {} {}", self.zone, self.step, self.size)
    }

    /// The boundaries around all times of `batches`.
    pub(super) fn boundaries<'a>(&self, batches: impl Iterator<Item = &'a RecordBatch>) -> Vec<i64> {
        let times = batches.flat_map(RecordBatch::columns).filter_map(|column| {
            let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
            min(times).zip(max(times))
        });
        let Some((low, high)) = times.reduce(|(low, high), (min, max)| (low.min(min), high.max(max))) else {
            return Vec::new();
        };
        let (low, high) = (low - 2 * self.size, high + 2 * self.size);
        let zone: Tz = self.zone.parse().expect("a zone");
        let midnight = |day: i64| {
            let date = DateTime::from_timestamp_micros(low).expect("a time").date_naive() + Days::new(day as u64)
                - Days::new(2);
            zone.from_local_datetime(&date.and_time(NaiveTime::MIN)).earliest().expect("a midnight").timestamp_micros()
        };
        let mut boundaries = Vec::new();
        for day in 0..(high - low) / DAY + 6 {
            let (from, to) = (midnight(day), midnight(day + 1));
            let step = if self.step < DAY { self.step } else { to - from };
            boundaries.extend((0..).map(|count| from + count * step).take_while(|at| *at < to));
        }
        boundaries
            .retain(|at| (low - DAY..high + DAY).contains(at) || self.step < DAY / 24 && (low..high).contains(at));
        boundaries
    }
}
