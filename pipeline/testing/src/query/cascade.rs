//! Windows over windows: hours of minutes.

use super::source::From;
use super::window::length;
use super::{Emits, Grammar, Query, Window};
use crate::expression::{Class, Item};
use crate::world::SECOND;
use rand::Rng;

impl Grammar<'_> {
    /// Groups of a windowed query by larger windows.
    pub(super) fn cascade(&mut self, depth: usize) -> Query {
        let size = if self.world.pace > 600 * SECOND { 3_600 } else { [30, 60][self.rng.random_range(0..2)] };
        let inner = self.windowed_in(depth - 1, &Window::tumble(size));
        let by_end = self.chance(0.4);
        let bound = if by_end { "window_end" } else { "window_start" };
        if self.chance(0.25) && !by_end {
            return self.rebinned(&inner, size);
        }
        let outer = Window::over(self.rng, size);
        let mut scope: Vec<Item> =
            inner.columns.iter().filter(|item| !item.text.starts_with("window_")).cloned().collect();
        let (time, argument) = if self.chance(0.5) {
            (bound, self.argument(&inner))
        } else {
            let names: Vec<String> = scope.iter().map(|item| format!("n.{}", item.text)).collect();
            let list = names
                .into_iter()
                .chain(["n.window_start AS inner_start".to_owned(), "n.window_end AS inner_end".to_owned()]);
            let sql = format!("SELECT {} FROM {}", list.collect::<Vec<_>>().join(", "), self.relation(&inner, "n"));
            scope.extend(["inner_start", "inner_end"].map(|name| Item { text: name.to_owned(), class: Class::Time }));
            (if by_end { "inner_end" } else { "inner_start" }, self.argument(&Query { sql, ..inner }))
        };
        let scope = scope.into_iter().filter(|item| item.class != Class::Opaque);
        let scope = scope.map(|item| Item { text: format!("w.{}", item.text), ..item }).collect();
        let from = From { sql: format!("{} AS w", outer.call(&argument, time, None)), scope, condition: None };
        Query { emits: Emits::Early, ..self.group(&from, "w", None) }
    }

    /// `date_bin` over the inner window's start.
    fn rebinned(&mut self, inner: &Query, size: i64) -> Query {
        let scope = inner.scope("i");
        let (aggregates, mut columns) = self.aggregates(&scope, 3);
        let from = self.relation(inner, "i");
        let bin = format!("date_bin(INTERVAL '{}', i.window_start)", length(size * 4));
        let end = format!("{bin} + INTERVAL '{}'", length(size * 4));
        let sql = format!(
            "SELECT {bin} AS window_start, {end} AS window_end, {} FROM {from} GROUP BY {bin}",
            aggregates.join(", ")
        );
        columns.extend(["window_start", "window_end"].map(|name| Item { text: name.to_owned(), class: Class::Time }));
        Query { sql, columns, emits: Emits::Early, windowed: true }
    }
}
