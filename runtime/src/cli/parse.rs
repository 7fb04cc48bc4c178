//! From the words of the command line to a request.

use super::args::Command;
use super::entries::{ENTRIES, Entry};
use super::flags::{Operands, usage};
use super::global::Global;
use super::help;
use super::normalise::split;
use crate::error::{At, Error, Kind, Result};
use clap::ArgMatches;
use std::convert::Infallible;
use std::ffi::OsString;

/// What the user wants.
#[derive(Debug)]
pub enum Request {
    /// A text on standard output.
    Print(String),
    /// A command carried out. An error that came up once the global options were known is part of
    /// it, for it belongs into the log they name.
    Run(Global, Result<(&'static Entry, Command), Failure>),
}

/// An error and the exit code it stands for.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    /// The runtime's exit code.
    pub code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, code: 1 }
    }
}

impl Entry {
    /// An error of this command, as it is reported.
    pub fn failure(&self, error: Error) -> Failure {
        let error = match self.prefix {
            Some(prefix) if error.kind() != Kind::Execve => {
                let Err(error) = Err::<Infallible, _>(error).at(|| prefix);
                error
            }
            _ => error,
        };
        Failure { error, code: self.code }
    }
}

/// What the words after the command's name ask for.
enum Wish {
    Help(String),
    Run(&'static Entry, Command),
}

/// Reads the words after the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, Failure> {
    let definition = help::global_definition();
    let mut outer = split(args, &definition, None, true)
        .map_err(|error| usage(format!("{error} (\"hull --help\" lists the flags)")))?;
    let words = std::mem::take(&mut outer.operands);
    let wish = if outer.help {
        Ok(Wish::Help(help::overview()))
    } else {
        wish(words, &definition, &mut outer.flags)
    };
    let mut matches = read(definition, outer.flags)?;
    if matches.get_flag("version") {
        return Ok(Request::Print(help::version()));
    }
    Ok(match wish {
        Ok(Wish::Help(text)) => Request::Print(text),
        Ok(Wish::Run(entry, command)) => {
            Request::Run(Global::read(&mut matches)?, Ok((entry, command)))
        }
        Err(failure) => Request::Run(Global::read(&mut matches)?, Err(failure)),
    })
}

/// Reads the command and what follows it; global options found there go to `global`.
fn wish(
    words: Vec<OsString>,
    definition: &clap::Command,
    global: &mut Vec<OsString>,
) -> Result<Wish, Failure> {
    let mut words = words.into_iter();
    let Some(name) = words.next() else { return Ok(Wish::Help(help::overview())) };
    if name == "help" || name == "h" {
        return Ok(Wish::Help(match words.next() {
            Some(topic) if topic != "--help" && topic != "-h" => help::command(find(&topic)?),
            _ => help::overview(),
        }));
    }
    let entry = find(&name)?;
    let own = help::entry_definition(entry);
    let mut inner = split(words, &own, Some(definition), entry.until_operand)
        .map_err(|error| usage(format!("{error} (\"{} --help\" lists the flags)", entry.title)))?;
    global.append(&mut inner.inherited);
    if inner.help {
        return Ok(Wish::Help(help::command(entry)));
    }
    let mut operands = operands(entry, inner.operands)?;
    let mut matches = read(own, inner.flags)?;
    let command =
        (entry.read)(&mut matches, &mut operands).map_err(|error| entry.failure(error))?;
    Ok(Wish::Run(entry, command))
}

fn find(name: &OsString) -> Result<&'static Entry, Failure> {
    ENTRIES.iter().find(|entry| name == entry.name()).ok_or_else(|| Failure {
        error: usage(format!(
            "No help topic for '{}' (\"hull help\" lists the commands)",
            name.to_string_lossy()
        )),
        code: 3,
    })
}

/// Checks the number of operands, whose texts callers and tests of OCI runtimes know.
fn operands(entry: &Entry, words: Vec<OsString>) -> Result<Operands> {
    let (least, most) = entry.arity;
    let rule = if least == most && words.len() != least {
        format!("exactly {least}")
    } else if words.len() < least {
        format!("a minimum of {least}")
    } else if words.len() > most {
        format!("a maximum of {most}")
    } else {
        let words: Vec<_> = words
            .into_iter()
            .map(|word| word.into_string().map_err(|word| usage(format!("{word:?} is not UTF-8"))))
            .collect::<Result<_>>()?;
        if least > 0 && words.first().is_some_and(String::is_empty) {
            return Err(usage("container id cannot be empty"));
        }
        return Ok(Operands { rest: words.into_iter() });
    };
    Err(usage(format!("{:?} requires {rule} argument(s): {}", entry.name(), help::usage(entry))))
}

/// Lets clap read canonical flags.
fn read(definition: clap::Command, flags: Vec<OsString>) -> Result<ArgMatches> {
    definition.args_override_self(true).try_get_matches_from(flags).map_err(|error| {
        // The first line says what is wrong, the others how to get help.
        let text = error.render().to_string();
        let line = text.lines().next().unwrap_or_default();
        usage(line.strip_prefix("error: ").unwrap_or(line))
    })
}
