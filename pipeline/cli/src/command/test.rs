//! `citystream test`: the cases of jobs. Streamed rows have to equal the expected ones and the batch twin's, at parallelism
//! 1 and 4, in file order and shuffled.

mod case;
mod rows;
mod variant;

use crate::args::{OutputFormat, TestArgs};
use crate::command::Context;
use crate::exit::{Failure, Outcome};
use crate::load;
use citystream_model::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// What a case came to.
struct Verdict {
    case: String,
    /// One sentence for each difference; none for a case that passed.
    differences: Vec<String>,
}

pub(crate) fn run(context: &Context, args: TestArgs) -> Outcome {
    let folder = args
        .schemas
        .or_else(|| (!context.config.run.schemas.is_empty()).then(|| PathBuf::from(&context.config.run.schemas)));
    let schemas =
        load::schemas(&folder.unwrap_or_else(|| PathBuf::from("schemas")), &context.connectors, context.handle())?;
    let folders = if args.jobs.is_empty() { subfolders(Path::new("jobs"))? } else { args.jobs };
    let mut verdicts = Vec::new();
    for folder in folders {
        if !folder.is_dir() {
            return Err(Error::job(format!("there is no folder '{}'; expected jobs/NAME", folder.display())).into());
        }
        let cases = folder.join("cases");
        if !cases.is_dir() {
            eprintln!("warning: {}: has no cases, so nothing of it is tested", folder.display());
            continue;
        }
        let jobs = load::jobs(&[folder.join("job.sql")], &schemas, &context.connectors)?;
        for case in subfolders(&cases)? {
            let mut differences = Vec::new();
            for job in &jobs {
                differences.extend(case::run(context, job, &case)?);
            }
            verdicts.push(Verdict { case: case.display().to_string(), differences });
        }
    }
    report(&verdicts, context.output)
}

fn report(verdicts: &[Verdict], format: OutputFormat) -> Outcome {
    let failed = verdicts.iter().filter(|verdict| !verdict.differences.is_empty()).count();
    match format {
        OutputFormat::Json => {
            let cases = verdicts.iter().map(|Verdict { case, differences }| serde_json::json!({"case": case, "passed": differences.is_empty(), "differences": differences}));
            println!("{}", serde_json::Value::Array(cases.collect()));
        }
        OutputFormat::Text => {
            for Verdict { case, differences } in verdicts {
                println!("{case} ... {}", if differences.is_empty() { "ok" } else { "FAILED" });
                differences.iter().for_each(|difference| println!("  {difference}"));
            }
            println!("{} passed, {failed} failed", verdicts.len() - failed);
        }
    }
    match (verdicts.is_empty(), failed) {
        (true, _) => Err(Error::job(
            "there is no case; expected folders jobs/NAME/cases/CASE with input.jsonl and expected.jsonl",
        )
        .into()),
        (false, 0) => Ok(()),
        _ => Err(Failure::Reported(ErrorKind::Job)),
    }
}

fn subfolders(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder)
        .map_err(|error| Error::job(format!("folder '{}': cannot be read", folder.display())).caused_by(error))?;
    let mut folders: Vec<PathBuf> =
        listed.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}
