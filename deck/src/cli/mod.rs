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
            output::note(format!("deck: {}", harmless(line)));
        }
    }
    ExitCode::from(failure.code)
}

/// Messages quote images, registries and other hosts: control characters of theirs are not the
/// terminal's to obey.
fn harmless(line: &str) -> String {
    let kept = |c: char| c == '\t' || !c.is_control();
    line.chars()
        .map(|c| if kept(c) { c.to_string() } else { c.escape_default().to_string() })
        .collect()
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

#[cfg(test)]
mod tests {
    #[test]
    fn messages_do_not_steer_the_terminal() {
        let line = super::harmless("a\tb \u{1b}[31mé\r\u{9b}2J");
        assert_eq!(line, "a\tb \\u{1b}[31mé\\r\\u{9b}2J");
    }
}
