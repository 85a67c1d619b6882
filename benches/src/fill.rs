//! Writes a workload's topics, through our own producer.

use crate::arrivals::Arrivals;
use crate::record::Writer;
use crate::sensors::Sensors;
use crate::workload::{Topic, Workload};
use anyhow::{Context, Result, bail};
use citystream_connect::KafkaProducer;
use citystream_connect::kafka::{self, KafkaClient};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long brokers may take to answer.
const BUDGET: Duration = Duration::from_secs(60);

/// Creates the topic and sends every record, each to the partition that murmur2 gives its key; returns the topic's name.
///
/// # Errors
/// Brokers that do not answer; a topic of this name that is there already.
pub fn topic(brokers: &str, workload: &Workload, topic: Topic, compression: &str) -> Result<String> {
    let options = [
        ("compression.type", compression),
        // Full batches, as a busy producer sends them.
        ("linger.ms", "50"),
        ("batch.num.messages", "10000"),
    ];
    let options: BTreeMap<_, _> = options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let client = KafkaClient::new(brokers, kafka::resolve_secrets(&options, &|_| None)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let name = topic.name(workload);
    if kafka::topic_exists(&client, &name, BUDGET)? {
        bail!("topic {name} exists on {brokers}: delete it, or measure on a broker of its own");
    }
    kafka::ensure_topic(&client, &name, workload.partitions as usize, BUDGET, runtime.handle())?;
    let producer = KafkaProducer::open(&client)?;
    let (sensors, mut writer, mut value) = (Sensors::new(workload), Writer::default(), String::new());
    for event in Arrivals::new(workload, topic) {
        let point = event.point(&sensors);
        value.clear();
        writer.value(&event, point, &mut value);
        let partition = i32::try_from(point.partition)?;
        let (key, at) = (Some(&point.key[..]), Some(event.event_time_ms));
        producer.send(&name, Some(partition), key, Some(value.as_bytes()), &[], at)?;
    }
    producer.flush(BUDGET).with_context(|| format!("topic {name}"))?;
    Ok(name)
}
