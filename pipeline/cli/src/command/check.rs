//! `citystream check`: findings, and how another system's spelling is read.

use crate::args::{CheckArgs, OutputFormat};
use crate::command::Context;
use crate::exit::{Failure, Outcome};
use crate::load;
use citystream_model::{Diagnostic, ErrorKind};
use citystream_sql::{CheckedJob, Note, notes};
use serde_json::{Value, json};

/// Jobs that are right, and what they and their streams say in another spelling.
struct Checked {
    jobs: Vec<CheckedJob>,
    notes: Vec<Note>,
}

pub(crate) fn run(context: &Context, args: CheckArgs) -> Outcome {
    match (check(context, args), context.output) {
        (Err(Failure::Findings(findings)), OutputFormat::Json) => {
            println!("{}", Value::Array(findings.iter().map(as_json).collect()));
            Err(Failure::Reported(ErrorKind::Job))
        }
        (Err(failure), _) => Err(failure),
        (Ok(checked), OutputFormat::Json) => {
            println!("{}", Value::Array(checked.notes.iter().map(note_as_json).collect()));
            Ok(())
        }
        (Ok(checked), OutputFormat::Text) => {
            checked.notes.iter().for_each(|note| println!("{note}"));
            for job in checked.jobs {
                let streams = job.streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>().join(", ");
                let sinks = job.spec.sinks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                println!("{}: ok, reads {streams}, writes {sinks}", job.spec.name);
            }
            Ok(())
        }
    }
}

fn check(context: &Context, args: CheckArgs) -> Outcome<Checked> {
    let folder = context.schemas(args.files.schemas)?;
    let schemas = load::schemas(&folder, &context.connectors, context.handle())?;
    let files = load::job_files(&args.files.jobs)?;
    let jobs = load::checked(&files, &schemas, &context.connectors)?;
    let is_read = |note: &Note| {
        let read = jobs.iter().flat_map(|job| &job.streams);
        note.stream.as_ref().is_none_or(|declared| read.into_iter().any(|stream| stream.name == *declared))
    };
    let all = schemas.files.iter().chain(&files).flat_map(|file| notes(file, &context.connectors));
    let notes = all.filter(is_read).collect();
    Ok(Checked { jobs, notes })
}

fn as_json(finding: &Diagnostic) -> Value {
    let Diagnostic { code, file, line, column, message, help } = finding;
    json!({"severity": "error", "code": code, "file": file, "line": line, "column": column, "message": message, "help": help})
}

fn note_as_json(note: &Note) -> Value {
    let Note { file, line, column, read_as, .. } = note;
    json!({"severity": "note", "code": Value::Null, "file": file, "line": line, "column": column,
        "message": "read in the spelling of citystream", "help": Value::Null, "read_as": read_as})
}
