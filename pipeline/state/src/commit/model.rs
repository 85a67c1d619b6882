//! A model check of the protocol: every order in which instances of a job may take their steps, with crashes, lost
//! answers, sleepers and garbage collection; breadth first, on the functions that the engine uses.
//!
//! ```text
//!   look -> claim -> publish -> work -> create manifest -> publish -> collect -> work -> ...
//!      \______________ any number of steps of other instances in between, or the end of this one ___/
//! ```
//!
//! A manifest stands for some rows of a log, whose file it publishes. What must hold in each state: no row is
//! published twice; no row before the point that an instance goes on from is missing; and an instance at work stops only for one
//! that has taken the job over.

use super::{Created, Verdict, claim, verdict};
use crate::manifest::{Manifest, tests::manifest};
use citystream_model::StagedFile;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

/// Rows of the log.
const ROWS: u8 = 3;
/// How often the job is started.
const STARTS: u8 = 3;
/// How often an answer is lost, and how often an instance dies.
const FAULTS: u8 = 1;

/// A manifest, as far as the model looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Decided {
    epoch: u8,
    generation: u8,
    writer: u8,
    /// The file that it publishes.
    file: File,
}

/// A file: its rows, and the epoch and the writer in its name. A claim publishes that of the manifest that it goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct File {
    from: u8,
    to: u8,
    epoch: u8,
    writer: u8,
}

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum At {
    /// About to look for the newest manifest.
    Look,
    /// About to create a manifest; true for a claim.
    Create(Decided, bool),
    /// It was created, and later ones are about to be looked for.
    LookBehind(Decided, bool),
    /// Decided, and about to be published.
    Publish(Decided),
    /// Published: about to collect garbage, or to go on.
    Collect(Decided),
    /// Goes on from there.
    Work(Decided),
    /// Dead, fenced, or at the end of the log.
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct World {
    manifests: BTreeMap<u8, Decided>,
    /// Files below the table's folder.
    published: BTreeSet<File>,
    instances: Vec<At>,
    starts: u8,
    faults: u8,
    /// True once an instance at work had to stop for one that had not taken the job over from it.
    wronged: bool,
}

/// A step of the protocol, left out or done wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    /// Creating does not look for later manifests.
    NoLookBehind,
    /// Nor when the manifest was there already, by a try whose answer was lost.
    TrustsRepetition,
    /// An instance goes on from the newest manifest without claiming it.
    NoClaim,
    /// Files are published before their manifest is created.
    PublishFirst,
    /// A claim forgets the files of the manifest that it goes on from.
    ClaimForgets,
    /// Whoever finds its epoch decided by another goes on.
    NoFence,
}

fn real(of: Decided) -> Manifest {
    let file = StagedFile { from: format!("{:?}", of.file), ..manifest().staged[0].clone() };
    Manifest {
        epoch: of.epoch.into(),
        generation: of.generation.into(),
        writer: of.writer.to_string(),
        staged: vec![file],
        ..manifest()
    }
}

// === impl World ===

impl World {
    fn start() -> Self {
        Self {
            manifests: BTreeMap::new(),
            published: BTreeSet::new(),
            instances: Vec::new(),
            starts: STARTS,
            faults: FAULTS,
            wronged: false,
        }
    }

    /// Two files that hold the same row.
    fn violation(&self) -> Option<String> {
        if self.wronged {
            return Some("an instance at work was stopped by one that is no newer".to_owned());
        }
        let files: Vec<_> = self.published.iter().filter(|file| file.from < file.to).collect();
        let twice = files.windows(2).find(|pair| pair[1].from < pair[0].to);
        if let Some(pair) = twice {
            return Some(format!("rows are published twice: {pair:?}"));
        }
        // What an instance goes on from has been published, without a gap.
        let until =
            self.instances.iter().filter_map(|at| if let At::Work(from) = at { Some(from.file.to) } else { None });
        let until = until.max()?;
        let covered = files.iter().fold(0, |covered, file| if file.from == covered { file.to } else { covered });
        (covered < until).then(|| format!("rows {covered}..{until} are missing"))
    }

    /// All that may happen next.
    fn steps(&self, mutation: Mutation) -> Vec<World> {
        let mut next = Vec::new();
        if self.starts > 0 {
            let mut world = self.clone();
            world.starts -= 1;
            world.instances.push(At::Look);
            next.push(world);
        }
        for (number, at) in self.instances.iter().enumerate() {
            if *at == At::Gone {
                continue;
            }
            next.extend(self.step(number, *at, mutation));
            if self.faults > 0 {
                let mut world = self.clone();
                world.faults -= 1;
                world.instances[number] = At::Gone;
                next.push(world);
            }
        }
        next
    }

    fn step(&self, number: usize, at: At, mutation: Mutation) -> Vec<World> {
        let mut world = self.clone();
        let here = u8::try_from(number).unwrap();
        let mut also = Vec::new();
        world.instances[number] = match at {
            At::Look => match world.manifests.last_key_value() {
                None => {
                    let file = File { from: 0, to: 0, epoch: 1, writer: here };
                    let first = Decided { epoch: 1, generation: 1, writer: here, file };
                    At::Create(first, true)
                }
                Some((_, newest)) if mutation == Mutation::NoClaim => At::Publish(*newest),
                Some((_, newest)) => {
                    let claimed = claim(&real(*newest), newest.epoch.into(), &here.to_string(), "0.1.0");
                    let (epoch, generation) = (claimed.epoch as u8, claimed.generation as u8);
                    let mut file = newest.file;
                    if mutation == Mutation::ClaimForgets {
                        file.from = file.to;
                    }
                    At::Create(Decided { epoch, generation, writer: here, file }, true)
                }
            },
            At::Create(ours, is_claim) => {
                if mutation == Mutation::PublishFirst {
                    world.published.insert(ours.file);
                }
                match world.manifests.get(&ours.epoch).copied() {
                    Some(theirs) if theirs == ours && mutation != Mutation::TrustsRepetition => {
                        At::LookBehind(ours, is_claim)
                    }
                    Some(theirs) => world.judge(ours, &Created::Exists(Box::new(real(theirs))), is_claim, mutation),
                    None => {
                        world.manifests.insert(ours.epoch, ours);
                        if world.faults > 0 {
                            // The answer is lost: it is tried again.
                            let mut lost = world.clone();
                            lost.faults -= 1;
                            lost.instances[number] = At::Create(ours, is_claim);
                            also.push(lost);
                        }
                        At::LookBehind(ours, is_claim)
                    }
                }
            }
            At::LookBehind(ours, is_claim) => match world.manifests.last_key_value() {
                Some((newest, theirs)) if *newest > ours.epoch && mutation != Mutation::NoLookBehind => {
                    let theirs = Created::Exists(Box::new(real(*theirs)));
                    world.judge(ours, &theirs, is_claim, mutation)
                }
                _ => world.judge(ours, &Created::Done, is_claim, mutation),
            },
            At::Publish(decided) => {
                world.published.insert(decided.file);
                At::Collect(decided)
            }
            At::Collect(decided) => {
                let mut skipped = world.clone();
                skipped.instances[number] = At::Work(decided);
                also.push(skipped);
                while world.manifests.len() > super::KEPT {
                    world.manifests.pop_first();
                }
                At::Work(decided)
            }
            At::Work(from) if from.file.to < ROWS => {
                let (epoch, to) = (from.epoch + 1, from.file.to + 1);
                let file = File { from: from.file.to, to, epoch, writer: here };
                At::Create(Decided { epoch, writer: here, file, ..from }, false)
            }
            At::Work(_) | At::Gone => At::Gone,
        };
        also.push(world);
        also
    }

    fn judge(&mut self, ours: Decided, created: &Created, is_claim: bool, mutation: Mutation) -> At {
        let verdict = verdict(&real(ours), created);
        let is_newer = matches!(verdict, Verdict::Fenced { generation, .. } if generation > ours.generation.into());
        self.wronged |= !is_claim && !is_newer && verdict != Verdict::Committed;
        match verdict {
            Verdict::Committed => At::Publish(ours),
            Verdict::Overtaken if is_claim => At::Look,
            _ if mutation == Mutation::NoFence => At::Publish(ours),
            Verdict::Overtaken | Verdict::Fenced { .. } => At::Gone,
        }
    }
}

/// Looks at every state; the first violation, or the number of states.
fn check(mutation: Mutation) -> Result<usize, String> {
    let mut seen = HashSet::from([World::start()]);
    let mut queue = VecDeque::from([World::start()]);
    while let Some(world) = queue.pop_front() {
        if let Some(found) = world.violation() {
            return Err(format!("{found} in {world:?}"));
        }
        for next in world.steps(mutation) {
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn no_row_is_published_twice_or_lost() {
    let states = check(Mutation::None).unwrap();
    assert!(states > 10_000, "only {states} states");
}

#[test]
fn every_step_is_needed() {
    use Mutation::{ClaimForgets, NoClaim, NoFence, NoLookBehind, PublishFirst, TrustsRepetition};
    for mutation in [NoLookBehind, TrustsRepetition, NoClaim, PublishFirst, ClaimForgets, NoFence] {
        assert!(check(mutation).is_err(), "{mutation:?} does no harm");
    }
}
