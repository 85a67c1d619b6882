//! Options as they are written, with their positions: each is read once, and what nobody read is refused.

use crate::text::{Place, Statement};
use citystream_model::duration::parse_duration;
use citystream_model::nearest::nearest;
use citystream_model::{Diagnostic, Error};
use std::time::Duration;

/// Named options of one statement.
pub(crate) struct Options<'a> {
    statement: &'a Statement,
    entries: Vec<Entry>,
    /// Findings so far; all are reported together.
    findings: Vec<Diagnostic>,
    /// Names that were asked for, which are the names that exist.
    known: Vec<&'static str>,
}

struct Entry {
    name: String,
    value: String,
    at: Place,
    taken: bool,
}

// === impl Options ===

impl<'a> Options<'a> {
    /// Options by name and value, in the order of the text. `places` are where the names stand, if that is known.
    pub(crate) fn new(statement: &'a Statement, pairs: Vec<(String, String, Option<Place>)>) -> Self {
        let mut options = Self { statement, entries: Vec::new(), findings: Vec::new(), known: Vec::new() };
        for (name, value, at) in pairs {
            let name = name_of(&name);
            let seen = options.entries.iter().filter(|entry| entry.name == name).count();
            let at = at.or_else(|| statement.find_nth(&name, seen)).unwrap_or_else(|| statement.start());
            if seen > 0 {
                options.report("S005", at, format!("option '{name}' is given twice"), "keep one of the two");
            }
            options.entries.push(Entry { name, value, at, taken: seen > 0 });
        }
        options
    }

    /// The text of an option, if it is given.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.take(name).map(|(value, _)| value)
    }

    /// The text of an option with its place.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<(String, Place)> {
        self.known.push(name);
        let entry = self.entries.iter_mut().find(|entry| entry.name == name)?;
        entry.taken = true;
        Some((entry.value.clone(), entry.at))
    }

    /// An option read by `parse`; a value that it refuses is a finding, and the default stands in.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Error>,
    ) -> T {
        let Some((value, at)) = self.take(name) else { return default };
        parse(&value).unwrap_or_else(|error| {
            let message = error.to_string();
            let (message, help) = match message.split_once("; ") {
                Some((message, help)) => (message.to_owned(), help.to_owned()),
                None => (message, format!("change the value, or leave {name} out for its default")),
            };
            self.report("S006", at, format!("option {name}: {message}"), help);
            default
        })
    }

    /// All options whose names start with `prefix`, without it: (name, value, place).
    pub(crate) fn prefixed(&mut self, prefix: &'static str) -> Vec<(String, String, Place)> {
        let matching = self.entries.iter_mut().filter(|entry| entry.name.starts_with(prefix));
        matching
            .map(|entry| {
                entry.taken = true;
                (entry.name[prefix.len()..].to_owned(), entry.value.clone(), entry.at)
            })
            .collect()
    }

    /// Adds a finding.
    pub(crate) fn report(
        &mut self,
        code: &'static str,
        at: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let finding = self.statement.finding(code, at, message, help);
        self.findings.push(finding);
    }

    /// Refuses what was not read and returns all findings.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        let unread: Vec<_> =
            self.entries.iter().filter(|entry| !entry.taken).map(|entry| (entry.name.clone(), entry.at)).collect();
        for (name, at) in unread {
            let short = self.known.iter().find(|known| known.rsplit('.').next() == Some(name.as_str()));
            let near = short.copied().or_else(|| nearest(&name, self.known.iter().copied()));
            let help = match (foreign(&name, self.known.contains(&"lateness")), near) {
                (Some(instead), _) => instead.to_owned(),
                (None, Some(known)) => format!("did you mean '{known}'?"),
                (None, None) => format!("known options: {}", self.known.join(", ")),
            };
            self.report("S004", at, format!("unknown option '{name}'"), help);
        }
        self.findings
    }
}

/// What to write instead of an option of another system.
fn foreign(name: &str, is_job: bool) -> Option<&'static str> {
    Some(match (name, is_job) {
        ("bootstrap.servers" | "bootstrap_servers" | "brokers" | "kafka.bootstrap.servers", _) => {
            "brokers belong to the command: --brokers HOST:PORT"
        }
        ("topic" | "kafka_topic" | "connector" | "output" | "target", true) => {
            "where a job writes is sink = 'kafka:<topic>' or 'parquet:<name>'"
        }
        ("watermark" | "grace" | "grace_period" | "allowed_lateness" | "allowed.lateness", true) => {
            "write lateness = '1 minute', for which windows stay open beyond the stream's disorder"
        }
        ("trigger" | "output_mode" | "mode", true) => "write emit = 'final', or leave it out",
        ("topic" | "kafka_topic" | "connector", false) => {
            "the topic is the LOCATION: STORED AS KAFKA LOCATION '<topic>'"
        }
        ("watermark" | "watermark.delay" | "delay" | "lateness", false) => "write 'time.out_of_order' '30 seconds'",
        ("timestamp" | "event_time" | "time" | "rowtime", false) => "write 'time.column' '<column>'",
        _ => return None,
    })
}

/// A name in lower case, but for the column in `path.<column>`.
fn name_of(name: &str) -> String {
    match name.split_once('.') {
        Some((path, column)) if path.eq_ignore_ascii_case("path") => format!("path.{column}"),
        _ => name.to_lowercase(),
    }
}

/// A duration of at least a hundred milliseconds.
pub(crate) fn some_duration(text: &str) -> Result<Duration, Error> {
    let duration = parse_duration(text)?;
    if duration < Duration::from_millis(100) {
        Err(Error::job(format!("found '{text}', expected at least '100 ms'")))
    } else {
        Ok(duration)
    }
}

/// One of a closed set of words.
pub(crate) fn one_of<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, Error> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value.trim()));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let expected = either(words.iter().map(|(word, _)| format!("'{word}'")));
        Error::job(format!("found '{value}', expected {expected}"))
    })
}

/// `a, b or c`.
pub(crate) fn either(words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
