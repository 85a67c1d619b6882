//! Starts jobs, each on a thread of its own, and waits for all of them.

use crate::job::Job;
use crate::status::{State, StatusBoard};
use citystream_model::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

/// A job about to start: its name, where its state is shown, and what connects it.
pub struct Starting {
    /// The job's name.
    pub name: String,
    /// Where its state is shown.
    pub status: StatusBoard,
    /// Connects sources and sinks; runs on the job's thread, so that a job that cannot start holds up no other.
    /// `None` when it was asked to stop before it was connected.
    pub open: Box<dyn FnOnce() -> Result<Option<Job>> + Send>,
}

/// A job on its thread.
pub struct Running {
    name: String,
    status: StatusBoard,
    thread: JoinHandle<Result<()>>,
}

/// How a job ended.
#[derive(Debug)]
pub struct Ended {
    /// The job's name.
    pub name: String,
    /// Its last status.
    pub status: StatusBoard,
    /// What ended it.
    pub result: Result<()>,
}

// === impl Running ===

impl Running {
    /// True when the job's thread has ended.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Starts `job` on a thread of its own.
///
/// # Errors
/// [`citystream_model::ErrorKind::Resource`] when the machine gives no thread.
pub fn start(job: Starting) -> Result<Running> {
    let Starting { name, status, open } = job;
    let (board, label) = (status.clone(), name.clone());
    let body = move || {
        // A panic is a bug of ours; it ends this job and no other.
        let result = catch_unwind(AssertUnwindSafe(|| open()?.map_or(Ok(()), Job::run)))
            .unwrap_or_else(|panic| Err(panicked(&*panic)));
        match &result {
            Ok(()) => {
                tracing::info!(job = label, "job finished");
                board.update(|status| status.state = State::Finished);
            }
            Err(error) => {
                tracing::error!(job = label, %error, "job failed");
                board.update(|status| status.state = State::Failed(error.to_string()));
            }
        }
        result
    };
    let thread = Builder::new()
        .name(format!("job-{name}"))
        .spawn(body)
        .map_err(|error| Error::resource("thread of a job").caused_by(error))?;
    Ok(Running { name, status, thread })
}

/// Waits for the end of all jobs.
pub fn wait(jobs: Vec<Running>) -> Vec<Ended> {
    let wait = |Running { name, status, thread }| {
        let result = thread.join().unwrap_or_else(|panic| Err(panicked(&*panic)));
        Ended { name, status, result }
    };
    jobs.into_iter().map(wait).collect()
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text =
        panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    Error::internal(format!("the job panicked: {}", text.unwrap_or_else(|| "no message".to_owned())))
}
