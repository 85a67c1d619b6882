//! The data folder: where tables lie, and whether they may be written.

use crate::args::IfExists;
use crate::exit::Outcome;
use crate::wire::rejects_table;
use citystream_connect::files::{durable, holds_rows, open_store, remove_table};
use citystream_model::job::JobSpec;
use citystream_model::stream::Stream;
use citystream_model::time::{Clock, SystemClock};
use citystream_model::{Error, Result};
use citystream_runtime::start::patience::BUDGET;
use citystream_runtime::stop::Stop;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;

/// A folder or an object store below which tables are written.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    /// As it was given.
    written: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// True when what is written has to survive the machine's death.
    is_durable: bool,
    /// Part of every file name of this process.
    pub(crate) run_id: String,
    /// Where the store's I/O runs.
    pub(crate) handle: Handle,
}

// === impl DataDir ===

impl DataDir {
    /// Opens the folder or store, and makes sure that it can be written. `is_durable`: tables survive the machine's death.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Unavailable`] when it cannot be written.
    pub(crate) fn open(written: &str, is_durable: bool, handle: Handle, stop: &Stop) -> Result<Self> {
        let run_id = format!("{:x}-{:x}", SystemClock.now(), std::process::id());
        let (store, prefix) = open_writable("data folder", written, &run_id, is_durable, &handle, stop)?;
        Ok(Self { written: written.to_owned(), store, prefix, is_durable, run_id, handle })
    }

    /// Store and folder of a table: below the data folder, or where an absolute URL says.
    ///
    /// # Errors
    /// A URL whose store cannot be opened.
    pub(crate) fn table(&self, target: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
        if target.contains("://") {
            return if self.is_durable { durable(target) } else { open_store(target) };
        }
        Ok((Arc::clone(&self.store), citystream_connect::files::table_path(&self.prefix, target)))
    }

    /// The folder of a table, for people.
    pub(crate) fn display(&self, target: &str) -> String {
        if target.contains("://") {
            target.to_owned()
        } else {
            format!("{}/{target}", self.written.trim_end_matches('/'))
        }
    }

    /// Refuses a job of which a table holds rows, those of late rows and rejects too; only where `if_exists` says so.
    pub(crate) fn check_empty(&self, spec: &JobSpec, streams: &[Arc<Stream>], if_exists: IfExists) -> Outcome {
        if if_exists != IfExists::Error {
            return Ok(());
        }
        for target in all_tables(spec, streams) {
            let (store, path) = self.table(&target)?;
            if holds_rows(&store, &path, &self.handle)? {
                let message = format!(
                    "table {} of job '{}' already holds rows; give --if-exists append or replace, or another --data-dir",
                    self.display(&target),
                    spec.name
                );
                return Err(Error::job(message).into());
            }
        }
        Ok(())
    }

    /// Removes all tables of a job, those of late rows and rejects too; only where `if_exists` says so.
    ///
    /// Not before the job can start: what is there is worth more than a job that fails at once.
    ///
    /// # Errors
    /// A table cannot be removed.
    pub(crate) fn replace(&self, spec: &JobSpec, streams: &[Arc<Stream>], if_exists: IfExists) -> Result<()> {
        if if_exists == IfExists::Replace { self.clear(spec, streams, None) } else { Ok(()) }
    }

    /// Removes all tables of a job, but for files with `spared` in their names.
    ///
    /// # Errors
    /// A table cannot be removed.
    pub(crate) fn clear(&self, spec: &JobSpec, streams: &[Arc<Stream>], spared: Option<&str>) -> Result<()> {
        for target in all_tables(spec, streams) {
            let (store, path) = self.table(&target)?;
            remove_table(&store, &path, spared, &self.handle)?;
        }
        Ok(())
    }
}

/// Opens a folder or store, and makes sure that it can be written; `what` it is, for messages. `is_durable`: what is put
/// there is to survive the machine's death.
///
/// # Errors
/// [`citystream_model::ErrorKind::Unavailable`] when it cannot be written.
pub(crate) fn open_writable(
    what: &str,
    written: &str,
    run_id: &str,
    is_durable: bool,
    handle: &Handle,
    stop: &Stop,
) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let (store, prefix) = if is_durable { durable(written)? } else { open_store(written)? };
    let probe = prefix.clone().join("_probe").join(run_id);
    let deadline = Instant::now() + BUDGET;
    // Each try waits within the store's client, where the store does not answer.
    let tried = loop {
        let tried = handle.block_on(async {
            store.put(&probe, "writable".into()).await?;
            store.delete(&probe).await
        });
        match tried {
            Err(error) if is_silent(&error, written) && Instant::now() < deadline && !stop.is_set() => {
                tracing::warn!(folder = written, "the object store does not answer, trying again");
            }
            tried => break tried,
        }
    };
    tried.map_err(|error| {
        let message = if is_silent(&error, written) {
            format!("{what} '{written}': the object store does not answer; check AWS_ENDPOINT_URL, the network and the bucket")
        } else {
            format!("{what} '{written}' cannot be written; check that it exists, that it is not full and that the process may write there")
        };
        Error::unavailable(message).permanent().caused_by(error)
    })?;
    if !written.contains("://") {
        // An empty folder that only our probe needed; anything else in it keeps it.
        let _kept = std::fs::remove_dir(std::path::Path::new(written).join("_probe"));
    }
    Ok((store, prefix))
}

/// True for an object store that did not answer, which may pass.
fn is_silent(error: &object_store::Error, written: &str) -> bool {
    written.contains("://") && matches!(error, object_store::Error::Generic { .. })
}

/// The tables among the sinks of a job.
pub(crate) fn targets(spec: &JobSpec) -> Vec<String> {
    spec.sinks.iter().filter(|sink| sink.is_table()).map(|sink| sink.target.clone()).collect()
}

/// Every table that a job writes: its sinks, and those of the late rows and rejects of its streams.
fn all_tables(spec: &JobSpec, streams: &[Arc<Stream>]) -> Vec<String> {
    let late = streams.iter().map(|stream| spec.late_table(&stream.name, streams.len()));
    let rejects = streams.iter().map(|stream| rejects_table(spec, stream));
    targets(spec).into_iter().chain(late).chain(rejects).collect()
}

/// The `--if-exists` flag, else the setting.
pub(crate) fn if_exists(flag: Option<IfExists>, setting: &str) -> Outcome<IfExists> {
    match (flag, setting) {
        (Some(flag), _) => Ok(flag),
        (None, "" | "error") => Ok(IfExists::Error),
        (None, "append") => Ok(IfExists::Append),
        (None, "replace") => Ok(IfExists::Replace),
        (None, other) => Err(Error::job(format!(
            "configuration, run.if_exists: found '{other}', expected 'error', 'append' or 'replace'"
        ))
        .into()),
    }
}
