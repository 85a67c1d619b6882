//! Durations and sizes as users write them: `10 seconds`, `5m`, `1 hour 30 minutes`, `128 MiB`.

use crate::error::{Error, Result};
use std::time::Duration;

/// Reads `10 seconds`, `500ms`, `1h`, `1 hour 30 minutes` (units: ms, s, m, h, d, w and their long names).
///
/// # Errors
/// [`crate::ErrorKind::Job`] when a number or a unit is missing, unknown or too large.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let micros = pairs(text, "a duration such as '10 seconds', '500 ms' or '1 hour 30 minutes'")?
        .into_iter()
        .try_fold(0u64, |total, (number, unit)| {
            let scale = duration_unit(&unit).ok_or_else(|| {
                Error::job(format!(
                    "unknown unit '{unit}' in '{text}', expected ms, seconds, minutes, hours, days or weeks"
                ))
            })?;
            number.checked_mul(scale).and_then(|part| total.checked_add(part)).ok_or_else(|| too_large(text))
        })?;
    // Event time is an i64 of microseconds, so a longer duration could never be added to one.
    if micros > i64::MAX as u64 / 4 { Err(too_large(text)) } else { Ok(Duration::from_micros(micros)) }
}

/// Reads `128 MiB`, `1GB`, `4096` (bytes); units are binary (`KiB`) or decimal (`KB`).
///
/// # Errors
/// [`crate::ErrorKind::Job`] when the text is not a size.
pub fn parse_size(text: &str) -> Result<u64> {
    let expected = "a size such as '128 MiB'";
    if let Ok(bytes) = text.trim().parse::<u64>() {
        return Ok(bytes);
    }
    let [(number, unit)] = &pairs(text, expected)?[..] else {
        return Err(Error::job(format!("found '{text}', expected {expected}")));
    };
    let scale =
        size_unit(unit).ok_or_else(|| Error::job(format!("unknown unit '{unit}' in '{text}', expected {expected}")))?;
    number.checked_mul(scale).ok_or_else(|| too_large(text))
}

/// A size as a person reads it and [`parse_size`] takes it, rounded up: `800 KiB`, `512 MiB`, `12 GiB`.
pub fn format_size(bytes: u64) -> String {
    let units = [("KiB", 1u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    // The smallest unit that needs no more than four digits.
    let unit = units.iter().find(|(_, scale)| bytes.div_ceil(*scale) < 10_000).unwrap_or(&units[2]);
    if bytes < 1_000 { format!("{bytes} bytes") } else { format!("{} {}", bytes.div_ceil(unit.1), unit.0) }
}

fn too_large(text: &str) -> Error {
    Error::job(format!("'{text}' is too large"))
}

fn duration_unit(unit: &str) -> Option<u64> {
    const SECOND: u64 = 1_000_000;
    Some(match unit {
        "us" | "microsecond" | "microseconds" => 1,
        "ms" | "millisecond" | "milliseconds" => 1_000,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hour" | "hours" => 3_600 * SECOND,
        "d" | "day" | "days" => 86_400 * SECOND,
        "w" | "week" | "weeks" => 7 * 86_400 * SECOND,
        _ => return None,
    })
}

fn size_unit(unit: &str) -> Option<u64> {
    Some(match unit {
        "b" | "byte" | "bytes" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        _ => return None,
    })
}

/// Splits `1 hour 30 minutes` into number and lower-case unit pairs.
fn pairs(text: &str, expected: &str) -> Result<Vec<(u64, String)>> {
    let wrong = || Error::job(format!("found '{text}', expected {expected}"));
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..digits].parse().map_err(|_| wrong())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        if letters == 0 {
            return Err(wrong());
        }
        pairs.push((number, rest[..letters].to_lowercase()));
        rest = rest[letters..].trim_start();
    }
    if pairs.is_empty() { Err(wrong()) } else { Ok(pairs) }
}

/// A duration as a person reads it: `1h 30m`, `500ms`.
pub fn format_duration(duration: Duration) -> String {
    let mut micros = duration.as_micros();
    let mut parts = Vec::new();
    for (unit, scale) in
        [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)]
    {
        if micros >= scale {
            parts.push(format!("{}{unit}", micros / scale));
            micros %= scale;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, micros) in
            [("10 seconds", 10_000_000), ("500ms", 500_000), ("1 hour 30 minutes", 5_400_000_000), ("0 seconds", 0)]
        {
            assert_eq!(parse_duration(text).unwrap().as_micros(), micros, "{text}");
        }
        for text in ["", "ten seconds", "10", "10 parsecs", "-1 s", "99999999999999999999 s", "9999999999999 weeks"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(5_400)), "1h 30m");
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        let cases = [(999, "999 bytes"), (1_001, "1 KiB"), (9_000 << 10, "9000 KiB"), (512 << 20, "512 MiB")];
        for (bytes, text) in cases.into_iter().chain([(12 << 30, "12 GiB"), ((10_000 << 20) + 1, "10 GiB")]) {
            assert_eq!(format_size(bytes), text);
            assert!(parse_size(text).unwrap() >= bytes, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("128 MiB", 128 << 20), ("1GB", 1_000_000_000), ("4096", 4096)] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "MiB", "1 parsec", "-1"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
