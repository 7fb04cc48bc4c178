//! The command line: one file a command; each speaks the Engine API.

mod args;
mod auth;
mod client;
mod commands;
mod failure;
mod filter;
mod format;
mod frames;
mod human;
mod json;
mod list;
mod options;
mod output;
mod parse;
mod parser;
mod progress;
mod session;
mod settings;
mod streams;
mod table;
mod term;
mod time;
mod unpack;

use failure::{Failure, Outcome};
use std::process::ExitCode;

/// Runs the command of this process' arguments.
pub fn main() -> ExitCode {
    let cli = match parser::parse(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(Some(cli)) => cli,
        Ok(None) => return ExitCode::SUCCESS,
        Err(failure) => return told(&failure),
    };
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => told(&failure),
    }
}

fn told(failure: &Failure) -> ExitCode {
    if let Some(message) = &failure.message {
        for line in message.lines() {
            output::note(format!("deck: {line}"));
        }
    }
    ExitCode::from(failure.code)
}

fn start(cli: args::Cli) -> Outcome {
    // Commands of this host alone need no engine and no event loop.
    let Some(cli) = commands::host::local(cli)? else { return Ok(()) };
    block_on(async {
        let session = session::Session::new(&cli.global)?;
        Box::pin(commands::run(&session, cli.command)).await
    })
}

/// Runs work in an event loop of its own.
fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("start the event loop: {error}")))?;
    let outcome = runtime.block_on(work);
    // A read of the terminal that never ends must not hold the process.
    runtime.shutdown_background();
    outcome
}
