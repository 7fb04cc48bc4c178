//! Killing all processes of a cgroup.

use super::file::{gone, write_raw};
use super::{Cgroup, walk};
use crate::error::{At, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;

/// How often processes are looked for where they can't be stopped first.
const ROUNDS: usize = 100;

impl Cgroup {
    /// Sends SIGKILL to all processes of the cgroup and its descendants.
    pub fn kill_all(&self) -> Result<()> {
        let all_unified = match self.unified() {
            Some(_) if self.is_v2() => true,
            Some(path) => self.all_in(path)?,
            None => false,
        };
        if let (Some(path), true) = (self.unified(), all_unified) {
            // One step that no fork escapes (since Linux 5.14), on hybrid hosts too.
            match write_raw(path, "cgroup.kill", "1") {
                Ok(()) => return Ok(()),
                Err(error) if gone(&error) => {}
                Err(error) => return Err(error).at(|| format!("kill the processes of {path:?}")),
            }
        }
        if !self.exists() {
            return Ok(());
        }
        // Frozen processes can't fork, nor can their ids be given to others.
        let frozen = self.freeze().is_ok();
        let killed = self.kill_each(if frozen { 1 } else { ROUNDS });
        if frozen {
            self.thaw()?;
        }
        killed
    }

    /// Whether all processes that are in the v1 cgroups are in the unified one at `path` too;
    /// somebody may have moved them in one of the two only. Those of v1 are read first: what is
    /// forked meanwhile is in both.
    fn all_in(&self, path: &Path) -> Result<bool> {
        if !self.exists() || !path.exists() {
            return Ok(false);
        }
        let pids = self.pids(true)?;
        let unified = walk::pids(path, true)?;
        Ok(pids.iter().all(|pid| unified.contains(pid)))
    }

    /// Kills one by one, until there is nobody left or `rounds` times.
    fn kill_each(&self, rounds: usize) -> Result<()> {
        for _ in 0..rounds {
            let pids = self.pids(true)?;
            if pids.is_empty() {
                break;
            }
            for pid in pids {
                match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(errno) => return Err(errno).at(|| format!("kill {pid}")),
                }
            }
        }
        Ok(())
    }
}
