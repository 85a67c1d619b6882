//! GROUP BY a window, with every aggregate that is allowed.

use super::source::From;
use super::{Emits, Grammar, Query, Window, after};
use crate::expression::{self, CLASSES, Class, Item};
use rand::Rng;
use rand::seq::IndexedRandom;

impl Grammar<'_> {
    /// Rows of a windowed stream as they are.
    pub(super) fn raw(&mut self, window: &Window) -> Query {
        let from = self.window_from(window);
        let (mut list, mut columns) = self.expressions(&from.scope, 3);
        list.push("w.k AS k".to_owned());
        columns.push(Item { text: "k".to_owned(), class: Class::Text });
        self.add_window(&mut list, &mut columns, "w");
        let filter = self.filter(&from, 0.4);
        Query {
            sql: format!("SELECT {} FROM {}{filter}", list.join(", "), from.sql),
            columns,
            emits: Emits::AtOnce,
            windowed: true,
        }
    }

    /// Groups of a windowed stream.
    pub(super) fn grouped(&mut self, window: &Window) -> Query {
        let from = self.window_from(window);
        let key = window.is_by_key() && self.chance(0.8);
        self.group(&from, "w", key.then_some("w.k"))
    }

    /// Groups of a windowed query, by the same windows.
    pub(super) fn regrouped(&mut self, depth: usize, window: &Window) -> Query {
        let inner = self.windowed_in(depth - 1, window);
        let from = From { sql: self.relation(&inner, "i"), scope: inner.scope("i"), condition: None };
        let query = self.group(&from, "i", None);
        Query { emits: after(inner.emits), ..query }
    }

    /// Groups of `from` by the window that `alias` carries, by `first` if there is one, and by up to two more keys.
    pub(super) fn group(&mut self, from: &From, alias: &str, first: Option<&str>) -> Query {
        let (mut list, mut columns, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(key) = first {
            let name = self.name("g");
            list.push(format!("{key} AS {name}"));
            groups.push(key.to_owned());
            columns.push(Item { text: name, class: Class::Text });
        }
        for _ in 0..self.rng.random_range(0..3) {
            let key = self.key(&from.scope);
            let name = self.name("g");
            list.push(format!("{} AS {name}", key.text));
            groups.push(key.text);
            columns.push(Item { text: name, class: key.class });
        }
        groups.extend([format!("{alias}.window_start"), format!("{alias}.window_end")]);
        self.add_window(&mut list, &mut columns, alias);
        let (aggregates, items) = self.aggregates(&from.scope, 4);
        list.extend(aggregates);
        columns.extend(items);
        let filter = self.filter(from, 0.4);
        let having = match self.rng.random_range(0..6) {
            0 => " HAVING count(*) > 1".to_owned(),
            1 => format!(" HAVING {} > 0", self.aggregate(&from.scope, Class::Int).0),
            _ => String::new(),
        };
        let sql =
            format!("SELECT {} FROM {}{filter} GROUP BY {}{having}", list.join(", "), from.sql, groups.join(", "));
        Query { sql, columns, emits: Emits::AtEnd, windowed: true }
    }

    fn key(&mut self, scope: &[Item]) -> Item {
        match scope.choose(self.rng).filter(|_| self.rng.random_bool(0.7)) {
            Some(item) => item.clone(),
            None => {
                let class = *[Class::Text, Class::Int, Class::Bool].choose(self.rng).unwrap();
                // A constant is no key.
                let column = expression::column(self.rng, scope, class);
                let text =
                    column.map_or_else(|| "(1 + 1)".to_owned(), |column| format!("coalesce({column}, {column})"));
                Item { class: if text == "(1 + 1)" { Class::Int } else { class }, text }
            }
        }
    }

    /// Up to `most` named aggregates.
    pub(super) fn aggregates(&mut self, scope: &[Item], most: usize) -> (Vec<String>, Vec<Item>) {
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        for _ in 0..self.rng.random_range(1..=most) {
            let class = *CLASSES.choose(self.rng).unwrap();
            let (text, class) = self.aggregate(scope, class);
            let name = self.name("a");
            list.push(format!("{text} AS {name}"));
            columns.push(Item { text: name, class });
        }
        (list, columns)
    }

    /// An aggregate over values of `class`, and the class of its result.
    fn aggregate(&mut self, scope: &[Item], class: Class) -> (String, Class) {
        let depth = self.rng.random_range(0..2);
        let value = expression::of_class(self.rng, scope, class, depth);
        let (mut text, result) = match self.rng.random_range(0..10) {
            0 => ("count(*)".to_owned(), Class::Int),
            1 => (format!("count({value})"), Class::Int),
            2 => (format!("count(DISTINCT {value})"), Class::Int),
            3 if matches!(class, Class::Int | Class::Text) => (format!("approx_distinct({value})"), Class::Int),
            4 | 5 => self.ordered(scope, &value, class),
            _ => self.of_values(&value, class),
        };
        if self.chance(0.2) {
            text = format!("{text} FILTER (WHERE {})", expression::boolean(self.rng, scope, 0));
        }
        (text, result)
    }

    /// Aggregates that need an ORDER BY of their own.
    fn ordered(&mut self, scope: &[Item], value: &str, class: Class) -> (String, Class) {
        let by_class = *[Class::Time, Class::Int, Class::Text, Class::Float].choose(self.rng).unwrap();
        let by = expression::column(self.rng, scope, by_class).unwrap_or_else(|| value.to_owned());
        let order = ["", " DESC", " NULLS LAST", " DESC NULLS FIRST"].choose(self.rng).unwrap();
        match self.rng.random_range(0..5) {
            0 => (format!("first_value({value} ORDER BY {by}{order})"), class),
            1 => (format!("last_value({value} ORDER BY {by}{order})"), class),
            2 => (format!("nth_value({value}, 2 ORDER BY {by}{order})"), class),
            3 if class == Class::Text => (format!("string_agg({value}, ',' ORDER BY {by}{order})"), Class::Text),
            _ => (format!("array_agg({value} ORDER BY {by}{order})"), Class::Opaque),
        }
    }

    fn of_values(&mut self, value: &str, class: Class) -> (String, Class) {
        let pick = |rng: &mut rand::rngs::StdRng, names: &[&str]| (*names.choose(rng).unwrap()).to_owned();
        match class {
            Class::Bool => (format!("{}({value})", pick(self.rng, &["bool_and", "bool_or"])), Class::Bool),
            Class::Text | Class::Date | Class::Time | Class::Opaque => {
                (format!("{}({value})", pick(self.rng, &["min", "max"])), class)
            }
            Class::Int => {
                let name = pick(
                    self.rng,
                    &["sum", "min", "max", "bit_and", "bit_or", "bit_xor", "avg", "sum(DISTINCT", "stddev", "median"],
                );
                let result =
                    if matches!(name.as_str(), "avg" | "stddev" | "median") { Class::Float } else { Class::Int };
                (if name.contains('(') { format!("{name} {value})") } else { format!("{name}({value})") }, result)
            }
            Class::Float => {
                let name = pick(
                    self.rng,
                    &[
                        "sum",
                        "avg",
                        "min",
                        "max",
                        "var_samp",
                        "var_pop",
                        "stddev",
                        "stddev_pop",
                        "median",
                        "percentile",
                    ],
                );
                let text = if name == "percentile" {
                    format!("percentile_cont(0.3) WITHIN GROUP (ORDER BY {value})")
                } else {
                    format!("{name}({value})")
                };
                (text, Class::Float)
            }
            Class::Decimal => (format!("{}({value})", pick(self.rng, &["sum", "min", "max"])), Class::Decimal),
        }
    }
}
