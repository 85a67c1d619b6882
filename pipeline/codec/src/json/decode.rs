//! One record -> the cells of one row, or the reason why not.

use super::cell::{Cell, Kind, Token};
use super::headers;
use super::scan;
use super::time::{TimeRules, in_range};
use super::tree::{Found, MAX_DEPTH, Tree, is_too_deep};
use crate::record::RecordRef;
use crate::reject::{MAX_DETAIL_BYTES, Reason, shortened};
use arrow::datatypes::DataType;
use citystream_model::stream::{self, Column, Path, Stream, TimeFormat};
use citystream_model::time::{Micros, format_time, micros};

/// What one stream's records have to look like.
#[derive(Debug)]
pub(super) struct Plan {
    tree: Tree,
    columns: Vec<ColumnPlan>,
    event_time: EventTime,
    times: TimeRules,
    /// How far beyond record time and clock an event time may lie.
    max_future: Micros,
}

#[derive(Debug)]
struct ColumnPlan {
    name: String,
    kind: Kind,
    /// The type as a user wrote it, for details.
    expected: String,
    /// `NOT NULL`, or the event time.
    required: bool,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Node of the tree.
    Body(usize),
    Key,
    Header(String),
}

#[derive(Debug, Clone, Copy)]
enum EventTime {
    /// The Kafka record time.
    Record,
    /// The declared column at this place.
    Column(usize),
}

/// Room for one row, used again for the next.
#[derive(Debug, Default)]
pub(super) struct Scratch<'a> {
    found: Vec<Found<'a>>,
    /// One cell per declared column, after a row was read.
    pub(super) cells: Vec<Cell<'a>>,
}

/// Why a record is no row.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

/// Most bytes of a value that a detail quotes.
const MAX_QUOTED_BYTES: usize = 80;

// === impl Plan ===

impl Plan {
    /// The text of an error names what a checked declaration would not have.
    pub(super) fn of(stream: &Stream) -> Result<Self, String> {
        let mut tree = Tree::new();
        let mut columns = Vec::with_capacity(stream.columns.len());
        for column in &stream.columns {
            columns.push(ColumnPlan::of(column, stream, &mut tree)?);
        }
        let event_time = match columns.iter().position(|column| column.name == stream.time_column) {
            Some(at) if columns[at].kind == Kind::Timestamp => EventTime::Column(at),
            None if stream.time_column == stream::TIMESTAMP => EventTime::Record,
            _ => return Err(format!("time column: found {:?}, expected a TIMESTAMP column", stream.time_column)),
        };
        Ok(Self { tree, columns, event_time, times: TimeRules::of(stream), max_future: micros(stream.max_future) })
    }

    /// Reads one record into the cells of `scratch` and gives its event time.
    pub(super) fn read<'a>(
        &self,
        record: &RecordRef<'a>,
        value: &'a [u8],
        now: Micros,
        scratch: &mut Scratch<'a>,
    ) -> Result<Micros, Refusal> {
        let text = text(value)?;
        if scan::find(&self.tree, text, &mut scratch.found).is_none() {
            self.tree.find(body(text)?, &mut scratch.found).map_err(|error| invalid(&error))?;
        }
        let Scratch { found, cells } = scratch;
        cells.resize(self.columns.len(), Cell::Null);
        for (column, cell) in self.columns.iter().zip(cells) {
            column.read(record, found, &self.times, cell)?;
        }
        match self.event_time {
            EventTime::Record => {
                in_range(record.timestamp).map_err(|reason| {
                    let found = quoted_time(record.timestamp);
                    Refusal::column(reason, stream::TIMESTAMP, &found, "a time in 1700 to 2200")
                })?;
                self.not_future(stream::TIMESTAMP, record.timestamp, record.timestamp, now)
            }
            EventTime::Column(at) => match scratch.cells.get(at) {
                Some(Cell::Integer(event_time)) => {
                    self.not_future(&self.columns[at].name, *event_time, record.timestamp, now)
                }
                // Cannot be: the column is required and a TIMESTAMP.
                _ => Err(self.columns[at].refuse(Reason::NullColumn, "null")),
            },
        }
    }

    fn not_future(
        &self,
        column: &str,
        event_time: Micros,
        record_time: Micros,
        now: Micros,
    ) -> Result<Micros, Refusal> {
        let latest = record_time.min(now).saturating_add(self.max_future);
        if event_time <= latest {
            return Ok(event_time);
        }
        let beyond = if record_time <= now { "record time" } else { "reader's clock" };
        let expected = format!("at most {} (the {beyond} and time.max_future)", format_time(latest));
        Err(Refusal::column(Reason::FutureTime, column, &quoted_time(event_time), &expected))
    }
}

impl ColumnPlan {
    fn of(column: &Column, stream: &Stream, tree: &mut Tree) -> Result<Self, String> {
        let unknown = || format!("column {}: found type {}, expected a column type", column.name, column.data_type);
        let place = match &column.path {
            Path::Body(path) if path.is_empty() => return Err(format!("column {}: found an empty path", column.name)),
            Path::Body(path) => Place::Body(tree.node(path)),
            Path::Key => Place::Key,
            Path::Header(name) => Place::Header(name.clone()),
        };
        Ok(Self {
            name: column.name.clone(),
            kind: Kind::of(&column.data_type).ok_or_else(unknown)?,
            expected: expected(&column.data_type, stream.time_format),
            required: !column.nullable || column.name == stream.time_column,
            place,
        })
    }

    /// Reads the column's cell.
    fn read<'a>(
        &self,
        record: &RecordRef<'a>,
        found: &[Found<'a>],
        times: &TimeRules,
        cell: &mut Cell<'a>,
    ) -> Result<(), Refusal> {
        let token = match self.find(record, found)? {
            Found::Missing if self.required => return Err(self.refuse(Reason::MissingColumn, "nothing")),
            Found::Null if self.required => return Err(self.refuse(Reason::NullColumn, "null")),
            Found::Missing | Found::Null => {
                *cell = Cell::Null;
                return Ok(());
            }
            Found::Token(token) => Token::Json(token),
            Found::Text(text) => Token::Bare(text),
            Found::Blocked(token) => {
                let found = format!("{} on its path", shortened(token, MAX_QUOTED_BYTES));
                return Err(Refusal::column(Reason::WrongType, &self.name, &found, "an object"));
            }
        };
        self.kind.read(token, times, cell).map_err(|reason| {
            let found = match token {
                Token::Json(token) => shortened(token, MAX_QUOTED_BYTES),
                Token::Bare(text) => format!("\"{}\"", shortened(text, MAX_QUOTED_BYTES)),
            };
            match times.skipped(found.trim_matches('"')).filter(|_| reason == Reason::BadTime) {
                Some(expected) => Refusal::column(reason, &self.name, &found, &expected),
                None => self.refuse(reason, &found),
            }
        })
    }

    fn find<'a>(&self, record: &RecordRef<'a>, found: &[Found<'a>]) -> Result<Found<'a>, Refusal> {
        let bytes = match &self.place {
            Place::Body(node) => return Ok(found.get(*node).copied().unwrap_or(Found::Missing)),
            Place::Key => record.key.map(Some),
            Place::Header(name) => headers::last(record.headers, name),
        };
        match bytes {
            None => Ok(Found::Missing),
            Some(None) => Ok(Found::Null),
            Some(Some(bytes)) => std::str::from_utf8(bytes).map(Found::Text).map_err(|error| {
                let found = format!("a byte that is no UTF-8 at {}", error.valid_up_to());
                self.refuse(Reason::InvalidUtf8, &found)
            }),
        }
    }

    fn refuse(&self, reason: Reason, found: &str) -> Refusal {
        Refusal::column(reason, &self.name, found, &self.expected)
    }
}

// === impl Refusal ===

impl Refusal {
    fn column(reason: Reason, column: &str, found: &str, expected: &str) -> Self {
        Self::new(reason, &format!("column {column}: found {found}, expected {expected}"))
    }

    fn new(reason: Reason, detail: &str) -> Self {
        Self { reason, detail: shortened(detail, MAX_DETAIL_BYTES) }
    }
}

// === body ===

/// The text of a value.
fn text(value: &[u8]) -> Result<&str, Refusal> {
    if value.is_empty() {
        return Err(Refusal::new(Reason::EmptyValue, "value: found no bytes, expected a JSON object"));
    }
    std::str::from_utf8(value).map_err(|error| {
        let detail = format!("value: found a byte that is no UTF-8 at {}, expected UTF-8", error.valid_up_to());
        Refusal::new(Reason::InvalidUtf8, &detail)
    })
}

/// The text from its first brace on, if it begins as an object and is not too deep.
fn body(text: &str) -> Result<&str, Refusal> {
    if is_too_deep(text) {
        let detail = format!("value: found objects and arrays deeper than {MAX_DEPTH}, expected at most {MAX_DEPTH}");
        return Err(Refusal::new(Reason::TooDeep, &detail));
    }
    let body = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if body.starts_with('{') {
        return Ok(body);
    }
    // Something else that is JSON, or nothing of the kind?
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| invalid(&error))?;
    let detail = format!("value: found {}, expected a JSON object", shortened(body, MAX_QUOTED_BYTES));
    Err(Refusal::new(Reason::NotAnObject, &detail))
}

fn invalid(error: &serde_json::Error) -> Refusal {
    Refusal::new(Reason::InvalidJson, &format!("value: found invalid JSON ({error}), expected one JSON object"))
}

fn quoted_time(at: Micros) -> String {
    format!("\"{}\"", format_time(at))
}

/// A column's type as SQL writes it, and how a time has to be written.
fn expected(data_type: &DataType, time_format: TimeFormat) -> String {
    let word = match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 => "TEXT",
        DataType::Date32 => "DATE YYYY-MM-DD",
        DataType::Decimal128(precision, scale) => return format!("DECIMAL({precision}, {scale})"),
        _ => match time_format {
            TimeFormat::Rfc3339 => "TIMESTAMP as rfc3339 in 1700 to 2200",
            TimeFormat::EpochSeconds => "TIMESTAMP as epoch_s in 1700 to 2200",
            TimeFormat::EpochMillis => "TIMESTAMP as epoch_ms in 1700 to 2200",
            TimeFormat::EpochMicros => "TIMESTAMP as epoch_us in 1700 to 2200",
        },
    };
    word.to_owned()
}
