//! What has to hold for a case.

use crate::arrival;
use crate::case::Case;
use crate::course::Course;
use crate::foreign::{self, Answer, Difference};
use crate::query::Emits;
use crate::records::Fate;
use crate::rows::{difference, render};
use crate::run::{self, Outcome};
use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use citystream_model::Diagnostic;
use citystream_model::time::{Micros, micros};
use citystream_operators::plan::{Input, Keeps, NodeKind, StreamPlan};
use citystream_sql::CheckedJob;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// How a case that holds went.
#[derive(Debug)]
pub enum Verdict {
    /// Stream and batch agreed on this many rows; this many records were late.
    Agreed {
        /// Rows of the result.
        rows: usize,
        /// Late records.
        late: usize,
        /// Why the second oracle was not asked, if it was not.
        outside: Option<Difference>,
        /// True when some results came out early, so that what came last was compared too.
        revised: bool,
    },
    /// The compiler refused the job.
    Refused(Vec<Diagnostic>),
}

/// Rows of a difference that are shown.
const SHOWN: usize = 6;

/// Runs a case and checks all that has to hold.
///
/// # Errors
/// What does not hold.
pub fn check(case: &Case) -> Result<Verdict, String> {
    let job = match run::prepare(&case.world.ddl(), &case.job, &case.world.tables()) {
        Ok(job) => job,
        Err(findings) => return Ok(Verdict::Refused(findings)),
    };
    let names: Vec<&str> = case.world.streams.iter().map(|stream| stream.name.as_str()).collect();
    let stream = |number: u64, plan: &StreamPlan, shards: usize| {
        let mut rng = case.rng(number);
        let arrival = arrival::generate(&mut rng, &case.records);
        let course = if number == 1 { Course::plain() } else { Course::random(&mut rng, shards, arrival.len()) };
        run::stream(&job, plan, &names, &case.records, &arrival, &course)
            .map_err(|error| format!("stream run {number} on {course:?}: {error}"))
    };
    let outcome = stream(1, &job.plan, 1)?;
    accounts(case, &job, &names, &outcome)?;
    let columns = job.schema.fields().len();
    let streamed = render(&outcome.batches(), columns);
    schema(&job, &outcome)?;
    let twin = twin(&job, &outcome, &mut case.rng(2))?;
    same("stream", &streamed, "batch", &render(&twin, columns))?;
    let outside = second_opinion(case, &job, &outcome, &streamed)?;
    finality(case, &job, &outcome)?;
    let again = stream(3, &pruned_often(&job.plan), case.rng(5).random_range(2..=4))?;
    same(
        "stream",
        &streamed,
        "stream in other pieces, over several shards, killed and resumed",
        &render(&again.batches(), columns),
    )?;
    if again.late != outcome.late {
        return Err(format!("late rows depend on the pieces: {:?} and {:?}", outcome.late, again.late));
    }
    let reference = job.reference().map_err(|error| error.to_string())?;
    let slow = stream(4, &reference, 1)?;
    same("stream", &streamed, "stream through closed windows", &render(&slow.batches(), columns))?;
    let revised = revised(case, &names, &streamed)?;
    Ok(Verdict::Agreed { rows: streamed.len(), late: outcome.late.len(), outside, revised })
}

/// Of results that come out early the last ones are those that come out once; true when some did.
fn revised(case: &Case, names: &[&str], streamed: &[String]) -> Result<bool, String> {
    let Some(text) = run::with_emit(&case.job, "updates", "kafka:topic.out") else { return Ok(false) };
    let job = match run::prepare(&case.world.ddl(), &text, &case.world.tables()) {
        Ok(job) => job,
        Err(findings) if findings.iter().all(|finding| finding.code == "S103") => return Ok(false),
        Err(findings) => return Err(format!("refused with emit = 'updates': {findings:?}")),
    };
    let mut rng = case.rng(6);
    let arrival = arrival::generate(&mut rng, &case.records);
    let shards = rng.random_range(1..=4);
    let course = Course::random(&mut rng, shards, arrival.len()).with_early(&mut rng, arrival.len());
    let outcome = run::stream(&job, &job.plan, names, &case.records, &arrival, &course)
        .map_err(|error| format!("stream with early results on {course:?}: {error}"))?;
    let columns = job.schema.fields().len();
    let key: Vec<usize> = job.spec.key.iter().map(|name| job.schema.index_of(name).expect("a column")).collect();
    let mut last = BTreeMap::new();
    for batch in outcome.batches() {
        for row in (0..batch.num_rows()).map(|at| batch.slice(at, 1)) {
            let key = row.project(&key).expect("columns of the key");
            let key = render(std::slice::from_ref(&key), key.num_columns());
            match job.plan.output.removed.is_some_and(|at| row.column(at).as_boolean().value(0)) {
                true => drop(last.remove(&key)),
                false => drop(last.insert(key, render(&[row], columns).remove(0))),
            }
        }
    }
    let mut last: Vec<String> = last.into_values().collect();
    last.sort();
    same("stream", streamed, "what came last of early results", &last)?;
    // Rows that came though no watermark rose.
    Ok(outcome.output.iter().any(|rows| rows.before == rows.after && rows.batch.num_rows() > 0))
}

/// The same plan with windows pruned every two rows: those of a case are too few for it otherwise.
fn pruned_often(plan: &StreamPlan) -> StreamPlan {
    let mut plan = plan.clone();
    for node in &mut plan.nodes {
        if let NodeKind::ClosedWindow { keeps: Keeps::First(pruning), .. } = &mut node.kind {
            pruning.every = 2;
        }
    }
    plan
}

fn same(left_name: &str, left: &[String], right_name: &str, right: &[String]) -> Result<(), String> {
    let (only_left, only_right) = difference(left, right);
    if only_left.is_empty() && only_right.is_empty() {
        return Ok(());
    }
    let list = |rows: &[String]| rows.iter().take(SHOWN).map(|row| format!("    {row}\n")).collect::<String>();
    Err(format!(
        "{} rows of {} only in {left_name}:\n{}{} rows of {} only in {right_name}:\n{}",
        only_left.len(),
        left.len(),
        list(&only_left),
        only_right.len(),
        right.len(),
        list(&only_right)
    ))
}

/// Every record is exactly one of admitted, late, rejected and tombstone, and the right one.
fn accounts(case: &Case, job: &CheckedJob, names: &[&str], outcome: &Outcome) -> Result<(), String> {
    let lateness = micros(job.spec.lateness);
    let inputs = job.streams.iter().map(|stream| {
        let at = names.iter().position(|name| *name == stream.name).expect("a stream of the world");
        (at, micros(stream.out_of_order) + lateness)
    });
    let inputs: BTreeMap<usize, Micros> = inputs.collect();
    let late = run::late_by_the_rule(&case.records, &inputs);
    if late != outcome.late {
        return Err(format!("late rows: by the rule {late:?}, by the gate {:?}", outcome.late));
    }
    let rejected = inputs.keys().flat_map(|&stream| {
        (0i32..).zip(&case.records[stream]).flat_map(move |(partition, raw)| {
            raw.iter().filter(|raw| raw.fate == Fate::Reject).map(move |raw| (stream, partition, raw.record.offset))
        })
    });
    let rejected = rejected.collect();
    if outcome.rejected != rejected {
        return Err(format!("rejected records: expected {rejected:?}, found {:?}", outcome.rejected));
    }
    let admitted: usize = outcome.admitted.iter().flatten().map(RecordBatch::num_rows).sum();
    let sum = (admitted + outcome.late.len() + outcome.rejected.len()) as u64 + outcome.tombstones;
    if sum != outcome.read {
        return Err(format!("{} records were read, {sum} are accounted for", outcome.read));
    }
    Ok(())
}

/// The first columns of every output batch are those of the job's schema.
fn schema(job: &CheckedJob, outcome: &Outcome) -> Result<(), String> {
    for emission in &outcome.output {
        let found = emission.batch.schema();
        for (at, field) in job.schema.fields().iter().enumerate() {
            let column = found.field(at);
            if column.data_type() != field.data_type() || column.name() != field.name() {
                return Err(format!("output column {at}: declared {field:?}, found {column:?}"));
            }
            if !field.is_nullable() && emission.batch.column(at).null_count() > 0 {
                return Err(format!("output column {} holds nulls, declared NOT NULL", field.name()));
            }
        }
        if let Some(at) = job.plan.output.event_time
            && *found.field(at).data_type() != citystream_model::stream::timestamp_type()
        {
            return Err(format!("event time is {:?}", found.field(at)));
        }
    }
    Ok(())
}

/// The batch twin over the admitted rows in another order and other pieces.
fn twin(job: &CheckedJob, outcome: &Outcome, rng: &mut StdRng) -> Result<Vec<RecordBatch>, String> {
    let shuffled = job.streams.iter().zip(&outcome.admitted).map(|(stream, batches)| {
        let all = concat_batches(&stream.full_schema(), batches).expect("batches of one stream");
        let mut order: Vec<u32> = (0..all.num_rows() as u32).collect();
        order.shuffle(rng);
        let mut pieces = Vec::new();
        let mut left = order.as_slice();
        while !left.is_empty() {
            let (piece, rest) = left.split_at(rng.random_range(1..=left.len()));
            pieces.push(take_record_batch(&all, &UInt32Array::from(piece.to_vec())).expect("rows in range"));
            left = rest;
        }
        pieces
    });
    let shuffled = shuffled.collect();
    run::batch(job, shuffled).map_err(|error| format!("batch run: {error}"))
}

/// Streamed rows are those that SQLite finds in the admitted rows; else why it was not asked.
///
/// # Errors
/// The difference.
pub fn second_opinion(
    case: &Case,
    job: &CheckedJob,
    outcome: &Outcome,
    streamed: &[String],
) -> Result<Option<Difference>, String> {
    let streams = job.streams.iter().zip(&outcome.admitted);
    let mut tables: Vec<foreign::Table<'_>> = streams
        .map(|(stream, rows)| foreign::Table { name: &stream.name, schema: stream.full_schema(), rows })
        .collect();
    tables.extend(case.world.table.iter().map(|table| foreign::Table {
        name: "ref",
        schema: table.schema(),
        rows: std::slice::from_ref(table),
    }));
    match foreign::ask(&case.query.sql, &tables, &job.schema).map_err(|error| format!("second oracle: {error}"))? {
        Answer::Outside(difference) => Ok(Some(difference)),
        Answer::Rows(rows) => {
            same("stream", streamed, "second oracle", &render(&[rows], job.schema.fields().len()))?;
            Ok(None)
        }
    }
}

/// A row with a window comes never after the watermark that closes the window, and with it when it has to wait.
fn finality(case: &Case, job: &CheckedJob, outcome: &Outcome) -> Result<(), String> {
    if !case.query.windowed {
        return Ok(());
    }
    let exact = case.query.emits == Emits::AtEnd && waits(job, job.plan.nodes.len() - 1);
    let Ok(at) = job.schema.index_of("window_end") else { return Err("no column window_end".to_owned()) };
    for emission in &outcome.output {
        let ends = emission.batch.column(at).as_primitive::<TimestampMicrosecondType>();
        for end in ends.iter().flatten() {
            if end <= emission.before.0 || exact && (emission.at_once || end > emission.after.0) {
                let (before, after) = (emission.before, emission.after);
                let end = citystream_model::time::format_time(end);
                return Err(format!(
                    "a row of a window that ends at {end} came as the watermark rose from {before} to {after}"
                ));
            }
        }
    }
    Ok(())
}

/// True when every row that `node` puts out has waited in an operator (the optimizer may have found a join to be empty).
fn waits(job: &CheckedJob, node: usize) -> bool {
    let node = &job.plan.nodes[node];
    let below = |input: &Input| matches!(input, Input::Node(child) if waits(job, *child));
    !matches!(node.kind, NodeKind::Stateless(_)) || node.inputs.iter().all(below)
}
