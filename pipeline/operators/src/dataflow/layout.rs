//! Where the nodes of a plan run: stages with exchanges between them, each stage on every shard.
//!
//! ```text
//!   plan            stage 0, by partition of the source        stage 1, by key
//!   calc            calc
//!   pane    --->    pane: states of closed panes   --keys-->   pane: states to results
//!   output                                                     output
//! ```
//!
//! On one shard everything is one stage. What needs all rows in one place runs on the first shard of its stage.

use super::exchange::By;
use crate::graph::{Blueprint, Reader};
use crate::pane::Phase;
use crate::plan::{Input, KeyRole, NodeKind, PaneSpec, Route, StreamPlan};

/// What runs where.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) stages: Vec<Stage>,
    /// Per node of the plan: where its state is restored.
    pub(crate) owners: Vec<Owner>,
}

/// The operators of a stage; every shard has them all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage {
    pub(crate) blueprints: Vec<Blueprint>,
    /// Who reads each entry; those of the first stage are the streams.
    pub(crate) entries: Vec<Vec<Reader>>,
    pub(crate) exits: Vec<Exit>,
}

/// Where rows go that leave a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) by: By,
    /// A later stage and its entry; `None` for results of the job.
    pub(crate) to: Option<(usize, usize)>,
}

/// An operator that a node of the plan keeps its state in, and how the state finds its shard: one way per port.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) stage: usize,
    pub(crate) at: usize,
    pub(crate) by: Vec<By>,
}

/// Where rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    stage: usize,
    /// Operator of the stage that they come from, or the stream.
    from: From,
    /// True when all are on the first shard.
    is_one: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Stream(usize),
    Operator(usize),
}

// === impl Layout ===

impl Layout {
    /// All of `plan` in one stage, for a job that runs on one shard.
    pub(crate) fn single(plan: &StreamPlan, streams: usize) -> Self {
        let mut layout = Self::new(streams);
        let mut places = Vec::new();
        for at in 0..plan.nodes.len() {
            let ports = places_of(plan, at, &places, true);
            let place = layout.add(at, Phase::Whole, 0, &ports, &vec![By::Shard; ports.len()], true);
            layout.own(place, vec![By::First; ports.len()]);
            places.push(place);
        }
        layout.finish(places.last())
    }

    /// `plan` over several shards. `by_record_key`: streams are partitioned as their keys say.
    pub(crate) fn parallel(plan: &StreamPlan, streams: usize, by_record_key: bool) -> Self {
        let mut layout = Self::new(streams);
        let mut places = Vec::new();
        for (at, node) in plan.nodes.iter().enumerate() {
            let ports = places_of(plan, at, &places, false);
            let furthest = ports.iter().map(|port| port.stage).max().unwrap_or_default();
            let is_one = ports.iter().all(|port| port.is_one);
            let stays = is_one || needs_no_exchange(&node.route, by_record_key);
            let place = match &node.kind {
                NodeKind::Pane(spec) if !stays => {
                    let partial = layout.add(at, Phase::Partial, furthest, &ports, &[By::Shard], false);
                    let by = by_keys(spec);
                    let is_one = by == By::First;
                    let merged =
                        layout.add(at, Phase::Final, furthest + 1, &[partial], std::slice::from_ref(&by), is_one);
                    layout.own(merged, vec![by]);
                    merged
                }
                _ => {
                    let by = ways(&node.route, &ports, stays);
                    let moves = by.iter().any(|by| *by != By::Shard);
                    let stage = furthest + usize::from(moves);
                    let is_one = is_one || by.contains(&By::First);
                    let place = layout.add(at, Phase::Whole, stage, &ports, &by, is_one);
                    layout.own(place, owners_ways(plan, at, is_one));
                    place
                }
            };
            places.push(place);
        }
        layout.finish(places.last())
    }

    fn new(streams: usize) -> Self {
        let first = Stage { entries: vec![Vec::new(); streams], ..Stage::default() };
        Self { stages: vec![first], owners: Vec::new() }
    }

    /// Adds an operator whose ports read from `ports`, by the ways of `by`.
    fn add(&mut self, node: usize, phase: Phase, stage: usize, ports: &[Place], by: &[By], is_one: bool) -> Place {
        while self.stages.len() <= stage {
            self.stages.push(Stage::default());
        }
        let at = self.stages[stage].blueprints.len();
        // Whoever reads it says so later.
        self.stages[stage].blueprints.push(Blueprint { node, phase, reader: Reader::Exit(usize::MAX) });
        for (port, (from, by)) in ports.iter().zip(by).enumerate() {
            let reader = Reader::Node(at, port);
            if from.stage == stage && *by == By::Shard {
                self.read(*from, reader);
                continue;
            }
            let entry = self.stages[stage].entries.len();
            self.stages[stage].entries.push(vec![reader]);
            self.leave(*from, Exit { by: by.clone(), to: Some((stage, entry)) });
        }
        Place { stage, from: From::Operator(at), is_one }
    }

    fn read(&mut self, from: Place, reader: Reader) {
        let stage = &mut self.stages[from.stage];
        match from.from {
            From::Stream(stream) => stage.entries[stream].push(reader),
            From::Operator(at) => stage.blueprints[at].reader = reader,
        }
    }

    fn leave(&mut self, from: Place, exit: Exit) {
        let number = self.stages[from.stage].exits.len();
        self.stages[from.stage].exits.push(exit);
        self.read(from, Reader::Exit(number));
    }

    fn own(&mut self, place: Place, by: Vec<By>) {
        if let From::Operator(at) = place.from {
            self.owners.push(Owner { stage: place.stage, at, by });
        }
    }

    /// The last operator's rows are the job's results.
    fn finish(mut self, last: Option<&Place>) -> Self {
        if let Some(last) = last {
            self.leave(*last, Exit { by: By::Shard, to: None });
        }
        self
    }
}

/// Where the inputs of node `at` come from.
fn places_of(plan: &StreamPlan, at: usize, places: &[Place], is_one: bool) -> Vec<Place> {
    let place = |input: &Input| match *input {
        Input::Stream(stream) => Place { stage: 0, from: From::Stream(stream), is_one },
        Input::Node(node) => places[node],
    };
    plan.nodes[at].inputs.iter().map(place).collect()
}

fn needs_no_exchange(route: &Route, trusted: bool) -> bool {
    match route {
        Route::Stay => true,
        Route::Keys { by_record_key, .. } => *by_record_key && trusted,
        Route::One => false,
    }
}

/// How rows get to an operator from each of its ports.
fn ways(route: &Route, ports: &[Place], stays: bool) -> Vec<By> {
    let together = ports.iter().all(|port| port.is_one) || ports.iter().all(|port| !port.is_one);
    match route {
        _ if stays && together => vec![By::Shard; ports.len()],
        Route::Keys { columns, .. } => columns.iter().cloned().map(By::Columns).collect(),
        Route::Stay | Route::One => vec![By::First; ports.len()],
    }
}

/// How the state of node `at` finds its shard.
fn owners_ways(plan: &StreamPlan, at: usize, is_one: bool) -> Vec<By> {
    let node = &plan.nodes[at];
    match (&node.kind, &node.route) {
        _ if is_one => vec![By::First; node.inputs.len()],
        (NodeKind::Pane(spec), _) => vec![by_keys(spec)],
        (NodeKind::SessionPane(spec), _) => vec![By::Columns((0..keys_of(&spec.groups, KeyRole::OfPane)).collect())],
        (_, Route::Keys { columns, .. }) => columns.iter().cloned().map(By::Columns).collect(),
        _ => vec![By::First; node.inputs.len()],
    }
}

/// States of panes go by their keys, which are their first columns.
fn by_keys(spec: &PaneSpec) -> By {
    let keys = keys_of(spec, KeyRole::Key);
    if keys == 0 { By::First } else { By::Columns((0..keys).collect()) }
}

fn keys_of(spec: &PaneSpec, of: KeyRole) -> usize {
    spec.keys.iter().filter(|(_, role)| *role == of).count()
}
