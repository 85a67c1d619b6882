//! The broker of a measurement, on a core of its own: Apache Kafka through the repository's script, or the embedded one
//! in a process of its own. It ends with the value that stands for it.

use crate::process;
use anyhow::{Context, Result, bail};
use citystream_broker::{Broker, BrokerConfig};
use clap::ValueEnum;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Apache Kafka (pipeline/testing/services/kafka.sh)
    Kafka,
    /// The development broker of this repository
    Embedded,
}

/// A broker that runs.
#[derive(Debug)]
pub struct Running {
    /// What clients connect to.
    pub brokers: String,
    pid: u32,
    end: End,
}

/// How it is ended.
#[derive(Debug)]
enum End {
    /// By the script, with its folder.
    Script(PathBuf, PathBuf),
    /// By closing its input, which it reads to the end.
    Child(Child),
}

/// Memory of the embedded broker: all inputs of the largest table have to fit.
const EMBEDDED_MEMORY_BYTES: usize = 8 << 30;
/// What the embedded broker says first.
const READY: &str = "BROKERS=";

// === impl Running ===

impl Running {
    /// Starts a broker on `core`, with its data below `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(kind: Kind, core: usize, root: &Path, folder: &Path) -> Result<Self> {
        match kind {
            Kind::Kafka => Self::kafka(core, root, &folder.join("kafka")),
            Kind::Embedded => Self::embedded(core),
        }
    }

    fn kafka(core: usize, root: &Path, folder: &Path) -> Result<Self> {
        let script = root.join("pipeline/testing/services/kafka.sh");
        let mut start = pinned(core, &script);
        let started = start.args(["start", "0"]).arg(folder).stderr(Stdio::inherit()).output();
        let started = started.with_context(|| format!("{}", script.display()))?;
        let text = String::from_utf8_lossy(&started.stdout).into_owned();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        let (Some(brokers), Some(pid)) = (value("KAFKA_BROKERS="), value("KAFKA_PID=")) else {
            bail!("{} start: found {text:?}, expected KAFKA_BROKERS and KAFKA_PID", script.display());
        };
        Ok(Self { brokers, pid: pid.parse()?, end: End::Script(script, folder.to_owned()) })
    }

    fn embedded(core: usize) -> Result<Self> {
        let mut serve = pinned(core, &std::env::current_exe()?);
        let mut child = serve.arg("serve-broker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let Some(brokers) = line.trim().strip_prefix(READY) else {
            bail!("embedded broker: found {line:?}, expected {READY}");
        };
        Ok(Self { brokers: brokers.to_owned(), pid: child.id(), end: End::Child(child) })
    }

    /// CPU seconds that it has taken so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_s(&self) -> Result<f64> {
        Ok(process::look(self.pid).context("the broker has ended")?.cpu_s)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match &mut self.end {
            End::Script(script, folder) => {
                let stopped = Command::new(script).arg("stop").arg(&*folder).status();
                if !stopped.is_ok_and(|status| status.success()) {
                    eprintln!("warning: Apache Kafka in {} was not stopped", folder.display());
                }
            }
            End::Child(child) => {
                drop(child.stdin.take());
                let _status = child.wait();
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "Apache Kafka",
            Self::Embedded => "embedded",
        })
    }
}

/// `program` on one core.
pub fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// Serves the embedded broker until the input ends, which it does when the process that started it is gone.
///
/// # Errors
/// No port can be opened.
pub fn serve(port: u16) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, ended) = tokio::sync::oneshot::channel();
    // Not tokio's own stdin: its blocking read would keep the runtime from ending.
    std::thread::spawn(move || {
        let _bytes = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _sent = sender.send(());
    });
    runtime.block_on(async {
        let config = BrokerConfig { port, memory_max_bytes: EMBEDDED_MEMORY_BYTES, ..BrokerConfig::default() };
        let broker = Broker::start(config).await?;
        println!("{READY}{}", broker.bootstrap());
        let _ended = ended.await;
        broker.shutdown().await;
        Ok(())
    })
}
