//! Window specifications: tumble, hop, cumulate, and the windows that contain an event time.

use super::grid::{Grid, Step};
use super::overlap::Overlap;
use chrono_tz::Tz;
use citystream_model::time::Micros;
use citystream_model::{Error, Result};
use std::fmt;

/// Most windows that one row may belong to.
pub const MAX_WINDOWS: u64 = 10_000;

/// Days of a month and hours of a day at most, where a calendar is involved.
const LONGEST_MONTH: i64 = 31;
const DAY: i64 = 86_400_000_000;

/// A static description of windows over event time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowSpec {
    kind: Kind,
    /// As written, for people.
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Tumble(Grid),
    /// Starts on the UTC grid of `slide`, each window `size` long; both in microseconds.
    HopFixed {
        slide: i64,
        size: i64,
    },
    /// Starts on the grid, each window `count` steps long.
    HopSteps {
        grid: Grid,
        count: u32,
    },
    /// Starts on the grid `size`, ends on the grid `step`.
    Cumulate {
        step: Grid,
        size: Grid,
    },
}

// === impl WindowSpec ===

impl WindowSpec {
    /// Windows side by side, `size` long.
    ///
    /// # Errors
    /// As [`Grid::new`].
    pub fn tumble(size: Step, zone: Option<Tz>) -> Result<Self> {
        Ok(Self { kind: Kind::Tumble(Grid::new(size, zone)?), text: text("tumble", &[size], zone) })
    }

    /// Windows that start every `slide` and are `size` long; rows between two windows are in none when `slide > size`.
    ///
    /// In a zone `size` is counted in steps of `slide`, so 24 steps of 1 hour are 24 hours on each day.
    ///
    /// # Errors
    /// As [`Grid::new`]; also for more than [`MAX_WINDOWS`] windows per row, and in a zone for a `size` that is not a
    /// multiple of `slide`.
    pub fn hop(slide: Step, size: Step, zone: Option<Tz>) -> Result<Self> {
        let grid = Grid::new(slide, zone)?;
        // A size is no grid of its own, so it need not divide a day.
        Grid::new(size, if size.micros().is_some() { None } else { zone })?;
        let text = text("hop", &[slide, size], zone);
        if let Grid::Fixed { step: slide } = grid {
            let size = size.micros().unwrap_or(0);
            limit((size / slide) as u64 + u64::from(size % slide != 0), &text)?;
            return Ok(Self { kind: Kind::HopFixed { slide, size }, text });
        }
        let count = steps(slide, size).ok_or_else(|| {
            Error::job(format!("{text}: the size is not a multiple of the slide, expected one in a zone"))
        })?;
        limit(count, &text)?;
        Ok(Self { kind: Kind::HopSteps { grid, count: count as u32 }, text })
    }

    /// Windows that share a start (every `size`) and end after 1, 2, 3, ... `step`s up to `size`.
    ///
    /// A `size` of months may have a `step` of one day or less: the month to date.
    ///
    /// # Errors
    /// As [`Grid::new`]; also for a `size` that is not a multiple of `step`, and for more than [`MAX_WINDOWS`].
    pub fn cumulate(step: Step, size: Step, zone: Option<Tz>) -> Result<Self> {
        let (step_grid, size_grid) = (Grid::new(step, zone)?, Grid::new(size, zone)?);
        let text = text("cumulate", &[step, size], zone);
        let count = steps(step, size).or_else(|| match (step.micros(), size) {
            (Some(step), Step::Months(months)) if step <= DAY => {
                Some((i64::from(months) * LONGEST_MONTH * DAY / step) as u64)
            }
            _ => None,
        });
        let count =
            count.ok_or_else(|| Error::job(format!("{text}: the size is not a multiple of the step, expected one")))?;
        limit(count, &text)?;
        Ok(Self { kind: Kind::Cumulate { step: step_grid, size: size_grid }, text })
    }

    /// Most windows that a row is in.
    pub fn most_windows(&self) -> usize {
        let (mut some, mut most) = (Vec::new(), Vec::new());
        self.windows(0, &mut some);
        // Most of those that cumulate hold their first row.
        self.windows(some.first().map_or(0, |(start, _)| *start), &mut most);
        some.len().max(most.len())
    }

    /// True when each row is in exactly one window.
    pub fn is_tumble(&self) -> bool {
        matches!(self.kind, Kind::Tumble(_))
    }

    /// How panes of one length make up these windows; `None` for tumbling windows, and for those of a calendar.
    pub fn overlap(&self) -> Option<Overlap> {
        match self.kind {
            Kind::HopFixed { slide, size } => Some(Overlap::Hop { pane: gcd(slide, size), slide, size }),
            Kind::Cumulate { step: Grid::Fixed { step }, size: Grid::Fixed { step: size } } => {
                Some(Overlap::Cumulate { step, size })
            }
            Kind::Tumble(_) | Kind::HopSteps { .. } | Kind::Cumulate { .. } => None,
        }
    }

    /// The grid on which windows start; a cumulating window starts every `size`.
    pub fn starts(&self) -> Grid {
        match self.kind {
            Kind::Tumble(grid) | Kind::HopSteps { grid, .. } => grid,
            Kind::HopFixed { slide, .. } => Grid::Fixed { step: slide },
            Kind::Cumulate { size, .. } => size,
        }
    }

    /// Appends all windows `[start, end)` that contain `at`, by start and then by end.
    ///
    /// None for a time outside the calendar (before the year -262143 or after 262142 in a zone).
    pub fn windows(&self, at: Micros, out: &mut Vec<(Micros, Micros)>) {
        let known = out.len();
        let done = match self.kind {
            Kind::Tumble(grid) => tumble(grid, at).map(|window| out.push(window)),
            Kind::HopFixed { slide, size } => hop_fixed(slide, size, at, out),
            Kind::HopSteps { grid, count } => hop_steps(grid, count, at, out),
            Kind::Cumulate { step, size } => cumulate(step, size, at, out),
        };
        if done.is_none() {
            out.truncate(known);
        }
    }

    /// The one window of a tumbling specification, the first one of others.
    pub(super) fn first(&self, at: Micros) -> Option<(Micros, Micros)> {
        if let Kind::Tumble(grid) = self.kind {
            return tumble(grid, at);
        }
        let mut windows = Vec::new();
        self.windows(at, &mut windows);
        windows.first().copied()
    }
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn tumble(grid: Grid, at: Micros) -> Option<(Micros, Micros)> {
    Some((grid.floor(at)?, grid.next(at)?))
}

fn hop_fixed(slide: i64, size: i64, at: Micros, out: &mut Vec<(Micros, Micros)>) -> Option<()> {
    let last = Grid::Fixed { step: slide }.floor(at)?;
    // `age` is how far the row lies behind the last start; each start before it is one slide further away.
    let age = at - last;
    if age >= size {
        return Some(());
    }
    for back in (0..=(size - 1 - age) / slide).rev() {
        let start = last.checked_sub(back * slide)?;
        out.push((start, start.checked_add(size)?));
    }
    Some(())
}

/// ```text
/// at:                  x           count = 3
/// boundaries   a   b   c   d   e   f
/// windows      a-----------d
///                  b-----------e
///                      c-----------f
/// ```
fn hop_steps(grid: Grid, count: u32, at: Micros, out: &mut Vec<(Micros, Micros)>) -> Option<()> {
    let mut starts = vec![grid.floor(at)?];
    for _ in 1..count {
        starts.push(grid.before(*starts.last()?)?);
    }
    let mut end = at;
    for start in starts.into_iter().rev() {
        end = grid.next(end)?;
        out.push((start, end));
    }
    Some(())
}

fn cumulate(step: Grid, size: Grid, at: Micros, out: &mut Vec<(Micros, Micros)>) -> Option<()> {
    let (start, last) = tumble(size, at)?;
    let mut end = at;
    while end < last {
        // Fixed steps count from the epoch as sizes do, and a size is a multiple of a step.
        end = step.next(end)?.min(last);
        out.push((start, end));
    }
    Some(())
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// How many steps a size has; `None` when it is not a multiple.
fn steps(step: Step, size: Step) -> Option<u64> {
    let (step, size) = match (step, size) {
        (Step::Months(step), Step::Months(size)) => (i64::from(step), i64::from(size)),
        _ => (step.micros()?, size.micros()?),
    };
    (size % step == 0).then_some((size / step) as u64)
}

fn limit(count: u64, text: &str) -> Result<()> {
    if count <= MAX_WINDOWS {
        return Ok(());
    }
    Err(Error::job(format!(
        "{text}: a row would be in {count} windows, expected at most {MAX_WINDOWS}; try a longer step"
    )))
}

fn text(kind: &str, steps: &[Step], zone: Option<Tz>) -> String {
    let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
    let zone = zone.map(|zone| format!(" zone {zone}")).unwrap_or_default();
    format!("{kind} {}{zone}", steps.join("/"))
}
