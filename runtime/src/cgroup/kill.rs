//! Killing all processes of a cgroup.

use super::Cgroup;
use super::file::{gone, write_raw};
use crate::error::{At, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often processes are looked for where they can't be stopped first.
const ROUNDS: usize = 100;

impl Cgroup {
    /// Sends SIGKILL to all processes of the cgroup and its descendants.
    pub fn kill_all(&self) -> Result<()> {
        if let Some(path) = self.unified() {
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
