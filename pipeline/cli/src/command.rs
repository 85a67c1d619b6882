//! What each command does.

pub(crate) mod batch;
pub(crate) mod check;
pub(crate) mod checkpoints;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod produce;
pub(crate) mod run;
pub(crate) mod test;

use crate::args::OutputFormat;
use crate::config::{Config, required};
use crate::exit::Outcome;
use crate::logging::Screen;
use crate::wire::Wired;
use citystream_model::Error;
use citystream_runtime::stop::Stop;
use std::path::PathBuf;
use tokio::runtime::{Handle, Runtime};

/// What every command is given.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) output: OutputFormat,
    pub(crate) screen: Screen,
    pub(crate) connectors: Wired,
    /// Set by SIGTERM and SIGINT.
    pub(crate) stop: Stop,
    /// Runs I/O: object stores, the metrics page, the demo's broker.
    runtime: Runtime,
}

// === impl Context ===

impl Context {
    pub(crate) fn new(config: Config, output: OutputFormat, screen: Screen) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Error::resource("threads for I/O").caused_by(error))?;
        let connectors = Wired { allowed_prefixes: config.storage.allowed_prefixes.clone() };
        let context = Self { config, output, screen, connectors, stop: Stop::new(), runtime };
        context.watch_signals()?;
        Ok(context)
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// The schemas folder of a command.
    pub(crate) fn schemas(&self, flag: Option<PathBuf>) -> Outcome<PathBuf> {
        match flag {
            Some(folder) => Ok(folder),
            None => required(None, &self.config.run.schemas, "schemas").map(PathBuf::from),
        }
    }

    /// The first SIGTERM or SIGINT ends jobs in good order, the second ends the process.
    fn watch_signals(&self) -> Outcome {
        use tokio::signal::unix::{SignalKind, signal};
        let _in_runtime = self.runtime.enter();
        let failed = |error| Error::resource("signal handlers").caused_by(error);
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let stop = self.stop.clone();
        self.runtime.spawn(async move {
            loop {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                if stop.is_set() {
                    std::process::exit(130);
                }
                tracing::info!("stopping: publishing what is final");
                stop.set();
            }
        });
        Ok(())
    }
}
