//! Grids of time boundaries: fixed steps in UTC, or steps that follow the local calendar of a zone.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use citystream_model::duration::format_duration;
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use std::fmt;
use std::time::Duration;

const DAY: i64 = 86_400_000_000;
/// Offsets from UTC lie within 26 hours on either side, jumps of a whole day (Samoa, 2011) included.
const ZONE_REACH: i64 = 50 * 3_600_000_000;
/// Longest step in days or months: 1000 years.
const MAX_DAYS: u32 = 365_250;

/// How far apart boundaries are, as written in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Microseconds.
    Micros(i64),
    /// Days: of 24 hours in UTC, local days in a zone.
    Days(u32),
    /// Calendar months of a zone.
    Months(u32),
}

/// A grid of boundaries on the time line. [`Grid::new`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grid {
    /// Every `step` microseconds, from 1970-01-01T00:00:00Z on both sides.
    Fixed {
        /// Microseconds, above 0.
        step: i64,
    },
    /// Every `step` microseconds from local midnight, anew each local day: a day of 25 hours has 25 steps of 1 hour.
    InDay {
        /// Microseconds, a divisor of 24 hours.
        step: i64,
        /// Whose midnight.
        zone: Tz,
    },
    /// Local midnight of every `count`-th day, counted from 1970-01-01.
    Days {
        /// Above 0.
        count: u32,
        /// Whose midnight.
        zone: Tz,
    },
    /// Local midnight of the first day of every `count`-th month, counted from January 1970.
    Months {
        /// Above 0.
        count: u32,
        /// Whose midnight.
        zone: Tz,
    },
}

// === impl Step ===

impl Step {
    /// Length in microseconds, for all but months.
    pub(super) fn micros(self) -> Option<i64> {
        match self {
            Self::Micros(micros) => Some(micros),
            Self::Days(days) => Some(i64::from(days) * DAY),
            Self::Months(_) => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Micros(micros) => {
                f.write_str(&format_duration(Duration::from_micros(micros.unsigned_abs())).replace(' ', ""))
            }
            Self::Days(days) => write!(f, "{days}d"),
            Self::Months(months) => write!(f, "{months}mo"),
        }
    }
}

// === impl Grid ===

impl Grid {
    /// A grid with boundaries every `step`, in UTC or on the local calendar of `zone`.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Job`] for a step of zero or less or of more than 1000 years, months without a
    /// zone, and in a zone a step that neither divides 24 hours nor is made of whole days.
    pub fn new(step: Step, zone: Option<Tz>) -> Result<Self> {
        if matches!(step, Step::Micros(..=0) | Step::Days(0) | Step::Months(0)) {
            return Err(Error::job("window step: found zero or less, expected a positive interval"));
        }
        if step.micros().is_some_and(|micros| micros / DAY > i64::from(MAX_DAYS))
            || matches!(step, Step::Months(12_001..))
        {
            return Err(Error::job(format!("window step: found {step}, expected at most 1000 years")));
        }
        match (step, zone) {
            (Step::Months(_), None) => Err(Error::job(format!(
                "window step: found {step} without a zone, expected a zone such as 'Europe/Amsterdam'"
            ))),
            (Step::Months(count), Some(zone)) => Ok(Self::Months { count, zone }),
            (Step::Days(count), Some(zone)) => Ok(Self::Days { count, zone }),
            (Step::Days(_) | Step::Micros(_), None) => Ok(Self::Fixed { step: step.micros().unwrap_or(DAY) }),
            (Step::Micros(step), Some(zone)) if step % DAY == 0 => Ok(Self::Days { count: (step / DAY) as u32, zone }),
            (Step::Micros(step), Some(zone)) if DAY % step == 0 => Ok(Self::InDay { step, zone }),
            (Step::Micros(_), Some(zone)) => Err(Error::job(format!(
                "window step: found {step} in zone {zone}, expected a divisor of 24 hours or whole days; leave out the zone"
            ))),
        }
    }

    /// The zone whose calendar the grid follows.
    pub fn zone(&self) -> Option<Tz> {
        match *self {
            Self::Fixed { .. } => None,
            Self::InDay { zone, .. } | Self::Days { zone, .. } | Self::Months { zone, .. } => Some(zone),
        }
    }

    /// The last boundary at or before `at`; `None` outside the years that the calendar knows.
    pub fn floor(&self, at: Micros) -> Option<Micros> {
        match *self {
            Self::Fixed { step } => at.checked_sub(at.rem_euclid(step)),
            Self::InDay { step, zone } => {
                let midnight = day_floor(zone, at, |_, date| Some(date))?;
                Some(at - (at - midnight) % step)
            }
            Self::Days { count, zone } => day_floor(zone, at, |_, date| days_floor(date, count)),
            Self::Months { count, zone } => day_floor(zone, at, |_, date| months_floor(date, count)),
        }
    }

    /// The first boundary after `at`; `None` outside the years that the calendar knows.
    pub fn next(&self, at: Micros) -> Option<Micros> {
        match *self {
            Self::Fixed { step } => self.floor(at)?.checked_add(step),
            Self::InDay { step, zone } => {
                let tomorrow = Self::Days { count: 1, zone }.next(at)?;
                Some((self.floor(at)? + step).min(tomorrow))
            }
            Self::Days { count, zone } => {
                after(zone, at, |date| days_floor(date, count)?.checked_add_days(Days::new(count.into())))
            }
            Self::Months { count, zone } => {
                after(zone, at, |date| months_floor(date, count)?.checked_add_months(chrono::Months::new(count)))
            }
        }
    }

    /// The last boundary before `at`.
    pub(super) fn before(&self, at: Micros) -> Option<Micros> {
        self.floor(at.checked_sub(1)?)
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match *self {
            Self::Fixed { step } | Self::InDay { step, .. } => Step::Micros(step),
            Self::Days { count, .. } => Step::Days(count),
            Self::Months { count, .. } => Step::Months(count),
        };
        write!(f, "{step}")?;
        self.zone().map_or(Ok(()), |zone| write!(f, " zone {zone}"))
    }
}

/// The largest start at or before `at`, among the steps that contain the local dates around it.
///
/// The neighbours matter where clocks go back over midnight: then a date comes, goes, and comes again.
fn day_floor(zone: Tz, at: Micros, start: impl Fn(Tz, NaiveDate) -> Option<NaiveDate>) -> Option<Micros> {
    let date = local_date(zone, at)?;
    let dates = [date.succ_opt()?, date, date.pred_opt()?];
    let starts = dates.into_iter().filter_map(|date| midnight(zone, start(zone, date)?));
    starts.filter(|start| *start <= at).max()
}

/// The smallest end after `at`, among the steps that contain the local dates around it.
fn after(zone: Tz, at: Micros, end: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Option<Micros> {
    let date = local_date(zone, at)?;
    let dates = [date.pred_opt()?, date, date.succ_opt()?];
    let ends = dates.into_iter().filter_map(|date| midnight(zone, end(date)?));
    ends.filter(|end| *end > at).min()
}

fn days_floor(date: NaiveDate, count: u32) -> Option<NaiveDate> {
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    date.checked_sub_days(Days::new(days.rem_euclid(count.into()) as u64))
}

fn months_floor(date: NaiveDate, count: u32) -> Option<NaiveDate> {
    let months = i64::from(date.year() - 1970) * 12 + i64::from(date.month0());
    let first = date.with_day(1)?;
    first.checked_sub_months(chrono::Months::new(months.rem_euclid(count.into()) as u32))
}

fn local_date(zone: Tz, at: Micros) -> Option<NaiveDate> {
    let utc = DateTime::from_timestamp_micros(at)?;
    // Keeps a day of room on both sides, so that local times exist.
    utc.checked_sub_signed(TimeDelta::days(3))?.checked_add_signed(TimeDelta::days(6))?;
    Some(utc.with_timezone(&zone).date_naive())
}

/// The first instant of a local day.
fn midnight(zone: Tz, date: NaiveDate) -> Option<Micros> {
    let local = date.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.timestamp_micros()),
        LocalResult::None => jump(zone, date, local.and_utc().timestamp_micros()),
    }
}

/// Midnight does not exist: the instant at which the clocks jump over it.
fn jump(zone: Tz, date: NaiveDate, near: Micros) -> Option<Micros> {
    let (mut before, mut from) = (near.checked_sub(ZONE_REACH)?, near.checked_add(ZONE_REACH)?);
    while from - before > 1 {
        let middle = before + (from - before) / 2;
        if local_date(zone, middle)? >= date { from = middle } else { before = middle }
    }
    Some(from)
}
