//! The data folder: where tables lie, and whether they may be written.

use crate::args::IfExists;
use crate::exit::Outcome;
use citystream_connect::files::{durable, holds_rows, open_store, remove_table};
use citystream_lake::delta::duties::Duties;
use citystream_lake::delta::{self, Place};
use citystream_model::job::{DELTA, JobSpec, PARQUET, SinkRef};
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

mod sinks;

/// A folder or an object store below which tables are written.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    /// As it was given.
    written: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// True when what is written has to survive the machine's death.
    is_durable: bool,
    /// What happens to tables that hold rows.
    if_exists: IfExists,
    /// What is done for Delta tables beside the jobs.
    duties: Duties,
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
    pub(crate) fn open(
        written: &str,
        is_durable: bool,
        if_exists: IfExists,
        handle: Handle,
        stop: &Stop,
    ) -> Result<Self> {
        let run_id = format!("{:x}-{:x}", SystemClock.now(), std::process::id());
        let (store, prefix) = open_writable("data folder", written, &run_id, is_durable, &handle, stop)?;
        let (written, duties) = (written.to_owned(), Duties::default());
        Ok(Self { written, store, prefix, is_durable, if_exists, duties, run_id, handle })
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

    /// Where a Delta table lies.
    ///
    /// # Errors
    /// As [`DataDir::table`].
    pub(crate) fn place(&self, target: &str) -> Result<Place> {
        let (store, prefix) = self.table(target)?;
        Ok(Place { store, prefix, display: self.display(target), handle: self.handle.clone() })
    }

    /// True when the tables of a new job are emptied before it writes.
    pub(crate) fn replaces(&self) -> bool {
        self.if_exists == IfExists::Replace
    }

    /// Refuses a job of which a table holds rows, those of late rows and rejects too, unless that is what was asked for.
    pub(crate) fn check_empty(&self, spec: &JobSpec, streams: &[Arc<Stream>]) -> Result<()> {
        for sink in all_tables(spec, streams) {
            match self.if_exists {
                IfExists::Error if self.holds_rows(&sink)? => {
                    let message = format!(
                        "table {} of job '{}' already holds rows; give --if-exists append or replace, or another --data-dir",
                        self.display(&sink.target),
                        spec.name
                    );
                    return Err(Error::job(message));
                }
                IfExists::Append => self.check_format(&sink)?,
                IfExists::Error | IfExists::Replace => {}
            }
        }
        Ok(())
    }

    /// Refuses to write Parquet files beside a Delta table's log, which would not know them, and the other way round.
    fn check_format(&self, sink: &SinkRef) -> Result<()> {
        let is_delta = delta::is_table(self.place(&sink.target)?)?;
        let (store, path) = self.table(&sink.target)?;
        let (found, expected) = match sink.scheme.as_str() {
            DELTA if !is_delta && holds_rows(&store, &path, &self.handle)? => {
                ("Parquet files without a log", "a Delta table")
            }
            PARQUET if is_delta => ("a Delta table", "Parquet files"),
            _ => return Ok(()),
        };
        let display = self.display(&sink.target);
        Err(Error::job(format!("sink '{sink}': found {found} at {display}, expected {expected}; give it another name")))
    }

    fn holds_rows(&self, sink: &SinkRef) -> Result<bool> {
        if sink.scheme == DELTA {
            return delta::holds_rows(self.place(&sink.target)?);
        }
        let (store, path) = self.table(&sink.target)?;
        holds_rows(&store, &path, &self.handle)
    }

    /// Removes the rows of all tables of a job, those of late rows and rejects too, if that is what was asked for.
    ///
    /// Not before the job can start: what is there is worth more than a job that fails at once.
    ///
    /// # Errors
    /// A table cannot be removed.
    pub(crate) fn replace(&self, spec: &JobSpec, streams: &[Arc<Stream>]) -> Result<()> {
        if self.replaces() { self.clear(spec, streams, None) } else { Ok(()) }
    }

    /// Removes the rows of all tables of a job, but what the job `identity` has written itself.
    ///
    /// # Errors
    /// A table cannot be removed.
    pub(crate) fn clear(&self, spec: &JobSpec, streams: &[Arc<Stream>], identity: Option<&str>) -> Result<()> {
        for sink in all_tables(spec, streams) {
            if sink.scheme == DELTA {
                delta::clear(self.place(&sink.target)?, identity)?;
            } else {
                let (store, path) = self.table(&sink.target)?;
                remove_table(&store, &path, identity, &self.handle)?;
            }
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
pub(crate) fn table_sinks(spec: &JobSpec) -> impl Iterator<Item = &SinkRef> {
    spec.sinks.iter().filter(|sink| sink.is_table())
}

/// Every table that a job writes: its sinks, and those of the late rows and rejects of its streams.
fn all_tables(spec: &JobSpec, streams: &[Arc<Stream>]) -> Vec<SinkRef> {
    let late = streams.iter().map(|stream| spec.late_sink(&stream.name, streams.len()));
    let rejects = streams.iter().map(|stream| spec.rejects_sink(stream));
    table_sinks(spec).cloned().chain(late).chain(rejects).collect()
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
