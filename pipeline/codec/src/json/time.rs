//! Texts and numbers of the record -> microseconds since the epoch and days.

use super::number::{Below, Digits};
use crate::reject::Reason;
use chrono::{Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, TimeZone};
use citystream_model::stream::{Fold, Stream, TimeFormat};
use citystream_model::time::{MAX_EVENT_TIME, MIN_EVENT_TIME, Micros};

/// How the TIMESTAMP columns of one stream are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeRules {
    format: TimeFormat,
    zone: Option<chrono_tz::Tz>,
    fold: Fold,
}

/// Days from 0001-01-01 (day 1) to 1970-01-01, as [`chrono::Datelike::num_days_from_ce`] counts them.
const EPOCH_DAY_FROM_CE: i32 = 719_163;
const MICROS_PER_SECOND: i64 = 1_000_000;

// === impl TimeRules ===

impl TimeRules {
    pub(super) fn of(stream: &Stream) -> Self {
        Self { format: stream.time_format, zone: stream.time_zone, fold: stream.time_fold }
    }

    /// True when times are written as text, false when as numbers.
    pub(super) fn is_text(&self) -> bool {
        self.format == TimeFormat::Rfc3339
    }

    /// The time that `text` names. A fraction finer than microseconds is cut off.
    pub(super) fn text(&self, text: &str) -> Result<Micros, Reason> {
        let local = Local::parse(text.as_bytes()).ok_or(Reason::BadTime)?;
        in_range(self.instant(&local).ok_or(Reason::BadTime)?)
    }

    /// What would have been read, for a text whose local time the zone's clocks skip in spring.
    pub(super) fn skipped(&self, text: &str) -> Option<String> {
        let zone = self.zone?;
        let local = Local::parse(text.as_bytes())?;
        let is_skipped = self.instant(&local).is_none();
        is_skipped.then(|| format!("a local time that exists: the clocks of {zone} skip this one in spring, and an offset (+02:00) would say which is meant"))
    }

    /// The time that a number token names. What is finer than microseconds is cut off, towards the past like a text's.
    pub(super) fn number(&self, token: &str) -> Result<Micros, Reason> {
        let scale = match self.format {
            TimeFormat::EpochSeconds => 6,
            TimeFormat::EpochMillis => 3,
            TimeFormat::EpochMicros => 0,
            TimeFormat::Rfc3339 => return Err(Reason::WrongType),
        };
        let digits = Digits::parse(token).ok_or(Reason::WrongType)?;
        let value = digits.scaled(scale, Below::Cut).map_err(|_| Reason::TimeOutOfRange)?;
        in_range(Micros::try_from(value).map_err(|_| Reason::TimeOutOfRange)?)
    }

    /// `None` if the zone's clocks skip the local time.
    fn instant(&self, local: &Local) -> Option<Micros> {
        let seconds = match (local.offset_seconds, self.zone) {
            (Some(offset), _) => local.clock.and_utc().timestamp() - i64::from(offset),
            (None, None) => local.clock.and_utc().timestamp(),
            (None, Some(zone)) => match zone.from_local_datetime(&local.clock) {
                MappedLocalTime::Single(at) => at.timestamp(),
                MappedLocalTime::Ambiguous(a, b) => self.pass(a.timestamp(), b.timestamp()),
                MappedLocalTime::None => return None,
            },
        };
        // Four-digit years are far from overflow.
        Some((seconds + i64::from(local.leap)) * MICROS_PER_SECOND + i64::from(local.micros))
    }

    /// Which of the two instants of a repeated local time is meant.
    fn pass(&self, a: i64, b: i64) -> i64 {
        match self.fold {
            Fold::Earlier => a.min(b),
            Fold::Later => a.max(b),
        }
    }
}

/// A date and time of day as written.
struct Local {
    clock: NaiveDateTime,
    /// Second 60 was written: `clock` shows 59, the instant lies a second later.
    leap: bool,
    micros: u32,
    /// Seconds east of UTC, if an offset was written.
    offset_seconds: Option<i32>,
}

// === impl Local ===

impl Local {
    /// `YYYY-MM-DD`, `T`, `t` or a space, `HH:MM:SS`, an optional fraction, an optional offset.
    fn parse(text: &[u8]) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let date = parse_date(date)?;
        let (clock, rest) = rest.split_at_checked(9)?;
        let [b'T' | b't' | b' ', h, hh, b':', m, mm, b':', s, ss] = clock else { return None };
        let second = two(*s, *ss)?;
        let leap = second == 60;
        let clock = date.and_hms_opt(two(*h, *hh)?, two(*m, *mm)?, if leap { 59 } else { second })?;
        let (micros, rest) = parse_fraction(rest)?;
        Some(Self { clock, leap, micros, offset_seconds: parse_offset(rest)? })
    }
}

/// Days since the epoch that a text `YYYY-MM-DD` names.
pub(super) fn date(text: &str) -> Result<i32, Reason> {
    let date = parse_date(text.as_bytes()).ok_or(Reason::BadTime)?;
    Ok(date.num_days_from_ce() - EPOCH_DAY_FROM_CE)
}

/// `at`, if it lies in the years that a time may lie in.
pub(super) fn in_range(at: Micros) -> Result<Micros, Reason> {
    if (MIN_EVENT_TIME..MAX_EVENT_TIME).contains(&at) { Ok(at) } else { Err(Reason::TimeOutOfRange) }
}

fn parse_date(text: &[u8]) -> Option<NaiveDate> {
    let [a, b, c, d, b'-', m, mm, b'-', day, dd] = text else { return None };
    let year = two(*a, *b)? * 100 + two(*c, *d)?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, two(*m, *mm)?, two(*day, *dd)?)
}

/// Microseconds of a fraction `.123456789`, 0 without one; then the rest of the text.
fn parse_fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.', rest @ ..] = text else { return Some((0, text)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(count);
    let micros = (0..6).fold(0, |micros, at| micros * 10 + digits.get(at).map_or(0, |digit| u32::from(digit - b'0')));
    (count > 0).then_some((micros, rest))
}

/// Offset in seconds: `Z`, `z`, `+hh:mm`, `+hhmm`; `Some(None)` when there is none.
fn parse_offset(text: &[u8]) -> Option<Option<i32>> {
    let (sign, [h, hh, m, mm]) = match text {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [sign, h, hh, b':', m, mm] | [sign, h, hh, m, mm] => (*sign, [*h, *hh, *m, *mm]),
        _ => return None,
    };
    let (hours, minutes) = (two(h, hh)?, two(m, mm)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    match sign {
        b'+' => Some(Some(seconds)),
        b'-' => Some(Some(-seconds)),
        _ => None,
    }
}

/// The number that two digits write.
fn two(tens: u8, ones: u8) -> Option<u32> {
    let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    digits.then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

#[cfg(test)]
mod tests;
