//! Sessions out of panes are those of plain arithmetic, however rows and watermarks come.

use super::*;
use crate::plan::{PaneSpec, Revision};
use arrow::array::{BooleanArray, Int64Array, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::functions_aggregate::expr_fn::{count, max, sum};
use datafusion::logical_expr::{Expr, col, lit};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// Key of the session, another key, value, time, whether it is in a group.
type Row = (u8, u8, i64, Micros, bool);

/// Groups by the session's key, and by the other one if `more`.
fn operator(gap: u64, more: bool) -> SessionPane {
    revising(gap, more, None)
}

fn revising(gap: u64, more: bool, revises: Option<Revision>) -> SessionPane {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let at = Field::new("at", time(), false);
    let input = Schema::new(vec![text("k"), text("m"), number("v"), at.clone()]);
    let mut keys = vec![(col("k"), KeyRole::OfPane), (col("at"), KeyRole::Start), (col("at"), KeyRole::End)];
    let mut fields = vec![text("k"), at.clone().with_name("start"), at.with_name("end")];
    if more {
        keys.push((col("m"), KeyRole::Key));
        fields.push(text("m"));
    }
    fields.extend(["sum", "count", "max"].map(number));
    let aggregates: Vec<Expr> = vec![sum(col("v")), count(col("v")), max(col("v"))];
    let input = Arc::new(DFSchema::try_from(input).unwrap());
    let groups = PaneSpec {
        input,
        keys,
        telling: vec![1, 2],
        aggregates,
        overlap: None,
        schema: Arc::new(Schema::new(fields)),
        revises,
    };
    let spec = SessionPaneSpec { groups, time: 3, gap: Duration::from_micros(gap) };
    SessionPane::plan(&spec, &SessionStateBuilder::new().with_default_features().build()).unwrap()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let text = |of: fn(&Row) -> u8| rows.iter().map(|row| Some(of(row).to_string())).collect::<StringArray>();
    let columns: [(&str, ArrayRef); 4] = [
        ("k", Arc::new(text(|row| row.0))),
        ("m", Arc::new(text(|row| row.1))),
        ("v", Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>())),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.3)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Rows that are in a group to the first input, keys and times of all to the second.
fn push(operator: &mut SessionPane, rows: &[Row]) {
    let all = batch(rows);
    let grouped = rows.iter().map(|row| row.4).collect::<BooleanArray>();
    operator.on_batch(0, filter_record_batch(&all, &grouped).unwrap(), &mut Vec::new()).unwrap();
    operator.on_batch(1, all.project(&[0, 3]).unwrap(), &mut Vec::new()).unwrap();
}

/// Results as text, sorted: key, start, end, other key, sum, count, max.
fn text(batches: &[RecordBatch], more: bool) -> Vec<String> {
    let line = |batch: &RecordBatch, row: usize| {
        let time = |at: usize| batch.column(at).as_primitive::<TimestampMicrosecondType>().value(row);
        let key = |at: usize| batch.column(at).as_string::<i32>().value(row).to_owned();
        let from = if more { 4 } else { 3 };
        let numbers: Vec<i64> =
            (from..from + 3).map(|at| batch.column(at).as_primitive::<Int64Type>().value(row)).collect();
        format!("{} {}..{} {} {numbers:?}", key(0), time(1), time(2), if more { key(3) } else { String::new() })
    };
    let mut lines: Vec<String> =
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| line(batch, row))).collect();
    lines.sort();
    lines
}

/// What checkpoints hold of an operator.
#[derive(Default)]
struct Saved(Vec<Run>);

impl Saved {
    fn seal(&mut self, operator: &mut SessionPane, whole: bool) -> usize {
        let Snapshot { is_whole, runs } = operator.seal(whole).unwrap();
        let rows = runs.iter().map(|run| run.batch.num_rows()).sum();
        if is_whole {
            self.0.clear();
        }
        self.0.extend(runs);
        rows
    }

    /// Goes on with what they hold.
    fn resume(&self, mut fresh: SessionPane, watermark: Watermark) -> SessionPane {
        fresh.restore(self.0.clone(), watermark).unwrap();
        fresh
    }
}

/// What plain arithmetic makes of the rows: results with the ends of their sessions.
fn expected(rows: &[Row], gap: Micros, more: bool) -> Vec<(Micros, String)> {
    let mut sorted = rows.to_vec();
    sorted.sort_by_key(|row| (row.0, row.3));
    let mut lines = Vec::new();
    for session in sorted.chunk_by(|row, next| row.0 == next.0 && next.3 - row.3 < gap) {
        let (start, end) = (session[0].3, session[session.len() - 1].3 + gap);
        let mut groups: BTreeMap<u8, Vec<i64>> = BTreeMap::new();
        for row in session.iter().filter(|row| row.4) {
            groups.entry(if more { row.1 } else { 0 }).or_default().push(row.2);
        }
        for (other, values) in groups {
            let numbers = [values.iter().sum(), values.len() as i64, *values.iter().max().unwrap()];
            let other = if more { other.to_string() } else { String::new() };
            lines.push((end, format!("{} {start}..{end} {other} {numbers:?}", session[0].0)));
        }
    }
    lines.sort_by(|left, right| left.1.cmp(&right.1));
    lines
}

proptest! {
    #[test]
    fn sessions_are_those_of_plain_arithmetic(
        rows in prop::collection::vec((0u8..6, 0u8..3, -50i64..50, -100i64..300, prop::bool::weighted(0.8)), 0..150),
        gap in 1u64..40,
        more in any::<bool>(),
        steps in prop::collection::vec(0i64..40, 0..12),
        pieces in 1usize..20,
        ahead in 0i64..80,
        checkpoints in prop::collection::vec(0u8..8, 12),
    ) {
        let fresh = || operator(gap, more);
        let (mut operator, mut saved, mut checkpoints) = (fresh(), Saved::default(), checkpoints.into_iter().cycle());
        let expected = expected(&rows, gap as Micros, more);
        let mut left = rows;
        let mut before = Micros::MIN;
        let marks = steps.iter().scan(-100, |at, step| { *at += step; Some(*at) }).chain([Micros::MAX]);
        for mark in marks {
            // All rows below the next watermark, and some above it.
            let (due, rest): (Vec<Row>, Vec<Row>) =
                left.into_iter().partition(|row| row.3 < mark || row.2 % 2 == 0 && row.3 - ahead < mark);
            left = rest;
            due.chunks(pieces).for_each(|rows| push(&mut operator, rows));
            let mut out = Vec::new();
            operator.on_watermark(Watermark(mark), &mut out).unwrap();
            let closed: Vec<String> = expected.iter()
                .filter(|(end, _)| *end > before && *end <= mark).map(|(_, line)| line.clone()).collect();
            prop_assert_eq!(text(&out, more), closed);
            before = mark;
            match checkpoints.next() {
                Some(2 | 3) => saved.seal(&mut operator, false),
                Some(4) => saved.seal(&mut operator, true),
                // So many that one of them is whole.
                Some(5) => (0..20).map(|_| saved.seal(&mut operator, false)).sum(),
                Some(6) => {
                    let rows = saved.seal(&mut operator, false);
                    operator = saved.resume(fresh(), Watermark(mark));
                    rows
                }
                _ => 0,
            };
        }
        saved.seal(&mut operator, false);
        prop_assert_eq!(operator.keys.held(), 0);
        let mut windows = OpenWindows::default();
        operator.open_windows(&mut windows);
        prop_assert_eq!(windows.count(), 0);
    }
}

/// Results as they stand: what comes replaces or removes what came before.
fn stand(results: &mut BTreeSet<String>, batches: &[RecordBatch], more: bool) {
    let name = |line: &str| line[..line.find('[').unwrap()].to_owned();
    for batch in batches {
        let removed = batch.column(batch.num_columns() - 1).as_boolean();
        for row in 0..batch.num_rows() {
            if removed.value(row) {
                // Of the others nothing counts, and numbers that may be NULL have no value.
                let bare = batch.slice(row, 1);
                let line = text(&[bare], more).remove(0);
                results.retain(|known| name(known) != name(&line));
            } else {
                let line = text(&[batch.slice(row, 1)], more).remove(0);
                results.retain(|known| name(known) != name(&line));
                results.insert(line);
            }
        }
    }
}

proptest! {
    #[test]
    fn sessions_before_their_end_are_those_so_far(
        rows in prop::collection::vec((0u8..4, 0u8..3, -50i64..50, -100i64..200, prop::bool::weighted(0.8)), 1..100),
        gap in 1u64..40,
        more in any::<bool>(),
        least in prop::option::of(-20i64..40),
        steps in prop::collection::vec((0i64..30, -10i64..80, 0u8..4), 1..12),
    ) {
        let revision = Revision { having: least.map(|least| col(if more { "c4" } else { "c3" }).gt_eq(lit(least))), may_vanish: true };
        let fresh = || revising(gap, more, Some(revision.clone()));
        let (mut operator, mut results, mut given) = (fresh(), BTreeSet::new(), Vec::new());
        let (mut watermark, mut fired) = (-100, Micros::MIN);
        let sum = |line: &str| line[line.find('[').unwrap() + 1..line.find(',').unwrap()].parse::<i64>().unwrap();
        for (number, (step, ahead, checkpoint)) in steps.iter().chain([&(40, 300, 0), &(40, 0, 0), &(1_000, 0, 0)]).enumerate() {
            let (count, from) = (steps.len() + 3, watermark);
            let due: Vec<Row> = rows.iter().skip(number).step_by(count).copied().filter(|row| row.3 >= from).collect();
            push(&mut operator, &due);
            given.extend(due);
            watermark += step;
            // What has closed has come out too.
            fired = fired.max(watermark + ahead).max(watermark);
            let mut out = Vec::new();
            operator.on_watermark(Watermark(watermark), &mut out).unwrap();
            operator.fire_early(Watermark(watermark + ahead), &mut out).unwrap();
            stand(&mut results, &out, more);
            let is_result = |(end, line): &(Micros, String)| *end <= fired && least.is_none_or(|least| sum(line) >= least);
            let expected: BTreeSet<String> =
                expected(&given, gap as Micros, more).into_iter().filter(is_result).map(|(_, line)| line).collect();
            prop_assert_eq!(&results, &expected, "at {}", watermark);
            let mut again = Vec::new();
            operator.fire_early(Watermark(fired), &mut again).unwrap();
            prop_assert_eq!(again.iter().map(RecordBatch::num_rows).sum::<usize>(), 0, "nothing has changed");
            if *checkpoint > 1 {
                let Snapshot { is_whole, runs } = operator.seal(false).unwrap();
                prop_assert!(is_whole, "what came out early is given as it stands");
                if *checkpoint > 2 {
                    continue;
                }
                operator = fresh();
                operator.on_watermark(Watermark(watermark), &mut Vec::new()).unwrap();
                operator.restore(runs, Watermark(watermark)).unwrap();
                // It comes out again as far as it is due.
                operator.fire_early(Watermark(fired), &mut out).unwrap();
            }
        }
        prop_assert_eq!(operator.keys.held(), 0);
        prop_assert!(operator.revisions.is_some_and(|revisions| revisions.bytes() == 0));
    }
}

/// A state per group of an open session: sessions without end, and many that end, hold no more after a day than after an hour.
#[test]
fn the_state_does_not_grow_with_the_rows() {
    const GAP: u64 = 10;
    let mut operator = operator(GAP, true);
    let mut bytes = Vec::new();
    for at in 0..3_000i64 {
        // Key 0 never pauses; the others take turns.
        let rows: Vec<Row> =
            (0..60).map(|row| (if row < 10 { 0 } else { (at / 7 % 200) as u8 }, row % 5, 1, at, true)).collect();
        operator.on_batch(0, batch(&rows), &mut Vec::new()).unwrap();
        operator.on_watermark(Watermark(at - 3), &mut Vec::new()).unwrap();
        bytes.push(operator.state_bytes());
    }
    let most = |range: std::ops::Range<usize>| bytes[range].iter().copied().max().unwrap();
    assert!(most(2_000..3_000) <= most(1_400..2_000), "{} after {}", most(2_000..3_000), most(1_400..2_000));
    assert!(most(0..3_000) < 400_000, "{}", most(0..3_000));
    let mut out = Vec::new();
    operator.on_watermark(Watermark::END, &mut out).unwrap();
    let whole = text(&out, true).iter().filter(|line| line.starts_with("0 0..3009 ")).count();
    assert_eq!(whole, 5, "key 0 is one session");
}

/// A checkpoint costs what has changed since the one before, and no more than the state.
#[test]
fn a_checkpoint_has_what_came_since_the_last_one() {
    const GAP: i64 = 100;
    let (mut operator, mut saved) = (operator(GAP as u64, false), Saved::default());
    let sessions = |keys: std::ops::Range<u8>, at| keys.map(|key| (key, 0, 1, at, true)).collect::<Vec<Row>>();
    push(&mut operator, &sessions(0..200, 10));
    assert_eq!(saved.seal(&mut operator, false), 400, "states and times");
    push(&mut operator, &sessions(0..3, 20));
    assert_eq!(saved.seal(&mut operator, false), 6, "three have changed");
    push(&mut operator, &sessions(3..5, 5));
    push(&mut operator, &sessions(0..1, 15));
    assert_eq!(saved.seal(&mut operator, false), 5, "a row in between leaves the times as they are");
    push(&mut operator, &sessions(0..4, 90));
    operator.on_watermark(Watermark(105), &mut Vec::new()).unwrap();
    push(&mut operator, &sessions(4..5, 107));
    assert_eq!(saved.seal(&mut operator, false), 10, "four in a pane that is complete now, one in the next");
    assert_eq!(saved.seal(&mut operator, false), 0, "nothing has changed");
    let mut resumed = saved.resume(super::tests::operator(GAP as u64, false), Watermark(105));
    for operator in [&mut operator, &mut resumed] {
        let mut out = Vec::new();
        operator.on_watermark(Watermark(150), &mut out).unwrap();
        assert_eq!(text(&out, false).len(), 195, "those that did not go on");
        operator.on_watermark(Watermark::END, &mut out).unwrap();
        let lines = text(&out, false);
        assert_eq!(lines.len(), 200);
        assert!(lines.contains(&"0 10..190  [4, 4, 1]".to_owned()), "{lines:?}");
        assert!(lines.contains(&"4 5..207  [3, 3, 1]".to_owned()), "{lines:?}");
    }
    assert_eq!(operator.aside.bytes, 0);
}

/// Shards make their checkpoints whole at times of their own, and one operator may go on with what they held.
#[test]
fn runs_of_several_operators_add_up() {
    const GAP: i64 = 10;
    let fresh = || operator(GAP as u64, true);
    let mut shards = [(fresh(), Saved::default()), (fresh(), Saved::default())];
    let mut rows = Vec::new();
    for at in 0..60 {
        for (shard, (operator, saved)) in shards.iter_mut().enumerate() {
            // Key 0 or 1 goes on for ever; the others pause for longer than the gap.
            let key = |key: u8| 2 * key + shard as u8;
            let due: Vec<Row> = vec![(key(0), 0, at, at, true), (key(1 + (at / 7 % 3) as u8), 1, 1, at, at % 3 > 0)];
            push(operator, &due);
            rows.extend(due);
            operator.on_watermark(Watermark(at - 3), &mut Vec::new()).unwrap();
            if at % (3 + shard as i64) == 0 {
                saved.seal(operator, at == 20 * (1 + shard as i64));
            }
        }
    }
    for (operator, saved) in &mut shards {
        saved.seal(operator, false);
    }
    let runs = shards.iter().flat_map(|(_, saved)| saved.0.clone()).collect();
    let (mut both, mut out) = (fresh(), Vec::new());
    both.restore(runs, Watermark(56)).unwrap();
    both.on_watermark(Watermark::END, &mut out).unwrap();
    let open = expected(&rows, GAP, true).into_iter().filter(|(end, _)| *end > 56).map(|(_, line)| line);
    assert_eq!(text(&out, true), open.collect::<Vec<_>>());
}

/// A session that never ends is in every pane: what is put aside for the next checkpoint has a bound all the same.
#[test]
fn what_waits_for_a_checkpoint_is_no_more_than_the_state() {
    let mut operator = operator(10, false);
    operator.seal(false).unwrap();
    for at in 0..2_000 {
        push(&mut operator, &[(0, 0, 1, at, true), (1, 0, 1, at, true)]);
        operator.on_watermark(Watermark(at), &mut Vec::new()).unwrap();
        let state = operator.open_bytes + operator.complete.as_ref().map_or(0, Complete::bytes);
        assert!(operator.aside.bytes <= state, "{} beside {state}", operator.aside.bytes);
    }
    let mut saved = Saved::default();
    saved.seal(&mut operator, false);
    let mut out = Vec::new();
    saved.resume(super::tests::operator(10, false), Watermark(1_999)).on_watermark(Watermark::END, &mut out).unwrap();
    assert_eq!(text(&out, false), ["0 0..2009  [2000, 2000, 1]", "1 0..2009  [2000, 2000, 1]"]);
}

#[test]
fn a_row_behind_the_watermark_is_an_error() {
    let mut operator = operator(10, false);
    operator.on_watermark(Watermark(50), &mut Vec::new()).unwrap();
    let late = operator.on_batch(0, batch(&[(1, 1, 1, 49, true)]), &mut Vec::new());
    assert!(late.unwrap_err().to_string().contains("behind the watermark"));
}

/// Of keys whose numbers change, since most others are forgotten.
#[test]
fn sessions_that_came_out_are_removed_whatever_happens_to_other_keys() {
    const GAP: i64 = 1_000;
    let mut operator = revising(GAP as u64, true, Some(Revision { having: None, may_vanish: true }));
    let (mut results, mut step) = (BTreeSet::new(), 0);
    let mut push = |operator: &mut SessionPane, rows: Vec<(String, Micros)>| {
        let texts = || rows.iter().map(|row| Some(row.0.clone())).collect::<StringArray>();
        let columns: [(&str, ArrayRef); 4] = [
            ("k", Arc::new(texts())),
            ("m", Arc::new(texts())),
            ("v", Arc::new(Int64Array::from_value(1, rows.len()))),
            ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1)))),
        ];
        let mut out = Vec::new();
        operator.on_batch(0, RecordBatch::try_from_iter(columns).unwrap(), &mut out).unwrap();
        operator.fire_early(Watermark::END, &mut out).unwrap();
        step += 1;
        operator.on_watermark(Watermark(step * GAP / 2), &mut out).unwrap();
        stand(&mut results, &out.iter().map(kept).collect::<Vec<_>>(), true);
        results.clone()
    };
    for round in 0..40 {
        let others = (0..700).map(|key| (format!("x{}", round * 700 + key), round * GAP / 2));
        let ours = ["a", "b"].map(|key| (key.to_owned(), round * GAP / 2 + 1));
        push(&mut operator, others.chain(ours).collect());
    }
    assert!(operator.keys.len() < 20_000, "{} keys", operator.keys.len());
    let all = push(&mut operator, vec![("a".to_owned(), 40 * GAP / 2)]);
    let ours: Vec<&String> = all.iter().collect();
    assert_eq!(ours, ["a 1..21000 a [41, 41, 1]", "b 1..20501 b [40, 40, 1]"]);
}

/// Keys whose numbers change while parts of panes wait for a checkpoint.
#[test]
fn what_waits_for_a_checkpoint_is_of_the_same_keys_whatever_happens_to_others() {
    const GAP: i64 = 1_000;
    let (mut operator, mut saved, mut has_moved) = (revising(GAP as u64, true, None), Saved::default(), false);
    for round in 0..40 {
        let at = round * GAP / 2;
        let (lasting, others) = (0..1_500, 10_000 + round * 1_500..11_500 + round * 1_500);
        let texts = || lasting.clone().chain(others.clone()).map(|key| Some(key.to_string())).collect::<StringArray>();
        let columns: [(&str, ArrayRef); 4] = [
            ("k", Arc::new(texts())),
            ("m", Arc::new(texts())),
            ("v", Arc::new(Int64Array::from_value(1, 3_000))),
            ("at", Arc::new(TimestampMicrosecondArray::from_value(at, 3_000))),
        ];
        operator.on_batch(0, RecordBatch::try_from_iter(columns).unwrap(), &mut Vec::new()).unwrap();
        let keys = operator.keys.len();
        operator.on_watermark(Watermark(at), &mut Vec::new()).unwrap();
        has_moved |= operator.aside.bytes > 0 && operator.keys.len() < keys;
        if round % 5 == 0 {
            saved.seal(&mut operator, false);
        }
    }
    saved.seal(&mut operator, false);
    assert!(has_moved, "no key was forgotten while something waited");
    let mut resumed = saved.resume(revising(GAP as u64, true, None), operator.watermark);
    let [expected, found] = [&mut operator, &mut resumed].map(|operator| {
        let mut out = Vec::new();
        operator.on_watermark(Watermark::END, &mut out).unwrap();
        text(&out, true)
    });
    assert!(expected.contains(&"7 0..20500 7 [40, 40, 1]".to_owned()), "{:?}", &expected[..3]);
    assert_eq!(found, expected);
}

/// The rows of a batch that are not of the many keys.
fn kept(batch: &RecordBatch) -> RecordBatch {
    let keys = batch.column(0).as_string::<i32>();
    let kept: BooleanArray = keys.iter().map(|key| Some(!key.unwrap().starts_with('x'))).collect();
    filter_record_batch(batch, &kept).unwrap()
}
