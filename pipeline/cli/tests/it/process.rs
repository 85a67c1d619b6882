//! The binary as a process: run to its end, or alive while the test looks at it; never longer than it may take.

use crate::broker::PATIENCE;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that a whole run may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Lines of a process that are shown where a test fails.
const SHOWN: usize = 60;

/// A run that ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// A run that goes on; it is killed when the test ends.
pub(crate) struct Live {
    child: Child,
    folder: PathBuf,
    since: Instant,
}

/// The binary with some of its arguments, without settings of the caller's environment.
pub(crate) fn citystream(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_citystream"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CITYSTREAM__")) {
        command.env_remove(name);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Starts `command` with its output in files of `folder`.
pub(crate) fn start(mut command: Command, folder: &Path) -> Live {
    let open = |name| std::fs::File::create(folder.join(name)).unwrap();
    let child = command.stdout(open("stdout")).stderr(open("stderr")).spawn().unwrap();
    Live { child, folder: folder.to_path_buf(), since: Instant::now() }
}

/// Polls until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// As [`eventually`], for what may take `patience`.
#[track_caller]
pub(crate) fn eventually_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(25));
    }
}

// === impl Done ===

impl Done {
    /// Fails unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The JSON that was printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// The report of the only job, or of the job `name`.
    #[track_caller]
    pub(crate) fn job(&self, name: &str) -> Value {
        let jobs = self.json();
        let found = jobs.as_array().unwrap().iter().find(|job| job["job"] == name).cloned();
        found.unwrap_or_else(|| panic!("no job {name} in {jobs}"))
    }

    /// Fails unless standard error has each of `words`.
    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) {
        let missing: Vec<_> = words.iter().filter(|word| !self.stderr.contains(**word)).collect();
        assert!(missing.is_empty(), "{missing:?} not in:\n{}", self.stderr);
    }
}

// === impl Live ===

impl Live {
    /// What it has said so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr")).unwrap()
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Done {
        self.signal("TERM");
        self.since = Instant::now();
        self.wait()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// True when it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Done {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it did not end in {LIMIT:?}; it said:\n{}", self.stderr());
            std::thread::park_timeout(Duration::from_millis(10));
        };
        let read = |name| String::from_utf8_lossy(&std::fs::read(self.folder.join(name)).unwrap()).into_owned();
        let (stdout, stderr) = (read("stdout"), read("stderr"));
        Done { code: status.code().unwrap_or(-1), stdout, stderr, took: self.since.elapsed() }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It has ended in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(SHOWN).collect();
            eprintln!("it said last:\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}
