//! How much the second oracle has seen, so that it cannot die unnoticed.

use super::Difference;
use std::collections::BTreeMap;
use std::fmt;

/// Shapes of queries by words of their text (any of them).
pub const SHAPES: [(&str, &[&str]); 16] = [
    ("row by row", &[]),
    ("aggregate", &["GROUP BY"]),
    ("bin", &["date_bin(", "date_trunc("]),
    ("tumble", &["tumble("]),
    ("hop", &["hop("]),
    ("cumulate", &["cumulate("]),
    ("session", &["session("]),
    ("cascade", &["inner_start", "inner_end", "window_start, INTERVAL", "window_end, INTERVAL", "ts => window_"]),
    ("join", &[" ON a.window_start"]),
    ("semi join", &["SEMI JOIN", "ANTI JOIN", " IN (SELECT"]),
    ("lookup", &["ref AS r"]),
    ("union", &[" UNION "]),
    ("distinct", &["SELECT DISTINCT"]),
    ("over", &[" OVER ("]),
    ("top-N", &["QUALIFY", " WHERE t."]),
    ("ordered aggregate", &["_value(", "string_agg("]),
];

/// Compared and all cases by shape, and why the others were left out.
#[derive(Debug, Default)]
pub struct Coverage {
    shapes: BTreeMap<&'static str, (u64, u64)>,
    outside: BTreeMap<Difference, (u64, String)>,
    compared: u64,
    cases: u64,
}

// === impl Coverage ===

impl Coverage {
    /// Takes in the case of `select`, which was compared unless it lies outside.
    pub fn add(&mut self, select: &str, outside: Option<Difference>) {
        let compared = u64::from(outside.is_none());
        self.compared += compared;
        self.cases += 1;
        for shape in shapes(select) {
            let (seen, all) = self.shapes.entry(shape).or_default();
            (*seen, *all) = (*seen + compared, *all + 1);
        }
        if let Some(difference) = outside {
            let (count, _) = self.outside.entry(difference).or_insert_with(|| (0, select.to_owned()));
            *count += 1;
        }
    }

    /// Shapes of which less than `percent` were compared, if there were enough of them to tell.
    pub fn neglected(&self, percent: u64) -> Vec<&'static str> {
        let neglected = |(seen, all): &(u64, u64)| *all >= 30 && seen * 100 < all * percent;
        let mut found: Vec<&str> =
            self.shapes.iter().filter(|(_, counts)| neglected(counts)).map(|(shape, _)| *shape).collect();
        if neglected(&(self.compared, self.cases)) {
            found.push("all");
        }
        found
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "second oracle: {} of {} cases compared", self.compared, self.cases)?;
        for (shape, (seen, all)) in &self.shapes {
            writeln!(f, "  {shape:18} {seen:6} of {all:6} ({} %)", seen * 100 / all)?;
        }
        for (difference, (count, example)) in &self.outside {
            let example = if *difference == Difference::Syntax { example.as_str() } else { "" };
            writeln!(f, "  outside, {difference:?}: {count} {example}")?;
        }
        Ok(())
    }
}

/// The shapes that `select` has.
fn shapes(select: &str) -> Vec<&'static str> {
    let has = |words: &&[&str]| words.iter().any(|word| select.contains(word));
    let found: Vec<&str> = SHAPES.iter().filter(|(_, words)| has(words)).map(|(shape, _)| *shape).collect();
    if found.is_empty() { vec![SHAPES[0].0] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::DIFFERENCES;

    #[test]
    fn what_is_no_longer_compared_is_noticed() {
        let mut coverage = Coverage::default();
        let over = "SELECT row_number() OVER (ORDER BY w.at) AS n FROM tumble(s, at, INTERVAL '1 hour') AS w";
        (0..100).for_each(|_| coverage.add("SELECT s.k FROM s", None));
        (0..100).for_each(|at| coverage.add(over, (at % 2 == 0).then_some(Difference::Syntax)));
        assert!(coverage.neglected(40).is_empty(), "{coverage}");
        (0..30).for_each(|_| coverage.add(over, Some(Difference::Syntax)));
        assert_eq!(coverage.neglected(40), ["over", "tumble"]);
        (0..200).for_each(|_| coverage.add("SELECT s.k FROM s", Some(Difference::Syntax)));
        assert_eq!(coverage.neglected(40), ["over", "row by row", "tumble", "all"]);
    }

    #[test]
    fn every_difference_has_its_reason() {
        for (at, (difference, reason)) in DIFFERENCES.iter().enumerate() {
            assert_eq!(*difference as usize, at, "{difference:?}");
            assert!(!reason.is_empty());
        }
        assert_eq!(DIFFERENCES.len(), Difference::Syntax as usize + 1);
    }
}
