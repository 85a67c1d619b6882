//! Whose turn it is: several processes at once, of which one runs at a time, from one request to the next.
//!
//! Who goes on follows from a seed, so a run can be repeated. A process that does not get its turn for long is a sleeper.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::sync::{Arc, Condvar, Mutex};

/// Shared by the processes of one run.
#[derive(Debug)]
pub(crate) struct Baton {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    running: Vec<usize>,
    turn: usize,
}

/// One process's place.
#[derive(Debug)]
pub(crate) struct Place {
    baton: Arc<Baton>,
    number: usize,
}

/// Ends a process's turns when it is dropped.
pub(crate) struct Leaving(pub(crate) Arc<Place>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leave();
    }
}

// === impl Baton ===

impl Baton {
    /// Places for `count` processes, the first of which begins.
    pub(crate) fn places(count: usize, seed: u64) -> Vec<Arc<Place>> {
        let state = State { rng: StdRng::seed_from_u64(seed), running: (0..count).collect(), turn: 0 };
        let baton = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
        (0..count).map(|number| Arc::new(Place { baton: Arc::clone(&baton), number })).collect()
    }
}

// === impl Place ===

impl Place {
    /// Perhaps lets another process go on, and waits for the next turn of this one.
    pub(crate) fn turn(&self) {
        let mut state = self.baton.state.lock().unwrap();
        if state.turn == self.number && state.rng.random_bool(0.15) {
            state.pass();
            self.baton.changed.notify_all();
        }
        drop(self.baton.changed.wait_while(state, |state| state.turn != self.number).unwrap());
    }

    /// Ends this process's turns.
    fn leave(&self) {
        let mut state = self.baton.state.lock().unwrap();
        state.running.retain(|number| *number != self.number);
        if state.turn == self.number {
            state.pass();
        }
        self.baton.changed.notify_all();
    }
}

// === impl State ===

impl State {
    fn pass(&mut self) {
        if let Some(next) = self.running.choose(&mut self.rng) {
            self.turn = *next;
        }
    }
}
