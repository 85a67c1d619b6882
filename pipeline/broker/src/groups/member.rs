//! One member of a group: who it is, what it supports, what it waits for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use super::group::{JoinAnswer, SyncAnswer};

/// How a request names a member: by the id that it was given, and for static members by its instance too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) member: &'a str,
    pub(crate) instance: Option<&'a StrBytes>,
}

/// States: joining while `join_waiter` is set, waiting for its assignment while `sync_waiter` is, else consuming.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: StrBytes,
    pub(crate) instance: Option<StrBytes>,
    pub(crate) client_id: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// Assignment strategies in order of preference, each with the member's subscription.
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
    pub(crate) assignment: Bytes,
    pub(crate) last_seen: Instant,
    pub(crate) join_waiter: Option<oneshot::Sender<JoinAnswer>>,
    pub(crate) sync_waiter: Option<oneshot::Sender<SyncAnswer>>,
}

// === impl Member ===

impl Member {
    pub(crate) fn supports(&self, protocol: &StrBytes) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Subscription under a protocol; empty if the member does not know it.
    pub(crate) fn subscription(&self, protocol: &StrBytes) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// Whether a client sits on a connection and waits for the answer to its join.
    pub(crate) fn is_joining(&self) -> bool {
        self.join_waiter.as_ref().is_some_and(|w| !w.is_closed())
    }

    /// Whether it went silent. A member that waits for an answer cannot send heartbeats meanwhile.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        let syncing = self.sync_waiter.as_ref().is_some_and(|w| !w.is_closed());
        !syncing && !self.is_joining() && now > self.last_seen + self.session_timeout
    }

    // A failed send below means that the client hung up; its session timeout takes care of the rest.

    pub(crate) fn answer_join(&mut self, answer: JoinAnswer, now: Instant) {
        self.last_seen = now;
        if let Some(waiter) = self.join_waiter.take() {
            let _ = waiter.send(answer);
        }
    }

    pub(crate) fn answer_sync(&mut self, answer: SyncAnswer, now: Instant) {
        self.last_seen = now;
        if let Some(waiter) = self.sync_waiter.take() {
            let _ = waiter.send(answer);
        }
    }

    /// Turns away whoever still waits under this member's name.
    pub(crate) fn refuse(&mut self, error: ResponseError, now: Instant) {
        self.answer_join(Err(error), now);
        self.answer_sync(Err(error), now);
    }
}
