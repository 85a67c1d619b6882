//! Windows that overlap, made of panes that do not.

use citystream_model::time::Micros;

/// How panes of one length make up windows; all in microseconds, from 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// A window of `size` starts every `slide`.
    Hop {
        /// Length of a pane: the largest that divides both.
        pane: Micros,
        /// From start to start.
        slide: Micros,
        /// From start to end.
        size: Micros,
    },
    /// A window starts every `size` and ends after each `step`.
    Cumulate {
        /// Length of a pane.
        step: Micros,
        /// Length of the longest window.
        size: Micros,
    },
}

/// One window `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first microsecond.
    pub start: Micros,
    /// The first microsecond behind it.
    pub end: Micros,
}

// === impl Overlap ===

impl Overlap {
    /// Length of a pane.
    pub fn pane(self) -> Micros {
        match self {
            Self::Hop { pane, .. } | Self::Cumulate { step: pane, .. } => pane,
        }
    }

    /// The first window that ends behind `time` and starts at or before it, or the next one if none does.
    pub fn first_behind(self, time: Micros) -> Window {
        match self {
            Self::Hop { slide, size, .. } => {
                let start = (time - size).div_euclid(slide).saturating_add(1).saturating_mul(slide);
                Window { start, end: start.saturating_add(size) }
            }
            Self::Cumulate { step, size } => {
                cumulating(time.div_euclid(step).saturating_add(1).saturating_mul(step), size)
            }
        }
    }

    /// Where the last window ends that the pane which starts at `start` is in.
    pub fn last_end(self, start: Micros) -> Micros {
        match self {
            Self::Hop { slide, size, .. } => start.div_euclid(slide).saturating_mul(slide).saturating_add(size),
            Self::Cumulate { size, .. } => start.div_euclid(size).saturating_add(1).saturating_mul(size),
        }
    }

    /// The window that ends next after `window`.
    pub fn after(self, window: Window) -> Window {
        match self {
            Self::Hop { slide, .. } => {
                Window { start: window.start.saturating_add(slide), end: window.end.saturating_add(slide) }
            }
            Self::Cumulate { step, size } => cumulating(window.end.saturating_add(step), size),
        }
    }
}

fn cumulating(end: Micros, size: Micros) -> Window {
    Window { start: (end - 1).div_euclid(size).saturating_mul(size), end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_is_needed_until_its_last_window_ends() {
        let cases = [
            (Overlap::Hop { pane: 1, slide: 2, size: 5 }, [(0, 5), (1, 5), (2, 7), (-1, 3)]),
            (Overlap::Cumulate { step: 2, size: 6 }, [(0, 6), (4, 6), (6, 12), (-2, 0)]),
        ];
        for (windows, starts) in cases {
            for (start, end) in starts {
                assert_eq!(windows.last_end(start), end, "{windows:?} at {start}");
            }
        }
    }

    #[test]
    fn windows_follow_one_another_by_their_ends() {
        let cases = [
            (Overlap::Hop { pane: 1, slide: 2, size: 5 }, 0, vec![(-4, 1), (-2, 3), (0, 5), (2, 7)]),
            (Overlap::Hop { pane: 1, slide: 2, size: 5 }, 1, vec![(-2, 3), (0, 5)]),
            (Overlap::Hop { pane: 5, slide: 5, size: 5 }, -1, vec![(-5, 0), (0, 5)]),
            (Overlap::Cumulate { step: 2, size: 6 }, 0, vec![(0, 2), (0, 4), (0, 6), (6, 8)]),
            (Overlap::Cumulate { step: 2, size: 6 }, -1, vec![(-6, 0), (0, 2)]),
        ];
        for (windows, time, expected) in cases {
            let all = std::iter::successors(Some(windows.first_behind(time)), |window| Some(windows.after(*window)));
            let found: Vec<_> = all.take(expected.len()).map(|window| (window.start, window.end)).collect();
            assert_eq!(found, expected, "{windows:?} behind {time}");
            let holding = found.iter().filter(|(start, _)| *start <= time).map(|(_, end)| *end);
            assert!(holding.max().is_none_or(|end| end <= windows.last_end(time)), "{windows:?} behind {time}");
        }
    }
}
