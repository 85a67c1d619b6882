//! The numbers as a Markdown table.

use crate::engine::Cost;
use crate::measure::{Measured, Results};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Median, smallest and largest of some runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

/// Threads of the Kafka client library begin with this.
const CLIENT: &str = "rdk:";

/// The table, with the bare loops below it.
pub fn markdown(results: &Results) -> String {
    let mut text = String::from(
        "| job | broker | events | CPU-s per M events: all | steady | M events per CPU-s: all | steady | of bare loop | \
         broker CPU-s per M | peak MiB | ns per event, larger run | rows right |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for measured in &results.measured {
        text.push_str(&row(measured, results));
    }
    text.push_str("\n| bare loop of | events | CPU-s per M events | decode | windows | M events per CPU-s |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for (job, costs) in &results.bare {
        let per_million = |seconds: fn(&crate::bare::Cost) -> f64| {
            spread(costs.iter().map(|cost| seconds(cost) / cost.events as f64 * 1e6))
        };
        let all = per_million(crate::bare::Cost::cpu_s);
        let (decode, windows) = (per_million(|cost| cost.decode_s), per_million(|cost| cost.windows_s));
        let events = costs.first().map_or(0, |cost| cost.events);
        let (decode, windows) = (decode.median, windows.median);
        let line = format!("| {job} | {events} | {all} | {decode:.2} | {windows:.2} | **{:.2}** |\n", 1.0 / all.median);
        text.push_str(&line);
    }
    text
}

fn row(measured: &Measured, results: &Results) -> String {
    let Measured { job, broker, small, large } = measured;
    let all = spread(large.iter().map(|cost| cost.cpu_s / cost.events as f64 * 1e6));
    // What more events cost: start, planning and the windows that both runs close drop out.
    let steady = spread(
        small
            .iter()
            .zip(large)
            .map(|(small, large)| (large.cpu_s - small.cpu_s) / (large.events - small.events) as f64 * 1e6),
    );
    let bare = results.bare.get(job).map(|costs| spread(costs.iter().map(|cost| cost.cpu_s() / cost.events as f64)));
    let of_bare = bare.map_or_else(|| "-".to_owned(), |bare| format!("{:.0} %", bare.median * 1e8 / steady.median));
    let broker_cpu = spread(large.iter().map(|cost| cost.broker_cpu_s / cost.events as f64 * 1e6));
    let peak = spread(large.iter().map(|cost| cost.peak_kib as f64 / 1_024.0));
    let (events, rows) = large.first().map_or((0, 0), |cost| (cost.events, cost.digest.rows));
    let stages = middle(large).map(stages).unwrap_or_default();
    format!(
        "| {job} | {broker} | {events} | {all} | {steady} | {:.2} | **{:.2}** | {of_bare} | {:.2} | {:.0} to {:.0} | \
         {stages} | {rows} |\n",
        1.0 / all.median,
        1.0 / steady.median,
        broker_cpu.median,
        peak.least,
        peak.most,
    )
}

/// The run whose cost is the median.
fn middle(runs: &[Cost]) -> Option<&Cost> {
    let mut complete: Vec<&Cost> = runs.iter().filter(|cost| cost.stages_complete).collect();
    if complete.is_empty() {
        complete = runs.iter().collect();
    }
    complete.sort_by(|one, other| one.cpu_s.total_cmp(&other.cpu_s));
    complete.get(complete.len() / 2).copied()
}

/// CPU time of one event by stage: `client` is the Kafka client's threads, `other` what no stage counts.
pub fn stages(cost: &Cost) -> String {
    let client_s = cost.threads.iter().filter(|(name, _)| name.starts_with(CLIENT)).map(|(_, cpu_s)| cpu_s).sum();
    let mut parts = vec![("client", client_s)];
    // In the order of the data, which is not that of their names.
    let order = BTreeMap::from([("decode", 0), ("admit", 1), ("operators", 2), ("sink", 4)]);
    let mut named: Vec<_> = cost.stages.seconds.iter().collect();
    named.sort_by_key(|(name, _)| order.get(name.as_str()).copied().unwrap_or(3));
    parts.extend(named.into_iter().map(|(name, wall_s)| (name.as_str(), wall_s * cost.ran)));
    let known: f64 = parts.iter().map(|(_, cpu_s)| cpu_s).sum();
    parts.push(("other", cost.cpu_s - known));
    let mut text = String::from(if cost.stages_complete { "" } else { "(read before the end) " });
    for (at, (name, cpu_s)) in parts.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        // Writing to a String does not fail.
        write!(text, "{comma}{name} {:.0}", cpu_s / cost.events as f64 * 1e9).unwrap_or_default();
    }
    text
}

pub(crate) fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    Spread { median: at(values.len() / 2), least: at(0), most: at(values.len().saturating_sub(1)) }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_least_and_most() {
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()).to_string(), "2.00 (1.00 to 3.00)");
        assert_eq!(spread([4.0].into_iter()), Spread { median: 4.0, least: 4.0, most: 4.0 });
    }
}
