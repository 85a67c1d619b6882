//! Texts and numbers of the record -> microseconds since the epoch and days.

use super::number::{Below, Digits};
use crate::reject::Reason;
use chrono::{DateTime, MappedLocalTime, TimeZone};
use citystream_model::stream::{Fold, Stream, TimeFormat};
use citystream_model::time::{MAX_EVENT_TIME, MIN_EVENT_TIME, Micros};

/// How the TIMESTAMP columns of one stream are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeRules {
    format: TimeFormat,
    zone: Option<chrono_tz::Tz>,
    fold: Fold,
}

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
            (Some(offset), _) => local.seconds - i64::from(offset),
            (None, None) => local.seconds,
            (None, Some(zone)) => {
                match zone.from_local_datetime(&DateTime::from_timestamp(local.seconds, 0)?.naive_utc()) {
                    MappedLocalTime::Single(at) => at.timestamp(),
                    MappedLocalTime::Ambiguous(a, b) => self.pass(a.timestamp(), b.timestamp()),
                    MappedLocalTime::None => return None,
                }
            }
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
    /// Seconds since the epoch if this were UTC.
    seconds: i64,
    /// Second 60 was written: `seconds` ends in 59, the instant lies a second later.
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
        let days = parse_date(date)?;
        let (clock, rest) = rest.split_at_checked(9)?;
        let [b'T' | b't' | b' ', h, hh, b':', m, mm, b':', s, ss] = clock else { return None };
        let second = two(*s, *ss)?;
        let leap = second == 60;
        let (hour, minute, second) = (two(*h, *hh)?, two(*m, *mm)?, if leap { 59 } else { second });
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let seconds = i64::from(days) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
        let (micros, rest) = parse_fraction(rest)?;
        Some(Self { seconds, leap, micros, offset_seconds: parse_offset(rest)? })
    }
}

/// Days since the epoch that a text `YYYY-MM-DD` names.
pub(super) fn date(text: &str) -> Result<i32, Reason> {
    parse_date(text.as_bytes()).ok_or(Reason::BadTime)
}

/// `at`, if it lies in the years that a time may lie in.
pub(super) fn in_range(at: Micros) -> Result<Micros, Reason> {
    if (MIN_EVENT_TIME..MAX_EVENT_TIME).contains(&at) { Ok(at) } else { Err(Reason::TimeOutOfRange) }
}

/// Days since the epoch.
fn parse_date(text: &[u8]) -> Option<i32> {
    let [a, b, c, d, b'-', m, mm, b'-', day, dd] = text else { return None };
    let (year, month, day) = (two(*a, *b)? * 100 + two(*c, *d)?, two(*m, *mm)?, two(*day, *dd)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > length {
        return None;
    }
    // Years from March on, so that the leap day is the last (Hinnant, days_from_civil); 400 years more keep all positive.
    let (year, month) = if month > 2 { (year + 400, month - 3) } else { (year + 399, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(days as i32 - 719_468 - 146_097)
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
