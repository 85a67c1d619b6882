//! The checkpoint folder: where the checkpoints of all jobs lie, each in a folder of its own.

use crate::args::Guarantee;
use crate::exit::Outcome;
use crate::tables::open_writable;
use citystream_model::duration::parse_duration;
use citystream_model::time::{Micros, micros};
use citystream_model::{Error, Result};
use citystream_runtime::checkpoint::recover::JobFolder;
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
}

// === impl CheckpointDir ===

impl CheckpointDir {
    /// Opens the folder or store, and makes sure that it can be written.
    ///
    /// # Errors
    /// It cannot be written; an interval that is none.
    pub(crate) fn open(written: &str, interval: &str, run_id: &str, handle: Handle, stop: &Stop) -> Outcome<Self> {
        let interval = parse_duration(interval).and_then(|interval| {
            let shown = citystream_model::duration::format_duration(SHORTEST);
            if interval < SHORTEST { Err(Error::job(format!("expected at least {shown}"))) } else { Ok(interval) }
        });
        let interval = interval.map_err(|error| Error::job(format!("--checkpoint-interval: {error}")))?;
        let (store, prefix) = open_writable("checkpoint folder", written, run_id, true, &handle, stop)?;
        Ok(Self { written: written.to_owned(), store, prefix, handle, interval: micros(interval) })
    }

    /// The folder of a job.
    pub(crate) fn of(&self, job: &CheckedJob, writer: &str) -> JobFolder {
        let name = job.spec.name.as_str();
        JobFolder {
            store: CheckpointStore::new(Arc::clone(&self.store), &self.prefix, name, &self.written),
            handle: self.handle.clone(),
            job: name.to_owned(),
            plan: job.depends_on().into_iter().map(|(part, text)| (part, short_hash(&text))).collect(),
            writer: writer.to_owned(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
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

/// Refuses jobs whose guarantee cannot be given yet.
pub(crate) fn check_guarantee(job: &CheckedJob, guarantee: Guarantee) -> Result<()> {
    let topic = job.spec.sinks.iter().find(|sink| sink.scheme == "kafka");
    match (guarantee, topic) {
        (Guarantee::ExactlyOnce, Some(topic)) => Err(Error::job(format!(
            "job '{}' with checkpoints: found sink '{topic}', which repeats rows after a crash; give --guarantee \
             at-least-once (repeated rows have the same citystream-id), or write to a table only",
            job.spec.name
        ))),
        _ => Ok(()),
    }
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
