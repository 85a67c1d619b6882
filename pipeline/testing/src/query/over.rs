//! Window functions partitioned by the window: top-N, ranks, neighbours, running sums.

use super::{Emits, Grammar, Query, Window, after};
use crate::expression::{self, Class, Item};
use rand::Rng;
use rand::seq::IndexedRandom;

impl Grammar<'_> {
    /// Window functions over a windowed query; sometimes only rows that they choose.
    pub(super) fn over(&mut self, depth: usize, window: &Window) -> Query {
        let inner = self.windowed_in(depth - 1, window);
        let scope = inner.scope("i");
        let (mut list, mut columns) = self.expressions(&scope, 3);
        self.add_window(&mut list, &mut columns, "i");
        let (mut calls, mut emits) = (Vec::new(), after(inner.emits));
        for _ in 0..self.rng.random_range(1..3) {
            let (partition, by_time) = self.partition(&scope);
            let (text, class) = self.call(&scope, &partition);
            if by_time {
                emits = Emits::Early;
            }
            let name = self.name("f");
            list.push(format!("{text} AS {name}"));
            columns.push(Item { text: name.clone(), class });
            calls.push((name, text, class));
        }
        let from = self.relation(&inner, "i");
        let sql = format!("SELECT {} FROM {from}", list.join(", "));
        let query = Query { sql, columns, emits, windowed: true };
        let number = calls.into_iter().find(|(_, _, class)| *class == Class::Int);
        match (number, self.rng.random_range(0..4)) {
            (Some((name, _, _)), 0) => {
                let columns: Vec<String> = query.columns.iter().map(|item| format!("t.{}", item.text)).collect();
                let from = self.relation(&query, "t");
                Query { sql: format!("SELECT {} FROM {from} WHERE t.{name} <= 2", columns.join(", ")), ..query }
            }
            (Some((_, text, _)), 1) => Query { sql: format!("{} QUALIFY {text} <= 2", query.sql), ..query },
            _ => query,
        }
    }

    /// The first rows of each window by one or two ranks, each with a limit: top-N and dedup.
    pub(super) fn first(&mut self, depth: usize, window: &Window) -> Query {
        let inner = if self.chance(0.5) { self.raw(window) } else { self.windowed_in(depth - 1, window) };
        let scope = inner.scope("i");
        let (mut list, mut columns) = self.expressions(&scope, 3);
        self.add_window(&mut list, &mut columns, "i");
        let ((mut over, mut by_time), mut by_name, mut by_text) = (self.ranked(&scope), Vec::new(), Vec::new());
        for _ in 0..self.rng.random_range(1..3) {
            let rank = ["row_number", "row_number", "rank", "dense_rank"].choose(self.rng).unwrap();
            let (name, text) = (self.name("f"), format!("{rank}() OVER ({over})"));
            let n = self.rng.random_range(1..4);
            let limits = [format!("<= {n}"), format!("< {}", n + 1), format!("BETWEEN 1 AND {n}"), "= 1".to_owned()];
            let limit = limits.choose(self.rng).unwrap();
            by_name.push(format!("t.{name} {limit}"));
            by_text.push(format!("{text} {limit}"));
            list.push(format!("{text} AS {name}"));
            columns.push(Item { text: name, class: Class::Int });
            if self.chance(0.4) {
                let (other, also_by_time) = self.ranked(&scope);
                (over, by_time) = (other, by_time || also_by_time);
            }
        }
        let from = self.relation(&inner, "i");
        let sql = format!("SELECT {} FROM {from}", list.join(", "));
        let emits = if by_time { Emits::Early } else { after(inner.emits) };
        let query = Query { sql, columns, emits, windowed: true };
        if self.chance(0.5) {
            return Query { sql: format!("{} QUALIFY {}", query.sql, by_text.join(" AND ")), ..query };
        }
        let columns: Vec<String> = query.columns.iter().map(|item| format!("t.{}", item.text)).collect();
        let from = self.relation(&query, "t");
        Query { sql: format!("SELECT {} FROM {from} WHERE {}", columns.join(", "), by_name.join(" AND ")), ..query }
    }

    /// A partition by the window and up to two more keys, and an order; true when a key is a time, as in
    /// [`Self::partition`].
    fn ranked(&mut self, scope: &[Item]) -> (String, bool) {
        let mut by_time = false;
        let mut keys = vec!["i.window_start".to_owned(), "i.window_end".to_owned()];
        for _ in 0..self.rng.random_range(0..3) {
            let Some(item) = scope.choose(self.rng) else { break };
            by_time |= item.class == Class::Time;
            keys.push(item.text.clone());
        }
        let by_class = *[Class::Time, Class::Int, Class::Text, Class::Bool].choose(self.rng).unwrap();
        let by = expression::column(self.rng, scope, by_class).unwrap_or_else(|| "i.window_start".to_owned());
        let direction = ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"].choose(self.rng).unwrap();
        (format!("PARTITION BY {} ORDER BY {by}{direction}", keys.join(", ")), by_time)
    }

    /// The window as a partition, sometimes by one column more; true when that is a time, which may be the start of a
    /// window of its own that closes first.
    fn partition(&mut self, scope: &[Item]) -> (String, bool) {
        let window = "PARTITION BY i.window_start, i.window_end".to_owned();
        let more = if self.chance(0.5) { scope.choose(self.rng) } else { None };
        more.map_or((window.clone(), false), |item| (format!("{window}, {}", item.text), item.class == Class::Time))
    }

    /// One window function and the class of its result.
    fn call(&mut self, scope: &[Item], partition: &str) -> (String, Class) {
        let by_class = *[Class::Time, Class::Int, Class::Text].choose(self.rng).unwrap();
        let by = expression::column(self.rng, scope, by_class).unwrap_or_else(|| "i.window_start".to_owned());
        let order = format!("ORDER BY {by}{}", ["", " DESC", " DESC NULLS LAST"].choose(self.rng).unwrap());
        let value_class = *[Class::Int, Class::Float, Class::Text, Class::Time].choose(self.rng).unwrap();
        let value = expression::of_class(self.rng, scope, value_class, 1);
        match self.rng.random_range(0..9) {
            0 | 1 => (format!("row_number() OVER ({partition} {order})"), Class::Int),
            2 => (
                format!("{}() OVER ({partition} {order})", ["rank", "dense_rank"].choose(self.rng).unwrap()),
                Class::Int,
            ),
            3 => (
                format!("{}({value}, 1) OVER ({partition} {order})", ["lag", "lead"].choose(self.rng).unwrap()),
                value_class,
            ),
            4 => (format!("first_value({value}) OVER ({partition} {order})"), value_class),
            5 => (format!("ntile(3) OVER ({partition} {order})"), Class::Int),
            6 => (
                format!("{}() OVER ({partition} {order})", ["percent_rank", "cume_dist"].choose(self.rng).unwrap()),
                Class::Float,
            ),
            _ => self.running(scope, partition, &order, by_class),
        }
    }

    /// An aggregate over a frame.
    fn running(&mut self, scope: &[Item], partition: &str, order: &str, by: Class) -> (String, Class) {
        let class = *[Class::Int, Class::Float].choose(self.rng).unwrap();
        let value = expression::of_class(self.rng, scope, class, 0);
        let name = *["sum", "min", "max", "avg", "count"].choose(self.rng).unwrap();
        let mut frames = vec![
            "",
            " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING",
            " RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        ];
        match by {
            Class::Time => frames.push(" RANGE BETWEEN INTERVAL '2 minutes' PRECEDING AND CURRENT ROW"),
            Class::Int => frames.push(" RANGE BETWEEN 3 PRECEDING AND 1 FOLLOWING"),
            _ => {}
        }
        let frame = *frames.choose(self.rng).unwrap();
        let over = if self.chance(0.15) { partition.to_owned() } else { format!("{partition} {order}{frame}") };
        let result = match name {
            "count" => Class::Int,
            "avg" => Class::Float,
            _ => class,
        };
        (format!("{name}({value}) OVER ({over})"), result)
    }
}
