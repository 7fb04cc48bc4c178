//! `delete`: removing what create made, and the poststop hooks.

use super::{Container, State, Status, Store, kill};
use crate::error::{At, Error, Kind, Result};
use crate::spec::Hooks;
use crate::{hooks, intel_rdt};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};

/// How long a killed init may take to die; one in uninterruptible sleep can take for ever.
const KILL_TIMEOUT_MS: u16 = 10_000;

/// Deletes `id`; with `force` also one that runs, and without an error one that isn't there.
///
/// # Errors
/// A running container without `force`; what can't be removed.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<()> {
    let container = match store.load(id) {
        Err(error) if force && error.kind() == Kind::NotFound => return store.remove(id),
        other => other?,
    };
    let _guard = container.slot.lock()?;
    match container.status()? {
        Status::Stopped => {}
        Status::Created => kill_and_wait(&container)?,
        _ if force => kill_and_wait(&container)?,
        status => {
            return Err(Error::new(
                Kind::State,
                format!("cannot delete container {id} that is not stopped: {status}"),
            ));
        }
    }
    let hooks = poststop_hooks(&container);
    destroy(store, &container, hooks)
}

/// The hooks to run when everything has been removed.
pub(crate) fn poststop_hooks(container: &Container) -> Option<&Hooks> {
    if !container.state.poststop {
        return None;
    }
    match container.config() {
        Ok(bundle) => bundle.spec.hooks.as_ref(),
        // Absent in a create that was killed early: then no hook has run.
        Err(error) if error.errno() == Some(Errno::ENOENT) => None,
        Err(error) => {
            crate::log::warn(format_args!("no poststop hook is run: {error}"));
            None
        }
    }
}

/// SIGKILL for everything, then waits for init to be gone.
///
/// # Errors
/// When it does not die in time.
pub fn kill_and_wait(container: &Container) -> Result<()> {
    let pidfd = container.init_pidfd()?;
    match kill::kill(container, libc::SIGKILL) {
        Err(error) if error.kind() == Kind::State => {}
        other => other?,
    }
    pidfd.map_or(Ok(()), |pidfd| wait(&pidfd))
}

fn wait(pidfd: &OwnedFd) -> Result<()> {
    loop {
        let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(KILL_TIMEOUT_MS)) {
            Ok(0) => {
                return Err(Error::new(Kind::State, "container init still running after SIGKILL"));
            }
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).at(|| "poll(pidfd)"),
        }
    }
}

/// Deletes a container that this process has made and whose init it has seen end.
///
/// # Errors
/// As of [`destroy`]. One that somebody else has deleted meanwhile is none: what has its id now is
/// another container.
pub fn delete_own(store: &Store, container: &Container, hooks: Option<&Hooks>) -> Result<()> {
    let _guard = container.slot.lock()?;
    if container.slot.is_gone()? {
        return Ok(());
    }
    destroy(store, container, hooks)
}

/// Removes everything of a container whose init is gone (runtime.md "Delete").
///
/// # Errors
/// The slot stays while something else could not be removed, so that a second delete finds it.
pub fn destroy(store: &Store, container: &Container, hooks: Option<&Hooks>) -> Result<()> {
    let state = &container.state;
    // Without a pid namespace, processes that init left behind go with the container.
    if !state.own_pid_namespace {
        container.cgroup()?.kill_all().at(|| "killing all processes of the container")?;
    }
    if let Some(unit) = &state.unit {
        unit.stop()?;
    }
    container.cgroup()?.destroy().at(|| "removing the container's cgroup")?;
    if let Some(rdt) = &state.intel_rdt {
        intel_rdt::destroy(rdt).at(|| "removing the container's resctrl group")?;
    }
    store.remove_slot(&container.slot)?;
    if let Some(hooks) = hooks {
        poststop(hooks, state);
    }
    Ok(())
}

/// Runs the poststop hooks. One that fails is logged, and the rest go on (runtime.md "Lifecycle").
pub fn poststop(hooks: &Hooks, state: &State) {
    let json = state.oci_json(Status::Stopped, 0);
    for (index, hook) in hooks.poststop.iter().enumerate() {
        let hook = std::slice::from_ref(hook);
        if let Err(error) = hooks::run(hook, "poststop", &json, hooks::DefaultEnv::Inherit) {
            crate::log::warn(format_args!("poststop hook {index}: {error}"));
        }
    }
}
