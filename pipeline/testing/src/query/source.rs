//! Where rows come from: streams in windows, with the reference table joined on.

use super::{Emits, Grammar, Query, Window};
use crate::expression::{Class, Item};
use crate::world::StreamDef;
use rand::Rng;
use rand::seq::IndexedRandom;

/// A FROM clause.
pub(super) struct From {
    pub(super) sql: String,
    /// What expressions may name, without the window's columns.
    pub(super) scope: Vec<Item>,
    /// A condition that belongs to it (a semi join written as IN).
    pub(super) condition: Option<String>,
}

impl Grammar<'_> {
    pub(super) fn stream(&mut self) -> StreamDef {
        self.world.streams.choose(self.rng).unwrap().clone()
    }

    /// Columns of `stream` under `alias`, now and then with hidden ones.
    pub(super) fn columns_of(&mut self, stream: &StreamDef, alias: &str) -> Vec<Item> {
        let item = |name: &str, class: Class| Item { text: format!("{alias}.{name}"), class };
        let mut items: Vec<Item> =
            stream.columns.iter().map(|column| item(&column.name, Class::of(column.data_type))).collect();
        if self.chance(0.2) {
            items.extend([
                item("_partition", Class::Int),
                item("_offset", Class::Int),
                item("_timestamp", Class::Time),
            ]);
        }
        items
    }

    /// A stream without a window, under `s`.
    pub(super) fn stream_from(&mut self) -> From {
        let stream = self.stream();
        let scope = self.columns_of(&stream, "s");
        self.looked_up(From { sql: format!("{} AS s", stream.name), scope, condition: None }, "s.k")
    }

    /// A windowed stream under `w`.
    pub(super) fn window_from(&mut self, window: &Window) -> From {
        let stream = self.stream();
        let mut scope = self.columns_of(&stream, "w");
        let argument = if self.chance(0.7) {
            stream.name.clone()
        } else {
            scope.retain(|item| {
                !item.text.contains("._") || item.text == "w._timestamp" && stream.time_column == "_timestamp"
            });
            let filter = self.chance(0.5);
            let inner = self.columns_of(&stream, "i");
            let condition = if filter { self.condition(&inner, 1.0) } else { String::new() };
            let mut names: Vec<&str> = stream.columns.iter().map(|column| column.name.as_str()).collect();
            names.extend((stream.time_column == "_timestamp").then_some("_timestamp"));
            let list: Vec<String> = names.iter().map(|name| format!("i.{name}")).collect();
            let sql = format!("SELECT {} FROM {} AS i{condition}", list.join(", "), stream.name);
            self.argument(&Query { sql, columns: Vec::new(), emits: Emits::AtOnce, windowed: false })
        };
        let call = window.call(&argument, stream.time_column, Some("k"));
        self.looked_up(From { sql: format!("{call} AS w"), scope, condition: None }, "w.k")
    }

    /// Joins the reference table on, now and then.
    fn looked_up(&mut self, mut from: From, key: &str) -> From {
        if self.world.table.is_none() || !self.chance(0.4) {
            return from;
        }
        let table = |name: &str, class: Class| Item { text: format!("r.{name}"), class };
        let all = [table("rk", Class::Text), table("rv", Class::Int), table("rd", Class::Float)];
        let extra = *["", " AND r.rv > 0", " AND r.rd IS NOT NULL"].choose(self.rng).unwrap();
        match self.rng.random_range(0..7) {
            0..2 => {
                from.sql = format!("{} JOIN ref AS r ON r.rk = {key}{extra}", from.sql);
                from.scope.extend(all);
            }
            2 => {
                from.sql = format!("{} LEFT JOIN ref AS r ON r.rk = {key}{extra}", from.sql);
                from.scope.extend(all);
            }
            3 => {
                from.sql = format!("ref AS r RIGHT JOIN {} ON r.rk = {key}", from.sql);
                from.scope.extend(all);
            }
            4 => {
                from.sql = format!(
                    "{} LEFT {} JOIN ref AS r ON r.rk = {key}{extra}",
                    from.sql,
                    ["SEMI", "ANTI"].choose(self.rng).unwrap()
                )
            }
            5 => from.condition = Some(format!("{key} IN (SELECT rk FROM ref WHERE rv IS NOT NULL)")),
            _ => from.condition = Some(format!("{key} NOT IN (SELECT rk FROM ref WHERE rk IS NOT NULL)")),
        }
        from
    }

    /// A WHERE clause of the FROM's own condition and a random one.
    pub(super) fn filter(&mut self, from: &From, probability: f64) -> String {
        let random = self.condition(&from.scope, probability);
        match &from.condition {
            None => random,
            Some(own) if random.is_empty() => format!(" WHERE {own}"),
            Some(own) => format!("{random} AND {own}"),
        }
    }
}
