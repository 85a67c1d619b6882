//! Manifests: all that an epoch is. One text object each, for people to read and for machines to trust.
//!
//! ```text
//!   citystream-manifest 3 crc32c 9ae0daaf
//!   { "job": "corridor_flow_5m", "epoch": 17, "watermark": ..., "streams": [...], "runs": [...], "staged": [...] }
//! ```

use crate::damage::damaged;
use crate::segment::RunRef;
use citystream_model::time::Micros;
use citystream_model::{Error, Result, StagedFile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Version of the format that this release writes. It reads this one and all before it.
pub const VERSION: u32 = 3;
/// First word of a manifest.
const MAGIC: &str = "citystream-manifest";

/// One epoch of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// Drawn with the job's first epoch: the same name in another folder is another job.
    pub identity: String,
    /// Counts the starts of the job.
    pub generation: u64,
    /// Drawn by the process that wrote it.
    pub writer: String,
    /// Number of the epoch; the first is 1.
    pub epoch: u64,
    /// Release that wrote it.
    pub release: String,
    /// What the state depends on, part by part (query, streams, ...), each as a short hash: it fits no other plan.
    pub plan: BTreeMap<String, String>,
    /// The reference tables in use from here on, each with a hash of its rows.
    pub tables: BTreeMap<String, String>,
    /// How the job's work was laid out over shards.
    pub layout: String,
    /// The job's watermark, microseconds; `None` before the first row.
    pub watermark: Option<Micros>,
    /// How far each stream was read.
    pub streams: Vec<StreamProgress>,
    /// The state, as it is at the end of this epoch or, with a replay, as it was before.
    pub runs: Vec<RunRef>,
    /// How the state of an earlier epoch becomes that of this one; `None` where `runs` are this epoch's own.
    #[serde(default)]
    pub replay: Option<Replay>,
    /// By sink, the newest epoch that had published something before these files.
    #[serde(default)]
    pub published: BTreeMap<String, u64>,
    /// The epoch that staged the files: this one, or the one that a claim goes on from.
    pub staged_in: u64,
    /// Files that it publishes: they are complete, and only have to be published.
    pub staged: Vec<StagedFile>,
    /// What whoever goes on from it does before anything else.
    pub first: Duties,
}

/// What is to be done once before a job goes on; doing it again does no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duties {
    /// The tables of the job are emptied: it is new, and was asked to replace them.
    pub clear: bool,
    /// What these epochs have published is taken back: their checkpoints are damaged, and their rows come again.
    pub take_back: Option<Range<u64>>,
}

/// Rows to read again, so that a state that was sealed becomes that of a later epoch. Their results are out already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The epoch that sealed the state.
    pub sealed_in: u64,
    /// The job's watermark then.
    pub watermark: Option<Micros>,
    /// How far each stream was read then: from here it is read again, up to where the manifest's own streams end.
    pub streams: Vec<StreamProgress>,
    /// Rows admitted since, by stream: as many have to come again.
    pub admitted: Vec<u64>,
    /// Heartbeats since, in the order of their positions within each partition.
    pub heartbeats: Vec<ReplayedBeat>,
    /// Latest wall clock at which rows since were judged, microseconds: one that is behind the records rejects more of them.
    pub clock: Micros,
}

/// A heartbeat, and where in its partition it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayedBeat {
    /// The stream, by its place in the manifest.
    pub stream: usize,
    /// The partition.
    pub partition: i32,
    /// Behind all records below this offset, before those at and above.
    pub offset: i64,
    /// The largest event time of the partition from then on, microseconds.
    pub newest: Micros,
}

/// How far a stream was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamProgress {
    /// The stream's name.
    pub stream: String,
    /// By partition.
    pub partitions: BTreeMap<i32, PartitionProgress>,
    /// Rules that explain where all rows stand, by the stream's key; `None` where nobody asked.
    pub key_rules: Option<Vec<String>>,
}

/// How far a partition was read, and what its gate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionProgress {
    /// Next offset to read.
    pub offset: i64,
    /// Largest event time, raised by heartbeats, microseconds.
    pub newest: Option<Micros>,
    /// Time of the newest row, and how far it lay behind its record time, microseconds.
    pub newest_row: Option<(Micros, Micros)>,
}

// === impl Replay ===

impl Replay {
    /// Nothing to read again behind the seal of epoch `sealed_in`, which had this watermark and progress.
    pub fn nothing_since(sealed_in: u64, watermark: Option<Micros>, streams: &[StreamProgress]) -> Self {
        let admitted = vec![0; streams.len()];
        Self { sealed_in, watermark, streams: streams.to_vec(), admitted, heartbeats: Vec::new(), clock: Micros::MIN }
    }
}

// === impl Manifest ===

impl Manifest {
    /// The object's text.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Internal`] when it cannot be written as JSON.
    pub fn encode(&self) -> Result<String> {
        let body = serde_json::to_string_pretty(self).map_err(|error| Error::internal("manifest").caused_by(error))?;
        Ok(format!("{}\n{body}\n", first_line(VERSION, &body)))
    }

    /// Reads an object's bytes; `name` is for messages.
    ///
    /// # Errors
    /// [`citystream_model::ErrorKind::Unavailable`], permanent: it is damaged. [`citystream_model::ErrorKind::Job`]: a
    /// newer release wrote it, or it is no manifest at all.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = |found: String| damaged(&format!("{name}: {found}"));
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("no text".to_owned()))?;
        let (head, body) = text.split_once('\n').ok_or_else(|| damaged("no first line".to_owned()))?;
        let mut words = head.split(' ');
        let foreign = || Error::job(format!("{name}: found '{head}', expected a manifest of citystream"));
        if words.next() != Some(MAGIC) {
            return Err(damaged(format!("it begins with '{}'", head.chars().take(40).collect::<String>())));
        }
        let version = words.next().and_then(|word| word.parse::<u32>().ok()).filter(|version| *version > 0);
        let version = version.ok_or_else(foreign)?;
        if version > VERSION {
            let message =
                format!("{name}: found format {version}, expected at most {VERSION}; a newer release wrote it");
            return Err(Error::job(message));
        }
        let body = body.strip_suffix('\n').ok_or_else(|| damaged("its end is missing".to_owned()))?;
        let expected = first_line(version, body);
        if head != expected {
            return Err(damaged(format!("found '{head}', expected '{expected}'")));
        }
        serde_json::from_str(body).map_err(|error| damaged("not as written".to_owned()).caused_by(error))
    }

    /// The epoch that sealed the state that it goes on from.
    pub fn sealed_in(&self) -> u64 {
        self.replay.as_ref().map_or(self.epoch, |replay| replay.sealed_in)
    }

    /// The watermark and the streams' progress that `runs` belong to.
    pub fn sealed(&self) -> (Option<Micros>, &[StreamProgress]) {
        match &self.replay {
            Some(replay) => (replay.watermark, &replay.streams),
            None => (self.watermark, &self.streams),
        }
    }

    /// What a start has to read again before it goes on, if there is something.
    pub fn to_replay(&self) -> Option<&Replay> {
        let now = (self.watermark, &self.streams);
        self.replay.as_ref().filter(|replay| (replay.watermark, &replay.streams) != now)
    }

    /// What has been published once its own files are, by sink.
    pub fn published_with_staged(&self) -> BTreeMap<String, u64> {
        let staged = self.staged.iter().map(|file| (file.sink.clone(), self.staged_in));
        self.published.clone().into_iter().chain(staged).collect()
    }

    /// Objects that it needs beside itself.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().map(|run| run.object.as_str())
    }
}

fn first_line(version: u32, body: &str) -> String {
    let head = format!("{MAGIC} {version}");
    // The first formats left their own number out.
    let of_head = if version < 3 { 0 } else { crc32c::crc32c(head.as_bytes()) };
    format!("{head} crc32c {:08x}", crc32c::crc32c_append(of_head, body.as_bytes()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn manifest() -> Manifest {
        let progress = PartitionProgress { offset: 42, newest: Some(-5), newest_row: Some((-5, 7)) };
        let empty = PartitionProgress { offset: 0, newest: None, newest_row: None };
        Manifest {
            job: "corridor_flow".to_owned(),
            identity: "5f3a".to_owned(),
            generation: 2,
            writer: "w1".to_owned(),
            epoch: 17,
            release: "0.1.0".to_owned(),
            plan: [("query".to_owned(), "ab12".to_owned())].into(),
            tables: [("zones".to_owned(), "cd34".to_owned())].into(),
            layout: "2 shards".to_owned(),
            watermark: Some(1_774_760_400_000_000),
            streams: vec![StreamProgress {
                stream: "loops".to_owned(),
                partitions: [(0, progress), (1, empty)].into(),
                key_rules: Some(vec!["murmur2".to_owned()]),
            }],
            runs: Vec::new(),
            replay: None,
            published: BTreeMap::new(),
            staged_in: 16,
            staged: vec![StagedFile {
                sink: "parquet:corridor_flow".to_owned(),
                from: "_staging/17-w1-0.parquet".to_owned(),
                to: "day=2026-03-29/part-5f3a-17-0.parquet".to_owned(),
                rows: 12,
                bytes: 3_400,
                entry: None,
            }],
            first: Duties { clear: true, take_back: Some(14..16) },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = manifest().encode().unwrap();
        assert!(text.starts_with("citystream-manifest 3 crc32c "), "{text}");
        assert_eq!(Manifest::decode("m", text.as_bytes()).unwrap(), manifest());
    }

    #[test]
    fn damage_and_foreign_files_are_refused() {
        let text = manifest().encode().unwrap();
        for at in 0..text.len() {
            let mut bad = text.clone().into_bytes();
            bad[at] ^= 1;
            assert!(Manifest::decode("manifest/17.json", &bad).is_err(), "byte {at}");
        }
        assert!(Manifest::decode("m", &text.as_bytes()[..text.len() / 2]).is_err());
        assert!(Manifest::decode("m", b"").is_err());
        let newer = text.replacen("manifest 3", "manifest 4", 1);
        let error = Manifest::decode("manifest/17.json", newer.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "manifest/17.json: found format 4, expected at most 3; a newer release wrote it");
    }

    fn light() -> Manifest {
        let beat = ReplayedBeat { stream: 0, partition: 1, offset: 7, newest: 5_000_000 };
        let replay = Replay {
            sealed_in: 14,
            watermark: None,
            streams: manifest().streams,
            admitted: vec![12],
            heartbeats: vec![beat],
            clock: 1_774_760_400_000_001,
        };
        Manifest { replay: Some(replay), ..manifest() }
    }

    fn with_published() -> Manifest {
        let published = [("delta:corridor_flow", 12), ("parquet:corridor_flow", 15)];
        Manifest { published: published.map(|(sink, epoch)| (sink.to_owned(), epoch)).into(), ..light() }
    }

    #[test]
    fn what_is_staged_has_been_published_then() {
        let published = with_published().published_with_staged();
        assert_eq!(
            published,
            [("delta:corridor_flow".to_owned(), 12), ("parquet:corridor_flow".to_owned(), 16)].into()
        );
    }

    /// Each written by a release. They have to be read by every later one: never change one, add the next beside it.
    #[test]
    fn the_formats_of_all_releases_are_read() {
        let text = include_str!("../tests/manifests/v1.json");
        assert_eq!(Manifest::decode("v1.json", text.as_bytes()).unwrap(), manifest());
        let text = include_str!("../tests/manifests/v2.json");
        assert_eq!(Manifest::decode("v2.json", text.as_bytes()).unwrap(), light());
        let text = include_str!("../tests/manifests/v3.json");
        assert_eq!(Manifest::decode("v3.json", text.as_bytes()).unwrap(), with_published());
        assert_eq!((manifest().sealed_in(), light().sealed_in()), (17, 14));
    }
}
