//! The checkpoint folder: where the checkpoints of all jobs lie, each in a folder of its own.

use crate::args::Guarantee;
use crate::exit::Outcome;
use crate::tables::open_writable;
use citystream_connect::kafka::OutboxConfig;
use citystream_model::Error;
use citystream_model::duration::{format_duration, parse_duration};
use citystream_model::time::{Micros, micros};
use citystream_runtime::checkpoint::recover::{Base, JobFolder};
use citystream_runtime::stop::Stop;
use citystream_sql::CheckedJob;
use citystream_state::CheckpointStore;
use object_store::ObjectStore;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Shortest time between two checkpoints.
const SHORTEST: Duration = Duration::from_millis(100);
/// Shortest time from a row to its commit in a topic.
const SHORTEST_COMMIT: Duration = Duration::from_millis(10);

/// A folder or an object store below which jobs have their checkpoints.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointDir {
    /// As it was given.
    written: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    handle: Handle,
    /// Longest time between two checkpoints of a job.
    pub(crate) interval: Micros,
    /// Longest time from a row to its commit in a topic.
    pub(crate) commit_interval: Duration,
    /// What holds for topics.
    pub(crate) guarantee: Guarantee,
}

/// How often, and for what.
pub(crate) struct Promises {
    pub(crate) interval: String,
    pub(crate) commit_interval: String,
    pub(crate) guarantee: Guarantee,
}

// === impl CheckpointDir ===

impl CheckpointDir {
    /// Opens the folder or store, and makes sure that it can be written.
    ///
    /// # Errors
    /// It cannot be written; an interval that is none.
    pub(crate) fn open(written: &str, promises: &Promises, run_id: &str, handle: Handle, stop: &Stop) -> Outcome<Self> {
        let interval = micros(interval("--checkpoint-interval", &promises.interval, SHORTEST)?);
        let commit_interval = self::interval("--commit-interval", &promises.commit_interval, SHORTEST_COMMIT)?;
        let (store, prefix) = open_writable("checkpoint folder", written, run_id, true, &handle, stop)?;
        let guarantee = promises.guarantee;
        Ok(Self { written: written.to_owned(), store, prefix, handle, interval, commit_interval, guarantee })
    }

    /// Refuses a job whose results may vanish where those that were sent before a crash would stay.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Job`].
    pub(crate) fn check_results(&self, job: &CheckedJob) -> Result<(), Error> {
        let mut topics = job.spec.sinks.iter().filter(|sink| sink.scheme == "kafka");
        match topics.next() {
            Some(topic) if self.guarantee == Guarantee::AtLeastOnce && job.plan.output.removed.is_some() => {
                Err(Error::job(format!(
                    "job '{}': found --guarantee at-least-once, but its results may vanish (HAVING or sessions with \
                     emit = 'updates' or 'early'), and those sent before a crash would stay in topic '{}'; leave the flag out",
                    job.spec.name, topic.target
                )))
            }
            _ => Ok(()),
        }
    }

    /// Where a job keeps what it has not sent to topics yet.
    pub(crate) fn outbox(&self, folder: &JobFolder, base: &Base) -> OutboxConfig {
        let (store, prefix) = folder.store.outbox();
        let (handle, writer, commit_interval) = (self.handle.clone(), folder.writer.clone(), self.commit_interval);
        let (identity, next) = (base.claim.identity.clone(), base.claim.epoch + 1);
        OutboxConfig { store, prefix, handle, identity, writer, next, commit_interval }
    }

    /// The folder of a job.
    pub(crate) fn of(&self, job: &CheckedJob, writer: &str) -> JobFolder {
        let name = job.spec.name.as_str();
        JobFolder {
            store: CheckpointStore::new(Arc::clone(&self.store), &self.prefix, name, &self.written),
            handle: self.handle.clone(),
            job: name.to_owned(),
            plan: job.depends_on().into_iter().map(|(part, text)| (part, short_hash(&text))).collect(),
            tables: job.tables.clone(),
            writer: writer.to_owned(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Reads an interval.
fn interval(flag: &str, text: &str, shortest: Duration) -> Outcome<Duration> {
    let found = parse_duration(text).and_then(|found| {
        let shown = format_duration(shortest);
        if found < shortest { Err(Error::job(format!("found '{text}', expected at least {shown}"))) } else { Ok(found) }
    });
    found.map_err(|error| Error::job(format!("{flag}: {error}")).into())
}

/// The `--guarantee` flag, else the setting.
pub(crate) fn guarantee(flag: Option<Guarantee>, setting: &str) -> Outcome<Guarantee> {
    match (flag, setting) {
        (Some(flag), _) => Ok(flag),
        (None, "" | "exactly-once") => Ok(Guarantee::ExactlyOnce),
        (None, "at-least-once") => Ok(Guarantee::AtLeastOnce),
        (None, other) => Err(Error::job(format!(
            "configuration, run.guarantee: found '{other}', expected 'exactly-once' or 'at-least-once'"
        ))
        .into()),
    }
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
