//! Progress of running jobs: a line each on a terminal, a log line now and then elsewhere.

use crate::logging::Screen;
use citystream_model::time::{Watermark, format_time};
use citystream_runtime::status::{State, Status, StatusBoard};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Time between two log lines where nobody looks at a terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Shows the jobs of a process.
pub(crate) struct Progress {
    jobs: Vec<Shown>,
    is_terminal: bool,
    logged_at: Instant,
}

struct Shown {
    name: String,
    status: StatusBoard,
    bar: ProgressBar,
    /// Records read and when, for the rate.
    before: (u64, Instant),
    rate: f64,
}

// === impl Progress ===

impl Progress {
    pub(crate) fn new(screen: &Screen, jobs: &[(String, StatusBoard)]) -> Self {
        let now = Instant::now();
        let show = |(name, status): &(String, StatusBoard)| {
            let bar = screen.progress.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            Shown { name: name.clone(), status: status.clone(), bar, before: (0, now), rate: 0.0 }
        };
        Self { jobs: jobs.iter().map(show).collect(), is_terminal: screen.is_terminal, logged_at: now }
    }

    /// Draws the newest state.
    pub(crate) fn update(&mut self) {
        let log = !self.is_terminal && self.logged_at.elapsed() >= LOG_EVERY;
        if log {
            self.logged_at = Instant::now();
        }
        for job in &mut self.jobs {
            let status = job.status.get();
            let (rows, since) = job.before;
            if since.elapsed() >= Duration::from_secs(1) {
                job.rate = status.read.saturating_sub(rows) as f64 / since.elapsed().as_secs_f64();
                job.before = (status.read, Instant::now());
            }
            if log {
                tracing::info!(job = job.name, state = %state(&status), rows = status.read, rate = job.rate as u64, lag = status.lag, watermark = %watermark(&status), results = status.results, "progress");
            }
            job.bar.set_message(line(&job.name, &status, job.rate));
            job.bar.tick();
        }
    }

    /// Takes the lines off the terminal.
    pub(crate) fn finish(&self) {
        self.jobs.iter().for_each(|job| job.bar.finish_and_clear());
    }
}

/// One line: `corridor_flow_15m running  15,168 rows  9,100/s  lag 0  watermark ... (held by ...)  published 3,820 rows in 9 files`.
fn line(name: &str, status: &Status, rate: f64) -> String {
    let held = status
        .held_back_by
        .as_ref()
        .map(|(stream, partition)| format!(" (held by {stream}/{partition})"))
        .unwrap_or_default();
    let (rows, files) =
        status.published.values().fold((0, 0), |(rows, files), totals| (rows + totals.rows, files + totals.files));
    format!(
        "{name} {}  {} rows  {rate:.0}/s  lag {}  watermark {}{held}  late {}  rejected {}  published {rows} rows in {files} files",
        state(status),
        status.read,
        status.lag,
        watermark(status),
        status.late,
        status.rejected
    )
}

/// The state in a word, with what it waits for.
pub(crate) fn state(status: &Status) -> String {
    match &status.state {
        State::Starting => "starting".to_owned(),
        State::Replaying => "reading the rows since its checkpoint again".to_owned(),
        State::Running => "running".to_owned(),
        State::Waiting(detail) => format!("waiting: {detail}"),
        State::Finished => "finished".to_owned(),
        State::Failed(detail) => format!("failed: {detail}"),
    }
}

fn watermark(status: &Status) -> String {
    match status.watermark {
        None | Some(Watermark::NONE) => "none".to_owned(),
        Some(Watermark::END) => "end".to_owned(),
        Some(Watermark(at)) => format_time(at),
    }
}
