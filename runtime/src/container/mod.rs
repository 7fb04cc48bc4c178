//! Containers as they are remembered on disk, and what can be done with one.
//!
//! `--root` holds one directory (a slot) for each container, named by its id, mode 0700:
//!
//! | file | there while | holds |
//! |---|---|---|
//! | `state.json` | always, replaced by rename | [`state::State`] |
//! | `summary` | from start, as far as possible | [`summary::Summary`] |
//! | `config.json` | from create | the bundle's configuration as create read it |
//! | `seccomp` | from create, with a filter | the compiled filter, for exec |
//! | `criu-root` | during restore | where the root file system is mounted for CRIU |
//! | `exec.fifo` | from create to start | where init waits, see [`start`] |

pub mod delete;
pub mod events;
pub mod id;
pub mod kill;
pub mod pause;
pub mod process;
pub mod start;
pub mod state;
pub mod store;
pub mod summary;
pub mod update;

pub use state::{State, Status};
pub use store::{Slot, Store};

use crate::cgroup::Cgroup;
use crate::error::{At, Result};
use crate::spec::joining::{Joining, JoiningSpec};
use crate::spec::load::{self, Bundle};
use nix::libc::pid_t;
use std::cell::OnceCell;
use std::os::fd::OwnedFd;

/// A container that exists.
pub struct Container {
    /// Its directory.
    pub slot: Slot,
    /// What is known of it.
    pub state: State,
    /// Its configuration, once it has been read.
    config: OnceCell<Bundle>,
    /// What of it matters to a process that joins, once that has been read.
    joining: OnceCell<Joining>,
}

impl Container {
    /// The container in `slot`.
    pub fn new(slot: Slot, state: State) -> Self {
        Self { slot, state, config: OnceCell::new(), joining: OnceCell::new() }
    }

    /// The runtime status now (runtime.md "State").
    ///
    /// # Errors
    /// When the freezer can't be read.
    pub fn status(&self) -> Result<Status> {
        if self.state.init_process_pid == 0 {
            let creator = self.state.creator;
            let alive = process::is_alive(creator.pid, creator.start);
            return Ok(if alive { Status::Creating } else { Status::Stopped });
        }
        let State { init_process_pid: pid, init_process_start: start, .. } = self.state;
        let Some(init) = process::state(pid, start) else {
            return Ok(Status::Stopped);
        };
        if self.cgroup()?.is_frozen_around(init).at(|| "reading the freezer's state")? {
            return Ok(Status::Paused);
        }
        Ok(if start::is_waiting(&self.slot) { Status::Created } else { Status::Running })
    }

    /// The pid of init, if it is alive.
    pub fn init_pid(&self) -> Option<pid_t> {
        let State { init_process_pid: pid, init_process_start: start, .. } = self.state;
        process::is_alive(pid, start).then_some(pid)
    }

    /// A pidfd of init, if it is alive: checked after opening, so that it can't be another
    /// process with the same number.
    ///
    /// # Errors
    /// pidfd_open(2), apart from ESRCH.
    pub fn init_pidfd(&self) -> Result<Option<OwnedFd>> {
        let pid = self.state.init_process_pid;
        if pid <= 0 {
            return Ok(None);
        }
        match crate::sys::child::open(pid) {
            Ok(pidfd) => Ok(self.init_pid().map(|_| pidfd)),
            Err(nix::errno::Errno::ESRCH) => Ok(None),
            Err(errno) => Err(errno).at(|| format!("pidfd_open({pid})")),
        }
    }

    /// The container's cgroups.
    ///
    /// # Errors
    /// None of its directories has to exist.
    pub fn cgroup(&self) -> Result<Cgroup> {
        Ok(Cgroup::open(&self.state.cgroup_paths))
    }

    /// All processes of the container, by its cgroup.
    ///
    /// # Errors
    /// Reading the cgroup.
    pub fn pids(&self) -> Result<Vec<pid_t>> {
        self.cgroup()?.pids(true)
    }

    /// Of the configuration, what matters to a process that joins.
    ///
    /// # Errors
    /// A damaged slot.
    pub fn joining(&self) -> Result<&Joining> {
        if let Some(joining) = self.joining.get() {
            return Ok(joining);
        }
        let raw = self.slot.read(store::CONFIG)?;
        let joining = load::parse::<JoiningSpec>(&raw).at(|| "config.json")?;
        Ok(self.joining.get_or_init(|| joining.into()))
    }

    /// The configuration the container was created from.
    ///
    /// # Errors
    /// A damaged slot.
    pub fn config(&self) -> Result<&Bundle> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let raw = self.slot.read(store::CONFIG)?;
        let config = Bundle::from_bytes(self.state.bundle.clone(), raw)?;
        Ok(self.config.get_or_init(|| config))
    }
}
