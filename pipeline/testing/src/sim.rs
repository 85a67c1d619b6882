//! Simulation: a job with checkpoints, its real operators, runtime, sinks and commit protocol, over a store and a log in
//! memory. What goes wrong, and when, follows from a seed; nothing waits, so thousands of crashes take seconds.
//!
//! ```text
//!   instance 1: look, claim, step, step, put segment, put man-X dies        (fault at request 23)
//!   instance 2: look, claim, publish, step ... put manifest, Z z z          (sleeps at request 41)
//!   instance 3:   look, claim, step ... to the end of the log                (meanwhile)
//!   instance 2:                                                 awake: taken over
//!   the tables: admitted + late + rejected = the log, each once; results = batch over the admitted rows
//! ```
//!
//! Processes may also run at once, one request at a time, in an order that follows from the seed: [`World::together`].
//! Every request to the store is a named fault point: [`faults::Fault`] says what may happen there. [`flaws::Flaw`] are steps of
//! the protocol done wrongly, which has to be noticed. Start with [`World`].

mod baton;
pub mod faults;
pub mod flaws;
mod instance;
mod log;
mod store;
mod tables;

use crate::case::Case;
use crate::records::Fate;
use crate::rows::{difference, render};
use crate::run;
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type};
use baton::{Baton, Leaving, Place};
use citystream_codec::{Decoder, Records};
use citystream_lake::delta::check_columns;
use citystream_model::ErrorKind;
use citystream_model::job::{DELTA, PARQUET, SinkRef};
use citystream_model::time::Micros;
use citystream_sql::CheckedJob;
use faults::{Fault, Fuse};
use flaws::Flaw;
use instance::Ended;
use object_store::memory::InMemory;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use store::Company;
use tokio::runtime::Runtime;

/// By so much a clock jumps.
const DAY: Micros = 86_400_000_000;

/// A job, its log, and the store that all its instances share.
pub struct World {
    pub(crate) case: Case,
    pub(crate) job: CheckedJob,
    pub(crate) runtime: Runtime,
    store: Mutex<Arc<InMemory>>,
    /// Numbers of instances.
    started: AtomicU64,
    /// Thousandths of each partition's records that any instance has seen: none disappears again.
    shown: AtomicUsize,
    /// Set once an instance has seen all partitions.
    is_grown: Arc<AtomicBool>,
    /// What is done wrongly.
    pub(crate) flaw: Option<Flaw>,
    /// What went wrong while an instance slept.
    wrong: Mutex<Option<String>>,
}

/// What one instance meets.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// At which request to the store, counted from 0, something happens.
    pub fault: Option<(u64, Fault)>,
    /// After how many turns of its loop it is asked to stop.
    pub stop: Option<u64>,
    /// Thousandths of each partition's records that are there when it starts.
    pub visible: usize,
    /// Most shards.
    pub shards: usize,
    /// Microseconds between two looks at the clock.
    pub tick: i64,
    /// When it starts by the wall clock, in thousandths of the time that the records span; long after all of them if not set.
    pub clock: Option<i64>,
    /// At which look the clock jumps, and by how much.
    pub jump: Option<(i64, Micros)>,
    /// True when there is little memory: windows close one at a time, and what comes out is published at once.
    pub pressed: bool,
    /// At which poll the last partition of each stream comes into being, if nobody has seen it yet.
    pub grows: Option<usize>,
}

// === impl Life ===

impl Life {
    /// One that nothing happens to.
    pub fn plain() -> Self {
        let (fault, stop, clock, jump, grows) = (None, None, None, None, None);
        Self { fault, stop, visible: 1_000, shards: 1, tick: 1_000, clock, jump, pressed: false, grows }
    }

    /// A random one, with a fault or a stop.
    pub fn random(rng: &mut StdRng) -> Self {
        let fault = rng.random_bool(0.85).then(|| (rng.random_range(0..120), Fault::random(rng)));
        let stop = rng.random_bool(0.3).then(|| rng.random_range(0..30));
        let visible = if rng.random_bool(0.3) { rng.random_range(0..1_000) } else { 1_000 };
        let tick = [1_000, 200_000, 20_000_000][rng.random_range(0..3)];
        let shards = rng.random_range(1..=3);
        let clock = rng.random_bool(0.3).then(|| rng.random_range(0..1_000));
        let day = if rng.random() { DAY } else { -DAY };
        let jump = rng.random_bool(0.1).then(|| (rng.random_range(0..100), day));
        let grows = rng.random_bool(0.2).then(|| rng.random_range(0..10));
        let pressed = rng.random_bool(0.2);
        Self { fault, stop, visible, shards, tick, clock, jump, pressed, grows }
    }
}

// === impl World ===

impl World {
    /// The world of a case with Parquet tables; `None` when its job is refused.
    pub fn new(case: Case) -> Option<Arc<Self>> {
        Self::of(case, PARQUET, tokio::runtime::Builder::new_current_thread().build().unwrap(), None)
    }

    /// The same, with a step of the protocol done wrongly: to see that it is noticed.
    pub fn flawed(case: Case, flaw: Flaw) -> Option<Arc<Self>> {
        Self::of(case, PARQUET, tokio::runtime::Builder::new_current_thread().build().unwrap(), Some(flaw))
    }

    /// The same with Delta tables, of which a library sends some of the requests, on threads of its own: so such a world is for
    /// [`World::run`] only.
    pub fn delta(case: Case) -> Option<Arc<Self>> {
        Self::of(case, DELTA, tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap(), None)
    }

    /// As [`World::delta`], with a table whose rows replace one another; `None` too when the job cannot have results early.
    pub fn keyed(case: Case) -> Option<Arc<Self>> {
        let job = run::with_emit(&case.job, "early every 100 ms", "delta:out")?;
        Self::delta(Case { job, ..case })
    }

    fn of(case: Case, scheme: &str, runtime: Runtime, flaw: Option<Flaw>) -> Option<Arc<Self>> {
        let mut job = run::prepare(&case.world.ddl(), &case.job, &case.world.tables()).ok()?;
        if scheme == DELTA && check_columns(&job.schema, &job.spec.folders(DELTA)).is_err() {
            return None;
        }
        job.spec.sinks = vec![SinkRef { scheme: scheme.to_owned(), target: "out".to_owned() }];
        let (store, wrong) = (Mutex::default(), Mutex::default());
        let (started, shown, is_grown) = (AtomicU64::new(0), AtomicUsize::new(0), Arc::default());
        Some(Arc::new(Self { case, job, runtime, store, started, shown, is_grown, flaw, wrong }))
    }

    /// An empty store, before a log of which nothing has been seen.
    fn begin(&self) {
        *self.store.lock().unwrap() = Arc::default();
        self.shown.store(0, Ordering::Relaxed);
        self.is_grown.store(false, Ordering::Relaxed);
    }

    /// The wall clock when an instance starts.
    pub(crate) fn clock(&self, life: &Life) -> Micros {
        let times = || self.case.records.iter().flatten().flatten().map(|raw| raw.record.timestamp);
        match (life.clock, times().min(), times().max()) {
            (Some(part), Some(first), Some(last)) => first + (last - first) / 1_000 * part,
            _ => run::NOW,
        }
    }

    /// Thousandths of each partition's records that an instance sees that starts now.
    pub(crate) fn visible(&self, life: &Life) -> usize {
        self.shown.fetch_max(life.visible, Ordering::Relaxed).max(life.visible)
    }

    /// The store of the run.
    pub(crate) fn store(&self) -> Arc<InMemory> {
        Arc::clone(&self.store.lock().unwrap())
    }

    /// Runs instances one after the other over an empty store, and one without faults at the end; then checks what they wrote. The number of
    /// requests that the first one made.
    ///
    /// # Errors
    /// What does not hold.
    pub fn run(self: &Arc<Self>, lives: &[Life]) -> Result<u64, String> {
        self.begin();
        let mut requests = None;
        for life in lives.iter().chain([&Life::plain()]) {
            let is_last = requests.is_some() && life.fault.is_none() && life.stop.is_none() && life.visible == 1_000;
            let made = self.live(life, is_last)?;
            requests.get_or_insert(made);
        }
        self.check()?;
        Ok(requests.unwrap_or_default())
    }

    /// Runs all instances at once over an empty store, in an order that follows from `seed`, and one at the end; then checks what
    /// they wrote.
    ///
    /// # Errors
    /// What does not hold.
    pub fn together(self: &Arc<Self>, lives: &[Life], seed: u64) -> Result<(), String> {
        self.begin();
        let places = Baton::places(lives.len(), seed);
        let ended: Vec<Ended> = std::thread::scope(|scope| {
            let started: Vec<_> =
                lives.iter().zip(places).map(|(life, place)| scope.spawn(|| self.among(life, place))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (life, ended) in lives.iter().zip(ended) {
            match ended {
                Ended::Done | Ended::Died => {}
                // Taken over, or others were started all the time.
                Ended::Failed(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unavailable) => {}
                Ended::Failed(error) => return Err(format!("{life:?}: {error}")),
            }
        }
        self.live(&Life::plain(), true)?;
        self.check()
    }

    /// Runs one instance among others.
    fn among(&self, life: &Life, place: Arc<Place>) -> Ended {
        // Others must not wait for one that panics.
        let _leaves_in_the_end = Leaving(Arc::clone(&place));
        place.turn();
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let fuse = Arc::new(Fuse::new(life.fault));
        instance::run(self, number, life, &fuse, Company::Others(place))
    }

    /// Runs one instance; the requests that it made.
    fn live(self: &Arc<Self>, life: &Life, must_finish: bool) -> Result<u64, String> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let fuse = Arc::new(Fuse::new(life.fault));
        let world = Arc::clone(self);
        // Another one takes over and comes to its end while this one sleeps.
        let meanwhile = move || {
            if let Err(error) = world.live(&Life::plain(), false) {
                world.wrong.lock().unwrap().replace(error);
            }
        };
        let ended = instance::run(self, number, life, &fuse, Company::Sleeps(Arc::new(meanwhile)));
        let requests = fuse.requests();
        if let Some(error) = self.wrong.lock().unwrap().take() {
            return Err(error);
        }
        match ended {
            Ended::Died => Ok(requests),
            Ended::Done => Ok(requests),
            Ended::Failed(error) if error.kind() == ErrorKind::Conflict && fuse.slept() => Ok(requests),
            Ended::Failed(error) if must_finish || error.kind() != ErrorKind::Unavailable => {
                Err(format!("instance {number} ({life:?}): {error}"))
            }
            Ended::Failed(error) => Err(format!("instance {number} ({life:?}) gave up: {error}")),
        }
    }

    /// Checks the tables: every record once, results as a batch over the admitted rows has them, nothing left in staging.
    fn check(&self) -> Result<(), String> {
        let mut admitted = Vec::new();
        for (at, stream) in self.job.streams.iter().enumerate() {
            let place = self.case.world.streams.iter().position(|known| known.name == stream.name).unwrap();
            let late_table = self.job.spec.late_sink(&stream.name, self.job.streams.len());
            let late = once("late", &tables::addresses(self, &late_table))?;
            let rejects = self.job.spec.rejects_sink(stream);
            let rejected = once("rejected", &tables::addresses(self, &rejects))?;
            let log = (0i32..).zip(&self.case.records[place]);
            let all = log.flat_map(|(partition, records)| records.iter().map(move |raw| (partition, raw)));
            let flawed: BTreeSet<_> = all
                .filter(|(_, raw)| raw.fate == Fate::Reject)
                .map(|(partition, raw)| (partition, raw.record.offset))
                .collect();
            // A clock that is behind the records rejects more of them.
            if !flawed.is_subset(&rejected) {
                return Err(format!("stream {at}: rejected {rejected:?}, expected {flawed:?}"));
            }
            let beyond: BTreeSet<_> = rejected.difference(&flawed).copied().collect();
            if let Some(twice) = late.intersection(&beyond).next() {
                return Err(format!("stream {at}: late and rejected: {twice:?}"));
            }
            admitted.push(self.rows(at, place, &late.union(&beyond).copied().collect())?);
        }
        let columns = self.job.schema.fields().len();
        let expected = run::batch(&self.job, admitted).map_err(|error| format!("batch run: {error}"))?;
        let (only_tables, only_batch) =
            difference(&render(&tables::rows(self, &self.job.spec.sinks[0]), columns), &render(&expected, columns));
        if !only_tables.is_empty() || !only_batch.is_empty() {
            return Err(format!("only in the table: {only_tables:#?}\nonly in the batch: {only_batch:#?}"));
        }
        match tables::left(self) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("left, though no table has them: {left:?}")),
        }
    }

    /// The rows of a stream but for those `left` out.
    fn rows(&self, at: usize, place: usize, left: &BTreeSet<(i32, i64)>) -> Result<Vec<RecordBatch>, String> {
        let decoder = Decoder::new(Arc::clone(&self.job.streams[at]));
        let mut batches = Vec::new();
        let mut found = 0;
        for (partition, raw) in (0i32..).zip(&self.case.records[place]) {
            let records: Records = raw.iter().map(|raw| raw.record.clone()).collect();
            let batch = decoder.decode(partition, &records, run::NOW).map_err(|error| error.to_string())?.batch;
            let offsets = batch.column_by_name("_offset").unwrap().as_primitive::<Int64Type>().clone();
            let is_good = |offset: &i64| Some(!left.contains(&(partition, *offset)));
            let good: BooleanArray = offsets.values().iter().map(is_good).collect();
            found += batch.num_rows() - good.true_count();
            batches.push(filter_record_batch(&batch, &good).unwrap());
        }
        if found == left.len() {
            Ok(batches)
        } else {
            Err(format!("{} late or rejected rows, {found} of them are rows", left.len()))
        }
    }
}

/// Addresses as a set; none may stand twice.
fn once(what: &str, addresses: &[(i32, i64)]) -> Result<BTreeSet<(i32, i64)>, String> {
    let set: BTreeSet<_> = addresses.iter().copied().collect();
    if set.len() == addresses.len() { Ok(set) } else { Err(format!("a {what} record stands twice: {addresses:?}")) }
}

/// Partition and offset of each row of a table.
pub(crate) fn addresses_of(batch: &RecordBatch) -> Vec<(i32, i64)> {
    let partitions = batch.column_by_name("_partition").unwrap().as_primitive::<Int32Type>();
    let offsets = batch.column_by_name("_offset").unwrap().as_primitive::<Int64Type>();
    partitions.values().iter().copied().zip(offsets.values().iter().copied()).collect()
}
