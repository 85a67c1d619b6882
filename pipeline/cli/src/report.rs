//! What was produced, at the end: a table for people, JSON for scripts.

use crate::args::OutputFormat;
use citystream_runtime::status::{Status, Totals};
use serde_json::{Value, json};

/// One job's totals.
#[derive(Debug, Clone)]
pub(crate) struct JobReport {
    pub(crate) name: String,
    pub(crate) status: Status,
    /// `finished`, or why it failed.
    pub(crate) state: String,
}

/// Prints the reports on stdout.
pub(crate) fn print(jobs: &[JobReport], format: OutputFormat) {
    match format {
        OutputFormat::Json => println!("{}", Value::Array(jobs.iter().map(as_json).collect())),
        OutputFormat::Text => print!("{}{}", as_text(jobs), jobs.iter().map(remarks).collect::<String>()),
    }
    jobs.iter().filter_map(warning).for_each(|warning| eprintln!("warning: {warning}"));
}

/// Lines on what was not counted as a result: rejects by reason, and rows on which an expression failed.
fn remarks(job: &JobReport) -> String {
    let Status { rejected, rejected_reasons, expression_errors, .. } = &job.status;
    let mut lines = String::new();
    if *rejected > 0 {
        let reasons = rejected_reasons.iter().filter(|(_, count)| **count > 0);
        let reasons = reasons.map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ");
        lines += &format!("{}: rejected {rejected} ({reasons}), see the rejects tables of its streams\n", job.name);
    }
    if *expression_errors > 0 {
        lines += &format!(
            "{}: {expression_errors} expressions failed and are NULL (a division by zero, a CAST or an overflow)\n",
            job.name
        );
    }
    lines
}

/// What an empty table would not say of itself.
fn warning(job: &JobReport) -> Option<String> {
    let Status { read, rejected, rejected_reasons, .. } = &job.status;
    let (reason, _) = rejected_reasons.iter().max_by_key(|(_, count)| **count)?;
    (*read > 0 && read == rejected).then(|| {
        format!(
            "job '{}': all {read} records were rejected, most of them for {reason}; look at column detail of the rejects table, and at the stream's declaration",
            job.name
        )
    })
}

fn as_json(job: &JobReport) -> Value {
    let Status {
        read,
        admitted,
        late,
        rejected,
        rejected_reasons,
        tombstones,
        expression_errors,
        results,
        published,
        ..
    } = &job.status;
    let sinks: serde_json::Map<String, Value> = published
        .iter()
        .map(|(sink, Totals { rows, files, bytes })| {
            // Messages of a topic are no files.
            let totals = if is_topic(sink) {
                json!({"rows": rows, "bytes": bytes})
            } else {
                json!({"rows": rows, "files": files, "bytes": bytes})
            };
            (sink.clone(), totals)
        })
        .collect();
    json!({"job": job.name, "state": job.state, "read": read, "admitted": admitted, "late": late, "rejected": rejected,
        "rejected_reasons": rejected_reasons, "tombstones": tombstones, "expression_errors": expression_errors, "results": results, "sinks": sinks})
}

fn is_topic(sink: &str) -> bool {
    sink.starts_with("kafka:")
}

fn as_text(jobs: &[JobReport]) -> String {
    let mut lines = vec![["job", "read", "late", "rejected", "output", "rows", "files", "bytes"].map(str::to_owned)];
    for job in jobs {
        let Status { read, late, rejected, published, .. } = &job.status;
        let mut cells = [job.name.clone(), read.to_string(), late.to_string(), rejected.to_string()];
        if published.is_empty() {
            let [name, read, late, rejected] = cells.clone();
            lines.push([name, read, late, rejected, "-".into(), "0".into(), "0".into(), "0".into()]);
        }
        for (sink, totals) in published {
            let [name, read, late, rejected] = cells;
            let files = if is_topic(sink) { "-".to_owned() } else { totals.files.to_string() };
            lines.push([
                name,
                read,
                late,
                rejected,
                sink.clone(),
                totals.rows.to_string(),
                files,
                totals.bytes.to_string(),
            ]);
            cells = Default::default();
        }
    }
    let widths: Vec<usize> =
        (0..8).map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            // Names to the left, numbers to the right.
            if at == 0 || at == 4 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
