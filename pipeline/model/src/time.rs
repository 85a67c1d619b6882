//! Event time, watermarks and the clock as an argument.

use std::fmt;
use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z, the unit of every time inside citystream.
pub type Micros = i64;

/// A promise about event time: no later row of this edge has an event time below it.
///
/// Watermarks of several inputs join by [`Watermark::min`]; on one edge they only rise (I1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub Micros);

/// Where "now" comes from. Operators never see one; the edges take it as an argument (I6).
pub trait Clock: Send + Sync {
    /// Wall-clock time in microseconds since the epoch.
    fn now(&self) -> Micros;
}

/// The machine's clock, for the binary; tests use a [`ManualClock`].
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

// === impl Watermark ===

impl Watermark {
    /// Nothing is promised yet.
    pub const NONE: Self = Self(Micros::MIN);
    /// The input has ended: every window can close.
    pub const END: Self = Self(Micros::MAX);

    /// The watermark after a largest event time of `newest`, with rows allowed to come `delay` out of order.
    pub fn behind(newest: Micros, delay: Duration) -> Self {
        Self(newest.saturating_sub(micros(delay)))
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("none"),
            Self::END => f.write_str("end"),
            Self(at) => f.write_str(&format_time(at)),
        }
    }
}

// === impl Clock ===

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Micros {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        micros(elapsed)
    }
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Micros) -> Self {
        Self(now.into())
    }

    /// Moves the clock to `now`.
    pub fn set(&self, now: Micros) {
        self.0.store(now, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// True when `wait` has passed since `since` by the wall clock. A clock that was set back lets nothing wait for longer: then
/// the time has come as well.
pub fn has_passed(since: Micros, wait: Micros, now: Micros) -> bool {
    now < since || now.saturating_sub(since) >= wait
}

/// A duration in microseconds, at most `i64::MAX`.
pub fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

/// RFC 3339 with `Z`; microseconds only where there are any.
pub fn format_time(at: Micros) -> String {
    match chrono::DateTime::from_timestamp_micros(at) {
        Some(time) => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        None => format!("{at}us"),
    }
}

/// The smallest event time that a record may carry: 1700-01-01T00:00:00Z.
pub const MIN_EVENT_TIME: Micros = -8_520_336_000_000_000;
/// Event times lie below this: 2201-01-01T00:00:00Z (the year 2200 is the last).
pub const MAX_EVENT_TIME: Micros = 7_289_654_400_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_lets_nothing_wait() {
        let day = 86_400_000_000;
        assert!(has_passed(5, 10, 15) && !has_passed(5, 10, 14));
        assert!(has_passed(day, 10, 0) && has_passed(0, 10, day));
    }

    #[test]
    fn limits_are_the_years_they_say() {
        assert_eq!(format_time(MIN_EVENT_TIME), "1700-01-01T00:00:00Z");
        assert_eq!(format_time(MAX_EVENT_TIME), "2201-01-01T00:00:00Z");
        assert_eq!(format_time(1_500_000), "1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn a_watermark_never_wraps() {
        assert_eq!(Watermark::behind(Micros::MIN + 1, Duration::from_secs(10)), Watermark::NONE);
    }
}
