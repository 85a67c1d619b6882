//! The threads that shards run on: one pool for all jobs of the process, so that many jobs do not fight for the cores.

use citystream_model::{Error, Result};
use citystream_operators::dataflow::{Shard, Workers};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;

/// Threads for the shards of jobs; copies share them.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    /// `None`: shards run on the job's own thread.
    pool: Option<Arc<ThreadPool>>,
}

// === impl Threads ===

impl Threads {
    /// `count` threads; with one, shards run on the job's own thread.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Resource`] when the machine gives no thread.
    pub fn new(count: usize) -> Result<Self> {
        if count <= 1 {
            return Ok(Self::default());
        }
        let pool = ThreadPoolBuilder::new().num_threads(count).thread_name(|at| format!("shard-{at}")).build();
        let pool = pool.map_err(|error| Error::resource("threads of the shards").caused_by(error))?;
        Ok(Self { pool: Some(Arc::new(pool)) })
    }

    /// Runs `work` on each shard with what is to be done there; the answers stand in the order of the shards.
    ///
    /// # Errors
    /// The first failure, in the order of the shards.
    pub fn map<T: Send, A: Send>(
        &self,
        shards: &mut [Shard],
        tasks: Vec<Vec<T>>,
        work: impl Fn(&mut Shard, Vec<T>) -> Result<A> + Sync,
    ) -> Result<Vec<A>> {
        let busy = tasks.iter().filter(|tasks| !tasks.is_empty()).count();
        let Some(pool) = self.pool.as_ref().filter(|_| busy > 1) else {
            return shards.iter_mut().zip(tasks).map(|(shard, tasks)| work(shard, tasks)).collect();
        };
        let answers: Vec<Result<A>> =
            pool.install(|| shards.par_iter_mut().zip(tasks).map(|(shard, tasks)| work(shard, tasks)).collect());
        answers.into_iter().collect()
    }
}

impl Workers for Threads {
    fn run(&self, shards: &mut [Shard], task: &(dyn Fn(&mut Shard) -> Result<()> + Sync)) -> Result<()> {
        let tasks = shards.iter().map(|_| vec![()]).collect();
        self.map(shards, tasks, |shard, _| task(shard)).map(drop)
    }
}
