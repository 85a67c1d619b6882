//! The canonical text of a result row: integers only, so that nothing depends on how a float is printed.

use std::fmt::Write;

/// Milliseconds of a window of each job, and between two of them.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Length.
    pub size_ms: i64,
    /// From start to start.
    pub slide_ms: i64,
}

/// 5 minutes, every minute.
pub const REDUCE: Window = Window { size_ms: 300_000, slide_ms: 60_000 };
/// 10 seconds.
pub const TUMBLE: Window = Window { size_ms: 10_000, slide_ms: 10_000 };
/// 1 second.
pub const JOIN: Window = Window { size_ms: 1_000, slide_ms: 1_000 };

/// `id | lanes | numbers`; the numbers of each job:
///
/// - reduce: window start, window end, count, sum of flow, newest event time;
/// - tumble: window start, window end, count, sum of flow, min, max;
/// - join: window start, window end, count, newest event time, sum of flow, sum of speed in hundredths, period, accuracy
///   of flow and of speed, lanes of the point, latitude and longitude in 1e-5 degrees.
///
/// Times are milliseconds since the epoch; `lanes` is empty but for the join.
pub fn text(id: &str, lanes: &str, numbers: &[i64]) -> String {
    let mut text = String::with_capacity(id.len() + lanes.len() + 16 * numbers.len());
    text.push_str(id);
    text.push('|');
    text.push_str(lanes);
    for number in numbers {
        // Writing to a String does not fail.
        write!(text, "|{number}").unwrap_or_default();
    }
    text
}
