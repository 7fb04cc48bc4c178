//! What the definitions of flags and operands are made of.

use super::args::Format;
use crate::error::{Error, Kind, Result};
use clap::{Arg, ArgAction, ArgMatches};
use std::path::PathBuf;
use std::str::FromStr as _;

/// The operands of a command, of which there are as many as its entry asks for.
pub struct Operands {
    /// Those not taken yet.
    pub rest: std::vec::IntoIter<String>,
}

impl Operands {
    /// The next one.
    pub fn one(&mut self) -> String {
        self.rest.next().unwrap_or_default()
    }
}

pub(super) fn usage(message: impl Into<String>) -> Error {
    Error::new(Kind::Usage, message)
}

pub(super) fn switch(long: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).action(ArgAction::SetTrue).help(help)
}

pub(super) fn value(long: &'static str, name: &'static str, help: &'static str) -> Arg {
    Arg::new(long).long(long).value_name(name).help(help)
}

pub(super) fn path(long: &'static str, name: &'static str, help: &'static str) -> Arg {
    value(long, name, help).value_parser(clap::value_parser!(PathBuf))
}

pub(super) fn bundle() -> Arg {
    path("bundle", "DIR", "The bundle [default: the current directory]").short('b')
}

pub(super) fn format(people: &'static str) -> Arg {
    let help = match people {
        "text" => "How to print: text (default) or json",
        _ => "How to print: table (default) or json",
    };
    value("format", "FORMAT", help)
}

pub(super) fn read_format(matches: &mut ArgMatches, people: &str) -> Result<Format> {
    match matches.remove_one::<String>("format").as_deref() {
        None => Ok(Format::Table),
        Some(name) if name == people => Ok(Format::Table),
        Some("json") => Ok(Format::Json),
        Some(other) => Err(usage(format!("invalid format option {other:?} ({people} or json)"))),
    }
}

/// Flags that everything that starts a process has.
pub(super) fn process_flags() -> [Arg; 4] {
    [
        path("console-socket", "SOCKET", "Unix socket that gets the terminal's master end"),
        path("pidfd-socket", "SOCKET", "Unix socket that gets a pidfd of the process"),
        path("pid-file", "FILE", "Write the process id to FILE"),
        value("preserve-fds", "N", "Pass N descriptors after the standard ones and $LISTEN_FDS")
            .value_parser(clap::value_parser!(u32)),
    ]
}

/// A signal by number, or by name with or without SIG in any case.
pub(super) fn signal(text: &str) -> Result<i32> {
    let unknown = || usage(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        // 0 only asks whether the process is there; 64 is SIGRTMAX (signal(7)).
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = match upper.strip_prefix("SIG").unwrap_or(&upper) {
        // Synonyms of signal(7).
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        name => name,
    };
    let signal = nix::sys::signal::Signal::from_str(&format!("SIG{name}"));
    signal.map(|signal| signal as i32).map_err(|_| unknown())
}
