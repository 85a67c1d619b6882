//! The folders of one test: declarations, jobs, data; and the commands over them.

use crate::broker::{brokers, make};
use crate::process::{Done, Live, citystream, start};
use crate::tables;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A temporary folder with `schemas/`, job files and `data/`.
pub(crate) struct City {
    folder: TempDir,
    /// Part of each topic's name.
    tag: String,
    /// Where tables are written.
    data: String,
    /// Environment of the commands.
    env: Vec<(&'static str, String)>,
}

/// Columns of the stream that most tests use.
pub(crate) const FLOW: &str = "site TEXT NOT NULL, veh INT, at TIMESTAMP NOT NULL";

/// A row of that stream; `at` is a time on 2026-03-29, such as `05:00:10`.
pub(crate) fn flow(site: &str, veh: impl Display, at: &str) -> String {
    format!(r#"{{"site":"{site}","veh":{veh},"at":"2026-03-29T{at}Z"}}"#)
}

/// Vehicles per site and minute.
pub(crate) const PER_MINUTE: &str = "SELECT site, window_start, window_end, sum(veh) AS veh, count(*) AS readings \
     FROM tumble(flow, at, INTERVAL '1 minute') GROUP BY site, window_start, window_end";

// === impl City ===

impl City {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("schemas")).unwrap();
        let tag = format!("{now}.{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { folder, tag, data: "data".to_owned(), env: Vec::new() }
    }

    /// The same with tables below `place`, a folder or URL; [`Self::fetch`] brings them here.
    pub(crate) fn with_tables_at(self, place: &str) -> Self {
        Self { data: place.to_owned(), ..self }
    }

    /// The same with one more variable in the environment of its commands.
    pub(crate) fn with_env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    /// A name that no other test has.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// Copies what lies below the place of the tables into the local data folder.
    pub(crate) fn fetch(&self) {
        if !self.data.contains("://") {
            return;
        }
        tables::fetch(&self.data, &self.path("data"));
    }

    /// A city with the topic and stream `flow`.
    pub(crate) fn with_flow(partitions: usize) -> Self {
        let city = Self::new();
        city.stream("flow", FLOW, "", partitions);
        city
    }

    /// The name that `name` has as a topic of this test.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{name}.{}", self.tag)
    }

    /// Makes a topic.
    pub(crate) fn make(&self, name: &str, partitions: usize) -> String {
        let topic = self.topic(name);
        make(&topic, partitions);
        topic
    }

    /// Declares a stream with the time column `at`, and makes its topic.
    pub(crate) fn stream(&self, name: &str, columns: &str, options: &str, partitions: usize) {
        self.declare(name, columns, options);
        self.make(name, partitions);
    }

    /// Declares a stream with the time column `at`.
    pub(crate) fn declare(&self, name: &str, columns: &str, options: &str) {
        let topic = self.topic(name);
        let comma = if options.is_empty() { "" } else { ", " };
        self.file(
            &format!("schemas/{name}/stream.sql"),
            &format!(
                "CREATE UNBOUNDED EXTERNAL TABLE {name} ({columns}) STORED AS KAFKA LOCATION '{topic}'\n\
                 OPTIONS ('format' 'json', 'time.column' 'at'{comma}{options});\n"
            ),
        );
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the file `<name>.sql` with one job; `options` are those of `WITH`.
    pub(crate) fn job(&self, name: &str, options: &str, select: &str) -> PathBuf {
        let with = if options.is_empty() { String::new() } else { format!(" WITH ({options})") };
        self.file(&format!("{name}.sql"), &format!("CREATE MATERIALIZED VIEW {name}{with} AS\n{select};\n"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of a table.
    pub(crate) fn table(&self, name: &str) -> PathBuf {
        self.path("data").join(name)
    }

    /// The rows of a table as sorted JSON.
    pub(crate) fn rows(&self, table: &str) -> Vec<String> {
        tables::rows(&self.table(table))
    }

    /// A command with these arguments.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = citystream(self.folder.path());
        command.args(args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Does a command to its end.
    #[track_caller]
    pub(crate) fn done(&self, args: &[&str]) -> Done {
        self.start(args).wait()
    }

    /// Starts a command.
    pub(crate) fn start(&self, args: &[&str]) -> Live {
        start(self.command(args), self.folder.path())
    }

    /// `run` of job files with the folders of this city and more arguments.
    pub(crate) fn run_args<'a>(&'a self, jobs: &'a [&'a Path], more: &[&'a str]) -> Vec<&'a str> {
        let jobs = jobs.iter().map(|job| job.to_str().unwrap());
        let fixed = ["--schemas", "schemas", "--brokers", brokers(), "--data-dir", &self.data, "--output", "json"];
        ["run"].into_iter().chain(jobs).chain(fixed).chain(more.iter().copied()).collect()
    }

    /// Runs jobs until they are caught up.
    #[track_caller]
    pub(crate) fn catch_up(&self, jobs: &[&Path], more: &[&str]) -> Done {
        let mut args = self.run_args(jobs, more);
        args.push("--until-caught-up");
        self.done(&args)
    }

    /// Runs jobs until the test stops them.
    pub(crate) fn live(&self, jobs: &[&Path], more: &[&str]) -> Live {
        self.start(&self.run_args(jobs, more))
    }
}
