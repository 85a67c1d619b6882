//! `citystream produce`: a file to a topic.

use crate::args::{OutputFormat, ProduceArgs};
use crate::command::Context;
use crate::config::brokers;
use crate::exit::Outcome;
use crate::inputs::lines;
use crate::load;
use crate::samples::{Pace, Sending};
use citystream_connect::kafka::{self, KafkaClient, KafkaProducer};
use citystream_model::duration::parse_duration;
use citystream_model::nearest::nearest;
use citystream_model::stream::Stream;
use citystream_model::time::micros;
use citystream_model::{Error, Result};
use citystream_runtime::start::patience::BUDGET;
use indicatif::ProgressBar;
use std::sync::Arc;

pub(crate) fn run(context: &Context, args: ProduceArgs) -> Outcome {
    let folder = context.schemas(args.schemas.clone())?;
    let schemas = load::schemas(&folder, &context.connectors, context.handle())?;
    let streams = &schemas.catalog.streams;
    let stream = streams.get(&args.stream).ok_or_else(|| {
        let near =
            nearest(&args.stream, streams.keys().map(String::as_str)).map(|near| format!("; did you mean '{near}'?"));
        Error::job(format!("no stream is called '{}' in {}{}", args.stream, folder.display(), near.unwrap_or_default()))
    })?;
    let key = key(&args, stream)?;
    let sending = Sending { stream, key, pace: pace(&args)?, shuffle: shuffle(&args)?, stop: &context.stop };
    let brokers = brokers(args.brokers.clone(), &context.config.run.brokers)?;
    let mut options = context.config.kafka.clone();
    options.extend(stream.kafka.clone());
    let client = KafkaClient::new(brokers, kafka::resolve_secrets(&options, &|name| std::env::var(name).ok())?);
    // Before the topic is made for it.
    drop(lines(&args.file, 0)?);
    let partitions = kafka::ensure_topic(&client, &stream.topic, args.partitions, BUDGET, context.handle())?;
    let bar = context.screen.progress.add(ProgressBar::new_spinner());
    let producer = KafkaProducer::open(&client)?;
    let sent = sending
        .send(&args.file, &producer, &mut |sent| bar.set_message(format!("{sent} rows sent to {}", stream.topic)))?;
    bar.finish_and_clear();
    match context.output {
        OutputFormat::Text => println!("sent {sent} rows to topic {} ({partitions} partitions)", stream.topic),
        OutputFormat::Json => {
            println!("{}", serde_json::json!({"topic": stream.topic, "partitions": partitions, "rows": sent}))
        }
    }
    Ok(())
}

fn key<'a>(args: &'a ProduceArgs, stream: &'a Arc<Stream>) -> Result<Option<&'a str>> {
    let Some(key) = &args.key else { return Ok(stream.key.as_deref()) };
    if stream.column(key).is_none() {
        let near = nearest(key, stream.columns.iter().map(|column| column.name.as_str()))
            .map(|near| format!("; did you mean '{near}'?"));
        return Err(Error::job(format!(
            "--key {key}: the stream '{}' has no such column{}",
            stream.name,
            near.unwrap_or_default()
        )));
    }
    Ok(Some(key))
}

fn pace(args: &ProduceArgs) -> Result<Pace> {
    let positive = |flag: &str, value: f64| {
        if value.is_finite() && value > 0.0 {
            Ok(value)
        } else {
            Err(Error::job(format!("--{flag}: found {value}, expected a number above 0")))
        }
    };
    match (args.rate, args.speed) {
        (Some(rate), _) => positive("rate", rate).map(Pace::Rate),
        (_, Some(speed)) => positive("speed", speed).map(Pace::Speed),
        _ => Ok(Pace::Full),
    }
}

fn shuffle(args: &ProduceArgs) -> Result<Option<(i64, u64)>> {
    let Some(text) = &args.shuffle_within else { return Ok(None) };
    let within = parse_duration(text).map_err(|error| Error::job(format!("--shuffle-within: {error}")))?;
    Ok(Some((micros(within), args.seed)))
}
