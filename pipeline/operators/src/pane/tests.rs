//! Work in two phases comes to the same as in one, and so does a state that is sealed and restored elsewhere.

use super::*;
use crate::plan::{REMOVED, Revision};
use arrow::array::{AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::{Expr, col, lit};
use proptest::prelude::*;

/// Length of a pane.
const PANE: Micros = 10;

/// key, value, time
type Row = (u8, i64, Micros);

fn spec(overlap: Option<Overlap>) -> PaneSpec {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let input = Schema::new(vec![
        Field::new("k", DataType::Utf8, false),
        Field::new("v", DataType::Int64, false),
        Field::new("end", time(), false),
    ]);
    let bound = if overlap.is_none() { KeyRole::OfPane } else { KeyRole::End };
    let aggregates: Vec<Expr> = vec![sum(col("v")), count(col("v")), min(col("v")), max(col("v"))];
    let numbers = ["sum", "count", "min", "max"].map(|name| Field::new(name, DataType::Int64, true));
    let keys = [Field::new("k", DataType::Utf8, false), Field::new("end", time(), false)];
    PaneSpec {
        input: Arc::new(DFSchema::try_from(input).unwrap()),
        keys: vec![(col("k"), KeyRole::Key), (col("end"), bound)],
        aggregates,
        overlap,
        schema: Arc::new(Schema::new(keys.into_iter().chain(numbers).collect::<Vec<_>>())),
        telling: vec![1],
        revises: None,
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let end = |at: Micros| at.div_euclid(PANE) * PANE + PANE;
    let ends: Vec<Micros> = rows.iter().map(|row| end(row.2)).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("k", Arc::new(rows.iter().map(|row| Some(row.0.to_string())).collect::<StringArray>())),
        ("v", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
        ("end", Arc::new(TimestampMicrosecondArray::from(ends.clone()))),
        ("closes", Arc::new(Int64Array::from(ends))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn operator(overlap: Option<Overlap>, phase: Phase) -> Pane {
    Pane::plan(&spec(overlap), phase, &SessionStateBuilder::new().with_default_features().build()).unwrap()
}

/// Results as text, sorted.
fn text(batches: &[RecordBatch]) -> Vec<String> {
    let row = |batch: &RecordBatch, row: usize| {
        let numbers = (2..6).map(|at| batch.column(at).as_primitive::<Int64Type>().value(row));
        let end = batch.column(1).as_primitive::<TimestampMicrosecondType>().value(row);
        format!("{} {end} {:?}", batch.column(0).as_string::<i32>().value(row), numbers.collect::<Vec<_>>())
    };
    let mut rows: Vec<String> =
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect();
    rows.sort();
    rows
}

/// Panes that are windows, and windows of them.
fn overlaps() -> [Option<Overlap>; 4] {
    let hop = |slide, size| Some(Overlap::Hop { pane: PANE, slide, size });
    [None, hop(10, 50), hop(20, 30), Some(Overlap::Cumulate { step: 10, size: 40 })]
}

/// Ends of the windows that a row is in.
fn ends(overlap: Option<Overlap>, at: Micros) -> Vec<Micros> {
    let end = at.div_euclid(PANE) * PANE + PANE;
    match overlap {
        None => vec![end],
        Some(Overlap::Hop { slide, size, .. }) => (-200..400)
            .map(|start| start * slide)
            .filter(|start| *start <= at && at < start + size)
            .map(|start| start + size)
            .collect(),
        Some(Overlap::Cumulate { size, .. }) => {
            let last = at.div_euclid(size) * size + size;
            (0..4).map(|step| end + step * PANE).filter(|end| *end <= last).collect()
        }
    }
}

/// What plain arithmetic makes of the rows.
fn expected(rows: &[Row], windows: impl Fn(Micros) -> Vec<Micros>) -> Vec<String> {
    let mut groups: BTreeMap<(u8, Micros), Vec<i64>> = BTreeMap::new();
    for (key, value, at) in rows {
        windows(*at).into_iter().for_each(|end| groups.entry((*key, end)).or_default().push(*value));
    }
    let row = |((key, end), values): ((u8, Micros), Vec<i64>)| {
        let (low, high) = (values.iter().min().unwrap(), values.iter().max().unwrap());
        format!("{key} {end} {:?}", [values.iter().sum(), values.len() as i64, *low, *high])
    };
    let mut rows: Vec<String> = groups.into_iter().map(row).collect();
    rows.sort();
    rows
}

fn open_windows(operator: &Pane) -> usize {
    let mut windows = OpenWindows::default();
    operator.open_windows(&mut windows);
    windows.count()
}

/// An operator that goes on with what `runs` hold.
fn resumed(runs: &[Run], fresh: Pane, watermark: Micros) -> Pane {
    let mut fresh = fresh;
    fresh.on_watermark(Watermark(watermark), &mut Vec::new()).unwrap();
    fresh.restore(runs.to_vec(), Watermark(watermark)).unwrap();
    fresh
}

/// Keeps the runs that a checkpoint needs.
fn checkpoint(operator: &mut Pane, whole: bool, runs: &mut Vec<Run>) {
    let snapshot = operator.seal(whole).unwrap();
    if snapshot.is_whole {
        runs.clear();
    }
    runs.extend(snapshot.runs);
}

proptest! {
    #[test]
    fn two_phases_come_to_what_one_does(
        rows in prop::collection::vec((0u8..20, -50i64..50, -100i64..300), 0..200),
        slides in 0usize..4,
        steps in prop::collection::vec(0i64..60, 0..8),
        moves in prop::collection::vec(any::<(bool, bool)>(), 8),
    ) {
        let overlap = overlaps()[slides];
        let ends = |at: Micros| ends(overlap, at);
        let mut whole = operator(overlap, Phase::Whole);
        let mut shards: Vec<Pane> = (0..3).map(|_| operator(overlap, Phase::Partial)).collect();
        let mut merged = operator(overlap, Phase::Final);
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let mut saved = (Vec::new(), Vec::new());
        let mut from = Micros::MIN;
        let marks = steps.iter().scan(-100, |at, step| { *at += step; Some(*at) }).chain([Micros::MAX]);
        for (step, mark) in marks.enumerate() {
            // Rows below the next watermark, and some above it.
            let due: Vec<Row> = rows.iter().copied().filter(|row| (from..mark).contains(&row.2)).collect();
            from = mark;
            whole.on_batch(0, batch(&due), &mut one).unwrap();
            for (at, shard) in shards.iter_mut().enumerate() {
                let share: Vec<Row> = due.iter().copied().skip(at).step_by(3).collect();
                let mut states = Vec::new();
                shard.on_batch(0, batch(&share), &mut states).unwrap();
                shard.on_watermark(Watermark(mark), &mut states).unwrap();
                states.into_iter().for_each(|states| merged.on_batch(0, states, &mut two).unwrap());
            }
            whole.on_watermark(Watermark(mark), &mut one).unwrap();
            merged.on_watermark(Watermark(mark), &mut two).unwrap();
            let (is_whole, moves) = moves.get(step).copied().unwrap_or_default();
            checkpoint(&mut whole, is_whole, &mut saved.0);
            checkpoint(&mut merged, is_whole, &mut saved.1);
            if moves {
                merged = resumed(&saved.1, operator(overlap, Phase::Final), mark);
                whole = resumed(&saved.0, operator(overlap, Phase::Whole), mark);
            }
        }
        prop_assert_eq!(text(&one), expected(&rows, ends));
        prop_assert_eq!(text(&two), text(&one));
        prop_assert_eq!(open_windows(&whole) + open_windows(&merged), 0);
    }
}

proptest! {
    #[test]
    fn groups_that_fulfil_their_condition_no_more_are_removed(
        rows in prop::collection::vec((0u8..5, -50i64..50, -100i64..200), 1..100),
        slides in 0usize..4,
        least in -20i64..40,
        steps in prop::collection::vec((0i64..30, -10i64..60, any::<bool>(), any::<bool>()), 1..12),
    ) {
        let overlap = overlaps()[slides];
        let having = Some(col("c2").gt_eq(lit(least)));
        let spec = PaneSpec { revises: Some(Revision { having, may_vanish: true }), ..spec(overlap) };
        let fresh = || Pane::plan(&spec, Phase::Whole, &SessionStateBuilder::new().with_default_features().build()).unwrap();
        let (mut pane, mut results, mut runs, mut given) = (fresh(), Newest::default(), Vec::new(), Vec::new());
        let (mut watermark, mut fired) = (-100, Micros::MIN);
        for (number, (step, ahead, whole, moves)) in steps.iter().chain([&(40, 300, false, false), &(40, 0, false, false), &(1_000, 0, false, false)]).enumerate() {
            let (count, from) = (steps.len() + 3, watermark);
            let due: Vec<Row> = rows.iter().skip(number).step_by(count).copied().filter(|row| row.2 >= from).collect();
            given.extend(due.iter().copied());
            watermark += step;
            // What has closed has come out too.
            fired = fired.max(watermark + ahead).max(watermark);
            let mut out = Vec::new();
            pane.on_batch(0, batch(&due), &mut out).unwrap();
            pane.on_watermark(Watermark(watermark), &mut out).unwrap();
            pane.fire_early(Watermark(fired), &mut out).unwrap();
            results.take(&out);
            let sum = |line: &str| line[line.find('[').unwrap() + 1..line.find(',').unwrap()].parse::<i64>().unwrap();
            let is_result = |line: &String| ends_by(line, fired) && sum(line) >= least;
            let so_far: Vec<String> = expected(&given, |at| ends(overlap, at)).into_iter().filter(is_result).collect();
            prop_assert_eq!(results.rows(Micros::MAX), so_far, "at {}", watermark);
            checkpoint(&mut pane, *whole, &mut runs);
            if *moves {
                pane = resumed(&runs, fresh(), watermark);
            }
        }
        prop_assert_eq!(pane.shown.unwrap().bytes() + pane.revisions.bytes(), 0);
    }
}

/// Rows of `keys` with the value 1, in the pane that ends at `end`.
fn keyed(keys: std::ops::Range<usize>, end: Micros) -> RecordBatch {
    let rows = keys.len();
    let columns: [(&str, ArrayRef); 4] = [
        ("k", Arc::new(keys.map(|key| Some(key.to_string())).collect::<StringArray>())),
        ("v", Arc::new(Int64Array::from_value(1, rows))),
        ("end", Arc::new(TimestampMicrosecondArray::from_value(end, rows))),
        ("closes", Arc::new(Int64Array::from_value(end, rows))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn revising() -> Pane {
    revising_in(None, Phase::Whole)
}

fn revising_in(overlap: Option<Overlap>, phase: Phase) -> Pane {
    let spec = PaneSpec { revises: Some(Revision { having: None, may_vanish: false }), ..spec(overlap) };
    Pane::plan(&spec, phase, &SessionStateBuilder::new().with_default_features().build()).unwrap()
}

/// Rows of results by key and window, each replacing the one before.
#[derive(Default)]
struct Newest(BTreeMap<String, String>);

impl Newest {
    /// Takes the results of one step, in order.
    fn take(&mut self, batches: &[RecordBatch]) {
        for row in batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|at| batch.slice(at, 1))) {
            let line = text(std::slice::from_ref(&row)).remove(0);
            let key = line[..line.find('[').unwrap()].to_owned();
            match row.column_by_name(REMOVED).is_some_and(|removed| removed.as_boolean().value(0)) {
                true => drop(self.0.remove(&key)),
                false => drop(self.0.insert(key, line)),
            }
        }
    }

    fn rows(&self, until: Micros) -> Vec<String> {
        let mut rows: Vec<String> = self.0.values().filter(|row| ends_by(row, until)).cloned().collect();
        rows.sort();
        rows
    }
}

/// True for the row of a window that ends at or before `until`.
fn ends_by(row: &str, until: Micros) -> bool {
    row.split(' ').nth(1).unwrap().parse::<Micros>().unwrap() <= until
}

proptest! {
    #[test]
    fn results_before_the_end_are_those_so_far(
        rows in prop::collection::vec((0u8..5, -50i64..50, -100i64..200), 1..100),
        slides in 0usize..4,
        steps in prop::collection::vec((0i64..30, -10i64..60, any::<bool>()), 1..12),
    ) {
        let overlap = overlaps()[slides];
        let ends = |at: Micros| ends(overlap, at);
        let mut whole = revising_in(overlap, Phase::Whole);
        let mut shards = [0, 1].map(|_| revising_in(overlap, Phase::Partial));
        let mut merged = revising_in(overlap, Phase::Final);
        let (mut one, mut two) = (Newest::default(), Newest::default());
        let (mut runs, mut given, mut watermark, mut fired) = (Vec::new(), Vec::new(), -100, Micros::MIN);
        for (number, (step, ahead, moves)) in steps.iter().chain([&(40, 300, false), &(40, 0, false), &(1_000, 0, false)]).enumerate() {
            // Rows of anywhere above the watermark, each in one step.
            let (count, from) = (steps.len() + 3, watermark);
            let due = rows.iter().skip(number).step_by(count).copied().filter(|row| row.2 >= from);
            let due: Vec<Row> = due.collect();
            given.extend(due.iter().copied());
            watermark += step;
            fired = fired.max(watermark + ahead);
            let mut out = Vec::new();
            whole.on_batch(0, batch(&due), &mut out).unwrap();
            whole.on_watermark(Watermark(watermark), &mut out).unwrap();
            whole.fire_early(Watermark(watermark + ahead), &mut out).unwrap();
            one.take(&out);
            let (mut out, mut states) = (Vec::new(), Vec::new());
            for (at, shard) in shards.iter_mut().enumerate() {
                let share: Vec<Row> = due.iter().copied().skip(at).step_by(2).collect();
                shard.on_batch(0, batch(&share), &mut states).unwrap();
                shard.on_watermark(Watermark(watermark), &mut states).unwrap();
                shard.fire_early(Watermark(Micros::MAX), &mut states).unwrap();
            }
            states.into_iter().for_each(|states| merged.on_batch(0, states, &mut out).unwrap());
            merged.on_watermark(Watermark(watermark), &mut out).unwrap();
            merged.fire_early(Watermark(watermark + ahead), &mut out).unwrap();
            two.take(&out);
            let so_far: Vec<String> = expected(&given, ends).into_iter().filter(|row| ends_by(row, fired)).collect();
            prop_assert_eq!(one.rows(fired), so_far.clone(), "at {}", watermark);
            prop_assert_eq!(two.rows(fired), so_far, "two phases at {}", watermark);
            let mut again = Vec::new();
            whole.fire_early(Watermark(fired), &mut again).unwrap();
            prop_assert_eq!(row_count(&again), 0, "nothing has changed");
            checkpoint(&mut whole, false, &mut runs);
            if *moves {
                whole = resumed(&runs, revising_in(overlap, Phase::Whole), watermark);
                fired = watermark;
            }
        }
        prop_assert_eq!(open_windows(&whole) + open_windows(&merged), 0);
        prop_assert_eq!(whole.revisions.bytes() + merged.revisions.bytes(), 0);
    }
}

fn row_count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[test]
fn keys_of_windows_that_came_out_early_are_forgotten() {
    let (mut pane, mut most) = (revising(), 0);
    for window in 0..20 {
        let (from, end) = (window * 5_000, (window as Micros + 1) * PANE);
        let mut out = Vec::new();
        pane.on_batch(0, keyed(from..from + 5_000, end), &mut out).unwrap();
        pane.fire_early(Watermark(end), &mut out).unwrap();
        assert_eq!(row_count(&out), 5_000);
        pane.on_watermark(Watermark(end), &mut out).unwrap();
        assert_eq!(row_count(&out), 5_000, "nothing has changed since");
        most = if window < 4 { most.max(pane.state_bytes()) } else { most };
        assert!(pane.state_bytes() <= 2 * most, "window {window}: {} bytes, {most} before", pane.state_bytes());
    }
}

#[test]
fn only_what_has_changed_comes_out_again() {
    let mut pane = revising();
    let rows = |pane: &mut Pane, keys: std::ops::Range<usize>| {
        let mut out = Vec::new();
        pane.on_batch(0, keyed(keys, PANE), &mut out).unwrap();
        pane.fire_early(Watermark(PANE), &mut out).unwrap();
        text(&out)
    };
    assert_eq!(rows(&mut pane, 0..2), ["0 10 [1, 1, 1, 1]", "1 10 [1, 1, 1, 1]"]);
    assert_eq!(rows(&mut pane, 1..3), ["1 10 [2, 2, 1, 1]", "2 10 [1, 1, 1, 1]"]);
    assert_eq!(rows(&mut pane, 0..0), [""; 0]);
    // A checkpoint in between saves all of it, and what goes on from it says all of it once more.
    let mut runs = Vec::new();
    checkpoint(&mut pane, false, &mut runs);
    assert_eq!(rows(&mut pane, 2..3), ["2 10 [2, 2, 1, 1]"]);
    checkpoint(&mut pane, false, &mut runs);
    let mut again = resumed(&runs, revising(), 0);
    let all = ["0 10 [1, 1, 1, 1]", "1 10 [2, 2, 1, 1]", "2 10 [2, 2, 1, 1]"];
    assert_eq!(rows(&mut again, 0..0), all);
    let mut out = Vec::new();
    again.on_watermark(Watermark(PANE), &mut out).unwrap();
    assert_eq!(row_count(&out), 0);
}

#[test]
fn groups_that_are_results_keep_their_numbers_when_others_are_forgotten() {
    let having = Some(col("c2").lt(lit(2i64)));
    let spec = PaneSpec { revises: Some(Revision { having, may_vanish: true }), ..spec(None) };
    let mut pane =
        Pane::plan(&spec, Phase::Whole, &SessionStateBuilder::new().with_default_features().build()).unwrap();
    let (mut results, last) = (Newest::default(), 20 * PANE);
    let mut push = |pane: &mut Pane, keys: std::ops::Range<usize>, end: Micros, watermark: Micros| {
        let mut out = Vec::new();
        pane.on_batch(0, keyed(keys, end), &mut out).unwrap();
        pane.fire_early(Watermark::END, &mut out).unwrap();
        pane.on_watermark(Watermark(watermark), &mut out).unwrap();
        results.take(&out);
        results.rows(Micros::MAX).into_iter().filter(|row| row.contains(" 200 ")).collect::<Vec<_>>()
    };
    // Results of a window that stays open, between keys of others that come and go.
    push(&mut pane, 0..2_500, PANE, PANE);
    push(&mut pane, 70_000..70_004, last, PANE);
    for window in 1..19 {
        let (from, end) = (window as usize * 2_500, window * PANE + PANE);
        push(&mut pane, from..from + 2_500, end, end);
    }
    assert!(pane.dict.len() < 20_000, "{} keys", pane.dict.len());
    let left = push(&mut pane, 70_001..70_003, last, last - PANE);
    assert_eq!(left, ["70000 200 [1, 1, 1, 1]", "70003 200 [1, 1, 1, 1]"]);
}
