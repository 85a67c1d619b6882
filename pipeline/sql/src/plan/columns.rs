//! What is known of a column's time: whether it is event time or a window's bound, and when a row with it is final.

use crate::finding::{Finding, place_of};
use crate::plan::windows::step;
use crate::text::Place;
use arrow::datatypes::{DataType, TimeUnit};
use chrono_tz::Tz;
use citystream_functions::{Grid, Step, WindowSpec, plain, window_end};
use citystream_model::stream::timestamp_type;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, cast, lit};

/// What is known of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fact {
    pub(crate) role: Role,
    /// True behind an outer join, where the column may be null.
    pub(crate) nullable: bool,
    /// Which window function the column came from; 0 for none. Start and end of one window close together.
    pub(crate) window: usize,
}

/// The part that a column plays in time. All rows that come after watermark `W` have ...
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Role {
    /// ... a value at or above `W`: the row's event time.
    EventTime,
    /// ... a value above `W`: the end of a window.
    End,
    /// ... a value whose window ends above `W`: the start of a window.
    Start(Length),
    /// A time for the output's folders only.
    Label,
}

/// How a window's end follows from its start.
#[derive(Debug, Clone)]
pub(crate) enum Length {
    /// So many microseconds later.
    Fixed { micros: i64 },
    /// The end of the tumbling window that the start lies in.
    Tumbling(WindowSpec),
    /// It does not: `cumulate` and `session`.
    Open,
}

/// Facts of all columns of a plan, by position.
pub(crate) type Facts = Vec<Option<Fact>>;

// === impl Length ===

impl PartialEq for Length {
    /// Two lengths are equal when equal starts have equal ends, however the windows were spelt.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed { micros }, Self::Fixed { micros: others }) => micros == others,
            (Self::Tumbling(spec), Self::Tumbling(other)) => spec.starts() == other.starts(),
            (Self::Open, Self::Open) => true,
            _ => false,
        }
    }
}

// === impl Fact ===

impl Fact {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, nullable: false, window: 0 }
    }

    /// The watermark at which all rows with the value of `column` have come, in microseconds; `None` if there is none.
    pub(crate) fn closes_at(&self, column: &Expr) -> Option<Expr> {
        if self.nullable {
            return None;
        }
        let micros = |expr: Expr| cast(cast(expr, timestamp_type()), DataType::Int64);
        Some(match &self.role {
            Role::EventTime => micros(column.clone()) + lit(1i64),
            Role::End => micros(column.clone()),
            Role::Start(Length::Fixed { micros: length }) => micros(column.clone()) + lit(*length),
            Role::Start(Length::Tumbling(spec)) => {
                micros(window_end(spec.clone()).call(vec![cast(column.clone(), timestamp_type())]))
            }
            Role::Start(Length::Open) | Role::Label => return None,
        })
    }

    /// True for a window's start or end that says when the window closes.
    pub(crate) fn is_bound(&self) -> bool {
        !self.nullable && matches!(self.role, Role::End | Role::Start(Length::Fixed { .. } | Length::Tumbling(_)))
    }

    /// Microseconds of the windows that start here, where all are of one length.
    pub(crate) fn length(&self) -> Option<i64> {
        match &self.role {
            Role::Start(Length::Fixed { micros }) => Some(*micros),
            Role::Start(Length::Tumbling(spec)) => fixed_length(spec),
            _ => None,
        }
    }

    /// True when equal values on both sides of a join mean that both sides are final at the same watermark.
    pub(crate) fn joins_with(&self, other: &Self) -> bool {
        self.is_bound() && other.is_bound() && self.role == other.role
    }

    /// How well the column serves as the time of an output row: window start, else event time, else window end.
    pub(crate) fn rank(&self) -> u8 {
        match self.role {
            Role::Start(_) => 0,
            Role::EventTime => 1,
            Role::Label => 2,
            Role::End => 3,
        }
    }
}

/// Keys of a group, each with what is known of it.
pub(crate) type Keys = Vec<(Expr, Option<Fact>)>;
/// Keys that close a group, each with what is known of it.
pub(crate) type ClosingKeys = Vec<(Expr, Fact)>;

/// Each of `keys` with what is known of it, and those that close a group.
///
/// # Errors
/// None closes it, since a bin among them cuts through windows.
pub(crate) fn facts_of_keys(keys: Vec<Expr>, schema: &DFSchema, facts: &Facts) -> Result<(Keys, ClosingKeys), Finding> {
    let (mut known, mut wrong) = (Vec::new(), None);
    for key in keys {
        let fact = of_expr(&key, schema, facts).unwrap_or_else(|finding| {
            wrong.get_or_insert(finding);
            None
        });
        known.push((key, fact));
    }
    let closing = closing_keys(&known);
    match wrong {
        Some(finding) if closing.is_empty() => Err(finding),
        _ => Ok((known, closing)),
    }
}

/// The keys that close a group: window bounds if there are any, else event time itself; none means it never closes.
fn closing_keys(keys: &[(Expr, Option<Fact>)]) -> ClosingKeys {
    let known = || keys.iter().filter_map(|(key, fact)| fact.clone().map(|fact| (key.clone(), fact)));
    let bounds: Vec<_> = known().filter(|(_, fact)| fact.is_bound()).collect();
    if bounds.is_empty() {
        known().filter(|(_, fact)| fact.role == Role::EventTime && !fact.nullable).take(1).collect()
    } else {
        bounds
    }
}

/// The watermark at which the first of `keys` closes; the group can get no further row by then.
pub(crate) fn first_close(keys: &[(Expr, Fact)]) -> Option<Expr> {
    let mut times: Vec<Expr> = keys.iter().filter_map(|(key, fact)| fact.closes_at(key)).collect();
    if times.len() > 1 { Some(datafusion::functions::core::expr_fn::least(times)) } else { times.pop() }
}

/// What is still known behind an operator that held rows back until `keys` closed: of other times only that they are times.
pub(crate) fn settle(facts: &mut Facts, keys: &[(Expr, Fact)], is_key: impl Fn(usize) -> bool) {
    let windows: Vec<usize> = keys.iter().map(|(_, fact)| fact.window).filter(|window| *window > 0).collect();
    for (at, fact) in facts.iter_mut().enumerate() {
        if let Some(fact) = fact
            && !(fact.role != Role::EventTime && (is_key(at) || windows.contains(&fact.window)))
        {
            fact.role = Role::Label;
        }
    }
}

/// Position of the column that serves best as the time of an output row.
pub(crate) fn best_time(facts: &Facts) -> Option<usize> {
    let known =
        facts.iter().enumerate().filter_map(|(at, fact)| fact.as_ref().map(|fact| (fact.nullable, fact.rank(), at)));
    known.min().map(|(_, _, at)| at)
}

/// Position of the column of `below` that is the time of a row where the columns of `above` say no better than its window's end.
pub(crate) fn better_time(below: &Facts, above: &Facts) -> Option<usize> {
    let is_end = |facts: &Facts, at: usize| facts[at].as_ref().is_some_and(|fact| fact.role == Role::End);
    let known = best_time(below)?;
    let is_better = best_time(above).is_none_or(|shown| is_end(above, shown) && !is_end(below, known));
    is_better.then_some(known)
}

/// Facts of the window columns that `spec` adds: start, end.
pub(crate) fn of_window(spec: &WindowSpec, window: usize) -> [Fact; 2] {
    let length = match fixed_length(spec) {
        _ if spec.is_tumble() => Length::Tumbling(spec.clone()),
        Some(micros) => Length::Fixed { micros },
        None => Length::Open,
    };
    window_facts(length, window)
}

/// Facts of start and end of the windows numbered `window`.
pub(crate) fn window_facts(length: Length, window: usize) -> [Fact; 2] {
    [Role::Start(length), Role::End].map(|role| Fact { role, nullable: false, window })
}

/// Checks that a window function's time column is one; the new windows must not close before its rows have come.
pub(crate) fn check_time(
    fact: Option<&Fact>,
    spec: Option<&WindowSpec>,
    column: &str,
    at: Option<Place>,
) -> Result<(), Finding> {
    let Some(fact) = fact.filter(|fact| !fact.nullable) else {
        let help = "use the stream's time.column, or window_start or window_end of an inner window";
        return Err(Finding::new(
            "S152",
            at,
            format!("'{column}' is not an event-time column, so a window over it would never close"),
            help,
        ));
    };
    match &fact.role {
        Role::EventTime | Role::End => Ok(()),
        Role::Start(Length::Tumbling(inner)) if spec.is_some_and(|outer| is_multiple(outer, inner.starts())) => Ok(()),
        role => {
            let message = format!("the windows over '{column}' would cut the inner windows");
            let help = match role {
                Role::Start(Length::Tumbling(inner)) => spec.and_then(|outer| zone_to_share(outer, inner.starts())),
                _ => None,
            };
            let multiple =
                || "make the size a multiple of the inner window's, or use window_end as the time".to_owned();
            Err(Finding::new("S150", at, message, help.unwrap_or_else(multiple)))
        }
    }
}

/// What to write where the windows would fit one another in one zone.
fn zone_to_share(outer: &WindowSpec, inner: Grid) -> Option<String> {
    let zone = outer.starts().zone();
    let step = match inner {
        Grid::Fixed { step } | Grid::InDay { step, .. } => Step::Micros(step),
        Grid::Days { count, .. } => Step::Days(count),
        Grid::Months { count, .. } => Step::Months(count),
    };
    let same = Grid::new(if zone.is_none() { utc_days(step) } else { step }, zone).ok()?;
    if inner.zone() == zone || !is_multiple(outer, same) {
        return None;
    }
    Some(match (zone, inner.zone()) {
        (Some(zone), None) => format!("give the inner window the same zone: zone => '{zone}'"),
        (Some(zone), Some(inner)) => format!("give both windows one zone; found '{zone}' here and '{inner}' inside"),
        (None, inner) => format!("use tumble(...) with the inner window's zone here: zone => '{}'", inner?),
    })
}

/// The one length of all windows of `spec`, in microseconds, if they have one.
fn fixed_length(spec: &WindowSpec) -> Option<i64> {
    let Grid::Fixed { .. } = spec.starts() else { return None };
    let mut windows = Vec::new();
    spec.windows(0, &mut windows);
    let mut lengths = windows.into_iter().map(|(start, end)| end - start);
    let first = lengths.next()?;
    lengths.all(|length| length == first).then_some(first)
}

/// True when every boundary of the windows of `outer` is one of `inner`'s, so that no inner window crosses one.
fn is_multiple(outer: &WindowSpec, inner: Grid) -> bool {
    const QUARTER_HOUR: i64 = 900_000_000;
    // Local midnights, and steps of a day from there, lie on quarters of an hour UTC; those of UTC on whole days.
    let midnights = if outer.starts().zone() == Some(Tz::UTC) { 96 * QUARTER_HOUR } else { QUARTER_HOUR };
    let mut windows = Vec::new();
    spec_bounds(outer, &mut windows);
    match (outer.starts(), inner) {
        (Grid::Fixed { step: outer }, Grid::Fixed { step: inner }) => {
            outer % inner == 0 && windows.iter().all(|bound| bound % inner == 0)
        }
        _ if !outer.is_tumble() => false,
        (Grid::InDay { step, .. }, Grid::Fixed { step: inner }) => midnights % inner == 0 && step % inner == 0,
        (_, Grid::Fixed { step: inner }) => midnights % inner == 0,
        (Grid::InDay { step: outer, zone }, Grid::InDay { step: inner, zone: same }) => {
            zone == same && outer % inner == 0
        }
        (Grid::Days { zone, .. } | Grid::Months { zone, .. }, Grid::InDay { zone: same, .. }) => zone == same,
        (Grid::Days { count: outer, zone }, Grid::Days { count: inner, zone: same }) => {
            zone == same && outer % inner == 0
        }
        (Grid::Months { zone, .. }, Grid::Days { count: 1, zone: same }) => zone == same,
        (Grid::Months { count: outer, zone }, Grid::Months { count: inner, zone: same }) => {
            zone == same && outer % inner == 0
        }
        _ => false,
    }
}

/// Bounds of the windows around the epoch.
fn spec_bounds(spec: &WindowSpec, bounds: &mut Vec<i64>) {
    let mut windows = Vec::new();
    spec.windows(0, &mut windows);
    bounds.extend(windows.into_iter().flat_map(|(start, end)| [start, end]));
}

/// What is known of an expression over columns with `facts`.
pub(crate) fn known(expr: &Expr, schema: &DFSchema, facts: &Facts) -> Option<Fact> {
    of_expr(expr, schema, facts).ok().flatten()
}

/// As [`known`], for an expression that has to close something.
///
/// # Errors
/// It is a bin of a window's bound whose edges cut through windows.
pub(crate) fn of_expr(expr: &Expr, schema: &DFSchema, facts: &Facts) -> Result<Option<Fact>, Finding> {
    if let Some(inner) = plain(expr) {
        return of_expr(&inner, schema, facts);
    }
    match expr {
        Expr::Column(column) => {
            Ok(schema.maybe_index_of_column(column).and_then(|at| facts.get(at).cloned().flatten()))
        }
        Expr::Alias(alias) => of_expr(&alias.expr, schema, facts),
        Expr::Cast(cast) if is_time(cast.field.data_type()) => of_expr(&cast.expr, schema, facts),
        Expr::ScalarFunction(function) => of_function(function, schema, facts),
        Expr::Case(case) => match (&case.expr, &case.when_then_expr[..], &case.else_expr) {
            // What the optimizer makes of coalesce(a, b).
            (None, [(when, then)], Some(otherwise)) if **when == Expr::IsNotNull(then.clone()) => {
                either(then, otherwise, schema, facts)
            }
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, None))
}

fn of_function(function: &ScalarFunction, schema: &DFSchema, facts: &Facts) -> Result<Option<Fact>, Finding> {
    match (function.name(), &function.args[..]) {
        ("date_bin", [Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _), time]) => {
            let spec = step(*interval).and_then(|step| tumble(utc_days(step)));
            bin(time, spec.map(Length::Tumbling), schema, facts)
        }
        ("date_trunc", [Expr::Literal(unit, _), time]) => {
            let unit = unit.try_as_str().flatten().unwrap_or_default().to_lowercase();
            bin(time, trunc(&unit), schema, facts)
        }
        ("coalesce", [first, second]) => either(first, second, schema, facts),
        _ => Ok(None),
    }
}

/// The two sides of a FULL JOIN, of which one is there.
fn either(first: &Expr, second: &Expr, schema: &DFSchema, facts: &Facts) -> Result<Option<Fact>, Finding> {
    let (first, second) = (of_expr(first, schema, facts)?, of_expr(second, schema, facts)?);
    Ok(first.filter(|first| second.is_some_and(|second| second.role == first.role)).map(|fact| Fact::new(fact.role)))
}

/// A time cut down to the start of its bin, which is a tumbling window.
fn bin(time: &Expr, length: Option<Length>, schema: &DFSchema, facts: &Facts) -> Result<Option<Fact>, Finding> {
    let (Some(fact), Some(length)) = (of_expr(time, schema, facts)?, length) else { return Ok(None) };
    if fact.role == Role::Label {
        return Ok(None);
    }
    let spec = if let Length::Tumbling(spec) = &length { Some(spec.clone()) } else { tumble(Step::Days(7)) };
    check_time(Some(&Fact::new(fact.role)), spec.as_ref(), &name_of(time), place_of([time]))?;
    Ok(Some(Fact { role: Role::Start(length), nullable: fact.nullable, window: 0 }))
}

/// A column by its plain name.
pub(crate) fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        other => other.to_string(),
    }
}

fn trunc(unit: &str) -> Option<Length> {
    const SECOND: i64 = 1_000_000;
    let fixed = |micros: i64| tumble(Step::Micros(micros)).map(Length::Tumbling);
    let months = |months: u32| WindowSpec::tumble(Step::Months(months), Some(Tz::UTC)).ok().map(Length::Tumbling);
    match unit {
        "second" => fixed(SECOND),
        "minute" => fixed(60 * SECOND),
        "hour" => fixed(3_600 * SECOND),
        "day" => fixed(86_400 * SECOND),
        // Weeks begin on Mondays, and the epoch was a Thursday.
        "week" => Some(Length::Fixed { micros: 7 * 86_400 * SECOND }),
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        _ => None,
    }
}

/// Days of UTC have a fixed length.
pub(crate) fn utc_days(step: Step) -> Step {
    match step {
        Step::Days(days) => Step::Micros(i64::from(days) * 86_400_000_000),
        other => other,
    }
}

fn tumble(step: Step) -> Option<WindowSpec> {
    let zone = matches!(step, Step::Months(_)).then_some(Tz::UTC);
    WindowSpec::tumble(utc_days(step), zone).ok()
}
