//! Expressions over the columns in scope, among them those that fail on some rows.

use crate::world::Type;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Types as far as expressions tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Booleans.
    Bool,
    /// Integers of any width.
    Int,
    /// Floats of both widths.
    Float,
    /// Decimals.
    Decimal,
    /// Text.
    Text,
    /// Dates.
    Date,
    /// Timestamps.
    Time,
    /// Anything that is only passed on: lists, bytes.
    Opaque,
}

/// A column in scope.
#[derive(Debug, Clone)]
pub struct Item {
    /// How it is written in an expression.
    pub text: String,
    /// Its class.
    pub class: Class,
}

/// The classes of which expressions can be made.
pub const CLASSES: [Class; 7] =
    [Class::Bool, Class::Int, Class::Float, Class::Decimal, Class::Text, Class::Date, Class::Time];

// === impl Class ===

impl Class {
    /// The class of a declared type.
    pub fn of(data_type: Type) -> Self {
        match data_type {
            Type::Boolean => Self::Bool,
            Type::Small | Type::Int | Type::Big => Self::Int,
            Type::Float | Type::Double => Self::Float,
            Type::Decimal => Self::Decimal,
            Type::Text => Self::Text,
            Type::Date => Self::Date,
            Type::Time => Self::Time,
        }
    }

    /// A type of this class, for casts.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Bool => "BOOLEAN",
            Self::Int => "BIGINT",
            Self::Float => "DOUBLE",
            Self::Decimal => "DECIMAL(20, 4)",
            Self::Text | Self::Opaque => "TEXT",
            Self::Date => "DATE",
            Self::Time => "TIMESTAMP",
        }
    }
}

/// An item of `scope` with `class`, if there is one.
pub fn column(rng: &mut StdRng, scope: &[Item], class: Class) -> Option<String> {
    let fitting: Vec<&Item> = scope.iter().filter(|item| item.class == class).collect();
    fitting.choose(rng).map(|item| item.text.clone())
}

/// Any expression with its class.
pub fn any(rng: &mut StdRng, scope: &[Item], depth: usize) -> (String, Class) {
    let class = class_of(rng, scope, &CLASSES);
    (of_class(rng, scope, class, depth), class)
}

/// One of `classes`, mostly one that `scope` has a column of.
fn class_of(rng: &mut StdRng, scope: &[Item], classes: &[Class]) -> Class {
    let known: Vec<Class> = scope.iter().map(|item| item.class).filter(|class| classes.contains(class)).collect();
    let known = known.choose(rng).filter(|_| rng.random_bool(0.9)).copied();
    known.unwrap_or_else(|| *classes.choose(rng).unwrap())
}

/// An expression of `class`, at most `depth` operators deep.
pub fn of_class(rng: &mut StdRng, scope: &[Item], class: Class, depth: usize) -> String {
    if depth == 0 || rng.random_bool(0.3) {
        let known = if rng.random_bool(0.85) { column(rng, scope, class) } else { None };
        return known.unwrap_or_else(|| literal(rng, class).to_owned());
    }
    let mut sub = |class: Class| of_class(rng, scope, class, depth - 1);
    let (same, other) = (sub(class), sub(class));
    let (condition, number, text) = (sub(Class::Bool), sub(Class::Int), sub(Class::Text));
    match rng.random_range(0..7) {
        0 => format!("CASE WHEN {condition} THEN {same} ELSE {other} END"),
        1 => format!("coalesce({same}, {other})"),
        2 => format!("nullif({same}, {other})"),
        3 => cast(rng, scope, class, depth - 1),
        _ => match class {
            Class::Bool => boolean(rng, scope, depth - 1),
            Class::Int => integer(rng, &same, &other, &text),
            Class::Float => float(rng, &same, &other, &number),
            Class::Decimal => format!("({same} {} {other})", ["+", "-", "*", "/", "%"].choose(rng).unwrap()),
            Class::Text | Class::Opaque => string(rng, &same, &other, &number),
            Class::Date => format!("({same} + INTERVAL '{} days')", rng.random_range(-2..3)),
            Class::Time => time(rng, &same),
        },
    }
}

fn integer(rng: &mut StdRng, same: &str, other: &str, text: &str) -> String {
    match rng.random_range(0..9) {
        0 => format!("(- {same})"),
        1 => format!("length({text})"),
        2 => format!("abs({same})"),
        operator => format!(
            "({same} {} {other})",
            ["+", "-", "*", "/", "%", "/", "%"][operator - 3 + usize::from(operator == 3)]
        ),
    }
}

fn float(rng: &mut StdRng, same: &str, other: &str, number: &str) -> String {
    match rng.random_range(0..8) {
        0 => format!("round({same})"),
        1 => format!("sqrt({same})"),
        2 => format!("(- {same})"),
        3 => format!("({same} * {number})"),
        operator => format!("({same} {} {other})", ["+", "-", "*", "/"][operator - 4]),
    }
}

fn string(rng: &mut StdRng, same: &str, other: &str, number: &str) -> String {
    match rng.random_range(0..5) {
        0 => format!("upper({same})"),
        1 => format!("({same} || {other})"),
        2 => format!("substr({same}, 1, 2)"),
        3 => format!("concat({same}, '-', {number})"),
        _ => format!("replace({same}, 'a', {other})"),
    }
}

fn time(rng: &mut StdRng, same: &str) -> String {
    match rng.random_range(0..3) {
        0 => format!("({same} + INTERVAL '{} minutes')", rng.random_range(-90..90)),
        1 => format!("date_trunc('hour', {same})"),
        _ => format!("({same} - INTERVAL '1 day')"),
    }
}

/// A cast to `class` that works for some values only.
fn cast(rng: &mut StdRng, scope: &[Item], class: Class, depth: usize) -> String {
    let sources: &[Class] = match class {
        Class::Bool => &[Class::Int, Class::Text],
        Class::Int => &[Class::Text, Class::Float, Class::Decimal, Class::Bool],
        Class::Float => &[Class::Text, Class::Int, Class::Decimal],
        Class::Decimal => &[Class::Int, Class::Text, Class::Float],
        Class::Text | Class::Opaque => &CLASSES,
        Class::Date => &[Class::Time, Class::Text],
        Class::Time => &[Class::Date, Class::Text],
    };
    let from = class_of(rng, scope, sources);
    let inner = of_class(rng, scope, from, depth);
    let narrow = class == Class::Int && rng.random_bool(0.4);
    let (word, target) =
        (if rng.random_bool(0.2) { "TRY_CAST" } else { "CAST" }, if narrow { "SMALLINT" } else { class.sql() });
    format!("{word}({inner} AS {target})")
}

/// A condition.
pub fn boolean(rng: &mut StdRng, scope: &[Item], depth: usize) -> String {
    let class =
        class_of(rng, scope, &[Class::Int, Class::Float, Class::Text, Class::Time, Class::Decimal, Class::Date]);
    let operator = *["=", "<>", "<", "<=", ">", ">="].choose(rng).unwrap();
    let known = column(rng, scope, class);
    let mut sub = |class: Class| of_class(rng, scope, class, depth);
    let (left, right, condition, second) = (sub(class), sub(class), sub(Class::Bool), sub(Class::Bool));
    let text = sub(Class::Text);
    match rng.random_range(0..11) {
        0 => format!("({condition} AND {second})"),
        1 => format!("({condition} OR {second})"),
        2 => format!("(NOT {condition})"),
        3 => format!("({left} IS NULL)"),
        4 => format!("({text} LIKE 'a%')"),
        5 => format!("({text} IN ('a', '', 'x', 'ä🚲'))"),
        6 => format!("({left} IS DISTINCT FROM {right})"),
        7..10 => format!("({} {operator} {right})", known.unwrap_or(left)),
        _ => format!("({left} {operator} {right})"),
    }
}

fn literal(rng: &mut StdRng, class: Class) -> &'static str {
    let literals: &[&'static str] = match class {
        Class::Bool => &["true", "false"],
        Class::Int => &["0", "1", "-3", "100", "9223372036854775807"],
        Class::Float => &["0.0", "CAST(1e300 AS DOUBLE)", "CAST(-0.5 AS DOUBLE)", "CAST(0.1 AS DOUBLE)"],
        Class::Decimal => &["CAST(1.5 AS DECIMAL(12, 3))", "CAST(0 AS DECIMAL(12, 3))"],
        Class::Text | Class::Opaque => &["'a'", "''", "'12'", "'ä🚲'", "'2026-03-29'"],
        Class::Date => &["DATE '2026-03-29'", "DATE '1970-01-01'"],
        Class::Time => &["TIMESTAMP '2026-03-29 01:00:00'", "TIMESTAMP '1970-01-01 00:00:00'"],
    };
    literals.choose(rng).unwrap()
}
