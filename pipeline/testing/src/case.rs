//! A case: everything that one seed makes.

use crate::query::{Grammar, Query};
use crate::records::{self, Raw};
use crate::world::World;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Streams with their records, and a job.
#[derive(Debug, Clone)]
pub struct Case {
    /// The number that made it.
    pub seed: u64,
    /// Streams and table.
    pub world: World,
    /// Records by stream and partition.
    pub records: Vec<Vec<Vec<Raw>>>,
    /// The SELECT and what is known of it.
    pub query: Query,
    /// The job file.
    pub job: String,
}

// === impl Case ===

impl Case {
    /// The case of `seed`.
    pub fn generate(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let world = World::generate(&mut rng);
        let records = world.streams.iter().map(|stream| records::generate(&mut rng, &world, stream)).collect();
        let query = Grammar::new(&mut rng, &world).job();
        let job = job(&mut rng, &world, &query.sql);
        Self { seed, world, records, query, job }
    }

    /// Further random numbers of the case, independent for each `stream`.
    pub fn rng(&self, stream: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ (stream + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

fn job(rng: &mut StdRng, world: &World, select: &str) -> String {
    let lateness = [0, 0, 2].choose(rng).unwrap() * world.pace;
    let sink = ["parquet:out", "parquet:out", "kafka:topic.out"].choose(rng).unwrap();
    if rng.random_bool(0.15) {
        return format!(
            "CREATE EXTERNAL TABLE out STORED AS PARQUET LOCATION 'out' OPTIONS ('lateness' '{lateness} us');\nINSERT INTO out\n{select}"
        );
    }
    format!("CREATE MATERIALIZED VIEW out WITH (lateness = '{lateness} us', sink = '{sink}') AS\n{select}")
}
