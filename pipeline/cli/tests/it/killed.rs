//! Jobs with checkpoints in a hard life: killed, put to sleep, cut off from their broker or their store, at random moments.
//! What they wrote in the end is what a batch over the admitted rows writes.
//!
//! `CITYSTREAM_KILLS` sets how often, `CITYSTREAM_KILL_SEED` when. `CITYSTREAM_TEST_S3` (`s3://BUCKET`) is a store to use,
//! `CITYSTREAM_TEST_KAFKA_DIR` the folder of the broker that may be killed: that of `testing/services/kafka.sh`.

use crate::city::City;
use crate::process::{Live, eventually, eventually_within};
use crate::proxy::Proxy;
use crate::world::{World, setting};
use rand::Rng;
use std::process::Command;
use std::time::Duration;

/// Lets a run go on that stood still while another has taken its jobs over: it finds out, and changes nothing.
fn wake(sleeper: Live) {
    sleeper.signal("CONT");
    sleeper.wait().expect(4).says(&["a newer instance has taken job"]);
}

fn kill(live: Live) {
    live.signal("KILL");
    live.wait();
}

/// Kills the jobs of `world` and puts them to sleep, again and again.
fn survive(mut world: World<'_>) {
    let mut sleeper: Option<Live> = None;
    for _ in 0..setting("CITYSTREAM_KILLS", 6) {
        let mut live = world.start();
        for _ in 0..world.rng.random_range(1..=3) {
            world.send();
            if world.rng.random_bool(0.4) && world.has_begun(&live) {
                sleeper.take().into_iter().for_each(wake);
            }
        }
        assert!(!live.has_ended(), "{}", live.stderr());
        // A process that stands still for a while is taken over like one that is dead, and wakes up later.
        if sleeper.is_none() && world.has_begun(&live) && world.rng.random_bool(0.4) {
            live.signal("STOP");
            sleeper = Some(live);
        } else {
            kill(live);
        }
    }
    world.catch_up();
    sleeper.into_iter().for_each(wake);
    world.check();
}

#[test]
fn tables_are_those_of_an_uninterrupted_run() {
    survive(World::new(&City::new(), "checkpoints"));
}

#[test]
fn tables_on_an_object_store_are_those_of_an_uninterrupted_run() {
    let Ok(bucket) = std::env::var("CITYSTREAM_TEST_S3") else {
        eprintln!("skipped: tables_on_an_object_store...: CITYSTREAM_TEST_S3 (s3://BUCKET) is not set");
        return;
    };
    let city = City::new();
    let (tables, checkpoints) = (format!("{bucket}/{}/data", city.tag()), format!("{bucket}/{}/jobs", city.tag()));
    survive(World::new(&city.with_tables_at(&tables), &checkpoints));
}

#[test]
fn a_slow_object_store_that_hangs_up_costs_time_and_no_row() {
    let (Ok(bucket), Ok(endpoint)) = (std::env::var("CITYSTREAM_TEST_S3"), std::env::var("AWS_ENDPOINT_URL")) else {
        eprintln!("skipped: a_slow_object_store...: CITYSTREAM_TEST_S3 (s3://BUCKET) is not set");
        return;
    };
    let proxy = Proxy::before(endpoint.trim_start_matches("http://"), setting("CITYSTREAM_KILL_SEED", 1));
    let city = City::new().with_env("AWS_ENDPOINT_URL", &proxy.url());
    let (tables, checkpoints) = (format!("{bucket}/{}/data", city.tag()), format!("{bucket}/{}/jobs", city.tag()));
    let city = city.with_tables_at(&tables);
    let mut world = World::new(&city, &checkpoints);
    for _ in 0..2 {
        let mut live = world.start();
        // Each of many requests may wait or be tried again, beside other tests on the same cores.
        eventually_within(Duration::from_secs(90), "jobs over a bad line", || world.has_begun(&live).then_some(()));
        for _ in 0..4 {
            world.send();
        }
        assert!(!live.has_ended(), "{}", live.stderr());
        kill(live);
    }
    world.catch_up();
    assert!(proxy.cut() > 0, "the store was never gone");
    world.check();
}

#[test]
fn a_broker_that_is_killed_costs_time_and_no_row() {
    let Ok(folder) = std::env::var("CITYSTREAM_TEST_KAFKA_DIR") else {
        eprintln!("skipped: a_broker_that_is_killed...: CITYSTREAM_TEST_KAFKA_DIR is not set");
        return;
    };
    let service = |args: &[&str]| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/services/kafka.sh");
        assert!(
            Command::new(script)
                .args(args)
                .arg(&folder)
                .stdout(std::process::Stdio::null())
                .status()
                .unwrap()
                .success()
        );
    };
    let city = City::new();
    let mut world = World::new(&city, "checkpoints");
    let mut live = world.start();
    eventually("all jobs", || world.has_begun(&live).then_some(()));
    for _ in 0..3 {
        world.send();
        service(&["kill"]);
        std::thread::park_timeout(Duration::from_millis(world.rng.random_range(0..1_500)));
        service(&["start", "0"]);
        world.send();
        assert!(!live.has_ended(), "{}", live.stderr());
    }
    // The broker may still be sorting itself out, so that an orderly stop could run into its time.
    kill(live);
    world.catch_up();
    world.check();
}
