//! Where operators run, as text.

use super::exchange::By;
use super::layout::Layout;
use crate::graph::Reader;
use crate::pane::Phase;
use crate::plan::{FragmentPlan, Input, Keeps, KeyRole, NodeKind, OutputSpec, PaneSpec, PlanNode, Route, StreamPlan};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{LogicalPlanBuilder, col};
use std::sync::Arc;

fn calc(inputs: Vec<Input>) -> PlanNode {
    let plan = LogicalPlanBuilder::empty(false).build().unwrap();
    let kind = NodeKind::Stateless(FragmentPlan { plan, feeds: Vec::new() });
    PlanNode { name: "calc".to_owned(), inputs, kind, route: Route::Stay }
}

fn pane(input: Input, by_record_key: bool) -> PlanNode {
    let fields = ["k", "end"].map(|name| Field::new(name, DataType::Int64, false));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let spec = PaneSpec {
        input: Arc::new(DFSchema::try_from(schema.as_ref().clone()).unwrap()),
        keys: vec![(col("k"), KeyRole::Key), (col("end"), KeyRole::OfPane)],
        aggregates: Vec::new(),
        overlap: None,
        schema,
        telling: vec![1],
        revises: None,
    };
    let route = Route::Keys { columns: Vec::new(), by_record_key };
    PlanNode { name: "pane".to_owned(), inputs: vec![input], kind: NodeKind::Pane(spec), route }
}

fn over(inputs: Vec<Input>, route: Route) -> PlanNode {
    let plan = LogicalPlanBuilder::empty(false).build().unwrap();
    let kind =
        NodeKind::ClosedWindow { fragment: FragmentPlan { plan, feeds: Vec::new() }, keeps: Keeps::All(String::new()) };
    PlanNode { name: "over".to_owned(), inputs, kind, route }
}

/// Stages, each with its operators and exits.
fn text(nodes: Vec<PlanNode>, streams: usize, trusted: bool) -> Vec<String> {
    let session = SessionStateBuilder::new().with_default_features().build();
    let output = OutputSpec { schema: Arc::new(Schema::empty()), event_time: None, origin: None, removed: None };
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let runtime = Arc::clone(session.runtime_env());
    let plan = StreamPlan { nodes, output, reads_headers: false, session, runtime };
    let layout = Layout::parallel(&plan, streams, trusted);
    let stage = |stage: &super::layout::Stage| {
        let reader = |reader: &Reader| match reader {
            Reader::Node(node, port) => format!("{node}.{port}"),
            Reader::Exit(exit) => {
                let exit = &stage.exits[*exit];
                let by = match &exit.by {
                    By::Shard => String::new(),
                    By::Columns(columns) => format!(" by {columns:?}"),
                    By::First => " to the first".to_owned(),
                };
                exit.to.map_or("out".to_owned(), |(stage, entry)| format!("stage {stage} entry {entry}{by}"))
            }
        };
        let entries = stage.entries.iter().map(|readers| readers.iter().map(reader).collect::<Vec<_>>().join("+"));
        let operators = stage.blueprints.iter().map(|blueprint| {
            let phase = match blueprint.phase {
                Phase::Whole => "",
                Phase::Partial => " partial",
                Phase::Final => " final",
            };
            format!("{}{phase} > {}", names[blueprint.node], reader(&blueprint.reader))
        });
        format!("[{}] {}", entries.collect::<Vec<_>>().join(" "), operators.collect::<Vec<_>>().join(", "))
    };
    layout.stages.iter().map(stage).collect()
}

#[test]
fn an_exchange_stands_only_where_rows_of_a_group_are_apart() {
    let job = |aligned| vec![calc(vec![Input::Stream(0)]), pane(Input::Node(0), aligned), calc(vec![Input::Node(1)])];
    assert_eq!(text(job(true), 1, true), ["[0.0] calc > 1.0, pane > 2.0, calc > out"]);
    let apart = ["[0.0] calc > 1.0, pane partial > stage 1 entry 0 by [0]", "[0.0] pane final > 1.0, calc > out"];
    assert_eq!(text(job(false), 1, true), apart);
    assert_eq!(text(job(true), 1, false), apart);
}

#[test]
fn rows_of_several_inputs_meet_in_one_stage() {
    let keys = Route::Keys { columns: vec![vec![1], vec![0]], by_record_key: false };
    let join = vec![
        calc(vec![Input::Stream(0)]),
        pane(Input::Node(0), false),
        calc(vec![Input::Stream(1)]),
        over(vec![Input::Node(1), Input::Node(2)], keys),
        calc(vec![Input::Node(3)]),
    ];
    assert_eq!(
        text(join, 2, true),
        [
            "[0.0 2.0] calc > 1.0, pane partial > stage 1 entry 0 by [0], calc > stage 2 entry 1 by [0]",
            "[0.0] pane final > stage 2 entry 0 by [1]",
            "[0.0 0.1] over > 1.0, calc > out",
        ]
    );
}

#[test]
fn what_needs_all_rows_stays_on_the_first_shard() {
    let job = vec![
        over(vec![Input::Stream(0)], Route::One),
        pane(Input::Node(0), false),
        calc(vec![Input::Stream(0), Input::Node(1)]),
    ];
    assert_eq!(
        text(job, 1, true),
        [
            "[stage 1 entry 0 to the first+stage 2 entry 0 to the first] ",
            "[0.0] over > 1.0, pane > stage 2 entry 1 to the first",
            "[0.0 0.1] calc > out",
        ]
    );
}
