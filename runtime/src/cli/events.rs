//! `hull events`: JSON lines on standard output.

use super::args::Command;
use super::exit_code::ExitCode;
use super::flags::{Operands, switch, usage, value};
use super::global::Global;
use super::{duration, print};
use crate::container::Store;
use crate::container::events::{self, Event};
use crate::error::{Error, Result};
use clap::{Arg, ArgMatches};
use std::time::Duration;

/// How often usage is told unless `--interval` says it.
const INTERVAL: Duration = Duration::from_secs(5);

/// Arguments of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsArgs {
    /// Container id.
    pub id: String,
    /// How often usage is told.
    pub interval: Duration,
    /// Usage is told once, and that is all.
    pub stats: bool,
}

/// The flags.
pub(super) fn flags() -> Vec<Arg> {
    vec![
        value("interval", "DURATION", "How often usage is told, as 1m30s [default: 5s]"),
        switch("stats", "Tell usage once and exit"),
    ]
}

/// Takes the arguments from what clap read.
pub(super) fn read(matches: &mut ArgMatches, operands: &mut Operands) -> Result<Command> {
    let interval = matches.remove_one::<String>("interval");
    let interval = interval.map_or(Ok(INTERVAL), |text| duration::parse(&text))?;
    if interval.is_zero() {
        return Err(usage("duration interval must be greater than 0"));
    }
    Ok(Command::Events(EventsArgs {
        id: operands.one(),
        interval,
        stats: matches.get_flag("stats"),
    }))
}

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &EventsArgs) -> Result<ExitCode> {
    let container = Store::open_for(&global.root, &args.id)?.load(&args.id)?;
    events::check(&container)?;
    if args.stats {
        tell(&events::stats(&container)?)?;
    } else {
        events::follow(&container, args.interval, &mut |event| tell(event))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(event: &Event<'_>) -> Result<()> {
    let json = serde_json::to_string(event)
        .map_err(|error| Error::unsupported(format!("event can't be written as JSON: {error}")))?;
    print(&format!("{json}\n"))
}
