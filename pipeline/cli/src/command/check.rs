//! `citystream check`: findings and nothing else.

use crate::args::{CheckArgs, OutputFormat};
use crate::command::Context;
use crate::exit::{Failure, Outcome};
use crate::load;
use citystream_model::{Diagnostic, ErrorKind};
use serde_json::json;

pub(crate) fn run(context: &Context, args: CheckArgs) -> Outcome {
    let folder = context.schemas(args.schemas)?;
    let checked = load::schemas(&folder, &context.connectors, context.handle())
        .and_then(|schemas| load::jobs(&args.jobs, &schemas, &context.connectors));
    match (checked, context.output) {
        (Err(Failure::Findings(findings)), OutputFormat::Json) => {
            println!("{}", serde_json::Value::Array(findings.iter().map(as_json).collect()));
            Err(Failure::Reported(ErrorKind::Job))
        }
        (Err(failure), _) => Err(failure),
        (Ok(_), OutputFormat::Json) => {
            println!("[]");
            Ok(())
        }
        (Ok(jobs), OutputFormat::Text) => {
            for job in jobs {
                let streams = job.streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>().join(", ");
                let sinks = job.spec.sinks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                println!("{}: ok, reads {streams}, writes {sinks}", job.spec.name);
            }
            Ok(())
        }
    }
}

fn as_json(finding: &Diagnostic) -> serde_json::Value {
    let Diagnostic { code, file, line, column, message, help } = finding;
    json!({"code": code, "file": file, "line": line, "column": column, "message": message, "help": help})
}
