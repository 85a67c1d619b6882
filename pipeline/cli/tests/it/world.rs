//! Jobs of every kind, each with a Parquet table, a Delta table and a topic; what is sent to them, and what they must have
//! written in the end: what a batch over the admitted rows writes.

use crate::broker::{newest_values, producer, send_by, values};
use crate::city::{City, FLOW};
use crate::process::{Live, start};
use crate::tables;
use citystream_connect::kafka::KafkaProducer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PARTITIONS: i32 = 3;
/// 2026-03-29T05:00:00Z in seconds.
const START: i64 = 1_774_760_400;
/// How far behind the newest row of its partition a row may come.
const DELAY: i64 = 10;

/// One job of every kind.
const JOBS: [(&str, &str); 6] = [
    ("tumbled", crate::city::PER_MINUTE),
    (
        "hopped",
        "SELECT site, window_start, window_end, sum(veh) AS veh, avg(veh) AS mean FROM \
         hop(flow, at, INTERVAL '20 seconds', INTERVAL '1 minute') GROUP BY site, window_start, window_end",
    ),
    (
        "sessions",
        "SELECT site, window_start, window_end, count(*) AS n, max(veh) AS most FROM \
         session(flow, at, gap => INTERVAL '7 seconds', key => site) GROUP BY site, window_start, window_end",
    ),
    (
        "joined",
        "SELECT f.site, f.window_start, f.window_end, f.veh, s.kmh FROM \
         (SELECT site, window_start, window_end, sum(veh) AS veh FROM tumble(flow, at, INTERVAL '1 minute') GROUP BY site, window_start, window_end) AS f \
         JOIN (SELECT site, window_start, window_end, max(kmh) AS kmh FROM tumble(speed, at, INTERVAL '1 minute') GROUP BY site, window_start, window_end) AS s \
         ON f.site = s.site AND f.window_start = s.window_start AND f.window_end = s.window_end",
    ),
    (
        "ranked",
        "SELECT site, window_start, window_end, veh, at FROM (SELECT site, window_start, window_end, veh, at, row_number() \
         OVER (PARTITION BY site, window_start, window_end ORDER BY veh DESC, at) AS place FROM \
         tumble(flow, at, INTERVAL '1 minute')) WHERE place <= 2",
    ),
    ("copied", "SELECT site, veh, at, _partition AS part, _offset AS off FROM flow WHERE veh % 3 = 0"),
];

/// Lateness in seconds of jobs whose rows replace one another.
const LATENESS: i64 = 4;
/// Jobs whose rows replace one another: when results come out.
pub(crate) const KEYED: [(&str, &str); 2] = [("updated", "updates"), ("early", "early every 100 ms")];

/// What was sent to a stream, by partition: event times and rows.
type Sent = BTreeMap<i32, Vec<(i64, String)>>;

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn time(second: i64) -> String {
    citystream_model::time::format_time(second * 1_000_000)
}

/// Sends some rows per partition, in event time order but for a delay that makes a few of them late.
fn send_some(
    city: &City,
    producer: &KafkaProducer,
    rng: &mut StdRng,
    clock: &mut i64,
    sent: &mut BTreeMap<&'static str, Sent>,
) {
    for stream in ["flow", "speed"] {
        for partition in 0..PARTITIONS {
            let rows = sent.entry(stream).or_default().entry(partition).or_default();
            let first = rows.len();
            for at in 0..rng.random_range(0..40) {
                let behind = if rng.random_bool(0.03) { 20 } else { rng.random_range(0..=DELAY / 2) };
                let (second, site) = (*clock + at - behind, rng.random_range(0..8));
                let value = if stream == "flow" { "\"veh\"" } else { "\"kmh\"" };
                let number = rng.random_range(0..100);
                rows.push((second, format!(r#"{{"site":"s{site}",{value}:{number},"at":"{}"}}"#, time(second))));
            }
            send_by(producer, &city.topic(stream), partition, rows[first..].iter().map(|(_, row)| row));
        }
    }
    *clock += 40;
}

/// Offsets of the rows that are not late for a job with this lateness, by the rule of the interface.
fn admitted(sent: &Sent, lateness: i64) -> BTreeMap<i32, BTreeSet<usize>> {
    let of = |rows: &Vec<(i64, String)>| {
        let mut newest = i64::MIN / 2;
        let mut admitted = BTreeSet::new();
        for (offset, (second, _)) in rows.iter().enumerate() {
            if *second >= newest - DELAY - lateness {
                admitted.insert(offset);
            }
            newest = newest.max(*second);
        }
        admitted
    };
    sent.iter().map(|(partition, rows)| (*partition, of(rows))).collect()
}

/// Writes the admitted rows of a stream as a file for `batch`, which gives the offset as the line's number.
fn write_admitted(city: &City, stream: &str, sent: &Sent, lateness: i64) -> PathBuf {
    let mut text = String::new();
    for (partition, offsets) in admitted(sent, lateness) {
        offsets.iter().for_each(|offset| writeln!(text, "{}", sent[&partition][*offset].1).unwrap());
    }
    city.file(&format!("{stream}.{lateness}.jsonl"), &text)
}

/// Late rows as the table has them: partition and offset.
fn late(table: &Path) -> BTreeSet<(i32, usize)> {
    let column = |name| tables::column(table, name);
    if tables::batch(table).is_none() {
        return BTreeSet::new();
    }
    let numbers = column("_partition").into_iter().zip(column("_offset"));
    let found: Vec<_> = numbers.map(|(p, o)| (p.parse().unwrap(), o.parse().unwrap())).collect();
    let set: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!(set.len(), found.len(), "a late row stands twice in {}", table.display());
    set
}

/// The columns that say where a row of the `copied` job stood differ in a batch.
fn without_place(rows: Vec<String>) -> Vec<String> {
    let cut = |row: String| row.split(r#","part""#).next().unwrap().to_owned();
    let mut rows: Vec<String> = rows.into_iter().map(cut).collect();
    rows.sort();
    rows
}

/// The jobs, and all that was sent to them.
pub(crate) struct World<'a> {
    pub(crate) city: &'a City,
    pub(crate) rng: StdRng,
    seed: u64,
    checkpoints: &'a str,
    jobs: Vec<PathBuf>,
    sent: BTreeMap<&'static str, Sent>,
    /// Event time of the next rows.
    clock: i64,
    producer: KafkaProducer,
    /// Runs so far.
    runs: u32,
}

impl<'a> World<'a> {
    pub(crate) fn new(city: &'a City, checkpoints: &'a str) -> Self {
        let seed = setting("CITYSTREAM_KILL_SEED", 1);
        city.stream("flow", FLOW, "", PARTITIONS as usize);
        city.stream("speed", "site TEXT NOT NULL, kmh INT, at TIMESTAMP NOT NULL", "", PARTITIONS as usize);
        let jobs = JOBS.map(|(name, select)| {
            let topic = city.make(name, 2);
            let (parquet, delta) = (format!("parquet:{name}"), format!("delta:{name}_delta"));
            // The first table says what the late table is.
            let tables = if name.len() % 2 == 0 { [parquet, delta] } else { [delta, parquet] }.join(", ");
            let sinks = format!("{tables}, kafka:{topic}");
            city.job(name, &format!("freshness = '300 ms', sink = '{sinks}'"), select)
        });
        let keyed = KEYED.map(|(name, emit)| {
            let sinks = format!("delta:{name}, kafka:{}", city.make(name, 2));
            let options =
                format!("emit = '{emit}', lateness = '{LATENESS} seconds', freshness = '300 ms', sink = '{sinks}'");
            city.job(name, &options, crate::city::PER_MINUTE)
        });
        let jobs: Vec<PathBuf> = jobs.into_iter().chain(keyed).collect();
        let (rng, producer) = (StdRng::seed_from_u64(seed), producer());
        Self { city, rng, seed, checkpoints, jobs, sent: BTreeMap::new(), clock: START, producer, runs: 0 }
    }

    fn flags(&self, interval: &'a str) -> [&'a str; 6] {
        ["--checkpoint-dir", self.checkpoints, "--checkpoint-interval", interval, "--commit-interval", "50ms"]
    }

    /// Starts the jobs, on a number of shards of their own; a long interval leaves much to be read again.
    pub(crate) fn start(&mut self) -> Live {
        let interval = ["100ms", "1s", "10s"][self.rng.random_range(0..3)];
        let shards = self.rng.random_range(1..=3).to_string();
        let folder = self.city.path(&format!("run-{}", self.runs));
        self.runs += 1;
        std::fs::create_dir(&folder).unwrap();
        let jobs: Vec<&Path> = self.jobs.iter().map(PathBuf::as_path).collect();
        let args = self.city.run_args(&jobs, &[&self.flags(interval)[..], &["--parallelism", &shards]].concat());
        start(self.city.command(&args), &folder)
    }

    /// Sends some rows and waits a moment.
    pub(crate) fn send(&mut self) {
        send_some(self.city, &self.producer, &mut self.rng, &mut self.clock, &mut self.sent);
        std::thread::park_timeout(Duration::from_millis(self.rng.random_range(0..400)));
    }

    /// Runs the jobs to the end of what was sent.
    pub(crate) fn catch_up(&self) {
        let jobs: Vec<&Path> = self.jobs.iter().map(PathBuf::as_path).collect();
        self.city.catch_up(&jobs, &self.flags("100ms")).expect(0);
    }

    /// True when a run has taken over all its jobs.
    pub(crate) fn has_begun(&self, live: &Live) -> bool {
        live.stderr().matches("job begins").count() == self.jobs.len()
    }

    /// Compares the tables whose rows replace one another, and what came last in their topics, with the batch.
    fn check_keyed(&self, seed: u64) {
        for (name, _) in KEYED {
            let expected = tables::rows(&self.city.path("batch").join(name));
            assert!(expected.len() > 10, "seed {seed}: {name}: {} rows", expected.len());
            assert_eq!(self.city.rows(name), expected, "seed {seed}: {name}: the table");
            tables::check_with_python(&self.city.table(name), &expected);
            assert_eq!(newest_values(&self.city.topic(name)), expected, "seed {seed}: {name}: the topic");
        }
    }

    /// Runs `jobs`, which have this lateness, as a batch over the admitted rows.
    fn batch(&self, jobs: &[PathBuf], lateness: i64) {
        let write = |stream| write_admitted(self.city, stream, &self.sent[stream], lateness);
        let inputs = ["flow", "speed"].map(|stream| format!("{stream}={}", write(stream).display()));
        let mut args = vec!["batch"];
        args.extend(jobs.iter().map(|job| job.to_str().unwrap()));
        args.extend(["--schemas", "schemas", "--data-dir", "batch"]);
        inputs.iter().for_each(|input| args.extend(["--input", input]));
        self.city.done(&args).expect(0);
    }

    /// Compares every table and topic with the batch.
    pub(crate) fn check(&self) {
        let (city, seed) = (self.city, self.seed);
        city.fetch();
        let (plain, keyed) = self.jobs.split_at(JOBS.len());
        self.batch(plain, 0);
        self.batch(keyed, LATENESS);
        self.check_keyed(seed);
        for (name, _) in JOBS {
            let expected = tables::rows(&city.path("batch").join(name));
            let found = city.rows(name);
            let mut sent = values(&city.topic(name));
            sent.sort();
            assert_eq!(sent, found, "seed {seed}: {name}: the topic and the table");
            let delta = city.table(&format!("{name}_delta"));
            assert_eq!(tables::rows(&delta), found, "seed {seed}: {name}: the Delta table");
            tables::check_with_python(&delta, &found);
            if name == "copied" {
                let places: BTreeSet<&String> = found.iter().collect();
                assert_eq!(places.len(), found.len(), "seed {seed}: {name}: a row twice");
                assert_eq!(without_place(found), without_place(expected), "seed {seed}: {name}");
            } else {
                assert!(found.len() > 10, "seed {seed}: {name}: {} rows", found.len());
                assert_eq!(found, expected, "seed {seed}: {name}");
            }
        }
        let of_flow =
            |name: &str| if name == "joined" { "joined_late_flow".to_owned() } else { format!("{name}_late") };
        for (table, stream) in
            JOBS.iter().map(|(name, _)| (of_flow(name), "flow")).chain([("joined_late_speed".to_owned(), "speed")])
        {
            let good = admitted(&self.sent[stream], 0);
            let all = self.sent[stream].iter().flat_map(|(partition, rows)| (0..rows.len()).map(|at| (*partition, at)));
            let expected: BTreeSet<_> = all.filter(|(partition, at)| !good[partition].contains(at)).collect();
            assert_eq!(late(&city.table(&table)), expected, "seed {seed}: {table}");
        }
    }
}
