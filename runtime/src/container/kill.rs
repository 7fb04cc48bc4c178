//! `kill`: a signal to init, or to everything when the container has no pid namespace of its own.

use super::{Container, Status};
use crate::error::{At, Error, Kind, Result};
use crate::sys::child;
use nix::errno::Errno;
use nix::libc;
use std::os::fd::AsFd;

/// Sends `signal`.
///
/// # Errors
/// `container not running` when init is gone.
pub fn kill(container: &Container, signal: i32) -> Result<()> {
    let not_running = || Error::new(Kind::State, "container not running");
    // Without a pid namespace, the other processes outlive init; SIGKILL is for all of them.
    if signal == libc::SIGKILL && !container.state.own_pid_namespace {
        if container.status()? == Status::Stopped && container.pids().unwrap_or_default().is_empty()
        {
            return Err(not_running());
        }
        return container.cgroup()?.kill_all().at(|| "killing all processes of the container");
    }
    let pidfd = container.init_pidfd()?.ok_or_else(not_running)?;
    match child::signal(pidfd.as_fd(), signal) {
        Ok(()) => {}
        Err(Errno::ESRCH) => return Err(not_running()),
        Err(errno) => return Err(errno).at(|| format!("sending signal {signal} to init")),
    }
    // On cgroup v1 even SIGKILL waits for a frozen process to be thawed.
    if signal == libc::SIGKILL {
        container.cgroup()?.thaw().at(|| "thawing the container")?;
    }
    Ok(())
}
