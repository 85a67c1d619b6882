//! The grammar of jobs: every shape of SELECT that the compiler takes, put together at random.
//!
//! The middle of it is [`Grammar::windowed`]: a query whose rows carry `window_start` and `window_end`. Such queries are
//! made of one another (aggregates of windows, joins of aggregates, window functions over joins, cascades ...).

mod aggregate;
mod cascade;
mod combine;
mod over;
mod plain;
mod source;
mod window;

use crate::expression::{self, Class, Item};
use crate::world::World;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
pub use window::Window;

/// When the rows of a query come out, by the watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Emits {
    /// As they come, at the latest when their window has closed.
    AtOnce,
    /// Not later than when their window has closed; earlier when an inner window in their key has closed.
    Early,
    /// Exactly when their window has closed.
    AtEnd,
}

/// A SELECT and what is known of it.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its text.
    pub sql: String,
    /// Output columns by plain name.
    pub columns: Vec<Item>,
    /// When its rows come out.
    pub emits: Emits,
    /// True when it has the columns `window_start` and `window_end`, never null.
    pub windowed: bool,
}

/// Makes queries over a world.
pub struct Grammar<'a> {
    rng: &'a mut StdRng,
    world: &'a World,
    /// WITH queries so far: name and text.
    ctes: Vec<(String, String)>,
    names: usize,
}

// === impl Query ===

impl Query {
    /// Columns other than the window's, as known under `alias`.
    fn scope(&self, alias: &str) -> Vec<Item> {
        let own = self.columns.iter().filter(|item| item.class != Class::Opaque);
        own.map(|item| Item { text: format!("{alias}.{}", item.text), class: item.class }).collect()
    }
}

// === impl Grammar ===

impl<'a> Grammar<'a> {
    /// A grammar over `world`.
    pub fn new(rng: &'a mut StdRng, world: &'a World) -> Self {
        Self { rng, world, ctes: Vec::new(), names: 0 }
    }

    /// A whole query: the SELECT with its WITH list.
    pub fn job(&mut self) -> Query {
        let mut query = self.top();
        if !self.ctes.is_empty() {
            let ctes: Vec<String> = self.ctes.iter().map(|(name, sql)| format!("{name} AS ({sql})")).collect();
            query.sql = format!("WITH {}\n{}", ctes.join(",\n  "), query.sql);
        }
        query
    }

    fn top(&mut self) -> Query {
        match self.rng.random_range(0..20) {
            0..3 => self.stateless(),
            3 => self.star(),
            4 => self.stateless_union(),
            5..7 => self.binned(),
            7 => self.by_time(),
            8..10 => {
                let inner = self.windowed(2);
                self.wrapped(inner)
            }
            _ => {
                let depth = self.rng.random_range(0..3);
                self.windowed(depth)
            }
        }
    }

    /// A query with window columns.
    fn windowed(&mut self, depth: usize) -> Query {
        let window = Window::generate(self.rng, self.world.pace);
        self.windowed_in(depth, &window)
    }

    fn windowed_in(&mut self, depth: usize, window: &Window) -> Query {
        if depth == 0 {
            return if self.rng.random_bool(0.25) { self.raw(window) } else { self.grouped(window) };
        }
        match self.rng.random_range(0..14) {
            0..4 => self.over(depth, window),
            4..7 => self.join(depth, window),
            7 => self.distinct(depth, window),
            8 => self.union(depth, window),
            9..11 => self.cascade(depth),
            11..13 => self.first(depth, window),
            _ => self.regrouped(depth, window),
        }
    }

    /// Filters and expressions over a windowed query, with or without its window columns.
    fn wrapped(&mut self, inner: Query) -> Query {
        if self.rng.random_bool(0.2) {
            let from = self.relation(&inner, "q");
            return Query { sql: format!("SELECT * FROM {from}"), ..inner };
        }
        let scope = inner.scope("q");
        let from = self.relation(&inner, "q");
        let (mut list, mut columns) = self.expressions(&scope, 3);
        let windowed = inner.windowed && self.chance(0.7);
        if windowed {
            self.add_window(&mut list, &mut columns, "q");
        }
        let condition = self.condition(&scope, 0.5);
        Query { sql: format!("SELECT {} FROM {from}{condition}", list.join(", ")), columns, windowed, ..inner }
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// `query` as a relation of FROM: a subquery, or the name of a WITH query.
    fn relation(&mut self, query: &Query, alias: &str) -> String {
        if self.chance(0.4) {
            let name = self.name("cte");
            self.ctes.push((name.clone(), query.sql.clone()));
            return format!("{name} AS {alias}");
        }
        format!("({}) AS {alias}", query.sql)
    }

    /// `query` as the first argument of a window function.
    fn argument(&mut self, query: &Query) -> String {
        if self.chance(0.5) {
            let name = self.name("cte");
            self.ctes.push((name.clone(), query.sql.clone()));
            return name;
        }
        format!("({})", query.sql)
    }

    /// A WHERE clause, now and then.
    fn condition(&mut self, scope: &[Item], probability: f64) -> String {
        if !self.chance(probability) {
            return String::new();
        }
        let depth = self.rng.random_range(0..3);
        format!(" WHERE {}", expression::boolean(self.rng, scope, depth))
    }

    /// Up to `most` named expressions over `scope`: their texts with names, and the columns that they make.
    fn expressions(&mut self, scope: &[Item], most: usize) -> (Vec<String>, Vec<Item>) {
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        for _ in 0..self.rng.random_range(1..=most) {
            let plain = scope.choose(self.rng).filter(|_| self.rng.random_bool(0.5)).cloned();
            let (text, class) = match plain {
                Some(item) => (item.text, item.class),
                None => expression::any(self.rng, scope, 2),
            };
            let name = self.name("e");
            list.push(format!("{text} AS {name}"));
            columns.push(Item { text: name, class });
        }
        (list, columns)
    }

    fn add_window(&mut self, list: &mut Vec<String>, columns: &mut Vec<Item>, alias: &str) {
        for name in ["window_start", "window_end"] {
            list.push(format!("{alias}.{name} AS {name}"));
            columns.push(Item { text: name.to_owned(), class: Class::Time });
        }
    }
}

/// When rows come out of a GROUP BY or OVER by the window of rows that `emits` tells of.
fn after(emits: Emits) -> Emits {
    if emits == Emits::Early { Emits::Early } else { Emits::AtEnd }
}
