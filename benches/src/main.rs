//! The command line of the benches.

mod args;

use anyhow::{Context, Result, ensure};
use args::{Cli, Command, Input, Machine, TableArgs, one_record_each};
use citystream_benches::arrivals::Arrivals;
use citystream_benches::broker::{self, Running};
use citystream_benches::engine::Bench;
use citystream_benches::measure::{self, Plan};
use citystream_benches::record::Writer;
use citystream_benches::sensors::Sensors;
use citystream_benches::workload::{JobName, Topic, Workload};
use citystream_benches::{bare, fill, latency, oracle, overhead, recovery, table};
use clap::Parser;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Table(args) => print_table(&args),
        Command::Run { job, broker, input, machine, perf } => {
            let mut bench = bench(&machine)?;
            bench.perf = perf;
            let outcome = run_once(job, broker, &input, &bench);
            clean(&bench, machine.keep).and(outcome)
        }
        Command::Bare { job, input } => print_bare(job, &input.workload(job)),
        Command::Oracle { job, input } => {
            println!("{}", oracle::expected(job, &input.workload(job)));
            Ok(())
        }
        Command::Recovery { broker, keys, machine } => {
            let bench = bench(&machine)?;
            let outcome = recover_once(broker, keys, &bench);
            clean(&bench, machine.keep).and(outcome)
        }
        Command::Overhead { job, broker, repeats, input, machine } => {
            let bench = bench(&machine)?;
            let interval = machine.checkpoint_interval.as_deref().unwrap_or("10s");
            let outcome = compare(job, broker, interval, repeats, &input, &bench);
            clean(&bench, machine.keep).and(outcome)
        }
        Command::Latency { broker, commit_interval, records, machine } => {
            let bench = bench(&machine)?;
            let outcome = time_once(broker, &commit_interval, records, &bench);
            clean(&bench, machine.keep).and(outcome)
        }
        Command::Generate { topic, input, sha256 } => generate(topic, &input.workload(JobName::Tumble), sha256),
        Command::Fill { topic, input, brokers } => {
            let workload = input.workload(JobName::Tumble);
            println!("{}", fill::topic(&brokers, &workload, topic, &input.compression)?);
            Ok(())
        }
        Command::ServeBroker { port } => broker::serve(port),
    }
}

fn print_table(args: &TableArgs) -> Result<()> {
    let bench = bench(&args.machine)?;
    let jobs = if args.jobs.is_empty() { JobName::ALL.to_vec() } else { args.jobs.clone() };
    let sizes = jobs.iter().map(|job| (*job, args.sizes(*job))).collect();
    let brokers = args.brokers.clone();
    let compression = args.input.compression.clone();
    let plan = Plan { jobs, brokers, sizes, repeats: args.repeats(), compression };
    let results = measure::run(&plan, &bench);
    clean(&bench, args.machine.keep)?;
    println!("{}", table::markdown(&results?));
    Ok(())
}

fn run_once(job: JobName, kind: broker::Kind, input: &Input, bench: &Bench) -> Result<()> {
    let (workload, broker) = (input.workload(job), filled(job, kind, input, bench)?);
    let cost = bench.run(job, &workload, &broker)?;
    println!("{}\nns per event: {}", measure::line(job, kind, &cost), table::stages(&cost));
    for (name, cpu_s) in &cost.threads {
        println!("thread {name}: {cpu_s:.2} CPU-s");
    }
    if let Some(profile) = &cost.profile {
        println!("\n{profile}");
    }
    measure::check(cost.digest, oracle::expected(job, &workload), &format!("{job} on {kind}"))
}

/// A broker whose topics hold what `job` reads.
fn filled(job: JobName, kind: broker::Kind, input: &Input, bench: &Bench) -> Result<Running> {
    let workload = input.workload(job);
    let broker = Running::start(kind, bench.broker_core, &bench.root, &bench.folder)?;
    for topic in job.topics() {
        fill::topic(&broker.brokers, &workload, *topic, &input.compression)?;
    }
    Ok(broker)
}

fn recover_once(kind: broker::Kind, keys: u32, bench: &Bench) -> Result<()> {
    let workload = one_record_each(keys);
    let broker = Running::start(kind, bench.broker_core, &bench.root, &bench.folder)?;
    fill::topic(&broker.brokers, &workload, Topic::Flow, "lz4")?;
    let found = recovery::run(bench, &workload, &broker)?;
    println!(
        "{} keys, {:.1} MiB of state, {:.1} MiB of checkpoint: ready {:.2} s after looking for it, {:.2} s after the start",
        found.keys,
        found.state_bytes as f64 / f64::from(1 << 20),
        found.checkpoint_bytes as f64 / f64::from(1 << 20),
        found.recovery_s,
        found.ready_s
    );
    Ok(())
}

fn compare(job: JobName, kind: broker::Kind, interval: &str, repeats: u32, input: &Input, bench: &Bench) -> Result<()> {
    let (workload, broker) = (input.workload(job), filled(job, kind, input, bench)?);
    let found = overhead::run(bench, (kind, &broker), job, &workload, interval, repeats)?;
    let ((cpu, cpu_with), (wall, wall_with)) = (found.cpu_s_per_million(), found.wall_s());
    println!(
        "{job}, a checkpoint every {interval}: {cpu:.3} CPU-s per million events without, {cpu_with:.3} with ({:+.1} %); \
         {wall:.1} s without, {wall_with:.1} s with ({:+.1} %); medians of {repeats}",
        (cpu_with / cpu - 1.0) * 100.0,
        (wall_with / wall - 1.0) * 100.0
    );
    Ok(())
}

fn time_once(kind: broker::Kind, commit_interval: &str, records: usize, bench: &Bench) -> Result<()> {
    let broker = Running::start(kind, bench.broker_core, &bench.root, &bench.folder)?;
    let found = latency::run(bench, &broker, commit_interval, records)?;
    println!(
        "{} records, --commit-interval {commit_interval}: {:.0} ms (p50), {:.0} ms (p99), {:.0} ms (all)",
        found.records, found.p50_ms, found.p99_ms, found.max_ms
    );
    Ok(())
}

fn print_bare(job: JobName, workload: &Workload) -> Result<()> {
    let cost = bare::run(job, workload)?;
    let per_event = |seconds: f64| seconds / cost.events as f64 * 1e9;
    println!(
        "{job}: {} events, {:.2} M events per CPU-s, ns per event: decode {:.0}, windows {:.0}; digest {}",
        cost.events,
        cost.events as f64 / cost.cpu_s() / 1e6,
        per_event(cost.decode_s),
        per_event(cost.windows_s),
        cost.digest
    );
    measure::check(cost.digest, oracle::expected(job, workload), &format!("bare loop of {job}"))
}

/// Writes `partition TAB key TAB value` lines, or the SHA-256 of each partition's values.
fn generate(topic: Topic, workload: &Workload, sha256: bool) -> Result<()> {
    let (sensors, mut writer, mut value) = (Sensors::new(workload), Writer::default(), String::new());
    let mut hashes = vec![Sha256::new(); workload.partitions as usize];
    let mut out = BufWriter::new(std::io::stdout().lock());
    for event in Arrivals::new(workload, topic) {
        let point = event.point(&sensors);
        value.clear();
        writer.value(&event, point, &mut value);
        if sha256 {
            hashes[point.partition as usize].update(&value);
        } else {
            writeln!(out, "{}\t{}\t{value}", point.partition, String::from_utf8_lossy(&point.key))?;
        }
    }
    for (partition, hash) in hashes.into_iter().enumerate().filter(|_| sha256) {
        writeln!(out, "{partition} {}", hex(&hash.finalize()))?;
    }
    Ok(out.flush()?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where everything is; makes a folder for this process.
fn bench(machine: &Machine) -> Result<Bench> {
    let citystream = match &machine.citystream {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("citystream"),
    };
    let citystream = citystream.canonicalize().with_context(|| {
        format!("{}: no such binary; cargo build --release --workspace, or --citystream PATH", citystream.display())
    })?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let folder = machine.work_dir.join(format!("citystream-benches-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    ensure!(
        machine.engine_core != machine.broker_core || machine.one_core,
        "engine and broker share a core; --one-core"
    );
    let (engine_core, broker_core) = (machine.engine_core, machine.broker_core);
    let checkpoint_interval = machine.checkpoint_interval.clone();
    let folder = folder.canonicalize()?;
    Ok(Bench { citystream, root, folder, engine_core, broker_core, checkpoint_interval, perf: None })
}

fn clean(bench: &Bench, keep: bool) -> Result<()> {
    if keep {
        eprintln!("kept: {}", bench.folder.display());
        return Ok(());
    }
    Ok(fs::remove_dir_all(&bench.folder)?)
}
