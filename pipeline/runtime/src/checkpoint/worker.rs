//! The thread of a committer, which looks at the job's fence while it has nothing to commit.

use super::committer::Committer;
use super::{Committed, Epoch};
use citystream_model::{Error, Result};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::Builder;
use std::time::Duration;

/// Time between two looks at the fence.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Commits epochs, one at a time.
pub(super) enum Worker {
    /// On a thread of its own.
    Thread { epochs: SyncSender<Epoch>, answers: Receiver<Result<Committed>>, is_idle: bool },
    /// On the job's thread.
    InLine { committer: Box<Committer>, done: Option<Result<Committed>> },
}

// === impl Worker ===

impl Worker {
    pub(super) fn start(committer: Committer) -> Result<Self> {
        let (epochs, received) = sync_channel(1);
        // One answer per epoch, and one more when the job was taken over.
        let (answer, answers) = sync_channel(2);
        let name = format!("commit-{}", committer.newest().job);
        let body = move || work(committer, &received, &answer);
        let thread = Builder::new().name(name).spawn(body);
        thread.map_err(|error| Error::resource("thread of a job's checkpoints").caused_by(error))?;
        Ok(Self::Thread { epochs, answers, is_idle: true })
    }

    pub(super) fn in_line(committer: Committer) -> Self {
        Self::InLine { committer: Box::new(committer), done: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Thread { is_idle, .. } => *is_idle,
            Self::InLine { done, .. } => done.is_none(),
        }
    }

    /// Takes an epoch; none may be under way.
    pub(super) fn submit(&mut self, epoch: Epoch) -> Result<()> {
        match self {
            Self::Thread { epochs, answers, is_idle } => {
                *is_idle = false;
                // The thread has ended with an answer that says why.
                epochs.send(epoch).or_else(|_| answers.recv().map_err(|_| stopped())?.map(drop))
            }
            Self::InLine { committer, done } => {
                *done = Some(committer.commit(epoch));
                Ok(())
            }
        }
    }

    /// The end of an epoch, or of the job, if there is one.
    pub(super) fn poll(&mut self) -> Result<Option<Committed>> {
        match self {
            Self::Thread { answers, is_idle, .. } => match answers.try_recv() {
                Ok(answer) => {
                    *is_idle = true;
                    answer.map(Some)
                }
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(stopped()),
            },
            Self::InLine { committer, done } => match done.take() {
                Some(done) => done.map(Some),
                None => committer.watch().map(|()| None),
            },
        }
    }

    /// Waits for the end of the epoch under way, if there is one.
    pub(super) fn wait(&mut self) -> Result<Option<Committed>> {
        match self {
            Self::Thread { answers, is_idle: is_idle @ false, .. } => {
                *is_idle = true;
                answers.recv().map_err(|_| stopped())?.map(Some)
            }
            Self::Thread { .. } => self.poll(),
            Self::InLine { done, .. } => done.take().transpose(),
        }
    }
}

fn stopped() -> Error {
    Error::internal("the thread of the job's checkpoints has ended")
}

fn work(mut committer: Committer, epochs: &Receiver<Epoch>, answers: &SyncSender<Result<Committed>>) {
    loop {
        let answer = match epochs.recv_timeout(WATCH_EVERY) {
            Ok(epoch) => committer.commit(epoch),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => match committer.watch() {
                Err(error) => Err(error),
                Ok(()) => continue,
            },
        };
        let failed = answer.is_err();
        if answers.send(answer).is_err() || failed {
            return;
        }
    }
}
