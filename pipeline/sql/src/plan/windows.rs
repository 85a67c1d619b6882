//! The window table functions in FROM: `tumble`, `hop`, `cumulate`, `session` over a stream, a CTE or a subquery.

use crate::ddl::types::sql_name;
use crate::ddl::{normal, stream::zone};
use crate::finding::Finding;
use crate::plan::columns::{name_of, utc_days};
use crate::plan::window_node::{Assign, WindowNode};
use crate::text::{Place, place};
use crate::walk::WINDOW_FUNCTIONS;
use arrow::datatypes::IntervalMonthDayNano;
use chrono_tz::Tz;
use citystream_functions::{Step, WindowSpec};
use citystream_model::nearest::nearest;
use citystream_model::stream::timestamp_type;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Ident, ObjectName, Spanned, TableFactor};
use std::time::Duration;

/// Plans window table functions and leaves every other relation alone.
#[derive(Debug)]
pub(crate) struct WindowPlanner;

/// Arguments of one call, by name.
struct Arguments {
    function: String,
    at: Place,
    /// True when an argument is given by its name.
    by_name: bool,
    /// Where each argument's value stands.
    places: Vec<(&'static str, Place)>,
    values: Vec<(&'static str, ast::Expr)>,
}

// === impl WindowPlanner ===

impl RelationPlanner for WindowPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                let arguments = Arguments::read(&name, args.args)?;
                let plan = plan(arguments, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

fn plan(mut call: Arguments, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let relation = call.relation()?;
    let input = context.plan(relation)?;
    let time = call.column("ts", context, input.schema())?;
    if time.get_type(input.schema())? != timestamp_type() {
        return Err(call
            .wrong(
                "ts",
                format!(
                    "'{}' is of type {}, expected a TIMESTAMP column",
                    name_of(&time),
                    sql_name(&time.get_type(input.schema())?)
                ),
            )
            .into());
    }
    let zone = call.zone()?;
    let assign = if call.function == "session" {
        if zone.is_some() {
            return Err(call.wrong("zone", "sessions do not depend on a zone").into());
        }
        let gap = match call.interval("gap", false, context)? {
            Step::Micros(micros) => u64::try_from(micros).map(Duration::from_micros).unwrap_or_default(),
            Step::Days(days) => Duration::from_secs(u64::from(days) * 86_400),
            Step::Months(_) => return Err(call.wrong("gap", "a month has no fixed length").into()),
        };
        Assign::Session { gap, keys: call.keys(context, input.schema())? }
    } else {
        Assign::Fixed(call.spec(zone, context)?)
    };
    Ok(WindowNode::new(input, time, assign)?.into_plan())
}

// === impl Arguments ===

impl Arguments {
    /// Gives every argument its name: by position, or by `name => value`.
    fn read(name: &ObjectName, args: Vec<FunctionArg>) -> Result<Self> {
        let function = name.to_string().to_lowercase();
        let at = place(name.span().start);
        let Some(names) = parameters(&function) else {
            let near = nearest(&function, WINDOW_FUNCTIONS)
                .map_or("use tumble, hop, cumulate or session".to_owned(), |near| format!("did you mean {near}(...)?"));
            return Err(Finding::new("S010", Some(at), format!("unknown table function {function}(...)"), near).into());
        };
        let mut call = Self { function, at, by_name: false, places: Vec::new(), values: Vec::new() };
        for (position, arg) in args.into_iter().enumerate() {
            let (name, value) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
                    // `key` and `zone` are named only; the rest may go by position.
                    let positional = names.iter().filter(|name| !matches!(**name, "key" | "zone"));
                    let Some(name) = positional.copied().nth(position) else {
                        return Err(call.surplus(&value).into());
                    };
                    (name, value)
                }
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    call.by_name = true;
                    (call.parameter(names, &name)?, value)
                }
                other => return Err(call.usage(format!("found the argument {other}")).into()),
            };
            let place = place(value.span().start);
            if call.values.iter().any(|(known, _)| *known == name) {
                return Err(Self { at: place, ..call }.usage(format!("argument {name} is given twice")).into());
            }
            call.places.push((name, place));
            call.values.push((name, value));
        }
        Ok(call)
    }

    fn parameter(&self, names: &'static [&'static str], ident: &Ident) -> Result<&'static str> {
        let wanted = normal(ident);
        names.iter().copied().find(|name| *name == wanted).ok_or_else(|| {
            if wanted == "offset" {
                return self.offset(place(ident.span.start)).into();
            }
            let help = nearest(&wanted, names.iter().copied())
                .map_or_else(|| self.signature(), |near| format!("did you mean '{near}'?"));
            Finding::new(
                "S004",
                Some(place(ident.span.start)),
                format!("{} has no argument '{wanted}'", self.function),
                help,
            )
            .into()
        })
    }

    /// What is said of a value behind the last argument.
    fn surplus(mut self, value: &ast::Expr) -> Finding {
        self.at = place(value.span().start);
        let found = self.usage("found one argument too many");
        match value {
            ast::Expr::Interval(_) if self.function != "session" => self.offset(self.at),
            ast::Expr::Identifier(_) | ast::Expr::Tuple(_) if self.function == "session" => {
                Finding { help: format!("name it: key => {value}"), ..found }
            }
            _ => found,
        }
    }

    fn take(&mut self, name: &'static str) -> Option<ast::Expr> {
        let at = self.values.iter().position(|(known, _)| *known == name)?;
        Some(self.values.remove(at).1)
    }

    fn need(&mut self, name: &'static str) -> Result<ast::Expr> {
        self.take(name).ok_or_else(|| self.usage(format!("argument {name} is missing")).into())
    }

    /// The stream, CTE or subquery that is windowed.
    fn relation(&mut self) -> Result<TableFactor> {
        match self.need("t")? {
            ast::Expr::Identifier(ident) => Ok(TableFactor::Table {
                name: ObjectName::from(vec![ident]),
                alias: None,
                args: None,
                with_hints: vec![],
                version: None,
                with_ordinality: false,
                partitions: vec![],
                json_path: None,
                sample: None,
                index_hints: vec![],
            }),
            ast::Expr::Subquery(subquery) => {
                Ok(TableFactor::Derived { lateral: false, subquery, alias: None, sample: None })
            }
            other => Err(self
                .wrong(
                    "t",
                    format!(
                        "found {other}, expected the name of a stream or of a WITH query, or a subquery in parentheses"
                    ),
                )
                .into()),
        }
    }

    fn column(
        &mut self,
        name: &'static str,
        context: &mut dyn RelationPlannerContext,
        schema: &DFSchema,
    ) -> Result<Expr> {
        let expr = self.need(name)?;
        self.as_column(name, expr, context, schema)
    }

    fn as_column(
        &self,
        name: &'static str,
        expr: ast::Expr,
        context: &mut dyn RelationPlannerContext,
        schema: &DFSchema,
    ) -> Result<Expr> {
        let text = expr.to_string();
        match context.sql_to_expr(expr, schema)? {
            column @ Expr::Column(_) => Ok(column),
            _ => Err(self.wrong(name, format!("found {text}, expected a column")).into()),
        }
    }

    fn keys(&mut self, context: &mut dyn RelationPlannerContext, schema: &DFSchema) -> Result<Vec<Expr>> {
        let keys = match self.take("key") {
            None => Vec::new(),
            Some(ast::Expr::Tuple(keys)) => keys,
            Some(ast::Expr::Nested(key)) => vec![*key],
            Some(key) => vec![key],
        };
        keys.into_iter().map(|key| self.as_column("key", key, context, schema)).collect()
    }

    fn zone(&mut self) -> Result<Option<Tz>> {
        match self.take("zone") {
            None => Ok(None),
            Some(ast::Expr::Value(value)) => {
                let text = value.value.clone().into_string().unwrap_or_default();
                zone(&text).map(Some).map_err(|error| {
                    let (message, help) = error
                        .message()
                        .split_once("; ")
                        .unwrap_or((error.message(), "use a name of the IANA zones, such as 'UTC'"));
                    Finding { help: help.to_owned(), ..self.wrong("zone", message) }.into()
                })
            }
            Some(other) => Err(self
                .wrong("zone", format!("found {other}, expected an IANA zone such as 'Europe/Amsterdam'"))
                .into()),
        }
    }

    fn spec(&mut self, zone: Option<Tz>, context: &mut dyn RelationPlannerContext) -> Result<WindowSpec> {
        let spec = match self.function.as_str() {
            "tumble" => WindowSpec::tumble(self.interval("size", zone.is_some(), context)?, zone),
            "hop" => {
                let slide = self.interval("slide", zone.is_some(), context)?;
                let size = self.interval("size", zone.is_some(), context)?;
                self.refuse_swapped(slide, size)?;
                WindowSpec::hop(slide, size, zone)
            }
            _ => WindowSpec::cumulate(
                self.interval("step", zone.is_some(), context)?,
                self.interval("size", zone.is_some(), context)?,
                zone,
            ),
        };
        spec.map_err(|error| {
            let message = error.message().split("; ").next().unwrap_or_default();
            let (code, help) = match message.contains("without a zone") {
                true => ("S170", "add zone => 'Europe/Amsterdam', or zone => 'UTC'"),
                false => ("S151", "give lengths that fit one another, such as INTERVAL '5 minutes', INTERVAL '1 hour'"),
            };
            let message = if message.starts_with(&self.function) {
                message.to_owned()
            } else {
                format!("{}: {message}", self.function)
            };
            Finding::new(code, Some(self.place_of("size")), message, help).into()
        })
    }

    /// Other systems have the size before the slide; that would leave out the rows between two windows.
    fn refuse_swapped(&self, slide: Step, size: Step) -> Result<()> {
        match (slide, size) {
            (Step::Micros(slide_micros), Step::Micros(size_micros)) if slide_micros > size_micros && !self.by_name => {
                let message = format!("hop: found {size} windows every {slide}, with rows in none between them");
                let help = "the slide comes first: hop(t, ts, slide, size); where gaps are meant, name both: slide => ..., size => ...";
                Err(Finding::new("S151", Some(self.place_of("slide")), message, help).into())
            }
            _ => Ok(()),
        }
    }

    fn interval(
        &mut self,
        name: &'static str,
        in_zone: bool,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Step> {
        let expr = self.need(name)?;
        let text = expr.to_string();
        let value = context.sql_to_expr(expr, &DFSchema::empty());
        let step = if let Ok(Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _)) = value {
            step(interval)
        } else {
            None
        };
        // Without a zone a day is 24 hours, so that equal windows are equal however they were spelt.
        let step = if in_zone { step } else { step.map(utc_days) };
        step.ok_or_else(|| self.wrong(name, format!("found {text}, expected a positive length such as INTERVAL '5 minutes', in months or in days and smaller units")).into())
    }

    fn wrong(&self, name: &str, message: impl std::fmt::Display) -> Finding {
        Finding::new(
            "S151",
            Some(self.place_of(name)),
            format!("{}, argument {name}: {message}", self.function),
            self.signature(),
        )
    }

    /// Where an argument stands, else the function.
    fn place_of(&self, name: &str) -> Place {
        let known = self.places.iter().find(|(known, at)| *known == name && at.1 > 1);
        known.map_or(self.at, |(_, at)| *at)
    }

    fn usage(&self, message: impl std::fmt::Display) -> Finding {
        Finding::new("S151", Some(self.at), format!("{}: {message}", self.function), self.signature())
    }

    /// Flink's offset of windows, as its last argument or by name.
    fn offset(&self, at: Place) -> Finding {
        let message = format!(
            "{}: found an offset, which is not taken: windows begin at whole lengths from 1970-01-01 UTC on",
            self.function
        );
        let help = "for local days and hours add zone => 'Europe/Amsterdam'; for other beginnings take hop(t, ts, <offset>, <size>) and keep some of its windows: WHERE date_part('minute', window_start) = 15";
        Finding::new("S151", Some(at), message, help)
    }

    fn signature(&self) -> String {
        let names = parameters(&self.function).unwrap_or_default();
        let names = names.iter().map(|name| {
            if *name == "key" || *name == "zone" { format!("[{name} => ...]") } else { (*name).to_owned() }
        });
        format!(
            "write {}({}), where t is a stream, a WITH query or a subquery in parentheses and ts its time column",
            self.function,
            names.collect::<Vec<_>>().join(", ")
        )
    }
}

/// Parameters of a window function, in order.
fn parameters(function: &str) -> Option<&'static [&'static str]> {
    Some(match function {
        "tumble" => &["t", "ts", "size", "zone"],
        "hop" => &["t", "ts", "slide", "size", "zone"],
        "cumulate" => &["t", "ts", "step", "size", "zone"],
        "session" => &["t", "ts", "gap", "key", "zone"],
        _ => return None,
    })
}

/// A positive interval as a step: months alone, days alone, or a length in microseconds.
pub(crate) fn step(interval: IntervalMonthDayNano) -> Option<Step> {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    if nanoseconds % 1_000 != 0 {
        return None;
    }
    match (months, days, nanoseconds) {
        (1.., 0, 0) => u32::try_from(months).ok().map(Step::Months),
        (0, 1.., 0) => u32::try_from(days).ok().map(Step::Days),
        (0, 0.., 0..) if days > 0 || nanoseconds > 0 => {
            i64::from(days).checked_mul(86_400_000_000)?.checked_add(nanoseconds / 1_000).map(Step::Micros)
        }
        _ => None,
    }
}
