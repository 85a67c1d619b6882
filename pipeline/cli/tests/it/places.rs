//! Where tables may lie: a disk that fills up, an object store.

use crate::broker::{brokers, send};
use crate::city::{City, flow};
use crate::process::eventually;
use crate::tables;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tiny disk, unmounted when it is dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` where the caller may not mount.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_path_buf()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_job_and_leaves_nothing_half_written() {
    let city = City::with_flow(1);
    let Some(_disk) = Disk::mount(&city.path("data"), "256k") else {
        eprintln!("skipped: a_full_disk_stops_the_job_and_leaves_nothing_half_written: no right to mount");
        return;
    };
    // Texts that do not compress: about 1 MB.
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", seed.rotate_left(17))
    };
    let rows: Vec<_> =
        (0..4_000).map(|at| flow(&(0..16).map(|_| noise()).collect::<String>(), at, "05:00:00")).collect();
    send(&city.topic("flow"), 0, rows);
    let job = city.job("filling", "", "SELECT site, veh FROM flow");
    let done = city.catch_up(&[&job], &[]).expect(2);
    done.says(&["job 'filling'", "data/filling", "the disk is full", "free space"]);
    assert_eq!(
        tables::files(&city.table("filling")),
        [""; 0].map(PathBuf::from),
        "a visible file would be half a file"
    );
    assert!(done.took.as_secs() < 20, "{:?}", done.took);
}

#[test]
fn tables_may_lie_on_an_object_store() {
    let Ok(bucket) = std::env::var("CITYSTREAM_TEST_S3") else {
        eprintln!("skipped: tables_may_lie_on_an_object_store: CITYSTREAM_TEST_S3 (s3://BUCKET) is not set");
        return;
    };
    let city = City::with_flow(1);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    let job = city.job("far", "", "SELECT site FROM flow");
    let place = format!("{bucket}/{}", city.topic("lake"));
    let run = |more: &[&str]| {
        let fixed = ["run", job.to_str().unwrap(), "--schemas", "schemas", "--brokers", brokers(), "--until-caught-up"];
        city.done(&[&fixed, &["--data-dir", &place][..], more].concat())
    };
    run(&[]).expect(0);
    run(&[]).expect(1).says(&[&format!("{place}/far"), "already holds rows"]);
    run(&["--if-exists", "replace"]).expect(0);
}

#[test]
fn a_store_that_does_not_answer_ends_the_run_when_asked() {
    let city = City::with_flow(1);
    let job = city.job("far", "", "SELECT site FROM flow");
    let args =
        ["run", job.to_str().unwrap(), "--schemas", "schemas", "--brokers", brokers(), "--data-dir", "s3://city/x"];
    let mut command = city.command(&args);
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ALLOW_HTTP"];
    command.envs(names.map(|name| (name, "true"))).env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let live = crate::process::start(command, &city.path(""));
    eventually("a second try", || {
        live.stderr().contains("the object store does not answer, trying again").then_some(())
    });
    let done = live.stop().expect(2);
    done.says(&["data folder 's3://city/x'", "check AWS_ENDPOINT_URL"]);
    assert!(!done.stderr.contains("backing off"), "{}", done.stderr);
    assert!(done.took.as_secs() < 15, "{:?}", done.took);
}
