//! `citystream checkpoints`: what a job could go on from, every object read and verified.

use crate::args::{CheckpointsArgs, OutputFormat};
use crate::command::Context;
use crate::config::required;
use crate::exit::Outcome;
use citystream_connect::files::open_store;
use citystream_model::duration::format_size;
use citystream_model::time::format_time;
use citystream_model::{Error, Result};
use citystream_state::{CheckpointStore, Manifest, commit, is_damage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A checkpoint and what was found wrong with it.
struct Verified {
    epoch: u64,
    manifest: Option<Manifest>,
    damage: Option<String>,
}

pub(crate) fn run(context: &Context, args: CheckpointsArgs) -> Outcome {
    let written = required(args.checkpoint_dir, &context.config.run.checkpoint_dir, "checkpoint-dir")?;
    if !written.contains("://") && !std::path::Path::new(&written).is_dir() {
        return Err(Error::job(format!("checkpoint folder '{written}': there is no such folder")).into());
    }
    let (store, prefix) = open_store(&written)?;
    let folder = CheckpointStore::new(store, &prefix, &args.job, &written);
    let found = context.handle().block_on(verify(&folder))?;
    if found.is_empty() {
        return Err(Error::job(format!("job '{}' has no checkpoint in '{written}'", args.job)).into());
    }
    match context.output {
        OutputFormat::Json => println!("{}", Value::from(found.iter().map(as_json).collect::<Vec<_>>())),
        OutputFormat::Text => print!("{}", as_text(&found)),
    }
    let usable = found.iter().any(|checkpoint| checkpoint.damage.is_none());
    let none = || Error::unavailable(format!("no checkpoint of job '{}' can be used", args.job)).permanent();
    if usable { Ok(()) } else { Err(none().into()) }
}

/// Reads all that the kept checkpoints need, each state once; the newest first.
async fn verify(folder: &CheckpointStore) -> Result<Vec<Verified>> {
    let (mut verified, mut states) = (Vec::new(), BTreeMap::new());
    for epoch in folder.epochs().await?.into_iter().rev() {
        let manifest = match folder.find(epoch).await {
            Err(error) if is_damage(&error) => {
                verified.push(Verified { epoch, manifest: None, damage: Some(error.to_string()) });
                continue;
            }
            found => found?,
        };
        let Some(manifest) = manifest else { continue };
        let damage: &Option<String> = match states.entry(manifest.sealed_in()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(match folder.read(&manifest.runs).await {
                Err(error) if is_damage(&error) => Some(error.to_string()),
                read => read.map(|_| None)?,
            }),
        };
        let damage = damage.clone();
        verified.push(Verified { epoch, manifest: Some(manifest), damage });
    }
    Ok(verified)
}

fn as_json(checkpoint: &Verified) -> Value {
    let Verified { epoch, manifest, damage } = checkpoint;
    let manifest = manifest.as_ref().map(|manifest| serde_json::to_value(manifest).unwrap_or_default());
    json!({"epoch": epoch, "usable": damage.is_none(), "damage": damage, "manifest": manifest})
}

fn as_text(found: &[Verified]) -> String {
    let mut text = String::new();
    for Verified { epoch, manifest, damage } in found {
        let state = damage.as_ref().map_or_else(|| "good".to_owned(), |damage| format!("damaged: {damage}"));
        text.push_str(&format!("epoch {epoch}  {state}\n"));
        if let Some(manifest) = manifest {
            text.push_str(&lines(manifest));
        }
    }
    text.push_str(&format!(
        "A job keeps its {} newest states with the epochs since, and goes on from the newest good one.\n",
        commit::KEPT
    ));
    text
}

fn lines(manifest: &Manifest) -> String {
    let Manifest { identity, generation, writer, release, tables, layout, watermark, streams, runs, staged, .. } =
        manifest;
    let bytes: u64 = runs.iter().map(|run| run.length).sum();
    let rows: u64 = runs.iter().map(|run| run.rows).sum();
    let watermark = watermark.map_or_else(|| "none".to_owned(), format_time);
    let mut text = format!(
        "  start {generation} of job id {identity}, process {writer}, release {release}, {layout}\n  watermark {watermark}\n  \
         state {} in {} runs, {rows} rows\n  published {} files\n",
        format_size(bytes),
        runs.len(),
        staged.len(),
    );
    if let Some(replay) = manifest.to_replay() {
        let rows: u64 = replay.admitted.iter().sum();
        let sealed_in = replay.sealed_in;
        text.push_str(&format!(
            "  the state is that of epoch {sealed_in}; a start reads {rows} rows since then again\n"
        ));
    }
    for (table, hash) in tables {
        text.push_str(&format!("  reference table {table} with rows {hash}\n"));
    }
    for stream in streams {
        let offsets = stream.partitions.iter().map(|(partition, at)| format!("{partition}: {}", at.offset));
        text.push_str(&format!("  {} next offsets {}\n", stream.stream, offsets.collect::<Vec<_>>().join(", ")));
    }
    text
}
