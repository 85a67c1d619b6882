//! Crashes, lost answers and sleepers at every request to the store: tables are those of an uninterrupted run.
//!
//! `CITYSTREAM_SIM_CASES` sets the number of random schedules, `CITYSTREAM_SIM_FIRST` where they begin,
//! `CITYSTREAM_SIM_SEED` runs one of them.

use citystream_testing::case::Case;
use citystream_testing::sim::faults::Fault;
use citystream_testing::sim::flaws::Flaw;
use citystream_testing::sim::{Life, World};
use rand::Rng;
use rand::rngs::StdRng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Random schedules of a plain run.
const SCHEDULES: u64 = 1_000;
/// Random schedules of a plain run over Delta tables, as many again over those whose rows replace one another.
const DELTA_SCHEDULES: u64 = 60;
/// Cases whose every request meets every fault.
const ENUMERATED: usize = 3;
/// Failures that are shown before the run stops.
const FAILURES: usize = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What happens under a seed: some instances with faults, one after the other; `None` when its job is refused.
fn schedule(seed: u64) -> Option<Result<u64, String>> {
    let case = Case::generate(seed);
    let mut rng = case.rng(7);
    let lives: Vec<Life> = (0..rng.random_range(1..5)).map(|_| Life::random(&mut rng)).collect();
    let world = World::new(case)?;
    let run = catch_unwind(AssertUnwindSafe(|| {
        let requests = world.run(&lives)?;
        // The same processes at once: each may sleep anywhere, for as long as it takes.
        world.together(&lives, seed)?;
        Ok(requests)
    }));
    let text = |panic: Box<dyn std::any::Any + Send>| {
        let known = panic.downcast_ref::<String>().cloned();
        known.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    };
    let run = run.unwrap_or_else(|panic| Err(format!("panic: {}", text(panic))));
    Some(run.map_err(|error| format!("CITYSTREAM_SIM_SEED={seed}: {lives:#?}\n{error}")))
}

#[test]
fn random_schedules() {
    if let Some(seed) = number("CITYSTREAM_SIM_SEED") {
        println!("{}", Case::generate(seed).job);
        return println!("{:?}", schedule(seed).unwrap().unwrap_or_else(|error| panic!("{error}")));
    }
    let first = number("CITYSTREAM_SIM_FIRST").unwrap_or(0);
    let wanted = number("CITYSTREAM_SIM_CASES").unwrap_or(SCHEDULES);
    let (next, ran, failures) = (AtomicU64::new(first), AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        while ran.load(Ordering::Relaxed) < wanted && failures.lock().unwrap().len() < FAILURES {
            match schedule(next.fetch_add(1, Ordering::Relaxed)) {
                None => continue,
                Some(Ok(_)) => {}
                Some(Err(error)) => failures.lock().unwrap().push(error),
            }
            // A long run says how far it is.
            if (ran.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(10_000) {
                println!("{} schedules so far", ran.load(Ordering::Relaxed));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(8));
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let failures = failures.into_inner().unwrap();
    println!("{} schedules", ran.into_inner());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// A flaw shows itself where a process dies and the next one goes on from what it wrote: how many schedules that takes, at most
/// `most`.
fn noticed(flaw: Flaw, most: u64) -> Option<u64> {
    let dies = |rng: &mut StdRng| Life {
        fault: Some((rng.random_range(0..120), if rng.random() { Fault::DieBefore } else { Fault::DieAfter })),
        ..Life::random(rng)
    };
    (0..most).find(|seed| {
        let case = Case::generate(*seed);
        let mut rng = case.rng(9);
        let lives: Vec<Life> = (0..3).map(|_| dies(&mut rng)).collect();
        let Some(world) = World::flawed(case, flaw) else { return false };
        // One that panics has noticed too.
        catch_unwind(AssertUnwindSafe(|| world.run(&lives))).map_or(true, |run| run.is_err())
    })
}

#[test]
fn each_step_done_wrongly_is_noticed() {
    for flaw in Flaw::ALL {
        let seed = noticed(flaw, 3_000).unwrap_or_else(|| panic!("{flaw:?} was not noticed"));
        println!("{flaw:?}: schedule {seed}");
    }
}

/// A random schedule of some instances, one after the other, over the Delta tables of a world.
fn delta_schedule(seed: u64, world: fn(Case) -> Option<Arc<World>>) -> Option<Result<u64, String>> {
    let case = Case::generate(seed);
    let mut rng = case.rng(7);
    let lives: Vec<Life> = (0..rng.random_range(1..5)).map(|_| Life::random(&mut rng)).collect();
    let world = world(case)?;
    Some(world.run(&lives).map_err(|error| format!("CITYSTREAM_SIM_DELTA_SEED={seed}: {lives:#?}\n{error}")))
}

#[test]
fn random_schedules_over_delta_tables() {
    for world in [World::delta as fn(Case) -> Option<Arc<World>>, World::keyed] {
        if let Some(seed) = number("CITYSTREAM_SIM_DELTA_SEED") {
            println!("{:?}", delta_schedule(seed, world).map(|run| run.unwrap_or_else(|error| panic!("{error}"))));
            continue;
        }
        let wanted = number("CITYSTREAM_SIM_DELTA_CASES").unwrap_or(DELTA_SCHEDULES) as usize;
        let first = number("CITYSTREAM_SIM_FIRST").unwrap_or(0);
        for ran in (first..).filter_map(|seed| delta_schedule(seed, world)).take(wanted) {
            ran.unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn every_fault_at_some_requests_over_delta_tables() {
    let (seed, _, _) = enumerated().next().unwrap();
    let world = World::delta(Case::generate(seed)).unwrap();
    let requests = world.run(&[Life::plain()]).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    for (nth, fault) in Fault::ALL.into_iter().enumerate() {
        // Each fault at requests of its own, all of them together at every one.
        for at in (nth as u64..requests).step_by(Fault::ALL.len()) {
            let life = Life { fault: Some((at, fault)), ..Life::plain() };
            world.run(&[life]).unwrap_or_else(|error| panic!("seed {seed}: {fault:?} at {at}: {error}"));
        }
    }
    println!("seed {seed}: {requests} requests");
}

/// Cases with a window, late rows and rejects, and a run that is short enough.
fn enumerated() -> impl Iterator<Item = (u64, Arc<World>, u64)> {
    let good = |seed: u64| {
        let case = Case::generate(seed);
        let rows: usize = case.records.iter().flatten().map(Vec::len).sum();
        if !case.query.windowed || !(30..120).contains(&rows) {
            return None;
        }
        let world = World::new(case)?;
        let requests = world.run(&[Life::plain()]).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        (60..160).contains(&requests).then_some((seed, world, requests))
    };
    (0..).filter_map(good).take(ENUMERATED)
}

#[test]
fn every_fault_at_every_request() {
    for (seed, world, requests) in enumerated() {
        for fault in Fault::ALL {
            for at in 0..requests {
                let life = Life { fault: Some((at, fault)), ..Life::plain() };
                world.run(&[life]).unwrap_or_else(|error| panic!("seed {seed}: {fault:?} at {at}: {error}"));
            }
        }
        println!("seed {seed}: {requests} requests");
    }
}
