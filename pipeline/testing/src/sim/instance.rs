//! One process of the job: it starts as the binary starts jobs, runs, and ends in one way or another.

use super::faults::{Death, Fuse};
use super::log::LogSource;
use super::store::{Company, Line};
use super::{Life, World, tables};
use arrow::datatypes::SchemaRef;
use citystream_connect::Sink;
use citystream_connect::files::{Naming, ParquetConfig, ParquetSink, table_path};
use citystream_lake::delta::duties::Duties;
use citystream_lake::delta::{self, DeltaConfig};
use citystream_model::job::{DELTA, Emit, LatePolicy, PartitionBy, SinkRef};
use citystream_model::position::StartFrom;
use citystream_model::time::{Clock, Micros};
use citystream_model::{Error, Result};
use citystream_operators::memory::Memory;
use citystream_runtime::checkpoint::recover::{Base, JobFolder};
use citystream_runtime::input::{Input, late_schema};
use citystream_runtime::job::{Job, Relief};
use citystream_runtime::metrics::Metrics;
use citystream_runtime::output::Output;
use citystream_runtime::start::patience::Patience;
use citystream_runtime::start::{self, Checkpointing, Connect, Connected, Ready};
use citystream_runtime::status::StatusBoard;
use citystream_runtime::stop::Stop;
use citystream_runtime::threads::Threads;
use citystream_state::CheckpointStore;
use object_store::ObjectStore;
use object_store::path::Path;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How an instance ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Done,
    Died,
    Failed(Error),
}

/// A clock that ticks when it is looked at, and may jump.
#[derive(Debug)]
struct Ticks {
    start: Micros,
    looks: AtomicI64,
    tick: Micros,
    jump: Option<(i64, Micros)>,
}

struct Connector<'a> {
    world: &'a World,
    life: &'a Life,
    number: u64,
    store: Arc<dyn ObjectStore>,
}

impl Clock for Ticks {
    fn now(&self) -> Micros {
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        let jumped = self.jump.filter(|(at, _)| look >= *at).map_or(0, |(_, by)| by);
        self.start + look * self.tick + jumped
    }
}

/// Runs instance `number`, by itself or among others.
pub(crate) fn run(world: &World, number: u64, life: &Life, fuse: &Arc<Fuse>, company: Company) -> Ended {
    let line = Line::new(world.store(), Arc::clone(fuse), company, world.flaw);
    match catch_unwind(AssertUnwindSafe(|| lived(world, number, life, line))) {
        Ok(Ok(())) => Ended::Done,
        Ok(Err(error)) => Ended::Failed(error),
        Err(panic) if panic.is::<Death>() => Ended::Died,
        Err(panic) => resume_unwind(panic),
    }
}

fn lived(world: &World, number: u64, life: &Life, line: Line) -> Result<()> {
    let (stop, status) = (Stop::new(), StatusBoard::default());
    let store: Arc<dyn ObjectStore> = Arc::new(line);
    let name = world.job.spec.name.as_str();
    let folder = JobFolder {
        store: CheckpointStore::new(Arc::clone(&store), &Path::from("checkpoints"), name, "checkpoints"),
        handle: world.runtime.handle().clone(),
        job: name.to_owned(),
        plan: world.job.depends_on(),
        tables: world.job.tables.clone(),
        writer: format!("w{number}"),
        release: "simulated".to_owned(),
    };
    let start = world.clock(life);
    let clock = Arc::new(Ticks { start, looks: AtomicI64::new(0), tick: life.tick, jump: life.jump });
    let patience = Patience::new(name, &stop, &status, Duration::ZERO);
    let connector = Connector { world, life, number, store };
    let memory = Memory::new(1 << 30);
    let plan = memory.bound(world.job.plan.clone())?;
    // The job's own steps make the time pass.
    let interval = life.tick * 9;
    let how = Checkpointing { folder: &folder, interval, in_line: true, patience: &patience, now: start };
    let ready = start::resume(&how, &connector, &plan, life.shards, false)?;
    let relief = if life.pressed { Relief { state: 0, output: 0 } } else { Relief::of(&memory) };
    let job = Job { relief, ..assemble(world, ready, memory, clock, stop.clone(), status.clone())? };
    turn(job, life, &stop)
}

/// Turns the loop of the job until it ends.
fn turn(mut job: Job, life: &Life, stop: &Stop) -> Result<()> {
    let mut turns = 0;
    while !job.has_ended() {
        job.step(true)?;
        turns += 1;
        if life.stop == Some(turns) {
            stop.set();
        }
        assert!(turns < 100_000, "the job does not come to its end");
    }
    job.finish()
}

fn assemble(
    world: &World,
    ready: Ready,
    memory: Arc<Memory>,
    clock: Arc<Ticks>,
    stop: Stop,
    status: StatusBoard,
) -> Result<Job> {
    let Ready { connected: Connected { inputs, sinks, late, rejects }, dataflow, replay, checkpoints } = ready;
    let spec = world.job.spec.clone();
    Ok(Job {
        clock,
        stop,
        retry_pause: Duration::ZERO,
        relief: Relief::of(&memory),
        dataflow,
        memory,
        threads: Threads::default(),
        output: Output::new(&spec.name, world.job.plan.output.clone(), false)?,
        metrics: Metrics::new("simulated")?,
        expression_errors: Box::new(|| 0),
        paused: Default::default(),
        fired_at: 0,
        reported_at: 0,
        replay,
        checkpoints,
        spec,
        inputs,
        sinks,
        late,
        rejects,
        status,
    })
}

// === impl Connector ===

impl Connect for Connector<'_> {
    fn connect(&self, base: Option<&Base>) -> Result<Connected> {
        let (job, base) = (&self.world.job, base.expect("simulated jobs make checkpoints"));
        let naming = Naming::Epochs {
            identity: base.claim.identity.clone(),
            writer: format!("w{}", self.number),
            next: base.claim.epoch + 1,
        };
        let results = self.table(&job.spec.sinks[0], &job.schema, &naming)?;
        let (mut late, mut rejects, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
        let visible = self.world.visible(self.life);
        for (at, stream) in job.streams.iter().enumerate() {
            let sink = job.spec.late_sink(&stream.name, job.streams.len());
            let table = self.table(&sink, &late_schema(stream), &naming)?;
            late.push((job.spec.late == LatePolicy::Table).then_some(table));
            rejects.push(self.table(&job.spec.rejects_sink(stream), &citystream_codec::rejects_schema(), &naming)?);
            let from = base.positions(&stream.name).map_or(StartFrom::Earliest, StartFrom::Positions);
            let case = &self.world.case;
            let place = case.world.streams.iter().position(|known| known.name == stream.name).unwrap();
            let seed = case.seed ^ self.number << 32 ^ (at as u64) << 16;
            let source = LogSource::new(&case.records[place], visible, &from, seed);
            let source = match self.life.grows {
                Some(poll) => source.grows(poll, Arc::clone(&self.world.is_grown)),
                None => source.shown(&self.world.is_grown),
            };
            inputs.push(Input::new(Arc::clone(stream), Box::new(source), job.spec.lateness, true));
        }
        Ok(Connected { inputs, sinks: vec![results], late, rejects })
    }

    fn clear(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

impl Connector<'_> {
    fn table(&self, sink: &SinkRef, schema: &SchemaRef, naming: &Naming) -> Result<Box<dyn Sink>> {
        let name = sink.target.as_str();
        let partition_by = PartitionBy::of(&sink.scheme);
        let spec = &self.world.job.spec;
        let log = if sink.scheme == DELTA {
            let config = DeltaConfig {
                place: tables::place(self.world, Arc::clone(&self.store), name),
                schema: Arc::clone(schema),
                partition_by: partition_by.clone(),
                name: sink.to_string(),
                file_target: 4_000,
                is_replaced: false,
                // They would come at any time.
                duties: Duties::none(),
            };
            if spec.emit != Emit::Final && *sink == spec.sinks[0] {
                return Ok(Box::new(delta::upsert(config, &spec.key, spec.freshness, naming.clone())?));
            }
            Some(delta::log(config)?)
        } else {
            None
        };
        let config = ParquetConfig {
            store: Arc::clone(&self.store),
            prefix: table_path(&Path::from("data"), name),
            display: name.to_owned(),
            schema: Arc::clone(schema),
            partition_by,
            file_target: 4_000,
            freshness: spec.freshness,
            naming: naming.clone(),
            handle: self.world.runtime.handle().clone(),
            name: sink.to_string(),
            log,
        };
        Ok(Box::new(ParquetSink::open(config)?))
    }
}
