//! Removing cgroups.

use super::{Cgroup, wait, walk};
use crate::error::{At, Error, Kind, Result};
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long processes that were killed may take to be gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The longest sleep where the kernel offers nothing to wait for.
const PAUSE: Duration = Duration::from_millis(20);

impl Cgroup {
    /// Removes the directories and all cgroups the container made in them. There must be no
    /// process in them but such as have been killed; those are waited for, but not for long.
    pub fn destroy(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut result = Ok(());
        for place in &self.places {
            // All of them, whatever happens to one; the first failure is reported.
            result = result.and(self.remove(&place.path, end));
        }
        result
    }

    /// Removes one directory with its descendants; gives up at `end`.
    pub(super) fn remove(&self, path: &Path, end: Instant) -> Result<()> {
        match unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            // EROFS is the answer of a read-only mount for a path that does not exist too.
            Err(Errno::EROFS) if !path.exists() => return Ok(()),
            Err(Errno::EBUSY | Errno::ENOTEMPTY) => {}
            Err(errno) => return Err(errno).at(|| format!("rmdir {path:?}")),
        }
        let mut pause = Duration::from_millis(1);
        loop {
            let mut busy = false;
            let swept = walk::walk(path, &mut |_| Ok(()), &mut |parent, name| match unlinkat(
                parent,
                name,
                UnlinkatFlags::RemoveDir,
            ) {
                Ok(()) | Err(Errno::ENOENT) => Ok(()),
                Err(Errno::EBUSY | Errno::ENOTEMPTY) => {
                    busy = true;
                    Ok(())
                }
                Err(errno) => Err(errno).at(|| format!("rmdir {name:?}")),
            });
            match swept {
                Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(()),
                other => other?,
            }
            match unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => return Ok(()),
                Err(Errno::EBUSY | Errno::ENOTEMPTY) => busy = true,
                Err(errno) => return Err(errno).at(|| format!("rmdir {path:?}")),
            }
            let left = end.saturating_duration_since(Instant::now());
            if busy && left.is_zero() {
                return Err(still_there(path));
            }
            self.wait_for_exits(left, &mut pause)?;
        }
    }

    /// Waits until the processes of the cgroup are gone, where the unified hierarchy tells it (also
    /// for those of v1: a process leaves all hierarchies at the same time), else a little.
    fn wait_for_exits(&self, left: Duration, pause: &mut Duration) -> Result<()> {
        if let Some(unified) = self.unified().filter(|path| path.exists())
            && !wait::for_event(unified, "populated 0", Duration::ZERO)?
        {
            wait::for_event(unified, "populated 0", left)?;
            return Ok(());
        }
        std::thread::sleep(left.min(*pause));
        *pause = PAUSE.min(*pause * 2);
        Ok(())
    }
}

/// Tells who keeps the directory.
fn still_there(path: &Path) -> Error {
    let pids = walk::pids(path, true).unwrap_or_default();
    Error::new(
        Kind::Kernel(Errno::EBUSY),
        format!("rmdir {path:?}: device or resource busy: {} process(es) left", pids.len()),
    )
}
