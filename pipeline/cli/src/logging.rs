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

/// Starts logging and returns the screen.
pub(crate) fn start(config: &LogConfig) -> Screen {
    let is_terminal = io::stderr().is_terminal();
    let screen = Screen { progress: MultiProgress::new(), is_terminal };
    // librdkafka repeats what the sources say better.
    let mut filter = format!("{},librdkafka=off,rdkafka=off", config.level);
    if !filter.contains("object_store") {
        // It tells of each try within one request; ours are told by the jobs.
        filter.push_str(",object_store=warn");
    }
    let filter = EnvFilter::new(filter);
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
