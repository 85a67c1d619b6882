//! `--metrics-addr`: every series from the start, in the form that Prometheus reads, and the two probes.

use crate::broker::{send, send_records};
use crate::city::{City, FLOW, PER_MINUTE, flow};
use crate::process::eventually;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// An address that was free a moment ago.
pub(crate) fn free_address() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string()
}

/// Status and body of a page, `None` while nobody listens.
pub(crate) fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Waits until all jobs run.
#[track_caller]
pub(crate) fn wait_ready(address: &str) {
    eventually("readiness", || get(address, "/readyz").filter(|(status, _)| *status == 200));
}

/// The samples of the page by series; fails on what Prometheus would not read.
#[track_caller]
fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut families = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            let (name, help) = text.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(text) = line.strip_prefix("# TYPE ") {
            let (name, kind) = text.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{line} comes twice");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(families.contains_key(name) || families.contains_key(base), "{line} has no TYPE");
            let value: f64 = if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() };
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line} comes twice");
        }
    }
    assert!(page.ends_with('\n'));
    assert_eq!(helped.len(), families.len());
    samples
}

#[test]
fn every_series_is_there_with_0_from_the_start_and_counts() {
    let city = City::with_flow(2);
    let topic = city.topic("flow");
    let job = city.job("watched", "freshness = '1 second'", PER_MINUTE);
    let address = free_address();
    let live = city.live(&[&job], &["--metrics-addr", &address]);
    wait_ready(&address);
    assert_eq!(get(&address, "/healthz"), Some((200, "ok\n".to_owned())));
    assert_eq!(get(&address, "/nothing").unwrap().0, 404);
    let before = samples(&get(&address, "/metrics").unwrap().1);
    for (series, value) in series() {
        assert_eq!(before.get(&series), Some(&value), "{series} in {before:#?}");
    }
    send(&topic, 0, [flow("a", 1, "05:00:00"), flow("a", 1, "05:01:30"), flow("a", 1, "05:00:00"), "{".to_owned()]);
    send_records(&topic, 1, [(None, None), (Some(flow("b", 1, "05:05:00")), None)]);
    let counted = eventually("published rows", || {
        let found = samples(&get(&address, "/metrics")?.1);
        (found[r#"citystream_sink_rows_total{job="watched"}"#] >= 1.0).then_some(found)
    });
    let stream = |name: &str| counted[&format!(r#"citystream_{name}{{job="watched",stream="flow"}}"#)];
    let names = ["source_rows_total", "admitted_rows_total", "late_rows_total", "tombstones_total"];
    assert_eq!(names.map(stream), [6.0, 3.0, 1.0, 1.0]);
    assert_eq!(counted[r#"citystream_rejected_rows_total{job="watched",reason="invalid_json",stream="flow"}"#], 1.0);
    assert!(stream("source_bytes_total") > 100.0 && counted[r#"citystream_sink_bytes_total{job="watched"}"#] > 100.0);
    assert!(counted[r#"citystream_open_windows{job="watched"}"#] >= 2.0);
    assert!(counted[r#"citystream_state_bytes{job="watched"}"#] > 0.0);
    assert!(counted[r#"citystream_watermark_delay_seconds{job="watched",partition="0",stream="flow"}"#] > 1e5);
    assert_eq!(counted[r#"citystream_consumer_lag_rows{job="watched",partition="0",stream="flow"}"#], 0.0);
    live.stop().expect(0);
}

#[test]
fn readiness_says_which_job_does_not_run() {
    let city = City::with_flow(1);
    city.declare("gone", FLOW, "");
    let [good, bad] = [("good", "flow"), ("bad", "gone")]
        .map(|(name, stream)| city.job(name, "", &format!("SELECT site FROM {stream}")));
    let address = free_address().replace("127.0.0.1", "localhost");
    let live = city.live(&[&good, &bad], &["--metrics-addr", &address]);
    let body = eventually("the failed job", || {
        get(&address, "/readyz").map(|page| page.1).filter(|body| body.contains("failed"))
    });
    assert!(body.contains("bad: failed: topic") && !body.contains("good"), "{body}");
    assert_eq!(get(&address, "/healthz").unwrap().0, 200);
    live.stop().expect(2);
}

#[test]
fn without_the_flag_no_port_is_open() {
    let city = City::with_flow(1);
    let job = city.job("closed", "", PER_MINUTE);
    let done = city.catch_up(&[&job], &[]).expect(0);
    assert!(!done.stderr.contains("metrics on"), "{}", done.stderr);
}

/// Each series of the job `watched` over two partitions of `flow`, as it stands before the first record.
fn series() -> Vec<(String, f64)> {
    let mut all = vec![(format!(r#"citystream_build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION")), 1.0)];
    let mut zero = |series: String| all.push((series, 0.0));
    for name in
        ["source_rows_total", "source_bytes_total", "admitted_rows_total", "late_rows_total", "tombstones_total"]
    {
        zero(format!(r#"citystream_{name}{{job="watched",stream="flow"}}"#));
    }
    for name in [
        "expression_errors_total",
        "sink_rows_total",
        "sink_bytes_total",
        "open_windows",
        "state_bytes",
        "window_close_seconds_count",
    ] {
        zero(format!(r#"citystream_{name}{{job="watched"}}"#));
    }
    for reason in citystream_codec::Reason::ALL {
        zero(format!(r#"citystream_rejected_rows_total{{job="watched",reason="{reason}",stream="flow"}}"#));
    }
    for partition in 0..2 {
        for name in ["consumer_lag_rows", "watermark_delay_seconds"] {
            zero(format!(r#"citystream_{name}{{job="watched",partition="{partition}",stream="flow"}}"#));
        }
    }
    zero(r#"citystream_stage_seconds_count{job="watched",stage="decode"}"#.to_owned());
    all
}
