//! Shapes that are no windowed queries: rows as they come, wildcards, bins and event time in GROUP BY.

use super::window::length;
use super::{Emits, Grammar, Query, Window};
use crate::expression::{Class, Item};
use crate::world::SECOND;
use rand::Rng;
use rand::seq::IndexedRandom;

impl Grammar<'_> {
    /// Filter and projection of a stream, perhaps with a lookup.
    pub(super) fn stateless(&mut self) -> Query {
        let from = self.stream_from();
        let (list, columns) = self.expressions(&from.scope, 4);
        let filter = self.filter(&from, 0.6);
        Query {
            sql: format!("SELECT {} FROM {}{filter}", list.join(", "), from.sql),
            columns,
            emits: Emits::AtOnce,
            windowed: false,
        }
    }

    /// Wildcards, which leave out the hidden columns.
    pub(super) fn star(&mut self) -> Query {
        let stream = self.stream();
        let window = Window::generate(self.rng, self.world.pace);
        let call = window.call(&stream.name, stream.time_column, Some("k"));
        let sql = match self.rng.random_range(0..5) {
            0 => format!("SELECT * FROM {}", stream.name),
            1 => format!("SELECT s.*, s._partition, s._offset, s._topic, s._key AS raw_key FROM {} AS s", stream.name),
            2 => format!("SELECT * FROM {call}"),
            3 => format!("SELECT w.* FROM {call} AS w WHERE w.k = 'a'"),
            _ => format!("SELECT w.*, w._offset AS position FROM {call} AS w"),
        };
        Query { sql, columns: Vec::new(), emits: Emits::AtOnce, windowed: false }
    }

    /// Two streams side by side.
    pub(super) fn stateless_union(&mut self) -> Query {
        let mut side = || {
            let stream = self.stream();
            let filter = {
                let scope = self.columns_of(&stream, "s");
                self.condition(&scope, 0.5)
            };
            format!("SELECT s.k AS k, s.{} AS at, s._offset AS o FROM {} AS s{filter}", stream.time_column, stream.name)
        };
        Query {
            sql: format!("{} UNION ALL {}", side(), side()),
            columns: Vec::new(),
            emits: Emits::AtOnce,
            windowed: false,
        }
    }

    /// `date_bin` or `date_trunc` of the event time in GROUP BY.
    pub(super) fn binned(&mut self) -> Query {
        let stream = self.stream();
        let mut scope = self.columns_of(&stream, "s");
        scope.retain(|item| !item.text.ends_with(".at") || stream.time_column == "at");
        let time = format!("s.{}", stream.time_column);
        let coarse = self.world.pace > 600 * SECOND;
        let size = *(if coarse { [3_600, 86_400, 7_200] } else { [60, 300, 90] }).choose(self.rng).unwrap();
        let unit = *(if coarse { ["hour", "day", "month", "week"] } else { ["minute", "hour", "second", "day"] })
            .choose(self.rng)
            .unwrap();
        let bin = match self.rng.random_range(0..2) {
            0 => format!("date_bin(INTERVAL '{}', {time})", length(size)),
            _ => format!("date_trunc('{unit}', {time})"),
        };
        let (mut list, mut groups) =
            (vec![format!("{bin} AS bin")], vec![if self.chance(0.5) { bin.clone() } else { "1".to_owned() }]);
        if self.chance(0.7) {
            list.push("s.k AS k".to_owned());
            groups.push("s.k".to_owned());
        }
        let (aggregates, _) = self.aggregates(&scope, 3);
        list.extend(aggregates);
        let filter = self.condition(&scope, 0.4);
        let sql =
            format!("SELECT {} FROM {} AS s{filter} GROUP BY {}", list.join(", "), stream.name, groups.join(", "));
        Query { sql, columns: Vec::new(), emits: Emits::AtEnd, windowed: false }
    }

    /// Event time itself in GROUP BY or DISTINCT.
    pub(super) fn by_time(&mut self) -> Query {
        let stream = self.stream();
        let scope = self.columns_of(&stream, "s");
        let time = format!("s.{}", stream.time_column);
        let filter = self.condition(&scope, 0.4);
        let sql = if self.chance(0.5) {
            format!("SELECT DISTINCT {time} AS t, s.k AS k FROM {} AS s{filter}", stream.name)
        } else {
            let (aggregates, _) = self.aggregates(&scope, 2);
            format!("SELECT {time} AS t, {} FROM {} AS s{filter} GROUP BY {time}", aggregates.join(", "), stream.name)
        };
        let columns = vec![Item { text: "t".to_owned(), class: Class::Time }];
        Query { sql, columns, emits: Emits::AtEnd, windowed: false }
    }
}
