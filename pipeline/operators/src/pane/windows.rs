//! Which windows panes make up.

use crate::plan::Panes;
use citystream_model::time::Micros;

/// One window `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: Micros,
    pub(super) end: Micros,
}

/// Windows over panes, by their ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Windows {
    /// Start every `slide`, `size` long.
    Sliding { slide: Micros, size: Micros },
    /// Start every `size`, end every `step`.
    Cumulating { step: Micros, size: Micros },
}

// === impl Windows ===

impl Windows {
    /// The windows of `panes`; `None` when a pane is a window.
    pub(super) fn of(panes: Panes) -> Option<Self> {
        match panes {
            Panes::Tumbling => None,
            Panes::Sliding { slide, size, .. } => Some(Self::Sliding { slide, size }),
            Panes::Cumulating { step, size } => Some(Self::Cumulating { step, size }),
        }
    }

    /// The first window that ends behind `time` and starts at or before it, or the next one if none does.
    pub(super) fn first_behind(self, time: Micros) -> Window {
        match self {
            Self::Sliding { slide, size } => {
                let start = (time - size).div_euclid(slide).saturating_add(1).saturating_mul(slide);
                Window { start, end: start.saturating_add(size) }
            }
            Self::Cumulating { step, .. } => {
                self.cumulating(time.div_euclid(step).saturating_add(1).saturating_mul(step))
            }
        }
    }

    /// The window that ends next after `window`.
    pub(super) fn after(self, window: Window) -> Window {
        match self {
            Self::Sliding { slide, .. } => {
                Window { start: window.start.saturating_add(slide), end: window.end.saturating_add(slide) }
            }
            Self::Cumulating { step, .. } => self.cumulating(window.end.saturating_add(step)),
        }
    }

    fn cumulating(self, end: Micros) -> Window {
        let Self::Cumulating { size, .. } = self else { return Window { start: end, end } };
        Window { start: (end - 1).div_euclid(size).saturating_mul(size), end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_one_another_by_their_ends() {
        let cases = [
            (Windows::Sliding { slide: 2, size: 5 }, 0, vec![(-4, 1), (-2, 3), (0, 5), (2, 7)]),
            (Windows::Sliding { slide: 2, size: 5 }, 1, vec![(-2, 3), (0, 5)]),
            (Windows::Sliding { slide: 5, size: 5 }, -1, vec![(-5, 0), (0, 5)]),
            (Windows::Cumulating { step: 2, size: 6 }, 0, vec![(0, 2), (0, 4), (0, 6), (6, 8)]),
            (Windows::Cumulating { step: 2, size: 6 }, -1, vec![(-6, 0), (0, 2)]),
        ];
        for (windows, time, expected) in cases {
            let all = std::iter::successors(Some(windows.first_behind(time)), |window| Some(windows.after(*window)));
            let found: Vec<_> = all.take(expected.len()).map(|window| (window.start, window.end)).collect();
            assert_eq!(found, expected, "{windows:?} behind {time}");
        }
    }
}
