//! The command line: `hull [global options] COMMAND [options] [arguments]`.
//!
//! [`parse`] turns the words into a request by the table in [`entries`]; a module per command carries
//! it out; this one reports errors, once. The commands are kept out of line: a page of code that only
//! another command needs would be in memory for nothing.

pub mod args;
pub mod checkpoint;
pub mod create;
pub mod delete;
pub mod duration;
pub mod entries;
pub mod events;
pub mod exec;
pub mod exec_args;
pub mod exit_code;
pub mod explain;
pub mod features;
pub mod flags;
pub mod global;
pub mod help;
pub mod inherited;
pub mod kill;
pub mod list;
pub mod normalise;
pub mod parse;
pub mod pause;
pub mod ps;
pub mod restore;
pub mod run;
pub mod size;
pub mod spec;
pub mod start;
pub mod state;
pub mod terminal;
pub mod update;

use crate::error::{At, Error, Kind, Result};
use crate::sys::{child, entry};
use crate::{log, seal};
use args::Command;
use exit_code::ExitCode;
use global::Global;
use inherited::{Inherited, claim};
use parse::{Failure, Request};
use std::ffi::OsString;
use std::io::Write as _;

/// The commands that clone this process into a container, where its binary can be reached.
const CLONERS: [&str; 3] = ["create", "run", "exec"];

/// Runs the command line of this process.
pub fn main() -> u8 {
    match run(entry::arguments().iter().skip(1).cloned()) {
        Ok(code) => code.0,
        Err(failure) => {
            report(&failure.error);
            failure.code
        }
    }
}

fn run(args: impl IntoIterator<Item = OsString>) -> Result<ExitCode, Failure> {
    if entry::arguments().iter().skip(1).any(|word| CLONERS.iter().any(|name| word == name)) {
        // Before anything else is done, for it is done anew by the sealed binary; and before the
        // caller's descriptors, such as that of `exec --process <(…)`, are marked close-on-exec. A
        // word that is no command costs that and nothing more.
        seal::ensure()?;
        child::default_terminal_signals().at(|| "sigaction")?;
    }
    entry::ignore_sigpipe();
    let (global, command) = match parse::parse(args)? {
        Request::Print(text) => {
            print(&text)?;
            return Ok(ExitCode::SUCCESS);
        }
        Request::Run(global, command) => (global, command),
    };
    // Before anything stays open: see the module.
    let inherited =
        command.as_ref().map_or(Ok(Inherited::default()), |(_, command)| claim(command))?;
    let level = if global.debug { log::Level::Debug } else { log::Level::Info };
    log::init(global.log.as_deref(), global.log_format, level)?;
    let (entry, command) = command?;
    dispatch(&global, command, &inherited).map_err(|error| entry.failure(error))
}

fn dispatch(global: &Global, command: Command, inherited: &Inherited) -> Result<ExitCode> {
    match command {
        Command::Checkpoint(args) => checkpoint::run(global, &args),
        Command::Create(args) => create::run(global, &args, inherited),
        Command::Delete(args) => delete::run(global, &args),
        Command::Events(args) => events::run(global, &args),
        Command::Exec(args) => exec::run(global, &args, inherited),
        Command::Explain(args) => explain::run(global, &args),
        Command::Features => features::run(),
        Command::Kill(args) => kill::run(global, &args),
        Command::List(args) => list::run(global, &args),
        Command::Pause { id } => pause::pause(global, &id),
        Command::Ps(args) => ps::run(global, &args),
        Command::Restore(args) => restore::run(global, &args),
        Command::Resume { id } => pause::resume(global, &id),
        Command::Run(args) => run::run(global, &args, inherited),
        Command::Spec(args) => spec::run(&args),
        Command::Start { id } => start::run(global, &id),
        Command::State { id } => state::run(global, &id),
        Command::Update(args) => update::run(global, &args),
    }
}

/// Tells of the error that ends the command: one plain line on standard error, and an entry in the
/// log if that is elsewhere.
fn report(error: &Error) {
    let message = error.to_string();
    if log::has_file() {
        log::error(format_args!("{message}"));
    }
    // Such a line is what other runtimes leave to the program's own standard error.
    let plain = error.kind() == Kind::Execve || message.starts_with("hull ");
    let name = if plain { "" } else { "hull: " };
    // One write, so that lines of several commands don't mix. If it fails nobody is listening.
    let _ = std::io::stderr().write_all(format!("{name}{message}\n").as_bytes());
}

/// Writes a command's output. A reader that has gone away is an error, not a panic.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).at(|| "write to standard output")
}

/// A program's exit status as this process' own.
pub(crate) fn status(code: i32) -> ExitCode {
    ExitCode(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
}
