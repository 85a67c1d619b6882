//! Log lines on stderr, above the progress lines where there is a terminal.

use crate::config::LogConfig;
use citystream_model::{Error, Result};
use indicatif::MultiProgress;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The terminal that log and progress share.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    /// Progress lines; they are drawn on a terminal only.
    pub(crate) progress: MultiProgress,
    /// True when people look at it.
    pub(crate) is_terminal: bool,
}

/// Words that are a level by themselves; any other word would be a filter that lets nothing through.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Refuses a level or filter that cannot be read.
///
/// # Errors
/// [`citystream_model::ErrorKind::Job`] with what was found.
pub(crate) fn check(level: &str) -> Result<()> {
    let bare = level
        .split(',')
        .find(|part| !part.contains('=') && !LEVELS.contains(&part.trim().to_ascii_lowercase().as_str()));
    if bare.is_none() && EnvFilter::try_new(level).is_ok() {
        return Ok(());
    }
    let found = bare.unwrap_or(level);
    Err(Error::job(format!(
        "log level: found '{found}', expected error, warn, info, debug, trace, or a filter such as info,citystream_connect=debug"
    )))
}

/// Libraries that say too much, and what they may say unless the level names them: jobs tell better what went wrong.
const QUIET: [(&str, &str); 6] = [
    ("librdkafka", "off"),
    ("rdkafka", "off"),
    // Each try within one request.
    ("object_store", "warn"),
    // Each look at a table, and each conflict with another writer, which is solved.
    ("deltalake_core", "off"),
    ("buoyant_kernel", "off"),
    ("buoyant_kernel_engine", "off"),
];

fn filter(level: &str) -> String {
    let quiet = QUIET.iter().filter(|(library, _)| !level.contains(&format!("{library}=")));
    quiet.fold(level.to_owned(), |filter, (library, level)| format!("{filter},{library}={level}"))
}

/// Starts logging and returns the screen.
pub(crate) fn start(config: &LogConfig) -> Screen {
    let is_terminal = io::stderr().is_terminal();
    let screen = Screen { progress: MultiProgress::new(), is_terminal };
    let filter = EnvFilter::new(filter(&config.level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(screen.clone())
        .with_target(false)
        .with_ansi(is_terminal);
    // A second start in one process (tests) keeps the first subscriber.
    let _started_before = if config.format == "json" { builder.json().try_init() } else { builder.try_init() };
    screen
}

/// One log line on its way to the terminal.
pub(crate) struct Line {
    screen: Screen,
    text: Vec<u8>,
}

// === impl Line ===

impl<'a> MakeWriter<'a> for Screen {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { screen: self.clone(), text: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        // A closed stderr must not end a job.
        let _closed = self.screen.progress.suspend(|| io::stderr().write_all(&text));
    }
}
