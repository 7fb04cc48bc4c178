//! Descriptors that the caller hands to the container: socket activation (sd_listen_fds(3)) and
//! `--preserve-fds`.
//!
//! Looked at before anything else is opened: a number that is not open now would later be one of
//! the runtime's own descriptors, and the container would get that.

use super::args::Command;
use crate::error::{At, Error, Kind, Result};
use crate::sys::fd::{is_open, mark_from, set_cloexec};

/// What the container's process inherits beyond standard error.
#[derive(Debug, Clone, Default)]
pub struct Inherited {
    /// How many descriptors, from 3 on.
    pub count: u32,
    /// `LISTEN_…` variables for the process.
    pub environment: Vec<String>,
}

/// Checks that all descriptors the command wants to pass on are open, and marks every other one
/// close-on-exec, so that nothing of the caller's leaks (CVE-2016-9962, CVE-2024-21626).
///
/// # Errors
/// A descriptor that is not open.
pub fn claim(command: &Command) -> Result<Inherited> {
    let Some(asked) = preserved(command) else {
        mark_from(3).at(|| "close_range(CLOEXEC)")?;
        return Ok(Inherited::default());
    };
    let (listening, environment) = listening();
    let count = listening.saturating_add(asked);
    let end = i32::try_from(count).ok().and_then(|count| count.checked_add(3));
    let end =
        end.ok_or_else(|| Error::new(Kind::Usage, format!("--preserve-fds {asked} is too many")))?;
    for fd in 3..end {
        if !is_open(fd) {
            let what =
                format!("file descriptor {fd} is to be passed to the container but is not open");
            return Err(Error::new(Kind::Usage, what));
        }
        set_cloexec(fd, false).at(|| format!("fcntl({fd}, F_SETFD)"))?;
    }
    mark_from(end).at(|| "close_range(CLOEXEC)")?;
    Ok(Inherited { count, environment })
}

fn preserved(command: &Command) -> Option<u32> {
    match command {
        Command::Create(args) => Some(args.preserve_fds),
        Command::Run(args) => Some(args.create.preserve_fds),
        Command::Exec(args) => Some(args.preserve_fds),
        _ => None,
    }
}

/// How many activated sockets are meant for this process, and how the container is told.
fn listening() -> (u32, Vec<String>) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() && count > 0 => {
            let mut environment = vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()];
            if let Ok(names) = std::env::var("LISTEN_FDNAMES") {
                environment.push(format!("LISTEN_FDNAMES={names}"));
            }
            (count, environment)
        }
        _ => (0, Vec::new()),
    }
}
