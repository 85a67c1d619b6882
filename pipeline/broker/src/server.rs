//! The broker as a running thing: the listener, one task per connection, and the clock tick.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use crate::api;
use crate::config::BrokerConfig;
use crate::error::{Error, Result};
use crate::state::Shared;
use crate::store::Evicted;
use crate::wire::{self, Request};

/// How often timeouts are looked at; they are seconds long.
const TICK: Duration = Duration::from_millis(100);

/// A running broker. Dropping it ends it and closes all connections.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    /// The listener and the tick; dropped tasks are aborted.
    tasks: JoinSet<()>,
}

// === impl Broker ===

impl Broker {
    /// Checks the settings, opens the port on 127.0.0.1 and serves. Must be called inside a tokio runtime.
    pub async fn start(config: BrokerConfig) -> Result<Self> {
        config.check()?;
        let wanted = config.port;
        let refused = |source| Error::Listen { port: wanted, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await.map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let shared = Arc::new(Shared::new(config, port));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), stopped));
        tasks.spawn(tick(Arc::clone(&shared)));
        info!(port, "development broker listens on loopback");
        Ok(Self { shared, stop, tasks })
    }

    /// What clients put into `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.shared.port)
    }

    /// Creates a topic without a client.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let created = self.shared.lock().store.create_topic(name, partitions, Default::default());
        created.map_err(|source| Error::Topic { name: name.to_owned(), source })
    }

    /// What had to be dropped so far to stay within memory.
    pub fn evicted(&self) -> Evicted {
        self.shared.lock().store.evicted
    }

    /// Closes the port and all connections, and returns when they are closed.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // The listener's task ends by itself once its connections have; the tick has to be told.
        self.tasks.join_next().await;
        self.tasks.shutdown().await;
        info!(port = self.shared.port, "development broker stopped");
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    // Dropped with this task, which aborts every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(_) if connections.len() >= shared.config.max_connections => {
                    warn!(connections = connections.len(), "too many connections, the new one is closed");
                }
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: give connections time to end.
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(TICK).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    match converse(stream, &shared).await {
        Ok(()) => {}
        Err(Error::Connection(error)) => debug!(%error, "client connection broke"),
        Err(error) => warn!(%error, "client connection closed"),
    }
}

/// Answers one request after the other, as Kafka does: answers keep the order of requests.
async fn converse(stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    while let Some(frame) = wire::read_frame(&mut stream, shared.config.request_max_bytes).await? {
        let request = Request::parse(frame)?;
        if let Some(answer) = api::handle(shared, &request).await? {
            stream.write_all(&answer).await?;
        }
    }
    Ok(())
}

async fn tick(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        shared.expire(Instant::now());
    }
}
