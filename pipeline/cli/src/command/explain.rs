//! `citystream explain`: what a job will do, before it does it.

use crate::args::{ExplainArgs, OutputFormat};
use crate::command::Context;
use crate::exit::Outcome;
use crate::load;
use citystream_sql::explain;
use serde_json::{Value, json};

pub(crate) fn run(context: &Context, args: ExplainArgs) -> Outcome {
    let folder = context.schemas(args.files.schemas)?;
    let schemas = load::schemas(&folder, &context.connectors, context.handle())?;
    let jobs = load::jobs(&args.files.jobs, &schemas, &context.connectors)?;
    match context.output {
        OutputFormat::Text => jobs.iter().for_each(|job| print!("{}", explain(job))),
        OutputFormat::Json => {
            let all = jobs.iter().map(|job| json!({"job": job.spec.name, "explain": explain(job)}));
            println!("{}", Value::Array(all.collect()));
        }
    }
    Ok(())
}
