//! Two windowed queries in one: joins on the window, unions; and DISTINCT.

use super::{Grammar, Query, Window, after};
use crate::expression::{self, CLASSES, Class, Item};
use rand::Rng;
use rand::seq::IndexedRandom;

impl Grammar<'_> {
    /// A join of two queries over the same windows, or of one with itself.
    pub(super) fn join(&mut self, depth: usize, window: &Window) -> Query {
        let left = self.windowed_in(depth - 1, window);
        let right = if self.chance(0.2) { left.clone() } else { self.windowed_in(depth - 1, window) };
        let mut on = vec!["a.window_start = b.window_start".to_owned(), "b.window_end = a.window_end".to_owned()];
        let class = *[Class::Text, Class::Int, Class::Bool].choose(self.rng).unwrap();
        let keys = (
            expression::column(self.rng, &left.scope("a"), class),
            expression::column(self.rng, &right.scope("b"), class),
        );
        if let (Some(a), Some(b), true) = (keys.0, keys.1, self.rng.random_bool(0.7)) {
            on.push(format!("{a} = {b}"));
        }
        if self.chance(0.3) {
            let both: Vec<Item> = left.scope("a").into_iter().chain(right.scope("b")).collect();
            on.push(expression::boolean(self.rng, &both, 1));
        }
        let kind = *["", "", "LEFT ", "RIGHT ", "FULL ", "LEFT SEMI ", "LEFT ANTI ", "RIGHT SEMI ", "RIGHT ANTI "]
            .choose(self.rng)
            .unwrap();
        let from =
            format!("{} {kind}JOIN {} ON {}", self.relation(&left, "a"), self.relation(&right, "b"), on.join(" AND "));
        let mut scope = if kind.starts_with("RIGHT ") && kind.len() > 6 { Vec::new() } else { left.scope("a") };
        if !kind.starts_with("LEFT S") && !kind.starts_with("LEFT A") {
            scope.extend(right.scope("b"));
        }
        let (mut list, mut columns) = self.expressions(&scope, 4);
        match kind {
            "FULL " => {
                for name in ["window_start", "window_end"] {
                    list.push(format!("coalesce(a.{name}, b.{name}) AS {name}"));
                    columns.push(Item { text: name.to_owned(), class: Class::Time });
                }
            }
            _ if kind.starts_with("RIGHT") => self.add_window(&mut list, &mut columns, "b"),
            _ => self.add_window(&mut list, &mut columns, "a"),
        }
        let filter = self.condition(&scope, 0.2);
        Query {
            sql: format!("SELECT {} FROM {from}{filter}", list.join(", ")),
            columns,
            // The optimizer may find one side to be empty, and leave the rows of the other one as they come.
            emits: after(left.emits).min(after(right.emits)),
            windowed: true,
        }
    }

    /// Different rows of a windowed query.
    pub(super) fn distinct(&mut self, depth: usize, window: &Window) -> Query {
        let inner = self.windowed_in(depth - 1, window);
        let from = self.relation(&inner, "d");
        let (mut list, mut columns) = self.expressions(&inner.scope("d"), 2);
        self.add_window(&mut list, &mut columns, "d");
        let sql = match self.rng.random_range(0..2) {
            0 => format!("SELECT DISTINCT {} FROM {from}", list.join(", ")),
            _ => {
                let groups: Vec<String> = (1..=list.len()).map(|at| at.to_string()).collect();
                format!("SELECT {} FROM {from} GROUP BY {}", list.join(", "), groups.join(", "))
            }
        };
        Query { sql, columns, emits: after(inner.emits), windowed: true }
    }

    /// Two windowed queries side by side; with UNION, without the repeated rows.
    pub(super) fn union(&mut self, depth: usize, window: &Window) -> Query {
        let left = self.windowed_in(depth - 1, window);
        let right = if self.chance(0.5) { self.windowed_in(depth - 1, window) } else { self.windowed(depth - 1) };
        let classes: Vec<Class> =
            (0..self.rng.random_range(1..4)).map(|_| *CLASSES.choose(self.rng).unwrap()).collect();
        let mut sides = Vec::new();
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        let names: Vec<String> = classes.iter().map(|_| self.name("u")).collect();
        for side in [&left, &right] {
            (list, columns) = (Vec::new(), Vec::new());
            let scope = side.scope("s");
            for (class, name) in classes.iter().zip(&names) {
                let text = expression::of_class(self.rng, &scope, *class, 1);
                list.push(format!("CAST({text} AS {}) AS {name}", class.sql()));
                columns.push(Item { text: name.clone(), class: *class });
            }
            self.add_window(&mut list, &mut columns, "s");
            sides.push(format!("SELECT {} FROM {}", list.join(", "), self.relation(side, "s")));
        }
        drop(list);
        let all = self.chance(0.6);
        let emits = if all { left.emits.min(right.emits) } else { after(left.emits).min(after(right.emits)) };
        Query { sql: sides.join(if all { " UNION ALL " } else { " UNION " }), columns, emits, windowed: true }
    }
}
