//! How long a record takes from its producer to a reader of committed records, through a job that commits in transactions.

use crate::broker::{Running, pinned};
use crate::engine::{Bench, free_address};
use crate::recovery::{Alive, spawn};
use crate::stages;
use anyhow::{Context, Result, ensure};
use citystream_connect::kafka::{self, KafkaClient};
use citystream_connect::{KafkaProducer, KafkaSource, Source, SourceEvent};
use citystream_model::position::StartFrom;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// How long brokers may take to answer.
const BUDGET: Duration = Duration::from_secs(60);
/// Time between two records.
const GAP: Duration = Duration::from_millis(5);
/// Records that are sent before any counts: the first transactions open sessions.
const WARM_UP: usize = 400;

/// What was measured, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// Records that count.
    pub records: usize,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// Ninety-nine of a hundred took no longer.
    pub p99_ms: f64,
    /// None took longer.
    pub max_ms: f64,
}

/// Sends `records` records one by one through a job without a window, and times each.
///
/// # Errors
/// The engine fails, or a record does not arrive.
pub fn run(bench: &Bench, broker: &Running, commit_interval: &str, records: usize) -> Result<Latency> {
    let client = KafkaClient::new(
        &*broker.brokers,
        kafka::resolve_secrets(&BTreeMap::from([("linger.ms".into(), "0".into())]), &|_| None)?,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for topic in ["pulse", "pulse.out"] {
        kafka::ensure_topic(&client, topic, 1, BUDGET, runtime.handle())?;
    }
    let schema = bench.folder.join("schemas/pulse");
    fs::create_dir_all(&schema)?;
    fs::write(
        schema.join("stream.sql"),
        "CREATE UNBOUNDED EXTERNAL TABLE pulse (n BIGINT NOT NULL, at TIMESTAMP NOT NULL) STORED AS KAFKA LOCATION 'pulse'\n\
         OPTIONS ('format' 'json', 'time.column' 'at');\n",
    )?;
    let job = bench.folder.join("pulse.sql");
    fs::write(&job, "CREATE MATERIALIZED VIEW pulse_out WITH (sink = 'kafka:pulse.out') AS SELECT n FROM pulse;\n")?;
    let (address, data) = (free_address()?, bench.folder.join("data"));
    let mut command = pinned(bench.engine_core, &bench.citystream);
    command.arg("run").arg(&job).arg("--schemas").arg(bench.folder.join("schemas")).arg("--data-dir").arg(&data);
    command.args(["--brokers", &broker.brokers, "--log-level", "warn", "--metrics-addr", &address.to_string()]);
    command.arg("--checkpoint-dir").arg(data.join("_checkpoints")).args(["--commit-interval", commit_interval]);
    let mut engine = Alive(spawn(command, &bench.folder)?);
    engine.until("the job is ready", || stages::sum(address, "citystream_recovery_seconds").filter(|s| *s > 0.0))?;
    let source = KafkaSource::open(&client, "pulse.out", &StartFrom::Earliest, BUDGET)?;
    let took = send_and_time(&KafkaProducer::open(&client)?, source, WARM_UP + records)?;
    let mut took: Vec<f64> = took.into_iter().skip(WARM_UP).map(|time| time.as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
    Ok(Latency { records: took.len(), p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) })
}

/// Sends records one by one, reading meanwhile; the time that each took.
fn send_and_time(producer: &KafkaProducer, mut source: KafkaSource, records: usize) -> Result<Vec<Duration>> {
    let (mut sent, mut took) = (Vec::with_capacity(records), vec![None; records]);
    let (begun, mut missing) = (Instant::now(), records);
    while missing > 0 {
        if sent.len() < records && begun.elapsed() >= GAP * u32::try_from(sent.len())? {
            let value = format!(r#"{{"n":{},"at":"2026-03-29T05:00:00Z"}}"#, sent.len());
            sent.push(Instant::now());
            producer.send("pulse", Some(0), None, Some(value.as_bytes()), &[], None)?;
            producer.flush(BUDGET)?;
        }
        for event in source.poll(1_000, Duration::from_millis(1))? {
            let SourceEvent::Records { records, .. } = event else { continue };
            for record in records.to_vec() {
                let value: Value = serde_json::from_slice(&record.value.context("a tombstone")?)?;
                let number = value["n"].as_u64().and_then(|n| usize::try_from(n).ok()).context("a number")?;
                ensure!(took[number].is_none(), "record {number} came twice");
                took[number] = Some(sent[number].elapsed());
                missing -= 1;
            }
        }
        ensure!(begun.elapsed() < BUDGET + GAP * u32::try_from(records)?, "{missing} records did not arrive");
    }
    Ok(took.into_iter().flatten().collect())
}
