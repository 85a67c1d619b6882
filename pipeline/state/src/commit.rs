//! The commit protocol as functions of what was found: no I/O, no clock, so that a model can check it.
//!
//! ```text
//!   running job, generation 1        new instance, generation 2
//!   create manifest 17               newest is 17: create 18, a copy of 17 with generation 2   <- the claim
//!   create manifest 18: exists, generation 2  -->  fenced: it has published nothing that 18 does not hold
//! ```
//!
//! - Whoever creates the manifest of epoch *n* has decided it. A claim is an epoch like any other, so a job that was taken
//!   over cannot decide one more.
//! - Old manifests go. So whoever creates one looks for later ones after that: an instance that slept through them all finds
//!   that its epoch was decided long ago.
//! - A manifest's files are moved after it was created, and before the next one is. Whoever finds it moves them again:
//!   that changes nothing the second time.

use crate::manifest::{Duties, Manifest, Replay};
use std::collections::BTreeSet;

/// What creating a manifest came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It stands there.
    Done,
    /// Another one, or this one by a try whose answer was lost, stood there.
    Exists(Box<Manifest>),
}

/// What that means for whoever tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The epoch is decided as wanted.
    Committed,
    /// A newer instance has taken the job over: stop, for good.
    Fenced {
        /// Number of its start.
        generation: u64,
        /// Who it is.
        writer: String,
    },
    /// An older instance still runs and was quicker: look at what it decided, and claim the epoch behind that.
    Overtaken,
}

/// States that are kept: the newest, and one to fall back on.
pub const KEPT: usize = 2;

/// What the outcome of creating `ours` means.
pub fn verdict(ours: &Manifest, created: &Created) -> Verdict {
    let theirs = match created {
        Created::Done => return Verdict::Committed,
        Created::Exists(theirs) => theirs,
    };
    if **theirs == *ours {
        // S3 answers a repeated PUT that had succeeded with "exists": the one that stands there is ours.
        return Verdict::Committed;
    }
    if theirs.generation < ours.generation {
        return Verdict::Overtaken;
    }
    Verdict::Fenced { generation: theirs.generation, writer: theirs.writer.clone() }
}

/// The claim of `writer` on the job whose newest epoch is `newest`, to go on from `base`: the same state, positions and files
/// to publish. Epochs between the two are damaged: what they have published is taken back.
#[must_use]
pub fn claim(base: &Manifest, newest: u64, writer: &str, release: &str) -> Manifest {
    let damaged = newest - base.epoch.min(newest);
    let pending = base.first.take_back.clone();
    let take_back = match (damaged, pending) {
        (0, pending) => pending,
        (_, None) => Some(base.epoch + 1..newest + 1),
        (_, Some(pending)) => Some(pending.start..newest + 1),
    };
    let nothing_since = || Replay::nothing_since(base.epoch, base.watermark, &base.streams);
    Manifest {
        // Its state is that of `base`, so that another one is kept to fall back on.
        replay: base.replay.clone().or_else(|| Some(nothing_since())),
        // Each of the damaged ones may have been a claim.
        generation: base.generation + damaged + 1,
        epoch: newest + 1,
        writer: writer.to_owned(),
        release: release.to_owned(),
        first: Duties { take_back, ..base.first.clone() },
        ..base.clone()
    }
}

/// A segment below the job's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name below the job's folder.
    pub name: String,
    /// Epoch in its name.
    pub epoch: u64,
}

/// Segments that may go: none of the `kept` manifests names them, and their epoch is decided, so that none ever will.
pub fn garbage<'a>(kept: &[Manifest], segments: &'a [Stored]) -> Vec<&'a str> {
    let Some(newest) = kept.iter().map(|manifest| manifest.epoch).max() else { return Vec::new() };
    let named: BTreeSet<&str> = kept.iter().flat_map(Manifest::objects).collect();
    let over = segments.iter().filter(|segment| segment.epoch <= newest && !named.contains(segment.name.as_str()));
    over.map(|segment| segment.name.as_str()).collect()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::manifest;
    use crate::segment::RunRef;

    fn of(epoch: u64, generation: u64, writer: &str) -> Manifest {
        Manifest { epoch, generation, writer: writer.to_owned(), ..manifest() }
    }

    #[test]
    fn who_finds_what_does_what() {
        let ours = of(18, 2, "b");
        let exists = |theirs: Manifest| verdict(&ours, &Created::Exists(Box::new(theirs)));
        assert_eq!(verdict(&ours, &Created::Done), Verdict::Committed);
        assert_eq!(exists(ours.clone()), Verdict::Committed);
        assert_eq!(exists(of(18, 1, "a")), Verdict::Overtaken);
        assert_eq!(exists(of(18, 3, "c")), Verdict::Fenced { generation: 3, writer: "c".to_owned() });
        // Two that start at once claim the same generation: the one that comes second has lost.
        assert_eq!(exists(of(18, 2, "c")), Verdict::Fenced { generation: 2, writer: "c".to_owned() });
    }

    #[test]
    fn a_claim_keeps_all_but_who_and_when() {
        let newest = of(17, 1, "a");
        let newest = Manifest { first: Duties::default(), ..newest };
        let claimed = claim(&newest, 17, "b", "0.2.0");
        let claim = &claimed;
        assert_eq!((claim.epoch, claim.generation, claim.writer.as_str()), (18, 2, "b"));
        assert_eq!(
            (&claim.staged, &claim.streams, claim.watermark),
            (&newest.staged, &newest.streams, newest.watermark)
        );
        assert_eq!((claim.first.clone(), claim.sealed_in(), claim.sealed()), (Duties::default(), 17, newest.sealed()));
    }

    #[test]
    fn what_damaged_epochs_published_is_taken_back() {
        let base = Manifest { first: Duties::default(), ..of(17, 3, "a") };
        let first = claim(&base, 19, "b", "0.2.0");
        assert_eq!((first.epoch, first.generation, first.first.take_back.clone()), (20, 6, Some(18..20)));
        // Killed before it was done, and started again; then the claim's successor is damaged too.
        assert_eq!(claim(&first, 20, "c", "0.2.0").first.take_back, Some(18..20));
        assert_eq!(claim(&first, 21, "c", "0.2.0").first.take_back, Some(18..22));
    }

    #[test]
    fn what_a_kept_manifest_names_stays() {
        let run = |object: &str| RunRef {
            operator: 0,
            stage: 0,
            shard: 0,
            port: 0,
            object: object.to_owned(),
            offset: 0,
            length: 0,
            crc32c: 0,
            rows: 0,
        };
        let kept = [Manifest { runs: vec![run("3"), run("9")], ..of(9, 1, "a") }, of(10, 1, "a")];
        let stored = |name: &str, epoch: u64| Stored { name: name.to_owned(), epoch };
        // Of an epoch under way, and of one that another instance has decided otherwise.
        let segments = [stored("3", 3), stored("4", 4), stored("9", 9), stored("11", 11), stored("10-zombie", 10)];
        assert_eq!(garbage(&kept, &segments), ["4", "10-zombie"]);
        assert_eq!(garbage(&[], &segments), [""; 0]);
    }
}
