//! Checkpoints as an operator meets them: stop and start, takeover, damage, changes, `citystream checkpoints`.

use crate::broker::{producer, send, send_by};
use crate::city::{City, PER_MINUTE, flow};
use crate::process::{Done, Live, eventually, start};
use crate::tables;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CHECKPOINTS: [&str; 4] = ["--checkpoint-dir", "checkpoints", "--checkpoint-interval", "100ms"];

/// Starts a job with checkpoints and waits until it has made `epochs`.
#[track_caller]
fn live(city: &City, job: &Path, epochs: usize) -> Live {
    let mut live = city.live(&[job], &CHECKPOINTS);
    let before = newest(city, job);
    eventually("checkpoints", || {
        assert!(!live.has_ended(), "{}", live.stderr());
        (newest(city, job) >= before + epochs).then_some(())
    });
    live
}

fn folder(city: &City, job: &Path) -> PathBuf {
    city.path("checkpoints").join(job.file_stem().unwrap())
}

/// Files of a folder of the job's checkpoints, in order.
fn objects(city: &City, job: &Path, kind: &str) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder(city, job).join(kind)).into_iter().flatten();
    let mut found: Vec<_> =
        listed.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()).collect();
    found.retain(|path| !path.to_string_lossy().contains('#'));
    found.sort();
    found
}

/// Number of the newest epoch.
fn newest(city: &City, job: &Path) -> usize {
    objects(city, job, "manifest").last().map_or(0, |path| epoch_of(path))
}

/// The epoch in the name of a manifest or a segment.
fn epoch_of(path: &Path) -> usize {
    path.file_stem().unwrap().to_str().unwrap().split('-').next().unwrap().parse().unwrap()
}

fn catch_up(city: &City, job: &Path) -> Done {
    city.catch_up(&[job], &CHECKPOINTS)
}

fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn open_windows_survive_a_stop() {
    let city = City::with_flow(1);
    let job = city.job("sums", "", PER_MINUTE);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00"), flow("a", 2, "05:00:50")]);
    let first = live(&city, &job, 2);
    let done = first.stop().expect(0);
    assert!(done.took.as_secs() < 20, "{:?}", done.took);
    assert_eq!(city.rows("sums"), [""; 0], "an open window is not final");
    send(&city.topic("flow"), 0, [flow("a", 4, "05:00:59"), flow("a", 8, "05:03:00")]);
    let done = catch_up(&city, &job).expect(0);
    assert_eq!(done.job("sums")["read"], 2, "what was read before is not read again");
    let rows = city.rows("sums");
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].ends_with(r#""veh":7,"readings":3}"#), "{rows:?}");
}

#[test]
fn rows_since_the_checkpoint_are_read_again_in_silence() {
    let city = City::with_flow(1);
    let job = city.job("sums", "freshness = '100 ms'", PER_MINUTE);
    let topic = city.topic("flow");
    let flags = ["--checkpoint-dir", "checkpoints", "--checkpoint-interval", "1 hour"];
    let live = city.live(&[&job], &flags);
    // The first epoch puts the state away, the next one is light.
    for (at, row) in [flow("a", 2, "05:02:00"), flow("a", 4, "05:04:00")].into_iter().enumerate() {
        send(&topic, 0, [flow("a", 1, &format!("05:0{}:01", 2 * at)), row]);
        eventually("a row", || (city.rows("sums").len() == at + 1).then_some(()));
    }
    live.signal("KILL");
    live.wait();
    let shown = city.done(&["checkpoints", "sums", "--checkpoint-dir", "checkpoints"]).expect(0);
    assert!(shown.stdout.contains("a start reads 2 rows since then again"), "{}", shown.stdout);
    send(&topic, 0, [flow("a", 8, "05:06:00")]);
    let done = city.catch_up(&[&job], &flags).expect(0);
    done.says(&["rows since the checkpoint read again", "rows=2"]);
    assert_eq!(done.job("sums")["read"], 1, "rows count where they are read for the first time");
    let vehicles: Vec<_> = city.rows("sums").iter().map(|row| row.split("veh").nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        vehicles,
        [r#"":1,"readings":1}"#, r#"":3,"readings":2}"#, r#"":4,"readings":1}"#, r#"":8,"readings":1}"#]
    );
    // An orderly end leaves nothing to be read again.
    let shown = city.done(&["checkpoints", "sums", "--checkpoint-dir", "checkpoints"]).expect(0);
    assert!(!shown.stdout.split("\nepoch ").next().unwrap().contains("again"), "{}", shown.stdout);
}

#[test]
fn a_run_that_was_caught_up_goes_on_behind_its_last_window() {
    let city = City::with_flow(2);
    let job = city.job("sums", "", PER_MINUTE);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    send(&city.topic("flow"), 1, [flow("b", 1, "05:02:30")]);
    catch_up(&city, &job).expect(0);
    assert_eq!(city.rows("sums").len(), 2);
    // The first two lie in windows that may have been published, the third does not.
    send(&city.topic("flow"), 0, [flow("a", 2, "05:00:01"), flow("a", 4, "05:02:59"), flow("a", 8, "05:03:00")]);
    let done = catch_up(&city, &job).expect(0);
    assert_eq!((done.job("sums")["late"].clone(), done.job("sums")["admitted"].clone()), (2.into(), 1.into()));
    assert_eq!(city.rows("sums").len(), 3);
    assert_eq!(city.rows("sums_late").len(), 2);
    let done = catch_up(&city, &job).expect(0);
    assert_eq!(done.job("sums")["read"], 0);
    assert_eq!(city.rows("sums").len(), 3);
}

#[test]
fn a_newer_instance_takes_over() {
    let city = City::with_flow(1);
    let job = city.job("sums", "freshness = '200 ms'", PER_MINUTE);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    let older = live(&city, &job, 2);
    // What it says would go to the file of the older one.
    let folder = city.path("newer");
    std::fs::create_dir(&folder).unwrap();
    let jobs = [job.as_path()];
    let newer = start(city.command(&city.run_args(&jobs, &CHECKPOINTS)), &folder);
    let done = older.wait().expect(4);
    done.says(&["a newer instance has taken job 'sums' over (start 2, process"]);
    send(&city.topic("flow"), 0, [flow("a", 2, "05:00:01"), flow("a", 1, "05:02:00")]);
    let rows = eventually("the row of the newer", || Some(city.rows("sums")).filter(|rows| !rows.is_empty()));
    assert!(rows[0].ends_with(r#""veh":3,"readings":2}"#), "{rows:?}");
    newer.stop().expect(0);
    assert_eq!(city.rows("sums").len(), 1);
}

#[test]
fn an_instance_that_never_rests_is_taken_over_too() {
    let city = City::with_flow(1);
    let out = city.make("out", 1);
    let job = city.job("copied", &format!("sink = 'kafka:{out}'"), "SELECT site, veh FROM flow");
    let flags = [&CHECKPOINTS[..], &["--commit-interval", "10ms"]].concat();
    let (older, topic, is_over) = (city.live(&[&job], &flags), city.topic("flow"), AtomicBool::new(false));
    let folder = city.path("newer");
    std::fs::create_dir(&folder).unwrap();
    let sent = std::thread::scope(|scope| {
        // It commits all the time, more often than another one can start.
        let sender = scope.spawn(|| {
            let producer = producer();
            let rows = (0..10_000).take_while(|_| {
                send_by(&producer, &topic, 0, [flow("a", 1, "05:00:00")]);
                std::thread::park_timeout(Duration::from_millis(2));
                !is_over.load(Ordering::Relaxed)
            });
            rows.count() + 1
        });
        eventually("rows", || (newest(&city, &job) > 5).then_some(()));
        let newer = start(city.command(&city.run_args(&[job.as_path()], &flags)), &folder);
        let done = older.wait();
        is_over.store(true, Ordering::Relaxed);
        let sent = sender.join().unwrap();
        done.expect(4).says(&["a newer instance has taken job 'copied' over"]);
        newer.stop().expect(0);
        sent
    });
    city.catch_up(&[&job], &flags).expect(0);
    assert_eq!(crate::broker::values(&out).len(), sent);
}

#[test]
fn a_job_that_has_changed_is_refused() {
    let city = City::with_flow(1);
    let job = city.job("sums", "", PER_MINUTE);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    live(&city, &job, 2).stop().expect(0);
    let job = city.job("sums", "lateness = '1 minute'", &PER_MINUTE.replace("sum(veh)", "max(veh)"));
    let done = catch_up(&city, &job).expect(1);
    done.says(&["job 'sums' has changed since its checkpoint of epoch", "another lateness, another query;"]);
    // Layout and format of the text do not matter, nor does what has nothing to do with the state.
    let job =
        city.job("sums", "freshness = '1 second', file_target = '1 MiB'", &PER_MINUTE.replace("FROM", "\n  FROM"));
    catch_up(&city, &job).expect(0);
    assert_eq!(city.rows("sums").len(), 1);
}

#[test]
fn a_table_of_another_run_is_refused_and_its_own_is_not() {
    let city = City::with_flow(1);
    let job = city.job("sums", "", PER_MINUTE);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    city.catch_up(&[&job], &[]).expect(0);
    catch_up(&city, &job).expect(1).says(&["already holds rows"]);
    city.catch_up(&[&job], &[&CHECKPOINTS[..], &["--if-exists", "replace"]].concat()).expect(0);
    assert_eq!(city.rows("sums").len(), 1);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:10:00")]);
    let done = city.catch_up(&[&job], &[&CHECKPOINTS[..], &["--if-exists", "replace"]].concat()).expect(0);
    done.says(&["going on from its checkpoint: --from and --if-exists are for new jobs only"]);
    assert_eq!(city.rows("sums").len(), 2, "a job that goes on replaces nothing");
}

/// Kills a job, damages the newest of its manifests or segments, and has it go on.
fn damage(city: &City, job: &Path, live: Live, kind: &str) {
    live.signal("KILL");
    live.wait();
    flip_a_byte(objects(city, job, kind).last().unwrap());
    let name = job.file_stem().unwrap().to_str().unwrap();
    let shown = city.done(&["checkpoints", name, "--checkpoint-dir", "checkpoints"]).expect(0);
    assert!(shown.stdout.contains("damaged: checkpoint damaged: "), "{}", shown.stdout);
    assert!(shown.stdout.contains(" good\n"), "{}", shown.stdout);
    catch_up(city, job).expect(0).says(&["going on from an older checkpoint"]);
}

#[test]
fn a_damaged_manifest_leads_to_the_one_before_and_its_rows_come_once() {
    let city = City::with_flow(1);
    let job = city.job("copied", "freshness = '100 ms'", "SELECT site, veh FROM flow");
    let live = live(&city, &job, 2);
    for at in 0..5 {
        send(&city.topic("flow"), 0, [flow("a", at, &format!("05:0{at}:00"))]);
        eventually("the row", || (city.rows("copied").len() == at + 1).then_some(()));
    }
    damage(&city, &job, live, "manifest");
    assert_eq!(city.rows("copied").len(), 5, "{:?}", city.rows("copied"));
}

#[test]
fn a_damaged_segment_leads_to_the_one_before_and_its_rows_come_once() {
    let city = City::with_flow(1);
    let job = city.job("sums", "freshness = '100 ms'", PER_MINUTE);
    let live = live(&city, &job, 2);
    let mut sent = 0;
    // Until the newest segment is one that only the newest manifest needs, and the job stands still there.
    eventually("a fresh segment", || {
        live.signal("CONT");
        send(&city.topic("flow"), 0, [flow("a", sent, &format!("05:{:02}:{:02}", sent / 4, sent % 4 * 15))]);
        sent += 1;
        let before = objects(&city, &job, "ckpt").last().cloned();
        eventually("a segment", || (objects(&city, &job, "ckpt").last().cloned() != before).then_some(()));
        live.signal("STOP");
        let newest_segment = objects(&city, &job, "ckpt").last().map(|path| epoch_of(path));
        (sent > 12 && newest_segment == Some(newest(&city, &job))).then_some(())
    });
    damage(&city, &job, live, "ckpt");
    let counted: usize =
        tables::column(&city.table("sums"), "readings").iter().map(|n| n.parse::<usize>().unwrap()).sum();
    assert_eq!(counted, sent, "{:?}", city.rows("sums"));
}

#[test]
fn without_a_good_checkpoint_nothing_starts() {
    let city = City::with_flow(1);
    let job = city.job("sums", "", PER_MINUTE);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    live(&city, &job, 2).stop().expect(0);
    objects(&city, &job, "manifest").iter().for_each(|path| flip_a_byte(path));
    let done = catch_up(&city, &job).expect(2);
    done.says(&["no checkpoint of job 'sums' can be read", "checkpoint damaged", "start anew with another one"]);
    city.done(&["checkpoints", "sums", "--checkpoint-dir", "checkpoints"]).expect(2);
    city.done(&["checkpoints", "other", "--checkpoint-dir", "checkpoints"]).expect(1).says(&["no checkpoint in"]);
    city.done(&["checkpoints", "sums", "--checkpoint-dir", "typo"]).expect(1).says(&["there is no such folder"]);
    assert!(!city.path("typo").exists());
}

#[test]
fn the_guarantee_of_a_job_may_change() {
    let city = City::with_flow(1);
    let topic = city.make("out", 1);
    let job = city.job("copied", &format!("sink = 'kafka:{topic}'"), "SELECT site, veh FROM flow");
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    for _ in 0..2 {
        catch_up(&city, &job).expect(0);
        city.catch_up(&[&job], &[&CHECKPOINTS[..], &["--guarantee", "at-least-once"]].concat()).expect(0);
        assert_eq!(crate::broker::values(&topic).len(), 1);
    }
}

#[test]
fn a_row_is_committed_within_the_commit_interval() {
    let city = City::with_flow(1);
    let topic = city.make("out", 1);
    let job = city.job("copied", &format!("sink = 'kafka:{topic}'"), "SELECT site, veh FROM flow");
    let args = ["--checkpoint-dir", "checkpoints", "--checkpoint-interval", "1h", "--commit-interval", "50ms"];
    let live = city.live(&[&job], &args);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    eventually("the row", || (crate::broker::values(&topic).len() == 1).then_some(()));
    live.signal("KILL");
    live.wait();
    send(&city.topic("flow"), 0, [flow("b", 1, "05:00:00")]);
    city.catch_up(&[&job], &args).expect(0);
    assert_eq!(crate::broker::values(&topic), [r#"{"site":"a","veh":1}"#, r#"{"site":"b","veh":1}"#]);
}

#[test]
fn a_changed_reference_table_takes_effect_where_the_job_goes_on() {
    let city = City::with_flow(1);
    let declared = "CREATE EXTERNAL TABLE sites (site TEXT NOT NULL, name TEXT) STORED AS CSV LOCATION 'sites.csv' \
        OPTIONS ('format.has_header' 'true');";
    city.file("schemas/sites/table.sql", declared);
    city.file("schemas/sites/sites.csv", "site,name\na,Ring\n");
    let job = city.job("named", "", "SELECT s.name, f.veh FROM flow AS f JOIN sites AS s ON s.site = f.site");
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    catch_up(&city, &job).expect(0);
    city.file("schemas/sites/sites.csv", "site,name\na,Quay\n");
    send(&city.topic("flow"), 0, [flow("a", 2, "05:00:01")]);
    catch_up(&city, &job).expect(0).says(&["reference table has changed since the checkpoint"]);
    assert_eq!(city.rows("named"), [r#"{"name":"Quay","veh":2}"#, r#"{"name":"Ring","veh":1}"#]);
    let shown = city.done(&["checkpoints", "named", "--checkpoint-dir", "checkpoints"]).expect(0);
    assert!(shown.stdout.contains("reference table sites with rows "), "{}", shown.stdout);
}

#[test]
fn a_folder_whose_manifests_were_removed_begins_anew_and_overwrites_nothing() {
    let city = City::with_flow(1);
    let job = city.job("copied", "", "SELECT site, veh FROM flow");
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    catch_up(&city, &job).expect(0);
    std::fs::remove_dir_all(folder(&city, &job).join("manifest")).unwrap();
    catch_up(&city, &job).expect(1).says(&["already holds rows"]);
    city.catch_up(&[&job], &[&CHECKPOINTS[..], &["--if-exists", "append"]].concat()).expect(0);
    assert_eq!(city.rows("copied").len(), 2);
}

/// Runs a job three times, with rows before each; returns the folder of its checkpoints as it was after the first.
fn three_runs(city: &City, job: &Path) -> PathBuf {
    for at in 0..3 {
        send(&city.topic("flow"), 0, [flow("a", at, &format!("05:0{at}:00"))]);
        catch_up(city, job).expect(0);
        if at == 0 {
            let copied =
                std::process::Command::new("cp").arg("-r").args([folder(city, job), city.path("copy")]).status();
            assert!(copied.unwrap().success());
        }
    }
    city.path("copy")
}

#[test]
fn a_lost_manifest_and_an_older_copy_of_the_folder_double_nothing() {
    let city = City::with_flow(1);
    let job = city.job("copied", "", "SELECT site, veh FROM flow");
    let copy = three_runs(&city, &job);
    std::fs::remove_file(objects(&city, &job, "manifest").last().unwrap()).unwrap();
    catch_up(&city, &job).expect(0);
    assert_eq!(city.rows("copied").len(), 3, "a lost manifest");
    std::fs::remove_dir_all(folder(&city, &job)).unwrap();
    std::fs::rename(copy, folder(&city, &job)).unwrap();
    catch_up(&city, &job).expect(0).says(&["newer checkpoints are gone"]);
    assert_eq!(city.rows("copied").len(), 3, "an older copy");
}

#[test]
fn an_older_copy_of_the_folder_is_refused_where_a_topic_has_the_rows() {
    let city = City::with_flow(1);
    let topic = city.make("out", 1);
    let job = city.job("copied", &format!("sink = 'kafka:{topic}'"), "SELECT site, veh FROM flow");
    let copy = three_runs(&city, &job);
    std::fs::remove_dir_all(folder(&city, &job)).unwrap();
    std::fs::rename(copy, folder(&city, &job)).unwrap();
    catch_up(&city, &job).expect(2).says(&["whose checkpoint is damaged: they cannot be taken back"]);
    assert_eq!(crate::broker::values(&topic).len(), 3);
}

#[test]
fn a_delta_table_that_is_gone_is_not_begun_anew() {
    let city = City::with_flow(1);
    let job = city.job("sums", "sink = 'delta:sums'", PER_MINUTE);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    catch_up(&city, &job).expect(0);
    let whole = city.rows("sums");
    // Nothing of it waits to be published any more.
    catch_up(&city, &job).expect(0);
    let (table, aside) = (city.path("data/sums"), city.path("data/aside"));
    std::fs::rename(&table, &aside).unwrap();
    send(&city.topic("flow"), 0, [flow("a", 1, "06:00:00")]);
    let refused = catch_up(&city, &job).expect(2);
    refused.says(&["data/sums", "found no log that has epochs of this job, expected epoch", "restore the table"]);
    assert!(!table.join("_delta_log").exists());
    std::fs::rename(&aside, &table).unwrap();
    catch_up(&city, &job).expect(0);
    assert_eq!((whole.len(), city.rows("sums").len()), (1, 2));
}

#[test]
fn files_may_be_merged_by_others_while_a_job_is_down() {
    let city = City::with_flow(1);
    let job = city.job("sums", "sink = 'parquet:sums'", PER_MINUTE);
    send(&city.topic("flow"), 0, [flow("a", 1, "05:00:00")]);
    let running = live(&city, &job, 2);
    send(&city.topic("flow"), 0, [flow("a", 2, "05:02:00"), flow("a", 3, "05:04:00")]);
    eventually("closed windows", || (city.rows("sums").len() == 2).then_some(()));
    running.stop().expect(0);
    let files = tables::files(&city.path("data/sums"));
    for (number, file) in files.iter().enumerate() {
        std::fs::rename(file, file.with_file_name(format!("merged-{number}.parquet"))).unwrap();
    }
    catch_up(&city, &job).expect(0);
    assert_eq!(city.rows("sums").len(), 3);
}
