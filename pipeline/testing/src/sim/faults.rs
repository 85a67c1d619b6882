//! What may happen at a request to the store.

use rand::Rng;
use rand::rngs::StdRng;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread::ThreadId;

/// What happens at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before it is sent.
    DieBefore,
    /// The process dies when it has been carried out.
    DieAfter,
    /// It is carried out, but the answer is lost.
    LoseAnswer,
    /// It is not carried out, and the store says so.
    Refuse,
    /// The process sleeps before it; another instance takes over meanwhile.
    SleepBefore,
    /// The process sleeps when it has been carried out.
    SleepAfter,
}

/// What a process that dies unwinds with: nothing of it runs on but destructors.
#[derive(Debug)]
pub(crate) struct Death;

/// Counts the requests of one instance, and says what happens at each.
#[derive(Debug)]
pub(crate) struct Fuse {
    state: Mutex<State>,
    /// The thread of the job's loop.
    own: ThreadId,
}

#[derive(Debug)]
struct State {
    fault: Option<(u64, Fault)>,
    requests: u64,
    slept: bool,
    dead: bool,
}

// === impl Fault ===

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::DieBefore, Self::DieAfter, Self::LoseAnswer, Self::Refuse, Self::SleepBefore, Self::SleepAfter];

    /// One of them.
    pub fn random(rng: &mut StdRng) -> Self {
        Self::ALL[rng.random_range(0..Self::ALL.len())]
    }
}

// === impl Fuse ===

impl Fuse {
    pub(crate) fn new(fault: Option<(u64, Fault)>) -> Self {
        let state = State { fault, requests: 0, slept: false, dead: false };
        Self { state: Mutex::new(state), own: std::thread::current().id() }
    }

    /// Ends the process: nothing of it runs on but destructors. On a thread of a library it ends as soon as its own thread
    /// sends a request; until then it gets no answers.
    pub(crate) fn die(&self) {
        self.state.lock().unwrap().dead = true;
        if std::thread::current().id() == self.own {
            resume_unwind(Box::new(Death));
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    /// What happens at the next request.
    pub(crate) fn next(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let number = state.requests;
        state.requests += 1;
        let fault = state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        state.slept |= matches!(fault, Some(Fault::SleepBefore | Fault::SleepAfter));
        fault
    }

    pub(crate) fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    /// True when the instance has slept.
    pub(crate) fn slept(&self) -> bool {
        self.state.lock().unwrap().slept
    }
}
