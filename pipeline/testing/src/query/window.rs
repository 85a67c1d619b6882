//! Window functions as they are written.

use crate::world::SECOND;
use citystream_model::time::Micros;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// One window function with its sizes, in seconds.
#[derive(Debug, Clone)]
pub struct Window {
    kind: Kind,
    /// Windows by the wall clock of Amsterdam.
    zone: bool,
    /// Arguments are named.
    named: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Tumble { size: i64 },
    Hop { slide: i64, size: i64 },
    Cumulate { step: i64, size: i64 },
    Session { gap: i64, keyed: bool },
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

// === impl Window ===

impl Window {
    /// A window that holds some rows when event times are `pace` apart.
    pub fn generate(rng: &mut StdRng, pace: Micros) -> Self {
        let zone = rng.random_bool(0.15);
        let size = if pace > 600 * SECOND {
            *[HOUR, 2 * HOUR, 6 * HOUR, DAY].choose(rng).unwrap()
        } else {
            *[30, 60, 300, 600].choose(rng).unwrap()
        };
        let parts = rng.random_range(1..5);
        let part = if size % parts == 0 && (!zone || (size / parts) % 900 == 0 || DAY % (size / parts) == 0) {
            size / parts
        } else {
            size
        };
        let kind = match rng.random_range(0..11) {
            0..5 => Kind::Tumble { size },
            5..7 => Kind::Hop { slide: part, size },
            7 if !zone => Kind::Hop { slide: size, size: part },
            7 | 8 => Kind::Cumulate { step: part, size },
            _ => Kind::Session {
                gap: *[1, pace / SECOND, 3 * pace / SECOND].choose(rng).unwrap(),
                keyed: rng.random_bool(0.6),
            },
        };
        // Windows with gaps between them have to be meant.
        let has_gaps = matches!(kind, Kind::Hop { slide, size } if slide > size);
        let named = rng.random_bool(0.3) || has_gaps;
        Self { kind, zone: zone && !matches!(kind, Kind::Session { .. }), named }
    }

    /// A tumbling window of `size` seconds.
    pub fn tumble(size: i64) -> Self {
        Self { kind: Kind::Tumble { size }, zone: false, named: false }
    }

    /// A window over windows of `inner` seconds, with bounds on theirs.
    pub fn over(rng: &mut StdRng, inner: i64) -> Self {
        let (part, size) = (inner * rng.random_range(1..3), inner * 4);
        let kind = match rng.random_range(0..4) {
            0 => Kind::Hop { slide: part, size },
            1 => Kind::Cumulate { step: part, size },
            _ => Kind::Tumble { size },
        };
        Self { kind, zone: false, named: rng.random_bool(0.3) }
    }

    /// True for sessions by key.
    pub fn is_by_key(&self) -> bool {
        matches!(self.kind, Kind::Session { keyed: true, .. })
    }

    /// The call over `relation` by its time column; `key` is the column of a keyed session.
    pub fn call(&self, relation: &str, time: &str, key: Option<&str>) -> String {
        let (function, sizes): (&str, Vec<(&str, i64)>) = match self.kind {
            Kind::Tumble { size } => ("tumble", vec![("size", size)]),
            Kind::Hop { slide, size } => ("hop", vec![("slide", slide), ("size", size)]),
            Kind::Cumulate { step, size } => ("cumulate", vec![("step", step), ("size", size)]),
            Kind::Session { gap, .. } => ("session", vec![("gap", gap)]),
        };
        let mut arguments = if self.named {
            vec![format!("t => {relation}"), format!("ts => {time}")]
        } else {
            vec![relation.to_owned(), time.to_owned()]
        };
        let name = |name: &str| if self.named { format!("{name} => ") } else { String::new() };
        arguments.extend(
            sizes.into_iter().map(|(parameter, size)| format!("{}INTERVAL '{}'", name(parameter), length(size))),
        );
        if self.zone {
            arguments.push("zone => 'Europe/Amsterdam'".to_owned());
        }
        if let (Kind::Session { keyed: true, .. }, Some(key)) = (self.kind, key) {
            arguments.push(format!("key => {key}"));
        }
        format!("{function}({})", arguments.join(", "))
    }
}

/// A length as an interval.
pub(super) fn length(seconds: i64) -> String {
    match seconds {
        DAY => "1 day".to_owned(),
        _ if seconds % HOUR == 0 => format!("{} hours", seconds / HOUR),
        _ if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}
