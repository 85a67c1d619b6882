//! The engine's own counters: `citystream_stage_seconds` from its metrics page, as long as there is one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long the page may take.
const TIMEOUT: Duration = Duration::from_millis(500);

/// One reading of the page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stages {
    /// Seconds by stage.
    pub seconds: BTreeMap<String, f64>,
    /// Records read.
    pub source_rows: u64,
    /// Result rows published: with it a reading says whether it is the last word.
    pub sink_rows: u64,
}

/// Reads the stages; `None` while the page does not answer.
pub fn scrape(address: SocketAddr) -> Option<Stages> {
    page(address).map(|page| parse(&page))
}

/// The sum of all series called `name`; `None` while the page does not answer or has none.
pub fn sum(address: SocketAddr, name: &str) -> Option<f64> {
    let page = page(address)?;
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values: Vec<f64> =
        page.lines().filter(of_name).filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

fn page(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    page.starts_with("HTTP/1.1 200").then_some(page)
}

fn parse(page: &str) -> Stages {
    let mut stages = Stages::default();
    for line in page.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        if series.starts_with("citystream_stage_seconds_sum{")
            && let Some(stage) = label(series, "stage")
            && let Ok(seconds) = value.parse::<f64>()
        {
            *stages.seconds.entry(stage.to_owned()).or_default() += seconds;
        } else if series.starts_with("citystream_source_rows_total{") {
            stages.source_rows += value.parse::<f64>().unwrap_or(0.0) as u64;
        } else if series.starts_with("citystream_sink_rows_total{") {
            stages.sink_rows += value.parse::<f64>().unwrap_or(0.0) as u64;
        }
    }
    stages
}

fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = series.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_stage_are_found_on_the_page() {
        let page = "# HELP x y\n\
            citystream_stage_seconds_bucket{job=\"j\",stage=\"decode\",le=\"0.1\"} 3\n\
            citystream_stage_seconds_sum{job=\"j\",stage=\"decode\"} 1.5\n\
            citystream_stage_seconds_sum{job=\"j\",stage=\"sink\"} 0.25\n\
            citystream_source_rows_total{job=\"j\",stream=\"s\"} 1000000\n\
            citystream_source_rows_total{job=\"j\",stream=\"t\"} 1000000\n\
            citystream_sink_rows_total{job=\"j\"} 500000\n";
        let expect = Stages {
            seconds: [("decode".to_owned(), 1.5), ("sink".to_owned(), 0.25)].into(),
            source_rows: 2_000_000,
            sink_rows: 500_000,
        };
        assert_eq!(parse(page), expect);
    }
}
