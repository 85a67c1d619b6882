//! Streamed output equals the same SQL as a batch over the admitted rows, bit for bit, for random jobs and records.
//!
//! `CITYSTREAM_DIFF_CASES` sets the number of cases, `CITYSTREAM_DIFF_SEED` runs one seed and prints it.

use citystream_operators::plan::NodeKind;
use citystream_sql::CheckedJob;
use citystream_testing::case::Case;
use citystream_testing::check::{Verdict, check};
use citystream_testing::foreign::coverage::Coverage;
use citystream_testing::run;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cases of a plain run.
const CASES: u64 = 3_000;
/// What may be refused, in thousandths of all cases: random conditions that are never true (S121), nonsense that does not
/// plan (S013), windows that do not fit one another, a name that DataFusion gives twice (S012).
const REFUSED: [(&str, u64); 10] = [
    ("S121", 150),
    ("S013", 40),
    ("S110", 10),
    ("S150", 10),
    ("S101", 10),
    ("S012", 5),
    ("S152", 5),
    ("S140", 5),
    ("S161", 1),
    ("S162", 2),
];
/// Percent of the cases of each shape that the second oracle has to have seen.
const SEEN: u64 = 40;
/// One of so many cases at least has results that come out early: 7 to 9 in a hundred, by where the seeds begin.
const EARLY: u64 = 16;
/// Failures that are shown before the run stops.
const FAILURES: usize = 8;

#[derive(Default)]
struct Totals {
    agreed: u64,
    empty: u64,
    rows: usize,
    late: usize,
    revised: u64,
    coverage: Coverage,
    refused: BTreeMap<String, (u64, String)>,
    failures: Vec<String>,
}

#[test]
fn stream_equals_batch() {
    if let Some(seed) = number("CITYSTREAM_DIFF_SEED") {
        let case = Case::generate(seed);
        println!("{}", describe(&case));
        for (at, node) in prepare(&case).into_iter().flat_map(|job| job.plan.nodes).enumerate() {
            println!("node {at}: {} reads {:?}\n{}", node.name, node.inputs, plan(&node.kind));
        }
        println!("{:?}", check(&case).unwrap_or_else(|failure| panic!("{failure}")));
        return;
    }
    let cases = number("CITYSTREAM_DIFF_CASES").unwrap_or(CASES);
    let first = number("CITYSTREAM_DIFF_FIRST").unwrap_or(0);
    let (next, totals) = (AtomicU64::new(first), Mutex::new(Totals::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + cases || totals.lock().unwrap().failures.len() >= FAILURES {
                return;
            }
            let case = Case::generate(seed);
            let result = catch_unwind(AssertUnwindSafe(|| check(&case)));
            totals.lock().unwrap().add(&case, result.unwrap_or_else(|panic| Err(format!("panic: {}", text(&*panic)))));
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(8));
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    totals.into_inner().unwrap().report(cases);
}

fn prepare(case: &Case) -> Option<CheckedJob> {
    run::prepare(&case.world.ddl(), &case.job, &case.world.tables()).ok()
}

fn plan(kind: &NodeKind) -> String {
    match kind {
        NodeKind::Stateless(fragment) | NodeKind::ClosedWindow { fragment, .. } => {
            fragment.plan.display_indent().to_string()
        }
        NodeKind::Pane(spec) => format!("{spec:?}"),
        NodeKind::Session(spec) => format!("{spec:?}"),
        NodeKind::SessionPane(spec) => format!("{spec:?}"),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: found {text:?}, expected a number")))
}

fn text(panic: &dyn std::any::Any) -> String {
    let known = panic.downcast_ref::<String>().cloned();
    known.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn describe(case: &Case) -> String {
    format!("CITYSTREAM_DIFF_SEED={}\n{};\n{}", case.seed, case.world.ddl(), case.job)
}

impl Totals {
    fn add(&mut self, case: &Case, result: Result<Verdict, String>) {
        match result {
            Ok(Verdict::Agreed { rows, late, outside, revised }) => {
                self.revised += u64::from(revised);
                self.coverage.add(&case.query.sql, outside);
                self.agreed += 1;
                self.empty += u64::from(rows == 0);
                self.rows += rows;
                self.late += late;
            }
            Ok(Verdict::Refused(findings)) => {
                let code = findings.first().map_or("none", |finding| finding.code).to_owned();
                let shown = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                let entry = self.refused.entry(code).or_insert_with(|| (0, format!("{}\n{shown}", describe(case))));
                entry.0 += 1;
            }
            Err(failure) => self.failures.push(format!("{}\n{failure}", describe(case))),
        }
    }

    fn report(self, cases: u64) {
        let refused: u64 = self.refused.values().map(|(count, _)| count).sum();
        println!(
            "{cases} cases: {} agreed ({} of them empty, {} with early results too) on {} rows, {} late records, {refused} refused",
            self.agreed, self.empty, self.revised, self.rows, self.late
        );
        print!("{}", self.coverage);
        for (code, (count, example)) in &self.refused {
            println!("--- {code}: {count} refused, for instance\n{example}");
        }
        for failure in &self.failures {
            println!("=== FAILED\n{failure}\n");
        }
        assert!(self.failures.is_empty(), "{} cases failed", self.failures.len());
        assert!(self.revised * EARLY >= cases, "only {} of {cases} cases had early results", self.revised);
        let neglected = self.coverage.neglected(SEEN);
        assert!(neglected.is_empty(), "the second oracle saw less than {SEEN} % of {neglected:?}");
        for (code, (count, _)) in &self.refused {
            let most =
                REFUSED.iter().find(|(known, _)| known == code).map_or(0, |(_, share)| cases * share / 1_000 + 2);
            assert!(*count <= most, "{count} of {cases} cases were refused with {code}, expected at most {most}");
        }
    }
}
