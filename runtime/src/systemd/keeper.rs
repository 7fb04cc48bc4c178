//! A process that keeps a new scope in being until the container's init is in it: systemd makes
//! no scope without a process, and removes one that has none.

use crate::error::{At, Result};
use crate::sys::cap;
use crate::sys::child;
use crate::sys::clone::{Cloned, fork_into};
use crate::sys::exec::exit_child;
use nix::libc::{self, pid_t};
use std::os::fd::{AsFd, OwnedFd};

/// The process; ends with this value.
#[derive(Debug)]
pub struct Keeper {
    pid: pid_t,
    pidfd: OwnedFd,
}

impl Keeper {
    /// Starts it, in this process' cgroup.
    ///
    /// # Errors
    /// clone3(2).
    pub fn start() -> Result<Self> {
        match fork_into(0, None, false).at(|| "clone3 of the scope's keeper")? {
            Cloned::Child => {
                // Whoever started it may be killed.
                if cap::set_parent_death_signal(libc::SIGKILL).is_ok() {
                    nix::unistd::pause();
                }
                exit_child(0)
            }
            Cloned::Parent { pid, pidfd } => Ok(Self { pid, pidfd }),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> pid_t {
        self.pid
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Its own child, unreaped: neither can fail.
        let _ = child::signal(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = child::wait(self.pidfd.as_fd());
    }
}
