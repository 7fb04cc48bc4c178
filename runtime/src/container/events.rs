//! `events`: what a container uses, and its processes killed for want of memory.

use super::{Container, Status};
use crate::cgroup::stats::Stats;
use crate::cgroup::{Occurrence, OomWatch};
use crate::error::{At, Error, Kind, Result};
use crate::intel_rdt::stats::{RdtStats, stats as rdt_stats};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// One event; a line of output.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

/// `data` of a `stats` event.
#[derive(Debug, Serialize)]
struct Data {
    #[serde(flatten)]
    cgroup: Stats,
    intel_rdt: RdtStats,
    /// Always null: interfaces are not the runtime's but those of who made the namespace.
    network_interfaces: Option<()>,
}

/// What the container uses now.
///
/// # Errors
/// The container is not running; its cgroups can't be read.
pub fn stats(container: &Container) -> Result<Event<'_>> {
    let data = Data {
        cgroup: container.cgroup()?.stats()?,
        intel_rdt: rdt_stats(container.state.intel_rdt.as_ref())?,
        network_interfaces: None,
    };
    Ok(Event { kind: "stats", id: &container.state.id, data: Some(data) })
}

/// Refuses a container of which there are no events.
///
/// # Errors
/// It is stopped.
pub fn check(container: &Container) -> Result<()> {
    if container.status()? == Status::Stopped {
        let id = &container.state.id;
        return Err(Error::new(Kind::State, format!("container with id {id} is not running")));
    }
    Ok(())
}

/// Tells `each` event until the cgroup goes away: usage every `interval`, kills as they happen.
///
/// # Errors
/// Those of `each`; a cgroup that can't be listened to.
pub fn follow(
    container: &Container,
    interval: Duration,
    each: &mut dyn FnMut(&Event<'_>) -> Result<()>,
) -> Result<()> {
    let mut source = Source::new(container)?;
    let mut next = Instant::now() + interval;
    loop {
        match source.wait(next)? {
            Occurrence::Oom => {
                each(&Event { kind: "oom", id: &container.state.id, data: None })?;
            }
            Occurrence::Nothing => {}
            Occurrence::Gone => return Ok(()),
        }
        if Instant::now() >= next {
            // Lost time is not made up for.
            next = Instant::now() + interval;
            match stats(container) {
                Ok(event) => each(&event)?,
                Err(error) => crate::log::error(format_args!("{error}")),
            }
        }
    }
}

/// Where events other than usage come from.
enum Source {
    Cgroup(OomWatch),
    /// A container without a memory cgroup: its end is all there is to hear.
    Init(OwnedFd),
}

impl Source {
    fn new(container: &Container) -> Result<Self> {
        if let Some(watch) = container.cgroup()?.watch_oom()? {
            return Ok(Self::Cgroup(watch));
        }
        let gone = || Error::new(Kind::State, "container not running");
        Ok(Self::Init(container.init_pidfd()?.ok_or_else(gone)?))
    }

    /// Waits for something to happen, until `end` at most.
    fn wait(&mut self, end: Instant) -> Result<Occurrence> {
        let left = end.saturating_duration_since(Instant::now());
        // Rounded up, so that the last turn does not spin.
        let timeout =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        let mut fds = match &*self {
            Self::Cgroup(watch) => watch.poll_fds(),
            Self::Init(pidfd) => vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)],
        };
        let ready = match poll(&mut fds, timeout) {
            Ok(ready) => ready > 0,
            Err(Errno::EINTR) => false,
            Err(errno) => return Err(errno).at(|| "poll(events)"),
        };
        Ok(match self {
            _ if !ready => Occurrence::Nothing,
            Self::Cgroup(watch) => watch.heard(),
            Self::Init(_) => Occurrence::Gone,
        })
    }
}
