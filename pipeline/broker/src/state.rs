//! Everything the broker remembers, behind one lock. Requests hold it for look-ups and appends, never across a wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::clock;
use crate::config::BrokerConfig;
use crate::groups::Groups;
use crate::log::batch::Marker;
use crate::store::Store;
use crate::transactions::{Finished, Transactions};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: BrokerConfig,
    /// Port that clients are told to use.
    pub(crate) port: u16,
    state: Mutex<State>,
    /// Changes whenever waiting readers should look again: records, markers, topics.
    pub(crate) changed: watch::Sender<()>,
}

/// The three parts that requests work on.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) transactions: Transactions,
    pub(crate) groups: Groups,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(config: BrokerConfig, port: u16) -> Self {
        let state =
            State { store: Store::new(&config), transactions: Transactions::default(), groups: Groups::default() };
        Self { config, port, state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    /// The state. A request that panicked elsewhere left it as far as it came; the broker serves on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes readers that wait for more.
    pub(crate) fn wake_readers(&self) {
        self.changed.send_replace(());
    }

    /// What time alone brings about: transactions and group members that ran out of it.
    pub(crate) fn expire(&self, now: Instant) {
        let mut state = self.lock();
        state.groups.expire(now);
        let expired = state.transactions.expire(now);
        let any = !expired.is_empty();
        for finished in expired {
            state.finish(&finished);
        }
        drop(state);
        if any {
            self.wake_readers();
        }
    }
}

// === impl State ===

impl State {
    /// Carries out the end of a transaction: markers in its partitions, its offsets applied or forgotten.
    pub(crate) fn finish(&mut self, finished: &Finished) {
        let now_ms = clock::now_ms();
        for (topic, index) in &finished.partitions {
            self.store.end_transaction(topic, *index, finished.marker, finished.producer, now_ms);
        }
        let committed = finished.marker == Marker::Commit;
        for group in &finished.groups {
            self.groups.end_transaction(group, finished.producer.id, committed);
        }
    }
}
