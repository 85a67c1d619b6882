//! The `citystream` binary: stream analytics for cities, jobs in SQL over Kafka.
//!
//! Commands are thin: [`args`] says what may be typed, [`command`] does it, [`wire`] joins the crates.

mod args;
mod checkpoints;
mod command;
mod config;
mod exit;
mod http;
mod inputs;
mod load;
mod logging;
mod memory;
mod parallelism;
mod progress;
mod report;
mod samples;
mod shuffle;
mod tables;
mod wire;

use args::{Cli, Command};
use clap::Parser;
use exit::Outcome;
use std::process::ExitCode;

fn main() -> ExitCode {
    // TLS of object stores: two providers are linked, so one has to be chosen (dependencies, pitfall 4).
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let _closed_terminal = usage.print();
            // Help and version are no errors; a wrong option is the caller's mistake.
            return ExitCode::from(u8::from(usage.use_stderr()));
        }
    };
    let outcome = run(cli);
    if let Err(failure) = &outcome {
        failure.print();
    }
    exit::code(&outcome)
}

fn run(cli: Cli) -> Outcome {
    let config =
        config::Config::load(cli.global.config.as_deref(), &|name| std::env::var(name).ok(), std::env::vars())?;
    let config = config.with_flags(&cli.global)?;
    let screen = logging::start(&config.log);
    let context = command::Context::new(config, cli.global.output, screen)?;
    match cli.command {
        Command::Run(args) => command::run::run(&context, args),
        Command::Batch(args) => command::batch::run(&context, args),
        Command::Check(args) => command::check::run(&context, args),
        Command::Explain(args) => command::explain::run(&context, args),
        Command::Produce(args) => command::produce::run(&context, args),
        Command::Checkpoints(args) => command::checkpoints::run(&context, args),
        Command::Test(args) => command::test::run(&context, args),
        Command::Demo(args) => command::demo::run(&context, args),
    }
}
